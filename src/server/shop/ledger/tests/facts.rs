//! What is believed, whom it wakes, and what is forgotten.

use super::*;

pub(super) fn facts(status: Status) -> Invoice {
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
