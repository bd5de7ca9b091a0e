//! The stand-in BTCPay (`examples/fake_btcpay.rs`) as a child process.
// A test may stop on what cannot happen.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The store that the stand-in has unless it is told otherwise.
pub const STORE: &str = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776";
/// The key that may make and see invoices, manage webhooks and see the store.
pub const API_KEY: &str = "0123456789abcdef0123456789abcdef01234567";

/// A running stand-in; it ends with the test.
pub struct FakeBtcpay {
    /// Where it listens, its root path included: `http://127.0.0.1:PORT`.
    pub url: String,
    child: Child,
}

impl FakeBtcpay {
    /// Starts one on a free port, with these arguments besides.
    pub fn start(arguments: &[&str]) -> FakeBtcpay {
        let mut child = Command::new(binary())
            .args(["--listen", "127.0.0.1:0", "--until-stdin-closes"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the stand-in starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("its first line names the address").to_owned();
        FakeBtcpay { url, child }
    }

    /// A call of its control API, such as `pay` with `{"invoice": ID}`.
    pub async fn control(&self, call: &str, body: Value) -> Value {
        let url = format!("{}/fake/{call}", self.url);
        let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{call} {body}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// What its control API tells, such as `attempts`.
    pub async fn told(&self, what: &str) -> Value {
        let answer = reqwest::get(format!("{}/fake/{what}", self.url)).await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{what}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for FakeBtcpay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `target/…/examples/fake_btcpay`, built if `cargo test --test it` did not.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).expect("a test lies in target/PROFILE/deps");
    let binary = profile.join("examples/fake_btcpay");
    if !binary.is_file() {
        let target = profile.parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "fake_btcpay", "--target-dir"]).arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(),
            "the stand-in does not build"
        );
    }
    binary
}
