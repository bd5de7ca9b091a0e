//! Where the double is known to answer otherwise than the real server did, and why. Everything else is a failure.

/// A case, what its difference contains, and the reason.
pub const KNOWN: [(&str, &str, &str); 0] = [];
