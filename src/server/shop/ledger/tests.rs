//! The ledger against a BTCPay of memory: who is asked, how often, and what is believed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rust_decimal::Decimal;

use super::*;
use crate::gate::time::UnixTime;
use crate::server::shop::source::{Looked, Lookup, PAGE, Walk};
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
    down: AtomicBool,
    hide_payments: AtomicBool,
    hidden: AtomicBool,
    asks_node: AtomicBool,
    paid_at_node: AtomicBool,
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
            found.map(|invoice| Looked { invoice: Invoice { paid_at_node, ..invoice }, requests: 1 }).ok_or(missing)
        })
    }

    fn walk(&self, since: UnixTime) -> Box<dyn Walk> {
        Box::new(Walking { memory: self.me.upgrade().unwrap(), since, told: 0, done: false })
    }

    fn asks_node(&self) -> bool {
        self.asks_node.load(Ordering::SeqCst)
    }
}

struct Walking {
    memory: Arc<Memory>,
    since: UnixTime,
    told: usize,
    done: bool,
}

impl Walk for Walking {
    fn next(&mut self) -> Lookup<'_, Vec<Invoice>> {
        Box::pin(async move {
            self.memory.listed.lock().unwrap().push(Instant::now());
            let mut found: Vec<Invoice> = self.memory.invoices.lock().unwrap().values().cloned().collect();
            found.retain(|invoice| invoice.created >= self.since);
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

/// Waits until the invoice is known to be in this state.
async fn known_as(held: &mut Held, status: Status) -> Instant {
    let waiting = async {
        while held.known().invoice.is_none_or(|invoice| invoice.status != status) {
            held.changed().await;
        }
        Instant::now()
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the state is learned")
}

/// A hint that has led to a question, which takes its time.
async fn hint_and_await_the_question(ledger: &Arc<Ledger>, memory: &Memory, id: &str) {
    *memory.slow.lock().unwrap() = Duration::from_millis(60);
    ledger.hint(id);
    while memory.under_way.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn nobody_is_asked_while_nobody_waits() {
    let (ledger, memory, _) = ledger();
    memory.new_one("a");
    drop(ledger.hold("a").unwrap());
    tokio::time::sleep(tempo().listing * 3).await;
    assert!(memory.requests() <= 1, "{} requests", memory.requests());
}

#[tokio::test]
async fn a_claim_without_a_cache_is_looked_up_once_for_all_who_wait() {
    let (ledger, memory, settled) = ledger();
    memory.settle("a");
    let mut held: Vec<Held> = (0..MAX_HELD).map(|_| ledger.hold("a").unwrap()).collect();
    assert!(matches!(ledger.hold("a"), Err(Full::Invoice)));
    for held in &mut held {
        known_as(held, Status::Settled).await;
    }
    assert_eq!((memory.times_looked_up("a"), settled.load(Ordering::SeqCst)), (1, 1));
    held.pop();
    assert!(ledger.hold("a").is_ok());
}

#[tokio::test]
async fn a_listing_catches_what_webhooks_lost() {
    let (ledger, memory, settled) = ledger();
    memory.new_one("a");
    ledger.made(memory.invoices.lock().unwrap()["a"].clone(), Instant::now());
    let mut held = ledger.hold("a").unwrap();
    known_as(&mut held, Status::New).await;
    memory.settle("a");
    known_as(&mut held, Status::Settled).await;
    assert_eq!((memory.times_looked_up("a"), settled.load(Ordering::SeqCst)), (0, 1));
}

#[tokio::test]
async fn a_listing_without_payments_leads_to_a_look_up() {
    let (ledger, memory, _) = ledger();
    memory.hide_payments.store(true, Ordering::SeqCst);
    memory.new_one("a");
    ledger.made(memory.invoices.lock().unwrap()["a"].clone(), Instant::now());
    let mut held = ledger.hold("a").unwrap();
    memory.settle("a");
    let waiting = async {
        while held.known().invoice.is_none_or(|invoice| !invoice.is_final()) {
            held.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
    assert_eq!(memory.times_looked_up("a"), 1);
}

#[tokio::test]
async fn what_the_node_was_paid_is_found_while_somebody_waits_and_no_listing_forgets_it() {
    let (ledger, memory, settled) = ledger();
    memory.put("a", Status::Expired, Additional::None, TODAY);
    ledger.made(memory.invoices.lock().unwrap()["a"].clone(), Instant::now());
    let mut held = ledger.hold("a").unwrap();
    let listed = |times: usize| {
        let memory = memory.clone();
        async move {
            let seen = memory.listed.lock().unwrap().len();
            while memory.listed.lock().unwrap().len() < seen + times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    listed(2).await;
    assert_eq!(memory.times_looked_up("a"), 0, "nobody may be asked");
    memory.asks_node.store(true, Ordering::SeqCst);
    while memory.times_looked_up("a") < 2 {
        held.changed().await;
        let _ = held.known();
    }
    memory.paid_at_node.store(true, Ordering::SeqCst);
    let waiting = async {
        while held.known().invoice.is_none_or(|invoice| !invoice.paid_at_node) {
            held.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
    let looked_up = memory.times_looked_up("a");
    listed(3).await;
    assert!(held.known().invoice.unwrap().paid_at_node);
    assert_eq!((memory.times_looked_up("a"), settled.load(Ordering::SeqCst)), (looked_up, 1));
}

#[tokio::test]
async fn a_hint_during_a_look_up_causes_exactly_one_more() {
    let (ledger, memory, _) = ledger();
    memory.new_one("a");
    hint_and_await_the_question(&ledger, &memory, "a").await;
    memory.settle("a");
    (0..20).for_each(|_| ledger.hint("a"));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(memory.times_looked_up("a"), 2);
    let known = ledger.hold("a").unwrap().known();
    assert!(known.fresh && known.invoice.unwrap().status == Status::Settled);
}

#[tokio::test]
async fn what_can_no_longer_change_is_not_asked_for() {
    let (ledger, memory, settled) = ledger();
    memory.settle("a");
    hint_and_await_the_question(&ledger, &memory, "a").await;
    ledger.hint("a");
    known_as(&mut ledger.hold("a").unwrap(), Status::Settled).await;
    ledger.hint("a");
    // Whoever is hinted at last is looked up last.
    memory.new_one("b");
    ledger.hint("b");
    known_as(&mut ledger.hold("b").unwrap(), Status::New).await;
    tokio::time::sleep(tempo().gather * 10).await;
    assert_eq!((memory.times_looked_up("a"), settled.load(Ordering::SeqCst)), (1, 1));
}

/// BTCPay tells of one Lightning payment in five deliveries: the first finds it settled, and the others nothing to ask for.
#[tokio::test]
async fn hints_that_come_together_are_one_look_up() {
    let (ledger, memory, _) = ledger();
    memory.settle("a");
    (0..5).for_each(|_| ledger.hint("a"));
    known_as(&mut ledger.hold("a").unwrap(), Status::Settled).await;
    (0..5).for_each(|_| ledger.hint("a"));
    memory.new_one("b");
    ledger.hint("b");
    known_as(&mut ledger.hold("b").unwrap(), Status::New).await;
    assert_eq!(memory.times_looked_up("a"), 1);
}

/// The buyer waits for nothing but BTCPay: the gathering begins behind the first look-up.
#[tokio::test]
async fn the_first_hint_is_followed_at_once() {
    let (ledger, memory, _) = ledger_with(Tempo { gather: Duration::from_secs(3600), ..tempo() });
    memory.settle("a");
    ledger.hint("a");
    known_as(&mut ledger.hold("a").unwrap(), Status::Settled).await;
}

/// Tabs that somebody left open, on invoices that no listing covers, hold up nobody who comes now.
#[tokio::test]
async fn a_new_claim_does_not_wait_behind_abandoned_tabs() {
    let (ledger, memory, _) = ledger_with(Tempo { spacing: Duration::from_millis(500), ..tempo() });
    let long_ago = UnixTime(TODAY.0 - 100_000);
    let tabs: Vec<String> = (0..1000).map(|n| format!("tab{n}")).collect();
    tabs.iter().for_each(|id| memory.put(id, Status::Expired, Additional::None, long_ago));
    let mut held: Vec<Held> = tabs.iter().map(|id| ledger.hold(id).unwrap()).collect();
    for held in &mut held {
        known_as(held, Status::Expired).await;
    }
    let came = Instant::now();
    memory.put("new", Status::Settled, Additional::None, long_ago);
    let seen = known_as(&mut ledger.hold("new").unwrap(), Status::Settled).await;
    assert!(seen - came < tempo().spacing * 20, "it waited {:?}", seen - came);
}

/// Of five thousand open invoices the newest are told on time, whatever has to be listed behind them.
#[tokio::test]
async fn the_newest_page_is_on_time_always() {
    let (ledger, memory, _) = ledger_with(Tempo { spacing: Duration::from_secs(3600), ..tempo() });
    for n in 0..5000 {
        memory.put(&format!("open{n}"), Status::New, Additional::None, UnixTime(TODAY.0 - 1 - n / 10));
    }
    memory.new_one("mine");
    let old = memory.invoices.lock().unwrap()["open4999"].clone();
    let mine = memory.invoices.lock().unwrap()["mine"].clone();
    ledger.made(old, Instant::now());
    ledger.made(mine, Instant::now());
    let _waits = ledger.hold("open4999").unwrap();
    let mut held = ledger.hold("mine").unwrap();
    known_as(&mut held, Status::New).await;
    tokio::time::sleep(tempo().listing * 3).await;
    let paid = Instant::now();
    memory.settle("mine");
    let seen = known_as(&mut held, Status::Settled).await;
    assert!(seen - paid < tempo().listing * 10, "it took {:?}", seen - paid);
    assert_eq!(memory.times_looked_up("mine"), 0);
}

/// A listing covers everything that can still be paid, however much there is before it.
#[tokio::test]
async fn what_is_behind_five_thousand_others_is_listed_as_well() {
    let (ledger, memory, _) = ledger_with(Tempo { spacing: Duration::from_millis(1), ..tempo() });
    for n in 0..5000 {
        memory.put(&format!("open{n}"), Status::New, Additional::None, UnixTime(TODAY.0 - 1 - n / 10));
    }
    let oldest = memory.invoices.lock().unwrap()["open4999"].clone();
    let created = oldest.created;
    ledger.made(oldest, Instant::now());
    let mut held = ledger.hold("open4999").unwrap();
    memory.put("open4999", Status::Processing, Additional::None, created);
    known_as(&mut held, Status::Processing).await;
    assert_eq!(memory.times_looked_up("open4999"), 0);
}

/// The proxy before BTCPay says when to come again.
#[tokio::test]
async fn a_retry_after_is_kept() {
    let (ledger, memory, _) = ledger();
    memory.settle("a");
    *memory.come_again.lock().unwrap() = Some(Duration::from_millis(700));
    let mut held = ledger.hold("a").unwrap();
    while held.known().error.is_none() {
        held.changed().await;
    }
    let (told, asked) = (Instant::now(), memory.requests());
    *memory.come_again.lock().unwrap() = None;
    let seen = known_as(&mut held, Status::Settled).await;
    assert!(seen - told > Duration::from_millis(600), "asked again after {:?}", seen - told);
    assert!(memory.requests() <= asked + 2);
}

#[tokio::test]
async fn many_hints_are_looked_up_a_few_at_once() {
    let (ledger, memory, _) = ledger();
    *memory.slow.lock().unwrap() = Duration::from_millis(5);
    (0..200).for_each(|n| ledger.hint(&format!("i{n}")));
    while memory.looked_up.lock().unwrap().len() < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(memory.most_at_once.load(Ordering::SeqCst) <= HINTED_AT_ONCE);
}

#[tokio::test]
async fn an_outage_is_waited_out_with_fewer_and_fewer_questions() {
    let (ledger, memory, _) = ledger();
    memory.settle("a");
    memory.down.store(true, Ordering::SeqCst);
    let mut held: Vec<Held> = (0..8).map(|_| ledger.hold("a").unwrap()).collect();
    held.extend((0..100).map(|n| ledger.hold(&format!("other{n}")).unwrap()));
    tokio::time::sleep(Duration::from_millis(1000)).await;
    // 20, 40, 80, 80 … ms apart, and up to four that were under way when it began.
    assert!(memory.requests() <= 20, "{} requests in a second of outage", memory.requests());
    assert_eq!(held[0].known().invoice, None);
    memory.down.store(false, Ordering::SeqCst);
    let back = Instant::now();
    assert!(known_as(&mut held[0], Status::Settled).await - back < Duration::from_secs(2));
}

#[tokio::test]
async fn a_thousand_who_wait_cost_two_requests_in_the_time_of_two() {
    let (ledger, memory, settled) = ledger();
    let ids: Vec<String> = (0..1000).map(|n| format!("i{n}")).collect();
    ids.iter().for_each(|id| memory.new_one(id));
    let mut held: Vec<Held> = ids.iter().map(|id| ledger.hold(id).unwrap()).collect();
    for held in &mut held {
        known_as(held, Status::New).await;
    }
    ids.iter().for_each(|id| memory.settle(id));
    let before = memory.requests();
    for held in &mut held {
        known_as(held, Status::Settled).await;
    }
    // What is left of one listing, and the next, five full pages and an empty one; on a busy machine those after it have
    // begun by the time that all were counted. What must not be is one request for each.
    let since = memory.requests() - before;
    assert!(since <= 30, "{since} requests since they paid");
    assert_eq!(settled.load(Ordering::SeqCst), 1000);
    let looked_up = memory.looked_up.lock().unwrap().len();
    assert!(looked_up < 200, "{looked_up} look-ups of what listings tell");
    // The newest page is on time, the others are paced: of three that follow each other two are of one lane.
    let asked = memory.listed.lock().unwrap().clone();
    let spread = asked.windows(3).map(|three| three[2] - three[0]).min().unwrap();
    assert!(spread >= SPACING, "three requests within {spread:?}");
}

#[tokio::test]
async fn an_old_invoice_is_looked_up_by_itself_and_less_often() {
    let (ledger, memory, _) = ledger();
    let long_ago = UnixTime(TODAY.0 - 100_000);
    memory.put("a", Status::Expired, Additional::None, long_ago);
    let mut held = ledger.hold("a").unwrap();
    known_as(&mut held, Status::Expired).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let times = memory.times_looked_up("a");
    assert!((3..=7).contains(&times), "{times} look-ups");
    assert!(memory.listed.lock().unwrap().is_empty());
    memory.put("a", Status::Expired, Additional::PaidLate, long_ago);
    let waiting = async {
        while held.known().invoice.is_none_or(|invoice| invoice.additional != Additional::PaidLate) {
            held.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), waiting).await.unwrap();
}

#[tokio::test]
async fn an_invoice_that_btcpay_does_not_show_is_told_apart_from_a_weak_key() {
    let (ledger, memory, _) = ledger();
    memory.hidden.store(true, Ordering::SeqCst);
    let mut held = ledger.hold("gone").unwrap();
    let waiting = async {
        while held.known().error != Some(LookupError::Unknown) {
            held.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap();
    assert!(!memory.listed.lock().unwrap().is_empty());
}

fn facts(status: Status) -> Invoice {
    let memory = Memory::default();
    memory.put("a", status, Additional::None, TODAY);
    memory.invoices.lock().unwrap()["a"].clone()
}

#[test]
fn older_answers_and_late_doubts_change_nothing() {
    let (before, after) = (Instant::now(), Instant::now() + Duration::from_millis(1));
    let mut entry = Entry::new();
    entry.learn(facts(Status::Processing), after, RECENTLY);
    entry.learn(facts(Status::New), before, RECENTLY);
    assert_eq!(entry.invoice().unwrap().status, Status::Processing);
    entry.learn(facts(Status::Settled), after, RECENTLY);
    entry.learn(facts(Status::New), after, RECENTLY);
    assert_eq!(entry.invoice().unwrap().status, Status::Settled);
    let listed = Invoice { payments: None, ..facts(Status::Settled) };
    entry.learn(listed, after, RECENTLY);
    // But what the node has stays so, whichever answer comes first.
    let mut given_up = Entry::new();
    given_up.learn(facts(Status::Expired), after, RECENTLY);
    given_up.learn(Invoice { paid_at_node: true, ..facts(Status::Expired) }, before, RECENTLY);
    assert!(given_up.invoice().unwrap().paid_at_node);
    assert!(entry.is_final() && !entry.lacks_payments());
}

/// Ten thousand who wait are not to be woken every five seconds for nothing, and each of them for anything else.
#[test]
fn what_is_repeated_wakes_nobody_and_all_else_does() {
    let mut entry = Entry::new();
    let mut waiter = entry.changes();
    let mut woken = || {
        let woken = waiter.has_changed().unwrap();
        waiter.mark_unchanged();
        woken
    };
    entry.learn(facts(Status::New), Instant::now(), RECENTLY);
    assert!(woken(), "the first facts");
    entry.learn(facts(Status::New), Instant::now(), RECENTLY);
    assert!(!woken(), "a repetition");
    entry.learn(facts(Status::New), Instant::now(), Duration::ZERO);
    assert!(woken(), "a repetition of what nobody counted on any more");
    entry.failed(LookupError::Unreadable, Instant::now());
    assert!(woken(), "a failure");
    entry.learn(facts(Status::New), Instant::now(), RECENTLY);
    assert!(woken(), "the end of a failure");
    entry.asking = Asking::Now { again: false };
    entry.learn(facts(Status::New), Instant::now(), RECENTLY);
    assert!(woken(), "the answer to a question that a hint caused");
    entry.asking = Asking::No;
    entry.learn(facts(Status::Processing), Instant::now(), RECENTLY);
    assert!(woken(), "a change");
}

#[tokio::test]
async fn the_cache_is_bounded_and_keeps_those_who_are_waited_for() {
    let (ledger, memory, _) = ledger();
    memory.new_one("kept");
    let _held = ledger.hold("kept").unwrap();
    let one = memory.invoices.lock().unwrap()["kept"].clone();
    for n in 0..CAPACITY + 100 {
        ledger.made(Invoice { id: format!("i{n}"), ..one.clone() }, Instant::now());
    }
    let state = ledger.lock();
    assert!(state.entries.len() <= CAPACITY);
    assert!(state.entries.contains_key("kept"));
}
