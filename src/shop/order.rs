//! What one invoice was made for: a JWS that the invoice carries in its metadata, so that BTCPay is the only ledger.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use rust_decimal::Decimal;

use super::money::{Currency, Price, decimal};
use super::offers::OfferFor;
use crate::gate::jws::{self, JwsError, Kid, UntrustedJws};
use crate::gate::keyring::{Key, Keyring, Purpose};
use crate::gate::scope::{Scope, Tier, VideoId};

/// The invoice's metadata member that holds the order's text.
pub const METADATA_KEY: &str = "hlsgate";
/// Random bytes in an order's nonce, which is their text in base64url.
pub(crate) const NONCE_LEN: usize = 16;

/// The terms of one purchase. Made by [`Order::new`], or read by [`Order::verify`] from text that we signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    sub: Scope,
    video: VideoId,
    tier: Tier,
    duration: Option<u64>,
    amount: Decimal,
    currency: Currency,
    nonce: Box<str>,
}

/// Why a text is no order of ours.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum OrderError {
    /// Not a signed text, or its tag does not fit.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// Signed, it says, by a key that is not in the set.
    #[error("the order names key {0:?}, which is not in the key set")]
    UnknownKey(Kid),
    /// We signed it, and cannot read it: written by a newer version, most likely.
    #[error("the order's {0} is missing or not of the form that this version writes")]
    Unreadable(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    sub: &'a str,
    video: &'a str,
    tier: &'a str,
    duration: Option<u64>,
    amount: &'a str,
    currency: &'a str,
    nonce: &'a str,
}

impl Order {
    /// The order of somebody who looks at `video` and takes an offer.
    ///
    /// - `nonce`: random text in base64url, at least 16 bytes of it, so that no two orders are alike.
    pub fn new(video: VideoId, found: &OfferFor<'_>, nonce: &str) -> Order {
        let invoiced: Price = found.offer.price.as_invoiced();
        Order {
            sub: found.covers,
            video,
            tier: found.offer.tier,
            duration: found.offer.duration,
            amount: invoiced.value(),
            currency: invoiced.currency(),
            nonce: nonce.into(),
        }
    }

    /// The order's text, for the invoice's metadata.
    pub fn sign(&self, key: &Key) -> String {
        let (sub, amount) = (&self.sub.to_string(), &self.amount.to_string());
        let payload = Payload {
            sub,
            video: self.video.as_str(),
            tier: self.tier.as_str(),
            duration: self.duration,
            amount,
            currency: self.currency.as_str(),
            nonce: &self.nonce,
        };
        let json = serde_json::to_string(&payload).expect("texts and numbers always have a JSON form");
        jws::sign(key.kid(), key.mac(Purpose::Order), &json)
    }

    /// Reads an order that some key of the set signed, retired ones included.
    pub(crate) fn verify(text: &str, keyring: &Keyring) -> Result<Order, OrderError> {
        let jws = UntrustedJws::parse(text.as_bytes())?;
        let kid = jws.kid()?;
        let key = keyring.find(&kid).ok_or(OrderError::UnknownKey(kid))?;
        jws.verify(key.mac(Purpose::Order))?;
        jws.with_payload(Order::parse)
    }

    fn parse(json: &[u8]) -> Result<Order, OrderError> {
        let payload: Payload<'_> = serde_json::from_slice(json).map_err(|_| OrderError::Unreadable("payload"))?;
        Ok(Order {
            sub: payload.sub.parse().map_err(|_| OrderError::Unreadable("sub"))?,
            video: payload.video.parse().map_err(|_| OrderError::Unreadable("video"))?,
            tier: payload.tier.parse().map_err(|_| OrderError::Unreadable("tier"))?,
            duration: payload.duration,
            amount: decimal(payload.amount).ok_or(OrderError::Unreadable("amount"))?,
            currency: Currency::of_order(payload.currency).ok_or(OrderError::Unreadable("currency"))?,
            nonce: payload.nonce.into(),
        })
    }

    /// The token's future `sub`.
    pub(crate) fn sub(&self) -> &Scope {
        &self.sub
    }

    /// The video on whose page it was bought.
    pub(crate) fn video(&self) -> &VideoId {
        &self.video
    }

    /// The offer's id.
    pub(crate) fn tier(&self) -> &Tier {
        &self.tier
    }

    /// Seconds that the token lasts; `None` never expires.
    pub(crate) fn duration(&self) -> Option<u64> {
        self.duration
    }

    /// The invoice's amount, as BTCPay is asked for it.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The invoice's currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::jwk::JwkSet;
    use crate::gate::token::UntrustedToken;
    use crate::shop::offers::Offer;

    /// Keys are 32 times one byte; `!` before a kid retires it.
    fn keyring(keys: &[(&str, u8)]) -> Keyring {
        use base64::Engine as _;
        let key = |(kid, byte): &(&str, u8)| {
            let k = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([*byte; 32]);
            serde_json::json!({
                "kty": "oct", "kid": kid.trim_start_matches('!'), "k": k, "retired": kid.starts_with('!'),
            })
        };
        let set = serde_json::json!({ "keys": keys.iter().map(key).collect::<Vec<_>>() });
        Keyring::new(&JwkSet::parse(set.to_string().as_bytes()).unwrap())
    }

    fn order() -> Order {
        let offer = Offer::parse("24h", "100", "SATS", Some(86400)).unwrap();
        let found = OfferFor { covers: "pass:summer".parse().unwrap(), offer: &offer };
        Order::new("c05f2318".parse().unwrap(), &found, "bm9uY2Ugbm9uY2U")
    }

    #[test]
    fn an_order_says_what_was_bought_at_the_price_that_is_invoiced() {
        use base64::Engine as _;
        let text = order().sign(keyring(&[("k1", 1)]).signing());
        let payload = text.split('.').nth(1).unwrap();
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
        let expected = r#"{"sub":"pass:summer","video":"c05f2318","tier":"24h","duration":86400,"amount":"0.00000100","currency":"BTC","nonce":"bm9uY2Ugbm9uY2U"}"#;
        assert_eq!(String::from_utf8(payload).unwrap(), expected);
    }

    #[test]
    fn an_order_verifies_under_every_key_of_the_set() {
        let signed = order().sign(keyring(&[("k1", 1)]).signing());
        for keys in [&[("k1", 1)][..], &[("k2", 2), ("k1", 1)], &[("k2", 2), ("!k1", 1)]] {
            assert_eq!(Order::verify(&signed, &keyring(keys)), Ok(order()));
        }
        let gone = Order::verify(&signed, &keyring(&[("k2", 2)]));
        assert_eq!(gone, Err(OrderError::UnknownKey(Kid::from("k1").unwrap())));
        let other_bytes = Order::verify(&signed, &keyring(&[("k1", 2)]));
        assert_eq!(other_bytes, Err(OrderError::Jws(JwsError::BadSignature)));
    }

    #[test]
    fn a_changed_order_and_other_artefacts_are_no_orders() {
        let keyring = keyring(&[("k1", 1)]);
        let signed = order().sign(keyring.signing());
        for at in 0..signed.len() {
            let mut bytes = signed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(Order::verify(&String::from_utf8(bytes).unwrap(), &keyring).is_err(), "byte {at}");
        }
        assert!(UntrustedToken::parse(signed.as_bytes()).unwrap().verify(&keyring).is_err());
        let token_like = jws::sign("k1", keyring.signing().mac(Purpose::Token), "{}");
        assert_eq!(Order::verify(&token_like, &keyring), Err(OrderError::Jws(JwsError::BadSignature)));
        let empty = jws::sign("k1", keyring.signing().mac(Purpose::Order), "{}");
        assert_eq!(Order::verify(&empty, &keyring), Err(OrderError::Unreadable("payload")));
    }
}
