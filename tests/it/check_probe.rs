//! `hlsgate check --probe`: nothing gets in where the shipped files are, and where a door is open it names what got in.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::harness::btcpay::STORE;
use crate::harness::command::{Desk, Outcome, hlsgate, run};
use crate::harness::daemon::free_port;
use crate::harness::shop::{Shop, Wish};
use crate::harness::{A, Harness, Options, process};

const SEGMENT: &str = "/hls/vid1/v0/seg0.ts";

/// A command's findings of the probe, each as `level what: seen`, and the exit code.
fn probed(outcome: Outcome) -> (i32, Vec<String>) {
    let report: Value = serde_json::from_str(&outcome.out).unwrap_or_else(|err| panic!("{err}: {outcome:?}"));
    assert!(!outcome.out.contains("eyJ"), "a token shows");
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["group"] == "probe");
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    (outcome.code, findings.map(|f| format!("{} {}: {}", text(f, "level"), text(f, "what"), text(f, "seen"))).collect())
}

fn probe(h: &Harness, url: &str, more: &[&str]) -> (i32, Vec<String>) {
    let arguments = [&["check", "--json", "--only", "configuration", "--probe", url], more].concat();
    probed(run(&mut hlsgate(&h.config(), &arguments), ""))
}

fn bad(findings: &[String]) -> Vec<&str> {
    findings.iter().map(String::as_str).filter(|finding| !finding.starts_with("ok ")).collect()
}

fn error_log(h: &Harness) -> String {
    String::from_utf8_lossy(&std::fs::read(h.folder().join("error.log")).unwrap()).into_owned()
}

async fn open(vhost: &str, http: &str) -> Harness {
    Harness::with(Options { vhost: vhost.into(), http: http.into(), ..Options::default() }).await
}

#[tokio::test]
async fn nothing_gets_in_where_the_shipped_files_are() {
    for (vhost, file) in [
        ("include snippets/hlsgate.conf; root {root}; location / { } location ^~ /hls/ { include snippets/hlsgate-protect.conf; }", "/hls/vid1/master.m3u8"),
        (
            "include snippets/hlsgate.conf; set $hlsgate_cors_origins *; location / { try_files $uri /index.html; root {root}; }
             location ~ \\.ts$ { root {root}; return 404; }
             location ^~ /hls/ { alias {hls}/; include snippets/hlsgate-protect.conf; include snippets/hlsgate-cors.conf;
               include snippets/hlsgate-cache.conf; include snippets/hlsgate-l402.conf; }",
            SEGMENT,
        ),
    ] {
        let h = open(vhost, "").await;
        let (code, findings) = probe(&h, &h.url(file), &[]);
        assert_eq!((code, bad(&findings)), (0, vec![]));
        assert!(findings.len() > 200, "{}", findings.len());
        for expected in [
            "ok a good token in the path: 200, the file",
            "ok a good token in a cookie: 200, the file",
            "ok an expired token, as Bearer: ",
            "ok a token of a video with a similar id, in the path: ",
            "ok a token in a client's own X-Hlsgate-Path-Token: ",
        ] {
            assert!(findings.iter().any(|finding| finding.starts_with(expected)), "{expected}: {findings:#?}");
        }
        // Not even in nginx's own log of errors.
        assert!(!error_log(&h).contains("eyJ"), "a token of the probe is in the error log");
    }
}

/// A vhost, more of the http level, the file to ask for, and what of the probe gets in.
type Door = (&'static str, String, &'static str, &'static str, &'static [&'static str]);

#[tokio::test]
async fn an_open_door_is_found_and_what_came_through_is_named() {
    // The question as somebody would write it who knows auth_request, and not its traps.
    const OWN_QUESTION: &str = "set $hlsgate_server included; root {root};
        location = /hlsgate-auth { internal; proxy_pass http://hlsgate/auth; proxy_pass_request_body off; proxy_set_header Content-Length \"\";
          proxy_set_header X-Hlsgate-Video $video; proxy_set_header X-Hlsgate-Kind $hlsgate_kind; PROXY }
        location @hlsgate_refused { return 403; }
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; set $video $hlsgate_video; MEDIA }";
    let own = |proxy: &str, media: &str| OWN_QUESTION.replace("PROXY", proxy).replace("MEDIA", media);
    let doors: [Door; 6] = [
        (
            "the question is off",
            "include snippets/hlsgate.conf; root {root};".into(),
            "",
            "/hls/vid1/master.m3u8",
            &[
                "wrong no token: 200, with bytes of the file; sent was `GET /hls/vid1/master.m3u8 HTTP/1.1`",
                "unknown the rest: ",
            ],
        ),
        (
            "an expression wins",
            "include snippets/hlsgate.conf; root {root}; location /hls/ { include snippets/hlsgate-protect.conf; } location ~ \\.ts$ { }".into(),
            "",
            SEGMENT,
            &["wrong no token: 200, with bytes of the file", "unknown the rest: "],
        ),
        (
            "a cache in front ignores cookies",
            "include snippets/hlsgate.conf; root {root}; location ^~ /hls/ { include snippets/hlsgate-protect.conf; }".into(),
            "proxy_cache_path {folder}/cdn keys_zone=cdn:1m;
             server { listen unix:{folder}/cdn.sock; server_name cdn.test; location / { proxy_pass http://unix:{folder}/nginx.sock; proxy_cache cdn;
               proxy_cache_key $uri; proxy_ignore_headers Cache-Control Set-Cookie Vary; proxy_cache_valid 200 1h; access_log off; } }
             server { listen 127.0.0.1:CDN; access_log off; location / { proxy_pass http://unix:{folder}/cdn.sock; proxy_set_header Host site.test; } }",
            SEGMENT,
            &["wrong no token: 200, with bytes of the file", "unknown the rest: "],
        ),
        (
            "a client's headers are passed on",
            own("", ""),
            "",
            SEGMENT,
            &["wrong a token in a client's own X-Hlsgate-Query: 200, with bytes of the file; sent was `GET /hls/vid1/v0/seg0.ts HTTP/1.1`, `X-Hlsgate-Query: token=TOKEN`"],
        ),
        (
            "a client's header is believed",
            own(
                "proxy_set_header X-Hlsgate-Query $hlsgate_query;",
                "if ($http_x_hlsgate_video) { set $video $http_x_hlsgate_video; }",
            ),
            "",
            SEGMENT,
            &["wrong a client's own X-Hlsgate-Video: 200, with bytes of the file"],
        ),
        (
            "the video is read from the path as it was sent",
            own(
                "proxy_set_header X-Hlsgate-Query $hlsgate_query; proxy_set_header X-Hlsgate-Path-Token $hlsgate_path_token;",
                "set $video $by_request;",
            ),
            "map $request_uri $by_request { volatile; \"~^/hls/(?:~[^/]+/)?(?<named_id>[A-Za-z0-9_][A-Za-z0-9._-]*)/\" $named_id; }",
            SEGMENT,
            &[
                "wrong path /hls/vid/../vid1/v0/seg0.ts with a token of vid: 200, with bytes of the file",
                "wrong path /hls/vid/%2e%2e/vid1/v0/seg0.ts with a token of vid: 200, with bytes of the file",
            ],
        ),
    ];
    for (name, vhost, http, file, expected) in doors {
        let cdn = free_port();
        let h = open(&vhost, &http.replace("CDN", &cdn.to_string())).await;
        let connect = format!("127.0.0.1:{cdn}");
        let more: &[&str] = if http.contains("CDN") { &["--connect", &connect] } else { &[] };
        let (code, findings) = probe(&h, &h.url(file), more);
        let bad = bad(&findings);
        assert_eq!(code, 1, "{name}: {bad:#?}");
        for part in expected {
            assert!(bad.iter().any(|finding| finding.starts_with(part)), "{name}: no {part} in {bad:#?}");
        }
        assert!(bad.len() < 100, "{name}: {bad:#?}");
    }
}

/// What keeps the probe from looking: exit 2, and words that say what to do.
#[tokio::test]
async fn what_keeps_it_from_looking_is_told() {
    let h = Harness::start().await;
    let tell = |url: &str| run(&mut hlsgate(&h.config(), &["check", "--only", "configuration", "--probe", url]), "");
    for (url, expected) in [
        (
            "video.example/hls/vid1/x.ts",
            "error: \"video.example/hls/vid1/x.ts\" is no URL: relative URL without a base\n",
        ),
        ("htps://video.example/hls/vid1/x.ts", "error: \"htps://video.example/hls/vid1/x.ts\" is not http or https\n"),
        (
            "https://video.example/hsl/vid1/x.ts",
            "error: the path /hsl/vid1/x.ts does not lie below /hls/ and a video id\n",
        ),
        ("https://video.example/hls/", "error: the path /hls/ does not lie below /hls/ and a video id\n"),
        ("https://video.example/hls/vid1/", "error: the path /hls/vid1/ names no file of video vid1\n"),
    ] {
        let outcome = tell(url);
        assert_eq!(outcome.code, 2, "{outcome:?}");
        let hint =
            "  hint: name a playlist or segment that is there, such as https://site.example/hls/VIDEO/master.m3u8\n";
        assert_eq!(outcome.err, format!("{expected}{hint}"));
    }
    for (url, level, seen) in [
        (h.url("/hls/nobody/master.m3u8"), 2, "unknown the file itself: 404"),
        (
            format!("http://127.0.0.1:{}/hls/vid1/master.m3u8", free_port()),
            2,
            "unknown the file itself: no answer: Connection refused",
        ),
        (
            "http://no-such-host.invalid/hls/vid1/master.m3u8".into(),
            2,
            "unknown the file itself: no answer: failed to lookup address",
        ),
        (
            h.url("/hls/vid1/master.m3u8").replace("http:", "https:"),
            2,
            "unknown the file itself: no answer: received corrupt message",
        ),
    ] {
        let (code, findings) = probe(&h, &url, &[]);
        assert!(code == level && findings.len() == 1 && findings[0].starts_with(seen), "{url}: {code} {findings:?}");
    }
    // Keys of another shop.
    let other = Desk::new("");
    let (code, findings) =
        probed(other.run(&["check", "--json", "--only", "configuration", "--probe", &h.url("/hls/vid1/master.m3u8")]));
    assert_eq!((code, findings), (1, vec!["wrong the file itself: 403 unknown-key".to_owned()]));
    assert!(!error_log(&h).contains("eyJ"), "a token of the probe is in the error log");
}

/// The lane as a client sees it that pays nothing: of all the requests comes one invoice.
#[tokio::test]
async fn the_lane_of_machines_is_looked_at_for_one_invoice() {
    const LANE: &str = "ok machines: 402 with two challenges over one Lightning invoice of 100 sats";
    const GATE: &str = "include snippets/hlsgate.conf; root {root};";
    const HIDDEN: &str =
        "location = /hlsgate/videos/vid1/access { proxy_pass http://hlsgate; proxy_hide_header WWW-Authenticate; }";
    const BILLED: &str =
        "location = /hls/vid1/hlsgate-check.ts { add_header WWW-Authenticate 'L402 x' always; return 402; }";
    let hls = |more: &str| format!("location ^~ /hls/ {{ include snippets/hlsgate-protect.conf; {more} }}");
    for (vhost, wrong, expected) in [
        (hls(""), 0, vec![LANE, "ok machines: master.m3u8: 403: not sold", "ok machines: the manifest: not at"]),
        (
            format!("include snippets/hlsgate-discovery.conf; {}", hls("include snippets/hlsgate-l402.conf;")),
            0,
            vec![LANE, "ok machines: master.m3u8: 402 over the same invoice", "ok machines: the manifest: it is at"],
        ),
        (format!("{HIDDEN} {}", hls("")), 1, vec!["wrong machines: 402 with 0 challenges, not L402 and Payment"]),
        (format!("{BILLED} {}", hls("")), 1, vec!["wrong machines: a segment: 402, with a challenge"]),
    ] {
        let vhost = format!("{GATE} {vhost}");
        let shop = Shop::with(Wish { vhost: Some(&vhost), ..Wish::default() }).await;
        let (_, findings) = probe(&shop.h, &shop.h.url("/hls/vid1/master.m3u8"), &[]);
        let lane: Vec<_> = findings.iter().filter(|finding| finding.contains(" machines:")).collect();
        assert_eq!(bad(&findings).len(), wrong, "{:?}", bad(&findings));
        for expected in expected {
            assert!(lane.iter().any(|finding| finding.starts_with(expected)), "{expected}: {lane:#?}");
        }
        let query = format!("method=POST&path=/api/v1/stores/{STORE}/invoices");
        assert_eq!(shop.btcpay.calls(&query).await.len(), 1);
    }
}

/// A server of one answer, on loopback.
fn stub(answer: &'static [u8], stay: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
            if stay {
                held.push(stream);
            }
        }
    });
    format!("http://{address}/hls/vid1/master.m3u8")
}

#[tokio::test]
async fn strange_sites_come_to_an_end() {
    let desk = Desk::new("");
    let look = |url: &str| probed(desk.run(&["check", "--json", "--only", "configuration", "--probe", url]));
    // SETTINGS and GOAWAY of a server that speaks HTTP/2 alone.
    let (code, findings) = look(&stub(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\x01", false));
    assert_eq!((code, findings), (2, vec!["unknown the file itself: an answer that is not HTTP/1".to_owned()]));
    let (code, findings) = look(&stub(b"", false));
    assert_eq!((code, findings), (2, vec!["unknown the file itself: the connection was closed".to_owned()]));
    let (code, findings) =
        look(&stub(b"HTTP/1.1 301 Moved\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n", false));
    assert_eq!((code, findings), (2, vec!["unknown the file itself: 301".to_owned()]));
    let began = std::time::Instant::now();
    let (code, findings) = look(&stub(b"", true));
    assert_eq!((code, findings), (2, vec!["unknown the file itself: no answer: nothing came within 10s".to_owned()]));
    assert!(began.elapsed().as_secs() < 30);
}

#[tokio::test]
async fn over_tls_the_certificate_counts() {
    let files = tempfile::tempdir().unwrap();
    let (key, cert) = (files.path().join("key.pem"), files.path().join("cert.pem"));
    let (key, cert) = (key.to_str().unwrap(), cert.to_str().unwrap());
    process::output(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=site.test",
            "-addext",
            "subjectAltName=DNS:site.test",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            key,
            "-out",
            cert,
        ],
    );
    let port = free_port();
    let h = open(
        &format!("listen 127.0.0.1:{port} ssl; ssl_certificate {cert}; ssl_certificate_key {key};
            include snippets/hlsgate.conf; root {{root}}; location ^~ /hls/ {{ include snippets/hlsgate-protect.conf; }}"),
        "",
    )
    .await;
    let url = format!("https://site.test:{port}/hls/{A}/master.m3u8");
    let connect = format!("127.0.0.1:{port}");
    let (code, findings) = probe(&h, &url, &["--connect", &connect]);
    assert_eq!(
        (code, findings),
        (2, vec!["unknown the file itself: no answer: its certificate cannot be trusted (UnknownIssuer)".to_owned()])
    );
    let trusting = |url: &str| {
        let mut command = hlsgate(
            &h.config(),
            &["check", "--json", "--only", "configuration", "--probe", url, "--connect", &connect],
        );
        probed(run(command.env("SSL_CERT_FILE", cert), ""))
    };
    let (code, findings) = trusting(&url);
    assert_eq!((code, bad(&findings)), (0, vec![]));
    let (code, findings) = trusting(&url.replace("site.test", "www.site.test"));
    assert!(
        code == 2 && findings[0].contains("its certificate cannot be trusted (certificate not valid for name"),
        "{findings:?}"
    );
    // Plain HTTP to the port where TLS is spoken.
    let (code, findings) = probe(&h, &url.replace("https:", "http:"), &["--connect", &connect]);
    assert_eq!((code, findings), (2, vec!["unknown the file itself: 400".to_owned()]));
}
