//! `POST /hlsgate/videos/{video}/invoices`: an invoice at the price of the configuration, and the claim on it; and
//! `GET /hlsgate/order`, which tells how far one is that could not be made at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::make::make;
use super::problem::Problem;
use super::queue::Progress;
use super::{Shop, body, offers};
use crate::gate::scope::VideoId;
use crate::live::Live;
use crate::random;
use crate::server::carriers;
use crate::shop::lane::Lane;
use crate::shop::order::NONCE_LEN;

const EXPECTED: &str = "{\"tier\": \"24h\"}, with \"covers\" for a pass";

/// Shortest and longest name of an order: a secret of 16 bytes or more in base64url.
const ORDER_LEN: std::ops::RangeInclusive<usize> = 22..=64;
/// How long a request is held while others come first, and while BTCPay makes the invoice, before it is told so.
const TOLD_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// Least time between two answers about the place in the queue.
const PLACES_APART: Duration = Duration::from_secs(1);
/// Longest time that a question for an order is held.
const MAX_WAIT: u64 = 50;
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct InvoiceRequest {
    tier: String,
    #[serde(default, deserialize_with = "present")]
    covers: Option<String>,
    #[serde(default, deserialize_with = "present")]
    order: Option<String>,
}

/// Not made yet.
#[derive(Serialize)]
struct Queued<'a> {
    order: &'a str,
    before: u64,
}

/// Takes the order up, and answers with the invoice if it is made soon.
pub(super) async fn answer(
    shop: &Arc<Shop>,
    live: Arc<Live>,
    video: VideoId,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response<Full<Bytes>>, Problem> {
    let asked: InvoiceRequest = body::json(headers, body, EXPECTED).await?;
    let id = match &asked.order {
        Some(order) if !is_order(order) => {
            return Err(Problem::bad_field("order is not 22 to 64 of A-Z a-z 0-9 _ -, at random"));
        }
        Some(order) => order.clone(),
        None => random::text::<NONCE_LEN>()?.to_string(),
    };
    offers::named(&live, &video, &asked.tier, asked.covers.as_deref()).await?;
    let wanted = format!("{video} {} {}", asked.tier, asked.covers.as_deref().unwrap_or_default());
    let at_once = live.config.shop.invoices_at_once as usize;
    let begin = || {
        shop.limits.count(&live.config.shop, Instant::now())?;
        let (shop, live, headers) = (shop.clone(), live.clone(), headers.clone());
        let order = async move { make(&shop, &live, video, (&asked.tier, asked.covers.as_deref()), &headers).await };
        Ok(Box::pin(order) as _)
    };
    let refused = |problem: Problem| {
        shop.metrics.not_created(Lane::Page, problem.reason());
        problem
    };
    if !shop.sees_invoices().await {
        return Err(refused(Problem::btcpay_unavailable()));
    }
    let mut held = shop.queue.enter(&id, &wanted, at_once, begin).map_err(refused)?;
    let (began, (queued, slow)) = (Instant::now(), TOLD_AFTER);
    loop {
        let (before, until) = match held.progress() {
            Progress::Done(outcome) => return outcome,
            Progress::Unknown => return Err(unknown()),
            Progress::Before(before) => (before, began + queued),
            Progress::Making => (0, began + slow),
        };
        if Instant::now() >= until {
            return Ok(body::answer(StatusCode::ACCEPTED, &Queued { order: &id, before }));
        }
        tokio::select! {
            () = held.moved() => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }
}

/// How far an order is: held until it is made, or its place has changed.
pub(super) async fn order(
    shop: &Arc<Shop>,
    headers: &HeaderMap,
    query: &str,
) -> Result<Response<Full<Bytes>>, Problem> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| carriers::bearer(value.as_bytes()));
    let bearer = bearer.and_then(|order| std::str::from_utf8(order).ok());
    let mut held = bearer.and_then(|order| shop.queue.find(order)).ok_or_else(unknown)?;
    let (mut wait, mut seen) = (0, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let number = || value.parse::<u64>().map_err(|_| Problem::bad_field(format!("{name} is not a whole number")));
        match &*name {
            "wait" => wait = number()?.min(MAX_WAIT),
            "before" => seen = Some(number()?),
            _ => {}
        }
    }
    let began = Instant::now();
    let mut draining = shop.draining();
    loop {
        let before = match held.progress() {
            Progress::Done(outcome) => {
                let mut response = outcome?;
                *response.status_mut() = StatusCode::OK;
                return Ok(response);
            }
            Progress::Unknown => return Err(unknown()),
            Progress::Before(before) => before,
            Progress::Making => 0,
        };
        let until = began
            + if seen == Some(before) {
                Duration::from_secs(wait)
            } else {
                PLACES_APART.min(Duration::from_secs(wait))
            };
        if Instant::now() >= until || *draining.borrow() {
            return Ok(body::answer(StatusCode::ACCEPTED, &Queued { order: held.id(), before }));
        }
        tokio::select! {
            () = held.moved() => {}
            () = tokio::time::sleep_until(until.into()) => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
    }
}

fn unknown() -> Problem {
    Problem::not_found("no such order is known here any more; ask for the invoice again")
}

fn is_order(text: &str) -> bool {
    ORDER_LEN.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// A field that is there has to hold a text: `null` is none.
fn present<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<String>, D::Error> {
    String::deserialize(reader).map(Some)
}
