//! What selling needs beside the configuration: BTCPay's client with its key, and the webhook's secrets.

use zeroize::Zeroizing;

use crate::btcpay::secret::WebhookSecrets;
use crate::btcpay::{ApiKey, Client, Settings, Timeouts};
use crate::config::files::secret_lines;
use crate::config::{Btcpay, Config, Problems};
use crate::shop::settlement::Terms;

/// The payment machine, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Selling {
    /// Asks BTCPay.
    pub(crate) client: Client,
    /// What deliveries are signed with.
    pub(crate) secrets: WebhookSecrets,
    /// What counts as settled.
    pub(crate) terms: Terms,
    /// `[btcpay]`
    pub(crate) config: Btcpay,
}

impl Selling {
    /// Reads the secrets of `[btcpay]`. `None` without that section, or with a problem noted.
    pub(crate) fn load(config: &Config, problems: &mut Problems) -> Option<Selling> {
        let btcpay = config.btcpay.as_ref()?;
        let key = secret_lines("btcpay.api_key_file", &btcpay.api_key_file, problems);
        let secrets = secret_lines("btcpay.webhook_secret_file", &btcpay.webhook_secret_file, problems);
        let key = key.and_then(|lines| problems.check("btcpay.api_key_file", ApiKey::parse(&text_of(&lines))));
        let secrets = secrets
            .and_then(|lines| problems.check("btcpay.webhook_secret_file", WebhookSecrets::parse(&text_of(&lines))));
        let settings = Settings {
            url: btcpay.url.clone(),
            public_url: Some(btcpay.public_url.clone()),
            store: btcpay.store.clone(),
            api_key: key?,
            ca_file: btcpay.ca_file.clone(),
            timeouts: Timeouts::default(),
        };
        let client = problems.check("btcpay", Client::new(&settings))?;
        let terms = btcpay.terms();
        Some(Selling { client, secrets: secrets?, terms, config: btcpay.clone() })
    }
}

fn text_of(lines: &[Zeroizing<String>]) -> Zeroizing<String> {
    Zeroizing::new(lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n"))
}
