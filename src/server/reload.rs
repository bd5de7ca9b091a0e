//! Keeps what is in force up to date: SIGHUP reloads all, a changed key or revocation file is picked up by itself.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use super::app::App;
use crate::config::Config;
use crate::front::watchdog::notify;

/// Time from one look at the key and revocation files to the next. A look costs two calls of the system and needs nothing
/// that could be used up or be missing, as a watch does: a folder may come later, be mounted over, or be a network's.
const LOOK: Duration = Duration::from_millis(500);
/// Whoever writes a file in place does it in several steps within this.
const SETTLE: Duration = Duration::from_millis(100);

/// Puts what the files say in force.
pub(crate) struct Reload {
    app: Arc<App>,
    /// One reload at a time: the slower of two would put back what the faster one replaced.
    turn: Mutex<()>,
}

impl Reload {
    /// Keeps `app` up to date.
    pub(crate) fn of(app: Arc<App>) -> Reload {
        Reload { app, turn: Mutex::default() }
    }

    /// Reads the configuration and its files again. If anything is wrong, all stays as it was and the log says what it was.
    pub(crate) async fn all(&self) {
        let _turn = self.turn.lock().await;
        let before = self.app.live();
        let loading = before.clone();
        match tokio::task::spawn_blocking(move || loading.load_again()).await {
            Ok(Ok(live)) => {
                for field in needs_restart(&before.config, &live.config) {
                    warn!("{field} was changed; the change takes effect at the next start");
                }
                warn_of_hidden_folder(&live.config);
                self.app.put_in_force(live);
                self.app.metrics.reloaded("configuration", true);
                notify(&[NotifyState::Status("what the files say is in force")]);
                info!("reloaded the configuration, keys and revocations");
            }
            Ok(Err(err)) => {
                self.app.metrics.reloaded("configuration", false);
                // `systemctl reload` ends with 0 all the same; `systemctl status`, and a script by StatusText, see this.
                notify(&[NotifyState::Status(&format!(
                    "not reloaded, what was in force stays: {}",
                    one_line(&err.to_string())
                ))]);
                error!("not reloaded, what was in force stays: {err}");
            }
            Err(err) => error!(%err, "not reloaded, what was in force stays"),
        }
    }

    /// Reads keys and revocations again.
    async fn files(&self) {
        let _turn = self.turn.lock().await;
        let before = self.app.live();
        let Ok((live, problems)) = tokio::task::spawn_blocking(move || before.with_files_read_again()).await else {
            return;
        };
        for problem in problems.iter() {
            error!("{}: {}; what was in force stays", problem.field, problem.text);
        }
        self.app.put_in_force(live);
        self.app.metrics.reloaded("files", problems.is_empty());
        if problems.is_empty() {
            info!("read the changed keys and revocations");
        }
    }

    /// Follows the key and revocation files for as long as the daemon runs.
    pub(crate) async fn follow_files(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let live = self.app.live();
            // A file system that hangs holds up this alone.
            if tokio::task::spawn_blocking(move || live.files_changed()).await.unwrap_or(false) {
                tokio::time::sleep(SETTLE).await;
                self.files().await;
            }
        }
    }
}

/// What systemd shows is one line.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// Without its folder no video is sold, and the shipped unit shows the daemon few folders.
pub(crate) fn warn_of_hidden_folder(config: &Config) {
    if let Some(folder) = config.videos.folder.as_ref().filter(|folder| !folder.is_dir()) {
        let folder = folder.display();
        warn!(
            "videos.folder: the daemon sees no folder {folder}, so no unlisted video is on sale; make it, or show it to the daemon \
             (`systemctl edit hlsgate`: [Service] BindReadOnlyPaths=-{folder}) and restart"
        );
    }
}

/// The fields that only a start reads.
fn needs_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let changes = [
        ("listen", before.listen != after.listen),
        ("socket_mode", before.socket_mode != after.socket_mode),
        ("socket_group", before.socket_group != after.socket_group),
        ("admin_listen", before.admin_listen != after.admin_listen),
    ];
    changes.into_iter().filter(|(_, changed)| *changed).map(|(field, _)| field).collect()
}
