//! A paid buyer gets the token whenever the members that decide are there, whatever BTCPay leaves out of the rest.

use serde_json::{Value, json};

use super::invoice::Invoice;
use crate::gate::jwk::{Jwk, JwkSet, Secret};
use crate::gate::keyring::Keyring;
use crate::gate::scope::Scope;
use crate::shop::invoice::Tolerance;
use crate::shop::offers::{Offer, OfferFor};
use crate::shop::order::Order;
use crate::shop::settlement::Terms;

/// Without one of these nothing can be granted.
const DECIDE: [&str; 14] = [
    "/id",
    "/storeId",
    "/type",
    "/amount",
    "/currency",
    "/status",
    "/metadata",
    "/metadata/hlsgate",
    "/paymentMethods",
    "/paymentMethods/0/rate",
    "/paymentMethods/0/payments",
    "/paymentMethods/0/payments/0/value",
    "/paymentMethods/0/payments/0/fee",
    "/paymentMethods/0/payments/0/status",
];
/// These name a time or a way: what they decide, the rules of the sale say.
const LEFT_TO_THE_SALE: [&str; 4] = [
    "/createdTime",
    "/expirationTime",
    "/paymentMethods/0/paymentMethodId",
    "/paymentMethods/0/payments/0/receivedDate",
];

/// As BTCPay 2.4.1 answers with payment methods (recorded: `lightning-full`).
fn paid(order: &str) -> Value {
    json!({
        "id": "HMprBnL9BTXWuPvpoKBS6e", "storeId": "store", "amount": "0.00000100", "paidAmount": "0.00000100",
        "checkoutLink": "https://btcpay.example/i/HMprBnL9BTXWuPvpoKBS6e", "status": "Settled", "additionalStatus": "None",
        "monitoringExpiration": 1785088200, "expirationTime": 1785001800, "createdTime": 1785000000,
        "availableStatusesForManualMarking": [], "archived": false, "type": "Standard", "currency": "BTC",
        "metadata": { "hlsgate": order, "orderId": "c05f2318 24h", "itemDesc": "c05f2318 (24h)" },
        "checkout": { "speedPolicy": "MediumSpeed", "paymentMethods": ["BTC-LN"], "defaultPaymentMethod": "BTC-LN",
            "expirationMinutes": 30, "paymentTolerance": 0.0, "lazyPaymentMethods": null },
        "receipt": { "enabled": false, "showQR": null, "showPayments": null },
        "paymentMethods": [{
            "paymentMethodId": "BTC-LN", "currency": "BTC", "activated": true, "destination": "lnbc1u1p",
            "paymentLink": "lightning:lnbc1u1p", "rate": "1.0", "paymentMethodPaid": "0.000001", "totalPaid": "0.000001",
            "due": "0", "amount": "0.000001", "paymentMethodFee": "0", "additionalData": { "preimage": null },
            "payments": [{ "id": "6b3f", "receivedDate": 1785000122, "value": "0.000001", "fee": "0", "status": "Settled",
                "destination": "lnbc1u1p" }],
        }],
    })
}

fn keyring() -> Keyring {
    Keyring::new(&JwkSet::new(vec![Jwk::new("k1".into(), Secret::new((0..32).collect()), 0)]))
}

fn token(answer: &Value) -> Option<String> {
    let invoice: Invoice = serde_json::from_str(&answer.to_string()).ok()?;
    let terms =
        Terms { store: "store".into(), accept_marked: true, accept_invalid: true, tolerance: Tolerance::NetworkFee };
    let keyring = keyring();
    let settlement = invoice.facts().settle(&terms, &keyring).ok()?;
    Some(settlement.token.sign(keyring.signing()).expose().to_owned())
}

fn members(value: &Value, at: &str, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (format!("{at}/{name}"), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(n, value)| (format!("{at}/{n}"), value)).collect(),
        _ => Vec::new(),
    };
    for (path, value) in below {
        members(value, &path, found);
        found.push(path);
    }
}

fn without(answer: &Value, path: &str) -> Value {
    let (parent, name) = path.rsplit_once('/').unwrap();
    let mut answer = answer.clone();
    match answer.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(name)),
        Value::Array(list) => drop(list.remove(name.parse().unwrap())),
        _ => unreachable!("a member is in an object or a list"),
    }
    answer
}

#[test]
fn whatever_btcpay_leaves_out_a_paid_buyer_gets_the_same_token() {
    let offer = Offer::parse("24h", "100", "SATS", Some(86400)).unwrap();
    let video = "c05f2318".parse().unwrap();
    let found = OfferFor { covers: Scope::Video(video), offer: &offer };
    let answer = paid(&Order::new(video, &found, "nonce").sign(keyring().signing()));
    let whole = token(&answer).expect("a paid invoice buys a token");
    let mut paths = Vec::new();
    members(&answer, "", &mut paths);
    assert!(DECIDE.iter().chain(&LEFT_TO_THE_SALE).all(|path| paths.iter().any(|known| known == path)));

    for path in paths.iter().filter(|path| !LEFT_TO_THE_SALE.contains(&path.as_str())) {
        let with = |value: Value| {
            let mut answer = answer.clone();
            *answer.pointer_mut(path).unwrap() = value;
            answer
        };
        let odd = [json!(null), json!(""), json!([]), json!({}), json!("Unheard"), json!(true), json!([null, {}])];
        for changed in odd.map(with).into_iter().chain([without(&answer, path)]) {
            let decides =
                DECIDE.contains(&path.as_str()) || path == "/paymentMethods/0" || path.ends_with("/payments/0");
            let got = token(&changed);
            match decides {
                // Another id is another invoice: who asked for this one does not take it (`source.rs`).
                true if path == "/id" => assert_ne!(got.as_ref(), Some(&whole), "{changed}"),
                true => assert!(got.is_none(), "{path}: {changed}"),
                false => assert_eq!(got.as_ref(), Some(&whole), "{path}: {changed}"),
            }
        }
    }
}

#[test]
fn one_bad_neighbour_hides_no_payment() {
    let offer = Offer::parse("24h", "100", "SATS", Some(86400)).unwrap();
    let video = "c05f2318".parse().unwrap();
    let found = OfferFor { covers: Scope::Video(video), offer: &offer };
    let mut answer = paid(&Order::new(video, &found, "nonce").sign(keyring().signing()));
    let whole = token(&answer);
    for list in ["/paymentMethods", "/paymentMethods/1/payments"] {
        let list = answer.pointer_mut(list).unwrap().as_array_mut().unwrap();
        list.insert(0, json!({ "paymentMethodId": null, "id": null }));
        list.push(json!(null));
    }
    assert!(whole.is_some() && token(&answer) == whole, "{answer}");
}
