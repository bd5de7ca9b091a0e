//! Look-ups by themselves: who is asked for, in which order, and when again.

use super::*;

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
    let late = |known: &Known| known.invoice.as_ref().is_some_and(|it| it.additional == Additional::PaidLate);
    tokio::time::timeout(Duration::from_secs(2), known_so(&mut held, late)).await.unwrap();
}

#[tokio::test]
async fn what_the_node_was_paid_is_found_while_somebody_waits_and_no_listing_forgets_it() {
    let (ledger, memory, settled) = ledger();
    memory.put("a", Status::Expired, Additional::None, TODAY);
    ledger.made(memory.invoices.lock().unwrap()["a"].clone(), Instant::now());
    let mut held = ledger.hold("a").unwrap();
    listed(&memory, 2).await;
    assert_eq!(memory.times_looked_up("a"), 0, "nobody may be asked");
    memory.asks_node.store(true, Ordering::SeqCst);
    while memory.times_looked_up("a") < 2 {
        held.changed().await;
        let _ = held.known();
    }
    memory.paid_at_node.store(true, Ordering::SeqCst);
    known_so(&mut held, |known| known.invoice.as_ref().is_some_and(|invoice| invoice.paid_at_node)).await;
    let looked_up = memory.times_looked_up("a");
    listed(&memory, 3).await;
    assert!(held.known().invoice.unwrap().paid_at_node);
    assert_eq!((memory.times_looked_up("a"), settled.load(Ordering::SeqCst)), (looked_up, 1));
}

/// What the node did not say is not known, whatever BTCPay's list says meanwhile.
#[tokio::test]
async fn the_nodes_silence_is_known_until_it_answers_and_no_listing_breaks_it() {
    let (ledger, memory, _) = ledger();
    memory.asks_node.store(true, Ordering::SeqCst);
    memory.node_away.store(true, Ordering::SeqCst);
    memory.put("a", Status::Expired, Additional::None, TODAY);
    ledger.made(memory.invoices.lock().unwrap()["a"].clone(), Instant::now());
    let mut held = ledger.hold("a").unwrap();
    let known = held.known();
    assert!(known.node_silent && !known.fresh, "nobody asked it yet");
    let known = known_so(&mut held, |known| known.fresh).await;
    assert!(known.node_silent && memory.times_looked_up("a") > 0);
    listed(&memory, 3).await;
    assert!(held.known().node_silent);
    memory.node_away.store(false, Ordering::SeqCst);
    let known = known_so(&mut held, |known| !known.node_silent).await;
    assert!(!known.invoice.unwrap().paid_at_node);
    listed(&memory, 3).await;
    assert!(!held.known().node_silent);
    // Where nobody may ask it, it is no witness, and nothing waits for its word.
    memory.node_away.store(true, Ordering::SeqCst);
    known_so(&mut held, |known| known.node_silent).await;
    memory.asks_node.store(false, Ordering::SeqCst);
    assert!(!held.known().node_silent);
}
