//! The rest of the stream: a playlist says nothing of its segments. What it names is fetched, followed, and asked for without a
//! token and with bad ones, one file of every kind.

use std::collections::VecDeque;

use url::Url;

use super::reference::Reference;
use super::requests::{Requests, Trial};
use super::stream::{Kinds, Named, is_playlist, named_in};
use super::{GROUP, Target, Verdict, judge};
use crate::check::report::{Level, Report};
use crate::check::tokens::TestTokens;
use crate::check::wire::{Site, reason};
use crate::live::Live;

/// Most playlists of one stream that are followed.
const MAX_PLAYLISTS: usize = 32;
/// Most files that are asked for.
const MAX_FILES: usize = 64;
/// Requests of [`Requests::of_one_kind`] that carry no token at all: the first ones.
const STRANGERS: usize = 4;
/// Names that playlists usually have, for a stream of which a segment was named.
const USUAL: [&str; 6] = ["master.m3u8", "index.m3u8", "playlist.m3u8", "stream.m3u8", "manifest.mpd", "stream.mpd"];

/// Everything that a run has at hand.
pub(crate) struct Stream<'a> {
    /// What was asked for.
    pub target: &'a Target,
    /// Its own site.
    pub site: &'a Site,
    /// Keys and media path.
    pub live: &'a Live,
    /// What to ask with.
    pub tokens: &'a TestTokens,
}

/// Follows the stream and asks for a file of every kind. `first`: the bytes of the file that was named.
pub(crate) fn look(stream: &Stream<'_>, first: &[u8], report: &mut Report) {
    let target = &stream.target.url;
    let mut kinds = Kinds::default();
    if !stream.walk(target, first, &mut kinds, report) && !stream.walk_from_usual_names(&mut kinds, report) {
        return report.warning(
            GROUP,
            "the rest of the stream",
            format!("{} is no playlist, and none was found beside it: this one file was asked for", target.path()),
            "a playlist, which says what the stream consists of",
            "name the stream's master playlist: a file of every kind that it holds is asked for then",
        );
    }
    let files: Vec<Named> = kinds.files().into_iter().filter(|file| file.url != *target).collect();
    if files.is_empty() {
        return unknown(
            report,
            "the rest of the stream",
            format!("{} names no file that could be asked for", target.path()),
            "name the playlist that players open",
        );
    }
    let left_out = files.len().saturating_sub(MAX_FILES);
    for file in files.iter().take(MAX_FILES) {
        match stream.is_guarded(&file.url) {
            true => stream.ask(file, report),
            false => stream.ask_elsewhere(file, report),
        }
    }
    if left_out > 0 {
        let seen = format!("{left_out} more kinds of files were not asked for: {MAX_FILES} are the most in one run");
        unknown(report, "the rest of the stream", seen, "name the playlist of one rendition in a run of its own");
    }
}

impl Stream<'_> {
    /// Reads every playlist that the one at `from` leads to; false where there is none.
    fn walk(&self, from: &Url, text: &[u8], kinds: &mut Kinds, report: &mut Report) -> bool {
        let mut named = named_in(&String::from_utf8_lossy(text), from);
        if named.is_empty() && !is_playlist(from) {
            return false;
        }
        let mut seen = vec![from.clone()];
        let mut queue: VecDeque<Url> = VecDeque::new();
        loop {
            for file in named.drain(..) {
                kinds.note(&file);
                if file.playlist && self.is_guarded(&file.url) && !seen.contains(&file.url) {
                    seen.push(file.url.clone());
                    queue.push_back(file.url);
                }
            }
            let Some(next) = queue.pop_front() else { return true };
            if seen.len() > MAX_PLAYLISTS {
                let seen = format!("more than {MAX_PLAYLISTS} playlists: the rest was not followed");
                unknown(report, "the rest of the stream", seen, "name one of them in a run of its own");
                return true;
            }
            // What cannot be had is told when it is asked for as a file.
            if let Some(text) = self.fetch(&next) {
                named = named_in(&String::from_utf8_lossy(&text), &next);
            }
        }
    }

    /// The stream of a segment: playlists lie beside it, or in a folder above.
    fn walk_from_usual_names(&self, kinds: &mut Kinds, report: &mut Report) -> bool {
        let mut found = false;
        let mut folder = self.target.url.clone();
        while let Ok(above) = folder.join(".") {
            if !self.is_guarded(&above) {
                break;
            }
            for url in USUAL.iter().filter_map(|name| above.join(name).ok()) {
                let Some(text) = self.fetch(&url) else { continue };
                if self.walk(&url, &text, kinds, report) {
                    kinds.note(&Named { url, by: "its usual name".into(), playlist: true });
                    found = true;
                }
            }
            match above.join("..") {
                Ok(next) if next != above => folder = next,
                _ => break,
            }
        }
        found
    }

    /// Whether a file lies where this gate guards this video.
    fn is_guarded(&self, url: &Url) -> bool {
        let of_video = self.live.config.media.of_video(&self.target.video);
        url.origin() == self.target.url.origin() && url.path().starts_with(&of_video)
    }

    fn requests<'b>(&'b self, path: &'b str) -> Requests<'b> {
        Requests {
            authority: &self.site.authority,
            path,
            media: &self.live.config.media,
            video: self.target.video.as_str(),
            tokens: self.tokens,
        }
    }

    /// The file as a viewer with a good token gets it.
    fn fetch(&self, url: &Url) -> Option<Vec<u8>> {
        let answer = self.site.send(&self.requests(&path_of(url)).reference().bytes).ok()?;
        (answer.status == Some(200)).then_some(answer.body)
    }

    /// A file below the media path: refused without a token, whatever its kind, and served with one.
    fn ask(&self, file: &Named, report: &mut Report) {
        let path = path_of(&file.url);
        let requests = self.requests(&path);
        let what = format!("{} ({})", file.url.path(), file.by);
        // Without a token first: a file that only a stranger gets is open all the same.
        let trials = requests.of_one_kind();
        let reference = match self.site.send(&requests.reference().bytes) {
            Ok(answer) if answer.status == Some(200) => Reference::new(answer.body, answer.cut),
            Ok(answer) => {
                if let Some(wrong) = trials.iter().take(STRANGERS).find_map(|trial| self.open_to_strangers(trial)) {
                    return report.wrong(GROUP, what, wrong, "a refusal", OPEN);
                }
                let todo = "see whether the file is there, and whether the playlist names it rightly";
                let level = if matches!(answer.status, Some(401..=403)) { Level::Wrong } else { Level::Unknown };
                return report.note(GROUP, level, what, answer.summary(), "200 with a good token", todo);
            }
            Err(err) => return unknown(report, &what, format!("no answer: {}", reason(&err)), "ask again"),
        };
        let mut reference = reference;
        let mut fine = 0;
        for trial in &trials {
            let answer = match self.site.send(&trial.bytes) {
                Ok(answer) => answer,
                Err(err) => {
                    let seen = format!("no answer: {}", reason(&err));
                    unknown(report, &format!("{what}, {}", trial.name), seen, "ask again; see nginx's error log");
                    continue;
                }
            };
            match judge(trial, &answer, &mut reference, || self.fetch(&file.url)) {
                Verdict::Fine(_) => fine += 1,
                Verdict::Wrong { seen, expected, todo } => {
                    report.wrong(GROUP, format!("{what}, {}", trial.name), seen, expected, todo);
                    // Whoever needs no token needs no other trick.
                    if fine == 0 {
                        return;
                    }
                }
            }
        }
        if fine == trials.len() {
            let seen =
                format!("{fine} requests: {} bytes for a good token, refused without one", reference.body().len());
            report.ok(GROUP, what, seen);
        }
    }

    fn open_to_strangers(&self, trial: &Trial) -> Option<String> {
        let answer = self.site.send(&trial.bytes).ok()?;
        answer.succeeded().then(|| format!("{} without a token; sent was {}", answer.summary(), trial.shown()))
    }

    /// A file that the stream names and this gate does not guard. No token is sent there.
    fn ask_elsewhere(&self, file: &Named, report: &mut Report) {
        let place = format!("{}{}", file.url.origin().ascii_serialization(), file.url.path());
        let what = format!("{place} ({})", file.by);
        let same = file.url.origin() == self.target.url.origin();
        let own = if same { None } else { Site::new(&file.url, None).ok() };
        let Some(site) = own.as_ref().or(same.then_some(self.site)) else { return };
        let path = path_of(&file.url);
        let request = Requests { authority: &site.authority, ..self.requests(&path) };
        let trial = &request.of_one_kind()[0];
        match site.send(&trial.bytes) {
            Ok(answer) if answer.succeeded() => report.wrong(
                GROUP,
                what,
                format!(
                    "{} without a token: the stream names it, and it does not lie where this gate guards",
                    answer.summary()
                ),
                format!("every file of a sold stream below {}", self.live.config.media.of_video(&self.target.video)),
                "move it there, or guard the place where it lies; what is meant to be free needs no change",
            ),
            Ok(answer) => report.ok(GROUP, what, format!("{} without a token; it lies elsewhere", answer.summary())),
            Err(err) => unknown(report, &what, format!("no answer: {}", reason(&err)), "see whether viewers reach it"),
        }
    }
}

/// What to do about an open door.
pub(crate) const OPEN: &str = "the gate is open: `hlsgate check` as root names the line of nginx's configuration";

fn unknown(report: &mut Report, what: &str, seen: String, todo: &str) {
    report.note(GROUP, Level::Unknown, what, seen, "an answer", todo);
}

/// Path and query, as they are sent.
fn path_of(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
