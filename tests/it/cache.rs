//! `hlsgate-cache.conf`: a yes of the daemon is kept for a few seconds, and opens nothing that the daemon would refuse.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::harness::{A, B, Harness, Options, process, reason, send, until};

const PLAYLIST: &str = "/hls/vid1/master.m3u8";
const SEGMENT: &str = "/hls/vid1/v0/seg0.ts";
const OTHER_SEGMENT: &str = "/hls/vid1/v0/seg1.ts";
const OTHER_VIDEO: &str = "/hls/vid10/v0/seg0.ts";
const VHOST: &str = "
    include snippets/hlsgate.conf;
    root {root};
    location ^~ /hls/ { include snippets/hlsgate-protect.conf; include snippets/hlsgate-cache.conf; }
";
/// The stated 10 s, and the rest of the second that the daemon names: nginx serves an entry through all of it.
const KEPT: Duration = Duration::from_secs(10 + 1);

/// What a site may have set for caches of its own, at the http level: each of these would open a door if it reached us.
const CARELESS: &str = "
    proxy_cache_valid any 1h;
    proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504 http_403;
    proxy_cache_background_update on;
    proxy_cache_key everybody;
    proxy_ignore_headers X-Accel-Expires Cache-Control Set-Cookie;
";

async fn with_cache() -> Harness {
    with_cache_and("").await
}

async fn with_cache_and(config: &str) -> Harness {
    Harness::with(Options { vhost: VHOST.into(), http: CARELESS.into(), config: config.into(), ..Options::default() })
        .await
}

async fn status(h: &Harness, path: &str, headers: &[(&str, &str)]) -> u16 {
    let request = headers.iter().fold(h.request("GET", path), |request, (name, value)| request.header(*name, *value));
    send(request).await.status().as_u16()
}

/// Questions that the daemon has answered.
async fn asked(h: &Harness) -> f64 {
    h.daemon().metric("hlsgate_auth_decision_seconds_count").await
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

#[tokio::test]
async fn a_viewer_of_many_segments_is_asked_about_once() {
    let h = with_cache().await;
    let cookie = format!("hlsgate={}", h.token_for(A));
    for path in [SEGMENT, OTHER_SEGMENT, SEGMENT, OTHER_SEGMENT] {
        assert_eq!(status(&h, path, &[("Cookie", &cookie)]).await, 200);
    }
    assert_eq!(asked(&h).await, 1.0);
    // A playlist is another question: its answer may bring a cookie.
    assert_eq!(status(&h, PLAYLIST, &[("Cookie", &cookie)]).await, 200);
    assert_eq!(asked(&h).await, 2.0);
}

#[tokio::test]
async fn a_kept_yes_opens_for_its_token_carrier_and_video_alone() {
    let h = with_cache().await;
    let good = h.token_for(A);
    let other = h.token_for(B);
    let forged = format!("{}{}", &good[..good.len() - 4], if good.ends_with("AAAA") { "BBBA" } else { "AAAA" });
    let (cookie, bearer) = (format!("hlsgate={good}"), format!("Bearer {good}"));
    let in_path = |token: &str| SEGMENT.replace("/hls/", &format!("/hls/~{token}/"));
    let in_query = |token: &str| format!("{SEGMENT}?token={token}");
    // Each carrier has its yes kept.
    for _ in 0..2 {
        assert_eq!(status(&h, SEGMENT, &[("Cookie", &cookie)]).await, 200);
        assert_eq!(status(&h, SEGMENT, &[("Authorization", &bearer)]).await, 200);
        assert_eq!(status(&h, &in_path(&good), &[]).await, 200);
        assert_eq!(status(&h, &in_query(&good), &[]).await, 200);
    }
    assert_eq!(asked(&h).await, 4.0);

    // No token, and every other token, in every carrier.
    assert_eq!(status(&h, SEGMENT, &[]).await, 403);
    for bad in [other.as_str(), &forged, "garbage", ""] {
        assert_eq!(status(&h, SEGMENT, &[("Cookie", &format!("hlsgate={bad}"))]).await, 403);
        assert_eq!(status(&h, SEGMENT, &[("Authorization", &format!("Bearer {bad}"))]).await, 403);
        assert_eq!(status(&h, &in_query(bad), &[]).await, 403);
        if !bad.is_empty() {
            assert_eq!(status(&h, &in_path(bad), &[]).await, 403);
        }
    }
    // The good token where it is no carrier: what was kept for one place answers for no other.
    for (name, value) in [("Cookie", &bearer), ("Authorization", &cookie), ("Authorization", &good), ("Cookie", &good)]
    {
        assert_eq!(status(&h, SEGMENT, &[(name, value)]).await, 403, "{name}");
    }
    assert_eq!(status(&h, &format!("{SEGMENT}?hlsgate={good}"), &[]).await, 403);
    assert_eq!(status(&h, &format!("{SEGMENT}?{good}"), &[]).await, 403);
    // The other video, whose id begins like this one's.
    assert_eq!(status(&h, OTHER_VIDEO, &[("Cookie", &cookie)]).await, 403);
    assert_eq!(status(&h, OTHER_VIDEO, &[("Authorization", &bearer)]).await, 403);
    assert_eq!(status(&h, &in_path(&good).replace("vid1", "vid10"), &[]).await, 403);
    assert_eq!(status(&h, &format!("{OTHER_VIDEO}?token={good}"), &[]).await, 403);
}

#[tokio::test]
async fn refusals_and_answers_with_a_cookie_are_not_kept() {
    let h = with_cache().await;
    for _ in 0..2 {
        assert_eq!(reason(h.get(SEGMENT).await).await, "missing");
    }
    assert_eq!(asked(&h).await, 2.0);
    let with_query = format!("{PLAYLIST}?token={}", h.token_for(A));
    for _ in 0..2 {
        let answer = h.get(&with_query).await;
        assert!(answer.status() == 200 && answer.headers().contains_key("set-cookie"));
    }
    assert_eq!(asked(&h).await, 4.0);
}

#[tokio::test]
async fn a_yes_by_grace_is_not_kept() {
    let h = with_cache_and("[gate]\ngrace = \"1h\"\n").await;
    let cookie = format!("hlsgate={}", h.token(&["--video", A, "--for", "0s"]));
    for _ in 0..2 {
        assert_eq!(status(&h, SEGMENT, &[("Cookie", &cookie)]).await, 200);
        assert_eq!(status(&h, PLAYLIST, &[("Cookie", &cookie)]).await, 200);
    }
    assert_eq!(asked(&h).await, 4.0);
}

/// LL-HLS players put another number into the query each time; it decides nothing. What may hold a token is part of the question.
#[tokio::test]
async fn a_players_own_query_is_no_other_question() {
    let h = with_cache().await;
    let cookie = format!("hlsgate={}", h.token_for(A));
    for number in 0..5 {
        let path = format!("{PLAYLIST}?_HLS_msn={number}&_HLS_part=1");
        assert_eq!(status(&h, &path, &[("Cookie", &cookie)]).await, 200);
    }
    assert_eq!(asked(&h).await, 1.0);
    for (number, query) in ["token=x", "t%6fken=x", "TOKEN=x", "a=token"].into_iter().enumerate() {
        assert_eq!(status(&h, &format!("{SEGMENT}?{query}"), &[("Cookie", &cookie)]).await, 200);
        assert_eq!(asked(&h).await, if query == "TOKEN=x" { 4.0 } else { 2.0 + number as f64 }, "{query}");
    }
    let token = h.token_for(A);
    assert_eq!(status(&h, &format!("{SEGMENT}?tok%65n={token}"), &[]).await, 200);
}

/// A key that does not fit into a buffer is an error in nginx's log at each request.
#[tokio::test]
async fn whoever_brings_many_cookies_is_asked_about_each_time_and_in_silence() {
    let h = with_cache().await;
    let cookie = format!("a={}; hlsgate={}", "x".repeat(7000), h.token_for(A));
    for _ in 0..3 {
        assert_eq!(status(&h, SEGMENT, &[("Cookie", &cookie)]).await, 200);
    }
    assert_eq!(asked(&h).await, 3.0);
    let log = std::fs::read_to_string(h.folder().join("error.log")).unwrap();
    assert!(!log.contains("[error]") && !log.contains("[crit]"), "{log}");
}

/// Live `single_file`, or a download that is still written: what was there a moment ago says nothing of the file's end.
#[tokio::test]
async fn a_file_that_grows_is_served_to_its_end() {
    let h = with_cache().await;
    let folder = h.folder().join("www/hls/live");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("all.mp4");
    let cookie = format!("hlsgate={}", h.token_for("live"));
    let mut length = 0;
    for _ in 0..20 {
        use std::io::Write as _;
        let mut opened = std::fs::OpenOptions::new().create(true).append(true).open(&file).unwrap();
        opened.write_all(&[b'x'; 1000]).unwrap();
        process::open_to_all(&folder);
        let range = format!("bytes={length}-");
        assert_eq!(status(&h, "/hls/live/all.mp4", &[("Cookie", &cookie), ("Range", &range)]).await, 206, "{length}");
        length += 1000;
    }
}

#[tokio::test]
async fn a_kept_yes_ends_in_the_second_in_which_its_token_does() {
    let h = with_cache().await;
    let before = unix_now();
    let cookie = format!("hlsgate={}", h.token(&["--video", A, "--for", "4s"]));
    // The token was made between two looks at the clock.
    let last_exp = unix_now() + 4;
    assert_eq!(status(&h, SEGMENT, &[("Cookie", &cookie)]).await, 200);
    let refused = until("the token expires", || async {
        let sent = unix_now();
        match status(&h, SEGMENT, &[("Cookie", &cookie)]).await {
            200 => {
                assert!(sent < last_exp, "opened at {sent}, and the token expired at {last_exp} at the latest");
                None
            }
            refused => Some(refused),
        }
    })
    .await;
    assert_eq!(refused, 403);
    assert!(unix_now() >= before + 4, "refused before its end");
    assert_eq!(reason(h.get_with(SEGMENT, cookie.trim_start_matches("hlsgate=")).await).await, "expired");
}

#[tokio::test]
async fn a_revocation_is_felt_within_its_stated_time() {
    let h = with_cache().await;
    let cookie = format!("hlsgate={}", h.token(&["--video", A, "--jti", "sold-by-mistake"]));
    assert_eq!(status(&h, SEGMENT, &[("Cookie", &cookie)]).await, 200);
    h.run(&["revoke", "sold-by-mistake"]);
    // Another query is another question: it shows when the daemon knows. A yes that it still gives is kept, but for another one.
    let mut turn = 0;
    until("the daemon has read the revocation", || {
        turn += 1;
        let path = format!("{SEGMENT}?turn={turn}");
        let (h, cookie) = (&h, &cookie);
        async move { (status(h, &path, &[("Cookie", cookie)]).await == 403).then_some(()) }
    })
    .await;
    let known = Instant::now();
    until("the kept yes ends", || async {
        let sent = Instant::now();
        let status = status(&h, SEGMENT, &[("Cookie", &cookie)]).await;
        assert!(status == 403 || sent - known <= KEPT, "still open {:?} after the revocation", sent - known);
        (status == 403).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_daemon_opens_nothing_new_and_nothing_for_long() {
    let mut h = with_cache().await;
    let (cookie, other) = (format!("hlsgate={}", h.token_for(A)), format!("hlsgate={}", h.token_for(A)));
    assert_eq!(status(&h, SEGMENT, &[("Cookie", &cookie)]).await, 200);
    h.kill_daemon();
    let dead = Instant::now();
    // A good token that was not asked about, another video, nobody's request: 500, which players retry.
    assert_eq!(status(&h, SEGMENT, &[("Cookie", &other)]).await, 500);
    assert_eq!(status(&h, OTHER_VIDEO, &[("Cookie", &cookie)]).await, 500);
    assert_eq!(status(&h, SEGMENT, &[]).await, 500);
    until("the kept yes ends", || async {
        let sent = Instant::now();
        let status = status(&h, SEGMENT, &[("Cookie", &cookie)]).await;
        assert!(status == 500 || sent - dead <= KEPT, "still open {:?} after the daemon's death", sent - dead);
        (status == 500).then_some(())
    })
    .await;
    h.start_daemon().await;
    for cookie in [&cookie, &other] {
        assert_eq!(status(&h, SEGMENT, &[("Cookie", cookie)]).await, 200);
    }
}

/// A worker of Debian's nginx has 1024 descriptors. Those of kept answers and films are few, however many viewers there are.
#[tokio::test]
async fn a_thousand_viewers_leave_nginx_descriptors_for_the_next() {
    let main = "worker_rlimit_nofile 1024;".into();
    let h = Harness::with(Options { vhost: VHOST.into(), main, ..Options::default() }).await;
    let token = h.token_for(A);
    for viewer in 0..1200 {
        let cookie = format!("viewer={viewer}; hlsgate={token}");
        // The first answer is written, and the second read through the cache of open files.
        for _ in 0..2 {
            assert_eq!(status(&h, SEGMENT, &[("Cookie", &cookie)]).await, 200, "viewer {viewer}");
        }
    }
    assert_eq!(asked(&h).await, 1200.0);
}

/// A live stream's playlist is another file every few seconds.
#[tokio::test]
async fn a_replaced_file_is_served_soon() {
    let h = with_cache().await;
    let folder = h.folder().join("www/hls/live");
    std::fs::create_dir(&folder).unwrap();
    let write = |text: &str| {
        std::fs::write(folder.join("next"), text).unwrap();
        process::open_to_all(&folder);
        std::fs::rename(folder.join("next"), folder.join("index.m3u8")).unwrap();
    };
    let cookie = format!("hlsgate={}", h.token_for("live"));
    let body = || async {
        send(h.request("GET", "/hls/live/index.m3u8").header("Cookie", &cookie)).await.text().await.unwrap()
    };
    write("#EXTM3U\n# the first\n");
    assert_eq!(body().await, "#EXTM3U\n# the first\n");
    write("#EXTM3U\n# the second\n");
    // Without the snippet's own limit nginx would look again after a minute.
    until("the new playlist is served", || async { body().await.ends_with("second\n").then_some(()) }).await;
}
