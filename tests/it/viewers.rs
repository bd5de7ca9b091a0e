//! What viewers meet: odd requests that browsers and players really send, and what a browser may keep.

use crate::harness::raw::exchange;
use crate::harness::{A, Harness, Options, reason, send};

const PLAYLIST: &str = "/hls/vid1/master.m3u8";
const SEGMENT: &str = "/hls/vid1/v0/seg0.ts";

fn error_lines(h: &Harness) -> Vec<String> {
    let log = String::from_utf8_lossy(&std::fs::read(h.folder().join("error.log")).unwrap()).into_owned();
    log.lines().filter(|line| !line.contains("[info]") && !line.contains("[notice]")).map(str::to_owned).collect()
}

/// A request as bytes: no client library sends these.
async fn raw(h: &Harness, target: &[u8], headers: &[&[u8]]) -> (u16, String) {
    let mut request = [b"GET ", target, b" HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n"].concat();
    headers.iter().for_each(|line| request.extend_from_slice(&[line, &b"\r\n"[..]].concat()));
    request.extend_from_slice(b"\r\n");
    let answer = exchange(&h.nginx.socket, &request).await;
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// Any other site of the domain can set such a cookie.
#[tokio::test]
async fn a_control_byte_beside_a_good_token_shuts_nobody_out() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    for byte in [1, 8, 0x0b, 0x0c, 0x1f, 0x7f, 0x80, 0xff] {
        let odd = [b"odd=", &[byte][..], b"x"].concat();
        let good = format!("hlsgate={token}").into_bytes();
        let lines = [
            [&b"Cookie: "[..], &odd, b"; ", &good].concat(),
            [&b"Cookie: "[..], &good, b"; ", &odd].concat(),
            [&b"Cookie: "[..], &odd, b"; ", &good, b"; ", &odd].concat(),
        ];
        for line in &lines {
            assert_eq!(raw(&h, SEGMENT.as_bytes(), &[line]).await.0, 200, "{byte:#x}");
            let (status, body) = raw(&h, b"/hlsgate/videos/vid1", &[line]).await;
            assert!(status == 200 && body.contains("\"granted\":true"), "{byte:#x}: {status} {body}");
        }
        let bearer = [&b"Authorization: Digest "[..], &[byte], b"x"].concat();
        assert_eq!(raw(&h, SEGMENT.as_bytes(), &[&bearer, &lines[0]]).await.0, 200, "{byte:#x}");
        let (status, body) = raw(&h, SEGMENT.as_bytes(), &[&[&b"Cookie: "[..], &odd].concat()]).await;
        assert!(status == 403 && body.contains("\"missing\""), "{byte:#x}: {status} {body}");
        // A byte in a token makes another text of it, and never another token.
        let broken = [&b"Cookie: hlsgate="[..], token.as_bytes(), &[byte]].concat();
        let (status, body) = raw(&h, SEGMENT.as_bytes(), &[&broken]).await;
        assert!(
            status == 403 && (body.contains("malformed") || body.contains("bad-signature")),
            "{byte:#x}: {status} {body}"
        );
    }
    for odd in [&b"a=\"b\""[..], b"a=<b>", b"a=\xe4\xff", b"a={b|c}^`\\"] {
        let target = [&b"/hlsgate/videos/vid1?"[..], odd, b"&token=", token.as_bytes()].concat();
        let (status, body) = raw(&h, &target, &[]).await;
        assert!(status == 200 && body.contains("\"granted\":true"), "{odd:?}: {status} {body}");
        let media = [SEGMENT.as_bytes(), b"?", odd, b"&token=", token.as_bytes()].concat();
        assert_eq!(raw(&h, &media, &[]).await.0, 200, "{odd:?}");
        let (status, body) = raw(&h, &[SEGMENT.as_bytes(), b"?", odd].concat(), &[]).await;
        assert!(status == 403 && body.contains("\"missing\""), "{odd:?}: {status} {body}");
    }
    assert_eq!(error_lines(&h), Vec::<String>::new());
}

#[tokio::test]
async fn path_tokens_in_a_row_are_one_question_however_many_there_are() {
    let h = Harness::start().await;
    let (token, other) = (h.token_for(A), h.token_for("vid10"));
    for count in [2, 9, 10, 11, 50] {
        let many = |first: &str| SEGMENT.replace("/hls/", &format!("/hls/~{first}/{}", "~x/".repeat(count - 1)));
        assert_eq!(reason(h.get(&many("x")).await).await, "malformed", "{count}");
        assert_eq!(h.get(&many(&token)).await.status(), 200, "{count}: the first one counts");
        assert_eq!(reason(h.get(&many(&other)).await).await, "other-video", "{count}");
        let empty = "~/".repeat(count);
        assert_eq!(
            h.get(&SEGMENT.replace("/hls/", &format!("/hls/{empty}"))).await.status(),
            403,
            "{count} empty ones"
        );
        assert_eq!(h.get(&format!("/hls/{}", "~x/".repeat(count))).await.status(), 403, "{count} and no file");
        assert_eq!(
            h.get(&format!("/hls/{}", "~x/".repeat(count).trim_end_matches('/'))).await.status(),
            403,
            "{count}"
        );
    }
    assert_eq!(error_lines(&h), Vec::<String>::new());
}

/// What can change is asked about before it is used again, and costs a 304; what has its revision in its name does not.
#[tokio::test]
async fn nothing_that_can_change_is_used_unasked() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    let folder = h.folder().join("www/hls/vid1");
    for (name, text) in [
        ("rev-3f9a2c41/v0/seg0.m4s", "a segment"),
        ("rev-3f9a2c41/v0/index.m3u8", "#EXTM3U"),
        ("rev-3f9a2/seg0.m4s", "too short to be a revision"),
        ("rev-3F9A2C41/seg0.m4s", "not as the publisher writes it"),
        ("xrev-3f9a2c41/seg0.m4s", "another name"),
    ] {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    // A film may be called like a revision: it is none.
    let film = h.folder().join("www/hls/rev-3f9a2c41");
    std::fs::create_dir_all(&film).unwrap();
    std::fs::write(film.join("seg0.ts"), "a segment").unwrap();
    crate::harness::process::open_to_all(&h.folder().join("www"));
    let all = h.token(&["--all"]);
    let kept = "private, max-age=31536000, immutable";
    for (path, expected) in [
        (PLAYLIST, "private, no-cache"),
        (SEGMENT, "private, no-cache"),
        ("/hls/vid1/rev-3f9a2c41/v0/seg0.m4s", kept),
        ("/hls/vid1/rev-3f9a2c41/v0/index.m3u8", "private, no-cache"),
        ("/hls/vid1/rev-3f9a2/seg0.m4s", "private, no-cache"),
        ("/hls/vid1/rev-3F9A2C41/seg0.m4s", "private, no-cache"),
        ("/hls/vid1/xrev-3f9a2c41/seg0.m4s", "private, no-cache"),
        ("/hls/rev-3f9a2c41/seg0.ts", "private, no-cache"),
        ("/hls/vid1/rev-3f9a2c41/v0/none.m4s", "no-store"),
        ("/hls/vid1/v0/none.ts", "no-store"),
        ("/hls/vid1/rev-3f9a2c41/", "no-store"),
    ] {
        let by_path = path.replacen("/hls/", &format!("/hls/~{all}/"), 1);
        let answer = h.get(&by_path).await;
        let said: Vec<_> = answer.headers().get_all("cache-control").iter().collect();
        assert_eq!(said, [expected], "{path}");
        let Some(tag) = answer.headers().get("etag").cloned() else { continue };
        let again = send(h.request("GET", &by_path).header("If-None-Match", tag)).await;
        assert_eq!(
            (again.status().as_u16(), &again.headers()["cache-control"]),
            (304, &expected.parse().unwrap()),
            "{path}"
        );
        let part = send(h.request("GET", &by_path).header("Range", "bytes=0-1")).await;
        assert_eq!(
            (part.status().as_u16(), &part.headers()["cache-control"]),
            (206, &expected.parse().unwrap()),
            "{path}"
        );
        let beyond = send(h.request("GET", &by_path).header("Range", "bytes=99999999-")).await;
        // nginx has written the line before it looks at the range, and writes another: the stricter one counts.
        let said: Vec<_> = beyond.headers().get_all("cache-control").iter().collect();
        assert_eq!(beyond.status(), 416);
        assert!(said.iter().any(|value| *value == "no-store"), "{path}: {said:?}");
    }
    // Who may not have it is not told either that nothing changed.
    let tag = h.get_with(SEGMENT, &token).await.headers()["etag"].clone();
    let refused = send(h.request("GET", SEGMENT).header("If-None-Match", tag)).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["cache-control"]), (403, &"no-store".parse().unwrap()));
}

/// Players open these first, and the token of the query has to reach what follows.
#[tokio::test]
async fn a_manifest_of_any_kind_earns_a_cookie() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    let folder = h.folder().join("www/hls/vid1");
    std::fs::create_dir_all(folder.join("film.ism")).unwrap();
    let files = [
        "film.mpd",
        "FILM.MPD",
        "list.m3u",
        "x.m3u8",
        "film.ism/Manifest",
        "x.mp4",
        "mpd",
        "x.mpd.mp4",
        "film.ism/video",
    ];
    for (at, file) in files.into_iter().enumerate() {
        std::fs::write(folder.join(file), "something").unwrap();
        crate::harness::process::open_to_all(&folder);
        let answer = h.get(&format!("/hls/vid1/{file}?token={token}")).await;
        assert_eq!(answer.status(), 200, "{file}");
        assert_eq!(answer.headers().contains_key("set-cookie"), at < 5, "{file}");
    }
}

/// What hls.js, Shaka and dash.js can send with a request to another origin.
#[tokio::test]
async fn players_of_other_sites_may_send_their_own_headers() {
    let vhost = "include snippets/hlsgate.conf; root {root}; set $hlsgate_cors_origins https://player.example;
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; include snippets/hlsgate-cors.conf; }";
    let h = Harness::with(Options { vhost: vhost.into(), ..Options::default() }).await;
    let asked = ["authorization", "range", "cmcd-object", "cmcd-request", "cmcd-session", "cmcd-status"];
    let preflight = h.request("OPTIONS", SEGMENT).header("Origin", "https://player.example");
    let answer = send(preflight.header("Access-Control-Request-Headers", asked.join(","))).await;
    let allowed = answer.headers()["access-control-allow-headers"].to_str().unwrap().to_lowercase();
    let allowed: Vec<&str> = allowed.split(", ").collect();
    for name in asked {
        assert!(allowed.contains(&name), "{name}: {allowed:?}");
    }
}

/// A file that is missing can be found in the log, and no part of a token is.
#[tokio::test]
async fn a_request_by_path_token_is_logged_with_its_film() {
    let mut h = Harness::start().await;
    let token = h.token_for(A);
    let (head, rest) = token.split_once('.').unwrap();
    let broken = format!("{head}/{rest}");
    for path in [
        format!("/hls/~{token}/vid1/v0/none.ts?x=1"),
        format!("/hls/~{token}/vid1/~{token}/none.ts"),
        format!("/hls/~{token}/{token}/none.ts"),
        format!("/hls/~{broken}/vid1/none.ts"),
        format!("/hls/~{token}/vid1/x%7e{token}"),
        format!("/hls/~{token}%2f/vid1/none.ts"),
    ] {
        h.get(&path).await;
    }
    h.nginx.stop();
    let log = std::fs::read_to_string(h.folder().join("access.log")).unwrap();
    let paths: Vec<&str> = log.lines().filter_map(|line| line.split(' ').nth(6)).collect();
    assert_eq!(paths, ["/hls/~/vid1/v0/none.ts", "/hls/", "/hls/", "/hls/", "/hls/", "/hls/"], "{log}");
}
