//! Webhooks and their deliveries over the API.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    app::App,
    greenfield::authorise,
    http::{Call, Reply, empty, error, html_error, invalid, missing_permission, ok, raw},
    ids, keys,
    version::SHORT_ROUTES,
    views,
    webhook::{AuthorizedEvents, Webhook},
    world::{Attempt, World},
};

/// The store's webhooks: list and create.
pub fn all(app: &Arc<App>, call: &Call, store: &str) -> Result<Reply, Reply> {
    app.with(|world| authorise(world, call, keys::WEBHOOKS, Some(store)))?;
    match call.method.as_str() {
        "GET" => {
            Ok(app
                .with(|world| ok(&world.webhooks().map(|webhook| views::webhook(webhook, false)).collect::<Vec<_>>())))
        }
        "POST" => {
            let webhook = read_request(&call.json()?, ids::fresh(), || ids::hex(&ids::random::<16>()))?;
            let answer = ok(&views::webhook(&webhook, true));
            app.add_webhook(webhook);
            Ok(answer)
        }
        _ => Ok(empty(405)),
    }
}

/// Whatever is left out becomes `true`, or everything: there is no partial change. `secret`: for when none is given.
fn read_request(request: &Value, id: String, secret: impl FnOnce() -> String) -> Result<Webhook, Reply> {
    let url = request.get("url").and_then(Value::as_str).unwrap_or_default();
    if url::Url::parse(url).is_err() {
        return Err(invalid(&[("Url", "Url is required and must be absolute")]));
    }
    let flag = |name: &str| match request.get(name) {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(invalid(&[(name, "expected true or false")])),
    };
    let events = match request.get("authorizedEvents") {
        None | Some(Value::Null) => AuthorizedEvents::default(),
        Some(events) => {
            serde_json::from_value(events.clone()).map_err(|err| invalid(&[("authorizedEvents", &err.to_string())]))?
        }
    };
    let given = request.get("secret").and_then(Value::as_str).filter(|secret| !secret.is_empty());
    Ok(Webhook {
        id,
        url: url.to_owned(),
        secret: given.map_or_else(secret, str::to_owned),
        enabled: flag("enabled")?,
        automatic_redelivery: flag("automaticRedelivery")?,
        events,
    })
}

/// Everything about one webhook.
pub fn one(world: &mut World, call: &Call, store: Option<&str>, id: &str, rest: &[&str]) -> Result<Reply, Reply> {
    let home = world.store.id.clone();
    authorise(world, call, keys::WEBHOOKS, Some(store.unwrap_or(&home)))?;
    let Some(webhook) = world.webhook(id) else {
        return Err(match world.version >= SHORT_ROUTES {
            true => missing_permission(keys::WEBHOOKS),
            false => error(404, "webhook-not-found", "The webhook was not found"),
        });
    };
    match (call.method.as_str(), rest) {
        ("GET", []) => Ok(ok(&views::webhook(webhook, false))),
        ("PUT", []) => {
            let old = webhook.secret.clone();
            let new = read_request(&call.json()?, id.to_owned(), || old)?;
            let answer = ok(&views::webhook(&new, false));
            if let Some(webhook) = world.webhook_mut(id) {
                *webhook = new;
            }
            Ok(answer)
        }
        ("DELETE", []) => {
            world.remove_webhook(id);
            Ok(empty(200))
        }
        ("GET", ["deliveries"]) => {
            let count = call.number("count")?.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
            let newest =
                world.attempts.iter().rev().filter(|attempt| attempt.listed && attempt.webhook == id).take(count);
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
