//! What was there before a recording of subscriptions began: offerings and plans, as the recording first shows them.

use crate::{
    case::{Case, From, Sent},
    compare::Names,
    hands::{OWNER, object, text},
    json::Json,
    stage::Double,
};

/// An offering, and its plans in the order in which they were made.
struct Found {
    offering: Json,
    plans: Vec<Json>,
}

fn id(value: &Json) -> &str {
    value.get("id").and_then(Json::text).unwrap_or_default()
}

fn is(value: &Json, kind: &str) -> bool {
    id(value).starts_with(kind)
}

/// Collects offerings and plans, each as it is shown first.
fn collect(value: &Json, found: &mut Vec<Found>, loose: &mut Vec<Json>) {
    match value {
        Json::Object(members) => {
            if is(value, "offering_") && value.get("appName").is_some() {
                note(value, found);
            } else if is(value, "plan_") && value.get("price").is_some() {
                if !loose.iter().any(|known| id(known) == id(value)) {
                    loose.push(value.clone());
                }
                return;
            }
            members.iter().for_each(|(_, value)| collect(value, found, loose));
        }
        Json::List(items) => items.iter().for_each(|item| collect(item, found, loose)),
        _ => {}
    }
}

fn note(offering: &Json, found: &mut Vec<Found>) {
    let plans = match offering.get("plans") {
        Some(Json::List(plans)) => plans.clone(),
        _ => vec![],
    };
    match found.iter_mut().find(|known| id(&known.offering) == id(offering)) {
        None => found.push(Found { offering: offering.clone(), plans }),
        Some(known) => {
            for plan in plans {
                if !known.plans.iter().any(|other| id(other) == id(&plan)) {
                    known.plans.push(plan);
                }
            }
            // One that was loaded without features says nothing of them.
            if known.offering.get("features").is_none() {
                known.offering = offering.clone();
            }
        }
    }
}

/// Makes the offerings and plans that the case does not make itself, and learns what the double calls them.
pub async fn furnish(double: &Double, names: &mut Names, case: &Case) {
    let (mut found, mut loose) = (vec![], vec![]);
    for step in &case.steps {
        let answer = step.answer.as_ref().and_then(|answer| answer.body.clone());
        let body = match (&step.sent, step.from) {
            (Sent::Json(json), From::Btcpay) => Some(json.clone()),
            (Sent::Text(raw), From::Btcpay) => Json::parse_within(raw, 100).ok(),
            _ => answer,
        };
        collect(&body.unwrap_or(Json::Null), &mut found, &mut loose);
    }
    let made: Vec<&str> = case
        .steps
        .iter()
        .filter(|step| step.method == "POST" && (step.path.ends_with("/offerings") || step.path.ends_with("/plans")))
        .filter_map(|step| step.answer.as_ref()?.body.as_ref().map(id))
        .collect();
    for Found { offering, plans } in found.iter().filter(|found| !made.contains(&id(&found.offering))) {
        let path = format!("/api/v1/stores/{}/offerings", case.store);
        let ours = post(double, &path, offering).await;
        let path = format!("{path}/{}", id(&ours));
        names.learn(id(offering), id(&ours));
        // Plans lie in the order in which the recording meets them, which is that of their creation.
        for plan in plans.iter().filter(|plan| !made.contains(&id(plan))) {
            let first = loose.iter().find(|known| id(known) == id(plan)).unwrap_or(plan);
            let ours = post(double, &format!("{path}/plans"), first).await;
            names.learn(id(plan), id(&ours));
        }
    }
}

async fn post(double: &Double, path: &str, body: &Json) -> Json {
    let headers = [
        ("authorization".to_owned(), format!("token {OWNER}")),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let reply = double.call("POST", path, &headers, Some(body.compact().as_bytes())).await;
    let reply = reply.expect("the double answers");
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    Json::parse_within(&reply.text(), 100).expect("JSON")
}

/// What a person does on the pages of subscriptions; `None`: that is something else. `who`: of whom a hand spoke last.
pub async fn act(
    double: &Double,
    names: &Names,
    case: &Case,
    did: &str,
    who: &mut String,
) -> Option<Result<(), String>> {
    let plans = plan_names(case);
    let plan = |name: &str| plans.iter().find(|(known, _)| known == name).and_then(|(_, id)| names.known(id)).map(text);
    let (path, members) = if let Some(rest) = did.strip_prefix("the shop keeper, on the page, allows ") {
        let (from, to) = rest.split(',').next().and_then(|pair| pair.split_once(" → "))?;
        ("plan", vec![("plan", plan(from)?), ("offer", plan(to)?)])
    } else if let Some((subscriber, _)) = did.split_once(" turned auto renewal off") {
        subscriber.clone_into(who);
        ("subscriber", vec![("autoRenew", Json::Bool(false))])
    } else if let Some((subscriber, _)) = did.split_once(" chose the upgrade in the portal") {
        subscriber.clone_into(who);
        ("subscriber", vec![("planAtPeriodEnd", plan("Big pass")?)])
    } else if did == "and chose it again" {
        ("subscriber", vec![("planAtPeriodEnd", plan("Big pass")?)])
    } else if did == "and cancelled it" {
        ("subscriber", vec![("planAtPeriodEnd", Json::Null)])
    } else if did == "another e-mail for notifications" {
        // A later answer says which.
        let email = case.text.split_once("\"NotificationEmail\": \"").and_then(|(_, rest)| rest.split('"').next())?;
        ("subscriber", vec![("notificationEmail", text(email))])
    } else if let Some(rest) = did.strip_prefix("the shop keeper refunds ") {
        ("subscriber", vec![("refund", text(rest.split(' ').next()?))])
    } else {
        return None;
    };
    let mut members = members;
    if path == "subscriber" {
        members.push(("subscriber", text(who)));
    }
    Some(double.try_control(path, &object(&members)).await.map(drop))
}

/// The names of the plans that a case shows, and their ids there.
fn plan_names(case: &Case) -> Vec<(String, String)> {
    let (mut found, mut loose) = (vec![], vec![]);
    for step in &case.steps {
        if let Some(body) = step.answer.as_ref().and_then(|answer| answer.body.as_ref()) {
            collect(body, &mut found, &mut loose);
        }
    }
    let plans = found.iter().flat_map(|found| &found.plans).chain(&loose);
    plans.filter_map(|plan| Some((plan.get("name")?.text()?.to_owned(), id(plan).to_owned()))).collect()
}
