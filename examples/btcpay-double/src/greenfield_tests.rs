//! Answers in BTCPay's shapes: who may, what is unknown, what is invalid, how lists are cut.

use bytes::Bytes;
use http_body_util::BodyExt;

use super::*;
use crate::{
    keys::{self, ApiKey},
    version::Version,
};

pub const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

fn app(version: Version, permissions: &[&str]) -> Arc<App> {
    let mut world = World::new(version, 1.0, "ours");
    let permissions = permissions.iter().map(|&permission| permission.to_owned()).collect();
    world.keys.push(ApiKey { key: KEY.into(), label: "test".into(), permissions });
    App::new(world, String::new(), false)
}

pub fn owner(version: Version) -> Arc<App> {
    app(version, &["btcpay.store.canmodifystoresettings:ours"])
}

pub async fn call(app: &Arc<App>, key: Option<&str>, method: &str, path: &str, body: Value) -> (u16, String, Value) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    let call = Call {
        method: method.into(),
        path: path.into(),
        raw_query: query.into(),
        query: serde_urlencoded::from_str(query).unwrap(),
        base: "https://pay.example".into(),
        key: key.map(str::to_owned),
        authorization: key.map(|key| format!("token {key}")),
        content_type: Some("application/json".into()),
        accept: None,
        preflight: None,
        body: if body.is_null() { Bytes::new() } else { serde_json::to_vec(&body).unwrap().into() },
        segments: segments.clone(),
    };
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let reply = answer(app, &call, &path).await;
    let (status, kind) = (reply.status().as_u16(), reply.headers().get("content-type").cloned());
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    let kind = kind.map_or(String::new(), |kind| kind.to_str().unwrap().to_owned());
    (status, kind, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn get(app: &Arc<App>, path: &str) -> (u16, String, Value) {
    call(app, Some(KEY), "GET", path, Value::Null).await
}

async fn create(app: &Arc<App>, request: Value) -> (u16, Value) {
    let (status, _, value) = call(app, Some(KEY), "POST", "stores/ours/invoices", request).await;
    (status, value)
}

#[tokio::test]
async fn who_may() {
    let app = app(Version(2, 4, 1), &["btcpay.store.canviewinvoices:ours"]);
    for (key, code) in [(None, 401), (Some("another"), 401), (Some(KEY), 200)] {
        let (status, _, body) = call(&app, key, "GET", "stores/ours/invoices", Value::Null).await;
        assert_eq!(status, code);
        assert!(code == 200 || body["code"] == "unauthenticated");
    }
    let (status, body) = create(&app, json!({"amount": "1", "currency": "BTC"})).await;
    assert_eq!(
        (status, body["code"].as_str(), body["missingPermission"].as_str()),
        (403, Some("missing-permission"), Some(keys::CREATE_INVOICE))
    );
    assert_eq!(get(&app, "stores/theirs/invoices").await.0, 403);
    assert_eq!(get(&app, "stores/ours/webhooks").await.2["missingPermission"], keys::WEBHOOKS);
    assert_eq!(get(&app, "api-keys/current").await.2["permissions"], json!(["btcpay.store.canviewinvoices:ours"]));
}

#[tokio::test]
async fn what_is_unknown_by_version() {
    for (version, status, code) in
        [(Version(2, 4, 0), 403, "missing-permission"), (Version(2, 3, 7), 404, "invoice-not-found")]
    {
        let app = owner(version);
        let (got, _, body) = get(&app, "stores/ours/invoices/nobody").await;
        assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{version}");
        let (_, invoice) = create(&app, json!({"amount": "1", "currency": "BTC"})).await;
        let short = get(&app, &format!("invoices/{}", invoice["id"].as_str().unwrap())).await;
        assert_eq!(short.0 == 200, status == 403, "short routes came with 2.4.0");
    }
    let (status, kind, _) = get(&owner(Version(2, 4, 1)), "no/such/route").await;
    assert_eq!((status, kind.as_str()), (404, ""));
}

#[tokio::test]
async fn what_is_invalid() {
    let app = owner(Version(2, 4, 1));
    let checkout = json!({"paymentMethods": ["BTC-LN", "DOGE"], "expirationMinutes": 1.5});
    let (status, problems) = create(&app, json!({"amount": "-1", "currency": "BTC", "checkout": checkout})).await;
    let paths: Vec<_> = problems.as_array().unwrap().iter().map(|problem| problem["path"].as_str().unwrap()).collect();
    assert_eq!((status, paths), (422, vec!["checkout.expirationMinutes", "Checkout.PaymentMethods[1]"]));
    app.with(|world| world.switches.rates.clear());
    let (status, body) = create(&app, json!({"amount": "5", "currency": "USD"})).await;
    assert_eq!((status, body["code"].as_str()), (400, Some("generic-error")));
    assert_eq!(create(&app, json!({"amount": "1", "currency": "BTC", "metadata": {"a": "\0"}})).await.0, 500);
    assert!(app.with(|world| world.invoices.is_empty()));
}

#[tokio::test]
async fn a_failing_method_is_left_out_silently() {
    let app = owner(Version(2, 4, 1));
    app.with(|world| world.switches.left_out = vec![crate::payment::MethodId::Lightning]);
    let with = |methods: Value| json!({"amount": "1", "currency": "BTC", "checkout": {"paymentMethods": methods}});
    let (status, invoice) = create(&app, with(json!(["BTC-LN", "BTC-CHAIN"]))).await;
    assert_eq!((status, &invoice["checkout"]["paymentMethods"]), (200, &json!(["BTC-CHAIN"])));
    assert_eq!(create(&app, with(json!(["BTC-LN"]))).await.0, 400);
}

#[tokio::test]
async fn a_plugins_method_is_known_where_it_is_installed() {
    let app = owner(Version(2, 4, 1));
    let request = || json!({"amount": "1", "currency": "BTC", "checkout": {"paymentMethods": ["BTC-LN", "XMR-CHAIN"]}});
    let (status, problems) = create(&app, request()).await;
    assert_eq!((status, &problems[0]["message"]), (422, &json!("Invalid PaymentMethodId")), "as in checkout-odd");
    app.with(|world| {
        world.switches.methods.push(crate::payment::MethodId::Monero);
        world.switches.rates.insert("XMR".into(), "250".into());
    });
    let (_, invoice) = create(&app, request()).await;
    let (_, _, methods) = get(&app, &format!("invoices/{}/payment-methods", invoice["id"].as_str().unwrap())).await;
    let monero = &methods[1];
    let text = |name: &str| monero[name].as_str().unwrap();
    assert_eq!(["paymentMethodId", "currency", "rate", "due"].map(text), ["XMR-CHAIN", "XMR", "0.004", "250"]);
    assert_eq!(text("paymentLink"), format!("monero:{}?tx_amount=250", text("destination")));
}

#[tokio::test]
async fn amounts_in_every_currency() {
    let app = owner(Version(2, 4, 1));
    app.with(|world| world.switches.spread = "0.02".into());
    for (amount, currency, kind, on_lightning) in [
        (json!("0.00010000"), "BTC", "Standard", "0.0001"),
        (json!(1000), "sats", "Standard", "0.00001021"),
        (json!("65"), "USD", "Standard", "0.00102041"),
        (Value::Null, "BTC", "TopUp", "0"),
    ] {
        let (_, invoice) =
            create(&app, json!({"amount": amount, "currency": currency, "checkout": {"paymentMethods": ["BTC-LN"]}}))
                .await;
        assert_eq!(invoice["type"], kind);
        assert_eq!(invoice["currency"], currency.to_uppercase());
        let methods =
            get(&app, &format!("stores/ours/invoices/{}/payment-methods", invoice["id"].as_str().unwrap())).await.2;
        assert_eq!(methods[0]["amount"], on_lightning, "{amount} {currency}");
    }
    let (_, free) = create(&app, json!({"amount": 0, "currency": "BTC"})).await;
    // The answer is there first.
    assert_eq!((free["status"].as_str(), free["type"].as_str()), (Some("New"), Some("Standard")));
    let (_, _, free) = get(&app, &format!("stores/ours/invoices/{}", free["id"].as_str().unwrap())).await;
    assert_eq!(free["status"], "Settled");
}

#[tokio::test]
async fn lists_are_newest_first_and_cut() {
    let app = owner(Version(2, 4, 1));
    let mut ids = vec![];
    for order in ["a", "b", "c"] {
        let (_, invoice) =
            create(&app, json!({"amount": "1", "currency": "BTC", "metadata": {"orderId": order}})).await;
        ids.push(invoice["id"].as_str().unwrap().to_owned());
        app.with(|world| world.ahead += 10_000);
    }
    let created = get(&app, &format!("stores/ours/invoices/{}", ids[1])).await.2["createdTime"].as_i64().unwrap();
    for (query, expected) in [
        (String::new(), vec![2, 1, 0]),
        ("?take=1&skip=1".into(), vec![1]),
        ("?orderId=a&orderId=c".into(), vec![2, 0]),
        ("?status=Settled&status=Expired".into(), vec![]),
        (format!("?startDate={created}"), vec![2, 1]),
        (format!("?startDate={created}&endDate={created}"), vec![1]),
    ] {
        let (_, _, list) = get(&app, &format!("stores/ours/invoices{query}")).await;
        let found: Vec<_> = list.as_array().unwrap().iter().map(|invoice| invoice["id"].as_str().unwrap()).collect();
        assert_eq!(found, expected.iter().map(|&at: &usize| ids[at].as_str()).collect::<Vec<_>>(), "{query}");
    }
}

#[tokio::test]
async fn a_webhook_shows_its_secret_once() {
    let app = owner(Version(2, 4, 1));
    let request = json!({"url": "http://127.0.0.1:9/", "secret": "s", "authorizedEvents": {"specificEvents": ["InvoiceSettled"]}});
    let (_, _, made) = call(&app, Some(KEY), "POST", "stores/ours/webhooks", request).await;
    assert_eq!((made["secret"].as_str(), &made["authorizedEvents"]["everything"]), (Some("s"), &json!(true)));
    let path = format!("stores/ours/webhooks/{}", made["id"].as_str().unwrap());
    assert_eq!(get(&app, &path).await.2.get("secret"), None);
    let (_, _, changed) =
        call(&app, Some(KEY), "PUT", &path, json!({"url": "http://127.0.0.1:9/b", "enabled": false})).await;
    assert_eq!((&changed["enabled"], &changed["automaticRedelivery"]), (&json!(false), &json!(true)));
    assert_eq!(app.with(|world| world.webhooks().next().unwrap().secret.clone()), "s");
    assert_eq!(call(&app, Some(KEY), "DELETE", &path, Value::Null).await.0, 200);
    // Of a deleted one BTCPay still knows the store.
    assert_eq!(get(&app, &path).await.0, 404);
}
