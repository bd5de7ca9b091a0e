//! What only a person can do, on BTCPay's pages: for the control interface.

use serde_json::{Value, json};

use super::{Subscriptions, operation::refund_credit, subscriber::Subscriber, views};
use crate::{http::Call, money, refunds, world::World};

/// A control call about subscriptions; `None`: it is none.
pub fn act(world: &mut World, call: &Call, action: &str, body: &Value) -> Option<Result<Value, String>> {
    match action {
        "plan" => Some(plan(&mut world.subscriptions, body)),
        "subscriber" => Some(subscriber(world, call, body)),
        "look" => Some(look(world, body)),
        _ => None,
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

/// The shop keeper saves a plan's page: an empty description becomes `null`; the portal offers another plan.
fn plan(all: &mut Subscriptions, body: &Value) -> Result<Value, String> {
    let id = text(body, "plan").ok_or("\"plan\": expected a plan's id")?;
    let offered = text(body, "offer").map(str::to_owned);
    if offered.as_ref().is_some_and(|offered| all.plan(offered).is_none()) {
        return Err("\"offer\": there is no such plan".into());
    }
    let found = all.plan_mut(id).ok_or_else(|| format!("there is no plan {id}"))?;
    found.description = found.description.take().filter(|description| !description.is_empty());
    found.changes.extend(offered);
    Ok(views::plan(found))
}

/// The subscriber in his portal, or the shop keeper for him.
fn subscriber(world: &mut World, call: &Call, body: &Value) -> Result<Value, String> {
    let who = text(body, "subscriber").ok_or("\"subscriber\": expected an e-mail or a customer's id")?;
    let all = &mut world.subscriptions;
    let customer = all.customers.iter().find(|customer| customer.email == who || customer.id == who);
    let customer = customer.map(|customer| customer.id.clone());
    let found = all.subscribers.iter().find(|subscriber| Some(&subscriber.customer) == customer.as_ref());
    let found = found.ok_or_else(|| format!("there is no subscriber {who}"))?;
    let (number, plan) = (found.number, found.plan.clone());
    if let Some(renews) = body.get("autoRenew").and_then(Value::as_bool) {
        change(all, number, |subscriber| subscriber.auto_renew = renews);
    }
    if let Some(email) = text(body, "notificationEmail") {
        let customers = all.customers.iter_mut().filter(|known| Some(&known.id) == customer.as_ref());
        customers.for_each(|customer| customer.notified = Some(email.to_owned()));
    }
    match body.get("planAtPeriodEnd") {
        Some(Value::String(next)) => {
            if !all.plan(&plan).is_some_and(|plan| plan.changes.contains(next)) {
                return Err(format!("the portal does not offer {next} to who has {plan}"));
            }
            change(all, number, |subscriber| subscriber.scheduled = Some(next.clone()));
        }
        Some(Value::Null) => change(all, number, |subscriber| subscriber.scheduled = None),
        _ => {}
    }
    if let Some(amount) = money::read(body.get("refund"))? {
        let currency = all.plan(&plan).map(|plan| plan.currency.clone()).unwrap_or_default();
        let id = refunds::credit_refund(world, &currency, amount);
        // BTCPay forgets the port of its own address.
        let mut base = url::Url::parse(&call.base).map_err(|err| err.to_string())?;
        base.set_port(None).map_err(|()| format!("{} has no port", call.base))?;
        let link = format!("{}/pull-payments/{id}", base.as_str().trim_end_matches('/'));
        refund_credit(world, number, &currency, amount, &link).ok_or("the credit does not suffice")?;
    }
    let all = &world.subscriptions;
    let shown = all.subscriber(number).map(|found| {
        json!({"phase": found.phase, "autoRenew": found.auto_renew, "plan": found.plan, "planAtPeriodEnd": found.scheduled})
    });
    Ok(shown.unwrap_or_default())
}

fn change(all: &mut Subscriptions, number: u64, change: impl FnOnce(&mut Subscriber)) {
    if let Some(subscriber) = all.subscriber_mut(number) {
        change(subscriber);
    }
}

/// Sets when BTCPay looks for periods that have ended: at this moment, and every five minutes from it.
fn look(world: &mut World, body: &Value) -> Result<Value, String> {
    let at = body.get("at").and_then(Value::as_f64).ok_or("\"at\": expected UNIX seconds")?;
    world.subscriptions.looks_at = (at * 1000.0) as i64;
    Ok(json!({}))
}
