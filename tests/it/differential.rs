//! Thousands of request lines, most of them hostile, through the real nginx: whenever it serves a byte of a film, it is a
//! byte of the film that the token is for.

use std::collections::HashMap;
use std::path::Path;

use crate::harness::random::Random;
use crate::harness::raw::exchange;
use crate::harness::{A, B, Harness, Options};

/// Requests for each vhost; `tests/campaign` sends more.
fn requests() -> usize {
    std::env::var("HLSGATE_PATHS").ok().and_then(|text| text.parse().ok()).unwrap_or(1500)
}

/// What the served bytes are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    /// A file of the film that the token is for.
    OfA,
    /// A file of the other film.
    OfB,
    /// Free for everybody.
    Free,
}

/// Vhosts that have opened films for others: each would, with a gate that reads the request line.
const VHOSTS: [(&str, &str); 6] = [
    ("plain", crate::harness::VHOST),
    (
        "alias, and a location of its own for segments",
        "include snippets/hlsgate.conf;
        root {root};
        location / { }
        location ~* \\.(ts|m3u8)$ { }
        location ^~ /hls/ { alias {hls}/; include snippets/hlsgate-protect.conf; }",
    ),
    (
        "a missing file is answered by another film's",
        "include snippets/hlsgate.conf;
        root {root};
        location / { }
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; error_page 404 /hls/vid10/master.m3u8; }",
    ),
    (
        "try_files falls back to another film",
        "include snippets/hlsgate.conf;
        root {root};
        location / { }
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; try_files $uri /hls/vid10/master.m3u8; }",
    ),
    (
        "a nested location without protect of its own",
        "include snippets/hlsgate.conf;
        root {root};
        location / { }
        location ^~ /hls/ {
            include snippets/hlsgate-protect.conf;
            location ~ \\.ts$ { add_header X-Nested yes; }
        }",
    ),
    (
        "rewrites of the site's own, below the include",
        "include snippets/hlsgate.conf;
        root {root};
        rewrite ^/old/(.*)$ /hls/$1 last;
        error_page 401 403 404 500 =200 /free.txt;
        if (!-e $request_filename) { rewrite ^/pages/ /free.txt last; }
        location / { try_files $uri $uri/ /free.txt; }
        location ^~ /hls/ { include snippets/hlsgate-protect.conf; }",
    ),
];

#[tokio::test]
async fn no_request_line_gets_a_byte_of_another_film() {
    let mut tasks = tokio::task::JoinSet::new();
    for (seed, (name, vhost)) in VHOSTS.into_iter().enumerate() {
        tasks.spawn(async move { attack(name, vhost, seed as u64 + 1).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no leak");
    }
}

async fn attack(name: &str, vhost: &str, seed: u64) {
    let h = Harness::with(Options { vhost: vhost.into(), ..Options::default() }).await;
    let root = h.folder().join("www");
    std::fs::write(root.join("free.txt"), "free for everybody\n").unwrap();
    let mut origins = HashMap::new();
    collect(&root, Origin::Free, &mut origins);
    collect(&root.join("hls").join(B), Origin::OfB, &mut origins);
    collect(&root.join("hls").join(A), Origin::OfA, &mut origins);
    let token = h.token_for(A);
    let mut random = Random::seeded(seed);
    let (mut opened, mut refused) = (0, 0);
    let requests = requests();
    for _ in 0..requests {
        let with_token = random.below(4) > 0;
        let request = request(&mut random, if with_token { &token } else { "" });
        let answer = exchange(&h.nginx.socket, &request).await;
        let shown = String::from_utf8_lossy(&request).replace(&token, "TOKEN");
        if !matches!(answer.status, 0 | 200 | 206) {
            refused += 1;
            for body in origins.iter().filter(|(body, origin)| **origin != Origin::Free && body.len() > 64) {
                assert!(!contains(&answer.body, &body.0[..64]), "{name}: a refusal holds a film: {shown:?}");
            }
            continue;
        }
        match origins.get(&answer.body) {
            Some(Origin::OfB) => panic!("{name}: served the other film to {shown:?}"),
            Some(Origin::OfA) if !with_token => panic!("{name}: served a film without a token to {shown:?}"),
            Some(Origin::OfA) => opened += 1,
            Some(Origin::Free) => {}
            None if answer.body.is_empty() || answer.status == 0 => {}
            None => panic!("{name}: served {} unknown bytes to {shown:?}:\n{}", answer.body.len(), answer.head),
        }
    }
    // Else the generator would prove nothing. (Where segments are shut, only playlists open.)
    assert!(opened >= 10 && refused > requests / 10, "{name}: {opened} opened, {refused} refused");
}

/// Every file below `folder`, by its bytes.
fn collect(folder: &Path, origin: Origin, origins: &mut HashMap<Vec<u8>, Origin>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, origin, origins),
            false => drop(origins.insert(std::fs::read(&path).unwrap(), origin)),
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// One request: a path on its way to a film, disguised, with the token in one carrier and lies in the headers.
fn request(random: &mut Random, token: &str) -> Vec<u8> {
    let film = random.one_of(&[A, A, B]);
    let file = random.one_of(&["v0/seg0.ts", "v0/seg1.ts", "v1/index.m3u8", "master.m3u8"]);
    let mut segments: Vec<Vec<u8>> =
        ["hls", film].into_iter().chain(file.split('/')).map(|s| s.as_bytes().to_vec()).collect();
    let carrier = random.below(5);
    if carrier == 0 {
        segments.insert(1, format!("~{token}").into_bytes());
    }
    for _ in 0..random.below(4) {
        disguise(&mut segments, random);
    }
    let mut path = Vec::new();
    for segment in &segments {
        path.extend_from_slice(random.one_of(&[
            &b"/"[..],
            b"/",
            b"/",
            b"/",
            b"/",
            b"/",
            b"//",
            b"%2f",
            b"%2F",
            b"/./",
            b"\\",
        ]));
        for byte in segment {
            match random.below(40) {
                0 => path.extend_from_slice(format!("%{byte:02x}").as_bytes()),
                1 => path.extend_from_slice(format!("%25{byte:02x}").as_bytes()),
                2 => path.push(byte ^ 0x20),
                _ => path.push(*byte),
            }
        }
    }
    let mut line = random.one_of(&["GET", "GET", "GET", "GET", "HEAD", "POST"]).as_bytes().to_vec();
    line.extend_from_slice(random.one_of(&[&b" "[..], b" ", b" ", b" ", b" http://site.test"]));
    line.extend_from_slice(&path);
    line.extend_from_slice(random.one_of(&[
        &b""[..],
        b"",
        b"",
        b"?",
        b"#x",
        b"?a=/hls/vid10/",
        b"%3Fa",
        b"%23",
        b";a=b",
    ]));
    if carrier == 1 {
        line.extend_from_slice(if line.contains(&b'?') { b"&" } else { b"?" });
        line.extend_from_slice(format!("token={token}").as_bytes());
    }
    line.extend_from_slice(b" HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n");
    match carrier {
        2 => line.extend_from_slice(format!("Authorization: Bearer {token}\r\n").as_bytes()),
        3 | 4 => line.extend_from_slice(format!("Cookie: hlsgate={token}\r\n").as_bytes()),
        _ => {}
    }
    for _ in 0..random.below(3) {
        line.extend_from_slice(random.one_of(&LIES).as_bytes());
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// Headers that speak of the other film, or in nginx's or the daemon's name.
const LIES: [&str; 14] = [
    "X-Hlsgate-Video: vid1\r\n",
    "X-Hlsgate-Video: vid10\r\n",
    "x_hlsgate_video: vid1\r\n",
    "X-Hlsgate-Kind: media\r\n",
    "X-Hlsgate-Path-Token: x\r\n",
    "X-Hlsgate-Query: token=x\r\n",
    "X-Original-URI: /hls/vid1/master.m3u8\r\n",
    "X-Rewrite-URL: /hls/vid10/master.m3u8\r\n",
    "X-Accel-Redirect: /hls/vid10/master.m3u8\r\n",
    "X-Forwarded-Host: vid10\r\n",
    "Range: bytes=0-\r\n",
    "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    "Transfer-Encoding: identity\r\n",
    "Content-Length: 0\r\n",
];

/// Leads the path elsewhere, or only seems to.
fn disguise(segments: &mut Vec<Vec<u8>>, random: &mut Random) {
    let at = random.below(segments.len() + 1);
    let other = if random.below(2) == 0 { A } else { B };
    match random.below(12) {
        0 => segments.insert(at, b"..".to_vec()),
        1 => segments.insert(at, b".".to_vec()),
        2 => segments.insert(at, b"%2e%2e".to_vec()),
        3 => segments.insert(at, b"".to_vec()),
        // Down into one film and back up into another.
        4 => {
            segments.insert(at, b"..".to_vec());
            segments.insert(at, other.as_bytes().to_vec());
        }
        5 => segments.insert(1.min(segments.len()), b"~x".to_vec()),
        6 => segments.insert(0, b"old".to_vec()),
        7 => segments.push(
            random.one_of(&[&b"%00"[..], b"%0d%0aX-Hlsgate-Video:%20vid10", b"%20", b"%ff", b"\x01", b"\xe4"]).to_vec(),
        ),
        8 => segments.push(b"..".to_vec()),
        9 => {
            if let Some(segment) = segments.get_mut(at) {
                segment.extend_from_slice(random.one_of(&[&b"."[..], b"%00", b"%2f..%2f", b"~", b"/", b"%20", b"0"]));
            }
        }
        10 => segments.insert(1.min(segments.len()), format!("{other}%2f..").into_bytes()),
        _ => segments.insert(at, vec![b'a'; random.below(9000)]),
    }
}
