//! Finds the tokens of a request: where each carrier keeps them, and how it encodes them.

use std::borrow::Cow;

use crate::front::headers::Headers;
use crate::gate::decision::{CarriedTokens, Carrier};

/// The token that nginx took out of the path.
pub const PATH_TOKEN: &str = "x-hlsgate-path-token";
/// The request's query, as it came.
pub const QUERY: &str = "x-hlsgate-query";
/// Name of the query's field.
const QUERY_FIELD: &str = "token";
/// Name of the cookie of a video or of `*`; the cookie of a pass has `_NAME` behind it.
pub(crate) const COOKIE_NAME: &str = "hlsgate";

/// Every token in the headers that nginx passes on, in the order path, query, `Authorization`, cookies.
///
/// All duplicates are taken: nested cookie paths send several cookies of one name.
pub fn tokens<H: Headers + ?Sized>(headers: &H) -> CarriedTokens<'_> {
    let mut found = CarriedTokens::default();
    for value in headers.all(PATH_TOKEN) {
        found.push(Carrier::Path, value);
    }
    for value in headers.all(QUERY) {
        for token in query_tokens(value) {
            found.push(Carrier::Query, token);
        }
    }
    bearer_and_cookies(headers, &mut found);
    found
}

/// The tokens that a browser's or player's own headers carry.
pub(crate) fn bearer_and_cookies<'a, H: Headers + ?Sized>(headers: &'a H, found: &mut CarriedTokens<'a>) {
    for value in headers.all("authorization") {
        if let Some(token) = bearer(value) {
            found.push(Carrier::Bearer, token);
        }
    }
    for value in headers.all("cookie") {
        for (name, token) in cookies(value) {
            if is_token_cookie(name) {
                found.push(Carrier::Cookie, token);
            }
        }
    }
}

/// The credentials of `Authorization: Bearer …` (RFC 6750, section 2.1; the scheme in any case, RFC 9110, section 11.1).
pub(crate) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

/// The name-value pairs of a `Cookie` header (RFC 6265, section 4.2.1), quotes around a value taken off.
pub(crate) fn cookies(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    value.split(|byte| *byte == b';').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        let unquoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
        Some((name, unquoted))
    })
}

fn is_token_cookie(name: &[u8]) -> bool {
    match name.strip_prefix(COOKIE_NAME.as_bytes()) {
        // A claim, not a token: see the shop.
        Some(b"_pending") => false,
        Some(rest) => rest.is_empty() || rest[0] == b'_',
        None => false,
    }
}

/// The values of `token` in a query, decoded once; borrowed where nothing was encoded.
pub(crate) fn query_tokens(query: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    url::form_urlencoded::parse(query).filter(|(name, _)| name == QUERY_FIELD).map(|(_, value)| match value {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    fn found(headers: &[(&'static str, &'static str)]) -> Vec<(Carrier, String)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let tokens = tokens(&map);
        tokens.iter().map(|token| (token.carrier, String::from_utf8(token.text.to_vec()).unwrap())).collect()
    }

    #[test]
    fn every_carrier_is_read_and_every_duplicate_of_it() {
        use Carrier::{Bearer, Cookie, Path, Query};
        let headers = [
            (
                "cookie",
                "theme=dark; hlsgate=a; hlsgate=\"b\";hlsgate_summer=c; hlsgateway=no; hlsgate_pending=i~no; HLSGATE=no",
            ),
            ("x-hlsgate-query", "token=d&t=1&token=e%2Df&Token=no&token"),
            ("authorization", "bearer g"),
            ("authorization", "Basic aGxzOmdhdGU="),
            ("x-hlsgate-path-token", "h"),
        ];
        let expected =
            [(Path, "h"), (Query, "d"), (Query, "e-f"), (Bearer, "g"), (Cookie, "a"), (Cookie, "b"), (Cookie, "c")];
        assert_eq!(found(&headers), expected.map(|(carrier, text)| (carrier, text.to_owned())));
    }

    #[test]
    fn an_empty_carrier_counts_as_none() {
        let headers = [("cookie", "hlsgate=; hlsgate"), ("x-hlsgate-query", "token="), ("authorization", "Bearer ")];
        assert_eq!(found(&headers), []);
    }
}
