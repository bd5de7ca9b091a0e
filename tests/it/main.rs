//! The promises of hlsgate, kept end to end: the shipped nginx files in a real nginx, the real daemon, real HLS.
//!
//! `tests/run` installs what these need. A missing program is a failure that names its package.

// A failed expectation is a failed test, and the line tells which.
#![allow(clippy::unwrap_used)]

mod harness;

mod btcpay_commands;
mod cache;
mod campaign;
mod carriers;
mod check_nginx;
mod check_probe;
mod check_probe_stream;
mod check_serving;
mod check_words;
mod cli;
mod daemon;
mod differential;
mod keys_commands;
mod machines;
mod openapi_btcpay;
mod operations;
mod origins;
mod playback;
mod reload;
mod revoke_command;
mod rooms;
mod shop_between;
mod shop_buying;
mod shop_errors;
mod shop_kept;
mod shop_limits;
mod shop_lost;
mod shop_openapi;
mod shop_sale;
mod shop_settlement;
mod shop_versions;
mod shop_webhook;
mod shop_witness;
mod smoke;
mod token_command;
mod tokens;
mod vhosts;
mod viewers;
mod ways;
mod wire;
