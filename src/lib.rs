//! Sells HLS video on nginx for Bitcoin and Lightning, without accounts: the payment is the authentication.
//!
//! The rooms, bottom up; each knows only what stands above it (CONTRIBUTING.md, tests/it/rooms.rs):
//!
//! - [`gate`]: may this viewer have this file? [`shop`]: which token is a settled invoice worth? Both pure.
//! - [`btcpay`]: the Greenfield API's client. [`config`]: the TOML file, and everything that is wrong with it at once.
//! - [`live`]: what is in force: keys, revocations, the payment machine, the clock.
//! - [`front`]: sockets, connections, requests; it knows no token. [`server`]: one file per endpoint, reload, drain.
//! - [`check`]: looks at an installation. [`cli`]: one file per command.
//!
//! What is public is what `main` runs, and what tests, benches and fuzz targets take hold of.
#![warn(unreachable_pub)]

mod address;
pub mod btcpay;
mod check;
mod cli;
pub mod config;
mod failure;
mod front;
pub mod gate;
mod live;
mod random;
mod server;
pub mod shop;

pub use address::Address;
pub use cli::{Cli, run};
pub use front::quick::answer_one;
pub use live::{Live, clock::now};
pub use server::app::App;
pub use server::carriers::{PATH_TOKEN, QUERY, tokens};
