//! A macaroon in the binary form of version 2: an identifier, lines of text (caveats), and a chain of HMACs over both.
//!
//! Clients look into it: `lnget` wants an identifier of 66 bytes with the payment hash in it (L402, "Macaroon minting").
//! Source: libmacaroons, `doc/format.txt`; L402's `protocol-specification.md`.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{CredentialError, HASH_LEN, PaymentHash};

/// Bytes of the random part of an identifier.
pub(crate) const TOKEN_ID_LEN: usize = 32;
/// Version (2, big-endian), payment hash, token id.
const IDENTIFIER_LEN: usize = 2 + HASH_LEN + TOKEN_ID_LEN;
/// The version of L402's identifier.
const IDENTIFIER_VERSION: [u8; 2] = [0, 0];
/// The version of the binary form.
const VERSION: u8 = 2;
const TAG_LEN: usize = 32;
/// More caveats than anybody adds.
const MAX_CAVEATS: usize = 16;

/// Types of fields, and the end of a section.
const END: u8 = 0;
const IDENTIFIER: u8 = 2;
const SIGNATURE: u8 = 6;

/// A macaroon that was not verified yet.
pub(crate) struct UntrustedMacaroon<'a> {
    identifier: &'a [u8],
    caveats: Vec<&'a str>,
    tag: &'a [u8],
}

/// The bytes of a macaroon over these caveats. `mac` is keyed and empty.
pub(crate) fn mint(
    mac: &Hmac<Sha256>,
    hash: &PaymentHash,
    token_id: &[u8; TOKEN_ID_LEN],
    caveats: &[String],
) -> Vec<u8> {
    let identifier = [&IDENTIFIER_VERSION, hash.as_slice(), token_id].concat();
    let mut bytes = vec![VERSION];
    field(&mut bytes, IDENTIFIER, &identifier);
    bytes.push(END);
    for caveat in caveats {
        field(&mut bytes, IDENTIFIER, caveat.as_bytes());
        bytes.push(END);
    }
    bytes.push(END);
    let tag = tag(mac, &identifier, caveats.iter().map(String::as_str)).finalize().into_bytes();
    field(&mut bytes, SIGNATURE, &tag);
    bytes
}

impl<'a> UntrustedMacaroon<'a> {
    /// Takes a macaroon's fields apart. A place for third parties, and anything behind the signature, is refused.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, CredentialError> {
        let mut reader = Reader(bytes);
        let read = reader.macaroon().filter(|_| reader.0.is_empty());
        read.ok_or(CredentialError::Malformed("not a macaroon of version 2"))
    }

    /// Checks the chain of tags, in constant time. `mac` is keyed and empty.
    pub(crate) fn verify(&self, mac: &Hmac<Sha256>) -> Result<(), CredentialError> {
        let tag = tag(mac, self.identifier, self.caveats.iter().copied());
        tag.verify_slice(self.tag).map_err(|_| CredentialError::BadSignature)
    }

    /// The payment hash that the identifier holds.
    pub(crate) fn payment_hash(&self) -> Result<PaymentHash, CredentialError> {
        let hash =
            self.identifier.strip_prefix(&IDENTIFIER_VERSION).filter(|_| self.identifier.len() == IDENTIFIER_LEN);
        hash.and_then(|rest| rest.first_chunk()).copied().ok_or(CredentialError::Malformed("not an identifier of L402"))
    }

    /// The caveats, in their order.
    pub(crate) fn caveats(&self) -> &[&'a str] {
        &self.caveats
    }
}

/// The last link of the chain: each tag is the key of the next one, so a holder can add caveats and take none away.
fn tag<'c>(mac: &Hmac<Sha256>, identifier: &[u8], caveats: impl Iterator<Item = &'c str>) -> Hmac<Sha256> {
    // One root key an identifier; it is derived, since nothing is stored.
    let root = mac.clone().chain_update(identifier).finalize().into_bytes();
    caveats.fold(keyed(&root).chain_update(identifier), |link, caveat| {
        keyed(&link.finalize().into_bytes()).chain_update(caveat)
    })
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn field(bytes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    bytes.push(kind);
    let mut len = value.len();
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend_from_slice(value);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn macaroon(&mut self) -> Option<UntrustedMacaroon<'a>> {
        if self.byte()? != VERSION {
            return None;
        }
        // A location is a hint without a meaning (type 1); we write none.
        let identifier = self.field(IDENTIFIER)?;
        self.end()?;
        let mut caveats = Vec::new();
        while self.0.first() != Some(&END) {
            let caveat = self.field(IDENTIFIER)?;
            caveats.push(std::str::from_utf8(caveat).ok().filter(|_| caveats.len() < MAX_CAVEATS)?);
            self.end()?;
        }
        self.end()?;
        let tag = self.field(SIGNATURE).filter(|tag| tag.len() == TAG_LEN)?;
        Some(UntrustedMacaroon { identifier, caveats, tag })
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn end(&mut self) -> Option<()> {
        (self.byte()? == END).then_some(())
    }

    fn field(&mut self, kind: u8) -> Option<&'a [u8]> {
        if self.byte()? != kind {
            return None;
        }
        let (mut len, mut shift) = (0usize, 0);
        loop {
            let byte = self.byte()?;
            len |= usize::from(byte & 0x7f).checked_shl(shift).filter(|_| shift <= 14)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (value, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(value)
    }
}
