//! Those who wait for an invoice, and what they are told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;

use super::Ledger;
use super::entry::Asking;
use crate::server::shop::node::Word;
use crate::server::shop::source::LookupError;
use crate::shop::invoice::Invoice;

/// What is known of an invoice now.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The facts as they were fetched last.
    pub(crate) invoice: Option<Arc<Invoice>>,
    /// Whether they were fetched just now, or can no longer change; and all who know of them were asked.
    pub(crate) fresh: bool,
    /// Whether only the Lightning node can still say that it was paid, and does not answer, or was not asked yet.
    pub(crate) node_silent: bool,
    /// How long ago BTCPay told them.
    pub(crate) age: Duration,
    /// Whether it was paid once, and then no longer: a payment was replaced.
    pub(crate) fell_back: bool,
    /// Why the last look-up told nothing.
    pub(crate) error: Option<LookupError>,
}

/// Somebody who waits for an invoice to change. While there is one, BTCPay is asked.
pub(crate) struct Held {
    pub(super) ledger: Arc<Ledger>,
    pub(super) id: Arc<str>,
    pub(super) changes: Receiver<u64>,
}

impl Held {
    /// What is known now.
    pub(crate) fn known(&mut self) -> Known {
        self.changes.mark_unchanged();
        let state = self.ledger.lock();
        let Some(entry) = state.entries.get(&self.id) else {
            return Known {
                invoice: None,
                fresh: false,
                node_silent: false,
                age: Duration::ZERO,
                fell_back: false,
                error: None,
            };
        };
        let mut error = entry.error();
        // The key may list the store's invoices and yet not see this one: it does not exist.
        if let Some((LookupError::Hidden, at)) = entry.failure
            && state.listed_well.is_some_and(|listed| listed > at)
        {
            error = Some(LookupError::Unknown);
        }
        let recently = self.ledger.tempo.recently();
        let lacks_witness = state.witnessed_by().is_some_and(|terms| entry.lacks_witness(terms));
        let node_silent = lacks_witness && entry.node().is_none_or(|word| word == Word::Silent);
        let not_asked = lacks_witness && entry.node().is_none();
        // What is being asked for may have changed: a delivery said so, most likely.
        let fresh = entry.is_final() || (entry.asking == Asking::No && entry.is_fresh(recently) && !not_asked);
        let age = entry.told_at().map_or(Duration::ZERO, |at| at.elapsed());
        Known { invoice: entry.invoice(), fresh, node_silent, age, fell_back: entry.fell_back, error }
    }

    /// Whether this is the first time that its token is handed out here, as far as the cache remembers.
    pub(crate) fn claimed_first(&self) -> bool {
        let mut state = self.ledger.lock();
        let entry = state.entries.get_mut(&self.id);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.claimed, true))
    }

    /// Ready when something was learned since [`Held::known`].
    pub(crate) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The entry is gone, which does not happen while it is waited for.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.ledger.lock();
        if let Some(entry) = state.entries.get_mut(&self.id) {
            entry.waiters -= 1;
            if entry.waiters == 0 {
                state.waited.remove(&self.id);
            }
        }
    }
}
