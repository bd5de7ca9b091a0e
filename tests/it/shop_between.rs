//! Between the creation and the claim the world goes on: prices, offers, keys, clocks and BTCPay's version change. What was
//! paid for stays bought, and by the terms of its order.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::shop::{Purchase, Shop, Wish};
use crate::harness::{A, reason, send, until};

const SOON: Duration = Duration::from_secs(10);

/// One part of a token: 0 the header, 1 the claims.
fn part(token: &str, index: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The key that signs in this installation.
fn signing(shop: &Shop) -> String {
    let keys: Value = serde_json::from_slice(&std::fs::read(shop.h.folder().join("keys.json")).unwrap()).unwrap();
    keys["keys"][0]["kid"].as_str().unwrap().to_owned()
}

/// Waits until the daemon signs with this key.
async fn signs_with(shop: &Shop, kid: &str) {
    let token = shop.h.token_for(A);
    until("the daemon signs with the key", || async {
        let answer = send(shop.h.request("POST", "/hlsgate/session").json(&json!({ "token": token }))).await;
        let body: Value = answer.json().await.unwrap();
        body["token"].as_str().filter(|token| part(token, 0)["kid"] == kid).map(drop)
    })
    .await;
}

async fn pay_at(shop: &Shop, bought: &Purchase, received: u64) {
    shop.btcpay.control("pay", json!({ "invoice": bought.invoice, "receivedDate": received })).await;
}

#[tokio::test]
async fn todays_prices_and_offers_change_no_purchase() {
    let shop = Shop::start().await;
    let (day, pass) = (shop.buy(A, "24h").await, shop.buy(A, "30d").await);
    let text = std::fs::read_to_string(shop.h.config()).unwrap();
    let (kept, _) = text.split_once("[[offers]]").unwrap();
    // Another price and length for one tier; the other, and its pass, are gone; the video is off sale.
    let changed = "[[offers]]\ntier = \"24h\"\nprice = \"9000\"\ncurrency = \"SATS\"\nduration = \"1h\"\n[videos.vid1]\noffers = []\n";
    std::fs::write(shop.h.config(), format!("{kept}{changed}")).unwrap();
    shop.h.daemon().process.signal("HUP");
    until("it is off sale", || async { (shop.video(A, "").await["offers"] == json!([])).then_some(()) }).await;

    for (bought, sub, tier, length) in [(&day, A, "24h", 86_400), (&pass, "pass:summer", "30d", 2_592_000)] {
        let created = shop.btcpay.ask(&format!("invoices/{}", bought.invoice)).await["createdTime"].as_u64().unwrap();
        pay_at(&shop, bought, created + 1).await;
        let token = shop.token(bought, SOON).await;
        let expected =
            json!({ "sub": sub, "tier": tier, "iat": created + 1, "exp": created + 1 + length, "jti": bought.invoice });
        assert_eq!(part(&token, 1), expected);
    }
}

#[tokio::test]
async fn a_purchase_outlives_rotation_and_retirement_and_ends_with_its_key() {
    let shop = Shop::start().await;
    let first = signing(&shop);
    let (before, never_paid) = (shop.buy(A, "24h").await, shop.buy(A, "24h").await);
    shop.h.run(&["keys", "rotate"]);
    let second = signing(&shop);
    signs_with(&shop, &second).await;

    // Ordered under the old key, paid and claimed under the new one, which signs.
    shop.btcpay.pay(&before.invoice).await;
    let token = shop.token(&before, SOON).await;
    assert_eq!(part(&token, 0)["kid"], second.as_str());
    assert_eq!(shop.h.get_with(&format!("/hls/{A}/master.m3u8"), &token).await.status(), 200);

    // Retired, the old key verifies orders and claims still: the same bytes.
    shop.h.run(&["keys", "retire", "--yes", &first]);
    let count = "hlsgate_keys";
    until("it is retired", || async { (shop.h.daemon().metric(count).await == 1.0).then_some(()) }).await;
    assert_eq!(shop.token(&before, SOON).await, token);
    assert_eq!(shop.status(&never_paid).await, "new");

    // Removed whole, nothing of it is believed: not its claims, whatever was paid.
    shop.h.run(&["keys", "remove", "--yes", &first]);
    until("it is gone", || async { (send(shop.waiting(&before, "")).await.status() == 403).then_some(()) }).await;
    assert_eq!(reason(send(shop.waiting(&before, "")).await).await, "wrong-claim");
    shop.btcpay.pay(&never_paid.invoice).await;
    assert_eq!(reason(send(shop.waiting(&never_paid, "wait=2")).await).await, "wrong-claim");
}

/// Whoever follows a rotation in the order that the documentation says has both keys everywhere, in any order.
#[tokio::test]
async fn an_order_under_the_second_key_counts() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.h.run(&["keys", "add"]);
    let keys: Value = serde_json::from_slice(&std::fs::read(shop.h.folder().join("keys.json")).unwrap()).unwrap();
    let added = keys["keys"][1]["kid"].as_str().unwrap();
    shop.h.run(&["keys", "promote", added]);
    signs_with(&shop, added).await;
    shop.btcpay.pay(&bought.invoice).await;
    assert_eq!(part(&shop.token(&bought, SOON).await, 0)["kid"], added);
}

#[tokio::test]
async fn clocks_that_differ_by_days_lose_nobody() {
    for seconds in [3.0 * 86_400.0, -3.0 * 86_400.0] {
        let shop = Shop::with(Wish { no_webhook: true, ..Wish::default() }).await;
        shop.btcpay.control("clock", json!({ "advance": seconds })).await;
        let (known, unknown) = (shop.buy(A, "forever").await, shop.buy(A, "forever").await);
        shop.btcpay.pay(&known.invoice).await;
        shop.token(&known, SOON).await;
        let mut shop = shop;
        shop.h.kill_daemon();
        shop.h.start_daemon().await;
        assert_eq!(shop.status(&unknown).await, "new");
        shop.btcpay.pay(&unknown.invoice).await;
        // What seems older than any listing is looked up by itself, every 10 s at the latest.
        let token = shop.token(&unknown, SOON + Duration::from_secs(5)).await;
        assert_eq!(shop.h.get_with(&format!("/hls/{A}/master.m3u8"), &token).await.status(), 200, "{seconds}");
    }
}

#[tokio::test]
async fn btcpay_is_upgraded_while_a_viewer_pays() {
    let shop = Shop::with(Wish { arguments: &["--version", "2.0.0"], ..Wish::default() }).await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("version", json!({ "version": "2.4.1" })).await;
    shop.btcpay.control("restart", json!({})).await;
    shop.btcpay.pay(&bought.invoice).await;
    shop.token(&bought, SOON).await;
}

/// Parts by two methods: the price is complete with the later one, at each payment's own rate and without its fee.
#[tokio::test]
async fn dollars_paid_in_parts_by_two_methods_count_from_the_last() {
    let methods = "payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]";
    for late in [false, true] {
        let shop = Shop::with(Wish { btcpay: methods, ..Wish::default() }).await;
        shop.btcpay.switch(json!({ "network_fee": "0.00001", "rates": { "USD": "64321.123" } })).await;
        let bought = shop.buy("dollars", "once").await;
        if late {
            shop.btcpay.control("expire", json!({ "invoice": bought.invoice })).await;
        }
        let pay = async |method: &str, fraction: f64, received: u64| {
            let body =
                json!({ "invoice": bought.invoice, "method": method, "fraction": fraction, "receivedDate": received });
            shop.btcpay.control("pay", body).await;
        };
        let invoice = shop.btcpay.ask(&format!("invoices/{}", bought.invoice)).await;
        let time = |name: &str| invoice[name].as_u64().unwrap();
        let (created, ends) = (time("createdTime"), time("expirationTime"));
        // The second on-chain payment brings a fee that pays for no part of the price.
        pay("BTC-CHAIN", 0.4, created + 10).await;
        pay("BTC-CHAIN", 0.5, created + 20).await;
        shop.btcpay.control("confirm", json!({ "invoice": bought.invoice })).await;
        shop.btcpay.idle().await;
        assert_eq!(shop.status(&bought).await, if late { "expired" } else { "new" });
        pay("BTC-LN", 1.0, created + 30).await;
        let token = shop.token(&bought, SOON).await;
        assert_eq!(part(&token, 1)["iat"], if late { ends } else { created + 30 }, "late: {late}");
        let dust = json!({ "invoice": bought.invoice, "method": "BTC-CHAIN", "amount": "0.00002", "confirmed": true });
        shop.btcpay.control("pay", dust).await;
        assert_eq!(shop.token(&bought, SOON).await, token);
    }
}

/// A person's mark can be taken back, so it is asked for anew before a token goes out that nobody looked after.
#[tokio::test]
async fn a_mark_that_was_taken_back_unseen_gives_no_token() {
    let shop = Shop::with(Wish { no_webhook: true, ..Wish::default() }).await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.control("mark", json!({ "invoice": bought.invoice, "status": "Settled" })).await;
    shop.token(&bought, SOON).await;
    shop.btcpay.control("mark", json!({ "invoice": bought.invoice, "status": "Invalid" })).await;
    // Facts count as fresh for 6 s; it is their age that matters here, and no condition tells it.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(shop.status(&bought).await, "invalid");
}
