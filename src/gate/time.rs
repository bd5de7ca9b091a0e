//! A moment in whole seconds. Where it comes from is the caller's business.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z, as in RFC 7519 (`NumericDate`, without fractions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The largest time that every JSON reader takes for the same number (RFC 7493, section 2.2): 2^53 - 1.
    pub(crate) const MAX: UnixTime = UnixTime((1 << 53) - 1);

    /// `self` + `seconds`, at most [`UnixTime::MAX`].
    pub(crate) fn plus(self, seconds: u64) -> UnixTime {
        UnixTime(self.0.saturating_add(seconds)).min(UnixTime::MAX)
    }

    /// Seconds from `self` until `later`; 0 when that has passed.
    pub(crate) fn until(self, later: UnixTime) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
