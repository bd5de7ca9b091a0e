//! The second witness: what was paid at the Lightning node and BTCPay never saw (recordings `lightning-witness`,
//! `lightning-rpc-away-expiry`).

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::btcpay::{API_KEY, STORE};
use crate::harness::shop::{Purchase, Shop, Wish, clears_pending};
use crate::harness::{A, until};

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

/// How often BTCPay's list was asked for.
async fn listings(shop: &Shop) -> usize {
    let list = |call: &&Value| call["path"].as_str().is_some_and(|path| path.ends_with("/invoices"));
    shop.btcpay.calls("method=GET").await.iter().filter(list).count()
}

async fn rights(shop: &Shop, further: &[&str]) {
    let names = ["cancreateinvoice", "canviewinvoices", "webhooks.canmodifywebhooks"];
    let all: Vec<String> = names.iter().chain(further).map(|name| format!("btcpay.store.{name}:{STORE}")).collect();
    shop.btcpay.control("keys", json!({ "key": API_KEY, "permissions": all })).await;
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
    let log = shop.log();
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
    let answered = |call: &Value| call["status"] == 200;
    let said = async {
        until("the node says so", || async { shop.btcpay.calls(NODE).await.iter().any(answered).then_some(()) }).await;
    };
    // Somebody has to wait for it to be asked; who waits on after that is told nothing else.
    let waiting = async { shop.told(&bought, "wait=12&seen=expired").await };
    tokio::select! { () = said => {}, _ = waiting => panic!("the node was not asked") }
    let told = shop.told(&bought, "wait=2&seen=expired").await;
    assert_eq!((&told["status"], told.get("token")), (&json!("expired"), None));
}

/// BTCPay's "expired" is no word on what the node received: nobody is told that nothing came, and nothing is thrown away.
#[tokio::test]
async fn while_the_node_is_silent_it_is_not_known_and_when_it_answers_it_is() {
    let shop = Shop::start().await;
    rights(&shop, &["canviewlightninginvoice"]).await;
    let (unpaid, paid) = (shop.buy(A, "24h").await, shop.buy(A, "24h").await);
    shop.btcpay.control("lightning", json!({ "away": 600 })).await;
    assert_eq!(shop.btcpay.pay(&paid.invoice).await["seen"], false);
    for bought in [&unpaid, &paid] {
        shop.btcpay.control("stop-monitoring", json!({ "invoice": bought.invoice })).await;
    }
    let doubted = async |bought: &Purchase, query: &str| {
        let told = shop.told(bought, query).await;
        let (status, token) = (&told["status"], told.get("token"));
        assert_eq!(
            (status, token, &told["stale"], &told["final"]),
            (&json!("expired"), None, &json!(true), &json!(false))
        );
        told["facts"].as_str().unwrap().to_owned()
    };
    doubted(&paid, "wait=25&seen=new").await;
    let facts = doubted(&unpaid, "wait=25&seen=new").await;
    // However often BTCPay's list repeats its own word; what is known to be uncertain is held.
    let listed = listings(&shop).await;
    let held = std::time::Instant::now();
    let query = format!("wait=10&seen=expired&facts={facts}");
    assert_eq!(doubted(&unpaid, &query).await, facts);
    assert!(held.elapsed() > Duration::from_secs(9), "{:?}", held.elapsed());
    assert!(listings(&shop).await >= listed + 2);
    let (told, set) = shop.page(A, &unpaid.cookie()).await;
    let members = (&told["pending"]["status"], &told["ended"], set.len());
    assert_eq!(members, (&json!("expired"), &Value::Null, 0), "it is open, though BTCPay looks for it no longer");

    node_is_back(&shop).await;
    let query = format!("wait=40&seen=expired&facts={facts}");
    let (told, _) = tokio::join!(shop.told(&unpaid, &query), shop.token(&paid, WATCHED));
    assert_eq!((&told["status"], &told["stale"], &told["final"]), (&json!("expired"), &json!(false), &json!(true)));
    let (told, set) = shop.ended(A, &unpaid.cookie(), "expired").await;
    assert!(told["pending"].is_null() && clears_pending(&set), "{told} {set:?}");
}

#[tokio::test]
async fn without_the_right_the_node_is_asked_once_and_nothing_else_breaks() {
    let shop = Shop::start().await;
    rights(&shop, &[]).await;
    let bought = given_up(&shop, true).await;
    node_is_back(&shop).await;
    let told = shop.told(&bought, "wait=12&seen=expired").await;
    assert_eq!((&told["status"], &told["stale"]), (&json!("expired"), &json!(false)), "nobody is waited for");
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
