//! `hlsgate sales`: BTCPay is the ledger, this adds it up.

mod table;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use rust_decimal::Decimal;

use crate::btcpay::client::InvoiceQuery;
use crate::btcpay::invoice::Invoice;
use crate::btcpay::{Client, Error};
use crate::config::section::duration;
use crate::failure::Failure;
use crate::gate::time::UnixTime;
use crate::live::Live;
use crate::live::client;
use crate::live::clock::{date, now};
use crate::shop::lane::{LANE_KEY, Lane};
use crate::shop::settlement::{NotSettled, Settlement};

/// Invoices in one question to BTCPay.
const PAGE: usize = 200;
/// Questions for payments under way at once, where listings do not tell them.
const AT_ONCE: usize = 8;
/// Waits before a question that failed is asked again; then the run is over.
const AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];
/// Invoices looked at if nothing else is said, by the time of their creation.
const DEFAULT_SINCE: &str = "30d";

/// Tell what was sold, from BTCPay's invoices: sums by day, video, tier and lane.
///
/// Counted is what the shop itself takes for settled; a sale's day is the day (UTC) on which its price was paid, its lane `page`
/// or `machine`. Nothing about the buyers is asked or told.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate sales
  hlsgate sales --since 2026-01-01
  hlsgate sales --since 7d --by tier
  hlsgate sales --since 365d --csv > sales.csv")]
pub(crate) struct Sales {
    /// Invoices made from here on: a date, or so long ago.
    #[arg(long, value_name = "DATE|DURATION", default_value = DEFAULT_SINCE, value_parser = since)]
    since: Since,
    /// One table only.
    #[arg(long, value_enum)]
    by: Option<By>,
    /// One line a sale instead: settled_at,video,covers,tier,amount,currency,invoice,lane
    #[arg(long, conflicts_with = "by")]
    csv: bool,
}

#[derive(Clone, Copy, Debug)]
enum Since {
    At(UnixTime),
    Ago(Duration),
}

/// What a table has a line for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Day,
    Video,
    Tier,
    Lane,
}

/// One settled invoice.
struct Sale {
    invoice: String,
    settled: UnixTime,
    video: String,
    covers: String,
    tier: String,
    amount: Decimal,
    currency: String,
    lane: Lane,
}

/// What was found in BTCPay.
#[derive(Default)]
struct Found {
    sales: Vec<Sale>,
    /// Paid, by an order of ours, and still not counted: each with the reason.
    refused: Vec<(String, String)>,
}

impl Sales {
    pub(super) fn run(self, file: &Path) -> Result<ExitCode, Failure> {
        let live = Live::load(file)?;
        let client = client::client(&live.config)?;
        let since = match self.since {
            Since::At(time) => time,
            Since::Ago(ago) => UnixTime(now().0.saturating_sub(ago.as_secs())),
        };
        let mut found = client::wait(find(&client, &live, since))??;
        found.sales.sort_by_key(|sale| sale.settled);
        for (invoice, reason) in &found.refused {
            eprintln!("not counted: {invoice}: {reason}");
        }
        let mut out = std::io::stdout().lock();
        let written = match self.csv {
            true => csv(&found.sales, &mut out),
            false => self.tables(&found.sales, since, &mut out),
        };
        match written {
            // `sales | head` is no failure.
            Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("cannot print: {err}")))
            }
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    fn tables(&self, sales: &[Sale], since: UnixTime, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "Sales of invoices made since {}", date(since.0))?;
        if sales.is_empty() {
            return writeln!(out, "\nNone.");
        }
        let mut wanted = self.by.map_or_else(|| vec![By::Day, By::Video, By::Tier], |by| vec![by]);
        if self.by.is_none() && sales.iter().any(|sale| sale.lane == Lane::Machine) {
            wanted.push(By::Lane);
        }
        for by in wanted {
            let (heading, name): (_, fn(&Sale) -> String) = match by {
                By::Day => ("day (UTC)", |sale| date(sale.settled.0)[..10].to_owned()),
                By::Video => ("video", |sale| sale.video.clone()),
                By::Tier => ("tier", |sale| sale.tier.clone()),
                By::Lane => ("lane", |sale| sale.lane.as_str().to_owned()),
            };
            writeln!(out)?;
            table::print(heading, sales.iter().map(|sale| (name(sale), sale)), out)?;
        }
        Ok(())
    }
}

/// Pages through the invoices, newest first; says on a terminal how far it is.
async fn find(client: &Client, live: &Live, since: UnixTime) -> Result<Found, Failure> {
    let terms = &client::section(&live.config)?.terms;
    let failed = |err| client::failed("list the store's invoices", &err);
    let mut pages = client.pages(InvoiceQuery {
        start_date: Some(since),
        statuses: Vec::new(),
        include_payment_methods: true,
        include_archived: true,
        take: PAGE,
        ..InvoiceQuery::default()
    });
    let (mut found, mut looked_at, progress) = (Found::default(), 0, Progress::new());
    while let Some(page) = again(async || pages.next().await).await.map_err(failed)? {
        looked_at += page.invoices.len() + page.unreadable;
        // Strangers' invoices, and ours that nobody paid, are no sales.
        let ours = |invoice: &Invoice| {
            let facts = invoice.facts();
            facts.order(terms, &live.policy.keyring).is_ok() && facts.needs_payments()
        };
        let paid = page.invoices.into_iter().filter(ours).map(|invoice| with_payments(client, invoice));
        // BTCPay before 2.3.6 tells payments of one invoice at a time only.
        let mut paid = futures_util::stream::iter(paid).buffered(AT_ONCE);
        while let Some(invoice) = paid.next().await {
            let invoice = invoice.map_err(failed)?;
            match invoice.facts().settle(terms, &live.policy.keyring) {
                Ok(settlement) => found.sales.push(Sale::of(&invoice, &settlement)),
                // Of what is not paid, or not yet, there is nothing to tell.
                Err(NotSettled::NotPaid(..)) => {}
                Err(reason) => found.refused.push((invoice.id, reason.to_string())),
            }
        }
        progress.tell(looked_at, found.sales.len());
    }
    Ok(found)
}

/// The invoice with its payments, asked for if the listing did not tell them.
async fn with_payments(client: &Client, mut invoice: Invoice) -> Result<Invoice, Error> {
    again(async || client.fill_payments(&mut invoice).await).await?;
    Ok(invoice)
}

/// Asks again what failed in passing: a year's sales are not to be lost to one hiccup.
async fn again<T>(mut ask: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for wait in AGAIN {
        match ask().await {
            Err(err) if err.is_passing() => tokio::time::sleep(err.retry_after().unwrap_or(wait)).await,
            other => return other,
        }
    }
    ask().await
}

impl Sale {
    fn of(invoice: &Invoice, settlement: &Settlement) -> Sale {
        let order = &settlement.order;
        Sale {
            invoice: invoice.id.clone(),
            settled: settlement.token.iat,
            video: order.video().to_string(),
            covers: order.sub().to_string(),
            tier: order.tier().to_string(),
            amount: invoice.amount,
            currency: invoice.currency.clone(),
            lane: Lane::of(invoice.metadata.text(LANE_KEY)),
        }
    }
}

/// No field can hold a comma or a quote: ids, amounts and codes have none.
fn csv(sales: &[Sale], out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "settled_at,video,covers,tier,amount,currency,invoice,lane")?;
    for sale in sales {
        let (settled, lane) = (date(sale.settled.0), sale.lane.as_str());
        let Sale { video, covers, tier, amount, currency, invoice, .. } = sale;
        writeln!(out, "{settled},{video},{covers},{tier},{amount},{currency},{invoice},{lane}")?;
    }
    Ok(())
}

/// One line on a terminal's standard error, written over and over, and wiped at the end.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Progress {
        Progress { shown: std::io::stderr().is_terminal() }
    }

    fn tell(&self, invoices: usize, sales: usize) {
        if self.shown {
            eprint!("\r\x1b[K{invoices} invoices, {sales} sales …");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = duration(text) {
        return Ok(Since::Ago(ago));
    }
    let midnight = humantime::parse_rfc3339_weak(&format!("{text} 00:00:00")).ok();
    let time = midnight.or_else(|| humantime::parse_rfc3339_weak(text).ok());
    let seconds = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let unknown = || format!("{text:?} is neither a date such as \"2026-01-31\" nor a length of time such as \"30d\"");
    seconds.map(|since| Since::At(UnixTime(since.as_secs()))).ok_or_else(unknown)
}
