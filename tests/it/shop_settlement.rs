//! Which invoices give a token, and which give nothing: each clause of *settled*, through the daemon.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::shop::{Purchase, Shop, Wish};
use crate::harness::{A, reason, send};

const SOON: Duration = Duration::from_secs(8);

/// Nothing is told but this status, and it stays so.
async fn stays(shop: &Shop, bought: &Purchase, status: &str) {
    shop.btcpay.idle().await;
    let told = shop.told(bought, &format!("wait=2&seen={status}")).await;
    assert_eq!((told["status"].as_str().unwrap(), told.get("token")), (status, None));
}

/// The claim opens it no longer, as soon as that is seen; until then there is no token either.
async fn refused(shop: &Shop, bought: &Purchase) {
    crate::harness::until("the claim is refused", || async {
        let response = send(shop.waiting(bought, "wait=10&seen=new")).await;
        if response.status() == 200 {
            assert_eq!(response.json::<Value>().await.unwrap()["status"], "new");
            return None;
        }
        assert_eq!(response.status(), 403);
        assert_eq!(reason(response).await, "wrong-claim");
        Some(())
    })
    .await;
}

#[tokio::test]
async fn overpaid_is_granted() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("pay", json!({ "invoice": bought.invoice, "amount": "0.5" })).await;
    shop.token(&bought, SOON).await;
}

#[tokio::test]
async fn a_partial_payment_is_nothing_until_the_rest_comes() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("pay", json!({ "invoice": bought.invoice, "fraction": 0.5 })).await;
    stays(&shop, &bought, "new").await;
    shop.btcpay.pay(&bought.invoice).await;
    shop.token(&bought, SOON).await;
}

#[tokio::test]
async fn on_chain_counts_once_it_is_confirmed() {
    let shop = Shop::with(Wish { btcpay: "payment_methods = [\"BTC-CHAIN\"]", ..Wish::default() }).await;
    let bought = shop.buy(A, "forever").await;
    shop.btcpay.pay(&bought.invoice).await;
    let told = shop.told(&bought, "wait=25&seen=new").await;
    assert_eq!((told["status"].as_str().unwrap(), told.get("token")), ("processing", None));
    stays(&shop, &bought, "processing").await;
    shop.btcpay.control("confirm", json!({ "invoice": bought.invoice })).await;
    shop.token(&bought, SOON).await;
}

#[tokio::test]
async fn a_replaced_payment_falls_back_to_new() {
    let shop = Shop::with(Wish { btcpay: "payment_methods = [\"BTC-CHAIN\"]", ..Wish::default() }).await;
    let bought = shop.buy(A, "forever").await;
    shop.btcpay.pay(&bought.invoice).await;
    assert_eq!(shop.told(&bought, "wait=25&seen=new").await["status"], "processing");
    // BTCPay raises no event for it: the listing sees it.
    shop.btcpay.control("replace", json!({ "invoice": bought.invoice })).await;
    assert_eq!(shop.told(&bought, "wait=25&seen=processing").await["status"], "new");
}

#[tokio::test]
async fn paid_late_counts_once_the_payment_is_confirmed() {
    let shop = Shop::with(Wish { btcpay: "payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]", ..Wish::default() }).await;
    let late = shop.buy(A, "forever").await;
    shop.btcpay.control("expire", json!({ "invoice": late.invoice })).await;
    assert_eq!(shop.told(&late, "wait=25&seen=new").await["status"], "expired");
    // `expired` is held too, for it may still be paid.
    let paying = async {
        shop.btcpay.control("pay", json!({ "invoice": late.invoice, "method": "BTC-CHAIN" })).await;
        stays(&shop, &late, "expired").await;
        shop.btcpay.control("confirm", json!({ "invoice": late.invoice })).await;
    };
    let (told, ()) = tokio::join!(shop.told(&late, "wait=40&seen=expired"), paying);
    assert_eq!(told["status"], "settled");
    assert!(told["token"].is_string());
}

#[tokio::test]
async fn paid_late_and_replaced_is_nothing() {
    let shop = Shop::with(Wish { btcpay: "payment_methods = [\"BTC-CHAIN\"]", ..Wish::default() }).await;
    let late = shop.buy(A, "forever").await;
    shop.btcpay.control("expire", json!({ "invoice": late.invoice })).await;
    shop.btcpay.pay(&late.invoice).await;
    shop.btcpay.control("replace", json!({ "invoice": late.invoice })).await;
    stays(&shop, &late, "expired").await;
}

#[tokio::test]
async fn marked_by_hand_counts_by_policy() {
    for (accept, expected) in [("true", "settled"), ("false", "invalid")] {
        let config = format!("accept_marked = {accept}");
        let shop = Shop::with(Wish { btcpay: &config, ..Wish::default() }).await;
        let bought = shop.buy(A, "24h").await;
        shop.btcpay.control("mark", json!({ "invoice": bought.invoice, "status": "Settled" })).await;
        let told = shop.told(&bought, "wait=25&seen=new").await;
        assert_eq!((told["status"].as_str().unwrap(), told["token"].is_string()), (expected, accept == "true"));
    }
}

#[tokio::test]
async fn marked_and_taken_back_is_nothing() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("mark", json!({ "invoice": bought.invoice, "status": "Settled" })).await;
    shop.token(&bought, SOON).await;
    shop.btcpay.control("mark", json!({ "invoice": bought.invoice, "status": "Invalid" })).await;
    shop.btcpay.idle().await;
    crate::harness::until("it is taken back", || async {
        (shop.told(&bought, "").await["status"] == "invalid").then_some(())
    })
    .await;
}

#[tokio::test]
async fn never_confirmed_in_time_is_nothing() {
    let shop = Shop::with(Wish { btcpay: "payment_methods = [\"BTC-CHAIN\"]", ..Wish::default() }).await;
    let bought = shop.buy(A, "forever").await;
    shop.btcpay.pay(&bought.invoice).await;
    assert_eq!(shop.told(&bought, "wait=25&seen=new").await["status"], "processing");
    shop.btcpay.control("stop-monitoring", json!({ "invoice": bought.invoice })).await;
    assert_eq!(shop.told(&bought, "wait=25&seen=processing").await["status"], "invalid");
    stays(&shop, &bought, "invalid").await;
}

#[tokio::test]
async fn an_invoice_that_is_not_the_order_is_nothing() {
    let shop = Shop::start().await;
    for (change, told) in [
        (json!({ "amount": "0.00000001" }), "new"),
        (json!({ "currency": "SATS" }), "new"),
        (json!({ "type": "TopUp" }), "new"),
    ] {
        let bought = shop.buy(A, "24h").await;
        let mut tamper = change.clone();
        tamper["invoice"] = json!(bought.invoice);
        shop.btcpay.control("tamper", tamper).await;
        assert_eq!(shop.status(&bought).await, told, "{change}");
        shop.btcpay.control("tamper", json!({ "invoice": bought.invoice, "status": "Settled" })).await;
        shop.btcpay.control("event", json!({ "invoice": bought.invoice, "type": "InvoiceSettled" })).await;
        let now = shop.told(&bought, "wait=15&seen=new").await;
        assert_eq!((now["status"].as_str().unwrap(), now.get("token")), ("invalid", None), "{change}");
    }
}

#[tokio::test]
async fn settled_without_a_payment_is_nothing() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("tamper", json!({ "invoice": bought.invoice, "status": "Settled" })).await;
    shop.btcpay.control("event", json!({ "invoice": bought.invoice, "type": "InvoiceSettled" })).await;
    assert_eq!(shop.told(&bought, "wait=15&seen=new").await["status"], "invalid");
    stays(&shop, &bought, "invalid").await;
}

#[tokio::test]
async fn forged_swapped_and_copied_orders_are_nothing() {
    let shop = Shop::start().await;
    let order_of = async |bought: &Purchase| {
        shop.btcpay.ask(&format!("invoices/{}", bought.invoice)).await["metadata"]["hlsgate"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (cheap, dear) = (shop.buy(A, "24h").await, shop.buy(A, "forever").await);

    // Swapped: the dear order in the cheap invoice.
    let metadata = json!({ "orderId": "vid1 forever", "hlsgate": order_of(&dear).await });
    shop.btcpay.control("tamper", json!({ "invoice": cheap.invoice, "metadata": metadata })).await;
    shop.btcpay.pay(&cheap.invoice).await;
    shop.btcpay.idle().await;
    refused(&shop, &cheap).await;

    // Forged and missing.
    for metadata in [json!({ "hlsgate": "a.b.c" }), json!({ "orderId": "vid1 24h" }), json!({})] {
        let bought = shop.buy(A, "24h").await;
        shop.btcpay.control("tamper", json!({ "invoice": bought.invoice, "metadata": metadata })).await;
        shop.btcpay.pay(&bought.invoice).await;
        shop.btcpay.idle().await;
        refused(&shop, &bought).await;
    }

    // Copied: a stranger's invoice with our order. Nobody has a claim on it, whatever is paid.
    let order = order_of(&dear).await;
    let request = json!({ "amount": "0.00003000", "currency": "BTC", "metadata": { "hlsgate": order } });
    let copy = shop.btcpay.control("invoices", request).await;
    let id = copy["id"].as_str().unwrap().to_owned();
    shop.btcpay.pay(&id).await;
    shop.btcpay.idle().await;
    let by_claim_of_the_original = Purchase { invoice: id, ..dear.clone() };
    refused(&shop, &by_claim_of_the_original).await;
    assert_eq!(shop.status(&dear).await, "new");
}

#[tokio::test]
async fn what_btcpay_answers_otherwise_is_never_shown() {
    let shop = Shop::start().await;
    for wrong in [
        json!({ "amount": "0.00000200" }),
        json!({ "currency": "USD" }),
        json!({ "storeId": "another" }),
        json!({ "type": "TopUp" }),
        json!({ "metadata": { "orderId": "vid1 24h" } }),
    ] {
        shop.btcpay.switch(json!({ "answer_create": wrong })).await;
        let response = shop.order(A, json!({ "tier": "24h" })).await;
        assert_eq!((response.status(), response.headers().get("set-cookie")), (503.try_into().unwrap(), None));
        assert_eq!(reason(response).await, "btcpay-unavailable", "{wrong}");
    }
    // The operator reads both amounts, and the remedy.
    let log = std::fs::read_to_string(shop.h.folder().join("daemon.log")).unwrap();
    let words = "it is over 0.00000200 BTC, not 0.00000100 BTC; this BTCPay keeps other decimals of BTC: write the offer's price as 0.00000200";
    assert!(log.contains(words), "{log}");
    shop.btcpay.switch(json!({ "answer_create": {} })).await;
    let _whole: Value = shop.buy(A, "24h").await.answer;
}
