//! Sells HLS video on nginx for Bitcoin and Lightning, without accounts: the payment is the authentication.
//!
//! The house, bottom up; arrows point down only:
//!
//! - [`gate`]: may this viewer have this file? [`shop`]: which token is a settled invoice worth? Both pure.
//! - [`btcpay`]: the Greenfield API's client. [`config`]: the TOML file, and everything that is wrong with it at once.
//! - [`live`]: what is in force: keys, revocations, the payment machine, the clock.
//! - [`front`]: sockets, connections, requests; it knows no token. [`server`]: one file per endpoint, reload, drain.
//! - [`check`]: looks at an installation. [`cli`]: one file per command.

pub mod btcpay;
pub mod check;
pub mod cli;
pub mod config;
pub mod failure;
pub mod front;
pub mod gate;
pub mod live;
mod random;
pub mod server;
pub mod shop;
