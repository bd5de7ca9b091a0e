//! BTCPay Server as hlsgate sees it: the ledger that is asked, and the sender of webhooks that hint when to ask.
//!
//! Read in this order: [`client`] (what can be asked), [`invoice`] and [`setup`] (what is answered), [`error`] (what goes
//! wrong, in every shape that BTCPay and the proxies before it have), [`permissions`] (what an API key may), [`webhook`]
//! (what BTCPay sends by itself). Works with BTCPay 2.0 to 2.4 and newer, by nested routes only.
//! What an invoice is worth is not decided here: that is the shop's business.

mod authority;
pub mod client;
pub mod error;
pub mod facts;
pub mod invoice;
pub mod lenient;
#[cfg(test)]
mod members_tests;
pub mod money;
pub mod pages;
pub mod permissions;
pub mod secret;
pub mod setup;
#[cfg(test)]
mod test_server;
mod transport;
pub mod webhook;

pub use client::{Client, Settings, Timeouts};
pub use error::Error;
pub use secret::ApiKey;
