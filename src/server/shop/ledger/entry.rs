//! What is known of one invoice, and what is being done to know more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::warn;

use crate::server::shop::node::Word;
use crate::server::shop::source::LookupError;
use crate::shop::invoice::{Additional, Invoice, Status};
use crate::shop::settlement::Terms;

/// One invoice of the cache.
pub(super) struct Entry {
    facts: Option<Facts>,
    /// Why and when the last look-up told nothing.
    pub(super) failure: Option<(LookupError, Instant)>,
    /// Whether it is being asked for.
    pub(super) asking: Asking,
    /// Earliest time for a look-up that nobody hinted at.
    pub(super) next_try: Instant,
    /// Look-ups since the last change.
    tries: u32,
    /// How many requests are held for it.
    pub(super) waiters: usize,
    /// Whether it was paid, and then no longer: BTCPay tells that by no event.
    pub(super) fell_back: bool,
    /// Whether a listing told of a change without the payments that it consists of: a look-up is to tell the whole of it.
    half_told: bool,
    /// Whether its token was handed out.
    pub(super) claimed: bool,
    /// Whether the Lightning node has its price: asked by look-ups, unknown to listings, and true for ever.
    paid_at_node: bool,
    /// What the node said when a look-up asked it last. No listing changes that.
    node: Option<Word>,
    /// How many listings in a row should have told of it, and did not.
    misses: u32,
    /// Last time that anybody asked for it.
    pub(super) used: Instant,
    changed: watch::Sender<u64>,
}

struct Facts {
    invoice: Arc<Invoice>,
    /// When the question was sent that this is the answer to.
    asked_at: Instant,
    /// When they were last told, the same as before or not.
    told_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    No,
    Queued,
    Now { again: bool },
}

impl Entry {
    pub(super) fn new() -> Entry {
        let now = Instant::now();
        Entry {
            facts: None,
            failure: None,
            asking: Asking::No,
            next_try: now,
            tries: 0,
            waiters: 0,
            fell_back: false,
            half_told: false,
            claimed: false,
            paid_at_node: false,
            node: None,
            misses: 0,
            used: now,
            changed: watch::Sender::new(0),
        }
    }

    /// Takes a fetched invoice in, unless something newer is known. Those who wait are woken, unless it only repeats what they
    /// know and count on: a listing does that for every invoice every few seconds.
    ///
    /// - `recently`: age up to which facts are fresh.
    pub(super) fn learn(&mut self, mut invoice: Invoice, asked_at: Instant, recently: Duration) {
        let counted_on = self.asking == Asking::No && self.failure.is_none() && self.is_fresh(recently);
        let before = self.invoice();
        if invoice.paid_at_node && !self.paid_at_node && invoice.status == Status::Expired {
            warn!(
                invoice = %invoice.id,
                "BTCPay calls the invoice expired, and the Lightning node has been paid for it: its buyer is let in; mark it as \
                 settled in BTCPay's list of invoices, so that it is in the books"
            );
        }
        self.paid_at_node |= invoice.paid_at_node;
        invoice.paid_at_node = self.paid_at_node;
        self.failure = None;
        match &mut self.facts {
            // Two answers can overtake each other.
            Some(facts) if facts.asked_at > asked_at => {
                if facts.invoice.paid_at_node != self.paid_at_node {
                    Arc::make_mut(&mut facts.invoice).paid_at_node = self.paid_at_node;
                }
            }
            // Settled by a payment is final: whatever says otherwise was under way before.
            Some(facts) if facts.invoice.is_final() && !invoice.is_final() => facts.told_at = Instant::now(),
            // A listing without payments repeats what is known with them.
            Some(facts) if invoice.payments.is_none() && without_payments(&facts.invoice) == invoice => {
                (facts.asked_at, facts.told_at) = (asked_at, Instant::now());
                // Another part may have come, or what came late be confirmed: that changes no status.
                self.half_told = invoice.needs_payments();
            }
            // What a buyer has seen arrive, and the code that they pay by, is not taken from them for the time of a look-up.
            Some(facts) if invoice.payments.is_none() && says_less(&invoice, &facts.invoice) => {
                if !self.half_told {
                    (self.half_told, self.next_try, self.tries) = (true, Instant::now(), 0);
                }
            }
            facts => {
                if let Some(known) = facts.as_ref().filter(|_| invoice.payments.is_none()) {
                    invoice.methods = known.invoice.methods.clone();
                }
                if facts.as_ref().is_none_or(|facts| *facts.invoice != invoice) {
                    self.tries = 0;
                }
                self.half_told = false;
                let was_paid = facts.as_ref().is_some_and(|facts| facts.invoice.status == Status::Processing);
                self.fell_back |= was_paid && invoice.status == Status::New;
                *facts = Some(Facts { invoice: Arc::new(invoice), asked_at, told_at: Instant::now() });
            }
        }
        if !counted_on || before != self.invoice() {
            self.tell();
        }
    }

    /// Takes in what the node said, where it was asked.
    pub(super) fn hear(&mut self, word: Option<Word>) {
        if word.is_some() && word != self.node {
            self.node = word;
            self.tell();
        }
    }

    /// What the node said when it was asked last.
    pub(super) fn node(&self) -> Option<Word> {
        self.node
    }

    /// Notes that a look-up told nothing.
    pub(super) fn failed(&mut self, err: LookupError, now: Instant) {
        self.failure = Some((err, now));
        self.tell();
    }

    /// Wakes those who wait for it.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Tells of every [`Entry::tell`] from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn invoice(&self) -> Option<Arc<Invoice>> {
        self.facts.as_ref().map(|facts| facts.invoice.clone())
    }

    pub(super) fn error(&self) -> Option<LookupError> {
        self.failure.map(|(err, _)| err)
    }

    /// When BTCPay last told of it.
    pub(super) fn told_at(&self) -> Option<Instant> {
        self.facts.as_ref().map(|facts| facts.told_at)
    }

    pub(super) fn is_final(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.invoice.is_final())
    }

    pub(super) fn is_fresh(&self, recently: Duration) -> bool {
        self.is_final() || self.told_at().is_some_and(|at| at.elapsed() <= recently)
    }

    /// Whether its payments are needed and were not told.
    pub(super) fn lacks_payments(&self) -> bool {
        let untold = |facts: &Facts| facts.invoice.needs_payments() && facts.invoice.payments.is_none();
        self.half_told || self.facts.as_ref().is_some_and(untold)
    }

    /// Whether only the Lightning node can still tell that it was paid.
    pub(super) fn lacks_witness(&self, terms: &Terms) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.invoice.lacks_witness(terms))
    }

    /// Nobody waits for it and nobody asks: it can be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.waiters == 0 && self.asking == Asking::No
    }

    /// Look-ups since the last change.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// Time until the next look-up that nobody hinted at, longer each time.
    pub(super) fn back_off(&mut self, (first, longest): (Duration, Duration)) -> Duration {
        let wait = first.saturating_mul(1 << self.tries.min(16)).min(longest);
        self.tries = self.tries.saturating_add(1);
        wait
    }

    /// A listing told of it.
    pub(super) fn listed(&mut self) {
        self.misses = 0;
    }

    /// Whether the last listing told of it, as far as it had to.
    pub(super) fn is_listed(&self) -> bool {
        self.misses == 0
    }

    /// A listing should have told of it, and did not. At first that is news: it has changed, and is looked up soon. What BTCPay
    /// never lists is looked up less and less often.
    pub(super) fn missed(&mut self, now: Instant) {
        if self.is_listed() {
            (self.next_try, self.tries) = (now, 0);
        }
        self.misses = self.misses.saturating_add(1);
    }

    /// A look-up ended. Whether a hint came meanwhile; then it counts as queued.
    pub(super) fn asked(&mut self) -> bool {
        let again = self.asking == Asking::Now { again: true };
        self.asking = if again { Asking::Queued } else { Asking::No };
        again
    }
}

/// Whether a change that a listing told without payments says less to the buyer than was known before: how much has arrived, or
/// how to pay what is left.
fn says_less(listed: &Invoice, known: &Invoice) -> bool {
    let status = match listed.status {
        Status::New | Status::Unknown | Status::Invalid => true,
        Status::Expired => listed.additional != Additional::None,
        Status::Processing | Status::Settled => false,
    };
    status || known.holds_money()
}

fn without_payments(invoice: &Invoice) -> Invoice {
    Invoice { payments: None, methods: Vec::new(), ..invoice.clone() }
}
