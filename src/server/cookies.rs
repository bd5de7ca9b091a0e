//! `Set-Cookie` lines: how a token comes to be carried by a browser or player on its own.

use http::HeaderValue;

use super::carriers::COOKIE_NAME;
use crate::config::{Cookie, SameSite};
use crate::gate::scope::Scope;
use crate::gate::time::UnixTime;

/// Browsers keep no cookie for longer (RFC 6265bis, section 5.5): 400 days.
pub(crate) const MAX_AGE: u64 = 400 * 24 * 60 * 60;

/// A cookie to be set.
#[derive(Clone, Copy)]
pub(crate) struct SetCookie<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value: a token or claim, in characters that need no quotes.
    pub value: &'a str,
    /// Requests below this path carry it.
    pub path: &'a str,
    /// Seconds for which it is kept.
    pub max_age: u64,
}

impl SetCookie<'_> {
    /// The header's value, always `HttpOnly`. `None` if the value holds what no cookie can hold.
    pub(crate) fn header(&self, attributes: &Cookie) -> Option<HeaderValue> {
        let SetCookie { name, value, path, max_age } = self;
        if !value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"' | b'\\')) {
            return None;
        }
        let mut line = format!("{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly");
        if attributes.secure {
            line.push_str("; Secure");
        }
        line.push_str(match attributes.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
            SameSite::None => "; SameSite=None",
        });
        if attributes.partitioned {
            line.push_str("; Partitioned");
        }
        let mut header = HeaderValue::from_str(&line).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// The name of the cookie that carries a token of this scope.
pub(crate) fn name_of(scope: &Scope) -> String {
    match scope {
        Scope::Pass(name) => format!("{COOKIE_NAME}_{name}"),
        Scope::Video(_) | Scope::All => COOKIE_NAME.into(),
    }
}

/// Seconds for which a cookie with a token is kept: as long as the token lasts, at most [`MAX_AGE`].
pub(crate) fn max_age(expires: Option<UnixTime>, now: UnixTime) -> u64 {
    expires.map_or(MAX_AGE, |exp| now.until(exp).min(MAX_AGE))
}
