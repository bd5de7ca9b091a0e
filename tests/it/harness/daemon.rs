//! The daemon as a child process.

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use super::command::program;
use super::process::{Process, output};
use super::secrets::Secrets;
use super::{Options, until};

/// A running `hlsgate serve`.
pub struct Daemon {
    /// The process.
    pub process: Process,
    socket: PathBuf,
    admin: u16,
}

/// The socket of an installation.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("hlsgate.sock")
}

/// Writes the configuration and makes keys; gives the configuration's path.
pub fn write_config(folder: &Path, options: &Options) -> PathBuf {
    let file = folder.join("hlsgate.toml");
    let text = format!(
        "listen = \"unix:{socket}\"\n{group}admin_listen = \"127.0.0.1:{admin}\"\n{top}\n[revocations]\nfile = \"revoked\"\n{rest}\n",
        socket = socket(folder).display(),
        group = if nix::unistd::Uid::effective().is_root() { "" } else { "socket_group = \"\"\n" },
        admin = free_port(),
        top = options.config_top,
        rest = options.config,
    );
    std::fs::write(&file, text).expect("write the configuration");
    output(program(), &["init", "--config", file.to_str().expect("a plain path")]);
    file
}

/// A port on loopback that nobody uses, and that no other test gets. It lies below those that the system lends to outgoing
/// connections (32768 and up), of which the suite makes thousands: one of these would take it before its server does.
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 10_000..32_000;
    // Another run beside this one begins elsewhere.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(std::process::id() as u16));
    loop {
        let port = PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS.len() as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Starts the daemon with a listening socket handed over as systemd does it: file descriptor 3, and `LISTEN_PID`.
pub fn start_with_socket(config: &Path, folder: &Path, listener: &UnixListener) -> Process {
    let mut command = Command::new("sh");
    // The shell becomes the daemon, so its own process id is the one to tell.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --log-level debug --config \"$1\"";
    command.args(["-c", script, program()]).arg(config);
    Process::start_with_input(
        &mut command,
        &folder.join("daemon.log"),
        listener.as_fd().try_clone_to_owned().expect("a copy").into(),
    )
}

impl Daemon {
    /// Starts the daemon; its log is `daemon.log` in `folder`.
    pub fn start(config: &Path, folder: &Path) -> Daemon {
        let mut command = Command::new(program());
        command.args(["serve", "--log-level", "debug", "--config"]).arg(config);
        let process = Process::start(&mut command, &folder.join("daemon.log"));
        let text = std::fs::read_to_string(config).expect("the configuration");
        let admin = text
            .lines()
            .find_map(|line| line.strip_prefix("admin_listen = \"127.0.0.1:")?.strip_suffix('"')?.parse().ok());
        Daemon { process, socket: socket(folder), admin: admin.expect("the admin port") }
    }

    /// Waits until it accepts from nginx's workers too: the socket gets its mode last, and root may connect before.
    pub async fn ready(&self) {
        until("the daemon listens", || async {
            UnixStream::connect(&self.socket).ok()?;
            let mode = std::fs::metadata(&self.socket).ok()?.permissions().mode();
            (mode & 0o777 != 0).then_some(())
        })
        .await;
    }

    /// The text of a path of the admin listener, with its status.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.admin);
        let response = until("the admin listener answers", || async { reqwest::get(&url).await.ok() }).await;
        let (status, text) = (response.status().as_u16(), response.text().await.expect("text"));
        assert_eq!(Secrets::default().shown_in(&text), None, "{path} of the admin listener shows a secret");
        (status, text)
    }

    /// The value of a metric, by its name with labels, as Prometheus writes it.
    pub async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("there is no metric {name} in:\n{text}"))
    }
}
