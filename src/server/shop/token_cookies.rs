//! The cookies that the shop sets: a token's, twice, and the pending purchase's.

use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, Response};
use http_body_util::Full;

use crate::gate::scope::Scope;
use crate::gate::time::UnixTime;
use crate::live::Live;
use crate::server::carriers;
use crate::server::cookies::{SetCookie, max_age, name_of};

/// Name of the cookie with the newest purchase.
const PENDING: &str = "hlsgate_pending";
/// Between invoice and claim in its value. Neither holds one.
const BETWEEN: u8 = b'~';
/// Seconds for which it is kept: a week, far longer than an invoice can be paid.
const PENDING_MAX_AGE: u64 = 7 * 24 * 60 * 60;

/// Sets a token's cookies: for the player, below the media path, and for the shop to tell the page whether it is open.
/// An expired token gets none, for its cookie would delete another.
pub(super) fn set_token(
    response: &mut Response<Full<Bytes>>,
    token: &str,
    sub: &Scope,
    exp: Option<UnixTime>,
    live: &Live,
    now: UnixTime,
) {
    let max_age = max_age(exp, live.policy.beyond_exp(), now);
    if max_age == 0 {
        return;
    }
    let of_shop = match sub {
        Scope::Video(video) => format!("/hlsgate/videos/{video}"),
        Scope::Pass(_) | Scope::All => "/hlsgate/videos/".into(),
    };
    for path in [live.config.media.of_scope(sub), of_shop] {
        let cookie = SetCookie { name: &name_of(sub), value: token, path: &path, max_age };
        add(response, cookie, live);
    }
}

/// Sets the cookie with the newest purchase.
pub(super) fn set_pending(response: &mut Response<Full<Bytes>>, invoice: &str, claim: &str, live: &Live) {
    let value = format!("{invoice}~{claim}");
    add(response, SetCookie { name: PENDING, value: &value, path: "/hlsgate/", max_age: PENDING_MAX_AGE }, live);
}

/// Every pending purchase of the request: invoice and claim. Neither was verified.
pub(super) fn pending(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    let cookies = headers.get_all(COOKIE).into_iter().flat_map(|value| carriers::cookies(value.as_bytes()));
    cookies.filter(|(name, _)| *name == PENDING.as_bytes()).filter_map(|(_, value)| {
        let at = value.iter().position(|byte| *byte == BETWEEN)?;
        Some((std::str::from_utf8(&value[..at]).ok()?, &value[at + 1..]))
    })
}

fn add(response: &mut Response<Full<Bytes>>, cookie: SetCookie<'_>, live: &Live) {
    if let Some(line) = cookie.header(&live.config.cookie) {
        response.headers_mut().append(SET_COOKIE, line);
    }
}
