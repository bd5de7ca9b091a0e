//! Asks BTCPay by itself while anybody waits: for what webhooks lost, after a restart, for other daemons' invoices.
//!
//! Three lanes, none of which waits for another: every [`Tempo::listing`] the newest page of the list, and behind it, page by
//! page, what can still change ([`listing`](super::listing)); the first facts of invoices of which nothing is known; and
//! look-ups, one by one, of what listings cannot tell. No two requests of the paced ones (the list's further pages, repeated
//! look-ups) are closer than [`Tempo::spacing`], whatever the number of those who wait.

use std::sync::Arc;
use std::time::Instant;

use super::entry::Asking;
use super::listing::Open;
use super::{Ledger, State};
use crate::gate::time::UnixTime;
use crate::server::shop::source::{LookupError, PAGE, Part};

#[cfg(doc)]
use super::Tempo;

/// Most repeated look-ups under way at once.
const AT_ONCE: usize = 4;
/// Most look-ups for first facts under way at once.
const FIRST_AT_ONCE: usize = 8;
/// So many unknown invoices are better looked for in a listing.
const MANY_UNKNOWN: usize = 4;

enum Step {
    /// Nobody waits for anything that could change.
    Rest,
    /// Nothing to do before this time.
    RestUntil(Instant),
    /// Of this part; its newest page whatever the invoices' status.
    List(Part),
    LookUp(Arc<str>, Lane),
}

/// Which look-ups a look-up is counted among.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    First,
    Paced,
}

/// What those who wait need.
#[derive(Default)]
struct Needs<'a> {
    /// Since when listings are needed.
    since: Option<UnixTime>,
    /// What they have to tell of.
    open: Open,
    unknown: usize,
    hidden: bool,
    /// The one of which nothing is known that somebody asked for last: who waits longest has given up first.
    first: Option<(Instant, &'a Arc<str>)>,
    /// The earliest time for one whose facts are not known, because the last answer told nothing.
    first_again: Option<Instant>,
    /// What listings do not tell: of those whose time has come the least often asked, else the earliest.
    repeat: Option<((Instant, u32), &'a Arc<str>)>,
}

impl Ledger {
    /// Runs for as long as the daemon.
    ///
    /// - `now`: the time of day, which BTCPay's clock is close to.
    pub(crate) async fn watch(self: Arc<Self>, now: fn() -> UnixTime) {
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
                Step::List(part) => {
                    tokio::spawn(self.clone().list(part));
                }
                Step::LookUp(id, lane) => {
                    tokio::spawn(self.clone().look_up_in(lane, id));
                }
            }
        }
    }

    async fn look_up_in(self: Arc<Self>, lane: Lane, id: Arc<str>) {
        let again = self.look_up(&id).await;
        match lane {
            Lane::First => self.lock().first -= 1,
            Lane::Paced => self.lock().paced -= 1,
        }
        self.wake.notify_one();
        if again {
            self.look_up_hinted(id).await;
        }
    }
}

impl State {
    /// Decides what to ask next, and takes its place.
    fn next_step(&mut self, ledger: &Ledger, now: Instant, today: UnixTime) -> Step {
        let Some(asked) = &self.asked else { return Step::Rest };
        let oldest_listed = UnixTime(today.0.saturating_sub(asked.window.as_secs()));
        let needs = self.needs(now, today, oldest_listed);
        // BTCPay's clock and whole seconds: one more does no harm.
        let since = needs.since.map(|since| UnixTime(since.0.saturating_sub(1)));
        let part = since.map(|since| Part { since, until: None, statuses: needs.open.statuses() });
        let (many_unknown, needs_many) = (needs.unknown >= MANY_UNKNOWN, needs.unknown > PAGE);
        let (first_again, first) = (needs.first_again, needs.first.map(|(_, id)| id.clone()));
        let (repeat_at, repeat) = needs.repeat.map(|((at, _), id)| (at, id.clone())).unzip();

        let may_ask = self.outage.as_ref().map_or(now, |outage| outage.until);
        let list_at = since.filter(|_| !self.listing).map(|_| self.listed.map_or(now, |at| at + ledger.tempo.listing));
        // During an outage one question tries whether it is over.
        let quiet = self.outage.is_some() && (self.first > 0 || self.paced > 0 || self.listing);
        let first_at = first.as_ref().filter(|_| {
            let soon_listed = many_unknown && (self.listing || list_at.is_some_and(|at| at <= now));
            // What a listing under way is about to tell a page at a time, only those who came last ask for themselves.
            let at_once = if self.deep && needs_many { 1 } else { FIRST_AT_ONCE };
            self.first < at_once && !soon_listed && !quiet
        });
        let first_at = first_at.map(|_| now);
        let repeat_at = repeat_at.filter(|_| self.paced < AT_ONCE && !quiet).map(|at| at.max(self.next_slot));
        self.repeats_wait = repeat_at.is_some_and(|at| at <= now.max(self.next_slot));
        let repeat_at = repeat_at.filter(|_| !(self.page_waits && self.page_next));

        let due = [list_at.filter(|_| !quiet), first_at, first_again, repeat_at].into_iter().flatten().min();
        let Some(due) = due.map(|due| due.max(may_ask)) else { return Step::Rest };
        if due > now {
            return Step::RestUntil(due);
        }
        if let (Some(at), Some(part), false) = (list_at, part, quiet)
            && at <= now
        {
            (self.listing, self.listed) = (true, Some(now));
            return Step::List(part);
        }
        let (id, lane) = match (first_at.and(first), repeat_at.filter(|at| *at <= now).and(repeat)) {
            (Some(id), _) => (id, Lane::First),
            (None, Some(id)) => (id, Lane::Paced),
            (None, None) => return Step::RestUntil(now + ledger.tempo.spacing),
        };
        match lane {
            Lane::First => self.first += 1,
            Lane::Paced => {
                self.paced += 1;
                // Looking through thousands who wait took its time since `now`.
                self.next_slot = Instant::now() + ledger.tempo.spacing;
                self.page_next = true;
            }
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.asking = Asking::Now { again: false };
        }
        Step::LookUp(id, lane)
    }

    fn needs(&self, now: Instant, today: UnixTime, oldest_listed: UnixTime) -> Needs<'_> {
        let mut needs = Needs::default();
        let witnessed_by = self.witnessed_by();
        for id in &self.waited {
            let Some(entry) = self.entries.get(id) else { continue };
            if entry.is_final() {
                continue;
            }
            needs.hidden |= entry.error() == Some(LookupError::Hidden);
            let free = entry.asking == Asking::No;
            if entry.told_at().is_none() {
                needs.unknown += 1;
                match entry.next_try {
                    _ if !free => {}
                    at if at > now => needs.first_again = Some(needs.first_again.map_or(at, |other| other.min(at))),
                    _ => needs.first = needs.first.max(Some((entry.used, id))),
                }
                continue;
            }
            let young = entry.invoice().map(|invoice| invoice.created).filter(|created| *created >= oldest_listed);
            if let Some(created) = young {
                needs.since = Some(needs.since.map_or(created, |since| since.min(created)));
                needs.open.add(entry, today);
            }
            let lacks = entry.lacks_payments() || witnessed_by.is_some_and(|terms| entry.lacks_witness(terms));
            if free && (young.is_none() || lacks || self.listings_miss(entry)) {
                let place = (entry.next_try.max(now), entry.tries());
                needs.repeat = Some(needs.repeat.map_or((place, id), |other| other.min((place, id))));
            }
        }
        if needs.unknown >= MANY_UNKNOWN {
            (needs.since, needs.open) = (Some(oldest_listed), Open::Whatever);
        } else if needs.hidden {
            needs.since = needs.since.or(Some(today));
        }
        needs
    }
}
