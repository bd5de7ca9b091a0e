//! What a decision costs, in time and allocations: `cargo bench --bench decision`.
//!
//! A token in a cookie, a keyring of 3, 100,000 revocations.

mod fixture;

use std::hint::black_box;

use divan::{AllocProfiler, Bencher};
use fixture::{Fixture, VIDEO};
use hlsgate::answer_one;
use hlsgate::gate::{AuthRequest, CarriedTokens, Carrier, Kind, decide};
use hlsgate::now;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Decisions timed together, so that reading the clock is no part of them.
const TOGETHER: u32 = 1000;

/// The decision alone: signature, claims, revocations, scope.
#[divan::bench(sample_size = TOGETHER)]
fn decision(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    let (live, now) = (fixture.app.live(), now());
    let mut tokens = CarriedTokens::default();
    tokens.push(Carrier::Cookie, fixture.token.as_bytes());
    let request = AuthRequest { video: VIDEO.parse().expect("a good name"), kind: Kind::Media, tokens };
    assert!(decide(&request, &live.policy, now).is_ok());
    bencher.bench_local(|| decide(black_box(&request), &live.policy, now).is_ok());
}

/// All that the daemon does between its read and its write: from the bytes of nginx's question to those of the answer.
#[divan::bench(sample_size = TOGETHER)]
fn question_to_answer(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    let head = fixture.head(Kind::Media, &fixture.cookie());
    let mut answer = Vec::with_capacity(1024);
    assert_eq!(answer_one(&head, &fixture.app, &mut answer), Some(head.len()));
    assert!(answer.starts_with(b"HTTP/1.1 204 "));
    bencher.bench_local(|| {
        answer.clear();
        answer_one(black_box(&head), &fixture.app, &mut answer)
    });
}

/// The same for somebody without a token.
#[divan::bench(sample_size = TOGETHER)]
fn question_to_refusal(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    let head = fixture.head(Kind::Media, "Cookie: theme=dark");
    let mut answer = Vec::with_capacity(1024);
    answer_one(&head, &fixture.app, &mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 401 "));
    bencher.bench_local(|| {
        answer.clear();
        answer_one(black_box(&head), &fixture.app, &mut answer)
    });
}
