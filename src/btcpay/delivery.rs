//! What BTCPay sends by itself: the signature over the raw body, and what the body hints at.
//!
//! A delivery proves that BTCPay spoke, and nothing about a payment: fetch the invoice.

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use super::invoice::Metadata;
use super::secret::{WebhookSecret, WebhookSecrets};
use crate::gate::time::UnixTime;

/// The header that carries the signature.
pub(crate) const SIGNATURE_HEADER: &str = "btcpay-sig";

/// Why a delivery is not looked at.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WebhookError {
    /// Another secret, another body, or no signature at all.
    #[error("the BTCPay-Sig header does not fit the body; is btcpay.webhook_secret_file the secret that BTCPay has?")]
    BadSignature,
    /// Signed by BTCPay, but no JSON object.
    #[error("the delivery is signed by BTCPay, but it is not a JSON object")]
    NotAnObject,
}

/// The hint that a delivery gives. Everything may be missing: other versions and plugins have bodies of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// What happened.
    pub(crate) event: Event,
    /// To which invoice; missing in events that are not about one.
    pub(crate) invoice_id: Option<String>,
    /// In which store.
    pub(crate) store_id: Option<String>,
    /// What the invoice's maker said about it: anybody's words.
    pub(crate) metadata: Metadata,
    /// The attempt's id: new on every attempt, so no measure for what was seen before.
    pub(crate) delivery_id: Option<String>,
    /// Whether it is a repetition.
    pub(crate) is_redelivery: bool,
    /// When it happened; a redelivery keeps it.
    pub(crate) timestamp: Option<UnixTime>,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a delivery is about, as far as it concerns a sale.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub(crate) enum Event {
            $($(#[$doc])* $name,)*
            /// An event that does not concern a sale, or that this version does not know.
            #[default]
            Other,
        }

        impl Event {
            /// Every event, so that a metric can start with all of them at 0.
            pub(crate) const ALL: &[Event] = &[$(Event::$name,)* Event::Other];

            /// BTCPay's word; `Other` for one that is not known.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Event::$name => stringify!($name),)*
                    Event::Other => "Other",
                }
            }
        }
    };
}

events! {
    /// An invoice was made; may come before the answer to its creation.
    InvoiceCreated,
    /// A payment was seen.
    InvoiceReceivedPayment,
    /// A payment was confirmed: for an invoice that was paid late, the only sign of it.
    InvoicePaymentSettled,
    /// The whole amount was seen.
    InvoiceProcessing,
    /// The whole amount was confirmed, or a person said so.
    InvoiceSettled,
    /// The time to pay is over.
    InvoiceExpired,
    /// The time to pay is over, and a part was paid.
    InvoiceExpiredPaidPartial,
    /// An expired invoice was paid in full.
    InvoicePaidAfterExpiration,
    /// Not confirmed in time, or a person said so.
    InvoiceInvalid,
}

/// Checks a delivery's `BTCPay-Sig`, in constant time.
///
/// - `header`: `sha256=` and 64 lower-case hexadecimal digits, the HMAC-SHA256 of `body` under the secret's UTF-8 bytes;
///   empty when the header is missing.
/// - `body`: the bytes as received. Parsing and printing them again would change them.
/// - `secrets`: any one may fit; which one, or how far, does not show in the time it takes.
///
/// Errors: [`WebhookError::BadSignature`] for a wrong tag and for any other shape of header alike.
/// Source: BTCPay Server, `WebhookSender.cs`. Vectors: `tests/vectors/webhook.json`.
pub fn verify(header: &[u8], body: &[u8], secrets: &WebhookSecrets) -> Result<(), WebhookError> {
    let fits = secrets.iter().map(|secret| sign(secret, body).as_bytes().ct_eq(header));
    let any = fits.fold(Choice::from(0), |any, one| any | one);
    if any.into() { Ok(()) } else { Err(WebhookError::BadSignature) }
}

/// The header's value for this body: `sha256=` and 64 hexadecimal digits.
pub(crate) fn sign(secret: &WebhookSecret, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    let tag = mac.finalize().into_bytes();
    tag.iter().fold("sha256=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

impl Delivery {
    /// Reads a delivery whose signature was verified. Unknown types, `null` metadata, missing and odd members are fine.
    pub(crate) fn parse(body: &[u8]) -> Result<Delivery, WebhookError> {
        let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
            return Err(WebhookError::NotAnObject);
        };
        let metadata = match members.remove("metadata") {
            Some(Value::Object(metadata)) => Metadata(metadata),
            _ => Metadata::default(),
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let event = text("type").and_then(|word| Event::ALL.iter().find(|event| event.as_str() == word));
        Ok(Delivery {
            event: event.copied().unwrap_or_default(),
            invoice_id: text("invoiceId").map(str::to_owned),
            store_id: text("storeId").map(str::to_owned),
            metadata,
            delivery_id: text("deliveryId").map(str::to_owned),
            is_redelivery: members.get("isRedelivery").and_then(Value::as_bool).unwrap_or_default(),
            timestamp: members.get("timestamp").and_then(Value::as_u64).map(UnixTime),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        secrets: String,
        header: String,
        body: String,
        expect: String,
    }

    #[test]
    fn webhook_vectors() {
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../../tests/vectors/webhook.json")).expect("the vectors are JSON");
        assert!(!vectors.is_empty());
        for v in vectors {
            let got = match WebhookSecrets::parse(&v.secrets) {
                Err(_) => "no-secret",
                Ok(secrets) => match verify(v.header.as_bytes(), v.body.as_bytes(), &secrets) {
                    Ok(()) => "valid",
                    Err(_) => "bad-signature",
                },
            };
            assert_eq!(got, v.expect, "{}", v.name);
        }
    }

    #[test]
    fn the_facts_of_a_delivery_are_read() {
        let body = br#"{ "manuallyMarked": false, "overPaid": false, "deliveryId": "7Jm", "webhookId": "N3h",
            "originalDeliveryId": "7Jm", "isRedelivery": true, "type": "InvoiceSettled", "timestamp": 1785000123,
            "storeId": "9Ci", "invoiceId": "HMprBnL9BTXWuPvpoKBS6e", "metadata": { "orderId": "ord-42", "hlsgate": "a.b.c" } }"#;
        let delivery = Delivery::parse(body).unwrap();
        assert_eq!(delivery.event, Event::InvoiceSettled);
        assert_eq!(delivery.invoice_id.as_deref(), Some("HMprBnL9BTXWuPvpoKBS6e"));
        assert_eq!(delivery.store_id.as_deref(), Some("9Ci"));
        assert_eq!(delivery.metadata.text("hlsgate"), Some("a.b.c"));
        assert_eq!((delivery.is_redelivery, delivery.timestamp), (true, Some(UnixTime(1785000123))));
    }

    #[test]
    fn odd_deliveries_are_harmless() {
        for (body, event) in [
            // The test button of BTCPay before 2.3.0.
            (
                r#"{"type":"InvoiceSettled","invoiceId":"__test__0__test__","metadata":null,"isRedelivery":false}"#,
                Event::InvoiceSettled,
            ),
            (r#"{"type":"PayoutApproved","payoutId":"1"}"#, Event::Other),
            (r#"{"type":"Other"}"#, Event::Other),
            (r#"{"type":42,"invoiceId":[],"metadata":"text","timestamp":"now","isRedelivery":1}"#, Event::Other),
            ("{}", Event::Other),
        ] {
            let delivery = Delivery::parse(body.as_bytes()).unwrap();
            assert_eq!((delivery.event, &delivery.metadata), (event, &Metadata::default()), "{body}");
        }
        for body in ["", "[]", "null", "{", "\u{feff}{}"] {
            assert_eq!(Delivery::parse(body.as_bytes()), Err(WebhookError::NotAnObject), "{body}");
        }
        let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(Delivery::parse(deep.as_bytes()), Err(WebhookError::NotAnObject));
    }
}
