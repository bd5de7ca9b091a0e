//! Invoices over the API: create, list, read, mark.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    app::App,
    greenfield::authorise,
    http::{Call, Reply, empty, error, generic_error, html_error, invalid, missing_permission, ok},
    invoice::{Checkout, Invoice, Status},
    invoicing::{NewInvoice, PayRequest},
    jsonb::Jsonb,
    keys, money,
    payment::{MethodId, SpeedPolicy},
    settings::StoreSettings,
    version::{METHODS_IN_INVOICE, METHODS_IN_LIST, SHORT_ROUTES},
    views,
    world::World,
};

/// How long a creation waits for the deliveries of what `pay_on_create` paid.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(5);

pub async fn create(app: &Arc<App>, call: &Call, store: &str) -> Result<Reply, Reply> {
    let (id, delay, pay) = app.with(|world| {
        authorise(world, call, keys::CREATE_INVOICE, Some(store))?;
        let new = read_request(&call.json()?, &world.store, store)?;
        let id = world.create(new).map_err(|message| generic_error(&message))?;
        let pay = world.switches.pay_on_create;
        if pay.is_some() {
            let request = PayRequest { method: pay, confirmed: true, ..PayRequest::default() };
            world.pay(&id, &request).map_err(|message| generic_error(&message))?;
        }
        Ok((id, world.switches.create_delay_ms, pay.is_some()))
    })?;
    if pay {
        // Given up after a while: a receiver may be busy with this very creation.
        app.wait(DELIVERY_PATIENCE, |world| (world.pending == 0).then_some(())).await;
    }
    if delay > 0 {
        sleep(Duration::from_millis(delay)).await;
    }
    app.with(|world| {
        let invoice = world.invoice(&id).ok_or_else(|| html_error(500))?;
        let data = views::invoice(world, invoice, &call.base, false);
        match world.switches.answer_create.is_empty() {
            true => Ok(ok(&data)),
            false => Ok(ok(&views::distorted(&data, &world.switches.answer_create))),
        }
    })
}

/// Fills a creation up with the store's settings. Also used for invoices that others make.
///
/// Errors: 422 with every problem, or the 500 of a database that refuses the metadata.
pub fn read_request(request: &Value, settings: &StoreSettings, store: &str) -> Result<NewInvoice, Reply> {
    let mut problems: Vec<(String, String)> = vec![];
    let mut note = |path: &str, message: &str| problems.push((path.to_owned(), message.to_owned()));

    let amount = money::read(request.get("amount")).unwrap_or_else(|message| {
        note("amount", &message);
        None
    });
    if amount.is_some_and(|amount| amount.is_sign_negative() && !amount.is_zero()) {
        note("Amount", "The amount should be 0 or more.");
    }
    let currency = match request.get("currency") {
        None | Some(Value::Null) => settings.default_currency.clone(),
        Some(Value::String(currency)) if currency.is_empty() => settings.default_currency.clone(),
        Some(Value::String(currency)) => currency.trim().to_uppercase(),
        Some(_) => {
            note("currency", "expected a string");
            String::new()
        }
    };
    let metadata = match request.get("metadata") {
        None | Some(Value::Null) => json!({}),
        Some(metadata @ Value::Object(_)) => metadata.clone(),
        Some(_) => {
            note("metadata", "expected an object");
            json!({})
        }
    };

    let none = json!({});
    let checkout = request.get("checkout").filter(|checkout| checkout.is_object()).unwrap_or(&none);
    let mut minutes = |name: &str, path: &str, least: i64, default: i64| match checkout.get(name) {
        None | Some(Value::Null) => default,
        Some(value) => match value.as_i64() {
            Some(minutes) if minutes >= least => minutes,
            Some(_) => {
                note(path, "Expiration time must be at least one minute.");
                default
            }
            None => {
                note(&format!("checkout.{name}"), "Invalid timespan, expected a whole number of minutes");
                default
            }
        },
    };
    let expiration_minutes =
        minutes("expirationMinutes", "Checkout.ExpirationMinutes", 1, settings.invoice_expiration / 60);
    let monitoring_minutes =
        minutes("monitoringMinutes", "Checkout.MonitoringMinutes", 0, settings.monitoring_expiration / 60);
    let tolerance = match checkout.get("paymentTolerance") {
        None | Some(Value::Null) => settings.payment_tolerance,
        Some(value) => value.as_f64().filter(|percent| (0.0..=100.0).contains(percent)).unwrap_or_else(|| {
            note("Checkout.PaymentTolerance", "PaymentTolerance can only be between 0 and 100 percent");
            0.0
        }),
    };
    let speed_policy = match checkout.get("speedPolicy") {
        None | Some(Value::Null) => settings.speed_policy,
        Some(value) => serde_json::from_value::<SpeedPolicy>(value.clone()).unwrap_or_else(|_| {
            note("checkout.speedPolicy", "expected HighSpeed, MediumSpeed, LowMediumSpeed or LowSpeed");
            settings.speed_policy
        }),
    };
    let methods = match checkout.get("paymentMethods") {
        None | Some(Value::Null) => None,
        Some(Value::Array(names)) => {
            let known = names.iter().enumerate().filter_map(|(position, name)| {
                let method = name.as_str().and_then(MethodId::parse);
                if method.is_none() {
                    note(&format!("Checkout.PaymentMethods[{position}]"), "Invalid PaymentMethodId");
                }
                method
            });
            Some(known.collect())
        }
        Some(_) => {
            note("checkout.paymentMethods", "expected an array");
            None
        }
    };
    let mut text = |name: &str| match checkout.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            note(&format!("checkout.{name}"), "expected a string");
            None
        }
    };
    let (redirect_url, default_method, language) =
        (text("redirectURL"), text("defaultPaymentMethod"), text("defaultLanguage"));
    if redirect_url.as_ref().is_some_and(|url| !(url.starts_with("https://") || url.starts_with("http://"))) {
        note("Checkout.RedirectURL", "RedirectURL is not a valid URL");
    }
    let default_method = default_method.map(|name| {
        MethodId::parse(&name).map(|method| method.name().to_owned()).unwrap_or_else(|| {
            note("Checkout.DefaultPaymentMethod", "Invalid PaymentMethodId");
            name
        })
    });
    let mut flag = |name: &str, default: bool| match checkout.get(name) {
        None | Some(Value::Null) => default,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => {
            note(&format!("checkout.{name}"), "expected true or false");
            default
        }
    };
    let redirect_automatically = flag("redirectAutomatically", settings.redirect_automatically);
    let lazy = flag("lazyPaymentMethods", settings.lazy_payment_methods);
    let receipt = request.get("receipt").filter(|receipt| receipt.is_object()).unwrap_or(&none);
    let shown = |name: &str| receipt.get(name).and_then(Value::as_bool).unwrap_or(true);
    let receipt =
        json!({"enabled": shown("enabled"), "showQR": shown("showQR"), "showPayments": shown("showPayments")});

    if !problems.is_empty() {
        let problems: Vec<_> = problems.iter().map(|(path, message)| (path.as_str(), message.as_str())).collect();
        return Err(invalid(&problems));
    }
    // Postgres refuses NUL; the caller sees the error page.
    let metadata = Jsonb::store(metadata).map_err(|_| html_error(500))?;
    let checkout = Checkout {
        speed_policy,
        default_method,
        expiration_minutes,
        monitoring_minutes,
        tolerance,
        redirect_url,
        redirect_automatically,
        language,
    };
    Ok(NewInvoice { store: store.to_owned(), amount, currency, metadata, checkout, receipt, methods, lazy })
}

/// Newest first; no `take` is everything.
pub fn list(world: &World, call: &Call, store: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_INVOICES, Some(store))?;
    let (start, end) = (call.number("startDate")?, call.number("endDate")?);
    let (skip, take) = (call.number("skip")?.unwrap_or(0), call.number("take")?.unwrap_or(i64::MAX));
    let statuses: Vec<Status> = call
        .params("status")
        .map(parse_status)
        .collect::<Option<_>>()
        .ok_or_else(|| invalid(&[("status", "The value is not valid.")]))?;
    let orders: Vec<&str> = call.params("orderId").collect();
    let archived = call.param("includeArchived") == Some("true");
    let with_methods = call.param("includePaymentMethods") == Some("true") && world.version >= METHODS_IN_LIST;
    let text = call.param("textSearch").filter(|text| !text.is_empty());
    let wanted = |invoice: &&Invoice| {
        let created = invoice.created.div_euclid(1000);
        invoice.store == store
            && start.is_none_or(|start| created >= start)
            && end.is_none_or(|end| created <= end)
            && (statuses.is_empty() || statuses.contains(&invoice.status))
            && (orders.is_empty() || invoice.order_id().is_some_and(|order| orders.contains(&order)))
            && (archived || !invoice.archived)
            && text.is_none_or(|text| invoice.id == text || invoice.order_id() == Some(text))
    };
    let found = world.invoices.iter().rev().filter(wanted);
    let page = found.skip(usize::try_from(skip).unwrap_or(0)).take(usize::try_from(take).unwrap_or(usize::MAX));
    let data: Vec<_> = page.map(|invoice| views::invoice(world, invoice, &call.base, with_methods)).collect();
    match world.switches.answer_get.is_empty() {
        true => Ok(ok(&data)),
        false => {
            Ok(ok(&data.iter().map(|data| views::distorted(data, &world.switches.answer_get)).collect::<Vec<_>>()))
        }
    }
}

fn parse_status(text: &str) -> Option<Status> {
    serde_json::from_value(text.into()).ok()
}

/// Everything about one invoice. `store`: as the route names it; the short routes name none.
pub fn one(world: &mut World, call: &Call, store: Option<&str>, id: &str, rest: &[&str]) -> Result<Reply, Reply> {
    let permission = match (call.method.as_str(), rest) {
        ("GET", [] | ["payment-methods"]) | ("POST", ["payment-methods", _, "activate"]) => keys::VIEW_INVOICES,
        ("POST", ["status" | "unarchive"]) | ("PUT" | "DELETE", []) => keys::MODIFY_INVOICES,
        _ => return Ok(html_error(404)),
    };
    let home = world.store.id.clone();
    authorise(world, call, permission, Some(store.unwrap_or(&home)))?;
    let Some(invoice) = world.invoice(id).filter(|invoice| invoice.store == home) else {
        // Since 2.4.0 what does not exist is not told from what one may not see.
        let foreign = world.invoice(id).is_some();
        return Err(match foreign || world.version >= SHORT_ROUTES {
            true => missing_permission(permission),
            false => error(404, "invoice-not-found", "The invoice was not found"),
        });
    };
    match (call.method.as_str(), rest) {
        ("GET", ["payment-methods"]) => {
            let accounted = call.param("onlyAccountedPayments") != Some("false");
            Ok(ok(&views::payment_methods(world, invoice, &call.base, accounted)))
        }
        ("POST", ["payment-methods", method, "activate"]) => {
            let method =
                MethodId::parse(method).ok_or_else(|| invalid(&[("paymentMethodId", "Invalid PaymentMethodId")]))?;
            world.activate(id, method);
            Ok(empty(200))
        }
        ("POST", ["status"]) => {
            let request = call.json()?;
            let status = request.get("status").and_then(Value::as_str).and_then(parse_status);
            let status = status.filter(|status| matches!(status, Status::Settled | Status::Invalid));
            let status = status.ok_or_else(|| invalid(&[("status", "expected Settled or Invalid")]))?;
            world
                .change(id, |invoice, now| invoice.mark(status, now))
                .map_err(|message| invalid(&[("Status", &message)]))?;
            show(world, call, id)
        }
        ("PUT", []) => {
            let request = call.json()?;
            let metadata = request.get("metadata").filter(|metadata| metadata.is_object());
            if let Some(metadata) = metadata {
                let metadata = Jsonb::store(metadata.clone()).map_err(|_| html_error(500))?;
                edit(world, id, |invoice| invoice.metadata = metadata);
            }
            show(world, call, id)
        }
        ("DELETE", []) => {
            edit(world, id, |invoice| invoice.archived = true);
            Ok(empty(200))
        }
        ("POST", ["unarchive"]) => {
            edit(world, id, |invoice| invoice.archived = false);
            show(world, call, id)
        }
        _ => show(world, call, id),
    }
}

fn edit(world: &mut World, id: &str, change: impl FnOnce(&mut Invoice)) {
    if let Some(invoice) = world.invoice_mut(id) {
        change(invoice);
    }
}

fn show(world: &World, call: &Call, id: &str) -> Result<Reply, Reply> {
    let invoice = world.invoice(id).ok_or_else(|| html_error(500))?;
    let with_methods = call.param("includePaymentMethods") == Some("true") && world.version >= METHODS_IN_INVOICE;
    let data = views::invoice(world, invoice, &call.base, with_methods);
    match world.switches.answer_get.is_empty() {
        true => Ok(ok(&data)),
        false => Ok(ok(&views::distorted(&data, &world.switches.answer_get))),
    }
}
