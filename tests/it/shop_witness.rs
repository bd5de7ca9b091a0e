//! The second witness: what was paid at the Lightning node and BTCPay never saw (recordings `lightning-witness`,
//! `lightning-rpc-away-expiry`).

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::A;
use crate::harness::btcpay::{API_KEY, STORE};
use crate::harness::shop::{Purchase, Shop, Wish};

/// Look-ups come 5 s and 10 s after the first.
const WATCHED: Duration = Duration::from_secs(25);
const NODE: &str = "path=/lightning/BTC/invoices/";

/// The node's RPC is away, the viewer pays in time or does not, and the invoice expires before it is back.
async fn given_up(shop: &Shop, pays: bool) -> Purchase {
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("lightning", json!({ "away": 600 })).await;
    if pays {
        assert_eq!(shop.btcpay.pay(&bought.invoice).await["seen"], false);
    }
    shop.btcpay.control("expire", json!({ "invoice": bought.invoice })).await;
    assert_eq!(shop.told(&bought, "wait=25&seen=new").await["status"], "expired");
    bought
}

async fn node_is_back(shop: &Shop) {
    shop.btcpay.control("clock", json!({ "advance": 700 })).await;
}

async fn rights(shop: &Shop, further: &[&str]) {
    let names = ["cancreateinvoice", "canviewinvoices", "webhooks.canmodifywebhooks"];
    let all: Vec<String> = names.iter().chain(further).map(|name| format!("btcpay.store.{name}:{STORE}")).collect();
    shop.btcpay.control("keys", json!({ "key": API_KEY, "permissions": all })).await;
}

fn log(shop: &Shop) -> String {
    std::fs::read_to_string(shop.h.folder().join("daemon.log")).unwrap()
}

#[tokio::test]
async fn who_paid_while_the_node_was_away_watches_with_the_same_bytes_everywhere_and_for_good() {
    let mut shop = Shop::start().await;
    rights(&shop, &["canviewlightninginvoice"]).await;
    let bought = given_up(&shop, true).await;
    assert_eq!(shop.told(&bought, "wait=2&seen=expired").await.get("token"), None, "the node is away");
    node_is_back(&shop).await;
    let token = shop.token(&bought, WATCHED).await;
    let response = shop.h.get_with(&format!("/hls/{A}/master.m3u8"), &token).await;
    assert_eq!(response.status(), 200);
    let invoice = shop.btcpay.ask(&format!("invoices/{}", bought.invoice)).await;
    assert_eq!((&invoice["status"], &invoice["additionalStatus"]), (&json!("Expired"), &json!("None")));

    // No listing takes it back, and the operator is told once.
    tokio::time::timeout(WATCHED, async {
        let listings = shop.btcpay.calls("method=GET").await.len();
        while shop.btcpay.calls("method=GET").await.len() < listings + 2 {
            assert_eq!(shop.told(&bought, "wait=2&seen=settled").await["token"], token.as_str());
        }
    })
    .await
    .unwrap();
    let log = log(&shop);
    let told: Vec<&str> = log.lines().filter(|line| line.contains("mark it as settled in BTCPay")).collect();
    assert!(told.len() == 1 && told[0].contains("WARN") && told[0].contains(&bought.invoice), "{log}");

    // Another daemon finds the same by itself.
    let second = shop.second_daemon().await;
    let elsewhere = second.told(&bought, "wait=25&seen=expired").await;
    assert_eq!(elsewhere["token"], token.as_str());

    // Marked as the log asks, it is the same token, to a daemon that knows nothing and may not ask the node.
    shop.btcpay.control("mark", json!({ "invoice": bought.invoice, "status": "Settled" })).await;
    rights(&shop, &[]).await;
    shop.h.kill_daemon();
    shop.h.start_daemon().await;
    assert_eq!(shop.token(&bought, WATCHED).await, token);
}

#[tokio::test]
async fn an_old_btcpay_and_lnd_tell_the_same() {
    let shop = Shop::with(Wish { arguments: &["--version", "2.3.5"], ..Wish::default() }).await;
    shop.btcpay.switch(json!({ "lightning_node": "lnd" })).await;
    rights(&shop, &["canviewlightninginvoice"]).await;
    let bought = given_up(&shop, true).await;
    node_is_back(&shop).await;
    shop.token(&bought, WATCHED).await;
}

#[tokio::test]
async fn what_nobody_paid_stays_unpaid() {
    let shop = Shop::start().await;
    rights(&shop, &["canviewlightninginvoice"]).await;
    let bought = given_up(&shop, false).await;
    node_is_back(&shop).await;
    let told = shop.told(&bought, "wait=12&seen=expired").await;
    assert_eq!((&told["status"], told.get("token")), (&json!("expired"), None));
    let answered = |call: &Value| call["status"] == 200;
    assert!(shop.btcpay.calls(NODE).await.iter().any(answered), "the node said so");
}

#[tokio::test]
async fn without_the_right_the_node_is_asked_once_and_nothing_else_breaks() {
    let shop = Shop::start().await;
    rights(&shop, &[]).await;
    let bought = given_up(&shop, true).await;
    node_is_back(&shop).await;
    assert_eq!(shop.told(&bought, "wait=12&seen=expired").await["status"], "expired");
    assert_eq!(shop.btcpay.calls(NODE).await.len(), 1);
    assert_eq!(shop.h.daemon().metric("hlsgate_btcpay_errors_total{kind=\"missing-permission\"}").await, 0.0);
    let other = shop.buy(A, "24h").await;
    shop.btcpay.pay(&other.invoice).await;
    shop.token(&other, WATCHED).await;
}

#[tokio::test]
async fn switched_off_nobody_asks_the_node() {
    let shop = Shop::with(Wish { btcpay: "lightning_witness = false", ..Wish::default() }).await;
    rights(&shop, &["canviewlightninginvoice"]).await;
    let bought = given_up(&shop, true).await;
    node_is_back(&shop).await;
    assert_eq!(shop.told(&bought, "wait=8&seen=expired").await["status"], "expired");
    assert!(shop.btcpay.calls(NODE).await.is_empty());
}
