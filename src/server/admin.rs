//! The admin listener: `/healthz`, `/readyz`, `/metrics`. On an address of its own, loopback by default.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::app::App;
use crate::front::accept::Handler;
use crate::front::quick::AtOnce;

/// Longest wait for the threads that answer nginx: they turn within microseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks every thread that answers nginx whether it turns.
pub(crate) type Beats = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// Answers operators and their tools.
pub(crate) struct Admin {
    /// The daemon.
    pub app: Arc<App>,
    /// Whether nginx is answered.
    pub beats: Beats,
}

impl Admin {
    async fn health(&self) -> Response<Full<Bytes>> {
        // At the end of a drain the threads are gone, as they should be.
        let beats = self.app.draining() || tokio::time::timeout(PATIENCE, (self.beats)()).await.unwrap_or(false);
        match beats {
            true => plain(StatusCode::OK, "ok\n"),
            false => plain(StatusCode::SERVICE_UNAVAILABLE, "the threads that answer nginx hang\n"),
        }
    }
}

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
            "/healthz" => self.health().await,
            "/readyz" if self.app.draining() => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "/readyz" => plain(StatusCode::OK, "ready\n"),
            "/metrics" => {
                let mut response = plain(StatusCode::OK, self.app.metrics.text());
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
