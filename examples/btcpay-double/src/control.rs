//! `/fake/…`: the hands of the tests. `CONTROL.md` describes them.

use std::{sync::Arc, time::Duration};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{
    app::App,
    checkout, control_webhooks,
    http::{Call, Reply, error, html_error, ok},
    invoice::{Event, Invoice, Kind, Status},
    invoice_api,
    invoicing::PayRequest,
    jsonb::Jsonb,
    keys::ApiKey,
    money,
    payment::MethodId,
    settings::{Down, Switches, patched},
    subscriptions, views, webhook_api,
    world::{Attempt, World, no_invoice, real_now},
};

/// How long `/fake/wait` waits unless told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers a control call; `path` is what follows `/fake`.
pub async fn answer(app: &Arc<App>, call: &Call, path: &[&str]) -> Reply {
    let body = match call.json() {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let result = match (call.method.as_str(), path) {
        ("GET", ["wait"]) => wait(app, call).await,
        ("POST", ["clock"]) => clock(app, &body).await,
        ("POST", ["switches"]) => set_switches(app, &body),
        ("POST", ["switches", "reset"]) => {
            app.with(|world| world.switches = Switches::default());
            app.follow_switches();
            Ok(json!({}))
        }
        ("POST", ["btcpay"]) => btcpay(app, &body),
        ("POST", ["restart"]) => {
            app.restart();
            Ok(json!({}))
        }
        ("POST", ["webhooks"]) => control_webhooks::add_webhook(app, &body),
        ("POST", ["webhooks", "delete"]) => app.with(|world| control_webhooks::delete_webhook(world, &body)),
        ("POST", ["test-delivery"]) => control_webhooks::test_delivery(app, &body).await,
        ("POST", ["raw-delivery"]) => control_webhooks::raw_delivery(app, &body).await,
        ("GET", [what, rest @ ..]) => app.with(|world| look(world, call, what, rest)),
        ("DELETE", ["records"]) => app.with(|world| {
            world.calls.clear();
            world.attempts.clear();
            world.events.clear();
            Ok(json!({}))
        }),
        ("POST", [action]) => app.with(|world| act(world, call, action, &body)),
        _ => return html_error(404),
    };
    match result {
        Ok(value) => ok(&value),
        Err(message) => error(422, "fake", &message),
    }
}

fn look(world: &World, call: &Call, what: &str, rest: &[&str]) -> Result<Value, String> {
    let since: f64 = call.param("since").and_then(|since| since.parse().ok()).unwrap_or(0.0);
    match (what, rest) {
        ("state", []) => Ok(json!({
            "now": world.now() as f64 / 1000.0, "realNow": real_now(), "version": world.version.to_string(), "store": world.store, "switches": world.switches,
            "invoices": world.invoices.len(), "webhooks": world.webhooks().map(|webhook| views::webhook(webhook, true)).collect::<Vec<_>>(),
            "pending": world.pending, "held": world.held.len(), "calls": world.calls.len(), "attempts": world.attempts.len(),
        })),
        ("switches", []) => Ok(json!(world.switches)),
        ("invoices", []) => Ok(json!(world.invoices.iter().map(|invoice| summary(world, invoice)).collect::<Vec<_>>())),
        ("invoices", [id]) => {
            let invoice = world.invoice(id).ok_or_else(|| no_invoice(id))?;
            let mut value = json!(views::invoice(world, invoice, &call.base, true));
            value["payments"] = invoice.payments.iter().map(|payment| payment.json(invoice.zone)).collect();
            Ok(value)
        }
        ("calls", []) => {
            let wanted = |value: &str, name: &str| call.param(name).is_none_or(|wanted| value.contains(wanted));
            let calls: Vec<_> = world
                .calls
                .iter()
                .filter(|entry| entry.at >= since && wanted(&entry.method, "method") && wanted(&entry.path, "path"))
                .collect();
            let times: Vec<f64> = calls.iter().map(|entry| entry.at).collect();
            Ok(json!({"count": calls.len(), "maxPerSecond": most_in_a_second(times), "calls": calls}))
        }
        ("attempts", []) => {
            let wanted = |attempt: &&Attempt| {
                let invoice = attempt.raised.as_ref().map(|raised| raised.invoice.as_str());
                attempt.at >= since
                    && call.param("invoice").is_none_or(|wanted| invoice == Some(wanted))
                    && call.param("type").is_none_or(|wanted| attempt.kind == wanted)
            };
            let attempts: Vec<_> = world.attempts.iter().filter(wanted).map(webhook_api::shown).collect();
            Ok(json!({"count": attempts.len(), "attempts": attempts}))
        }
        ("events", []) => {
            let wanted = world
                .events
                .iter()
                .filter(|raised| call.param("invoice").is_none_or(|invoice| raised.invoice == invoice));
            let events: Vec<_> = wanted
                .map(|raised| {
                    let extra: serde_json::Map<String, Value> = raised.event.extra.iter().cloned().collect();
                    json!({"type": raised.event.kind, "invoice": raised.invoice, "timestamp": raised.timestamp, "extra": extra})
                })
                .collect();
            Ok(json!({"count": events.len(), "events": events}))
        }
        _ => Err(format!("there is nothing to look at under {}", call.path)),
    }
}

fn act(world: &mut World, call: &Call, action: &str, body: &Value) -> Result<Value, String> {
    match action {
        "pay" if body.get("destination").is_some() => {
            let text = |name: &str| body.get(name).and_then(Value::as_str);
            let destination = text("destination").ok_or("\"destination\": expected a BOLT11 or an address")?;
            let rbf = body.get("rbf").and_then(Value::as_bool).unwrap_or(true);
            let received = body.get("receivedDate").and_then(Value::as_i64);
            let amount = money::read(body.get("amount"))?;
            let outcome = world.pay_to(destination, amount, rbf, text("transaction"), received)?;
            Ok(json!({"outcome": outcome}))
        }
        "mine" => {
            let blocks = body.get("blocks").and_then(Value::as_u64).and_then(|blocks| u32::try_from(blocks).ok());
            world.mine(blocks.unwrap_or(1));
            Ok(json!({}))
        }
        "replace" if body.get("transaction").is_some() => {
            let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let pays = body.get("pays").and_then(Value::as_bool).unwrap_or(false);
            world.replace(&text("transaction"), &text("by"), pays)?;
            Ok(json!({}))
        }
        "lightning" => {
            let seconds = body.get("away").and_then(Value::as_f64).ok_or("\"away\": expected seconds")?;
            world.lightning_goes_away(seconds, body.get("looks").and_then(Value::as_f64));
            Ok(json!({}))
        }
        "explorer" => {
            world.explorer(read(body, "up")?);
            Ok(json!({}))
        }
        "method" => {
            let method = read_method(body.get("method").unwrap_or(&Value::Null))?;
            let enabled = body.get("enabled").and_then(Value::as_bool).unwrap_or(false);
            if body.get("wallet").and_then(Value::as_bool) == Some(false) {
                world.switches.methods.retain(|known| *known != method);
            } else {
                world.switches.disabled.retain(|known| *known != method);
                if !enabled {
                    world.switches.disabled.push(method);
                }
            }
            Ok(json!(world.switches))
        }
        "pay" => {
            let id = invoice_id(body)?;
            let request = PayRequest {
                method: body.get("method").map(read_method).transpose()?,
                amount: money::read(body.get("amount"))?,
                fraction: money::read(body.get("fraction"))?,
                rbf: body.get("rbf").and_then(Value::as_bool).unwrap_or(true),
                received: body.get("receivedDate").and_then(Value::as_i64),
                confirmed: body.get("confirmed").and_then(Value::as_bool).unwrap_or(false),
            };
            let seen = world.pay(id, &request)?;
            let mut value = shown(world, id)?;
            value["seen"] = seen.into();
            Ok(value)
        }
        "confirm" => {
            let blocks = body.get("blocks").and_then(Value::as_u64).and_then(|blocks| u32::try_from(blocks).ok());
            changed(world, body, |invoice, now| Ok(invoice.confirm(blocks, now)))
        }
        "replace" => changed(world, body, Invoice::replace),
        "expire" => changed(world, body, checkout::expire),
        "stop-monitoring" => changed(world, body, |invoice, now| {
            invoice.expires = invoice.expires.min(now);
            invoice.monitored = invoice.monitored.min(now);
            Ok(invoice.evaluate(now))
        }),
        "mark" => {
            let status: Status = read(body, "status")?;
            // The newest, unless named.
            let newest = world.invoices.last().map(|invoice| json!({"invoice": invoice.id}));
            let body = if body.get("invoice").is_some() { body } else { &newest.unwrap_or_default() };
            changed(world, body, |invoice, now| invoice.mark(status, now))
        }
        "store" => {
            world.store = patched(&world.store, body)?;
            Ok(json!(world.store))
        }
        "version" => {
            world.version =
                body.get("version").and_then(Value::as_str).ok_or("\"version\": expected a string")?.parse()?;
            Ok(json!({"version": world.version.to_string()}))
        }
        "keys" => set_key(world, body),
        "invoices" => foreign_invoice(world, call, body),
        "tamper" => tamper(world, body),
        "event" => {
            let id = invoice_id(body)?;
            let kind = body.get("type").and_then(Value::as_str).ok_or("\"type\": expected an event's name")?;
            world.invoice(id).ok_or_else(|| no_invoice(id))?;
            let extra: Vec<_> = body
                .get("extra")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            world.raise(id, vec![Event { kind: kind.to_owned(), sums: vec![], extra }]);
            Ok(json!({}))
        }
        "redeliver" => control_webhooks::redeliver(world, body),
        "release" => {
            world.switches.webhooks_held = false;
            let mut jobs = std::mem::take(&mut world.held);
            if body.get("reverse").and_then(Value::as_bool) == Some(true) {
                jobs.reverse();
            }
            let released = jobs.len();
            jobs.into_iter().for_each(|job| world.enqueue(job));
            Ok(json!({"released": released}))
        }
        "prune" => {
            let id = body.get("delivery").and_then(Value::as_str).ok_or("\"delivery\": expected a delivery's id")?;
            let found = world
                .attempts
                .iter_mut()
                .filter(|attempt| attempt.delivery == id)
                .map(|attempt| attempt.pruned = true)
                .count();
            Ok(json!({"pruned": found}))
        }
        _ => {
            let nobody = || Err(format!("there is no action {action}"));
            subscriptions::act(world, call, action, body).unwrap_or_else(nobody)
        }
    }
}

/// Stops BTCPay, or starts it: what was queued is lost, what was paid meanwhile is found.
fn btcpay(app: &Arc<App>, body: &Value) -> Result<Value, String> {
    match body.get("up").and_then(Value::as_bool) {
        Some(false) => {
            app.restart();
            app.with(|world| world.outages.btcpay = true);
        }
        Some(true) => {
            let took = body.get("took").and_then(Value::as_f64).unwrap_or_default();
            app.with(|world| world.btcpay_starts(took));
        }
        None => return Err("\"up\": expected true or false".into()),
    }
    Ok(json!({}))
}

/// Moves the clock by seconds, or to a moment; stops it, or lets it run.
async fn clock(app: &App, body: &Value) -> Result<Value, String> {
    let number = |name: &str| body.get(name).and_then(Value::as_f64).map(|seconds| (seconds * 1000.0) as i64);
    let (set, stopped) = (number("set"), body.get("stopped").and_then(Value::as_bool));
    if set.is_none() && stopped.is_none() && number("advance").is_none() && number("to").is_none() {
        return Err(
            "expected \"advance\": seconds, \"to\" or \"set\": UNIX seconds, or \"stopped\": true or false".into()
        );
    }
    app.with(|world| {
        let now = set.unwrap_or_else(|| world.now());
        match stopped {
            Some(true) => world.stopped_at = Some(now),
            Some(false) => world.stopped_at = None,
            None => {}
        }
        world.set_clock(now);
    });
    if let Some(target) = number("to").or_else(|| Some(app.with(|world| world.now()) + number("advance")?)) {
        app.move_clock(target).await;
    }
    Ok(json!({"now": app.with(|world| world.now()) as f64 / 1000.0}))
}

async fn wait(app: &App, call: &Call) -> Result<Value, String> {
    let patience = call.param("timeout").and_then(|text| text.parse().ok()).map_or(PATIENCE, Duration::from_secs_f64);
    let (idle, invoice, status) = (call.param("idle").is_some(), call.param("invoice"), call.param("status"));
    let quiet = call.param("quiet").is_some();
    let least = |name: &str| call.param(name).and_then(|count| count.parse::<usize>().ok());
    let (attempts, calls, kind) = (least("attempts"), least("calls"), call.param("type"));
    let condition = |world: &mut World| {
        let delivered = |attempt: &&Attempt| {
            let about = attempt.raised.as_ref().map(|raised| raised.invoice.as_str());
            kind.is_none_or(|kind| attempt.kind == kind) && invoice.is_none_or(|invoice| about == Some(invoice))
        };
        let status_reached = || {
            invoice
                .and_then(|id| world.invoice(id))
                .is_some_and(|invoice| status == Some(&format!("{:?}", invoice.status)))
        };
        let met = (!idle || world.pending == 0 && world.late.is_empty())
            && (!quiet || world.quiet())
            && attempts.is_none_or(|least| world.attempts.iter().filter(delivered).count() >= least)
            && calls.is_none_or(|least| world.calls.len() >= least)
            && (status.is_none() || status_reached());
        met.then(|| json!({"pending": world.pending, "attempts": world.attempts.len(), "calls": world.calls.len()}))
    };
    app.wait(patience, condition).await.ok_or_else(|| format!("not within {patience:?}: {}", call.raw_query))
}

fn set_switches(app: &App, body: &Value) -> Result<Value, String> {
    let refuse = app.has_control;
    let switches = app.with(|world| {
        let switches: Switches = patched(&world.switches, body)?;
        if switches.down == Some(Down::Refuse) && !refuse {
            return Err(
                "\"down\": \"refuse\" closes this listener; start with --control to have another one for /fake"
                    .to_owned(),
            );
        }
        world.switches = switches;
        Ok(json!(world.switches))
    })?;
    app.follow_switches();
    Ok(switches)
}

fn set_key(world: &mut World, body: &Value) -> Result<Value, String> {
    let key = body.get("key").and_then(Value::as_str).ok_or("\"key\": expected the API key")?;
    world.keys.retain(|known| known.key != key);
    if body.get("permissions") != Some(&Value::Null) {
        let label = body.get("label").and_then(Value::as_str).unwrap_or("recorded").to_owned();
        world.keys.push(ApiKey { key: key.to_owned(), label, permissions: read(body, "permissions")? });
    }
    Ok(json!({"keys": world.keys.len()}))
}

/// An invoice that somebody else makes: the creation request itself, with `store` for another store's.
fn foreign_invoice(world: &mut World, call: &Call, body: &Value) -> Result<Value, String> {
    let mut one = body.clone();
    let copies = one.as_object_mut().and_then(|members| members.remove("copies"));
    for _ in 1..copies.as_ref().and_then(Value::as_u64).unwrap_or(1) {
        foreign_invoice(world, call, &one)?;
    }
    let id = invoice_api::make(world, &one, one.get("store").and_then(Value::as_str))?;
    let invoice = world.invoice(&id).ok_or_else(|| no_invoice(&id))?;
    Ok(json!(views::invoice(world, invoice, &call.base, false)))
}

/// Changes what is stored, without an event.
fn tamper(world: &mut World, body: &Value) -> Result<Value, String> {
    let id = invoice_id(body)?;
    let zone = world.switches.host_zone.clone();
    let invoice = world.invoice_mut(id).ok_or_else(|| no_invoice(id))?;
    if let Some(metadata) = body.get("metadata") {
        invoice.metadata = Jsonb::store(&metadata.into(), &zone)?;
    }
    if let Some(amount) = money::read(body.get("amount"))? {
        invoice.amount = amount;
    }
    if let Some(currency) = body.get("currency").and_then(Value::as_str) {
        invoice.currency = currency.to_owned();
    }
    if let Some(store) = body.get("store").and_then(Value::as_str) {
        invoice.store = store.to_owned();
    }
    if body.get("type").is_some() {
        invoice.kind = read::<Kind>(body, "type")?;
    }
    if body.get("status").is_some() {
        invoice.status = read(body, "status")?;
    }
    if body.get("additionalStatus").is_some() {
        invoice.additional = read(body, "additionalStatus")?;
    }
    if let Some(created) = body.get("createdTime").and_then(Value::as_i64) {
        invoice.created = created * 1000;
    }
    shown(world, id)
}

fn changed(
    world: &mut World,
    body: &Value,
    change: impl FnOnce(&mut Invoice, i64) -> Result<Vec<Event>, String>,
) -> Result<Value, String> {
    let id = invoice_id(body)?;
    world.change(id, change)?;
    shown(world, id)
}

fn shown(world: &World, id: &str) -> Result<Value, String> {
    world.invoice(id).map(|invoice| summary(world, invoice)).ok_or_else(|| no_invoice(id))
}

fn summary(world: &World, invoice: &Invoice) -> Value {
    let due = invoice.methods.first().map_or(Decimal::ZERO, |method| invoice.sums(method, world.network_fee()).due);
    json!({
        "id": invoice.id, "status": invoice.status, "additionalStatus": invoice.additional, "amount": invoice.amount.to_string(), "currency": invoice.currency,
        "paidAmount": money::text(invoice.paid()), "due": money::text(due), "expirationTime": invoice.expires.div_euclid(1000), "metadata": invoice.metadata,
    })
}

fn invoice_id(body: &Value) -> Result<&str, String> {
    body.get("invoice").and_then(Value::as_str).ok_or_else(|| "\"invoice\": expected an invoice id".into())
}

fn read_method(value: &Value) -> Result<MethodId, String> {
    value
        .as_str()
        .and_then(MethodId::parse)
        .ok_or_else(|| format!("\"method\": expected BTC-LN, BTC-CHAIN, BTC-LNURL or XMR-CHAIN, not {value}"))
}

fn read<T: serde::de::DeserializeOwned>(body: &Value, name: &str) -> Result<T, String> {
    serde_json::from_value(body.get(name).cloned().unwrap_or_default()).map_err(|err| format!("\"{name}\": {err}"))
}

/// The most of `times`, in ascending order or not, that fall into any one second.
fn most_in_a_second(mut times: Vec<f64>) -> usize {
    times.sort_by(f64::total_cmp);
    let (mut first, mut most) = (0, 0);
    for (last, time) in times.iter().enumerate() {
        while time - times[first] >= 1.0 {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_busiest_second() {
        assert_eq!(super::most_in_a_second(vec![0.0, 0.5, 0.99, 1.0, 1.4, 3.0]), 4);
        assert_eq!(super::most_in_a_second(vec![]), 0);
    }
}
