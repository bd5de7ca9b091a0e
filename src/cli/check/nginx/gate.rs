//! How the shipped files are put to use: in the right place, and with nothing beside them that opens what they shut.
//!
//! Each finding's reason stands in `docs/nginx.md`, under "Traps", where it was seen to open a door.

use super::syntax::Directive;
use super::tree::{AUTH_LOCATION, Found, Guard, Inherits as _, Location, Server};
use super::{GROUP, samples};
use crate::cli::check::report::Report;
use crate::config::Config;

/// What a cached decision has to depend on.
const CARRIERS: [&str; 6] =
    ["$hlsgate_video", "$hlsgate_kind", "$hlsgate_path_token", "$hlsgate_query", "$http_authorization", "$http_cookie"];
/// Directives that nginx runs in its rewrite phases, for its own question as well as for the viewer's request.
const REWRITES: [&str; 3] = ["rewrite", "return", "break"];

/// Looks at every server that has to do with the gate.
pub fn look(config: &Config, servers: &[Server<'_>], report: &mut Report) {
    for server in servers.iter().filter(|server| server.has_gate() || server.protects()) {
        placement(server, report);
        question(server, report);
        media(config, server, report);
        for location in &server.locations {
            beside(config, location, report);
            if location.guard() == Guard::Gate {
                protected(config, location, report);
            }
        }
        whole_server(config, server, report);
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
            format!("`{}` ({}) stands above the include: nginx runs it for its question to the daemon too, and its answer counts as a yes", first.text(), first.place),
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
    let mut open: Vec<(String, String)> = Vec::new();
    let mut asked = true;
    for path in samples(config) {
        let location = server.find(&path);
        let (guard, name) = match location {
            Some(location) => (location.guard(), location.name()),
            None => (Guard::Open, server.name()),
        };
        asked &= guard == Guard::Gate;
        if guard == Guard::Open && !open.iter().any(|(known, _)| *known == name) {
            open.push((name, path));
        }
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

/// Locations beside and inside the protected ones.
fn beside(config: &Config, location: &Location<'_>, report: &mut Report) {
    let prefix = config.media.prefix();
    let (levels, name) = (location.levels(), location.name());
    let inside_protected = levels[..levels.len() - 1].iter().any(|level| level.name == "location" && asks(level));
    let off = location.own("auth_request").iter().any(|request| request.first() == "off");
    if inside_protected && off {
        return report.wrong(
            GROUP,
            "auth_request off",
            format!("{name} switches the question off inside a protected location"),
            "the question for everything below the media path",
            "take `auth_request off;` out; for free files use a path of their own outside the media path",
        );
    }
    let path = match &location.found {
        Found::Prefix { path, .. } | Found::Exactly(path) => path,
        Found::Pattern(_) | Found::Named => return nested(location, inside_protected, report),
    };
    if !path.starts_with(prefix) {
        return;
    }
    if !location.own("internal").is_empty() {
        return report.wrong(
            GROUP,
            "internal location",
            format!(
                "{name} lies below {prefix}: taking a token out of {prefix}~x/… is an internal redirect and enters it"
            ),
            "no internal location below the media path",
            "move it to a path outside, such as /internal/",
        );
    }
    if location.guard() == Guard::Open && path != prefix {
        return report.warning(
            GROUP,
            "free files",
            format!("{name} is open to everybody"),
            "nothing free below the media path, unless it is meant",
            "if it is not meant, remove it or include snippets/hlsgate-protect.conf in it",
        );
    }
    nested(location, inside_protected, report);
}

/// A location inside a protected one inherits the question, but not the video that it is about.
fn nested(location: &Location<'_>, inside_protected: bool, report: &mut Report) {
    if inside_protected && location.guard() == Guard::Shut {
        report.warning(
            GROUP,
            "nested location",
            format!(
                "{} refuses everything (403 bad-request): it inherits the question, but not the video",
                location.name()
            ),
            "the include in nested locations too",
            "write `include snippets/hlsgate-protect.conf;` in it",
        );
    }
}

fn asks(level: &Directive) -> bool {
    level.all("auth_request").any(|request| request.first() == AUTH_LOCATION)
}

/// What stands in a protected location beside the include.
fn protected(config: &Config, location: &Location<'_>, report: &mut Report) {
    let prefix = config.media.prefix();
    let name = location.name();
    before_the_question(prefix, location, location.directive().inside(), false, report);
    if let (Some(alias), Found::Prefix { path, .. }) = (location.own("alias").first(), &location.found)
        && path.ends_with('/') != alias.first().ends_with('/')
    {
        report.wrong(
            GROUP,
            "alias",
            format!("{name} has `{}`: one of both ends with a slash and the other does not, so that `..` behind it leads out of the folder", alias.text()),
            "a slash at the end of both",
            format!("write `location ^~ {prefix} {{ alias {}/; … }}`", alias.first().trim_end_matches('/')),
        );
    }
    if location.value("satisfy") == Some("any") {
        report.wrong(
            GROUP,
            "satisfy",
            format!("`satisfy any` is in force in {name}: an allowed address or a password opens without a token"),
            "satisfy all, which is the default",
            "take it out, or write `satisfy all;` in the protected location",
        );
    }
    for tries in location.own("try_files") {
        let middle = &tries.args[..tries.args.len().saturating_sub(1)];
        for other in middle.iter().filter(|arg| !matches!(arg.as_str(), "$uri" | "$uri/")) {
            report.wrong(
                GROUP,
                "try_files",
                format!(
                    "`{}` ({}): {other} is served without another question, whichever video it belongs to",
                    tries.text(),
                    tries.place
                ),
                "only $uri before the last argument; the last one is asked about",
                format!("make {other} the last argument, or take it out"),
            );
        }
    }
    for page in location.own("error_page").iter().filter(|page| page.args.iter().any(|arg| arg.starts_with("=2"))) {
        report.warning(
            GROUP,
            "error_page",
            format!("`{}` ({}) shows refusals as success: players take the page for video", page.text(), page.place),
            "error pages with the status of the error",
            "leave `=200` out",
        );
    }
}

/// Rewrites and returns of a protected location: they are run before the gate is asked.
fn before_the_question(
    prefix: &str,
    location: &Location<'_>,
    directives: &[Directive],
    conditional: bool,
    report: &mut Report,
) {
    for directive in directives {
        match directive.name.as_str() {
            "if" if !of_the_snippets(directive) => {
                before_the_question(prefix, location, directive.inside(), true, report);
            }
            "return" => {
                let refuses = directive.first().starts_with(['4', '5']) && directive.first().len() == 3;
                if !(refuses && conditional) {
                    report.wrong(
                        GROUP,
                        "return",
                        format!(
                            "`{}` ({}) answers in {} before the gate is asked",
                            directive.text(),
                            directive.place,
                            location.name()
                        ),
                        "no return in a protected location",
                        "move it into a location of its own",
                    );
                }
            }
            "rewrite" if !directive.first().starts_with(&format!("^{}~", prefix.replace('.', r"\."))) => {
                let target = directive.args.get(1).map_or("", String::as_str);
                let flag = directive.args.get(2).map_or("", String::as_str);
                let asked_again = target.starts_with(prefix) && flag == "last";
                if !asked_again {
                    report.wrong(
                        GROUP,
                        "rewrite",
                        format!(
                            "`{}` ({}) leads out of {} before the gate is asked",
                            directive.text(),
                            directive.place,
                            location.name()
                        ),
                        format!("rewrites to paths below {prefix} and with `last`, which are asked about"),
                        "move it into a location of its own",
                    );
                }
            }
            _ => {}
        }
    }
}

/// The two `if` blocks that the shipped files bring: no server snippet, and CORS preflights.
fn of_the_snippets(directive: &Directive) -> bool {
    let condition = directive.args.concat();
    let condition = condition.trim_matches(['(', ')']);
    let answers = |status: &str| matches!(directive.inside(), [only] if only.name == "return" && only.args == [status]);
    condition == "$hlsgate_server=" && answers("500") || condition == "$request_method=OPTIONS" && answers("204")
}

/// What opens doors wherever in the server it stands.
fn whole_server(config: &Config, server: &Server<'_>, report: &mut Report) {
    let prefix = config.media.prefix();
    if server.value("merge_slashes") == Some("off") {
        report.wrong(
            GROUP,
            "merge_slashes",
            format!(
                "`merge_slashes off` is in force in {}: /{prefix}… is then no path below {prefix}, but the same file",
                server.name()
            ),
            "merge_slashes on, which is the default",
            "take it out",
        );
    }
    let everywhere = || server.locations.iter().map(Location::levels).chain([server.levels()]);
    let switched =
        |name: &'static str| everywhere().flat_map(|levels| levels.iter()).flat_map(move |level| level.all(name));
    if let Some(ssi) = switched("ssi").find(|ssi| ssi.first() == "on") {
        report.wrong(
            GROUP,
            "ssi",
            format!("`ssi on` ({}): a page that includes a path below {prefix} gets it without a question", ssi.place),
            "no server-side includes in a server that protects videos",
            "switch it off, or let another server block serve those pages",
        );
    }
    for name in ["add_before_body", "add_after_body", "mirror"] {
        if let Some(added) = switched(name).find(|added| added.first().starts_with(prefix)) {
            report.wrong(
                GROUP,
                name,
                format!("`{}` ({}) brings a protected file without a question", added.text(), added.place),
                "no protected path there",
                "take it out",
            );
        }
    }
}
