//! `hlsgate check` as a person and as a program read it: its words, its JSON, its exit codes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::command::{Desk, Outcome, hlsgate, program, run};
use crate::harness::daemon::socket;
use crate::harness::process::install;
use crate::harness::{Harness, Options};

const TWO: [&str; 5] = ["check", "--only", "configuration", "--only", "daemon"];

fn check(h: &Harness, more: &[&str]) -> Outcome {
    run(&mut hlsgate(&h.config(), &[&TWO, more].concat()), "").without(h.folder())
}

#[tokio::test]
async fn what_a_person_reads() {
    let mut h = Harness::start().await;
    let kid = h.run(&["keys", "list"]).lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let group = if nix::unistd::Uid::effective().is_root() {
        "www-data".to_owned()
    } else {
        nix::unistd::Gid::effective().to_string()
    };
    let clean = check(&h, &[]);
    let configuration = format!(
        "configuration
  ✓ file: DIR/hlsgate.toml is well formed
  ✓ keys: {kid} signs, 1 in all verify tokens
  ✓ revocations: 0 in DIR/revoked
  ✓ file mode: DIR/keys.json is closed to strangers
"
    );
    let expected = format!(
        "{configuration}daemon
  ✓ socket: DIR/hlsgate.sock has mode 0660 and group {group}
  ✓ question without a token: it refuses: 401 missing
  ✓ question with a good token: it opens: 204
7 fine, 0 to improve, 0 not looked at, 0 wrong
"
    );
    assert_eq!((clean.code, clean.out.as_str(), clean.err.as_str()), (0, &*expected, ""));

    // A socket that strangers may use.
    std::fs::set_permissions(socket(h.folder()), PermissionsExt::from_mode(0o666)).unwrap();
    let open = check(&h, &[]);
    let expected = format!(
        "  ✗ socket: DIR/hlsgate.sock has mode 0666 and group {group}
      expected: mode 0660 and group www-data
      to do: restart the daemon; with hlsgate.socket, SocketMode= and SocketGroup= say it
"
    );
    assert_eq!(open.code, 1);
    assert!(open.out.contains(&expected) || group != "www-data", "{}", open.out);
    std::fs::set_permissions(socket(h.folder()), PermissionsExt::from_mode(0o660)).unwrap();

    // A daemon by other keys than the file's: stopped, so that it cannot follow.
    h.daemon().process.freeze();
    let hangs = check(&h, &[]);
    h.daemon().process.signal("CONT");
    assert_eq!(hangs.code, 1);
    assert!(hangs.out.contains("  ✗ answer: nobody answers at DIR/hlsgate.sock: "), "{}", hangs.out);

    h.kill_daemon();
    let down = check(&h, &[]);
    let expected = format!(
        "{configuration}daemon
  ✓ socket: DIR/hlsgate.sock has mode 0660 and group {group}
  ✗ answer: nobody answers at DIR/hlsgate.sock: Connection refused (os error 111)
      expected: a running daemon
      to do: start it: `systemctl enable --now hlsgate.socket hlsgate.service`; its log: `journalctl -u hlsgate`
5 fine, 0 to improve, 0 not looked at, 1 wrong
"
    );
    assert_eq!((down.code, down.out.as_str()), (1, &*expected));
}

#[tokio::test]
async fn what_a_program_reads() {
    let h =
        Harness::with(Options { config_top: "public_url = \"https://video.example\"".into(), ..Options::default() })
            .await;
    std::fs::set_permissions(h.folder().join("keys.json"), PermissionsExt::from_mode(0o644)).unwrap();
    let outcome = check(&h, &["--json"]);
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!((outcome.code, &report["clean"]), (1, &json!(false)));
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(
        findings[0],
        json!({ "group": "configuration", "level": "ok", "what": "file", "seen": "DIR/hlsgate.toml is well formed" })
    );
    assert_eq!(
        findings[3],
        json!({
            "group": "configuration", "level": "wrong", "what": "file mode",
            "seen": "DIR/keys.json has mode 0644 and holds a secret",
            "expected": "no access for others, and no writing group", "todo": "chmod 600 DIR/keys.json",
        })
    );
    let order: Vec<&str> = findings.iter().map(|finding| finding["group"].as_str().unwrap()).collect();
    assert_eq!(
        order,
        ["configuration", "configuration", "configuration", "configuration", "daemon", "daemon", "daemon"]
    );
    std::fs::set_permissions(h.folder().join("keys.json"), PermissionsExt::from_mode(0o600)).unwrap();
    let clean: Value = serde_json::from_str(&check(&h, &["--json"]).out).unwrap();
    assert_eq!(clean["clean"], true);
}

#[test]
fn a_configuration_that_cannot_be_used_is_exit_78() {
    let desk = Desk::without_keys("listn = 1\nmedia = \"/hls/\"");
    let text = desk.run(&["check"]);
    assert_eq!((text.code, text.out.as_str()), (78, ""));
    assert!(text.err.starts_with("error: DIR/hlsgate.toml has 2 problems:\n  "), "{text:?}");
    let outcome = desk.run(&["check", "--json"]);
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!((outcome.code, &report["clean"]), (78, &json!(false)));
    let fields: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|f| f["what"].as_str().unwrap()).collect();
    assert_eq!(fields.len(), 2);
    assert!(fields.contains(&"listn") && fields.contains(&"media"), "{fields:?}");
    let missing = run(&mut hlsgate(Path::new("/no/such.toml"), &["check", "--json"]), "");
    let report: Value = serde_json::from_str(&missing.out).unwrap();
    assert_eq!((missing.code, &report["findings"][0]["what"]), (78, &json!("file")));
    assert_eq!(Desk::new("").run(&["check", "--only", "nothing"]).code, 2);
}

#[test]
fn keys_that_are_missing_or_bad_are_told_once_and_keep_no_other_group_from_looking() {
    let desk = Desk::without_keys("");
    let url = "https://video.example/hls/film/master.m3u8";
    let outcome = desk.run(&[&TWO[..], &["--probe", url]].concat());
    let expected = "configuration
  ✓ file: DIR/hlsgate.toml is well formed
  ✓ revocations: 0 in DIR/revoked
  ✗ keys.file: cannot read DIR/keys.json: No such file or directory (os error 2); `hlsgate init` makes new keys, `hlsgate keys restore` brings a backup back
daemon
  ? questions: not asked: without the keys and revocations there is no token to ask with
      expected: both, as the daemon reads them
      to do: see `hlsgate check --only configuration`
probe
  ? questions: not asked: without the keys and revocations there is no token to ask with
      expected: both, as the daemon reads them
      to do: see `hlsgate check --only configuration`
2 fine, 0 to improve, 2 not looked at, 1 wrong
";
    assert_eq!((outcome.code, outcome.out.as_str()), (1, expected));
    std::fs::write(desk.file("revoked"), "two words\n").unwrap();
    std::fs::write(desk.file("keys.json"), "{\"keys\":[]}").unwrap();
    let outcome = desk.run(&["check", "--only", "configuration"]);
    assert!(
        outcome.out.contains(
            "  ✗ keys.file: DIR/keys.json: the set has no keys; `hlsgate keys restore` brings them back from a backup; a new set ends every token that was sold\n"
        ),
        "{outcome:?}"
    );
    assert!(outcome.out.contains("  ✗ revocations.file: DIR/revoked: line 1 is no token id"), "{outcome:?}");
}

/// Run by somebody who may read the configuration and nothing else.
#[test]
fn a_stranger_on_the_machine_is_told_to_come_back_as_root() {
    if !nix::unistd::Uid::effective().is_root() {
        // Only root can become somebody else.
        return;
    }
    let desk = Desk::new("");
    // The program may lie in a folder that is root's own.
    install(Path::new(program()), &desk.file("hlsgate"));
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(desk.file("hlsgate"));
    command.arg("--config").arg(desk.file("hlsgate.toml")).args(TWO);
    let outcome = run(&mut command, "").without(desk.folder());
    let told = "  ? keys.file: cannot read DIR/keys.json: Permission denied (os error 13); it is for root and for the user that owns it
      expected: a user who may read it
      to do: run this as root, or as the daemon's user
";
    assert!(outcome.code == 2 && outcome.out.contains(told), "{outcome:?}");
}
