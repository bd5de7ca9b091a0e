//! Accepts connections and serves HTTP/1.1 on each, until told to drain.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tracing::{debug, error};

/// Most connections at once; more wait in the socket's backlog.
pub const MAX_CONNECTIONS: usize = 20_000;
/// Largest head of a request. nginx itself takes 4 buffers of 8 KiB from a client.
const MAX_HEAD: usize = 64 * 1024;
/// Longest wait for a request's head, idle time included: longer than nginx keeps a connection idle (60 s), so that it is
/// nginx that closes first.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers a request. It never fails: every error is an answer.
pub trait Handler: Send + Sync + 'static {
    /// The answer to one request.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// A listener of either kind.
pub trait Acceptor: Send {
    /// What it accepts.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Acceptor for UnixListener {
    type Stream = tokio::net::UnixStream;
    async fn next(&self) -> io::Result<Self::Stream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Acceptor for TcpListener {
    type Stream = tokio::net::TcpStream;
    async fn next(&self) -> io::Result<Self::Stream> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Serves `listener` until `stop` is ready, then lets running requests end, for at most `drain`.
pub async fn serve<H: Handler>(
    listener: impl Acceptor,
    handler: Arc<H>,
    stop: impl Future<Output = ()>,
    drain: Duration,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD).pipeline_flush(true);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = async {
                let place = places.clone().acquire_owned().await;
                listener.next().await.map(|stream| (stream, place))
            } => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                debug!("accepted a connection");
                let handler = handler.clone();
                let service = service_fn(move |request| {
                    let handler = handler.clone();
                    async move { Ok::<_, Infallible>(handler.handle(request).await) }
                });
                let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
                tokio::spawn(async move {
                    if let Err(err) = connection.await {
                        debug!(%err, "a connection ended early");
                    }
                    drop(place);
                });
            }
            Err(err) if peer_left(&err) => {}
            Err(err) => {
                // Out of file descriptors, most likely. The connection stays queued, so accepting at once would spin.
                error!(%err, "cannot accept; next try in {ACCEPT_PAUSE:?}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        error!("connections were still busy after {drain:?}; they are closed now");
    }
}

fn peer_left(err: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NotConnected};
    matches!(err.kind(), ConnectionAborted | ConnectionReset | Interrupted | NotConnected)
}
