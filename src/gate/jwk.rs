//! The key file: a JWK Set (RFC 7517) of `oct` keys, as it is read, edited and written again.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::jws::MAX_KID_LEN;

/// Fewest bytes of a key (RFC 7518, section 3.2: at least as long as the hash).
pub(crate) const MIN_KEY_LEN: usize = 32;

/// A key's bytes; `Debug` shows none of them, and they are overwritten when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

/// One key of the set. Members that we do not know are kept as they are.
#[derive(Clone, Debug)]
pub struct Jwk {
    /// Names the key in a token's header: 1 to 64 printable ASCII characters, no space, `"` or `\`.
    pub(crate) kid: String,
    /// The key itself, [`MIN_KEY_LEN`] bytes or more.
    pub(crate) secret: Secret,
    /// Verifies orders and claims, but no tokens.
    pub(crate) retired: bool,
    other: Map<String, Value>,
}

/// The keys in the order of the file: the first signs.
#[derive(Clone, Debug, Default)]
pub struct JwkSet {
    /// At least one in a set that was read.
    pub(crate) keys: Vec<Jwk>,
    other: Map<String, Value>,
}

/// What is wrong with a key file. No text holds any of a key's bytes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JwkError {
    /// Not JSON, or not of the form of a JWK Set.
    #[error("not a JWK Set ({{\"keys\":[…]}}, RFC 7517): {0}")]
    NotASet(String),
    /// A set without keys.
    #[error(
        "the set has no keys; `hlsgate keys restore` brings them back from a backup; a new set ends every token that was sold"
    )]
    Empty,
    /// One key of the set.
    #[error("keys[{index}]{named}: {problem}")]
    Key {
        /// Place in the set, from 0.
        index: usize,
        /// ` (kid "K")`, or nothing.
        named: String,
        /// What is wrong and what was expected.
        problem: String,
    },
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Map<String, Value>>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl Secret {
    /// Takes over key material.
    pub fn new(bytes: Vec<u8>) -> Self {
        Secret(bytes)
    }

    /// The bytes, for keying a MAC.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl Jwk {
    /// A new key; `created` (UNIX seconds) is written beside it, for the people who rotate keys.
    pub fn new(kid: String, secret: Secret, created: u64) -> Self {
        let other = Map::from_iter([("created".to_owned(), Value::from(created))]);
        Jwk { kid, secret, retired: false, other }
    }

    /// When the key was made, UNIX seconds, if the file says so.
    pub(crate) fn created(&self) -> Option<u64> {
        self.other.get("created").and_then(Value::as_u64)
    }

    /// Until when the key signed, UNIX seconds; `None` while it signs, if it never did, or if the file does not say.
    pub(crate) fn signed_until(&self) -> Option<u64> {
        self.other.get("signed_until").and_then(Value::as_u64)
    }

    /// Notes that the key stops signing now, or begins to: with `None`.
    pub(crate) fn set_signed_until(&mut self, time: Option<u64>) {
        match time {
            Some(time) => self.other.insert("signed_until".into(), time.into()),
            None => self.other.remove("signed_until"),
        };
    }

    fn from_members(mut members: Map<String, Value>) -> Result<Jwk, String> {
        let mut text = |name: &str| match members.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} is not a string")),
        };
        match text("kty")?.as_deref() {
            Some("oct") => {}
            Some(other) => return Err(format!("kty is {other:?}; only \"oct\" keys (shared secrets) are used")),
            None => return Err("kty is missing; write \"kty\":\"oct\"".into()),
        }
        match text("alg")?.as_deref() {
            None | Some("HS256") => {}
            Some(other) => return Err(format!("alg is {other:?}; this key set is for HS256")),
        }
        let kid = text("kid")?.ok_or("kid is missing; every key needs a name of its own")?;
        if kid.is_empty()
            || kid.len() > MAX_KID_LEN
            || !kid.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        {
            return Err(format!(
                "kid has to be 1 to {MAX_KID_LEN} printable ASCII characters without space, \" and \\"
            ));
        }
        let mut encoded = text("k")?.ok_or("k (the key in base64url) is missing")?;
        let decoded = URL_SAFE_NO_PAD.decode(&encoded);
        encoded.zeroize();
        let secret = Secret(decoded.map_err(|_| "k is not base64url without padding (RFC 7518, section 6.4)")?);
        if secret.0.len() < MIN_KEY_LEN {
            let len = secret.0.len();
            return Err(format!(
                "k is {len} bytes, and an HS256 key needs at least {MIN_KEY_LEN}; `hlsgate keys restore` brings a \
                 whole set back from a backup; a new set ends every token that was sold"
            ));
        }
        let retired = match members.remove("retired") {
            None => false,
            Some(Value::Bool(retired)) => retired,
            Some(_) => return Err("retired is neither true nor false".into()),
        };
        Ok(Jwk { kid, secret, retired, other: members })
    }

    fn to_members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("kty".into(), "oct".into());
        members.insert("alg".into(), "HS256".into());
        members.insert("kid".into(), self.kid.as_str().into());
        members.insert("k".into(), URL_SAFE_NO_PAD.encode(self.secret.expose()).into());
        if self.retired {
            members.insert("retired".into(), true.into());
        }
        members.extend(self.other.clone());
        members
    }
}

impl JwkSet {
    /// A set of these keys, the signing one first.
    pub fn new(keys: Vec<Jwk>) -> JwkSet {
        JwkSet { keys, other: Map::new() }
    }

    /// Reads a key file. All that is wrong with it comes at once.
    pub fn parse(json: &[u8]) -> Result<JwkSet, Vec<JwkError>> {
        // serde's own words could quote the text: its place is enough.
        let raw: RawSet = serde_json::from_slice(json)
            .map_err(|err| vec![JwkError::NotASet(format!("line {}, column {}", err.line(), err.column()))])?;
        if raw.keys.is_empty() {
            return Err(vec![JwkError::Empty]);
        }
        let (mut keys, mut problems): (Vec<Jwk>, Vec<JwkError>) = Default::default();
        for (index, members) in raw.keys.into_iter().enumerate() {
            let named =
                members.get("kid").and_then(Value::as_str).map(|kid| format!(" (kid {kid:?})")).unwrap_or_default();
            match Jwk::from_members(members) {
                Ok(key) if keys.iter().any(|other| other.kid == key.kid) => {
                    let problem = "another key of the set has the same kid; give each a name of its own".into();
                    problems.push(JwkError::Key { index, named, problem });
                }
                Ok(key) if index == 0 && key.retired => {
                    let problem = "the first key signs, and this one is retired; put another first".into();
                    problems.push(JwkError::Key { index, named, problem });
                }
                Ok(key) => keys.push(key),
                Err(problem) => problems.push(JwkError::Key { index, named, problem }),
            }
        }
        if problems.is_empty() { Ok(JwkSet { keys, other: raw.other }) } else { Err(problems) }
    }

    /// The file's text, one key a line, with a final newline.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Line(Map<String, Value>);
        let lines: Vec<String> =
            self.keys.iter().map(|key| format!("    {}", serde_json::json!(Line(key.to_members())))).collect();
        let other: String =
            self.other.iter().map(|(name, value)| format!(",\n  {}: {value}", Value::from(name.as_str()))).collect();
        format!("{{\n  \"keys\": [\n{}\n  ]{other}\n}}\n", lines.join(",\n"))
    }
}
