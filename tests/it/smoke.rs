//! The README's first promise: without a token nobody gets a byte; with one, it plays.

use crate::harness::{A, B, Harness, reason};

#[tokio::test]
async fn without_a_token_nothing_and_with_one_everything() {
    let h = Harness::start().await;
    assert_eq!(h.get("/").await.text().await.unwrap(), "a page that is free\n");
    let refused = h.get(&format!("/hls/{A}/master.m3u8")).await;
    assert_eq!(refused.status(), 403);
    assert_eq!(reason(refused).await, "missing");

    let token = h.token_for(A);
    let played = h.get_with(&format!("/hls/{A}/master.m3u8"), &token).await;
    assert_eq!(played.status(), 200);
    assert!(played.text().await.unwrap().starts_with("#EXTM3U"));

    let other = h.get_with(&format!("/hls/{B}/master.m3u8"), &token).await;
    assert_eq!(other.status(), 403);
    assert_eq!(reason(other).await, "other-video");
}
