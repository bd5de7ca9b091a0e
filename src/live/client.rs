//! What the commands that ask BTCPay share: the client, the runtime, and how a refusal is told.

use std::future::Future;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::selling::settings;
use crate::btcpay::secret::SecretError;
use crate::btcpay::{ApiKey, Client, Error};
use crate::config::files::credential;
use crate::config::{Btcpay, Config};
use crate::failure::{EXIT_CONFIG, Failure, chain};

/// `[btcpay]`, which these commands cannot do without.
pub(crate) fn section(config: &Config) -> Result<&Btcpay, Failure> {
    config.btcpay.as_ref().ok_or_else(|| {
        Failure::new(format!("{} has no [btcpay]: there is no payment machine to ask", config.file.display()))
            .hint("take the # away there before [btcpay], url, store and one of the [[offers]], and fill them in; public_url too")
            .exit(EXIT_CONFIG)
    })
}

/// The API key, or `None` if there is no file for it yet.
pub(crate) fn api_key(btcpay: &Btcpay) -> Result<Option<ApiKey>, Failure> {
    secret_if_any("btcpay.api_key_file", &btcpay.api_key_file, ApiKey::parse)
}

/// What the file of a secret holds; `None` where there is none yet, or nothing in it.
pub(crate) fn secret_if_any<T>(
    field: &str,
    file: &Path,
    parse: impl FnOnce(&str) -> Result<T, SecretError>,
) -> Result<Option<T>, Failure> {
    let file = credential(file);
    let text = match std::fs::read_to_string(&file).map(Zeroizing::new) {
        Ok(text) if text.trim().is_empty() => return Ok(None),
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(Failure::file("read", &file, &err)),
    };
    let parsed = parse(&text).map(Some);
    parsed.map_err(|err| Failure::new(format!("{field}: {}: {err}", file.display())).exit(EXIT_CONFIG))
}

/// A client with this key.
pub(crate) fn client_with(btcpay: &Btcpay, api_key: ApiKey) -> Result<Client, Failure> {
    Client::new(&settings(btcpay, api_key)).map_err(|err| failed("ask BTCPay", &err))
}

/// A client with the configured key.
pub(crate) fn client(config: &Config) -> Result<Client, Failure> {
    let btcpay = section(config)?;
    let key = api_key(btcpay)?.ok_or_else(|| {
        Failure::new(format!("there is no API key in {}", btcpay.api_key_file.display()))
            .hint("`hlsgate btcpay connect` tells how to get one")
            .exit(EXIT_CONFIG)
    })?;
    client_with(btcpay, key)
}

/// Runs what a command has to wait for.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|err| Failure::new(format!("cannot start: {err}")))?;
    Ok(runtime.block_on(future))
}

/// What a question to BTCPay came to, told to the end of its chain of reasons.
pub(crate) fn failed(doing: &str, err: &Error) -> Failure {
    Failure::new(format!("cannot {doing}: {}", chain(err)))
}
