//! Where the double is known to answer otherwise than the real server did, and why. Everything else is a failure.

/// A case, what its difference contains, and the reason.
pub const KNOWN: [(&str, &str, &str); 0] = [];

/// Cases, by the beginning of their names, that the double cannot play to the end yet, and why.
pub const OPEN: [(&str, &str); 0] = [];
