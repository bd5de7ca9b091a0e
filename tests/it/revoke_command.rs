//! `hlsgate revoke`: felt within a second, kept across crashes and full disks, undone only when somebody says so.

use std::time::{Duration, Instant};

use crate::harness::command::{Desk, Outcome, finish, hlsgate, run, start};
use crate::harness::{A, Harness, reason, until};

const PLAYLIST: &str = "/hls/vid1/master.m3u8";

/// Waits until the daemon follows; says how long that took.
async fn felt(h: &Harness, token: &str, expected: u16) -> Duration {
    let began = Instant::now();
    until("the daemon follows", || async { (h.get_with(PLAYLIST, token).await.status() == expected).then_some(()) })
        .await;
    began.elapsed()
}

#[tokio::test]
async fn a_revocation_is_felt_at_once_and_outlives_a_restart() {
    let mut h = Harness::start().await;
    let (token, other) = (h.token(&["--video", A, "--for", "1h", "--jti", "gift-1"]), h.token_for(A));
    assert_eq!(h.get_with(PLAYLIST, &token).await.status(), 200);
    assert_eq!(h.run(&["revoke", "gift-1"]), "revoked gift-1\n");
    let first = felt(&h, &token, 403).await;
    assert_eq!(reason(h.get_with(PLAYLIST, &token).await).await, "revoked");
    assert_eq!(h.get_with(PLAYLIST, &other).await.status(), 200, "nobody else's");

    h.kill_daemon();
    h.start_daemon().await;
    assert_eq!(reason(h.get_with(PLAYLIST, &token).await).await, "revoked");

    assert_eq!(h.run(&["revoke", "--undo", "gift-1"]), "gift-1 opens again\n");
    let second = felt(&h, &token, 200).await;

    // The whole token, as it comes with a complaint.
    let mut revoke = hlsgate(&h.config(), &["revoke", "-"]);
    assert_eq!(run(&mut revoke, &format!("{token}\n")).succeeded(), "revoked gift-1\n");
    let third = felt(&h, &token, 403).await;
    // The fastest, since the machine may have other things to do.
    let fastest = first.min(second).min(third);
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
}

/// A crash in mid-write, then the daemon and the next revocation.
#[tokio::test]
async fn half_a_line_harms_neither_the_daemon_nor_the_next_line() {
    let mut h = Harness::start().await;
    let (first, second) = (h.token(&["--video", A, "--jti", "gift-1"]), h.token(&["--video", A, "--jti", "gift-2"]));
    let file = h.folder().join("revoked");
    for torn in ["", " # 2026-07-3", "\0\0\0\0"] {
        std::fs::write(&file, format!("# ours\ngift-1{torn}")).unwrap();
        felt(&h, &first, 403).await;
        h.kill_daemon();
        h.start_daemon().await;
        assert_eq!(reason(h.get_with(PLAYLIST, &first).await).await, "revoked", "{torn:?}");
        h.run(&["revoke", "gift-2"]);
        felt(&h, &second, 403).await;
        assert_eq!(reason(h.get_with(PLAYLIST, &first).await).await, "revoked", "{torn:?}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(&format!("# ours\ngift-1{torn}\ngift-2 # ")), "{text:?}");
        let list = h.run(&["revoke", "--list"]);
        let ids: Vec<&str> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(ids, ["gift-1", "gift-2"], "{torn:?}");
        h.run(&["revoke", "--undo", "gift-2"]);
        felt(&h, &second, 200).await;
    }
}

/// A full disk, as far as a program can tell: no file may grow.
#[tokio::test]
async fn a_full_disk_is_told_and_the_list_stays_in_force() {
    let h = Harness::start().await;
    let (first, second) = (h.token(&["--video", A, "--jti", "gift-1"]), h.token(&["--video", A, "--jti", "gift-2"]));
    h.run(&["revoke", "gift-0"]);
    h.run(&["revoke", "gift-1"]);
    felt(&h, &first, 403).await;
    let before = std::fs::read(h.folder().join("revoked")).unwrap();
    for arguments in ["revoke gift-2", "revoke --undo gift-1"] {
        let script = format!("trap '' XFSZ; ulimit -f 0; exec \"$0\" --config \"$1\" {arguments}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, crate::harness::command::program()]).arg(h.config());
        let failed: Outcome = run(&mut shell, "").without(h.folder());
        assert_eq!((failed.code, failed.out.as_str()), (1, ""), "{failed:?}");
        assert!(failed.err.starts_with("error: cannot write DIR/revoked: File too large (os error 27)"), "{failed:?}");
        assert_eq!(std::fs::read(h.folder().join("revoked")).unwrap(), before, "not half a line of it");
    }
    assert_eq!(reason(h.get_with(PLAYLIST, &first).await).await, "revoked");
    assert_eq!(h.get_with(PLAYLIST, &second).await.status(), 200);
    let metric = h.daemon().metric("hlsgate_reloads_total{result=\"refused\",what=\"files\"}").await;
    assert_eq!(metric, 0.0);
}

#[test]
fn commands_at_once_lose_nothing() {
    let desk = Desk::new("");
    let ids: Vec<String> = (0..12).map(|n| format!("gift-{n}")).collect();
    let children: Vec<_> = ids.iter().map(|id| start(&mut desk.command(&["revoke", id]))).collect();
    for child in children {
        finish(child, "").succeeded();
    }
    let mut listed: Vec<String> = desk
        .run(&["revoke", "--list"])
        .succeeded()
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    listed.sort_by_key(|id| id[5..].parse::<u32>().unwrap());
    assert_eq!(listed, ids);
}

#[test]
fn what_is_said() {
    let desk = Desk::new("");
    let say = |arguments: &[&str]| {
        let Outcome { code, out, err } = desk.run(arguments);
        (code, out + &err)
    };
    let is = |code: i32, text: &str| (code, text.to_owned());
    assert_eq!(say(&["revoke", "--list"]), is(0, ""));
    assert_eq!(say(&["revoke", "gift-1"]), is(0, "revoked gift-1\n"));
    assert_eq!(say(&["revoke", "gift-1"]), is(0, "gift-1 was revoked already\n"));
    assert_eq!(say(&["revoke", "--undo", "gift-2"]), is(1, "error: gift-2 is not revoked\n"));
    assert_eq!(
        say(&["revoke", "two words"]),
        is(
            2,
            "error: \"two words\" is neither a token nor a token's id\n  hint: an id has 1 to 128 printable ASCII characters, no space, no # at the start\n"
        )
    );
    // Comments of one's own, of whatever encoding, outlive an undo.
    let mut text = std::fs::read(desk.file("revoked")).unwrap();
    text.extend(b"# caf\xe9\nwith-a-comment  # press\n");
    std::fs::write(desk.file("revoked"), &text).unwrap();
    assert_eq!(say(&["revoke", "--undo", "gift-1"]), is(0, "gift-1 opens again\n"));
    assert_eq!(std::fs::read(desk.file("revoked")).unwrap(), b"# caf\xe9\nwith-a-comment  # press\n");
    assert_eq!(say(&["revoke", "--list"]), is(0, "with-a-comment  # press\n"));

    // Tokens that open nothing.
    let foreign = Desk::new("").run(&["token", "issue", "--all"]).succeeded();
    let told = desk.run_with(&["revoke", "-"], &foreign);
    assert!(told.code == 1 && told.err.starts_with("error: this token opens nothing anyway: "), "{told:?}");
    let token = desk.run(&["token", "issue", "--all", "--jti", "old-1"]).succeeded();
    let kid = desk.run(&["keys", "list"]).succeeded().lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    desk.run(&["keys", "rotate"]).succeeded();
    desk.run(&["keys", "retire", &kid, "--yes"]).succeeded();
    let told = desk.run_with(&["revoke", "-"], &token);
    assert!(told.code == 1 && told.err.contains("its buyer can still claim a new one under the same id"), "{told:?}");
    for told in [&foreign, &token] {
        let outcome = desk.run_with(&["revoke", "-"], &format!("{}x", told.trim()));
        assert!(outcome.code == 1 && !outcome.err.contains("eyJ"), "a token shows: {outcome:?}");
    }

    // Where there is no folder, nothing is made up.
    let lost = Desk::without_keys("[keys]\nfile = \"keys.json\"");
    std::fs::write(lost.file("hlsgate.toml"), "[revocations]\nfile = \"no/such/folder/revoked\"\n").unwrap();
    lost.run(&["init"]).succeeded();
    let told = lost.run(&["revoke", "gift-1"]);
    assert_eq!(
        (told.code, told.err.as_str()),
        (1, "error: the folder DIR/no/such/folder does not exist\n  hint: make it, or change [revocations] file\n")
    );
}

/// A list that nobody reads revokes nobody: the command asks the daemon.
#[tokio::test]
async fn whether_a_revocation_is_in_force_is_said() {
    let h = Harness::start().await;
    let revoke = |id: &str| run(&mut hlsgate(&h.config(), &["revoke", id]), "");
    let outcome = revoke("first");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "revoked first\n"));
    assert!(outcome.err.contains("in force: the daemon refuses it"), "{}", outcome.err);
    // Where none runs there is nothing to ask: it reads the list when it starts.
    let desk = Desk::new("");
    let outcome = desk.run(&["revoke", "second"]);
    assert!(outcome.code == 0 && outcome.err.is_empty(), "{outcome:?}");
}

/// The folder of the list is made while the daemon runs, and no watch tells of it.
#[tokio::test]
async fn a_folder_that_appears_later_is_followed() {
    let mut h = Harness::start().await;
    let text = std::fs::read_to_string(h.config()).unwrap();
    let later = h.folder().join("later");
    std::fs::write(h.config(), text.replace("file = \"revoked\"", &format!("file = \"{}/revoked\"", later.display())))
        .unwrap();
    h.kill_daemon();
    h.start_daemon().await;
    std::fs::create_dir(&later).unwrap();
    crate::harness::process::open_to_all(&later);
    let outcome = run(&mut hlsgate(&h.config(), &["revoke", "third"]), "");
    assert!(outcome.code == 0 && outcome.err.contains("in force"), "{outcome:?}");
}
