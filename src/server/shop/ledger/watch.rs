//! Asks BTCPay by itself while anybody waits: for what webhooks lost, after a restart, for other daemons' invoices.
//!
//! One listing every [`Tempo::listing`] covers all young invoices at once; what it cannot tell is looked up one by one. No
//! two requests are closer than [`Tempo::spacing`], whatever the number of those who wait.

use std::sync::Arc;
use std::time::Instant;

use super::entry::{Asking, Entry};
use super::{Ledger, State};
use crate::gate::time::UnixTime;
use crate::server::shop::source::{LookupError, PAGE};

#[cfg(doc)]
use super::Tempo;

/// Most requests under way at once.
const AT_ONCE: usize = 4;
/// Most pages of one listing; invoices beyond are looked up one by one.
const MAX_PAGES: usize = 8;
/// So many unknown invoices are better looked for in a listing.
const MANY_UNKNOWN: usize = 4;

enum Step {
    /// Nobody waits for anything that could change.
    Rest,
    /// Nothing to do before this time.
    RestUntil(Instant),
    List {
        since: UnixTime,
    },
    LookUp(Arc<str>),
}

impl Ledger {
    /// Runs for as long as the daemon.
    ///
    /// - `now`: the time of day, which BTCPay's clock is close to.
    pub async fn watch(self: Arc<Self>, now: fn() -> UnixTime) {
        loop {
            let step = self.lock().next_step(&self, Instant::now(), now());
            match step {
                Step::Rest => self.wake.notified().await,
                Step::RestUntil(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at.into()) => {}
                        () = self.wake.notified() => {}
                    }
                }
                Step::List { since } => {
                    tokio::spawn(self.clone().list(since));
                }
                Step::LookUp(id) => {
                    tokio::spawn(self.clone().look_up_paced(id));
                }
            }
        }
    }

    async fn look_up_paced(self: Arc<Self>, id: Arc<str>) {
        let again = self.look_up(&id).await;
        self.lock().paced -= 1;
        self.wake.notify_one();
        if again {
            self.look_up_hinted(id).await;
        }
    }

    async fn list(self: Arc<Self>, since: UnixTime) {
        let (mut skip, mut well) = (0, true);
        for page in 0..MAX_PAGES {
            if page > 0 {
                self.slot().await;
            }
            let asked_at = Instant::now();
            let Some(source) = self.lock().asked.as_ref().map(|asked| asked.source.clone()) else { break };
            let answer = source.page(since, skip).await;
            let mut state = self.lock();
            match answer {
                Ok(page) => {
                    state.outage = None;
                    for invoice in page.invoices {
                        self.learn(&mut state, invoice, asked_at);
                    }
                    skip += page.covered;
                    if page.covered != PAGE {
                        break;
                    }
                }
                Err(LookupError::Unreadable) => {
                    well = false;
                    break;
                }
                // A listing that may not be seen is the API key's fault, and so nobody's invoice can be.
                Err(_) => {
                    state.failed(Instant::now(), self.tempo.retry);
                    well = false;
                    break;
                }
            }
        }
        let mut state = self.lock();
        if well {
            state.listed_well = Some(Instant::now());
            // To those who wait for an invoice that BTCPay does not show, this tells something.
            state.waited.iter().filter_map(|id| state.entries.get(id)).for_each(|entry| {
                if entry.error() == Some(LookupError::Hidden) {
                    entry.tell();
                }
            });
        }
        (state.listing, state.paced) = (false, state.paced - 1);
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for the next time that a request may be sent.
    async fn slot(&self) {
        loop {
            let at = {
                let mut state = self.lock();
                let now = Instant::now();
                if state.next_slot <= now {
                    state.next_slot = now + self.tempo.spacing;
                    return;
                }
                state.next_slot
            };
            tokio::time::sleep_until(at.into()).await;
        }
    }
}

impl State {
    /// Decides what to ask next, and takes its slot.
    fn next_step(&mut self, ledger: &Ledger, now: Instant, today: UnixTime) -> Step {
        let Some(asked) = &self.asked else { return Step::Rest };
        let tempo = &ledger.tempo;
        let oldest_listed = UnixTime(today.0.saturating_sub(asked.window.as_secs()));
        let (mut since, mut unknown, mut hidden) = (None::<UnixTime>, 0, false);
        let mut look_up: Option<(Instant, &Arc<str>)> = None;
        for id in &self.waited {
            let Some(entry) = self.entries.get(id) else { continue };
            if entry.is_final() {
                continue;
            }
            let young = entry.invoice().map(|invoice| invoice.created).filter(|created| *created >= oldest_listed);
            match young {
                Some(created) => since = Some(since.map_or(created, |since| since.min(created))),
                None if entry.told_at().is_none() => unknown += 1,
                None => {}
            }
            hidden |= entry.error() == Some(LookupError::Hidden);
            let by_itself = young.is_none() || entry.lacks_payments() || self.listings_miss(entry, ledger);
            if by_itself && entry.asking == Asking::No {
                let earliest = (entry.next_try, id);
                look_up = Some(look_up.map_or(earliest, |other| other.min(earliest)));
            }
        }
        if unknown >= MANY_UNKNOWN {
            since = Some(oldest_listed);
        } else if hidden {
            since = since.or(Some(today));
        }
        let list_at =
            since.filter(|_| !self.listing).map(|since| (self.listed.map_or(now, |at| at + tempo.listing), since));

        let may_ask = self.outage.as_ref().map_or(self.next_slot, |outage| outage.until.max(self.next_slot));
        let due = [list_at.map(|(at, _)| at), look_up.map(|(at, _)| at)].into_iter().flatten().min();
        let Some(due) = due.map(|due| due.max(may_ask)) else { return Step::Rest };
        if self.paced >= AT_ONCE {
            // The end of a request wakes us.
            return Step::Rest;
        }
        if due > now {
            return Step::RestUntil(due);
        }
        // Looking through thousands who wait took its time since `now`.
        self.next_slot = Instant::now() + tempo.spacing;
        let look_up = look_up.map(|(_, id)| id.clone());
        match (list_at, look_up) {
            (Some((at, since)), _) if at <= now => {
                self.paced += 1;
                (self.listing, self.listed) = (true, Some(now));
                // BTCPay's clock and whole seconds: one more does no harm.
                Step::List { since: UnixTime(since.0.saturating_sub(1)) }
            }
            (_, Some(id)) => {
                self.paced += 1;
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.asking = Asking::Now { again: false };
                }
                Step::LookUp(id)
            }
            _ => Step::Rest,
        }
    }

    /// Whether listings came and did not tell of this invoice: too many strangers' invoices, most likely.
    fn listings_miss(&self, entry: &Entry, ledger: &Ledger) -> bool {
        let told = entry.told_at();
        told.is_some_and(|told| self.listed_well.is_some_and(|listed| listed > told + ledger.tempo.listing))
    }
}
