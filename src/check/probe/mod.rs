//! `--probe URL`: asks the real nginx for a real file in every way that must not work, and in those that must.

mod follow;
mod lane;
mod paths;
mod reference;
mod requests;
mod stream;

use std::io::IsTerminal;

use url::Url;

use super::report::{Level, Report};
use super::tokens::TestTokens;
use super::wire::{RawResponse, Site, advice, reason};
use crate::failure::Failure;
use crate::gate::scope::VideoId;
use crate::live::Live;
use reference::Reference;
use requests::{Expect, Requests, Trial};

const GROUP: &str = "probe";
/// After so many requests in a row without an answer, no more are sent.
const MAX_SILENCE: usize = 4;

/// What is asked for.
pub(super) struct Target {
    url: Url,
    video: VideoId,
}

impl Target {
    /// A file below the media path of this configuration, such as `https://site.example/hls/VIDEO/master.m3u8`.
    pub(super) fn new(text: &str, live: &Live) -> Result<Target, Failure> {
        let form = format!(
            "https://site.example{}master.m3u8",
            live.config.media.of_video(&VideoId::from_bytes(b"VIDEO").expect("an id"))
        );
        let wrong = |what: String| {
            Failure::new(what).hint(format!("name a playlist or segment that is there, such as {form}")).exit(2)
        };
        let url = Url::parse(text).map_err(|err| wrong(format!("{text:?} is no URL: {err}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong(format!("{text:?} is not http or https")));
        }
        let media = &live.config.media;
        let below = url.path().strip_prefix(media.prefix()).unwrap_or_default();
        let video = below.split('/').next().and_then(|segment| VideoId::from_bytes(segment.as_bytes()));
        let Some(video) = video else {
            return Err(wrong(format!("the path {} does not lie below {} and a video id", url.path(), media.prefix())));
        };
        match url.path().strip_prefix(&media.of_video(&video)).is_some_and(|file| !file.is_empty()) {
            true => Ok(Target { url, video }),
            false => Err(wrong(format!("the path {} names no file of video {video}", url.path()))),
        }
    }
}

/// Sends every request, one after the other, and notes what came back.
pub(super) fn look(target: &Target, connect: Option<&str>, live: &Live, report: &mut Report) -> Result<(), Failure> {
    let site = Site::new(&target.url, connect)?;
    let tokens = TestTokens::new(live, target.video)?;
    let requests = Requests {
        authority: &site.authority,
        path: target.url.path(),
        media: &live.config.media,
        video: target.video.as_str(),
        tokens: &tokens,
    };
    let trials = requests.all();
    let Some(mut file) = reference(&site, &requests, report) else { return Ok(()) };
    let again = || {
        site.send(&requests.reference().bytes)
            .ok()
            .filter(|answer| answer.status == Some(200))
            .map(|answer| answer.body)
    };
    let first = file.body().to_vec();
    let (count, mut silent) = (trials.len(), 0);
    for (done, trial) in trials.iter().enumerate() {
        progress(done, count);
        let sent = site.send(&trial.bytes);
        silent = if sent.is_ok() { 0 } else { silent + 1 };
        match sent {
            Ok(answer) => {
                let verdict = judge(trial, &answer, &mut file, again);
                verdict.tell(trial, report);
                // Everything else would come through the same door, and tokens in paths would stand in nginx's error log.
                if done == 0 && file.leaks_into(&answer.body) {
                    progress(count, count);
                    report.note(
                        GROUP,
                        Level::Unknown,
                        "the rest",
                        format!("{} more requests were not sent: the file is open to everybody", count - done - 1),
                        "a refusal for whoever has no token",
                        "shut that door, then ask again",
                    );
                    return Ok(());
                }
            }
            Err(err) if silent > MAX_SILENCE => {
                let seen = format!("given up after {done} of {count} requests: {}", reason(&err));
                report.note(
                    GROUP,
                    Level::Unknown,
                    "the rest",
                    seen,
                    "an answer",
                    "see whether something limits or bans this machine's address",
                );
                progress(count, count);
                return Ok(());
            }
            Err(err) => report.note(
                GROUP,
                Level::Unknown,
                trial.name.as_str(),
                format!("no answer: {}", reason(&err)),
                "an answer",
                "ask again; see nginx's error log",
            ),
        }
    }
    progress(count, count);
    follow::look(&follow::Stream { target, site: &site, live, tokens: &tokens }, &first, report);
    lane::look(&lane::Lane { site: &site, video: target.video, config: &live.config }, report);
    Ok(())
}

/// The file itself, fetched with a good token: what no other answer may hold.
///
/// As Bearer, for nginx's error log prints the paths of files that are not there, but no such header.
fn reference(site: &Site, requests: &Requests<'_>, report: &mut Report) -> Option<Reference> {
    let (what, expected) = ("the file itself", "200 with a good token");
    match site.send(&requests.reference().bytes) {
        Ok(answer) => {
            if answer.status == Some(200) {
                let file = Reference::new(answer.body.clone(), answer.cut);
                if file.can_be_known() {
                    report.ok(GROUP, what, format!("{} bytes came with a good token", answer.body.len()));
                    return Some(file);
                }
            }
            let (level, todo) = match answer.status {
                Some(200) => (Level::Unknown, "name a file with something in it, such as a playlist"),
                Some(301..=308) => (Level::Unknown, "name the address where it leads, as viewers get it"),
                Some(404) => (Level::Unknown, "name a file that is there"),
                None => (Level::Unknown, "see whether HTTP/1 is spoken there: the probe speaks nothing else"),
                Some(400) => (Level::Unknown, "see whether TLS is spoken at that port: https:// or http://?"),
                Some(401..=403) => {
                    (Level::Wrong, "nginx asks a daemon with other keys, or this is another site's configuration")
                }
                Some(500..) => {
                    (Level::Wrong, "nginx cannot ask the daemon: see the findings above and nginx's error log")
                }
                _ => (Level::Unknown, "name a playlist or segment of this site"),
            };
            report.note(GROUP, level, what, answer.summary(), expected, todo);
        }
        Err(err) => {
            report.note(GROUP, Level::Unknown, what, format!("no answer: {}", reason(&err)), expected, advice(&err));
        }
    }
    None
}

/// What an answer says of the gate.
enum Verdict {
    /// As it should be, with what was seen.
    Fine(String),
    /// Not so.
    Wrong { seen: String, expected: &'static str, todo: &'static str },
}

impl Verdict {
    fn tell(self, trial: &Trial, report: &mut Report) {
        match self {
            Verdict::Fine(seen) => report.ok(GROUP, trial.name.as_str(), seen),
            Verdict::Wrong { seen, expected, todo } => report.wrong(GROUP, trial.name.as_str(), seen, expected, todo),
        }
    }
}

/// Compares what came with what would be right. `again` fetches the file anew: a live playlist is another one every few seconds.
fn judge(trial: &Trial, answer: &RawResponse, file: &mut Reference, again: impl Fn() -> Option<Vec<u8>>) -> Verdict {
    let seen = answer.summary();
    // What was sent is told where somebody has to look for the cause.
    let wrong = |seen: String, expected, todo| Verdict::Wrong {
        seen: format!("{seen}; sent was {}", trial.shown()),
        expected,
        todo,
    };
    match trial.expect {
        Expect::File if answer.status == Some(200) && file.is(&answer.body, answer.cut) => {
            Verdict::Fine("200, the file".into())
        }
        Expect::File if answer.status == Some(200) && changed(file, &answer.body, again) => {
            Verdict::Fine("200, the file, which changes".into())
        }
        Expect::Head if answer.status == Some(200) && answer.body.is_empty() => Verdict::Fine("200".into()),
        Expect::File | Expect::Head => wrong(
            if answer.succeeded() { format!("{seen}, but not the same file") } else { seen },
            "200 and the file",
            "a viewer who paid is turned away: see the findings above and the daemon's log",
        ),
        Expect::Refused | Expect::NoByte if file.leaks_into(&answer.body) => {
            wrong(format!("{seen}, with bytes of the file"), "a refusal", follow::OPEN)
        }
        Expect::Refused if answer.succeeded() || answer.status == Some(304) => {
            wrong(seen, "a refusal", "something else answers for the protected file: see the findings above")
        }
        Expect::NoByte if answer.succeeded() => Verdict::Fine(format!("{seen}, something else")),
        Expect::Refused | Expect::NoByte => Verdict::Fine(seen),
    }
}

/// Whether the file itself has changed since it was fetched, and `body` is one of its versions.
fn changed(file: &mut Reference, body: &[u8], again: impl Fn() -> Option<Vec<u8>>) -> bool {
    let Some(now) = again().filter(|now| now != file.body()) else { return false };
    let started_alike = body.get(..7).is_some_and(|start| now.starts_with(start) && file.body().starts_with(start));
    file.renew(now);
    started_alike && file.leaks_into(body)
}

/// A line that a terminal sees and a file does not.
fn progress(done: usize, of: usize) {
    if std::io::stderr().is_terminal() {
        match done == of {
            true => eprint!("\r\x1b[K"),
            false => eprint!("\rasking {done}/{of}"),
        }
    }
}
