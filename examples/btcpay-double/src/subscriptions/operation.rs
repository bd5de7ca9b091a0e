//! What happens to subscribers, and the events of it: phases, renewals, credit, plans that start.
//!
//! One operation loads what it works on, changes it, raises its events, and counts the members of plans again only then: so all its
//! events show subscribers as they are in the end, and the counts from before.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Customer, Subscriptions,
    checkout::OnPay,
    loaded::Loaded,
    named,
    subscriber::{Phase, Subscriber},
    views,
};
use crate::{
    invoice::{Event, Invoice, Status},
    money,
    payment::{Payment, PaymentStatus},
    world::World,
};

/// What BTCPay calls the suspension of somebody whose payment was never confirmed.
const NEVER_CONFIRMED: &str = "The plan has been started by an invoice which later became invalid.";

/// An event about a subscriber, and the plans whose members it changes.
struct Happening {
    subscriber: u64,
    kind: &'static str,
    sums: Vec<(&'static str, Decimal)>,
    extra: Vec<(String, Value)>,
    plans: Vec<String>,
}

pub struct Operation {
    now: i64,
    loaded: Loaded,
    happened: Vec<Happening>,
}

impl Operation {
    pub fn begin(world: &World, loaded: Loaded) -> Self {
        Operation { now: world.now(), loaded, happened: vec![] }
    }

    fn note(&mut self, subscriber: u64, kind: &'static str, extra: &[(&str, Value)], plans: &[&str]) {
        self.happened.push(Happening {
            subscriber,
            kind,
            sums: vec![],
            extra: extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            plans: plans.iter().map(|plan| (*plan).to_owned()).collect(),
        });
    }

    fn note_sums(
        &mut self,
        subscriber: u64,
        kind: &'static str,
        sums: &[(&'static str, Decimal)],
        extra: &[(&str, Value)],
    ) {
        self.note(subscriber, kind, extra, &[]);
        if let Some(noted) = self.happened.last_mut() {
            noted.sums = sums.to_vec();
        }
    }

    /// Raises what happened, and counts members.
    pub fn end(self, world: &mut World) {
        let events: Vec<Event> = self
            .happened
            .iter()
            .filter_map(|happening| {
                let subscriber = world.subscriptions.subscriber(happening.subscriber)?;
                let shown = views::subscriber(world, subscriber, &self.loaded);
                let mut extra = happening.extra.clone();
                extra.push(("subscriber".to_owned(), shown));
                Some(Event { kind: happening.kind.to_owned(), sums: happening.sums.clone(), extra })
            })
            .collect();
        for event in events {
            world.raise_for_store(event, vec![]);
        }
        let mut counted: Vec<&str> = vec![];
        for plan in self.happened.iter().flat_map(|happening| &happening.plans) {
            if !counted.contains(&plan.as_str()) {
                counted.push(plan);
                world.subscriptions.count_members(plan);
            }
        }
    }

    /// Credits and charges at once. `None`: there is too little.
    pub fn credit(
        &mut self,
        all: &mut Subscriptions,
        number: u64,
        currency: &str,
        (credit, charge): (Decimal, Decimal),
        overdraft: bool,
    ) -> Option<Decimal> {
        let subscriber = all.subscriber_mut(number)?;
        if charge > Decimal::ZERO && subscriber.credit(currency) + credit < charge && !overdraft {
            return None;
        }
        let mut sum = subscriber.credit(currency);
        for (kind, amount, signed) in [("SubscriberCredited", credit, credit), ("SubscriberCharged", charge, -charge)] {
            if amount > Decimal::ZERO {
                sum = subscriber.add_credit(currency, signed);
                self.note_sums(number, kind, &[("total", sum), ("amount", amount)], &[("currency", currency.into())]);
            }
        }
        Some(sum)
    }

    /// Somebody becomes a subscriber by a checkout. `None`: he is one already.
    fn subscribe(&mut self, all: &mut Subscriptions, checkout: &str) -> Option<u64> {
        let found = all.checkout(checkout)?;
        let (plan, email, metadata) = (found.plan.clone(), found.email.clone()?, found.subscriber_metadata.clone());
        let offering = all.plan(&plan)?.offering.clone();
        let customer = match all.customers.iter().find(|customer| customer.email == email) {
            Some(customer) => customer.id.clone(),
            None => {
                all.customers.push(Customer { id: named("cust"), email, notified: None });
                all.customers.last()?.id.clone()
            }
        };
        if all.subscribers.iter().any(|known| known.customer == customer && known.offering == offering) {
            return None;
        }
        all.numbers += 1;
        let number = all.numbers;
        all.subscribers.push(Subscriber {
            number,
            customer,
            offering,
            plan: plan.clone(),
            scheduled: None,
            phase: Phase::Expired,
            created: self.now,
            started: self.now,
            period_end: None,
            trial_end: None,
            grace_end: None,
            reminder: None,
            reminded: false,
            paid: None,
            auto_renew: true,
            active: false,
            suspended: false,
            reason: None,
            metadata,
            processing: None,
            credits: vec![],
        });
        all.checkout_mut(checkout)?.subscriber = Some(number);
        self.note(number, "SubscriberCreated", &[], &[&plan]);
        Some(number)
    }

    /// Starts the checkout's plan, if its time has come and the credit suffices.
    fn start(&mut self, all: &mut Subscriptions, checkout: &str, number: u64) -> Option<()> {
        let found = all.checkout(checkout)?.clone();
        if found.started {
            return None;
        }
        let next = all.plan(&found.plan)?.clone();
        let subscriber = all.subscriber(number)?;
        let own = all.plan(&subscriber.plan)?.clone();
        let may = subscriber.may_start(&next, false, found.new_subscriber);
        let unused = round(subscriber.unused(self.now), &own.currency);
        let mut refund = None;
        if may {
            if !found.trial {
                self.credit(all, number, &next.currency, (Decimal::ZERO, next.price), false)?;
            }
        } else if found.on_pay == OnPay::HardMigration {
            // What is left of the present period is given back, and the other plan begins now.
            if !found.trial {
                self.credit(all, number, &next.currency, (unused, next.price), false)?;
            }
            refund = Some(unused);
        } else {
            return None;
        }
        let now = self.now;
        all.subscriber_mut(number)?.start(&own, &next, now, found.trial);
        let checkout = all.checkout_mut(checkout)?;
        checkout.started = true;
        checkout.refund = refund;
        self.note(number, "PlanStarted", &[("autoRenew", false.into())], &[&own.id, &next.id]);
        Some(())
    }

    /// Brings a subscriber's phase up to date with his dates: renews, lets wishes come true, reminds, disables.
    pub fn update(&mut self, all: &mut Subscriptions, number: u64) -> Option<()> {
        let subscriber = all.subscriber(number)?;
        let own = all.plan(&subscriber.plan)?.clone();
        let next = all.plan(subscriber.next_plan())?.clone();
        let mut phase = subscriber.expected(&own, self.now);
        let (before, was_active, renews) = (subscriber.phase, subscriber.active, subscriber.auto_renew);
        if phase != before && matches!(phase, Phase::Grace | Phase::Expired) {
            let may = renews && subscriber.may_start(&next, true, false);
            let wished = subscriber.scheduled.is_some();
            let price = (Decimal::ZERO, next.price);
            if may && self.credit(all, number, &next.currency, price, false).is_some() {
                phase = Phase::Normal;
                let now = self.now;
                all.subscriber_mut(number)?.start(&own, &next, now, false);
                let same = own.id == next.id;
                self.note(number, "PlanStarted", &[("autoRenew", same.into())], &[&own.id, &next.id]);
            } else if wished {
                // Paid or not, the plan changes.
                let subscriber = all.subscriber_mut(number)?;
                subscriber.plan.clone_from(&next.id);
                subscriber.scheduled = None;
                self.note(number, "PlanStarted", &[("autoRenew", false.into())], &[&own.id, &next.id]);
            } else if renews && !next.renewable {
                self.note(number, "SubscriberNeedUpgrade", &[], &[]);
            }
        }
        let subscriber = all.subscriber_mut(number)?;
        if phase == Phase::Expired {
            subscriber.paid = None;
        }
        if phase != before {
            subscriber.phase = phase;
            let plan = subscriber.plan.clone();
            let expires = (phase == Phase::Expired) != (before == Phase::Expired);
            let plans: &[&str] = if expires { &[&plan] } else { &[] };
            self.note(
                number,
                "SubscriberPhaseChanged",
                &[("previousPhase", json!(before)), ("currentPhase", json!(phase))],
                plans,
            );
        }
        let subscriber = all.subscriber_mut(number)?;
        let missing = next.price > subscriber.credit(&next.currency);
        if missing && !subscriber.reminded && subscriber.reminder.is_some_and(|moment| moment <= self.now) {
            subscriber.reminded = true;
            self.note(number, "PaymentReminder", &[], &[]);
        }
        let subscriber = all.subscriber_mut(number)?;
        let active = !subscriber.suspended && phase != Phase::Expired;
        if active != was_active {
            subscriber.active = active;
            let (plan, reason, suspended) = (subscriber.plan.clone(), subscriber.reason.clone(), subscriber.suspended);
            if active {
                self.note(number, "SubscriberActivated", &[], &[&plan]);
            } else {
                let why = if suspended { "Suspension" } else { "Expired" };
                let extra = [("reason", why.into()), ("suspensionReason", json!(reason))];
                self.note(number, "SubscriberDisabled", &extra, &[&plan]);
            }
        }
        Some(())
    }
}

impl Subscriptions {
    fn count_members(&mut self, id: &str) {
        let members = self.subscribers.iter().filter(|known| known.plan == id && known.active).count();
        if let Some(plan) = self.plan_mut(id) {
            plan.members = members;
        }
        self.write_plan(id);
    }
}

/// A checkout without anything to pay goes ahead: a trial, or a plan that the credit pays.
pub fn proceed(world: &mut World, checkout: &str) {
    let mut operation = Operation::begin(world, Loaded::checkout(&world.subscriptions, checkout));
    let mut all = std::mem::take(&mut world.subscriptions);
    let known = all.checkout(checkout).and_then(|checkout| checkout.subscriber);
    if let Some(number) = known.or_else(|| operation.subscribe(&mut all, checkout)) {
        operation.start(&mut all, checkout, number);
        operation.update(&mut all, number);
    }
    world.subscriptions = all;
    operation.end(world);
}

/// An invoice became `Processing` or `Settled`, or was marked: what that means for the checkout that it was made for.
pub fn invoice_changed(world: &mut World, invoice: &str) {
    let Some(checkout) = world.subscriptions.invoices.get(invoice).cloned() else { return };
    let Some(paid) = world.invoice(invoice) else { return };
    let (status, credited) = (paid.status, to_credit(paid));
    let mut operation = Operation::begin(world, Loaded::checkout(&world.subscriptions, &checkout));
    let mut all = std::mem::take(&mut world.subscriptions);
    pay(&mut operation, &mut all, &checkout, invoice, status, credited);
    world.subscriptions = all;
    operation.end(world);
}

fn pay(
    operation: &mut Operation,
    all: &mut Subscriptions,
    checkout: &str,
    invoice: &str,
    status: Status,
    credited: Decimal,
) -> Option<()> {
    let found = all.checkout(checkout)?;
    let (plan, before, started) = (all.plan(&found.plan)?.clone(), found.credited, found.started);
    let mut subscriber = found.subscriber;
    if let Some(number) = subscriber {
        all.subscriber_mut(number)?.processing = (status == Status::Processing).then(|| invoice.to_owned());
    }
    match status {
        Status::Processing if !plan.optimistic => return None,
        Status::Processing | Status::Settled => {
            if subscriber.is_none() {
                subscriber = operation.subscribe(all, checkout);
            }
            let (number, rest) = (subscriber?, credited - before);
            if rest > Decimal::ZERO {
                all.checkout_mut(checkout)?.credited = credited;
                operation.credit(all, number, &plan.currency, (rest, Decimal::ZERO), true);
                operation.start(all, checkout, number);
            } else if rest < Decimal::ZERO {
                all.checkout_mut(checkout)?.credited = credited;
                operation.credit(all, number, &plan.currency, (Decimal::ZERO, -rest), true);
            }
        }
        Status::Invalid if started && before > Decimal::ZERO => {
            let subscriber = all.subscriber_mut(subscriber?)?;
            subscriber.suspended = true;
            subscriber.reason = Some(NEVER_CONFIRMED.to_owned());
        }
        _ => return None,
    }
    operation.update(all, subscriber?)
}

/// What an invoice gives: all that was paid, more than its price as well; of a settled one what is confirmed.
fn to_credit(invoice: &Invoice) -> Decimal {
    let counts = |payment: &&Payment| match payment.status {
        PaymentStatus::Settled => true,
        PaymentStatus::Processing => invoice.status == Status::Processing,
        PaymentStatus::Invalid => false,
    };
    round(invoice.payments.iter().filter(counts).map(Payment::net).sum(), &invoice.currency)
}

/// To the currency's decimals, two where BTCPay knows none.
pub fn round(amount: Decimal, currency: &str) -> Decimal {
    let places = money::decimals(currency).unwrap_or(2);
    let mut rounded = amount.round_dp(places);
    rounded.rescale(places);
    rounded
}

/// The shop keeper gives credit back, by a pull payment that `url` shows. `None`: there is too little.
pub fn refund_credit(world: &mut World, number: u64, currency: &str, amount: Decimal, url: &str) -> Option<()> {
    let mut operation = Operation::begin(world, Loaded::alone(world.subscriptions.subscriber(number)?));
    operation.credit(&mut world.subscriptions, number, currency, (Decimal::ZERO, amount), false)?;
    let extra = [("currency", currency.into()), ("pullPaymentUrl", url.into())];
    operation.note_sums(number, "CreditRefunded", &[("amount", amount)], &extra);
    operation.end(world);
    Some(())
}
