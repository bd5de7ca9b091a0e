//! What no recording shows: payouts that are cancelled, and the sender's own time.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    app::App,
    bolt11::address,
    greenfield::tests::{KEY, call, owner},
    version::Version,
};

async fn ask(app: &Arc<App>, method: &str, path: &str, body: Value) -> (u16, Value) {
    let (status, _, value) = call(app, Some(KEY), method, path, body).await;
    (status, value)
}

/// A store, and a pull payment over 0.001 BTC; `auto`: claims are approved by themselves.
async fn begin(auto: bool) -> (Arc<App>, String) {
    let app = owner(Version(2, 4, 1));
    app.with(|world| world.stopped_at = Some(1_795_953_600_000));
    let request = json!({"name": "Refund", "amount": "0.001", "currency": "BTC", "autoApproveClaims": auto});
    let (status, made) = ask(&app, "POST", "stores/ours/pull-payments", request).await;
    assert_eq!(status, 200, "{made}");
    (app, made["id"].as_str().unwrap().to_owned())
}

async fn claim(app: &Arc<App>, pull_payment: &str, amount: &str) -> (u16, Value) {
    let request = json!({"destination": address(), "payoutMethodId": "BTC-CHAIN", "amount": amount});
    ask(app, "POST", &format!("pull-payments/{pull_payment}/payouts"), request).await
}

async fn state(app: &Arc<App>, payout: &Value) -> String {
    let (_, shown) = ask(app, "GET", &format!("payouts/{}", payout["id"].as_str().unwrap()), Value::Null).await;
    shown["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_cancelled_can_be_claimed_again() {
    let (app, pull_payment) = begin(false).await;
    let (_, first) = claim(&app, &pull_payment, "0.0006").await;
    assert_eq!(claim(&app, &pull_payment, "0.0005").await.1["code"], "overdraft");
    let path = format!("payouts/{}", first["id"].as_str().unwrap());
    assert_eq!(ask(&app, "DELETE", &path, Value::Null).await.0, 200);
    assert_eq!(state(&app, &first).await, "Cancelled");
    assert_eq!(claim(&app, &pull_payment, "0.001").await.0, 200);
    assert_eq!(ask(&app, "POST", &path, json!({"revision": 0})).await.1["code"], "invalid-state");
    let listed = ask(&app, "GET", "stores/ours/payouts", Value::Null).await.1;
    assert_eq!(listed.as_array().unwrap().len(), 1, "cancelled ones are shown on demand only");
    let all = ask(&app, "GET", "stores/ours/payouts?includeCancelled=true", Value::Null).await.1;
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_sender_sends_in_its_interval_and_a_block_completes() {
    let (app, pull_payment) = begin(true).await;
    let path = "stores/ours/payout-processors/OnChainAutomatedPayoutSenderFactory/BTC-CHAIN";
    let (status, _) = ask(&app, "PUT", path, json!({"intervalSeconds": 60})).await;
    assert_eq!(status, 200);
    let (_, payout) = claim(&app, &pull_payment, "0.0005").await;
    assert_eq!(payout["state"], "AwaitingPayment");
    app.move_clock(1_795_953_659_000).await;
    assert_eq!(state(&app, &payout).await, "AwaitingPayment", "one second before");
    app.move_clock(1_795_953_660_000).await;
    assert_eq!(state(&app, &payout).await, "InProgress");
    app.with(|world| world.mine(1));
    assert_eq!(state(&app, &payout).await, "Completed");
    let states: Vec<String> = app.with(|world| world.events.iter().map(|raised| raised.event.kind.clone()).collect());
    assert_eq!(states, ["PayoutCreated", "PayoutApproved", "PayoutUpdated", "PayoutUpdated"]);
}
