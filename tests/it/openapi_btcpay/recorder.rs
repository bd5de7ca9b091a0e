//! Stands between the client and the stand-in, passes everything on and keeps a copy.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::document::Exchange;

/// A proxy that runs as long as the test's runtime.
pub struct Recorder {
    /// What to give the client as BTCPay's address.
    pub url: String,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

impl Recorder {
    pub async fn before(target: &str) -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Exchange>>> = Arc::default();
        let (target, kept) = (target.to_owned(), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (target, kept) = (target.clone(), kept.clone());
                let service = service_fn(move |request| pass_on(request, target.clone(), kept.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Recorder { url, seen }
    }

    /// Everything since the last call.
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn pass_on(
    request: Request<Incoming>,
    target: String,
    seen: Arc<Mutex<Vec<Exchange>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let outgoing = reqwest::Client::new()
        .request(parts.method.clone(), format!("{target}{}", parts.uri))
        .headers(parts.headers)
        .body(body.clone());
    let answer = outgoing.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let answer = answer.bytes().await.unwrap();
    seen.lock().unwrap().push(Exchange {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        request: body.to_vec(),
        status: status.as_u16(),
        media_type: headers.get("content-type").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default(),
        answer: answer.to_vec(),
    });
    let mut response = Response::new(Full::new(answer));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
