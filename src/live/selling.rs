//! What selling needs beside the configuration: BTCPay's client with its key, and the webhook's secrets.

use crate::btcpay::secret::WebhookSecrets;
use crate::btcpay::{ApiKey, Client, Settings, Timeouts};
use crate::config::files::secret;
use crate::config::{Btcpay, Config, Problems};

/// The payment machine, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Selling {
    /// Asks BTCPay.
    pub(crate) client: Client,
    /// What deliveries are signed with.
    pub(crate) secrets: WebhookSecrets,
    /// `[btcpay]`
    pub(crate) config: Btcpay,
}

impl Selling {
    /// Reads the secrets of `[btcpay]`. `None` without that section, or with a problem noted.
    pub(crate) fn load(config: &Config, problems: &mut Problems) -> Option<Selling> {
        let btcpay = config.btcpay.as_ref()?;
        let key = secret("btcpay.api_key_file", &btcpay.api_key_file, problems, ApiKey::parse);
        let file = &btcpay.webhook_secret_file;
        let secrets = secret("btcpay.webhook_secret_file", file, problems, WebhookSecrets::parse);
        let client = problems.check("btcpay", Client::new(&settings(btcpay, key?)))?;
        Some(Selling { client, secrets: secrets?, config: btcpay.clone() })
    }
}

/// What the client of this section has to know.
pub(super) fn settings(btcpay: &Btcpay, api_key: ApiKey) -> Settings {
    Settings {
        url: btcpay.url.clone(),
        public_url: Some(btcpay.public_url.clone()),
        store: btcpay.terms.store.clone(),
        api_key,
        ca_file: btcpay.ca_file.clone(),
        timeouts: Timeouts::default(),
    }
}
