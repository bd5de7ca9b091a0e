//! BTCPay's deliveries: answered at once whatever they say, believed in nothing, looked up when they concern us.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::raw::exchange;
use crate::harness::shop::{BROKEN_OFF, SECRET, Shop, WEBHOOK, Wish};
use crate::harness::{A, reason, send, until};

fn signature(secret: &str, body: &str) -> String {
    use hmac::{Hmac, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let tag = mac.finalize().into_bytes();
    format!("sha256={}", tag.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

async fn deliver(shop: &Shop, secret: &str, body: &str) -> reqwest::Response {
    let request = shop.h.request("POST", WEBHOOK).header("Content-Type", "application/json");
    send(request.header("BTCPay-Sig", signature(secret, body)).body(body.to_owned())).await
}

#[tokio::test]
async fn only_what_btcpay_signed_is_taken() {
    let shop = Shop::start().await;
    let body = "{\n  \"type\": \"InvoiceSettled\"\n}";
    let good = deliver(&shop, SECRET, body).await;
    assert_eq!(good.status(), 204);
    assert_eq!(good.text().await.unwrap(), "");
    for header in [
        None,
        Some(String::new()),
        Some(signature("", body)),
        Some(signature("other", body)),
        Some(signature(SECRET, "{}")),
        Some(signature(SECRET, body).to_uppercase()),
        Some(signature(SECRET, body).replace("sha256=", "")),
    ] {
        let request = shop.h.request("POST", WEBHOOK).body(body);
        let request = match &header {
            Some(value) => request.header("BTCPay-Sig", value),
            None => request,
        };
        let response = send(request).await;
        assert_eq!(response.status(), 403, "{header:?}");
        assert_eq!(reason(response).await, "bad-signature");
    }
    let metric = async |outcome: &str| {
        shop.h.daemon().metric(&format!("hlsgate_webhook_deliveries_total{{outcome=\"{outcome}\"}}")).await
    };
    assert_eq!((metric("bad-signature").await, metric("ignored").await), (7.0, 1.0));
}

/// A stranger's invoice in the same store may carry a megabyte: refused, its delivery would hold up all sales' for an hour where
/// BTCPay is older than 2.3.4.
#[tokio::test]
async fn a_delivery_beyond_reason_is_taken_and_not_looked_at() {
    let shop = Shop::start().await;
    for size in [65 * 1024, 1100 * 1024] {
        let large = "x".repeat(size);
        assert_eq!(deliver(&shop, SECRET, &large).await.status(), 204, "{size} bytes through nginx");
        let request = shop.direct().post(format!("http://hlsgate{WEBHOOK}")).body(large);
        assert_eq!(request.send().await.unwrap().status(), 204, "{size} bytes");
    }
    let metric = "hlsgate_webhook_deliveries_total{outcome=\"too-large\"}";
    assert_eq!(shop.h.daemon().metric(metric).await, 4.0);
    assert!(shop.btcpay.calls("path=/invoices").await.is_empty());
}

#[tokio::test]
async fn while_the_secret_is_changed_both_are_taken() {
    let shop = Shop::start().await;
    let file = shop.secret_file();
    std::fs::write(&file, format!("new-secret-of-today\n{SECRET}\n")).unwrap();
    shop.h.daemon().process.signal("HUP");
    until("the new secret is taken", || async {
        (deliver(&shop, "new-secret-of-today", "{}").await.status() == 204).then_some(())
    })
    .await;
    assert_eq!(deliver(&shop, SECRET, "{}").await.status(), 204);
    assert_eq!(deliver(&shop, "third", "{}").await.status(), 403);
    // The empty file is refused, and what was in force stays.
    std::fs::write(&file, "\n").unwrap();
    shop.h.daemon().process.signal("HUP");
    let refused = "hlsgate_reloads_total{result=\"refused\",what=\"configuration\"}";
    until("the reload is refused", || async { (shop.h.daemon().metric(refused).await >= 1.0).then_some(()) }).await;
    assert_eq!(deliver(&shop, SECRET, "{}").await.status(), 204);
    assert_eq!(deliver(&shop, "", "{}").await.status(), 403);
}

#[tokio::test]
async fn what_is_not_about_us_is_answered_and_not_looked_up() {
    // The last version with a Test button, whose deliveries have invented ids and no metadata.
    let shop = Shop::with(Wish { arguments: &["--version", "2.2.0"], ..Wish::default() }).await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.idle().await;
    shop.btcpay.forget().await;
    for body in [
        "{}",
        "[]",
        "nonsense",
        r#"{"type":"PayoutCreated","payoutId":"x"}"#,
        r#"{"type":"InvoiceSettled","invoiceId":"__test__1__test__","metadata":null}"#,
        r#"{"type":"InvoiceSettled","invoiceId":"HMprBnL9BTXWuPvpoKBS6e","metadata":{"orderId":"vid1 24h"}}"#,
        r#"{"type":"InvoiceSettled","invoiceId":"HMprBnL9BTXWuPvpoKBS6e","metadata":{"hlsgate":"a.b.c"}}"#,
        r#"{"type":"InvoiceSettled","invoiceId":"../../api-keys/current","metadata":{"hlsgate":7}}"#,
    ] {
        assert_eq!(deliver(&shop, SECRET, body).await.status(), 204, "{body}");
    }
    let stranger = shop.btcpay.control("invoices", json!({ "amount": "1", "currency": "USD" })).await;
    shop.btcpay.pay(stranger["id"].as_str().unwrap()).await;
    shop.btcpay.control("test-delivery", json!({ "type": "InvoiceSettled" })).await;
    shop.btcpay.idle().await;
    // With the order and for somebody who waits it is looked up; so the others would have been by now.
    shop.btcpay.pay(&bought.invoice).await;
    shop.token(&bought, Duration::from_secs(8)).await;
    let calls = shop.btcpay.calls("method=GET&path=invoices/").await;
    assert!(!calls.is_empty());
    for call in calls {
        assert!(call["path"].as_str().unwrap().contains(&bought.invoice), "{call}");
    }
}

#[tokio::test]
async fn repeated_reordered_and_invented_events_do_no_harm() {
    let shop = Shop::start().await;
    shop.btcpay.switch(json!({ "webhooks_held": true, "webhook_copies": 2 })).await;
    let bought = shop.buy(A, "24h").await;
    // A settled event of an unpaid invoice proves nothing.
    shop.btcpay.control("event", json!({ "invoice": bought.invoice, "type": "InvoiceSettled" })).await;
    shop.btcpay.control("event", json!({ "invoice": bought.invoice, "type": "InvoiceTeleported" })).await;
    shop.btcpay.control("release", json!({})).await;
    shop.btcpay.idle().await;
    assert_eq!(shop.status(&bought).await, "new");

    shop.btcpay.switch(json!({ "webhooks_held": true })).await;
    shop.btcpay.pay(&bought.invoice).await;
    shop.btcpay.control("release", json!({ "reverse": true })).await;
    let token = shop.token(&bought, Duration::from_secs(8)).await;
    shop.btcpay.idle().await;
    shop.btcpay.control("redeliver", json!({ "all": true })).await;
    shop.btcpay.idle().await;
    assert_eq!(shop.token(&bought, Duration::from_secs(8)).await, token);
    let attempts = shop.btcpay.ask("attempts").await;
    for attempt in attempts["attempts"].as_array().unwrap() {
        assert_eq!(attempt["status"], 204, "{attempt}");
    }
    assert_eq!(shop.h.daemon().metric("hlsgate_invoices_settled_total{lane=\"page\"}").await, 1.0);
}

#[tokio::test]
async fn it_is_answered_before_btcpay_is_asked() {
    let shop = Shop::with(Wish { no_webhook: true, ..Wish::default() }).await;
    let bought = shop.buy(A, "24h").await;
    let order = shop.btcpay.ask(&format!("invoices/{}", bought.invoice)).await["metadata"].clone();
    shop.btcpay.switch(json!({ "down": "hang" })).await;
    let body = json!({ "type": "InvoiceSettled", "invoiceId": bought.invoice, "metadata": order }).to_string();
    let began = Instant::now();
    assert_eq!(deliver(&shop, SECRET, &body).await.status(), 204);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

/// Its metadata may be gone, but somebody waits for the invoice: then any delivery is worth a look.
#[tokio::test]
async fn a_delivery_without_our_order_is_looked_up_only_while_somebody_waits() {
    let shop = Shop::with(Wish { no_webhook: true, ..Wish::default() }).await;
    let bought = shop.buy(A, "24h").await;
    let body = json!({ "type": "InvoiceSettled", "invoiceId": bought.invoice, "metadata": {} }).to_string();
    let outcome = async |outcome: &str| {
        shop.h.daemon().metric(&format!("hlsgate_webhook_deliveries_total{{outcome=\"{outcome}\"}}")).await
    };
    assert_eq!(deliver(&shop, SECRET, &body).await.status(), 204);
    assert_eq!((outcome("ignored").await, outcome("looked-up").await), (1.0, 0.0));
    let waiting = async { shop.told(&bought, "wait=25&seen=new").await };
    let paying = async {
        until("he waits", || async { (shop.h.daemon().metric("hlsgate_held_requests").await == 1.0).then_some(()) })
            .await;
        shop.btcpay.pay(&bought.invoice).await;
        assert_eq!(deliver(&shop, SECRET, &body).await.status(), 204);
    };
    let (told, ()) = tokio::join!(waiting, paying);
    assert_eq!(told["status"], "settled");
    assert_eq!((outcome("ignored").await, outcome("looked-up").await), (1.0, 1.0));
}

/// BTCPay loses for good what is answered with most of the 4xx.
#[tokio::test]
async fn a_delivery_that_broke_off_may_come_again() {
    let shop = Shop::start().await;
    let answer = exchange(&crate::harness::daemon::socket(shop.h.folder()), BROKEN_OFF.as_bytes()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("\r\nretry-after: "), "{}", answer.head);
}
