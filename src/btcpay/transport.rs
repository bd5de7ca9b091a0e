//! One request to the Greenfield API and its answer, whatever shape that has.
//!
//! The API key goes to the configured address only, answers are read up to a limit, and every one that is not the API's own
//! success becomes an [`Error`].

use std::path::Path;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::authority;
use super::error::{Answered, Error, FieldProblem, printable};
use super::secret::ApiKey;
use crate::address::Address;

/// For the connection and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of an error's body, more is not read.
const MAX_ERROR_BODY: usize = 64 << 10;

/// The HTTP side of the client.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    base: Address,
    at: Box<str>,
    headers: HeaderMap,
}

/// A question.
pub(super) struct Request<'a> {
    pub(crate) method: Method,
    /// After `/api/v1`; each is one segment and gets encoded.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, String)],
    /// JSON.
    pub(crate) body: Option<Vec<u8>>,
    /// For the whole exchange.
    pub(crate) timeout: Duration,
    /// Bytes of the answer that are read at most.
    pub(crate) limit: usize,
}

/// A successful answer.
pub(super) struct ApiResponse {
    at: Box<str>,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Transport {
    /// - `public`: when given, BTCPay is told to build its links from there instead of from the address it is called by.
    /// - `ca_file`: when given, only its certificates are trusted.
    pub(crate) fn new(
        base: Address,
        public: Option<&Address>,
        api_key: &ApiKey,
        ca_file: Option<&Path>,
    ) -> Result<Transport, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, api_key.header());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(public) = public {
            let host = public.authority();
            for (name, value) in [("x-forwarded-host", host.as_str()), ("x-forwarded-proto", public.scheme())] {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
        }
        let mut builder = reqwest::Client::builder();
        if let Some(file) = ca_file {
            builder = builder.use_preconfigured_tls(authority::tls(file).map_err(|problem| Error::CaFile { problem })?);
        }
        let http = builder
            // A redirect could take the key to another host, and turns a POST into a GET.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("hlsgate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| Error::Setup { source })?;
        Ok(Transport { http, at: base.as_str().into(), base, headers })
    }

    /// BTCPay's address, for messages.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    pub(crate) async fn send(&self, request: Request<'_>) -> Result<ApiResponse, Error> {
        let mut url = self.base.below(["api", "v1"].into_iter().chain(request.path.iter().copied()));
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let mut outgoing =
            self.http.request(request.method, url).headers(self.headers.clone()).timeout(request.timeout);
        if let Some(body) = request.body {
            outgoing = outgoing.header(CONTENT_TYPE, "application/json").body(body);
        }
        let failed = |err| self.failed(err, request.timeout);
        let mut response = outgoing.send().await.map_err(failed)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let limit = if status.is_success() { request.limit } else { MAX_ERROR_BODY };
        let mut body = Vec::new();
        // BTCPay's status is worth more than the rest of an error's body.
        while let Some(chunk) = response.chunk().await.or_else(|err| if_success(status, err)).map_err(failed)? {
            if body.len() + chunk.len() > limit {
                if status.is_success() {
                    return Err(Error::TooLarge { limit });
                }
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let answer = ApiResponse { at: self.at.clone(), status, headers, body };
        if status.is_success() { Ok(answer) } else { Err(answer.into_error()) }
    }

    fn failed(&self, err: reqwest::Error, timeout: Duration) -> Error {
        let (at, source) = (self.at.clone(), err.without_url());
        if let Some(problem) = authority::refused(&source) {
            Error::Untrusted { at, problem }
        } else if source.is_connect() {
            Error::Unreachable { at, source }
        } else if source.is_timeout() {
            Error::TimedOut { at, after: timeout }
        } else {
            Error::Interrupted { at, source }
        }
    }
}

impl ApiResponse {
    /// The answer's JSON. `expected` names it in the error.
    pub(crate) fn json<T: DeserializeOwned>(&self, expected: &'static str) -> Result<T, Error> {
        if !self.is_json() {
            return Err(self.not_greenfield());
        }
        serde_json::from_slice(&self.body).map_err(|source| Error::Unreadable { expected, source })
    }

    /// BTCPay's clock.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header(DATE)?).ok()
    }

    /// An answer that a real BTCPay gave; `content_type` is empty where it had none.
    #[cfg(test)]
    pub(super) fn recorded(status: u16, content_type: &str, body: Vec<u8>) -> ApiResponse {
        let status = StatusCode::from_u16(status).unwrap();
        let content_type = (!content_type.is_empty()).then(|| (CONTENT_TYPE, content_type.parse().unwrap()));
        ApiResponse { at: "https://btcpay.example".into(), status, headers: content_type.into_iter().collect(), body }
    }

    /// When to come again: seconds, or a date, which counts from the answer's own (RFC 9110, section 10.2.3).
    fn retry_after(&self) -> Option<Duration> {
        let text = self.header(RETRY_AFTER)?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = httpdate::parse_http_date(text).ok()?;
        at.duration_since(self.date().unwrap_or_else(SystemTime::now)).ok()
    }

    pub(super) fn into_error(self) -> Error {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Body {
            code: Option<String>,
            message: Option<String>,
            missing_permission: Option<String>,
        }
        let (at, status) = (self.at.clone(), self.status.as_u16());
        let retry_after = self.retry_after();
        let body: Option<Body> = if self.is_json() { serde_json::from_slice(&self.body).ok() } else { None };
        let answer = body.as_ref().map_or_else(Answered::default, |body| Answered {
            code: body.code.clone().unwrap_or_default(),
            message: body.message.clone().unwrap_or_default(),
        });
        match self.status {
            StatusCode::UNAUTHORIZED => Error::Unauthenticated { at },
            StatusCode::FORBIDDEN => match body.and_then(|body| body.missing_permission) {
                Some(permission) => Error::MissingPermission { permission: printable(&permission) },
                None => Error::Forbidden { at },
            },
            StatusCode::UNPROCESSABLE_ENTITY if self.is_json() => {
                Error::Invalid { problems: serde_json::from_slice::<Vec<FieldProblem>>(&self.body).unwrap_or_default() }
            }
            StatusCode::TOO_MANY_REQUESTS => Error::Busy { at, retry_after },
            status if status.is_server_error() => {
                Error::Unavailable { at, status: status.as_u16(), answer, retry_after }
            }
            redirect if redirect.is_redirection() => Error::Redirected { at, status, to: self.redirect_target() },
            StatusCode::NOT_FOUND if body.is_some() => Error::NotFound { answer },
            _ if body.is_some() => Error::Refused { status, answer },
            _ => self.not_greenfield(),
        }
    }

    fn not_greenfield(&self) -> Error {
        let content_type = self.header(CONTENT_TYPE).map_or_else(|| "no media type".to_owned(), printable);
        Error::NotGreenfield { at: self.at.clone(), status: self.status.as_u16(), content_type }
    }

    /// Scheme, host and path of the `Location`: its query could hold anything.
    fn redirect_target(&self) -> String {
        let location = self.header(LOCATION).unwrap_or("nowhere");
        let resolved = Url::parse(&self.at).and_then(|base| base.join(location));
        resolved.map_or_else(|_| printable(location), |url| printable(&without_credentials(&url)))
    }

    fn is_json(&self) -> bool {
        self.header(CONTENT_TYPE).is_some_and(|value| {
            let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            media_type == "application/json" || media_type.ends_with("+json")
        })
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn if_success<T>(status: StatusCode, err: reqwest::Error) -> Result<Option<T>, reqwest::Error> {
    if status.is_success() { Err(err) } else { Ok(None) }
}

fn without_credentials(url: &Url) -> String {
    let mut shown = url.clone();
    // Neither fails for an address with a host, and others have no credentials.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}
