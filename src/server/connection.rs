//! One connection, from its first byte to its last: the short way as long as it goes, then one request the long way.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, join, split};
use tokio::sync::watch;
use tokio::time::timeout;

use super::accept::Handler;
use super::quick::{self, End};

/// Largest head of a request. nginx itself takes 4 buffers of 8 KiB from a client.
const MAX_HEAD: usize = 64 * 1024;
/// Longest wait for a request's head, idle time included: longer than nginx keeps a connection idle (60 s), so that it is
/// nginx that closes first.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Serves `stream` to its end. Once `drain` is true it ends as soon as nothing is under way.
pub async fn serve<H: Handler>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    handler: Arc<H>,
    mut drain: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut unread = Vec::new();
    loop {
        match quick::serve(&mut stream, unread, &*handler, HEAD_TIMEOUT, begun(&mut drain)).await? {
            End::Over => return Ok(()),
            // Boxed, since an idle connection should hold no room for it.
            End::HandOn(read) => return Box::pin(serve_one(stream, read, handler, drain)).await,
            End::Unsent { answer, unread: behind } => {
                timeout(HEAD_TIMEOUT, stream.write_all(&answer)).await??;
                unread = behind;
            }
        }
    }
}

/// Lets hyper serve one request, of which `read` was read already, and closes. nginx opens another connection when it
/// needs one: so those that stay in its pool are the ones that go the short way.
async fn serve_one<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    read: Vec<u8>,
    handler: Arc<H>,
    mut drain: watch::Receiver<bool>,
) -> io::Result<()> {
    let (reader, writer) = split(stream);
    let stream = TokioIo::new(join(Cursor::new(read).chain(reader), writer));
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.handle(request).await) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut connection = std::pin::pin!(http.serve_connection(stream, service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = begun(&mut drain) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(io::Error::other)
}

async fn begun(drain: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is an end as well.
    let _ = drain.wait_for(|begun| *begun).await;
}

#[cfg(test)]
mod tests;
