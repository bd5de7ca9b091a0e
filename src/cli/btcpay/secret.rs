//! The webhook secret's file: made, kept, renewed.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::btcpay::secret::{SecretError, WebhookSecret, WebhookSecrets};
use crate::cli::files;
use crate::config::files::credential;
use crate::failure::Failure;
use crate::random;

/// Bytes of a new secret. Its text has 43 characters; BTCPay's own form takes up to 64.
const SECRET_LEN: usize = 32;

/// The secret that BTCPay shall sign with, and how it came to be.
pub(super) struct Ready {
    /// On the first line of the file now.
    pub current: WebhookSecret,
    /// Whether it replaced another one, which is on the second line now.
    pub renewed: bool,
    made: bool,
}

/// Reads the secret; makes one if there is none, or if a new one is wanted. The file is on the disk before BTCPay hears of it.
pub(super) fn ready(file: &Path, renew: bool) -> Result<Ready, Failure> {
    let _lock = file.parent().filter(|folder| folder.is_dir()).map(|_| files::lock_folder(file)).transpose()?;
    match (read(file)?, renew) {
        (Some(current), false) => Ok(Ready { current, renewed: false, made: false }),
        (None, _) => {
            let current = new_secret()?;
            files::put_secret(file, current.expose().as_bytes())?;
            Ok(Ready { current, renewed: false, made: true })
        }
        (Some(previous), true) => {
            let current = new_secret()?;
            let text = Zeroizing::new(format!("{}\n{}\n", current.expose(), previous.expose()));
            files::replace(file, text.as_bytes())?;
            Ok(Ready { current, renewed: true, made: true })
        }
    }
}

impl Ready {
    /// For the person at the terminal.
    pub(super) fn told(&self, file: &Path) -> String {
        match (self.made, self.renewed) {
            (_, true) => format!("new in {}; the previous one is on its second line", file.display()),
            (true, false) => format!("made: {}", file.display()),
            (false, false) => format!("kept: {}", file.display()),
        }
    }
}

fn read(file: &Path) -> Result<Option<WebhookSecret>, Failure> {
    let file = credential(file);
    let text = match std::fs::read_to_string(&file).map(Zeroizing::new) {
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(Failure::file("read", &file, &err)),
    };
    match WebhookSecrets::parse(&text) {
        Ok(secrets) => Ok(Some(secrets.current)),
        Err(SecretError::Empty) => Ok(None),
        Err(err) => Err(Failure::new(format!("btcpay.webhook_secret_file: {}: {err}", file.display()))),
    }
}

fn new_secret() -> Result<WebhookSecret, Failure> {
    let mut bytes = Zeroizing::new([0; SECRET_LEN]);
    random::fill(&mut *bytes)?;
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
    WebhookSecret::new(&text).map_err(|err| Failure::new(err.to_string()))
}
