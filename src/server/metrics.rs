//! What Prometheus is told. `docs/metrics.md` lists it for operators.

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::gate::decision::Refusal;

/// Bounds of the buckets for a decision's time, in seconds.
const DECISION_BUCKETS: [f64; 10] = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2, 1e-1];

/// Every figure of the daemon, and the registry that prints them.
pub(crate) struct Metrics {
    registry: Registry,
    granted: IntCounter,
    refused: [IntCounter; Refusal::ALL.len()],
    decision_time: Histogram,
    reloads: IntCounterVec,
    keys: IntGauge,
    revocations: IntGauge,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Metrics {
        let registry = Registry::new();
        let decisions = counters(
            &registry,
            "hlsgate_auth_decisions_total",
            "Answers to nginx, by outcome and reason.",
            &["outcome", "reason"],
        );
        let options = HistogramOpts::new("hlsgate_auth_decision_seconds", "Time from a question's head to its answer.");
        let decision_time = register(&registry, Histogram::with_opts(options.buckets(DECISION_BUCKETS.into())));
        let options = Opts::new("hlsgate_build_info", "1, with the version as a label.");
        let build: IntGaugeVec = register(&registry, IntGaugeVec::new(options, &["version"]));
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let reloads = counters(
            &registry,
            "hlsgate_reloads_total",
            "Reloads, by what was reloaded and the result.",
            &["what", "result"],
        );
        for what in ["configuration", "files"] {
            for result in ["applied", "refused"] {
                reloads.with_label_values(&[what, result]);
            }
        }
        Metrics {
            granted: decisions.with_label_values(&["granted", ""]),
            refused: Refusal::ALL.map(|refusal| decisions.with_label_values(&["refused", refusal.reason()])),
            decision_time,
            reloads,
            keys: gauge(&registry, "hlsgate_keys", "Keys that verify tokens."),
            revocations: gauge(&registry, "hlsgate_revocations", "Revoked token ids."),
            registry,
        }
    }

    /// Counts one answer to nginx.
    pub(crate) fn decided(&self, outcome: Result<(), Refusal>, took: Duration) {
        match outcome {
            Ok(()) => self.granted.inc(),
            Err(refusal) => self.refused[Refusal::ALL.iter().position(|each| *each == refusal).unwrap_or(0)].inc(),
        }
        self.decision_time.observe(took.as_secs_f64());
    }

    /// Counts a reload: `what` is `configuration` or `files`.
    pub(crate) fn reloaded(&self, what: &str, applied: bool) {
        self.reloads.with_label_values(&[what, if applied { "applied" } else { "refused" }]).inc();
    }

    /// Notes what is in force.
    pub(crate) fn in_force(&self, keys: usize, revocations: usize) {
        self.keys.set(keys as i64);
        self.revocations.set(revocations as i64);
    }

    /// Where other parts of the daemon add their own.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything, in Prometheus' text format.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        debug_assert!(encoded.is_ok());
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A family of counters, registered.
pub(crate) fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

/// A gauge, registered.
pub(crate) fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::new(name, help))
}

/// Registers a metric. Names are constants: a wrong or repeated one shows at the first start of any test.
pub(crate) fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> C {
    let metric = metric.expect("a metric's name and labels are well formed");
    registry.register(Box::new(metric.clone())).expect("a metric's name is used once");
    metric
}
