//! `hlsgate check --probe` of a playlist: whatever the stream holds is asked for, and an open door to any kind of it is ✗.

use std::path::Path;

use serde_json::Value;

use crate::harness::command::{hlsgate, run};
use crate::harness::{Harness, Options, process};

const MASTER: &str = "/hls/film/master.m3u8";
const GUARDED: &str = "location ^~ /hls/ { include snippets/hlsgate-protect.conf; }";

/// A stream with everything that streams hold, and a manifest of DASH over the same files.
fn write_stream(folder: &Path) {
    let segments = |name: &str| (0..4).map(|at| format!("#EXTINF:2,\n{name}{at}.m4s\n")).collect::<String>();
    let files = [
        (
            "master.m3u8",
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"en\",URI=\"subs/en.m3u8\"\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"audio/index.m3u8\"\n\
             #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"v0/iframes.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=100000,AUDIO=\"a\",SUBTITLES=\"s\"\nv0/index.m3u8\n\
             #EXT-X-STREAM-INF:BANDWIDTH=50000,AUDIO=\"a\",SUBTITLES=\"s\"\nv1/index.m3u8\n"
                .to_owned(),
        ),
        (
            "v0/index.m3u8",
            format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"../keys/film.key\"\n{}#EXT-X-ENDLIST\n",
                segments("seg")
            ),
        ),
        ("v0/iframes.m3u8", "#EXTM3U\n#EXT-X-I-FRAMES-ONLY\n#EXTINF:2,\nframes.mp4\n#EXT-X-ENDLIST\n".into()),
        ("v1/index.m3u8", format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{}#EXT-X-ENDLIST\n", segments("part"))),
        ("audio/index.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na0.aac\n#EXT-X-ENDLIST\n".into()),
        ("subs/en.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nen0.vtt\n#EXT-X-ENDLIST\n".into()),
        (
            "film.mpd",
            "<?xml version=\"1.0\"?><MPD><Period><AdaptationSet><SegmentTemplate startNumber=\"0\" initialization=\"$RepresentationID$/init.mp4\" \
             media=\"$RepresentationID$/seg$Number$.m4s\"/><Representation id=\"v0\" bandwidth=\"1\"/></AdaptationSet></Period></MPD>"
                .into(),
        ),
    ];
    for (name, text) in files {
        put(&folder.join(name), text.as_bytes());
    }
    let media = ["v0/init.mp4", "v0/frames.mp4", "keys/film.key", "audio/a0.aac", "subs/en0.vtt"].map(str::to_owned);
    for name in media.into_iter().chain((0..4).flat_map(|at| [format!("v0/seg{at}.m4s"), format!("v1/part{at}.m4s")])) {
        // A key has 16 bytes; every file says who it is.
        put(&folder.join(&name), format!("{name:~<16}").as_bytes());
    }
    process::open_to_all(folder);
}

fn put(file: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, bytes).unwrap();
}

async fn site(locations: &str) -> Harness {
    let vhost = format!("include snippets/hlsgate.conf; root {{root}}; location / {{ }} {locations}");
    let h = Harness::with(Options { vhost, ..Options::default() }).await;
    write_stream(&h.folder().join("www/hls/film"));
    h
}

/// The findings of the probe that are not ✓, each as `level what: seen`, those that are, and the exit code.
fn probe(h: &Harness, path: &str) -> (i32, Vec<String>, Vec<String>) {
    let outcome = run(&mut hlsgate(&h.config(), &["check", "--json", "--only", "daemon", "--probe", &h.url(path)]), "");
    let report: Value = serde_json::from_str(&outcome.out).unwrap_or_else(|err| panic!("{err}: {outcome:?}"));
    assert!(!outcome.out.contains("eyJ"), "a token shows");
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["group"] == "probe");
    let lines = findings.map(|f| format!("{} {}: {}", text(f, "level"), text(f, "what"), text(f, "seen")));
    let (fine, bad) = lines.partition(|line| line.starts_with("ok "));
    (outcome.code, bad, fine)
}

/// Every kind of file is asked for, from whichever end the stream was named.
#[tokio::test]
async fn a_whole_stream_is_asked_for_and_is_shut() {
    let h = site(GUARDED).await;
    for (named, expected) in [
        (
            MASTER,
            &[
                "v0/index.m3u8 (EXT-X-STREAM-INF)",
                "v1/index.m3u8 (EXT-X-STREAM-INF)",
                "audio/index.m3u8 (EXT-X-MEDIA)",
                "subs/en.m3u8 (EXT-X-MEDIA)",
                "v0/iframes.m3u8 (EXT-X-I-FRAME-STREAM-INF)",
                "v0/init.mp4 (EXT-X-MAP)",
                "keys/film.key (EXT-X-KEY)",
                "v0/seg0.m4s (segment)",
                "v0/seg3.m4s (segment)",
                "v1/part0.m4s (segment)",
                "audio/a0.aac (segment)",
                "subs/en0.vtt (segment)",
                "v0/frames.mp4 (segment)",
            ][..],
        ),
        ("/hls/film/v0/seg1.m4s", &["v0/index.m3u8 ", "master.m3u8 ", "v1/part0.m4s (segment)"]),
        ("/hls/film/film.mpd", &["v0/init.mp4 (initialization)", "v0/seg0.m4s (media)"]),
    ] {
        let (code, bad, fine) = probe(&h, named);
        assert_eq!((code, &bad), (0, &vec![]), "{named}");
        for file in expected {
            let start = format!("ok /hls/film/{file}");
            assert!(fine.iter().any(|line| line.starts_with(&start)), "{named}: no {start} in {fine:#?}");
        }
    }
}

/// A location of a vhost that opens one kind of file, while the playlist that was named is shut.
#[tokio::test]
async fn an_open_door_to_any_kind_of_file_is_found() {
    const PROTECT: &str = "include snippets/hlsgate-protect.conf;";
    let beside = |location: &str| format!("location /hls/ {{ {PROTECT} }} location {location} {{ }}");
    let doors = [
        (beside("~ \\.(ts|m4s)$"), "/hls/film/v0/seg0.m4s (segment), no token: 200"),
        (beside("~ \\.key$"), "/hls/film/keys/film.key (EXT-X-KEY), no token: 200"),
        (beside("~ \\.vtt$"), "/hls/film/subs/en0.vtt (segment), no token: 200"),
        (beside("~ /init\\.mp4$"), "/hls/film/v0/init.mp4 (EXT-X-MAP), no token: 200"),
        (beside("~ /index\\.m3u8$"), "/hls/film/v0/index.m3u8 (EXT-X-STREAM-INF), no token: 200"),
        (beside("~ /v1/"), "/hls/film/v1/index.m3u8 (EXT-X-STREAM-INF), no token: 200"),
        (beside("~ seg3"), "/hls/film/v0/seg3.m4s (segment), no token: 200"),
        (beside("~ \\.aac$"), "/hls/film/audio/a0.aac (segment), no token: 200"),
        (beside("^~ /hls/film/subs/"), "/hls/film/subs/en.m3u8 (EXT-X-MEDIA), no token: 200"),
        (
            format!("location ^~ /hls/ {{ {PROTECT} location ~ \\.m4s$ {{ auth_request off; }} }}"),
            "/hls/film/v0/seg0.m4s (segment), no token: 200",
        ),
        (
            format!(
                "location ^~ /hls/ {{ {PROTECT} location ~ \\.m4s$ {{ auth_request off; if ($http_range = \"\") {{ return 403; }} }} }}"
            ),
            "/hls/film/v0/seg0.m4s (segment): 206 without a token",
        ),
        (
            format!(
                "location ^~ /hls/ {{ {PROTECT} }} location ~* \\.M4S$ {{ alias {{hls}}/film/v0/seg0.m4s; }} location ~ /film/v0/seg0.m4s/$ {{ }}"
            ),
            "",
        ),
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for (locations, expected) in doors {
        tasks.spawn(async move {
            let h = site(&locations).await;
            let (code, bad, _) = probe(&h, MASTER);
            let wrong = format!("wrong {expected}");
            match expected {
                "" => assert_eq!((code, &bad), (0, &vec![]), "{locations}"),
                _ => assert!(
                    code == 1 && bad.iter().any(|line| line.starts_with(&wrong)),
                    "{locations}: {code} {bad:#?}"
                ),
            }
            // A door is told once for each kind that it opens, not once for each way through it.
            assert!(bad.len() < 16, "{locations}: {bad:#?}");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("found");
    }
}

/// Segments beside the media path: the gate cannot guard them.
#[tokio::test]
async fn a_stream_whose_segments_lie_elsewhere_is_no_green_one() {
    let h = site(GUARDED).await;
    let film = h.folder().join("www/hls/film");
    put(&h.folder().join("www/cdn/seg0.ts"), b"a segment that lies elsewhere");
    process::open_to_all(&h.folder().join("www"));
    let other = h.url("/cdn/seg0.ts").replace("127.0.0.1", "localhost");
    for (reference, seen) in
        [("/cdn/seg0.ts", "/cdn/seg0.ts (segment): 200 without a token"), (&other, ": 200 without a token")]
    {
        put(&film.join("master.m3u8"), format!("#EXTM3U\n#EXTINF:2,\n{reference}\n").as_bytes());
        process::open_to_all(&film);
        let (code, bad, _) = probe(&h, MASTER);
        assert!(code == 1 && bad.len() == 1 && bad[0].contains(seen), "{reference}: {code} {bad:#?}");
    }
    // A playlist that names nothing, and a file that is not there, were not looked at: that is no ✓.
    for text in ["#EXTM3U\n#EXT-X-TARGETDURATION:2\n", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nnone.ts\n"] {
        put(&film.join("master.m3u8"), text.as_bytes());
        process::open_to_all(&film);
        let (code, bad, _) = probe(&h, MASTER);
        assert!(code == 2 && bad.len() == 1, "{code} {bad:#?}");
    }
    std::fs::remove_dir_all(&film).unwrap();
    put(&film.join("only.ts"), b"a segment without a playlist");
    process::open_to_all(&film);
    let (code, bad, _) = probe(&h, "/hls/film/only.ts");
    assert!(code == 0 && bad.len() == 1 && bad[0].starts_with("warning the rest of the stream: "), "{code} {bad:#?}");
}

/// A live playlist is another one every few seconds, and may be another one at each request.
#[tokio::test]
async fn a_playlist_that_changes_while_it_is_probed_is_not_called_wrong() {
    let h = site(GUARDED).await;
    let film = h.folder().join("www/hls/film");
    let version = |number: u64| {
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{number}\n#EXTINF:2,\nv0/seg0.m4s\n")
    };
    put(&film.join("live.m3u8"), version(0).as_bytes());
    process::open_to_all(&film);
    let ended = std::sync::atomic::AtomicBool::new(false);
    let (code, bad, fine) = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                put(&film.join("next"), version(number).as_bytes());
                process::open_to_all(&film.join("next"));
                std::fs::rename(film.join("next"), film.join("live.m3u8")).unwrap();
                if ended.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
            }
        });
        let probed = probe(&h, "/hls/film/live.m3u8");
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        probed
    });
    assert_eq!((code, &bad), (0, &vec![]));
    assert!(fine.iter().any(|line| line.ends_with("200, the file, which changes")), "it changed: {fine:#?}");
}
