//! `POST /hlsgate/webhooks/btcpay`: BTCPay says that something happened. Answered at once, looked up afterwards.
//!
//! Since BTCPay 2.3.4 a 4xx loses a delivery for good; before, it is repeated for over an hour with every later one behind it, as
//! a slow or failing answer is on every version. So whatever need not come again is answered with 204, known or not, a
//! stranger's metadata beyond reason included. Only a wrong signature is refused: with 403, or, where BTCPay would repeat that,
//! with 202, by which `hlsgate check` knows it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tracing::{debug, warn};

use super::problem::Problem;
use super::{Shop, body};
use crate::btcpay::delivery::{Delivery, SIGNATURE_HEADER, verify};
use crate::btcpay::error::MAX_ID_LEN;
use crate::btcpay::setup::{REFUSALS_END, Version};
use crate::live::Live;
use crate::live::selling::Selling;
use crate::shop::order::{METADATA_KEY, Order};

/// Least time between two warnings of refused deliveries.
const COMPLAINTS_APART: Duration = Duration::from_secs(60);

/// When the log was last told of something that may come often.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Option<Instant>>);

/// Takes a delivery.
pub(super) async fn answer(
    shop: &Shop,
    live: &Live,
    selling: &Selling,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response<Full<Bytes>>, Problem> {
    let refused = |problem: Problem| {
        shop.metrics.delivery(problem.reason());
        problem
    };
    let bytes = match body::read(body).await {
        Ok(bytes) => bytes,
        // Ours are small: it is about an invoice of others.
        Err(problem) if problem.is_too_large() => {
            shop.metrics.delivery(problem.reason());
            return Ok(answered(StatusCode::NO_CONTENT));
        }
        // BTCPay repeats a delivery that did not arrive whole only if it is told that the fault may pass.
        Err(_) => return Err(refused(Problem::overloaded("the delivery did not arrive whole", 1))),
    };
    let mut signatures = headers.get_all(SIGNATURE_HEADER).iter();
    let signature = match (signatures.next(), signatures.next()) {
        (Some(only), None) => only.as_bytes(),
        _ => b"",
    };
    if let Err(err) = verify(signature, &bytes, &selling.secrets) {
        // Anybody can send a wrong one: the operator is told, and the disk does not fill.
        match shop.complaints.may_speak(Instant::now()) {
            true => warn!("a delivery was refused: {err} (told at most once a minute)"),
            false => debug!("a delivery was refused: {err}"),
        }
        let problem = refused(Problem::bad_signature());
        return if repeats_refusals(headers) { Ok(answered(StatusCode::ACCEPTED)) } else { Err(problem) };
    }
    shop.metrics.delivery(if hint(shop, live, &bytes) { "looked-up" } else { "ignored" });
    Ok(answered(StatusCode::NO_CONTENT))
}

fn answered(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// Whether the sender says that it is a BTCPay which repeats what is refused. Anybody may say so: it opens nothing.
fn repeats_refusals(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent
        .and_then(|agent| agent.strip_prefix("BTCPayServer/"))
        .is_some_and(|version| Version::of(version) < REFUSALS_END)
}

/// Whether the delivery is about an invoice of ours, as far as it can say, or about one that somebody waits for.
fn hint(shop: &Shop, live: &Live, bytes: &[u8]) -> bool {
    let Ok(delivery) = Delivery::parse(bytes) else { return false };
    let Some(invoice) = delivery.invoice_id.as_deref().filter(|id| id.len() <= MAX_ID_LEN) else { return false };
    let carries_order =
        delivery.metadata.text(METADATA_KEY).is_some_and(|order| Order::verify(order, &live.policy.keyring).is_ok());
    let concerns_us = carries_order || shop.ledger.is_waited_for(invoice);
    debug!(
        invoice,
        event = delivery.event.as_str(),
        redelivery = delivery.is_redelivery,
        concerns_us,
        "a delivery came"
    );
    if concerns_us {
        shop.ledger.hint(invoice);
    }
    concerns_us
}

impl Complaints {
    /// Whether it is time for another warning.
    pub(crate) fn may_speak(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= COMPLAINTS_APART);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_repeats_refusals_is_known_by_its_name() {
        let mut headers = HeaderMap::new();
        assert!(!repeats_refusals(&headers));
        for (agent, repeats) in [
            ("BTCPayServer/2.0.8+03345c2886a5", true),
            ("BTCPayServer/2.3.3", true),
            ("BTCPayServer/2.3.4", false),
            ("BTCPayServer/2.4.1+03345c2886a5", false),
            ("curl/7.88.1", false),
        ] {
            headers.insert(USER_AGENT, agent.parse().unwrap());
            assert_eq!(repeats_refusals(&headers), repeats, "{agent}");
        }
    }

    #[test]
    fn a_stranger_cannot_fill_the_log() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let spoken = (0..180_000).filter(|ms| complaints.may_speak(start + Duration::from_millis(*ms))).count();
        assert_eq!(spoken, 3);
    }
}
