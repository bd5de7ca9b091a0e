//! A configuration, a stand-in BTCPay, and a site that takes deliveries: what the commands have around them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use hlsgate::btcpay::WebhookSecrets;
use hlsgate::btcpay::verify;
use hlsgate::btcpay::{ApiKey, Client, Settings, Timeouts};
use hlsgate::btcpay::{Invoice, Metadata, NewInvoice};
use hlsgate::config::Config;
use hlsgate::gate::{JwkSet, Keyring};
use hlsgate::shop::{METADATA_KEY, Order};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::btcpay::{API_KEY, Btcpay, STORE};
use crate::harness::secrets::Secrets;

/// An installation that has not met its BTCPay yet.
pub struct Shop {
    pub btcpay: Btcpay,
    pub site: Site,
    folder: TempDir,
}

/// Stands for nginx and the daemon, as far as a delivery sees them.
pub struct Site {
    pub url: String,
    /// What the daemon takes; `None` is a site without a shop.
    pub secrets: Arc<Mutex<Option<WebhookSecrets>>>,
}

/// What a command did, with all that differs from run to run named instead: `DIR`, `SITE`, `BTCPAY`.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Shop {
    /// Without an API key, and with keys to sign orders.
    pub async fn new(arguments: &[&str]) -> Shop {
        let folder = tempfile::Builder::new().prefix("hlsgate-it-").tempdir().unwrap();
        let (btcpay, site) = (Btcpay::start(folder.path(), arguments).await, Site::start());
        let config = format!(
            "public_url = \"{}\"\n[revocations]\nfile = \"revoked\"\n[btcpay]\nurl = \"{}\"\nstore = \"{STORE}\"\n\
             payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]\n\
             [[offers]]\ntier = \"24h\"\nprice = \"100\"\ncurrency = \"SATS\"\nduration = \"24h\"\n\
             [[offers]]\ntier = \"forever\"\nprice = \"5.00\"\ncurrency = \"USD\"\n\
             [passes.summer]\nvideos = \"all\"\noffers = [{{ tier = \"30d\", price = \"20000\", currency = \"SATS\", duration = \"30d\" }}]\n",
            site.url, btcpay.url
        );
        let shop = Shop { btcpay, site, folder };
        std::fs::write(shop.file("hlsgate.toml"), config).unwrap();
        assert_eq!(shop.run(&["init"]).code, 0);
        shop
    }

    /// With the API key in place, and connected.
    pub async fn connected() -> Shop {
        let shop = Shop::new(&[]).await;
        shop.store_key(API_KEY);
        assert_eq!(shop.run(&["btcpay", "connect"]).code, 0);
        shop.reload();
        shop
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As the administrator does, with the mode that it should have.
    pub fn store_key(&self, key: &str) {
        let file = self.file("btcpay-api-key");
        std::fs::write(&file, format!("{key}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// The lines of the webhook secret's file.
    pub fn secrets(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("btcpay-webhook-secret")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The daemon takes what the file holds now.
    pub fn reload(&self) {
        *self.site.secrets.lock().unwrap() = Some(WebhookSecrets::parse(&self.secrets().join("\n")).unwrap());
    }

    /// Runs a command. No secret may show in what it prints.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "")
    }

    /// The same with something on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Outcome {
        self.run_as(arguments, input, &[])
    }

    /// The same with variables of the environment.
    pub fn run_in(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        self.run_as(arguments, "", variables)
    }

    /// Another BTCPay in the configuration: `lines` stand for its `url`.
    pub fn set_btcpay(&self, lines: &str) {
        let file = self.file("hlsgate.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let others = |line: &&str| !line.starts_with("ca_file = ") && !line.starts_with("url = ");
        let kept: Vec<&str> = text.lines().filter(others).collect();
        let text = kept.join("\n").replacen("[btcpay]", &format!("[btcpay]\n{}", lines.trim_end()), 1);
        std::fs::write(&file, text + "\n").unwrap();
    }

    fn run_as(&self, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Outcome {
        let mut command = Command::new(crate::harness::command::program());
        command.envs(variables.iter().copied());
        command.arg("--config").arg(self.file("hlsgate.toml")).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that does not read may have ended by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let printed = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let mut secrets = Secrets::default();
            secrets.note_folder(self.folder.path());
            // A token is what `token` is asked for; everything else is a leak there as well.
            let shown = if arguments[0] == "token" { secrets.kept_shown_in(&text) } else { secrets.shown_in(&text) };
            assert_eq!(shown, None, "{arguments:?} prints a secret");
            // The commit that the stand-in says it was built of.
            let text = text.replace("+03345c2886a5", "");
            text.replace(self.folder.path().to_str().unwrap(), "DIR")
                .replace(&self.site.url, "SITE")
                .replace(&self.btcpay.url, "BTCPAY")
        };
        let (stdout, stderr) = (printed(output.stdout), printed(output.stderr));
        Outcome { code: output.status.code().unwrap(), stdout, stderr }
    }

    /// BTCPay's findings of `check`, each as `level what: seen`, and the exit code that they ask for.
    pub fn check(&self) -> (i32, Vec<String>) {
        let outcome = self.run(&["check", "--json"]);
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["group"] == "BTCPay");
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let line = |f: &Value| format!("{} {}: {}", text(f, "level"), text(f, "what"), text(f, "seen"));
        let findings: Vec<String> = findings.map(line).collect();
        let any = |level: &str| findings.iter().any(|finding| finding.starts_with(level));
        let code = if any("wrong ") { 1 } else { 2 * i32::from(any("unknown ")) };
        // No nginx is here, and other groups say so: then the whole is wrong even where BTCPay is right.
        assert!(outcome.code == code || outcome.code == 1, "{outcome:?}");
        (code, findings)
    }

    pub fn client(&self) -> Client {
        Client::new(&Settings {
            url: self.btcpay.url.parse().unwrap(),
            public_url: None,
            store: STORE.into(),
            api_key: ApiKey::parse(API_KEY).unwrap(),
            ca_file: None,
            timeouts: Timeouts::default(),
        })
        .unwrap()
    }

    /// An invoice as the daemon makes it: the metadata holds a signed order.
    pub async fn order(&self, video: &str, tier: &str) -> Invoice {
        let config = Config::load(&self.file("hlsgate.toml")).unwrap();
        let keyring = Keyring::new(&JwkSet::parse(&std::fs::read(self.file("keys.json")).unwrap()).unwrap());
        let (video, tier) = (video.parse().unwrap(), tier.parse().unwrap());
        let offer = config.catalogue.find(&video, &tier, None).unwrap();
        let order = Order::new(video, &offer, "bm9uY2Utb2YtMTYtYnl0ZXM");
        let metadata = json!({ "orderId": format!("{video} {tier}"), METADATA_KEY: order.sign(keyring.signing()) });
        self.invoice(&order.amount().to_string(), order.currency().as_str(), metadata).await
    }

    pub async fn invoice(&self, amount: &str, currency: &str, metadata: Value) -> Invoice {
        let (price, metadata) = ((amount.parse().unwrap(), currency), Metadata(metadata.as_object().unwrap().clone()));
        let methods = ["BTC-LN".into(), "BTC-CHAIN".into()];
        let invoice = NewInvoice::exact(price, metadata, "MediumSpeed", &methods, (30, 1440));
        self.client().create_invoice(&invoice).await.unwrap()
    }

    /// Somebody pays a minute after the invoice was made; `received` is when, in UNIX seconds.
    pub async fn pay(&self, invoice: &Invoice, received: u64) {
        self.btcpay.control("tamper", json!({ "invoice": invoice.id, "createdTime": received - 60 })).await;
        self.btcpay.control("pay", json!({ "invoice": invoice.id, "receivedDate": received })).await;
    }
}

impl Site {
    fn start() -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let secrets: Arc<Mutex<Option<WebhookSecrets>>> = Arc::default();
        let taken = secrets.clone();
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, &taken)));
        Site { url, secrets }
    }
}

fn answer(mut stream: TcpStream, secrets: &Mutex<Option<WebhookSecrets>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut signature, mut first) = (0, String::new(), String::new());
    reader.read_line(&mut first).unwrap();
    for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        match line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)) {
            Some((name, value)) if name == "content-length" => length = value.parse().unwrap(),
            Some((name, value)) if name == "btcpay-sig" => signature = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let status = match &*secrets.lock().unwrap() {
        Some(secrets) if first.starts_with("POST /hlsgate/webhooks/btcpay ") => {
            match verify(signature.as_bytes(), &body, secrets) {
                Ok(()) => "204 No Content",
                Err(_) => "403 Forbidden",
            }
        }
        _ => "404 Not Found",
    };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}
