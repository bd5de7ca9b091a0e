//! The daemon among signals, broken files and rude peers.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::harness::command::program;
use crate::harness::daemon::socket;
use crate::harness::process::Process;
use crate::harness::{A, DEADLINE, Harness, Options, reason, send, until};

const PLAYLIST: &str = "/hls/vid1/master.m3u8";

/// What a good request to the daemon looks like, on a kept connection.
fn question(token: &str) -> Vec<u8> {
    format!("GET /auth HTTP/1.1\r\nHost: hlsgate\r\nX-Hlsgate-Video: {A}\r\nX-Hlsgate-Kind: media\r\nCookie: hlsgate={token}\r\n\r\n").into_bytes()
}

/// Sends bytes and reads until the daemon has nothing more to say.
async fn exchange(h: &Harness, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket(h.folder())).await.unwrap();
    // The daemon may refuse, and close, before it has read all.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    read.expect("the daemon closes a connection that its peer has closed").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_socket_has_the_configured_mode_and_group() {
    let h = Harness::with(Options { config_top: "socket_mode = \"0620\"".into(), ..Options::default() }).await;
    let found = std::fs::metadata(socket(h.folder())).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o620);
    if nix::unistd::Uid::effective().is_root() {
        let group = nix::unistd::Group::from_name("www-data").unwrap().unwrap();
        assert_eq!(found.gid(), group.gid.as_raw());
    }
}

#[tokio::test]
async fn a_reload_with_bad_files_keeps_what_is_in_force_and_says_what_is_wrong() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    let log = || std::fs::read_to_string(h.folder().join("daemon.log")).unwrap();
    let keys = h.folder().join("keys.json");
    let good_keys = std::fs::read_to_string(&keys).unwrap();
    let good_config = std::fs::read_to_string(h.config()).unwrap();

    // A broken key file, picked up by itself and by a signal.
    std::fs::write(&keys, "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"x\",\"k\":\"c2hvcnQ\"}]}").unwrap();
    until("the daemon complains", || async { log().contains("k is 5 bytes").then_some(()) }).await;
    h.daemon().process.signal("HUP");
    until("the daemon refuses", || async { log().contains("not reloaded, what was in force stays").then_some(()) })
        .await;
    assert_eq!(h.get_with(PLAYLIST, &token).await.status(), 200);
    assert!(h.daemon().metric("hlsgate_reloads_total{result=\"refused\",what=\"configuration\"}").await >= 1.0);

    // A broken configuration: every problem of it.
    std::fs::write(&keys, &good_keys).unwrap();
    std::fs::write(h.config(), format!("listne = \"x\"\n{good_config}\n[gate]\nleeway = \"soon\"\n")).unwrap();
    h.daemon().process.signal("HUP");
    until("the daemon names both problems", || async {
        let log = log();
        (log.contains("did you mean \"listen\"?") && log.contains("gate.leeway: \"soon\"")).then_some(())
    })
    .await;
    assert_eq!(h.get_with(PLAYLIST, &token).await.status(), 200);

    // And a good one again.
    std::fs::write(h.config(), format!("{good_config}\n[gate]\nleeway = \"1h\"\n")).unwrap();
    let expired = h.token(&["--video", A, "--for", "0s"]);
    assert_eq!(reason(h.get_with(PLAYLIST, &expired).await).await, "expired");
    h.daemon().process.signal("HUP");
    until("the leeway is in force", || async { (h.get_with(PLAYLIST, &expired).await.status() == 200).then_some(()) })
        .await;
}

#[tokio::test]
async fn keys_can_be_rotated_and_retired_under_a_running_daemon() {
    let h = Harness::start().await;
    let before = h.token_for(A);
    let kid = h.run(&["keys", "list"]).lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    h.run(&["keys", "rotate"]);
    let after = h.token_for(A);
    until("the new key is in force", || async { (h.get_with(PLAYLIST, &after).await.status() == 200).then_some(()) })
        .await;
    assert_eq!(h.get_with(PLAYLIST, &before).await.status(), 200, "nobody is logged out");
    h.run(&["keys", "retire", &kid, "--yes"]);
    until("the old key is out of force", || async {
        (h.get_with(PLAYLIST, &before).await.status() == 403).then_some(())
    })
    .await;
    assert_eq!(reason(h.get_with(PLAYLIST, &before).await).await, "unknown-key");
    assert_eq!(h.get_with(PLAYLIST, &after).await.status(), 200);
}

#[tokio::test]
async fn a_drain_ends_running_requests_and_refuses_new_ones() {
    let mut h = Harness::start().await;
    let token = h.token_for(A);
    let mut idle = UnixStream::connect(socket(h.folder())).await.unwrap();
    idle.write_all(&question(&token)).await.unwrap();
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    h.daemon().process.signal("TERM");
    assert_eq!(
        tokio::time::timeout(DEADLINE, idle.read(&mut buffer)).await.expect("idle connections are closed").unwrap(),
        0
    );
    let daemon = h.daemon.as_mut().unwrap();
    let status = until("the daemon ends", || {
        let ended = daemon.process.ended();
        async move { ended }
    })
    .await;
    assert!(status.success());
    assert!(!socket(h.folder()).exists(), "its socket is gone");
}

#[tokio::test]
async fn a_second_daemon_does_not_take_the_socket_and_a_leftover_one_is_replaced() {
    let mut h = Harness::start().await;
    let second = std::process::Command::new(program()).args(["serve", "--config"]).arg(h.config()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another daemon already listens"));
    h.kill_daemon();
    assert!(socket(h.folder()).exists(), "a killed daemon cannot clean up");
    h.start_daemon().await;
    assert_eq!(h.get(PLAYLIST).await.status(), 403);

    // A socket of another kind: whether anybody listens there cannot be told, so it stays.
    h.kill_daemon();
    std::fs::remove_file(socket(h.folder())).unwrap();
    let _other = std::os::unix::net::UnixDatagram::bind(socket(h.folder())).unwrap();
    let third = std::process::Command::new(program()).args(["serve", "--config"]).arg(h.config()).output().unwrap();
    assert_eq!(third.status.code(), Some(1), "{}", String::from_utf8_lossy(&third.stderr));
    assert!(socket(h.folder()).exists());
}

/// The daemon is restarted again and again under load by whoever holds its socket; no viewer sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_a_handed_over_socket_refuses_nobody() {
    let mut h = Harness::start().await;
    h.kill_daemon();
    let path = socket(h.folder());
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let config = std::fs::read_to_string(h.config()).unwrap();
    let listen = format!("listen = \"unix:{}\"", path.display());
    std::fs::write(h.config(), config.replace(&listen, "listen = \"systemd\"")).unwrap();
    let start = |h: &Harness| crate::harness::daemon::start_with_socket(&h.config(), h.folder(), &listener);

    let token = h.token_for(A);
    let mut daemon = start(&h);
    let answers = AtomicUsize::new(0);
    let restarts = async {
        for round in 1..=4 {
            // Each daemon gets its share of the load before it goes.
            until("the load goes on", || async { (answers.load(Relaxed) >= round * 25).then_some(()) }).await;
            daemon.signal("TERM");
            let status = until("the daemon ends", || {
                let ended = daemon.ended();
                async move { ended }
            })
            .await;
            assert!(status.success(), "round {round}");
            daemon = start(&h);
        }
        let served = answers.load(Relaxed);
        until("the last daemon serves", || async { (answers.load(Relaxed) > served).then_some(()) }).await;
    };
    let load = async {
        loop {
            let answer = h.get_with("/hls/vid1/v1/seg0.ts", &token).await;
            assert_eq!(answer.status(), 200, "after {} answers", answers.load(Relaxed));
            answers.fetch_add(1, Relaxed);
        }
    };
    tokio::select! {
        () = restarts => {}
        () = load => {}
    }
}

#[tokio::test]
async fn garbage_and_huge_heads_get_a_clear_refusal() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    let long = "x".repeat(256 * 1024);
    let many: String = (0..300).map(|n| format!("X-{n}: y\r\n")).collect();
    let head = format!("GET /auth HTTP/1.1\r\nHost: hlsgate\r\nX-Hlsgate-Video: {A}\r\nX-Hlsgate-Kind: media\r\n");
    for (bytes, statuses) in [
        // Closed before all was read: the refusal may be lost on its way.
        (format!("{head}Cookie: hlsgate={long}\r\n\r\n").into_bytes(), &["431", "400", ""][..]),
        (format!("{head}{many}Cookie: hlsgate={token}\r\n\r\n").into_bytes(), &["431", "400"]),
        (vec![0xFF; 4096], &["400"]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &["400", ""]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &["400", "505", ""]),
        (b"GET /auth HTTP/1.1\r\nX-Hlsgate-Video\r\n\r\n".to_vec(), &["400"]),
        (b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), &["404"]),
        (b"".to_vec(), &[""]),
    ] {
        let answer = exchange(&h, &bytes).await;
        let status = answer.split(' ').nth(1).unwrap_or("");
        assert!(
            statuses.contains(&status),
            "{:?}…: {answer:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
        );
    }
    // A token of 8 KiB beside a good one harms nobody.
    let mixed = format!("{head}Cookie: hlsgate={}; hlsgate={token}\r\nConnection: close\r\n\r\n", "x".repeat(8192));
    assert!(exchange(&h, mixed.as_bytes()).await.starts_with("HTTP/1.1 204"));
    assert!(!std::fs::read_to_string(h.folder().join("daemon.log")).unwrap().contains("panicked"));
}

/// At every level, and in both forms.
#[tokio::test]
async fn the_log_is_json_where_that_is_asked_for_and_shows_no_token_however_much_it_tells() {
    let mut h = Harness::start().await;
    h.kill_daemon();
    let token = h.token_for(A);
    let start = |arguments: &[&str], level: &str| {
        let mut command = std::process::Command::new(program());
        command.arg("serve").args(arguments).arg("--config").arg(h.config()).env("RUST_LOG", level);
        Process::start(&mut command, &h.folder().join("json.log"))
    };
    let log = || std::fs::read_to_string(h.folder().join("json.log")).unwrap();
    let listens = || until("the daemon listens", || async { StdUnixStream::connect(socket(h.folder())).ok() });

    let told = start(&["--log-format", "json"], "trace");
    listens().await;
    let in_path = PLAYLIST.replace("/hls/", &format!("/hls/~{token}/"));
    for path in [&in_path, &format!("{PLAYLIST}?token={token}")] {
        assert_eq!(h.get(path).await.status(), 200);
    }
    assert_eq!(send(h.request("GET", PLAYLIST).bearer_auth(&token)).await.status(), 200);
    assert_eq!(h.get_with(PLAYLIST, &token).await.status(), 200);
    assert_eq!(h.get_with("/hls/vid10/master.m3u8", &token).await.status(), 403);
    h.run(&["keys", "rotate"]);
    until("the keys are read", || async { log().contains("read the changed keys").then_some(()) }).await;
    drop(told);
    let text = log();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"));
        assert!(["timestamp", "level", "target", "message"].iter().all(|name| line[name].is_string()), "{line}");
    }
    assert!(text.contains("\"reason\":\"other-video\""), "a refusal is told with its reason: {text}");
    let keys: serde_json::Value =
        serde_json::from_slice(&std::fs::read(h.folder().join("keys.json")).unwrap()).unwrap();
    let keys = keys["keys"].as_array().unwrap().iter().map(|key| key["k"].as_str().unwrap());
    for secret in keys.chain(["eyJ", token.split('.').nth(2).unwrap()]) {
        assert!(!text.contains(secret));
    }

    // The flag is nearer than the environment.
    std::fs::write(h.folder().join("json.log"), "").unwrap();
    let quiet = start(&["--log-level", "error"], "trace");
    listens().await;
    assert_eq!(h.get(PLAYLIST).await.status(), 403);
    drop(quiet);
    assert_eq!(log(), "");
}

/// The resident memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn ten_thousand_connections_and_slow_clients_cost_bounded_memory() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, hard) = nix::sys::resource::getrlimit(limit).unwrap();
    nix::sys::resource::setrlimit(limit, hard, hard).unwrap();
    let count = 10_000.min(hard.saturating_sub(500)) as usize;
    let pid = h.daemon().process.pid();
    let before = resident(pid);
    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        // The backlog of the socket is finite: connect as fast as the daemon accepts.
        let stream = until("the daemon accepts", || async { StdUnixStream::connect(socket(h.folder())).ok() }).await;
        connections.push(stream);
    }
    // Half of them begin a request and never end it.
    for stream in connections.iter_mut().step_by(2) {
        std::io::Write::write_all(stream, b"GET /auth HTTP/1.1\r\nHost: ").unwrap();
    }
    // A good viewer is served among them. (The daemon may still be busy with accepting them; players repeat a 5xx too.)
    let served = || async { (h.get_with(PLAYLIST, &token).await.status() == 200).then_some(()) };
    until("a good viewer is served", served).await;
    let grown = resident(pid).saturating_sub(before);
    assert!(grown < count as u64 * 24, "{grown} KiB for {count} connections");
    drop(connections);
    until("a good viewer is served", served).await;
}

#[tokio::test]
async fn health_readiness_and_metrics_are_told_on_the_admin_address() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    h.get_with(PLAYLIST, &token).await;
    h.get(PLAYLIST).await;
    let daemon = h.daemon();
    assert_eq!(daemon.admin("/healthz").await, (200, "ok\n".into()));
    assert_eq!(daemon.admin("/readyz").await, (200, "ready\n".into()));
    assert_eq!(daemon.admin("/auth").await.0, 404);
    assert_eq!(daemon.metric("hlsgate_auth_decisions_total{outcome=\"granted\",reason=\"\"}").await, 1.0);
    assert_eq!(daemon.metric("hlsgate_auth_decisions_total{outcome=\"refused\",reason=\"missing\"}").await, 1.0);
    assert_eq!(daemon.metric("hlsgate_auth_decision_seconds_count").await, 2.0);
    let version = format!("hlsgate_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(daemon.metric(&version).await, 1.0);
}

/// nginx keeps its connections to us only while no answer has a body.
#[tokio::test]
async fn a_thousand_questions_open_no_more_connections_than_nginx_keeps() {
    let h = Harness::start().await;
    let token = h.token_for(A);
    let accepted = |h: &Harness| {
        let log = std::fs::read_to_string(h.folder().join("daemon.log")).unwrap();
        log.lines().filter(|line| line.contains("accepted a connection")).count()
    };
    let before = accepted(&h);
    for round in 0..250 {
        let path = format!("/hls/vid1/v0/seg{}.ts", round % 4);
        for token in [token.as_str(), "", "garbage", &token] {
            let status = h.get_with(&path, token).await.status().as_u16();
            assert!(status == 200 || status == 403);
        }
    }
    // Two workers, one client: each keeps what it opened.
    let opened = accepted(&h) - before;
    assert!(opened <= 4, "1000 questions opened {opened} connections");
}
