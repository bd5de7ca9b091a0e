//! Where the protected files are under the site: `/hls/{video}/`.

use std::str::FromStr;

use crate::gate::scope::{Scope, VideoId};

/// The path that nginx protects, with `{video}` as one whole segment of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaPath {
    prefix: String,
    suffix: String,
}

impl MediaPath {
    /// The fixed part, `/hls/`: it starts and ends with a slash. A path token follows it.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What stands between the video and its files: `/`, or for instance `/stream/`.
    pub(crate) fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The path of a video's files: `/hls/VIDEO/`.
    pub(crate) fn of_video(&self, video: &VideoId) -> String {
        format!("{}{video}{}", self.prefix, self.suffix)
    }

    /// The cookie path under which a token of this scope is of use.
    pub(crate) fn of_scope(&self, scope: &Scope) -> String {
        match scope {
            Scope::Video(video) => self.of_video(video),
            Scope::Pass(_) | Scope::All => self.prefix.clone(),
        }
    }
}

impl Default for MediaPath {
    fn default() -> Self {
        MediaPath { prefix: "/hls/".into(), suffix: "/".into() }
    }
}

impl FromStr for MediaPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "expected a path like \"/hls/{video}/\": {video} is one whole segment behind a fixed one, with a slash at both ends";
        let wrong = |what: &str| format!("{text:?} {what}; {form}");
        let (prefix, suffix) = text.split_once("{video}").ok_or_else(|| wrong("has no {video}"))?;
        if suffix.contains("{video}") {
            return Err(wrong("has {video} twice"));
        }
        if !prefix.starts_with('/') || !prefix.ends_with('/') || !suffix.starts_with('/') || !suffix.ends_with('/') {
            return Err(wrong("does not fit"));
        }
        if prefix == "/" {
            // A path token and a rewrite would reach into the whole site.
            return Err(wrong("would protect the whole site"));
        }
        if prefix.starts_with("/hlsgate/") {
            return Err(wrong("lies inside the shop's own /hlsgate/"));
        }
        let plain = |part: &str| match part {
            "/" => true,
            part => part[1..part.len() - 1].split('/').all(|segment| VideoId::from_bytes(segment.as_bytes()).is_some()),
        };
        if !plain(prefix) || !plain(suffix) {
            return Err(wrong("has a segment with other characters than A-Z a-z 0-9 . _ -"));
        }
        Ok(MediaPath { prefix: prefix.into(), suffix: suffix.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_path_has_the_video_as_one_whole_segment() {
        let media: MediaPath = "/media/v1/{video}/stream/".parse().unwrap();
        assert_eq!((media.prefix(), media.suffix()), ("/media/v1/", "/stream/"));
        assert_eq!(media.of_scope(&"a".parse().unwrap()), "/media/v1/a/stream/");
        assert_eq!(media.of_scope(&"pass:a".parse().unwrap()), "/media/v1/");
        assert_eq!("/hls/{video}/".parse(), Ok(MediaPath::default()));
        for bad in [
            "/hls/",
            "/{video}/",
            "hls/{video}/",
            "/hls/{video}",
            "/hls/v{video}/",
            "/hls/{video}/{video}/",
            "/h s/{video}/",
            "/hls/../{video}/",
            "/hls//{video}/",
            "/hlsgate/{video}/",
            "/h\"/{video}/",
        ] {
            assert!(bad.parse::<MediaPath>().is_err(), "{bad}");
        }
    }
}
