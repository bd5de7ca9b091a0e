//! What is listed, and how what has changed is told from what has not, however many there are. Counted in requests.

use super::*;

/// Made before all that [`open`] makes, and still to be paid in time.
const EARLIER: UnixTime = UnixTime(TODAY.0 - 1000);
/// Made so long ago that its time is over.
const OVER: UnixTime = UnixTime(TODAY.0 - 2000);

/// So many invoices of others that can be paid, ten a second, all made before today.
fn open(memory: &Memory, count: u64) {
    (0..count).for_each(|n| {
        memory.put(&format!("open{n:05}"), Status::New, Additional::None, UnixTime(TODAY.0 - 1 - n / 10))
    });
}

/// An invoice of ours that is known as it is.
fn known(ledger: &Ledger, memory: &Memory, id: &str, status: Status, created: UnixTime) {
    memory.put(id, status, Additional::None, created);
    ledger.made(memory.invoices.lock().unwrap()[id].clone(), Instant::now());
}

/// The parts asked for behind the newest page.
fn behind(memory: &Memory) -> Vec<Part> {
    memory.parts.lock().unwrap().iter().filter(|part| part.until.is_some()).cloned().collect()
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it comes to that");
}

/// Five thousand sales of the last day are final: they are not told again every few seconds because of one who waits.
#[tokio::test]
async fn what_can_no_longer_change_is_not_listed() {
    let (ledger, memory, _) = ledger();
    for n in 0..5000 {
        memory.put(&format!("sold{n}"), Status::Settled, Additional::None, UnixTime(TODAY.0 - 1 - n / 10));
    }
    known(&ledger, &memory, "mine", Status::New, EARLIER);
    let mut held = ledger.hold("mine").unwrap();
    until(|| behind(&memory).len() >= 3).await;
    assert!(behind(&memory).iter().all(|part| part.statuses == [Status::New, Status::Processing]));
    // Two pages a round: the newest one, and what is open behind it.
    let (pages, rounds) = (memory.listed.lock().unwrap().len(), behind(&memory).len());
    assert!(pages <= 2 * rounds + 1, "{pages} pages in {rounds} rounds");
    // It is paid: no page tells of it, and so it is looked up, once.
    memory.put("mine", Status::Settled, Additional::None, EARLIER);
    known_as(&mut held, Status::Settled).await;
    assert_eq!(memory.times_looked_up("mine"), 1);
}

/// The time of one whose time is over comes to an end by itself, and it is still told by pages.
#[tokio::test]
async fn what_expires_meanwhile_is_listed_as_expired() {
    let (ledger, memory, _) = ledger();
    open(&memory, 300);
    known(&ledger, &memory, "mine", Status::New, OVER);
    memory.put("mine", Status::Expired, Additional::None, OVER);
    let mut held = ledger.hold("mine").unwrap();
    known_as(&mut held, Status::Expired).await;
    memory.put("mine", Status::Expired, Additional::PaidLate, OVER);
    while held.known().invoice.is_none_or(|invoice| invoice.additional != Additional::PaidLate) {
        held.changed().await;
    }
    assert_eq!(memory.times_looked_up("mine"), 0);
}

/// Five hundred who wait are paid at once: nobody is looked up alone.
#[tokio::test]
async fn many_that_left_the_list_are_told_by_pages() {
    let (ledger, memory, settled) = ledger();
    open(&memory, 300);
    let ids: Vec<String> = (0..500).map(|n| format!("i{n}")).collect();
    ids.iter().for_each(|id| known(&ledger, &memory, id, Status::New, EARLIER));
    let mut held: Vec<Held> = ids.iter().map(|id| ledger.hold(id).unwrap()).collect();
    until(|| behind(&memory).len() >= 4).await;
    ids.iter().for_each(|id| memory.put(id, Status::Settled, Additional::None, EARLIER));
    let before = memory.requests();
    for held in &mut held {
        known_as(held, Status::Settled).await;
    }
    // The rest of a round, one that tells nothing of them, and one of everything.
    let (since, looked_up) = (memory.requests() - before, memory.looked_up.lock().unwrap().len());
    assert!(since <= 25 && looked_up <= 8, "{since} requests, {looked_up} look-ups");
    assert_eq!(settled.load(Ordering::SeqCst), 500);
}

/// What BTCPay never lists is looked up less and less often, as if nothing were listed.
#[tokio::test]
async fn what_is_never_listed_is_no_news_each_time() {
    let (ledger, memory, _) = ledger();
    memory.new_one("listed");
    let one = memory.invoices.lock().unwrap()["listed"].clone();
    *memory.unlisted.lock().unwrap() = Some("mine".into());
    memory.invoices.lock().unwrap().insert("mine".into(), Invoice { id: "mine".into(), ..one.clone() });
    ledger.made(Invoice { id: "mine".into(), ..one }, Instant::now());
    let _held = ledger.hold("mine").unwrap();
    until(|| memory.listed.lock().unwrap().len() >= 12).await;
    let times = memory.times_looked_up("mine");
    assert!((2..=8).contains(&times), "{times} look-ups in 12 listings");
}

/// Three hundred tabs on invoices that no listing covers are looked up without end: every other paced request is a page's.
#[tokio::test]
async fn look_ups_and_pages_take_turns() {
    let (millis, again) = (Duration::from_millis, (Duration::from_millis(1), Duration::from_millis(1)));
    let (ledger, memory, _) = ledger_with(Tempo { spacing: millis(5), again, ..tempo() });
    open(&memory, 5000);
    let tabs: Vec<String> = (0..300).map(|n| format!("tab{n}")).collect();
    tabs.iter().for_each(|id| known(&ledger, &memory, id, Status::Expired, UnixTime(TODAY.0 - 100_000)));
    known(&ledger, &memory, "mine", Status::New, EARLIER);
    let _held: Vec<Held> = tabs.iter().map(String::as_str).chain(["mine"]).map(|id| ledger.hold(id).unwrap()).collect();
    until(|| behind(&memory).len() >= 40).await;
    let (pages, look_ups) = (behind(&memory).len(), memory.looked_up.lock().unwrap().len());
    assert!(look_ups >= 10 && pages >= 40 && look_ups <= 2 * pages, "{look_ups} look-ups beside {pages} pages");
}

/// After a restart a thousand tabs are asked for, among five thousand open invoices; who comes then is among the next to be looked up,
/// and is told by it, or by the newest page.
#[tokio::test]
async fn who_comes_among_thousands_is_asked_for_at_once() {
    let (ledger, memory, _) = ledger_with(Tempo { spacing: Duration::from_millis(100), ..tempo() });
    open(&memory, 5000);
    let tabs: Vec<String> = (0..1000).map(|n| format!("tab{n}")).collect();
    tabs.iter().for_each(|id| memory.put(id, Status::Expired, Additional::None, EARLIER));
    *memory.slow.lock().unwrap() = Duration::from_millis(3);
    let mut held: Vec<Held> = tabs.iter().map(|id| ledger.hold(id).unwrap()).collect();
    until(|| memory.requests() >= 3).await;
    memory.put("new", Status::Settled, Additional::None, EARLIER);
    let before = memory.looked_up.lock().unwrap().len();
    let mut new = ledger.hold("new").unwrap();
    known_as(&mut new, Status::Settled).await;
    let place = memory.looked_up.lock().unwrap().iter().skip(before).position(|(id, _)| id == "new");
    assert!(place.is_some_and(|place| place <= 12), "{place:?} others were looked up first");
    assert!(held.iter_mut().all(|held| held.known().error.is_none()), "nothing says that BTCPay cannot be reached");
    // One who buys now waits for no more than the newest page.
    known(&ledger, &memory, "bought", Status::New, TODAY);
    let mut bought = ledger.hold("bought").unwrap();
    known_as(&mut bought, Status::New).await;
    let newest = || memory.parts.lock().unwrap().iter().filter(|part| part.until.is_none()).count();
    let before = newest();
    memory.settle("bought");
    known_as(&mut bought, Status::Settled).await;
    assert!(newest() - before <= 2, "{} times the newest page", newest() - before);
    assert_eq!(memory.times_looked_up("bought"), 0);
}
