//! The webhook at BTCPay: what it has to be like, and what `btcpay connect` registered. By that it knows its own webhook again,
//! wherever it goes, and whether BTCPay was told today's secret.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::btcpay::secret::WebhookSecret;
use crate::btcpay::setup::Webhook;
use crate::config::{Btcpay, Config};
use crate::gate::time::UnixTime;

/// Where the daemon takes deliveries, below `public_url`.
pub(crate) const PATH: &str = "/hlsgate/webhooks/btcpay";

/// The events that are worth a look at the invoice.
///
/// `InvoiceSettled` is the sale. `InvoicePaidAfterExpiration` and `InvoicePaymentSettled` are the only signs of a late one:
/// paid in full, and confirmed. `InvoiceProcessing` and `InvoiceInvalid` are what a waiting viewer wants to know. Left out
/// is what changes nothing for anybody and comes most often, since BTCPay delivers one after the other and a sale would
/// wait behind it: `InvoiceCreated`, `InvoiceReceivedPayment`, and `InvoiceExpired`, the end of all that nobody paid.
pub(crate) const EVENTS: [&str; 5] =
    ["InvoiceProcessing", "InvoiceSettled", "InvoicePaymentSettled", "InvoicePaidAfterExpiration", "InvoiceInvalid"];

/// Bytes of a secret's digest that are kept: enough to tell two apart, and nothing to find one by.
const DIGEST_LEN: usize = 8;

/// The file's content. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registered {
    /// BTCPay's id of the webhook.
    pub(crate) webhook: String,
    /// Where it goes, if `--url` said so; else to `public_url`, whatever that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Which secret BTCPay was told.
    pub(crate) secret: String,
    /// When it was told it first.
    pub(crate) told: UnixTime,
}

/// Where deliveries have to go.
pub(crate) fn target(config: &Config) -> Option<String> {
    config.public_url.as_ref().map(|site| format!("{site}{PATH}"))
}

/// What is wrong with a webhook of ours; nothing when it is as it should be.
pub(crate) fn problems(webhook: &Webhook) -> Vec<String> {
    let mut problems = Vec::new();
    if !webhook.enabled {
        problems.push("it was disabled".into());
    }
    if !webhook.automatic_redelivery {
        problems.push("automatic redelivery was off".into());
    }
    let events = &webhook.authorized_events;
    if events.everything {
        problems.push("it delivered every event".into());
        return problems;
    }
    let missing: Vec<&str> = EVENTS.into_iter().filter(|event| !events.contains(event)).collect();
    if !missing.is_empty() {
        problems.push(format!("it did not deliver {}", missing.join(", ")));
    }
    let extra: Vec<&str> = events.listed().iter().map(String::as_str).filter(|event| !EVENTS.contains(event)).collect();
    if !extra.is_empty() {
        problems.push(format!("it delivered {} besides", extra.join(", ")));
    }
    problems
}

/// The file: beside the secret's.
pub(crate) fn file(section: &Btcpay) -> PathBuf {
    let secret = &section.webhook_secret_file;
    let name = secret.file_name().unwrap_or_default().to_string_lossy();
    secret.with_file_name(format!("{}.json", name.strip_suffix("-secret").unwrap_or(&name)))
}

/// What was registered, as far as it is known: without it, the address tells which webhook is ours.
pub(crate) fn read(section: &Btcpay) -> Option<Registered> {
    serde_json::from_slice(&std::fs::read(file(section)).ok()?).ok()
}

/// Tells one secret from another.
pub(crate) fn digest(secret: &WebhookSecret) -> String {
    Sha256::digest(secret.expose().as_bytes()).iter().take(DIGEST_LEN).map(|byte| format!("{byte:02x}")).collect()
}

/// Our webhook among the store's: the one that was registered, else one that goes to `url`.
pub(crate) fn own<'a>(known: &'a [Webhook], registered: Option<&Registered>, url: &str) -> Option<&'a Webhook> {
    let registered = known.iter().find(|webhook| registered.is_some_and(|it| it.webhook == webhook.id));
    registered.or_else(|| known.iter().find(|webhook| webhook.url == url))
}
