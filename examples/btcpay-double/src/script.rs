//! `--script FILE`: a list of calls that the double makes to itself, so that a case can be staged without a program.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::TcpStream;

/// One call. `{name.member}` in its path and texts stands for what an earlier answer, kept under `keep`, has there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `POST /fake/pay`
    call: String,
    #[serde(default)]
    body: Option<Value>,
    /// The name under which the answer is kept.
    #[serde(default)]
    keep: Option<String>,
    /// The status that it has to have: 200 unless said.
    #[serde(default)]
    status: Option<u16>,
}

/// Reads a script. Errors name the place in the file.
pub fn read(text: &str) -> Result<Vec<Step>, String> {
    serde_json::from_str(text)
        .map_err(|err| format!("the script is not a list of {{\"call\", \"body\"?, \"keep\"?, \"status\"?}}: {err}"))
}

/// Plays a script against the double at `address`, with its own API key, and prints a line a step.
pub async fn play(steps: &[Step], address: SocketAddr, root: &str, key: &str) -> Result<(), String> {
    let mut kept = Map::new();
    for (number, step) in steps.iter().enumerate() {
        let (method, path) = step
            .call
            .split_once(' ')
            .ok_or_else(|| format!("step {number}: expected a method and a path: {}", step.call))?;
        let path = filled(path, &kept);
        let body = step.body.as_ref().map(|body| filled_in(body, &kept).to_string()).unwrap_or_default();
        let (status, answer) = ask(address, method, &format!("{root}{path}"), key, body)
            .await
            .map_err(|err| format!("step {number}: {err}"))?;
        println!("{number} {method} {path} {status}");
        let wanted = step.status.unwrap_or(200);
        if status != wanted {
            return Err(format!("step {number}: {method} {path}: expected {wanted}, got {status}: {answer}"));
        }
        if let Some(name) = &step.keep {
            kept.insert(name.clone(), answer);
        }
    }
    Ok(())
}

async fn ask(address: SocketAddr, method: &str, path: &str, key: &str, body: String) -> Result<(u16, Value), String> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("authorization", format!("token {key}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|err| err.to_string())?;
    let stream = TcpStream::connect(address).await.map_err(|err| err.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|err| err.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|err| err.to_string())?;
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.map_err(|err| err.to_string())?.to_bytes();
    connection.abort();
    Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
}

/// `{sale.id}` by the member `id` of what is kept as `sale`; what names nothing stays.
fn filled(text: &str, kept: &Map<String, Value>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let found = after.split_once('}').and_then(|(name, behind)| Some((at(name, kept)?, behind)));
        match found {
            Some((value, behind)) => {
                out.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                rest = behind;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

fn at<'a>(name: &str, kept: &'a Map<String, Value>) -> Option<&'a Value> {
    let mut parts = name.split('.');
    let mut value = kept.get(parts.next()?)?;
    for part in parts {
        value = match part.parse::<usize>() {
            Ok(index) => value.get(index)?,
            Err(_) => value.get(part)?,
        };
    }
    Some(value)
}

fn filled_in(value: &Value, kept: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => filled(text, kept).into(),
        Value::Array(items) => items.iter().map(|item| filled_in(item, kept)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), filled_in(value, kept))).collect(),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_fills_paths_and_bodies() {
        let kept = json!({"sale": {"id": "abc", "methods": [{"due": "0.1"}]}});
        let kept = kept.as_object().unwrap();
        assert_eq!(filled("/invoices/{sale.id}?x={y}", kept), "/invoices/abc?x={y}");
        assert_eq!(filled_in(&json!({"amount": "{sale.methods.0.due}"}), kept), json!({"amount": "0.1"}));
        assert!(read(r#"[{"cal": "GET /"}]"#).is_err());
    }
}
