//! Credentials that machines pay for: what they are worth is arithmetic, without BTCPay and without a look-up.
//!
//! A challenge commits to three things: the payment hash of a BOLT11 invoice, what is bought ([`Bought`]), and BTCPay's id of
//! the invoice. A credential repeats the challenge and adds the preimage: SHA-256 of it is the payment hash, and only who
//! paid has it. [`l402`] and [`payment`] are two ways to write the same on HTTP; [`bolt11`] reads the node's invoice,
//! [`discovery`] says beforehand what is sold.
//!
//! The preimage alone proves nothing: every node on the payment's way learns it, and LUD-21 shows it to strangers. What they
//! lack is our tag over the hash, so a credential without it is refused.

pub(crate) mod bolt11;
pub(crate) mod discovery;
pub(crate) mod l402;
mod macaroon;
pub(crate) mod payment;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::gate::keyring::{Key, Keyring};
use crate::gate::revocations::is_jti;
use crate::gate::scope::{Scope, Tier};
use crate::gate::time::UnixTime;
use crate::gate::token::{Jti, NewToken, Token};

/// Bytes of a payment hash and of a preimage.
pub(crate) const HASH_LEN: usize = 32;
/// Most credentials of one request that are looked at, in all headers and schemes together.
pub(crate) const MAX_CREDENTIALS: usize = 32;

/// SHA-256 of the preimage.
pub(crate) type PaymentHash = [u8; HASH_LEN];

/// What a challenge sells, in the terms of the token that it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bought {
    /// What the token opens.
    pub(crate) sub: Scope,
    /// The offer's id.
    pub(crate) tier: Tier,
    /// When the BOLT11 was made.
    pub(crate) iat: UnixTime,
    /// First refused second: the end of the BOLT11 plus the offer's duration, so that a payment in the last moment buys all
    /// of it. `None` never expires.
    pub(crate) exp: Option<UnixTime>,
    /// BTCPay's id of the invoice: the token's `jti`, which `revoke` names.
    pub(crate) invoice: Jti,
}

/// A credential that proved a payment: what was bought, and what its receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paid {
    /// What the challenge sold.
    pub(crate) bought: Bought,
    /// The payment's hash.
    pub(crate) hash: PaymentHash,
    /// The id of the challenge, in a scheme that has one.
    challenge: Option<String>,
}

/// Why a credential buys nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum CredentialError {
    /// Not of the form that a challenge of ours leads to.
    #[error("not a credential: {0}")]
    Malformed(&'static str),
    /// No key of the set made this challenge.
    #[error("no key of the set signed this challenge")]
    BadSignature,
    /// The preimage is another invoice's, or a guess.
    #[error("the preimage does not belong to this challenge")]
    WrongPreimage,
}

impl Bought {
    /// The token: the same bytes for the same credential, as often as it is shown and by every daemon with this key.
    pub(crate) fn token(&self, key: &Key) -> Token {
        let Bought { sub, tier, iat, exp, invoice } = *self;
        NewToken { sub, tier, iat, exp, jti: invoice }.sign(key)
    }

    /// The terms as `key=value` lines, in a fixed order: the caveats of a macaroon.
    fn caveats(&self) -> Vec<String> {
        let mut lines = vec![format!("services=video:{}", self.tier), format!("video_capabilities={}", self.sub)];
        lines.extend(self.exp.map(|exp| format!("{VALID_UNTIL}={exp}")));
        lines.push(format!("video_issued_at={}", self.iat));
        lines.push(format!("invoice={}", self.invoice));
        lines
    }

    /// Reads [`Bought::caveats`] back, and what is left of `lines` behind them.
    fn parse<'a>(lines: &[&'a str]) -> Option<(Bought, Vec<&'a str>)> {
        let mut lines = lines.iter().copied().peekable();
        let mut value = |name: &str| -> Option<&'a str> {
            let line = lines.next_if(|line| line.split_once('=').is_some_and(|(key, _)| key == name))?;
            line.split_once('=').map(|(_, value)| value)
        };
        let tier = value("services")?.strip_prefix("video:")?.parse().ok()?;
        let sub = value("video_capabilities")?.parse().ok()?;
        let exp = match value(VALID_UNTIL) {
            Some(text) => Some(UnixTime(text.parse().ok()?)),
            None => None,
        };
        let iat = UnixTime(value("video_issued_at")?.parse().ok()?);
        let invoice = value("invoice").filter(|id| is_jti(id))?;
        let invoice = Jti::from(invoice).ok()?;
        Some((Bought { sub, tier, iat, exp, invoice }, lines.collect()))
    }
}

impl Paid {
    /// The value of `Payment-Receipt` (draft-httpauth-payment-00). The preimage is no part of it.
    ///
    /// - `timestamp`: RFC 3339.
    pub(crate) fn receipt(&self, timestamp: &str) -> String {
        let mut receipt = json!({
            "method": "lightning", "reference": hex(&self.hash), "status": "success", "timestamp": timestamp,
        });
        if let Some(challenge) = &self.challenge {
            receipt["challengeId"] = challenge.as_str().into();
        }
        URL_SAFE_NO_PAD.encode(receipt.to_string())
    }
}

/// What the credentials of one `Authorization` or `Payment-Authorization` line buy; nothing for a line of another scheme.
///
/// Scheme names in any case, one or more blanks behind them (RFC 9110, section 11.1).
pub(crate) fn credentials(line: &[u8], keyring: &Keyring) -> Vec<Result<Paid, CredentialError>> {
    let line = line.trim_ascii();
    let Some(at) = line.iter().position(|byte| byte.is_ascii_whitespace()) else {
        return Vec::new();
    };
    let (scheme, rest) = (&line[..at], line[at..].trim_ascii());
    match Scheme::of(scheme) {
        Some(Scheme::L402) => l402::credentials(rest, keyring),
        Some(Scheme::Payment) => vec![payment::credential(rest, keyring)],
        None => Vec::new(),
    }
}

#[derive(Clone, Copy)]
enum Scheme {
    L402,
    Payment,
}

impl Scheme {
    fn of(name: &[u8]) -> Option<Scheme> {
        // LSAT is what L402 was called.
        let names = [(&b"L402"[..], Scheme::L402), (b"LSAT", Scheme::L402), (b"Payment", Scheme::Payment)];
        names.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, scheme)| scheme)
    }
}

/// The caveat by which a holder may shorten a credential.
const VALID_UNTIL: &str = "video_valid_until";

/// Whether `preimage` (64 hex digits, in any case) is the one behind `hash`.
fn is_paid(preimage: &[u8], hash: &PaymentHash) -> Result<(), CredentialError> {
    let mut bytes = [0; HASH_LEN];
    if !from_hex(preimage, &mut bytes) {
        return Err(CredentialError::Malformed("the preimage is not 64 hex digits"));
    }
    match Sha256::digest(bytes).ct_eq(hash).into() {
        true => Ok(()),
        false => Err(CredentialError::WrongPreimage),
    }
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn from_hex(text: &[u8], into: &mut [u8]) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    text.len() == 2 * into.len()
        && into.iter_mut().zip(text.chunks_exact(2)).all(|(byte, pair)| match (digit(pair[0]), digit(pair[1])) {
            (Some(high), Some(low)) => {
                *byte = high << 4 | low;
                true
            }
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::bolt11::Bolt11;
    use super::*;
    use crate::gate::jwk::{Jwk, JwkSet, Secret};

    const PREIMAGE: [u8; HASH_LEN] = [7; HASH_LEN];

    fn keyring(keys: &[(u8, bool)]) -> Keyring {
        let key = |(byte, retired): &(u8, bool)| {
            let mut jwk = Jwk::new(format!("k{byte}"), Secret::new(vec![*byte; 32]), 0);
            jwk.retired = *retired;
            jwk
        };
        Keyring::new(&JwkSet::new(keys.iter().map(key).collect()))
    }

    fn bought() -> Bought {
        Bought {
            sub: "c05f2318".parse().unwrap(),
            tier: "24h".parse().unwrap(),
            iat: UnixTime(1785000000),
            exp: Some(UnixTime(1785088200)),
            invoice: Jti::from("HMprBnL9BTXWuPvpoKBS6e").unwrap(),
        }
    }

    fn invoice() -> Bolt11 {
        Bolt11 {
            payment_hash: Sha256::digest(PREIMAGE).into(),
            millisatoshi: 100_000,
            made: UnixTime(1785000000),
            expires: UnixTime(1785001800),
            network: "regtest",
        }
    }

    /// The macaroon of a challenge, and the challenge of the other scheme as the object that clients send back.
    fn challenges(keyring: &Keyring) -> (String, serde_json::Value) {
        let l402 = l402::challenge(keyring, &bought(), &invoice().payment_hash, &[9; 32], "lnbcrt1");
        let macaroon = l402.split('"').nth(1).unwrap().to_owned();
        let text =
            payment::challenge(keyring, &bought(), "video.example", &invoice(), "lnbcrt1", "2026-07-25T17:49:00Z");
        let values = text.strip_prefix("Payment ").unwrap().split(", ").map(|part| part.split_once("=").unwrap());
        let echo = values.map(|(name, value)| (name.to_owned(), value.trim_matches('"').into()));
        (macaroon, serde_json::Value::Object(echo.collect()))
    }

    fn l402_line(macaroon: &str) -> String {
        format!("L402 {macaroon}:{}", hex(&PREIMAGE))
    }

    fn payment_line(echo: &serde_json::Value, preimage: &[u8]) -> String {
        let json = json!({ "challenge": echo, "payload": { "preimage": hex(preimage) }, "source": "did:x" });
        format!("Payment {}", URL_SAFE_NO_PAD.encode(json.to_string()))
    }

    /// What the one credential of a line buys.
    fn buys(line: &str, keyring: &Keyring) -> Result<Bought, CredentialError> {
        let mut found = credentials(line.as_bytes(), keyring);
        assert_eq!(found.len(), 1, "{line}");
        found.remove(0).map(|paid| paid.bought)
    }

    #[test]
    fn both_schemes_buy_what_their_challenge_sold_and_the_same_token() {
        let keyring = keyring(&[(1, false)]);
        let (macaroon, echo) = challenges(&keyring);
        let (l402, payment) = (l402_line(&macaroon), payment_line(&echo, &PREIMAGE));
        assert_eq!(buys(&l402, &keyring), Ok(bought()));
        assert_eq!(buys(&payment, &keyring), Ok(bought()));
        let token = bought().token(keyring.signing());
        let claims = crate::gate::token::UntrustedToken::parse(token.expose().as_bytes()).unwrap().verify(&keyring);
        assert_eq!(claims.unwrap().jti(), "HMprBnL9BTXWuPvpoKBS6e");
    }

    #[test]
    fn what_clients_write_differently_buys_the_same() {
        let keyring = keyring(&[(1, false)]);
        let (macaroon, mut echo) = challenges(&keyring);
        let preimage = hex(&PREIMAGE);
        for line in [
            format!("LSAT {macaroon}:{preimage}"),
            format!("l402   {macaroon}:{}", preimage.to_uppercase()),
            format!(" L402\t{}:{preimage}", macaroon.trim_end_matches('=')),
            format!("L402 {}:{preimage}", macaroon.replace('+', "-").replace('/', "_")),
        ] {
            assert_eq!(buys(&line, &keyring), Ok(bought()), "{line}");
        }
        // Padded; and without an id's padding, other members dropped or added.
        echo["description"] = "a film".into();
        let padded = payment_line(&echo, &PREIMAGE) + "==";
        assert_eq!(buys(&padded, &keyring), Ok(bought()));
        assert!(credentials(b"Bearer abc", &keyring).is_empty() && credentials(b"L402", &keyring).is_empty());
    }

    #[test]
    fn several_macaroons_are_each_looked_at_and_their_number_is_bounded() {
        let keyring = keyring(&[(1, false)]);
        let (macaroon, _) = challenges(&keyring);
        let line = format!("L402 AAAA,{macaroon}:{}", hex(&PREIMAGE));
        let found = credentials(line.as_bytes(), &keyring);
        assert!(found[0].is_err() && found[1].as_ref().is_ok_and(|paid| paid.bought == bought()));
        let many = format!("L402 {}:{}", vec!["AAAA"; 1000].join(","), hex(&PREIMAGE));
        assert_eq!(credentials(many.as_bytes(), &keyring).len(), MAX_CREDENTIALS);
    }

    /// The preimage is learnt by every node on the way, and shown to strangers by LUD-21: alone it buys nothing.
    #[test]
    fn neither_the_preimage_nor_the_challenge_alone_buys_anything() {
        let (ours, other) = (keyring(&[(1, false)]), keyring(&[(2, false)]));
        let (macaroon, echo) = challenges(&ours);
        let (forged, forged_echo) = challenges(&other);
        assert_eq!(buys(&l402_line(&forged), &ours), Err(CredentialError::BadSignature));
        assert_eq!(buys(&payment_line(&forged_echo, &PREIMAGE), &ours), Err(CredentialError::BadSignature));
        let wrong = format!("L402 {macaroon}:{}", hex(&[8; 32]));
        assert_eq!(buys(&wrong, &ours), Err(CredentialError::WrongPreimage));
        assert_eq!(buys(&payment_line(&echo, &[8; 32]), &ours), Err(CredentialError::WrongPreimage));
    }

    #[test]
    fn a_credential_outlives_the_rotation_of_keys_and_ends_with_its_key() {
        let (macaroon, echo) = challenges(&keyring(&[(1, false)]));
        let lines = [l402_line(&macaroon), payment_line(&echo, &PREIMAGE)];
        for line in lines {
            assert_eq!(buys(&line, &keyring(&[(2, false), (1, false)])), Ok(bought()));
            assert_eq!(buys(&line, &keyring(&[(2, false), (1, true)])), Ok(bought()));
            assert_eq!(buys(&line, &keyring(&[(2, false)])), Err(CredentialError::BadSignature));
        }
    }

    #[test]
    fn no_changed_byte_of_a_challenge_buys_anything() {
        let keyring = keyring(&[(1, false)]);
        let (macaroon, echo) = challenges(&keyring);
        let bytes = base64::engine::general_purpose::STANDARD.decode(&macaroon).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let line = l402_line(&base64::engine::general_purpose::STANDARD.encode(changed));
            assert!(buys(&line, &keyring).is_err(), "byte {at}");
        }
        for member in ["id", "realm", "method", "intent", "request", "expires"] {
            let mut changed = echo.clone();
            let text = changed[member].as_str().unwrap().to_owned();
            let first = if text.starts_with('A') { "B" } else { "A" };
            changed[member] = format!("{first}{}", &text[1..]).into();
            assert!(buys(&payment_line(&changed, &PREIMAGE), &keyring).is_err(), "{member}");
        }
    }

    /// A holder may narrow a macaroon. Nothing that is added widens it, and what cannot be enforced is not passed over.
    #[test]
    fn an_added_caveat_shortens_or_is_refused() {
        let keyring = keyring(&[(1, false)]);
        let mac = keyring.signing().mac(crate::gate::keyring::Purpose::Macaroon);
        let with = |caveat: &str| {
            let caveats = [bought().caveats(), vec![caveat.to_owned()]].concat();
            let bytes = macaroon::mint(mac, &invoice().payment_hash, &[9; 32], &caveats);
            buys(&l402_line(&base64::engine::general_purpose::STANDARD.encode(bytes)), &keyring)
        };
        let until = |exp| Bought { exp: Some(UnixTime(exp)), ..bought() };
        assert_eq!(with("video_valid_until=1785000100"), Ok(until(1785000100)));
        assert_eq!(with("video_valid_until=1999999999"), Ok(until(1785088200)));
        for caveat in ["invoice=another", "video_capabilities=*", "services=video:forever", "ip=127.0.0.1", ""] {
            assert!(matches!(with(caveat), Err(CredentialError::Malformed(_))), "{caveat}");
        }
    }

    #[test]
    fn the_request_is_canonical_json_and_a_receipt_holds_no_preimage() {
        let keyring = keyring(&[(1, false)]);
        let (_, echo) = challenges(&keyring);
        let request = URL_SAFE_NO_PAD.decode(echo["request"].as_str().unwrap()).unwrap();
        let hash = hex(&invoice().payment_hash);
        let expected = format!(
            r#"{{"amount":"100","currency":"sat","externalId":"services=video:24h;video_capabilities=c05f2318;video_valid_until=1785088200;video_issued_at=1785000000;invoice=HMprBnL9BTXWuPvpoKBS6e","methodDetails":{{"invoice":"lnbcrt1","network":"regtest","paymentHash":"{hash}"}}}}"#
        );
        assert_eq!(String::from_utf8(request).unwrap(), expected);
        let paid = credentials(payment_line(&echo, &PREIMAGE).as_bytes(), &keyring).remove(0).unwrap();
        let receipt = URL_SAFE_NO_PAD.decode(paid.receipt("2026-07-25T17:20:00Z")).unwrap();
        let receipt = String::from_utf8(receipt).unwrap();
        assert!(receipt.contains(&hash) && !receipt.contains(&hex(&PREIMAGE)), "{receipt}");
    }

    #[test]
    fn garbage_is_malformed_and_costs_little() {
        let keyring = keyring(&[(1, false)]);
        let long = "A".repeat(9000);
        for rest in ["", ":", "::", "a:b", "%:00", &long, &format!("{long}:{}", hex(&PREIMAGE)), "eyJ9", "e30"] {
            for scheme in ["L402", "Payment"] {
                let found = credentials(format!("{scheme} {rest}").as_bytes(), &keyring);
                assert!(found.iter().all(|one| matches!(one, Err(CredentialError::Malformed(_)))), "{scheme} {rest}");
            }
        }
    }

    #[test]
    fn terms_are_read_back_and_nothing_else_passes_for_them() {
        let bought = |exp: Option<u64>| Bought {
            sub: "pass:summer".parse().unwrap(),
            tier: "24h".parse().unwrap(),
            iat: UnixTime(1785000000),
            exp: exp.map(UnixTime),
            invoice: Jti::from("HMprBnL9BTXWuPvpoKBS6e").unwrap(),
        };
        for exp in [None, Some(1785088200)] {
            let lines = bought(exp).caveats();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(Bought::parse(&lines), Some((bought(exp), vec![])));
            for without in 0..lines.len() {
                let mut fewer = lines.clone();
                let gone = fewer.remove(without);
                let whole = Bought::parse(&fewer).is_some_and(|(_, rest)| rest.is_empty());
                assert_eq!(whole, gone.starts_with(VALID_UNTIL), "without {gone}");
            }
        }
    }

    #[test]
    fn hex_in_any_case_and_of_the_right_length_only() {
        let mut bytes = [0; 2];
        assert!(from_hex(b"0aFf", &mut bytes));
        assert_eq!((bytes, hex(&bytes).as_str()), ([0x0a, 0xff], "0aff"));
        for bad in ["0aF", "0aFf0", "0aFg", "+aFf", "0 Ff"] {
            assert!(!from_hex(bad.as_bytes(), &mut bytes), "{bad}");
        }
    }
}
