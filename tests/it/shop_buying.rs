//! A viewer buys: offers, invoice, payment, token, and every way to keep what was bought.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::shop::{Shop, Wish};
use crate::harness::{A, B, reason, send};

/// Within seconds of the payment.
const SOON: Duration = Duration::from_secs(8);

fn cookies(response: &reqwest::Response) -> Vec<String> {
    response.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn paying_opens_the_video_and_nothing_else() {
    let shop = Shop::start().await;
    let master = format!("/hls/{A}/master.m3u8");
    assert_eq!(shop.h.get(&master).await.status(), 403);

    let before = shop.video(A, "").await;
    let offers = json!([
        { "tier": "24h", "price": "100", "currency": "SATS", "duration": 86400, "covers": A },
        { "tier": "forever", "price": "3000", "currency": "SATS", "duration": null, "covers": A },
        { "tier": "30d", "price": "20000", "currency": "SATS", "duration": 2_592_000, "covers": "pass:summer" },
    ]);
    let expected = json!({ "video": A, "offers": offers, "access": { "granted": false, "reason": "missing" }, "pending": null,
            "methods": ["Lightning"] });
    assert_eq!(before, expected);

    let bought = shop.buy(A, "24h").await;
    assert_eq!(shop.h.get(&master).await.status(), 403);
    assert_eq!(shop.status(&bought).await, "new");
    shop.btcpay.pay(&bought.invoice).await;
    let token = shop.token(&bought, SOON).await;

    assert_eq!(shop.h.get_with(&master, &token).await.status(), 200);
    let other = shop.h.get_with(&format!("/hls/{B}/master.m3u8"), &token).await;
    assert_eq!(reason(other).await, "other-video");
    let after = shop.video(A, &format!("hlsgate={token}")).await;
    assert_eq!((&after["access"]["granted"], &after["access"]["tier"]), (&json!(true), &json!("24h")));
    assert_eq!(shop.h.daemon().metric("hlsgate_invoices_created_total{lane=\"page\"}").await, 1.0);
    assert_eq!(shop.h.daemon().metric("hlsgate_invoices_settled_total{lane=\"page\"}").await, 1.0);
    assert_eq!(shop.h.daemon().metric("hlsgate_claim_seconds_count").await, 1.0);
}

#[tokio::test]
async fn an_invoice_is_asked_for_with_all_that_decides_money() {
    let shop =
        Shop::with(Wish { btcpay: "invoice_expiration = \"20m\"\nspeed_policy = \"LowSpeed\"", ..Wish::default() })
            .await;
    let bought = shop.buy(A, "24h").await;
    let calls = shop.btcpay.calls("method=POST&path=invoices").await;
    assert_eq!(calls.len(), 1);
    let mut sent: Value = calls[0]["body"].clone();
    if let Some(text) = sent.as_str() {
        sent = serde_json::from_str(text).unwrap();
    }
    let order = sent["metadata"]["hlsgate"].take();
    assert_eq!(order.as_str().unwrap().split('.').count(), 3);
    let expected = json!({
        "amount": "0.00000100", "currency": "BTC",
        "metadata": { "orderId": "vid1 24h", "itemDesc": "vid1, 24 hours", "hlsgate": null },
        "checkout": {
            "speedPolicy": "LowSpeed", "paymentMethods": ["BTC-LN"], "defaultPaymentMethod": "BTC-LN",
            "lazyPaymentMethods": false, "expirationMinutes": 20, "monitoringMinutes": 1440, "paymentTolerance": 0,
            "redirectURL": "https://site.test/watch.html?v=vid1&invoice={InvoiceId}&status={Status}", "redirectAutomatically": true,
        },
        "receipt": { "enabled": false },
    });
    assert_eq!(sent, expected);
    let checkout = format!("https://pay.site.test/btcpay/i/{}", bought.invoice);
    assert_eq!(bought.answer["checkout_url"], checkout.as_str());
}

#[tokio::test]
async fn the_answer_has_all_that_a_page_draws() {
    let shop = Shop::with(Wish { btcpay: "payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]", ..Wish::default() }).await;
    let response = shop.order(A, json!({ "tier": "30d", "covers": "pass:summer" })).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let pending = cookies(&response);
    let bought = shop.purchase(response).await;
    assert_eq!(
        pending,
        [format!(
            "hlsgate_pending={}~{}; Path=/hlsgate/; Max-Age=604800; HttpOnly; SameSite=Lax",
            bought.invoice, bought.claim
        )]
    );
    let answer = &bought.answer;
    let told = ["status", "amount", "currency", "tier", "covers"].map(|name| answer[name].as_str().unwrap());
    assert_eq!(told, ["new", "20000", "SATS", "30d", "pass:summer"]);
    let (bolt11, address) =
        (answer["lightning"]["bolt11"].as_str().unwrap(), answer["onchain"]["address"].as_str().unwrap());
    assert!(bolt11.starts_with("lnbcrt200u1"), "{bolt11}");
    assert_eq!(answer["lightning"]["uri"], format!("lightning:{bolt11}"));
    assert_eq!(answer["onchain"]["uri"], format!("bitcoin:{address}?amount=0.0002"));
    assert_eq!(answer["unified"], format!("bitcoin:{address}?amount=0.0002&lightning={bolt11}"));
    assert!(answer["invoice_expires_at"].as_u64().unwrap() > 1_700_000_000);
}

#[tokio::test]
async fn lightning_alone_has_no_unified_link() {
    let shop = Shop::start().await;
    let answer = shop.buy(A, "forever").await.answer;
    assert_eq!((&answer["onchain"], answer.get("unified")), (&Value::Null, None));
    assert!(answer["lightning"]["bolt11"].is_string());
}

#[tokio::test]
async fn what_is_bought_once_is_a_cookie_twice() {
    let shop = Shop::start().await;
    for (tier, name, media, of_shop) in [
        ("24h", "hlsgate", "/hls/vid1/", "/hlsgate/videos/vid1"),
        ("30d", "hlsgate_summer", "/hls/", "/hlsgate/videos/"),
    ] {
        let bought = shop.buy(A, tier).await;
        shop.btcpay.pay(&bought.invoice).await;
        let token = shop.token(&bought, SOON).await;
        let response = send(shop.waiting(&bought, "")).await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        let cookies = cookies(&response);
        assert_eq!(cookies.len(), 2, "{cookies:?}");
        for (cookie, path) in cookies.iter().zip([media, of_shop]) {
            assert!(cookie.starts_with(&format!("{name}={token}; Path={path}; Max-Age=")), "{cookie}");
            assert!(cookie.ends_with("; HttpOnly; SameSite=Lax"), "{cookie}");
        }
        let told: Value = response.json().await.unwrap();
        let covers = if tier == "30d" { "pass:summer" } else { A };
        assert_eq!((&told["video"], &told["tier"], &told["covers"]), (&json!(A), &json!(tier), &json!(covers)));
        assert!(told["expires_at"].is_u64());
    }
}

#[tokio::test]
async fn a_pass_opens_every_video_of_it() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "30d").await;
    shop.btcpay.pay(&bought.invoice).await;
    let token = shop.token(&bought, SOON).await;
    for video in [A, B] {
        let response = send(
            shop.h
                .request("GET", &format!("/hls/{video}/master.m3u8"))
                .header("Cookie", format!("hlsgate_summer={token}")),
        );
        assert_eq!(response.await.status(), 200);
        let shown = shop.video(video, &format!("hlsgate_summer={token}")).await;
        assert_eq!(shown["access"]["granted"], true);
    }
}

#[tokio::test]
async fn a_never_expiring_token_says_no_time() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "forever").await;
    shop.btcpay.pay(&bought.invoice).await;
    let token = shop.token(&bought, SOON).await;
    let response = send(shop.waiting(&bought, "")).await;
    assert!(cookies(&response)[0].contains("; Max-Age=34560000;"));
    let told: Value = response.json().await.unwrap();
    assert_eq!(told.get("expires_at"), None);
    let shown = shop.video(A, &format!("hlsgate={token}")).await;
    assert_eq!(shown["access"], json!({ "granted": true, "tier": "forever" }));
}

#[tokio::test]
async fn a_token_becomes_a_session_and_comes_back_under_todays_key() {
    let shop = Shop::start().await;
    let token = shop.h.token(&["--video", A, "--for", "1h", "--jti", "gift-1"]);
    let session =
        async |token: &str| send(shop.h.request("POST", "/hlsgate/session").json(&json!({ "token": token }))).await;
    let response = session(&token).await;
    assert_eq!(response.status(), 200);
    let set = cookies(&response);
    assert!(set[0].starts_with(&format!("hlsgate={token}; Path=/hls/vid1/; Max-Age=")), "{set:?}");
    assert!(set[1].starts_with(&format!("hlsgate={token}; Path=/hlsgate/videos/vid1; Max-Age=")), "{set:?}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["token"], token.as_str());
    assert!(body["expires_at"].is_u64());

    shop.h.run(&["keys", "rotate"]);
    let renewed = crate::harness::until("the new key signs", || async {
        let body: Value = session(&token).await.json().await.unwrap();
        body["token"].as_str().filter(|renewed| *renewed != token).map(str::to_owned)
    })
    .await;
    let claims = |token: &str| token.split('.').nth(1).unwrap().to_owned();
    assert_eq!(claims(&renewed), claims(&token));
    assert_eq!(shop.h.get_with(&format!("/hls/{A}/master.m3u8"), &renewed).await.status(), 200);
}

#[tokio::test]
async fn a_session_refuses_by_the_gates_reasons() {
    let shop = Shop::start().await;
    let session =
        async |token: &str| send(shop.h.request("POST", "/hlsgate/session").json(&json!({ "token": token }))).await;
    let good = shop.h.token(&["--video", A, "--for", "1h", "--jti", "gift-1"]);
    let forged = crate::harness::forged(&good);
    shop.h.run(&["revoke", "gift-1"]);
    crate::harness::until("it is revoked", || async { (session(&good).await.status() == 403).then_some(()) }).await;
    for (token, status, expected) in [
        (good.as_str(), 403, "revoked"),
        (&forged, 403, "bad-signature"),
        ("abc", 403, "malformed"),
        ("", 401, "missing"),
    ] {
        let response = session(token).await;
        assert_eq!((response.status().as_u16(), cookies(&response).len()), (status, 0));
        assert_eq!(reason(response).await, expected);
    }
}

#[tokio::test]
async fn a_page_without_storage_finds_its_purchase_again() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    let cookie = format!("hlsgate_pending={}~{}", bought.invoice, bought.claim);
    let pending = |status: &str| json!({ "invoice": bought.invoice, "status": status });
    let shown = shop.video(A, &cookie).await;
    assert_eq!(shown["pending"], pending("new"));
    assert_eq!(shown["access"], json!({ "granted": false, "reason": "missing" }));
    assert_eq!(shop.video(B, &cookie).await["pending"], Value::Null, "it is for another video");
    for forged in [format!("{cookie}x"), format!("hlsgate_pending={}", bought.invoice), "hlsgate_pending=~".into()] {
        assert_eq!(shop.video(A, &forged).await["pending"], Value::Null);
    }

    shop.btcpay.pay(&bought.invoice).await;
    let path = format!("/hlsgate/invoices/{}?wait=25&seen=new", bought.invoice);
    let response = send(shop.h.request("GET", &path).header("Cookie", &cookie)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.json::<Value>().await.unwrap()["status"], "settled");
    assert_eq!(shop.video(A, &cookie).await["pending"], pending("settled"));
}

#[tokio::test]
async fn the_same_token_comes_however_often_it_is_claimed() {
    let mut shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.pay(&bought.invoice).await;
    let token = shop.token(&bought, SOON).await;
    assert_eq!(shop.token(&bought, SOON).await, token);
    // Dust to the same address, later: it moves nothing.
    shop.btcpay.control("pay", json!({ "invoice": bought.invoice, "amount": "0.00000001" })).await;
    shop.h.kill_daemon();
    shop.h.start_daemon().await;
    assert_eq!(shop.token(&bought, SOON).await, token);
}

#[tokio::test]
async fn a_revoked_purchase_gives_no_token() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.pay(&bought.invoice).await;
    shop.token(&bought, SOON).await;
    // One request is held since before.
    let held = tokio::spawn(send(shop.waiting(&bought, "wait=15&seen=settled")));
    crate::harness::until("it is held", || async {
        (shop.h.daemon().metric("hlsgate_held_requests").await == 1.0).then_some(())
    })
    .await;
    shop.h.run(&["revoke", &bought.invoice]);
    crate::harness::until("it is revoked", || async {
        let response = send(shop.waiting(&bought, "")).await;
        (response.status() == 403).then_some(())
    })
    .await;
    for response in [send(shop.waiting(&bought, "")).await, held.await.unwrap()] {
        assert!(cookies(&response).is_empty());
        assert_eq!(reason(response).await, "revoked");
    }
}

#[tokio::test]
async fn dollars_are_asked_for_as_dollars() {
    let shop = Shop::start().await;
    let bought = shop.buy("dollars", "once").await;
    assert_eq!((&bought.answer["amount"], &bought.answer["currency"]), (&json!("5.00"), &json!("USD")));
    shop.btcpay.pay(&bought.invoice).await;
    shop.token(&bought, SOON).await;
    // BTCPay rounds up to a whole satoshi, which is nobody's surplus; one more is.
    assert_eq!(shop.told(&bought, "").await.get("overpaid"), None);
    let over = shop.buy("dollars", "once").await;
    shop.btcpay.control("pay", json!({ "invoice": over.invoice, "amount": "0.00007694" })).await;
    shop.token(&over, SOON).await;
    assert_eq!(shop.told(&over, "").await["overpaid"]["sats"], "1");
}
