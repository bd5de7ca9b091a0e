//! Nothing that may have been paid is thrown away, and nobody is told what is not known.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::shop::{Shop, Wish, clears_pending, set_cookies};
use crate::harness::{A, reason, send, until};

const SOON: Duration = Duration::from_secs(8);
const ONCHAIN: &str = "payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]";

#[tokio::test]
async fn what_may_have_been_paid_is_kept() {
    let shop = Shop::with(Wish { btcpay: ONCHAIN, ..Wish::default() }).await;
    let bought = shop.buy(A, "24h").await;
    // Another server's keys for a minute: the claim cannot be checked.
    let (told, set) = shop.page(A, &format!("hlsgate_pending={}~{}", bought.invoice, "A".repeat(64))).await;
    assert_eq!((&told["pending"], &told["ended"], set.len()), (&Value::Null, &Value::Null, 0));
    // Metadata edited at BTCPay.
    let kept = shop.btcpay.ask(&format!("invoices/{}", bought.invoice)).await["metadata"].clone();
    let metadata = async |metadata: &Value| {
        shop.btcpay.control("tamper", json!({ "invoice": bought.invoice, "metadata": metadata })).await;
        shop.btcpay.control("event", json!({ "invoice": bought.invoice, "type": "InvoiceProcessing" })).await;
        shop.btcpay.idle().await;
    };
    let cookie = bought.cookie();
    metadata(&json!({ "orderId": "vid1 24h" })).await;
    shop.btcpay.pay(&bought.invoice).await;
    let (_, set) = shop.page(A, &cookie).await;
    assert_eq!(set.len(), 0);
    metadata(&kept).await;
    until("it is found again", || async {
        (shop.page(A, &cookie).await.0["pending"]["status"] == "settled").then_some(())
    })
    .await;
    // Given up by BTCPay while it waits for its block: told as over, and kept, for it opens once it is confirmed.
    let waits = shop.buy(A, "forever").await;
    shop.btcpay.control("pay", json!({ "invoice": waits.invoice, "method": "BTC-CHAIN" })).await;
    shop.btcpay.control("stop-monitoring", json!({ "invoice": waits.invoice })).await;
    let cookie = waits.cookie();
    let (told, set) = shop.ended(A, &cookie, "invalid").await;
    assert_eq!((&told["pending"], &told["ended"]["paid"], set.len()), (&Value::Null, &json!("0.00003000"), 0));
    shop.btcpay.control("confirm", json!({ "invoice": waits.invoice })).await;
    shop.token(&waits, SOON).await;
    assert_eq!(shop.page(A, &cookie).await.0["pending"]["status"], "settled");
}

#[tokio::test]
async fn a_second_purchase_pushes_no_first_one_out() {
    let shop = Shop::start().await;
    let first = shop.buy(A, "24h").await;
    let order = shop.h.request("POST", &format!("/hlsgate/videos/{A}/invoices")).json(&json!({ "tier": "forever" }));
    let response = send(order.header("Cookie", first.cookie())).await;
    let set = set_cookies(&response);
    let earlier = format!("hlsgate-earlier={}~{}", first.invoice, first.claim);
    assert!(set.iter().any(|line| line.starts_with(&format!("{earlier}; Path=/hlsgate/; Max-Age=604800"))), "{set:?}");
    let second = shop.purchase(response).await;
    let both = format!("{}; {earlier}", second.cookie());
    assert_eq!(shop.page(A, &both).await.0["pending"]["invoice"], second.invoice.as_str());
    // The one that was paid is farther.
    shop.btcpay.pay(&first.invoice).await;
    let token = shop.token(&first, SOON).await;
    assert_eq!(shop.page(A, &both).await.0["pending"]["invoice"], first.invoice.as_str());
    // Once it is kept, only the other one is left.
    let (told, set) = shop.page(A, &format!("{both}; hlsgate={token}")).await;
    assert_eq!(told["pending"]["invoice"], second.invoice.as_str());
    assert!(set.len() == 1 && set[0].starts_with("hlsgate-earlier=; Path=/hlsgate/; Max-Age=0"), "{set:?}");
    // Paid beside a running pass it is told, too.
    shop.btcpay.pay(&second.invoice).await;
    shop.token(&second, SOON).await;
    let (told, _) = shop.page(A, &format!("{}; hlsgate={token}", second.cookie())).await;
    assert_eq!((&told["access"]["granted"], &told["pending"]["status"]), (&json!(true), &json!("settled")));
}

#[tokio::test]
async fn what_cannot_be_known_now_is_said_so() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.switch(json!({ "down": "502" })).await;
    // Another daemon, or this one after a restart, knows nothing of it.
    let second = shop.second_daemon().await;
    let told = second.video(A, &bought.cookie()).await;
    assert_eq!(
        (&told["pending"], &told["ended"], &told["unknown"]),
        (&Value::Null, &Value::Null, &json!([bought.invoice]))
    );
    // This one knows how old its facts are.
    until("the facts are stale", || async {
        let told = shop.told(&bought, "wait=3&seen=new").await;
        (told["stale"] == true && told["age"].as_u64() > Some(0) && told["status"] == "new").then_some(())
    })
    .await;
}

/// The daemon with this set of keys.
async fn restart_with(shop: &mut Shop, keys: &str) {
    shop.h.kill_daemon();
    std::fs::write(shop.h.folder().join("keys.json"), keys).unwrap();
    shop.h.note_secrets();
    shop.h.start_daemon().await;
}

#[tokio::test]
async fn a_daemon_with_older_keys_loses_no_claim_and_the_right_one_takes_it_later() {
    let mut shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    let right = std::fs::read_to_string(shop.h.folder().join("keys.json")).unwrap();
    restart_with(
        &mut shop,
        r#"{"keys":[{"kty":"oct","kid":"old","k":"b2xkZXIga2V5cyBvZiBhIHNlcnZlciBsZWZ0IGJlaGluZA"}]}"#,
    )
    .await;
    assert_eq!(reason(send(shop.waiting(&bought, "")).await).await, "wrong-claim");
    let (told, set) = shop.page(A, &bought.cookie()).await;
    assert_eq!((&told["pending"], &told["ended"], set.len()), (&Value::Null, &Value::Null, 0));
    // What is bought there meanwhile pushes it out of no cookie.
    let order = shop.h.request("POST", &format!("/hlsgate/videos/{A}/invoices")).json(&json!({ "tier": "forever" }));
    let set = set_cookies(&send(order.header("Cookie", bought.cookie())).await);
    let earlier = format!("hlsgate-earlier={}~{}", bought.invoice, bought.claim);
    assert!(set.iter().any(|line| line.starts_with(&format!("{earlier};"))), "{set:?}");
    shop.btcpay.pay(&bought.invoice).await;

    restart_with(&mut shop, &right).await;
    until("it is found", || async { (shop.page(A, &earlier).await.0["pending"]["status"] == "settled").then_some(()) })
        .await;
    let token = shop.token(&bought, SOON).await;
    assert_eq!(shop.h.get_with(&format!("/hls/{A}/master.m3u8"), &token).await.status(), 200);
}

#[tokio::test]
async fn a_cancelled_invoice_that_is_paid_all_the_same_opens() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("mark", json!({ "invoice": bought.invoice, "status": "Invalid" })).await;
    let (_, set) = shop.ended(A, &bought.cookie(), "invalid").await;
    assert!(!clears_pending(&set), "{set:?}");
    shop.btcpay.pay(&bought.invoice).await;
    until("it is found", || async {
        (shop.page(A, &bought.cookie()).await.0["pending"]["status"] == "settled").then_some(())
    })
    .await;
    shop.token(&bought, SOON).await;
}
