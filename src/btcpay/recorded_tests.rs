//! What a real BTCPay Server answered and delivered, read by our own parsers: `examples/btcpay-double/recorded`.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use super::{
    delivery::{self, Delivery},
    error::{Answered, Error},
    invoice::{Invoice, LightningInvoice, PaymentMethod},
    lenient::List,
    secret::WebhookSecrets,
    setup::{ApiKeyInfo, DeliveryRecord, HealthReport, ServerInfo, Store, Webhook},
    transport::ApiResponse,
};
use crate::shop::machine::{bolt11::Bolt11, hex};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const SECRET: &str = "recorded-webhook-secret-for-tests-0001";

/// Routes that show invoices: some recordings have a few of their members only.
const SHOWN_IN_PART: [&str; 5] = ["list", "creation", "invoice", "changed invoice", "marked invoice"];

/// Reads an answer's body as the product does; what is wrong with it.
type Reader = fn(&Value) -> Option<String>;

/// Every route whose answers the product reads, and some that show the same, by method and path below `/api/v1`.
fn reader(method: &str, path: &[&str]) -> Option<(&'static str, Reader)> {
    Some(match (method, path) {
        ("GET", ["health"]) => ("health", problem::<HealthReport>),
        ("GET", ["server", "info"]) => ("server", problem::<ServerInfo>),
        ("GET", ["api-keys", "current"]) => ("key", problem::<ApiKeyInfo>),
        ("GET", ["stores", _]) => ("store", problem::<Store>),
        ("GET", ["stores", _, "invoices"]) => ("list", problem::<Vec<Invoice>>),
        ("POST", ["stores", _, "invoices"]) => ("creation", problem::<Invoice>),
        ("GET", ["stores", _, "invoices", _]) => ("invoice", problem::<Invoice>),
        ("PUT", ["stores", _, "invoices", _]) => ("changed invoice", problem::<Invoice>),
        ("POST", ["stores", _, "invoices", _, "status" | "unarchive"]) => ("marked invoice", problem::<Invoice>),
        ("GET", ["stores", _, "invoices", _, "payment-methods"]) => ("methods", problem::<List<PaymentMethod>>),
        ("GET", ["stores", _, "lightning", "BTC", "invoices", _]) => ("at the node", problem::<LightningInvoice>),
        ("GET", ["stores", _, "webhooks"]) => ("webhooks", problem::<List<Webhook>>),
        ("GET" | "PUT", ["stores", _, "webhooks", _]) | ("POST", ["stores", _, "webhooks"]) => {
            ("webhook", problem::<Webhook>)
        }
        ("GET", ["stores", _, "webhooks", _, "deliveries"]) => ("deliveries", problem::<List<DeliveryRecord>>),
        _ => return None,
    })
}

#[test]
fn every_recorded_answer_is_read_as_what_it_says() {
    let (mut read, mut refused) = (BTreeMap::new(), BTreeMap::new());
    for (name, case) in cases() {
        let trimmed = !case["settings"]["only"].is_null();
        let mut firsts = HashMap::new();
        for (position, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let (answer, method) = (&step["answer"], step["method"].as_str().unwrap_or_default());
            let path = step["path"].as_str().and_then(|path| path.strip_prefix("/api/v1/")).unwrap_or_default();
            let parts: Vec<&str> =
                path.split('?').next().unwrap_or_default().trim_end_matches('/').split('/').collect();
            let (Some((route, reader)), Some(status)) = (reader(method, &parts), answer["status"].as_u64()) else {
                continue;
            };
            if step["from"] != "shop" {
                continue;
            }
            let body = match answer["raw"].as_str() {
                Some(raw) => serde_json::from_str(raw).unwrap(),
                None => whole(&answer["body"], "", &mut firsts),
            };
            let place = format!("{name}, step {position}: {method} {path}");
            if status != 200 {
                let error = error(u16::try_from(status).unwrap(), answer, &body);
                assert!(says(&error, status, &body), "{place}: {status} {body} was taken for {error:?}");
                *refused.entry(status).or_insert(0) += 1;
            } else if !(body.is_null() || trimmed && SHOWN_IN_PART.contains(&route)) {
                assert_eq!(reader(&body), None, "{place}");
                *read.entry(route).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(read.len(), 14, "a route was not read at all: {read:?}");
    assert!(read.values().sum::<usize>() > 1000, "too few answers were read: {read:?}");
    let statuses: Vec<u64> = refused.keys().copied().collect();
    assert_eq!(statuses, [400, 401, 403, 404, 415, 422, 500, 503], "{refused:?}");
}

fn error(status: u16, answer: &Value, body: &Value) -> Error {
    let kind = answer["headers"]["content-type"].as_str();
    let kind = kind.unwrap_or(if body.is_null() { "" } else { "application/json; charset=utf-8" });
    let bytes = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
    ApiResponse::recorded(status, kind, bytes).into_error()
}

/// Whether the product's error says what BTCPay said.
fn says(error: &Error, status: u64, body: &Value) -> bool {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let same = |answer: &Answered| answer.code == text("code") && answer.message == text("message");
    match error {
        Error::Unauthenticated { .. } => status == 401,
        Error::MissingPermission { permission } => status == 403 && permission == text("missingPermission"),
        Error::NotFound { answer } => status == 404 && body.is_object() && same(answer),
        Error::Refused { answer, .. } => [400, 415].contains(&status) && body.is_object() && same(answer),
        Error::Unavailable { answer, .. } => status >= 500 && same(answer),
        Error::NotGreenfield { .. } => [400, 404].contains(&status) && !body.is_object(),
        Error::Invalid { problems } => {
            let said: Vec<Value> =
                problems.iter().map(|problem| json!({"path": problem.path, "message": problem.message})).collect();
            status == 422 && *body == Value::Array(said)
        }
        _ => false,
    }
}

/// What a machine is shown is held against `due` and `paymentHash`: a real BTCPay's agree with its BOLT11.
#[test]
fn every_recorded_lightning_invoice_asks_for_what_is_due() {
    let mut read = 0;
    for (name, case) in cases() {
        let answers = case["steps"].as_array().unwrap().iter().map(|step| &step["answer"]["body"]);
        for method in answers.filter_map(Value::as_array).flatten().filter(|it| it["paymentMethodId"] == "BTC-LN") {
            // Some recordings show of a method a few members only.
            let Ok(method) = serde_json::from_value::<PaymentMethod>(method.clone()) else { continue };
            let hash = method.additional_data.payment_hash;
            let (Some(text), Some(due), Some(hash), []) = (method.destination, method.due, hash, &method.payments[..])
            else {
                continue;
            };
            // Without an amount there is nothing to hold it against: `type: TopUp`.
            let Ok(invoice) = Bolt11::parse(&text) else { continue };
            assert_eq!(hex(&invoice.payment_hash), hash, "{name}");
            let asked = Decimal::from(invoice.millisatoshi) / Decimal::from(100_000_000_000u64);
            assert!(asked == due || due.is_zero(), "{name}: {asked} and {due}");
            read += 1;
        }
    }
    assert!(read > 150, "only {read} invoices were read");
}

#[test]
fn every_recorded_delivery_is_signed_and_can_be_read() {
    let mut read = 0;
    for (name, case) in cases() {
        let mut secrets = vec![SECRET.to_owned()];
        noted(&case, &mut secrets);
        let unknown = case["settings"]["unknown_secret"] == true;
        for (position, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let (Some(raw), Some(signature)) = (step["raw"].as_str(), step["headers"]["btcpay-sig"].as_str()) else {
                continue;
            };
            if step["from"] != "btcpay" {
                continue;
            }
            let fits = |secret: &String| {
                let secrets = WebhookSecrets::parse(secret).unwrap();
                delivery::verify(signature.as_bytes(), raw.as_bytes(), &secrets).is_ok()
            };
            assert!(unknown || secrets.iter().any(fits), "{name}, step {position}: the signature fits no secret");
            let delivery =
                Delivery::parse(raw.as_bytes()).unwrap_or_else(|err| panic!("{name}, step {position}: {err}"));
            let sent: Value = serde_json::from_str(raw).unwrap();
            assert_eq!(delivery.invoice_id.as_deref(), sent["invoiceId"].as_str(), "{name}, step {position}");
            assert_eq!(delivery.is_redelivery, sent["isRedelivery"] == true, "{name}, step {position}");
            read += 1;
        }
    }
    assert!(read > 800, "only {read} deliveries were read");
}

/// All recorded cases, in the folders below as well.
fn cases() -> Vec<(String, Value)> {
    let mut cases = vec![];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/btcpay-double/recorded")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Those of subscriptions show repeated objects by reference, and nothing that a sale asks.
                if !path.ends_with("subscriptions") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "json") && !path.ends_with("index.json") {
                let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                cases.push((path.file_name().unwrap().to_string_lossy().into_owned(), case));
            }
        }
    }
    assert!(cases.len() > 200, "only {} recordings were found", cases.len());
    cases
}

fn problem<T: DeserializeOwned>(body: &Value) -> Option<String> {
    serde_json::from_str::<T>(&body.to_string()).err().map(|err| format!("{err}: {body}"))
}

/// With the members that a recording leaves out because they are as in the first answer that shows the object.
fn whole(body: &Value, owner: &str, firsts: &mut HashMap<String, Value>) -> Value {
    match body {
        Value::Array(items) => items.iter().map(|item| whole(item, owner, firsts)).collect(),
        Value::Object(members) => {
            let owner = members.get("id").and_then(Value::as_str).unwrap_or(owner).to_owned();
            let method = members.get("paymentMethodId").and_then(Value::as_str).unwrap_or_default();
            let key = format!("{owner} {method}");
            let mut filled: Value =
                members.iter().map(|(name, value)| (name.clone(), whole(value, &owner, firsts))).collect();
            if let Some(left_out) = members.get("as_first").and_then(Value::as_array) {
                for name in left_out.iter().filter_map(Value::as_str) {
                    filled[name] = firsts.get(&key).map_or(Value::Null, |first: &Value| first[name].clone());
                }
            }
            if members.contains_key("storeId") || !method.is_empty() {
                firsts.entry(key).or_insert_with(|| filled.clone());
            }
            filled
        }
        plain => plain.clone(),
    }
}

/// Every webhook's secret that the case names.
fn noted(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            secrets.extend(
                members.get("secret").and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned),
            );
            members.values().for_each(|value| noted(value, secrets));
        }
        Value::Array(items) => items.iter().for_each(|item| noted(item, secrets)),
        _ => {}
    }
}
