//! Errors of the shop: `application/problem+json` (RFC 9457) with a stable `reason` (design, section 5).

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use tracing::error;

use crate::gate::decision::Refusal;
use crate::random::NoRandom;

/// The members of every error's body.
#[derive(Serialize)]
pub(crate) struct Members<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'static str,
}

impl<'a> Members<'a> {
    /// - `kind`: the URI of the kind of error, `about:blank` where the status says it all.
    pub(crate) fn new(kind: &'a str, status: StatusCode, detail: &'a str, reason: &'static str) -> Members<'a> {
        let title = status.canonical_reason().unwrap_or("Error");
        Members { r#type: kind, title, status: status.as_u16(), detail, reason }
    }
}

/// An error's answer, which no cache keeps.
///
/// - `body`: [`Members`], and perhaps more.
pub(crate) fn answer(status: StatusCode, reason: &'static str, body: &impl Serialize) -> Response<Full<Bytes>> {
    let mut json = serde_json::to_vec(body).unwrap_or_default();
    json.push(b'\n');
    let mut response = Response::new(Full::from(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // For nginx's access log: the daemon itself does not know who asked.
    headers.insert("x-hlsgate-reason", HeaderValue::from_static(reason));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error as a viewer, a page or BTCPay is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    reason: &'static str,
    detail: String,
    retry_after: Option<u64>,
    allow: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, reason, detail: detail.into(), retry_after: None, allow: None }
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The path is right and the method is not.
    pub(crate) fn wrong_method(allow: &'static str) -> Problem {
        let detail = format!("only {allow} is answered here");
        Problem { allow: Some(allow), ..Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not-found", detail) }
    }

    /// The body is no JSON.
    pub(crate) fn bad_json(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad-json", detail)
    }

    /// The body is not said to be JSON.
    pub(crate) fn unsupported_media_type() -> Problem {
        let detail = "expected the header Content-Type: application/json";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)
    }

    /// The body is longer than any honest one.
    pub(crate) fn too_large(limit: usize) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("a body has at most {limit} bytes"))
    }

    /// Whether it is [`Problem::too_large`].
    pub(crate) fn is_too_large(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    /// A field is unknown, missing, or holds what it cannot.
    pub(crate) fn bad_field(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-field", detail)
    }

    /// No claim, or one on something else. It says nothing of the invoice.
    pub(crate) fn wrong_claim() -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "wrong-claim", "the claim does not open this invoice")
    }

    /// Somebody asks too often: 429.
    pub(crate) fn too_often(detail: &str, retry_after: u64) -> Problem {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail);
        Problem { retry_after: Some(retry_after.max(1)), ..problem }
    }

    /// We have too much to do: 503.
    pub(crate) fn overloaded(detail: &str, retry_after: u64) -> Problem {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        Problem { retry_after: Some(retry_after.max(1)), ..problem }
    }

    /// BTCPay does not answer, or not as it should; the log has the details.
    pub(crate) fn btcpay_unavailable() -> Problem {
        let detail = "the payment server cannot be asked now; try again in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "btcpay-unavailable", detail)
    }

    /// A delivery that BTCPay did not sign.
    pub(crate) fn bad_signature() -> Problem {
        Problem::new(
            StatusCode::FORBIDDEN,
            Refusal::BadSignature.reason(),
            "the BTCPay-Sig header does not fit the body",
        )
    }

    /// A token that opens nothing, with the gate's statuses and reasons.
    pub(crate) fn token(refusal: Refusal) -> Problem {
        let status = if refusal.paying_helps() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        Problem::new(status, refusal.reason(), "the token opens nothing now")
    }

    /// The stable word.
    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }

    /// The answer.
    pub(crate) fn response(self) -> Response<Full<Bytes>> {
        let members = Members::new("about:blank", self.status, &self.detail, self.reason);
        let mut response = answer(self.status, self.reason, &members);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2: a 401 names a scheme.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<NoRandom> for Problem {
    fn from(err: NoRandom) -> Problem {
        error!("{err}, so no invoice can be made");
        Problem::overloaded("no invoice can be made now", 5)
    }
}
