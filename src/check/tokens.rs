//! Tokens for asking: a good one that lasts ten minutes, and one for every way to be wrong. None is ever printed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::failure::Failure;
use crate::gate::jwk::{Jwk, JwkSet, MIN_KEY_LEN, Secret};
use crate::gate::keyring::Keyring;
use crate::gate::scope::{Scope, Tier, VideoId};
use crate::gate::time::UnixTime;
use crate::gate::token::{Jti, NewToken};
use crate::live::Live;
use crate::live::clock::now;
use crate::random;

/// For how many seconds the good token opens: long enough for every question of one run, from afar and over TLS.
const LASTS: u64 = 600;

/// The tokens of one run.
pub(super) struct TestTokens {
    /// Opens the video for [`LASTS`] seconds.
    pub good: String,
    /// As good, but for a video whose id the first one's begins or continues.
    pub other: String,
    /// The video of `other`.
    pub other_video: VideoId,
    /// Texts that must not open anything, with what is wrong with each.
    pub bad: Vec<(&'static str, String)>,
}

impl TestTokens {
    /// Signs with the first key of the configuration.
    pub(super) fn new(live: &Live, video: VideoId) -> Result<TestTokens, Failure> {
        let keyring = &live.policy.keyring;
        let signing = keyring.signing();
        let other_video = look_alike(&video);
        let claims = claims(video, &format!("check-{}", random::name::<12>()?))?;
        let good = claims.sign(signing).expose().to_owned();
        let long_ago = live.policy.leeway.saturating_add(live.policy.grace).saturating_add(LASTS);
        let expired = NewToken { exp: Some(UnixTime(claims.iat.0.saturating_sub(long_ago))), ..claims };
        let other = NewToken { sub: Scope::Video(other_video), ..claims };

        let mut bad = vec![
            ("an expired token", expired.sign(signing).expose().to_owned()),
            (
                "a token of a forged key under the right name",
                claims.sign(stranger(signing.kid())?.signing()).expose().to_owned(),
            ),
            (
                "a token of an unknown key",
                claims.sign(stranger("hlsgate-check-stranger")?.signing()).expose().to_owned(),
            ),
            ("an unsigned token (alg none)", with_header(&good, r#"{"alg":"none"}"#, "")),
            ("an unsigned token that keeps a signature", with_header(&good, r#"{"alg":"none"}"#, signature(&good))),
            (
                "a token whose header says HS512",
                with_header(&good, &format!(r#"{{"alg":"HS512","kid":"{}"}}"#, signing.kid()), signature(&good)),
            ),
            ("a token with another video written into it", rewritten(other.sign(signing).expose(), &good)),
            ("a token without its signature", good[..=good.rfind('.').unwrap_or(0)].to_owned()),
            ("a token cut short", good[..good.len() - 4].to_owned()),
            ("a token with something behind it", format!("{good}A")),
            ("something that is no token", "hlsgate".into()),
        ];
        if let Some(retired) = keyring.iter().find(|key| key.retired()) {
            bad.push(("a token of a retired key", claims.sign(retired).expose().to_owned()));
        }
        if let Some(last) = good.chars().last() {
            // The last character's low bits are padding: the one before it is all signature.
            let flipped = if good.as_bytes()[good.len() - 2] == b'A' { "B" } else { "A" };
            bad.push(("a token with one flipped character", format!("{}{flipped}{last}", &good[..good.len() - 2])));
        }
        Ok(TestTokens { good, other: other.sign(signing).expose().to_owned(), other_video, bad })
    }
}

/// A token of this id that opens the video for [`LASTS`] seconds, unless the id is revoked.
pub(super) fn with_jti(live: &Live, video: VideoId, jti: &str) -> Result<String, Failure> {
    Ok(claims(video, jti)?.sign(live.policy.keyring.signing()).expose().to_owned())
}

fn claims(video: VideoId, jti: &str) -> Result<NewToken, Failure> {
    let now = now();
    Ok(NewToken {
        sub: Scope::Video(video),
        tier: "check".parse::<Tier>().map_err(|err| Failure::new(err.to_string()))?,
        iat: now,
        exp: Some(now.plus(LASTS)),
        jti: Jti::from(jti).unwrap_or_default(),
    })
}

/// An id that a careless comparison takes for the same: one character shorter, or longer where there is no shorter one.
fn look_alike(video: &VideoId) -> VideoId {
    let text = video.as_str();
    let shorter = VideoId::from_bytes(&text.as_bytes()[..text.len() - 1]);
    shorter.or_else(|| VideoId::from_bytes(format!("{text}0").as_bytes())).unwrap_or(*video)
}

fn stranger(kid: &str) -> Result<Keyring, Failure> {
    let mut secret = vec![0; MIN_KEY_LEN];
    random::fill(&mut secret)?;
    Ok(Keyring::new(&JwkSet::new(vec![Jwk::new(kid.to_owned(), Secret::new(secret), 0)])))
}

fn parts(token: &str) -> (&str, &str, &str) {
    let mut parts = token.splitn(3, '.');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn signature(token: &str) -> &str {
    parts(token).2
}

fn with_header(token: &str, header: &str, signature: &str) -> String {
    format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), parts(token).1)
}

/// The claims of `good` under the signature of another token.
fn rewritten(signed: &str, good: &str) -> String {
    format!("{}.{}.{}", parts(signed).0, parts(good).1, parts(signed).2)
}
