//! BTCPay Server as hlsgate sees it: the ledger that is asked, and the sender of webhooks that hint when to ask.
//!
//! Read in this order: [`client`] (what can be asked), [`invoice`] and [`setup`] (what is answered), [`error`] (what goes
//! wrong, in every shape that BTCPay and the proxies before it have), [`permissions`] (what an API key may), [`delivery`]
//! (what BTCPay sends by itself). Works with BTCPay 2.0 to 2.4 and newer, by nested routes only.
//! What an invoice is worth is not decided here: that is the shop's business.

mod authority;
pub(crate) mod client;
pub(crate) mod delivery;
pub(crate) mod error;
pub(crate) mod facts;
pub(crate) mod invoice;
pub(crate) mod lenient;
#[cfg(test)]
mod members_tests;
pub(crate) mod money;
pub(crate) mod pages;
pub(crate) mod permissions;
#[cfg(test)]
mod recorded_tests;
pub(crate) mod secret;
pub(crate) mod setup;
#[cfg(test)]
mod test_server;
mod transport;

pub use crate::shop::invoice::Status as InvoiceStatus;
pub use client::{Client, InvoiceQuery, Settings, Timeouts};
pub use delivery::{Delivery, verify};
pub use error::Error;
pub use invoice::{Invoice, Metadata, NewCheckout, NewInvoice, NewReceipt};
pub use secret::{ApiKey, WebhookSecret, WebhookSecrets};
pub use setup::{AuthorizedEvents, NewWebhook, Webhook};
