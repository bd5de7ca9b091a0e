//! The admin listener: `/healthz`, `/readyz`, `/metrics`. On an address of its own, loopback by default.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::app::App;
use crate::front::accept::Handler;
use crate::front::quick::AtOnce;

/// Answers operators and their tools.
pub(crate) struct Admin(pub Arc<App>);

/// Nothing here is urgent.
impl AtOnce for Admin {
    fn at_once(&self, _: &httparse::Request<'_, '_>, _: &mut Vec<u8>) -> bool {
        false
    }
}

impl Handler for Admin {
    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
        }
        match request.uri().path() {
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" if self.0.draining() => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "/readyz" => plain(StatusCode::OK, "ready\n"),
            "/metrics" => {
                let mut response = plain(StatusCode::OK, self.0.metrics.text());
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            _ => plain(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics here\n"),
        }
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
