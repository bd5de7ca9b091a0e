//! Does to the double what was done to a real BTCPay Server, and compares every answer and every delivery.
//!
//! `RECORDED=chain cargo test -p btcpay-double --test recorded` plays the cases whose name contains `chain`.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod ask;
mod case;
mod compare;
mod furnish;
mod hands;
#[path = "../../src/json.rs"]
#[allow(dead_code)]
mod json;
mod known;
mod left_out;
mod mail;
mod notice;
mod order;
mod play;
mod shop;
mod shown;
mod stage;
mod strangers;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tokio::sync::Semaphore;

/// How many cases are recorded.
const RECORDED: usize = 241;
/// How many cases are played at once.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn the_double_answers_as_the_recorded_servers_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded");
    let wanted = std::env::var("RECORDED").unwrap_or_default();
    let cases = case::all(&folder, &wanted);
    assert!(!cases.is_empty(), "no case has {wanted:?} in its name");
    let (total, slots) = (cases.len(), Arc::new(Semaphore::new(AT_ONCE)));
    let games: Vec<_> = cases
        .into_iter()
        .map(|case| {
            let slots = Arc::clone(&slots);
            tokio::spawn(async move {
                let _slot = slots.acquire().await;
                (case.name.clone(), play::play(case).await)
            })
        })
        .collect();
    let (mut known, mut unknown) = (BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
    let mut used = vec![false; known::KNOWN.len()];
    for game in games {
        let (name, differences) = game.await.expect("a case is played to its end");
        for difference in differences {
            let position = known::KNOWN.iter().position(|(case, part, _)| name == *case && difference.contains(part));
            match position {
                Some(position) => {
                    used[position] = true;
                    *known.entry(position).or_insert(0) += 1;
                }
                None => unknown.entry(name.clone()).or_default().push(difference),
            }
        }
    }
    println!("{total} cases played, {} equal, {} differences known", total - unknown.len(), known.len());
    for (position, count) in &known {
        let (case, part, reason) = known::KNOWN[*position];
        println!("  {case}: {part} ({count}): {reason}");
    }
    for (name, differences) in &unknown {
        println!("{name}: {} differences", differences.len());
        differences.iter().take(12).for_each(|difference| println!("  {difference}"));
    }
    assert!(unknown.is_empty(), "{} of {total} cases differ", unknown.len());
    if wanted.is_empty() {
        let stale: Vec<_> = known::KNOWN.iter().zip(used).filter(|(_, used)| !used).map(|(entry, _)| entry).collect();
        assert!(stale.is_empty(), "these differences are gone; take them off the table: {stale:?}");
        assert_eq!(total, RECORDED, "a recording is lost, or new");
    }
}
