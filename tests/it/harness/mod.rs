//! A whole installation in a temporary folder: nginx with the shipped files, the daemon, an HLS stream.
//!
//! Everything listens on loopback or on Unix sockets. Children are killed and reaped on drop; when a test fails, all logs
//! are printed; when it passes, the logs are searched for secrets.

pub mod btcpay;
pub mod command;
pub mod daemon;
pub mod nginx;
pub mod process;
pub mod random;
pub mod raw;
pub mod secrets;
pub mod shop;
pub mod stream;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use daemon::Daemon;
use nginx::Nginx;
use reqwest::{RequestBuilder, Response};
use secrets::Secrets;
use tempfile::TempDir;

/// Longest wait for anything that should happen at once.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The two videos of every installation: whenever a token of `A` is used, a byte of `B` is a leak.
pub const A: &str = "vid1";
/// The other one: its id begins like the first.
pub const B: &str = "vid10";

/// What a test may want otherwise.
pub struct Options {
    /// Added to the configuration's top, before any table.
    pub config_top: String,
    /// Added to the configuration's end.
    pub config: String,
    /// The body of the server block, after `listen` and `server_name`. `{root}`, `{hls}` and `{etc}` are folders.
    pub vhost: String,
    /// Added at nginx's http level.
    pub http: String,
    /// Added at nginx's main level.
    pub main: String,
}

impl Default for Options {
    fn default() -> Self {
        let none = String::new;
        Options { config_top: none(), config: none(), vhost: VHOST.into(), http: none(), main: none() }
    }
}

/// The two lines of the README, in a vhost that serves other things too.
pub const VHOST: &str = "
    include snippets/hlsgate.conf;
    root {root};
    location / { }
    location ^~ /hls/ { include snippets/hlsgate-protect.conf; }
";

/// A running installation.
pub struct Harness {
    /// nginx.
    pub nginx: Nginx,
    /// The daemon; `None` while it is down.
    pub daemon: Option<Daemon>,
    client: reqwest::Client,
    secrets: Mutex<Secrets>,
    folder: TempDir,
}

impl Harness {
    /// The installation of the README.
    pub async fn start() -> Harness {
        Harness::with(Options::default()).await
    }

    /// An installation with something else in it.
    pub async fn with(options: Options) -> Harness {
        let folder = tempfile::Builder::new().prefix("hlsgate-it-").tempdir().expect("a temporary folder");
        process::open_to_all(folder.path());
        let root = folder.path().join("www");
        stream::link(&root.join("hls").join(A), "a");
        stream::link(&root.join("hls").join(B), "b");
        std::fs::write(root.join("index.html"), "a page that is free\n").expect("write a page");

        let config = daemon::write_config(folder.path(), &options);
        let daemon = Daemon::start(&config, folder.path());
        let nginx = Nginx::start(folder.path(), &config, &options);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("an HTTP client");
        let harness = Harness { nginx, daemon: Some(daemon), client, secrets: Mutex::default(), folder };
        harness.note_secrets();
        harness.daemon().ready().await;
        harness
    }

    /// The temporary folder of this installation.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder().join("hlsgate.toml")
    }

    /// The running daemon.
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon is running")
    }

    /// Kills the daemon without a warning.
    pub fn kill_daemon(&mut self) {
        drop(self.daemon.take());
    }

    /// Starts the daemon again.
    pub async fn start_daemon(&mut self) {
        let daemon = Daemon::start(&self.config(), self.folder());
        daemon.ready().await;
        self.daemon = Some(daemon);
    }

    /// Runs a command of hlsgate with this installation's configuration; it has to succeed. Gives standard output.
    pub fn run(&self, arguments: &[&str]) -> String {
        let config = self.config();
        let config = config.to_str().expect("a plain path");
        let all: Vec<&str> = ["--config", config].iter().chain(arguments).copied().collect();
        let printed = process::output(command::program(), &all);
        // The command may have changed the keys.
        self.note_secrets();
        printed
    }

    /// A token from `token issue` with these arguments.
    pub fn token(&self, arguments: &[&str]) -> String {
        let all: Vec<&str> = ["token", "issue"].iter().chain(arguments).copied().collect();
        self.run(&all).trim().to_owned()
    }

    /// A token for one video that lasts an hour.
    pub fn token_for(&self, video: &str) -> String {
        self.token(&["--video", video, "--for", "1h"])
    }

    /// The address of a path of the site, for players.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.nginx.port)
    }

    /// A request through nginx, to be completed and sent.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method.parse().expect("a method"), self.url(path))
    }

    /// A GET through nginx, without a token.
    pub async fn get(&self, path: &str) -> Response {
        send(self.request("GET", path)).await
    }

    /// A GET through nginx with a cookie.
    pub async fn get_with(&self, path: &str, token: &str) -> Response {
        send(self.request("GET", path).header("Cookie", format!("hlsgate={token}"))).await
    }
}

/// A token with another signature: its last character is exchanged for one that the signature of a token can end with too.
pub fn forged(token: &str) -> String {
    let (start, last) = token.split_at(token.len() - 1);
    format!("{start}{}", if last == "A" { "E" } else { "A" })
}

/// Sends a request that nginx has to answer.
pub async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("nginx answers")
}

/// The `reason` of a problem+json answer.
pub async fn reason(response: Response) -> String {
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{response:?}");
    let problem: serde_json::Value = response.json().await.expect("problem+json is JSON");
    problem["reason"].as_str().expect("a problem has a reason").to_owned()
}

/// Waits until `condition` gives something, or fails after [`DEADLINE`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let waiting = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            // The pace of asking, not a wait for luck: the deadline decides.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

impl Drop for Harness {
    fn drop(&mut self) {
        // Both have to have written all that they will.
        drop(self.daemon.take());
        self.nginx.stop();
        if std::thread::panicking() {
            for log in ["daemon.log", "error.log", "access.log"] {
                let text = std::fs::read_to_string(self.folder().join(log)).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(60).collect();
                eprintln!("---- {log}");
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
            return;
        }
        self.note_secrets();
        self.search_logs();
    }
}

impl Harness {
    /// Notes every secret that the installation has now, also those that a test is about to replace.
    pub fn note_secrets(&self) {
        self.with_secrets(|secrets| secrets.note_folder(self.folder()));
    }

    /// The secrets that no log may show.
    pub fn with_secrets<T>(&self, act: impl FnOnce(&mut Secrets) -> T) -> T {
        act(&mut self.secrets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Searches every log of the installation. nginx's own error log prints request lines, tokens and all: there it is the
    /// kept secrets that must not stand.
    fn search_logs(&self) {
        let files = std::fs::read_dir(self.folder()).expect("the installation's folder");
        let logs =
            files.map(|file| file.expect("a file").path()).filter(|path| path.extension().is_some_and(|e| e == "log"));
        for log in logs {
            let text = String::from_utf8_lossy(&std::fs::read(&log).expect("a log")).into_owned();
            let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let shown = self.with_secrets(|secrets| match name.as_str() {
                "error.log" => secrets.kept_shown_in(&text),
                _ => secrets.shown_in(&text),
            });
            assert_eq!(shown, None, "{name} shows a secret of this installation");
        }
    }
}
