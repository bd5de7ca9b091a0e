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
    let reader = LateEnd { reader: CleanHead::of(Cursor::new(read).chain(reader)), end: None };
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

/// A reader that makes a head readable which nginx passes on and hyper would refuse as a whole.
///
/// nginx takes control bytes in a cookie, and quotes, angle brackets and bytes from 0x80 in a query. Any other site of the domain
/// can set such a cookie: its viewers would get nothing but 400s, whatever good token stands beside it. No token, claim or name
/// of ours holds such a byte, so what stands in its place turns nothing into one.
struct CleanHead<R> {
    reader: R,
    within: Within,
}

/// How far the head was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// The method: garbage there is no request, and left as it is.
    Method,
    /// The rest of the request line, in which hyper refuses more than in a header line.
    Target,
    /// The start of a header line, or of the empty one at the end.
    LineStart,
    Line,
    Body,
}

/// What stands in place of a byte that nobody reads.
const REPLACEMENT: u8 = b'_';

impl<R> CleanHead<R> {
    fn of(reader: R) -> Self {
        CleanHead { reader, within: Within::Method }
    }

    fn clean(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.within = match (self.within, *byte) {
                (Within::Body, _) | (Within::LineStart, b'\n') => return self.within = Within::Body,
                (_, b'\n') => Within::LineStart,
                (within, b'\r') => within,
                (Within::Method, b' ') => Within::Target,
                (Within::Method, _) => Within::Method,
                (Within::Target, read) => {
                    if !matches!(read, b' '..=b'~') || b"\"<>\\^`{|}".contains(&read) {
                        *byte = REPLACEMENT;
                    }
                    Within::Target
                }
                (Within::LineStart | Within::Line, read) => {
                    // nginx itself refuses NUL.
                    if read.is_ascii_control() && !matches!(read, b'\t' | 0) {
                        *byte = REPLACEMENT;
                    }
                    Within::Line
                }
            }
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for CleanHead<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.reader).poll_read(cx, buffer))?;
        self.clean(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_is_made_readable_and_a_body_left_as_it_is() {
        let sent = b"GET /a?b=\"<\xe4> HTTP/1.1\r\nCookie: a=\x01\x7f\"<\xe4; b\tc\r\n\r\n\x01\x7f\"\r\n\r\n\x02";
        let expected = b"GET /a?b=____ HTTP/1.1\r\nCookie: a=__\"<\xe4; b\tc\r\n\r\n\x01\x7f\"\r\n\r\n\x02";
        // However the bytes are cut into reads.
        for size in [1, 3, sent.len()] {
            let mut reader = CleanHead::of(Cursor::new(&sent[..]));
            let (mut read, mut piece) = (Vec::new(), vec![0; size]);
            while let Ok(len @ 1..) = reader.read(&mut piece).await {
                read.extend_from_slice(&piece[..len]);
            }
            assert_eq!(read, expected, "{size}");
        }
    }
}
