//! What a real BTCPay Server answered and delivered, read by our own parsers: `examples/btcpay-double/recorded`.

use std::{collections::HashMap, path::Path};

use super::{
    invoice::{Invoice, PaymentMethod},
    lenient::List,
    secret::WebhookSecrets,
    setup::{ApiKeyInfo, DeliveryRecord, ServerInfo, Store, Webhook},
    webhook::{self, Delivery},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

const SECRET: &str = "recorded-webhook-secret-for-tests-0001";

#[test]
fn every_recorded_answer_can_be_read() {
    let mut read = 0;
    for (name, case) in cases() {
        // Some recordings show of an invoice a few members only.
        let trimmed = !case["settings"]["only"].is_null();
        let mut firsts = HashMap::new();
        for (position, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let (answer, path) = (&step["answer"], step["path"].as_str().unwrap_or_default());
            if step["from"] != "shop" || answer["status"] != 200 || answer["body"].is_null() {
                continue;
            }
            let body = whole(&answer["body"], "", &mut firsts);
            let parts: Vec<&str> = path.split(['/', '?']).filter(|part| !part.is_empty()).skip(2).collect();
            let problem = match (step["method"].as_str().unwrap_or_default(), &parts[..]) {
                ("POST", ["stores", _, "invoices"]) if !trimmed => problem::<Invoice>(&body),
                ("GET", ["stores", _, "invoices", query]) if query.contains('=') && !trimmed => {
                    problem::<Vec<Invoice>>(&body)
                }
                (
                    "GET" | "PUT",
                    ["stores", _, "invoices", _] | ["stores", _, "invoices", _, "includePaymentMethods=true"],
                ) if !trimmed => problem::<Invoice>(&body),
                ("POST", ["stores", _, "invoices", _, "status" | "unarchive"]) if !trimmed => problem::<Invoice>(&body),
                ("GET", ["stores", _, "invoices", _, "payment-methods", ..]) => problem::<List<PaymentMethod>>(&body),
                ("GET", ["stores", _, "webhooks"]) => problem::<List<Webhook>>(&body),
                ("POST" | "GET" | "PUT", ["stores", _, "webhooks", ..]) if body["authorizedEvents"].is_object() => {
                    problem::<Webhook>(&body)
                }
                (
                    "GET",
                    ["stores", _, "webhooks", _, "deliveries"]
                    | ["stores", _, "webhooks", _, "deliveries", "count=50" | "count=1"],
                ) => problem::<List<DeliveryRecord>>(&body),
                ("GET", ["api-keys", "current"]) => problem::<ApiKeyInfo>(&body),
                ("GET", ["server", "info"]) => problem::<ServerInfo>(&body),
                ("GET", ["stores", _]) => problem::<Store>(&body),
                _ => continue,
            };
            assert_eq!(problem, None, "{name}, step {position}: {} {path}", step["method"]);
            read += 1;
        }
    }
    assert!(read > 1000, "only {read} answers were read");
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
                webhook::verify(signature.as_bytes(), raw.as_bytes(), &secrets).is_ok()
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
