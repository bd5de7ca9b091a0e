//! Request bodies: JSON objects of a bounded size, read within a bounded time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::problem::Problem;

/// Most bytes of a body.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// Most bytes that are read and dropped of a longer one: who still sends does not see the answer.
const MAX_DRAINED: usize = 4 * 1024 * 1024;
/// Longest wait for a whole body: nginx sends it at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the whole body.
pub(super) async fn read(body: Incoming) -> Result<Bytes, Problem> {
    match tokio::time::timeout(TIMEOUT, within_limit(body)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::bad_json("the body did not come in time")),
    }
}

async fn within_limit(mut body: Incoming) -> Result<Bytes, Problem> {
    let (mut read, mut len) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|_| Problem::bad_json("the body broke off"))?.into_data().unwrap_or_default();
        len += data.len();
        if len > MAX_DRAINED {
            break;
        }
        if len <= MAX_BODY {
            read.extend_from_slice(&data);
        }
    }
    if len > MAX_BODY { Err(Problem::too_large(MAX_BODY)) } else { Ok(read.freeze()) }
}

/// Reads a JSON object.
///
/// - `expected`: its form, for the error's text. Nothing of the body itself is repeated there: it may hold a secret.
pub(super) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Incoming,
    expected: &str,
) -> Result<T, Problem> {
    if !is_json(headers) {
        return Err(Problem::unsupported_media_type());
    }
    let bytes = read(body).await?;
    parse(&bytes, expected)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], expected: &str) -> Result<T, Problem> {
    // All of it has to be JSON before its fields are of interest.
    if let Err(err) = serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
        let (line, column) = (err.line(), err.column());
        return Err(Problem::bad_json(format!("the body is no JSON from line {line}, column {column} on")));
    }
    // To serde a list of the fields in their order is as good as an object.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad_field(format!("expected {expected}, and no other form of JSON")));
    }
    serde_json::from_slice(bytes).map_err(|err| match err.classify() {
        Category::Data => Problem::bad_field(format!("expected {expected}, and no other field")),
        _ => Problem::bad_json(format!("the body is no JSON; expected {expected}")),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// An answer in JSON that no cache keeps.
pub(super) fn answer(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let mut json = serde_json::to_vec(value).unwrap_or_default();
    json.push(b'\n');
    let mut response = Response::new(Full::from(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Buy {
        #[expect(dead_code, reason = "only its form is of interest")]
        tier: String,
    }

    #[test]
    fn json_is_read_before_its_fields() {
        for (body, reason) in [
            ("", "bad-json"),
            ("{", "bad-json"),
            ("tier=24h", "bad-json"),
            (r#"{"tier":5"#, "bad-json"),
            (r#"{"tier":"a"} x"#, "bad-json"),
            ("\u{feff}{}", "bad-json"),
            ("{}", "bad-field"),
            ("[]", "bad-field"),
            ("null", "bad-field"),
            (r#""secret""#, "bad-field"),
            (r#"{"tier":5}"#, "bad-field"),
            (r#"{"tier":null}"#, "bad-field"),
            (r#"{"tier":"a","price":"1"}"#, "bad-field"),
            (r#"{"tier":"a","tier":"b"}"#, "bad-field"),
        ] {
            let problem = parse::<Buy>(body.as_bytes(), "it").err().unwrap();
            assert_eq!(problem.reason(), reason, "{body:?}");
            assert!(!format!("{problem:?}").contains("secret"));
        }
        assert!(parse::<Buy>(br#" {"tier":"a"} "#, "it").is_ok());
        let deep = "[".repeat(60_000);
        assert_eq!(parse::<Buy>(deep.as_bytes(), "it").err().unwrap().reason(), "bad-json");
    }

    #[test]
    fn a_form_of_another_site_cannot_send_json() {
        let headers = |values: &[&'static str]| {
            values.iter().map(|value| (CONTENT_TYPE, HeaderValue::from_static(value))).collect::<HeaderMap>()
        };
        assert!(is_json(&headers(&["application/json"])));
        assert!(is_json(&headers(&["Application/JSON; charset=utf-8"])));
        for others in [
            &[][..],
            &["text/plain"],
            &["application/x-www-form-urlencoded"],
            &["application/jsonx"],
            &["text/plain; application/json"],
            &["application/json", "text/plain"],
        ] {
            assert!(!is_json(&headers(others)), "{others:?}");
        }
    }
}
