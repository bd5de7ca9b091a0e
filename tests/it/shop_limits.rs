//! Abuse and crowds: limits on creation and waiting, and what a thousand viewers cost BTCPay.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::shop::{Purchase, Shop, Wish};
use crate::harness::{A, reason, send, until};

async fn create(shop: &Shop) -> reqwest::Response {
    let url = format!("http://hlsgate/hlsgate/videos/{A}/invoices");
    send(shop.direct().post(url).json(&json!({ "tier": "24h" }))).await
}

#[tokio::test]
async fn so_many_invoices_a_minute_and_no_more() {
    let config = "[shop]\ninvoices_per_minute = 3";
    let shop = Shop::with(Wish { config, ..Wish::default() }).await;
    for _ in 0..3 {
        shop.purchase(create(&shop).await).await;
    }
    let refused = create(&shop).await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(reason(refused).await, "busy");
    assert_eq!(shop.btcpay.calls("method=POST&path=invoices").await.len(), 3);
}

/// 200 who come at once wait their turn: none is refused, each is told how many come first, and each gets one invoice.
#[tokio::test]
async fn two_hundred_at_once_wait_their_turn() {
    const VIEWERS: usize = 200;
    let shop = Shop::with(Wish { config: "[shop]\ninvoices_at_once = 4", ..Wish::default() }).await;
    shop.btcpay.switch(json!({ "create_delay_ms": 50 })).await;
    let url = format!("http://hlsgate/hlsgate/videos/{A}/invoices");
    let viewers = join_all((0..VIEWERS).map(|n| {
        let (client, url) = (shop.direct(), url.clone());
        async move {
            let order = format!("viewer-{n:015}-000000000000");
            let mut answer = send(client.post(url).json(&json!({ "tier": "24h", "order": order }))).await;
            let mut places: Vec<u64> = Vec::new();
            while answer.status() == 202 {
                let told: Value = answer.json().await.unwrap();
                assert_eq!(told["order"], order.as_str());
                let before = told["before"].as_u64().unwrap();
                places.push(before);
                let url = format!("http://hlsgate/hlsgate/order?wait=25&before={before}");
                answer = send(client.get(url).bearer_auth(&order)).await;
            }
            assert!(places.is_sorted_by(|a, b| a >= b), "nobody is let in before others: {places:?}");
            (answer, places)
        }
    }))
    .await;
    let queued = viewers.iter().filter(|(_, places)| places.iter().any(|before| *before > 1)).count();
    assert!(queued > VIEWERS / 4, "{queued} were told their place");
    let mut invoices: Vec<String> = Vec::new();
    for (answer, _) in viewers {
        assert!(matches!(answer.status().as_u16(), 200 | 201), "{}", answer.status());
        assert!(answer.headers()["set-cookie"].to_str().unwrap().starts_with("hlsgate_pending="));
        let told: Value = answer.json().await.unwrap();
        assert!(told["lightning"]["bolt11"].as_str().is_some_and(|bolt11| bolt11.starts_with("ln")));
        invoices.push(told["invoice"].as_str().unwrap().to_owned());
    }
    invoices.sort_unstable();
    invoices.dedup();
    let made = shop.btcpay.calls("method=POST&path=invoices").await.len();
    assert_eq!((invoices.len(), made), (VIEWERS, VIEWERS));
}

/// A page whose request broke asks for its order again; the creation went on meanwhile, and there is one invoice.
#[tokio::test]
async fn a_purchase_is_found_again_by_its_order() {
    let shop = Shop::start().await;
    shop.btcpay.switch(json!({ "create_delay_ms": 800 })).await;
    let url = format!("http://hlsgate/hlsgate/videos/{A}/invoices");
    let order = "an-order-of-a-page-0001";
    let post = || shop.direct().post(&url).json(&json!({ "tier": "24h", "order": order }));
    let find = || shop.direct().get("http://hlsgate/hlsgate/order?wait=25").bearer_auth(order);
    assert_eq!(send(find()).await.status(), 404);
    let broken = post().timeout(Duration::from_millis(200)).send().await;
    assert!(broken.is_err_and(|err| err.is_timeout()));
    let found: Value = until("it is made", || async {
        let answer = send(find()).await;
        match answer.status().as_u16() {
            202 => None,
            status => Some((status, answer.json::<Value>().await.unwrap())),
        }
    })
    .await
    .1;
    let again = send(post()).await;
    assert_eq!(again.status(), 201);
    assert_eq!(again.json::<Value>().await.unwrap(), found);
    // For another offer it is another purchase, and an order that could be guessed is none.
    for (tier, order, words) in [("forever", order, "another purchase"), ("24h", "short", "22 to 64")] {
        let refused = send(shop.direct().post(&url).json(&json!({ "tier": tier, "order": order }))).await;
        assert_eq!(refused.status(), 422);
        assert!(refused.json::<Value>().await.unwrap()["detail"].as_str().unwrap().contains(words));
    }
    assert_eq!(shop.btcpay.calls("method=POST&path=invoices").await.len(), 1);
}

/// BTCPay made the invoice and its answer was lost: the same invoice is found, and no second one is made.
#[tokio::test]
async fn an_invoice_whose_creation_was_not_answered_is_found() {
    let shop = Shop::start().await;
    for status in [504, 502] {
        let lost = json!({ "count": 1, "status": status, "method": "POST", "path": "/invoices", "after": true });
        shop.btcpay.switch(json!({ "fail_next": lost })).await;
        let bought = shop.buy(A, "24h").await;
        shop.btcpay.pay(&bought.invoice).await;
        shop.token(&bought, Duration::from_secs(10)).await;
    }
    assert_eq!(shop.btcpay.calls("method=POST&path=/invoices").await.len(), 2);
}

#[tokio::test]
async fn nginx_limits_each_address() {
    let shop = Shop::start().await;
    let mut refused = None;
    for _ in 0..20 {
        let response = shop.order(A, json!({ "tier": "24h" })).await;
        match response.status().as_u16() {
            201 => drop(shop.purchase(response).await),
            _ => {
                refused = Some(response);
                break;
            }
        }
    }
    let refused = refused.expect("a limit within twenty");
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (429, true));
    assert_eq!(reason(refused).await, "busy");
}

#[tokio::test]
async fn sixteen_requests_are_held_for_one_claim() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    let waiting = |query| send(shop.waiting(&bought, query));
    let held = join_all((0..16).map(|_| waiting("wait=30&seen=new")));
    let one_more = async {
        until("all are held", || async {
            (shop.h.daemon().metric("hlsgate_held_requests").await == 16.0).then_some(())
        })
        .await;
        let refused = waiting("wait=30&seen=new").await;
        shop.btcpay.pay(&bought.invoice).await;
        refused
    };
    let (held, refused) = tokio::join!(held, one_more);
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (429, true));
    assert_eq!(reason(refused).await, "busy");
    for answer in held {
        assert_eq!(answer.json::<Value>().await.unwrap()["status"], "settled");
    }
}

/// With webhooks lost, all get their tokens within 10 s of paying, at no more than two requests a second, and the list's newest
/// page every 4 s.
#[tokio::test]
async fn a_thousand_wait_and_all_webhooks_are_lost() {
    const VIEWERS: usize = 1000;
    let config = "[shop]\ninvoices_per_minute = 100000\ninvoices_at_once = 100";
    let shop = Shop::with(Wish { config, no_webhook: true, ..Wish::default() }).await;
    let client = shop.direct();
    let url = format!("http://hlsgate/hlsgate/videos/{A}/invoices");
    let mut bought: Vec<Purchase> = Vec::new();
    while bought.len() < VIEWERS {
        let orders = (0..20).map(|_| send(client.post(&url).json(&json!({ "tier": "24h" }))));
        for answer in join_all(orders).await {
            bought.push(shop.purchase(answer).await);
        }
    }
    shop.btcpay.forget().await;

    let waiting = bought.iter().map(|purchase| async {
        let url = format!("http://hlsgate/hlsgate/invoices/{}?wait=50&seen=new", purchase.invoice);
        let told: Value = send(client.get(url).bearer_auth(&purchase.claim)).await.json().await.unwrap();
        assert_eq!(told["status"], "settled");
        Instant::now()
    });
    let paying = async {
        until("all wait", || async {
            (shop.h.daemon().metric("hlsgate_held_requests").await == VIEWERS as f64).then_some(())
        })
        .await;
        let began = Instant::now();
        for part in bought.chunks(50) {
            join_all(part.iter().map(|purchase| shop.btcpay.pay(&purchase.invoice))).await;
        }
        (began, Instant::now())
    };
    let (answered, (began, paid)) = tokio::join!(join_all(waiting), paying);
    let last = answered.into_iter().max().unwrap();
    assert!(last < paid + Duration::from_secs(10), "the last token came {:?} after its payment", last - paid);
    assert!(last > began);

    let calls = shop.btcpay.ask("calls").await;
    let times: Vec<f64> = calls["calls"].as_array().unwrap().iter().map(|call| call["at"].as_f64().unwrap()).collect();
    let span =
        times.iter().fold(0.0_f64, |most, at| most.max(*at)) - times.iter().fold(f64::MAX, |least, at| least.min(*at));
    assert!(times.len() as f64 <= 2.25 * span + 5.0, "{} requests in {span} s", times.len());
}

#[tokio::test]
async fn nothing_of_an_invoice_is_told_without_its_claim() {
    let mut shop = Shop::start().await;
    let (mine, other) = (shop.buy(A, "24h").await, shop.buy(A, "24h").await);
    shop.btcpay.pay(&mine.invoice).await;
    shop.btcpay.idle().await;
    // A new daemon knows neither invoice: it would have to ask, and asks nothing by itself.
    shop.h.kill_daemon();
    shop.btcpay.forget().await;
    shop.h.start_daemon().await;
    let ask = |invoice: &str| shop.h.request("GET", &format!("/hlsgate/invoices/{invoice}?wait=20&seen=new"));
    let mut answers = Vec::new();
    for request in [
        ask(&mine.invoice),
        ask(&mine.invoice).bearer_auth(&other.claim),
        ask(&mine.invoice).bearer_auth(&mine.claim[1..]),
        ask(&mine.invoice).header("Authorization", format!("Basic {}", mine.claim)),
        ask(&mine.invoice).header("Cookie", format!("hlsgate_pending={}~{}", other.invoice, mine.claim)),
        ask(&mine.invoice).header("Cookie", format!("hlsgate_pending={}~{}", mine.invoice, other.claim)),
        ask("HMprBnL9BTXWuPvpoKBS6e").bearer_auth(&mine.claim),
        ask("no-such-invoice"),
    ] {
        let began = Instant::now();
        let response = send(request).await;
        assert!(began.elapsed() < Duration::from_secs(5), "it is not held");
        assert_eq!((response.status().as_u16(), response.headers().get("set-cookie")), (403, None));
        answers.push(response.text().await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "all are told the same: {answers:?}");
    assert!(shop.btcpay.calls("path=/invoices").await.is_empty(), "a stranger costs BTCPay nothing");
    let both =
        format!("hlsgate_pending={}~{}; hlsgate_pending={}~{}", mine.invoice, other.claim, mine.invoice, mine.claim);
    assert_eq!(send(ask(&mine.invoice).header("Cookie", both)).await.status(), 200, "every duplicate is tried");
    assert!(!shop.btcpay.calls("path=/invoices").await.is_empty(), "a buyer is worth a question");
}
