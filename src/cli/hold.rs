//! `hlsgate hold`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Listen};
use crate::failure::Failure;
use crate::front::hold::{Daemon, PATIENCE, hold};
use crate::front::listen;
use crate::live::client;

/// Hold nginx's questions while the daemon is away.
///
/// For containers, and wherever else no systemd keeps the daemon's socket: run it beside the daemon, and do not restart it with it.
/// nginx asks here only when the daemon's own socket fails (the shipped files name both), and waits up to 2.8 s for the daemon to
/// be back. Without it, viewers meet a restart as an error, and most players stop.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate hold                                       # at hold.sock, beside the socket of the configuration
  hlsgate hold --socket /run/hlsgate/hold.sock")]
pub(crate) struct Hold {
    /// Where nginx finds it; by default hold.sock in the folder of the daemon's socket, or in /run/hlsgate.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Hold {
    pub(super) fn run(self, config: &Path) -> Result<ExitCode, Failure> {
        let config = Config::load(config)?;
        let socket = self.socket.unwrap_or_else(|| config.listen.hold_socket());
        let daemon = match &config.listen {
            Listen::Unix(path) => Daemon::Unix(path.clone()),
            Listen::Tcp(address) => Daemon::Tcp(*address),
            Listen::Systemd => {
                return Err(Failure::new("listen is \"systemd\": systemd's socket holds the questions already")
                    .hint("this command is for a daemon that makes its own socket"));
            }
        };
        client::wait(async {
            let failed = |err: std::io::Error| Failure::new(format!("cannot listen for signals: {err}"));
            let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
            let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
            let group = config.socket_group.as_deref();
            let (listener, _file) =
                listen::own_socket(&socket, config.socket_mode, group).map_err(|err| Failure::new(err.to_string()))?;
            let stop = async {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            };
            hold(listener, daemon, PATIENCE, stop).await;
            Ok(ExitCode::SUCCESS)
        })?
    }
}
