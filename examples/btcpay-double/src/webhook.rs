//! Webhooks: what a delivery says, byte for byte, and which answers are retried.

use std::time::Duration;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;
use sha2::Sha256;

use crate::{
    ids,
    invoice::Event,
    json::Json,
    jsonb::Jsonb,
    version::{NO_RETRY_OF_4XX, Version},
};

/// Waits before each further attempt: at most nine attempts.
pub const RETRY_WAITS: [Duration; 8] = {
    let ten = Duration::from_secs(600);
    [Duration::from_secs(10), Duration::from_secs(60), ten, ten, ten, ten, ten, ten]
};

#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: String,
    pub url: String,
    pub secret: String,
    pub enabled: bool,
    pub automatic_redelivery: bool,
    pub events: AuthorizedEvents,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizedEvents {
    pub everything: bool,
    /// `null` is kept as it came.
    pub specific_events: Option<Vec<String>>,
}

impl Default for AuthorizedEvents {
    fn default() -> Self {
        AuthorizedEvents { everything: true, specific_events: Some(vec![]) }
    }
}

impl Webhook {
    pub fn wants(&self, kind: &str) -> bool {
        self.enabled
            && (self.events.everything || self.events.specific_events.iter().flatten().any(|event| event == kind))
    }
}

/// An event as it was raised; every delivery of it carries these values.
#[derive(Clone, Debug)]
pub struct Raised {
    pub event: Event,
    pub store: String,
    pub invoice: String,
    pub metadata: Jsonb,
    /// UNIX seconds.
    pub timestamp: i64,
    /// Of an event that is about no invoice: what follows `storeId` instead.
    pub tail: Option<Vec<(String, Value)>>,
}

/// The ids of one attempt.
#[derive(Clone, Debug)]
pub struct Ids {
    pub delivery: String,
    pub webhook: String,
    pub original: String,
}

impl Ids {
    pub fn redelivery(&self) -> bool {
        self.delivery != self.original
    }
}

/// The body: indented JSON; a redelivery has the type's own fields after `timestamp` rather than first.
pub fn body(raised: &Raised, ids: &Ids) -> Vec<u8> {
    serde_json::to_vec_pretty(&Body { raised, ids }).expect("JSON values can be written")
}

struct Body<'a> {
    raised: &'a Raised,
    ids: &'a Ids,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Body { raised, ids } = self;
        let mut map = serializer.serialize_map(None)?;
        let own = |map: &mut S::SerializeMap| {
            let sums = raised.event.sums.iter();
            sums.clone().try_for_each(|(name, amount)| map.serialize_entry(name, &Json::amount(*amount)))?;
            raised.event.extra.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
        };
        if !ids.redelivery() {
            own(&mut map)?;
        }
        map.serialize_entry("deliveryId", &ids.delivery)?;
        map.serialize_entry("webhookId", &ids.webhook)?;
        map.serialize_entry("originalDeliveryId", &ids.original)?;
        map.serialize_entry("isRedelivery", &ids.redelivery())?;
        map.serialize_entry("type", &raised.event.kind)?;
        map.serialize_entry("timestamp", &raised.timestamp)?;
        if ids.redelivery() {
            own(&mut map)?;
        }
        map.serialize_entry("storeId", &raised.store)?;
        if let Some(tail) = &raised.tail {
            tail.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
            return map.end();
        }
        map.serialize_entry("invoiceId", &raised.invoice)?;
        match raised.event.kind == "InvoiceCreated" {
            true => map.serialize_entry("metadata", raised.metadata.created())?,
            false => map.serialize_entry("metadata", &raised.metadata)?,
        }
        map.end()
    }
}

/// What the "Test" button of versions before 2.3.0 sent: invented ids, no metadata, none of the type's own fields.
pub fn test_body(webhook: &str, store: &str, kind: &str, timestamp: i64) -> Vec<u8> {
    let invented = |id: [u8; 16]| {
        let hex = ids::hex(&id);
        format!("__test__{}-{}-{}-{}-{}__test__", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    };
    let (original, invoice) = (invented(ids::random()), invented(ids::random()));
    let body = serde_json::json!({
        "deliveryId": ids::fresh(), "webhookId": webhook, "originalDeliveryId": original, "isRedelivery": false,
        "type": kind, "timestamp": timestamp, "storeId": store, "invoiceId": invoice, "metadata": Value::Null,
    });
    serde_json::to_vec_pretty(&body).expect("JSON values can be written")
}

/// `BTCPay-Sig`: HMAC-SHA256 over the bytes sent, the secret taken as typed.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", ids::hex(&mac.finalize().into_bytes()))
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    Answered(u16),
    Failed(String),
}

impl Outcome {
    pub fn retried(&self, version: Version) -> bool {
        match self {
            Outcome::Answered(200..=299) => false,
            Outcome::Answered(408 | 429 | 500..) | Outcome::Failed(_) => true,
            Outcome::Answered(_) => version < NO_RETRY_OF_4XX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn signature_vector() {
        let expected = "sha256=2d2ff578f1b467773294a1660eca4fdc99a50467f1dfda5b4998346e4c9f4cff";
        assert_eq!(signature("test-webhook-secret", b"{\n  \"type\": \"InvoiceSettled\"\n}"), expected);
    }

    fn settled() -> Raised {
        Raised {
            event: Event::new("InvoiceSettled", &[("manuallyMarked", false.into()), ("overPaid", false.into())]),
            store: "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776".into(),
            invoice: "HMprBnL9BTXWuPvpoKBS6e".into(),
            metadata: Jsonb::store(&crate::json::Json::from(&json!({"orderId": "ord-42"})), "UTC").unwrap(),
            timestamp: 1_785_000_123,
            tail: None,
        }
    }

    fn attempt(delivery: &str) -> Ids {
        Ids {
            delivery: delivery.into(),
            webhook: "N3hK8yVbq5cZt1RfXo2LwA".into(),
            original: "7JmQ5n3cRr1v2sPq4uT8Wd".into(),
        }
    }

    #[test]
    fn first_delivery_as_sent() {
        let expected = r#"{
  "manuallyMarked": false,
  "overPaid": false,
  "deliveryId": "7JmQ5n3cRr1v2sPq4uT8Wd",
  "webhookId": "N3hK8yVbq5cZt1RfXo2LwA",
  "originalDeliveryId": "7JmQ5n3cRr1v2sPq4uT8Wd",
  "isRedelivery": false,
  "type": "InvoiceSettled",
  "timestamp": 1785000123,
  "storeId": "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776",
  "invoiceId": "HMprBnL9BTXWuPvpoKBS6e",
  "metadata": {
    "orderId": "ord-42"
  }
}"#;
        assert_eq!(String::from_utf8(body(&settled(), &attempt("7JmQ5n3cRr1v2sPq4uT8Wd"))).unwrap(), expected);
    }

    #[test]
    fn a_redelivery_has_other_bytes_and_the_same_values() {
        let first = body(&settled(), &attempt("7JmQ5n3cRr1v2sPq4uT8Wd"));
        let second = body(&settled(), &attempt("another"));
        let text = String::from_utf8(second.clone()).unwrap();
        let position = |name: &str| text.find(name).unwrap();
        assert!(position("timestamp") < position("manuallyMarked") && position("manuallyMarked") < position("storeId"));
        assert_ne!(signature("s", &first), signature("s", &second));
        let (mut first, second): (Value, Value) =
            (serde_json::from_slice(&first).unwrap(), serde_json::from_slice(&second).unwrap());
        first["deliveryId"] = "another".into();
        first["isRedelivery"] = true.into();
        assert_eq!(first, second);
    }

    #[test]
    fn which_answers_are_retried() {
        let (old, new) = (Version(2, 3, 3), Version(2, 4, 1));
        for (outcome, before, since) in [
            (Outcome::Answered(204), false, false),
            (Outcome::Answered(302), true, false),
            (Outcome::Answered(404), true, false),
            (Outcome::Answered(410), true, false),
            (Outcome::Answered(408), true, true),
            (Outcome::Answered(429), true, true),
            (Outcome::Answered(503), true, true),
            (Outcome::Failed("connection refused".into()), true, true),
        ] {
            assert_eq!((outcome.retried(old), outcome.retried(new)), (before, since), "{outcome:?}");
        }
    }
}
