//! A real first step of a sale, for each price on offer: what BTCPay answers now, not what its settings say.
//!
//! A trial invoice ends after a minute, carries no order, and so opens nothing. One is made only for a price that nobody asked
//! for lately.

use rust_decimal::Decimal;

use super::report::{Level, Report};
use super::trouble::{GROUP, trouble};
use crate::btcpay::client::InvoiceQuery;
use crate::btcpay::invoice::{Invoice, Metadata, NewInvoice};
use crate::btcpay::{Client, Error};
use crate::config::{Btcpay, Config};
use crate::live::Live;
use crate::live::clock::now;
use crate::shop::money::{LEAST_ONCHAIN_SATS, Price};
use crate::shop::offers::Offer;
use crate::shop::order::{METADATA_KEY, Order};

/// An invoice younger than this says how it is now.
const LATELY: u64 = 10 * 60;
/// Invoices that are looked through for one.
const RECENT: usize = 50;
/// Most prices that are tried.
const MOST: usize = 8;
/// `orderId` of a trial.
const TRIAL: &str = "hlsgate check";

/// Tries every price, by an invoice of ours that was made lately or by a trial.
pub(crate) async fn look(client: &Client, section: &Btcpay, config: &Config, live: Option<&Live>, report: &mut Report) {
    let recent = InvoiceQuery { take: RECENT, include_archived: true, ..InvoiceQuery::default() };
    let recent = match client.invoices(recent).await {
        Ok(page) => page.invoices,
        Err(err) => return trouble(report, "sale", &err, "the store's latest invoices"),
    };
    // Strangers' invoices say nothing of ours: they may be for one method alone.
    let is_ours = |invoice: &&Invoice| {
        let order = invoice.metadata.text(METADATA_KEY);
        let signed = live.zip(order).is_some_and(|(live, order)| Order::verify(order, &live.policy.keyring).is_ok());
        signed || invoice.metadata.text("orderId") == Some(TRIAL)
    };
    let ours: Vec<&Invoice> =
        recent.iter().filter(is_ours).filter(|invoice| invoice.created_time.until(now()) < LATELY).collect();
    let offers = distinct(config);
    let (mut well, mut dust) = (Vec::new(), Vec::new());
    for offer in offers.iter().take(MOST) {
        let price = offer.price.as_invoiced();
        let name = format!("{} ({} {})", offer.tier, offer.price.value(), offer.price.currency());
        let same =
            |invoice: &&&Invoice| invoice.currency == price.currency().as_str() && invoice.amount == price.value();
        let made = match ours.iter().find(same) {
            Some(invoice) => (**invoice).clone(),
            None => match client.create_invoice(&trial(section, &price)).await {
                Ok(made) => made,
                Err(err) => {
                    refused(&name, &err, report);
                    continue;
                }
            },
        };
        if made.amount != price.value() || made.currency != price.currency().as_str() {
            let seen = format!("{name}: BTCPay makes {} {} of it", made.amount, made.currency);
            let expected =
                format!("{} {}: no viewer gets an invoice over another price", price.value(), price.currency());
            let todo = format!("write the price as {}, which this BTCPay keeps", made.amount);
            report.note(GROUP, Level::Wrong, "sale", seen, expected, todo);
            continue;
        }
        let is_dust = price.currency().as_str() == "BTC" && price.value() < Decimal::new(LEAST_ONCHAIN_SATS, 8);
        let offered = |method: &&String| made.checkout.payment_methods.contains(method);
        let (there, missing): (Vec<&String>, Vec<&String>) = section.payment_methods.iter().partition(offered);
        let (below, missing): (Vec<&String>, Vec<&String>) =
            missing.into_iter().partition(|method| is_dust && method.ends_with("-CHAIN"));
        if !below.is_empty() {
            dust.push(name.clone());
        }
        if missing.is_empty() {
            well.push(name);
            continue;
        }
        let level = if there.is_empty() { Level::Wrong } else { Level::Warning };
        let list = |methods: &[&String]| methods.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ");
        report.note(
            GROUP,
            level,
            "sale",
            format!("{name}: offered without {}", list(&missing)),
            format!("all of btcpay.payment_methods: {}", section.payment_methods.join(", ")),
            "see whether the node or the explorer is away, connect a wallet or a Lightning node in BTCPay, or take the method \
             out of btcpay.payment_methods",
        );
    }
    if !well.is_empty() {
        report.ok(GROUP, "sale", format!("{} by {}", well.join(", "), section.payment_methods.join(", ")));
    }
    if !dust.is_empty() {
        let seen =
            format!("without on-chain, as BTCPay leaves it out below {LEAST_ONCHAIN_SATS} sats: {}", dust.join(", "));
        report.ok(GROUP, "sale", seen);
    }
}

fn refused(name: &str, err: &Error, report: &mut Report) {
    match err {
        Error::Refused { .. } | Error::Invalid { .. } => report.note(
            GROUP,
            Level::Wrong,
            "sale",
            format!("{name}: {err}"),
            "an invoice: now nobody can buy at this price",
            "mend what BTCPay names: a rate, the Lightning node, the wallet",
        ),
        err => trouble(report, "sale", err, "an invoice"),
    }
}

/// One offer of each price.
fn distinct(config: &Config) -> Vec<&Offer> {
    let mut found: Vec<&Offer> = Vec::new();
    for offer in config.catalogue.every_offer() {
        if found.iter().all(|known| known.price != offer.price) {
            found.push(offer);
        }
    }
    found
}

fn trial(section: &Btcpay, price: &Price) -> NewInvoice {
    let metadata = [("orderId", TRIAL), ("itemDesc", "a trial of hlsgate check: nobody pays it")];
    let metadata = Metadata::of(metadata.map(|(name, text)| (name, text.to_owned())));
    let (currency, methods) = (price.currency(), &section.payment_methods);
    NewInvoice::exact((price.value(), currency.as_str()), metadata, &section.speed_policy, methods, (1, 1))
}
