//! What no recording shows: time that passes by itself, and the neighbours of what was recorded.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    app::App,
    greenfield::tests::{KEY, call, owner},
    invoicing::PayRequest,
    version::Version,
};

/// 2026-11-29 12:00 UTC, in seconds.
const BEGIN: i64 = 1_795_953_600;
const DAY: i64 = 86_400;

struct Club {
    app: Arc<App>,
    offering: String,
    plan: String,
}

impl Club {
    /// A plan of 1.00 USD a month with three days of grace and a trial of seven.
    async fn open() -> Club {
        let app = owner(Version(2, 4, 1));
        app.with(|world| {
            world.stopped_at = Some(BEGIN * 1000);
            world.subscriptions.looks_at = BEGIN * 1000;
        });
        let mut club = Club { app, offering: String::new(), plan: String::new() };
        club.offering = id(&club.ask("POST", "stores/ours/offerings", json!({"appName": "Film club"})).await);
        club.plan = club.plan(json!({"name": "Monthly", "price": "1.00", "gracePeriodDays": 3, "trialDays": 7})).await;
        club
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, _, value) = call(&self.app, Some(KEY), method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {value}");
        value
    }

    async fn plan(&self, plan: Value) -> String {
        id(&self.ask("POST", &format!("stores/ours/offerings/{}/plans", self.offering), plan).await)
    }

    async fn checkout(&self, more: Value) -> Value {
        let mut request = json!({"storeId": "ours", "offeringId": self.offering, "planId": self.plan});
        more.as_object().unwrap().iter().for_each(|(name, value)| request[name] = value.clone());
        let made = self.ask("POST", "plan-checkout", request).await;
        self.ask("POST", &format!("plan-checkout/{}", id(&made)), Value::Null).await
    }

    /// Pays a fraction of what a checkout's invoice asks for.
    fn pay(&self, checkout: &Value, fraction: &str) {
        let fraction = Some(fraction.parse().unwrap());
        let paid = self.app.with(|world| {
            world.pay(checkout["invoiceId"].as_str().unwrap(), &PayRequest { fraction, ..PayRequest::default() })
        });
        assert_eq!(paid, Ok(true));
    }

    async fn member(&self) -> Value {
        self.ask("GET", &format!("stores/ours/offerings/{}/subscribers/a@b", self.offering), Value::Null).await
    }

    async fn credit(&self, amount: &str) {
        let path = format!("stores/ours/offerings/{}/subscribers/a@b/credits/USD", self.offering);
        self.ask("POST", &path, json!({"credit": amount})).await;
    }

    /// Lets the clock go to a moment, in seconds from the beginning, and gives the events on the way with their own.
    async fn go(&self, seconds: i64) -> Vec<(String, i64)> {
        self.app.with(|world| world.events.clear());
        self.app.move_clock((BEGIN + seconds) * 1000).await;
        self.app.with(|world| {
            let event = |raised: &Arc<crate::webhook::Raised>| (raised.event.kind.clone(), raised.timestamp - BEGIN);
            world.events.iter().map(event).collect()
        })
    }
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

fn names(events: &[(String, i64)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_period_ends_when_btcpay_looks() {
    let club = Club::open().await;
    club.go(100).await;
    let checkout = club.checkout(json!({"newSubscriberEmail": "a@b"})).await;
    club.pay(&checkout, "1");
    club.credit("1").await;
    // The first month ends at 100 s past a look, so BTCPay notices 200 s later; its credit pays the second.
    let month = 30 * DAY + 100;
    assert_eq!(club.go(month + 199).await, vec![]);
    assert_eq!(club.member().await["phase"], "Normal");
    let renewed = club.go(month + 200).await;
    assert_eq!(renewed, [("SubscriberCharged".into(), month + 200), ("PlanStarted".into(), month + 200)]);
    let end = BEGIN + 61 * DAY + 100;
    assert_eq!(club.member().await["periodEnd"], end, "a calendar month from the old end");
    // No credit for the third: a reminder three days before, grace for three days, then nothing.
    let due = club.go(end - BEGIN + 4 * DAY).await;
    let expected = ["PaymentReminder", "SubscriberPhaseChanged", "SubscriberPhaseChanged", "SubscriberDisabled"];
    assert_eq!(names(&due), expected);
    assert!(due.iter().all(|(_, at)| at % 300 == 0), "{due:?}");
    assert_eq!(due.iter().map(|(_, at)| at / DAY).collect::<Vec<_>>(), [58, 61, 64, 64]);
    let member = club.member().await;
    assert_eq!((&member["phase"], &member["isActive"]), (&json!("Expired"), &json!(false)));
    assert_eq!(member["plan"]["memberCount"], 0);
}

#[tokio::test]
async fn half_is_nothing_and_the_rest_makes_a_subscriber() {
    let club = Club::open().await;
    let checkout = club.checkout(json!({"newSubscriberEmail": "a@b"})).await;
    club.pay(&checkout, "0.5");
    let path = format!("stores/ours/offerings/{}/subscribers/a@b", club.offering);
    assert_eq!(call(&club.app, Some(KEY), "GET", &path, Value::Null).await.0, 404);
    club.pay(&checkout, "1");
    assert_eq!(club.member().await["phase"], "Normal");
}

#[tokio::test]
async fn a_trial_with_credit_goes_over_into_a_period() {
    let club = Club::open().await;
    club.checkout(json!({"newSubscriberEmail": "a@b", "isTrial": true})).await;
    club.credit("1").await;
    let over = club.go(8 * DAY).await;
    assert_eq!(names(&over), ["SubscriberCharged", "PlanStarted", "SubscriberPhaseChanged"]);
    let member = club.member().await;
    assert_eq!((&member["phase"], &member["trialEnd"]), (&json!("Normal"), &Value::Null));
    assert_eq!(member["periodEnd"], BEGIN + 38 * DAY, "a calendar month from the 6th of December");
}

#[tokio::test]
async fn a_wish_that_the_credit_pays_comes_true() {
    let club = Club::open().await;
    let big = club.plan(json!({"name": "Big", "price": "2.50"})).await;
    let checkout = club.checkout(json!({"newSubscriberEmail": "a@b"})).await;
    club.pay(&checkout, "1");
    club.credit("2.50").await;
    club.app.with(|world| {
        let plan = &mut world.subscriptions.plans[0];
        plan.changes.push(big.clone());
        world.subscriptions.subscribers[0].scheduled = Some(big.clone());
    });
    let path = format!("stores/ours/offerings/{}/subscribers/a@b", club.offering);
    assert_eq!(call(&club.app, Some(KEY), "GET", &path, Value::Null).await.0, 500, "while a plan is scheduled");
    let changed = club.go(31 * DAY).await;
    assert_eq!(names(&changed), ["SubscriberCharged", "PlanStarted"]);
    let member = club.member().await;
    assert_eq!((&member["phase"], &member["plan"]["id"]), (&json!("Normal"), &json!(big)));
    let counts: Vec<usize> = club.app.with(|world| world.subscriptions.plans.iter().map(|plan| plan.members).collect());
    assert_eq!(counts, [0, 1]);
}

#[tokio::test]
async fn a_suspended_subscriber_is_not_renewed() {
    let club = Club::open().await;
    let checkout = club.checkout(json!({"newSubscriberEmail": "a@b"})).await;
    club.pay(&checkout, "1");
    club.credit("1").await;
    let path = format!("stores/ours/offerings/{}/subscribers/a@b", club.offering);
    club.ask("POST", &format!("{path}/suspend"), json!({"reason": "chargeback"})).await;
    assert_eq!(names(&club.go(31 * DAY).await), ["SubscriberPhaseChanged"], "no reminder: the credit would do");
    let member = club.member().await;
    assert_eq!((&member["phase"], &member["isActive"]), (&json!("Grace"), &json!(false)));
}
