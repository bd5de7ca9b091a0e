//! Payouts: what somebody claims of a pull payment, until it is paid.

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};

use super::{PullPayment, destination, sender};
use crate::{
    greenfield::{authorise, nothing},
    http::{Call, Reply, empty, error, invalid, missing_permission, ok},
    ids,
    invoice::Event,
    keys,
    reading::{amount, text, whole},
    world::World,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    AwaitingApproval,
    AwaitingPayment,
    InProgress,
    Completed,
    Cancelled,
}

#[derive(Clone, Debug)]
pub struct Payout {
    pub id: String,
    pub pull_payment: String,
    pub destination: String,
    pub method: &'static str,
    /// In the pull payment's currency.
    pub original: Decimal,
    pub currency: String,
    /// Bitcoin, once it is approved.
    pub amount: Option<Decimal>,
    pub state: State,
    pub revision: i64,
    /// The transaction that pays it.
    pub transaction: Option<String>,
    /// UNIX milliseconds.
    pub date: i64,
}

fn shown(payout: &Payout) -> Value {
    let proof = payout.transaction.as_ref().map(|transaction| {
        json!({
            "Accounted": true, "ProofType": "PayoutTransactionOnChainBlob", "Candidates": [transaction],
            "TransactionId": transaction,
        })
    });
    json!({
        "date": payout.date.div_euclid(1000), "id": payout.id, "pullPaymentId": payout.pull_payment,
        "destination": payout.destination, "payoutMethodId": payout.method, "originalAmount": payout.original.to_string(),
        "originalCurrency": payout.currency, "payoutCurrency": "BTC", "payoutAmount": payout.amount.map(|amount| amount.to_string()),
        "state": payout.state, "revision": payout.revision, "paymentProof": proof, "metadata": {},
    })
}

/// Raises a payout's event: it has no invoice, and its own members come last.
pub fn raise(world: &mut World, payout: &str, kind: &str) {
    let Some(found) = world.refunds.payouts.iter().find(|known| known.id == payout) else { return };
    let own = [
        ("payoutId", Value::from(found.id.clone())),
        ("pullPaymentId", Value::from(found.pull_payment.clone())),
        ("payoutState", json!(found.state)),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    world.raise_for_store(Event::new(kind, &[]), own);
}

/// Claims of one pull payment: seen and made without a key.
pub fn of_pull_payment(world: &mut World, call: &Call, of: &PullPayment) -> Result<Reply, Reply> {
    match call.method.as_str() {
        "GET" => {
            let own = world.refunds.payouts.iter().filter(|payout| payout.pull_payment == of.id);
            Ok(ok(&own.map(shown).collect::<Vec<_>>()))
        }
        "POST" => claim(world, call, of),
        _ => Ok(nothing(call)),
    }
}

fn claim(world: &mut World, call: &Call, of: &PullPayment) -> Result<Reply, Reply> {
    let request = call.document()?.value;
    let known = text(&request, "payoutMethodId")
        .and_then(|method| ["BTC-CHAIN", "BTC-LN"].into_iter().find(|id| *id == method));
    let method = known.ok_or_else(|| invalid(&[("PayoutMethodId", "Invalid payment method")]))?;
    if !of.methods.contains(&method) {
        let message = "This payment method is not supported by the pull payment";
        return Err(error(400, "payment-method-not-supported", message));
    }
    let destination = text(&request, "destination").unwrap_or_default();
    destination::check(&destination, method, of.bolt11_days)
        .map_err(|message| invalid(&[("Destination", &message)]))?;
    let now = world.now();
    if of.archived {
        return Err(error(400, "archived", "This pull payment has been archived"));
    }
    if of.expires.is_some_and(|end| end <= now) {
        return Err(error(400, "expired", "This pull payment has expired"));
    }
    if of.starts > now {
        return Err(error(400, "not-started", "This pull payment has not started yet"));
    }
    let left = world.refunds.left(of);
    let original = amount(&request, "amount").unwrap_or(left);
    let live = |payout: &&Payout| payout.state != State::Cancelled;
    if world.refunds.payouts.iter().filter(live).any(|payout| payout.destination == destination) {
        return Err(error(400, "duplicate-destination", "This address is already used for another payout"));
    }
    if original > left || original <= Decimal::ZERO {
        return Err(error(400, "overdraft", "The payout amount overdraft the pull payment's limit"));
    }
    let payout = Payout {
        id: ids::label(),
        pull_payment: of.id.clone(),
        destination,
        method,
        original,
        currency: of.currency.clone(),
        amount: None,
        state: State::AwaitingApproval,
        revision: 0,
        transaction: None,
        date: now,
    };
    let id = payout.id.clone();
    world.refunds.payouts.push(payout);
    raise(world, &id, "PayoutCreated");
    if of.auto_approve {
        approve(world, &id, None)?;
    }
    show(world, &id)
}

fn show(world: &World, id: &str) -> Result<Reply, Reply> {
    let found = world.refunds.payouts.iter().find(|payout| payout.id == id);
    found.map(|payout| ok(&shown(payout))).ok_or_else(missing)
}

fn missing() -> Reply {
    error(404, "payout-not-found", "The payout was not found")
}

fn wrong_state() -> Reply {
    error(400, "invalid-state", "The payout is not in a state that can be marked with the specified state")
}

/// `revision`: which one the approval is for, where somebody says so.
fn approve(world: &mut World, id: &str, revision: Option<i64>) -> Result<(), Reply> {
    let found = world.refunds.payouts.iter().find(|payout| payout.id == id).ok_or_else(missing)?;
    if found.state != State::AwaitingApproval {
        return Err(wrong_state());
    }
    if revision.is_some_and(|revision| revision != found.revision) {
        return Err(error(400, "old-revision", "The crypto amount is too small."));
    }
    let unavailable = || error(400, "rate-unavailable", "Rate unavailable");
    let rate = world.rate(&found.currency).ok_or_else(unavailable)?;
    let amount = (found.original / rate).round_dp(8).normalize();
    for payout in world.refunds.payouts.iter_mut().filter(|payout| payout.id == id) {
        payout.amount = Some(amount);
        payout.state = State::AwaitingPayment;
    }
    raise(world, id, "PayoutApproved");
    sender::approved(world);
    Ok(())
}

fn set(world: &mut World, id: &str, state: State, allowed: &[State]) -> Result<Reply, Reply> {
    let found = world.refunds.payouts.iter_mut().find(|payout| payout.id == id).ok_or_else(missing)?;
    if !allowed.contains(&found.state) {
        return Err(wrong_state());
    }
    found.state = state;
    raise(world, id, "PayoutUpdated");
    Ok(empty(200))
}

/// Answers under `/payouts`, with a store before it or without.
pub fn answer(world: &mut World, call: &Call, store: Option<&str>, rest: &[&str]) -> Result<Reply, Reply> {
    let reads = call.method == "GET";
    let permission = if reads { keys::VIEW_PAYOUTS } else { keys::MANAGE_PAYOUTS };
    let home = world.store.id.clone();
    authorise(world, call, permission, Some(store.unwrap_or(&home)))?;
    if let [id, ..] = rest
        && !world.refunds.payouts.iter().any(|payout| payout.id == *id)
    {
        return Err(missing_permission(permission));
    }
    match (call.method.as_str(), rest) {
        ("GET", []) if store.is_some() => {
            let cancelled = call.param("includeCancelled").is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
            let listed = world.refunds.payouts.iter().filter(|payout| cancelled || payout.state != State::Cancelled);
            let mut listed: Vec<&Payout> = listed.collect();
            listed.sort_by_key(|payout| payout.id.to_lowercase());
            Ok(ok(&listed.into_iter().map(shown).collect::<Vec<_>>()))
        }
        ("GET", [id]) => show(world, id),
        ("POST", [id]) => {
            let revision = whole(&call.document()?.value, "revision");
            let revision = revision.ok_or_else(|| invalid(&[("Revision", "The `revision` property is required")]))?;
            approve(world, id, Some(revision))?;
            show(world, id)
        }
        ("POST", [id, "mark-paid"]) => set(world, id, State::Completed, &[State::AwaitingPayment, State::InProgress]),
        ("DELETE", [id]) => set(world, id, State::Cancelled, &[State::AwaitingApproval, State::AwaitingPayment]),
        _ => Ok(nothing(call)),
    }
}
