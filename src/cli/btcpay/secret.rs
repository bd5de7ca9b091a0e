//! The webhook secret's file: made, kept, renewed.

use std::path::Path;

use zeroize::Zeroizing;

use crate::btcpay::secret::{MAX_SECRETS, WebhookSecret, WebhookSecrets};
use crate::cli::on_disk;
use crate::failure::Failure;
use crate::live::client::secret_if_any;
use crate::random;

/// Bytes of a new secret. Its text has 43 characters; BTCPay's own form takes up to 64.
const SECRET_LEN: usize = 32;

/// The secret that BTCPay shall sign with, and how it came to be.
pub(super) struct Ready {
    /// On the first line of the file now.
    pub current: WebhookSecret,
    /// Whether it replaced another one, which is on the second line now.
    pub renewed: bool,
    /// How many earlier ones are kept below it.
    pub earlier: usize,
    made: bool,
}

/// Reads the secret; makes one if there is none, or if a new one is wanted. The file is on the disk before BTCPay hears of it.
pub(super) fn ready(file: &Path, renew: bool) -> Result<Ready, Failure> {
    let _lock = file.parent().filter(|folder| folder.is_dir()).map(|_| on_disk::lock_folder(file)).transpose()?;
    match (read(file)?, renew) {
        (Some(known), false) => {
            Ok(Ready { earlier: known.earlier.len(), current: known.current, renewed: false, made: false })
        }
        (None, _) => {
            let current = new_secret()?;
            on_disk::put_secret(file, current.expose().as_bytes())?;
            Ok(Ready { current, renewed: false, earlier: 0, made: true })
        }
        (Some(known), true) => {
            let earlier: Vec<&str> = known.iter().map(WebhookSecret::expose).collect();
            if earlier.len() >= MAX_SECRETS {
                return Err(Failure::new(format!("{} holds {MAX_SECRETS} secrets already", file.display())).hint(
                    "tell BTCPay the newest one first: `systemctl reload hlsgate`, then `hlsgate btcpay connect`",
                ));
            }
            let current = new_secret()?;
            // None is thrown away: BTCPay signs with the one that it was told last, whichever that is.
            let text = Zeroizing::new(format!("{}\n{}\n", current.expose(), earlier.join("\n")));
            on_disk::replace_secret(file, text.as_bytes())?;
            Ok(Ready { current, renewed: true, earlier: earlier.len(), made: true })
        }
    }
}

/// Leaves the current secret alone in the file.
pub(super) fn drop_earlier(file: &Path) -> Result<(), Failure> {
    let _lock = on_disk::lock_folder(file)?;
    match read(file)? {
        Some(known) => on_disk::put_secret(file, known.current.expose().as_bytes()),
        None => Ok(()),
    }
}

impl Ready {
    /// For the person at the terminal.
    pub(super) fn told(&self, file: &Path) -> String {
        match (self.made, self.renewed) {
            (_, true) => {
                format!("new in {}; {} below it: valid as long as it is there", file.display(), counted(self.earlier))
            }
            (true, false) => format!("made: {}", file.display()),
            (false, false) if self.earlier > 0 => {
                format!("kept: {}, with {} below it", file.display(), counted(self.earlier))
            }
            (false, false) => format!("kept: {}", file.display()),
        }
    }
}

fn counted(earlier: usize) -> String {
    if earlier == 1 { "one earlier secret".into() } else { format!("{earlier} earlier secrets") }
}

fn read(file: &Path) -> Result<Option<WebhookSecrets>, Failure> {
    secret_if_any("btcpay.webhook_secret_file", file, WebhookSecrets::parse)
}

fn new_secret() -> Result<WebhookSecret, Failure> {
    WebhookSecret::new(&random::text::<SECRET_LEN>()?).map_err(|err| Failure::new(err.to_string()))
}
