//! The requests of a probe: every way to ask for a file without being allowed to, and the ways of a viewer who is.

use super::paths::confusing;
use crate::check::tokens::TestTokens;
use crate::config::MediaPath;

/// A request, byte by byte, and what may come back.
pub(super) struct Trial {
    /// What is tried, for a person.
    pub name: String,
    /// The request.
    pub bytes: Vec<u8>,
    /// What would be right.
    pub expect: Expect,
}

/// What would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// No success at all: it asks for the protected file by its name.
    Refused,
    /// Whatever the site likes, but not a byte of the file: the path may lead elsewhere.
    NoByte,
    /// The file as it is.
    File,
    /// Success without a body.
    Head,
}

/// Builds the requests for one file.
pub(super) struct Requests<'a> {
    /// The `Host` header's value.
    pub authority: &'a str,
    /// The file's path, with its slash.
    pub path: &'a str,
    /// The fixed part of the media path, such as `/hls/`.
    pub media: &'a MediaPath,
    /// The video's id.
    pub video: &'a str,
    /// What to ask with.
    pub tokens: &'a TestTokens,
}

impl Trial {
    /// The request as a person may see it: without Host and Connection, tokens named instead of shown.
    pub(super) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let usual = |line: &&str| !line.is_empty() && !line.starts_with("Host: ") && *line != "Connection: close";
        let lines: Vec<String> = text.lines().filter(usual).map(|line| format!("`{}`", without_tokens(line))).collect();
        lines.join(", ")
    }
}

/// Every word that begins as a token does becomes `TOKEN`, and what could move a terminal's cursor is spelled out.
fn without_tokens(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("ey") {
        let (before, token) = rest.split_at(at);
        let end =
            token.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(token.len());
        shown.push_str(before);
        shown.push_str(if end > 20 { "TOKEN" } else { &token[..end] });
        rest = &token[end..];
    }
    shown.push_str(rest);
    shown.escape_debug().to_string()
}

impl Requests<'_> {
    /// The file by a way that leaves no token in any log, whatever comes of it.
    pub(super) fn reference(&self) -> Trial {
        self.get("the file itself", self.path, &bearer(&self.tokens.good), Expect::File)
    }

    /// Everything that is tried. The first asks without a token: where that gets in, nothing else says anything.
    pub(super) fn all(&self) -> Vec<Trial> {
        let mut all = self.without_token();
        all.extend(self.good());
        all.extend(self.bad_tokens());
        all.extend(self.other_video());
        all.extend(self.misplaced());
        all.extend(self.headers());
        all.extend(self.methods());
        all.extend(self.forms());
        all.extend(self.ranges());
        all.extend(self.paths());
        all.extend(self.question());
        all
    }

    /// A few of each kind, for a file that has the rest of its stream beside it. The first asks without a token.
    pub(crate) fn of_one_kind(&self) -> Vec<Trial> {
        let (good, other) = (&self.tokens.good, &self.tokens.other);
        let mut trials = vec![
            self.refused("no token", self.path, ""),
            self.trial("HEAD without a token", "HEAD", self.path, "HTTP/1.1", "", Expect::Refused),
            self.refused("Range without a token", self.path, "Range: bytes=0-\r\n"),
            self.refused("If-None-Match without a token", self.path, "If-None-Match: *\r\n"),
            self.refused("an empty token in the path", &self.with_path_token(""), "Cookie: hlsgate=\r\n"),
            self.refused("a token of a video with a similar id", self.path, &cookie(other)),
            self.refused("a token of a video with a similar id, in the path", &self.with_path_token(other), ""),
        ];
        for (name, token) in self.tokens.bad.iter().take(2) {
            trials.push(self.refused(name, &self.with_path_token(token), &bearer(token)));
        }
        // Locations go by a file's ending, and these end otherwise.
        let (path, query) = self.path.split_once('?').unwrap_or((self.path, ""));
        let encoded = path.rfind('.').map(|dot| format!("{}%2e{}", &path[..dot], &path[dot + 1..])).unwrap_or_default();
        let upper =
            path.rfind('.').map(|dot| format!("{}{}", &path[..dot], path[dot..].to_uppercase())).unwrap_or_default();
        let prefix = self.media.prefix();
        let doubled = format!("{prefix}/{}", &path[prefix.len().min(path.len())..]);
        for odd in [encoded, upper, doubled, format!("{path}/"), format!("{path}%00")] {
            if !odd.is_empty() && odd != path {
                let target = if query.is_empty() { odd.clone() } else { format!("{odd}?{query}") };
                trials.push(self.get(&format!("path {odd}"), &target, "", Expect::NoByte));
            }
        }
        trials.push(self.get("a good token as Bearer", self.path, &bearer(good), Expect::File));
        trials.push(self.get("a good token in a cookie", self.path, &cookie(good), Expect::File));
        trials.push(self.get("a good token in the path", &self.with_path_token(good), "", Expect::File));
        trials
    }

    /// A viewer with a good token: each carrier alone.
    fn good(&self) -> Vec<Trial> {
        let token = &self.tokens.good;
        let mut trials = vec![
            self.get("a good token in the path", &self.with_path_token(token), "", Expect::File),
            self.get("a good token in the query", &format!("{}?token={token}", self.path), "", Expect::File),
            self.get("a good token as Bearer", self.path, &bearer(token), Expect::File),
            self.get("a good token in a cookie", self.path, &cookie(token), Expect::File),
            self.get(
                "a good token behind a bad cookie",
                self.path,
                &format!("Cookie: hlsgate=x; hlsgate={token}\r\n"),
                Expect::File,
            ),
        ];
        trials.push(self.trial("HEAD with a good token", "HEAD", self.path, "HTTP/1.1", &bearer(token), Expect::Head));
        trials
    }

    fn without_token(&self) -> Vec<Trial> {
        vec![
            self.refused("no token", self.path, ""),
            self.refused(
                "an empty token in every carrier",
                &format!("{}?token=", self.with_path_token("")),
                "Authorization: Bearer \r\nCookie: hlsgate=\r\n",
            ),
            self.refused("the video's folder", &self.media.of_video(&self.id()), ""),
            self.refused("the folder of all videos", self.media.prefix(), ""),
        ]
    }

    fn bad_tokens(&self) -> Vec<Trial> {
        let mut trials = Vec::new();
        for (name, token) in &self.tokens.bad {
            trials.push(self.refused(&format!("{name}, as Bearer"), self.path, &bearer(token)));
            trials.push(self.refused(&format!("{name}, in the path"), &self.with_path_token(token), ""));
        }
        let cookies: Vec<String> = self.tokens.bad.iter().map(|(_, token)| format!("hlsgate={token}")).collect();
        trials.push(self.refused(
            "all of these as cookies at once",
            self.path,
            &format!("Cookie: {}\r\n", cookies.join("; ")),
        ));
        for (name, token) in self.tokens.bad.iter().take(2) {
            trials.push(self.refused(&format!("{name}, in the query"), &format!("{}?token={token}", self.path), ""));
        }
        trials
    }

    fn other_video(&self) -> Vec<Trial> {
        let token = &self.tokens.other;
        vec![
            self.refused("a token of a video with a similar id, in the path", &self.with_path_token(token), ""),
            self.refused(
                "a token of a video with a similar id, in the query",
                &format!("{}?token={token}", self.path),
                "",
            ),
            self.refused("a token of a video with a similar id, as Bearer", self.path, &bearer(token)),
            self.refused("a token of a video with a similar id, in a cookie", self.path, &cookie(token)),
            self.refused(
                "a token of a video with a similar id, as the cookie of a pass",
                self.path,
                &format!("Cookie: hlsgate_{}={token}\r\n", self.video),
            ),
        ]
    }

    /// A good token where none is looked for: the daemon must not hear of it.
    fn misplaced(&self) -> Vec<Trial> {
        let token = &self.tokens.good;
        let by_header =
            |name: &str, line: String| self.refused(&format!("a token in a client's own {name}"), self.path, &line);
        vec![
            by_header("X-Hlsgate-Path-Token", format!("X-Hlsgate-Path-Token: {token}\r\n")),
            by_header("X-Hlsgate-Query", format!("X-Hlsgate-Query: token={token}\r\n")),
            by_header("X-Original-URI", format!("X-Original-URI: {}\r\n", self.with_path_token(token))),
            by_header("X-Forwarded-Authorization", format!("X-Forwarded-Authorization: Bearer {token}\r\n")),
            by_header("X-Forwarded-Cookie", format!("X-Forwarded-Cookie: hlsgate={token}\r\n")),
            self.refused("a token under Basic", self.path, &format!("Authorization: Basic {token}\r\n")),
            self.refused("a token in a cookie of another name", self.path, &format!("Cookie: hlsgateway={token}\r\n")),
        ]
    }

    /// What a client says of itself, with a token that would open another video.
    fn headers(&self) -> Vec<Trial> {
        let (other, token) = (&self.tokens.other_video, bearer(&self.tokens.other));
        let other_path = self.path.replacen(self.video, other.as_str(), 1);
        let lines = [
            ("X-Hlsgate-Video", format!("X-Hlsgate-Video: {other}\r\n")),
            ("X-Hlsgate-Video, twice", format!("X-Hlsgate-Video: {other}\r\nX-Hlsgate-Video: {other}\r\n")),
            ("X_Hlsgate_Video", format!("X_Hlsgate_Video: {other}\r\n")),
            ("X-Hlsgate-Kind", "X-Hlsgate-Kind: playlist\r\n".to_owned()),
            (
                "X-Hlsgate-Tier and X-Hlsgate-Expires",
                "X-Hlsgate-Tier: 24h\r\nX-Hlsgate-Expires: 9999999999\r\n".to_owned(),
            ),
            ("X-Original-URI", format!("X-Original-URI: {other_path}\r\n")),
            ("X-Original-URL", format!("X-Original-URL: {other_path}\r\n")),
            ("X-Rewrite-URL", format!("X-Rewrite-URL: {other_path}\r\n")),
            ("X-Forwarded-Uri", format!("X-Forwarded-Uri: {other_path}\r\nX-Forwarded-Method: OPTIONS\r\n")),
            ("X-Accel-Redirect", format!("X-Accel-Redirect: {}\r\n", self.path)),
            ("X-HTTP-Method-Override", "X-HTTP-Method-Override: OPTIONS\r\n".to_owned()),
            (
                "X-Forwarded-For and X-Real-IP of loopback",
                "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n".to_owned(),
            ),
            (
                "Origin and preflight headers",
                "Origin: https://hlsgate.invalid\r\nAccess-Control-Request-Method: GET\r\n".to_owned(),
            ),
            (
                "Connection that names the gate's headers",
                "Connection: close, X-Hlsgate-Video, Authorization\r\n".to_owned(),
            ),
        ];
        lines
            .into_iter()
            .map(|(name, line)| self.refused(&format!("a client's own {name}"), self.path, &format!("{line}{token}")))
            .collect()
    }

    fn methods(&self) -> Vec<Trial> {
        let methods = ["HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "COPY", "get", "G"];
        let mut trials: Vec<Trial> = methods
            .map(|method| {
                self.trial(
                    &format!("method {method}"),
                    method,
                    self.path,
                    "HTTP/1.1",
                    "Content-Length: 0\r\n",
                    Expect::Refused,
                )
            })
            .into();
        // A preflight may be answered, with nothing in it.
        trials.push(self.trial("method OPTIONS", "OPTIONS", self.path, "HTTP/1.1", "", Expect::NoByte));
        trials
    }

    /// The same question in other words of HTTP.
    fn forms(&self) -> Vec<Trial> {
        let (path, host) = (self.path, self.authority);
        let raw = |name: &str, text: String, expect| Trial { name: name.into(), bytes: text.into_bytes(), expect };
        vec![
            raw("HTTP/1.0 without Host", format!("GET {path} HTTP/1.0\r\n\r\n"), Expect::Refused),
            raw("HTTP/1.0 with Host", format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n"), Expect::Refused),
            raw("HTTP/0.9", format!("GET {path}\r\n"), Expect::NoByte),
            raw("HTTP/1.1 without Host", format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n"), Expect::Refused),
            raw(
                "the whole URL as target",
                format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
                Expect::Refused,
            ),
            raw(
                "the URL of another site as target",
                format!("GET http://hlsgate.invalid{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
                Expect::Refused,
            ),
            raw(
                "another site's Host",
                format!("GET {path} HTTP/1.1\r\nHost: hlsgate.invalid\r\nConnection: close\r\n\r\n"),
                Expect::NoByte,
            ),
            raw(
                "an address as Host",
                format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"),
                Expect::NoByte,
            ),
            raw(
                "Host with a dot behind",
                format!(
                    "GET {path} HTTP/1.1\r\nHost: {}.\r\nConnection: close\r\n\r\n",
                    host.split(':').next().unwrap_or_default()
                ),
                Expect::NoByte,
            ),
            raw(
                "two Hosts",
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nHost: hlsgate.invalid\r\nConnection: close\r\n\r\n"),
                Expect::Refused,
            ),
            raw(
                "line feeds alone",
                format!("GET {path} HTTP/1.1\nHost: {host}\nConnection: close\n\n"),
                Expect::Refused,
            ),
            self.refused("an upgrade to HTTP/2", path, "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
            self.refused("an upgrade to a WebSocket", path, "Upgrade: websocket\r\n"),
        ]
    }

    fn ranges(&self) -> Vec<Trial> {
        [
            ("Range from the start", "Range: bytes=0-\r\n"),
            ("Range of the last byte", "Range: bytes=-1\r\n"),
            ("several ranges", "Range: bytes=0-0,2-2,4-4\r\n"),
            ("If-None-Match: *", "If-None-Match: *\r\n"),
            ("If-Modified-Since tomorrow", "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT\r\n"),
            ("If-Range", "If-Range: \"x\"\r\nRange: bytes=0-\r\n"),
        ]
        .map(|(name, line)| self.refused(name, self.path, line))
        .into()
    }

    /// Paths that mean the file to somebody. Without a token, and with one for the video that the path seems to name.
    fn paths(&self) -> Vec<Trial> {
        let behind = &self.path[self.media.prefix().len() + self.video.len()..];
        let other = &self.tokens.other_video;
        let with_other = bearer(&self.tokens.other);
        let mut trials = Vec::new();
        for path in confusing(self.media.prefix(), self.video, behind, other.as_str()) {
            let shown = path.replace('\t', "\\t");
            trials.push(self.get(&format!("path {shown}"), &path, "", Expect::NoByte));
            trials.push(self.get(&format!("path {shown} with a token of {other}"), &path, &with_other, Expect::NoByte));
        }
        trials
    }

    /// The daemon's own door in nginx.
    fn question(&self) -> Vec<Trial> {
        let video = self.video;
        let headers = format!("X-Hlsgate-Video: {video}\r\nX-Hlsgate-Kind: media\r\n{}", bearer(&self.tokens.good));
        let prefix = self.media.prefix();
        vec![
            self.refused("the question's own location", "/hlsgate-auth", &headers),
            self.refused(
                "the question's own location, below the media path",
                &format!("{prefix}~x/../hlsgate-auth"),
                &headers,
            ),
            self.refused("the question's own location, encoded", "/%68lsgate-auth", &headers),
        ]
    }

    fn with_path_token(&self, token: &str) -> String {
        let prefix = self.media.prefix();
        format!("{prefix}~{token}/{}", &self.path[prefix.len()..])
    }

    fn id(&self) -> crate::gate::scope::VideoId {
        crate::gate::scope::VideoId::from_bytes(self.video.as_bytes()).unwrap_or(self.tokens.other_video)
    }

    fn refused(&self, name: &str, target: &str, headers: &str) -> Trial {
        self.get(name, target, headers, Expect::Refused)
    }

    fn get(&self, name: &str, target: &str, headers: &str, expect: Expect) -> Trial {
        self.trial(name, "GET", target, "HTTP/1.1", headers, expect)
    }

    fn trial(&self, name: &str, method: &str, target: &str, version: &str, headers: &str, expect: Expect) -> Trial {
        let close = if headers.contains("Connection:") { "" } else { "Connection: close\r\n" };
        let text = format!("{method} {target} {version}\r\nHost: {}\r\n{close}{headers}\r\n", self.authority);
        Trial { name: name.into(), bytes: text.into_bytes(), expect }
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn cookie(token: &str) -> String {
    format!("Cookie: hlsgate={token}\r\n")
}
