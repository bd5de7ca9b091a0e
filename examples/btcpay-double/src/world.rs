//! Everything that this BTCPay knows: invoices, webhooks with their queues, keys, and a record of what happened.
//!
//! All of it sits behind one lock; no method here waits for anything.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rust_decimal::Decimal;
use serde_json::Value;
use tokio::{sync::mpsc, task::AbortHandle};

use crate::{
    bolt11::Node,
    ids,
    invoice::{Event, Invoice},
    jsonb::Jsonb,
    keys::ApiKey,
    ledger::{NodeInvoice, Outages, Unnoticed},
    money,
    pace::Work,
    refunds::{self, Refunds},
    settings::{StoreSettings, Switches},
    strangers::{self, Strangers},
    subscriptions::{self, Subscriptions},
    version::{PAID_AMOUNT, TOLERANT, Version},
    webhook::{Outcome, Raised, Webhook},
};

pub struct World {
    pub version: Version,
    /// Factor on the waits between webhook attempts.
    pub time_scale: f64,
    /// How far this server's clock is ahead, in milliseconds.
    pub ahead: i64,
    /// UNIX milliseconds at which this server's clock stands still.
    pub stopped_at: Option<i64>,
    /// Those who sleep by this server's clock, by their number: when they wake up, and the webhook whose queue waits for that.
    pub sleepers: HashMap<u64, (i64, Option<String>)>,
    pub store: StoreSettings,
    pub switches: Switches,
    pub keys: Vec<ApiKey>,
    pub node: Node,
    /// Oldest first.
    pub invoices: Vec<Invoice>,
    pub calls: Vec<ApiCall>,
    pub attempts: Vec<Attempt>,
    pub events: Vec<Arc<Raised>>,
    pub held: Vec<Job>,
    pub node_invoices: Vec<NodeInvoice>,
    pub unnoticed: Vec<Unnoticed>,
    pub outages: Outages,
    pub deleted_webhooks: Vec<String>,
    /// When the BOLT11 of a half paid invoice is replaced, UNIX milliseconds, and the invoice.
    pub renewals: Vec<(i64, String)>,
    pub subscriptions: Subscriptions,
    pub refunds: Refunds,
    /// Events of a busy server: when they are raised, UNIX milliseconds, and for which invoice.
    pub late: Vec<(i64, String, Vec<Event>)>,
    pub strangers: Strangers,
    /// Deliveries queued, waiting or in retry.
    pub pending: usize,
    /// Creations under way, where the switches give them a pace.
    pub work: Work,
    hooks: Vec<Hook>,
    pub index: HashMap<String, usize>,
    pub deadlines: BTreeSet<(i64, usize)>,
    /// Counts restarts: a delivery from before one no longer counts as pending.
    generation: u64,
}

struct Hook {
    webhook: Webhook,
    queue: mpsc::UnboundedSender<Job>,
    worker: Option<AbortHandle>,
    /// Deliveries that are queued or under way.
    queued: usize,
}

/// A delivery on its way to one webhook.
#[derive(Clone, Debug)]
pub struct Job {
    pub webhook: String,
    /// Url and secret as they were when the event fired; retries use the current ones.
    pub url: String,
    pub secret: String,
    pub raised: Arc<Raised>,
    pub delivery: String,
    /// The first attempt's id, where this repeats an older delivery.
    pub original: Option<String>,
    /// This server's clock, UNIX seconds.
    pub queued: i64,
    pub generation: u64,
}

/// One attempt to deliver, as it went.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub delivery: String,
    pub original: String,
    pub webhook: String,
    pub url: String,
    pub raised: Option<Arc<Raised>>,
    pub kind: String,
    pub body: Vec<u8>,
    pub outcome: Outcome,
    /// UNIX seconds of this server's clock.
    pub queued: i64,
    pub sent: i64,
    /// Real UNIX seconds with fraction.
    pub at: f64,
    /// In BTCPay's delivery list; copies and test deliveries are not.
    pub listed: bool,
    pub pruned: bool,
}

/// An API call, for tests that count. Never holds the key.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ApiCall {
    /// Real UNIX seconds with fraction, when the call came in.
    pub at: f64,
    pub method: String,
    pub path: String,
    pub query: String,
    /// `0`: dropped without an answer.
    pub status: u16,
    pub body: Value,
}

impl World {
    pub fn new(version: Version, time_scale: f64, store: &str) -> Self {
        World {
            version,
            time_scale,
            ahead: 0,
            stopped_at: None,
            sleepers: HashMap::new(),
            store: StoreSettings::new(store),
            switches: Switches::default(),
            keys: vec![],
            node: Node::new(),
            invoices: vec![],
            calls: vec![],
            attempts: vec![],
            events: vec![],
            held: vec![],
            node_invoices: vec![],
            unnoticed: vec![],
            outages: Outages::default(),
            deleted_webhooks: vec![],
            renewals: vec![],
            subscriptions: Subscriptions::new((real_now() * 1000.0) as i64),
            refunds: Refunds::default(),
            late: vec![],
            strangers: Strangers::default(),
            pending: 0,
            work: Work::default(),
            hooks: vec![],
            index: HashMap::new(),
            deadlines: BTreeSet::new(),
            generation: 0,
        }
    }

    /// This server's clock, UNIX milliseconds.
    pub fn now(&self) -> i64 {
        self.stopped_at.unwrap_or_else(|| (real_now() * 1000.0) as i64 + self.ahead)
    }

    /// Puts the clock to `now`, UNIX milliseconds.
    pub fn set_clock(&mut self, now: i64) {
        match &mut self.stopped_at {
            Some(stopped) => *stopped = now,
            None => self.ahead += now - self.now(),
        }
    }

    /// The next moment at which something happens by itself, UNIX milliseconds.
    pub fn next_due(&self) -> Option<i64> {
        if self.outages.btcpay {
            return None;
        }
        let deadline = self.deadlines.first().map(|&(deadline, _)| deadline).into_iter();
        let renewals = self.renewals.iter().map(|(due, _)| *due);
        let late = self.late.iter().map(|(due, ..)| *due);
        deadline
            .chain(self.outages.lightning_polled)
            .chain(late)
            .chain(renewals)
            .chain(subscriptions::next_look(self))
            .chain(refunds::next_sending(self))
            .chain(self.sleepers.values().map(|(wake, _)| *wake))
            .min()
    }

    /// No delivery is under way but those that wait for the clock.
    pub fn quiet(&self) -> bool {
        let now = self.now();
        let asleep =
            |id: &String| self.sleepers.values().any(|(wake, whose)| *wake > now && whose.as_ref() == Some(id));
        self.hooks.iter().all(|hook| hook.queued == 0 || asleep(&hook.webhook.id))
    }

    pub fn invoice(&self, id: &str) -> Option<&Invoice> {
        self.index.get(id).map(|&index| &self.invoices[index])
    }

    pub fn invoice_mut(&mut self, id: &str) -> Option<&mut Invoice> {
        self.index.get(id).map(|&index| &mut self.invoices[index])
    }

    /// What the store charges for one bitcoin; `None` without a rate. `BTC` knows no spread.
    pub fn rate(&self, currency: &str) -> Option<Decimal> {
        if currency == "BTC" {
            return Some(Decimal::new(10, 1));
        }
        let rate = match currency {
            "SATS" => Decimal::new(100_000_000, 0),
            other => money::parse(&self.rule(other)?)?,
        };
        let spread: Decimal = self.switches.spread.parse().unwrap_or_default();
        Some(rate * (Decimal::ONE - spread))
    }

    /// The store's rule for a currency, as it is written; `X` stands for any.
    pub fn rule(&self, currency: &str) -> Option<String> {
        let rule = self.switches.rates.get(currency).or_else(|| self.switches.rates.get("X"))?;
        Some(rule.as_str().map_or_else(|| rule.to_string(), str::to_owned))
    }

    /// What the store adds for an on-chain payment, in bitcoin.
    pub fn network_fee(&self) -> Decimal {
        if self.store.network_fee_mode == "Never" {
            return Decimal::ZERO;
        }
        self.switches.network_fee.parse().unwrap_or_default()
    }

    /// Changes an invoice by `change` and raises what comes of it.
    pub fn change(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Invoice, i64) -> Result<Vec<Event>, String>,
    ) -> Result<(), String> {
        let now = self.now();
        let invoice = self.invoice_mut(id).ok_or_else(|| no_invoice(id))?;
        let events = change(invoice, now)?;
        self.raise(id, events);
        Ok(())
    }

    pub fn evaluate(&mut self, id: &str) {
        // An unknown id has nothing to evaluate.
        let _ = self.change(id, |invoice, now| Ok(invoice.evaluate(now)));
    }

    /// Lets expirations happen whose time has come.
    pub fn tick(&mut self) {
        let now = self.now();
        if self.outages.btcpay {
            return;
        }
        self.tick_outages();
        let (due, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|(due, ..)| *due <= now);
        self.late = left;
        due.into_iter().for_each(|(_, id, events)| self.raise_now(&id, events));
        while let Some(&(deadline, index)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            let id = self.invoices[index].id.clone();
            self.evaluate(&id);
        }
        if subscriptions::next_look(self).is_some_and(|due| due <= now) {
            subscriptions::look(self);
        }
        if refunds::next_sending(self).is_some_and(|due| due <= now) {
            refunds::send(self);
        }
    }

    /// Milliseconds until something expires.
    pub fn next_deadline(&self) -> Option<i64> {
        self.next_due().map(|due| due - self.now())
    }

    /// Raises events, on a busy server later.
    pub fn raise(&mut self, id: &str, events: Vec<Event>) {
        match self.switches.events_late_ms {
            _ if events.is_empty() => {}
            0 => self.raise_now(id, events),
            late => self.late.push((self.now() + late, id.to_owned(), events)),
        }
    }

    /// Notes events and queues them for every webhook that wants them.
    fn raise_now(&mut self, id: &str, events: Vec<Event>) {
        let Some(invoice) = self.invoice(id) else { return };
        let (store, metadata) = (invoice.store.clone(), invoice.metadata.clone());
        let timestamp = self.now().div_euclid(1000);
        let decides = |event: &Event| match event.kind.as_str() {
            "InvoiceProcessing" | "InvoiceSettled" => true,
            "InvoiceInvalid" => event.extra.iter().any(|(name, value)| name == "manuallyMarked" && *value == true),
            _ => false,
        };
        let decided = events.iter().any(decides);
        for event in events {
            let recent = ["InvoiceExpiredPaidPartial", "InvoicePaidAfterExpiration"].contains(&event.kind.as_str());
            if recent && self.version < PAID_AMOUNT {
                continue;
            }
            self.publish(Raised {
                event,
                store: store.clone(),
                invoice: id.to_owned(),
                metadata: metadata.clone(),
                timestamp,
                tail: None,
            });
        }
        if decided {
            strangers::invoice_changed(self, id);
            subscriptions::invoice_changed(self, id);
        }
    }

    /// Notes an event that is about no invoice, and queues it. `tail`: its own members that follow `storeId`.
    pub fn raise_for_store(&mut self, event: Event, tail: Vec<(String, Value)>) {
        let (store, timestamp) = (self.store.id.clone(), self.now().div_euclid(1000));
        let (invoice, metadata) = (String::new(), Jsonb::default());
        self.publish(Raised { event, store, invoice, metadata, timestamp, tail: Some(tail) });
    }

    /// Queues an event for every webhook that wants it.
    fn publish(&mut self, raised: Raised) {
        let raised = Arc::new(raised);
        self.events.push(Arc::clone(&raised));
        if self.switches.webhooks_lost || raised.store != self.store.id {
            return;
        }
        // One webhook whose list is `null` stops all of the store, before 2.3.7.
        let broken = |hook: &Webhook| !hook.events.everything && hook.events.specific_events.is_none();
        if self.version < TOLERANT && self.webhooks().any(broken) {
            return;
        }
        let jobs: Vec<Job> =
            self.webhooks().filter(|hook| hook.wants(&raised.event.kind)).map(|hook| self.job(hook, &raised)).collect();
        for job in jobs {
            self.enqueue(job);
        }
    }

    /// A delivery of `raised` to `webhook`, not yet queued.
    pub fn job(&self, webhook: &Webhook, raised: &Arc<Raised>) -> Job {
        Job {
            webhook: webhook.id.clone(),
            url: webhook.url.clone(),
            secret: webhook.secret.clone(),
            raised: Arc::clone(raised),
            delivery: ids::fresh(),
            original: None,
            queued: self.now().div_euclid(1000),
            generation: self.generation,
        }
    }

    pub fn enqueue(&mut self, job: Job) {
        if self.switches.webhooks_held {
            self.held.push(job);
        } else if let Some(hook) = self.hooks.iter_mut().find(|hook| hook.webhook.id == job.webhook) {
            // The receiver lives as long as the webhook's worker.
            if hook.queue.send(job).is_ok() {
                hook.queued += 1;
                self.pending += 1;
            }
        }
    }

    pub fn finished(&mut self, job: &Job) {
        if job.generation == self.generation {
            self.pending -= 1;
            if let Some(hook) = self.hooks.iter_mut().find(|hook| hook.webhook.id == job.webhook) {
                hook.queued -= 1;
            }
        }
    }

    /// Webhooks as BTCPay lists them: by id.
    pub fn listed_webhooks(&self) -> Vec<&Webhook> {
        let mut webhooks: Vec<_> = self.webhooks().collect();
        webhooks.sort_by(|one, other| one.id.cmp(&other.id));
        webhooks
    }

    pub fn webhooks(&self) -> impl Iterator<Item = &Webhook> {
        self.hooks.iter().map(|hook| &hook.webhook)
    }

    pub fn webhook(&self, id: &str) -> Option<&Webhook> {
        self.webhooks().find(|webhook| webhook.id == id)
    }

    pub fn webhook_mut(&mut self, id: &str) -> Option<&mut Webhook> {
        self.hooks.iter_mut().map(|hook| &mut hook.webhook).find(|webhook| webhook.id == id)
    }

    /// The queue's far end is for the webhook's worker, whose handle comes back with [`World::employ`].
    pub fn add_webhook(&mut self, webhook: Webhook) -> mpsc::UnboundedReceiver<Job> {
        let (queue, jobs) = mpsc::unbounded_channel();
        self.hooks.push(Hook { webhook, queue, worker: None, queued: 0 });
        jobs
    }

    pub fn employ(&mut self, webhook: &str, worker: AbortHandle) {
        if let Some(hook) = self.hooks.iter_mut().find(|hook| hook.webhook.id == webhook) {
            hook.worker = Some(worker);
        }
    }

    /// Its worker goes on: what is still queued finds the webhook gone and is skipped.
    pub fn remove_webhook(&mut self, id: &str) -> bool {
        let before = self.hooks.len();
        self.hooks.retain(|hook| hook.webhook.id != id);
        self.hooks.len() < before
    }

    /// Forgets every queued, waiting or retried delivery, as a restart does. Gives the new queues' far ends.
    pub fn restart(&mut self) -> Vec<(String, mpsc::UnboundedReceiver<Job>)> {
        self.generation += 1;
        self.pending = 0;
        self.held.clear();
        self.late.clear();
        self.sleepers.clear();
        let hooks = std::mem::take(&mut self.hooks);
        let restarted = hooks.into_iter().map(|hook| {
            if let Some(worker) = hook.worker {
                worker.abort();
            }
            (hook.webhook.id.clone(), self.add_webhook(hook.webhook))
        });
        restarted.collect()
    }
}

pub fn no_invoice(id: &str) -> String {
    format!("there is no invoice {id}")
}

/// Real UNIX seconds with fraction.
pub fn real_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
