//! Holds nginx's questions while the daemon is away: its second address, asked only when the first one fails.
//!
//! systemd does this with a socket that outlives the daemon. Where the daemon makes its own socket (containers, TCP), a killed
//! or restarting daemon is a refused connection, nginx makes a 500 of it, and with the first 500 most players end the film.
//! Here the question waits until the daemon is back, and goes on to it unread.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

/// Longest wait for the daemon: nginx waits 3 s for its answer, and then a second address would be of no use.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2800);
/// Between two looks for the daemon.
const PACE: Duration = Duration::from_millis(25);
/// Most connections that are held at once; more wait in the socket's backlog.
const MAX_HELD: usize = 4096;
/// Wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the daemon itself listens.
#[derive(Clone, Debug)]
pub(crate) enum Daemon {
    /// On a Unix socket.
    Unix(PathBuf),
    /// On TCP.
    Tcp(SocketAddr),
}

/// Holds what `listener` accepts until `daemon` is there, each for at most `patience`, for as long as `stop` is not ready.
pub(crate) async fn hold(listener: UnixListener, daemon: Daemon, patience: Duration, stop: impl Future<Output = ()>) {
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(MAX_HELD));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = async {
                // Never closed, so never an error.
                let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
                listener.accept().await.map(|(stream, _)| (stream, place))
            } => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let daemon = daemon.clone();
                tokio::spawn(async move {
                    if let Err(err) = pass_on(stream, &daemon, patience).await {
                        debug!(%err, "a held question was given up");
                    }
                    drop(place);
                });
            }
            Err(err) => {
                debug!(%err, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn pass_on(mut nginx: UnixStream, daemon: &Daemon, patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    match daemon {
        Daemon::Unix(path) => {
            let mut stream = once_there(until, || UnixStream::connect(path)).await?;
            copy_bidirectional(&mut nginx, &mut stream).await?;
        }
        Daemon::Tcp(address) => {
            let mut stream = once_there(until, || TcpStream::connect(address)).await?;
            stream.set_nodelay(true)?;
            copy_bidirectional(&mut nginx, &mut stream).await?;
        }
    }
    Ok(())
}

/// The connection, as soon as somebody accepts it.
async fn once_there<S, F: Future<Output = io::Result<S>>>(until: Instant, connect: impl Fn() -> F) -> io::Result<S> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left, connect()).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(err)) if until <= Instant::now() + PACE => return Err(err),
            Ok(Err(_)) => sleep(PACE).await,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_question_waits_for_the_daemon_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let (held, own) = (folder.path().join("hold.sock"), folder.path().join("hlsgate.sock"));
        let listener = UnixListener::bind(&held).unwrap();
        let patience = Duration::from_millis(400);
        tokio::spawn(hold(listener, Daemon::Unix(own.clone()), patience, std::future::pending()));

        let began = Instant::now();
        let mut given_up = UnixStream::connect(&held).await.unwrap();
        assert_eq!(given_up.read(&mut [0; 8]).await.unwrap(), 0);
        let waited = began.elapsed();
        assert!(waited >= patience - PACE * 2, "{waited:?}");

        let mut asked = UnixStream::connect(&held).await.unwrap();
        asked.write_all(b"question").await.unwrap();
        // Some looks in vain.
        sleep(PACE * 3).await;
        let daemon = UnixListener::bind(&own).unwrap();
        let (mut there, _) = daemon.accept().await.unwrap();
        let mut read = [0; 8];
        there.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"question");
        there.write_all(b"answered").await.unwrap();
        asked.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"answered");
        // The daemon is killed in the middle: nginx sees the end, and asks again.
        drop(there);
        assert_eq!(asked.read(&mut read).await.unwrap(), 0);
    }
}
