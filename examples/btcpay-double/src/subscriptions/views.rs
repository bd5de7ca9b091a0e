//! What answers and events show.

use serde_json::{Value, json};

use super::{
    Subscriptions,
    checkout::{Checkout, PortalSession},
    loaded::Loaded,
    offerings::Offering,
    plan::Plan,
    subscriber::Subscriber,
};
use crate::world::World;

fn seconds(moment: Option<i64>) -> Value {
    json!(moment.map(|moment| moment.div_euclid(1000)))
}

pub fn plan(plan: &Plan) -> Value {
    json!({
        "id": plan.id, "name": plan.name, "status": "Active", "price": plan.price.to_string(), "currency": plan.currency,
        "recurringType": plan.recurring, "gracePeriodDays": plan.grace_days, "trialDays": plan.trial_days,
        "description": plan.description, "memberCount": plan.members, "optimisticActivation": plan.optimistic,
        "features": plan.features, "renewable": plan.renewable, "metadata": plan.metadata,
    })
}

fn plan_of(all: &Subscriptions, id: &str) -> Value {
    all.plan(id).map_or(Value::Null, plan)
}

/// With all its plans, in the order of their creation.
pub fn offering(all: &Subscriptions, store: &str, offering: &Offering) -> Value {
    let plans = all.plans.iter().filter(|plan| plan.offering == offering.id).map(plan).collect();
    let mut value = bare(store, offering, plans);
    value["features"] = features(offering);
    value
}

fn bare(store: &str, offering: &Offering, plans: Vec<Value>) -> Value {
    json!({
        "id": offering.id, "storeId": store, "appName": offering.app_name, "appId": offering.app_id,
        "successRedirectUrl": offering.redirect, "plans": plans, "metadata": offering.metadata,
    })
}

fn features(offering: &Offering) -> Value {
    offering.features.iter().map(|(id, description)| json!({"id": id, "description": description})).collect()
}

/// A subscriber with as much of his offering as was loaded.
pub fn subscriber(world: &World, subscriber: &Subscriber, loaded: &Loaded) -> Value {
    let (all, store) = (&world.subscriptions, world.store.id.as_str());
    let customer = all.customer(&subscriber.customer);
    let mut identities = json!({"Email": customer.map(|customer| customer.email.as_str())});
    if let Some(notified) = customer.and_then(|customer| customer.notified.as_ref()) {
        identities["NotificationEmail"] = notified.as_str().into();
    }
    let plans = loaded.plans.iter().map(|id| plan_of(all, id)).collect();
    let mut offering = Value::Null;
    if let Some(found) = all.offering(&subscriber.offering) {
        offering = bare(store, found, plans);
        if loaded.features {
            offering["features"] = features(found);
        }
    }
    let scheduled = subscriber.scheduled.as_deref();
    json!({
        "created": seconds(Some(subscriber.created)),
        "customer": {
            "storeId": store, "id": subscriber.customer, "externalId": null, "identities": identities, "metadata": {},
        },
        "offering": offering, "plan": plan_of(all, &subscriber.plan),
        "periodEnd": seconds(subscriber.period_end), "trialEnd": seconds(subscriber.trial_end),
        "gracePeriodEnd": seconds(subscriber.grace_end), "scheduledPlan": scheduled.map(|id| plan_of(all, id)),
        "scheduledPlanActivatesAt": seconds(subscriber.period_end.filter(|_| scheduled.is_some())),
        "isActive": subscriber.active, "isSuspended": subscriber.suspended, "suspensionReason": subscriber.reason,
        "autoRenew": subscriber.auto_renew, "metadata": subscriber.metadata, "processingInvoiceId": subscriber.processing,
        "nextPlan": plan_of(all, subscriber.next_plan()), "phase": subscriber.phase,
    })
}

pub fn checkout(world: &World, checkout: &Checkout) -> Value {
    let all = &world.subscriptions;
    let loaded = Loaded::checkout(all, &checkout.id);
    let found = checkout.subscriber.and_then(|number| all.subscriber(number));
    json!({
        "subscriber": found.map(|found| subscriber(world, found, &loaded)), "plan": plan_of(all, &checkout.plan),
        "baseUrl": format!("{}/", checkout.base), "id": checkout.id, "invoiceId": checkout.invoice,
        "successRedirectUrl": checkout.redirect, "expiration": seconds(Some(checkout.expires)),
        "redirectUrl": checkout.redirect_with_id(), "invoiceMetadata": checkout.invoice_metadata, "metadata": checkout.metadata,
        "newSubscriber": checkout.new_subscriber, "isTrial": checkout.trial, "created": seconds(Some(checkout.created)),
        "planStarted": checkout.started, "newSubscriberMetadata": checkout.subscriber_metadata,
        "refundAmount": checkout.refund.map(|amount| amount.to_string()), "creditedByInvoice": checkout.credited.to_string(),
        "onPayBehavior": checkout.on_pay, "isExpired": world.now() >= checkout.expires,
        "url": format!("{}/plan-checkout/{}", checkout.base, checkout.id),
        "creditPurchase": checkout.purchase.map(|amount| amount.to_string()),
    })
}

pub fn portal(world: &World, session: &PortalSession) -> Value {
    let all = &world.subscriptions;
    let shown = all.subscriber(session.subscriber).map(|found| {
        let loaded = Loaded::whole(all, &found.offering, &[found.next_plan(), &found.plan]);
        subscriber(world, found, &loaded)
    });
    json!({
        "id": session.id, "baseUrl": format!("{}/", session.base), "subscriber": shown, "expiration": seconds(Some(session.expires)),
        "isExpired": world.now() >= session.expires, "url": format!("{}/subscriber-portal/{}", session.base, session.id),
    })
}
