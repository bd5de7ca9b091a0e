//! Keeps what is in force up to date: SIGHUP reloads all, a changed key or revocation file is picked up by itself.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sd_notify::NotifyState;
use tokio::sync::{Mutex, Notify, mpsc};
use tracing::{error, info, warn};

use super::app::App;
use crate::config::Config;
use crate::front::watchdog::notify;

/// Editors and `rename` touch a folder several times within this.
const SETTLE: Duration = Duration::from_millis(100);

/// Between two looks at the files themselves, for changes that nobody tells of.
const LOOK: Duration = Duration::from_secs(2);

/// One reload at a time: the slower of two would put back what the faster one replaced.
#[derive(Default)]
pub(crate) struct Reloading {
    turn: Mutex<()>,
    /// Another configuration is in force, and may name other files.
    configured: Notify,
}

/// Reads the configuration and its files again. If anything is wrong, all stays as it was and the log says what it was.
pub(crate) async fn all(app: &Arc<App>) {
    let _turn = app.reloading.turn.lock().await;
    let before = app.live();
    let loading = before.clone();
    let loaded = tokio::task::spawn_blocking(move || loading.load_again()).await;
    match loaded {
        Ok(Ok(live)) => {
            for field in needs_restart(&before.config, &live.config) {
                warn!("{field} was changed; the change takes effect at the next start");
            }
            warn_of_hidden_folder(&live.config);
            app.put_in_force(live);
            app.metrics.reloaded("configuration", true);
            app.reloading.configured.notify_one();
            notify(&[NotifyState::Status("what the files say is in force")]);
            info!("reloaded the configuration, keys and revocations");
        }
        Ok(Err(err)) => {
            app.metrics.reloaded("configuration", false);
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

/// What systemd shows is one line.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// Reads keys and revocations again.
async fn files(app: &Arc<App>) {
    let _turn = app.reloading.turn.lock().await;
    let before = app.live();
    let Ok((live, problems)) = tokio::task::spawn_blocking(move || before.with_files_read_again()).await else {
        return;
    };
    for problem in problems.iter() {
        error!("{}: {}; what was in force stays", problem.field, problem.text);
    }
    app.put_in_force(live);
    app.metrics.reloaded("files", problems.is_empty());
    if problems.is_empty() {
        info!("read the changed keys and revocations");
    }
}

/// Follows the key and revocation files for as long as the daemon runs.
pub(crate) async fn follow_files(app: Arc<App>) {
    let (changed, mut changes) = mpsc::channel(1);
    let mut watched = None;
    loop {
        let folders = folders(&app.live().config);
        if watched.as_ref().is_none_or(|(before, _)| *before != folders) {
            let watcher = watch(&app, &folders, changed.clone());
            watched = Some((folders, watcher));
        }
        // A change from before its folder was watched is told by nobody.
        if !app.live().files_changed() {
            tokio::select! {
                _ = changes.recv() => {}
                () = app.reloading.configured.notified() => continue,
                // A folder that was made later, or more watches than the system allows: then nobody tells.
                () = tokio::time::sleep(LOOK) => continue,
            }
        }
        tokio::time::sleep(SETTLE).await;
        // What came meanwhile is part of the same change.
        while changes.try_recv().is_ok() {}
        files(&app).await;
    }
}

/// A folder and what tells it from another of the same name; `None` while there is none.
type Folder = (PathBuf, Option<(u64, u64)>);

/// The folders of the files, since a file that is replaced by `rename` is another file. A symbolic link has two: its own, where
/// it can be replaced (as Kubernetes does with a Secret), and that of what it leads to.
fn folders(config: &Config) -> BTreeSet<Folder> {
    let files = [&config.keys_file, &config.revocations_file];
    let with_targets = files.into_iter().flat_map(|file| [Some(file.clone()), file.canonicalize().ok()]).flatten();
    let folders = with_targets.filter_map(|file| match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Some(PathBuf::from(".")),
        folder => folder.map(Path::to_owned),
    });
    folders
        .map(|folder| {
            let found = std::fs::metadata(&folder).ok();
            (folder, found.map(|found| (found.dev(), found.ino())))
        })
        .collect()
}

fn watch(app: &Arc<App>, folders: &BTreeSet<Folder>, changed: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let app = app.clone();
    let on_event = move |event: ::notify::Result<::notify::Event>| {
        let live = app.live();
        let names = [&live.config.keys_file, &live.config.revocations_file];
        let touches = |path: &PathBuf| names.iter().any(|name| name.file_name() == path.file_name());
        // Reading is no change; an error may hide one. What a link leads to may have any name.
        let relevant = event
            .map_or(true, |event| !event.kind.is_access() && (event.paths.iter().any(touches) || live.files_changed()));
        if relevant {
            let _already_waiting = changed.try_send(());
        }
    };
    let mut watcher = match ::notify::recommended_watcher(on_event) {
        Ok(watcher) => watcher,
        Err(err) => {
            warn!(%err, "cannot watch files; send SIGHUP after a change of keys or revocations");
            return None;
        }
    };
    for (folder, _) in folders {
        if let Err(err) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            warn!(%err, "cannot watch {}; send SIGHUP after a change there", folder.display());
        }
    }
    Some(watcher)
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
