//! Sells HLS video on nginx for Bitcoin and Lightning, without accounts: the payment is the authentication.
//!
//! The house, bottom up; arrows point down only:
//!
//! - [`gate`]: may this viewer have this file? Tokens, keys, revocations, the decision. Pure.
//! - [`shop`]: what is sold, and which token a settled invoice is worth. Pure.
//! - [`btcpay`]: the Greenfield API's client, webhook signatures and events.

pub mod btcpay;
pub mod gate;
pub mod shop;
