//! Every way for a token to come, alone and among bad ones; every refusal with its status and reason.

use crate::harness::daemon::socket;
use crate::harness::{A, B, Harness, Options, reason, send};

const PLAYLIST: &str = "/hls/vid1/master.m3u8";
const SEGMENT: &str = "/hls/vid1/v0/seg0.ts";

async fn status(h: &Harness, path: &str, headers: &[(&str, String)]) -> u16 {
    let request = headers.iter().fold(h.request("GET", path), |request, (name, value)| request.header(*name, value));
    send(request).await.status().as_u16()
}

#[tokio::test]
async fn each_carrier_opens_alone_and_among_invalid_ones() {
    let h = Harness::start().await;
    let good = h.token_for(A);
    let other = h.token_for(B);
    let forged = crate::harness::forged(&good);
    for path in [PLAYLIST, SEGMENT] {
        let in_path = path.replace("/hls/", &format!("/hls/~{good}/"));
        let in_query = format!("{path}?a=b&token={good}&t=1");
        let cookie = |value: String| [("Cookie", value)];
        assert_eq!(status(&h, &in_path, &[]).await, 200, "path");
        assert_eq!(status(&h, &in_query, &[]).await, 200, "query");
        assert_eq!(status(&h, path, &[("Authorization", format!("Bearer {good}"))]).await, 200, "bearer");
        assert_eq!(status(&h, path, &cookie(format!("hlsgate={good}"))).await, 200, "cookie");
        assert_eq!(status(&h, path, &cookie(format!("hlsgate_x={good}"))).await, 200, "a pass's cookie");
        // GStreamer 1.22's playbin3 does (findings/gstreamer-cookie-with-attributes.sh).
        let attributes = format!("hlsgate={good}; Path=/hls/; Max-Age=3600; HttpOnly; SameSite=Lax");
        assert_eq!(status(&h, path, &cookie(attributes)).await, 200, "sent back with its attributes");

        // One valid token opens, whatever stands beside it.
        let bad_path = path.replace("/hls/", &format!("/hls/~{other}/"));
        let many = format!("hlsgate={other}; hlsgate={forged}; theme=dark; hlsgate={good}; hlsgate=garbage");
        assert_eq!(status(&h, &format!("{bad_path}?token=x&token={forged}"), &cookie(many)).await, 200);
        assert_eq!(
            status(&h, &format!("{path}?token={forged}&token={good}"), &[]).await,
            200,
            "second of two in the query"
        );
        let encoded = good.replace('.', "%2E");
        assert_eq!(status(&h, &format!("{path}?token={encoded}"), &[]).await, 200, "percent-encoded once");
        let twice = good.replace('.', "%252E");
        assert_eq!(status(&h, &format!("{path}?token={twice}"), &[]).await, 403, "percent-encoded twice");
        let basic = [("Authorization", "Basic aGxzOmdhdGU=".to_owned()), ("Cookie", format!("hlsgate={good}"))];
        assert_eq!(status(&h, path, &basic).await, 200, "another scheme counts as no token");
        assert_eq!(status(&h, path, &cookie(format!("hlsgatex={good}"))).await, 403, "a cookie of another name");
    }
}

#[tokio::test]
async fn each_refusal_has_its_reason_and_the_most_hopeful_one_wins() {
    let h = Harness::start().await;
    let good = h.token_for(A);
    let other = h.token_for(B);
    let expired = h.token(&["--video", A, "--for", "0s"]);
    let revoked = h.token(&["--video", A, "--jti", "revoke-me"]);
    h.run(&["revoke", "revoke-me"]);
    let elsewhere = Harness::start().await;
    let foreign = elsewhere.token_for(A);
    let forged = format!("{}{}", &good[..good.len() - 4], if good.ends_with("AAAA") { "BBBA" } else { "AAAA" });
    crate::harness::until("the revocation is in force", || async {
        (h.get_with(PLAYLIST, &revoked).await.status() == 403).then_some(())
    })
    .await;

    let cases: [(&str, &str); 7] = [
        (&expired, "expired"),
        (&other, "other-video"),
        (&revoked, "revoked"),
        (&foreign, "unknown-key"),
        (&forged, "bad-signature"),
        ("garbage", "malformed"),
        ("", "missing"),
    ];
    for (at, (token, expected)) in cases.iter().enumerate() {
        assert_eq!(reason(h.get_with(PLAYLIST, token).await).await, *expected);
        // All the less hopeful ones together with this one: this one is told.
        let worse: Vec<String> = cases[at..].iter().rev().map(|(token, _)| format!("hlsgate={token}")).collect();
        let refused = send(h.request("GET", PLAYLIST).header("Cookie", worse.join("; "))).await;
        assert_eq!(refused.headers()["cache-control"], "no-store");
        assert_eq!(refused.status(), 403);
        assert_eq!(reason(refused).await, *expected);
    }
}

/// Straight to the daemon's socket: what nginx is told.
async fn ask(h: &Harness, headers: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::UnixStream::connect(socket(h.folder())).await.unwrap();
    stream
        .write_all(format!("GET /auth HTTP/1.1\r\nHost: hlsgate\r\nConnection: close\r\n{headers}\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "", "an answer to nginx has no body");
    (status, head.to_lowercase())
}

#[tokio::test]
async fn nginx_is_told_statuses_that_it_understands() {
    let h = Harness::start().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let good = h.token(&["--video", A, "--for", "1h", "--tier", "24h"]);
    let short = h.token(&["--video", A, "--for", "5s"]);
    let forever = h.token(&["--all"]);
    let video = "X-Hlsgate-Video: vid1\r\n";
    let media = "X-Hlsgate-Kind: media\r\n";

    let (status, head) = ask(&h, &format!("{video}{media}Cookie: hlsgate={good}\r\n")).await;
    assert_eq!(status, 204);
    assert!(
        head.contains("x-hlsgate-tier: 24h") && !head.contains("set-cookie") && !head.contains("content-length"),
        "{head}"
    );
    let number = |head: &str, name: &str| -> Option<u64> {
        head.lines().find_map(|line| line.strip_prefix(name)?.trim_start_matches([':', ' ', '@']).parse().ok())
    };
    let expires = number(&head, "x-hlsgate-expires").unwrap();
    assert!((now + 3595..=now + 3610).contains(&expires));
    // 10 s from now, the stated delay of a revocation.
    assert!((now + 8..=now + 25).contains(&number(&head, "x-accel-expires").unwrap()), "{head}");

    // nginx serves an entry through the second that it names, and the token is dead at `exp`.
    let (status, head) = ask(&h, &format!("{video}{media}Cookie: hlsgate={short}\r\n")).await;
    assert_eq!(status, 204);
    assert_eq!(number(&head, "x-accel-expires"), number(&head, "x-hlsgate-expires").map(|exp| exp - 1));

    let (status, head) = ask(&h, &format!("{video}{media}Cookie: hlsgate={forever}\r\n")).await;
    assert!(status == 204 && !head.contains("x-hlsgate-expires"), "{head}");

    let (status, head) = ask(&h, &format!("{video}{media}")).await;
    assert!(
        status == 401 && head.contains("x-hlsgate-reason: missing") && head.contains("content-length: 0"),
        "{head}"
    );
    let (status, head) = ask(&h, &format!("{video}{media}Cookie: hlsgate=x\r\n")).await;
    assert!(status == 403 && head.contains("x-hlsgate-reason: malformed"), "{head}");

    let cookie = format!("Cookie: hlsgate={forever}\r\n");
    for bad in [
        format!("{media}{cookie}"),
        format!("{video}{cookie}"),
        format!("{video}{video}{media}{cookie}"),
        format!("{video}{media}{media}{cookie}"),
        format!("{video}{media}X-Hlsgate-Query: a\r\nX-Hlsgate-Query: b\r\n{cookie}"),
        format!("{video}{media}X-Hlsgate-Path-Token: a\r\nX-Hlsgate-Path-Token: b\r\n{cookie}"),
        format!("X-Hlsgate-Video: ../vid1\r\n{media}{cookie}"),
        format!("X-Hlsgate-Video: \r\n{media}{cookie}"),
        format!("{video}X-Hlsgate-Kind: segment\r\n{cookie}"),
    ] {
        let (status, head) = ask(&h, &bad).await;
        assert!(status == 403 && head.contains("x-hlsgate-reason: bad-request"), "{bad:?}: {head}");
    }
    // Headers of other spellings are other headers.
    let (status, _) = ask(&h, &format!("X_Hlsgate_Video: vid1\r\nX-Hlsgate-Videos: vid1\r\n{media}{cookie}")).await;
    assert_eq!(status, 403);
}

/// What a token opens in its grace is what it opened before, by whichever carrier it comes; afterwards it is expired.
#[tokio::test]
async fn in_its_grace_a_token_opens_by_every_carrier_alike() {
    let h = Harness::with(Options { config: "[gate]\ngrace = \"1h\"".into(), ..Options::default() }).await;
    let expired = h.token(&["--video", A, "--for", "0s"]);
    for path in [PLAYLIST, "/hls/vid1/v0/index.m3u8", SEGMENT] {
        let by_path = path.replace("/hls/", &format!("/hls/~{expired}/"));
        assert_eq!(status(&h, &by_path, &[]).await, 200, "{path}");
        assert_eq!(status(&h, &format!("{path}?token={expired}"), &[]).await, 200, "{path}");
        assert_eq!(status(&h, path, &[("Authorization", format!("Bearer {expired}"))]).await, 200, "{path}");
        assert_eq!(status(&h, path, &[("Cookie", format!("hlsgate={expired}"))]).await, 200, "{path}");
    }
    assert_eq!(reason(h.get_with("/hls/vid10/v0/seg0.ts", &expired).await).await, "other-video");
    // Nobody keeps the yes, and a cookie that it earns ends with the grace.
    let video = "X-Hlsgate-Video: vid1\r\nX-Hlsgate-Kind: ";
    let (status, head) = ask(&h, &format!("{video}media\r\nX-Hlsgate-Query: token={expired}\r\n")).await;
    assert!(status == 204 && !head.contains("set-cookie") && !head.contains("x-accel-expires"), "{head}");
    let (status, head) = ask(&h, &format!("{video}playlist\r\nX-Hlsgate-Query: token={expired}\r\n")).await;
    assert!(status == 204 && (3580..=3600).contains(&max_age(&head).expect("a cookie")), "{head}");
    // Of two that open, what lasts is told.
    let hour = h.token_for(A);
    let both = format!("{video}media\r\nCookie: hlsgate={expired}; hlsgate={hour}\r\n");
    assert!(ask(&h, &both).await.1.contains("x-accel-expires"));

    let over = Harness::with(Options { config: "[gate]\ngrace = \"1s\"".into(), ..Options::default() }).await;
    let expired = over.token(&["--video", A, "--for", "0s"]);
    for path in [PLAYLIST, SEGMENT] {
        crate::harness::until("the grace ends", || async {
            let answer = over.get_with(path, &expired).await;
            (answer.status() == 403).then_some(answer)
        })
        .await;
        assert_eq!(reason(over.get_with(path, &expired).await).await, "expired", "{path}");
    }
}

/// The seconds for which the cookie of an answer is kept.
fn max_age(head: &str) -> Option<u64> {
    head.to_lowercase().split("max-age=").nth(1)?.split(';').next()?.parse().ok()
}

/// A browser that has dropped its cookie sends nothing: then neither grace nor leeway is of any use to it.
#[tokio::test]
async fn a_cookie_lasts_as_long_as_its_token_opens_and_never_deletes_another() {
    let config = "[gate]\nleeway = \"1m\"\ngrace = \"1h\"\n[cookie]\nsecure = false";
    let h = Harness::with(Options { config: config.into(), ..Options::default() }).await;
    for (lasts, expected) in [("10m", 600 + 60 + 3600), ("0s", 60 + 3600)] {
        let token = h.token(&["--video", A, "--for", lasts]);
        let answer = h.get(&format!("{PLAYLIST}?token={token}")).await;
        let line = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        let kept = max_age(&line).unwrap();
        assert!((expected - 20..=expected).contains(&kept), "{lasts}: {line}");
    }
    // Within the leeway alone the token opens, and the cookie that it earns is no order to delete one.
    let h = Harness::with(Options { config: "[gate]\nleeway = \"1h\"".into(), ..Options::default() }).await;
    let ending = h.token(&["--video", A, "--for", "0s"]);
    let answer = h.get(&format!("{PLAYLIST}?token={ending}")).await;
    assert_eq!(answer.status(), 200);
    assert!(max_age(answer.headers()["set-cookie"].to_str().unwrap()).unwrap() > 3500);
}

#[tokio::test]
async fn a_query_token_on_a_playlist_earns_a_cookie_unless_one_lasts_as_long() {
    let h = Harness::with(Options {
        config: "[passes.summer]\nvideos = [\"vid1\"]\n[cookie]\nsecure = false".into(),
        ..Options::default()
    })
    .await;
    let hour = h.token(&["--video", A, "--for", "1h"]);
    let day = h.token(&["--video", A, "--for", "24h"]);
    let forever = h.token(&["--video", A]);
    let pass = h.token(&["--pass", "summer"]);
    let all = h.token(&["--all", "--for", "1h"]);
    let cookie = async |path: &str, cookie: &str| {
        let answer = send(h.request("GET", path).header("Cookie", cookie)).await;
        assert_eq!(answer.status(), 200, "{path}");
        let line = answer.headers().get("set-cookie").map(|line| line.to_str().unwrap().to_owned());
        assert_eq!(answer.headers()["cache-control"], if line.is_some() { "no-store" } else { "private, no-cache" });
        line
    };
    let set = cookie(&format!("{PLAYLIST}?token={hour}"), "").await.unwrap();
    let (before, after) = set.split_once("; Max-Age=").unwrap();
    assert_eq!(before, format!("hlsgate={hour}; Path=/hls/vid1/"));
    let (age, flags) = after.split_once("; ").unwrap();
    assert!((3590..=3600).contains(&age.parse::<u32>().unwrap()), "{age}");
    assert_eq!(flags, "HttpOnly; SameSite=Lax");

    let set = cookie(&format!("{PLAYLIST}?token={pass}"), "").await.unwrap();
    assert!(set.starts_with(&format!("hlsgate_summer={pass}; Path=/hls/; Max-Age=34560000; ")), "{set}");
    let set = cookie(&format!("{PLAYLIST}?token={all}"), "").await.unwrap();
    assert!(set.starts_with(&format!("hlsgate={all}; Path=/hls/; ")), "{set}");

    assert_eq!(cookie(&format!("{SEGMENT}?token={hour}"), "").await, None, "segments earn none");
    assert_eq!(cookie(&format!("{PLAYLIST}?token={hour}"), &format!("hlsgate={hour}")).await, None, "it lasts as long");
    assert_eq!(cookie(&format!("{PLAYLIST}?token={hour}"), &format!("hlsgate={day}")).await, None, "it lasts longer");
    assert!(
        cookie(&format!("{PLAYLIST}?token={day}"), &format!("hlsgate={hour}")).await.is_some(),
        "the query lasts longer"
    );
    assert_eq!(cookie(PLAYLIST, &format!("hlsgate={day}")).await, None);
    let again = cookie(PLAYLIST, &format!("hlsgate={forever}")).await.unwrap();
    assert!(again.contains("Max-Age=34560000"), "one that never expires is set again: {again}");
    assert_eq!(cookie(SEGMENT, &format!("hlsgate={forever}")).await, None);
    let by_path = PLAYLIST.replace("/hls/", &format!("/hls/~{hour}/"));
    assert_eq!(cookie(&by_path, "").await, None, "the path carries itself");
    let by_path = PLAYLIST.replace("/hls/", &format!("/hls/~{forever}/"));
    assert_eq!(cookie(&by_path, "").await, None, "so does one that never expires");
    assert_eq!(cookie(&format!("{by_path}?token={day}"), "").await, None, "it lasts longer");
    assert!(cookie(&format!("{by_path}?token={day}"), &format!("hlsgate={forever}")).await.is_some(), "set again");
    let beside = cookie(&format!("{PLAYLIST}?token={day}&token={hour}&token=x"), "").await.unwrap();
    assert!(beside.starts_with(&format!("hlsgate={day}; ")), "the longest of several: {beside}");
    assert_eq!(cookie(&format!("{PLAYLIST}?token={}", h.token_for(B)), &format!("hlsgate={hour}")).await, None);
}
