//! `hlsgate keys`: no viewer is refused, no key is lost, and none of them shows.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::harness::command::{Desk, Outcome, finish, program, run, start};
use crate::harness::daemon::socket;
use crate::harness::raw::exchange;
use crate::harness::{A, Harness, process, until};

const OFFERS: &str = "[[offers]]\ntier = \"24h\"\nprice = \"100\"\ncurrency = \"SATS\"\nduration = \"24h\"\n";

fn keys(desk: &Desk) -> Vec<Value> {
    let set: Value = serde_json::from_str(&desk.read("keys.json")).unwrap();
    set["keys"].as_array().unwrap().clone()
}

fn kids(desk: &Desk) -> Vec<String> {
    keys(desk).iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Whether a token opens by the keys of this desk.
fn opens(desk: &Desk, token: &str) -> bool {
    desk.run_with(&["token", "inspect"], token).code == 0
}

fn question(token: &str) -> Vec<u8> {
    format!("GET /auth HTTP/1.1\r\nHost: hlsgate\r\nConnection: close\r\nX-Hlsgate-Video: {A}\r\nX-Hlsgate-Kind: media\r\nAuthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotating_under_load_refuses_no_viewer() {
    let h = Harness::start().await;
    let place = socket(h.folder());
    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let tokens: Vec<String> = (0..4).map(|_| h.token_for(A)).collect();
    let viewers: Vec<_> = tokens
        .iter()
        .map(|token| {
            let (question, place, done, asked) = (question(token), place.clone(), done.clone(), asked.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let answer = exchange(&place, &question).await;
                    assert_eq!(answer.status, 204, "{}", answer.head);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..5 {
        h.run(&["keys", "rotate"]);
        // The daemon is told by nobody; it sees the file.
        let new = question(&h.token_for(A));
        until("the new key is known", || async { (exchange(&place, &new).await.status == 204).then_some(()) }).await;
        let before = asked.load(Ordering::Relaxed);
        until("viewers went on", || async { (asked.load(Ordering::Relaxed) > before + 10).then_some(()) }).await;
    }
    done.store(true, Ordering::Relaxed);
    for viewer in viewers {
        viewer.await.expect("every valid viewer was let in");
    }
}

#[tokio::test]
async fn a_key_file_behind_a_link_stays_there_and_is_followed() {
    let h = Harness::start().await;
    let (link, elsewhere) = (h.folder().join("keys.json"), h.folder().join("secret/keys.json"));
    std::fs::create_dir(elsewhere.parent().unwrap()).unwrap();
    std::fs::rename(&link, &elsewhere).unwrap();
    std::os::unix::fs::symlink("secret/keys.json", &link).unwrap();
    let opens = async |token: String| {
        let question = question(&token);
        until("the daemon follows", || async {
            (exchange(&socket(h.folder()), &question).await.status == 204).then_some(())
        })
        .await;
    };
    h.run(&["keys", "rotate"]);
    opens(h.token_for(A)).await;
    h.run(&["keys", "rotate"]);
    opens(h.token_for(A)).await;
    assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("secret/keys.json"));
    assert_eq!(std::fs::symlink_metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o600);

    // As Kubernetes puts a new version of a Secret in place: keys.json -> ..data/keys.json, ..data -> ..1.
    let at = |name: &str| h.folder().join(name);
    let volume = |number: &str| {
        std::fs::create_dir(at(number)).unwrap();
        std::fs::copy(&elsewhere, at(number).join("keys.json")).unwrap();
        std::os::unix::fs::symlink(number, at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    volume("..1");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("..data/keys.json", &link).unwrap();
    opens(h.token_for(A)).await;
    std::fs::copy(at("..1/keys.json"), &elsewhere).unwrap();
    let config = at("aside.toml");
    std::fs::write(&config, "[keys]\nfile = \"secret/keys.json\"\n[revocations]\nfile = \"revoked\"\n").unwrap();
    let aside =
        |arguments: &[&str]| process::output(program(), &[&["--config", config.to_str().unwrap()], arguments].concat());
    aside(&["keys", "rotate"]);
    volume("..2");
    std::fs::remove_dir_all(at("..1")).unwrap();
    opens(aside(&["token", "issue", "--video", A]).trim().to_owned()).await;
}

#[test]
fn commands_at_once_lose_nothing() {
    let desk = Desk::new("");
    let before = kids(&desk);
    let children: Vec<_> =
        (0..8).map(|n| start(&mut desk.command(&["keys", if n % 2 == 0 { "rotate" } else { "add" }]))).collect();
    for child in children {
        finish(child, "").succeeded();
    }
    let after = kids(&desk);
    assert_eq!(after.len(), 9);
    assert!(after.contains(&before[0]));
    let left: Vec<_> = std::fs::read_dir(desk.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no temporary file stays: {left:?}");
}

#[test]
fn the_key_that_signs_cannot_go() {
    let desk = Desk::new(OFFERS);
    let only = kids(&desk).remove(0);
    let before = desk.read("keys.json");
    for command in ["retire", "remove"] {
        for more in [&["--yes"][..], &[]] {
            let refused = desk.run(&[&["keys", command, &only], more].concat());
            assert_eq!((refused.code, refused.out.as_str()), (1, ""));
            assert_eq!(
                refused.err,
                format!(
                    "error: {only} signs, so it cannot go\n  hint: let another sign first: `hlsgate keys rotate`\n"
                )
            );
        }
    }
    let unknown = desk.run(&["keys", "retire", "nobody", "--yes"]);
    assert_eq!(
        (unknown.code, unknown.err),
        (1, format!("error: there is no key \"nobody\"\n  hint: the file has {only}\n"))
    );
    assert_eq!(desk.read("keys.json"), before);
}

#[test]
fn retire_says_how_long_its_tokens_live_and_asks() {
    let desk = Desk::new(OFFERS);
    let token = desk.run(&["token", "issue", "--video", A, "--for", "1h"]).succeeded();
    let old = kids(&desk).remove(0);
    desk.run(&["keys", "rotate"]).succeeded();
    assert!(opens(&desk, token.trim()));
    let asked = desk.run(&["keys", "retire", &old]);
    assert_eq!(
        (asked.code, asked.err.as_str()),
        (1, "error: not done: nobody is there to be asked\n  hint: add --yes\n")
    );
    assert!(asked.out.contains("Viewers who bought through the shop get a new one by their claim"), "{}", asked.out);
    let left = "By the offers of today, the last token that the shop sold under it expires in 23h 59m 5";
    assert!(asked.out.contains(left) || asked.out.contains("expires in 1day"), "{}", asked.out);
    assert!(opens(&desk, token.trim()));

    // A key that signed for long after a newer one was made: when it stopped is known, not guessed from the newer one's age.
    let text = desk.read("keys.json");
    let stopped = keys(&desk)[1]["signed_until"].as_u64().expect("the time is kept");
    std::fs::write(
        desk.file("keys.json"),
        text.replace(&format!("\"signed_until\":{stopped}"), "\"signed_until\":1700000000"),
    )
    .unwrap();
    let over = desk.run(&["keys", "retire", &old]);
    assert!(
        over.out
            .contains("every token that the shop sold under it has expired; what was issued by hand may live longer."),
        "{}",
        over.out
    );
    std::fs::write(desk.file("keys.json"), text.replace(&format!(",\"signed_until\":{stopped}"), "")).unwrap();
    let unknown = desk.run(&["keys", "retire", &old]);
    assert!(unknown.out.contains("The file does not say when it stopped signing"), "{}", unknown.out);

    let done = desk.run(&["keys", "retire", &old, "--yes"]).succeeded();
    assert!(done.ends_with(&format!("\nretired {old}\n")), "{done}");
    assert!(!opens(&desk, token.trim()));
    assert_eq!(
        desk.run(&["keys", "promote", &old]).err,
        format!("error: {old} is retired and cannot sign\n  hint: make a new key with `hlsgate keys rotate`\n")
    );
    desk.run(&["keys", "remove", &old, "--yes"]).succeeded();
    assert_eq!(kids(&desk).len(), 1);

    let forever = Desk::new("[[offers]]\ntier = \"forever\"\nprice = \"1\"\ncurrency = \"SATS\"\n");
    let old = kids(&forever).remove(0);
    forever.run(&["keys", "rotate"]).succeeded();
    let asked = forever.run(&["keys", "retire", &old]);
    assert!(
        asked.out.contains("You sell offers that never expire: some of its tokens may be alive for ever."),
        "{}",
        asked.out
    );
}

#[test]
fn add_and_promote_let_several_daemons_follow() {
    let desk = Desk::new("");
    let first = kids(&desk).remove(0);
    let said = desk.run(&["keys", "add"]).succeeded();
    let added = kids(&desk).remove(1);
    assert_eq!(said, format!("added {added}; promote it when every daemon has it\n"));
    assert_eq!(kids(&desk)[0], first, "the old one signs on");
    assert_eq!(desk.run(&["keys", "promote", &added]).succeeded(), format!("{added} signs now\n"));
    assert_eq!(desk.run(&["keys", "promote", &added]).succeeded(), format!("{added} signs already\n"));
    assert_eq!(kids(&desk), [added.clone(), first.clone()]);
    let list = desk.run(&["keys", "list"]).succeeded();
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["KID", "STATE", "MADE", "BITS"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1][3]), (&*added, "signs", "256"));
    assert_eq!((lines[2][0], lines[2][1], lines[2][3]), (&*first, "verifies", "256"));
    for key in keys(&desk) {
        assert!(!list.contains(key["k"].as_str().unwrap()), "a key shows");
    }
}

#[test]
fn modes_are_kept_and_open_ones_are_told() {
    let desk = Desk::new("");
    let file = desk.file("keys.json");
    let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    for (set, warned) in [(0o600, false), (0o640, false), (0o644, true), (0o660, true)] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(set)).unwrap();
        let Outcome { code, err, .. } = desk.run(&["keys", "rotate"]);
        assert_eq!((code, mode()), (0, set));
        let warning =
            format!("warning: DIR/keys.json has mode {set:04o} and holds a secret; run `chmod 600 DIR/keys.json`\n");
        assert_eq!(err, if warned { warning } else { String::new() });
        let check = desk.run(&["check", "--only", "configuration"]);
        assert_eq!(check.code, i32::from(warned), "{check:?}");
    }
}

/// A full disk, as far as a program can tell: no file may grow.
#[test]
fn a_disk_that_takes_nothing_leaves_the_keys_as_they_are() {
    let desk = Desk::new("");
    let before = desk.read("keys.json");
    let config = desk.file("hlsgate.toml");
    for command in ["keys rotate", "keys add", "keys backup b.age --passphrase-file pass.txt"] {
        std::fs::write(desk.file("pass.txt"), "correct horse battery staple\n").unwrap();
        std::fs::set_permissions(desk.file("pass.txt"), PermissionsExt::from_mode(0o600)).unwrap();
        let script =
            format!("trap '' XFSZ; ulimit -f 0; cd \"$(dirname \"$1\")\"; exec \"$0\" --config \"$1\" {command}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, program()]).arg(&config);
        let failed = run(&mut shell, "").without(desk.folder());
        assert_eq!(failed.code, 1, "{failed:?}");
        assert!(failed.err.starts_with("error: cannot write ") && failed.err.contains("File too large"), "{failed:?}");
        assert_eq!(desk.read("keys.json"), before);
        assert!(!desk.file("b.age").exists());
    }
    let left = std::fs::read_dir(desk.folder()).unwrap().count();
    assert_eq!(left, 3, "the configuration, the keys, the passphrase, and nothing else");
}

#[test]
fn a_backup_opens_elsewhere_and_nowhere_else() {
    let desk = Desk::new("");
    desk.run(&["keys", "rotate"]).succeeded();
    let token = desk.run(&["token", "issue", "--video", A, "--for", "1h"]).succeeded();
    let secret = |name: &str, text: &str| {
        std::fs::write(desk.file(name), text).unwrap();
        std::fs::set_permissions(desk.file(name), PermissionsExt::from_mode(0o600)).unwrap();
        desk.file(name).display().to_string()
    };
    let (good, bad, short) = (
        secret("good", "correct horse battery\n"),
        secret("bad", "another horse battery\n"),
        secret("short", "hello\n"),
    );
    let backup = desk.file("keys.age").display().to_string();
    let names = kids(&desk).join(", ");
    assert_eq!(
        desk.run(&["keys", "backup", &backup, "--passphrase-file", &short]).err,
        "error: the passphrase has 5 characters; it needs at least 12\n  hint: five random words are good and can be remembered\n"
    );
    assert_eq!(
        desk.run(&["keys", "backup", &backup, "--passphrase-file", &good]).succeeded(),
        format!("backed up keys {names} to DIR/keys.age\n")
    );
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let again = desk.run(&["keys", "backup", &backup, "--passphrase-file", &good]);
    assert_eq!(
        (again.code, again.err.as_str()),
        (1, "error: DIR/keys.age is there already, and backups are never overwritten\n  hint: give it another name\n")
    );

    // Elsewhere, where there are no keys yet.
    let other = Desk::without_keys("");
    let wrong = other.run(&["keys", "restore", &backup, "--passphrase-file", &bad]);
    assert_eq!(
        (wrong.code, wrong.err.as_str()),
        (1, "error: the backup does not open: the passphrase is another one, or the file is damaged\n")
    );
    let text = std::fs::read(&backup).unwrap();
    for (length, expected) in [
        (0, "this is no age file"),
        (40, "this is no age file"),
        (text.len() - 60, "the backup is damaged or cut short"),
    ] {
        std::fs::write(desk.file("cut.age"), &text[..length]).unwrap();
        let cut = other.run(&["keys", "restore", desk.file("cut.age").to_str().unwrap(), "--passphrase-file", &good]);
        assert!(cut.code == 1 && cut.err.starts_with(&format!("error: {expected}")), "{length}: {cut:?}");
    }
    assert!(!other.file("keys.json").exists(), "nothing is written before all of it was read");
    assert_eq!(
        other.run(&["keys", "restore", &backup, "--passphrase-file", &good]).succeeded(),
        format!("restored keys {names} to DIR/keys.json\n")
    );
    assert_eq!(other.read("keys.json"), desk.read("keys.json"));
    assert!(opens(&other, token.trim()), "a token from before opens");
    let same = other.run(&["keys", "restore", &backup, "--passphrase-file", &good]).succeeded();
    assert_eq!(same, format!("DIR/keys.json holds just these keys already: {}\n", format_args!("keys {names}")));

    // In place of others, which are kept.
    let there = Desk::new("");
    let before = there.read("keys.json");
    let refused = there.run(&["keys", "restore", &backup, "--passphrase-file", &good]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains(&format!(
            "DIR/keys.json is there and holds key {}; the backup holds keys {names}",
            kids(&there)[0]
        )),
        "{refused:?}"
    );
    assert_eq!(there.read("keys.json"), before);
    there.run(&["keys", "restore", &backup, "--passphrase-file", &good, "--force"]).succeeded();
    assert!(opens(&there, token.trim()));
    let aside = std::fs::read_dir(there.folder()).unwrap().map(|entry| entry.unwrap().path());
    let aside = aside
        .into_iter()
        .find(|path| path.to_string_lossy().contains("keys.json.before-"))
        .expect("the old keys are kept");
    assert_eq!(std::fs::read_to_string(&aside).unwrap(), before);
    assert_eq!(std::fs::metadata(&aside).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_backup_for_a_recipient_needs_his_key_and_the_age_tool_reads_it() {
    let desk = Desk::new("");
    let identity = desk.file("identity.txt").display().to_string();
    process::output("age-keygen", &["-o", &identity]);
    let recipient = process::output("age-keygen", &["-y", &identity]);
    let backup = desk.file("keys.age").display().to_string();
    desk.run(&["keys", "backup", &backup, "--recipient", recipient.trim()]).succeeded();
    assert_eq!(process::output("age", &["--decrypt", "--identity", &identity, &backup]), desk.read("keys.json"));
    let typo = desk.run(&["keys", "backup", "x.age", "--recipient", "age1nobody"]);
    assert!(typo.code == 2 && typo.err.starts_with("error: \"age1nobody\" is no public key of age"), "{typo:?}");

    let other = Desk::without_keys("");
    let without = other.run(&["keys", "restore", &backup]);
    assert_eq!(
        (without.code, without.err.as_str()),
        (
            1,
            "error: this backup was made for a recipient, not with a passphrase\n  hint: name the file with its secret key: --identity FILE\n"
        )
    );
    process::output("age-keygen", &["-o", other.file("stranger.txt").to_str().unwrap()]);
    let stranger = other.run(&["keys", "restore", &backup, "--identity", other.file("stranger.txt").to_str().unwrap()]);
    assert!(
        stranger.code == 1
            && stranger.err.starts_with("error: the backup does not open with this secret: it was made for another"),
        "{stranger:?}"
    );
    other.run(&["keys", "restore", &backup, "--identity", &identity]).succeeded();
    assert_eq!(other.read("keys.json"), desk.read("keys.json"));
}

/// The drill of docs/keys.md, as it stands there.
#[test]
fn the_drill_of_the_documentation_works() {
    let page = include_str!("../../docs/keys.md");
    let block =
        page.split("### The drill").nth(1).unwrap().split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let desk = Desk::new("");
    std::fs::write(desk.file("pass.txt"), "correct horse battery\n").unwrap();
    let backup = desk.file("keys.age").display().to_string();
    desk.run(&["keys", "backup", &backup, "--passphrase-file", desk.file("pass.txt").to_str().unwrap()]).succeeded();
    let config = desk.file("hlsgate.toml").display().to_string();
    let script = block
        .replace(
            "/path/to/keys-2026-07.age",
            &format!("{backup} --passphrase-file {}", desk.file("pass.txt").display()),
        )
        .replace("hlsgate token issue --video ID", &format!("hlsgate token issue --config {config} --video ID"))
        .replace("hlsgate keys", &format!("{} keys", program()))
        .replace("hlsgate token", &format!("{} token", program()));
    let shell = run(std::process::Command::new("sh").args(["-euxc", &script]), "");
    assert_eq!(shell.code, 0, "{shell:?}");
    assert!(shell.out.contains(&kids(&desk)[0]) && shell.out.contains("valid    yes"), "{shell:?}");
}
