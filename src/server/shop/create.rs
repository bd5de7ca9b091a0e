//! `POST /hlsgate/videos/{video}/invoices`: an invoice at the price of the configuration, and the claim on it.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::{error, info, warn};

use super::bill::Bill;
use super::problem::Problem;
use super::status::Word;
use super::{Shop, body, offers, title, token_cookies};
use crate::btcpay::invoice::{InvoiceType, Metadata, NewCheckout, NewInvoice, NewReceipt, PaymentMethod};
use crate::btcpay::{Error, invoice as wire};
use crate::gate::scope::{Scope, Tier, VideoId};
use crate::gate::time::UnixTime;
use crate::live::Live;
use crate::live::clock::now;
use crate::live::selling::Selling;
use crate::shop::claim::Claim;
use crate::shop::offers::OfferFor;
use crate::shop::order::{METADATA_KEY, Order};
use crate::shop::words;

/// Seconds by which the clocks may differ.
const CLOCKS_APART: u64 = 10;
/// Bytes of an order's nonce.
const NONCE_LEN: usize = 16;
/// BTCPay puts the invoice's id in its place.
const INVOICE_ID: &str = "{InvoiceId}";
const EXPECTED: &str = "{\"tier\": \"24h\"}, with \"covers\" for a pass";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    tier: String,
    #[serde(default, deserialize_with = "present")]
    covers: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
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
pub(super) async fn answer(
    shop: &Shop,
    live: &Live,
    selling: &Selling,
    video: VideoId,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response<Full<Bytes>>, Problem> {
    let asked: Asked = body::json(headers, body, EXPECTED).await?;
    let found = offer(live, &video, &asked.tier, asked.covers.as_deref()).await?;
    let refused = |problem: Problem| {
        shop.metrics.not_created(problem.reason());
        problem
    };
    let _place = shop.limits.enter(&live.config.shop, Instant::now()).map_err(refused)?;

    let signing = live.policy.keyring.signing();
    let order_text = Order::new(video, &found, &nonce().map_err(refused)?).sign(signing);
    let title = title::of(live, &video, &found.covers).await;
    let wanted = new_invoice(live, selling, &video, &found, &title, &order_text);
    let (asked_at, before) = (Instant::now(), now());
    let made = selling.client.create_invoice(&wanted).await;
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
    let answer = Answer {
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
    shop.metrics.created();
    shop.ledger.made(facts, asked_at);
    Ok(response)
}

/// The offer of this name.
pub(super) async fn offer<'a>(
    live: &'a Live,
    video: &VideoId,
    tier: &str,
    covers: Option<&str>,
) -> Result<OfferFor<'a>, Problem> {
    let tier: Tier = tier.parse().map_err(|_| Problem::bad_field("tier is of no form that an offer has"))?;
    let covers: Option<Scope> = match covers {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::bad_field("covers is neither a video nor a pass"))?),
    };
    let on_sale = offers::on_sale(live, video).await;
    let fits = |found: &OfferFor<'_>| found.offer.tier == tier && covers.is_none_or(|covers| covers == found.covers);
    let known: Vec<String> = on_sale.iter().map(|found| format!("{} ({})", found.offer.tier, found.covers)).collect();
    on_sale.into_iter().find(fits).ok_or_else(|| {
        Problem::bad_field(match known.is_empty() {
            true => format!("{video} is not on sale"),
            false => format!("{video} is not sold so; its offers are {}", known.join(", ")),
        })
    })
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

/// Random text in base64url for an order.
pub(super) fn nonce() -> Result<String, Problem> {
    random::<NONCE_LEN>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// Random bytes.
pub(super) fn random<const LEN: usize>() -> Result<[u8; LEN], Problem> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).map_err(|err| {
        error!(%err, "the system gives no random bytes, so no invoice can be made");
        Problem::overloaded("no invoice can be made now", 5)
    })?;
    Ok(bytes)
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
    let metadata = [
        ("orderId", format!("{video} {tier}")),
        // Wallets and BTCPay's own page show it.
        ("itemDesc", words::description(title, found)),
        (METADATA_KEY, order.to_owned()),
    ];
    let metadata: Map<String, Value> =
        metadata.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    NewInvoice {
        amount: price.value(),
        currency: price.currency().to_string(),
        metadata: Metadata(metadata),
        checkout: NewCheckout {
            speed_policy: config.speed_policy.clone(),
            payment_methods: config.payment_methods.clone(),
            default_payment_method: config.payment_methods.first().cloned(),
            lazy_payment_methods: false,
            expiration_minutes: minutes(config.invoice_expiration),
            monitoring_minutes: minutes(config.monitoring),
            payment_tolerance: 0,
            redirect_url: redirect_url(live, video),
            redirect_automatically: true,
        },
        receipt: NewReceipt { enabled: false },
    }
}

fn minutes(length: std::time::Duration) -> u32 {
    u32::try_from(length.as_secs() / 60).unwrap_or(u32::MAX)
}

/// Where the checkout sends the viewer back to, with the invoice's number: another browser, a phone's perhaps, may come there.
fn redirect_url(live: &Live, video: &VideoId) -> Option<String> {
    let base = live.config.public_url.as_ref()?.as_str().trim_end_matches('/');
    let page = live.config.shop.page.replace("{video}", video.as_str());
    let (page, fragment) = page.find('#').map_or((page.as_str(), ""), |at| page.split_at(at));
    let and = if page.contains('?') { '&' } else { '?' };
    Some(format!("{base}{page}{and}invoice={INVOICE_ID}{fragment}"))
}

/// The answer has to be the order: else the viewer would pay for something that never opens.
pub(super) fn check_answer(made: &wire::Invoice, wanted: &NewInvoice, selling: &Selling) -> Result<(), String> {
    if made.store_id != selling.terms.store {
        return Err(format!("it is in store {:?}", made.store_id));
    }
    if made.kind != InvoiceType::Standard {
        return Err(format!("its type is {:?}", made.kind));
    }
    if made.amount != wanted.amount || made.currency != wanted.currency {
        let (made, wanted) = ((made.amount, &made.currency), (wanted.amount, &wanted.currency));
        return Err(format!("it is over {} {}, not {} {}", made.0, made.1, wanted.0, wanted.1));
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
    if !missing.is_empty() {
        warn!(invoice = made.id, ?missing, "BTCPay offers this invoice without some of the configured payment methods");
    }
    methods
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

/// A field that is there has to hold a text: `null` is none.
fn present<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<String>, D::Error> {
    String::deserialize(reader).map(Some)
}
