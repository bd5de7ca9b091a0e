//! Subscriptions: offerings with their plans, checkouts of plans, subscribers with credit and phases, sessions of their portal.
//!
//! `plan` and `subscriber` are pure, `operation` is what happens to subscribers and which events come of it, the rest are the calls.

mod checkout;
mod hands;
mod loaded;
mod look;
mod members;
mod offerings;
mod operation;
mod plan;
mod selector;
mod subscriber;
mod views;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::{
    http::{Call, Reply, error},
    ids,
    world::World,
};

pub use {
    hands::act,
    look::{look, next_look},
    operation::invoice_changed,
};

use {
    checkout::{Checkout, PortalSession},
    offerings::Offering,
    plan::Plan,
    subscriber::Subscriber,
};

/// BTCPay looks so often, in milliseconds, for periods that have ended.
const LOOK_EVERY: i64 = 300_000;

/// All that there is, oldest first.
#[derive(Default)]
pub struct Subscriptions {
    offerings: Vec<Offering>,
    plans: Vec<Plan>,
    customers: Vec<Customer>,
    subscribers: Vec<Subscriber>,
    checkouts: Vec<Checkout>,
    portals: Vec<PortalSession>,
    /// Which checkout an invoice was made for.
    invoices: HashMap<String, String>,
    /// A moment at which BTCPay looks for periods that have ended, UNIX milliseconds; the others are whole intervals from it.
    looks_at: i64,
    /// When it looked last.
    looked: i64,
    /// Counts what was written, as a database that puts a changed row behind the others.
    written: u64,
    /// Counts subscribers.
    numbers: u64,
}

/// Somebody with an e-mail address, or with any word instead. He stays when his subscription is deleted.
struct Customer {
    id: String,
    email: String,
    /// Where his mails go instead.
    notified: Option<String>,
}

impl Subscriptions {
    /// Nothing yet; BTCPay looks from `looks_at` on, UNIX milliseconds.
    pub fn new(looks_at: i64) -> Self {
        Subscriptions { looks_at, ..Subscriptions::default() }
    }

    fn plan(&self, id: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == id)
    }

    fn plan_mut(&mut self, id: &str) -> Option<&mut Plan> {
        self.plans.iter_mut().find(|plan| plan.id == id)
    }

    fn offering(&self, id: &str) -> Option<&Offering> {
        self.offerings.iter().find(|offering| offering.id == id)
    }

    fn subscriber(&self, number: u64) -> Option<&Subscriber> {
        self.subscribers.iter().find(|subscriber| subscriber.number == number)
    }

    fn subscriber_mut(&mut self, number: u64) -> Option<&mut Subscriber> {
        self.subscribers.iter_mut().find(|subscriber| subscriber.number == number)
    }

    fn checkout(&self, id: &str) -> Option<&Checkout> {
        self.checkouts.iter().find(|checkout| checkout.id == id)
    }

    fn checkout_mut(&mut self, id: &str) -> Option<&mut Checkout> {
        self.checkouts.iter_mut().find(|checkout| checkout.id == id)
    }

    fn customer(&self, id: &str) -> Option<&Customer> {
        self.customers.iter().find(|customer| customer.id == id)
    }

    /// Puts a plan behind the others, where an offering's plans are not asked for in any order.
    fn write_plan(&mut self, id: &str) {
        self.written += 1;
        let written = self.written;
        if let Some(plan) = self.plan_mut(id) {
            plan.written = written;
        }
    }
}

/// Answers under `/stores/{store}/offerings`.
pub fn offerings(world: &mut World, call: &Call, store: &str, rest: &[&str]) -> Result<Reply, Reply> {
    match rest {
        [offering, "subscribers", selector, rest @ ..] => members::answer(world, call, store, offering, selector, rest),
        _ => offerings::answer(world, call, store, rest),
    }
}

/// Answers under `/plan-checkout` and `/subscriber-portal`.
pub fn sessions(world: &mut World, call: &Call, path: &[&str]) -> Result<Reply, Reply> {
    match path {
        ["plan-checkout", rest @ ..] => checkout::plan_checkout(world, call, rest),
        _ => checkout::portal(world, call, path.get(1).copied()),
    }
}

/// What a route takes, as `Allow` says it.
pub fn verbs(path: &[&str]) -> Option<&'static str> {
    match path {
        ["stores", _, "offerings"] => Some("GET, POST"),
        ["stores", _, "offerings", _] => Some("GET, PUT"),
        ["stores", _, "offerings", _, "plans"] | ["plan-checkout" | "subscriber-portal"] => Some("POST"),
        ["stores", _, "offerings", _, "plans", _] => Some("GET, PUT"),
        ["stores", _, "offerings", _, "subscribers", _] => Some("DELETE, GET"),
        ["stores", _, "offerings", _, "subscribers", _, "dates"] => Some("PUT"),
        ["stores", _, "offerings", _, "subscribers", _, "suspend" | "unsuspend"] => Some("POST"),
        ["stores", _, "offerings", _, "subscribers", _, "credits", _] | ["plan-checkout", _] => Some("GET, POST"),
        ["subscriber-portal", _] => Some("GET"),
        _ => None,
    }
}

fn no_plan() -> Reply {
    error(404, "plan-not-found", "The plan was not found")
}

fn no_subscriber() -> Reply {
    error(404, "subscriber-not-found", "The subscriber was not found")
}

/// `plan_gasKtgcmk33c94dVB`
fn named(kind: &str) -> String {
    let random = ids::fresh();
    format!("{kind}_{}", &random[..random.len().min(18)])
}
