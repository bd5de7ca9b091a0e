//! Reads of a Lightning invoice what a challenge repeats: payment hash, amount, time and network (BOLT 11).
//!
//! The signature is left unchecked: the invoice comes from the store's own node by way of BTCPay, and the payer's node
//! checks it anyway. A library that reads all of BOLT 11 brings elliptic curves, which nothing here needs.

use bech32::primitives::decode::{CheckedHrpstring, CheckedHrpstringError};
use bech32::{Checksum, Fe32};
use thiserror::Error;

use super::{HASH_LEN, PaymentHash};
use crate::gate::time::UnixTime;

/// Seconds that an invoice without an `x` field can be paid.
const DEFAULT_EXPIRY: u64 = 3600;
/// Groups of five bits behind the fields: the signature.
const SIGNATURE_LEN: usize = 104;
/// Groups of five bits before the fields: the time.
const TIME_LEN: usize = 7;

/// What a Lightning invoice asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bolt11 {
    /// SHA-256 of the preimage that the payer will get.
    pub(crate) payment_hash: PaymentHash,
    /// Thousandths of a satoshi.
    pub(crate) millisatoshi: u64,
    /// When it was made.
    pub(crate) made: UnixTime,
    /// First second at which it can no longer be paid.
    pub(crate) expires: UnixTime,
    /// `mainnet`, `testnet`, `signet` or `regtest`.
    pub(crate) network: &'static str,
}

/// Why a text is not a Lightning invoice that can be sold by.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Bolt11Error {
    /// Damaged, or something else.
    #[error("not a bech32 text with a right checksum: {0}")]
    Bech32(String),
    /// Starts with none of `lnbc`, `lntb`, `lntbs`, `lnbcrt`.
    #[error("a prefix of no network of Bitcoin")]
    Network,
    /// None, or not of BOLT 11's form.
    #[error("no amount, or one of another form than digits and m, u, n or p")]
    Amount,
    /// Too short, or a field that reaches beyond the end.
    #[error("fields that do not fit its length")]
    Fields,
    /// No `p` field.
    #[error("no payment hash")]
    NoHash,
}

impl Bolt11 {
    /// Reads `text`, in small or capital letters.
    pub(crate) fn parse(text: &str) -> Result<Bolt11, Bolt11Error> {
        let bech32 = |err: CheckedHrpstringError| Bolt11Error::Bech32(err.to_string());
        let checked = CheckedHrpstring::new::<Bolt11Checksum>(text).map_err(bech32)?;
        let (network, millisatoshi) = prefix(&checked.hrp().to_lowercase())?;
        let groups = checked.data_part_ascii_no_checksum().iter().map(|letter| Fe32::from_char((*letter).into()));
        let data = groups.map(|group| group.map(Fe32::to_u8)).collect::<Result<Vec<u8>, _>>();
        let data = data.map_err(|err| Bolt11Error::Bech32(err.to_string()))?;
        let end = data.len().checked_sub(SIGNATURE_LEN).filter(|end| *end >= TIME_LEN).ok_or(Bolt11Error::Fields)?;
        let made = number(&data[..TIME_LEN]).ok_or(Bolt11Error::Fields)?;
        let (mut hash, mut expiry) = (None, DEFAULT_EXPIRY);
        let mut fields = &data[TIME_LEN..end];
        while let [name, high, low, rest @ ..] = fields {
            let len = usize::from(*high) << 5 | usize::from(*low);
            let (value, behind) = rest.split_at_checked(len).ok_or(Bolt11Error::Fields)?;
            match Fe32::try_from(*name).map(|name| name.to_char()) {
                // Of several the first counts; one of another length is passed over (BOLT 11, "Requirements").
                Ok('p') => hash = hash.or(bytes(value)),
                Ok('x') => expiry = number(value).ok_or(Bolt11Error::Fields)?,
                _ => {}
            }
            fields = behind;
        }
        if !fields.is_empty() {
            return Err(Bolt11Error::Fields);
        }
        let made = UnixTime(made);
        let payment_hash = hash.ok_or(Bolt11Error::NoHash)?;
        Ok(Bolt11 { payment_hash, millisatoshi, made, expires: made.plus(expiry), network })
    }

    /// The amount in whole satoshis, rounded up.
    pub(crate) fn satoshi(&self) -> u64 {
        self.millisatoshi.div_ceil(1000)
    }
}

/// Bech32 without its limit on length, as BOLT 11 wants it.
struct Bolt11Checksum;

impl Checksum for Bolt11Checksum {
    type MidstateRepr = <bech32::Bech32 as Checksum>::MidstateRepr;
    /// Longer than any invoice that fits into an HTTP header.
    const CODE_LENGTH: usize = 8192;
    const CHECKSUM_LENGTH: usize = bech32::Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = bech32::Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = bech32::Bech32::TARGET_RESIDUE;
}

/// Network and thousandths of a satoshi from `lnbc2500u` and the like.
fn prefix(hrp: &str) -> Result<(&'static str, u64), Bolt11Error> {
    // The longest first: `lnbcrt` begins with `lnbc`.
    let networks = [("lnbcrt", "regtest"), ("lntbs", "signet"), ("lnbc", "mainnet"), ("lntb", "testnet")];
    let found = networks.iter().find_map(|(prefix, network)| Some((*network, hrp.strip_prefix(prefix)?)));
    let (network, amount) = found.ok_or(Bolt11Error::Network)?;
    let (digits, unit) = match amount.strip_suffix(['m', 'u', 'n', 'p']) {
        Some(digits) => (digits, &amount[digits.len()..]),
        None => (amount, ""),
    };
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Bolt11Error::Amount);
    }
    let number: u64 = digits.parse().map_err(|_| Bolt11Error::Amount)?;
    // A bitcoin is 10^11 thousandths of a satoshi; a pico-bitcoin is a tenth of one.
    let millisatoshi = match unit {
        "" => number.checked_mul(100_000_000_000),
        "m" => number.checked_mul(100_000_000),
        "u" => number.checked_mul(100_000),
        "n" => number.checked_mul(100),
        _ => number.is_multiple_of(10).then_some(number / 10),
    };
    millisatoshi.map(|amount| (network, amount)).ok_or(Bolt11Error::Amount)
}

/// Groups of five bits as one number, if it fits.
fn number(groups: &[u8]) -> Option<u64> {
    groups.iter().try_fold(0u64, |sum, group| Some(sum.checked_mul(32)? | u64::from(*group)))
}

/// 52 groups of five bits as 32 bytes; the last four bits fill up.
fn bytes(groups: &[u8]) -> Option<PaymentHash> {
    let mut bytes = [0; HASH_LEN];
    let (mut held, mut bits, mut at) = (0u32, 0, 0);
    for group in groups {
        held = held << 5 | u32::from(*group);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(at)? = (held >> bits) as u8;
            at += 1;
        }
    }
    (at == HASH_LEN).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::machine::hex;

    /// The examples of BOLT 11 ("Please send 10 mBTC", "2500 uBTC … within one minute", "9678785340 pico BTC").
    const EXAMPLES: [(&str, u64, u64); 2] = [
        (
            "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh",
            250_000_000,
            60,
        ),
        (
            "lnbc9678785340p1pwmna7lpp5gc3xfm08u9qy06djf8dfflhugl6p7lgza6dsjxq454gxhj9t7a0sd8dgfkx7cmtwd68yetpd5s9xar0wfjn5gpc8qhrsdfq24f5ggrxdaezqsnvda3kkum5wfjkzmfqf3jkgem9wgsyuctwdus9xgrcyqcjcgpzgfskx6eqf9hzqnteypzxz7fzypfhg6trddjhygrcyqezcgpzfysywmm5ypxxjemgw3hxjmn8yptk7untd9hxwg3q2d6xjcmtv4ezq7pqxgsxzmnyyqcjqmt0wfjjq6t5v4khxsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygsxqyjw5qcqp2rzjq0gxwkzc8w6323m55m4jyxcjwmy7stt9hwkwe2qxmy8zpsgg7jcuwz87fcqqeuqqqyqqqqlgqqqqn3qq9q9qrsgqrvgkpnmps664wgkp43l22qsgdw4ve24aca4nymnxddlnp8vh9v2sdxlu5ywdxefsfvm0fq3sesf08uf6q9a2ke0hc9j6z6wlxg5z5kqpu2v9wz",
            967_878_534,
            604_800,
        ),
    ];

    #[test]
    fn the_examples_of_bolt_11_are_read() {
        for (text, millisatoshi, expiry) in EXAMPLES {
            for text in [text.to_owned(), text.to_uppercase()] {
                let read = Bolt11::parse(&text).unwrap();
                assert_eq!((read.millisatoshi, read.made.until(read.expires)), (millisatoshi, expiry));
                assert_eq!(read.network, "mainnet");
            }
        }
        let first = Bolt11::parse(EXAMPLES[0].0).unwrap();
        assert_eq!(hex(&first.payment_hash), "0001020304050607080900010203040506070809000102030405060708090102");
        assert_eq!((first.made, first.satoshi()), (UnixTime(1_496_314_658), 250_000));
        // 967878534 thousandths: rounded up, since nobody can pay a part of a satoshi on the page.
        assert_eq!(Bolt11::parse(EXAMPLES[1].0).unwrap().satoshi(), 967_879);
    }

    #[test]
    fn amounts_of_every_unit_and_no_others() {
        let amount = |hrp: &str| prefix(hrp).map(|(_, amount)| amount);
        for (hrp, millisatoshi) in [
            ("lnbc1", 100_000_000_000),
            ("lnbcrt1m", 100_000_000),
            ("lntbs1u", 100_000),
            ("lntb1n", 100),
            ("lnbc10p", 1),
        ] {
            assert_eq!(amount(hrp), Ok(millisatoshi), "{hrp}");
        }
        for bad in ["lnbc", "lnbcu", "lnbc0u", "lnbc1p", "lnbc01u", "lnbc1x", "lnbc-1u", "lnbc99999999999999999999"] {
            assert_eq!(amount(bad), Err(Bolt11Error::Amount), "{bad}");
        }
        assert_eq!(amount("lnxy1u"), Err(Bolt11Error::Network));
    }

    #[test]
    fn damaged_and_foreign_texts_are_refused() {
        let good = EXAMPLES[0].0;
        for at in 0..good.len() {
            let mut bytes = good.to_owned().into_bytes();
            bytes[at] = if bytes[at] == b'q' { b'p' } else { b'q' };
            assert!(Bolt11::parse(&String::from_utf8(bytes).unwrap()).is_err(), "byte {at}");
        }
        for end in 0..good.len() {
            assert!(Bolt11::parse(&good[..end]).is_err());
        }
        let address = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        assert_eq!(Bolt11::parse(address), Err(Bolt11Error::Network));
    }
}
