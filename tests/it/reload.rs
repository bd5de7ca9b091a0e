//! What is in force follows its files, however they are replaced and whatever happens to them.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::process::output;
use crate::harness::{A, Harness, Options, reason, until};

const PLAYLIST: &str = "/hls/vid1/master.m3u8";

/// A token under the keys of `file`, whatever the daemon reads.
fn token_under(h: &Harness, file: &Path) -> String {
    let config = h.folder().join("other.toml");
    std::fs::write(&config, format!("[keys]\nfile = {file:?}\n[revocations]\nfile = \"revoked\"\n")).unwrap();
    let config = config.to_str().unwrap();
    output(crate::harness::command::program(), &["token", "issue", "--video", A, "--config", config]).trim().to_owned()
}

async fn opens(h: &Harness, token: &str) {
    until("the token opens", || async { (h.get_with(PLAYLIST, token).await.status() == 200).then_some(()) }).await;
}

fn log(h: &Harness) -> String {
    std::fs::read_to_string(h.folder().join("daemon.log")).unwrap()
}

/// As Kubernetes mounts a Secret: the file is a link through `..data`, and that is what is replaced.
#[tokio::test]
async fn keys_behind_links_are_followed() {
    let mut h =
        Harness::with(Options { config: "[keys]\nfile = \"secret/keys.json\"".into(), ..Options::default() }).await;
    h.kill_daemon();
    let secret = h.folder().join("secret");
    let of = |state: &str| secret.join(state).join("keys.json");
    for state in ["..1", "..2"] {
        std::fs::create_dir(secret.join(state)).unwrap();
        std::fs::copy(secret.join("keys.json"), of(state)).unwrap();
    }
    std::fs::remove_file(secret.join("keys.json")).unwrap();
    symlink("..1", secret.join("..data")).unwrap();
    symlink("..data/keys.json", secret.join("keys.json")).unwrap();
    h.start_daemon().await;
    opens(&h, &h.token_for(A)).await;

    // The same set with another key in front.
    let mut set: serde_json::Value = serde_json::from_slice(&std::fs::read(of("..2")).unwrap()).unwrap();
    let mut key = set["keys"][0].clone();
    key["kid"] = "new".into();
    set["keys"].as_array_mut().unwrap().insert(0, key);
    std::fs::write(of("..2"), set.to_string()).unwrap();
    let new = token_under(&h, &of("..2"));
    assert_eq!(reason(h.get_with(PLAYLIST, &new).await).await, "unknown-key");
    symlink("..2", secret.join("..data_tmp")).unwrap();
    std::fs::rename(secret.join("..data_tmp"), secret.join("..data")).unwrap();
    opens(&h, &new).await;

    // A command changes what the link leads to, and leaves the link.
    h.run(&["keys", "rotate"]);
    assert!(secret.join("keys.json").is_symlink());
    opens(&h, &h.token_for(A)).await;
}

/// The folder of the new file was not there when the daemon began.
#[tokio::test]
async fn a_key_file_that_a_reload_names_is_followed_from_then_on() {
    let h = Harness::start().await;
    let config = std::fs::read_to_string(h.config()).unwrap();
    std::fs::create_dir(h.folder().join("new")).unwrap();
    std::fs::copy(h.folder().join("keys.json"), h.folder().join("new/keys.json")).unwrap();
    std::fs::write(h.config(), format!("{config}\n[keys]\nfile = \"new/keys.json\"\n")).unwrap();
    h.daemon().process.signal("HUP");
    until("the reload", || async { log(&h).contains("reloaded the configuration").then_some(()) }).await;
    h.run(&["keys", "rotate"]);
    opens(&h, &h.token_for(A)).await;
}

/// Whatever a watch would miss: a folder that comes later, a list rewritten in place under its old time, as `rsync -t` leaves it.
#[tokio::test]
async fn revocations_are_followed_wherever_and_however_they_come() {
    let mut h = Harness::start().await;
    h.kill_daemon();
    let config = std::fs::read_to_string(h.config()).unwrap();
    std::fs::write(h.config(), config.replace("file = \"revoked\"", "file = \"later/revoked\"")).unwrap();
    h.start_daemon().await;
    let tokens = ["gift-1", "gift-2"].map(|id| h.token(&["--video", A, "--jti", id]));
    let refused = async |token: &str| {
        until("the token is refused", async || (h.get_with(PLAYLIST, token).await.status() == 403).then_some(())).await;
    };
    opens(&h, &tokens[0]).await;
    std::fs::create_dir(h.folder().join("later")).unwrap();
    h.run(&["revoke", "gift-1"]);
    refused(&tokens[0]).await;

    let list = h.folder().join("later/revoked");
    let (text, time) = (std::fs::read_to_string(&list).unwrap(), list.metadata().unwrap().modified().unwrap());
    std::fs::write(&list, text.replace("gift-1", "gift-2")).unwrap();
    std::fs::File::options().append(true).open(&list).unwrap().set_modified(time).unwrap();
    refused(&tokens[1]).await;

    // What a machine has few of, and other programs use up, the daemon does without.
    let open = std::fs::read_dir(format!("/proc/{}/fd", h.daemon().process.pid())).unwrap();
    let open: Vec<_> = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect();
    assert!(!open.is_empty() && !open.iter().any(|target| target.to_string_lossy().contains("inotify")), "{open:?}");
}

#[tokio::test]
async fn a_lost_list_of_revocations_brings_no_token_back_to_life() {
    let h = Harness::start().await;
    let revoked = h.token(&["--video", A, "--jti", "sold-by-mistake"]);
    h.run(&["revoke", "sold-by-mistake"]);
    until("the revocation is in force", || async {
        (h.get_with(PLAYLIST, &revoked).await.status() == 403).then_some(())
    })
    .await;
    let list = h.folder().join("revoked");
    std::fs::remove_file(&list).unwrap();
    until("the daemon complains", || async { log(&h).contains("is gone, and it held 1 ids").then_some(()) }).await;
    assert_eq!(reason(h.get_with(PLAYLIST, &revoked).await).await, "revoked");
    h.daemon().process.signal("HUP");
    until("the reload is refused", || async {
        log(&h).contains("not reloaded, what was in force stays").then_some(())
    })
    .await;
    assert_eq!(reason(h.get_with(PLAYLIST, &revoked).await).await, "revoked");
    // An empty list is said on purpose.
    std::fs::write(&list, "").unwrap();
    opens(&h, &revoked).await;
}
