//! How the shipped files are put to use: each in its place, the question asked as it should be, and for everything below
//! the media path.
//!
//! Each finding's reason stands in `docs/nginx.md`, under "Traps", where it was seen to open a door.

use super::syntax::Directive;
use super::tree::{AUTH_LOCATION, Found, Guard, Inherits as _, Location, Server};
use super::{GROUP, samples};
use crate::check::report::Report;
use crate::config::Config;

/// What a cached decision has to depend on.
const CARRIERS: [&str; 6] =
    ["$hlsgate_video", "$hlsgate_kind", "$hlsgate_path_token", "$hlsgate_query", "$http_authorization", "$http_cookie"];
/// Directives that nginx runs in its rewrite phases, for its own question as well as for the viewer's request.
const REWRITES: [&str; 3] = ["rewrite", "return", "break"];

/// Looks at every server that has to do with the gate.
pub(super) fn look(config: &Config, servers: &[Server<'_>], report: &mut Report) {
    for server in servers.iter().filter(|server| server.has_gate() || server.protects()) {
        placement(server, report);
        question(server, report);
        // Where nothing is protected, that was said.
        if server.protects() {
            media(config, server, report);
        }
    }
}

/// `snippets/hlsgate.conf` is there, and nothing above it answers nginx's own question.
fn placement(server: &Server<'_>, report: &mut Report) {
    let todo = "write `include snippets/hlsgate.conf;` as the first line of the server block";
    if !server.has_gate() {
        return report.wrong(
            GROUP,
            "server snippet",
            format!(
                "{} protects locations and does not include snippets/hlsgate.conf: all of them answer 500",
                server.name()
            ),
            "the include in each server block that protects anything",
            todo,
        );
    }
    if !server.protects() {
        report.wrong(
            GROUP,
            "protection",
            format!("{} includes snippets/hlsgate.conf, which alone protects nothing", server.name()),
            "a location that includes snippets/hlsgate-protect.conf",
            "write `location ^~ /hls/ { include snippets/hlsgate-protect.conf; }`, with your media path",
        );
    }
    let inside = server.directive().inside();
    let Some(at) = inside.iter().position(ends_question) else {
        return report.wrong(
            GROUP,
            "server snippet",
            format!(
                "{} has a part of snippets/hlsgate.conf only: `if ($uri = {AUTH_LOCATION}) {{ break; }}` is missing",
                server.name()
            ),
            "the whole file",
            "include the file instead of a copy of it",
        );
    };
    let above: Vec<&Directive> = inside[..at].iter().filter(|directive| rewrites(directive)).collect();
    match above.as_slice() {
        [] => report.ok(GROUP, "server snippet", format!("{} includes it above its own rewrites", server.name())),
        [first, ..] => report.wrong(
            GROUP,
            "server snippet",
            format!("`{}` ({}) stands above the include: nginx runs it for its question to the daemon too, and what it answers then counts as the daemon's answer", first.text(), first.place),
            "no rewrite, if or return above the include",
            todo,
        ),
    }
}

/// `if ($uri = /hlsgate-auth) { break; }`
fn ends_question(directive: &Directive) -> bool {
    directive.name == "if"
        && directive.args.concat().trim_matches(['(', ')']) == format!("$uri={AUTH_LOCATION}")
        && directive.all("break").next().is_some()
}

fn rewrites(directive: &Directive) -> bool {
    let acts = |name: &str| REWRITES.contains(&name);
    acts(&directive.name) || directive.name == "if" && directive.inside().iter().any(|inner| acts(&inner.name))
}

/// The location that asks the daemon.
fn question(server: &Server<'_>, report: &mut Report) {
    let asks = |location: &&Location<'_>| matches!(&location.found, Found::Exactly(path) if path == AUTH_LOCATION);
    let Some(location) = server.locations.iter().find(asks) else { return };
    let mut wrong = |seen: String, expected: &str| {
        let todo = "put the shipped snippets/hlsgate.conf in its place: `hlsgate nginx --only snippets/hlsgate.conf`";
        report.wrong(GROUP, "question to the daemon", seen, expected, todo);
    };
    let name = location.name();
    if location.own("internal").is_empty() {
        wrong(format!("{name} is not internal: viewers can ask the daemon themselves"), "internal;");
    }
    if location.value("proxy_cache").is_some_and(|zone| zone != "off") {
        let key = location.own("proxy_cache_key").first().map_or(String::new(), |key| key.args.concat());
        if let Some(carrier) = CARRIERS.into_iter().find(|carrier| !key.contains(carrier)) {
            wrong(
                format!(
                    "{name} caches decisions by a proxy_cache_key without {carrier}: the yes for one viewer is served to another"
                ),
                "a key of everything that a decision reads",
            );
        }
        if location.value("proxy_cache_use_stale").is_some_and(|stale| stale != "off") {
            wrong(
                format!("{name} has proxy_cache_use_stale: an old yes outlives the daemon"),
                "proxy_cache_use_stale off;",
            );
        }
    }
    if location.value("proxy_pass_request_headers") != Some("off") {
        wrong(
            format!("{name} passes on what viewers send: they can forge the gate's own headers"),
            "proxy_pass_request_headers off;",
        );
    }
    let turned_to_yes = |page: &&&Directive| page.args.iter().any(|arg| arg.starts_with("=2"));
    if let Some(page) = location.in_force("error_page").iter().find(turned_to_yes) {
        wrong(
            format!(
                "`{}` ({}) applies to {name}: with the daemon away its answer counts as a yes",
                page.text(),
                page.place
            ),
            "an error_page of its own there, which ends the inheritance",
        );
    }
}

/// Whatever a player asks for below the media path ends in a location that asks the gate.
fn media(config: &Config, server: &Server<'_>, report: &mut Report) {
    let prefix = config.media.prefix();
    // Each with the first path that ends there.
    let mut open: Vec<(String, String)> = Vec::new();
    let mut shut = open.clone();
    let mut asked = true;
    for path in samples(config) {
        let location = server.find(&path);
        let (guard, name) = match location {
            Some(location) => (location.guard(), location.name()),
            None => (Guard::Open, server.name()),
        };
        asked &= guard == Guard::Gate;
        // A nested one has a finding of its own.
        let list = match guard {
            Guard::Open => &mut open,
            Guard::Shut if !location.is_some_and(Location::inside_protected) => &mut shut,
            _ => continue,
        };
        if !list.iter().any(|(known, _)| *known == name) {
            list.push((name, path));
        }
    }
    for (name, path) in &shut {
        report.wrong(
            GROUP,
            "media path",
            format!(
                "a request for {path} ends in {name}, which asks without saying for which video: everybody is refused"
            ),
            format!("a location for {prefix} that includes snippets/hlsgate-protect.conf itself"),
            format!(
                "write `location ^~ {prefix} {{ include snippets/hlsgate-protect.conf; }}`, and no such include outside"
            ),
        );
    }
    for (name, path) in &open {
        report.wrong(
            GROUP,
            "media path",
            format!("a request for {path} ends in {name}, which asks nobody"),
            format!("every request below {prefix} ends in a location that includes snippets/hlsgate-protect.conf"),
            format!(
                "write the protected location as `location ^~ {prefix} {{ … }}`: without ^~ a regular expression wins"
            ),
        );
    }
    if asked {
        report.ok(
            GROUP,
            "media path",
            format!("whatever is asked for below {prefix} of {} asks the gate", server.name()),
        );
    }
    let taken = |location: &&Location<'_>| location.guard() == Guard::Gate;
    for location in server.locations.iter().filter(taken) {
        let Found::Prefix { path, alone } = &location.found else { continue };
        if !alone && open.is_empty() && prefix.starts_with(path.as_str()) {
            report.warning(
                GROUP,
                "media path",
                format!("{} lacks ^~: the next `location ~ \\.ts$` that somebody adds will open it", location.name()),
                format!("location ^~ {path}"),
                "add ^~ before its path",
            );
        }
    }
}
