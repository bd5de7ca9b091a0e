//! The cookies that the shop sets: a token's, twice, and the pending purchase's.

use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, Response};
use http_body_util::Full;

use super::pending::MAX_PURCHASES;
use crate::gate::scope::Scope;
use crate::gate::time::UnixTime;
use crate::live::Live;
use crate::server::carriers;
use crate::server::cookies::{SetCookie, max_age, name_of};
use crate::shop::claim::{self, VerifiedClaim};

/// Name of the cookie with the newest purchase.
const PENDING: &str = "hlsgate_pending";
/// Name of the cookie with those that a newer one pushed out of it. No token's cookie has a name like this.
const EARLIER: &str = "hlsgate-earlier";
/// Most purchases in that.
const MAX_EARLIER: usize = MAX_PURCHASES - 1;
const PATH: &str = "/hlsgate/";
/// Between invoice and claim. Neither holds one.
const BETWEEN: char = '~';
/// Between two purchases.
const APART: &str = "!";
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

/// Sets the cookie with the newest purchase, and keeps those that the request brought, the newest of them first. Those that cannot
/// be verified come last: another server's keys are in force for a while, or they are nobody's.
pub(crate) fn set_pending(
    response: &mut Response<Full<Bytes>>,
    headers: &HeaderMap,
    invoice: &str,
    claim: &str,
    live: &Live,
) {
    let value = format!("{invoice}{BETWEEN}{claim}");
    add(response, SetCookie { name: PENDING, value: &value, path: PATH, max_age: PENDING_MAX_AGE }, live);
    let ours = |(id, claim): &(&str, &[u8])| VerifiedClaim::verify(claim, id, &live.policy.keyring).is_some();
    let other = pending(headers).filter(|(id, claim)| *id != invoice && claim::is_shaped(id, claim));
    let (ours, doubted): (Vec<_>, Vec<_>) = other.take(2 * MAX_PURCHASES).partition(ours);
    let earlier: Vec<_> = ours.into_iter().chain(doubted).take(MAX_EARLIER).collect();
    if !earlier.is_empty() {
        set_earlier(response, &earlier, live);
    }
}

/// Takes these purchases out of the cookies that the request brought.
pub(crate) fn forget(response: &mut Response<Full<Bytes>>, headers: &HeaderMap, over: &[String], live: &Live) {
    let is_over = |(id, _): &(&str, &[u8])| over.iter().any(|over| over == id);
    if of_cookie(headers, PENDING).any(|purchase| is_over(&purchase)) {
        add(response, SetCookie { name: PENDING, value: "", path: PATH, max_age: 0 }, live);
    }
    if of_cookie(headers, EARLIER).any(|purchase| is_over(&purchase)) {
        let left: Vec<_> =
            of_cookie(headers, EARLIER).filter(|purchase| !is_over(purchase)).take(MAX_EARLIER).collect();
        set_earlier(response, &left, live);
    }
}

fn set_earlier(response: &mut Response<Full<Bytes>>, purchases: &[(&str, &[u8])], live: &Live) {
    let texts =
        purchases.iter().filter_map(|(id, claim)| Some(format!("{id}{BETWEEN}{}", std::str::from_utf8(claim).ok()?)));
    let value = texts.collect::<Vec<_>>().join(APART);
    let max_age = if value.is_empty() { 0 } else { PENDING_MAX_AGE };
    add(response, SetCookie { name: EARLIER, value: &value, path: PATH, max_age }, live);
}

/// Every purchase of the request, the newest first: invoice and claim. Neither was verified.
pub(crate) fn pending(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    of_cookie(headers, PENDING).chain(of_cookie(headers, EARLIER))
}

fn of_cookie<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let cookies = headers.get_all(COOKIE).into_iter().flat_map(|value| carriers::cookies(value.as_bytes()));
    let values = cookies.filter(move |(of, _)| *of == name.as_bytes()).map(|(_, value)| value);
    values.flat_map(|value| value.split(|byte| APART.as_bytes().contains(byte))).filter_map(|purchase| {
        let at = purchase.iter().position(|byte| *byte == BETWEEN as u8)?;
        Some((std::str::from_utf8(&purchase[..at]).ok()?, &purchase[at + 1..]))
    })
}

fn add(response: &mut Response<Full<Bytes>>, cookie: SetCookie<'_>, live: &Live) {
    if let Some(line) = cookie.header(&live.config.cookie) {
        response.headers_mut().append(SET_COOKIE, line);
    }
}
