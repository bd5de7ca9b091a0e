//! What must stand in no log and no metric, and the search for it: every log of the suite goes through here.
//!
//! Tokens, orders, claims, tags and API keys are known by their shape, so no test has to say which it made. Keys and the
//! webhook's secrets, which may look like anything, are read from their files.

use std::collections::BTreeSet;
use std::path::Path;

/// Base64url of `{"`: every token and order begins like this.
const JWS: &str = "eyJ";
/// Its header alone is longer. The ids of invoices are shorter, and among thousands of these one has [`JWS`] in it.
const JWS_LEN: usize = 24;
/// Characters of a claim; also those of a tag in hexadecimal.
const CLAIM_LEN: usize = 64;
/// Hexadecimal digits of an API key.
const API_KEY_LEN: usize = 40;
/// Files of an installation that hold secrets, one a line or in a JWK Set.
const FILES: [&str; 3] = ["keys.json", "btcpay-api-key", "btcpay-webhook-secret"];

/// The secrets of one installation that no shape tells.
#[derive(Default)]
pub struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Notes all that stands in the folder's secret files now: a later rotation takes nothing away.
    pub fn note_folder(&mut self, folder: &Path) {
        for name in FILES {
            let Ok(text) = std::fs::read_to_string(folder.join(name)) else { continue };
            match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(set) if set.is_object() => {
                    let keys = set["keys"].as_array().into_iter().flatten();
                    keys.filter_map(|key| key["k"].as_str()).for_each(|key| self.note(key));
                }
                _ => text.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| self.note(line)),
            }
        }
    }

    /// Notes one secret.
    pub fn note(&mut self, secret: &str) {
        self.0.insert(secret.to_owned());
    }

    /// What kind of secret a text shows, and in which line; the secret itself is not repeated.
    pub fn shown_in(&self, text: &str) -> Option<String> {
        text.lines().zip(1..).find_map(|(line, number)| Some(format!("{} in line {number}", self.kind(line)?)))
    }

    /// The same for those secrets only that never stand in a request line: nginx's own error log prints request lines.
    pub fn kept_shown_in(&self, text: &str) -> Option<String> {
        let kept = |line: &str| self.0.iter().any(|secret| line.contains(secret.as_str()));
        text.lines().zip(1..).find_map(|(line, number)| kept(line).then(|| format!("a kept secret in line {number}")))
    }

    fn kind(&self, line: &str) -> Option<&'static str> {
        if self.0.iter().any(|secret| line.contains(secret.as_str())) {
            return Some("a key, an API key or a webhook's secret");
        }
        // Words of the characters that base64url and hexadecimal numbers have.
        line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).find_map(shape)
    }
}

fn shape(word: &str) -> Option<&'static str> {
    if word.find(JWS).is_some_and(|at| word.len() - at >= JWS_LEN) {
        return Some("a token or an order");
    }
    let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
    let has = |class: fn(&u8) -> bool| word.bytes().any(|byte| class(&byte));
    // Random characters are many different ones, of all classes; a test's own long name is not of this kind.
    let different = word.bytes().collect::<BTreeSet<_>>().len();
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    match word.len() {
        CLAIM_LEN if mixed && different >= 16 => Some("a claim"),
        CLAIM_LEN if hex && different >= 8 => Some("a tag"),
        API_KEY_LEN if hex && different >= 8 => Some("an API key"),
        _ => None,
    }
}

/// The search is worth nothing unless it finds each kind, wherever in a line it stands.
#[test]
fn the_search_for_secrets_is_not_blind() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("write a secret");
    put("keys.json", r#"{"keys":[{"kty":"oct","kid":"k1","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}"#);
    put("btcpay-webhook-secret", "todays-secret\nyesterdays secret\n");
    let mut secrets = Secrets::default();
    secrets.note_folder(folder.path());
    put("keys.json", r#"{"keys":[{"kty":"oct","kid":"k2","k":"a-key-of-later"}]}"#);
    secrets.note_folder(folder.path());
    for (kind, secret) in [
        ("a key, an API key or a webhook's secret", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        ("a key, an API key or a webhook's secret", "a-key-of-later"),
        ("a key, an API key or a webhook's secret", "todays-secret"),
        ("a key, an API key or a webhook's secret", "yesterdays secret"),
        ("a token or an order", "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.e30.c2ln"),
        ("a claim", "950pI6BtI3IfX6o9D5lqccLc0QzkhR10h7qQXVDebGDBmn7PeXUIyQjtZdAhLfAq"),
        ("a tag", "2d2ff578f1b467773294a1660eca4fdc99a50467f1dfda5b4998346e4c9f4cff"),
        ("an API key", "0123456789abcdef0123456789abcdef01234567"),
    ] {
        for line in [
            secret.to_owned(),
            format!("2026-11-26 INFO x=\"{secret}\""),
            format!("GET /hlsgate/a?token={secret}&b HTTP/1.1"),
            format!("hlsgate_pending=HMprBnL9BTXWuPvpoKBS6e~{secret}; x"),
            format!("sha256={secret}"),
        ] {
            let text = format!("nothing here\n{line}\n");
            assert_eq!(secrets.shown_in(&text).as_deref(), Some(format!("{kind} in line 2").as_str()), "{line}");
        }
    }
    for fine in [
        "invoice=HMprBnL9BTXWuPvpoKBS6e store=9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776 after=3",
        "invoice=eyJrBnL9BTXWuPvpoKBS6e after=3",
        "GET /hls/vid1/v0/seg0.ts 403 missing",
        &format!("GET /hls/{}/x", "v".repeat(64)),
        &format!("GET /hls/{}/x", "a".repeat(64)),
        &format!("GET /hls/61A{}/x", "a".repeat(61)),
    ] {
        assert_eq!(secrets.shown_in(fine), None, "{fine}");
    }
    assert_eq!(secrets.kept_shown_in("a\neyJx a-key-of-later").as_deref(), Some("a kept secret in line 2"));
    assert_eq!(secrets.kept_shown_in("GET /hls/~eyJx/"), None);
}
