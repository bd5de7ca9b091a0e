//! Every error of the shop: its status, its stable reason, and problem+json around it.

use serde_json::{Value, json};

use crate::harness::btcpay::{API_KEY, STORE};
use crate::harness::shop::{Purchase, Shop, Wish};
use crate::harness::{A, Harness, reason, send};

#[tokio::test]
async fn each_wrong_order_has_its_reason() {
    let shop = Shop::start().await;
    // Past nginx, which would limit this address.
    let client = shop.direct();
    let post = |video: &str, kind: Option<&str>, body: &str| {
        let request = client.post(format!("http://hlsgate/hlsgate/videos/{video}/invoices")).body(body.to_owned());
        match kind {
            Some(kind) => request.header("Content-Type", kind),
            None => request,
        }
    };
    let json = Some("application/json");
    let large = format!(r#"{{"tier":"{}"}}"#, "x".repeat(70_000));
    for (request, status, expected) in [
        (post("-bad", json, r#"{"tier":"24h"}"#), 404, "not-found"),
        (post(A, None, r#"{"tier":"24h"}"#), 415, "unsupported-media-type"),
        (post(A, Some("text/plain"), r#"{"tier":"24h"}"#), 415, "unsupported-media-type"),
        (post(A, Some("application/x-www-form-urlencoded"), "tier=24h"), 415, "unsupported-media-type"),
        (post(A, json, ""), 400, "bad-json"),
        (post(A, json, "{\"tier\":"), 400, "bad-json"),
        (post(A, json, &large), 413, "too-large"),
        (post(A, json, "{}"), 422, "bad-field"),
        (post(A, json, "[]"), 422, "bad-field"),
        (post(A, json, r#"{"tier":24}"#), 422, "bad-field"),
        (post(A, json, r#"{"tier":"12h"}"#), 422, "bad-field"),
        (post(A, json, r#"{"tier":"24h","covers":null}"#), 422, "bad-field"),
        (post(A, json, r#"{"tier":"24h","covers":"pass:summer"}"#), 422, "bad-field"),
        (post(A, json, r#"{"tier":"24h","covers":"*"}"#), 422, "bad-field"),
        (post(A, json, r#"{"tier":"24h","price":"1"}"#), 422, "bad-field"),
        (post(A, json, r#"{"tier":"24h","amount":"0.00000001","currency":"BTC"}"#), 422, "bad-field"),
        (post("off", json, r#"{"tier":"24h"}"#), 422, "bad-field"),
    ] {
        let response = send(request).await;
        assert_eq!(response.status(), status, "{expected}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(reason(response).await, expected);
    }
    assert!(shop.btcpay.calls("method=POST").await.is_empty());
    let response = shop.order(A, json!({ "tier": "12h" })).await;
    assert_eq!(
        (response.status().as_u16(), reason(response).await),
        (422, "bad-field".into()),
        "the same through nginx"
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let shop = Shop::start().await;
    for path in [
        "/hlsgate/",
        "/hlsgate/videos",
        "/hlsgate/videos/",
        "/hlsgate/videos/.hidden",
        "/hlsgate/videos/a%20b",
        "/hlsgate/videos/vid1/",
        "/hlsgate/videos/vid1/x",
        "/hlsgate/sessions",
        "/hlsgate/webhooks/other",
    ] {
        let response = shop.h.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(reason(response).await, "not-found");
    }
    for (method, path) in [
        ("POST", "/hlsgate/videos/vid1"),
        ("GET", "/hlsgate/videos/vid1/invoices"),
        ("DELETE", "/hlsgate/invoices/x"),
        ("GET", "/hlsgate/session"),
        ("GET", "/hlsgate/webhooks/btcpay"),
    ] {
        let response = send(shop.h.request(method, path)).await;
        assert_eq!(
            (response.status().as_u16(), response.headers().contains_key("allow")),
            (405, true),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn off_sale_shows_access_and_no_offers() {
    let shop = Shop::start().await;
    let token = shop.h.token(&["--all", "--tier", "press", "--for", "1h"]);
    let shown = shop.video("off", &format!("hlsgate={token}")).await;
    assert_eq!(shown["offers"], json!([]));
    assert_eq!((&shown["access"]["granted"], &shown["access"]["tier"]), (&json!(true), &json!("press")));
    assert_eq!(shop.video("unknown-id", "").await["offers"].as_array().unwrap().len(), 2, "any id is sold");
}

#[tokio::test]
async fn access_is_told_by_every_carrier_and_with_the_gates_reasons() {
    let shop = Shop::start().await;
    let good = shop.h.token_for(A);
    let path = format!("/hlsgate/videos/{A}");
    for request in [
        shop.h.request("GET", &path).bearer_auth(&good),
        shop.h.request("GET", &path).header("Cookie", format!("hlsgate=x; hlsgate={good}")),
        shop.h.request("GET", &format!("{path}?token={good}")),
    ] {
        let shown: Value = send(request).await.json().await.unwrap();
        assert_eq!(shown["access"]["granted"], true);
    }
    let other = shop.h.token_for("vid10");
    for (cookie, expected) in [("hlsgate=abc".to_owned(), "malformed"), (format!("hlsgate={other}"), "other-video")] {
        assert_eq!(shop.video(A, &cookie).await["access"], json!({ "granted": false, "reason": expected }));
    }
}

#[tokio::test]
async fn a_folder_decides_what_is_sold() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(A)).unwrap();
    std::fs::write(folder.path().join("file"), "not a folder").unwrap();
    let config = format!("[videos]\nfolder = \"{}\"", folder.path().display());
    let shop = Shop::with(Wish { config: &config, ..Wish::default() }).await;
    let offers = async |video: &str| shop.video(video, "").await["offers"].as_array().unwrap().len();
    assert_eq!((offers(A).await, offers("vid10").await, offers("file").await), (3, 0, 0));
    let response = shop.order("vid10", json!({ "tier": "24h" })).await;
    assert_eq!(response.status(), 422);
}

#[tokio::test]
async fn a_gate_only_has_access_and_sessions() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    let shown: Value =
        send(h.request("GET", &format!("/hlsgate/videos/{A}")).bearer_auth(&token)).await.json().await.unwrap();
    assert_eq!((&shown["offers"], &shown["access"]["granted"]), (&json!([]), &json!(true)));
    let session = send(h.request("POST", "/hlsgate/session").json(&json!({ "token": token }))).await;
    assert_eq!((session.status().as_u16(), session.headers().get_all("set-cookie").iter().count()), (200, 2));
    for (method, path) in [
        ("POST", "/hlsgate/videos/vid1/invoices"),
        ("GET", "/hlsgate/invoices/x"),
        ("POST", "/hlsgate/webhooks/btcpay"),
    ] {
        let response = send(h.request(method, path).json(&json!({ "tier": "24h" }))).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(reason(response).await, "not-found");
    }
}

#[tokio::test]
async fn a_purchase_that_btcpay_forgot_is_not_found() {
    let mut shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    shop.h.kill_daemon();
    // The id is another store's now, which BTCPay 2.4 answers as a missing right.
    shop.btcpay.control("tamper", json!({ "invoice": bought.invoice, "store": "another" })).await;
    shop.h.start_daemon().await;
    let response = send(shop.waiting(&bought, "wait=20")).await;
    assert_eq!(response.status(), 404);
    assert_eq!(reason(response).await, "not-found");
}

#[tokio::test]
async fn a_wait_that_makes_no_sense_is_a_bad_field() {
    let shop = Shop::start().await;
    let bought = shop.buy(A, "24h").await;
    for query in ["wait=soon", "wait=-1", "seen=paid"] {
        let response = send(shop.waiting(&bought, query)).await;
        assert_eq!(response.status(), 422, "{query}");
        assert_eq!(reason(response).await, "bad-field");
    }
    assert_eq!(shop.told(&bought, "wait=1&seen=expired").await["status"], "new");
}

#[tokio::test]
async fn no_other_site_may_read_the_answers() {
    let shop = Shop::start().await;
    let request = shop.h.request("GET", &format!("/hlsgate/videos/{A}")).header("Origin", "https://evil.example");
    let response = send(request).await;
    assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
}

/// What nginx says in the daemon's place: 413 and 429 are in other tests, for the daemon has them too.
#[tokio::test]
async fn nginx_words_its_own_errors_alike() {
    let mut shop = Shop::start().await;
    // The shipped 75 s are longer than a test should take.
    let snippet = shop.h.folder().join("nginx/snippets/hlsgate.conf");
    let text = std::fs::read_to_string(&snippet).unwrap();
    assert!(text.contains("proxy_read_timeout 75s;"));
    std::fs::write(&snippet, text.replace("proxy_read_timeout 75s;", "proxy_read_timeout 1s;")).unwrap();
    let pid = std::fs::read_to_string(shop.h.folder().join("nginx.pid")).unwrap();
    crate::harness::process::output("kill", &["-HUP", pid.trim()]);

    let path = format!("/hlsgate/videos/{A}");
    let busy = async |response: reqwest::Response, status: u16| {
        assert_eq!((response.status().as_u16(), response.headers().contains_key("retry-after")), (status, true));
        assert_eq!(response.headers()["cache-control"], "no-store");
        let problem: Value = response.json().await.unwrap();
        assert_eq!((&problem["status"], &problem["reason"]), (&json!(status), &json!("busy")));
    };
    shop.h.daemon().process.freeze();
    let late = crate::harness::until("nginx gives up", || async {
        // A worker of before the reload would wait for longer.
        let request = shop.h.request("GET", &path).timeout(std::time::Duration::from_secs(5));
        request.send().await.ok()
    })
    .await;
    busy(late, 504).await;
    shop.h.kill_daemon();
    busy(shop.h.get(&path).await, 502).await;
    let response = shop.h.request("POST", "/hlsgate/session").body("x".repeat(70_000));
    assert_eq!(send(response).await.status(), 413);
}

/// The viewer is told that it may pass; the operator's log and figures have the rest. Nothing is asked elsewhere.
#[tokio::test]
async fn whatever_btcpay_says_instead_of_an_invoice_is_unavailable() {
    let shop = Shop::start().await;
    let elsewhere = format!("{}/elsewhere", shop.btcpay.url);
    for (status, more, kind) in [
        (400, json!({ "body": r#"{"code":"generic-error","message":"no rate"}"# }), "refused"),
        (401, json!({ "body": r#"{"code":"unauthenticated","message":"Unknown API Key"}"# }), "unauthenticated"),
        (403, json!({ "body": r#"{"missingPermission":"btcpay.store.cancreateinvoice"}"# }), "missing-permission"),
        (403, json!({}), "forbidden"),
        (404, json!({}), "not-greenfield"),
        (
            422,
            json!({ "body": r#"[{"path":"Checkout.PaymentMethods[0]","message":"Invalid PaymentMethodId"}]"# }),
            "invalid",
        ),
        (429, json!({}), "busy"),
        (502, json!({}), "unavailable"),
        (302, json!({ "location": elsewhere }), "redirected"),
        (307, json!({ "location": elsewhere }), "redirected"),
        (200, json!({}), "not-greenfield"),
        (200, json!({ "body": r#"{"id":5}"# }), "unreadable"),
    ] {
        let mut failure = json!({ "count": 1, "status": status, "method": "POST" });
        failure.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        shop.btcpay.switch(json!({ "fail_next": failure })).await;
        let metric = format!("hlsgate_btcpay_errors_total{{kind=\"{kind}\"}}");
        let before = shop.h.daemon().metric(&metric).await;
        let url = format!("http://hlsgate/hlsgate/videos/{A}/invoices");
        let response = send(shop.direct().post(url).json(&json!({ "tier": "24h" }))).await;
        assert_eq!((response.status().as_u16(), response.headers().get("set-cookie")), (503, None), "{failure}");
        assert_eq!(reason(response).await, "btcpay-unavailable");
        assert_eq!(shop.h.daemon().metric(&metric).await, before + 1.0, "{failure}");
    }
    assert!(shop.btcpay.calls("path=elsewhere").await.is_empty(), "no redirect is followed");
    shop.buy(A, "24h").await;
}

#[tokio::test]
async fn a_btcpay_below_a_path_that_takes_its_time_sells_as_well() {
    let shop = Shop::with(Wish { arguments: &["--root-path", "/pay/btcpay"], ..Wish::default() }).await;
    shop.btcpay.switch(json!({ "create_delay_ms": 8000 })).await;
    let bought = shop.buy(A, "24h").await;
    shop.btcpay.switch(json!({ "create_delay_ms": 0 })).await;
    shop.btcpay.pay(&bought.invoice).await;
    shop.token(&bought, std::time::Duration::from_secs(10)).await;
}

/// A BTCPay that takes longer than ten seconds for everything sells, and who has paid is let in while it lasts.
#[tokio::test]
async fn a_btcpay_that_is_slow_for_everybody_sells_as_well() {
    let shop = Shop::start().await;
    shop.btcpay.switch(json!({ "latency_ms": 10_500 })).await;
    let order = "an-order-of-a-patient-page";
    let url = format!("http://hlsgate/hlsgate/videos/{A}/invoices");
    let mut answer = send(shop.direct().post(url).json(&json!({ "tier": "24h", "order": order }))).await;
    while answer.status() == 202 {
        answer = send(shop.direct().get("http://hlsgate/hlsgate/order?wait=25&before=0").bearer_auth(order)).await;
    }
    assert_eq!(answer.status(), 200);
    let told: Value = answer.json().await.unwrap();
    assert!(told["lightning"]["bolt11"].is_string(), "{told:#}");
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let bought = Purchase { invoice: text("invoice"), claim: text("claim"), answer: told.clone() };
    shop.h.with_secrets(|secrets| secrets.note(&bought.claim));
    shop.btcpay.pay(&bought.invoice).await;
    shop.token(&bought, std::time::Duration::from_secs(40)).await;
    assert_eq!(shop.btcpay.calls("method=POST&path=/invoices").await.len(), 1);
}

#[tokio::test]
async fn a_payment_method_that_fails_is_left_out_and_said() {
    let shop = Shop::with(Wish { btcpay: "payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]", ..Wish::default() }).await;
    shop.btcpay.switch(json!({ "left_out": ["BTC-CHAIN"] })).await;
    let answer = shop.buy(A, "24h").await.answer;
    assert_eq!((&answer["onchain"], answer.get("unified")), (&Value::Null, None));
    assert!(answer["lightning"]["bolt11"].is_string());
    // Below what can be sent on-chain that is the rule, and no news at each sale.
    let words = "without some of the configured payment methods";
    let log = || std::fs::read_to_string(shop.h.folder().join("daemon.log")).unwrap();
    assert!(!log().contains(words), "{}", log());
    shop.buy(A, "forever").await;
    assert!(log().contains(words) && log().contains("BTC-CHAIN"), "{}", log());
    // With none left there is nothing to pay with.
    shop.btcpay.switch(json!({ "left_out": ["BTC-CHAIN", "BTC-LN"] })).await;
    let response = shop.order(A, json!({ "tier": "24h" })).await;
    assert_eq!((response.status().as_u16(), reason(response).await), (503, "btcpay-unavailable".into()));
}

/// A sale whose payment nobody would see is none; the daemon says so when it begins, before anybody buys.
#[tokio::test]
async fn a_key_that_makes_invoices_and_cannot_see_them_sells_nothing_from_the_start() {
    let mut shop = Shop::start().await;
    let rights = |names: &[&str]| {
        let all: Vec<String> = names.iter().map(|name| format!("btcpay.store.{name}:{STORE}")).collect();
        json!({ "key": API_KEY, "permissions": all })
    };
    shop.btcpay.control("keys", rights(&["cancreateinvoice"])).await;
    shop.h.kill_daemon();
    shop.btcpay.forget().await;
    // Whoever comes first waits for the key to be looked at.
    shop.btcpay.switch(json!({ "latency_ms": 500 })).await;
    shop.h.start_daemon().await;
    let response = shop.order(A, json!({ "tier": "24h" })).await;
    assert_eq!((response.status().as_u16(), reason(response).await), (503, "btcpay-unavailable".into()));
    let machine = send(shop.h.request("GET", &format!("/hlsgate/videos/{A}/access?tier=24h"))).await;
    assert_eq!((machine.status().as_u16(), reason(machine).await), (503, "btcpay-unavailable".into()));
    assert!(shop.btcpay.calls("method=POST").await.is_empty());
    let log = shop.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("may make invoices and not see them")).collect();
    assert!(said.len() == 1 && said[0].contains("ERROR") && said[0].contains("btcpay.store.canviewinvoices"), "{log}");

    // Another key, and a reload: at once.
    shop.btcpay.switch(json!({ "latency_ms": 0 })).await;
    shop.btcpay.control("keys", rights(&["cancreateinvoice", "canviewinvoices"])).await;
    shop.h.daemon().process.signal("HUP");
    crate::harness::until("the reload", || async { shop.log().contains("reloaded the configuration").then_some(()) })
        .await;
    shop.buy(A, "24h").await;
}
