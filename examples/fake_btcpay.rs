//! A stand-in for BTCPay Server 2.4.1, for tests and the demo: Greenfield API, webhooks with their queue and retries, a
//! small checkout page, and a control API that pays, expires, restarts, and misbehaves on demand. No money moves.
//!
//! ```text
//! cargo run --example fake_btcpay -- --listen 127.0.0.1:0 --webhook-url http://127.0.0.1:8080/hlsgate/webhooks/btcpay --webhook-secret S
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
//! # Control API
//! JSON in and out, no key. 200 with the result, 422 `{"code":"fake","message"}` when it makes no sense. Money in bitcoin as strings.
//! `INVOICE` answers are `{"id","status","additionalStatus","amount","currency","paidAmount","due","expirationTime","metadata"}`.
//!
//! | call | what happens |
//! | --- | --- |
//! | `POST /fake/pay` `{"invoice", "method"?, "amount"?, "fraction"?, "confirmed"?, "rbf"?, "receivedDate"?}` | somebody pays: all that is due, or a fraction of it, or an amount; Lightning where there is, else on-chain, unconfirmed unless `confirmed`, replaceable unless `"rbf": false`. Works late and after settlement too (then with an `amount`: dust). `seen: false` in the answer: BTCPay missed it |
//! | `POST /fake/confirm` `{"invoice", "blocks"?}` | its on-chain payments get blocks, enough by default |
//! | `POST /fake/replace` `{"invoice"}` | its unconfirmed payments are double-spent |
//! | `POST /fake/expire` `{"invoice"}`, `/fake/stop-monitoring` `{"invoice"}` | its expiration (and monitoring) ends now |
//! | `POST /fake/mark` `{"invoice", "status"}` | a person marks it `Settled` or `Invalid` |
//! | `POST /fake/clock` `{"advance": seconds}` | time passes: what falls due happens before the answer |
//! | `POST /fake/invoices` | a stranger's invoice: a creation request as for the API, any metadata; `store` for another store's |
//! | `POST /fake/tamper` `{"invoice", "metadata"?, "amount"?, "currency"?, "store"?, "type"?, "status"?, "additionalStatus"?, "createdTime"?}` | changes what is stored, without an event |
//! | `POST /fake/webhooks` `{"url", "secret"?, "events"?: [..], "automaticRedelivery"?}` | registers one without the API |
//! | `POST /fake/event` `{"invoice", "type", "extra"?: {..}}` | raises any event, known or not, through the queue |
//! | `POST /fake/redeliver` `{"delivery"? "invoice"? "type"?, "all"?}` | repeats the last delivery that matches, or all: other ids, other bytes |
//! | `POST /fake/test-delivery` `{"type"?, "webhook"?}` | the "Test" button of versions before 2.3.0: fake ids, `metadata: null`; answers with the attempt |
//! | `POST /fake/raw-delivery` `{"body": "bytes", "secret"?, "webhook"?}` | posts these bytes, signed; another `secret` makes a forgery |
//! | `POST /fake/release` `{"reverse"?}` | sends what `webhooks_held` held back, in order or reversed, and holds no more |
//! | `POST /fake/restart` | every queued, waiting and retried delivery is lost |
//! | `POST /fake/prune` `{"delivery"}` | its body is gone: 409 |
//! | `POST /fake/keys` `{"key", "permissions": [..] or null}` | sets a key's permissions (`btcpay.store.…`, perhaps `:storeId`); `null` revokes it |
//! | `POST /fake/store` `{..}`, `/fake/version` `{"version"}` | changes fields of the store (`defaultCurrency`, `speedPolicy`, `paymentTolerance`, `invoiceExpiration` …), the version |
//! | `POST /fake/switches` `{..}`, `/fake/switches/reset` | sets the fields given, leaves the others |
//! | `GET /fake/wait?` `idle`, `attempts=N`, `calls=N`, `invoice=ID&status=S`, `type=T`, `timeout=10` | answers when all given hold: no delivery under way; so many attempts (of that `invoice` and `type`), API calls; that status. 422 after `timeout` seconds |
//! | `GET /fake/calls?since&method&path` | `{"count","maxPerSecond","calls":[{"at","method","path","query","status","body"}]}`: API calls from real time `since` on, whose path contains `path` |
//! | `GET /fake/attempts?since&invoice&type` | webhook attempts: `{"count","attempts":[{"at","type","invoice","delivery","original","redelivery","status" or null,"error","body",…}]}` |
//! | `GET /fake/events?invoice` | every event raised, delivered or not |
//! | `GET /fake/invoices`, `/fake/invoices/{id}`, `/fake/state`, `/fake/switches` | what there is |
//! | `DELETE /fake/records` | forgets calls, attempts and events |
//!
//! # Switches
//! | field | default | what it does |
//! | --- | --- | --- |
//! | `latency_ms`, `create_delay_ms` | 0 | delays every API answer; a creation's answer, after the invoice was saved and its event raised |
//! | `pay_on_create` | null | `"BTC-LN"`: a new invoice is paid and its webhooks are delivered before the creation returns |
//! | `fail_next` | null | `{"count","status","method"?,"path"?,"body"?,"location"?,"after"?}`: the next calls that match fail, with HTML or `body`; `after` the work was done |
//! | `down` | null | `"502"` HTML, `"drop"` closes connections, `"hang"` never answers, `"refuse"` does not listen (needs `--control`) |
//! | `synchronized` | true | `/health` |
//! | `answer_create`, `answer_get` | {} | fields put over the answers: `{"amount": "0.1"}`, `currency`, `storeId`, `type`, `status` … |
//! | `methods`, `left_out` | all three, [] | payment methods of the store; those that fail at creation |
//! | `rates`, `spread`, `network_fee` | USD 65000 …, "0", "0" | price of a bitcoin (remove one: 400), markup of the store, fee of a second on-chain payment |
//! | `late_lightning_seen` | true | false, as 2.4.1 has it: a Lightning payment after the expiration leaves no trace |
//! | `webhooks_lost`, `webhooks_held` | false | events are never sent; wait for `release` |
//! | `webhook_delay_ms`, `webhook_copies` | 0 | each delivery waits, and those behind it; each attempt is sent that many times more, byte for byte |
//!
//! Not played: raw Lightning invoices, refunds, payouts, the modal, receipts, the browser's authorisation of API keys, creating API keys.

// A test tool may stop on what cannot happen; the daemon may not.
#![allow(clippy::expect_used)]
// A refusal is an answer like any other, and as large.
#![allow(clippy::result_large_err)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[path = "fake_btcpay/app.rs"]
mod app;
#[path = "fake_btcpay/bolt11.rs"]
mod bolt11;
#[path = "fake_btcpay/checkout.rs"]
mod checkout;
#[path = "fake_btcpay/control.rs"]
mod control;
#[path = "fake_btcpay/control_webhooks.rs"]
mod control_webhooks;
#[path = "fake_btcpay/delivery.rs"]
mod delivery;
#[path = "fake_btcpay/greenfield.rs"]
mod greenfield;
#[path = "fake_btcpay/http.rs"]
mod http;
#[path = "fake_btcpay/ids.rs"]
mod ids;
#[path = "fake_btcpay/invoice.rs"]
mod invoice;
#[path = "fake_btcpay/invoice_api.rs"]
mod invoice_api;
#[path = "fake_btcpay/invoicing.rs"]
mod invoicing;
#[path = "fake_btcpay/jsonb.rs"]
mod jsonb;
#[path = "fake_btcpay/keys.rs"]
mod keys;
#[path = "fake_btcpay/money.rs"]
mod money;
#[path = "fake_btcpay/payment.rs"]
mod payment;
#[path = "fake_btcpay/server.rs"]
mod server;
#[path = "fake_btcpay/settings.rs"]
mod settings;
#[path = "fake_btcpay/unkind.rs"]
mod unkind;
#[path = "fake_btcpay/version.rs"]
mod version;
#[path = "fake_btcpay/views.rs"]
mod views;
#[path = "fake_btcpay/webhook.rs"]
mod webhook;
#[path = "fake_btcpay/webhook_api.rs"]
mod webhook_api;
#[path = "fake_btcpay/world.rs"]
mod world;

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
    world.keys.push(ApiKey { key: options.api_key, label: "hlsgate".into(), permissions });

    let app = App::new(world, options.root_path.trim_end_matches('/').to_owned(), options.control.is_some())?;
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
    server::serve(app, listener).await?;
    Ok(())
}
