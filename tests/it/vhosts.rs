//! The shipped nginx files in vhosts of several kinds: what the daemon is asked, and what the viewer sees.

use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::daemon::socket;
use crate::harness::raw::exchange;
use crate::harness::{A, Harness, Options, process, reason, send};

const PLAYLIST: &str = "/hls/vid1/master.m3u8";

fn vhost(body: &str) -> Options {
    Options { vhost: format!("include snippets/hlsgate.conf;\nroot {{root}};\n{body}"), ..Options::default() }
}

/// The files as they are shipped, byte for byte, in the tree that the package nginx installs.
#[test]
fn the_shipped_files_pass_nginx_t_in_debians_own_tree() {
    let folder = tempfile::tempdir().unwrap();
    process::open_to_all(folder.path());
    let etc = folder.path().join("etc-nginx");
    process::output("cp", &["-rL", "/etc/nginx", etc.to_str().unwrap()]);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/nginx/.");
    process::output("cp", &["-r", shipped, etc.to_str().unwrap()]);
    let site = "server { include snippets/hlsgate.conf; listen 127.0.0.1:80; root /var/www/html;
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; include snippets/hlsgate-cors.conf; include snippets/hlsgate-cache.conf; }
        location ^~ /l402/ { include snippets/hlsgate-protect.conf; include snippets/hlsgate-l402.conf; }
        location ^~ /away/ { include snippets/hlsgate-protect.conf; include snippets/hlsgate-origin.conf; proxy_pass http://127.0.0.1:9; } }";
    for with_site in [false, true] {
        if with_site {
            let _ = std::fs::remove_file(etc.join("sites-enabled/default"));
            std::fs::write(etc.join("sites-enabled/site"), site).unwrap();
        }
        let config = std::fs::read_to_string("/etc/nginx/nginx.conf").unwrap();
        let config = config
            .replace("/etc/nginx/", &format!("{}/", etc.display()))
            .replace("/run/nginx.pid", &format!("{}/nginx.pid", folder.path().display()))
            .replace("/var/log/nginx/", &format!("{}/", folder.path().display()));
        std::fs::write(etc.join("nginx.conf"), config).unwrap();
        let output = Command::new("nginx").args(["-t", "-c"]).arg(etc.join("nginx.conf")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        // Without its logs in /var/log/nginx (not root) nothing could be said; with them, every line is good.
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("[warn]"), "{text}");
    }
}

/// Answers every question with yes and keeps its head.
async fn recording_daemon(h: &mut Harness) -> tokio::sync::mpsc::UnboundedReceiver<String> {
    h.kill_daemon();
    let path = socket(h.folder());
    std::fs::remove_file(&path).unwrap();
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    process::open_to_all(&path);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let (heads, received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heads = heads.clone();
            tokio::spawn(async move {
                let mut buffer = Vec::new();
                while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                    while let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                        let head: Vec<u8> = buffer.drain(..end + 4).collect();
                        let _ = heads.send(String::from_utf8_lossy(&head).into_owned());
                        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                    }
                }
            });
        }
    });
    received
}

#[tokio::test]
async fn the_daemon_sees_nginxs_own_words_and_nothing_else_of_the_request() {
    let mut h = Harness::start().await;
    let mut heads = recording_daemon(&mut h).await;
    let lies = "X-Hlsgate-Video: vid10\r\nX-Hlsgate-Video: vid10\r\nx_hlsgate_video: vid10\r\nX-Hlsgate-Kind: playlist\r\n\
                X-Hlsgate-Query: token=lie\r\nX-Hlsgate-Path-Token: lie\r\nX-Hlsgate-Reason: none\r\nHost: site.test\r\n\
                X-Original-URI: /hls/vid10/\r\nUser-Agent: lie\r\nReferer: https://lie/\r\nX-Forwarded-For: 1.2.3.4\r\n\
                Cookie: hlsgate=one\r\nCookie: hlsgate=two\r\nAuthorization: Bearer three\r\nConnection: close\r\n";
    for (line, expected) in [
        (
            "GET /hls/vid1/v0/seg0.ts?a=b HTTP/1.1",
            "X-Hlsgate-Video: vid1\r\nX-Hlsgate-Kind: media\r\nX-Hlsgate-Query: a=b\r\n",
        ),
        ("GET /hls/vid1/MASTER.M3U8 HTTP/1.1", "X-Hlsgate-Video: vid1\r\nX-Hlsgate-Kind: playlist\r\n"),
        (
            "GET /hls/~four/vid10/x?token=five HTTP/1.1",
            "X-Hlsgate-Video: vid10\r\nX-Hlsgate-Kind: media\r\nX-Hlsgate-Query: token=five\r\nX-Hlsgate-Path-Token: four\r\n",
        ),
        ("GET /hls/%2e%2e/hls/vid10/..%2fvid1/x HTTP/1.1", "X-Hlsgate-Video: vid1\r\nX-Hlsgate-Kind: media\r\n"),
        (
            "GET /hls/vid1/x%0d%0aX-Hlsgate-Video:%20vid10 HTTP/1.1",
            "X-Hlsgate-Video: vid1\r\nX-Hlsgate-Kind: media\r\n",
        ),
        ("GET /hls/~a%0d%0aX-Injected:%20yes/vid1/x HTTP/1.1", "X-Hlsgate-Video: vid1\r\nX-Hlsgate-Kind: media\r\n"),
        // No id, no header: the daemon refuses that.
        ("GET /hls/.hidden/x HTTP/1.1", "X-Hlsgate-Kind: media\r\n"),
        ("POST /hls/vid1/x HTTP/1.1", "X-Hlsgate-Video: vid1\r\nX-Hlsgate-Kind: media\r\n"),
    ] {
        exchange(&h.nginx.socket, format!("{line}\r\n{lies}\r\n").as_bytes()).await;
        let head = heads.recv().await.expect("a question");
        let mut found: Vec<&str> = head.trim_end().lines().collect();
        let mut wanted: Vec<&str> = expected.trim_end().lines().collect();
        wanted.extend([
            "GET /auth HTTP/1.1",
            "Host: hlsgate",
            "Cookie: hlsgate=one; hlsgate=two",
            "Authorization: Bearer three",
        ]);
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{line}");
    }
    // The daemon is gone with this test: its log is that of the one before.
}

#[tokio::test]
async fn root_and_alias_and_a_nested_location_serve_and_refuse_alike() {
    let h = Harness::with(vhost(
        "location ^~ /hls/ { include snippets/hlsgate-protect.conf; }
        location ^~ /films/ { alias {hls}/; include snippets/hlsgate-protect.conf; }
        location ^~ /shut/ { include snippets/hlsgate-protect.conf; location ~ \\.ts$ { root {root}; } }",
    ))
    .await;
    let token = h.token_for(A);
    for path in [PLAYLIST, "/hls/vid1/v0/seg0.ts", "/hls/vid1/", "/hls/vid1/no-such-file", "/hls/vid1/v0/seg0.ts?x=1"] {
        let refused = h.get(path).await;
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        assert_eq!(refused.headers()["cache-control"], "no-store");
        assert_eq!(refused.status(), 403, "{path}");
        assert_eq!(reason(refused).await, "missing", "{path}");
    }
    let served = h.get_with(PLAYLIST, &token).await;
    assert_eq!(
        (served.status().as_u16(), &served.headers()["cache-control"]),
        (200, &"private, no-cache".parse().unwrap())
    );
    assert_eq!(h.get_with("/hls/vid1/no-such-file", &token).await.status(), 404);
    assert_eq!(reason(h.get_with("/hls/vid1/", &token).await).await, "forbidden", "nginx lists no folder");
    // The alias has no video in its path as the map sees it: it stays shut.
    assert_eq!(reason(h.get_with("/films/vid1/master.m3u8", &token).await).await, "bad-request");
    assert_eq!(reason(h.get_with("/shut/vid1/v0/seg0.ts", &token).await).await, "bad-request");
}

#[tokio::test]
async fn protect_without_the_server_part_serves_nothing() {
    let h = Harness::with(Options {
        vhost: "root {root}; location ^~ /hls/ { include snippets/hlsgate-protect.conf; }".into(),
        ..Options::default()
    })
    .await;
    let token = h.token_for(A);
    assert_eq!(h.get_with(PLAYLIST, &token).await.status(), 500);
}

#[tokio::test]
async fn http_2_carries_tokens_and_refusals_as_well() {
    let h = Harness::with(vhost(
        "listen unix:{folder}/h2.sock http2;
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; }",
    ))
    .await;
    let token = h.token_for(A);
    let ask = |cookie: &str, more: &[&str]| {
        // curl speaks HTTP/2 without TLS, and sends each cookie pair as a crumb of its own.
        let socket = h.folder().join("h2.sock");
        let url = format!("http://site.test{PLAYLIST}");
        let arguments = [
            "-s",
            "--http2-prior-knowledge",
            "--unix-socket",
            socket.to_str().unwrap(),
            "-H",
            cookie,
            "-w",
            " %{http_code} %{http_version}",
            &url,
        ];
        process::output("curl", &[&arguments, more].concat())
    };
    assert!(ask("Cookie: a=b", &[]).ends_with("403 2"));
    let good = format!("Cookie: a=b; hlsgate=x; hlsgate={token}; c=d");
    let served = ask(&good, &[]);
    assert!(served.starts_with("#EXTM3U") && served.ends_with("200 2"), "{served}");
    assert_eq!(ask(&good, &["-r", "0-6"]), "#EXTM3U 206 2");
    assert!(ask("Cookie: a=b", &["-r", "0-6"]).ends_with("403 2"));
    assert!(ask(&good, &["-I"]).ends_with("200 2"));
    assert!(ask("Cookie: a=b", &["-I"]).ends_with("403 2"));
}

#[tokio::test]
async fn cors_is_for_the_listed_origins_on_refusals_and_preflights_too() {
    let h = Harness::with(vhost(
        "set $hlsgate_cors_origins \"https://player.example https://www.example\";
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; include snippets/hlsgate-cors.conf; }",
    ))
    .await;
    let token = h.token_for(A);
    let allowed = async |method: &str, path: &str, origin: &str, token: &str| {
        let answer = send(h.request(method, path).header("Origin", origin).bearer_auth(token)).await;
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), header("access-control-allow-origin"), header("access-control-allow-credentials"))
    };
    let good = "https://player.example";
    let yes = |status: u16| (status, Some(good.to_owned()), Some("true".to_owned()));
    assert_eq!(allowed("GET", PLAYLIST, good, &token).await, yes(200));
    assert_eq!(allowed("GET", PLAYLIST, good, "").await, yes(403));
    assert_eq!(allowed("GET", "/hls/vid1/none", good, &token).await, yes(404));
    assert_eq!(allowed("OPTIONS", PLAYLIST, good, "").await, yes(204));
    for stranger in [
        "https://player.example.evil",
        "http://player.example",
        "https://player.exampl",
        "null",
        "https://www.example x",
    ] {
        assert_eq!(allowed("GET", PLAYLIST, stranger, &token).await, (200, None, None), "{stranger}");
    }
    assert_eq!(h.get(PLAYLIST).await.headers()["vary"], "Origin");
}

/// A media path of one's own, through the files that `hlsgate nginx` prints.
#[tokio::test]
async fn another_media_path_works_with_the_printed_files() {
    let h = Harness::with(Options {
        config_top: "media = \"/v1.0/films/{video}/v0/\"".into(),
        config: "[cookie]\nsecure = false".into(),
        vhost: "include snippets/hlsgate.conf;
            location ^~ /v1.0/films/ { include snippets/hlsgate-protect.conf; alias {hls}/; }"
            .into(),
        ..Options::default()
    })
    .await;
    let token = h.token_for(A);
    assert_eq!(reason(h.get("/v1.0/films/vid1/v0/index.m3u8").await).await, "missing");
    assert_eq!(h.get_with("/v1.0/films/vid1/v0/index.m3u8", &token).await.status(), 200);
    assert_eq!(h.get(&format!("/v1.0/films/~{token}/vid1/v0/seg0.ts")).await.status(), 200);
    assert_eq!(reason(h.get(&format!("/v1.0/films/~{token}/vid10/v0/seg0.ts")).await).await, "other-video");
    // What lies in the film's folder but not under the configured path has no video to be asked about.
    assert_eq!(reason(h.get_with("/v1.0/films/vid1/v1/index.m3u8", &token).await).await, "bad-request");
    let cookie = h.get(&format!("/v1.0/films/vid1/v0/index.m3u8?token={token}")).await;
    let cookie = cookie.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; Path=/v1.0/films/vid1/v0/; "), "{cookie}");
}
