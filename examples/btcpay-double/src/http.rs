//! Requests as handlers want them, and BTCPay's shapes of answers.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION},
};
use serde::Serialize;
use serde_json::{Value, json};

pub type Reply = Response<Full<Bytes>>;

/// Kestrel's default.
const BODY_LIMIT: usize = 30_000_000;

pub struct Call {
    pub method: String,
    /// Decoded, under the root path.
    pub segments: Vec<String>,
    pub path: String,
    pub raw_query: String,
    pub query: Vec<(String, String)>,
    /// `https://host/root` as the caller sees it.
    pub base: String,
    pub key: Option<String>,
    /// `Authorization` in whole.
    pub authorization: Option<String>,
    pub content_type: Option<String>,
    pub accept: Option<String>,
    /// The headers of a preflight that its answer repeats: method and headers.
    pub preflight: Option<(String, String)>,
    pub body: Bytes,
}

impl Call {
    /// `None` if the body never came whole, or is too long.
    pub async fn read(request: Request<Incoming>, root: &str) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // Trusted from anyone.
        // Of a list the last, which the nearest proxy wrote.
        let last = |list: String| list.rsplit(',').next().unwrap_or_default().trim().to_owned();
        let scheme = header("x-forwarded-proto").map_or_else(|| "http".into(), last);
        let host = header("x-forwarded-host").map(last).or_else(|| header(HOST.as_str())).unwrap_or_default();
        let asked = |name: &str| header(name).unwrap_or_default();
        let preflight = header("origin").and_then(|_| header("access-control-request-method"));
        let preflight = preflight.map(|method| (method, asked("access-control-request-headers")));
        let (content_type, accept) = (header(CONTENT_TYPE.as_str()), header("accept"));
        let authorization = header(AUTHORIZATION.as_str());
        let key = header(AUTHORIZATION.as_str()).and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            ["token", "bearer"].contains(&scheme.to_ascii_lowercase().as_str()).then(|| key.trim().to_owned())
        });
        let path = parts.uri.path().strip_prefix(root).unwrap_or("/outside-the-root").to_owned();
        // A slash at the end makes no difference.
        let segments = path.strip_suffix('/').unwrap_or(&path).split('/').skip(1).map(decode).collect();
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        let query = serde_urlencoded::from_str(&raw_query).unwrap_or_default();
        let body = Limited::new(body, BODY_LIMIT).collect().await.ok()?.to_bytes();
        Some(Call {
            method: parts.method.to_string(),
            segments,
            path,
            raw_query,
            query,
            base: format!("{scheme}://{host}{root}"),
            key,
            authorization,
            content_type,
            accept,
            preflight,
            body,
        })
    }

    pub fn param<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn params<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A number in the query; 422 for anything else.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Reply> {
        let Some(text) = self.param(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| invalid(&[(name, &format!("The value '{text}' is not valid."))]))
    }

    /// The body as a JSON object; an empty one counts as `{}`.
    pub fn json(&self) -> Result<Value, Reply> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        match serde_json::from_slice(&self.body) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(invalid(&[("", "expected a JSON object")])),
            Err(err) => Err(invalid(&[("", &err.to_string())])),
        }
    }
}

fn decode(segment: &str) -> String {
    // A path segment is not a form: `+` stays.
    let pair = format!("s={}", segment.replace('+', "%2B"));
    serde_urlencoded::from_str::<Vec<(String, String)>>(&pair)
        .ok()
        .and_then(|pairs| pairs.into_iter().next())
        .map_or_else(String::new, |(_, value)| value)
}

fn reply(status: u16, kind: Option<&str>, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, http::HeaderValue::from_static("*"));
    if let Some(kind) = kind.and_then(|kind| kind.parse().ok()) {
        reply.headers_mut().insert(CONTENT_TYPE, kind);
    }
    reply
}

pub fn json_reply(status: u16, body: &impl Serialize) -> Reply {
    reply(
        status,
        Some("application/json; charset=utf-8"),
        serde_json::to_vec(body).expect("answers can be written as JSON"),
    )
}

pub fn ok(body: &impl Serialize) -> Reply {
    json_reply(200, body)
}

pub fn empty(status: u16) -> Reply {
    reply(status, None, "")
}

pub fn raw(status: u16, kind: &str, body: impl Into<Bytes>) -> Reply {
    reply(status, Some(kind), body)
}

/// `{"code", "message"}`.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    json_reply(status, &json!({"code": code, "message": message}))
}

pub fn generic_error(message: &str) -> Reply {
    error(400, "generic-error", message)
}

/// 422 with an array of paths and messages.
pub fn invalid(problems: &[(&str, &str)]) -> Reply {
    let problems: Vec<_> = problems.iter().map(|(path, message)| json!({"path": path, "message": message})).collect();
    json_reply(422, &problems)
}

/// 401 and 403 come from elsewhere in BTCPay, without a charset.
fn denied(status: u16, body: &Value) -> Reply {
    reply(status, Some("application/json"), body.to_string())
}

pub fn unauthenticated(message: &str) -> Reply {
    denied(401, &json!({"code": "unauthenticated", "message": message}))
}

fn lack_of(permission: &str) -> Value {
    let message = format!(
        "Insufficient API Permissions. Please use an API key with permission \"{permission}\". You can create an API key in your account's settings / Api Keys."
    );
    json!({"missingPermission": permission, "code": "missing-permission", "message": message})
}

pub fn missing_permission(permission: &str) -> Reply {
    denied(403, &lack_of(permission))
}

/// The same from a route that looks at the rights itself, after it has read the request.
pub fn forbidden(permission: &str) -> Reply {
    json_reply(403, &lack_of(permission))
}

/// The HTML page of BTCPay, or of the proxy before it.
pub fn html_error(status: u16) -> Reply {
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    raw(
        status,
        "text/html; charset=utf-8",
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><title>{status} - {title}</title></head><body><h1>{status} - {title}</h1></body></html>\n"
        ),
    )
}

pub fn html(status: u16, body: String) -> Reply {
    raw(status, "text/html; charset=utf-8", body)
}

pub fn redirect(status: u16, to: &str) -> Reply {
    let mut reply = empty(status);
    match to.parse() {
        Ok(to) => drop(reply.headers_mut().insert(LOCATION, to)),
        Err(_) => *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    reply
}
