//! The stand-in BTCPay of `examples/btcpay-double` as a child process, and its control API.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::process::Process;
use super::until;

/// The store that the stand-in has.
pub const STORE: &str = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776";
/// The API key that may sell there.
pub const API_KEY: &str = "0123456789abcdef0123456789abcdef01234567";

/// A running stand-in.
pub struct Btcpay {
    /// Where its API is.
    pub url: String,
    control: String,
    client: reqwest::Client,
    _process: Process,
}

impl Btcpay {
    /// Starts one; its log is `btcpay.log` in `folder`.
    pub async fn start(folder: &Path, arguments: &[&str]) -> Btcpay {
        let log = folder.join("btcpay.log");
        // Lest the addresses of an earlier one in this folder be read.
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new(program());
        // It names its addresses itself: a port that was free a moment ago may be another test's by now.
        command.args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]).args(arguments);
        let process = Process::start(&mut command, &log);
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let (url, control) = until("the stand-in listens", || async {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let address = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
            Some((address("listening on ")?, address("control on ")?)).filter(|_| text.ends_with('\n'))
        })
        .await;
        Btcpay { url, control, client, _process: process }
    }

    /// A call of the control API that has to make sense.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}/fake/{path}", self.control)).json(&body);
        answer(request, path).await
    }

    /// A question to the control API, `wait?…` included.
    pub async fn ask(&self, path: &str) -> Value {
        answer(self.client.get(format!("{}/fake/{path}", self.control)), path).await
    }

    /// Changes switches.
    pub async fn switch(&self, switches: Value) {
        self.control("switches", switches).await;
    }

    /// Registers a webhook.
    pub async fn webhook(&self, url: &str, secret: &str) {
        self.control("webhooks", json!({ "url": url, "secret": secret })).await;
    }

    /// Somebody pays all that is due, by Lightning.
    pub async fn pay(&self, invoice: &str) -> Value {
        self.control("pay", json!({ "invoice": invoice })).await
    }

    /// API calls whose method and path fit, since real time `since`.
    pub async fn calls(&self, query: &str) -> Vec<Value> {
        let calls = self.ask(&format!("calls?{query}")).await;
        calls["calls"].as_array().expect("a list of calls").clone()
    }

    /// Waits until no delivery is under way.
    pub async fn idle(&self) {
        self.ask("wait?idle&timeout=20").await;
    }

    /// Forgets calls, attempts and events.
    pub async fn forget(&self) {
        answer(self.client.delete(format!("{}/fake/records", self.control)), "records").await;
    }
}

async fn answer(request: reqwest::RequestBuilder, path: &str) -> Value {
    let response = request.send().await.expect("the stand-in answers");
    let status = response.status();
    let text = response.text().await.expect("text");
    assert!(status.is_success(), "the stand-in refuses {path}: {status} {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("the stand-in speaks JSON") }
}

/// The stand-in's program: the one that `BTCPAY_DOUBLE_BIN` names, or built if need be, once a test run.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("BTCPAY_DOUBLE_BIN") {
            return PathBuf::from(program);
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "btcpay-double"]);
        // What Cargo tells a test of its package is, to a build script that looks at it, a reason to build half of all anew.
        for (name, _) in std::env::vars_os() {
            let told = name.to_string_lossy();
            if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&name);
            }
        }
        let built = cargo.status().expect("Cargo runs");
        assert!(built.success(), "cargo build --package btcpay-double: {built}");
        let program = Path::new(env!("CARGO_BIN_EXE_hlsgate")).with_file_name("btcpay-double");
        assert!(program.exists(), "{} is not there; run `cargo build --package btcpay-double`", program.display());
        program
    })
}
