//! A stand-in for BTCPay Server 2.4.1, for tests and the demo: Greenfield API, webhooks with their queue and retries, a
//! small checkout page, and a control API that pays, expires, restarts, and misbehaves on demand. No money moves.
//!
//! ```text
//! btcpay-double --listen 127.0.0.1:0 --webhook-url http://127.0.0.1:8080/hlsgate/webhooks/btcpay --webhook-secret S
//! listening on http://127.0.0.1:40123
//! ```
//! The first line of standard output names the address; with `--control` a second line, `control on http://…`, names another
//! listener with the same routes, which stays open while `"down": "refuse"` closes the first. With `--until-stdin-closes` no stray
//! process outlives the test that started it. Everything is kept in
//! memory and nothing is ever dropped. BOLT11 invoices are for regtest (`lnbcrt…`), with the right amount, checksum, payment hash and a
//! signature by a throw-away key; addresses are `bcrt1q…`. Invoice expirations run on a clock that `/fake/clock` can move ahead (the `Date`
//! header follows); `--time-scale 0.001` shortens only the waits between webhook attempts (10 s, 1 min, 6 × 10 min).
//!
//! The default API key is `0123456789abcdef0123456789abcdef01234567`; it may create and view invoices, manage webhooks and view the store, each for
//! this store only. The checkout page `/i/{id}` has a button, in a form of its own, for each of `pay`, `pay-half`, `pay-late`, `pay-chain`, `confirm`,
//! `expire`, `settle`, `invalidate` (these are the ids); paying in full, late or by `settle` goes on to the `redirectURL`.
//!
//!
//! `CONTROL.md` describes the control API and the switches, `README.md` the rest.

// A test tool may stop on what cannot happen; the daemon may not.
#![allow(clippy::expect_used)]
// A refusal is an answer like any other, and as large.
#![allow(clippy::result_large_err)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod app;
mod bolt11;
mod checkout;
mod checkout_status;
mod client;
mod control;
mod control_webhooks;
mod creation_log;
mod delivery;
mod greenfield;
mod http;
mod ids;
mod invoice;
mod invoice_api;
mod invoicing;
mod json;
mod jsonb;
mod keys;
mod ledger;
mod lightning_api;
mod lnurl;
mod money;
mod pace;
mod payment;
mod reading;
mod refunds;
mod request;
mod script;
mod server;
mod settings;
mod strangers;
mod subscriptions;
mod unkind;
mod version;
mod views;
mod webhook;
mod webhook_api;
mod world;
mod zone;

use std::{error::Error, io::Write, net::SocketAddr};

use clap::Parser;
use tokio::net::TcpListener;

use crate::{
    app::App,
    keys::ApiKey,
    version::Version,
    webhook::{AuthorizedEvents, Webhook},
    world::World,
};

/// A stand-in for BTCPay Server, for tests and demonstrations.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:23000")]
    listen: SocketAddr,
    /// A second listener, which `"down": "refuse"` does not close.
    #[arg(long)]
    control: Option<SocketAddr>,
    /// The store's id.
    #[arg(long, default_value = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776")]
    store: String,
    /// An API key that may create and view invoices, manage webhooks and view the store.
    #[arg(long, default_value = "0123456789abcdef0123456789abcdef01234567")]
    api_key: String,
    /// The version to play, 2.0.0 or later.
    #[arg(long, default_value = "2.4.1")]
    version: Version,
    /// Factor on the waits between webhook attempts.
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    time_scale: f64,
    /// Where BTCPay lives under its host, such as `/btcpay`.
    #[arg(long, default_value = "")]
    root_path: String,
    /// A file with calls to make to itself once it listens, as `example.script.json` has them.
    #[arg(long)]
    script: Option<std::path::PathBuf>,
    /// End when standard input closes, as it does when the parent process dies.
    #[arg(long)]
    until_stdin_closes: bool,
    /// A webhook from the start, for every event, with redelivery.
    #[arg(long, requires = "webhook_secret")]
    webhook_url: Option<String>,
    /// Its secret.
    #[arg(long, requires = "webhook_url")]
    webhook_secret: Option<String>,
}

fn scale(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|scale| (0.0..=1000.0).contains(scale))
        .ok_or_else(|| "expected a factor between 0 and 1000".into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut world = World::new(options.version, options.time_scale, &options.store);
    let permissions = [keys::CREATE_INVOICE, keys::VIEW_INVOICES, keys::WEBHOOKS, keys::VIEW_STORE];
    let permissions = permissions.map(|permission| format!("{permission}:{}", options.store)).to_vec();
    let api_key = options.api_key.clone();
    world.keys.push(ApiKey { key: options.api_key, label: "hlsgate".into(), permissions });

    let app = App::new(world, options.root_path.trim_end_matches('/').to_owned(), options.control.is_some());
    if let (Some(url), Some(secret)) = (options.webhook_url, options.webhook_secret) {
        let events = AuthorizedEvents::default();
        app.add_webhook(Webhook { id: ids::fresh(), url, secret, enabled: true, automatic_redelivery: true, events });
    }
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on http://{}{}", listener.local_addr()?, app.root);
    if let Some(address) = options.control {
        let control = TcpListener::bind(address).await?;
        println!("control on http://{}{}", control.local_addr()?, app.root);
        tokio::spawn(server::serve_control(app.clone(), control));
    }
    std::io::stdout().flush()?;
    if options.until_stdin_closes {
        std::thread::spawn(|| {
            // An unreadable standard input counts as closed.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(0);
        });
    }
    tokio::spawn(app.clone().run_timers());
    if let Some(file) = options.script {
        let (address, root) = (listener.local_addr()?, app.root.clone());
        let steps = script::read(&std::fs::read_to_string(&file).map_err(|err| format!("{}: {err}", file.display()))?)?;
        tokio::spawn(async move {
            match script::play(&steps, address, &root, &api_key).await {
                Ok(()) => println!("script: {} steps played", steps.len()),
                Err(err) => println!("script: {err}"),
            }
        });
    }
    server::serve(app, listener).await?;
    Ok(())
}
