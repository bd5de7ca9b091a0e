//! What is known of invoices: a bounded cache of BTCPay's ledger, which may be lost at any time, and those who wait for it
//! to change.
//!
//! Deliveries hint at invoices that changed; [`watch`] asks by itself while anybody waits. Every fact here was fetched
//! from BTCPay; what a fact is worth is judged anew at each answer.

mod entry;
mod held;
mod listing;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tracing::debug;

use super::source::Source;
use crate::shop::invoice::Invoice;
use crate::shop::settlement::Terms;
use entry::{Asking, Entry};
pub(crate) use held::{Held, Known};

/// Most invoices that are remembered.
const CAPACITY: usize = 20_000;
/// Most requests held for one invoice: a person has a few tabs and devices.
pub(crate) const MAX_HELD: usize = 16;
/// Most look-ups at once that deliveries hinted at.
const HINTED_AT_ONCE: usize = 8;

/// Longest `Retry-After` that is believed: viewers wait.
const MAX_COME_AGAIN: Duration = Duration::from_secs(60);

/// The cache, those who wait on it, and what is being asked.
pub(crate) struct Ledger {
    state: Mutex<State>,
    wake: Notify,
    hinted: Semaphore,
    tempo: Tempo,
    on_settled: Box<dyn Fn(&Invoice) + Send + Sync>,
}

/// How often BTCPay is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo {
    /// Least time between two paced requests: two fit into no second.
    pub(crate) spacing: Duration,
    /// Time from one listing's newest page to the next.
    pub(crate) listing: Duration,
    /// Time from a look-up to the next one that hints ask for: BTCPay tells of one payment in several deliveries. The first
    /// hint is followed at once, and finds the payment as a rule.
    pub(crate) gather: Duration,
    /// First and longest wait after a failure.
    pub(crate) retry: (Duration, Duration),
    /// First and longest wait between two look-ups of an invoice that listings do not cover.
    pub(crate) again: (Duration, Duration),
}

impl Default for Tempo {
    fn default() -> Self {
        let (seconds, millis) = (Duration::from_secs, Duration::from_millis);
        Tempo {
            spacing: millis(550),
            listing: seconds(4),
            gather: millis(100),
            retry: (millis(500), seconds(4)),
            again: (seconds(5), seconds(60)),
        }
    }
}

impl Tempo {
    /// Age up to which facts are fresh: a second more than from one listing to the next.
    fn recently(&self) -> Duration {
        self.listing + Duration::from_secs(1)
    }
}

/// Whom to ask, and what counts.
#[derive(Clone)]
pub(crate) struct Backend {
    /// BTCPay.
    pub(crate) source: Arc<dyn Source>,
    /// What counts as settled, for the metrics.
    pub(crate) terms: Terms,
    /// For how long after its creation an invoice is watched by listings.
    pub(crate) window: Duration,
}

struct State {
    entries: HashMap<Arc<str>, Entry>,
    waited: HashSet<Arc<str>>,
    asked: Option<Backend>,
    next_slot: Instant,
    paced: usize,
    outage: Option<Outage>,
    /// Look-ups for first facts under way.
    first: usize,
    /// Whether the newest page is being asked for.
    listing: bool,
    /// Whether what is behind it is.
    deep: bool,
    /// Whether a page, and a look-up, waits for the next paced request, and whether that one is the page's: each other one is.
    page_waits: bool,
    repeats_wait: bool,
    page_next: bool,
    listed: Option<Instant>,
    /// When a listing was told to its end last, and which.
    listed_well: Option<Instant>,
    told: Option<listing::Told>,
}

/// BTCPay did not answer: when to try again.
struct Outage {
    until: Instant,
    step: Duration,
}

/// No more can be held: for this invoice, or at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// [`MAX_HELD`] requests wait for this invoice.
    Invoice,
    /// All of the cache is waited for.
    Ledger,
}

impl Ledger {
    /// An empty cache. `on_settled` is called when an invoice is first seen as settled.
    pub(crate) fn new(tempo: Tempo, on_settled: Box<dyn Fn(&Invoice) + Send + Sync>) -> Arc<Ledger> {
        let state = State {
            entries: HashMap::new(),
            waited: HashSet::new(),
            asked: None,
            next_slot: Instant::now(),
            paced: 0,
            outage: None,
            first: 0,
            listing: false,
            deep: false,
            page_waits: false,
            repeats_wait: false,
            page_next: false,
            listed: None,
            listed_well: None,
            told: None,
        };
        Arc::new(Ledger {
            state: Mutex::new(state),
            wake: Notify::new(),
            hinted: Semaphore::new(HINTED_AT_ONCE),
            tempo,
            on_settled,
        })
    }

    /// From now on this store is asked; `None` asks nobody.
    pub(crate) fn ask(&self, asked: Option<Backend>) {
        let mut state = self.lock();
        let other_store =
            state.asked.as_ref().map(|asked| &asked.terms.store) != asked.as_ref().map(|asked| &asked.terms.store);
        if other_store {
            state.forget_unwaited();
        }
        state.asked = asked;
        state.outage = None;
        drop(state);
        self.wake.notify_one();
    }

    /// Notes an invoice that was just made. Facts that a delivery brought before stay: they are newer.
    pub(crate) fn made(&self, invoice: Invoice, asked_at: Instant) {
        let mut state = self.lock();
        let id: Arc<str> = invoice.id.as_str().into();
        if let Some(entry) = state.entry(&id)
            && entry.invoice().is_none()
        {
            entry.learn(invoice, asked_at, self.tempo.recently());
        }
    }

    /// A delivery says that the invoice changed. It is looked up at once; hints that come while that is under way cause exactly
    /// one more look-up, [`Tempo::gather`] later.
    pub(crate) fn hint(self: &Arc<Self>, id: &str) {
        let id: Arc<str> = id.into();
        let mut state = self.lock();
        if state.asked.is_none() {
            return;
        }
        let Some(entry) = state.entry(&id) else { return };
        match entry.asking {
            Asking::No => {
                entry.asking = Asking::Queued;
                tokio::spawn(self.clone().look_up_hinted(id));
            }
            Asking::Queued => {}
            Asking::Now { .. } => entry.asking = Asking::Now { again: true },
        }
    }

    /// What is known of an invoice, without asking anybody.
    pub(crate) fn glance(&self, id: &str) -> Option<Arc<Invoice>> {
        self.lock().entries.get(id).and_then(|entry| entry.invoice())
    }

    /// Whether anybody waits for this invoice.
    pub(crate) fn is_waited_for(&self, id: &str) -> bool {
        self.lock().waited.contains(id)
    }

    /// Waits for an invoice, until the [`Held`] is dropped.
    pub(crate) fn hold(self: &Arc<Self>, id: &str) -> Result<Held, Full> {
        let id: Arc<str> = id.into();
        let mut state = self.lock();
        let entry = state.entry(&id).ok_or(Full::Ledger)?;
        if entry.waiters >= MAX_HELD {
            return Err(Full::Invoice);
        }
        entry.waiters += 1;
        let changes = entry.changes();
        state.waited.insert(id.clone());
        drop(state);
        self.wake.notify_one();
        Ok(Held { ledger: self.clone(), id, changes })
    }

    async fn look_up_hinted(self: Arc<Self>, id: Arc<str>) {
        loop {
            let turn = self.hinted.acquire().await;
            if !self.look_up(&id).await {
                return;
            }
            drop(turn);
            tokio::time::sleep(self.tempo.gather).await;
        }
    }

    /// Asks for one invoice, unless it can no longer change, and keeps the answer. Whether a hint came meanwhile, so that it
    /// has to be asked for again.
    async fn look_up(&self, id: &Arc<str>) -> bool {
        let source = {
            let mut state = self.lock();
            let source = state.asked.as_ref().map(|asked| asked.source.clone());
            let Some(entry) = state.entry(id) else { return false };
            let source = source.filter(|_| !entry.is_final());
            entry.asking = if source.is_some() { Asking::Now { again: false } } else { Asking::No };
            source
        };
        let Some(source) = source else { return false };
        let asked_at = Instant::now();
        let answer = source.invoice(id).await;

        let mut state = self.lock();
        let now = Instant::now();
        match answer {
            Ok(looked) => {
                state.outage = None;
                if looked.requests > 1 {
                    state.next_slot = state.next_slot.max(now + looked.requests * self.tempo.spacing);
                }
                self.learn(&mut state, looked.invoice, asked_at);
                if let Some(entry) = state.entry(id) {
                    entry.hear(looked.node);
                    entry.next_try = now + entry.back_off(self.tempo.again);
                }
            }
            Err(err) => {
                debug!(invoice = %id, %err, "nothing learned");
                if err.is_outage() {
                    state.failed(now, self.tempo.retry, err.come_again());
                }
                if let Some(entry) = state.entry(id) {
                    entry.failed(err, now);
                    entry.next_try = match err {
                        // When BTCPay is to be asked again, the outage tells.
                        _ if err.is_outage() => now,
                        _ => now + entry.back_off(self.tempo.again),
                    };
                }
            }
        }
        let again = state.entry(id).is_some_and(Entry::asked);
        drop(state);
        self.wake.notify_one();
        again
    }

    /// Keeps a fetched invoice that somebody may ask for.
    fn learn(&self, state: &mut State, invoice: Invoice, asked_at: Instant) {
        let Some(terms) = state.asked.as_ref().map(|asked| asked.terms.clone()) else { return };
        let Some(entry) = state.entries.get_mut(invoice.id.as_str()) else { return };
        let was_settled = entry.invoice().is_some_and(|before| before.is_paid(&terms));
        entry.learn(invoice, asked_at, self.tempo.recently());
        let settled = entry.invoice().filter(|after| after.is_paid(&terms) && !was_settled);
        if let Some(invoice) = settled {
            (self.on_settled)(&invoice);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic left behind is still a cache of true facts.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The entry of this invoice, a new one if need be; `None` if all others are waited for.
    fn entry(&mut self, id: &Arc<str>) -> Option<&mut Entry> {
        if !self.entries.contains_key(id) {
            if self.entries.len() >= CAPACITY {
                self.forget_oldest();
            }
            if self.entries.len() >= CAPACITY {
                return None;
            }
        }
        let entry = self.entries.entry(id.clone()).or_insert_with(Entry::new);
        entry.used = Instant::now();
        Some(entry)
    }

    /// Makes room: drops the tenth that was not used for longest.
    fn forget_oldest(&mut self) {
        let mut idle: Vec<(Instant, Arc<str>)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_idle())
            .map(|(id, entry)| (entry.used, id.clone()))
            .collect();
        idle.sort_unstable();
        for (_, id) in idle.into_iter().take(CAPACITY / 10) {
            self.entries.remove(&id);
        }
    }

    /// What counts without the Lightning node's word, where a look-up asks the node as well.
    fn witnessed_by(&self) -> Option<&Terms> {
        self.asked.as_ref().filter(|asked| asked.source.asks_node()).map(|asked| &asked.terms)
    }

    fn forget_unwaited(&mut self) {
        self.entries.retain(|_, entry| !entry.is_idle());
    }

    /// BTCPay could not be asked: the next try comes later and later, and not before BTCPay says, within reason.
    fn failed(&mut self, now: Instant, (first, longest): (Duration, Duration), come_again: Option<Duration>) {
        let step = match &self.outage {
            // Requests of before this outage's last try tell nothing new.
            Some(outage) if now < outage.until => return,
            Some(outage) => (outage.step * 2).min(longest),
            None => first,
        };
        let wait = come_again.map_or(step, |wait| wait.clamp(step, MAX_COME_AGAIN));
        self.outage = Some(Outage { until: now + wait, step });
    }
}
