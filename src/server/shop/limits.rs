//! How many invoices are made: each costs BTCPay a Lightning invoice, and perhaps an address.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::config::{Machines, Shop};

/// How many invoices may be made for one kind of buyers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// At most so many in a minute.
    pub(crate) per_minute: u32,
    /// At most so many at the same time.
    pub(crate) at_once: u32,
}

impl From<&Shop> for Share {
    fn from(shop: &Shop) -> Share {
        Share { per_minute: shop.invoices_per_minute, at_once: shop.invoices_at_once }
    }
}

impl From<&Machines> for Share {
    fn from(machines: &Machines) -> Share {
        Share { per_minute: machines.invoices_per_minute, at_once: machines.invoices_at_once }
    }
}

/// The limits on creation, for all buyers of one kind together. nginx limits each address.
pub(crate) struct Limits {
    state: Mutex<State>,
}

struct State {
    per_minute: u32,
    /// Invoices that may be made now, in parts: it fills up as time passes.
    left: f64,
    filled: Instant,
    at_once: u32,
    places: Arc<Semaphore>,
}

impl Limits {
    /// Nothing was made yet.
    pub(crate) fn new(share: impl Into<Share>) -> Limits {
        let Share { per_minute, at_once } = share.into();
        let (left, places) = (f64::from(per_minute), Arc::new(Semaphore::new(at_once as usize)));
        Limits { state: Mutex::new(State { per_minute, left, filled: Instant::now(), at_once, places }) }
    }

    /// Counts one invoice for which the queue has the place.
    ///
    /// Errors: `busy`, 429 when there were too many within a minute.
    pub(crate) fn count(&self, share: impl Into<Share>, now: Instant) -> Result<(), Problem> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.follow(share.into());
        state.fill(now);
        state.take()
    }

    /// A place to make one invoice, given back when dropped.
    ///
    /// Errors: `busy`, 503 when all places are taken, 429 when there were too many within a minute.
    pub(crate) fn enter(&self, share: impl Into<Share>, now: Instant) -> Result<OwnedSemaphorePermit, Problem> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.follow(share.into());
        state.fill(now);
        let place = state.places.clone().try_acquire_owned();
        let place = place.map_err(|_| Problem::overloaded("too many invoices are being made at once", 1))?;
        state.take()?;
        Ok(place)
    }
}

impl State {
    /// A reload may have changed the numbers.
    fn follow(&mut self, share: Share) {
        if share.per_minute != self.per_minute {
            self.per_minute = share.per_minute;
            self.left = self.left.min(f64::from(self.per_minute));
        }
        if share.at_once != self.at_once {
            // Those under way keep their old places: for a moment there may be more.
            self.at_once = share.at_once;
            self.places = Arc::new(Semaphore::new(self.at_once as usize));
        }
    }

    fn take(&mut self) -> Result<(), Problem> {
        if self.left < 1.0 {
            let wait = (1.0 - self.left) * 60.0 / f64::from(self.per_minute);
            return Err(Problem::too_often("too many invoices were made within a minute", wait.ceil() as u64));
        }
        self.left -= 1.0;
        Ok(())
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        let most = f64::from(self.per_minute);
        self.left = (self.left + passed * most / 60.0).min(most);
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn so_many_a_minute_and_no_more() {
        let (share, start) = (Share { per_minute: 30, at_once: 100 }, Instant::now());
        let limits = Limits::new(share);
        let made = |at| (0..100).take_while(|_| limits.enter(share, at).is_ok()).count();
        assert_eq!(made(start), 30);
        assert_eq!(made(start + Duration::from_secs(1)), 0);
        assert_eq!(made(start + Duration::from_secs(10)), 5);
        assert_eq!(made(start + Duration::from_secs(3600)), 30);
    }

    #[test]
    fn so_many_at_once_and_a_place_is_given_back() {
        let (two, now) = (Share { per_minute: 300, at_once: 2 }, Instant::now());
        let (one, limits) = (Share { at_once: 1, ..two }, Limits::new(two));
        let first = limits.enter(two, now).unwrap();
        let _second = limits.enter(two, now).unwrap();
        assert_eq!(limits.enter(two, now).unwrap_err().reason(), "busy");
        drop(first);
        let _third = limits.enter(two, now).unwrap();
        let _of_the_new_places = limits.enter(one, now).unwrap();
        assert!(limits.enter(one, now).is_err());
    }
}
