//! The log of an invoice's creation, which BTCPay puts into the message of a refusal: the reason is in its last third.

use rust_decimal::Decimal;

use crate::{
    jsonb,
    payment::MethodId,
    version::{SHORT_REFUSAL, Version},
    world::World,
};

/// Lines, each with the time.
pub struct CreationLog {
    now: String,
    lines: String,
}

/// Why a payment method is left out.
pub enum Unavailable {
    Criteria(&'static str),
    Dust,
    Explorer,
    Node,
}

impl CreationLog {
    /// `now`: UNIX milliseconds.
    pub fn begin(now: i64) -> Self {
        // `2026-01-02T03:04:05`
        let written = jsonb::written(now.div_euclid(1000));
        let now = format!("{}/{}/{} {}", &written[5..7], &written[8..10], &written[..4], &written[11..]);
        let mut log = CreationLog { now, lines: String::new() };
        log.line("Info", "Creation of invoice starting");
        log
    }

    fn line(&mut self, level: &str, text: &str) {
        self.lines.push_str(&format!("{}:{level} {text}\n", self.now));
    }

    pub fn rate(&mut self, world: &World, currency: &str, rate: Decimal) {
        let rule = match currency {
            "BTC" => "1.0".to_owned(),
            "SATS" => "100000000".to_owned(),
            other => world.rule(other).unwrap_or_else(|| rate.to_string()),
        };
        self.line("Info", &format!("Rate for BTC_{currency}: {rule} = {rule} = {rate}"));
    }

    /// No rate: of a store with rules of its own, or of an exchange that cannot be reached.
    pub fn no_rate(&mut self, world: &World, currency: &str) {
        let pair = format!("BTC_{currency}");
        let custom = !world.switches.rates.is_empty();
        let (rule, kind) = match custom {
            true => (format!("ERR_NO_RULE_MATCH({pair}) = ERR_NO_RULE_MATCH({pair})"), "PreprocessError"),
            false => (format!("kraken({pair}) = ERR_RATE_UNAVAILABLE(kraken, {pair})"), "RateUnavailable"),
        };
        self.line("Info", &format!("Rate for {pair}: {rule} = ???"));
        self.line("Warning", &format!("Rate rule error ({kind})"));
        if !custom {
            self.line("Warning", "Error from exchange kraken (Connection refused (127.0.0.1:9))");
        }
        self.line("Warning", &format!("Unable to get rate {pair}."));
        for method in MethodId::ALL.iter().filter(|method| world.switches.methods.contains(method)) {
            let name = method.name();
            self.line(
                "Error",
                &format!("{name}: Unable to get rate(s) {pair}, this payment method disabled for this invoice."),
            );
        }
    }

    pub fn unavailable(&mut self, method: MethodId, why: &Unavailable, _lazy: bool) {
        let name = method.name();
        let (text, took) = match why {
            Unavailable::Criteria(text) => ((*text).to_owned(), false),
            Unavailable::Dust => (
                "Payment method unavailable (Amount below the dust threshold. For amounts of this size, it is recommended to enable an off-chain (Lightning) payment method)".into(),
                true,
            ),
            Unavailable::Explorer => {
                ("Unexpected exception (System.Net.Http.HttpRequestException: Connection refused (127.0.0.1:28838))".into(), true)
            }
            Unavailable::Node => {
                self.line("Error", &format!("{name}: NodeInfo failed to be fetched: Error while connecting to the API: Cannot assign requested address"));
                ("Payment method unavailable (Impossible to create lightning invoice (Cannot assign requested address))".into(), true)
            }
        };
        self.line("Error", &format!("{name}: {text}"));
        if took {
            self.line("Info", &format!("{name}: Payment method details creation took 5 milliseconds"));
        }
    }

    /// The message of a `generic-error`.
    pub fn refusal(self, version: Version) -> String {
        let first = match version < SHORT_REFUSAL {
            true => {
                "Warning: You have payment methods configured but none of them match any of the requested payment methods or the rate is not available. See logs below:"
            }
            false => "Error retrieving a matching payment method or rate.",
        };
        format!("{first}\n{}", self.lines)
    }
}
