//! The list of invoices, as the ledger asks for it: the newest page whatever its invoices' status, always on time, and behind it
//! only what can still change.
//!
//! What was waited for as open and is told by no page has changed: a few are looked up, for many the list is asked for whole.

use std::sync::Arc;
use std::time::Instant;

use super::entry::Entry;
use super::{Ledger, State};
use crate::gate::time::UnixTime;
use crate::server::shop::source::{LookupError, Part, Walk};
use crate::shop::invoice::Status;

/// So many invoices that left what was listed are better told by pages than one by one.
const MANY_LEFT: usize = 8;
/// BTCPay lets an invoice expire by its own clock, in seconds.
const CLOCKS_APART: u64 = 5;

/// A listing that was told from its beginning to its end.
pub(super) struct Told {
    /// What of the list.
    part: Part,
    /// When its first page was asked for.
    began: Instant,
}

/// The statuses that invoices which are waited for have, or come to by themselves.
pub(super) enum Open {
    /// These.
    Only(Vec<Status>),
    /// Any: of some nothing is known.
    Whatever,
}

impl Default for Open {
    fn default() -> Open {
        Open::Only(Vec::new())
    }
}

impl Open {
    /// Takes in an invoice that is waited for, and not final.
    pub(super) fn add(&mut self, entry: &Entry, today: UnixTime) {
        let Some(invoice) = entry.invoice() else { return };
        match invoice.status {
            Status::Unknown => *self = Open::Whatever,
            Status::New | Status::Processing => {
                self.note(Status::New);
                self.note(Status::Processing);
                if invoice.expires <= today.plus(CLOCKS_APART) {
                    self.note(Status::Expired);
                }
            }
            // A payment may come late, or be confirmed late; and settled by a person is not for good.
            Status::Expired | Status::Invalid | Status::Settled => self.note(invoice.status),
        }
    }

    fn note(&mut self, status: Status) {
        if let Open::Only(statuses) = self
            && !statuses.contains(&status)
        {
            statuses.push(status);
        }
    }

    /// As a [`Part`] has them.
    pub(super) fn statuses(self) -> Vec<Status> {
        if let Open::Only(statuses) = self { statuses } else { Vec::new() }
    }
}

impl Ledger {
    /// The newest page; what is behind it follows at its own pace, so that the next newest page is on time.
    pub(super) async fn list(self: Arc<Self>, part: Part) {
        let began = Instant::now();
        let mut walk = self.walk(&Part { statuses: Vec::new(), ..part.clone() });
        let told = match &mut walk {
            Some(walk) => self.page(&mut **walk).await,
            None => None,
        };
        let is_all = walk.is_some_and(|walk| walk.is_done());
        let mut state = self.lock();
        state.listing = false;
        match told {
            Some(_) if is_all => {
                state.listed_all(Told { part: Part { statuses: Vec::new(), ..part }, began });
            }
            Some(until) if !state.deep => {
                state.deep = true;
                tokio::spawn(self.clone().go_on(part, until, began));
            }
            _ => {}
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The part behind the newest page.
    ///
    /// - `until`: the oldest time on that page.
    async fn go_on(self: Arc<Self>, part: Part, until: Option<UnixTime>, began: Instant) {
        if self.listed_paced(&Part { until, ..part.clone() }).await {
            let told = Told { part: part.clone(), began };
            let is_many = {
                let mut state = self.lock();
                let is_many = !part.statuses.is_empty() && state.left(&told) >= MANY_LEFT;
                // Else they would be looked up one by one meanwhile.
                if !is_many {
                    state.listed_all(told);
                }
                is_many
            };
            let (whole, began) = (Part { statuses: Vec::new(), until, ..part }, Instant::now());
            if is_many && self.listed_paced(&whole).await {
                self.lock().listed_all(Told { part: whole, began });
            }
        }
        self.lock().deep = false;
        self.wake.notify_one();
    }

    /// Asks for every page of a part, each in its turn. Whether all could be read.
    async fn listed_paced(&self, part: &Part) -> bool {
        let Some(mut walk) = self.walk(part) else { return false };
        while !walk.is_done() {
            self.slot().await;
            if self.page(&mut *walk).await.is_none() {
                return false;
            }
        }
        true
    }

    fn walk(&self, part: &Part) -> Option<Box<dyn Walk>> {
        let source = self.lock().asked.as_ref().map(|asked| asked.source.clone());
        source.map(|source| source.walk(part))
    }

    /// Asks for one page and keeps what it tells. The oldest time on it, if it could be read; `Some(None)` if it was empty.
    async fn page(&self, walk: &mut dyn Walk) -> Option<Option<UnixTime>> {
        let asked_at = Instant::now();
        let answer = walk.next().await;
        let mut state = self.lock();
        match answer {
            Ok(invoices) => {
                state.outage = None;
                let oldest = invoices.iter().map(|invoice| invoice.created).min();
                for invoice in invoices {
                    if let Some(entry) = state.entries.get_mut(invoice.id.as_str()) {
                        entry.listed();
                    }
                    self.learn(&mut state, invoice, asked_at);
                }
                Some(oldest)
            }
            Err(LookupError::Unreadable) => None,
            // A listing that may not be seen is the API key's fault, and so nobody's invoice can be.
            Err(err) => {
                state.failed(Instant::now(), self.tempo.retry, err.come_again());
                None
            }
        }
    }

    /// Waits for the next time that a paced request may be sent. Where look-ups wait as well, every other one is theirs.
    async fn slot(&self) {
        loop {
            let at = {
                let mut state = self.lock();
                let now = Instant::now();
                let is_ours = state.page_next || !state.repeats_wait;
                if state.next_slot <= now && is_ours {
                    (state.page_waits, state.page_next) = (false, false);
                    state.next_slot = now + self.tempo.spacing;
                    drop(state);
                    self.wake.notify_one();
                    return;
                }
                state.page_waits = true;
                // A look-up that does not come after all keeps no page waiting for longer than it would have.
                state.page_next |= state.next_slot + self.tempo.spacing <= now;
                if state.next_slot > now { state.next_slot } else { now + self.tempo.spacing }
            };
            self.wake.notify_one();
            tokio::time::sleep_until(at.into()).await;
        }
    }
}

impl State {
    /// A listing ended.
    fn listed_all(&mut self, told: Told) {
        let now = Instant::now();
        for id in &self.waited {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            // To those who wait for an invoice that BTCPay does not show, this tells something.
            if entry.error() == Some(LookupError::Hidden) {
                entry.tell();
            }
            if told.misses(entry) {
                entry.missed(now);
            }
        }
        (self.listed_well, self.told) = (Some(now), Some(told));
    }

    /// How many of those who wait a listing did not tell of, though the one before it did.
    fn left(&self, told: &Told) -> usize {
        let waited = self.waited.iter().filter_map(|id| self.entries.get(id));
        waited.filter(|entry| entry.is_listed() && told.misses(entry)).count()
    }

    /// Whether the last listing had to tell of this invoice and did not.
    pub(super) fn listings_miss(&self, entry: &Entry) -> bool {
        self.told.as_ref().is_some_and(|told| told.misses(entry))
    }
}

impl Told {
    /// Whether it had to tell of this invoice and did not: it is in another status by now, or BTCPay does not list it, or not
    /// readably.
    fn misses(&self, entry: &Entry) -> bool {
        let (Some(at), Some(invoice)) = (entry.told_at(), entry.invoice()) else { return false };
        let is_open = !entry.is_final() && !entry.lacks_payments();
        is_open && at < self.began && self.part.holds(invoice.created, invoice.status)
    }
}
