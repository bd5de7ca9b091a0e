//! What can go wrong between hlsgate and BTCPay, whichever of them or of the proxies between them is to blame.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// Longest id that is asked for; BTCPay's own have up to 44 characters.
pub(crate) const MAX_ID_LEN: usize = 64;

/// Why a question to BTCPay has no answer. No text holds the API key or a buyer's data.
#[derive(Debug, Error)]
pub enum Error {
    /// No HTTP client could be made: no TLS roots, most likely.
    #[error("no HTTPS client could be set up; is the package ca-certificates installed?")]
    Setup {
        /// The HTTP library's reason.
        #[source]
        source: reqwest::Error,
    },
    /// The certificates of `btcpay.ca_file` cannot be used: nothing was asked.
    #[error("btcpay.ca_file: {problem}")]
    CaFile {
        /// The file, and what is wrong with it.
        problem: String,
    },
    /// An id that BTCPay cannot have given: nothing was asked.
    #[error("{id:?} is no id of BTCPay; one has 1 to {max} of A-Z a-z 0-9 _ -", max = MAX_ID_LEN)]
    BadId {
        /// As given, cut.
        id: String,
    },
    /// An invoice over nothing, which BTCPay would settle at once: nothing was asked.
    #[error("an invoice over {amount} would be settled without a payment; the price has to be more than 0")]
    NotPositive {
        /// As given.
        amount: rust_decimal::Decimal,
    },
    /// No connection: the request never left.
    #[error("BTCPay at {at} cannot be reached; {}", check_what(.at))]
    Unreachable {
        /// BTCPay's address.
        at: Box<str>,
        /// The HTTP library's reason.
        #[source]
        source: reqwest::Error,
    },
    /// A connection, but to somebody who cannot prove to be BTCPay: the request never left.
    #[error("the certificate that BTCPay at {at} shows is not trusted: {problem}")]
    Untrusted {
        /// BTCPay's address.
        at: Box<str>,
        /// Why, and what to do.
        problem: String,
    },
    /// No answer in time.
    #[error("BTCPay at {at} did not answer within {after:?}")]
    TimedOut {
        /// BTCPay's address.
        at: Box<str>,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke in the middle.
    #[error("the connection to BTCPay at {at} broke before the whole answer had come")]
    Interrupted {
        /// BTCPay's address.
        at: Box<str>,
        /// The HTTP library's reason.
        #[source]
        source: reqwest::Error,
    },
    /// 401.
    #[error("BTCPay at {at} refused the API key (401); make a new one and put it into btcpay.api_key_file")]
    Unauthenticated {
        /// BTCPay's address.
        at: Box<str>,
    },
    /// 403 of BTCPay itself.
    #[error(
        "BTCPay says that the API key lacks {permission} (403); give it that right for the store in btcpay.store. \
             BTCPay 2.4 says the same of an id that it does not know and of another store's"
    )]
    MissingPermission {
        /// BTCPay's name for the right.
        permission: String,
    },
    /// 403 of something before BTCPay.
    #[error("something before BTCPay at {at} forbids the request (403); exempt /api/ from its firewall and bot checks")]
    Forbidden {
        /// BTCPay's address.
        at: Box<str>,
    },
    /// 404 of BTCPay itself: it knows the route, but not what was named.
    #[error("BTCPay does not know it (404): {answer}")]
    NotFound {
        /// BTCPay's words.
        answer: Answered,
    },
    /// 422.
    #[error("BTCPay refused the request's fields (422): {}", FieldProblem::list(.problems))]
    Invalid {
        /// Each field.
        problems: Vec<FieldProblem>,
    },
    /// Any other 4xx: no rate, no usable payment method, a Lightning node that is down (400), a conflict (409).
    #[error("BTCPay refused the request ({status}): {answer}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// BTCPay's words.
        answer: Answered,
    },
    /// 429, by a proxy: BTCPay does not limit API keys.
    #[error("too many requests for BTCPay at {at}, or for the proxy before it (429)")]
    Busy {
        /// BTCPay's address.
        at: Box<str>,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// 5xx, of BTCPay or of a proxy before it.
    #[error("BTCPay at {at} is in trouble ({status}): {answer}")]
    Unavailable {
        /// BTCPay's address.
        at: Box<str>,
        /// HTTP status.
        status: u16,
        /// BTCPay's words, if it was BTCPay.
        answer: Answered,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// 3xx: it is not followed, for the API key goes to the configured address only.
    #[error("BTCPay at {at} sends us elsewhere ({status}, to {to}); put the final address into btcpay.url")]
    Redirected {
        /// BTCPay's address.
        at: Box<str>,
        /// HTTP status.
        status: u16,
        /// The host it names.
        to: String,
    },
    /// An answer that is not the API's: a web page, a log-in form, another program.
    #[error(
        "what answers at {at} is not BTCPay's API ({status}, {content_type}); \
             btcpay.url has to end where /api/v1 begins"
    )]
    NotGreenfield {
        /// BTCPay's address.
        at: Box<str>,
        /// HTTP status.
        status: u16,
        /// Media type of the answer.
        content_type: String,
    },
    /// More than any honest answer.
    #[error("BTCPay's answer is longer than {limit} bytes")]
    TooLarge {
        /// Where reading stopped.
        limit: usize,
    },
    /// JSON that is not what this question is answered with.
    #[error("BTCPay's answer is not {expected}; is its version between 2.0 and 2.4?")]
    Unreadable {
        /// What it should have been.
        expected: &'static str,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
}

/// One entry of a 422 answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct FieldProblem {
    /// For instance `Checkout.PaymentMethods[0]`.
    #[serde(default)]
    pub(crate) path: String,
    /// BTCPay's words.
    #[serde(default)]
    pub(crate) message: String,
}

/// What BTCPay said about a refusal; both parts are empty when it was a web page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// For instance `generic-error` or `invoice-not-found`.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
}

impl Error {
    /// A short name for metrics, out of a fixed set.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Setup { .. } | Error::CaFile { .. } | Error::BadId { .. } | Error::NotPositive { .. } => "local",
            Error::Unreachable { .. } | Error::Untrusted { .. } => "unreachable",
            Error::TimedOut { .. } => "timeout",
            Error::Interrupted { .. } => "interrupted",
            Error::Unauthenticated { .. } => "unauthenticated",
            Error::MissingPermission { .. } => "missing-permission",
            Error::Forbidden { .. } => "forbidden",
            Error::NotFound { .. } => "not-found",
            Error::Invalid { .. } => "invalid",
            Error::Refused { .. } => "refused",
            Error::Busy { .. } => "busy",
            Error::Unavailable { .. } => "unavailable",
            Error::Redirected { .. } => "redirected",
            Error::NotGreenfield { .. } => "not-greenfield",
            Error::TooLarge { .. } => "too-large",
            Error::Unreadable { .. } => "unreadable",
        }
    }

    /// Every value of [`Error::kind`], so that a metric can start with all of them at 0.
    pub(crate) const KINDS: [&'static str; 16] = [
        "local",
        "unreachable",
        "timeout",
        "interrupted",
        "unauthenticated",
        "missing-permission",
        "forbidden",
        "not-found",
        "invalid",
        "refused",
        "busy",
        "unavailable",
        "redirected",
        "not-greenfield",
        "too-large",
        "unreadable",
    ];

    /// Whether BTCPay may have done what it was asked although there is no answer. A creation that failed so may have made
    /// an invoice: look for it before asking again.
    pub(crate) fn may_have_happened(&self) -> bool {
        match self {
            Error::TimedOut { .. } | Error::Interrupted { .. } | Error::Unavailable { .. } => true,
            // These are told after a success, too.
            Error::TooLarge { .. } | Error::Unreadable { .. } => true,
            Error::NotGreenfield { status, .. } => *status < 300,
            _ => false,
        }
    }

    /// Whether it may mean that BTCPay does not know the id that was asked for: 404, and since BTCPay 2.4 also 403.
    pub fn may_be_unknown_id(&self) -> bool {
        matches!(self, Error::NotFound { .. } | Error::MissingPermission { .. } | Error::BadId { .. })
    }

    /// Whether asking again later can help without anybody changing anything.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Error::Unreachable { .. }
                | Error::TimedOut { .. }
                | Error::Interrupted { .. }
                | Error::Busy { .. }
                | Error::Unavailable { .. }
        )
    }

    /// When BTCPay, or the proxy before it, asks to come again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Busy { retry_after, .. } | Error::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl FieldProblem {
    fn list(problems: &[FieldProblem]) -> String {
        let shown: Vec<String> = problems.iter().map(FieldProblem::to_string).collect();
        if shown.is_empty() { "no field named".into() } else { shown.join("; ") }
    }
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", printable(&self.path), printable(&self.message))
    }
}

fn check_what(at: &str) -> &'static str {
    match url::Url::parse(at).ok().and_then(|url| url.host_str().map(|host| host.ends_with(".onion"))) {
        Some(true) => {
            "an onion service is reached through Tor: set ALL_PROXY=socks5h://127.0.0.1:9050 (docs/btcpay.md)"
        }
        _ => "check btcpay.url, the network, TLS and that BTCPay runs",
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message.is_empty(), self.code.is_empty()) {
            (true, true) => f.write_str("no reason given"),
            (true, false) => f.write_str(&printable(&self.code)),
            (false, true) => f.write_str(&told(&self.message)),
            (false, false) => write!(f, "{} ({})", told(&self.message), printable(&self.code)),
        }
    }
}

/// BTCPay's message in one line. Where an invoice cannot be made it is a heading and the creation's log, up to twelve lines and
/// sometimes a stack trace, of which the warnings and errors say why: those are kept, each once and without its date.
fn told(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let heading = lines.next().unwrap_or_default();
    let mut parts = vec![printable(heading)];
    let (mut level, mut informed) = (None, None);
    for line in lines {
        match log_line(line) {
            Some(("Warning" | "Error", text)) => {
                level = Some(());
                let part = printable(text);
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
            Some((_, text)) => informed = Some(text),
            // A stack trace goes on.
            None => {}
        }
    }
    if let (None, Some(text)) = (level, informed) {
        parts.push(printable(text));
    }
    // The cause stands at the end: where there is too much, the middle goes.
    while parts.len() > MOST_PARTS {
        parts.remove(1);
    }
    parts.join(" | ")
}

/// Most parts of a log that are told.
const MOST_PARTS: usize = 8;

/// The level and the text of a line such as `11/29/2026 20:47:28:Error BTC-LN: Payment method unavailable`.
fn log_line(line: &str) -> Option<(&str, &str)> {
    let (_date, rest) = line.split_once(' ')?;
    let (time, rest) = rest.split_at_checked("20:47:28:".len())?;
    let is_time =
        time.bytes().enumerate().all(|(at, byte)| if at % 3 == 2 { byte == b':' } else { byte.is_ascii_digit() });
    if is_time { rest.split_once(' ') } else { None }
}

/// At most 300 characters without control characters: what others wrote must not forge lines of our log.
pub(super) fn printable(text: &str) -> String {
    const MOST: usize = 300;
    let mut shown: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    if text.trim().chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: `lightning-offline`, `fiat-no-rate` of 2.0.8, `explorer-away`, `methods-disabled`.
    #[test]
    fn what_says_why_is_kept() {
        let told = |message: &str| Answered { code: "generic-error".into(), message: message.into() }.to_string();
        assert_eq!(
            told(
                "Error retrieving a matching payment method or rate.\n11/29/2026 20:47:28:Info Creation of invoice starting\n\
                 11/29/2026 20:47:28:Info Rate for BTC_BTC: 1.0 = 1.0 = 1.0\n\
                 11/29/2026 20:47:28:Error BTC-LN: NodeInfo failed to be fetched: Error while connecting to the API: Cannot assign requested address\n\
                 11/29/2026 20:47:28:Error BTC-LN: Payment method unavailable (Impossible to create lightning invoice (Cannot assign requested address))\n\
                 11/29/2026 20:47:28:Info BTC-LN: Payment method details creation took 5 milliseconds\n"
            ),
            "Error retrieving a matching payment method or rate. | \
             BTC-LN: NodeInfo failed to be fetched: Error while connecting to the API: Cannot assign requested address | \
             BTC-LN: Payment method unavailable (Impossible to create lightning invoice (Cannot assign requested address)) (generic-error)"
        );
        let old = told(
            "Warning: You have payment methods configured but none of them match any of the requested payment methods or the \
             rate is not available. See logs below:\n11/29/2026 21:52:36:Info Creation of invoice starting\n\
             11/29/2026 21:52:36:Info Rate for BTC_USD: kraken(BTC_USD) = ERR_RATE_UNAVAILABLE(kraken, BTC_USD) = ???\n\
             11/29/2026 21:52:36:Warning Rate rule error (RateUnavailable)\n\
             11/29/2026 21:52:36:Warning Error from exchange kraken (Connection refused (127.0.0.1:9))\n\
             11/29/2026 21:52:36:Error BTC-LN: Unable to get rate(s) BTC_USD, this payment method disabled for this invoice.\n",
        );
        assert!(old.contains(" | Error from exchange kraken (Connection refused (127.0.0.1:9)) | "), "{old}");
        let traced = told(
            "Error retrieving a matching payment method or rate.\n11/29/2026 20:51:01:Error BTC-CHAIN: Unexpected exception \
             (System.Net.Http.HttpRequestException: Connection refused (127.0.0.1:28838)\n ---> System.Net.Sockets\n   at System\n",
        );
        assert!(traced.contains("Connection refused (127.0.0.1:28838)") && !traced.contains("   at "), "{traced}");
        let nothing = told("Error retrieving.\n11/29/2026 20:40:15:Info Rate for BTC_BTC: 1.0 = 1.0 = 1.0\n");
        assert_eq!(nothing, "Error retrieving. | Rate for BTC_BTC: 1.0 = 1.0 = 1.0 (generic-error)");
    }

    #[test]
    fn what_others_wrote_cannot_forge_log_lines() {
        let answer = Answered { code: "generic-error".into(), message: "no rate\n2026-11-23 INFO all is well".into() };
        let shown = Error::Refused { status: 400, answer }.to_string();
        assert_eq!(shown, "BTCPay refused the request (400): no rate (generic-error)");
        let forged =
            Answered { code: String::new(), message: "a\u{7}b\r\n11/29/2026 20:40:15:Error c\u{1b}[2K".into() };
        assert_eq!(forged.to_string(), "a b | c [2K");
        assert_eq!(printable(&"x".repeat(400)).chars().count(), 301);
    }
}
