//! No text verifies under a key that its maker does not know.
#![no_main]

use std::sync::LazyLock;

use hlsgate::gate::{Jwk, JwkSet, Secret};
use hlsgate::gate::Keyring;
use hlsgate::gate::UntrustedToken;
use libfuzzer_sys::fuzz_target;

static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::new(&JwkSet::new(vec![Jwk::new("k1".into(), Secret::new(vec![0xA5; 32]), 0)])));

fuzz_target!(|text: &[u8]| {
    if let Ok(token) = UntrustedToken::parse(text) {
        assert!(token.verify(&KEYRING).is_err());
    }
});
