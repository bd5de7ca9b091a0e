//! What must not leak: the API key and the webhook's secrets. `Debug` shows nothing, memory is overwritten when dropped.

use std::fmt;

use http::HeaderValue;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A Greenfield API key. It can make invoices and, with too many rights, move money.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ApiKey(String);

/// One webhook's shared secret: never empty, for an empty key would let anybody sign.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct WebhookSecret(String);

/// Most secrets of a webhook at a time.
pub(crate) const MAX_SECRETS: usize = 8;

/// The secret that deliveries are to be signed with, and those before it: BTCPay signs with an older one until it is told the
/// new one, and what was queued by then still comes under it (about an hour).
#[derive(Clone, Debug)]
pub struct WebhookSecrets {
    /// Today's.
    pub(crate) current: WebhookSecret,
    /// Those that were replaced, the latest first.
    pub(crate) earlier: Vec<WebhookSecret>,
}

/// Why a file's text is no secret. Nothing of the text is shown.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SecretError {
    /// Nothing, or white space only.
    #[error("the file is empty; expected the secret on its first line")]
    Empty,
    /// Not one word of printable ASCII.
    #[error("expected one line of printable ASCII without spaces, as BTCPay shows the key (40 hexadecimal digits)")]
    NotAKey,
    /// More lines than any change needs.
    #[error("expected one line, or a few while the secret is changed (the current one first), at most {MAX_SECRETS}")]
    TooManyLines,
}

impl ApiKey {
    /// The key in a file's text; white space around it is not part of it.
    pub fn parse(text: &str) -> Result<ApiKey, SecretError> {
        let key = text.trim();
        match key {
            "" => Err(SecretError::Empty),
            _ if key.bytes().all(|b| b.is_ascii_graphic()) => Ok(ApiKey(key.into())),
            _ => Err(SecretError::NotAKey),
        }
    }

    /// The key's text, for its file.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// `Authorization: token KEY`, marked so that no HTTP library prints it.
    pub(super) fn header(&self) -> HeaderValue {
        let mut value =
            HeaderValue::try_from(format!("token {}", self.0)).expect("printable ASCII is a header's value");
        value.set_sensitive(true);
        value
    }
}

impl WebhookSecret {
    /// A secret as typed into BTCPay: its UTF-8 bytes are the key, whatever they look like.
    pub fn new(text: &str) -> Result<WebhookSecret, SecretError> {
        if text.is_empty() { Err(SecretError::Empty) } else { Ok(WebhookSecret(text.into())) }
    }

    /// The secret's text, for registering it with BTCPay and for its file.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl WebhookSecrets {
    /// Reads a secret's file: the current one on the first line, earlier ones below.
    pub fn parse(text: &str) -> Result<WebhookSecrets, SecretError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(WebhookSecret::new);
        let current = lines.next().ok_or(SecretError::Empty)??;
        let earlier: Vec<WebhookSecret> = lines.collect::<Result<_, _>>()?;
        if earlier.len() >= MAX_SECRETS {
            Err(SecretError::TooManyLines)
        } else {
            Ok(WebhookSecrets { current, earlier })
        }
    }

    /// The current one, then the earlier ones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &WebhookSecret> {
        std::iter::once(&self.current).chain(&self.earlier)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_word_and_never_shown() {
        let key = ApiKey::parse("  0123456789abcdef0123456789abcdef01234567\n").unwrap();
        assert_eq!(format!("{key:?} {:?}", key.header()), "ApiKey(…) Sensitive");
        assert_eq!(key.header(), "token 0123456789abcdef0123456789abcdef01234567");
        assert_eq!(ApiKey::parse(" \n"), Err(SecretError::Empty));
        for text in ["two words", "line\nbreak", "schlüssel", "nul\0"] {
            assert_eq!(ApiKey::parse(text), Err(SecretError::NotAKey), "{text:?}");
        }
    }

    #[test]
    fn a_file_holds_one_secret_or_a_few() {
        let texts = |text| {
            let secrets = WebhookSecrets::parse(text)?;
            Ok(secrets.iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(texts("new\n"), Ok(vec!["new".to_owned()]));
        assert_eq!(texts("new\r\nold"), Ok(vec!["new".to_owned(), "old".to_owned()]));
        assert_eq!(texts("\n \n"), Err(SecretError::Empty));
        assert_eq!(texts("a\nb\nc\n").map(|secrets| secrets.len()), Ok(3));
        assert_eq!(texts("a\nb\nc\nd\ne\nf\ng\nh\ni\n"), Err(SecretError::TooManyLines));
        assert_eq!(format!("{:?}", WebhookSecrets::parse("new").unwrap().current), "WebhookSecret(…)");
    }
}
