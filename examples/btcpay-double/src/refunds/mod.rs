//! Refunds: pull payments, which somebody may claim, and the payouts that are claimed of them.

mod destination;
mod payouts;
mod pull_payments;
mod refund;
mod sender;

#[cfg(test)]
mod tests;

use rust_decimal::Decimal;

use crate::{
    http::{Call, Reply},
    world::World,
};

pub use {
    payouts::{Payout, State},
    pull_payments::{PullPayment, credit_refund},
    refund::answer as invoice_refund,
    sender::{Sender, confirm, next_sending, send},
};

/// All that there is, oldest first.
#[derive(Default)]
pub struct Refunds {
    pub pull_payments: Vec<PullPayment>,
    pub payouts: Vec<Payout>,
    /// Pays out on-chain by itself.
    pub sender: Option<Sender>,
}

impl Refunds {
    pub fn pull_payment(&self, id: &str) -> Option<&PullPayment> {
        self.pull_payments.iter().find(|known| known.id == id)
    }

    /// What is left of a pull payment.
    pub fn left(&self, pull_payment: &PullPayment) -> Decimal {
        let claimed = self.payouts.iter().filter(|payout| payout.pull_payment == pull_payment.id);
        let counted = claimed.filter(|payout| payout.state != State::Cancelled).map(|payout| payout.original);
        counted.fold(pull_payment.amount, |left, amount| left - amount)
    }
}

/// What BTCPay can pay out by: the wallets of the store.
pub fn payable(world: &World) -> Vec<&'static str> {
    use crate::payment::MethodId;
    let has = |method: &MethodId| world.switches.methods.contains(method);
    [MethodId::Chain, MethodId::Lightning].into_iter().filter(has).map(MethodId::name).collect()
}

/// Answers under `/stores/{store}/pull-payments`, `…/payouts`, `…/payout-processors`, and the short routes without a store.
pub fn answer(world: &mut World, call: &Call, store: Option<&str>, path: &[&str]) -> Result<Reply, Reply> {
    match path {
        ["payouts", rest @ ..] => payouts::answer(world, call, store, rest),
        ["payout-processors", rest @ ..] => sender::answer(world, call, store, rest),
        [_, rest @ ..] => pull_payments::answer(world, call, store, rest),
        [] => Err(crate::greenfield::nothing(call)),
    }
}
