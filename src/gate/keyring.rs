//! The keys as the gate uses them: found by `kid`, one signs, all verify. `Debug` shows no bytes.

use std::cmp::Ordering;
use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::jwk::{Jwk, JwkSet};
use super::jws::{self, JwsError, UntrustedJws};

/// Every key of a [`JwkSet`], made ready: checking a tag neither allocates nor derives.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Vec<Key>,
    /// Places in `keys`, sorted by what a look-up compares: a question costs the same for 3 keys and for 100.
    by_header: Vec<usize>,
    by_kid: Vec<usize>,
}

/// One key, with a keyed MAC for each kind of artefact.
#[derive(Clone)]
pub struct Key {
    kid: Box<str>,
    encoded_header: Box<[u8]>,
    retired: bool,
    token: Hmac<Sha256>,
    order: Hmac<Sha256>,
    claim: Hmac<Sha256>,
    macaroon: Hmac<Sha256>,
    payment: Hmac<Sha256>,
}

/// What a MAC is for. Each kind has a key of its own, so that none can pass for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A viewer's token: the key of the set itself, so that any JWT library can take part.
    Token,
    /// The order in an invoice's metadata.
    Order,
    /// The claim on an invoice.
    Claim,
    /// The macaroon of an L402 challenge.
    Macaroon,
    /// The id of a challenge of the "Payment" scheme.
    Payment,
}

impl Purpose {
    /// HKDF's `info`. Part of the format: a change makes every open order and claim worthless.
    const fn label(self) -> &'static [u8] {
        match self {
            Purpose::Token => b"",
            Purpose::Order => b"hlsgate order v1",
            Purpose::Claim => b"hlsgate claim v1",
            Purpose::Macaroon => b"hlsgate macaroon v1",
            Purpose::Payment => b"hlsgate payment v1",
        }
    }
}

impl Keyring {
    /// Makes the keys of a set ready. The set was checked when it was read: it is not empty, and its first key signs.
    pub fn new(set: &JwkSet) -> Keyring {
        let keys: Vec<Key> = set.keys.iter().map(Key::new).collect();
        let (mut by_header, mut by_kid) = (Vec::from_iter(0..keys.len()), Vec::from_iter(0..keys.len()));
        by_header.sort_by_key(|at| &keys[*at].encoded_header);
        by_kid.sort_by_key(|at| &keys[*at].kid);
        Keyring { keys, by_header, by_kid }
    }

    /// The key that signs: the first of the set.
    pub fn signing(&self) -> &Key {
        &self.keys[0]
    }

    /// The key of this name, retired or not.
    pub fn find(&self, kid: &str) -> Option<&Key> {
        self.look_up(&self.by_kid, |key| (*key.kid).cmp(kid))
    }

    /// Every key, the signing one first; for artefacts that name no key.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// The key that a JWS names: `Ok(None)` when its name is not in the set.
    pub(super) fn named_by(&self, jws: &UntrustedJws<'_>) -> Result<Option<&Key>, JwsError> {
        // A header that we wrote ourselves is known by its bytes; others are taken apart.
        match self.look_up(&self.by_header, |key| (*key.encoded_header).cmp(jws.encoded_header())) {
            Some(key) => Ok(Some(key)),
            None => Ok(self.find(&jws.kid()?)),
        }
    }

    fn look_up(&self, sorted: &[usize], compare: impl Fn(&Key) -> Ordering) -> Option<&Key> {
        sorted.binary_search_by(|at| compare(&self.keys[*at])).ok().map(|found| &self.keys[sorted[found]])
    }
}

impl Key {
    fn new(jwk: &Jwk) -> Key {
        let secret = jwk.secret.expose();
        let derived = |purpose: Purpose| {
            let mut bytes = zeroize::Zeroizing::new([0; 32]);
            Hkdf::<Sha256>::new(None, secret)
                .expand(purpose.label(), bytes.as_mut())
                .expect("32 bytes are a length that HKDF gives");
            keyed(bytes.as_ref())
        };
        Key {
            kid: jwk.kid.as_str().into(),
            encoded_header: jws::encoded_header(&jwk.kid).into_bytes().into(),
            retired: jwk.retired,
            token: keyed(secret),
            order: derived(Purpose::Order),
            claim: derived(Purpose::Claim),
            macaroon: derived(Purpose::Macaroon),
            payment: derived(Purpose::Payment),
        }
    }

    /// The key's name.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether the key verifies orders and claims only.
    pub(crate) fn retired(&self) -> bool {
        self.retired
    }

    /// The keyed, empty MAC for this kind of artefact.
    pub(crate) fn mac(&self, purpose: Purpose) -> &Hmac<Sha256> {
        match purpose {
            Purpose::Token => &self.token,
            Purpose::Order => &self.order,
            Purpose::Claim => &self.claim,
            Purpose::Macaroon => &self.macaroon,
            Purpose::Payment => &self.payment,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("retired", &self.retired).finish_non_exhaustive()
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::jwk::Secret;

    #[test]
    fn every_key_is_found_by_its_header_and_by_its_name() {
        // Not in the order of their names.
        let kids = ["k9", "k10", "k1", "a", "k", "Z"];
        let jwks = kids.iter().map(|kid| Jwk::new((*kid).into(), Secret::new(kid.repeat(32).into()), 0)).collect();
        let keyring = Keyring::new(&JwkSet::new(jwks));
        assert_eq!(keyring.signing().kid(), kids[0]);
        assert_eq!(Vec::from_iter(keyring.iter().map(Key::kid)), kids);
        for kid in kids {
            assert_eq!(keyring.find(kid).map(Key::kid), Some(kid));
            let signed = jws::sign(kid, keyring.signing().mac(Purpose::Token), "{}");
            let named = keyring.named_by(&UntrustedJws::parse(signed.as_bytes()).unwrap()).unwrap();
            assert_eq!(named.map(Key::kid), Some(kid));
        }
        for kid in ["", "k2", "zz"] {
            assert!(keyring.find(kid).is_none(), "{kid}");
        }
    }
}
