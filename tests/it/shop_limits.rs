//! Abuse and crowds: limits on creation and waiting, and what a thousand viewers cost BTCPay.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::shop::{Purchase, SECRET, Shop, WEBHOOK, Wish};
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

/// With webhooks lost, all get their tokens by as many requests as fit into ten seconds, and BTCPay gets no more than its pace: two
/// paced ones are 550 ms apart, and two of the list's newest page 4 s.
#[tokio::test]
async fn a_thousand_wait_and_all_webhooks_are_lost() {
    const VIEWERS: usize = 1000;
    let config = "[shop]\ninvoices_per_minute = 100000\ninvoices_at_once = 100";
    let shop = Shop::with(Wish { config, no_webhook: true, ..Wish::default() }).await;
    let (client, bought) = (shop.direct(), buy_many(&shop, VIEWERS).await);
    // By this clock and not by BTCPay's: what was sent in its time can arrive late on a busy machine, and close together.
    let began = Instant::now();
    shop.btcpay.forget().await;

    let waiting = bought.iter().map(|purchase| async {
        let told: Value = send(asked(&client, purchase, "wait=50&seen=new")).await.json().await.unwrap();
        assert_eq!(told["status"], "settled");
    });
    let paying = async {
        until("all wait", || async {
            (shop.h.daemon().metric("hlsgate_held_requests").await == VIEWERS as f64).then_some(())
        })
        .await;
        for part in bought.chunks(50) {
            join_all(part.iter().map(|purchase| shop.btcpay.pay(&purchase.invoice))).await;
        }
        shop.btcpay.calls("path=/invoices").await.len()
    };
    let (_, before) = tokio::join!(join_all(waiting), paying);
    let calls = shop.btcpay.calls("path=/invoices").await;
    let took = began.elapsed().as_secs_f64();
    let newest = calls.iter().filter(|call| is_newest_page(call)).count();
    let paced = calls.len() - newest;
    // Each time one more than spaces between them, and one that was under way when counting began.
    assert!(newest as f64 <= took / 4.0 + 2.0, "{newest} times the newest page in {took} s");
    assert!(paced as f64 <= took / 0.55 + 2.0, "{paced} paced requests in {took} s");
    let after = calls.len() - before;
    assert!(after <= 20, "{after} requests after the last payment");
}

/// A thousand tabs were left open on yesterday's invoices, and five thousand other invoices can be paid. After a restart nobody is told
/// that BTCPay cannot be reached; whoever comes now is asked for before all repetitions, and told by the next newest page or by the
/// webhook; and what is settled is not listed over and over.
#[tokio::test]
async fn a_thousand_abandoned_tabs_and_five_thousand_open_invoices_hold_up_nobody() {
    const TABS: usize = 1000;
    let config = "[shop]\ninvoices_per_minute = 100000\ninvoices_at_once = 100";
    let mut shop = Shop::with(Wish { config, no_webhook: true, ..Wish::default() }).await;
    let (tabs, earlier) = (buy_many(&shop, TABS).await, shop.buy(A, "24h").await);
    // Half of them are of an hour ago, so that lists tell of them, and half of yesterday.
    let hours_ago = |hours: u64| unix_now() - hours * 3600;
    for (number, part) in tabs.chunks(50).enumerate() {
        let made = if number % 2 == 0 { hours_ago(1) } else { hours_ago(20) };
        join_all(part.iter().map(|tab| async {
            shop.btcpay.control("expire", json!({ "invoice": tab.invoice })).await;
            shop.btcpay.control("tamper", json!({ "invoice": tab.invoice, "createdTime": made })).await;
        }))
        .await;
    }
    shop.h.kill_daemon();
    shop.h.start_daemon().await;
    let client = shop.direct();
    let told = join_all(tabs.iter().map(|tab| async { send(asked(&client, tab, "")).await })).await;
    for answer in told {
        match answer.status().as_u16() {
            200 => assert_eq!(answer.json::<Value>().await.unwrap()["status"], "expired"),
            status => assert_eq!((status, reason(answer).await.as_str()), (503, "busy"), "BTCPay is well"),
        }
    }
    let left_open: Vec<_> = tabs.iter().map(|tab| tokio::spawn(leave_open(client.clone(), tab.clone()))).collect();
    let is_filtered = |call: &Value| call["query"].as_str().is_some_and(|query| query.contains("status="));
    let listed =
        || async { shop.btcpay.calls("path=/invoices").await.into_iter().filter(is_filtered).collect::<Vec<_>>() };
    until("something is known of all tabs", || async { (!listed().await.is_empty()).then_some(()) }).await;
    // Nothing is to be paid for the first: they are settled at once.
    for (copies, amount) in [(3000, "0"), (5000, "0.0001")] {
        shop.btcpay.control("invoices", json!({ "amount": amount, "currency": "BTC", "copies": copies })).await;
    }
    until("all tabs are held again", || async {
        (shop.h.daemon().metric("hlsgate_held_requests").await == TABS as f64).then_some(())
    })
    .await;

    // Somebody comes back whose payment was made while nobody looked.
    shop.btcpay.pay(&earlier.invoice).await;
    shop.btcpay.forget().await;
    assert_eq!(
        send(asked(&client, &earlier, "wait=25&seen=new")).await.json::<Value>().await.unwrap()["status"],
        "settled"
    );
    let calls = shop.btcpay.calls("path=/invoices").await;
    let place = calls.iter().position(|call| call["path"].as_str().unwrap().contains(&earlier.invoice));
    // Before it came only what was under way: eight first look-ups, four repeated ones, and two pages.
    assert!(place.is_some_and(|place| place <= 8 + 4 + 2), "{place:?} others were asked for first");

    // Somebody buys: without a webhook the next newest page tells, with one the look-up that it hints at.
    for webhook in [false, true] {
        if webhook {
            shop.btcpay.webhook(&shop.h.url(WEBHOOK), SECRET).await;
        }
        let bought = shop.purchase(create(&shop).await).await;
        let waiting = tokio::spawn(send(asked(&client, &bought, "wait=50&seen=new")));
        until("they wait", || async {
            (shop.h.daemon().metric("hlsgate_held_requests").await == TABS as f64 + 1.0).then_some(())
        })
        .await;
        shop.btcpay.forget().await;
        shop.btcpay.pay(&bought.invoice).await;
        assert_eq!(waiting.await.unwrap().json::<Value>().await.unwrap()["status"], "settled");
        let calls = shop.btcpay.calls("path=/invoices").await;
        let newest = calls.iter().filter(|call| is_newest_page(call)).count();
        let looked_up = calls.iter().filter(|call| call["path"].as_str().unwrap().contains(&bought.invoice)).count();
        assert!(newest <= 2, "webhook: {webhook}: {newest} times the newest page");
        assert_eq!(looked_up > 0, webhook, "{looked_up} look-ups");
    }

    // Behind the newest page only what can still change is listed.
    shop.btcpay.forget().await;
    let pages = until("further ones", || async { Some(listed().await).filter(|pages| pages.len() >= 3) }).await;
    for page in pages {
        let query = page["query"].as_str().unwrap();
        assert!(query.contains("status=Expired") && !query.contains("status=Settled"), "{page}");
    }
    let all = shop.btcpay.calls("path=/invoices").await;
    let lists = all.iter().filter(|call| call["path"].as_str().unwrap().ends_with("/invoices"));
    assert!(lists.clone().all(|call| is_newest_page(call) || is_filtered(call)), "{:#?}", lists.collect::<Vec<_>>());
    left_open.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn buy_many(shop: &Shop, count: usize) -> Vec<Purchase> {
    let (client, url) = (shop.direct(), format!("http://hlsgate/hlsgate/videos/{A}/invoices"));
    let mut bought: Vec<Purchase> = Vec::new();
    while bought.len() < count {
        let orders = (0..20).map(|_| send(client.post(&url).json(&json!({ "tier": "24h" }))));
        for answer in join_all(orders).await {
            bought.push(shop.purchase(answer).await);
        }
    }
    bought
}

/// The question about a purchase, past nginx.
fn asked(client: &reqwest::Client, purchase: &Purchase, query: &str) -> reqwest::RequestBuilder {
    client.get(format!("http://hlsgate/hlsgate/invoices/{}?{query}", purchase.invoice)).bearer_auth(&purchase.claim)
}

/// A tab that nobody looks at.
async fn leave_open(client: reqwest::Client, tab: Purchase) {
    loop {
        let answer = send(asked(&client, &tab, "wait=50&seen=expired")).await;
        assert!(answer.status() == 200 || answer.status() == 503, "{}", answer.status());
    }
}

/// Whether the stand-in was asked for the newest invoices, whatever their status.
fn is_newest_page(call: &Value) -> bool {
    let (path, query) = (call["path"].as_str().unwrap(), call["query"].as_str().unwrap_or_default());
    path.ends_with("/invoices") && !query.contains("endDate=") && !query.contains("status=") && call["method"] == "GET"
}

fn unix_now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
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
