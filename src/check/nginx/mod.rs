//! nginx's configuration: read as nginx itself prints it, and searched for doors that stand open.
//!
//! [`dump`] gets the text, [`syntax`] reads it, [`tree`] knows what is inherited and which location a path ends in. The
//! findings: [`shipped`] the files of hlsgate, [`gate`] how they are put to use, [`beside`] what opens doors beside them,
//! [`other_ways`] other ways to the same files, [`logs`] logs and addresses.

pub(crate) mod adapted;
mod beside;
mod dump;
mod gate;
mod logs;
mod other_ways;
mod serving;
mod shipped;
mod syntax;
mod tree;

use std::path::Path;

pub(crate) use dump::Dump;
use dump::NoDump;

use super::report::{Level, Report};
use crate::config::Config;
use crate::gate::scope::VideoId;

const GROUP: &str = "nginx";

/// Files that a player asks for, by their ends; the findings try each.
const SAMPLES: [&str; 9] =
    ["master.m3u8", "seg0.ts", "init.mp4", "seg0.m4s", "seg0.m4a", "seg0.aac", "en.vtt", "enc.key", "v0/seg0.ts"];

/// Looks at the configuration that nginx prints, or at the text of `nginx -T` in a file.
///
/// Gives what was read, for those who look at the rest of the machine.
pub(crate) fn look(config: &Config, file: Option<&Path>, report: &mut Report) -> Option<Dump> {
    let read = match file {
        Some(file) => dump::from_file(file),
        None => dump::from_nginx(),
    };
    let dump = match read {
        Ok(dump) => dump,
        Err(err) => {
            not_read(err, report);
            return None;
        }
    };
    let from = match file {
        None => "nginx -T".to_owned(),
        Some(file) if file == Path::new("-") => "standard input".into(),
        Some(file) => file.display().to_string(),
    };
    report.ok(GROUP, "configuration", format!("{} files read from {from}", dump.files.len()));
    if file.is_none() {
        module(report);
    }
    let servers = tree::servers(&dump.main);
    shipped::look(config, &dump, report);
    match servers.iter().any(|server| server.has_gate() || server.protects()) {
        true => {
            gate::look(config, &servers, report);
            beside::look(config, &servers, report);
            other_ways::look(config, &servers, report);
            logs::look(&dump.main, &servers, report);
            serving::look(&dump.main, &servers, report);
        }
        false => report.wrong(
            GROUP,
            "protection",
            "no server block includes snippets/hlsgate.conf: nothing is protected",
            format!(
                "include snippets/hlsgate.conf; and location ^~ {} {{ include snippets/hlsgate-protect.conf; }}",
                config.media.prefix()
            ),
            "add both lines to the server block of your site, then `nginx -t && systemctl reload nginx`",
        ),
    }
    Some(dump)
}

fn not_read(err: NoDump, report: &mut Report) {
    let by_hand = "run `nginx -T > nginx.txt` where nginx is, as root, then `hlsgate check --nginx-config nginx.txt`";
    let expected = "the text of `nginx -T`";
    match err {
        NoDump::NotHere(seen) => report.note(GROUP, Level::Unknown, "configuration", seen, expected, by_hand),
        NoDump::NotAllowed(seen) => {
            let todo = "run `sudo hlsgate check`, or `sudo nginx -T | hlsgate check --nginx-config -`";
            report.note(GROUP, Level::Unknown, "configuration", seen, expected, todo);
        }
        NoDump::Refused(seen) => report.wrong(
            GROUP,
            "configuration",
            seen,
            "a configuration that nginx takes",
            "correct what nginx complains about; `unknown directive \"auth_request\"` asks for an nginx with that module",
        ),
        NoDump::NotADump(seen) => report.note(GROUP, Level::Unknown, "configuration", seen, expected, by_hand),
    }
}

fn module(report: &mut Report) {
    let Ok(text) = dump::build() else { return };
    let version =
        text.lines().find_map(|line| line.strip_prefix("nginx version: ")).unwrap_or("nginx of unknown version");
    match text.contains("--with-http_auth_request_module") {
        true => report.ok(GROUP, "auth_request", format!("{version} has the module")),
        false => report.wrong(
            GROUP,
            "auth_request",
            format!("{version} was built without http_auth_request_module"),
            "nginx with --with-http_auth_request_module, as every Debian package has it",
            "install the distribution's nginx, or build it with that option",
        ),
    }
}

/// Paths that a player would ask for.
fn samples(config: &Config) -> Vec<String> {
    // A name that a person understands in a finding.
    let video = VideoId::from_bytes(b"VIDEO").expect("letters are a video id");
    let plain = config.media.of_video(&video);
    let prefix = config.media.prefix();
    let with_token = format!("{prefix}~TOKEN/{}", &plain[prefix.len()..]);
    SAMPLES.iter().flat_map(|file| [format!("{plain}{file}"), format!("{with_token}{file}")]).collect()
}
