//! Sells HLS video on nginx for Bitcoin and Lightning, without accounts: the payment is the authentication.
//!
//! The house, bottom up; arrows point down only:
//!
//! - [`gate`]: may this viewer have this file? Tokens, keys, revocations, the decision. Pure.
//! - [`shop`]: what is sold, and which token a settled invoice is worth. Pure.
//! - [`config`]: the TOML file and the files that it names; everything that is wrong with them at once.
//! - [`btcpay`]: the Greenfield API's client, webhook signatures and events.
//! - [`server`]: listeners, one file per endpoint, reload, drain.
//! - [`cli`]: one file per command.

pub mod btcpay;
pub mod cli;
pub mod config;
pub mod gate;
pub mod server;
pub mod shop;
