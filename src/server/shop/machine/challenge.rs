//! The 402: two challenges over one invoice, and in the body what a person, or a wallet without preimages, needs.

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use tracing::error;

use super::discovery;
use super::open::Invoice;
use crate::gate::decision::Refusal;
use crate::gate::scope::{Scope, VideoId};
use crate::gate::time::UnixTime;
use crate::gate::token::Jti;
use crate::live::Live;
use crate::live::clock::date;
use crate::live::selling::Selling;
use crate::random;
use crate::server::shop::problem::{self, Members, Problem};
use crate::shop::claim::Claim;
use crate::shop::machine::discovery::address;
use crate::shop::machine::{Bought, l402, payment};
use crate::shop::offers::OfferFor;

/// Seconds by which a challenge ends before its invoice: a payment needs a while.
const MARGIN: u64 = 60;
/// draft-httpauth-payment-00, "Error codes".
const KIND: &str = "https://paymentauth.org/problems/payment-required";
const DETAIL: &str =
    "pay the Lightning invoice of a WWW-Authenticate line and send the request again with its credential";

/// What an offer costs, and how it is bought.
#[derive(Serialize)]
struct OfferAnswer<'a> {
    tier: &'a str,
    covers: String,
    price: String,
    currency: String,
    duration: Option<u64>,
    url: String,
}

/// No member is called `invoice`, `macaroon`, `paymentRequest`, `payment_request`, `challenge`, `accepts` or `resource`: there are
/// clients that pay, or refuse, by those names alone.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    problem: Members<'a>,
    video: &'a str,
    tier: &'a str,
    covers: String,
    price: String,
    currency: String,
    /// Budgets of clients are compared with these.
    #[serde(rename = "priceSats")]
    price_sats: u64,
    #[serde(rename = "amountSats")]
    amount_sats: u64,
    duration: Option<u64>,
    offers: Vec<OfferAnswer<'a>>,
    /// The page where a person buys.
    page: String,
    /// BTCPay's id of the invoice, and the claim on it: for wallets that show no preimage.
    order: &'a str,
    claim: &'a str,
    status_url: String,
    checkout_url: String,
}

/// The answer to a machine that has not paid.
pub(crate) fn response(
    live: &Live,
    selling: &Selling,
    video: &VideoId,
    found: &OfferFor<'_>,
    invoice: &Invoice,
    refusal: Refusal,
    now: UnixTime,
) -> Result<Response<Full<Bytes>>, Problem> {
    let bought = bought(found, invoice)?;
    let (keyring, read) = (&live.policy.keyring, &invoice.read);
    let realm = discovery::host(live);
    let expires = UnixTime(read.expires.0.saturating_sub(MARGIN)).max(now);
    let lines = [
        l402::challenge(keyring, &bought, &read.payment_hash, &random::bytes()?, &invoice.bolt11),
        payment::challenge(keyring, &bought, realm, read, &invoice.bolt11, &date(expires.0)),
    ];
    let claim = Claim::new(keyring.signing(), &invoice.id, &invoice.order);
    let base = discovery::base(live);
    let on_sale = live.config.catalogue.offers_for(video);
    let offers = on_sale.iter().map(|found| OfferAnswer {
        tier: found.offer.tier.as_str(),
        covers: found.covers.to_string(),
        price: found.offer.price.value().to_string(),
        currency: found.offer.price.currency().to_string(),
        duration: found.offer.duration,
        url: resource(base, video, found),
    });
    let (status, reason) = (StatusCode::PAYMENT_REQUIRED, refusal.reason());
    let body = Body {
        problem: Members::new(KIND, status, DETAIL, reason),
        video: video.as_str(),
        tier: found.offer.tier.as_str(),
        covers: found.covers.to_string(),
        price: found.offer.price.value().to_string(),
        currency: found.offer.price.currency().to_string(),
        price_sats: read.satoshi(),
        amount_sats: read.satoshi(),
        duration: found.offer.duration,
        offers: offers.collect(),
        page: format!("{base}{}", live.config.shop.page.replace("{video}", video.as_str())),
        order: &invoice.id,
        claim: claim.expose(),
        status_url: format!("{base}/hlsgate/invoices/{}", invoice.id),
        checkout_url: selling.client.checkout_url(&invoice.id),
    };
    let mut response = problem::answer(status, reason, &body);
    let headers = response.headers_mut();
    for line in lines {
        let mut line = HeaderValue::try_from(line).map_err(|_| {
            error!(invoice = invoice.id, "the challenge cannot stand in a header; is public_url's host in ASCII?");
            Problem::btcpay_unavailable()
        })?;
        line.set_sensitive(true);
        headers.append(WWW_AUTHENTICATE, line);
    }
    discovery::advertise(live, headers);
    Ok(response)
}

/// The address at which one offer is sold to machines.
fn resource(base: &str, video: &VideoId, found: &OfferFor<'_>) -> String {
    let pass = match &found.covers {
        Scope::Pass(name) => Some(name),
        Scope::Video(_) | Scope::All => None,
    };
    address(base, video.as_str(), &found.offer.tier, pass)
}

/// What a challenge over this invoice sells. It ends by the BOLT11, so that the last moment to pay still buys all of it.
fn bought(found: &OfferFor<'_>, invoice: &Invoice) -> Result<Bought, Problem> {
    let read = &invoice.read;
    Ok(Bought {
        sub: found.covers,
        tier: found.offer.tier,
        iat: read.made,
        exp: found.offer.duration.map(|duration| read.expires.plus(duration)),
        invoice: Jti::from(&invoice.id).map_err(|_| Problem::btcpay_unavailable())?,
    })
}
