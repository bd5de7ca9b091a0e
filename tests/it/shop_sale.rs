//! The sale where the real BTCPay differs from what one expects: what is over, what waits, what lies in an invoice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::shop::{Purchase, Shop, Wish, clears_pending};
use crate::harness::{A, until};

const SOON: Duration = Duration::from_secs(8);
const ONCHAIN: &str = "payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]";
const DAY: u64 = 86_400;

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn times(shop: &Shop, bought: &Purchase) -> (u64, u64, u64) {
    let invoice = shop.btcpay.ask(&format!("invoices/{}", bought.invoice)).await;
    let time = |name: &str| invoice[name].as_u64().unwrap();
    (time("createdTime"), time("expirationTime"), time("monitoringExpiration"))
}

// A 1: a purchase that is over is not pending.

#[tokio::test]
async fn a_purchase_is_pending_until_the_browser_has_its_token() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    let cookie = bought.cookie();
    let (told, set) = shop.page(A, &cookie).await;
    assert_eq!((&told["pending"]["status"], &told["ended"], set.len()), (&json!("new"), &Value::Null, 0));
    shop.btcpay.pay(&bought.invoice).await;
    let token = shop.token(&bought, SOON).await;
    let (told, set) = shop.page(A, &cookie).await;
    let expected = json!({ "invoice": bought.invoice, "status": "settled" });
    assert_eq!((&told["pending"], set.len()), (&expected, 0), "it was handed out, and this browser has it not");
    let (told, set) = shop.page(A, &format!("{cookie}; hlsgate={token}")).await;
    assert_eq!(
        (&told["pending"], &told["ended"], &told["access"]["granted"]),
        (&Value::Null, &Value::Null, &json!(true))
    );
    assert!(clears_pending(&set), "{set:?}");
}

#[tokio::test]
async fn a_pass_that_ended_is_told_with_its_end_and_never_pending_again() {
    let config =
        "[videos.vid1]\noffers = [{ tier = \"short\", price = \"100\", currency = \"SATS\", duration = \"2s\" }]";
    let shop = Shop::with(Wish { config, ..Wish::default() }).await;
    let bought = shop.buy(A, "short").await;
    shop.btcpay.pay(&bought.invoice).await;
    let exp = claims(&shop.token(&bought, SOON).await)["exp"].as_u64().unwrap();
    let (told, set) = shop.ended(A, &bought.cookie(), "ended").await;
    assert_eq!(
        (&told["pending"], &told["ended"]["at"], &told["ended"]["tier"]),
        (&Value::Null, &json!(exp), &json!("short"))
    );
    assert!(clears_pending(&set) && told["offers"].as_array().unwrap().len() > 1, "{told} {set:?}");
}

#[tokio::test]
async fn what_was_revoked_or_cancelled_is_over() {
    let shop = Shop::start().await;
    let (revoked, cancelled) = (shop.buy(A, "24h").await, shop.buy(A, "24h").await);
    shop.btcpay.pay(&revoked.invoice).await;
    shop.token(&revoked, SOON).await;
    shop.h.run(&["revoke", &revoked.invoice]);
    shop.btcpay.control("mark", json!({ "invoice": cancelled.invoice, "status": "Invalid" })).await;
    let members = ["marked", "final", "partial", "payable"];
    let told = async || {
        let told = shop.told(&cancelled, "").await;
        (members.map(|name| told[name].as_bool().unwrap()), told["paid"].clone())
    };
    // The cancelled one is kept, for its code is out: told as over, and paid all the same it opens.
    for (bought, why, cleared) in [(&revoked, "revoked", true), (&cancelled, "invalid", false)] {
        let (told, set) = shop.ended(A, &bought.cookie(), why).await;
        assert_eq!((&told["pending"], clears_pending(&set)), (&Value::Null, cleared), "{why}: {set:?}");
    }
    assert_eq!(told().await, ([true, false, false, false], json!("0.00000000")));
    // Until BTCPay looks for payments of it no longer.
    shop.btcpay.control("stop-monitoring", json!({ "invoice": cancelled.invoice })).await;
    until("it is forgotten", || async { clears_pending(&shop.page(A, &cancelled.cookie()).await.1).then_some(()) })
        .await;
    assert_eq!(told().await, ([true, true, false, false], json!("0.00000000")));
}

// B 3, 4: nobody's paid time runs while access does not exist.

#[tokio::test]
async fn a_pass_lasts_whatever_the_zone_of_btcpays_host_and_everywhere_alike() {
    let shop = Shop::start().await;
    let second = shop.second_daemon().await;
    for zone in [0, 18_000, -19_800, -3_600, -46_800_i64] {
        let bought = shop.buy(A, "24h").await;
        let (created, expires, _) = times(&shop, &bought).await;
        let received = created.checked_add_signed(zone).unwrap();
        shop.btcpay.control("pay", json!({ "invoice": bought.invoice, "receivedDate": received })).await;
        let token = shop.token(&bought, SOON).await;
        let exp = claims(&token)["exp"].as_u64().unwrap();
        assert!((created + DAY..=expires + DAY).contains(&exp), "{zone}: {exp}");
        assert!(claims(&token)["iat"].as_u64().unwrap() <= now(), "{zone}");
        assert_eq!(second.told(&bought, "wait=8&seen=new").await["token"], token.as_str(), "{zone}");
    }
}

#[tokio::test]
async fn what_waits_for_its_block_or_a_person_loses_nothing() {
    let shop = Shop::with(Wish { btcpay: ONCHAIN, ..Wish::default() }).await;
    let (chain, marked) = (shop.buy(A, "30d").await, shop.buy(A, "30d").await);
    let (_, _, monitored) = times(&shop, &chain).await;
    shop.btcpay.control("pay", json!({ "invoice": chain.invoice, "method": "BTC-CHAIN", "confirmed": true })).await;
    assert_eq!(claims(&shop.token(&chain, SOON).await)["exp"], monitored + 30 * DAY);
    let created = times(&shop, &marked).await.0;
    shop.btcpay.control("mark", json!({ "invoice": marked.invoice, "status": "Settled" })).await;
    assert_eq!(claims(&shop.token(&marked, SOON).await)["exp"], created + 7 * DAY + 30 * DAY);
}

#[tokio::test]
async fn the_log_warns_of_a_token_that_is_over_or_nearly_so_when_it_is_handed_out() {
    let config =
        "[videos.vid1]\noffers = [{ tier = \"short\", price = \"100\", currency = \"SATS\", duration = \"1000s\" }]";
    let shop = Shop::with(Wish { config, ..Wish::default() }).await;
    for (ago, warned) in [(0, false), (850, false), (950, true), (1100, true)] {
        shop.btcpay.control("clock", json!({ "set": now() - ago })).await;
        let bought = shop.buy(A, "short").await;
        let created = times(&shop, &bought).await.0;
        shop.btcpay.control("pay", json!({ "invoice": bought.invoice, "receivedDate": created })).await;
        let token = shop.token(&bought, SOON).await;
        assert_eq!(claims(&token)["exp"], created + 1000, "{ago}");
        // Asked for again it is no news.
        shop.token(&bought, SOON).await;
        let log = shop.log();
        let of_it = |line: &&str| line.contains(&bought.invoice) && line.contains("the token that was just handed out");
        let lines: Vec<&str> = log.lines().filter(of_it).collect();
        assert_eq!(lines.len(), usize::from(warned), "{ago} s ago: {log}");
        let remedy = "hlsgate token issue --video vid1 --tier short --for 1000s";
        assert!(lines.iter().all(|line| line.contains("WARN") && line.contains(remedy)), "{lines:?}");
    }
}

// C 5 to 9: what lies in an invoice, and what is due.

#[tokio::test]
async fn half_paid_the_page_hears_what_came_and_what_is_due_by_each_way() {
    let shop = Shop::with(Wish { btcpay: ONCHAIN, ..Wish::default() }).await;
    shop.btcpay.switch(json!({ "network_fee": "0.00000200" })).await;
    let bought = shop.buy(A, "forever").await;
    let known = bought.answer["facts"].as_str().unwrap();
    let pay = json!({ "invoice": bought.invoice, "method": "BTC-CHAIN", "amount": "0.00001500" });
    let query = format!("wait=20&seen=new&facts={known}");
    let (told, ()) = tokio::join!(shop.told(&bought, &query), async {
        shop.btcpay.control("pay", pay.clone()).await;
    });
    let words = ["status", "invoice", "amount", "paid", "confirmed"].map(|name| told[name].as_str().unwrap());
    assert_eq!(words, ["new", &bought.invoice, "0.00003000", "0.00001500", "0.00000000"]);
    assert_eq!((&told["partial"], &told["payable"], &told["final"]), (&json!(true), &json!(true), &json!(false)));
    let received = &told["received"][0];
    assert_eq!(
        (&received["name"], &received["sats"], &received["confirmed"]),
        (&json!("Bitcoin"), &json!("1500"), &json!(false))
    );
    let due = |id: &str| {
        let methods = told["methods"].as_array().unwrap().clone();
        methods.into_iter().find(|method| method["id"] == id).unwrap()["due_sats"].as_str().unwrap().to_owned()
    };
    assert_eq!((due("BTC-LN"), due("BTC-CHAIN")), ("1500".into(), "1700".into()));
    let address = told["onchain"]["address"].as_str().unwrap();
    assert_eq!(told["onchain"]["uri"], format!("bitcoin:{address}?amount=0.000017"));
    assert_eq!(told["checkout_url"], bought.answer["checkout_url"]);

    // Exactly the other half: the price was sent, though BTCPay misses its fee.
    shop.btcpay.control("pay", pay).await;
    shop.btcpay.control("confirm", json!({ "invoice": bought.invoice })).await;
    shop.token(&bought, SOON).await;
}

#[tokio::test]
async fn without_tolerance_btcpays_network_fee_is_missing() {
    let config = format!("{ONCHAIN}\ntolerance = \"none\"");
    let shop = Shop::with(Wish { btcpay: &config, ..Wish::default() }).await;
    shop.btcpay.switch(json!({ "network_fee": "0.00000200" })).await;
    let bought = shop.buy(A, "forever").await;
    for _ in 0..2 {
        let half =
            json!({ "invoice": bought.invoice, "method": "BTC-CHAIN", "amount": "0.00001500", "confirmed": true });
        shop.btcpay.control("pay", half).await;
    }
    shop.btcpay.idle().await;
    let told = until("both are seen", || async {
        let told = shop.told(&bought, "").await;
        (told["received"].as_array().unwrap().len() == 2).then_some(told)
    })
    .await;
    assert_eq!((&told["status"], &told["paid"]), (&json!("new"), &json!("0.00002800")));
}

#[tokio::test]
async fn overpaid_and_replaced_are_told() {
    let shop = Shop::with(Wish { btcpay: ONCHAIN, ..Wish::default() }).await;
    let over = shop.buy(A, "24h").await;
    shop.btcpay.control("pay", json!({ "invoice": over.invoice, "amount": "0.00000150" })).await;
    shop.token(&over, SOON).await;
    let told = shop.told(&over, "").await;
    assert_eq!(
        (&told["overpaid"]["value"], &told["overpaid"]["sats"], &told["payable"]),
        (&json!("0.00000050"), &json!("50"), &json!(false))
    );

    let replaced = shop.buy(A, "forever").await;
    shop.btcpay.control("pay", json!({ "invoice": replaced.invoice, "method": "BTC-CHAIN" })).await;
    assert_eq!(shop.told(&replaced, "wait=25&seen=new").await["status"], "processing");
    shop.btcpay.control("replace", json!({ "invoice": replaced.invoice })).await;
    let told = shop.told(&replaced, "wait=25&seen=processing").await;
    assert_eq!((&told["status"], &told["replaced"]), (&json!("new"), &json!(true)));
}

#[tokio::test]
async fn what_the_payments_cover_needs_no_mark_and_no_status() {
    for (accept, expected) in [("true", "settled"), ("false", "invalid")] {
        let config = format!("{ONCHAIN}\naccept_marked = false\naccept_invalid = {accept}");
        let shop = Shop::with(Wish { btcpay: &config, ..Wish::default() }).await;
        let chain = |bought: &Purchase| json!({ "invoice": bought.invoice, "method": "BTC-CHAIN" });
        // Marked while it waited, then confirmed.
        let marked = shop.buy(A, "forever").await;
        shop.btcpay.control("pay", chain(&marked)).await;
        shop.btcpay.control("mark", json!({ "invoice": marked.invoice, "status": "Settled" })).await;
        assert_eq!(shop.told(&marked, "wait=10&seen=processing").await.get("token"), None);
        shop.btcpay.control("confirm", json!({ "invoice": marked.invoice })).await;
        shop.token(&marked, SOON).await;
        // Confirmed after BTCPay had given it up: by policy.
        let given_up = shop.buy(A, "forever").await;
        shop.btcpay.control("pay", chain(&given_up)).await;
        assert_eq!(shop.told(&given_up, "wait=25&seen=new").await["status"], "processing");
        shop.btcpay.control("stop-monitoring", json!({ "invoice": given_up.invoice })).await;
        assert_eq!(shop.told(&given_up, "wait=25&seen=processing").await["status"], "invalid");
        shop.btcpay.control("confirm", json!({ "invoice": given_up.invoice })).await;
        let told = shop.told(&given_up, "wait=8&seen=invalid").await;
        assert_eq!(told["status"], expected, "accept_invalid = {accept}");
    }
}

// C 12: every way by its own name.

#[tokio::test]
async fn another_coin_is_drawn_by_its_own_name_and_opens_once_it_is_confirmed() {
    let shop = Shop::with(Wish { btcpay: "payment_methods = [\"BTC-LN\", \"XMR-CHAIN\"]", ..Wish::default() }).await;
    let rates = json!({ "USD": "65000", "XMR": "250" });
    shop.btcpay.switch(json!({ "methods": ["BTC-LN", "BTC-CHAIN", "XMR-CHAIN"], "rates": rates })).await;
    let bought = shop.buy(A, "forever").await;
    let told = shop.told(&bought, "").await;
    for answer in [&bought.answer, &told] {
        let ways = answer["methods"].as_array().unwrap();
        let monero = ways.iter().find(|way| way["id"] == "XMR-CHAIN").unwrap();
        let text = |name: &str| monero[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(["kind", "name", "currency", "due"].map(text), ["other", "Monero", "XMR", "0.0075"]);
        assert_eq!(text("uri"), format!("monero:{}?tx_amount=0.0075", text("destination")));
        assert_eq!((monero.get("due_sats"), &answer["onchain"], answer.get("unified")), (None, &Value::Null, None));
        assert!(!answer.to_string().contains("bitcoin:"), "{answer}");
    }
    shop.btcpay.control("pay", json!({ "invoice": bought.invoice, "method": "XMR-CHAIN" })).await;
    let told = shop.told(&bought, "wait=25&seen=new").await;
    assert_eq!((&told["status"], &told["received"][0]["name"]), (&json!("processing"), &json!("Monero")));
    shop.btcpay.control("confirm", json!({ "invoice": bought.invoice })).await;
    shop.token(&bought, SOON).await;
}
