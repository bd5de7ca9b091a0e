//! `GET /auth`: nginx's question, answered from headers alone (design, section 4). No answer has a body.
//!
//! A granted question costs no heap allocation, from its head to the bytes of its answer (`tests/alloc.rs`).

use std::fmt::Write as _;

use arrayvec::ArrayString;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::carriers;
use super::cookies::{SetCookie, max_age, name_of};
use crate::front::headers::Headers;
use crate::gate::decision::{AuthRequest, CarriedTokens, Carrier, CookieGrant, Grant, Kind, Refusal, decide};
use crate::gate::scope::{Tier, VideoId};
use crate::gate::time::UnixTime;
use crate::gate::token::Jti;
use crate::live::Live;
use crate::live::clock::date;
use crate::shop::machine::{self, MAX_CREDENTIALS};

/// For how many seconds nginx may keep a decision: the stated delay of a revocation where decisions are cached.
pub(crate) const KEEP_DECISION: u64 = 10;

/// Which video nginx is about to serve.
const VIDEO: &str = "x-hlsgate-video";
/// Whether the file is a playlist.
const KIND: &str = "x-hlsgate-kind";
/// Where machines show what they paid.
const AUTHORIZATION: &str = "authorization";

/// The answer to nginx.
#[derive(Debug)]
pub(crate) enum AuthResponse {
    /// 204
    Granted {
        /// The tier of the token that opened.
        tier: Tier,
        /// Its first refused second; `None` never expires.
        expires: Option<UnixTime>,
        /// The last second for which nginx may keep the answer; `None` if it may not.
        keep_until: Option<UnixTime>,
        /// A cookie for the viewer.
        cookie: Option<HeaderValue>,
        /// The machine's payment that opened.
        paid: Option<Box<MachinePayment>>,
    },
    /// 401 where paying would help, 403 where not.
    Refused(Refusal),
}

/// What a machine paid.
#[derive(Debug)]
pub(crate) struct MachinePayment {
    /// BTCPay's id of the invoice.
    pub(crate) invoice: Jti,
    receipt: HeaderValue,
}

/// The answer to a question with these headers.
pub(crate) fn answer<H: Headers + ?Sized>(headers: &H, live: &Live, now: UnixTime) -> AuthResponse {
    let request = match question(headers) {
        Ok(request) => request,
        Err(refusal) => return AuthResponse::Refused(refusal),
    };
    match decide(&request, &live.policy, now) {
        Ok(grant) => granted(&grant, None, live, now),
        Err(mut refusal) => {
            // A stranger without a credential is refused as cheaply as where nothing is sold to machines.
            if headers.all(AUTHORIZATION).next().is_some() {
                match paid(headers, &request, refusal, live, now) {
                    Ok(answer) => return answer,
                    Err(reason) => refusal = reason,
                }
            }
            tracing::debug!(video = %request.video, reason = refusal.reason(), "refused");
            AuthResponse::Refused(refusal)
        }
    }
}

/// What a machine's credential opens, where no token did: the token that it is worth, as if it had come in the query, so that
/// a playlist earns a cookie. Apart from the usual way, which it costs nothing.
#[cold]
fn paid<H: Headers + ?Sized>(
    headers: &H,
    asked: &AuthRequest<'_>,
    refusal: Refusal,
    live: &Live,
    now: UnixTime,
) -> Result<AuthResponse, Refusal> {
    let keyring = &live.policy.keyring;
    let (mut tokens, mut payment, mut wrong) = (CarriedTokens::default(), None, None);
    for line in headers.all(AUTHORIZATION).take(MAX_CREDENTIALS) {
        for credential in machine::credentials(line, keyring) {
            match credential {
                Ok(paid) => {
                    tokens.push(Carrier::Query, paid.bought.token(keyring.signing()).expose().as_bytes().to_vec());
                    let receipt = HeaderValue::try_from(paid.receipt(&date(now.0))).ok();
                    let invoice = paid.bought.invoice;
                    payment = payment.or(receipt.map(|receipt| Box::new(MachinePayment { invoice, receipt })));
                }
                Err(err) => wrong = Some(Refusal::from(err)),
            }
        }
    }
    if tokens.iter().next().is_none() {
        // A wrong credential is refused for good: who has paid must not be asked to pay again.
        return Err(wrong.unwrap_or(refusal));
    }
    let request = AuthRequest { tokens, ..asked.clone() };
    decide(&request, &live.policy, now).map(|grant| granted(&grant, payment, live, now))
}

/// What nginx asks. The video and the kind have to be there exactly once, the other two at most once.
fn question<H: Headers + ?Sized>(headers: &H) -> Result<AuthRequest<'_>, Refusal> {
    let video = once(headers, VIDEO)?.and_then(VideoId::from_bytes);
    let kind = once(headers, KIND)?.and_then(Kind::from_bytes);
    once(headers, carriers::QUERY)?;
    once(headers, carriers::PATH_TOKEN)?;
    let (Some(video), Some(kind)) = (video, kind) else {
        return Err(Refusal::BadRequest);
    };
    Ok(AuthRequest { video, kind, tokens: carriers::tokens(headers) })
}

fn once<'a, H: Headers + ?Sized>(headers: &'a H, name: &'static str) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.all(name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::BadRequest),
        (value, None) => Ok(value),
    }
}

fn granted(grant: &Grant<'_>, paid: Option<Box<MachinePayment>>, live: &Live, now: UnixTime) -> AuthResponse {
    // nginx serves an entry through the whole second that it names: the last one is the second before `exp`.
    let last =
        grant.expires.map_or(UnixTime::MAX, |exp| UnixTime(exp.0.saturating_sub(1))).min(now.plus(KEEP_DECISION));
    AuthResponse::Granted {
        tier: grant.tier,
        expires: grant.expires,
        keep_until: Some(last).filter(|last| *last > now),
        cookie: grant.cookie.as_ref().and_then(|cookie| set_cookie(cookie, live, now)),
        paid,
    }
}

fn set_cookie(cookie: &CookieGrant<'_>, live: &Live, now: UnixTime) -> Option<HeaderValue> {
    let max_age = max_age(cookie.expires, live.policy.beyond_exp(), now);
    if max_age == 0 {
        return None;
    }
    let line = SetCookie {
        name: &name_of(&cookie.sub),
        value: std::str::from_utf8(cookie.token).ok()?,
        path: &live.config.media.of_scope(&cookie.sub),
        max_age,
    };
    line.header(&live.config.cookie)
}

impl AuthResponse {
    /// For the metrics.
    pub(crate) fn outcome(&self) -> Result<(), Refusal> {
        match self {
            AuthResponse::Granted { .. } => Ok(()),
            AuthResponse::Refused(refusal) => Err(*refusal),
        }
    }

    /// The bytes of the answer, appended to `out`.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.status() {
            StatusCode::NO_CONTENT => b"HTTP/1.1 204 No Content\r\n".as_slice(),
            StatusCode::UNAUTHORIZED => b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n",
            _ => b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n",
        });
        self.each_header(|name, value| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        });
        out.extend_from_slice(b"\r\n");
    }

    /// The same answer for hyper. Its body has the known length 0: nginx keeps the connection to us only then.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = self.status();
        self.each_header(|name, value| {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                response.headers_mut().insert(name, value);
            }
        });
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            AuthResponse::Granted { .. } => StatusCode::NO_CONTENT,
            AuthResponse::Refused(refusal) if refusal.paying_helps() => StatusCode::UNAUTHORIZED,
            AuthResponse::Refused(_) => StatusCode::FORBIDDEN,
        }
    }

    fn each_header(&self, mut header: impl FnMut(&'static str, &[u8])) {
        let (tier, expires, keep_until, cookie, paid) = match self {
            AuthResponse::Granted { tier, expires, keep_until, cookie, paid } => {
                (tier, expires, keep_until, cookie, paid)
            }
            AuthResponse::Refused(refusal) => return header("x-hlsgate-reason", refusal.reason().as_bytes()),
        };
        // A u64 has at most 20 digits: no write fails.
        let mut text = ArrayString::<24>::new();
        header("x-hlsgate-tier", tier.as_str().as_bytes());
        if let Some(expires) = expires {
            let _ = write!(text, "{expires}");
            header("x-hlsgate-expires", text.as_bytes());
        }
        if let Some(keep_until) = keep_until {
            text.clear();
            let _ = write!(text, "@{keep_until}");
            header("x-accel-expires", text.as_bytes());
        }
        if let Some(cookie) = cookie {
            header("set-cookie", cookie.as_bytes());
        }
        if let Some(paid) = paid {
            header("payment-receipt", paid.receipt.as_bytes());
        }
    }
}
