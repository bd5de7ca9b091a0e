//! May the bearer of these tokens have this file of this video, now?

use arrayvec::ArrayVec;

use super::keyring::Keyring;
use super::revocations::Revocations;
use super::scope::{Passes, Scope, Tier, VideoId};
use super::time::UnixTime;
use super::token::{Claims, TokenError, UntrustedToken};

/// Most tokens of one request that are looked at; further ones are passed over.
pub(crate) const MAX_TOKENS: usize = 32;

/// What nginx asks.
#[derive(Clone, Debug)]
pub struct AuthRequest<'a> {
    /// The video that nginx is about to serve a file of.
    pub video: VideoId,
    /// What kind of file it is.
    pub kind: Kind,
    /// The tokens that came along.
    pub tokens: CarriedTokens<'a>,
}

/// Tokens as they came, at most [`MAX_TOKENS`].
#[derive(Clone, Debug, Default)]
pub struct CarriedTokens<'a>(ArrayVec<CarriedToken<'a>, MAX_TOKENS>);

/// One token and the way it came.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CarriedToken<'a> {
    /// Where it was found.
    pub(crate) carrier: Carrier,
    /// Its text, decoded from its carrier's own encoding.
    pub(crate) text: std::borrow::Cow<'a, [u8]>,
}

/// Where a token can stand in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `/hls/~TOKEN/VIDEO/…`
    Path,
    /// `?token=TOKEN`
    Query,
    /// `Authorization: Bearer TOKEN`
    Bearer,
    /// A cookie `hlsgate` or `hlsgate_*`
    Cookie,
}

/// What nginx tells of the file: `X-Hlsgate-Kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A playlist: asked for once or twice a viewing.
    Playlist,
    /// A segment, a key, anything else.
    Media,
}

/// What the configuration says of the gate.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Who can sign.
    pub keyring: Keyring,
    /// What no longer opens.
    pub revocations: Revocations,
    /// Which videos each pass holds.
    pub passes: Passes,
    /// Seconds that clocks may differ.
    pub leeway: u64,
    /// Seconds for which an expired token goes on opening, so that a film that began in time is not cut.
    pub grace: u64,
}

/// The viewer may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// The tier of the longest-lived token that opens.
    pub(crate) tier: Tier,
    /// Its first refused second; `None` never expires.
    pub(crate) expires: Option<UnixTime>,
    /// A cookie that the answer should set, so that the next requests carry the token by themselves.
    pub(crate) cookie: Option<CookieGrant<'a>>,
}

/// A token that is worth a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CookieGrant<'a> {
    /// The token's text: ASCII without `;`, since it verified.
    pub(crate) token: &'a [u8],
    /// What it opens: the cookie's name and path follow from it.
    pub(crate) sub: Scope,
    /// Its first refused second; `None` never expires.
    pub(crate) expires: Option<UnixTime>,
}

/// Why the viewer may not have it, the most hopeful reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// A good token, but not at this time.
    Expired,
    /// A good token, but for other videos.
    OtherVideo,
    /// On the list of revocations.
    Revoked,
    /// Signed by a key that is unknown or retired.
    UnknownKey,
    /// Forged, or damaged.
    BadSignature,
    /// Not a token.
    Malformed,
    /// No token.
    Missing,
    /// Not a question that nginx asks: no or bad video id, kind or header.
    BadRequest,
}

/// Looks at every token and grants by the longest-lived one that opens the file.
pub fn decide<'a>(request: &'a AuthRequest<'_>, policy: &Policy, now: UnixTime) -> Result<Grant<'a>, Refusal> {
    let mut refusal = Refusal::Missing;
    let mut opening: ArrayVec<(&CarriedToken<'_>, Claims), MAX_TOKENS> = ArrayVec::new();
    for token in &request.tokens.0 {
        match open(&token.text, request, policy, now) {
            Ok(claims) => opening.push((token, claims)),
            Err(reason) => refusal = refusal.min(reason),
        }
    }
    let Some(claims) = opening.iter().map(|(_, claims)| claims).max_by_key(|claims| lifetime(claims)) else {
        return Err(refusal);
    };
    let cookie = match request.kind {
        Kind::Playlist => cookie_to_set(&opening),
        Kind::Media => None,
    };
    Ok(Grant { tier: *claims.tier(), expires: claims.exp(), cookie })
}

/// In its grace a token opens what it opened before, playlists too: a live player reloads its playlist every few seconds, and
/// any player does when it changes the level. No player goes on after a refusal.
fn open(text: &[u8], request: &AuthRequest<'_>, policy: &Policy, now: UnixTime) -> Result<Claims, Refusal> {
    let claims = UntrustedToken::parse(text)?.verify(&policy.keyring)?;
    if let Some(err) = claims.refused_at(now, policy.leeway, policy.grace, &policy.revocations) {
        return Err(err.into());
    }
    match claims.sub().covers(&request.video, &policy.passes) {
        true => Ok(claims),
        false => Err(Refusal::OtherVideo),
    }
}

/// A query token earns a cookie, unless another carrier already brings one that lasts as long. A cookie that never
/// expires is set again, since browsers keep none for longer than 400 days.
fn cookie_to_set<'a>(opening: &[(&'a CarriedToken<'_>, Claims)]) -> Option<CookieGrant<'a>> {
    let longest_by = |from: fn(Carrier) -> bool| {
        opening.iter().filter(|(token, _)| from(token.carrier)).max_by_key(|(_, claims)| lifetime(claims))
    };
    let by_query = longest_by(|carrier| carrier == Carrier::Query);
    let by_others = longest_by(|carrier| carrier != Carrier::Query);
    let by_cookie = longest_by(|carrier| carrier == Carrier::Cookie);
    let earned = by_query.filter(|(_, query)| by_others.is_none_or(|(_, other)| lifetime(query) > lifetime(other)));
    let renewed = by_cookie.filter(|(_, claims)| claims.exp().is_none());
    let (token, claims) = earned.or(renewed)?;
    Some(CookieGrant { token: &token.text, sub: *claims.sub(), expires: claims.exp() })
}

/// Orders tokens by how long they last; one without `exp` lasts longest.
fn lifetime(claims: &Claims) -> u64 {
    claims.exp().map_or(u64::MAX, |exp| exp.0)
}

impl Grant<'_> {
    /// Whether it is by grace alone: a film that plays goes on, and for a new one it is time to pay again.
    pub fn by_grace(&self, policy: &Policy, now: UnixTime) -> bool {
        self.expires.is_some_and(|exp| now >= exp.plus(policy.leeway))
    }
}

impl Policy {
    /// Seconds for which a token goes on opening behind its `exp`: so long a cookie has to bring it.
    pub fn beyond_exp(&self) -> u64 {
        self.leeway.saturating_add(self.grace)
    }
}

impl<'a> CarriedTokens<'a> {
    /// Adds a token; an empty one counts as none, and one past [`MAX_TOKENS`] is passed over.
    pub fn push(&mut self, carrier: Carrier, text: impl Into<std::borrow::Cow<'a, [u8]>>) {
        let text = text.into();
        if !text.is_empty() {
            let _passed_over = self.0.try_push(CarriedToken { carrier, text });
        }
    }

    /// The tokens, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CarriedToken<'a>> {
        self.0.iter()
    }
}

impl std::fmt::Debug for CarriedToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CarriedToken({:?}, {} bytes)", self.carrier, self.text.len())
    }
}

impl Kind {
    /// The kind that `X-Hlsgate-Kind` names.
    pub fn from_bytes(text: &[u8]) -> Option<Kind> {
        match text {
            b"playlist" => Some(Kind::Playlist),
            b"media" => Some(Kind::Media),
            _ => None,
        }
    }
}

impl Refusal {
    /// Every reason.
    pub(crate) const ALL: [Refusal; 8] = [
        Refusal::Expired,
        Refusal::OtherVideo,
        Refusal::Revoked,
        Refusal::UnknownKey,
        Refusal::BadSignature,
        Refusal::Malformed,
        Refusal::Missing,
        Refusal::BadRequest,
    ];

    /// The stable word for it: `X-Hlsgate-Reason`, `reason` in problem+json, the metrics' label.
    pub const fn reason(self) -> &'static str {
        match self {
            Refusal::Expired => "expired",
            Refusal::OtherVideo => "other-video",
            Refusal::Revoked => "revoked",
            Refusal::UnknownKey => "unknown-key",
            Refusal::BadSignature => "bad-signature",
            Refusal::Malformed => "malformed",
            Refusal::Missing => "missing",
            Refusal::BadRequest => "bad-request",
        }
    }

    /// Whether paying would open it (401), or not (403).
    pub(crate) const fn paying_helps(self) -> bool {
        matches!(self, Refusal::Expired | Refusal::OtherVideo | Refusal::Missing)
    }
}

impl From<TokenError> for Refusal {
    fn from(err: TokenError) -> Self {
        match err {
            TokenError::Malformed(_) => Refusal::Malformed,
            TokenError::UnknownKey { .. } | TokenError::RetiredKey { .. } => Refusal::UnknownKey,
            TokenError::BadSignature => Refusal::BadSignature,
            TokenError::Revoked { .. } => Refusal::Revoked,
            // A token for later is as good as one of the past: it opens nothing now, and paying would.
            TokenError::Expired { .. } | TokenError::NotYetValid { .. } => Refusal::Expired,
        }
    }
}
