//! Invoices over the API: create, list, read, mark.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    app::App,
    greenfield::{authorise, nothing},
    http::{Call, Reply, empty, error, generic_error, invalid, missing_permission, ok},
    invoice::{Invoice, Status},
    invoicing::PayRequest,
    json::{Document, Json},
    jsonb::Jsonb,
    keys,
    payment::MethodId,
    request,
    version::{ANSWERS_BEFORE, METHODS_IN_INVOICE, METHODS_IN_LIST, SHORT_ROUTES, TOLERANT},
    views,
    world::World,
};

/// How long a creation waits for the deliveries of what `pay_on_create` paid.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(5);

pub async fn create(app: &Arc<App>, call: &Call, store: &str) -> Result<Reply, Reply> {
    let pace = |world: &mut World| Some(world.work.take(world.switches.create_pace?, Instant::now()));
    if let Some(turn) = app.with(pace) {
        sleep_until(turn).await;
    }
    let (id, delay, pay, first) = app.with(|world| {
        authorise(world, call, keys::CREATE_INVOICE, Some(store))?;
        let new = request::creation(&call.document()?, &world.store, store, &world.switches)?;
        if world.version < TOLERANT && new.blank_amount {
            return Err(invalid(&[("amount", "The supplied value is invalid."), request::REQUIRED]));
        }
        let id = world.create(new).map_err(|message| generic_error(&message))?;
        // What costs nothing is settled only after this.
        let first = shown(world, call, &id)?;
        world.evaluate(&id);
        let pay = world.switches.pay_on_create;
        if pay.is_some() {
            let request = PayRequest { method: pay, confirmed: true, ..PayRequest::default() };
            world.pay(&id, &request).map_err(|message| generic_error(&message))?;
        }
        Ok((id, world.switches.create_delay_ms, pay.is_some(), first))
    })?;
    if pay {
        // Given up after a while: a receiver may be busy with this very creation.
        app.wait(DELIVERY_PATIENCE, |world| (world.pending == 0).then_some(())).await;
    }
    if delay > 0 {
        sleep(Duration::from_millis(delay)).await;
    }
    let data = if pay || delay > 0 { app.with(|world| shown(world, call, &id))? } else { first };
    Ok(ok(&app.with(|world| views::distorted(&data, &world.switches.answer_create))))
}

/// An invoice that does not come by its route: the creation itself, for our store, or another. Errors say why there is none.
pub fn make(world: &mut World, creation: &Value, store: Option<&str>) -> Result<String, String> {
    let document = Document { value: Json::from(creation), ends: HashMap::new() };
    let store = store.unwrap_or(&world.store.id).to_owned();
    let new = request::creation(&document, &world.store, &store, &world.switches)
        .map_err(|reply| format!("BTCPay would answer {} to this creation", reply.status()))?;
    let id = world.create(new)?;
    world.evaluate(&id);
    Ok(id)
}

/// As the answer to its creation shows an invoice: metadata in the order in which they came.
fn shown(world: &World, call: &Call, id: &str) -> Result<views::InvoiceData, Reply> {
    let invoice = world.invoice(id).ok_or_else(|| empty(500))?;
    Ok(views::invoice(world, invoice, &call.base, false).with_metadata(invoice.metadata.first()))
}

/// Newest first; no `take` is everything.
pub fn list(world: &World, call: &Call, store: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::VIEW_INVOICES, Some(store))?;
    let (start, end) = (moment(call, "startDate")?, moment(call, "endDate")?);
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        return Err(invalid(&[
            ("endDate", "endDate should not be below startDate"),
            ("startDate", "startDate should not be above endDate"),
        ]));
    }
    let (skip, take) = (call.number("skip")?.unwrap_or(0), call.number("take")?.unwrap_or(i64::MAX));
    if skip < 0 || take < 0 || call.params("status").any(str::is_empty) {
        return Err(empty(500));
    }
    if let Some(flag) =
        call.param("includeArchived").filter(|flag| !["true", "false"].contains(&flag.to_ascii_lowercase().as_str()))
    {
        return Err(invalid(&[("includeArchived", &format!("The value '{flag}' is not valid."))]));
    }
    // An unknown name counts for nothing; one from before 2.0 is known, and no invoice has it.
    let old = |name: &&str| ["paid", "confirmed", "complete"].contains(name);
    let named = || call.params("status");
    let filter = named().any(|name| parse_status(name).is_some() || old(&name));
    let statuses: Vec<Status> = named().filter_map(parse_status).collect();
    let orders: Vec<&str> = call.params("orderId").collect();
    let archived = call.param("includeArchived") == Some("true");
    let with_methods = call.param("includePaymentMethods") == Some("true") && world.version >= METHODS_IN_LIST;
    let text = call.param("textSearch").filter(|text| !text.is_empty());
    let wanted = |invoice: &&Invoice| {
        let created = invoice.created.div_euclid(1000);
        invoice.store == store
            && start.is_none_or(|start| created >= start)
            && end.is_none_or(|end| created <= end)
            && (!filter || statuses.contains(&invoice.status))
            && (orders.is_empty() || invoice.order_id().is_some_and(|order| orders.contains(&order)))
            && (archived || !invoice.archived)
            && text.is_none_or(|text| invoice.id.starts_with(text) || invoice.order_id() == Some(text))
    };
    let found = world.invoices.iter().rev().filter(wanted);
    let page = found.skip(usize::try_from(skip).unwrap_or(0)).take(usize::try_from(take).unwrap_or(usize::MAX));
    let data: Vec<_> = page.map(|invoice| views::invoice(world, invoice, &call.base, with_methods)).collect();
    Ok(ok(&data.iter().map(|data| views::distorted(data, &world.switches.answer_get)).collect::<Vec<_>>()))
}

/// In any case of letters.
fn parse_status(text: &str) -> Option<Status> {
    const ALL: [Status; 5] = [Status::New, Status::Processing, Status::Settled, Status::Expired, Status::Invalid];
    ALL.into_iter().find(|status| format!("{status:?}").eq_ignore_ascii_case(text))
}

/// UNIX seconds in the query.
fn moment(call: &Call, name: &str) -> Result<Option<i64>, Reply> {
    let Some(text) = call.param(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| invalid(&[(name, "Invalid unix timestamp")]))
}

/// Everything about one invoice. `store`: as the route names it; the short routes name none.
pub fn one(world: &mut World, call: &Call, store: Option<&str>, id: &str, rest: &[&str]) -> Result<Reply, Reply> {
    let permission = match (call.method.as_str(), rest) {
        ("GET", [] | ["payment-methods"]) | ("POST", ["payment-methods", _, "activate"]) => keys::VIEW_INVOICES,
        ("POST", ["status" | "unarchive"]) | ("PUT" | "DELETE", []) => keys::MODIFY_INVOICES,
        _ => return Ok(nothing(call)),
    };
    let home = world.store.id.clone();
    if store.is_some_and(|store| world.switches.other_stores.iter().any(|other| other == store))
        && world.version < SHORT_ROUTES
    {
        return Err(error(404, "invoice-not-found", "The invoice was not found"));
    }
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
            let method = MethodId::parse(method).filter(|method| invoice.method(*method).is_some());
            world.activate(id, method.ok_or_else(|| empty(500))?);
            Ok(empty(200))
        }
        ("POST", ["status"]) => mark(world, call, id),
        ("PUT", []) => {
            let document = call.document()?;
            match document.value.member("metadata") {
                Some(metadata @ Json::Object(_)) => {
                    let metadata = Jsonb::store(metadata, &world.switches.host_zone).map_err(|_| empty(500))?;
                    edit(world, id, |invoice| invoice.metadata = metadata);
                }
                None | Some(Json::Null) if world.version < TOLERANT => return Err(empty(500)),
                None | Some(Json::Null) => {}
                Some(other) => return Err(request::no_metadata(&document, other)),
            }
            show(world, call, id)
        }
        ("DELETE", []) => {
            edit(world, id, |invoice| invoice.archived = true);
            Ok(empty(200))
        }
        ("POST", ["unarchive"]) if !invoice.archived => {
            Err(error(400, "already-unarchived", "Invoice is already unarchived"))
        }
        ("POST", ["unarchive"]) => {
            let before = show(world, call, id);
            edit(world, id, |invoice| invoice.archived = false);
            if world.version >= ANSWERS_BEFORE { before } else { show(world, call, id) }
        }
        _ => show(world, call, id),
    }
}

/// Marks an invoice. Since 2.3.6 the answer shows it as it was.
fn mark(world: &mut World, call: &Call, id: &str) -> Result<Reply, Reply> {
    let status = request::status(&call.document()?)?;
    let before = show(world, call, id);
    let refusal = "Status can only be marked to invalid or settled within certain conditions.";
    let wanted = parse_status(&status).filter(|status| matches!(status, Status::Settled | Status::Invalid));
    let wanted = wanted.ok_or_else(|| invalid(&[("Status", refusal)]))?;
    world.change(id, |invoice, now| invoice.mark(wanted, now)).map_err(|message| invalid(&[("Status", &message)]))?;
    if world.version >= ANSWERS_BEFORE { before } else { show(world, call, id) }
}

fn edit(world: &mut World, id: &str, change: impl FnOnce(&mut Invoice)) {
    if let Some(invoice) = world.invoice_mut(id) {
        change(invoice);
    }
}

fn show(world: &World, call: &Call, id: &str) -> Result<Reply, Reply> {
    let invoice = world.invoice(id).ok_or_else(|| empty(500))?;
    let with_methods = call.param("includePaymentMethods") == Some("true") && world.version >= METHODS_IN_INVOICE;
    let data = views::invoice(world, invoice, &call.base, with_methods);
    Ok(ok(&views::distorted(&data, &world.switches.answer_get)))
}
