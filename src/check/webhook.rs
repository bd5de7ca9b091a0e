//! What the webhook has to be like: shared by `btcpay connect`, which makes it so, and `check`, which looks.

use std::time::Duration;

use crate::btcpay::secret::WebhookSecret;
use crate::btcpay::setup::Webhook;
use crate::btcpay::webhook::{SIGNATURE_HEADER, sign};
use crate::config::Config;
use crate::failure::chain;

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

/// What a trial delivery says: a type that nobody subscribes to, so that it is signed well and means nothing.
const TRIAL: &str = "{\n  \"type\": \"HlsgateTrial\"\n}";
const TRIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How a trial delivery went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// 2xx: the daemon knows the secret.
    Accepted,
    /// Another status.
    Answered(u16),
    /// No answer.
    Failed(String),
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

/// Sends a signed delivery that means nothing, as BTCPay would.
pub(crate) async fn try_out(url: &str, secret: &WebhookSecret) -> Tried {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TRIAL_TIMEOUT).build();
    let client = match client {
        Ok(client) => client,
        Err(err) => return Tried::Failed(chain(&err)),
    };
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header(SIGNATURE_HEADER, sign(secret, TRIAL.as_bytes()))
        .body(TRIAL);
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Tried::Accepted,
        Ok(answer) => Tried::Answered(answer.status().as_u16()),
        Err(err) => Tried::Failed(chain(&err.without_url())),
    }
}

impl Tried {
    /// What happened, and what it means.
    pub(crate) fn told(&self, url: &str) -> String {
        match self {
            Tried::Accepted => "a signed trial delivery was accepted".into(),
            Tried::Answered(403) => {
                "a signed trial delivery was refused (403): the running daemon has another secret, or a firewall is in the way".into()
            }
            Tried::Answered(404) => {
                "a trial delivery found nothing there (404): the daemon runs without [btcpay], or nginx does not \
                 include snippets/hlsgate.conf"
                    .into()
            }
            Tried::Answered(status @ 300..400) => {
                format!("a trial delivery was sent elsewhere ({status}): {url} is not the final address")
            }
            Tried::Answered(status) => format!("a trial delivery was answered with {status}"),
            Tried::Failed(reason) => format!("a trial delivery did not get through: {reason}"),
        }
    }
}
