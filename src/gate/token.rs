//! What a viewer holds after paying: a signed set of claims (RFC 7519), and nothing else.

use std::fmt;

use arrayvec::ArrayString;
use serde::Serialize;
use serde::de::MapAccess;
use thiserror::Error;

use super::jws::{self, JwsError, Members, Text, TextValue, UntrustedJws};
use super::keyring::{Key, Keyring, Purpose};
use super::revocations::{MAX_JTI_LEN, Revocations, is_jti};
use super::scope::{Scope, Tier};
use super::time::UnixTime;

/// A token's id: what `revoke` names. [`is_jti`] tells its form.
pub type Jti = ArrayString<MAX_JTI_LEN>;

/// Text that claims to be a token.
#[derive(Clone, Copy)]
pub struct UntrustedToken<'a>(UntrustedJws<'a>);

/// The claims of a token whose signature was verified: only [`UntrustedToken::verify`] makes one.
///
/// That it is authentic does not say that it opens anything now: see [`Claims::refused_at`] and [`Scope::covers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    sub: Scope,
    tier: Tier,
    iat: UnixTime,
    nbf: Option<UnixTime>,
    exp: Option<UnixTime>,
    jti: Jti,
}

/// The claims of a token to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// What it opens.
    pub sub: Scope,
    /// The offer's id.
    pub tier: Tier,
    /// When the purchase was settled.
    pub iat: UnixTime,
    /// First refused second; `None` never expires.
    pub exp: Option<UnixTime>,
    /// The invoice's id, or a random one. [`is_jti`] has to hold.
    pub jti: Jti,
}

/// A signed token. It is a bearer secret: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why a token opens nothing. No text holds any of the token's bytes but its public ids.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// Not a token's form, or claims of another.
    #[error("not a token: {0}")]
    Malformed(&'static str),
    /// Signed, it says, by a key that is not in the set.
    #[error("the token names key {kid:?}, which is not in the key set")]
    UnknownKey {
        /// The `kid` of its header.
        kid: Box<str>,
    },
    /// Signed by a key that verifies orders and claims only.
    #[error("the token names key {kid:?}, which is retired; its buyer can claim it again")]
    RetiredKey {
        /// The `kid` of its header.
        kid: Box<str>,
    },
    /// The tag is not that of the key: forged, or damaged.
    #[error("the signature does not fit")]
    BadSignature,
    /// On the list of revocations.
    #[error("the token {jti} was revoked")]
    Revoked {
        /// Its id.
        jti: Box<str>,
    },
    /// At or past its `exp`.
    #[error("the token expired at {exp}, now is {now}")]
    Expired {
        /// First refused second.
        exp: UnixTime,
        /// When it was looked at.
        now: UnixTime,
    },
    /// Before its `nbf`.
    #[error("the token is not valid before {nbf}, now is {now}")]
    NotYetValid {
        /// First second at which it is valid.
        nbf: UnixTime,
        /// When it was looked at.
        now: UnixTime,
    },
}

impl<'a> UntrustedToken<'a> {
    /// Takes a token's three parts apart.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, TokenError> {
        UntrustedJws::parse(text).map(UntrustedToken).map_err(TokenError::from)
    }

    /// The claims, if a key of the set that is not retired signed them.
    pub(crate) fn verify(&self, keyring: &Keyring) -> Result<Claims, TokenError> {
        let Some(key) = keyring.named_by(&self.0)? else {
            return Err(TokenError::UnknownKey { kid: self.0.kid()?.as_str().into() });
        };
        // RFC 7515, section 5.2: every part has to decode before the signature is looked at.
        self.0.with_payload(|payload| {
            self.0.verify(key.mac(Purpose::Token))?;
            if key.retired() {
                return Err(TokenError::RetiredKey { kid: key.kid().into() });
            }
            Claims::parse(payload)
        })
    }
}

impl Claims {
    /// What the token opens.
    pub(crate) fn sub(&self) -> &Scope {
        &self.sub
    }

    /// The offer it was bought as.
    pub(crate) fn tier(&self) -> &Tier {
        &self.tier
    }

    /// When the purchase was settled.
    pub(crate) fn iat(&self) -> UnixTime {
        self.iat
    }

    /// First refused second; `None` never expires.
    pub(crate) fn exp(&self) -> Option<UnixTime> {
        self.exp
    }

    /// The token's id.
    pub(crate) fn jti(&self) -> &str {
        &self.jti
    }

    /// Why the token, though authentic, opens nothing at `now`: revoked, past its `exp` or before its `nbf`.
    ///
    /// - `leeway`: seconds that clocks may differ, for both bounds.
    /// - `grace`: seconds more that the token goes on opening behind its `exp`.
    pub(crate) fn refused_at(
        &self,
        now: UnixTime,
        leeway: u64,
        grace: u64,
        revocations: &Revocations,
    ) -> Option<TokenError> {
        if revocations.contains(&self.jti) {
            return Some(TokenError::Revoked { jti: self.jti.as_str().into() });
        }
        // RFC 7519, section 4.1.4: "on or after which" the token is not accepted.
        if let Some(exp) = self.exp.filter(|exp| now >= exp.plus(leeway).plus(grace)) {
            return Some(TokenError::Expired { exp, now });
        }
        if let Some(nbf) = self.nbf.filter(|nbf| now.plus(leeway) < *nbf) {
            return Some(TokenError::NotYetValid { nbf, now });
        }
        None
    }

    /// The same claims, to be signed anew by today's key.
    pub(crate) fn renewed(&self) -> NewToken {
        NewToken { sub: self.sub, tier: self.tier, iat: self.iat, exp: self.exp, jti: self.jti }
    }

    fn parse(json: &[u8]) -> Result<Claims, TokenError> {
        let mut found = FoundClaims::default();
        jws::read_object(json, &mut found)
            .map_err(|_| TokenError::Malformed("the claims are not an object with the right types, each name once"))?;
        Ok(Claims {
            sub: found.sub.ok_or(TokenError::Malformed("sub is missing"))?,
            tier: found.tier.ok_or(TokenError::Malformed("tier is missing"))?,
            iat: found.iat.ok_or(TokenError::Malformed("iat is missing"))?,
            jti: found.jti.ok_or(TokenError::Malformed("jti is missing"))?.0,
            nbf: found.nbf,
            exp: found.exp,
        })
    }
}

impl NewToken {
    /// Signs the claims. Same claims and key, same bytes: members in the order of the design's table, no spaces.
    pub fn sign(&self, key: &Key) -> Token {
        #[derive(Serialize)]
        struct Payload<'a> {
            sub: &'a str,
            tier: &'a str,
            iat: UnixTime,
            #[serde(skip_serializing_if = "Option::is_none")]
            exp: Option<UnixTime>,
            jti: &'a str,
        }
        let (sub, tier) = (&self.sub.to_string(), self.tier.as_str());
        let payload = Payload { sub, tier, iat: self.iat, exp: self.exp, jti: &self.jti };
        let json = serde_json::to_string(&payload).expect("texts and numbers always have a JSON form");
        Token(jws::sign(key.kid(), key.mac(Purpose::Token), &json))
    }
}

impl Token {
    /// The token's text, for whoever hands it to its viewer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl From<JwsError> for TokenError {
    fn from(err: JwsError) -> Self {
        match err {
            JwsError::Malformed(what) => TokenError::Malformed(what),
            JwsError::BadSignature => TokenError::BadSignature,
        }
    }
}

#[derive(Default)]
struct FoundClaims {
    sub: Option<Scope>,
    tier: Option<Tier>,
    iat: Option<UnixTime>,
    nbf: Option<UnixTime>,
    exp: Option<UnixTime>,
    jti: Option<JtiText>,
}

struct JtiText(Jti);

impl std::str::FromStr for JtiText {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if is_jti(text) { Jti::from(text).map(JtiText).map_err(|_| ()) } else { Err(()) }
    }
}

impl Members for FoundClaims {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "sub" => self.sub = Some(text(map)?),
            "tier" => self.tier = Some(text(map)?),
            "jti" => self.jti = Some(text(map)?),
            "iat" => self.iat = Some(time(map)?),
            "nbf" => self.nbf = Some(time(map)?),
            "exp" => self.exp = Some(time(map)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn text<'de, T: TextValue, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    map.next_value::<Text<T>>().map(|text| text.0)
}

fn time<'de, A: MapAccess<'de>>(map: &mut A) -> Result<UnixTime, A::Error> {
    let time = map.next_value::<UnixTime>()?;
    if time > UnixTime::MAX { Err(serde::de::Error::custom("beyond 2^53 - 1")) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::jwk::{Jwk, JwkSet, Secret};

    /// The vector of the design, section 5: a token's bytes are a promise to other daemons and other libraries.
    #[test]
    fn the_bytes_of_a_token_are_fixed() {
        let set = JwkSet::new(vec![Jwk::new("k1".into(), Secret::new((0..32).collect()), 0)]);
        let token = NewToken {
            sub: "c05f2318".parse().unwrap(),
            tier: "24h".parse().unwrap(),
            iat: UnixTime(1785000122),
            exp: Some(UnixTime(1785086522)),
            jti: Jti::from("HMprBnL9BTXWuPvpoKBS6e").unwrap(),
        };
        let keyring = Keyring::new(&set);
        let signed = token.sign(keyring.signing());
        assert!(signed.expose().ends_with(".mdqvaHHrjBVrkGxEjd29DMzakbJr3Rf3BIIQf6g1lrk"));
        let claims = UntrustedToken::parse(signed.expose().as_bytes()).unwrap().verify(&keyring).unwrap();
        assert_eq!(claims.renewed(), token);
        assert_eq!(format!("{signed:?}"), "Token(…)");
    }
}
