//! A trial delivery, sent from here as BTCPay would send it: the daemon, nginx and the secret at once.

use std::time::Duration;

use crate::btcpay::delivery::{SIGNATURE_HEADER, sign};
use crate::btcpay::secret::WebhookSecret;
use crate::failure::chain;

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
