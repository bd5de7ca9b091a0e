//! A granted question costs no heap allocation, from the bytes of nginx's question to those of the answer.

#[path = "../benches/fixture/mod.rs"]
mod fixture;

use allocation_counter::measure;
use fixture::Fixture;
use hlsgate::answer_one;
use hlsgate::gate::Kind;

/// The status of the answer, and the allocations that were made for it. The buffer is warm: the daemon keeps one a thread.
fn ask(fixture: &Fixture, kind: Kind, carrier: &str) -> (String, u64) {
    let head = fixture.head(kind, carrier);
    let mut answer = Vec::with_capacity(16 * 1024);
    let made = measure(|| {
        answer.clear();
        assert_eq!(answer_one(&head, &fixture.app, &mut answer), Some(head.len()));
    });
    (String::from_utf8_lossy(&answer[b"HTTP/1.1 ".len()..][..3]).into_owned(), made.count_total)
}

#[test]
fn a_granted_question_allocates_nothing() {
    allocates_nothing(&Fixture::new());
}

/// What machines can buy costs those nothing who have a token, not even beside a credential that nobody looks at.
#[test]
fn a_granted_question_allocates_nothing_where_machines_buy() {
    let fixture = Fixture::selling();
    allocates_nothing(&fixture);
    let paid = format!("Authorization: L402 {}:{}", "AGIAJEemVQ".repeat(30), "00".repeat(32));
    let beside = format!("{paid}\r\n{}", fixture.cookie());
    ask(&fixture, Kind::Media, &beside);
    assert_eq!(ask(&fixture, Kind::Media, &beside), ("204".into(), 0));
    // Nor a stranger, at the first playlist that a player opens.
    let stranger = "Cookie: theme=dark";
    ask(&fixture, Kind::Playlist, stranger);
    assert_eq!(ask(&fixture, Kind::Playlist, stranger), ("401".into(), 0));
    // And that it is looked at where nothing else opens.
    let (status, allocations) = ask(&fixture, Kind::Media, &paid);
    assert_eq!(status, "403");
    assert_ne!(allocations, 0);
}

fn allocates_nothing(fixture: &Fixture) {
    let token = &fixture.token;
    let cookie = fixture.cookie();
    let bad = "Cookie: hlsgate_other=eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.e30.AA";
    let (pass, all) = (fixture.token_for("pass:summer"), fixture.token_for("*"));
    for (kind, carrier) in [
        (Kind::Media, cookie.clone()),
        (Kind::Playlist, cookie.clone()),
        (Kind::Media, format!("X-Hlsgate-Path-Token: {token}")),
        (Kind::Playlist, format!("X-Hlsgate-Path-Token: {token}")),
        (Kind::Media, format!("X-Hlsgate-Query: t=1&token={token}")),
        (Kind::Media, format!("Authorization: Bearer {token}")),
        (Kind::Media, format!("{bad}; hlsgate={token}")),
        (Kind::Media, format!("Cookie: hlsgate_summer={pass}")),
        (Kind::Media, format!("Cookie: hlsgate={all}; hlsgate_summer={pass}; hlsgate={token}")),
    ] {
        // The first question of a process may have something to set up.
        ask(fixture, kind, &carrier);
        assert_eq!(ask(fixture, kind, &carrier), ("204".into(), 0), "{kind:?}, {}", &carrier[..20]);
    }
}

/// That allocations are seen at all: a cookie that is set has to be made.
#[test]
fn a_cookie_that_is_set_is_counted() {
    let fixture = Fixture::new();
    let query = format!("X-Hlsgate-Query: token={}", fixture.token);
    let (status, allocations) = ask(&fixture, Kind::Playlist, &query);
    assert_eq!(status, "204");
    assert_ne!(allocations, 0);
}
