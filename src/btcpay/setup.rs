//! What surrounds the invoices: the server, the API key, the store, the webhooks and their deliveries.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::lenient;
use super::permissions::Permissions;
use super::secret::WebhookSecret;
use crate::gate::time::UnixTime;

/// `GET /health`: needs no key.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// False while BTCPay's nodes catch up with the chain.
    pub(crate) synchronized: bool,
    /// BTCPay's clock, from the answer's `Date`.
    pub date: Option<SystemTime>,
}

/// The body of that answer.
#[derive(Deserialize)]
pub(super) struct HealthReport {
    pub(super) synchronized: bool,
}

/// `GET /server/info`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// For instance `2.4.1`; a `+commit` may follow.
    pub version: String,
}

/// A version of BTCPay, for comparing: `2.4.1+abc` is 2.4.1, and what cannot be read is 0.0.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) [u32; 3]);

/// From this version on a delivery that is answered with a 4xx is not repeated, but for 408 and 429.
pub(crate) const REFUSALS_END: Version = Version([2, 3, 4]);

/// The answer to a delivery whose signature does not fit, where a refusal would be repeated with all later events behind it.
pub(crate) const NOT_BELIEVED: u16 = 202;

impl Version {
    /// Reads [`ServerInfo::version`].
    pub(crate) fn of(text: &str) -> Version {
        let mut numbers = text.split(['.', '+', '-']).map(|part| part.parse().unwrap_or(0));
        Version(std::array::from_fn(|_| numbers.next().unwrap_or(0)))
    }
}

/// `GET /api-keys/current`, without the key itself, which the answer repeats.
#[derive(Clone, Debug, Deserialize)]
pub struct ApiKeyInfo {
    /// What it may.
    pub(crate) permissions: Permissions,
}

/// `GET /stores/{storeId}`: needs a right that selling does not need.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Store {
    /// Its name.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) name: String,
}

/// A webhook of the store. BTCPay never tells its secret again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// BTCPay's id.
    pub id: String,
    /// Where deliveries go.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub url: String,
    /// Whether they do.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub enabled: bool,
    /// Whether a failed delivery is tried again.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub automatic_redelivery: bool,
    /// Which events are delivered.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub authorized_events: AuthorizedEvents,
}

/// A webhook to be made, or what a webhook shall be: BTCPay replaces all of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewWebhook<'a> {
    /// Where deliveries go: the final address, for a redirect would lose body and signature.
    pub url: &'a str,
    /// Whether they do.
    pub enabled: bool,
    /// Whether a failed delivery is tried again.
    pub automatic_redelivery: bool,
    /// Which events are delivered.
    pub authorized_events: AuthorizedEvents,
    /// The key of the signatures; `None` leaves a webhook's secret as it is.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub secret: Option<&'a WebhookSecret>,
}

/// Which events a webhook delivers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizedEvents {
    /// All of them; BTCPay's default.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub everything: bool,
    /// These, if not all. `None` is BTCPay's null: before 2.3.7 such a webhook silences all of its store
    /// ([`AuthorizedEvents::silences_its_store`]).
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub specific_events: Option<Vec<String>>,
}

/// One attempt to deliver an event.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryRecord {
    /// When the event happened.
    pub(crate) timestamp: UnixTime,
    /// When the attempt was made (since BTCPay 2.3.4): later than `timestamp` when others were in the way.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) delivery_time: Option<UnixTime>,
    /// The answer's status, if there was an answer.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) http_code: Option<u16>,
    /// How it went.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) status: DeliveryStatus,
}

impl DeliveryRecord {
    /// Whether it was taken, and believed.
    pub(crate) fn arrived(&self) -> bool {
        self.status == DeliveryStatus::HttpSuccess && !self.has_bad_signature()
    }

    /// Whether the daemon answered that it is signed by another secret.
    pub(crate) fn has_bad_signature(&self) -> bool {
        matches!(self.http_code, Some(403 | NOT_BELIEVED))
    }
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum DeliveryStatus {
    /// 2xx.
    HttpSuccess,
    /// Another status.
    HttpError,
    /// No answer.
    Failed,
    /// A word that this version does not know.
    #[default]
    #[serde(other)]
    Other,
}

impl AuthorizedEvents {
    /// These events and no others.
    pub fn only(events: &[&str]) -> Self {
        AuthorizedEvents {
            everything: false,
            specific_events: Some(events.iter().map(|&event| event.into()).collect()),
        }
    }

    /// Whether the event is delivered.
    pub(crate) fn contains(&self, event: &str) -> bool {
        self.everything || self.listed().iter().any(|known| known == event)
    }

    /// The events that are named, whether or not all are delivered.
    pub fn listed(&self) -> &[String] {
        self.specific_events.as_deref().unwrap_or_default()
    }

    /// Whether BTCPay before 2.3.7 delivers no event of the store to any webhook while this one is there: it stumbles over
    /// the null. Seen with 2.0.8 and 2.3.6.
    pub(crate) fn silences_its_store(&self) -> bool {
        !self.everything && self.specific_events.is_none()
    }
}

fn exposed<S: serde::Serializer>(secret: &Option<&WebhookSecret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.map(WebhookSecret::expose).serialize(serializer)
}
