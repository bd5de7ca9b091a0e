//! The daemon: listeners, the way of a request to its endpoint, reload and drain.
//!
//! [`run`] takes the listeners and a future that ends it; [`app`] holds what all connections share; each endpoint is a
//! file: [`auth`] for nginx, [`shop`] for viewers and BTCPay, [`admin`] for operators.

pub(crate) mod admin;
pub(crate) mod app;
pub(crate) mod auth;
pub(crate) mod carriers;
pub(crate) mod cookies;
pub(crate) mod metrics;
pub(crate) mod reload;
pub(crate) mod shop;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

use crate::front::connection::LongWay;
use crate::front::listen::{self, Listener};
use crate::front::poller::{Pool, Pulse, Stream};
use crate::front::{accept, watchdog};
use crate::live::clock::now;
use app::App;
use reload::Reload;

/// Longest time that running requests get after a SIGTERM. A long poll is answered at once by then.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Serves until `stop` is ready, then drains.
///
/// Errors: the system gives no thread or epoll for nginx's questions.
pub(crate) async fn run(
    listener: Listener,
    admin: Option<TcpListener>,
    app: Arc<App>,
    reload: Arc<Reload>,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let (stopped, stopping) = watch::channel(false);
    let when_stopped = |mut stopping: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, which is a stop as well.
        let _ = stopping.wait_for(|stopped| *stopped).await;
    };
    let following = tokio::spawn(async move { reload.follow_files().await });
    let watching = tokio::spawn(app.shop.ledger.clone().watch(now));
    let selling = app.clone();
    let watching_rights = tokio::spawn(async move { selling.watch_rights().await });
    let stop_accepting = when_stopped(stopping);
    let (feeding, beats);
    let serving = match listener {
        // The file goes before the drain: a new daemon may take its place.
        Listener::Unix(listener, file) => {
            let pool = Pool::<mio::net::UnixStream>::start(app.clone())?;
            feeding = tokio::spawn(watchdog::feed(pool.pulse()));
            beats = beats_of(pool.pulse());
            tokio::spawn(accept::serve(UnixWithFile { _file: file, listener }, pool, stop_accepting, DRAIN))
        }
        Listener::Tcp(listener) => {
            let pool = Pool::<mio::net::TcpStream>::start(app.clone())?;
            feeding = tokio::spawn(watchdog::feed(pool.pulse()));
            beats = beats_of(pool.pulse());
            tokio::spawn(accept::serve(listener, pool, stop_accepting, DRAIN))
        }
    };
    let admin_serving = admin.map(|listener| {
        let admin = LongWay(Arc::new(admin::Admin { app: app.clone(), beats }));
        // Health and metrics are told until the drain is over.
        tokio::spawn(accept::serve(listener, admin, std::future::pending(), Duration::ZERO))
    });

    stop.await;
    info!("draining");
    app.drain();
    let _ = stopped.send(true);
    let _ = serving.await;
    feeding.abort();
    following.abort();
    watching.abort();
    watching_rights.abort();
    if let Some(admin) = admin_serving {
        admin.abort();
    }
    Ok(())
}

fn beats_of<S: Stream>(pulse: Pulse<S>) -> admin::Beats {
    let pulse = Arc::new(pulse);
    Box::new(move || {
        let pulse = pulse.clone();
        Box::pin(async move { pulse.beats().await })
    })
}

/// A Unix listener that removes its file when dropped.
///
/// The file goes first, while the socket still accepts: the other way round, a daemon that starts in between would take the
/// file for a leftover, put its own in that place, and lose it.
struct UnixWithFile {
    _file: Option<listen::SocketFile>,
    listener: tokio::net::UnixListener,
}

impl accept::Acceptor for UnixWithFile {
    type Stream = tokio::net::UnixStream;
    async fn next(&self) -> std::io::Result<Self::Stream> {
        self.listener.next().await
    }
}
