//! The secret of one purchase: whoever shows it made the invoice through us, for exactly this order.
//!
//! Text: base64url without padding of d ‖ HMAC-SHA256(claim key, invoice id ‖ 0x00 ‖ d), with d the first 16 bytes of
//! SHA-256 of the order's text. It can be checked without asking anybody, so a stranger costs BTCPay nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::gate::keyring::{Key, Keyring, Purpose};

/// Bytes of an order's digest in a claim.
const DIGEST_LEN: usize = 16;
/// Bytes of an HMAC-SHA256 tag.
const TAG_LEN: usize = 32;
const CLAIM_LEN: usize = DIGEST_LEN + TAG_LEN;
/// Characters of its text.
const TEXT_LEN: usize = CLAIM_LEN / 3 * 4;
/// Most characters of an invoice's id.
const MAX_ID_LEN: usize = 64;

/// A claim's text. It is a secret: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Claim(String);

/// A claim that one of our keys made for this invoice; the order it is for is still to be compared.
#[derive(Clone)]
pub(crate) struct VerifiedClaim {
    digest: [u8; DIGEST_LEN],
}

impl Claim {
    /// The claim on an invoice that was just made for `order` (the order's signed text).
    pub(crate) fn new(key: &Key, invoice: &str, order: &str) -> Claim {
        let digest = digest(order);
        let mut bytes = [0; CLAIM_LEN];
        bytes[..DIGEST_LEN].copy_from_slice(&digest);
        bytes[DIGEST_LEN..].copy_from_slice(&mac(key, invoice, &digest).finalize().into_bytes());
        Claim(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The text, for the buyer.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl VerifiedClaim {
    /// Checks `text` as a claim on `invoice`, in constant time, under every key of the set, retired ones included.
    ///
    /// - `text`: as the viewer sent it; whatever is no claim on this invoice gives `None`, without a reason.
    pub(crate) fn verify(text: &[u8], invoice: &str, keyring: &Keyring) -> Option<VerifiedClaim> {
        let mut bytes = [0; CLAIM_LEN];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(CLAIM_LEN) => {}
            _ => return None,
        }
        let (digest, tag) = bytes.split_at(DIGEST_LEN);
        let digest: [u8; DIGEST_LEN] = digest.try_into().ok()?;
        let fits = keyring.iter().any(|key| mac(key, invoice, &digest).verify_slice(tag).is_ok());
        fits.then_some(VerifiedClaim { digest })
    }

    /// Whether the claim is for this order (the order's signed text, from the invoice's metadata).
    pub(crate) fn is_for(&self, order: &str) -> bool {
        self.digest.ct_eq(&digest(order)).into()
    }
}

/// Whether these look like an invoice's id and the claim on it, whoever made them.
pub(crate) fn is_shaped(invoice: &str, claim: &[u8]) -> bool {
    let id = (1..=MAX_ID_LEN).contains(&invoice.len()) && invoice.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let base64url = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    id && claim.len() == TEXT_LEN && claim.iter().all(base64url)
}

fn digest(order: &str) -> [u8; DIGEST_LEN] {
    let mut first = [0; DIGEST_LEN];
    first.copy_from_slice(&Sha256::digest(order)[..DIGEST_LEN]);
    first
}

fn mac(key: &Key, invoice: &str, digest: &[u8; DIGEST_LEN]) -> hmac::Hmac<Sha256> {
    let mut mac = key.mac(Purpose::Claim).clone();
    mac.update(invoice.as_bytes());
    // No invoice id holds a zero byte, so no two pairs of id and digest are the same bytes.
    mac.update(&[0]);
    mac.update(digest);
    mac
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim(…)")
    }
}

impl fmt::Debug for VerifiedClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedClaim(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::jwk::{Jwk, JwkSet, Secret};

    fn keyring(keys: &[(&str, u8, bool)]) -> Keyring {
        let key = |(kid, byte, retired): &(&str, u8, bool)| {
            let mut jwk = Jwk::new((*kid).into(), Secret::new(vec![*byte; 32]), 0);
            jwk.retired = *retired;
            jwk
        };
        Keyring::new(&JwkSet::new(keys.iter().map(key).collect()))
    }

    #[test]
    fn a_claim_is_for_one_invoice_and_one_order() {
        let keyring = keyring(&[("k1", 1, false)]);
        let claim = Claim::new(keyring.signing(), "inv1", "order");
        let verified = VerifiedClaim::verify(claim.expose().as_bytes(), "inv1", &keyring).unwrap();
        assert!(verified.is_for("order"));
        assert!(!verified.is_for("another order"));
        assert!(VerifiedClaim::verify(claim.expose().as_bytes(), "inv2", &keyring).is_none());
        assert_eq!(claim.expose().len(), 64);
    }

    /// Worked out with Python's hmac and hashlib: the format, HKDF's label included, is a promise to other daemons.
    #[test]
    fn the_bytes_of_a_claim_are_fixed() {
        let set = JwkSet::new(vec![Jwk::new("k1".into(), Secret::new((0..32).collect()), 0)]);
        let claim = Claim::new(Keyring::new(&set).signing(), "HMprBnL9BTXWuPvpoKBS6e", "an.order.text");
        assert_eq!(claim.expose(), "950pI6BtI3IfX6o9D5lqccLc0QzkhR10h7qQXVDebGDBmn7PeXUIyQjtZdAhLfAq");
    }

    #[test]
    fn a_claim_outlives_the_rotation_of_keys_and_ends_with_its_key() {
        let claim = Claim::new(keyring(&[("k1", 1, false)]).signing(), "inv1", "order");
        let valid = |keys: &[_]| VerifiedClaim::verify(claim.expose().as_bytes(), "inv1", &keyring(keys)).is_some();
        assert!(valid(&[("k2", 2, false), ("k1", 1, false)]));
        assert!(valid(&[("k2", 2, false), ("renamed", 1, true)]));
        assert!(!valid(&[("k2", 2, false)]));
    }

    #[test]
    fn nothing_else_is_a_claim_and_no_claim_is_shown() {
        let keyring = keyring(&[("k1", 1, false)]);
        let claim = Claim::new(keyring.signing(), "inv1", "order");
        let text = claim.expose();
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(VerifiedClaim::verify(&bytes, "inv1", &keyring).is_none(), "byte {at}");
        }
        for bad in
            ["", "A", &text[..63], &format!("{text}A"), &format!("{text}="), &format!(" {text}"), &"A".repeat(9000)]
        {
            assert!(VerifiedClaim::verify(bad.as_bytes(), "inv1", &keyring).is_none());
        }
        assert_eq!(format!("{claim:?}"), "Claim(…)");
        assert!(is_shaped("inv1", text.as_bytes()));
        for (id, claim) in [("", text), ("in;v", text), (&*"a".repeat(65), text), ("inv1", &text[1..]), ("inv1", "")] {
            assert!(!is_shaped(id, claim.as_bytes()), "{id}~{claim}");
        }
        assert!(!is_shaped("inv1", &[0xff; TEXT_LEN]));
    }
}
