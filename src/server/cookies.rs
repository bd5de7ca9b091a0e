//! `Set-Cookie` lines: how a token comes to be carried by a browser or player on its own.

use http::HeaderValue;

use super::carriers::COOKIE_NAME;
use crate::config::{Cookie, SameSite};
use crate::gate::scope::Scope;
use crate::gate::time::UnixTime;

/// Browsers keep no cookie for longer (RFC 6265bis, section 5.5): 400 days.
pub(crate) const MAX_AGE: u64 = 400 * 24 * 60 * 60;

/// Browsers drop a cookie whose name and value together are longer (RFC 6265bis, section 5.6): bytes.
const MAX_NAME_AND_VALUE: usize = 4096;

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
    /// The header's value, always `HttpOnly`. `None` if the value holds what no cookie can hold, or more than one can.
    pub(crate) fn header(&self, attributes: &Cookie) -> Option<HeaderValue> {
        let SetCookie { name, value, path, max_age } = self;
        if name.len() + value.len() > MAX_NAME_AND_VALUE {
            return None;
        }
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

/// Seconds for which a cookie with a token is kept: as long as the token opens anything, at most [`MAX_AGE`].
///
/// - `beyond`: seconds for which it goes on opening behind its `exp` (`Policy::beyond_exp`): a browser that has dropped the
///   cookie sends nothing, and the film stops in spite of the grace.
///
/// 0 is for a token that opens nothing any more. It must not be sent: it would delete the cookie that another token has.
pub(crate) fn max_age(expires: Option<UnixTime>, beyond: u64, now: UnixTime) -> u64 {
    expires.map_or(MAX_AGE, |exp| now.until(exp.plus(beyond)).min(MAX_AGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_kept_as_long_as_its_token_opens_anything() {
        let exp = UnixTime(1_000);
        assert_eq!(max_age(Some(exp), 0, UnixTime(990)), 10);
        assert_eq!(max_age(Some(exp), 60, UnixTime(990)), 70);
        assert_eq!(max_age(Some(exp), 60, UnixTime(1_059)), 1);
        assert_eq!(max_age(Some(exp), 60, UnixTime(1_060)), 0);
        assert_eq!(max_age(Some(UnixTime::MAX), u64::MAX, UnixTime(0)), MAX_AGE);
        assert_eq!(max_age(None, 0, UnixTime(0)), MAX_AGE);
    }

    #[test]
    fn a_cookie_that_browsers_would_drop_is_not_sent() {
        let attributes = Cookie { secure: true, same_site: SameSite::Lax, partitioned: false };
        let line = |len: usize| {
            let value = "x".repeat(len);
            SetCookie { name: "hlsgate", value: &value, path: "/hls/a/", max_age: 1 }.header(&attributes)
        };
        assert!(line(MAX_NAME_AND_VALUE - 7).is_some());
        assert!(line(MAX_NAME_AND_VALUE - 6).is_none());
    }
}
