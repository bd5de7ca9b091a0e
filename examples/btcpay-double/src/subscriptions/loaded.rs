//! How much of an offering BTCPay has at hand where it shows a subscriber: its answers and events differ by that.

use super::{Subscriptions, plan::Plan, subscriber::Subscriber};

/// Which plans of the offering an operation has loaded, and in which order they are shown.
#[derive(Clone, Default)]
pub struct Loaded {
    pub plans: Vec<String>,
    /// The offering's features are loaded, too.
    pub features: bool,
}

impl Loaded {
    pub fn add(&mut self, plan: &str) {
        if !self.plans.iter().any(|known| known == plan) {
            self.plans.push(plan.to_owned());
        }
    }

    /// A subscriber that is asked for by a selector.
    pub fn alone(subscriber: &Subscriber) -> Loaded {
        let mut loaded = Loaded { plans: vec![], features: subscriber.scheduled.is_some() };
        loaded.add(subscriber.next_plan());
        loaded.add(&subscriber.plan);
        loaded
    }

    /// All plans of the offering behind `first`, as they lie in the database.
    pub fn whole(all: &Subscriptions, offering: &str, first: &[&str]) -> Loaded {
        let mut loaded = Loaded { plans: vec![], features: true };
        first.iter().for_each(|plan| loaded.add(plan));
        let mut rest: Vec<&Plan> = all.plans.iter().filter(|plan| plan.offering == offering).collect();
        rest.sort_by_key(|plan| plan.written);
        rest.iter().for_each(|plan| loaded.add(&plan.id));
        loaded
    }

    pub fn checkout(all: &Subscriptions, id: &str) -> Loaded {
        let Some(checkout) = all.checkout(id) else { return Loaded::default() };
        let subscriber = checkout.subscriber.and_then(|number| all.subscriber(number));
        let mut first = vec![checkout.plan.as_str()];
        if let Some(subscriber) = subscriber {
            first.extend([subscriber.plan.as_str(), subscriber.next_plan()]);
        }
        let offering = all.plan(&checkout.plan).map_or("", |plan| plan.offering.as_str());
        Loaded::whole(all, offering, &first)
    }
}
