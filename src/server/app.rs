//! The daemon's heart: what is in force, the figures, and the way from a request to its endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::auth::{self, AuthResponse};
use super::metrics::Metrics;
use super::shop::{self, Shop};
use crate::front::accept::Handler;
use crate::front::headers::Headers;
use crate::front::quick::AtOnce;
use crate::live::clock::now;
use crate::live::{InForce, Live};

/// Where nginx asks.
const AUTH_PATH: &str = "/auth";

/// What every connection shares.
pub struct App {
    in_force: InForce,
    draining: AtomicBool,
    /// What Prometheus is told.
    pub(crate) metrics: Metrics,
    /// What sells.
    pub(crate) shop: Arc<Shop>,
}

impl App {
    /// A daemon that answers by `live`.
    pub fn new(live: Live) -> App {
        let metrics = Metrics::new();
        let shop = Arc::new(Shop::new(&live, metrics.registry()));
        let app = App { in_force: InForce::new(live), draining: AtomicBool::new(false), metrics, shop };
        app.note_in_force();
        app
    }

    /// What is in force now.
    pub fn live(&self) -> Arc<Live> {
        self.in_force.live()
    }

    /// Puts something else in force, for all requests that come from now on.
    pub(crate) fn put_in_force(&self, live: Live) {
        self.shop.sell_by(&live);
        self.in_force.replace(live);
        self.note_in_force();
    }

    /// Runs for as long as the daemon.
    pub(crate) async fn watch_rights(&self) {
        self.shop.watch_rights(&self.in_force).await;
    }

    /// No longer ready: a drain has begun.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.shop.drain();
    }

    /// Whether a drain has begun.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn decide<H: Headers + ?Sized>(&self, headers: &H) -> AuthResponse {
        let began = Instant::now();
        let answer = auth::answer(headers, &self.in_force.glance(), now());
        self.metrics.decided(answer.outcome(), began.elapsed());
        if let AuthResponse::Granted { paid: Some(paid), .. } = &answer {
            self.shop.paid_by_machine(&paid.invoice);
        }
        answer
    }

    fn note_in_force(&self) {
        let policy = &self.in_force.glance().policy;
        let keys = policy.keyring.iter().filter(|key| !key.retired()).count();
        self.metrics.in_force(keys, policy.revocations.len());
    }
}

/// nginx's question goes the short way.
impl AtOnce for App {
    fn at_once(&self, request: &httparse::Request<'_, '_>, answer: &mut Vec<u8>) -> bool {
        let asked = request.method == Some("GET") && request.path == Some(AUTH_PATH);
        if asked {
            self.decide(&*request.headers).write_to(answer);
        }
        asked
    }
}

impl Handler for App {
    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            AUTH_PATH => self.decide(request.headers()).into_response(),
            path if path.starts_with(shop::PREFIX) => shop::handle(&self.shop, &self.in_force, request).await,
            _ => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        }
    }
}
