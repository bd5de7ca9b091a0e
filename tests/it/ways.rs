//! A question gets the same answer the short way, from the poller, and the long way, from hyper.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::harness::daemon::socket;
use crate::harness::{A, B, DEADLINE, Harness};

/// The status line and what nginx reads of the headers, sorted; hyper adds headers of its own.
fn ask(h: &Harness, question: &str) -> Vec<String> {
    let mut stream = UnixStream::connect(socket(h.folder())).expect("the daemon listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(question.as_bytes()).expect("send");
    let mut answer = Vec::new();
    let mut piece = [0; 8192];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let len = stream.read(&mut piece).expect("an answer");
        assert_ne!(len, 0, "no whole answer to {question:?}");
        answer.extend_from_slice(&piece[..len]);
    }
    let text = String::from_utf8(answer).expect("text");
    let ours = |line: &&str| ["http/", "x-", "set-cookie", "content-length"].iter().any(|name| line.starts_with(name));
    let lines: Vec<String> = text.lines().map(str::to_lowercase).collect();
    let mut lines: Vec<String> = lines.iter().map(String::as_str).filter(ours).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn both_ways_give_the_same_answer() {
    let h = Harness::start().await;
    let (good, other) = (h.token_for(A), h.token_for(B));
    let forever = h.token(&["--video", A]);
    let expired = h.token(&["--video", A, "--for", "0s"]);
    let asked = format!("X-Hlsgate-Video: {A}\r\nX-Hlsgate-Kind: ");
    let questions = [
        format!("{asked}media\r\nCookie: hlsgate={good}\r\n"),
        format!("{asked}playlist\r\nCookie: a=b; hlsgate={good}\r\n"),
        format!("{asked}playlist\r\nX-Hlsgate-Query: token={good}\r\n"),
        format!("{asked}playlist\r\ncookie: hlsgate={forever}\r\n"),
        format!("{asked}media\r\nX-HLSGATE-PATH-TOKEN: {good}\r\n"),
        format!("{asked}media\r\nAuthorization: bearer {good}\r\n"),
        format!("{asked}media\r\nCookie: hlsgate={other}\r\nCookie: hlsgate={expired}\r\n"),
        format!("{asked}media\r\nCookie: hlsgate={other}\r\n"),
        format!("{asked}media\r\nCookie: hlsgate={}x\r\n", &good[..good.len() - 1]),
        format!("{asked}media\r\nCookie: hlsgate=\u{e4}\r\n"),
        format!("{asked}media\r\n"),
        format!("{asked}other\r\nCookie: hlsgate={good}\r\n"),
        format!("{asked}media\r\nX-Hlsgate-Video: {A}\r\nCookie: hlsgate={good}\r\n"),
        format!("{asked}media\r\nX-Hlsgate-Path-Token: {good}\r\nx-hlsgate-path-token: {good}\r\n"),
        format!("X-Hlsgate-Kind: media\r\nCookie: hlsgate={good}\r\n"),
        String::new(),
    ];
    let mut statuses = Vec::new();
    for headers in &questions {
        // What changes the connection is not nginx's: it goes the long way. Answers hold the time in seconds.
        let (short, long) = loop {
            let began = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
            let short = ask(&h, &format!("GET /auth HTTP/1.1\r\nHost: h\r\n{headers}\r\n"));
            let long = ask(&h, &format!("GET /auth HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n{headers}\r\n"));
            if std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs() == began {
                break (short, long);
            }
        };
        assert_eq!(short, long, "{:?}", headers.replace(&good, "GOOD"));
        statuses.push(short[if short[0].starts_with("content-length") { 1 } else { 0 }][9..12].to_owned());
    }
    let expected = [
        "204", "204", "204", "204", "204", "204", "401", "401", "403", "403", "401", "403", "403", "403", "403", "403",
    ];
    assert_eq!(statuses, expected);
}
