//! An invoice, made at BTCPay at the price of the configuration, and looked at before anybody is asked to pay it.

use std::time::{Duration, Instant};

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use rust_decimal::Decimal;
use serde::Serialize;
use tracing::{error, info, warn};

use super::bill::Bill;
use super::problem::Problem;
use super::queue::Outcome;
use super::status::Word;
use super::{Shop, body, offers, title, token_cookies};
use crate::btcpay::client::InvoiceQuery;
use crate::btcpay::invoice::{InvoiceType, Metadata, NewInvoice, PaymentMethod};
use crate::btcpay::{Error, invoice as wire};
use crate::gate::scope::VideoId;
use crate::gate::time::UnixTime;
use crate::live::Live;
use crate::live::clock::now;
use crate::live::selling::Selling;
use crate::random;
use crate::shop::claim::Claim;
use crate::shop::lane::Lane;
use crate::shop::money::LEAST_ONCHAIN_SATS;
use crate::shop::offers::OfferFor;
use crate::shop::order::{METADATA_KEY, NONCE_LEN, Order};
use crate::shop::words;

/// Seconds by which the clocks may differ.
const CLOCKS_APART: u64 = 10;
/// BTCPay puts the invoice's id and status in their places.
const INVOICE_ID: &str = "{InvoiceId}";
const STATUS: &str = "{Status}";
/// When an invoice whose creation was not answered is looked for, each after the wait before.
const LOOKED_FOR: [Duration; 5] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(8), Duration::from_secs(15)];

#[derive(Serialize)]
struct CreatedInvoice<'a> {
    invoice: &'a str,
    claim: &'a str,
    status: &'a str,
    amount: String,
    currency: String,
    tier: &'a str,
    covers: String,
    facts: String,
    #[serde(flatten)]
    bill: Bill<'a>,
}

/// Makes the invoice.
pub(super) async fn make(
    shop: &Shop,
    live: &Live,
    video: VideoId,
    (tier, covers): (&str, Option<&str>),
    headers: &HeaderMap,
) -> Outcome {
    let selling = live.selling.as_deref().ok_or_else(|| Problem::not_found("nothing is sold here"))?;
    let found = offers::named(live, &video, tier, covers).await?;
    let refused = |problem: Problem| {
        shop.metrics.not_created(Lane::Page, problem.reason());
        problem
    };

    let signing = live.policy.keyring.signing();
    let nonce = random::text::<NONCE_LEN>().map_err(|err| refused(err.into()))?;
    let order_text = Order::new(video, &found, &nonce).sign(signing);
    let title = title::of(live, &video, &found.covers).await;
    let wanted = new_invoice(live, selling, &video, &found, &title, &order_text);
    let (asked_at, before) = (Instant::now(), now());
    let made = match selling.client.create_invoice(&wanted).await {
        Err(err) if err.may_have_happened() => found_again(shop, selling, &wanted, &err).await.ok_or(err),
        other => other,
    };
    let made = made.map_err(|err| refused(shop.failed("make an invoice", &err)))?;
    compare_clocks(shop, &made.id, before, made.created_time, now());
    check_answer(&made, &wanted, selling).map_err(|wrong| {
        error!(
            invoice = made.id,
            "BTCPay made another invoice than it was asked for: {wrong}; the viewer does not get it"
        );
        refused(Problem::btcpay_unavailable())
    })?;
    let methods = payment_methods(shop, selling, &made).await;
    let facts = wire::Invoice { payment_methods: methods, ..made.clone() }.facts();

    let claim = Claim::new(signing, &made.id, &order_text);
    let (price, bill) = (&found.offer.price, Bill::of(&facts, Word::New, selling));
    let answer = CreatedInvoice {
        invoice: &made.id,
        claim: claim.expose(),
        status: "new",
        amount: price.value().to_string(),
        currency: price.currency().to_string(),
        tier: found.offer.tier.as_str(),
        covers: found.covers.to_string(),
        facts: bill.digest(),
        bill,
    };
    let mut response = body::answer(StatusCode::CREATED, &answer);
    if let Ok(location) = HeaderValue::try_from(format!("/hlsgate/invoices/{}", made.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    token_cookies::set_pending(&mut response, headers, &made.id, claim.expose(), live);
    info!(invoice = made.id, %video, tier = %found.offer.tier, "made an invoice");
    shop.metrics.created(Lane::Page);
    shop.ledger.made(facts, asked_at);
    Ok(response)
}

/// The invoice whose creation was not answered, if BTCPay made it: nobody is to pay for one that no page knows, nor to get two.
async fn found_again(shop: &Shop, selling: &Selling, wanted: &NewInvoice, err: &Error) -> Option<wire::Invoice> {
    let order = |name| wanted.metadata.text(name);
    let today = now();
    // Without an answer, or with one of a proxy that waited in vain, BTCPay may still be at it.
    let may_come = match err {
        Error::TimedOut { .. } | Error::Interrupted { .. } => true,
        Error::Unavailable { status, .. } => *status == 504,
        _ => false,
    };
    for wait in LOOKED_FOR.into_iter().take(if may_come { LOOKED_FOR.len() } else { 1 }) {
        tokio::time::sleep(wait).await;
        let query = InvoiceQuery {
            // Clocks may differ, and a slow BTCPay takes its time.
            start_date: Some(UnixTime(today.0.saturating_sub(600))),
            order_ids: order("orderId").map(str::to_owned).into_iter().collect(),
            include_archived: true,
            take: 100,
            ..InvoiceQuery::default()
        };
        match selling.client.invoices(query).await {
            Ok(page) => {
                let ours = |made: &wire::Invoice| made.metadata.text(METADATA_KEY) == order(METADATA_KEY);
                if let Some(made) = page.invoices.into_iter().find(ours) {
                    warn!(invoice = made.id, "the answer to an invoice's creation was lost; it was found by its order");
                    return Some(made);
                }
            }
            // BTCPay is away as a whole: the viewer is told so now.
            Err(err) => {
                shop.failed("look for an invoice whose creation was not answered", &err);
                return None;
            }
        }
    }
    None
}

/// BTCPay dates an invoice between the question and its answer, or one of the clocks is wrong: then passes end early, or late.
fn compare_clocks(shop: &Shop, invoice: &str, before: UnixTime, created: UnixTime, after: UnixTime) {
    let (ahead, behind) = (created.until(before), after.until(created));
    let (seconds, how) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if seconds > CLOCKS_APART && shop.clock_complaints.may_speak(Instant::now()) {
        warn!(
            invoice,
            "this machine's clock is {seconds} s {how} BTCPay's: passes last shorter or longer than sold by as much; turn on NTP \
             on both (told at most once a minute)"
        );
    }
}

/// The invoice to ask for. All that decides money is said, or the store's settings would decide.
pub(super) fn new_invoice(
    live: &Live,
    selling: &Selling,
    video: &VideoId,
    found: &OfferFor<'_>,
    title: &str,
    order: &str,
) -> NewInvoice {
    let (price, config, tier) = (found.offer.price.as_invoiced(), &selling.config, found.offer.tier);
    let metadata = Metadata::of([
        ("orderId", format!("{video} {tier}")),
        // Wallets and BTCPay's own page show it.
        ("itemDesc", words::description(title, found)),
        (METADATA_KEY, order.to_owned()),
    ]);
    let (currency, methods) = (price.currency(), &config.payment_methods);
    let minutes = (minutes(config.invoice_expiration), minutes(config.monitoring));
    let price = (price.value(), currency.as_str());
    let mut invoice = NewInvoice::exact(price, metadata, &config.speed_policy, methods, minutes);
    invoice.checkout.default_payment_method = methods.first().cloned();
    invoice.checkout.redirect_url = redirect_url(live, video);
    invoice.checkout.redirect_automatically = true;
    invoice
}

fn minutes(length: std::time::Duration) -> u32 {
    u32::try_from(length.as_secs() / 60).unwrap_or(u32::MAX)
}

/// Where the checkout sends the viewer back to, with the invoice's number and how far it is: another browser, a phone's perhaps,
/// may come there, which can ask the shop nothing about it.
fn redirect_url(live: &Live, video: &VideoId) -> Option<String> {
    let base = live.config.public_url.as_ref()?;
    let page = live.config.shop.page.replace("{video}", video.as_str());
    let (page, fragment) = page.find('#').map_or((page.as_str(), ""), |at| page.split_at(at));
    let and = if page.contains('?') { '&' } else { '?' };
    Some(format!("{base}{page}{and}invoice={INVOICE_ID}&status={STATUS}{fragment}"))
}

/// The answer has to be the order: else the viewer would pay for something that never opens.
pub(super) fn check_answer(made: &wire::Invoice, wanted: &NewInvoice, selling: &Selling) -> Result<(), String> {
    if made.store_id != selling.config.terms.store {
        return Err(format!("it is in store {:?}", made.store_id));
    }
    if made.kind != InvoiceType::Standard {
        return Err(format!("its type is {:?}", made.kind));
    }
    if made.amount != wanted.amount || made.currency != wanted.currency {
        let (made, wanted) = ((made.amount, &made.currency), (wanted.amount, &wanted.currency));
        let remedy = format!("this BTCPay keeps other decimals of {}: write the offer's price as {}", wanted.1, made.0);
        return Err(format!("it is over {} {}, not {} {}; {remedy}", made.0, made.1, wanted.0, wanted.1));
    }
    if made.metadata.text(METADATA_KEY) != wanted.metadata.text(METADATA_KEY) {
        return Err("its metadata does not hold our order".into());
    }
    Ok(())
}

/// What the QR is made of. Without it the checkout's page is left, so a failure here loses no sale.
pub(super) async fn payment_methods(shop: &Shop, selling: &Selling, made: &wire::Invoice) -> Vec<PaymentMethod> {
    let methods = match made.payment_methods.is_empty() {
        true => asked_payment_methods(shop, selling, &made.id).await,
        false => made.payment_methods.clone(),
    };
    let usable = |wanted: &&String| {
        let named = made.checkout.payment_methods.is_empty() || made.checkout.payment_methods.contains(wanted);
        named && methods.iter().any(|method| method.payment_method_id == **wanted && method.activated)
    };
    let missing: Vec<&String> = selling.config.payment_methods.iter().filter(|wanted| !usable(wanted)).collect();
    // Below BTCPay's least sum on-chain is left out as a rule: `hlsgate check` says so once, and no log at each sale.
    let is_expected = missing.iter().all(|method| method.ends_with("-CHAIN")) && is_dust(made, &methods);
    if !missing.is_empty() && !is_expected {
        warn!(invoice = made.id, ?missing, "BTCPay offers this invoice without some of the configured payment methods");
    }
    methods
}

/// Whether the price is below what can be sent on-chain, as far as a method tells it in bitcoin.
fn is_dust(made: &wire::Invoice, methods: &[PaymentMethod]) -> bool {
    let in_bitcoin = methods.iter().filter(|it| it.payment_method_id.starts_with("BTC-")).find_map(|it| it.due);
    let price = if made.currency == "BTC" { Some(made.amount) } else { in_bitcoin };
    price.is_some_and(|price| price < Decimal::new(LEAST_ONCHAIN_SATS, 8))
}

async fn asked_payment_methods(shop: &Shop, selling: &Selling, invoice: &str) -> Vec<PaymentMethod> {
    let ask = async || selling.client.payment_methods(invoice).await;
    let first = ask().await;
    let methods = match first {
        Err(err) if err.is_passing() => {
            shop.failed("read an invoice's payment methods", &err);
            ask().await
        }
        other => other,
    };
    methods.unwrap_or_else(|err: Error| {
        shop.failed("read an invoice's payment methods", &err);
        Vec::new()
    })
}
