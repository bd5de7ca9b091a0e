//! What the client asks and the stand-in answers, held against BTCPay's own description of its API.
//!
//! The description is not part of this project: without it (see [`document::file`]) the test says that it did not run,
//! unless `HLSGATE_REQUIRE_OPENAPI=1` makes that a failure.
// A test may stop on what cannot happen.
#![allow(clippy::unwrap_used)]

mod document;
mod recorder;

use std::collections::BTreeSet;
use std::io::Write;

use hlsgate::btcpay::InvoiceQuery;
use hlsgate::btcpay::WebhookSecret;
use hlsgate::btcpay::{ApiKey, Client, Error, Settings, Timeouts};
use hlsgate::btcpay::{AuthorizedEvents, NewWebhook};
use hlsgate::btcpay::{InvoiceStatus, Metadata, NewInvoice};
use serde_json::{Value, json};

use crate::harness::btcpay::{API_KEY, Btcpay, STORE};
use document::{Document, Exchange};
use recorder::Recorder;

/// What the client asks in the course of a sale, its set-up and its checks.
const OPERATIONS: [&str; 12] = [
    "GET /api/v1/api-keys/current",
    "GET /api/v1/health",
    "GET /api/v1/invoices/{invoiceId}",
    "GET /api/v1/invoices/{invoiceId}/payment-methods",
    "GET /api/v1/server/info",
    "GET /api/v1/stores/{storeId}",
    "GET /api/v1/stores/{storeId}/invoices",
    "GET /api/v1/stores/{storeId}/webhooks",
    "GET /api/v1/webhooks/{webhookId}/deliveries",
    "POST /api/v1/stores/{storeId}/invoices",
    "POST /api/v1/stores/{storeId}/webhooks",
    "PUT /api/v1/webhooks/{webhookId}",
];

#[tokio::test]
async fn requests_and_answers_fit_btcpays_description() {
    let Some(document) = document() else { return };
    let (folder, mut asked) = (tempfile::tempdir().unwrap(), BTreeSet::new());
    for version in ["2.0.0", "2.3.6", "2.4.1"] {
        let btcpay = Btcpay::start(folder.path(), &["--version", version]).await;
        let recorder = Recorder::before(&btcpay.url).await;
        buy(&client(&recorder, API_KEY), &btcpay, version).await;
        refusals(&recorder, &btcpay).await;
        let exchanges = recorder.take();
        assert!(exchanges.iter().any(|exchange| exchange.status == 422), "a 422 was provoked");
        for exchange in exchanges {
            let (operation, problems) = document.check(&exchange);
            assert!(problems.is_empty(), "BTCPay {version}: {}", told(&operation, &exchange, &problems));
            asked.insert(operation);
        }
        events(&document, &btcpay).await;
    }
    assert_eq!(asked, BTreeSet::from(OPERATIONS.map(str::to_owned)));
}

/// The check itself finds what is wrong: each of these differs from a good exchange in one thing.
#[test]
fn the_check_is_not_blind() {
    let Some(document) = document() else { return };
    let good = || Exchange {
        method: "POST".into(),
        path: format!("/api/v1/stores/{STORE}/invoices"),
        query: String::new(),
        request: json!({ "amount": "1", "currency": "BTC", "checkout": { "expirationMinutes": 30 } })
            .to_string()
            .into(),
        status: 200,
        media_type: "application/json".into(),
        answer: json!({ "id": "a", "amount": "1", "status": "New", "createdTime": 1 }).to_string().into(),
    };
    assert_eq!(document.check(&good()).1, [""; 0]);
    let with_request = |body: Value| Exchange { request: body.to_string().into(), ..good() };
    let with_answer = |body: Value| Exchange { answer: body.to_string().into(), ..good() };
    let list = |query: &str| Exchange {
        method: "GET".into(),
        query: query.into(),
        request: Vec::new(),
        answer: b"[]".into(),
        ..good()
    };
    assert_eq!(document.check(&list("take=5&status=New&orderId=a&orderId=b")).1, [""; 0]);
    let bad = [
        ("an unknown field", with_request(json!({ "amount": "1", "price": "1" }))),
        ("an unknown nested field", with_request(json!({ "checkout": { "redirectUrl": "https://a.example" } }))),
        ("a float for minutes", with_request(json!({ "checkout": { "expirationMinutes": 30.5 } }))),
        ("a word that is none", with_request(json!({ "checkout": { "speedPolicy": "Fast" } }))),
        ("an amount as a number in the answer", with_answer(json!({ "amount": 1 }))),
        ("an unknown status in the answer", with_answer(json!({ "status": "Paid" }))),
        ("an unknown field in the answer", with_answer(json!({ "paid": true }))),
        ("an answer that is no JSON", Exchange { answer: b"<html>".into(), ..good() }),
        ("an undeclared status", Exchange { status: 201, ..good() }),
        ("a 422 that is no list", Exchange { status: 422, ..good() }),
        ("a path that is none", Exchange { path: "/api/v1/store".into(), ..good() }),
        ("a method that is none", Exchange { method: "PATCH".into(), ..good() }),
        ("an undeclared query parameter", list("limit=5")),
        ("a query parameter of the wrong type", list("take=many")),
    ];
    for (what, exchange) in bad {
        assert!(!document.check(&exchange).1.is_empty(), "{what} went unnoticed");
    }
}

fn document() -> Option<Document> {
    let file = document::file();
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(Document::read(&text)),
        Err(err) => {
            let required = std::env::var_os("HLSGATE_REQUIRE_OPENAPI").is_some_and(|value| value == "1");
            assert!(!required, "cannot read {}: {err}", file.display());
            // Past the test's own capture, or nobody would see it.
            let _ =
                writeln!(std::io::stderr(), "NOT RUN: BTCPay's API description is not at {} ({err})", file.display());
            None
        }
    }
}

fn client(recorder: &Recorder, key: &str) -> Client {
    Client::new(&Settings {
        url: recorder.url.parse().unwrap(),
        public_url: None,
        store: STORE.into(),
        api_key: ApiKey::parse(key).unwrap(),
        ca_file: None,
        timeouts: Timeouts::default(),
    })
    .unwrap()
}

fn new_invoice(methods: &[&str]) -> NewInvoice {
    let metadata = json!({ "orderId": "c05f2318 24h", "itemDesc": "A film", "hlsgate": "a.b.c" });
    let (price, metadata) = (("0.00010000".parse().unwrap(), "BTC"), Metadata(metadata.as_object().unwrap().clone()));
    let methods: Vec<String> = methods.iter().map(|&method| method.into()).collect();
    let mut invoice = NewInvoice::exact(price, metadata, "MediumSpeed", &methods, (30, 1440));
    invoice.checkout.default_payment_method = Some("BTC-LN".into());
    invoice.checkout.redirect_url = Some("https://video.example/watch.html?v=c05f2318".into());
    invoice.checkout.redirect_automatically = true;
    invoice
}

/// A set-up, a sale from the first question to the last, a late one, and the checks.
async fn buy(client: &Client, btcpay: &Btcpay, version: &str) {
    assert!(client.health().await.unwrap().date.is_some());
    // With the commit that it was built of.
    assert!(client.server_info().await.unwrap().version.starts_with(version));
    client.api_key().await.unwrap();
    client.store().await.unwrap();

    // Nobody listens there: each delivery fails and is recorded.
    let secret = WebhookSecret::new("test-webhook-secret").unwrap();
    let webhook = NewWebhook {
        url: "http://127.0.0.1:9/hlsgate/webhooks/btcpay",
        enabled: true,
        automatic_redelivery: false,
        authorized_events: AuthorizedEvents::only(&["InvoiceSettled"]),
        secret: Some(&secret),
    };
    let made = client.create_webhook(&webhook).await.unwrap();
    let changed = NewWebhook {
        secret: None,
        authorized_events: AuthorizedEvents { everything: true, specific_events: Some(vec![]) },
        ..webhook
    };
    client.update_webhook(&made.id, &changed).await.unwrap();
    let webhooks = client.webhooks().await.unwrap();
    assert!(webhooks.len() == 1 && webhooks[0].authorized_events.everything);

    let invoice = client.create_invoice(&new_invoice(&["BTC-LN", "BTC-CHAIN", "BTC-LNURL"])).await.unwrap();
    assert_eq!((invoice.status, invoice.metadata.text("hlsgate")), (InvoiceStatus::New, Some("a.b.c")));
    let methods = client.payment_methods(&invoice.id).await.unwrap();
    assert!(methods.iter().any(|method| method.payment_method_id == "BTC-LN" && method.destination.is_some()));
    btcpay.control("pay", json!({ "invoice": invoice.id })).await;
    let paid = client.invoice_with_payments(&invoice.id).await.unwrap();
    assert_eq!(paid.status, InvoiceStatus::Settled);
    assert_eq!(paid.payment_methods.iter().map(|method| method.payments.len()).sum::<usize>(), 1);

    let late = client.create_invoice(&new_invoice(&["BTC-LN", "BTC-CHAIN"])).await.unwrap();
    btcpay.control("expire", json!({ "invoice": late.id })).await;
    btcpay.control("pay", json!({ "invoice": late.id, "method": "BTC-CHAIN" })).await;
    btcpay.control("confirm", json!({ "invoice": late.id })).await;
    let query = InvoiceQuery {
        start_date: Some(invoice.created_time),
        statuses: vec![InvoiceStatus::Settled, InvoiceStatus::Expired],
        include_payment_methods: true,
        take: 10,
        ..InvoiceQuery::default()
    };
    let page = client.invoices(query).await.unwrap();
    assert_eq!((page.invoices.len(), page.unreadable), (2, 0));

    btcpay.idle().await;
    assert!(!client.deliveries(&made.id, 20).await.unwrap().is_empty());
}

/// The refusals that the document has words for.
async fn refusals(recorder: &Recorder, btcpay: &Btcpay) {
    let client_with = |key| client(recorder, key);
    let client = client_with(API_KEY);
    let unknown = client.create_invoice(&new_invoice(&["BTC-GOLD"])).await.unwrap_err();
    assert!(matches!(&unknown, Error::Invalid { problems } if !problems.is_empty()), "{unknown}");
    let nobody = client_with("ffffffffffffffffffffffffffffffffffffffff");
    assert_eq!(nobody.invoice("HMprBnL9BTXWuPvpoKBS6e").await.unwrap_err().kind(), "unauthenticated");
    assert!(client.invoice("HMprBnL9BTXWuPvpoKBS6e").await.unwrap_err().may_be_unknown_id());
    let weak = "1111111111111111111111111111111111111111";
    let permissions = [format!("btcpay.store.canviewinvoices:{STORE}")];
    btcpay.control("keys", json!({ "key": weak, "permissions": permissions })).await;
    let refused = client_with(weak).create_invoice(&new_invoice(&["BTC-LN"])).await.unwrap_err();
    assert!(
        matches!(&refused, Error::MissingPermission { permission } if permission == "btcpay.store.cancreateinvoice"),
        "{refused}"
    );
}

/// The bodies of the stand-in's deliveries.
async fn events(document: &Document, btcpay: &Btcpay) {
    let attempts = btcpay.ask("attempts").await;
    let mut known = 0;
    for attempt in attempts["attempts"].as_array().unwrap() {
        let body = attempt["body"].as_str().unwrap();
        let mut problems = Vec::new();
        if document.check_event(attempt["type"].as_str().unwrap(), body.as_bytes(), &mut problems) {
            known += 1;
        }
        assert!(problems.is_empty(), "{}\n{body}", problems.join("\n"));
    }
    assert!(known > 0, "at least one event has a description");
}

fn told(operation: &str, exchange: &Exchange, problems: &[String]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{operation} -> {}\n  {}\nquery: {}\nrequest: {}\nanswer: {}",
        exchange.status,
        problems.join("\n  "),
        exchange.query,
        text(&exchange.request),
        text(&exchange.answer)
    )
}
