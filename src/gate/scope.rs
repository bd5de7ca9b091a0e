//! Which videos a token covers: one, those of a pass, or all. The `sub` claim says it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;
use thiserror::Error;

/// Longest video id in bytes.
pub(crate) const MAX_VIDEO_LEN: usize = 128;
/// Longest pass name and tier in bytes.
pub(crate) const MAX_NAME_LEN: usize = 32;
/// What stands before the name of a pass in `sub`.
const PASS_PREFIX: &str = "pass:";

/// A video's id: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`. The folder under the media prefix has this name.
///
/// No id starts with a dot, so neither `.` nor `..` is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VideoId(ArrayString<MAX_VIDEO_LEN>);

/// A pass's name: `[A-Za-z0-9_-]{1,32}`, as in `[passes.NAME]`. It is also part of a cookie's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PassName(ArrayString<MAX_NAME_LEN>);

/// An offer's id: `[A-Za-z0-9_-]{1,32}`, for instance `24h` or `forever`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tier(ArrayString<MAX_NAME_LEN>);

/// What a token opens: the `sub` claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `*`: every video.
    All,
    /// `pass:NAME`: the videos that the configuration names under `[passes.NAME]`, now and later.
    Pass(PassName),
    /// The id itself: this video.
    Video(VideoId),
}

/// Why a text is no [`VideoId`], [`PassName`], [`Tier`] or [`Scope`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// Not of the form of a video id.
    #[error("{0:?} is no video id; one has 1 to 128 of A-Z a-z 0-9 . _ - and starts with none of . and -")]
    Video(String),
    /// Not of the form of a pass name.
    #[error("{0:?} is no pass name; one has 1 to 32 of A-Z a-z 0-9 _ -")]
    Pass(String),
    /// Not of the form of a tier.
    #[error("{0:?} is no tier; one has 1 to 32 of A-Z a-z 0-9 _ -")]
    Tier(String),
}

/// The passes of the configuration: which videos each holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passes(BTreeMap<PassName, PassVideos>);

/// The videos of one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassVideos {
    /// Every video, also those to come.
    All,
    /// These.
    Listed(BTreeSet<VideoId>),
}

impl Passes {
    /// The passes named in `entries`.
    pub fn new(entries: impl IntoIterator<Item = (PassName, PassVideos)>) -> Self {
        Passes(entries.into_iter().collect())
    }

    /// Whether there is a pass of this name that holds the video.
    pub(crate) fn hold(&self, pass: &PassName, video: &VideoId) -> bool {
        match self.0.get(pass) {
            None => false,
            Some(PassVideos::All) => true,
            Some(PassVideos::Listed(videos)) => videos.contains(video),
        }
    }

    /// Whether the configuration has a pass of this name.
    pub(crate) fn contains(&self, pass: &PassName) -> bool {
        self.0.contains_key(pass)
    }

    /// Every pass with its videos, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PassName, &PassVideos)> {
        self.0.iter()
    }
}

impl Scope {
    /// Whether a token of this scope opens `video`. A pass that is not in the configuration opens nothing.
    pub(crate) fn covers(&self, video: &VideoId, passes: &Passes) -> bool {
        match self {
            Scope::All => true,
            Scope::Pass(name) => passes.hold(name, video),
            Scope::Video(id) => id == video,
        }
    }
}

impl VideoId {
    /// The id, if `bytes` are one. No error text is made: the gate asks this of every request.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<VideoId> {
        let first_fits = matches!(bytes.first(), Some(b) if b.is_ascii_alphanumeric() || *b == b'_');
        let all_fit = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !first_fits || !all_fit {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        ArrayString::from(text).ok().map(VideoId)
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[A-Za-z0-9_-]{1,32}`, the form that pass names and tiers share.
fn short_name(text: &str) -> Option<ArrayString<MAX_NAME_LEN>> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if fits { ArrayString::from(text).ok() } else { None }
}

impl PassName {
    /// The name as text, without `pass:`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tier {
    /// The tier as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VideoId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        VideoId::from_bytes(text.as_bytes()).ok_or_else(|| NameError::Video(text.into()))
    }
}

impl FromStr for PassName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        short_name(text).map(PassName).ok_or_else(|| NameError::Pass(text.into()))
    }
}

impl FromStr for Tier {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        short_name(text).map(Tier).ok_or_else(|| NameError::Tier(text.into()))
    }
}

impl FromStr for Scope {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "*" {
            return Ok(Scope::All);
        }
        match text.strip_prefix(PASS_PREFIX) {
            Some(name) => name.parse().map(Scope::Pass),
            None => text.parse().map(Scope::Video),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => f.write_str("*"),
            Scope::Pass(name) => write!(f, "{PASS_PREFIX}{name}"),
            Scope::Video(id) => id.fmt(f),
        }
    }
}

macro_rules! text_like {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    )*};
}
text_like!(VideoId, PassName, Tier);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_id_is_one_harmless_path_segment() {
        let longest = "v".repeat(MAX_VIDEO_LEN);
        for good in ["a", "_", "0", "c05f2318", "Video_1.en-GB", "a..b", longest.as_str()] {
            assert!(good.parse::<VideoId>().is_ok(), "{good}");
        }
        let too_long = "v".repeat(MAX_VIDEO_LEN + 1);
        for bad in ["", ".", "..", ".a", "-a", "a/b", "a b", "a%2f", "a~", "*", "pass:a", "ä", "a\n", too_long.as_str()]
        {
            assert!(bad.parse::<VideoId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_scope_reads_as_it_prints() {
        for text in ["*", "pass:summer", "c05f2318"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for bad in ["", "**", "pass:", "pass:a.b", "pass:a:b", "PASS:a", "pass: a"] {
            assert!(bad.parse::<Scope>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pass_opens_what_the_configuration_lists_and_an_unknown_one_nothing() {
        let (vid1, vid10): (VideoId, VideoId) = ("vid1".parse().unwrap(), "vid10".parse().unwrap());
        let passes = Passes::new([
            ("some".parse().unwrap(), PassVideos::Listed([vid1].into())),
            ("every".parse().unwrap(), PassVideos::All),
        ]);
        let covers = |sub: &str, video| sub.parse::<Scope>().unwrap().covers(video, &passes);
        assert!(covers("pass:some", &vid1) && !covers("pass:some", &vid10));
        assert!(covers("pass:every", &vid1) && covers("pass:every", &vid10));
        assert!(!covers("pass:gone", &vid1));
        assert!(covers("*", &vid1) && covers("vid1", &vid1) && !covers("vid1", &vid10) && !covers("vid10", &vid1));
    }
}
