//! What is sold, and when it counts as bought. Pure like the gate: values in, values out.
//!
//! Read in this order: [`money`] (prices), [`offers`] (what is on sale at which price), [`order`] (what one invoice was made
//! for, signed), [`claim`] (the buyer's secret), [`invoice`] (what BTCPay says of one), [`settlement`] (an invoice turned into
//! a token), [`start`] (from when on its time counts), [`bill`] (what is still to be paid, and how), [`witness`] (what the
//! Lightning node itself says), [`words`] (what wallets show), [`lane`] (people or
//! machines), [`machine`] (what machines' credentials are worth).
//! Asking BTCPay, clocks and randomness belong to the callers; clippy refuses them here.
#![deny(clippy::disallowed_methods)]

pub(crate) mod bill;
pub(crate) mod claim;
pub(crate) mod invoice;
pub(crate) mod lane;
pub(crate) mod machine;
pub(crate) mod money;
pub(crate) mod offers;
pub(crate) mod order;
pub(crate) mod settlement;
pub(crate) mod start;
pub(crate) mod witness;
pub(crate) mod words;

pub use order::{METADATA_KEY, Order};
