//! Subscribers over the API.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    loaded::Loaded,
    no_subscriber,
    operation::Operation,
    selector::{FORMATS, Selector},
    views,
};
use crate::{
    greenfield::{authorise, nothing},
    http::{Call, Reply, empty, error, invalid, missing_permission, ok},
    json::Json,
    keys,
    reading::{amount, flag, text, whole},
    request,
    world::World,
};

pub fn answer(
    world: &mut World,
    call: &Call,
    store: &str,
    offering: &str,
    selector: &str,
    rest: &[&str],
) -> Result<Reply, Reply> {
    let permission = match (call.method.as_str(), rest) {
        ("GET", []) => keys::VIEW_OFFERINGS,
        ("POST", ["credits", _]) => keys::CREDIT_SUBSCRIBERS,
        ("DELETE", []) | ("PUT", ["dates"]) | ("POST", ["suspend" | "unsuspend"]) | ("GET", ["credits", _]) => {
            keys::MANAGE_SUBSCRIBERS
        }
        _ => return Ok(nothing(call)),
    };
    both(world, call, permission, store)?;
    if world.subscriptions.offering(offering).is_none() {
        return Err(missing_permission(permission));
    }
    let selector = Selector::parse(selector).ok_or_else(|| invalid(&[("customerSelector", FORMATS)]))?;
    let found = world.subscriptions.select(offering, &selector).ok_or_else(no_subscriber)?;
    let number = found.number;
    match (call.method.as_str(), rest) {
        ("DELETE", []) => {
            // Nobody counts the plan's members again.
            world.subscriptions.subscribers.retain(|subscriber| subscriber.number != number);
            Ok(empty(204))
        }
        ("PUT", ["dates"]) => {
            let request = call.document()?.value;
            dates(world, number, &request)?;
            show(world, number)
        }
        ("POST", ["suspend"]) => {
            if call.content_type.is_none() {
                return Err(request::unsupported_media_type());
            }
            let reason = text(&call.document()?.value, "reason");
            suspend(world, number, Some(reason));
            show(world, number)
        }
        ("POST", ["unsuspend"]) => {
            suspend(world, number, None);
            show(world, number)
        }
        ("GET", ["credits", currency]) => Ok(ok(&credit(world, number, currency))),
        ("POST", ["credits", currency]) => {
            change_credit(world, number, currency, &call.document()?.value)?;
            Ok(ok(&credit(world, number, currency)))
        }
        _ => show(world, number),
    }
}

/// Everything about offerings needs the right to view them, too; what is missing is called by the call's own right.
pub fn both(world: &World, call: &Call, permission: &str, store: &str) -> Result<(), Reply> {
    authorise(world, call, permission, Some(store))?;
    authorise(world, call, keys::VIEW_OFFERINGS, Some(store)).map_err(|_| missing_permission(permission))
}

/// A subscriber whose plan will change cannot be shown: BTCPay stumbles over the features of the other plan.
fn show(world: &World, number: u64) -> Result<Reply, Reply> {
    let found = world.subscriptions.subscriber(number).ok_or_else(no_subscriber)?;
    match found.scheduled {
        Some(_) => Err(empty(500)),
        None => Ok(ok(&views::subscriber(world, found, &Loaded::alone(found)))),
    }
}

/// Does something to one subscriber, and brings his phase up to date.
fn operate(world: &mut World, number: u64, action: impl FnOnce(&mut World)) {
    let Some(found) = world.subscriptions.subscriber(number) else { return };
    let mut operation = Operation::begin(world, Loaded::alone(found));
    action(world);
    let mut all = std::mem::take(&mut world.subscriptions);
    operation.update(&mut all, number);
    world.subscriptions = all;
    operation.end(world);
}

fn dates(world: &mut World, number: u64, request: &Json) -> Result<(), Reply> {
    let moment = |name: &str| whole(request, name).map(|seconds| seconds * 1000);
    let (start, end) = (moment("startDate"), moment("expirationDate"));
    let all = &mut world.subscriptions;
    let plan = all.subscriber(number).and_then(|subscriber| all.plan(&subscriber.plan)).cloned();
    let (Some(plan), Some(subscriber)) = (plan, all.subscriber_mut(number)) else { return Err(no_subscriber()) };
    subscriber.set_dates(&plan, start, end).map_err(|message| error(400, "invalid-dates", message))?;
    operate(world, number, |_| {});
    Ok(())
}

/// `reason`: `None` ends the suspension.
fn suspend(world: &mut World, number: u64, reason: Option<Option<String>>) {
    operate(world, number, |world| {
        if let Some(subscriber) = world.subscriptions.subscriber_mut(number) {
            subscriber.suspended = reason.is_some();
            subscriber.reason = reason.flatten();
        }
    });
}

/// `current` stands for the plan's currency.
fn currency_of(world: &World, number: u64, currency: &str) -> String {
    let all = &world.subscriptions;
    let plan = all.subscriber(number).and_then(|subscriber| all.plan(&subscriber.plan));
    match (currency, plan) {
        ("current", Some(plan)) => plan.currency.clone(),
        _ => currency.to_owned(),
    }
}

fn credit(world: &World, number: u64, currency: &str) -> Value {
    let (all, currency) = (&world.subscriptions, currency_of(world, number, currency));
    let subscriber = all.subscriber(number);
    let value = subscriber.and_then(|found| Some(found.shown_credit(&currency, all.plan(&found.plan)?)));
    json!({"currency": currency, "value": value.unwrap_or_default().to_string()})
}

fn change_credit(world: &mut World, number: u64, currency: &str, request: &Json) -> Result<(), Reply> {
    let value = |name: &str| amount(request, name).unwrap_or_default();
    let (credit, charge) = (value("credit"), value("charge"));
    if credit < Decimal::ZERO || charge < Decimal::ZERO {
        return Err(empty(500));
    }
    let currency = currency_of(world, number, currency);
    let loaded = Loaded::alone(world.subscriptions.subscriber(number).ok_or_else(no_subscriber)?);
    let mut operation = Operation::begin(world, loaded);
    let overdraft = flag(request, "allowOverdraft").unwrap_or_default();
    let done = operation.credit(&mut world.subscriptions, number, &currency, (credit, charge), overdraft);
    operation.end(world);
    done.map(drop).ok_or_else(|| {
        let message = "The subscriber's balance would be overdrawn. Use allowOverdraft to allow this.";
        error(400, "overdraft", message)
    })
}
