//! Real players, and a daemon that comes and goes under them.

use std::process::{Command, Stdio};

use crate::harness::process::Process;
use crate::harness::{A, Harness, send, stream, until};

/// How much of a stream ffmpeg could decode, in frames; `None` when it failed.
fn ffmpeg_frames(url: &str) -> Option<u32> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-stats", "-i", url, "-map", "0:v:0", "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg runs; it is in the package ffmpeg");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let frames = text.rsplit("frame=").next()?.split_whitespace().next()?.parse().ok();
    output.status.success().then_some(frames).flatten()
}

/// Every frame of the stream: 25 a second.
const ALL_FRAMES: u32 = stream::SECONDS * 25;

#[tokio::test]
async fn ffmpeg_plays_the_whole_stream_by_path_token_and_by_query_token_turned_cookie() {
    let h = Harness::with(crate::harness::Options { config: "[cookie]\nsecure = false".into(), ..Default::default() })
        .await;
    let token = h.token_for(A);
    assert_eq!(ffmpeg_frames(&h.url(&format!("/hls/{A}/master.m3u8"))), None, "without a token");
    assert_eq!(ffmpeg_frames(&h.url(&format!("/hls/~{token}/{A}/master.m3u8"))), Some(ALL_FRAMES));
    assert_eq!(ffmpeg_frames(&h.url(&format!("/hls/{A}/master.m3u8?token={token}"))), Some(ALL_FRAMES));
}

#[tokio::test]
async fn mpv_plays_the_whole_stream_by_both_too() {
    let h = Harness::with(crate::harness::Options { config: "[cookie]\nsecure = false".into(), ..Default::default() })
        .await;
    let token = h.token_for(A);
    let plays = |path: &str| {
        let arguments = ["--no-config", "--vo=null", "--ao=null", "--no-terminal", "--untimed"];
        let status = Command::new("mpv").args(arguments).arg(h.url(path)).stdin(Stdio::null()).status();
        status.expect("mpv runs; it is in the package mpv").success()
    };
    assert!(!plays(&format!("/hls/{A}/master.m3u8")), "without a token");
    assert!(plays(&format!("/hls/~{token}/{A}/master.m3u8")));
    assert!(plays(&format!("/hls/{A}/master.m3u8?token={token}")));
    // mpv calls less than the whole a success too: every segment has to have been opened, twice.
    let granted = h.daemon().metric("hlsgate_auth_decisions_total{outcome=\"granted\",reason=\"\"}").await;
    let segments = f64::from(stream::SECONDS / 2);
    assert!(granted >= 2.0 * (segments + 2.0), "{granted} files were opened");
}

#[tokio::test]
async fn a_killed_daemon_closes_the_gate_and_its_return_resumes_playback() {
    let mut h = Harness::start().await;
    let token = h.token_for(A);
    let segment = format!("/hls/{A}/v0/seg1.ts");
    assert_eq!(h.get_with(&segment, &token).await.status(), 200);
    h.kill_daemon();
    for path in [&segment, &format!("/hls/{A}/master.m3u8"), &format!("/hls/~{token}/{A}/v0/seg2.ts")] {
        let answer = h.get_with(path, &token).await;
        // Players retry a 5xx, and no 4xx.
        assert_eq!(answer.status(), 500, "{path}");
        let body = answer.bytes().await.unwrap();
        assert!(body.starts_with(b"<html>") && body.len() < 1000, "nothing of the file is served");
    }
    // A player that is in the middle of the stream goes on when the daemon is back.
    let url = h.url(&format!("/hls/~{token}/{A}/v0/index.m3u8"));
    h.start_daemon().await;
    let mut player = Command::new("ffmpeg");
    // -re plays as slowly as a viewer watches; the reader asks again after a 5xx, as hls.js does.
    player.args([
        "-nostdin",
        "-v",
        "error",
        "-reconnect_on_http_error",
        "5xx",
        "-reconnect_delay_max",
        "5",
        "-re",
        "-i",
        &url,
        "-f",
        "null",
        "-",
    ]);
    let mut player = Process::start(&mut player, &h.folder().join("player.log"));
    until("the player has begun", || async {
        (h.daemon().metric("hlsgate_auth_decisions_total{outcome=\"granted\",reason=\"\"}").await >= 2.0).then_some(())
    })
    .await;
    h.kill_daemon();
    h.start_daemon().await;
    let status = until("the player ends", || {
        let ended = player.ended();
        async move { ended }
    })
    .await;
    let log = std::fs::read_to_string(h.folder().join("player.log")).unwrap();
    std::fs::remove_file(h.folder().join("player.log")).unwrap();
    assert!(status.success(), "{status}: {log}");
}

/// A restart, a crash and an absence of 2.5 s: no request fails where something holds the question, and all wait no longer than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_away_is_not_met_where_its_questions_are_held() {
    let mut h = Harness::start().await;
    let token = h.token_for(A);
    let segment = format!("/hls/{A}/v0/seg1.ts");
    let mut hold = Command::new(crate::harness::command::program());
    let holder = Process::start(hold.args(["hold", "--config"]).arg(h.config()), &h.folder().join("hold.log"));
    until("it holds", || async { std::os::unix::net::UnixStream::connect(h.folder().join("hold.sock")).ok() }).await;
    let mut failed = Vec::new();
    for away in [0, 1000, 2500] {
        assert_eq!(h.get_with(&segment, &token).await.status(), 200);
        h.kill_daemon();
        let asking: Vec<_> = (0..20)
            .map(|_| tokio::spawn(send(h.request("GET", &segment).header("Cookie", format!("hlsgate={token}")))))
            .collect();
        // Not a wait for luck: this long it is away.
        tokio::time::sleep(std::time::Duration::from_millis(away)).await;
        h.start_daemon().await;
        for asked in asking {
            failed.extend(Some(asked.await.unwrap().status().as_u16()).filter(|status| *status != 200));
        }
        // Nobody gets in meanwhile who would not otherwise.
        assert_eq!(h.get(&segment).await.status(), 403);
    }
    assert_eq!(failed, Vec::<u16>::new());
    // Away for longer than that: an error, and no byte.
    h.kill_daemon();
    let began = std::time::Instant::now();
    assert_eq!(h.get_with(&segment, &token).await.status(), 500);
    assert!((2..=6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    drop(holder);
    assert_eq!(h.get_with(&segment, &token).await.status(), 500);
}

#[tokio::test]
async fn range_and_head_go_through_the_gate() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    let segment = format!("/hls/{A}/v0/seg0.ts");
    let whole = h.get_with(&segment, &token).await.bytes().await.unwrap();
    for (method, range) in [("GET", "bytes=0-99"), ("HEAD", "bytes=0-99")] {
        let refused = send(h.request(method, &segment).header("Range", range)).await;
        assert_eq!(refused.status(), 403);
        let answer = send(h.request(method, &segment).header("Range", range).bearer_auth(&token)).await;
        assert_eq!(answer.status(), 206);
        assert_eq!(answer.headers()["content-length"], "100");
        let expected = if method == "HEAD" { &b""[..] } else { &whole[..100] };
        assert_eq!(answer.bytes().await.unwrap(), expected);
    }
}
