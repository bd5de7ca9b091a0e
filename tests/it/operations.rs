//! What the documents for operators say, held against the truth: every nginx recipe of docs/nginx.md and the site of
//! docs/go-live.md in a real nginx, every metric of docs/metrics.md, the dashboard and the alert rules on `/metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use crate::harness::command::program;
use crate::harness::daemon::free_port;
use crate::harness::{A, B, DEADLINE, Harness, Options, process, reason};

/// Which recipes there are, and the names under which each serves films. A new recipe has to be entered here.
const RECIPES: &[(&str, &[&str])] = &[
    ("Files somewhere else", &["video.example"]),
    ("A location that is there already", &["video.example"]),
    ("A location by regular expression", &["video.example"]),
    ("A location inside the protected one", &["video.example"]),
    ("Free videos", &["video.example"]),
    ("Several sites", &["video.example", "films.example"]),
    ("Players on other sites (embeds)", &["video.example"]),
    ("Fewer questions", &["video.example"]),
    ("A page application whose unknown paths become `index.html`", &["video.example"]),
    (CDN, &["video.example"]),
    (FRONT, &["video.example"]),
    ("Speed by tier", &["video.example"]),
    (GO_LIVE, &["video.example"]),
];

/// The two that a proxy stands in front of.
const CDN: &str = "Behind a CDN or another proxy";
const FRONT: &str = "HTTP/3 by a proxy in front";
/// The site that docs/go-live.md writes.
const GO_LIVE: &str = "Go live";

/// The proxy's address in the recipes stands for this one here.
const PROXY: &str = "127.0.0.9";

struct Site {
    title: String,
    port: u16,
    hosts: &'static [&'static str],
    client: reqwest::Client,
}

fn document(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|err| panic!("{}: {err}", file.display()))
}

/// The code blocks of a language in a part of a document, each with the title that stands last before it.
fn blocks(text: &str, part: &str, language: &str, title: &str) -> Vec<(String, String)> {
    let part = text.split("\n## ").find(|each| each.starts_with(part)).unwrap_or_else(|| panic!("a part {part}"));
    let title = Regex::new(title).unwrap();
    let (mut found, mut last, mut inside) = (Vec::new(), String::new(), None);
    for line in part.lines() {
        match (&mut inside, line) {
            (None, line) if line.strip_prefix("```") == Some(language) => inside = Some(String::new()),
            (None, line) => {
                if let Some(name) = title.captures(line) {
                    last = name[1].trim_end_matches('.').to_owned();
                }
            }
            (Some(block), "```") => {
                found.push((last.clone(), std::mem::take(block)));
                inside = None;
            }
            (Some(block), line) => *block += &format!("{line}\n"),
        }
    }
    found
}

/// Every recipe as server blocks; most are parts of one.
fn recipes() -> Vec<(String, String)> {
    let page = document("docs/go-live.md");
    let site = page.split_once("<<'SITE'\n").and_then(|(_, rest)| rest.split_once("\nSITE\n")).expect("a site").0;
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/site/nginx-site.conf");
    let site = site.replace("    listen 80;\n    listen [::]:80;\n", "");
    let site = site.replace("snippets/hlsgate-site.conf", pages.to_str().unwrap());
    let mut all = vec![(GO_LIVE.to_owned(), site.replace("/srv/site", "/srv/video"))];
    for (title, block) in blocks(&document("docs/nginx.md"), "Recipes", "nginx", r"^\*\*(.*?)\*\*") {
        if block.starts_with("server {") {
            all.push((title, block));
            continue;
        }
        let (http, body): (Vec<&str>, Vec<&str>) = block.lines().partition(|line| line.starts_with("map "));
        let mut body = body.join("\n");
        if !body.contains("include snippets/hlsgate.conf;") {
            body = format!("include snippets/hlsgate.conf;\n{body}");
        }
        if !body.contains("snippets/hlsgate-protect.conf") || title == "Free videos" {
            body += "\nlocation ^~ /hls/ { include snippets/hlsgate-protect.conf; }";
        }
        all.push((
            title,
            format!("{}\nserver {{\n{body}\nserver_name video.example;\nroot /srv/video;\n}}\n", http.join("\n")),
        ));
    }
    all
}

/// All recipes in one nginx, each on a port of its own, where it may choose.
async fn installed() -> (Harness, Vec<Site>) {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.timeout(DEADLINE).build().unwrap();
    let (mut http, mut sites) = (String::new(), Vec::new());
    for (title, block) in recipes() {
        // The one nginx of Debian 12 cannot know.
        if block.contains("# needs nginx 1.25") {
            continue;
        }
        let hosts = RECIPES.iter().find(|(known, _)| *known == title);
        let (_, hosts) = hosts.unwrap_or_else(|| panic!("the recipe {title:?} has no test: enter it in RECIPES"));
        let port = free_port();
        let listen = format!("listen 127.0.0.1:{port};");
        let block = match block.contains("listen ") {
            true => block.replace("listen 127.0.0.1:8080;", &listen),
            false => block.replace("server {", &format!("server {{ {listen}")),
        };
        http += &format!("\n# {title}\n{block}");
        sites.push(Site { title, port, hosts, client: client.clone() });
    }
    for (title, _) in RECIPES {
        assert!(sites.iter().any(|site| site.title == *title), "the documents have no recipe {title:?} any more");
    }
    for (front, title) in [("cdn", CDN), ("front", FRONT)] {
        let port = sites.iter().find(|site| site.title == title).unwrap().port;
        // As the document asks for it. The address that a proxy sees is here whatever the test says.
        http += &format!(
            "server {{ listen unix:{{folder}}/{front}.sock http2; location / {{
                proxy_pass http://127.0.0.1:{port}; proxy_bind {PROXY}; proxy_http_version 1.1; proxy_read_timeout 75s;
                proxy_set_header Host $host; proxy_set_header X-Forwarded-For $http_x_seen; }} }}\n"
        );
    }
    let http = http
        .replace("/srv/video", "{folder}/www")
        .replace("/srv/blog", "{folder}/blog")
        .replace("set_real_ip_from 127.0.0.1;", &format!("set_real_ip_from {PROXY};"))
        .replace("192.0.2.0/24", &format!("{PROXY}/32"));
    let h = Harness::with(Options { http, ..Options::default() }).await;
    for (folder, file) in
        [("www/previews/vid1", "master.m3u8"), ("blog", "index.html"), ("www/hls/placeholder", "none.m3u8")]
    {
        std::fs::create_dir_all(h.folder().join(folder)).unwrap();
        std::fs::write(h.folder().join(folder).join(file), "#EXTM3U\n").unwrap();
        process::open_to_all(&h.folder().join(folder));
    }
    (h, sites)
}

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

async fn ask(site: &Site, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = site.client.get(format!("http://127.0.0.1:{}{path}", site.port)).header("Host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap_or_else(|err| panic!("{}: {err}", site.title));
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.bytes().await.unwrap().to_vec() }
}

fn why(answer: &Answer) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    format!("{} {}", answer.status, problem["reason"].as_str().unwrap_or("-"))
}

/// A token opens, by each carrier that the documents offer, and nothing else does; playlists and segments alike.
#[tokio::test]
async fn each_recipe_of_the_documents_opens_for_a_token_and_for_nothing_else() {
    let (h, sites) = installed().await;
    let (token, other) = (h.token_for(A), h.token_for(B));
    let expired = h.token(&["--video", A, "--for", "0s"]);
    let forged = crate::harness::forged(&token);
    for site in &sites {
        for host in site.hosts {
            for file in ["master.m3u8", "v0/index.m3u8", "v0/seg0.ts"] {
                let (path, at) = (format!("/hls/{A}/{file}"), format!("{}, {host}, {file}", site.title));
                let bytes = std::fs::read(h.folder().join("www/hls").join(A).join(file)).unwrap();
                let cookie = |token: &str| format!("hlsgate={token}");
                for (sent, expected) in [
                    ("", "403 missing"),
                    (&*expired, "403 expired"),
                    (&other, "403 other-video"),
                    (&forged, "403 bad-signature"),
                ] {
                    let refused = ask(site, host, &path, &[("Cookie", &cookie(sent))]).await;
                    assert_eq!(why(&refused), expected, "{at}");
                }
                let served = [
                    ask(site, host, &path, &[("Cookie", &cookie(&token))]).await,
                    ask(site, host, &format!("{path}?token={token}"), &[]).await,
                    ask(site, host, &format!("/hls/~{token}/{A}/{file}"), &[]).await,
                ];
                for answer in served {
                    assert_eq!(answer.status, 200, "{at}: {}", why(&answer));
                    // One recipe compresses playlists, but only for those who ask for it.
                    assert!(answer.body == bytes, "{at}: the file");
                    let said: Vec<_> = answer.headers.get_all("cache-control").iter().collect();
                    // The one that brings a cookie is kept by nobody.
                    assert!(
                        said.iter().any(|value| value.to_str().is_ok_and(|value| value.starts_with("private"))
                            || *value == "no-store"),
                        "{at}: {said:?}"
                    );
                    assert!(said.iter().all(|value| *value != "public"), "{at}: {said:?}");
                }
            }
            // The shop answers on each name, if only that nothing is sold.
            let shop = ask(site, host, &format!("/hlsgate/videos/{A}"), &[]).await;
            assert_eq!(shop.status, 200, "{}: {}", site.title, String::from_utf8_lossy(&shop.body));
        }
    }
}

#[tokio::test]
async fn the_recipes_keep_what_each_promises_beside() {
    let (h, sites) = installed().await;
    let token = h.token_for(A);
    let site = |title: &str| sites.iter().find(|site| site.title == title).unwrap();
    let master = format!("/hls/{A}/master.m3u8");
    let path_token = format!("/hls/~{token}/{A}/master.m3u8");

    // The header of the server level that is repeated, and the compression of the nested location.
    let there = ask(site("A location that is there already"), "video.example", &path_token, &[]).await;
    assert!(there.headers.contains_key("strict-transport-security"), "{:?}", there.headers);
    let inside = site("A location inside the protected one");
    let inside = ask(inside, "video.example", &path_token, &[("Accept-Encoding", "gzip")]).await;
    assert_eq!(inside.headers["content-encoding"], "gzip", "{:?}", inside.headers);
    let missing =
        ask(site("A location that is there already"), "video.example", &format!("/hls/~{token}/{A}/none.ts"), &[])
            .await;
    assert_eq!(why(&missing), "403 other-video", "the error page is asked about as well, under its own video id");

    let blog = ask(site("Several sites"), "blog.example", "/index.html", &[]).await;
    assert_eq!(blog.status, 200);
    assert_eq!(ask(site("Several sites"), "blog.example", &path_token, &[]).await.status, 404);

    assert_eq!(ask(site("Free videos"), "video.example", "/hls/previews/vid1/master.m3u8", &[]).await.status, 200);

    let application = site("A page application whose unknown paths become `index.html`");
    let page = ask(application, "video.example", "/some/unknown/page", &[]).await;
    assert!(page.body.starts_with(b"a page that is free"), "unknown paths become the page");

    let embeds = "Players on other sites (embeds)";
    let origin = ("Origin", "https://blog.example");
    for (path, status) in [(&path_token, 200), (&master, 403)] {
        let answer = ask(site(embeds), "video.example", path, &[origin]).await;
        assert_eq!(
            (answer.status, &answer.headers["access-control-allow-origin"]),
            (status, &origin.1.parse().unwrap())
        );
    }
    let stranger = ask(site(embeds), "video.example", &path_token, &[("Origin", "https://evil.example")]).await;
    assert!(!stranger.headers.contains_key("access-control-allow-origin"));

    // A yes is kept: the daemon is asked once.
    let before = h.daemon().metric("hlsgate_auth_decisions_total{outcome=\"granted\",reason=\"\"}").await;
    for _ in 0..5 {
        assert_eq!(
            ask(site("Fewer questions"), "video.example", &format!("/hls/~{token}/{A}/v0/seg0.ts"), &[]).await.status,
            200
        );
    }
    let asked = h.daemon().metric("hlsgate_auth_decisions_total{outcome=\"granted\",reason=\"\"}").await - before;
    assert!(asked < 5.0, "{asked} questions");
}

/// Through a front that speaks HTTP/2 and passes on HTTP/1.1, as one that speaks HTTP/3 would.
#[tokio::test]
async fn behind_a_front_viewers_keep_their_own_address_and_nobody_can_lend_one() {
    let (h, sites) = installed().await;
    let token = h.token_for(A);
    let curl = |front: &str, arguments: &[&str]| {
        let socket = h.folder().join(format!("{front}.sock"));
        let common = [
            "-s",
            "--http2-prior-knowledge",
            "--unix-socket",
            socket.to_str().unwrap(),
            "-w",
            " %{http_code} %{http_version}",
        ];
        process::output("curl", &[&common[..], arguments].concat())
    };
    for front in ["cdn", "front"] {
        let url = |path: &str| format!("http://video.example{path}");
        let refused = curl(front, &["-H", "X-Seen: 203.0.113.1", &url(&format!("/hls/{A}/master.m3u8"))]);
        assert!(refused.contains("\"reason\":\"missing\"") && refused.ends_with(" 403 2"), "{refused}");
        let cookie = format!("Cookie: hlsgate={token}");
        let served = curl(front, &["-H", "X-Seen: 203.0.113.1", "-H", &cookie, &url(&format!("/hls/{A}/master.m3u8"))]);
        assert!(served.starts_with("#EXTM3U") && served.ends_with(" 200 2"), "{served}");
        let played = curl(front, &["-H", "X-Seen: 203.0.113.1", &url(&format!("/hls/~{token}/{A}/v0/index.m3u8"))]);
        assert!(played.starts_with("#EXTM3U"), "{played}");

        // A viewer who makes too many invoices is held back alone. (This gate sells nothing: 404.)
        let buy = |seen: &str| {
            let order = url(&format!("/hlsgate/videos/{A}/invoices"));
            curl(front, &["-H", &format!("X-Seen: {seen}"), "-H", "Content-Type: application/json", "-d", "{}", &order])
        };
        let busy = (0..30).map(|_| buy("203.0.113.2")).filter(|answer| answer.ends_with(" 429 2")).count();
        assert!(busy > 0, "{front}: thirty invoices at once are too many");
        let answer = buy("203.0.113.3");
        assert!(!answer.ends_with(" 429 2"), "{front}: another viewer: {answer}");
    }
    // Who comes without the proxy cannot say who he is.
    let site = sites.iter().find(|site| site.title == CDN).unwrap();
    ask(site, "video.example", "/hls/lent/x.ts", &[("X-Forwarded-For", "203.0.113.4")]).await;
    let seen = |line: &str| line.contains("203.0.113.1 ");
    let log = crate::harness::until("the requests are logged", || async {
        let log = std::fs::read_to_string(h.folder().join("access.log")).unwrap();
        (log.lines().any(seen) && log.contains("/hls/lent/x.ts")).then_some(log)
    })
    .await;
    let lent = log.lines().find(|line| line.contains("/hls/lent/x.ts")).unwrap();
    assert!(lent.starts_with("127.0.0.1 "), "{lent}");
}

/// What systemd hears (sd_notify(3)), with the socket that it hands to a `Type=notify` service.
#[tokio::test]
async fn systemd_hears_of_the_start_each_reload_the_watchdog_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("notify");
    let heard = tokio::net::UnixDatagram::bind(&place).unwrap();
    let config = folder.path().join("hlsgate.toml");
    let socket = folder.path().join("hlsgate.sock");
    let text = format!("listen = \"unix:{}\"\nsocket_group = \"\"\nadmin_listen = \"off\"\n", socket.display());
    std::fs::write(&config, text).unwrap();
    process::output(program(), &["init", "--config", config.to_str().unwrap()]);
    let mut command = std::process::Command::new("sh");
    // The shell becomes the daemon, so its own process id is the one to tell.
    command.args(["-c", "WATCHDOG_PID=$$ exec \"$0\" serve --config \"$1\"", program()]);
    command.arg(&config).env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", "200000");
    let mut daemon = process::Process::start(&mut command, &folder.path().join("log"));
    // The next word that is not the watchdog's, unless that is what is waited for.
    let hear = async |wanted: &str| {
        let mut buffer = [0; 4096];
        loop {
            let read = tokio::time::timeout(DEADLINE, heard.recv(&mut buffer)).await;
            let read = read.unwrap_or_else(|_| panic!("nothing was said; waiting for {wanted}")).unwrap();
            let said = std::str::from_utf8(&buffer[..read]).unwrap().to_owned();
            if said.contains(wanted) {
                return said;
            }
            assert!(said.starts_with("WATCHDOG=1"), "{said:?} came before {wanted}");
        }
    };
    hear("READY=1").await;
    for _ in 0..3 {
        hear("WATCHDOG=1").await;
    }
    daemon.signal("HUP");
    let reloading = hear("RELOADING=1").await;
    let began: u64 = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse().ok()).unwrap();
    assert!(began > 0, "{reloading}");
    hear("STATUS=what the files say is in force").await;
    hear("READY=1").await;
    daemon.signal("TERM");
    hear("STOPPING=1").await;
    let status = crate::harness::until("the daemon ends", || {
        let ended = daemon.ended();
        async move { ended }
    })
    .await;
    assert!(status.success());
}

/// The reasons of the table by symptom are the ones that viewers meet.
#[tokio::test]
async fn the_table_by_symptom_knows_every_reason_of_a_refusal() {
    let text = document("docs/operations.md");
    let h = Harness::start().await;
    let (_, metrics) = h.daemon().admin("/metrics").await;
    let reasons: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| {
            line.strip_prefix("hlsgate_auth_decisions_total{outcome=\"refused\",reason=\"")?.split('"').next()
        })
        .collect();
    assert!(reasons.contains("expired"), "{reasons:?}");
    for reason in reasons.iter().chain(&["forbidden"]) {
        assert!(text.contains(&format!("\n| `{reason}`")), "docs/operations.md says nothing of {reason}");
    }
    assert_eq!(reason(h.get("/hls/vid1/master.m3u8").await).await, "missing");
}

/// Every metric stands in the document with its labels and their values, and the document has no other.
#[tokio::test]
async fn the_documented_metrics_are_those_that_the_daemon_tells() {
    let h = Harness::start().await;
    let (_, told) = h.daemon().admin("/metrics").await;
    let mut kinds = BTreeMap::new();
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let label = Regex::new("([a-z]+)=\"([^\"]*)\"").unwrap();
    for line in told.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.insert(name, kind);
        } else if let Some((name, labels)) = line.split_once('{') {
            let found = label.captures_iter(labels).filter(|found| !matches!(&found[1], "le" | "version"));
            values.entry(name).or_default().extend(found.flat_map(|found| [found[1].to_owned(), found[2].to_owned()]));
        }
    }
    let text = document("docs/metrics.md");
    let row = Regex::new(r"(?m)^\| `(hlsgate_[a-z_]+)` \| ([a-z]+) \|").unwrap();
    let documented: BTreeMap<&str, &str> = row
        .captures_iter(&text)
        .map(|found| (found.get(1).unwrap().as_str(), found.get(2).unwrap().as_str()))
        .collect();
    assert_eq!(documented, kinds);
    for (name, wanted) in values {
        for value in wanted.iter().filter(|value| !value.is_empty()) {
            assert!(text.contains(&format!("`{value}`")), "docs/metrics.md does not name {value:?} of {name}");
        }
    }
}

/// What the dashboard draws and the alerts watch is there, labels and their values included.
#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_metrics_that_exist() {
    let h = Harness::start().await;
    let (_, told) = h.daemon().admin("/metrics").await;
    let name = Regex::new(r"\bhlsgate_[a-z_]+").unwrap();
    let selector = Regex::new(r#"\b(hlsgate_[a-z_]+)\{([^}]*)\}"#).unwrap();
    let matcher = Regex::new(r#"([a-z_]+)\s*(=~|!=|!~|=)\s*"([^"]*)""#).unwrap();
    let series: BTreeSet<&str> =
        told.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split([' ', '{']).next()).collect();
    for file in ["packaging/prometheus/alerts.yml", "packaging/grafana/hlsgate.json"] {
        let text = document(file).replace("\\\"", "\"");
        let asked: BTreeSet<&str> = name.find_iter(&text).map(|found| found.as_str()).collect();
        assert!(asked.len() > 5, "{file}: {asked:?}");
        for name in asked {
            assert!(series.contains(name), "{file} asks for {name}, which the daemon does not tell");
        }
        for found in selector.captures_iter(&text) {
            for wanted in
                matcher.captures_iter(&found[2]).filter(|wanted| !matches!(&wanted[1], "job" | "instance" | "le"))
            {
                for value in wanted[3]
                    .split('|')
                    .filter(|value| !value.is_empty() && !value.starts_with('$') && !value.starts_with('.'))
                {
                    let label = format!("{}=\"{value}\"", &wanted[1]);
                    let there =
                        told.lines().any(|line| line.starts_with(&format!("{}{{", &found[1])) && line.contains(&label));
                    assert!(there, "{file}: {} never has {label}", &found[1]);
                }
            }
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(&document("packaging/grafana/hlsgate.json")).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 3));
}

/// Every field that a log line can have stands in the document.
#[test]
fn the_documented_log_fields_are_those_of_the_source() {
    let mut fields = BTreeSet::new();
    let call = Regex::new(r"(?s)\b(?:trace|debug|info|warn|error)!\((.*?)\);").unwrap();
    let text_literal = Regex::new(r#"(?s)"(?:[^"\\]|\\.)*""#).unwrap();
    let field = Regex::new(r"(?:^|,)\s*(?:[%?]?([a-z_]+)\s*(?:=[^=]|,))").unwrap();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                for found in call.captures_iter(&source) {
                    // Fields stand before the message.
                    let arguments = text_literal.split(&found[1]).next().unwrap();
                    for part in arguments.split_inclusive(',') {
                        fields.extend(field.captures(part).map(|found| found[1].to_owned()));
                    }
                }
            }
        }
    }
    assert!(fields.contains("err") && fields.contains("video"), "{fields:?}");
    let text = document("docs/metrics.md");
    let part = text.split("\n## ").find(|part| part.starts_with("Logs")).unwrap();
    for field in fields {
        assert!(part.contains(&format!("`{field}`")), "docs/metrics.md does not name the log field {field:?}");
    }
}
