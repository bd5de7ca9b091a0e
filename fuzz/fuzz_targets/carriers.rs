//! Headers as nginx passes them on: whatever stands in them, nothing opens without the key.
#![no_main]

use std::sync::LazyLock;

use hlsgate::gate::{AuthRequest, Jwk, JwkSet, Keyring, Kind, Passes, Policy, Revocations, Secret, UnixTime, decide};
use hlsgate::{PATH_TOKEN, QUERY, tokens};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy {
    keyring: Keyring::new(&JwkSet::new(vec![Jwk::new("k1".into(), Secret::new(vec![0xA5; 32]), 0)])),
    revocations: Revocations::default(),
    passes: Passes::default(),
    leeway: 0,
    grace: 0,
});

fuzz_target!(|lines: Vec<(u8, Vec<u8>)>| {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = ["cookie", "authorization", QUERY, PATH_TOKEN][usize::from(name) % 4];
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(name, value);
        }
    }
    let Ok(video) = "vid1".parse() else { return };
    let request = AuthRequest { video, kind: Kind::Playlist, tokens: tokens(&headers) };
    assert!(decide(&request, &POLICY, UnixTime(1_785_000_000)).is_err());
});
