//! Lightning invoices (BOLT11), addresses and LNURLs for `regtest`: real ones in form, checksum and signature, worth nothing.

use bech32::{Bech32, Fe32, Fe32IterExt, Hrp, segwit};
use k256::ecdsa::SigningKey;
use sha2::{Digest, Sha256};

use crate::ids;

/// What a BOLT11 invoice says. Times in seconds; no `millisatoshi` lets the payer choose.
pub struct Terms<'a> {
    pub millisatoshi: Option<u64>,
    pub payment_hash: [u8; 32],
    pub description: Description<'a>,
    pub timestamp: u64,
    pub expiry: u64,
}

/// What is paid for: a text, or one of which the invoice has the SHA-256 alone, as that of an LNURL does.
pub enum Description<'a> {
    Text(&'a str),
    Hashed(&'a str),
}

/// The Lightning node: a throw-away key.
pub struct Node {
    key: SigningKey,
}

impl Node {
    pub fn new() -> Self {
        loop {
            if let Ok(key) = SigningKey::from_slice(&ids::random::<32>()) {
                return Node { key };
            }
        }
    }

    /// The node id: 33 bytes, hex.
    pub fn id(&self) -> String {
        ids::hex(self.key.verifying_key().to_encoded_point(true).as_bytes())
    }

    /// Signs `terms` as BOLT11 describes: SHA-256 over the prefix and the data padded to whole bytes.
    pub fn invoice(&self, terms: &Terms<'_>) -> String {
        let prefix = format!("lnbcrt{}", terms.millisatoshi.map_or(String::new(), amount));
        let mut data = number(terms.timestamp, 7);
        field(&mut data, b'p', &fives(&terms.payment_hash));
        field(&mut data, b's', &fives(&ids::random::<32>()));
        match terms.description {
            Description::Text(text) => field(&mut data, b'd', &fives(shortened(text).as_bytes())),
            Description::Hashed(text) => field(&mut data, b'h', &fives(&Sha256::digest(text))),
        }
        field(&mut data, b'x', &number(terms.expiry, 4));
        field(&mut data, b'c', &number(18, 1));
        // Features 8 (onion of variable length) and 14 (payment secret), both required.
        field(&mut data, b'9', &[16, 8, 0]);

        let digest = Sha256::new().chain_update(&prefix).chain_update(bytes(&data)).finalize();
        let (signature, recovery) =
            self.key.sign_prehash_recoverable(&digest).expect("a SHA-256 digest is long enough to sign");
        let mut tag = signature.to_bytes().to_vec();
        tag.push(recovery.to_byte());
        data.extend(fives(&tag));
        encode(&prefix, &data)
    }
}

/// A fresh address: version 0, 20 random bytes for the hash of a key nobody has.
pub fn address() -> String {
    let hrp = Hrp::parse("bcrt").expect("a valid prefix");
    segwit::encode_v0(hrp, &ids::random::<20>()).expect("20 bytes are a valid program")
}

/// The LNURL of `url`.
pub fn lnurl(url: &str) -> String {
    encode("lnurl", &fives(url.as_bytes()))
}

/// 639 bytes are the most that a tagged field holds.
fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(639)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    &text[..end]
}

fn encode(prefix: &str, data: &[u8]) -> String {
    let hrp = Hrp::parse(prefix).expect("a valid prefix");
    let fes = data.iter().map(|&five| Fe32::try_from(five).expect("five bits"));
    fes.with_checksum::<Bech32>(&hrp).chars().collect()
}

/// The shortest amount: the largest unit of milli, micro, nano and pico that leaves no fraction.
fn amount(millisatoshi: u64) -> String {
    for (unit, size) in [("m", 100_000_000), ("u", 100_000), ("n", 100)] {
        if millisatoshi.is_multiple_of(size) {
            return format!("{}{unit}", millisatoshi / size);
        }
    }
    format!("{}p", millisatoshi * 10)
}

fn field(data: &mut Vec<u8>, name: u8, value: &[u8]) {
    let tag = Fe32::from_char(char::from(name)).expect("a bech32 letter").to_u8();
    data.push(tag);
    data.extend(number(value.len() as u64, 2));
    data.extend(value);
}

/// `value` in groups of five bits, at least `least` of them.
fn number(value: u64, least: usize) -> Vec<u8> {
    let needed = (64 - value.leading_zeros() as usize).div_ceil(5).max(least);
    (0..needed).rev().map(|group| (value >> (5 * group) & 31) as u8).collect()
}

fn fives(bytes: &[u8]) -> Vec<u8> {
    regroup(bytes, 8, 5)
}

fn bytes(fives: &[u8]) -> Vec<u8> {
    regroup(fives, 5, 8)
}

/// Regroups bits, the last group filled up with zeros.
fn regroup(input: &[u8], from: u32, to: u32) -> Vec<u8> {
    let (mut out, mut buffer, mut held) = (Vec::new(), 0u32, 0u32);
    let mask = (1u32 << to) - 1;
    for &group in input {
        buffer = buffer << from | u32::from(group);
        held += from;
        while held >= to {
            held -= to;
            out.push((buffer >> held & mask) as u8);
        }
        buffer &= (1 << held) - 1;
    }
    if held > 0 {
        out.push((buffer << (to - held) & mask) as u8);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

    #[test]
    fn amounts_take_the_largest_unit() {
        for (millisatoshi, text) in [
            (10_000_000, "100u"),
            (100_000_000, "1m"),
            (100_000, "1u"),
            (1_000, "10n"),
            (1, "10p"),
            (123_456, "1234560p"),
        ] {
            assert_eq!(amount(millisatoshi), text);
        }
    }

    #[test]
    fn an_invoice_decodes_and_names_its_node() {
        let node = Node::new();
        let terms = Terms {
            millisatoshi: Some(10_000_000),
            payment_hash: [7; 32],
            description: Description::Text("48 h pass"),
            timestamp: 1_785_000_000,
            expiry: 900,
        };
        let text = node.invoice(&terms);
        let (prefix, rest) = text.rsplit_once('1').unwrap();
        assert_eq!(prefix, "lnbcrt100u");
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32>(&text).unwrap();
        let data: Vec<u8> = rest[..rest.len() - 6].chars().map(|c| Fe32::from_char(c).unwrap().to_u8()).collect();
        assert_eq!(checked.hrp().to_string(), prefix);
        assert_eq!(data[..7].iter().fold(0u64, |sum, &five| sum << 5 | u64::from(five)), 1_785_000_000);
        let (signed, tag) = data.split_at(data.len() - 104);
        let tag = bytes(tag);
        let digest = Sha256::new().chain_update(prefix).chain_update(bytes(signed)).finalize();
        let signature = Signature::from_slice(&tag[..64]).unwrap();
        let key =
            VerifyingKey::recover_from_prehash(&digest, &signature, RecoveryId::from_byte(tag[64]).unwrap()).unwrap();
        assert_eq!(ids::hex(key.to_encoded_point(true).as_bytes()), node.id());
    }

    #[test]
    fn an_address_has_a_checksum() {
        assert!(segwit::decode(&address()).is_ok());
    }
}
