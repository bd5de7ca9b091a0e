//! Films that do not lie on nginx's disk: an S3-compatible store behind the gate, as docs/nginx.md has it, and an origin that
//! says what it was sent.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use crate::harness::daemon::free_port;
use crate::harness::process::{Process, output};
use crate::harness::{A, DEADLINE, Harness, Options, reason, send, until};

const SEGMENT: &str = "/hls/vid1/rev-3f9a2c41/seg0.ts";
const PLAYLIST: &str = "/hls/vid1/master.m3u8";

/// The nginx block of docs/nginx.md under this heading.
fn recipe(heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/nginx.md")).expect("docs/nginx.md");
    let section = text.split_once(heading).unwrap_or_else(|| panic!("docs/nginx.md has no {heading:?}")).1;
    let section = section.split("\n## ").next().unwrap_or_default();
    section.split("```nginx\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0.to_owned())).collect()
}

/// Where s3rver is installed: beside its lock file, or, made once, in the folder of the build.
fn s3rver() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/origin");
    let program = |folder: &Path| folder.join("node_modules/s3rver/bin/s3rver.js");
    if program(&here).exists() {
        return program(&here);
    }
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("origin");
    if !program(&made).exists() {
        std::fs::create_dir_all(&made).expect("a folder");
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(here.join(file), made.join(file)).expect("the lock file");
        }
        output("npm", &["ci", "--no-audit", "--no-fund", "--silent", "--prefix", made.to_str().expect("a plain path")]);
    }
    program(&made)
}

/// A site whose films lie in the bucket `films` of an S3-compatible store; what the store was asked stands in `s3.log`.
async fn on_object_storage() -> (Harness, Process, PathBuf) {
    let port = free_port();
    let blocks = recipe("## Films on object storage");
    let [http, server] = blocks.as_slice() else { panic!("{} blocks", blocks.len()) };
    let adapted = |text: &str| {
        text.replace("s3.example:443", &format!("127.0.0.1:{port}"))
            .replace("https://films_store", "http://films_store")
            .replace("films.s3.example", &format!("127.0.0.1:{port}"))
            .replace("/var/cache/nginx/films", "{folder}/films-cache")
            .lines()
            .filter(|line| !line.trim_start().starts_with("proxy_ssl"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let vhost = format!("include snippets/hlsgate.conf; root {{root}}; {}", adapted(server));
    let h = Harness::with(Options { vhost, http: adapted(http), ..Options::default() }).await;
    let data = h.folder().join("s3");
    std::fs::create_dir_all(&data).unwrap();
    let mut command = Command::new("node");
    command
        .arg(s3rver())
        .args(["--no-vhost-buckets", "-a", "127.0.0.1", "-p", &port.to_string(), "--configure-bucket", "films", "-d"])
        .arg(&data);
    let log = h.folder().join("s3.log");
    let store = Process::start(&mut command, &log);
    until("the store answers", || async { reqwest::get(format!("http://127.0.0.1:{port}/films")).await.ok() }).await;
    let put = async |key: &str, body: Vec<u8>| {
        let client = reqwest::Client::new();
        let answer = client.put(format!("http://127.0.0.1:{port}/films/{key}")).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{key}: {answer:?}");
    };
    put("vid1/master.m3u8", b"#EXTM3U\n#EXTINF:2,\nrev-3f9a2c41/seg0.ts\n".to_vec()).await;
    put("vid1/rev-3f9a2c41/seg0.ts", (0..3_000_000_u32).map(|at| (at / 7) as u8).collect()).await;
    put("vid10/master.m3u8", b"#EXTM3U\n# another film\n".to_vec()).await;
    (h, store, log)
}

#[tokio::test]
async fn films_on_object_storage_are_behind_the_gate_with_ranges_and_conditions() {
    let (h, _store, log) = on_object_storage().await;
    let token = h.token_for(A);
    let whole: Vec<u8> = (0..3_000_000_u32).map(|at| (at / 7) as u8).collect();
    let asked = || {
        std::fs::read_to_string(&log)
            .unwrap()
            .lines()
            .filter(|line| line.contains(": /vid1/rev-") && line.contains(" 206 "))
            .count()
    };
    for path in [PLAYLIST, SEGMENT] {
        assert_eq!(reason(h.get(path).await).await, "missing", "{path}");
        assert_eq!(reason(h.get_with(path, &h.token_for("vid10")).await).await, "other-video");
    }
    assert_eq!(asked(), 0, "the store is not asked for those who may not have it");
    // By each carrier, and again out of nginx's cache, which is behind the gate.
    for _ in 0..2 {
        for answer in [
            h.get_with(SEGMENT, &token).await,
            h.get(&SEGMENT.replace("/hls/", &format!("/hls/~{token}/"))).await,
            h.get(&format!("{SEGMENT}?token={token}")).await,
        ] {
            assert_eq!(answer.status(), 200);
            let said: Vec<_> = answer.headers().get_all("cache-control").iter().collect();
            assert_eq!(said, ["private, max-age=31536000, immutable"]);
            assert!(answer.bytes().await.unwrap() == whole);
        }
    }
    assert_eq!(asked(), 3, "each of the three slices is asked for once, whoever watches");
    assert_eq!(reason(h.get(SEGMENT).await).await, "missing", "what is cached is for nobody without a token");
    for (range, from, to) in
        [("bytes=0-99", 0, 100), ("bytes=1048500-1048700", 1_048_500, 1_048_701), ("bytes=-10", 2_999_990, 3_000_000)]
    {
        let answer = send(h.request("GET", SEGMENT).header("Range", range).bearer_auth(&token)).await;
        assert_eq!(answer.status(), 206, "{range}");
        assert!(answer.bytes().await.unwrap() == whole[from..to], "{range}");
    }
    let playlist = h.get_with(PLAYLIST, &token).await;
    assert_eq!(playlist.headers()["cache-control"], "private, no-cache");
    let tag = playlist.headers()["etag"].clone();
    let again = send(h.request("GET", PLAYLIST).header("If-None-Match", tag).bearer_auth(&token)).await;
    assert_eq!(again.status(), 304);
    let since = playlist.headers()["last-modified"].clone();
    let again = send(h.request("GET", PLAYLIST).header("If-Modified-Since", since).bearer_auth(&token)).await;
    assert_eq!(again.status(), 304);
    assert_eq!(h.get_with("/hls/vid1/none.ts", &token).await.status(), 404);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("eyJ"), "the store saw a token: {text}");
}

/// An origin of one answer, which keeps what it was asked.
fn recording_origin(port: u16) -> Receiver<String> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (heads, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = vec![0; 16 * 1024];
            let len = stream.read(&mut head).unwrap_or(0);
            let _ = heads.send(String::from_utf8_lossy(&head[..len]).into_owned());
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\nCache-Control: public, max-age=9\r\nExpires: Thu, 01 Jan 2099 00:00:00 GMT\r\n\
                  Set-Cookie: origin=1\r\nAccess-Control-Allow-Origin: *\r\nX-Accel-Redirect: /hls/vid10/master.m3u8\r\nETag: \"a\"\r\n\r\nabc",
            );
        }
    });
    received
}

#[tokio::test]
async fn an_origin_gets_no_token_and_its_headers_do_not_stand_beside_ours() {
    let port = free_port();
    let heads = recording_origin(port);
    let vhost = format!(
        "include snippets/hlsgate.conf; location ^~ /hls/ {{ include snippets/hlsgate-protect.conf; include snippets/hlsgate-origin.conf;
          proxy_pass http://127.0.0.1:{port}; }}"
    );
    let h = Harness::with(Options { vhost, ..Options::default() }).await;
    let token = h.token_for(A);
    for path in [format!("/hls/~{token}/vid1/v0/seg0.ts?a=b"), format!("/hls/vid1/v0/seg0.ts?token={token}")] {
        let request = h.request("GET", &path).header("Cookie", format!("hlsgate={token}")).bearer_auth(&token);
        let request = request.header("Referer", format!("https://x/?token={token}")).header("Range", "bytes=0-1");
        let answer = send(request.header("If-None-Match", "\"b\"")).await;
        assert_eq!(answer.status(), 200);
        let said: Vec<_> = answer.headers().get_all("cache-control").iter().collect();
        assert_eq!(said, ["private, no-cache"]);
        for name in ["set-cookie", "expires", "access-control-allow-origin"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
        assert_eq!(answer.text().await.unwrap(), "abc");
        let head = heads.recv_timeout(DEADLINE).unwrap();
        let (line, headers) = head.split_once("\r\n").unwrap();
        let headers = headers.to_lowercase();
        assert_eq!(line, "GET /hls/vid1/v0/seg0.ts HTTP/1.1");
        assert!(!head.contains("eyJ"), "{head}");
        assert!(headers.contains("range: bytes=0-1") && headers.contains("if-none-match: \"b\""), "{head}");
    }
    assert_eq!(reason(h.get("/hls/vid1/v0/seg0.ts").await).await, "missing");
    assert!(heads.try_recv().is_err(), "the origin is not asked for those who may not have it");
}
