//! Checkouts of plans, and sessions of the subscribers' portal. An id is all that one needs to see and use them.

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    members, named, no_plan, no_subscriber,
    operation::{proceed, round},
    plan::DAY,
    selector::{FORMATS, Selector},
    views,
};
use crate::{
    greenfield::{authorise, nothing},
    http::{Call, Reply, error, forbidden, invalid, ok},
    invoice::Status,
    invoice_api,
    json::Json,
    keys,
    reading::{amount, flag, object, text, whole},
    world::World,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OnPay {
    /// In mid-period the money becomes credit, and the plan stays.
    SoftMigration,
    /// The plan begins at once; what is left of the old one is given back.
    HardMigration,
}

#[derive(Clone, Debug)]
pub struct Checkout {
    pub id: String,
    pub plan: String,
    pub subscriber: Option<u64>,
    pub new_subscriber: bool,
    pub email: Option<String>,
    pub subscriber_metadata: Value,
    pub invoice_metadata: Value,
    pub metadata: Value,
    pub trial: bool,
    pub on_pay: OnPay,
    /// Credit that is bought instead of the plan.
    pub purchase: Option<Decimal>,
    /// What the caller calls this server.
    pub base: String,
    /// Where the payer goes afterwards; set when he proceeds, unless the shop said so.
    pub redirect: Option<String>,
    /// UNIX milliseconds.
    pub created: i64,
    pub expires: i64,
    pub invoice: Option<String>,
    pub credited: Decimal,
    pub started: bool,
    /// What a hard migration gave back of the old period.
    pub refund: Option<Decimal>,
}

impl Checkout {
    pub fn redirect_with_id(&self) -> Option<String> {
        let redirect = self.redirect.as_deref()?;
        let join = if redirect.contains('?') { '&' } else { '?' };
        Some(format!("{redirect}{join}checkoutPlanId={}", self.id))
    }
}

#[derive(Clone, Debug)]
pub struct PortalSession {
    pub id: String,
    pub subscriber: u64,
    pub base: String,
    /// UNIX milliseconds.
    pub expires: i64,
}

/// Answers under `/plan-checkout`.
pub fn plan_checkout(world: &mut World, call: &Call, rest: &[&str]) -> Result<Reply, Reply> {
    let missing = || error(404, "checkout-plan-not-found", "The checkout plan was not found");
    match (call.method.as_str(), rest) {
        ("POST", []) => create(world, call),
        ("GET", [id]) => {
            let checkout = world.subscriptions.checkout(id).ok_or_else(missing)?;
            Ok(ok(&views::checkout(world, checkout)))
        }
        ("POST", [id]) => {
            world.subscriptions.checkout(id).ok_or_else(missing)?;
            go_on(world, call, id)?;
            let checkout = world.subscriptions.checkout(id).ok_or_else(missing)?;
            Ok(ok(&views::checkout(world, checkout)))
        }
        _ => Ok(nothing(call)),
    }
}

fn create(world: &mut World, call: &Call) -> Result<Reply, Reply> {
    authorise(world, call, keys::MANAGE_SUBSCRIBERS, None)?;
    authorise(world, call, keys::VIEW_OFFERINGS, None).map_err(|_| forbidden(keys::MANAGE_SUBSCRIBERS))?;
    let request = call.document()?.value;
    let store = text(&request, "storeId").unwrap_or_default();
    members::both(world, call, keys::MANAGE_SUBSCRIBERS, &store).map_err(|_| forbidden(keys::MANAGE_SUBSCRIBERS))?;
    let (all, now) = (&world.subscriptions, world.now());
    let offering = text(&request, "offeringId").unwrap_or_default();
    let plan = all.plan(&text(&request, "planId").unwrap_or_default()).filter(|plan| plan.offering == offering);
    let plan = plan.ok_or_else(no_plan)?;
    let named_by = text(&request, "customerSelector").filter(|selector| !selector.is_empty());
    let email = text(&request, "newSubscriberEmail");
    let mut problems = vec![];
    let selector = named_by.as_deref().map(Selector::parse);
    if matches!(selector, Some(None)) {
        problems.push(("CustomerSelector", FORMATS));
    }
    if email.is_some() && named_by.is_some() {
        let message = "If customerSelector is specified, newSubscriberEmail cannot be specified";
        problems.push(("NewSubscriberEmail", message));
    }
    let purchase = amount(&request, "creditPurchase").map(|amount| round(amount, &plan.currency));
    if purchase.is_some_and(|amount| amount <= Decimal::ZERO) {
        problems.push(("CreditPurchase", "CreditPurchase must be greater than 0 or left null"));
    }
    if !problems.is_empty() {
        return Err(invalid(&problems));
    }
    let subscriber = match selector.flatten() {
        Some(selector) => Some(all.select(&offering, &selector).ok_or_else(no_subscriber)?.number),
        None => None,
    };
    let link = text(&request, "successRedirectLink").filter(|link| url::Url::parse(link).is_ok());
    let hard = text(&request, "onPayBehavior").is_some_and(|text| text.eq_ignore_ascii_case("HardMigration"));
    let metadata = |name: &str| object(&request, name).unwrap_or_else(|| json!({}));
    let checkout = Checkout {
        id: named("plancheckout"),
        plan: plan.id.clone(),
        subscriber,
        new_subscriber: subscriber.is_none(),
        email,
        subscriber_metadata: metadata("newSubscriberMetadata"),
        invoice_metadata: metadata("invoiceMetadata"),
        metadata: metadata("metadata"),
        trial: plan.trial_days > 0 && flag(&request, "isTrial") == Some(true),
        on_pay: if hard { OnPay::HardMigration } else { OnPay::SoftMigration },
        purchase,
        base: call.base.clone(),
        redirect: link,
        created: now,
        expires: now + duration(&request),
        invoice: None,
        credited: Decimal::ZERO,
        started: false,
        refund: None,
    };
    world.subscriptions.checkouts.push(checkout);
    Ok(ok(&world.subscriptions.checkouts.last().map(|checkout| views::checkout(world, checkout))))
}

/// A day, unless said.
fn duration(request: &Json) -> i64 {
    whole(request, "durationMinutes").filter(|minutes| *minutes > 0).map_or(DAY, |minutes| minutes * 60_000)
}

/// The payer goes on: an invoice, or at once what costs nothing.
fn go_on(world: &mut World, call: &Call, id: &str) -> Result<(), Reply> {
    let now = world.now();
    let email = call.param("email").map(str::to_owned);
    let open = |world: &World, invoice: &String| {
        world.invoice(invoice).is_some_and(|invoice| !matches!(invoice.status, Status::Expired | Status::Invalid))
    };
    let Some(checkout) = world.subscriptions.checkout(id) else { return Ok(()) };
    if now >= checkout.expires {
        return Err(error(404, "checkout-plan-expired", "The checkout plan is expired"));
    }
    if email.as_deref().is_some_and(|email| !looks_like_an_address(email)) {
        return Err(invalid(&[("email", "Invalid email")]));
    }
    if checkout.invoice.as_ref().is_some_and(|invoice| open(world, invoice)) {
        return Ok(());
    }
    let unknown = checkout.new_subscriber && checkout.email.is_none();
    if unknown && email.is_none() {
        return Err(invalid(&[("email", "You need to pass `email` as query string")]));
    }
    let all = &world.subscriptions;
    let offering = all.plan(&checkout.plan).and_then(|plan| all.offering(&plan.offering));
    let usual = offering.and_then(|offering| offering.redirect.clone());
    let usual = usual.unwrap_or_else(|| format!("{}/plan-checkout/default-redirect", checkout.base));
    if let Some(checkout) = world.subscriptions.checkout_mut(id) {
        if unknown {
            checkout.email = email;
        }
        checkout.redirect.get_or_insert(usual);
    }
    let Some(price) = due(world, id) else { return Ok(()) };
    if price > Decimal::ZERO {
        let invoice = bill(world, id, price).map_err(|message| error(400, "invoice-creation-error", &message))?;
        world.subscriptions.invoices.insert(invoice.clone(), id.to_owned());
        if let Some(checkout) = world.subscriptions.checkout_mut(id) {
            checkout.invoice = Some(invoice);
        }
    } else {
        proceed(world, id);
    }
    Ok(())
}

/// `a@b` passes.
fn looks_like_an_address(email: &str) -> bool {
    let parts = email.split_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
        && !email.contains(char::is_whitespace)
}

/// What is to pay: the price less credit (or more debt), less what a hard migration gives back. Nothing for a trial.
fn due(world: &World, id: &str) -> Option<Decimal> {
    let all = &world.subscriptions;
    let checkout = all.checkout(id)?;
    let plan = all.plan(&checkout.plan)?;
    if checkout.trial {
        return Some(Decimal::ZERO);
    }
    let subscriber = checkout.subscriber.and_then(|number| all.subscriber(number));
    let credit = subscriber.map_or(Decimal::ZERO, |subscriber| {
        all.plan(&subscriber.plan).map_or(Decimal::ZERO, |own| subscriber.credit(&own.currency))
    });
    let mut price = checkout.purchase.unwrap_or(plan.price - credit);
    if checkout.on_pay == OnPay::HardMigration
        && let Some(subscriber) = subscriber
    {
        price -= round(subscriber.unused(world.now()), &plan.currency);
    }
    Some(price.max(Decimal::ZERO))
}

/// Makes the invoice: the store's settings, the shop's metadata, and who it is for.
fn bill(world: &mut World, id: &str, price: Decimal) -> Result<String, String> {
    let (all, gone) = (&world.subscriptions, || "the checkout is gone".to_owned());
    let checkout = all.checkout(id).ok_or_else(gone)?;
    let plan = all.plan(&checkout.plan).ok_or_else(gone)?;
    let mut metadata = checkout.invoice_metadata.clone();
    let customer = checkout.subscriber.and_then(|number| all.customer(&all.subscriber(number)?.customer));
    let email = customer.map(|customer| customer.email.clone()).or_else(|| checkout.email.clone());
    if checkout.new_subscriber {
        metadata["planId"] = plan.id.clone().into();
        metadata["offeringId"] = plan.offering.clone().into();
    }
    if let Some(email) = email
        && metadata.get("buyerEmail").is_none()
    {
        metadata["buyerEmail"] = email.into();
    }
    let creation = json!({
        "amount": price.to_string(), "currency": plan.currency, "metadata": metadata,
        "checkout": {"redirectURL": checkout.redirect_with_id(), "redirectAutomatically": true},
    });
    invoice_api::make(world, &creation, None)
}

/// Answers under `/subscriber-portal`.
pub fn portal(world: &mut World, call: &Call, id: Option<&str>) -> Result<Reply, Reply> {
    match (call.method.as_str(), id) {
        ("GET", Some(id)) => {
            let found = world.subscriptions.portals.iter().find(|session| session.id == id);
            let missing = || error(404, "portal-session-not-found", "The portal session was not found");
            Ok(ok(&views::portal(world, found.ok_or_else(missing)?)))
        }
        ("POST", None) => {
            let request = call.document()?.value;
            let required =
                [("storeId", "StoreId", "StoreId is required"), ("offeringId", "OfferingId", "OfferingId is required")];
            let absent = required.iter().filter(|(name, ..)| text(&request, name).is_none());
            let mut problems: Vec<(&str, &str)> = absent.map(|(_, path, message)| (*path, *message)).collect();
            // Whom it is for is demanded without a word.
            let named_by = text(&request, "customerSelector").filter(|selector| !selector.is_empty());
            let selector = named_by.as_deref().map(Selector::parse);
            if matches!(selector, Some(None)) {
                problems.push(("CustomerSelector", FORMATS));
            }
            let Some(selector) = selector.flatten().filter(|_| problems.is_empty()) else {
                return Err(invalid(&problems));
            };
            let store = text(&request, "storeId").unwrap_or_default();
            authorise(world, call, keys::MANAGE_SUBSCRIBERS, Some(&store))
                .map_err(|_| forbidden(keys::MANAGE_SUBSCRIBERS))?;
            let offering = text(&request, "offeringId").unwrap_or_default();
            let found = world.subscriptions.select(&offering, &selector).ok_or_else(no_subscriber)?;
            let session = PortalSession {
                id: named("ps"),
                subscriber: found.number,
                base: call.base.clone(),
                expires: world.now() + duration(&request),
            };
            let answer = ok(&views::portal(world, &session));
            world.subscriptions.portals.push(session);
            Ok(answer)
        }
        _ => Ok(nothing(call)),
    }
}
