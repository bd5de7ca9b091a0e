//! Where a payout may go: an address, or a BOLT11 that lives long enough.

use bech32::{Bech32, primitives::decode::CheckedHrpstring, segwit};
use sha2::{Digest, Sha256};

/// What a BOLT11 without an expiry has, in seconds.
const BOLT11_EXPIRY: u64 = 3600;
const DAY: u64 = 86_400;

/// Errors with what the 422 says. `days`: how long a BOLT11 has to be valid.
pub fn check(destination: &str, method: &str, days: i64) -> Result<(), String> {
    if method == "BTC-CHAIN" {
        let address = destination.strip_prefix("bitcoin:").unwrap_or(destination);
        let valid = segwit::decode(address).is_ok_and(|(prefix, ..)| prefix.as_str() == "bcrt") || is_base58(address);
        return if valid { Ok(()) } else { Err("A valid address was not provided".into()) };
    }
    if destination.contains('@') || destination.to_lowercase().starts_with("lnurl") {
        return Err("The LNURL / Lightning Address provided was not online.".into());
    }
    let Some(expiry) = bolt11_expiry(destination) else {
        return Err("A valid BOLT11 invoice or LNURL Pay or Lightning address was not provided.".into());
    };
    let given = expiry / DAY;
    match i64::try_from(given).is_ok_and(|given| given >= days) {
        true => Ok(()),
        false => Err(format!(
            "The BOLT11 invoice must have an expiry date of at least {days} days from submission (Provided was only {given})."
        )),
    }
}

/// A legacy address of regtest: base58 with a checksum.
fn is_base58(address: &str) -> bool {
    const ALPHABET: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = [0u8; 25];
    for letter in address.chars() {
        let Some(digit) = ALPHABET.find(letter) else { return false };
        let mut carry = digit as u32;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = (carry & 255) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            return false;
        }
    }
    let (payload, checksum) = bytes.split_at(21);
    [111, 196].contains(&payload[0]) && Sha256::digest(Sha256::digest(payload))[..4] == *checksum
}

/// How long a BOLT11 of regtest lives, in seconds.
fn bolt11_expiry(bolt11: &str) -> Option<u64> {
    let checked = CheckedHrpstring::new::<Bech32>(bolt11).ok()?;
    if !checked.hrp().as_str().starts_with("lnbcrt") {
        return None;
    }
    let fives: Vec<u8> = checked.fe32_iter::<std::iter::Empty<u8>>().map(|five| five.to_u8()).collect();
    // A timestamp of 7 groups, tagged fields, a signature of 104.
    let mut fields = fives.get(7..fives.len().checked_sub(104)?)?;
    while let [tag, high, low, rest @ ..] = fields {
        let length = usize::from(*high) * 32 + usize::from(*low);
        let value = rest.get(..length)?;
        // `x`
        if *tag == 6 {
            return Some(value.iter().fold(0u64, |sum, five| sum << 5 | u64::from(*five)));
        }
        fields = &rest[length..];
    }
    Some(BOLT11_EXPIRY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bolt11::{Node, Terms, address};

    #[test]
    fn addresses_have_checksums() {
        assert_eq!(check(&address(), "BTC-CHAIN", 30), Ok(()));
        assert_eq!(check("mjzBMuackJR3CsF8i2NLifV5GAihaWCQFZ", "BTC-CHAIN", 30), Ok(()));
        for wrong in
            ["mjzBMuackJR3CsF8i2NLifV5GAihaWCQFY", "nonsense", "", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]
        {
            assert!(check(wrong, "BTC-CHAIN", 30).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bolt11_has_to_live_for_thirty_days() {
        let bolt11 = |expiry| {
            Node::new().invoice(&Terms {
                millisatoshi: Some(1000),
                payment_hash: [7; 32],
                description: crate::bolt11::Description::Text("refund"),
                timestamp: 1_785_000_000,
                expiry,
            })
        };
        assert_eq!(check(&bolt11(30 * DAY), "BTC-LN", 30), Ok(()));
        let short = check(&bolt11(30 * DAY - 1), "BTC-LN", 30).unwrap_err();
        assert!(short.contains("(Provided was only 29)"), "{short}");
        assert!(check("someone@example.com", "BTC-LN", 30).unwrap_err().contains("was not online"));
    }
}
