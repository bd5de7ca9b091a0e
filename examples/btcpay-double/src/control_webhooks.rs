//! The part of `/fake/…` that is about webhooks and deliveries.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    app::App,
    client, ids,
    version::NO_TEST_BUTTON,
    views,
    webhook::{self, Outcome, Webhook},
    webhook_api,
    world::{Attempt, World, real_now},
};

pub fn add_webhook(app: &Arc<App>, body: &Value) -> Result<Value, String> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let events = match body.get("events") {
        None | Some(Value::Null) if body.get("specific") == Some(&Value::Null) => {
            let everything = body.get("everything").and_then(Value::as_bool).unwrap_or(false);
            json!({"everything": everything, "specificEvents": null})
        }
        None | Some(Value::Null) => json!({"everything": true}),
        Some(events) => json!({"everything": false, "specificEvents": events}),
    };
    let webhook = Webhook {
        id: ids::fresh(),
        url: text("url").ok_or("\"url\": expected a URL")?,
        secret: text("secret").unwrap_or_else(|| ids::hex(&ids::random::<16>())),
        enabled: true,
        automatic_redelivery: body.get("automaticRedelivery").and_then(Value::as_bool).unwrap_or(true),
        events: serde_json::from_value(events).map_err(|err| err.to_string())?,
    };
    let shown = views::webhook(&webhook, true);
    app.add_webhook(webhook);
    Ok(shown)
}

/// Deletes those with this address.
pub fn delete_webhook(world: &mut World, body: &Value) -> Result<Value, String> {
    let url = body.get("url").and_then(Value::as_str).ok_or("\"url\": expected a URL")?;
    let ids: Vec<String> =
        world.webhooks().filter(|webhook| webhook.url == url).map(|webhook| webhook.id.clone()).collect();
    for id in &ids {
        world.remove_webhook(id);
    }
    Ok(json!({"deleted": ids}))
}

/// The webhook that `body` names, or the only one. Gives its id, url and secret.
fn pick_webhook(world: &World, body: &Value) -> Result<(String, String, String), String> {
    let wanted = body.get("webhook").and_then(Value::as_str);
    let webhook = world
        .webhooks()
        .find(|webhook| wanted.is_none_or(|wanted| webhook.id == wanted))
        .ok_or("there is no such webhook")?;
    Ok((webhook.id.clone(), webhook.url.clone(), webhook.secret.clone()))
}

pub async fn test_delivery(app: &App, body: &Value) -> Result<Value, String> {
    let kind = body.get("type").and_then(Value::as_str).unwrap_or("InvoiceSettled");
    let (target, bytes) = app.with(|world| {
        if world.version >= NO_TEST_BUTTON {
            return Err(format!(
                "version {} has no Test button; start with --version 2.2.0 or set it with /fake/version",
                world.version
            ));
        }
        let target = pick_webhook(world, body)?;
        let bytes = webhook::test_body(&target.0, &world.store.id, kind, world.now().div_euclid(1000));
        Ok((target, bytes))
    })?;
    send(app, target, kind, bytes).await
}

pub async fn raw_delivery(app: &App, body: &Value) -> Result<Value, String> {
    let (id, url, mut secret) = app.with(|world| pick_webhook(world, body))?;
    if let Some(other) = body.get("secret").and_then(Value::as_str) {
        secret = other.to_owned();
    }
    let bytes = body.get("body").and_then(Value::as_str).ok_or("\"body\": expected the bytes to send, as a string")?;
    send(app, (id, url, secret), "raw", bytes.as_bytes().to_vec()).await
}

/// Sends at once, past the queue and the delivery list.
async fn send(
    app: &App,
    (webhook, url, secret): (String, String, String),
    kind: &str,
    body: Vec<u8>,
) -> Result<Value, String> {
    let (at, version) = (real_now(), app.with(|world| world.version.to_string()));
    let (outcome, _): (Outcome, _) = client::post(&url, &secret, &version, body.clone()).await;
    Ok(app.with(|world| {
        let sent = world.now().div_euclid(1000);
        let (delivery, original) = (String::new(), String::new());
        let attempt = Attempt {
            delivery,
            original,
            webhook,
            url,
            raised: None,
            kind: kind.to_owned(),
            body,
            outcome,
            queued: sent,
            sent,
            at,
            listed: false,
            pruned: false,
        };
        let shown = webhook_api::shown(&attempt);
        world.attempts.push(attempt);
        shown
    }))
}

pub fn redeliver(world: &mut World, body: &Value) -> Result<Value, String> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let all = body.get("all").and_then(Value::as_bool) == Some(true);
    let wanted = |attempt: &&Attempt| {
        let about = attempt.raised.as_ref().map(|raised| raised.invoice.as_str());
        attempt.listed
            && text("delivery").is_none_or(|id| attempt.delivery == id)
            && text("invoice").is_none_or(|id| about == Some(id))
            && text("type").is_none_or(|kind| attempt.kind == kind)
    };
    let mut found: Vec<Attempt> = world.attempts.iter().filter(wanted).cloned().collect();
    if !all {
        found = found.pop().into_iter().collect();
    }
    if found.is_empty() {
        return Err("no delivery like this was attempted".into());
    }
    Ok(
        json!({"deliveries": found.iter().filter_map(|attempt| webhook_api::redeliver(world, attempt)).collect::<Vec<_>>()}),
    )
}
