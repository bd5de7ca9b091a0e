//! Sells HLS video on nginx for Bitcoin and Lightning, without accounts: the payment is the authentication.
//!
//! The house, bottom up; arrows point down only:
//!
//! - [`gate`]: may this viewer have this file? Tokens, keys, revocations, the decision. Pure.
//! - [`shop`]: what is on sale, and when it counts as bought. Pure.

pub mod gate;
pub mod shop;
