//! `hlsgate token issue|inspect|link`: what it prints is what opens, and why another text does not.

use serde_json::Value;

use crate::harness::command::{Desk, Outcome};
use crate::harness::{A, B, Harness, Options};

fn claims(desk: &Desk, token: &str) -> Value {
    let outcome = desk.run_with(&["token", "inspect", "--json"], token);
    let told: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(told["opens"], outcome.code == 0, "{outcome:?}");
    told
}

const PASS: &str = "[passes.summer]\nvideos = [\"vid1\"]\n";

#[test]
fn a_token_says_what_was_asked_for() {
    let desk = Desk::new(PASS);
    let issue = |arguments: &str| {
        let words: Vec<&str> = arguments.split(' ').collect();
        desk.run(&[&["token", "issue"], &words[..]].concat())
    };
    for (arguments, sub, tier, lasts, jti) in [
        ("--video c05f2318", "c05f2318", "gift", None, None),
        ("--video c05f2318 --for 24h", "c05f2318", "gift", Some(86400), None),
        ("--pass summer --tier press --jti press-2026-07", "pass:summer", "press", None, Some("press-2026-07")),
        ("--all --for 90s", "*", "gift", Some(90), None),
    ] {
        let Outcome { code, out, err } = issue(arguments);
        assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 1), "the token alone: {arguments}");
        let told = &claims(&desk, &out)["claims"];
        assert_eq!((&told["sub"], &told["tier"]), (&sub.into(), &tier.into()), "{arguments}");
        let lives = told["exp"].as_u64().map(|exp| exp - told["iat"].as_u64().unwrap());
        assert_eq!(lives, lasts, "{arguments}");
        assert!(jti.is_none_or(|jti| told["jti"] == jti) && !told["jti"].as_str().unwrap().is_empty());
    }
    for (arguments, code, expected) in [
        ("--video c05f2318 --all", 2, "cannot be used with"),
        ("--tier x", 2, "required"),
        ("--video ../etc", 2, "invalid value"),
        ("--video x --for soon", 2, "invalid value"),
        ("--video x --tier a/b", 2, "invalid value"),
        (
            "--video x --jti #1",
            2,
            "error: \"#1\" cannot be a token's id\n  hint: use 1 to 128 printable ASCII characters, no space, no # at the start\n",
        ),
        ("--pass winter", 1, "error: the configuration has no pass \"winter\"\n  hint: it has summer\n"),
        ("--invoice x --for 1h", 2, "cannot be used with"),
        ("--invoice x", 78, "error: DIR/hlsgate.toml has no [btcpay]: there is no payment machine to ask\n"),
    ] {
        let refused = issue(arguments);
        assert_eq!((refused.code, refused.out.as_str()), (code, ""), "{arguments}: {refused:?}");
        assert!(refused.err.contains(expected), "{arguments}: {}", refused.err);
    }
}

#[test]
fn inspect_says_why_a_token_opens_nothing() {
    let desk = Desk::new(PASS);
    let issue = |arguments: &[&str]| desk.run(&[&["token", "issue"], arguments].concat()).succeeded().trim().to_owned();
    let good = issue(&["--pass", "summer", "--for", "1h", "--jti", "gift-1"]);
    let told = desk.run_with(&["token", "inspect", "-"], &format!("\n {good} \n")).succeeded();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        (lines[0], lines[1], lines[4], lines[5]),
        ("opens    the videos of pass summer", "tier     gift", "id       gift-1", "valid    yes")
    );
    assert!(lines[2].starts_with("issued   20") && lines[3].starts_with("expires  20"), "{told}");
    let forever = issue(&["--all", "--jti", "gift-2"]);
    assert!(desk.run(&["token", "inspect", &forever]).succeeded().contains("opens    every video\n"));
    desk.run(&["revoke", "gift-2"]).succeeded();

    let stranger = Desk::new("").run(&["token", "issue", "--all"]).succeeded();
    let expired = issue(&["--all", "--for", "0s"]);
    let changed = crate::harness::forged(&good);
    for (token, expected) in [
        (&*forever, "valid    no: the token gift-2 was revoked"),
        (&*expired, "valid    no: it expired at "),
        (&*stranger, "valid    no: the token names key \""),
        (&*changed, "valid    no: "),
        ("hello", "valid    no: not a token: "),
    ] {
        let told = desk.run_with(&["token", "inspect"], token);
        assert_eq!((told.code, told.err.as_str()), (1, ""), "{told:?}");
        assert!(told.out.lines().last().unwrap().starts_with(expected), "{told:?}, expected {expected}");
        assert!(!told.out.contains("eyJ"), "a token shows");
        assert_eq!(claims(&desk, token)["opens"], false);
    }
    let nothing = desk.run_with(&["token", "inspect"], "");
    assert!(nothing.code == 2 && nothing.err.starts_with("error: nothing came in"), "{nothing:?}");
    // A pass that the configuration no longer has.
    std::fs::write(desk.file("hlsgate.toml"), desk.read("hlsgate.toml").replace("summer", "winter")).unwrap();
    let told = desk.run_with(&["token", "inspect"], &good);
    assert_eq!(
        (told.code, told.out.lines().last().unwrap()),
        (1, "valid    no: the configuration has no pass \"summer\"")
    );
}

#[tokio::test]
async fn links_open_the_film() {
    let h =
        Harness::with(Options { config_top: "public_url = \"https://video.example\"".into(), ..Options::default() })
            .await;
    let links = h.run(&["token", "link", "--video", A, "--for", "1h"]);
    let (browser, player) = links.trim_end().split_once('\n').unwrap();
    let token = browser.strip_prefix("browser  https://video.example/watch.html?v=vid1#restore=").expect(browser);
    let player = player.strip_prefix("player   https://video.example").expect(player);
    assert_eq!(player, format!("/hls/~{token}/vid1/master.m3u8"));
    assert_eq!(h.get(player).await.status(), 200);

    let other = h.run(&["token", "link", "--all", "--watch", B, "--file", "v0/index.m3u8"]);
    assert!(other.lines().nth(1).unwrap().ends_with("/vid10/v0/index.m3u8"), "{other}");
    let which = Desk::new("").run(&["token", "link", "--all"]);
    assert_eq!(
        (which.code, which.err.as_str()),
        (
            1,
            "error: the configuration does not say where the site is\n  hint: set public_url = \"https://video.example\"\n"
        )
    );
    let which = Desk::new("public_url = \"https://video.example\"").run(&["token", "link", "--all"]);
    assert_eq!(
        (which.code, which.err.as_str()),
        (2, "error: which video should the links lead to?\n  hint: add --watch ID\n")
    );
}
