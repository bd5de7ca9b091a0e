//! `--script`: a case is staged by a file alone.

#![allow(clippy::expect_used)]

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

/// The lines that the double prints for a script, up to its end.
fn played(script: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_btcpay-double"));
    command.args(["--listen", "127.0.0.1:0", "--until-stdin-closes", "--script", script]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let out = BufReader::new(child.stdout.take().expect("its output"));
    let lines = out.lines().map(|line| line.expect("text"));
    let mut seen = vec![];
    for line in lines {
        let last = line.starts_with("script: ");
        seen.push(line);
        if last {
            break;
        }
    }
    drop(child.stdin.take());
    // It may have ended already.
    let _ = child.wait();
    seen
}

#[test]
fn the_example_is_played_to_its_end() {
    let lines = played(concat!(env!("CARGO_MANIFEST_DIR"), "/example.script.json"));
    assert_eq!(lines.last().map(String::as_str), Some("script: 7 steps played"), "{lines:#?}");
}

#[test]
fn a_members_month_is_played_to_its_end() {
    let lines = played(concat!(env!("CARGO_MANIFEST_DIR"), "/member.script.json"));
    assert_eq!(lines.last().map(String::as_str), Some("script: 10 steps played"), "{lines:#?}");
}

#[test]
fn a_step_that_goes_otherwise_is_named() {
    let file = std::env::temp_dir().join(format!("btcpay-double-{}.json", std::process::id()));
    std::fs::write(&file, r#"[{"call": "GET /fake/state"}, {"call": "POST /fake/pay", "body": {"invoice": "none"}}]"#)
        .expect("written");
    let lines = played(file.to_str().expect("a path"));
    // Its own file; nobody else needs it.
    let _ = std::fs::remove_file(&file);
    assert!(
        lines.last().is_some_and(|line| line.starts_with("script: step 1: POST /fake/pay: expected 200, got 422")),
        "{lines:#?}"
    );
}
