//! `hlsgate check` and how nginx serves what the gate opens: what caches may keep, what an origin gets, for how many it lasts.

use crate::check_nginx::{Site, findings, look};

fn inside(more: &str) -> String {
    format!(
        "include snippets/hlsgate.conf; root {{root}}; location ^~ /hls/ {{ include snippets/hlsgate-protect.conf; {more} }}"
    )
}

#[test]
fn what_viewers_would_meet_is_found() {
    let site = Site::new("");
    let origin = "include snippets/hlsgate-origin.conf; proxy_pass http://127.0.0.1:9000;";
    let h2 = |streams: &str| format!("listen 127.0.0.1:8998 http2; {streams} {}", inside(""));
    let cases: [(&str, String, &str, &[&str]); 12] = [
        ("ours alone", inside(""), "", &[]),
        ("an expires, beside which no-cache stands", inside("expires 1h;"), "", &[]),
        (
            "a public line",
            inside("add_header Cache-Control \"public, max-age=60\";"),
            "",
            &["wrong Cache-Control: `add_header Cache-Control public, max-age=60` ("],
        ),
        (
            "a line of the server's, which nginx drops",
            inside("").replace("root {root}", "add_header Cache-Control public; root {root}"),
            "",
            &[],
        ),
        ("open files", inside("open_file_cache max=9;"), "", &["warning open_file_cache: `open_file_cache max=9` ("]),
        ("open files of the http level", inside(""), "open_file_cache max=9;", &["warning open_file_cache: "]),
        (
            "open files beside threads",
            inside("open_file_cache max=9; aio threads;"),
            "",
            &["wrong open_file_cache: location ^~ /hls/ ("],
        ),
        (
            "open files beside directio",
            inside("open_file_cache max=9; directio 4m;"),
            "",
            &["wrong open_file_cache: location ^~ /hls/ ("],
        ),
        ("an origin with the snippet", inside(origin), "", &[]),
        (
            "an origin without it",
            inside("proxy_pass http://127.0.0.1:9000;"),
            "",
            &[
                "warning origin: `proxy_pass http://127.0.0.1:9000` (",
                "warning origin: the Cache-Control of what `proxy_pass http://127.0.0.1:9000` (",
            ],
        ),
        ("HTTP/2 with streams for all", h2("http2_max_concurrent_streams 8;"), "", &[]),
        (
            "HTTP/2 with more streams than connections",
            h2("http2_max_concurrent_streams 128;"),
            "",
            &[
                "warning connections: 512 connections for each worker and 128 streams for each viewer of server video.test (",
            ],
        ),
    ];
    for (name, vhost, http, expected) in cases {
        let (code, found) = look(&site, &vhost, http);
        assert_eq!(code, i32::from(expected.iter().any(|line| line.starts_with("wrong"))), "{name}: {found:#?}");
        let fits =
            found.len() == expected.len() && expected.iter().zip(&found).all(|(part, line)| line.starts_with(part));
        assert!(fits, "{name}: {found:#?}");
    }
}

/// nginx 1.29.3 and newer: this machine's does not know the directive, so it is put into what it printed.
#[test]
fn a_public_line_that_is_merged_in_is_found() {
    let site = Site::new("");
    site.write(
        &inside("#MERGE")
            .replace("#MERGE", "#MERGE\n")
            .replace("root {root}", "add_header Cache-Control public; root {root}"),
        "",
    );
    let dump = site.dump();
    let check =
        || findings(&site.desk.run(&["check", "--json", "--only", "nginx", "--nginx-config", dump.to_str().unwrap()]));
    assert_eq!(check(), (0, vec![]));
    let text = std::fs::read_to_string(&dump).unwrap();
    std::fs::write(&dump, text.replace("#MERGE", "add_header_inherit merge;")).unwrap();
    let (code, found) = check();
    assert!(
        code == 1
            && found.len() == 1
            && found[0].starts_with("wrong Cache-Control: `add_header Cache-Control public` ("),
        "{found:#?}"
    );
}
