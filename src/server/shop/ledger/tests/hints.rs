//! Deliveries hint: how often that leads to a question.

use super::*;

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
