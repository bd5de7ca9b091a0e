//! Offerings and their plans over the API.

use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    named, no_plan,
    plan::{Plan, Recurring},
    views,
};
use crate::{
    greenfield::{authorise, nothing},
    http::{Call, Reply, invalid, missing_permission, ok},
    ids,
    json::{Document, Json},
    keys,
    reading::{amount, flag, object, text, whole},
    request,
    world::World,
};

/// What Newtonsoft calls the kinds of a period.
const RECURRING: &str = "System.Nullable`1[BTCPayServer.Client.Models.OfferingPlanModel+RecurringInterval]";

#[derive(Clone, Debug)]
pub struct Offering {
    pub id: String,
    pub app_id: String,
    pub app_name: String,
    pub redirect: Option<String>,
    /// Id and description.
    pub features: Vec<(String, Option<String>)>,
    pub metadata: Value,
}

pub fn answer(world: &mut World, call: &Call, store: &str, rest: &[&str]) -> Result<Reply, Reply> {
    let reads = call.method == "GET";
    let permission = if reads { keys::VIEW_OFFERINGS } else { keys::MODIFY_OFFERINGS };
    authorise(world, call, permission, Some(store))?;
    if let [offering, ..] = rest
        && world.subscriptions.offering(offering).is_none()
    {
        // As of whatever one may not see.
        return Err(missing_permission(permission));
    }
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let all = &world.subscriptions;
            Ok(ok(&all.offerings.iter().map(|offering| views::offering(all, store, offering)).collect::<Vec<_>>()))
        }
        ("POST", []) => change(world, call, store, None),
        ("GET", [id]) => Ok(show(world, store, id)),
        ("PUT", [id]) => change(world, call, store, Some(id)),
        ("POST", [offering, "plans"]) => {
            let id = create_plan(world, &call.document()?, offering)?;
            Ok(ok(&world.subscriptions.plan(&id).map(views::plan)))
        }
        ("GET" | "PUT", [offering, "plans", id]) => {
            let known = world.subscriptions.plan(id).filter(|plan| plan.offering == *offering);
            let mut plan = known.ok_or_else(no_plan)?.clone();
            if call.method == "PUT" {
                edit(world, &mut plan, &call.document()?)?;
                let id = plan.id.clone();
                if let Some(known) = world.subscriptions.plan_mut(&id) {
                    *known = plan;
                }
                world.subscriptions.write_plan(&id);
            }
            Ok(ok(&world.subscriptions.plan(id).map(views::plan)))
        }
        _ => Ok(nothing(call)),
    }
}

fn show(world: &World, store: &str, id: &str) -> Reply {
    let all = &world.subscriptions;
    ok(&all.offering(id).map(|offering| views::offering(all, store, offering)))
}

/// Makes an offering, or changes the members of one that are there.
fn change(world: &mut World, call: &Call, store: &str, id: Option<&str>) -> Result<Reply, Reply> {
    let request = call.document()?.value;
    let name = text(&request, "appName");
    let name = name.ok_or_else(|| invalid(&[("AppName", "AppName is required")]))?;
    let features = match request.member("features") {
        Some(Json::List(features)) => Some(features.as_slice()),
        _ => None,
    };
    let blank = |feature: &Json| text(feature, "id").is_none_or(|id| id.is_empty());
    if let Some(position) = features.and_then(|features| features.iter().position(blank)) {
        return Err(invalid(&[(&format!("Features[{position}].Id"), "Feature id is required")]));
    }
    let features: Option<Vec<(String, Option<String>)>> = features.map(|features| {
        let feature = |feature: &Json| (text(feature, "id").unwrap_or_default(), text(feature, "description"));
        features.iter().map(feature).collect()
    });
    let all = &mut world.subscriptions;
    let id = match id {
        Some(id) => id.to_owned(),
        None => {
            let id = named("offering");
            all.offerings.push(Offering {
                id: id.clone(),
                app_id: ids::label(),
                app_name: String::new(),
                redirect: None,
                features: vec![],
                metadata: Value::Object(serde_json::Map::new()),
            });
            id
        }
    };
    for offering in all.offerings.iter_mut().filter(|offering| offering.id == id) {
        offering.app_name.clone_from(&name);
        if let Some(url) = text(&request, "successRedirectUrl") {
            offering.redirect = Some(url);
        }
        if let Some(metadata) = object(&request, "metadata") {
            offering.metadata = metadata;
        }
        if let Some(features) = &features {
            offering.features.clone_from(features);
        }
    }
    if let Some(features) = features {
        for plan in all.plans.iter_mut().filter(|plan| plan.offering == id) {
            plan.features.retain(|feature| features.iter().any(|(known, _)| known == feature));
        }
    }
    Ok(show(world, store, &id))
}

fn create_plan(world: &mut World, document: &Document, offering: &str) -> Result<String, Reply> {
    let mut plan = Plan {
        id: named("plan"),
        offering: offering.to_owned(),
        name: text(&document.value, "name").unwrap_or_default(),
        price: Decimal::ZERO,
        currency: String::new(),
        recurring: Recurring::Monthly,
        grace_days: 0,
        trial_days: 0,
        description: Some(String::new()),
        members: 0,
        optimistic: false,
        features: vec![],
        renewable: true,
        metadata: Value::Object(serde_json::Map::new()),
        written: 0,
        changes: vec![],
    };
    edit(world, &mut plan, document)?;
    // The store's own currency, whatever was asked for.
    plan.currency.clone_from(&world.store.default_currency);
    let id = plan.id.clone();
    world.subscriptions.plans.push(plan);
    world.subscriptions.write_plan(&id);
    Ok(id)
}

/// Puts what the request has over the plan. Errors: 422 with every problem.
fn edit(world: &World, plan: &mut Plan, document: &Document) -> Result<(), Reply> {
    let request = &document.value;
    if let Some(kind) = request.member("recurringType").filter(|kind| **kind != Json::Null) {
        let known = |recurring: &&Recurring| {
            kind.text().is_some_and(|name| name.eq_ignore_ascii_case(&format!("{recurring:?}")))
                || *kind == Json::Number((**recurring as usize).to_string())
        };
        let found = Recurring::ALL.iter().find(known);
        plan.recurring = *found.ok_or_else(|| request::unconverted(document, "recurringType", kind, RECURRING))?;
    }
    let mut problems: Vec<(&str, String)> = vec![];
    if let Some(price) = amount(request, "price") {
        plan.price = price;
    }
    if plan.price < Decimal::ZERO {
        problems.push(("Price", "Price cannot be negative".into()));
    }
    if let Some(name) = text(request, "name") {
        plan.name = name;
    } else if plan.name.is_empty() {
        problems.push(("Name", "Name is required".into()));
    }
    if let Some(Json::List(features)) = request.member("features") {
        let offering = world.subscriptions.offering(&plan.offering);
        let known =
            |feature: &str| offering.is_some_and(|offering| offering.features.iter().any(|(id, _)| id == feature));
        let features: Vec<String> = features.iter().filter_map(|feature| feature.text().map(str::to_owned)).collect();
        match features.iter().find(|feature| !known(feature)) {
            Some(feature) => {
                problems.push(("Features", format!("A feature with id '{feature}' does not exist on the offering.")))
            }
            None => plan.features = features,
        }
    }
    if !problems.is_empty() {
        let problems: Vec<_> = problems.iter().map(|(path, message)| (*path, message.as_str())).collect();
        return Err(invalid(&problems));
    }
    if let Some(currency) = text(request, "currency") {
        plan.currency = currency;
    }
    if let Some(description) = text(request, "description") {
        plan.description = Some(description);
    }
    plan.grace_days = whole(request, "gracePeriodDays").unwrap_or(plan.grace_days);
    plan.trial_days = whole(request, "trialDays").unwrap_or(plan.trial_days);
    plan.optimistic = flag(request, "optimisticActivation").unwrap_or(plan.optimistic);
    plan.renewable = flag(request, "renewable").unwrap_or(plan.renewable);
    if let Some(metadata) = object(request, "metadata") {
        plan.metadata = metadata;
    }
    Ok(())
}
