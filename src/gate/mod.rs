//! May this viewer have this file? The trust logic, whole and pure: it takes bytes and a time and gives back a value.
//!
//! Read in this order: [`decision`] (what is decided), [`token`] (what a token is), [`jws`] (its envelope), [`keyring`]
//! (who can sign), [`revocations`] (what no longer opens), [`scope`] (which videos a token covers).
//! Sockets, files, clocks and randomness belong to the callers; clippy refuses them here.
#![deny(clippy::disallowed_methods)]

pub(crate) mod decision;
pub(crate) mod jwk;
pub(crate) mod jws;
pub(crate) mod keyring;
pub(crate) mod revocations;
pub(crate) mod scope;
pub(crate) mod time;
pub(crate) mod token;

pub use decision::{AuthRequest, CarriedTokens, Carrier, Kind, Policy, decide};
pub use jwk::{Jwk, JwkError, JwkSet, Secret};
pub use keyring::Keyring;
pub use revocations::Revocations;
pub use scope::{PassVideos, Passes};
pub use time::UnixTime;
pub use token::{Jti, NewToken, UntrustedToken};
