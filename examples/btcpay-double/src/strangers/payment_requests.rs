//! Payment requests: a sum that is paid in as many invoices as the payer likes.

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    greenfield::{authorise, nothing},
    http::{Call, Reply, error, generic_error, invalid, ok},
    ids,
    invoice::{Event, Status},
    invoice_api, keys, money,
    reading::{amount, flag, number, text},
    views,
    world::World,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum State {
    Pending,
    /// Paid, and not confirmed.
    Processing,
    Completed,
}

#[derive(Clone, Debug)]
pub struct PaymentRequest {
    id: String,
    title: String,
    description: Option<String>,
    amount: Decimal,
    currency: String,
    /// The payer chooses how much he pays at once.
    custom: bool,
    /// UNIX milliseconds.
    created: i64,
    invoices: Vec<String>,
    state: State,
}

fn shown(request: &PaymentRequest, store: &str) -> Value {
    json!({
        "storeId": store, "amount": number(request.amount), "currency": request.currency, "expiryDate": null,
        "title": request.title, "description": request.description, "email": null, "referenceId": null,
        "allowCustomPaymentAmounts": request.custom, "status": request.state, "createdTime": request.created.div_euclid(1000),
        "id": request.id, "archived": false, "formId": null, "formResponse": null,
    })
}

pub fn answer(world: &mut World, call: &Call, store: Option<&str>, rest: &[&str]) -> Result<Reply, Reply> {
    let home = world.store.id.clone();
    let missing = || error(404, "payment-request-not-found", "The payment request was not found");
    let position = |world: &World, id: &str| world.strangers.requests.iter().position(|known| known.id == id);
    match (call.method.as_str(), rest) {
        ("POST", []) if store.is_some() => create(world, call, &home),
        ("GET", []) if store.is_some() => {
            authorise(world, call, keys::VIEW_PAYMENT_REQUESTS, store)?;
            Ok(ok(&world.strangers.requests.iter().map(|known| shown(known, &home)).collect::<Vec<_>>()))
        }
        ("GET", [id]) => {
            authorise(world, call, keys::VIEW_PAYMENT_REQUESTS, Some(store.unwrap_or(&home)))?;
            let position = position(world, id).ok_or_else(missing)?;
            Ok(ok(&shown(&world.strangers.requests[position], &home)))
        }
        ("POST", [id, "pay"]) => {
            let position = position(world, id).ok_or_else(missing)?;
            pay(world, call, position)
        }
        _ => Ok(nothing(call)),
    }
}

fn create(world: &mut World, call: &Call, store: &str) -> Result<Reply, Reply> {
    authorise(world, call, keys::MODIFY_PAYMENT_REQUESTS, Some(store))?;
    let request = call.document()?.value;
    let amount = amount(&request, "amount").unwrap_or_default();
    let title = text(&request, "title").unwrap_or_default();
    let mut problems = vec![];
    if amount <= Decimal::ZERO {
        problems.push(("Amount", "Please provide an amount greater than 0"));
    }
    if title.is_empty() {
        problems.push(("Title", "Title is required"));
    }
    if !problems.is_empty() {
        return Err(invalid(&problems));
    }
    let hex = ids::hex(&ids::random::<16>());
    let made = PaymentRequest {
        id: format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]),
        title,
        description: text(&request, "description"),
        amount,
        currency: text(&request, "currency").unwrap_or_else(|| world.store.default_currency.clone()),
        custom: flag(&request, "allowCustomPaymentAmounts").unwrap_or_default(),
        created: world.now(),
        invoices: vec![],
        state: State::Pending,
    };
    let answer = ok(&shown(&made, store));
    let (id, state) = (made.id.clone(), made.state);
    world.strangers.requests.push(made);
    raise(world, "PaymentRequestCreated", &id, state);
    Ok(answer)
}

fn raise(world: &mut World, kind: &str, id: &str, state: State) {
    let own = vec![("paymentRequestId".to_owned(), id.into()), ("status".to_owned(), json!(state))];
    world.raise_for_store(Event::new(kind, &[]), own);
}

/// What its invoices have brought; `confirmed`: without what is not settled.
fn paid(world: &World, request: &PaymentRequest, confirmed: bool) -> Decimal {
    let counts = |status: Status| status == Status::Settled || !confirmed && status == Status::Processing;
    let invoices = request.invoices.iter().filter_map(|id| world.invoice(id));
    invoices.filter(|invoice| counts(invoice.status)).map(|invoice| invoice.paid()).sum()
}

/// An invoice over the rest, or over what the payer chooses.
fn pay(world: &mut World, call: &Call, position: usize) -> Result<Reply, Reply> {
    let request = call.document()?.value;
    let known = world.strangers.requests[position].clone();
    let rest = money::at_most(known.amount - paid(world, &known, false), &known.currency);
    if rest <= Decimal::ZERO {
        return Err(generic_error("Payment Request has already been settled."));
    }
    let chosen = amount(&request, "amount").filter(|amount| *amount > Decimal::ZERO);
    let amount = chosen.filter(|_| known.custom).map_or(rest, |amount| amount.min(rest));
    let creation = json!({
        "amount": amount.to_string(), "currency": known.currency,
        "metadata": {"orderId": format!("PAY_REQUEST_{}", known.id), "paymentRequestId": known.id},
        "checkout": {"redirectURL": format!("{}/payment-requests/{}", call.base, known.id)},
        "receipt": {"enabled": false},
    });
    let id = invoice_api::make(world, &creation, None).map_err(|message| generic_error(&message))?;
    world.strangers.requests[position].invoices.push(id.clone());
    let invoice = world.invoice(&id).ok_or_else(|| crate::http::empty(500))?;
    Ok(ok(&views::invoice(world, invoice, &call.base, false).with_metadata(invoice.metadata.first())))
}

/// An invoice was paid or settled: perhaps one of a payment request.
pub fn invoice_changed(world: &mut World, invoice: &str) {
    let of = |request: &PaymentRequest| request.invoices.iter().any(|known| known == invoice);
    let Some(position) = world.strangers.requests.iter().position(of) else { return };
    let known = world.strangers.requests[position].clone();
    let state = match () {
        () if paid(world, &known, true) >= known.amount => State::Completed,
        () if paid(world, &known, false) >= known.amount => State::Processing,
        () => State::Pending,
    };
    if state == known.state {
        return;
    }
    world.strangers.requests[position].state = state;
    raise(world, "PaymentRequestStatusChanged", &known.id, state);
    if state == State::Completed {
        raise(world, "PaymentRequestCompleted", &known.id, state);
    }
}
