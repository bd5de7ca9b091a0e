//! `GET /auth`: nginx's question, answered from headers alone (design, section 4). No answer has a body.

use std::fmt::Write as _;

use arrayvec::ArrayString;
use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::carriers;
use super::cookies::{SetCookie, max_age, name_of};
use super::live::Live;
use crate::gate::decision::{AuthRequest, CookieGrant, Grant, Kind, Refusal, decide};
use crate::gate::scope::VideoId;
use crate::gate::time::UnixTime;

/// For how many seconds nginx may keep a decision: the stated delay of a revocation where decisions are cached.
pub const KEEP_DECISION: u64 = 10;

/// Which video nginx is about to serve.
const VIDEO: HeaderName = HeaderName::from_static("x-hlsgate-video");
/// Whether the file is a playlist.
const KIND: HeaderName = HeaderName::from_static("x-hlsgate-kind");
const TIER: HeaderName = HeaderName::from_static("x-hlsgate-tier");
const EXPIRES: HeaderName = HeaderName::from_static("x-hlsgate-expires");
const ACCEL_EXPIRES: HeaderName = HeaderName::from_static("x-accel-expires");
const REASON: HeaderName = HeaderName::from_static("x-hlsgate-reason");

/// The answer, and the outcome for the metrics.
pub fn answer(headers: &HeaderMap, live: &Live, now: UnixTime) -> (Response<Full<Bytes>>, Result<(), Refusal>) {
    let request = match question(headers) {
        Ok(request) => request,
        Err(refusal) => return (refused(refusal), Err(refusal)),
    };
    match decide(&request, &live.policy, now) {
        Ok(grant) => (granted(&grant, live, now), Ok(())),
        Err(refusal) => {
            tracing::debug!(video = %request.video, reason = refusal.reason(), "refused");
            (refused(refusal), Err(refusal))
        }
    }
}

/// What nginx asks. The video and the kind have to be there exactly once, the other two at most once.
fn question(headers: &HeaderMap) -> Result<AuthRequest<'_>, Refusal> {
    let video = once(headers, &VIDEO)?.and_then(|value| VideoId::from_bytes(value.as_bytes()));
    let kind = once(headers, &KIND)?.and_then(|value| Kind::from_bytes(value.as_bytes()));
    once(headers, &HeaderName::from_static(carriers::QUERY))?;
    once(headers, &HeaderName::from_static(carriers::PATH_TOKEN))?;
    let (Some(video), Some(kind)) = (video, kind) else {
        return Err(Refusal::BadRequest);
    };
    Ok(AuthRequest { video, kind, tokens: carriers::tokens(headers) })
}

fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::BadRequest),
        (value, None) => Ok(value),
    }
}

fn granted(grant: &Grant<'_>, live: &Live, now: UnixTime) -> Response<Full<Bytes>> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(TIER, text(grant.tier.as_str()));
    if let Some(expires) = grant.expires {
        headers.insert(EXPIRES, HeaderValue::from(expires.0));
    }
    // nginx serves an entry through the whole second that it names: the last one is the second before `exp`.
    let last =
        grant.expires.map_or(UnixTime::MAX, |exp| UnixTime(exp.0.saturating_sub(1))).min(now.plus(KEEP_DECISION));
    if last > now {
        let mut at = ArrayString::<24>::new();
        // A u64 has at most 20 digits.
        let _ = write!(at, "@{last}");
        headers.insert(ACCEL_EXPIRES, text(&at));
    }
    if let Some(cookie) = grant.cookie.as_ref().and_then(|cookie| set_cookie(cookie, live, now)) {
        headers.insert(SET_COOKIE, cookie);
    }
    response
}

fn set_cookie(cookie: &CookieGrant<'_>, live: &Live, now: UnixTime) -> Option<HeaderValue> {
    let line = SetCookie {
        name: &name_of(&cookie.sub),
        value: std::str::from_utf8(cookie.token).ok()?,
        path: &live.config.media.of_scope(&cookie.sub),
        max_age: max_age(cookie.expires, now),
    };
    line.header(&live.config.cookie)
}

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    let mut response = empty(if refusal.paying_helps() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN });
    response.headers_mut().insert(REASON, HeaderValue::from_static(refusal.reason()));
    response
}

/// A body of known length 0: nginx keeps the connection to us only then.
fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// A header value of characters that the caller knows to be harmless.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}
