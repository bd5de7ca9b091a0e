//! Which BTCPay Server this stand-in plays.

use std::{fmt, str::FromStr};

/// `2.4.1`; a `+commit` suffix is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

/// Other 4xx answers to a webhook are no longer retried; deliveries show `deliveryTime`.
pub const NO_RETRY_OF_4XX: Version = Version(2, 3, 4);
/// Payment methods in the invoice list.
pub const METHODS_IN_LIST: Version = Version(2, 3, 6);
/// BOLT11 without an amount for top-ups.
pub const AMOUNTLESS_BOLT11: Version = Version(2, 3, 7);
/// Short routes; 403 for unknown ids.
pub const SHORT_ROUTES: Version = Version(2, 4, 0);
/// Payment methods in one invoice.
pub const METHODS_IN_INVOICE: Version = Version(2, 4, 1);
/// `paidAmount`, `InvoiceExpiredPaidPartial`, `InvoicePaidAfterExpiration`.
pub const PAID_AMOUNT: Version = Version(2, 1, 2);
/// A 401 says what was wrong with the key.
pub const SAYS_WHY_401: Version = Version(2, 3, 5);
/// Permissions of which BTCPay knows nothing are taken, and `GET /stores` needs the right.
pub const TAKES_ANY_PERMISSION: Version = Version(2, 3, 0);
/// The store's members and those of an on-chain method as today.
pub const STORE_OF_2_2: Version = Version(2, 2, 0);
/// A refusal of all methods begins with today's sentence.
pub const SHORT_REFUSAL: Version = Version(2, 1, 0);
/// `POST …/status` answers the invoice as it was before.
pub const ANSWERS_BEFORE: Version = Version(2, 3, 6);
/// An amount of blanks is a top-up; changing no metadata is no error; a webhook of `null` events does no harm to others.
pub const TOLERANT: Version = Version(2, 3, 7);
/// A refund's sums can be asked for, and it may name several payout methods. 2.0.8 has neither and 2.4.1 both; which version brought
/// them is not recorded.
pub const REFUND_METHODS: Version = Version(2, 1, 0);
/// `InvoiceRefund`.
pub const REFUND_EVENT: Version = Version(2, 4, 1);
/// The "Test" button is gone.
pub const NO_TEST_BUTTON: Version = Version(2, 3, 0);

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.split('+').next().unwrap_or_default();
        let parts: Vec<u32> =
            number.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| "expected a version like 2.4.1")?;
        match parts[..] {
            [major, minor, patch] if major >= 2 => Ok(Version(major, minor, patch)),
            [_, _, _] => Err("versions before 2.0.0 named payment methods otherwise and are not played".into()),
            _ => Err("expected a version like 2.4.1".into()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}
