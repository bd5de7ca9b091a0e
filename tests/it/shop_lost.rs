//! Nothing is lost: webhooks that never come, come early, twice or to another daemon; restarts, outages, closed tabs.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::shop::{Shop, Wish};
use crate::harness::{A, reason, send};

/// Within seconds of BTCPay being reachable.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_webhook_never_comes() {
    let shop = Shop::start().await;
    shop.btcpay.switch(json!({ "webhooks_lost": true })).await;
    let (paid, unpaid) = (shop.buy(A, "24h").await, shop.buy(A, "24h").await);
    let waiting = shop.token(&paid, SOON);
    let paying = async {
        crate::harness::until("he waits", || async {
            (shop.h.daemon().metric("hlsgate_held_requests").await >= 1.0).then_some(())
        })
        .await;
        shop.btcpay.pay(&paid.invoice).await;
    };
    tokio::join!(waiting, paying);
    assert_eq!(shop.status(&unpaid).await, "new");
}

#[tokio::test]
async fn without_webhooks_even_a_viewer_who_never_waits_gets_his_token() {
    let shop = Shop::with(Wish { no_webhook: true, ..Wish::default() }).await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.pay(&bought.invoice).await;
    let began = Instant::now();
    crate::harness::until("the token comes", || async {
        shop.told(&bought, "").await.get("token").map(|token| token.is_string())
    })
    .await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_webhook_comes_before_the_creation_returns() {
    let shop = Shop::start().await;
    shop.btcpay.switch(json!({ "pay_on_create": "BTC-LN", "create_delay_ms": 1500 })).await;
    let bought = shop.buy(A, "24h").await;
    let began = Instant::now();
    shop.token(&bought, SOON).await;
    // The facts that the delivery brought were not forgotten for those of the creation's answer.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_daemon_restarts_while_the_webhook_comes() {
    let mut shop = Shop::with(Wish { arguments: &["--time-scale", "0.02"], ..Wish::default() }).await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.idle().await;
    shop.h.kill_daemon();
    shop.btcpay.pay(&bought.invoice).await;
    // An attempt fails, for nobody is there, and the others wait behind it. Whether they come in time does not matter.
    shop.btcpay.ask(&format!("wait?attempts=1&invoice={}&type=InvoicePaymentSettled&timeout=10", bought.invoice)).await;
    shop.h.start_daemon().await;
    shop.token(&bought, SOON).await;
}

#[tokio::test]
async fn the_webhook_is_stuck_behind_another() {
    let shop = Shop::start().await;
    shop.btcpay.switch(json!({ "webhook_delay_ms": 600_000 })).await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.pay(&bought.invoice).await;
    shop.token(&bought, SOON).await;
}

#[tokio::test]
async fn btcpay_restarts_and_forgets_its_queue() {
    let shop = Shop::start().await;
    shop.btcpay.switch(json!({ "webhooks_held": true })).await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.pay(&bought.invoice).await;
    shop.btcpay.control("restart", json!({})).await;
    shop.token(&bought, SOON).await;
}

#[tokio::test]
async fn btcpay_is_down_while_a_viewer_waits() {
    // Each in an installation of its own, and all at once: most of it is waiting.
    tokio::join!(
        down_while_a_viewer_waits("502", "unavailable"),
        down_while_a_viewer_waits("drop", "interrupted"),
        down_while_a_viewer_waits("refuse", "unreachable"),
    );
}

/// `kind`: what the daemon's metric calls it.
async fn down_while_a_viewer_waits(down: &str, kind: &str) {
    let mut shop = Shop::start().await;
    shop.btcpay.switch(json!({ "webhooks_lost": true })).await;
    let (bought, unknown) = (shop.buy(A, "24h").await, shop.buy(A, "24h").await);
    shop.btcpay.switch(json!({ "down": down })).await;
    // One that is known, and one that nobody remembers.
    shop.h.kill_daemon();
    shop.h.start_daemon().await;
    let paying = async {
        let tries = format!("hlsgate_btcpay_errors_total{{kind=\"{kind}\"}}");
        crate::harness::until("it was asked in vain, again and again", || async {
            (shop.h.daemon().metric(&tries).await >= 4.0).then_some(())
        })
        .await;
        shop.btcpay.pay(&bought.invoice).await;
        shop.btcpay.pay(&unknown.invoice).await;
        shop.btcpay.switch(json!({ "down": null })).await;
        Instant::now()
    };
    let held = async {
        let told = shop.told(&bought, "wait=50&seen=new").await;
        (told["status"] == "settled" && told["token"].is_string(), Instant::now())
    };
    let (back, (settled, answered)) = tokio::join!(paying, held);
    assert!(settled, "{down}");
    assert!(answered - back < SOON, "{down}: {:?} after it was back", answered - back);
    shop.token(&unknown, SOON).await;
}

#[tokio::test]
async fn without_facts_there_is_no_answer_and_no_refusal_either() {
    let mut shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.switch(json!({ "down": "502" })).await;
    // What is known is told, also while BTCPay is down.
    assert_eq!(shop.status(&bought).await, "new");
    shop.h.kill_daemon();
    shop.h.start_daemon().await;
    let response = send(shop.waiting(&bought, "wait=1")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(reason(response).await, "btcpay-unavailable");
    let response = shop.order(A, json!({ "tier": "24h" })).await;
    assert_eq!(response.status(), 503);
    assert_eq!(reason(response).await, "btcpay-unavailable");
    // The offers come from the configuration, so they are still there.
    let cookie = format!("hlsgate_pending={}~{}", bought.invoice, bought.claim);
    let shown = shop.video(A, &cookie).await;
    assert_eq!(shown["offers"].as_array().unwrap().len(), 3);
    assert_eq!(shown["pending"], serde_json::Value::Null);
    assert!(shop.h.daemon().metric("hlsgate_btcpay_errors_total{kind=\"unavailable\"}").await >= 1.0);
}

#[tokio::test]
async fn the_tab_was_closed_and_the_invoice_expired_when_it_was_paid() {
    let mut shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("expire", json!({ "invoice": bought.invoice })).await;
    shop.btcpay.pay(&bought.invoice).await;
    shop.btcpay.idle().await;
    shop.h.kill_daemon();
    shop.h.start_daemon().await;
    // He comes back with the claim only.
    shop.token(&bought, SOON).await;
}

#[tokio::test]
async fn the_payment_is_late_and_no_webhook_tells() {
    let shop = Shop::start().await;
    shop.btcpay.switch(json!({ "webhooks_lost": true })).await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("expire", json!({ "invoice": bought.invoice })).await;
    assert_eq!(shop.told(&bought, "wait=25&seen=new").await["status"], "expired");
    let (told, _) = tokio::join!(shop.told(&bought, "wait=25&seen=expired"), shop.btcpay.pay(&bought.invoice));
    assert_eq!(told["status"], "settled");
}

#[tokio::test]
async fn the_webhook_reaches_the_other_daemon() {
    let shop = Shop::start().await;
    // A second installation with the same keys, which no webhook reaches.
    let second = shop.second_daemon().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.pay(&bought.invoice).await;
    let token = shop.token(&bought, SOON).await;
    let told = second.told(&bought, "wait=25&seen=new").await;
    assert_eq!(told["token"], token.as_str(), "two daemons with one key give the same bytes");
}

#[tokio::test]
async fn a_drain_answers_those_who_wait() {
    let mut shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    let request = shop.waiting(&bought, "wait=50&seen=new");
    let waiting = tokio::spawn(send(request));
    crate::harness::until("he waits", || async {
        (shop.h.daemon().metric("hlsgate_held_requests").await >= 1.0).then_some(())
    })
    .await;
    let began = Instant::now();
    shop.h.daemon().process.signal("TERM");
    let response = waiting.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(response.status(), 200);
    shop.h.kill_daemon();
    shop.h.start_daemon().await;
    shop.btcpay.pay(&bought.invoice).await;
    shop.token(&bought, SOON).await;
}

#[tokio::test]
async fn an_old_btcpay_tells_payments_by_another_request() {
    for version in ["2.0.0", "2.3.5", "2.4.0"] {
        let shop = Shop::with(Wish { arguments: &["--version", version], ..Wish::default() }).await;
        let (by_hint, by_listing) = (shop.buy(A, "24h").await, shop.buy(A, "24h").await);
        shop.btcpay.pay(&by_hint.invoice).await;
        shop.token(&by_hint, SOON).await;
        shop.btcpay.switch(json!({ "webhooks_lost": true })).await;
        shop.btcpay.pay(&by_listing.invoice).await;
        shop.token(&by_listing, SOON).await;
    }
}
