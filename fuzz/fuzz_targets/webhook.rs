//! Whatever is sent to the webhook: no panic, and no signature that fits by chance.
#![no_main]

use std::sync::LazyLock;

use hlsgate::btcpay::WebhookSecrets;
use hlsgate::btcpay::{Delivery, verify};
use libfuzzer_sys::fuzz_target;

static SECRETS: LazyLock<WebhookSecrets> =
    LazyLock::new(|| WebhookSecrets::parse("a secret that the fuzzer does not know").expect("a good secret"));

fuzz_target!(|delivery: (Vec<u8>, Vec<u8>)| {
    let (header, body) = delivery;
    assert!(verify(&header, &body, &SECRETS).is_err());
    let _ = Delivery::parse(&body);
});
