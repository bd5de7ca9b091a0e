//! The "Payment" scheme: method `lightning`, intent `charge`.
//!
//! Sources: draft-httpauth-payment-00 and draft-lightning-charge-00 (drafts, 2026). All that a check needs stands in
//! `request`, since clients send back that parameter and drop others. The drafts want a credential to be spent at its first
//! use; here one payment buys many files, so it may be shown again, as Aperture does for services that are metered.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::bolt11::Bolt11;
use super::{Bought, CredentialError, HASH_LEN, Paid, PaymentHash, from_hex, hex, is_paid};
use crate::gate::keyring::{Keyring, Purpose};

/// Longest credential that is looked at: a BOLT11 with route hints is some thousand characters of it.
const MAX_LEN: usize = 8192;
/// The one method that is sold by.
const METHOD: &str = "lightning";
/// The one intent.
const INTENT: &str = "charge";
/// Between the terms in `externalId`: no term holds one.
const BETWEEN: char = ';';

/// The value of one `WWW-Authenticate` line.
///
/// - `realm`: the shop's host.
/// - `invoice`: the text that `read` was read from.
/// - `expires`: RFC 3339; not later than the invoice's own end.
pub(crate) fn challenge(
    keyring: &Keyring,
    bought: &Bought,
    realm: &str,
    read: &Bolt11,
    invoice: &str,
    expires: &str,
) -> String {
    // serde_json writes members in the order of their names and escapes as little as it may: with ASCII texts alone that is
    // the canonical form (RFC 8785), which clients rebuild.
    let request = json!({
        "amount": read.satoshi().to_string(),
        "currency": "sat",
        "externalId": bought.caveats().join(&BETWEEN.to_string()),
        "methodDetails": { "invoice": invoice, "network": read.network, "paymentHash": hex(&read.payment_hash) },
    });
    let request = URL_SAFE_NO_PAD.encode(request.to_string());
    let echo = Echo { realm, method: METHOD, intent: INTENT, request: &request, expires, digest: "", opaque: "" };
    let id = URL_SAFE_NO_PAD.encode(echo.tag(keyring.signing().mac(Purpose::Payment)).finalize().into_bytes());
    format!(
        r#"Payment id="{id}", realm="{realm}", method="{METHOD}", intent="{INTENT}", request="{request}", expires="{expires}""#
    )
}

/// What a credential buys: what stands behind the scheme.
pub(super) fn credential(text: &[u8], keyring: &Keyring) -> Result<Paid, CredentialError> {
    let json = decode(text)?;
    let read: Credential =
        serde_json::from_slice(&json).map_err(|_| CredentialError::Malformed("not its JSON form"))?;
    let challenge = &read.challenge;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (expires, digest, opaque) = (text(&challenge.expires), text(&challenge.digest), text(&challenge.opaque));
    let echo = Echo {
        realm: &challenge.realm,
        method: &challenge.method,
        intent: &challenge.intent,
        request: &challenge.request,
        expires: &expires,
        digest: &digest,
        opaque: &opaque,
    };
    if (echo.method, echo.intent) != (METHOD, INTENT) {
        return Err(CredentialError::Malformed("another method than lightning, or another intent than charge"));
    }
    let id = decode(challenge.id.as_bytes())?;
    if !keyring.iter().any(|key| echo.tag(key.mac(Purpose::Payment)).verify_slice(&id).is_ok()) {
        return Err(CredentialError::BadSignature);
    }
    let unreadable = CredentialError::Malformed("not our request");
    let request: Value = serde_json::from_slice(&decode(challenge.request.as_bytes())?).map_err(|_| unreadable)?;
    let mut hash: PaymentHash = [0; HASH_LEN];
    let written = request["methodDetails"]["paymentHash"].as_str().ok_or(unreadable)?;
    if !from_hex(written.as_bytes(), &mut hash) {
        return Err(unreadable);
    }
    is_paid(read.payload.preimage.as_bytes(), &hash)?;
    let terms: Vec<&str> = request["externalId"].as_str().ok_or(unreadable)?.split(BETWEEN).collect();
    match Bought::parse(&terms) {
        Some((bought, rest)) if rest.is_empty() => Ok(Paid { bought, hash, challenge: Some(challenge.id.clone()) }),
        _ => Err(unreadable),
    }
}

/// The parameters of a challenge that its id is the tag of.
struct Echo<'a> {
    realm: &'a str,
    method: &'a str,
    intent: &'a str,
    request: &'a str,
    expires: &'a str,
    digest: &'a str,
    opaque: &'a str,
}

impl Echo<'_> {
    /// draft-httpauth-payment-00, "Stateless challenge binding": the values joined by `|`, an empty one for what is absent.
    fn tag(&self, mac: &Hmac<Sha256>) -> Hmac<Sha256> {
        let Echo { realm, method, intent, request, expires, digest, opaque } = self;
        let joined = [*realm, method, intent, request, expires, digest, opaque].join("|");
        mac.clone().chain_update(joined)
    }
}

#[derive(Deserialize)]
struct Credential {
    challenge: Challenge,
    payload: Payload,
}

#[derive(Deserialize)]
struct Challenge {
    id: String,
    realm: String,
    method: String,
    intent: String,
    request: String,
    expires: Option<String>,
    digest: Option<String>,
    opaque: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    preimage: String,
}

/// Base64url; padding is no part of it, and some clients add it.
fn decode(text: &[u8]) -> Result<Vec<u8>, CredentialError> {
    if text.len() > MAX_LEN {
        return Err(CredentialError::Malformed("longer than any of ours"));
    }
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1);
    URL_SAFE_NO_PAD.decode(&text[..end]).map_err(|_| CredentialError::Malformed("not base64url"))
}
