//! What Prometheus is told of sales.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Registry};

use crate::btcpay::Error;
use crate::server::metrics::{counters, gauge, register};
use crate::shop::lane::Lane;

/// Bounds of the buckets for the time from a payment to its token, in seconds: Lightning at the left, a block and a person
/// who comes back the next day at the right.
const CLAIM_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0, 86400.0, 604_800.0];

/// Every outcome of a delivery.
const DELIVERIES: [&str; 5] = ["looked-up", "ignored", "bad-signature", "too-large", "busy"];

/// The figures of the shop.
pub(crate) struct ShopMetrics {
    created: IntCounterVec,
    refused: IntCounterVec,
    settled: IntCounterVec,
    claim_time: Histogram,
    deliveries: IntCounterVec,
    errors: IntCounterVec,
    held: IntGauge,
    challenged: IntCounter,
    redeemed: IntCounter,
}

impl ShopMetrics {
    /// All at zero.
    pub(crate) fn new(registry: &Registry) -> ShopMetrics {
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help));
        let options = HistogramOpts::new(
            "hlsgate_claim_seconds",
            "Time from the payment that completed the price to the first hand-out of its token by this daemon.",
        );
        let deliveries =
            counters(registry, "hlsgate_webhook_deliveries_total", "Deliveries of BTCPay, by outcome.", &["outcome"]);
        for outcome in DELIVERIES {
            deliveries.with_label_values(&[outcome]);
        }
        let errors =
            counters(registry, "hlsgate_btcpay_errors_total", "Failed requests to BTCPay, by kind.", &["kind"]);
        for kind in Error::KINDS {
            errors.with_label_values(&[kind]);
        }
        let refused = counters(
            registry,
            "hlsgate_invoices_refused_total",
            "Invoices that were asked for and not made, by lane and reason.",
            &["lane", "reason"],
        );
        let by_lane = |name: &str, help: &str| counters(registry, name, help, &["lane"]);
        let created = by_lane("hlsgate_invoices_created_total", "Invoices made for buyers, by lane.");
        let settled =
            by_lane("hlsgate_invoices_settled_total", "Invoices that this daemon saw become settled, by lane.");
        for lane in Lane::ALL {
            created.with_label_values(&[lane.as_str()]);
            settled.with_label_values(&[lane.as_str()]);
            for reason in ["busy", "btcpay-unavailable"] {
                refused.with_label_values(&[lane.as_str(), reason]);
            }
        }
        ShopMetrics {
            created,
            refused,
            settled,
            claim_time: register(registry, Histogram::with_opts(options.buckets(CLAIM_BUCKETS.into()))),
            deliveries,
            errors,
            challenged: counter("hlsgate_machine_challenges_total", "Challenges shown to machines that have not paid."),
            redeemed: counter("hlsgate_machine_tokens_total", "Tokens handed out for a preimage."),
            held: gauge(registry, "hlsgate_held_requests", "Viewers' requests that wait for a payment now."),
        }
    }

    /// An invoice was made.
    pub(crate) fn created(&self, lane: Lane) {
        self.created.with_label_values(&[lane.as_str()]).inc();
    }

    /// No invoice was made.
    pub(crate) fn not_created(&self, lane: Lane, reason: &str) {
        self.refused.with_label_values(&[lane.as_str(), reason]).inc();
    }

    /// An invoice was seen as settled for the first time.
    pub(crate) fn settled(&self, lane: Lane) {
        self.settled.with_label_values(&[lane.as_str()]).inc();
    }

    /// A token was handed out for the first time, so long after it was paid for.
    pub(crate) fn claimed(&self, after: Duration) {
        self.claim_time.observe(after.as_secs_f64());
    }

    /// A machine was shown a challenge.
    pub(crate) fn challenged(&self) {
        self.challenged.inc();
    }

    /// A machine got a token for a preimage.
    pub(crate) fn redeemed(&self) {
        self.redeemed.inc();
    }

    /// A delivery came.
    pub(crate) fn delivery(&self, outcome: &str) {
        self.deliveries.with_label_values(&[outcome]).inc();
    }

    /// A request to BTCPay failed.
    pub(crate) fn failed(&self, err: &Error) {
        self.errors.with_label_values(&[err.kind()]).inc();
    }

    /// So many more, or fewer, requests are held.
    pub(crate) fn held(&self, change: i64) {
        self.held.add(change);
    }
}
