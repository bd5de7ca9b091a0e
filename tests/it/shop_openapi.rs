//! `docs/openapi.yaml` held against the running daemon: every status that it names is provoked, every answer has to fit.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::harness::raw::exchange;
use crate::harness::shop::{BROKEN_OFF, Purchase, SECRET, Shop, Wish};
use crate::harness::{A, until};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.yaml");

/// The document, and which of its answers were seen.
struct Document {
    whole: Value,
    seen: BTreeSet<(String, String)>,
}

impl Document {
    fn read() -> Document {
        let text = std::fs::read_to_string(DOCUMENT).unwrap();
        Document { whole: serde_norway::from_str(&text).unwrap(), seen: BTreeSet::new() }
    }

    /// Every answer that the document names: operation and status.
    fn named(&self) -> BTreeSet<(String, String)> {
        let operations = self.whole["paths"].as_object().unwrap().values().flat_map(|item| {
            item.as_object().unwrap().iter().filter(|(name, _)| ["get", "post"].contains(&name.as_str()))
        });
        let statuses = operations.flat_map(|(_, operation)| {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            operation["responses"].as_object().unwrap().keys().map(move |status| (id.clone(), status.clone()))
        });
        statuses.collect()
    }

    /// Holds one answer against what the document says of it.
    async fn check(&mut self, operation: &str, response: Response) -> Value {
        let status = response.status().as_u16().to_string();
        let named = self.answer(operation, &status);
        for (name, header) in named["headers"].as_object().into_iter().flatten() {
            let header = self.resolved(header);
            let value = response.headers().get(name).map(|value| value.to_str().unwrap());
            assert!(value.is_some() || header["required"] != true, "{operation} {status} lacks {name}");
            if let Some(value) = value {
                self.fits(&header["schema"], &json!(value), &format!("{operation} {status} {name}"));
            }
        }
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        self.seen.insert((operation.to_owned(), status.clone()));
        match named.get("content").and_then(Value::as_object) {
            None => {
                assert_eq!((kind, text.as_str()), (None, ""), "{operation} {status} has no body");
                Value::Null
            }
            Some(content) => {
                let kind = kind.unwrap_or_default();
                let schema = content.get(&kind).unwrap_or_else(|| panic!("{operation} {status} is sent as {kind:?}"));
                let body: Value = serde_json::from_str(&text).unwrap();
                self.fits(&schema["schema"], &body, &format!("{operation} {status}: {text}"));
                body
            }
        }
    }

    fn answer(&self, operation: &str, status: &str) -> Value {
        let items = self.whole["paths"].as_object().unwrap().values();
        let mut operations = items.flat_map(|item| item.as_object().unwrap().values());
        let found = operations.find(|candidate| candidate["operationId"] == operation).expect(operation);
        let answer = found["responses"].get(status);
        self.resolved(
            answer.unwrap_or_else(|| panic!("{operation} answers {status}, which the document does not name")),
        )
    }

    fn resolved(&self, value: &Value) -> Value {
        match value["$ref"].as_str() {
            Some(place) => self.whole.pointer(place.trim_start_matches('#')).expect(place).clone(),
            None => value.clone(),
        }
    }

    fn fits(&self, schema: &Value, value: &Value, what: &str) {
        let schema = json!({ "allOf": [schema], "components": self.whole["components"] });
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let problems: Vec<String> = validator.iter_errors(value).map(|err| err.to_string()).collect();
        assert!(problems.is_empty(), "{what} does not fit: {problems:?}");
    }
}

fn signature(body: &str) -> String {
    use hmac::{Hmac, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let tag = mac.finalize().into_bytes();
    format!("sha256={}", tag.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[tokio::test]
async fn the_daemon_answers_as_the_document_says() {
    let btcpay = "payment_methods = [\"BTC-LN\", \"BTC-CHAIN\"]";
    let shop = Shop::with(Wish {
        btcpay,
        config: "[shop]\ninvoices_per_minute = 12\ninvoices_at_once = 1",
        ..Wish::default()
    })
    .await;
    let mut document = Document::read();
    let client = shop.direct();
    let url = |path: &str| format!("http://hlsgate/hlsgate/{path}");
    let get = |path: &str| client.get(url(path));
    let post = |path: &str, body: &str| {
        client.post(url(path)).header("Content-Type", "application/json").body(body.to_owned())
    };
    let large = format!("\"{}\"", "x".repeat(70_000));
    let send = async |request: RequestBuilder| request.send().await.unwrap();

    for path in ["videos/vid1", "videos/off", "videos/dollars"] {
        document.check("showVideo", send(get(path)).await).await;
    }
    document.check("showVideo", send(get("videos/-")).await).await;

    // An invoice, and everything that is no invoice.
    let mut bought = Vec::new();
    for (video, body) in
        [(A, r#"{"tier":"24h"}"#), (A, r#"{"tier":"30d","covers":"pass:summer"}"#), (A, r#"{"tier":"forever"}"#)]
    {
        let answer = document.check("makeInvoice", send(post(&format!("videos/{video}/invoices"), body)).await).await;
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        bought.push(Purchase { invoice: text("invoice"), claim: text("claim"), answer: answer.clone() });
    }
    let invoices = format!("videos/{A}/invoices");
    for request in [
        post("videos/-/invoices", r#"{"tier":"24h"}"#),
        post(&invoices, "{"),
        post(&invoices, r#"{"tier":"never"}"#),
        post(&invoices, &large),
        client.post(url(&invoices)).body("tier=24h"),
    ] {
        document.check("makeInvoice", send(request).await).await;
    }
    // Two at once where one may be made at a time, and one that fails.
    let find = |order: &str, query: &str| get(&format!("order?{query}")).bearer_auth(order);
    let buy = |order: &str| post(&invoices, &json!({ "tier": "24h", "order": order }).to_string());
    let (first, second, third) = ("the-first-order-000001", "the-second-order-00001", "the-third-order-000001");
    shop.btcpay.switch(json!({ "create_delay_ms": 2500 })).await;
    let (made, queued) = tokio::join!(send(buy(first)), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        send(buy(second)).await
    });
    document.check("makeInvoice", made).await;
    document.check("makeInvoice", queued).await;
    document.check("waitForOrder", send(find(second, "")).await).await;
    shop.btcpay.switch(json!({ "create_delay_ms": 0 })).await;
    until("the second is made", || async { (send(find(second, "wait=25")).await.status() == 200).then_some(()) }).await;
    document.check("waitForOrder", send(find(second, "wait=25")).await).await;
    document.check("waitForOrder", send(find(second, "wait=soon")).await).await;
    document.check("waitForOrder", send(find("an-order-unheard-of-01", "")).await).await;
    shop.btcpay.switch(json!({ "down": "502" })).await;
    document.check("makeInvoice", send(buy(third)).await).await;
    document.check("waitForOrder", send(find(third, "")).await).await;
    shop.btcpay.switch(json!({ "down": null })).await;
    until("the limit on creation", || async {
        let answer = send(post(&invoices, r#"{"tier":"24h"}"#)).await;
        let status = answer.status();
        is_limited(status.as_u16()).then_some(())
    })
    .await;
    document.check("makeInvoice", send(post(&invoices, r#"{"tier":"24h"}"#)).await).await;

    // Waiting, in every state.
    let wait = |purchase: &Purchase, query: &str| {
        get(&format!("invoices/{}?{query}", purchase.invoice)).bearer_auth(&purchase.claim)
    };
    document.check("waitForInvoice", send(wait(&bought[0], "")).await).await;
    document.check("waitForInvoice", send(wait(&bought[0], "wait=soon")).await).await;
    document.check("waitForInvoice", send(get(&format!("invoices/{}", bought[0].invoice))).await).await;
    let cookie = format!("hlsgate_pending={}~{}", bought[0].invoice, bought[0].claim);
    document.check("showVideo", send(get(&format!("videos/{A}")).header("Cookie", &cookie)).await).await;
    let held = join_all((0..16).map(|_| send(wait(&bought[0], "wait=30&seen=new"))));
    let one_more = async {
        until("all are held", || async {
            (shop.h.daemon().metric("hlsgate_held_requests").await == 16.0).then_some(())
        })
        .await;
        let refused = send(wait(&bought[0], "wait=30&seen=new")).await;
        shop.btcpay.pay(&bought[0].invoice).await;
        refused
    };
    let (held, refused) = tokio::join!(held, one_more);
    document.check("waitForInvoice", refused).await;
    let mut token = String::new();
    for answer in held {
        let told = document.check("waitForInvoice", answer).await;
        token = told["token"].as_str().unwrap().to_owned();
    }
    shop.btcpay.control("pay", json!({ "invoice": bought[2].invoice, "method": "BTC-CHAIN" })).await;
    document.check("waitForInvoice", send(wait(&bought[2], "wait=25&seen=new")).await).await;
    shop.btcpay.control("expire", json!({ "invoice": bought[1].invoice })).await;
    document.check("waitForInvoice", send(wait(&bought[1], "wait=25&seen=new")).await).await;
    shop.btcpay.control("confirm", json!({ "invoice": bought[2].invoice })).await;
    let forever = document.check("waitForInvoice", send(wait(&bought[2], "wait=25&seen=processing")).await).await;
    assert_eq!((&forever["status"], forever.get("expires_at")), (&json!("settled"), None));

    // Sessions.
    document.check("openSession", send(post("session", &json!({ "token": token }).to_string())).await).await;
    document.check("showVideo", send(get(&format!("videos/{A}")).bearer_auth(&token)).await).await;
    for request in [
        post("session", r#"{"token":""}"#),
        post("session", r#"{"token":"abc"}"#),
        post("session", "{"),
        post("session", "{}"),
        post("session", &large),
        client.post(url("session")).body("token=abc"),
    ] {
        document.check("openSession", send(request).await).await;
    }

    // Machines: each address may have one unpaid invoice.
    let access =
        |query: &str, address: &str| get(&format!("videos/{A}/access?{query}")).header("X-Hlsgate-Address", address);
    let (first, second) = ("192.0.2.1", "192.0.2.2");
    document.check("buyByMachine", send(access("tier=24h", first)).await).await;
    document.check("buyByMachine", send(access("tier=24h", first).bearer_auth(&token)).await).await;
    let forged = format!("L402 AAAA:{}", "00".repeat(32));
    document.check("buyByMachine", send(access("tier=24h", first).header("Authorization", forged)).await).await;
    document.check("buyByMachine", send(get("videos/-/access")).await).await;
    document.check("buyByMachine", send(access("tier=never", first)).await).await;
    document.check("buyByMachine", send(access("tier=forever", first)).await).await;
    shop.btcpay.switch(json!({ "down": "502" })).await;
    document.check("buyByMachine", send(access("tier=24h", second)).await).await;
    shop.btcpay.switch(json!({ "down": null })).await;
    let found = send(get("machines/openapi.json")).await;
    let tag = found.headers()["etag"].clone();
    document.check("discover", found).await;
    for name in ["l402.json", "l402-services"] {
        document.check("discover", send(get(&format!("machines/{name}"))).await).await;
    }
    document.check("discover", send(get("machines/openapi.json").header("If-None-Match", tag)).await).await;
    document.check("discover", send(get("machines/nothing")).await).await;

    // BTCPay's side.
    let deliver = |body: &str, header: String| post("webhooks/btcpay", body).header("BTCPay-Sig", header);
    document.check("takeDelivery", send(deliver("{}", signature("{}"))).await).await;
    document.check("takeDelivery", send(deliver("{}", signature("{ }"))).await).await;
    let old = deliver("{}", signature("{ }")).header("User-Agent", "BTCPayServer/2.0.8");
    document.check("takeDelivery", send(old).await).await;
    document.check("takeDelivery", send(deliver(&large, signature(&large))).await).await;
    document.check("takeDelivery", broken_off(&shop).await).await;

    // What a new daemon knows nothing of: BTCPay is down, then has no such invoice any more.
    let mut shop = shop;
    shop.h.kill_daemon();
    shop.h.start_daemon().await;
    shop.btcpay.switch(json!({ "down": "502" })).await;
    document.check("waitForInvoice", send(wait(&bought[1], "")).await).await;
    shop.btcpay.switch(json!({ "down": null })).await;
    shop.btcpay.control("tamper", json!({ "invoice": bought[1].invoice, "store": "another" })).await;
    document.check("waitForInvoice", send(wait(&bought[1], "wait=30")).await).await;

    let unseen: Vec<_> = document.named().difference(&document.seen).cloned().collect();
    assert!(unseen.is_empty(), "the document names answers that nothing provokes: {unseen:?}");
}

/// The answer to a delivery whose second half never comes.
async fn broken_off(shop: &Shop) -> Response {
    let answer = exchange(&crate::harness::daemon::socket(shop.h.folder()), BROKEN_OFF.as_bytes()).await;
    let mut response = http::Response::builder().status(answer.status);
    for line in answer.head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        response = response.header(name, value);
    }
    response.body(answer.body).unwrap().into()
}

fn is_limited(status: u16) -> bool {
    assert!([201, 429].contains(&status), "{status}");
    status == 429
}
