//! What nobody but an attacker sends to the daemon's socket: heads that two readers could read in two ways.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::harness::daemon::socket;
use crate::harness::{A, DEADLINE, Harness};

/// Sends bytes, waits for as many answers as are expected, and for whatever comes behind them until the daemon closes.
async fn exchange(h: &Harness, bytes: &str, expected: usize) -> String {
    let mut stream = UnixStream::connect(socket(h.folder())).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    let reading = async {
        while statuses(&String::from_utf8_lossy(&answers)).len() < expected {
            if stream.read_buf(&mut answers).await.unwrap_or(0) == 0 {
                break;
            }
        }
        // A peer that stops speaking too early is taken for one that has left.
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut answers).await;
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("the daemon answers and closes");
    String::from_utf8_lossy(&answers).into_owned()
}

/// The statuses of all answers on one connection.
fn statuses(answers: &str) -> Vec<&str> {
    let whole = &answers[..answers.rfind("\r\n\r\n").map_or(0, |end| end + 2)];
    let lines = whole.split("\r\n").filter(|line| line.starts_with("HTTP/1."));
    lines.map(|line| line.split(' ').nth(1).unwrap_or("")).collect()
}

#[tokio::test]
async fn odd_heads_open_nothing_and_each_question_has_its_own_answer() {
    let h = Harness::start().await;
    let good = h.token_for(A);
    let line = "GET /auth HTTP/1.1\r\n";
    let asked = format!("Host: h\r\nX-Hlsgate-Video: {A}\r\nX-Hlsgate-Kind: media\r\n");
    let cookie = format!("Cookie: hlsgate={good}\r\n");
    let opening = format!("{line}{asked}{cookie}\r\n");
    let without = format!("{line}{asked}\r\n");
    let with = |header: &str| format!("{line}{asked}{cookie}{header}\r\n");
    let smuggled = |framing: &str, before: &str| format!("{line}{asked}{framing}\r\n\r\n{before}{opening}");
    let len = opening.len();
    let cases: [(&str, String, &[&str]); 27] = [
        ("as nginx asks", opening.clone(), &["204"]),
        ("one behind the other", format!("{opening}{without}{opening}{without}"), &["204", "401", "204", "401"]),
        ("a blank line in front", format!("\r\n{without}"), &["401"]),
        // The long way answers one question and closes: nothing behind it is read as another.
        ("a query of its own", format!("{}{opening}", without.replace("/auth", "/auth?token=x")), &["401"]),
        ("another host's", opening.replace("/auth", "http://elsewhere/auth"), &["204"]),
        ("an older HTTP", format!("{}{without}", opening.replace("1.1", "1.0")), &["204"]),
        ("HEAD", without.replace("GET", "HEAD"), &["401"]),
        ("a path below", opening.replace("/auth", "/auth/"), &["404"]),
        ("an empty segment", opening.replace("/auth", "//auth"), &["404"]),
        ("an encoded path", opening.replace("/auth", "/%61uth"), &["404"]),
        ("no version", format!("GET /auth\r\n{asked}{cookie}\r\n"), &["400"]),
        ("a version of the future", opening.replace("1.1", "3.0"), &["400"]),
        ("a lower-case method", opening.replace("GET", "get"), &["204"]),
        ("the same header in another case", with("x-HLSGATE-video: vid10\r\n"), &["403"]),
        ("a space before the colon", with("X-Hlsgate-Video : vid10\r\n"), &["400"]),
        ("a continued line", with("X-A: b\r\n hlsgate\r\n"), &["400"]),
        ("a continued cookie", format!("{line}{asked}Cookie: a=b;\r\n\thlsgate={good}\r\n\r\n"), &["400"]),
        ("a NUL", with("X-A: b\0c\r\n"), &["400"]),
        ("a lone CR", with("X-A: b\rX-Hlsgate-Video: vid10\r\n"), &["400"]),
        ("an odd name", with("X-Hlsg\u{e4}te-Video: vid10\r\n"), &["400"]),
        ("no name", with(": vid10\r\n"), &["400"]),
        ("a question in a body", smuggled(&format!("Content-Length: {len}"), ""), &["401"]),
        ("a question in a chunk", smuggled("Transfer-Encoding: chunked", &format!("{len:x}\r\n")), &["401"]),
        ("a question behind no chunks", smuggled("Transfer-Encoding: chunked", "0\r\n\r\n"), &["401"]),
        ("two lengths", smuggled(&format!("Content-Length: {len}\r\nContent-Length: 0"), ""), &["400"]),
        ("a length and chunks", smuggled("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), &["401"]),
        ("a signed length", smuggled("Content-Length: +0", ""), &["400"]),
    ];
    for (name, bytes, expected) in &cases {
        let answers = exchange(&h, bytes, expected.len()).await;
        assert_eq!(statuses(&answers), *expected, "{name}: {answers}");
    }
}

/// Anybody can make a browser carry cookies for a site, from a page of a sibling name; the path token comes before them.
#[tokio::test]
async fn more_tokens_than_are_looked_at_hide_the_last_cookie_and_no_path_token() {
    let h = Harness::start().await;
    let good = h.token_for(A);
    let question = |headers: &str| {
        format!("GET /auth HTTP/1.1\r\nHost: h\r\nX-Hlsgate-Video: {A}\r\nX-Hlsgate-Kind: media\r\n{headers}\r\n")
    };
    let crowd = |count: usize| (0..count).map(|n| format!("hlsgate_{n}=x; ")).collect::<String>();
    for (headers, expected) in [
        (format!("Cookie: {}hlsgate={good}\r\n", crowd(31)), "204"),
        (format!("Cookie: {}hlsgate={good}\r\n", crowd(32)), "403"),
        (format!("Cookie: {}\r\nX-Hlsgate-Path-Token: {good}\r\n", crowd(500)), "204"),
        (format!("Cookie: {}\r\nX-Hlsgate-Query: token={good}\r\n", crowd(500)), "204"),
        (format!("Cookie: {}\r\nAuthorization: Bearer {good}\r\n", crowd(500)), "204"),
    ] {
        let answers = exchange(&h, &question(&headers), 1).await;
        assert_eq!(statuses(&answers), [expected], "{}", &headers[..40]);
    }
}
