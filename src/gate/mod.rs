//! May this viewer have this file? The trust logic, whole and pure: it takes bytes and a time and gives back a value.
//!
//! Read in this order: [`decision`] (what is decided), [`token`] (what a token is), [`jws`] (its envelope), [`keyring`]
//! (who can sign), [`revocations`] (what no longer opens), [`scope`] (which videos a token covers).
//! Sockets, files, clocks and randomness belong to the callers; clippy refuses them here.
#![deny(clippy::disallowed_methods)]

pub mod decision;
pub mod jwk;
pub mod jws;
pub mod keyring;
pub mod revocations;
pub mod scope;
pub mod time;
pub mod token;
