//! The automated sender: pays approved on-chain payouts out of the store's hot wallet, all in one transaction.

use serde_json::json;

use super::payouts::{State, raise};
use crate::{
    greenfield::{authorise, nothing},
    http::{Call, Reply, error, ok},
    ids, keys,
    reading::{amount, flag, number, whole},
    world::World,
};

#[derive(Clone, Debug)]
pub struct Sender {
    /// Milliseconds.
    pub interval: i64,
    /// Also as soon as a payout is approved.
    pub instantly: bool,
    /// When it sends next, UNIX milliseconds.
    pub next: i64,
}

pub fn answer(world: &mut World, call: &Call, store: Option<&str>, rest: &[&str]) -> Result<Reply, Reply> {
    let (method, ["OnChainAutomatedPayoutSenderFactory", id]) = (call.method.as_str(), rest) else {
        return Ok(nothing(call));
    };
    authorise(world, call, keys::MODIFY_STORE, store)?;
    if *id != "BTC-CHAIN" {
        return Err(error(404, "processor-not-found", "The payout processor was not found"));
    }
    if method != "PUT" {
        return Ok(nothing(call));
    }
    let request = call.document()?.value;
    let whole = |name: &str, usual: i64| whole(&request, name).unwrap_or(usual);
    let (interval, target) = (whole("intervalSeconds", 3600), whole("feeBlockTarget", 1));
    let threshold = amount(&request, "threshold").unwrap_or_default();
    let instantly = flag(&request, "processNewPayoutsInstantly").unwrap_or_default();
    world.refunds.sender = Some(Sender { interval: interval * 1000, instantly, next: world.now() });
    send(world);
    Ok(ok(&json!({
        "payoutMethodId": id, "intervalSeconds": interval, "feeBlockTarget": target, "threshold": number(threshold),
        "processNewPayoutsInstantly": instantly,
    })))
}

/// A payout was approved.
pub fn approved(world: &mut World) {
    if world.refunds.sender.as_ref().is_some_and(|sender| sender.instantly) {
        send(world);
    }
}

/// Sends what waits for payment on-chain.
pub fn send(world: &mut World) {
    let now = world.now();
    let Some(sender) = &mut world.refunds.sender else { return };
    sender.next = now + sender.interval.max(1000);
    let transaction = ids::hex(&ids::random::<32>());
    let mut sent = vec![];
    for payout in &mut world.refunds.payouts {
        if payout.state == State::AwaitingPayment && payout.method == "BTC-CHAIN" {
            payout.state = State::InProgress;
            payout.transaction = Some(transaction.clone());
            sent.push(payout.id.clone());
        }
    }
    sent.iter().for_each(|payout| raise(world, payout, "PayoutUpdated"));
}

/// When the sender next has something to send, UNIX milliseconds.
pub fn next_sending(world: &World) -> Option<i64> {
    let waits = world
        .refunds
        .payouts
        .iter()
        .any(|payout| payout.state == State::AwaitingPayment && payout.method == "BTC-CHAIN");
    world.refunds.sender.as_ref().filter(|_| waits).map(|sender| sender.next)
}

/// A block confirms what was sent.
pub fn confirm(world: &mut World) {
    let mut paid = vec![];
    for payout in world.refunds.payouts.iter_mut().filter(|payout| payout.state == State::InProgress) {
        payout.state = State::Completed;
        paid.push(payout.id.clone());
    }
    paid.iter().for_each(|payout| raise(world, payout, "PayoutUpdated"));
}
