//! Accepts connections and serves HTTP/1.1 on each, until told to drain.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, error};

use super::quick::AtOnce;

/// Most connections at once; more wait in the socket's backlog.
pub(crate) const MAX_CONNECTIONS: usize = 20_000;
/// Wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers a request. It never fails: every error is an answer.
pub(crate) trait Handler: AtOnce + Send + Sync + 'static {
    /// The answer to a request that was not answered at once.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// A listener of either kind.
pub(crate) trait Acceptor: Send {
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

/// What serves accepted connections.
pub(crate) trait Takes<S> {
    /// Serves a connection to its end; the place is held as long.
    fn take(&self, stream: S, place: Place);
    /// The drain has begun: idle connections are to be closed, requests that have begun to be ended.
    fn drain(&self);
}

/// One of [`MAX_CONNECTIONS`], given back when dropped. The drain is over when all are.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    drain: watch::Receiver<bool>,
}

impl Place {
    /// Waits until the drain begins.
    pub(crate) async fn drain_begun(&mut self) {
        // An error means that the listener is gone, which is an end as well.
        let _ = self.drain.wait_for(|begun| *begun).await;
    }
}

/// Lets `taker` serve what `listener` accepts until `stop` is ready, then lets running requests end, for at most `drain`.
pub(crate) async fn serve<A: Acceptor>(
    listener: A,
    taker: impl Takes<A::Stream>,
    stop: impl Future<Output = ()>,
    drain: Duration,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (begin_drain, draining) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = async {
                // Never closed, so never an error.
                let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
                listener.next().await.map(|stream| (stream, permit))
            } => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                debug!("accepted a connection");
                taker.take(stream, Place { _permit: permit, drain: draining.clone() });
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
    drop(draining);
    let _ = begin_drain.send(true);
    taker.drain();
    // Closed when no place is held any more.
    if tokio::time::timeout(drain, begin_drain.closed()).await.is_err() {
        error!("connections were still busy after {drain:?}; they are closed now");
    }
}

fn peer_left(err: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NotConnected};
    matches!(err.kind(), ConnectionAborted | ConnectionReset | Interrupted | NotConnected)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::front::connection::LongWay;

    /// Tells of a request, and never answers it.
    struct Silent(tokio::sync::Notify);

    impl AtOnce for Silent {
        fn at_once(&self, _: &httparse::Request<'_, '_>, _: &mut Vec<u8>) -> bool {
            false
        }
    }

    impl Handler for Silent {
        async fn handle(&self, _: Request<Incoming>) -> Response<Full<Bytes>> {
            self.0.notify_one();
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_drain_waits_for_requests_that_have_begun_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        // One that never comes whole, and one that is never answered.
        let mut half = tokio::net::UnixStream::connect(&socket).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
        let mut held = tokio::net::UnixStream::connect(&socket).await.unwrap();
        held.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        let handler = Arc::new(Silent(tokio::sync::Notify::new()));
        let drain = Duration::from_millis(200);
        let mut began = None;
        let stop = async {
            handler.0.notified().await;
            began = Some(std::time::Instant::now());
        };
        serve(listener, LongWay(handler.clone()), stop, drain).await;
        assert!(began.is_some_and(|began| began.elapsed() >= drain));
    }
}
