//! How what the gate opens is served: what browsers may keep, what another server gets to see, and for how many viewers it lasts.

use super::GROUP;
use super::syntax::Directive;
use super::tree::{Guard, Inherits as _, Location, Server};
use crate::check::report::Report;

/// nginx's own, without the directive.
const DEFAULT_CONNECTIONS: u64 = 512;
const DEFAULT_STREAMS: u64 = 128;
/// As many viewers as a page's opening night brings at the same instant, each asking for as much as one may.
const VIEWERS: u64 = 20;

/// Looks at every protected location, and at the connections of nginx's workers.
pub(crate) fn look(main: &[Directive], servers: &[Server<'_>], report: &mut Report) {
    let protected = |server: &&Server<'_>| server.has_gate() && server.protects();
    for server in servers.iter().filter(protected) {
        let gate = server.locations.iter().filter(|location| location.guard() == Guard::Gate);
        for location in gate {
            freshness(location, report);
            open_files(location, report);
            origin(location, report);
        }
    }
    connections(main, servers, report);
}

/// `Cache-Control: public` beside ours: shared caches between nginx and the viewers go by it.
fn freshness(location: &Location<'_>, report: &mut Report) {
    let merged = location.in_force("add_header_inherit").first().is_some_and(|inherit| inherit.first() == "merge");
    let lines: Vec<&Directive> = match merged {
        true => location.levels().iter().flat_map(|level| level.all("add_header")).collect(),
        false => location.in_force("add_header"),
    };
    let says = |line: &&&Directive, word: &str| {
        line.first().eq_ignore_ascii_case("Cache-Control")
            && line.args.get(1).is_some_and(|value| value.to_ascii_lowercase().contains(word))
    };
    if let Some(line) = lines.iter().find(|line| says(line, "public") || says(line, "s-maxage")) {
        report.wrong(
            GROUP,
            "Cache-Control",
            format!(
                "`{}` ({}) is in force in {}: caches between nginx and the viewers may keep what was paid for, and give it to others",
                line.text(),
                line.place,
                location.name()
            ),
            "the line of hlsgate-protect.conf alone: private",
            match merged {
                true => "take it out of the levels above, or `add_header_inherit` out of this one",
                false => "take it out; where nginx is to say how long browsers keep a file, see \"What browsers keep\" in docs/nginx.md",
            },
        );
    }
}

/// `open_file_cache` tells how long a file was, not how long it is.
fn open_files(location: &Location<'_>, report: &mut Report) {
    let cache = location.in_force("open_file_cache");
    let Some(cache) = cache.first().filter(|cache| cache.first() != "off") else { return };
    let threads = location.value("aio").filter(|aio| aio.starts_with("threads"));
    let direct = location.value("directio").filter(|size| *size != "off");
    if let Some(other) = threads.map(|_| "aio threads").or(direct.map(|_| "directio")) {
        return report.wrong(
            GROUP,
            "open_file_cache",
            format!(
                "{} has it (`{}`, {}) beside `{other}`: downloads break off with \"pread() failed\"",
                location.name(),
                cache.text(),
                cache.place
            ),
            "one of both",
            format!("`open_file_cache off;` in this location, or `{other}` out"),
        );
    }
    report.warning(
        GROUP,
        "open_file_cache",
        format!("`{}` ({}) is in force in {}: where files grow or are replaced (live, a download that is still written) viewers get 416 or old bytes meanwhile", cache.text(), cache.place, location.name()),
        "none, unless every film is finished before it is watched",
        "`open_file_cache off;` in this location if live streams come from it",
    );
}

/// A server behind the gate: it needs no token, and viewers none of its headers.
fn origin(location: &Location<'_>, report: &mut Report) {
    let Some(pass) = location.own("proxy_pass").first().copied() else { return };
    let set = location.in_force("proxy_set_header");
    let emptied = |name: &str| {
        set.iter().any(|line| line.first().eq_ignore_ascii_case(name) && line.args.get(1).is_some_and(String::is_empty))
    };
    let nothing_passes = location.value("proxy_pass_request_headers") == Some("off");
    let mut gets: Vec<&str> = Vec::new();
    if !nothing_passes {
        gets.extend(["Cookie", "Authorization"].into_iter().filter(|name| !emptied(name)));
    }
    // What stands behind the address replaces the path, and the query goes with it all the same.
    let query_is_cut = location.own("set").iter().any(|set| set.first() == "$args");
    let own_path = pass.first().contains('$') || query_is_cut;
    if !own_path {
        gets.push("the query");
    }
    if !gets.is_empty() {
        report.warning(
            GROUP,
            "origin",
            format!(
                "`{}` ({}) in {} passes on {} of viewers, and with it their tokens",
                pass.text(),
                pass.place,
                location.name(),
                gets.join(", ")
            ),
            "an origin that sees no token",
            "include snippets/hlsgate-origin.conf; below hlsgate-protect.conf",
        );
    }
    let hidden =
        location.in_force("proxy_hide_header").iter().any(|line| line.first().eq_ignore_ascii_case("Cache-Control"));
    if !hidden {
        report.warning(
            GROUP,
            "origin",
            format!("the Cache-Control of what `{}` ({}) answers stands beside ours: where it says `public`, caches may keep what was paid for", pass.text(), pass.place),
            "one Cache-Control, that of the gate",
            "include snippets/hlsgate-origin.conf; below hlsgate-protect.conf",
        );
    }
}

/// Every request in flight over HTTP/2 takes a connection to the daemon: too many streams, and a few viewers use up a worker.
fn connections(main: &[Directive], servers: &[Server<'_>], report: &mut Report) {
    let number = |text: &str| text.parse::<u64>().ok();
    let events = main.iter().filter(|directive| directive.name == "events");
    let connections = events.flat_map(|events| events.all("worker_connections")).find_map(|one| number(one.first()));
    let connections = connections.unwrap_or(DEFAULT_CONNECTIONS);
    for server in servers.iter().filter(|server| server.has_gate()) {
        let speaks = |listen: &&Directive| listen.args.iter().any(|word| word == "http2" || word == "quic");
        let on = ["http2", "http3"].iter().any(|name| server.value(name) == Some("on"));
        if !on && !server.own("listen").iter().any(speaks) {
            continue;
        }
        let streams = server.value("http2_max_concurrent_streams").and_then(number).unwrap_or(DEFAULT_STREAMS);
        let viewers = connections / (streams + 1);
        let seen = format!(
            "{connections} connections for each worker and {streams} streams for each viewer of {}: enough for {viewers} viewers who ask for all of that at the same instant",
            server.name()
        );
        match viewers >= VIEWERS {
            true => report.ok(GROUP, "connections", seen),
            false => report.warning(
                GROUP,
                "connections",
                format!("{seen}; the others get 500"),
                format!("worker_connections of at least {} with {streams} streams", VIEWERS * (streams + 1)),
                "raise worker_connections (and worker_rlimit_nofile), or http2_max_concurrent_streams 32; in http: see \"Many viewers over HTTP/2\" in docs/nginx.md",
            ),
        }
    }
}
