//! What opens doors beside and inside the protected locations, whoever wrote it.
//!
//! Each finding's reason stands in `docs/nginx.md`, under "Traps", where it was seen to open a door.

use super::GROUP;
use super::syntax::Directive;
use super::tree::{Found, Guard, Inherits as _, Location, Server};
use crate::check::report::Report;
use crate::config::Config;

/// Looks at every server that has to do with the gate.
pub(super) fn look(config: &Config, servers: &[Server<'_>], report: &mut Report) {
    for server in servers.iter().filter(|server| server.has_gate() || server.protects()) {
        for location in &server.locations {
            beside(config, location, report);
            if location.guard() == Guard::Gate {
                protected(config, location, report);
            }
        }
        whole_server(config, server, report);
    }
}

/// A location beside the protected ones, or inside one.
fn beside(config: &Config, location: &Location<'_>, report: &mut Report) {
    let prefix = config.media.prefix();
    let (name, inside_protected) = (location.name(), location.inside_protected());
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
        Found::Pattern(_) | Found::Named => return nested(location, report),
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
    nested(location, report);
}

/// A location inside a protected one inherits the question, but not the video that it is about.
fn nested(location: &Location<'_>, report: &mut Report) {
    if location.inside_protected() && location.guard() == Guard::Shut {
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
    for (name, snippet) in [("$hlsgate_cache", "hlsgate-cache.conf"), ("$hlsgate_l402", "hlsgate-l402.conf")] {
        let mut settings = location.directive().all("set").filter(|set| set.first() == name);
        let first = settings.next().filter(|set| set.args.get(1).is_none_or(|value| value != "off"));
        if let (Some(set), Some(_)) = (first, settings.next()) {
            report.warning(
                GROUP,
                "opt-in",
                format!("snippets/{snippet} ({}) stands above hlsgate-protect.conf and so does nothing", set.place),
                "opt-ins below hlsgate-protect.conf",
                "move its include below",
            );
        }
    }
    for tries in location.own("try_files") {
        // These are served as they are; the last one is another request, which is asked about.
        for other in tries.all_but_last().filter(|arg| !matches!(*arg, "$uri" | "$uri/")) {
            tried(tries, other, "without another question, whichever video it belongs to", report);
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

fn tried(tries: &Directive, other: &str, how: &str, report: &mut Report) {
    report.wrong(
        GROUP,
        "try_files",
        format!("`{}` ({}): {other} is served {how}", tries.text(), tries.place),
        "no protected path, and in a protected location only $uri, before the last argument; the last one is asked about",
        format!("make {other} the last argument, or take it out"),
    );
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
    let open = server.locations.iter().filter(|location| location.guard() != Guard::Gate);
    for tries in open.map(Location::directive).chain([server.directive()]).flat_map(|level| level.all("try_files")) {
        for other in tries.all_but_last().filter(|other| other.starts_with(prefix.trim_end_matches('/'))) {
            tried(tries, other, "and nobody is asked", report);
        }
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
