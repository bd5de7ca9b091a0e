//! `hlsgate serve`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::files::{secrets, too_open};
use crate::failure::EXIT_CONFIG;
use crate::failure::Failure;
use crate::front::listen::{self, ListenError};
use crate::front::watchdog::notify;
use crate::live::Live;
use crate::server;
use crate::server::app::App;
use crate::server::reload::{Reload, warn_of_hidden_folder};

/// Run the daemon.
///
/// SIGHUP reloads the configuration, keys and revocations, and keeps what is in force if the new ones are bad. SIGTERM
/// drains: running requests end, new ones are not accepted. Changed keys and revocations are picked up without a signal.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate serve
  hlsgate serve --config ./hlsgate.toml --log-level debug
  RUST_LOG=hlsgate=debug,info hlsgate serve --log-format json")]
pub(crate) struct Serve {
    /// How the log is written to standard error.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `hlsgate::server=debug`. RUST_LOG says it as well.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// A line for a person.
    Text,
    /// One JSON object a line.
    Json,
}

impl Serve {
    pub(super) fn run(self, config: &Path) -> Result<ExitCode, Failure> {
        self.start_log()?;
        raise_file_limit();
        let live = Live::load_to_serve(config)?;
        for seen in secrets(&live.config).iter().filter_map(|file| too_open(file)) {
            warn!("{seen}");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|err| Failure::new(format!("cannot start: {err}")))?;
        runtime.block_on(serve(live))?;
        Ok(ExitCode::SUCCESS)
    }

    fn start_log(&self) -> Result<(), Failure> {
        let filter = match (&self.log_level, std::env::var("RUST_LOG")) {
            (Some(level), _) => log_filter("--log-level", level)?,
            (None, Ok(text)) if !text.is_empty() => log_filter("RUST_LOG", &text)?,
            _ => EnvFilter::new("info"),
        };
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Json => log.json().flatten_event(true).init(),
            // The journal has its own times, and no use for colours.
            LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
                log.with_ansi(false).without_time().init()
            }
            LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        }
        Ok(())
    }
}

/// - `place`: where the text stands.
fn log_filter(place: &str, text: &str) -> Result<EnvFilter, Failure> {
    let wrong = || {
        Failure::new(format!("{place} is {text:?}, which says no level"))
            .hint("write error, warn, info, debug or trace, or for one part of the daemon hlsgate::server=debug")
            .exit(2)
    };
    // A word alone would be taken for the name of a part, and the rest of the daemon would fall silent.
    let says_level = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    if !text.split(',').all(|part| says_level(part.trim())) {
        return Err(wrong());
    }
    EnvFilter::builder().parse(text).map_err(|_| wrong())
}

async fn serve(live: Live) -> Result<(), Failure> {
    let cannot_listen = |err: ListenError| {
        Failure::new(err.to_string()).exit(match err {
            ListenError::NoGroup(_)
            | ListenError::Group { .. }
            | ListenError::NotASocket(_)
            | ListenError::AnotherHandedOver { .. } => EXIT_CONFIG,
            _ => 1,
        })
    };
    let failed = |err: std::io::Error| Failure::new(format!("cannot listen for signals: {err}"));
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;

    let listener = listen::open(&live.config).map_err(cannot_listen)?;
    let admin = live
        .config
        .admin_listen
        .map(|address| listen::tcp("admin_listen", address))
        .transpose()
        .map_err(cannot_listen)?;
    warn_of_hidden_folder(&live.config);
    info!(version = env!("CARGO_PKG_VERSION"), "listening on {}", listener.place());
    let app = Arc::new(App::new(live));
    notify(&[NotifyState::Ready]);

    let reload = Arc::new(Reload::of(app.clone()));
    let reloading = reload.clone();
    let stop = async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    // systemd waits for READY after this, and wants to know since when (sd_notify(3), Type=notify-reload).
                    let began = NotifyState::monotonic_usec_now().ok();
                    notify(&[Some(NotifyState::Reloading), began].into_iter().flatten().collect::<Vec<_>>());
                    reloading.all().await;
                    notify(&[NotifyState::Ready]);
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        notify(&[NotifyState::Stopping]);
    };
    server::run(listener, admin, app, reload, stop)
        .await
        .map_err(|err| Failure::new(format!("cannot serve: {err}")))?;
    info!("stopped");
    Ok(())
}

/// Every connection is an open file, and the usual soft limit of 1024 is kept only for the sake of `select`.
fn raise_file_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(err) = raised {
        warn!(%err, "cannot raise the limit of open files");
    }
}
