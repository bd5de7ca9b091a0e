//! The long campaigns of `tests/campaign`: each is bounded, and none is part of the usual run (`--ignored`). What they found stands
//! in `docs/security.md`.

use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::command::program;
use crate::harness::daemon::{socket, start_with_socket};
use crate::harness::random::Random;
use crate::harness::shop::{Shop, WEBHOOK, Wish};
use crate::harness::{A, Harness, send, until};

const SEGMENT: &str = "/hls/vid1/v0/seg0.ts";

/// How often something is done: as the environment says, else this often.
fn times(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Kills at random moments of a sale, a rotation and a revocation: what was paid opens, what was not does not, and a revocation
/// that was reported is in force.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: tests/campaign runs it"]
async fn kills_at_random_moments_lose_no_sale_and_give_nothing_away() {
    let kills = times("HLSGATE_KILLS", 500);
    let config = "[shop]\ninvoices_per_minute = 100000\n";
    let mut shop = Shop::with(Wish { config, ..Wish::default() }).await;
    let mut random = Random::seeded(times("HLSGATE_SEED", 1));
    let (mut paid, mut unpaid, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
    let direct = shop.direct();
    for kill in 0..kills {
        // A sale straight at the daemon: nginx would limit this address.
        let ordered =
            direct.post(format!("http://hlsgate/hlsgate/videos/{A}/invoices")).json(&json!({ "tier": "24h" }));
        if let Ok(response) = ordered.send().await
            && response.status() == 201
        {
            let bought = shop.purchase(response).await;
            match random.below(3) {
                0 => unpaid.push(bought),
                _ => {
                    shop.btcpay.pay(&bought.invoice).await;
                    paid.push(bought);
                }
            }
        }
        match random.below(8) {
            0 => drop(shop.h.run(&["keys", "rotate"])),
            1 => {
                let id = format!("campaign-{kill}");
                let token = shop.h.token(&["--video", A, "--jti", &id]);
                shop.h.run(&["revoke", &id]);
                revoked.push(token);
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(random.below(40) as u64)).await;
        shop.h.kill_daemon();
        shop.h.start_daemon().await;
        if kill % 25 == 24 || kill + 1 == kills {
            for bought in paid.drain(..) {
                let token = shop.token(&bought, Duration::from_secs(30)).await;
                assert_eq!(shop.h.get_with(SEGMENT, &token).await.status(), 200, "kill {kill}");
            }
            for bought in unpaid.drain(..) {
                assert_eq!(shop.status(&bought).await, "new", "kill {kill}");
            }
            for token in revoked.drain(..) {
                assert_eq!(shop.h.get_with(SEGMENT, &token).await.status(), 403, "kill {kill}");
            }
            println!("{} kills: nothing lost, nothing given away", kill + 1);
        }
    }
}

/// Asks without a pause until told to stop; gives how often, and what was not 200.
async fn load(h: &Harness, token: &str, viewers: usize, stop: Arc<AtomicBool>) -> (u64, Vec<u16>) {
    let asked = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..viewers {
        let request = h.request("GET", SEGMENT).header("Cookie", format!("hlsgate={token}"));
        let (asked, stop) = (asked.clone(), stop.clone());
        tasks.spawn(async move {
            let mut failed = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let status =
                    request.try_clone().expect("no body").send().await.map_or(0, |answer| answer.status().as_u16());
                asked.fetch_add(1, Ordering::Relaxed);
                if status != 200 {
                    failed.push(status);
                }
            }
            failed
        });
    }
    let failed = tasks.join_all().await.into_iter().flatten().collect();
    (asked.load(Ordering::Relaxed), failed)
}

/// Restarts, kills and upgrades under load, with a socket that outlives the daemon, as systemd keeps it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: tests/campaign runs it"]
async fn restarts_under_load_fail_no_request() {
    let restarts = times("HLSGATE_RESTARTS", 100);
    let mut h = Harness::start().await;
    let token = h.token_for(A);
    h.kill_daemon();
    let path = socket(h.folder());
    let _ = std::fs::remove_file(&path);
    let listener = StdUnixListener::bind(&path).expect("a socket");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("its mode");
    let mut daemon = start_with_socket(&h.config(), h.folder(), &listener);
    assert_eq!(h.get_with(SEGMENT, &token).await.status(), 200);
    let stop = Arc::new(AtomicBool::new(false));
    let (config, folder, stopping) = (h.config(), h.folder().to_owned(), stop.clone());
    let restarting = tokio::task::spawn_blocking(move || {
        for restart in 0..restarts {
            std::thread::sleep(Duration::from_millis(100));
            match restart % 3 {
                0 => drop(daemon),
                how => {
                    daemon.signal("TERM");
                    // An upgrade starts the next one before the old one has drained.
                    while how == 1 && daemon.ended().is_none() {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            }
            daemon = start_with_socket(&config, &folder, &listener);
        }
        stopping.store(true, Ordering::Relaxed);
        daemon
    });
    let (asked, failed) = load(&h, &token, 8, stop).await;
    drop(restarting.await.expect("restarted"));
    println!("{restarts} restarts, {asked} requests, {} failed", failed.len());
    assert!(asked > restarts * 10, "{asked}");
    assert_eq!(failed, Vec::<u16>::new());
}

/// 10,000 idle connections and 200 forged webhooks a second: viewers' p99 stays within 1.5 times (or 5 ms, where both are nothing).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: tests/campaign runs it"]
async fn idle_connections_and_forged_webhooks_leave_viewers_alone() {
    let shop = Shop::start().await;
    let token = shop.h.token_for(A);
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, hard) = nix::sys::resource::getrlimit(limit).unwrap();
    nix::sys::resource::setrlimit(limit, hard, hard).unwrap();
    let measure = async || {
        let mut took = Vec::new();
        for _ in 0..2000 {
            let began = Instant::now();
            assert_eq!(shop.h.get_with(SEGMENT, &token).await.status(), 200);
            took.push(began.elapsed());
        }
        took.sort();
        took[took.len() * 99 / 100]
    };
    measure().await;
    let before = measure().await;
    let mut idle = Vec::new();
    let count = 10_000.min(hard.saturating_sub(1000)) as usize;
    while idle.len() < count {
        let connect = || async { std::os::unix::net::UnixStream::connect(socket(shop.h.folder())).ok() };
        idle.push(until("the daemon accepts", connect).await);
    }
    let (client, url) = (reqwest::Client::new(), shop.h.url(WEBHOOK));
    let forging = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            let forged = client.post(&url).header("BTCPay-Sig", "sha256=00").json(&json!({ "type": "InvoiceSettled" }));
            tokio::spawn(async move { assert_eq!(send(forged).await.status(), 403) });
        }
    });
    let under = measure().await;
    forging.abort();
    println!("p99 before {before:?}, with {count} idle connections and 200 forged webhooks a second {under:?}");
    assert!(under <= before * 3 / 2 + Duration::from_millis(5), "{before:?} → {under:?}");
}

/// A daemon with hardly any descriptors waits and goes on; a revocation that cannot be written is an error and changes nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: tests/campaign runs it"]
async fn without_descriptors_it_waits_and_a_full_disk_loses_nothing() {
    let mut h = Harness::start().await;
    let token = h.token_for(A);
    h.kill_daemon();
    let mut command = std::process::Command::new("prlimit");
    let arguments = ["--nofile=40:40", program(), "serve", "--config"];
    let config = h.config();
    let narrow =
        crate::harness::process::Process::start(command.args(arguments).arg(&config), &h.folder().join("daemon.log"));
    let path = socket(h.folder());
    until("it listens", || async { std::os::unix::net::UnixStream::connect(&path).ok() }).await;
    // More than it can hold: the rest waits in the backlog.
    let held: Vec<_> = (0..60).filter_map(|_| std::os::unix::net::UnixStream::connect(&path).ok()).collect();
    assert!(held.len() > 40);
    drop(held);
    until("it goes on", || async { (h.get_with(SEGMENT, &token).await.status() == 200).then_some(()) }).await;
    drop(narrow);
    h.start_daemon().await;

    let full = h.folder().join("full");
    std::fs::create_dir(&full).unwrap();
    let at = full.to_str().unwrap();
    crate::harness::process::output("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", at]);
    let text = std::fs::read_to_string(&config).unwrap();
    let revoked = full.join("revoked");
    std::fs::write(&config, text.replace("file = \"revoked\"", &format!("file = \"{}\"", revoked.display()))).unwrap();
    std::fs::write(&revoked, "known\n").unwrap();
    h.daemon().process.signal("HUP");
    let known = h.token(&["--video", A, "--jti", "known"]);
    until("it is revoked", || async { (h.get_with(SEGMENT, &known).await.status() == 403).then_some(()) }).await;
    // To the last byte: a page is taken whole, and what lies beside a page's end costs nothing.
    let mut filler = std::fs::File::create(full.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    let mut own = std::fs::OpenOptions::new().append(true).open(&revoked).unwrap();
    while std::io::Write::write_all(&mut own, b"#").is_ok() {}
    drop((filler, own));
    let before = std::fs::read_to_string(&revoked).unwrap();
    let mut revoke = std::process::Command::new(program());
    let outcome = revoke.args(["revoke", "--config"]).arg(&config).arg("another").output().unwrap();
    let (succeeded, kept) = (outcome.status.success(), std::fs::read_to_string(&revoked).unwrap());
    let still = h.get_with(SEGMENT, &known).await.status().as_u16();
    let other = h.get_with(SEGMENT, &token).await.status().as_u16();
    crate::harness::process::output("umount", &[at]);
    assert!(!succeeded && kept == before, "{outcome:?}");
    assert_eq!((still, other), (403, 200));
}

/// Clocks that step: a token opens exactly while the clock is between its bounds, however it got there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: tests/campaign runs it"]
async fn clock_steps_open_nothing_late_and_shut_nothing_early() {
    let mut h = Harness::start().await;
    let hour = h.token_for(A);
    h.kill_daemon();
    let rc = h.folder().join("faketime");
    std::fs::write(&rc, "+0\n").unwrap();
    let library = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    ];
    let library = library.iter().find(|file| std::path::Path::new(file).exists()).expect("the package libfaketime");
    let mut command = std::process::Command::new(program());
    command.args(["serve", "--config"]).arg(h.config());
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &rc).env("FAKETIME_NO_CACHE", "1");
    command.env("DONT_FAKE_MONOTONIC", "1");
    let _daemon = crate::harness::process::Process::start(&mut command, &h.folder().join("daemon.log"));
    let path = socket(h.folder());
    until("it listens", || async { std::os::unix::net::UnixStream::connect(&path).ok() }).await;
    let mut random = Random::seeded(7);
    for step in 0..times("HLSGATE_STEPS", 200) {
        let ahead = random.below(7200) as i64 - 600;
        if (ahead - 3600).abs() < 30 {
            continue;
        }
        std::fs::write(&rc, format!("{ahead:+}\n")).unwrap();
        let expected = if ahead < 3600 { 200 } else { 403 };
        assert_eq!(h.get_with(SEGMENT, &hour).await.status(), expected, "step {step}: {ahead} s ahead");
    }
}
