//! The envelope: JWS compact serialisation with HS256 (RFC 7515), for tokens and orders alike.
//!
//! It parses, finds out which key a text claims to be signed by, and checks the tag. What the payload means is its
//! owner's business.

use arrayvec::{ArrayString, ArrayVec};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use sha2::Sha256;
use std::borrow::Cow;
use std::fmt;
use thiserror::Error;

/// Longest text that is looked at, in bytes.
pub(crate) const MAX_LEN: usize = 4096;
/// Longest key id in bytes.
pub(crate) const MAX_KID_LEN: usize = 64;
/// Room for the decoded payload of the longest text.
const MAX_PAYLOAD_LEN: usize = MAX_LEN / 4 * 3;
/// Room for that of a token whose ids are not longer than most.
const USUAL_PAYLOAD_LEN: usize = 240;
/// Bytes of an HMAC-SHA256 tag.
const TAG_LEN: usize = 32;
/// Room for a decoded header: `alg`, `typ`, `kid` and some that we ignore.
const MAX_HEADER_LEN: usize = 512;
/// More members in one object than any honest issuer writes.
const MAX_MEMBERS: usize = 32;

/// A key id as it stands in a header.
pub(crate) type Kid = ArrayString<MAX_KID_LEN>;

/// A text of the form `header.payload.tag`. Nothing in it is to be believed before [`UntrustedJws::verify`].
#[derive(Clone, Copy)]
pub(crate) struct UntrustedJws<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    signing_input: &'a [u8],
    tag: [u8; TAG_LEN],
}

/// Why a text is no JWS of ours.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum JwsError {
    /// Not three canonical base64url parts around a JSON header for HS256.
    #[error("not a compact JWS with HS256: {0}")]
    Malformed(&'static str),
    /// The tag is not that of the key.
    #[error("the signature does not fit")]
    BadSignature,
}

impl<'a> UntrustedJws<'a> {
    /// Splits `text` and decodes its tag; the header and payload stay as they are.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, JwsError> {
        if text.len() > MAX_LEN {
            return Err(JwsError::Malformed("longer than 4 KiB"));
        }
        let mut dots = memchr::memchr_iter(b'.', text);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(JwsError::Malformed("not three parts"));
        };
        let mut tag = [0; TAG_LEN];
        // The engine refuses padding, characters outside of the alphabet and non-zero trailing bits.
        match URL_SAFE_NO_PAD.decode_slice(&text[second + 1..], &mut tag) {
            Ok(TAG_LEN) => {}
            _ => return Err(JwsError::Malformed("the tag is not 32 bytes of base64url")),
        }
        let (header, payload) = (&text[..first], &text[first + 1..second]);
        Ok(UntrustedJws { header, payload, signing_input: &text[..second], tag })
    }

    /// The key id that the header names. `Malformed` unless `alg` is `HS256`, `typ` (if any) is `JWT` and no `crit` is there.
    pub(crate) fn kid(&self) -> Result<Kid, JwsError> {
        let mut buffer = [0; MAX_HEADER_LEN];
        let json = decode(self.header, &mut buffer, "the header is not base64url of a fitting size")?;
        let mut header = Header::default();
        read_object(json, &mut header).map_err(|_| JwsError::Malformed("the header is not an object that we take"))?;
        if !header.hs256 {
            return Err(JwsError::Malformed("alg is not HS256"));
        }
        header.kid.ok_or(JwsError::Malformed("the header names no kid"))
    }

    /// The encoded header, for whoever can compare it as a whole.
    pub(crate) fn encoded_header(&self) -> &'a [u8] {
        self.header
    }

    /// Checks the tag in constant time; `mac` is keyed and empty.
    pub(crate) fn verify(&self, mac: &Hmac<Sha256>) -> Result<(), JwsError> {
        let mut mac = mac.clone();
        mac.update(self.signing_input);
        mac.verify_slice(&self.tag).map_err(|_| JwsError::BadSignature)
    }

    /// Hands the decoded payload to `read`.
    pub(crate) fn with_payload<T, E: From<JwsError>>(&self, read: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<T, E> {
        let what = "the payload is not base64url";
        // Room has to be cleared before it is used, and nearly every payload fits into the smaller one.
        if self.payload.len() <= USUAL_PAYLOAD_LEN / 3 * 4 {
            read(decode(self.payload, &mut [0; USUAL_PAYLOAD_LEN], what)?)
        } else {
            read(decode(self.payload, &mut [0; MAX_PAYLOAD_LEN], what)?)
        }
    }
}

/// Signs `payload` (JSON text); the header is `{"alg":"HS256","kid":KID}` without spaces.
pub(crate) fn sign(kid: &str, mac: &Hmac<Sha256>, payload: &str) -> String {
    let mut text = encoded_header(kid);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    let mut mac = mac.clone();
    mac.update(text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(mac.finalize().into_bytes(), &mut text);
    text
}

/// The first part of every text that [`sign`] makes with this key. `kid` needs no escapes: the keyring sees to that.
pub(crate) fn encoded_header(kid: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#))
}

fn decode<'b>(text: &[u8], buffer: &'b mut [u8], otherwise: &'static str) -> Result<&'b [u8], JwsError> {
    let len = URL_SAFE_NO_PAD.decode_slice(text, buffer).map_err(|_| JwsError::Malformed(otherwise))?;
    Ok(&buffer[..len])
}

/// Receives the members of one JSON object, each name once.
pub(crate) trait Members {
    /// Reads the value of `name`, or gives `false` to have it skipped.
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Reads `json`, one object without a repeated name and nothing behind it, into `into`.
///
/// RFC 7519, section 4: a repeated name is refused, or else two readers could see two different tokens in one text.
pub(crate) fn read_object(json: &[u8], into: &mut impl Members) -> Result<(), serde_json::Error> {
    // As a whole: from a slice, each string would be looked at by itself.
    let text = std::str::from_utf8(json).map_err(de::Error::custom)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    de::Deserializer::deserialize_map(&mut reader, ObjectVisitor(into))?;
    reader.end()
}

struct ObjectVisitor<'m, M>(&'m mut M);

impl<'de, M: Members> Visitor<'de> for ObjectVisitor<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen: ArrayVec<Cow<'de, str>, MAX_MEMBERS> = ArrayVec::new();
        while let Some(name) = map.next_key_seed(MemberName)? {
            if seen.contains(&name) {
                return Err(de::Error::custom("a member is there twice"));
            }
            if !self.0.member(&name, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
            seen.try_push(name).map_err(|_| de::Error::custom("too many members"))?;
        }
        Ok(())
    }
}

/// A member's name, borrowed from the text unless it has escapes.
struct MemberName;

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Cow<'de, str>;
    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for MemberName {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }
    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A string value that parses as `T`, read without an allocation.
pub(crate) struct Text<T>(pub T);

impl<'de, T: TextValue> de::Deserialize<'de> for Text<T> {
    fn deserialize<D: de::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct TextVisitor<T>(std::marker::PhantomData<T>);
        impl<T: TextValue> Visitor<'_> for TextVisitor<T> {
            type Value = Text<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of the right form")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
                T::from_text(text).map(Text).ok_or_else(|| E::custom("not of the right form"))
            }
        }
        reader.deserialize_str(TextVisitor(std::marker::PhantomData))
    }
}

/// What [`Text`] can read.
pub(crate) trait TextValue: Sized {
    /// The value that `text` stands for, if it is of the right form.
    fn from_text(text: &str) -> Option<Self>;
}

impl<T: std::str::FromStr> TextValue for T {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

#[derive(Default)]
struct Header {
    hs256: bool,
    kid: Option<Kid>,
}

impl Members for Header {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "alg" => self.hs256 = map.next_value::<Text<Kid>>()?.0.as_str() == "HS256",
            "kid" => self.kid = Some(map.next_value::<Text<Kid>>()?.0),
            "typ" if map.next_value::<Text<Kid>>()?.0.eq_ignore_ascii_case("JWT") => {}
            "typ" => return Err(de::Error::custom("typ is not JWT")),
            "crit" => return Err(de::Error::custom("crit names an extension, and we know none")),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.1: the key is the octet sequence of the JWK, the header has no kid.
    #[test]
    fn the_example_of_rfc_7515_a_1_verifies() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                    dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let jws = UntrustedJws::parse(text.as_bytes()).unwrap();
        assert_eq!(jws.verify(&mac), Ok(()));
        let payload = jws.with_payload(|payload| Ok::<_, JwsError>(payload.to_vec())).unwrap();
        assert!(payload.starts_with(br#"{"iss":"joe","#));
        assert_eq!(jws.kid(), Err(JwsError::Malformed("the header names no kid")));
    }

    #[test]
    fn what_is_signed_verifies_and_names_its_key() {
        let mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        let text = sign("k1", &mac, r#"{"a":1}"#);
        let jws = UntrustedJws::parse(text.as_bytes()).unwrap();
        assert_eq!(jws.kid().unwrap().as_str(), "k1");
        assert_eq!(jws.verify(&mac), Ok(()));
        let other = Hmac::<Sha256>::new_from_slice(&[8; 32]).unwrap();
        assert_eq!(jws.verify(&other), Err(JwsError::BadSignature));
    }
}
