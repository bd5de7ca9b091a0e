//! What `btcpay connect` registered: by this it knows its own webhook again, wherever it goes, and whether BTCPay was told
//! today's secret.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::btcpay::secret::WebhookSecret;
use crate::btcpay::setup::Webhook;
use crate::config::Btcpay;
use crate::gate::time::UnixTime;

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
