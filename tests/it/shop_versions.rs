//! What older BTCPay Servers do otherwise, and no buyer may feel.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::shop::{Purchase, Shop, WEBHOOK, Wish};
use crate::harness::{A, until};

const SOON: Duration = Duration::from_secs(10);
const BOTH: &str = "payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]";

async fn old(version: &str) -> Shop {
    let arguments = ["--version", version];
    Shop::with(Wish { btcpay: BOTH, arguments: &arguments, no_webhook: true, ..Wish::default() }).await
}

/// Everything that a page is told of a purchase, one after the other, until `last`.
async fn everything_told(shop: &Shop, bought: &Purchase, last: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut all: Vec<Value> = vec![shop.told(bought, "").await];
    while !last(&all[all.len() - 1]) {
        let known = &all[all.len() - 1];
        let text = |name: &str| known[name].as_str().unwrap().to_owned();
        let query = format!("wait=25&seen={}&facts={}", text("status"), text("facts"));
        all.push(shop.told(bought, &query).await);
    }
    all
}

fn words<'a>(told: &'a [Value], name: &str) -> Vec<&'a Value> {
    let mut words: Vec<&Value> = told.iter().map(|told| &told[name]).collect();
    words.dedup();
    words
}

async fn is_told(shop: &Shop, bought: &Purchase, what: &str, condition: impl Fn(&Value) -> bool) {
    until(what, || async { condition(&shop.told(bought, "").await).then_some(()) }).await;
}

/// Lists tell no payments before 2.3.6: nobody who pays late is told that it is paid, then that it is not, and then that it is.
#[tokio::test]
async fn a_late_buyers_page_goes_forward_only() {
    for version in ["2.0.8", "2.3.5", "2.3.6", "2.4.1"] {
        let shop = old(version).await;
        let bought = shop.buy(A, "forever").await;
        let happens = async {
            shop.btcpay.control("expire", json!({ "invoice": bought.invoice })).await;
            is_told(&shop, &bought, "it is over", |told| told["status"] == "expired").await;
            shop.btcpay.control("pay", json!({ "invoice": bought.invoice, "method": "BTC-CHAIN" })).await;
            is_told(&shop, &bought, "something came late", |told| told["late"] == true).await;
            shop.btcpay.control("confirm", json!({ "invoice": bought.invoice })).await;
        };
        let everything = everything_told(&shop, &bought, |told| told["status"] == "settled");
        let (told, ()) = tokio::time::timeout(4 * SOON, async { tokio::join!(everything, happens) }).await.unwrap();
        assert_eq!(words(&told, "status"), ["new", "expired", "settled"], "{version}: {told:#?}");
        assert_eq!(words(&told, "late"), [false, true], "{version}: {told:#?}");
    }
}

/// Whoever pays in two parts keeps the code for the second one, and what came in does not vanish for a moment.
#[tokio::test]
async fn half_paid_the_code_and_the_sum_stay() {
    for version in ["2.0.8", "2.3.5"] {
        let shop = old(version).await;
        let bought = shop.buy(A, "forever").await;
        let pay = async |fraction: &str| {
            let half =
                json!({ "invoice": bought.invoice, "method": "BTC-CHAIN", "fraction": fraction, "confirmed": true });
            shop.btcpay.control("pay", half).await;
        };
        let happens = async {
            pay("0.25").await;
            is_told(&shop, &bought, "a quarter came", |told| told["partial"] == true).await;
            pay("0.25").await;
            is_told(&shop, &bought, "more came", |told| told["received"].as_array().unwrap().len() == 2).await;
            shop.btcpay.pay(&bought.invoice).await;
        };
        let everything = everything_told(&shop, &bought, |told| told["status"] == "settled");
        let (told, ()) = tokio::time::timeout(6 * SOON, async { tokio::join!(everything, happens) }).await.unwrap();
        let came: Vec<usize> = told.iter().map(|told| told["received"].as_array().unwrap().len()).collect();
        assert!(came.is_sorted(), "{version}: {came:?}");
        for open in told.iter().filter(|told| told["status"] == "new") {
            assert!(open["onchain"].is_object() && open["payable"] == true, "{version}: {open:#}");
        }
    }
}

/// BTCPay tells by no event that a payment was replaced, and before 2.3.6 its list does not say what is to be paid instead.
#[tokio::test]
async fn after_a_replaced_payment_the_code_is_there_again() {
    let shop = old("2.3.5").await;
    let bought = shop.buy(A, "forever").await;
    shop.btcpay.control("pay", json!({ "invoice": bought.invoice, "method": "BTC-CHAIN" })).await;
    is_told(&shop, &bought, "it is seen", |told| told["status"] == "processing").await;
    shop.btcpay.control("replace", json!({ "invoice": bought.invoice })).await;
    is_told(&shop, &bought, "it is open again", |told| told["status"] == "new").await;
    let told = shop.told(&bought, "").await;
    assert!(told["replaced"] == true && told["onchain"].is_object() && told["lightning"].is_object(), "{told:#}");
    assert_eq!(told["received"], json!([]));
}

/// Before 2.3.4 a refusal is repeated for over an hour, with every later event behind it: under another secret nothing waits, and
/// sales go on by asking.
#[tokio::test]
async fn another_secret_holds_up_no_later_event() {
    for (version, answer) in [("2.0.8", 202), ("2.3.3", 202), ("2.3.4", 403), ("2.4.1", 403)] {
        let shop = old(version).await;
        shop.btcpay.webhook(&shop.h.url(WEBHOOK), "a-secret-that-was-changed-in-btcpay").await;
        let bought = shop.buy(A, "24h").await;
        shop.btcpay.pay(&bought.invoice).await;
        shop.token(&bought, SOON).await;
        // No delivery waits to be repeated.
        shop.btcpay.idle().await;
        let attempts = shop.btcpay.ask("attempts").await;
        let attempts = attempts["attempts"].as_array().unwrap();
        assert!(attempts.len() >= 4, "{version}: {attempts:#?}");
        assert!(attempts.iter().all(|attempt| attempt["status"] == answer), "{version}: {attempts:#?}");
        let counted = shop.h.daemon().metric("hlsgate_webhook_deliveries_total{outcome=\"bad-signature\"}").await;
        assert_eq!(counted, attempts.len() as f64);
    }
}
