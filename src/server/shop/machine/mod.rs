//! `GET /hlsgate/videos/{video}/access?tier=…[&covers=…]`: what a machine pays for, and gets, at one address.
//!
//! Without a credential: 402 with two challenges over one Lightning invoice. With a paid one: 200 with the token, on the same
//! URL. The paid way is arithmetic: it asks neither BTCPay nor the ledger, since clients pay again when it fails. Sources and
//! what clients do: docs/machines.md.

mod challenge;
pub(super) mod discovery;
mod open;

use std::time::Instant;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use tracing::{error, info};

use super::problem::Problem;
use super::{Shop, body, make, offers, title, token_cookies};
use crate::gate::decision::{AuthRequest, CarriedTokens, Carrier, Kind, Refusal, decide};
use crate::gate::keyring::Keyring;
use crate::gate::scope::{Scope, Tier, VideoId};
use crate::gate::time::UnixTime;
use crate::gate::token::UntrustedToken;
use crate::live::Live;
use crate::live::clock::date;
use crate::live::selling::Selling;
use crate::random;
use crate::server::carriers;
use crate::shop::lane::{LANE_KEY, Lane};
use crate::shop::machine::{CredentialError, MAX_CREDENTIALS, Paid, credentials};
use crate::shop::offers::OfferFor;
use crate::shop::order::{NONCE_LEN, Order};
pub(crate) use open::OpenInvoices;

/// Where a client answers a challenge that says so, so that `Authorization` stays free.
const PAYMENT_AUTHORIZATION: HeaderName = HeaderName::from_static("payment-authorization");
/// The receipt of the "Payment" scheme.
pub(crate) const PAYMENT_RECEIPT: HeaderName = HeaderName::from_static("payment-receipt");
/// The client's address, from nginx: unpaid challenges are counted by it.
const ADDRESS: &str = "x-hlsgate-address";

#[derive(Serialize)]
struct PaidAccess<'a> {
    video: &'a str,
    tier: &'a str,
    covers: String,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
    playlist: String,
}

/// Sells access, or hands out what was paid.
pub(crate) async fn answer(
    shop: &Shop,
    live: &Live,
    selling: &Selling,
    video: VideoId,
    headers: &HeaderMap,
    query: &str,
    now: UnixTime,
) -> Result<Response<Full<Bytes>>, Problem> {
    let method = pay_by(live)?;
    let found = chosen(live, &video, query).await?;
    let refusal = match redeemed(shop, live, &video, &found, headers, now) {
        Ok(response) => return Ok(response),
        Err(refusal) => refusal,
    };
    // A client that has paid pays again when the answer is another 402, so only an honest end or another film is one.
    if !refusal.paying_helps() && refusal != Refusal::Missing {
        return Err(Problem::token(refusal));
    }
    let address = headers.get(ADDRESS).map(HeaderValue::as_bytes).unwrap_or_default();
    let wanted =
        open::Wanted { address: open::network(address), video, covers: found.covers, offer: found.offer.clone() };
    let mut place = shop.open_invoices.of(&wanted).await?;
    let invoice = match place.reusable(&wanted, now, |id| shop.ledger.glance(id)) {
        Some(invoice) => invoice,
        None => {
            place.pace(Instant::now(), |id| shop.ledger.glance(id))?;
            let made = make(shop, live, selling, method, &video, &found, &mut place).await;
            let made = made.inspect_err(|problem| shop.metrics.not_created(Lane::Machine, problem.reason()))?;
            shop.open_invoices.offered(&made.id, &wanted);
            place.keep(&wanted, made)
        }
    };
    shop.metrics.challenged();
    challenge::response(live, selling, &video, &found, invoice, refusal, now)
}

/// The payment method that machines pay by.
///
/// Errors: `not-found` where nothing is sold to them.
fn pay_by(live: &Live) -> Result<&str, Problem> {
    live.config.machines_pay_by().ok_or_else(|| Problem::not_found("nothing is sold to machines here"))
}

/// The offer that the query names; without `tier` the first one.
async fn chosen<'a>(live: &'a Live, video: &VideoId, query: &str) -> Result<OfferFor<'a>, Problem> {
    let field = |name: &str| {
        let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
        values.next().map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    };
    match field("tier") {
        Some(tier) => offers::named(live, video, &tier, field("covers").as_deref()).await,
        None => {
            let on_sale = offers::on_sale(live, video).await;
            on_sale.into_iter().next().ok_or_else(|| Problem::not_found("this video is not on sale"))
        }
    }
}

/// The token of a credential that was paid for this offer, or of a token of it that came along.
fn redeemed(
    shop: &Shop,
    live: &Live,
    video: &VideoId,
    found: &OfferFor<'_>,
    headers: &HeaderMap,
    now: UnixTime,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let keyring = &live.policy.keyring;
    let mut of_credentials: Option<Refusal> = None;
    for paid in presented(headers, keyring) {
        let tried = paid.map_err(Refusal::from).and_then(|paid| {
            let token = paid.bought.token(keyring.signing());
            opens(token.expose(), video, live, now)?;
            let same = (paid.bought.sub, paid.bought.tier) == (found.covers, found.offer.tier);
            if same { Ok((paid, token)) } else { Err(Refusal::OtherVideo) }
        });
        match tried {
            Ok((paid, token)) => {
                shop.open_invoices.paid(&paid.bought.invoice);
                shop.metrics.redeemed();
                info!(invoice = %paid.bought.invoice, %video, "handed out a token for a preimage");
                return Ok(granted(live, video, &paid, token.expose(), now));
            }
            Err(reason) => of_credentials = Some(of_credentials.map_or(reason, |before| before.min(reason))),
        }
    }
    // A client that kept the cookie or the token buys nothing twice. One that is of no use any more keeps nobody from buying.
    let mut carried = CarriedTokens::default();
    carriers::bearer_and_cookies(headers, &mut carried);
    let mut of_tokens = Refusal::Missing;
    for token in carried.iter() {
        let claims = UntrustedToken::parse(&token.text).and_then(|token| token.verify(keyring));
        let (Ok(claims), Ok(text)) = (claims, std::str::from_utf8(&token.text)) else { continue };
        match opens(text, video, live, now) {
            Ok(()) if (*claims.sub(), *claims.tier()) == (found.covers, found.offer.tier) => {
                return Ok(answered(live, video, text, (*claims.sub(), *claims.tier(), claims.exp()), now));
            }
            Err(reason) if reason.paying_helps() => of_tokens = of_tokens.min(reason),
            Ok(()) | Err(_) => {}
        }
    }
    Err(of_credentials.unwrap_or(of_tokens))
}

/// Every credential of the request, at most [`MAX_CREDENTIALS`], each looked at by itself: a bad one hides no good one.
fn presented(headers: &HeaderMap, keyring: &Keyring) -> Vec<Result<Paid, CredentialError>> {
    let lines = headers.get_all(AUTHORIZATION).into_iter().chain(headers.get_all(PAYMENT_AUTHORIZATION));
    let mut found = Vec::new();
    for line in lines.take(MAX_CREDENTIALS) {
        found.extend(credentials(line.as_bytes(), keyring));
    }
    found.truncate(MAX_CREDENTIALS);
    found
}

/// What the gate says to this token, for a playlist.
fn opens(token: &str, video: &VideoId, live: &Live, now: UnixTime) -> Result<(), Refusal> {
    let mut tokens = CarriedTokens::default();
    tokens.push(Carrier::Bearer, token.as_bytes());
    decide(&AuthRequest { video: *video, kind: Kind::Playlist, tokens }, &live.policy, now).map(|_| ())
}

fn granted(live: &Live, video: &VideoId, paid: &Paid, token: &str, now: UnixTime) -> Response<Full<Bytes>> {
    let bought = &paid.bought;
    let mut response = answered(live, video, token, (bought.sub, bought.tier, bought.exp), now);
    if let Ok(receipt) = HeaderValue::try_from(paid.receipt(&date(now.0))) {
        response.headers_mut().insert(PAYMENT_RECEIPT, receipt);
    }
    response
}

/// The token, with what it opens: its scope, tier and end.
fn answered(
    live: &Live,
    video: &VideoId,
    token: &str,
    (sub, tier, exp): (Scope, Tier, Option<UnixTime>),
    now: UnixTime,
) -> Response<Full<Bytes>> {
    let answer = PaidAccess {
        video: video.as_str(),
        tier: tier.as_str(),
        covers: sub.to_string(),
        token,
        expires_at: exp,
        playlist: playlist(live, video, token),
    };
    let mut response = body::answer(StatusCode::OK, &answer);
    token_cookies::set_token(&mut response, token, &sub, exp, live, now);
    response
}

/// The address that every player can play: the path carries the token to each file.
fn playlist(live: &Live, video: &VideoId, token: &str) -> String {
    let base = discovery::base(live);
    let (media, name) = (&live.config.media, &live.config.machines.playlists[0]);
    format!("{base}{}~{token}/{video}{}{name}", media.prefix(), media.suffix())
}

/// Makes the one invoice of a challenge: Lightning alone, since only a BOLT11 has a preimage that proves the payment.
/// `BTC-LNURL` has one too, and shows it to strangers (LUD-21).
async fn make(
    shop: &Shop,
    live: &Live,
    selling: &Selling,
    method: &str,
    video: &VideoId,
    found: &OfferFor<'_>,
    place: &mut open::Place,
) -> Result<open::Invoice, Problem> {
    let _share = shop.machine_limits.enter(&live.config.machines, Instant::now())?;
    if !shop.sees_invoices().await {
        return Err(Problem::btcpay_unavailable());
    }
    let nonce = random::text::<NONCE_LEN>()?;
    let order = Order::new(*video, found, &nonce).sign(live.policy.keyring.signing());
    let title = title::of(live, video, &found.covers).await;
    let mut wanted = make::new_invoice(live, selling, video, found, &title, &order);
    wanted.checkout.payment_methods = vec![method.to_owned()];
    wanted.checkout.default_payment_method = Some(method.to_owned());
    wanted.metadata.0.insert(LANE_KEY.into(), Lane::Machine.as_str().into());
    let asked_at = Instant::now();
    let made = selling.client.create_invoice(&wanted).await.map_err(|err| shop.failed("make an invoice", &err))?;
    place.made(&made.id);
    make::check_answer(&made, &wanted, selling).map_err(|wrong| {
        error!(invoice = made.id, "BTCPay made another invoice than it was asked for: {wrong}; no machine gets it");
        Problem::btcpay_unavailable()
    })?;
    let methods = make::payment_methods(shop, selling, &made).await;
    let bolt11 = methods.iter().find(|found| found.payment_method_id == method && found.activated);
    let invoice = open::Invoice::new(&made, bolt11, &order).map_err(|wrong| {
        error!(invoice = made.id, "BTCPay's Lightning invoice is not offered to a machine: {wrong}");
        Problem::btcpay_unavailable()
    })?;
    info!(invoice = made.id, %video, tier = %found.offer.tier, "made an invoice for a machine");
    shop.metrics.created(Lane::Machine);
    shop.ledger.made(made.facts(), asked_at);
    Ok(invoice)
}

impl From<CredentialError> for Refusal {
    fn from(err: CredentialError) -> Refusal {
        match err {
            CredentialError::Malformed(_) => Refusal::Malformed,
            CredentialError::BadSignature | CredentialError::WrongPreimage => Refusal::BadSignature,
        }
    }
}
