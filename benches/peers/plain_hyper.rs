//! The reference for "a plain Rust service": hyper on tokio as their documentation shows it, one HMAC a question.
//!
//! Usage: `plain_hyper SOCKET KEY_IN_HEX`. It answers 204 if the cookie `hlsgate` holds a JWS whose tag fits, else 403. It
//! looks at no claim, so it does less than any gate may.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::COOKIE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::net::UnixListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(socket), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("usage: plain_hyper SOCKET KEY_IN_HEX".into());
    };
    let key: Vec<u8> =
        (0..key.len() / 2).map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16)).collect::<Result<_, _>>()?;
    let mac = Arc::new(Hmac::<Sha256>::new_from_slice(&key)?);
    let listener = UnixListener::bind(socket)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let mac = mac.clone();
        let service = service_fn(move |request| {
            let status = if fits(&request, &mac) { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN };
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = status;
            async move { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn fits(request: &Request<Incoming>, mac: &Hmac<Sha256>) -> bool {
    let cookie = request.headers().get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = cookie.split("; ").find_map(|pair| pair.strip_prefix("hlsgate="));
    let Some((input, tag)) = token.and_then(|token| token.rsplit_once('.')) else { return false };
    let mut mac = mac.clone();
    mac.update(input.as_bytes());
    URL_SAFE_NO_PAD.decode(tag).is_ok_and(|tag| mac.verify_slice(&tag).is_ok())
}
