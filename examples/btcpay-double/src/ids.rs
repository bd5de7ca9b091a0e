//! Identifiers: 16 random bytes in base58 as BTCPay has them, and hex.

use sha2::{Digest, Sha256};

/// Bytes from the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// 16 random bytes in base58: 21 or 22 characters.
pub fn fresh() -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut rest = u128::from_be_bytes(random());
    let mut digits = Vec::new();
    while rest > 0 {
        digits.push(char::from(ALPHABET[(rest % 58) as usize]));
        rest /= 58;
    }
    digits.iter().rev().collect()
}

/// What Core Lightning's client calls an invoice: about 27 letters of base58.
pub fn label() -> String {
    let mut label = fresh() + &fresh();
    label.truncate(27);
    label
}

/// 95 letters, as Monero's addresses of one payment have; worth nothing.
pub fn monero_address() -> String {
    let mut address = format!("8{}", (0..5).map(|_| fresh()).collect::<String>());
    address.truncate(95);
    address
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A preimage and its payment hash.
pub fn preimage() -> ([u8; 32], [u8; 32]) {
    let preimage = random();
    (preimage, Sha256::digest(preimage).into())
}
