//! The long way: one request of a connection is served by hyper, in a task of the runtime.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, join, split};
use tokio::time::{Sleep, sleep};
use tracing::debug;

use super::accept::{Handler, Place, Takes};

/// Largest head of a request. nginx itself takes 4 buffers of 8 KiB from a client.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// Longest wait for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a peer that sends no more is waited on with its answer. nginx ends its side only when its viewer has left; then
/// this is how long his held request outlives him.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves one request, of which `read` was read already, and closes. nginx opens another connection when it needs one: so
/// those that stay in its pool are the ones that go the short way.
///
/// When the drain begins, a request that has begun ends first.
pub(crate) async fn serve<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    read: Vec<u8>,
    handler: Arc<H>,
    mut place: Place,
) -> io::Result<()> {
    let (reader, writer) = split(stream);
    let reader = LateEnd { reader: Cursor::new(read).chain(reader), end: None };
    let stream = TokioIo::new(join(reader, writer));
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.handle(request).await) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut connection = std::pin::pin!(http.serve_connection(stream, service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = place.drain_begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(io::Error::other)
}

/// A reader whose end is told [`PATIENCE`] later.
///
/// hyper drops a request as soon as its peer sends no more. But a peer may end its side and wait for the answer (RFC 9112,
/// section 9.6), as `socat` does.
struct LateEnd<R> {
    reader: R,
    end: Option<Pin<Box<Sleep>>>,
}

impl<R: AsyncRead + Unpin> AsyncRead for LateEnd<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.end.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.reader).poll_read(cx, buffer))?;
            if buffer.filled().len() > before || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        self.end.get_or_insert_with(|| Box::pin(sleep(PATIENCE))).as_mut().poll(cx).map(Ok)
    }
}

/// Lets every connection go the long way, for listeners where nothing is urgent.
pub(crate) struct LongWay<H>(pub Arc<H>);

impl<H: Handler, S: AsyncRead + AsyncWrite + Send + 'static> Takes<S> for LongWay<H> {
    fn take(&self, stream: S, place: Place) {
        let served = serve(stream, Vec::new(), self.0.clone(), place);
        tokio::spawn(async move {
            if let Err(err) = served.await {
                debug!(%err, "a connection ended early");
            }
        });
    }

    // Each sees it by itself.
    fn drain(&self) {}
}
