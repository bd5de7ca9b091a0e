//! Tokens: every vector, other people's libraries, and ten thousand attempts.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::random::Random;
use hlsgate::gate::Revocations;
use hlsgate::gate::UnixTime;
use hlsgate::gate::{AuthRequest, CarriedTokens, Carrier, Kind, Policy, decide};
use hlsgate::gate::{Jti, NewToken};
use hlsgate::gate::{JwkSet, Keyring};
use hlsgate::gate::{PassVideos, Passes};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const FILE: &str = include_str!("../vectors/token.json");

/// A vector: `{"name","flags","token"|"token_hex","video","now","expect"}` and settings of the gate.
#[derive(Deserialize)]
struct Vector {
    name: String,
    flags: Vec<String>,
    token: Option<String>,
    token_hex: Option<String>,
    video: String,
    kind: Option<String>,
    now: u64,
    #[serde(default)]
    leeway: u64,
    #[serde(default)]
    grace: u64,
    expect: String,
}

impl Vector {
    fn bytes(&self) -> Vec<u8> {
        match (&self.token, &self.token_hex) {
            (Some(token), _) => token.clone().into_bytes(),
            (None, Some(hex)) => {
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
            }
            (None, None) => panic!("{} has no token", self.name),
        }
    }
}

fn vectors() -> (Policy, Vec<Vector>) {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let revoked: Vec<&str> = file["revoked"].as_array().unwrap().iter().map(|jti| jti.as_str().unwrap()).collect();
    let passes = file["passes"].as_object().unwrap().iter().map(|(name, videos)| {
        let listed =
            |ids: &Vec<Value>| PassVideos::Listed(ids.iter().map(|id| id.as_str().unwrap().parse().unwrap()).collect());
        (name.parse().unwrap(), videos.as_array().map_or(PassVideos::All, listed))
    });
    let policy = Policy {
        keyring: Keyring::new(&JwkSet::parse(format!("{{\"keys\":{}}}", file["keys"]).as_bytes()).unwrap()),
        revocations: Revocations::parse(&revoked.join("\n")).unwrap(),
        passes: Passes::new(passes),
        leeway: 0,
        grace: 0,
    };
    (policy, serde_json::from_value(file["vectors"].clone()).unwrap())
}

/// The reason, or `granted`.
fn outcome(policy: &Policy, token: Vec<u8>, video: &str, kind: Kind, now: u64) -> &'static str {
    let mut tokens = CarriedTokens::default();
    tokens.push(Carrier::Cookie, token);
    let request = AuthRequest { video: video.parse().unwrap(), kind, tokens };
    decide(&request, policy, UnixTime(now)).map_or_else(|refusal| refusal.reason(), |_| "granted")
}

#[test]
fn token_vectors() {
    let (policy, vectors) = vectors();
    assert!(vectors.len() > 100, "the file lost its vectors");
    let mut wrong = Vec::new();
    for vector in &vectors {
        let policy = Policy { leeway: vector.leeway, grace: vector.grace, ..policy.clone() };
        let kinds = match vector.kind.as_deref() {
            Some(kind) => vec![Kind::from_bytes(kind.as_bytes()).unwrap()],
            None => vec![Kind::Playlist, Kind::Media],
        };
        for kind in kinds {
            let got = outcome(&policy, vector.bytes(), &vector.video, kind, vector.now);
            if got != vector.expect {
                wrong.push(format!("{} {:?}: {got}, expected {}", vector.name, vector.flags, vector.expect));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The independent library of crates.io.
#[test]
fn another_jwt_library_verifies_ours_and_makes_tokens_that_open() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Claims {
        sub: String,
        tier: String,
        iat: u64,
        exp: u64,
        jti: String,
    }
    let (policy, vectors) = vectors();
    let now = vectors[0].now;
    let secret: Vec<u8> = (0..32).collect();
    let claims = Claims { sub: "vid1".into(), tier: "24h".into(), iat: now, exp: now + 60, jti: "j1".into() };

    let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) };
    let theirs = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap();
    assert_eq!(outcome(&policy, theirs.into_bytes(), "vid1", Kind::Playlist, now), "granted");

    let ours = NewToken {
        sub: "vid1".parse().unwrap(),
        tier: "24h".parse().unwrap(),
        iat: UnixTime(now),
        exp: Some(UnixTime(now + 60)),
        jti: Jti::from("j1").unwrap(),
    };
    let ours = ours.sign(policy.keyring.find("k1").unwrap());
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    let read = jsonwebtoken::decode::<Claims>(ours.expose(), &DecodingKey::from_secret(&secret), &validation).unwrap();
    assert_eq!(read.claims, claims);
    assert_eq!(read.header.kid.as_deref(), Some("k1"));
}

/// Python's library, from Debian's package.
#[test]
fn pyjwt_verifies_ours_and_makes_tokens_that_open() {
    const SCRIPT: &str = "
import json, jwt, sys
ours, claims, key = sys.argv[1], json.loads(sys.argv[2]), bytes(range(32))
options = {'verify_exp': False, 'verify_iat': False}
assert jwt.get_unverified_header(ours) == {'alg': 'HS256', 'kid': 'k1'}
assert jwt.decode(ours, key, algorithms=['HS256'], options=options) == claims
print(jwt.encode(claims, key, algorithm='HS256', headers={'kid': 'k1'}))
";
    let (policy, vectors) = vectors();
    let ours = String::from_utf8(vectors[0].bytes()).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(ours.split('.').nth(1).unwrap()).unwrap();
    let claims = std::str::from_utf8(&claims).unwrap();
    // Not whichever Python comes first in the path: the library is Debian's.
    let output = Command::new("/usr/bin/python3").args(["-c", SCRIPT, &ours, claims]).output();
    let output = output.expect("the package python3-jwt is installed; tests/run does it");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\n(the package python3-jwt is needed; tests/run installs it)");
    let theirs = output.stdout.trim_ascii().to_vec();
    assert_eq!(outcome(&policy, theirs, "vid1", Kind::Playlist, vectors[0].now), "granted");
}

/// Mutations of a good token that leave its meaning alone do not exist: whatever differs by a byte is refused.
#[test]
fn ten_thousand_random_and_mutated_tokens_open_nothing() {
    let (policy, vectors) = vectors();
    let good = vectors[0].bytes();
    let now = vectors[0].now;
    assert_eq!(outcome(&policy, good.clone(), "vid1", Kind::Media, now), "granted");
    let mut random = Random::seeded(1);
    // `tests/campaign` tries more.
    let attempts = std::env::var("HLSGATE_TOKENS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    for attempt in 0..attempts {
        let token: Vec<u8> = match attempt % 4 {
            0 => (0..random.below(300)).map(|_| random.below(256) as u8).collect(),
            1 => {
                let mut token = good.clone();
                let at = random.below(token.len());
                token[at] ^= 1 << random.below(8);
                token
            }
            2 => {
                let mut token = good.clone();
                let (from, to) = (random.below(token.len()), random.below(token.len()));
                let moved = token.remove(from);
                token.insert(to, moved);
                token
            }
            _ => {
                let mut token = good.clone();
                let at = random.below(token.len());
                let letter = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."[random.below(65)];
                token.splice(at..at + random.below(2), [letter]);
                token
            }
        };
        if token != good {
            let got = outcome(&policy, token.clone(), "vid1", Kind::Media, now);
            assert_ne!(got, "granted", "attempt {attempt}: {:?}", String::from_utf8_lossy(&token));
        }
    }
}
