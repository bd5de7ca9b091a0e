//! The ledger against a BTCPay of memory: who is asked, how often, and what is believed.

mod asking;
mod facts;
mod half_told;
mod hints;
mod listings;
mod still_open;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rust_decimal::Decimal;

use super::*;
use crate::gate::time::UnixTime;
use crate::server::shop::node::Word;
use crate::server::shop::source::{Looked, Lookup, LookupError, PAGE, Part, Walk};
use crate::shop::invoice::{Additional, Payment, PaymentStatus, Status, Tolerance};
use crate::shop::lane::Lane;

const TODAY: UnixTime = UnixTime(1_785_000_000);
const SPACING: Duration = Duration::from_millis(10);
const RECENTLY: Duration = Duration::from_secs(60);

fn tempo() -> Tempo {
    let millis = Duration::from_millis;
    Tempo {
        spacing: SPACING,
        listing: millis(100),
        gather: millis(5),
        retry: (millis(20), millis(80)),
        again: (millis(100), millis(200)),
    }
}

/// BTCPay, as far as the ledger sees it.
#[derive(Default)]
struct Memory {
    me: std::sync::Weak<Memory>,
    invoices: Mutex<BTreeMap<String, Invoice>>,
    looked_up: Mutex<Vec<(String, Instant)>>,
    listed: Mutex<Vec<Instant>>,
    parts: Mutex<Vec<Part>>,
    unlisted: Mutex<Option<String>>,
    down: AtomicBool,
    hide_payments: AtomicBool,
    hidden: AtomicBool,
    asks_node: AtomicBool,
    paid_at_node: AtomicBool,
    node_away: AtomicBool,
    slow: Mutex<Duration>,
    come_again: Mutex<Option<Duration>>,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Memory {
    fn put(&self, id: &str, status: Status, additional: Additional, created: UnixTime) {
        let payment = Payment {
            method: "BTC-LN".into(),
            id: "p".into(),
            received: created.plus(60),
            value: Decimal::ONE,
            fee: Decimal::ZERO,
            rate: Decimal::ONE,
            status: PaymentStatus::Settled,
        };
        let paid = status == Status::Settled || additional == Additional::PaidLate;
        let invoice = Invoice {
            id: id.into(),
            store: "store".into(),
            kind: "Standard".into(),
            status,
            additional,
            amount: Decimal::ONE,
            currency: "BTC".into(),
            created,
            expires: created.plus(1800),
            watched_until: created.plus(1800 + 86400),
            order: Some("order".into()),
            payments: Some(if paid { vec![payment] } else { vec![] }),
            methods: Vec::new(),
            paid_at_node: false,
            lane: Lane::Page,
        };
        self.invoices.lock().unwrap().insert(id.into(), invoice);
    }

    fn new_one(&self, id: &str) {
        self.put(id, Status::New, Additional::None, TODAY);
    }

    fn settle(&self, id: &str) {
        self.put(id, Status::Settled, Additional::None, TODAY);
    }

    fn times_looked_up(&self, id: &str) -> usize {
        self.looked_up.lock().unwrap().iter().filter(|(asked, _)| asked == id).count()
    }

    fn requests(&self) -> usize {
        self.looked_up.lock().unwrap().len() + self.listed.lock().unwrap().len()
    }

    async fn work(&self) -> Result<(), LookupError> {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(under_way, Ordering::SeqCst);
        let slow = *self.slow.lock().unwrap();
        tokio::time::sleep(slow).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if let Some(after) = *self.come_again.lock().unwrap() {
            return Err(LookupError::ComeAgain(after));
        }
        if self.down.load(Ordering::SeqCst) { Err(LookupError::Outage) } else { Ok(()) }
    }
}

impl Source for Memory {
    fn invoice<'a>(&'a self, id: &'a str) -> Lookup<'a, Looked> {
        Box::pin(async move {
            self.looked_up.lock().unwrap().push((id.into(), Instant::now()));
            // As BTCPay: the answer is that of the moment when the question came.
            let found = self.invoices.lock().unwrap().get(id).cloned();
            self.work().await?;
            let missing = if self.hidden.load(Ordering::SeqCst) { LookupError::Hidden } else { LookupError::Unknown };
            let paid_at_node = self.paid_at_node.load(Ordering::SeqCst);
            let node = match (paid_at_node, self.node_away.load(Ordering::SeqCst)) {
                (true, _) => Word::Paid,
                (false, true) => Word::Silent,
                (false, false) => Word::Unpaid,
            };
            let node = self.asks_node().then_some(node);
            found
                .map(|invoice| Looked { invoice: Invoice { paid_at_node, ..invoice }, node, requests: 1 })
                .ok_or(missing)
        })
    }

    fn walk(&self, part: &Part) -> Box<dyn Walk> {
        Box::new(Walking { memory: self.me.upgrade().unwrap(), part: part.clone(), told: 0, done: false })
    }

    fn asks_node(&self) -> bool {
        self.asks_node.load(Ordering::SeqCst)
    }
}

struct Walking {
    memory: Arc<Memory>,
    part: Part,
    told: usize,
    done: bool,
}

impl Walk for Walking {
    fn next(&mut self) -> Lookup<'_, Vec<Invoice>> {
        Box::pin(async move {
            self.memory.listed.lock().unwrap().push(Instant::now());
            self.memory.parts.lock().unwrap().push(self.part.clone());
            let mut found: Vec<Invoice> = self.memory.invoices.lock().unwrap().values().cloned().collect();
            let unlisted = self.memory.unlisted.lock().unwrap().clone();
            found.retain(|invoice| Some(&invoice.id) != unlisted.as_ref());
            found.retain(|invoice| self.part.holds(invoice.created, invoice.status));
            found.sort_by_key(|invoice| std::cmp::Reverse(invoice.created));
            if self.memory.hide_payments.load(Ordering::SeqCst) {
                found.iter_mut().for_each(|invoice| invoice.payments = None);
            }
            self.memory.work().await?;
            let invoices: Vec<Invoice> = found.into_iter().skip(self.told).take(PAGE).collect();
            self.told += invoices.len();
            self.done = invoices.len() < PAGE;
            Ok(invoices)
        })
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

fn ledger() -> (Arc<Ledger>, Arc<Memory>, Arc<AtomicUsize>) {
    ledger_with(tempo())
}

fn ledger_with(tempo: Tempo) -> (Arc<Ledger>, Arc<Memory>, Arc<AtomicUsize>) {
    let (memory, settled) =
        (Arc::new_cyclic(|me| Memory { me: me.clone(), ..Memory::default() }), Arc::new(AtomicUsize::new(0)));
    let counting = settled.clone();
    let ledger = Ledger::new(
        tempo,
        Box::new(move |_| {
            counting.fetch_add(1, Ordering::SeqCst);
        }),
    );
    let terms =
        Terms { store: "store".into(), accept_marked: true, accept_invalid: true, tolerance: Tolerance::NetworkFee };
    ledger.ask(Some(Backend { source: memory.clone(), terms, window: Duration::from_secs(3600) }));
    tokio::spawn(ledger.clone().watch(|| TODAY.plus(10)));
    (ledger, memory, settled)
}

/// Waits until so many further listings were asked for.
async fn listed(memory: &Memory, times: usize) {
    let seen = memory.listed.lock().unwrap().len();
    while memory.listed.lock().unwrap().len() < seen + times {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until what is known is as `wanted`.
async fn known_so(held: &mut Held, wanted: impl Fn(&Known) -> bool) -> Known {
    let waiting = async {
        loop {
            let known = held.known();
            if wanted(&known) {
                return known;
            }
            held.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is learned")
}

/// Waits until the invoice is known to be in this state.
async fn known_as(held: &mut Held, status: Status) -> Instant {
    known_so(held, |known| known.invoice.as_ref().is_some_and(|invoice| invoice.status == status)).await;
    Instant::now()
}

/// A hint that has led to a question, which takes its time.
async fn hint_and_await_the_question(ledger: &Arc<Ledger>, memory: &Memory, id: &str) {
    *memory.slow.lock().unwrap() = Duration::from_millis(60);
    ledger.hint(id);
    while memory.under_way.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
