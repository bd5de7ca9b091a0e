//! Listings: what they tell to how many, and what they miss.

use super::*;

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
    known_so(&mut held, |known| known.invoice.as_ref().is_some_and(|invoice| invoice.is_final())).await;
    assert_eq!(memory.times_looked_up("a"), 1);
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
async fn an_invoice_that_btcpay_does_not_show_is_told_apart_from_a_weak_key() {
    let (ledger, memory, _) = ledger();
    memory.hidden.store(true, Ordering::SeqCst);
    let mut held = ledger.hold("gone").unwrap();
    known_so(&mut held, |known| known.error == Some(LookupError::Unknown)).await;
    assert!(!memory.listed.lock().unwrap().is_empty());
}
