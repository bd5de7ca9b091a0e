//! Where a site or a service is reached: `https://host`, perhaps with a path that all of it lies below.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// An `http` or `https` address with a host, and without user, password, query and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// - `example`: how one looks, for the error's text. A secret in `text` is not shown there.
    pub(crate) fn parse(text: &str, example: &str) -> Result<Address, String> {
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
        // First, since every other text shows the value. Without a scheme, `user:password@host` has the scheme `user`.
        let is_plain = |url: Url| is_web(&url) && url.username().is_empty() && url.password().is_none();
        if text.contains('@') && !Url::parse(text).is_ok_and(is_plain) {
            return Err("the URL holds a user name or a password; secrets go into files of their own".into());
        }
        let url = Url::parse(text).map_err(|err| format!("{text:?} is no URL ({err}); write it like {example:?}"))?;
        if !is_web(&url) {
            return Err(format!("{text:?} is not http or https; write it like {example:?}"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("{text:?} has a query or a fragment; write it like {example:?}"));
        }
        Ok(Address(url))
    }

    /// Its text without a slash at the end: a path that begins with one can follow.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The host's name or number.
    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host, and its port where it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        self.0.port().map_or_else(|| self.host().to_owned(), |port| format!("{}:{port}", self.host()))
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// What these segments name below it, each encoded.
    pub(crate) fn below<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Address::parse(text, "https://host.example")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_lies_below_it_with_and_without_a_slash_at_the_end() {
        for (text, shown, below) in [
            ("https://a.example", "https://a.example", "https://a.example/i/a%2Fb"),
            ("https://a.example/", "https://a.example", "https://a.example/i/a%2Fb"),
            (
                "https://a.example:8443/btcpay/",
                "https://a.example:8443/btcpay",
                "https://a.example:8443/btcpay/i/a%2Fb",
            ),
            ("https://a.example/@me", "https://a.example/@me", "https://a.example/@me/i/a%2Fb"),
            ("http://[::1]:80/x", "http://[::1]/x", "http://[::1]/x/i/a%2Fb"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.below(["i", "a/b"]).as_str()), (shown, below), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_rejected_and_its_secrets_are_not_shown() {
        for (text, why) in [
            ("a.example", "is no URL"),
            ("ftp://a.example", "is not http or https"),
            ("https://a.example/?x=1", "has a query or a fragment"),
            ("https://a.example/#x", "has a query or a fragment"),
            ("https://me:hunter2@a.example", "holds a user name or a password"),
            ("me:hunter2@a.example", "holds a user name or a password"),
            ("hunter2@a.example", "holds a user name or a password"),
        ] {
            let err = text.parse::<Address>().unwrap_err();
            assert!(err.contains(why) && !err.contains("hunter2"), "{text}: {err}");
        }
    }
}
