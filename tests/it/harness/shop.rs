//! An installation that sells: the stand-in BTCPay behind the daemon, its webhook through nginx.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::btcpay::{API_KEY, Btcpay, STORE};
use super::command::program;
use super::{Harness, Options, send};

/// What the stand-in signs its deliveries with.
pub const SECRET: &str = "an-honest-webhook-secret-of-the-tests";
/// The path of the webhook.
pub const WEBHOOK: &str = "/hlsgate/webhooks/btcpay";

/// A delivery whose second half never comes.
pub const BROKEN_OFF: &str = "POST /hlsgate/webhooks/btcpay HTTP/1.1\r\nHost: hlsgate\r\nConnection: close\r\n\
    Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"type\":";

/// What is on sale in every shop of the tests.
const OFFERS: &str = r#"
[[offers]]
tier = "24h"
price = "100"
currency = "SATS"
duration = "24h"
[[offers]]
tier = "forever"
price = "3000"
currency = "SATS"
[passes.summer]
videos = ["vid1", "vid10"]
offers = [{ tier = "30d", price = "20000", currency = "SATS", duration = "30d" }]
[videos.dollars]
offers = [{ tier = "once", price = "5.00", currency = "USD" }]
[videos.off]
offers = []
"#;

/// A running shop.
pub struct Shop {
    /// nginx and the daemon.
    pub h: Harness,
    /// The payment machine.
    pub btcpay: Btcpay,
    files: TempDir,
}

/// Another daemon with the same keys, as on a second machine.
pub struct SecondDaemon {
    client: reqwest::Client,
    _process: super::process::Process,
}

/// An invoice that a viewer holds the claim on.
#[derive(Clone, Debug)]
pub struct Purchase {
    /// The invoice's id.
    pub invoice: String,
    /// The secret.
    pub claim: String,
    /// The whole answer.
    pub answer: Value,
}

/// What a test may want otherwise.
#[derive(Default)]
pub struct Wish<'a> {
    /// Added to `[btcpay]`.
    pub btcpay: &'a str,
    /// Added to the configuration's end.
    pub config: &'a str,
    /// Arguments of the stand-in.
    pub arguments: &'a [&'a str],
    /// The body of the server block, where it is not the README's.
    pub vhost: Option<&'a str>,
    /// No webhook is registered.
    pub no_webhook: bool,
}

impl Purchase {
    /// The cookie that remembers it.
    pub fn cookie(&self) -> String {
        format!("hlsgate_pending={}~{}", self.invoice, self.claim)
    }
}

impl Shop {
    /// The shop of the README, more or less.
    pub async fn start() -> Shop {
        Shop::with(Wish::default()).await
    }

    /// A shop with something else in it.
    pub async fn with(wish: Wish<'_>) -> Shop {
        let files = tempfile::Builder::new().prefix("hlsgate-it-shop-").tempdir().expect("a temporary folder");
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).expect("write a secret");
            path.display().to_string()
        };
        let (key, secret) = (file("btcpay-api-key", API_KEY), file("btcpay-webhook-secret", SECRET));
        let btcpay = Btcpay::start(files.path(), wish.arguments).await;
        let config = format!(
            "[cookie]\nsecure = false\n[btcpay]\nurl = \"{}\"\nstore = \"{STORE}\"\napi_key_file = \"{key}\"\n\
             webhook_secret_file = \"{secret}\"\npublic_url = \"https://pay.site.test/btcpay\"\n{}\n{OFFERS}\n{}",
            btcpay.url, wish.btcpay, wish.config,
        );
        let vhost = wish.vhost.unwrap_or(super::VHOST).to_owned();
        let options =
            Options { config_top: "public_url = \"https://site.test\"".into(), config, vhost, ..Options::default() };
        let h = Harness::with(options).await;
        if !wish.no_webhook {
            btcpay.webhook(&h.url(WEBHOOK), SECRET).await;
        }
        let shop = Shop { h, btcpay, files };
        shop.note_secrets();
        shop
    }

    /// Asks for an invoice.
    pub async fn order(&self, video: &str, body: Value) -> Response {
        send(self.h.request("POST", &format!("/hlsgate/videos/{video}/invoices")).json(&body)).await
    }

    /// Makes an invoice for a tier.
    pub async fn buy(&self, video: &str, tier: &str) -> Purchase {
        self.purchase(self.order(video, json!({ "tier": tier })).await).await
    }

    /// The purchase that a 201 tells of.
    pub async fn purchase(&self, response: Response) -> Purchase {
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap_or_default());
        let answer: Value = response.json().await.expect("JSON");
        let text = |name: &str| answer[name].as_str().expect(name).to_owned();
        let (invoice, claim) = (text("invoice"), text("claim"));
        self.h.with_secrets(|secrets| secrets.note(&claim));
        Purchase { invoice, claim, answer }
    }

    /// The request that waits for a purchase, with the claim as Bearer.
    pub fn waiting(&self, purchase: &Purchase, query: &str) -> RequestBuilder {
        let path = format!("/hlsgate/invoices/{}?{query}", purchase.invoice);
        self.h.request("GET", &path).bearer_auth(&purchase.claim)
    }

    /// What a viewer is told of a purchase.
    pub async fn told(&self, purchase: &Purchase, query: &str) -> Value {
        let response = send(self.waiting(purchase, query)).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap_or_default());
        response.json().await.expect("JSON")
    }

    /// The token of a purchase, as a page would wait for it; it has to come within `limit`.
    pub async fn token(&self, purchase: &Purchase, limit: Duration) -> String {
        let waiting = async {
            let mut seen = "new".to_owned();
            loop {
                let told = self.told(purchase, &format!("wait=25&seen={seen}")).await;
                if let Some(token) = told["token"].as_str() {
                    assert_eq!(told["status"], "settled");
                    return token.to_owned();
                }
                seen = told["status"].as_str().expect("a status").to_owned();
                assert_ne!(seen, "settled", "settled, and no token");
            }
        };
        tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| panic!("no token within {limit:?}"))
    }

    /// The status that a viewer is told now; there has to be no token.
    pub async fn status(&self, purchase: &Purchase) -> String {
        let told = self.told(purchase, "").await;
        assert_eq!(told.get("token"), None);
        told["status"].as_str().expect("a status").to_owned()
    }

    /// What the shop tells of a video to whoever sends these cookies.
    pub async fn video(&self, video: &str, cookies: &str) -> Value {
        let response = send(self.h.request("GET", &format!("/hlsgate/videos/{video}")).header("Cookie", cookies)).await;
        assert_eq!(response.status(), 200);
        response.json().await.expect("JSON")
    }

    /// The same, with the cookies that it sets.
    pub async fn page(&self, video: &str, cookies: &str) -> (Value, Vec<String>) {
        let response = send(self.h.request("GET", &format!("/hlsgate/videos/{video}")).header("Cookie", cookies)).await;
        let set = set_cookies(&response);
        (response.json().await.expect("JSON"), set)
    }

    /// Waits until a page with these cookies is told that its purchase is over.
    pub async fn ended(&self, video: &str, cookies: &str, why: &str) -> (Value, Vec<String>) {
        super::until(&format!("it is told as {why}"), || async {
            let (told, set) = self.page(video, cookies).await;
            (told["ended"]["why"] == why).then_some((told, set))
        })
        .await
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.h.folder().join("daemon.log")).expect("the daemon's log")
    }

    /// Notes the API key and the webhook's secrets as they are now.
    pub fn note_secrets(&self) {
        self.h.with_secrets(|secrets| secrets.note_folder(self.files.path()));
    }

    /// The file with the webhook's secret.
    pub fn secret_file(&self) -> std::path::PathBuf {
        self.files.path().join("btcpay-webhook-secret")
    }

    /// Starts a second daemon with the same keys and configuration.
    pub async fn second_daemon(&self) -> SecondDaemon {
        let first = std::fs::read_to_string(self.h.config()).expect("the configuration");
        let socket = self.files.path().join("second.sock");
        let place = |line: &str| match line {
            _ if line.starts_with("listen = ") => format!("listen = \"unix:{}\"", socket.display()),
            _ if line.starts_with("admin_listen = ") => "admin_listen = \"off\"".to_owned(),
            _ => line.to_owned(),
        };
        let config = self.h.folder().join("second.toml");
        std::fs::write(&config, first.lines().map(|line| place(line) + "\n").collect::<String>()).expect("write it");
        let mut command = std::process::Command::new(program());
        command.args(["serve", "--config"]).arg(&config);
        let process = super::process::Process::start(&mut command, &self.h.folder().join("second.log"));
        super::until("the second daemon listens", || async { std::os::unix::net::UnixStream::connect(&socket).ok() })
            .await;
        SecondDaemon { client: over(socket), _process: process }
    }

    /// A request to the daemon itself, past nginx and its limits by address.
    pub fn direct(&self) -> reqwest::Client {
        over(super::daemon::socket(self.h.folder()))
    }
}

impl SecondDaemon {
    /// What it tells of a video, to these cookies.
    pub async fn video(&self, video: &str, cookies: &str) -> Value {
        let url = format!("http://hlsgate/hlsgate/videos/{video}");
        send(self.client.get(url).header("Cookie", cookies)).await.json().await.expect("JSON")
    }

    /// What is told of a purchase.
    pub async fn told(&self, purchase: &Purchase, query: &str) -> Value {
        let url = format!("http://hlsgate/hlsgate/invoices/{}?{query}", purchase.invoice);
        let response = send(self.client.get(url).bearer_auth(&purchase.claim)).await;
        assert_eq!(response.status(), 200);
        response.json().await.expect("JSON")
    }
}

/// The cookies that an answer sets.
pub fn set_cookies(response: &Response) -> Vec<String> {
    let lines = response.headers().get_all("set-cookie").iter();
    lines.map(|value| value.to_str().expect("a plain cookie").to_owned()).collect()
}

/// Whether they take the newest purchase out of the browser.
pub fn clears_pending(set: &[String]) -> bool {
    set.iter().any(|line| line.starts_with("hlsgate_pending=; Path=/hlsgate/; Max-Age=0"))
}

fn over(socket: std::path::PathBuf) -> reqwest::Client {
    let client = reqwest::Client::builder().unix_socket(socket).timeout(Duration::from_secs(90));
    client.build().expect("an HTTP client over a daemon's socket")
}

impl Drop for Shop {
    fn drop(&mut self) {
        // The logs are searched when the harness goes, which is after this.
        self.note_secrets();
    }
}
