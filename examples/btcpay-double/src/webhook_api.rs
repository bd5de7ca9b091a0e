//! Webhooks and their deliveries over the API.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    app::App,
    greenfield::authorise,
    http::{Call, Reply, empty, error, html_error, invalid, missing_permission, ok, raw},
    ids,
    json::Json,
    keys,
    version::SHORT_ROUTES,
    views,
    webhook::{AuthorizedEvents, Webhook},
    world::{Attempt, World},
};

/// The store's webhooks: list and create.
pub fn all(app: &Arc<App>, call: &Call, store: &str) -> Result<Reply, Reply> {
    app.with(|world| authorise(world, call, keys::WEBHOOKS, Some(store)))?;
    match call.method.as_str() {
        "GET" => Ok(app.with(|world| {
            ok(&world.listed_webhooks().into_iter().map(|webhook| views::webhook(webhook, false)).collect::<Vec<_>>())
        })),
        "POST" => {
            let webhook = read_request(call, ids::fresh(), ids::fresh)?;
            let answer = ok(&views::webhook(&webhook, true));
            app.add_webhook(webhook);
            Ok(answer)
        }
        _ => Ok(empty(405)),
    }
}

/// Whatever is left out becomes `true`, or everything: there is no partial change. `secret`: for when none is given.
fn read_request(call: &Call, id: String, secret: impl FnOnce() -> String) -> Result<Webhook, Reply> {
    let document = call.webhook_document()?;
    let place = |path: &str| {
        let (line, position) = document.ends.get(path).copied().unwrap_or((1, 0));
        format!(" Path '{path}', line {line}, position {position}.")
    };
    let request = &document.value;
    let flag = |value: Option<&Json>, path: &str| match value {
        None => Ok(true),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(Json::Null) => {
            let message = format!("Error converting value {{null}} to type 'System.Boolean'.{}", place(path));
            Err(invalid(&[(path, &message)]))
        }
        Some(other) => {
            let shown = other.text().map_or_else(|| other.compact(), str::to_owned);
            Err(invalid(&[(path, &format!("Could not convert string to boolean: {shown}.{}", place(path)))]))
        }
    };
    let enabled = flag(request.member("enabled"), "enabled")?;
    let automatic_redelivery = flag(request.member("automaticRedelivery"), "automaticRedelivery")?;
    let events = match request.member("authorizedEvents") {
        None | Some(Json::Null) => AuthorizedEvents::default(),
        Some(events) => {
            let path = "authorizedEvents.specificEvents";
            let specific_events = match events.member("specificEvents") {
                None => Some(vec![]),
                Some(Json::Null) => None,
                Some(Json::List(names)) => Some(names.iter().filter_map(Json::text).map(str::to_owned).collect()),
                Some(other) => {
                    let shown = other.compact();
                    let message = format!("Error converting value {shown} to type 'System.String[]'.{}", place(path));
                    return Err(invalid(&[(path, &message)]));
                }
            };
            AuthorizedEvents {
                everything: flag(events.member("everything"), "authorizedEvents.everything")?,
                specific_events,
            }
        }
    };
    let url = request.member("url").and_then(Json::text).unwrap_or_default();
    // An absolute path is one to .NET, too: a file's.
    if !url.starts_with('/') && url::Url::parse(url).is_err() {
        return Err(invalid(&[("Url", "Invalid Url")]));
    }
    let given = request.member("secret").and_then(Json::text).filter(|secret| !secret.is_empty());
    let secret = given.map_or_else(secret, str::to_owned);
    Ok(Webhook { id, url: url.to_owned(), secret, enabled, automatic_redelivery, events })
}

/// Everything about one webhook.
pub fn one(world: &mut World, call: &Call, store: Option<&str>, id: &str, rest: &[&str]) -> Result<Reply, Reply> {
    let home = world.store.id.clone();
    authorise(world, call, keys::WEBHOOKS, Some(store.unwrap_or(&home)))?;
    let Some(webhook) = world.webhook(id) else {
        // Of one that was deleted BTCPay still knows the store.
        let known = world.version < SHORT_ROUTES || world.deleted_webhooks.iter().any(|deleted| deleted == id);
        return match rest {
            _ if !known => Err(missing_permission(keys::WEBHOOKS)),
            ["deliveries"] => Ok(ok(&[(); 0])),
            _ => Err(error(404, "webhook-not-found", "The webhook was not found")),
        };
    };
    match (call.method.as_str(), rest) {
        ("GET", []) => Ok(ok(&views::webhook(webhook, false))),
        ("PUT", []) => {
            let old = webhook.secret.clone();
            let new = read_request(call, id.to_owned(), || old)?;
            let answer = ok(&views::webhook(&new, false));
            if let Some(webhook) = world.webhook_mut(id) {
                *webhook = new;
            }
            Ok(answer)
        }
        ("DELETE", []) => {
            world.remove_webhook(id);
            world.deleted_webhooks.push(id.to_owned());
            Ok(empty(200))
        }
        ("GET", ["deliveries"]) => {
            let count = call.number("count")?.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
            let mut newest: Vec<&Attempt> =
                world.attempts.iter().rev().filter(|attempt| attempt.listed && attempt.webhook == id).collect();
            // By when they were queued; a repetition is queued when its time has come.
            newest.sort_by_key(|attempt| std::cmp::Reverse(attempt.queued));
            let newest = newest.into_iter().take(count);
            Ok(ok(&newest.map(|attempt| views::delivery(world, attempt)).collect::<Vec<_>>()))
        }
        (method, ["deliveries", delivery, rest @ ..]) => {
            let attempt = world
                .attempts
                .iter()
                .find(|attempt| attempt.listed && attempt.webhook == id && attempt.delivery == *delivery);
            let attempt =
                attempt.ok_or_else(|| error(404, "webhookdelivery-not-found", "The webhook delivery was not found"))?;
            match (method, rest) {
                ("GET", []) => Ok(ok(&views::delivery(world, attempt))),
                ("GET" | "POST", ["request" | "redeliver"]) if attempt.pruned => Err(error(
                    409,
                    "webhookdelivery-pruned",
                    "This webhook delivery has been pruned, so it can't be redelivered",
                )),
                ("GET", ["request"]) => Ok(raw(200, "application/json", attempt.body.clone())),
                ("POST", ["redeliver"]) => {
                    let attempt = attempt.clone();
                    let new = redeliver(world, &attempt).ok_or_else(|| html_error(500))?;
                    Ok(ok(&new))
                }
                _ => Ok(html_error(404)),
            }
        }
        _ => Ok(html_error(404)),
    }
}

/// Queues `attempt` once more, at the end. Gives the new delivery's id, or nothing where the webhook is gone.
pub fn redeliver(world: &mut World, attempt: &Attempt) -> Option<String> {
    let (webhook, raised) = (world.webhook(&attempt.webhook)?, attempt.raised.as_ref()?);
    let mut job = world.job(webhook, raised);
    job.original = Some(attempt.original.clone());
    let id = job.delivery.clone();
    world.enqueue(job);
    Some(id)
}

/// What the control API shows of an attempt.
pub fn shown(attempt: &Attempt) -> Value {
    let (status, error) = match &attempt.outcome {
        crate::webhook::Outcome::Answered(status) => (Some(*status), None),
        crate::webhook::Outcome::Failed(message) => (None, Some(message)),
    };
    let invoice = attempt.raised.as_ref().map(|raised| &raised.invoice);
    json!({
        "at": attempt.at, "webhook": attempt.webhook, "url": attempt.url, "delivery": attempt.delivery, "original": attempt.original,
        "redelivery": attempt.delivery != attempt.original, "type": attempt.kind, "invoice": invoice, "status": status, "error": error,
        "listed": attempt.listed, "body": String::from_utf8_lossy(&attempt.body),
    })
}
