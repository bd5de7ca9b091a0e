//! The files that hlsgate ships: there, and saying what this version prints for this configuration.

use super::GROUP;
use super::adapted::{SHIPPED, adapted};
use super::dump::Dump;
use super::syntax::{Directive, parse};
use crate::check::report::Report;
use crate::config::Config;

/// Lines that an operator may well change: where logs and caches lie, how much is too much.
const OWN: [&str; 10] = [
    "http2_max_concurrent_streams",
    "access_log",
    "proxy_cache_path",
    "limit_req_zone",
    "limit_conn_zone",
    "limit_req",
    "limit_conn",
    "keepalive",
    "keepalive_requests",
    "open_file_cache",
];
/// Lines without which the gate is another one.
const ESSENTIAL: [&str; 14] = [
    "auth_request",
    "auth_request_set",
    "set",
    "if",
    "rewrite",
    "internal",
    "map",
    "volatile",
    "server",
    "proxy_pass",
    "proxy_pass_request_headers",
    "proxy_set_header",
    "proxy_cache_key",
    "proxy_cache_use_stale",
];

/// Compares each shipped file that the configuration includes.
pub(super) fn look(config: &Config, dump: &Dump, report: &mut Report) {
    for (name, text) in SHIPPED {
        match dump.file(name) {
            Some((file, found)) => compare(name, file, found, &adapted(text, config), report),
            None if name == "conf.d/hlsgate.conf" && !has_upstream(dump) => report.wrong(
                GROUP,
                name,
                "it is not part of nginx's configuration",
                "the upstream, maps and limits that the snippets refer to",
                "install it: `hlsgate nginx --write /etc/nginx`; nginx.conf has to say `include /etc/nginx/conf.d/*.conf;` in its http block",
            ),
            None => {}
        }
    }
}

fn has_upstream(dump: &Dump) -> bool {
    let mut https = dump.main.iter().filter(|directive| directive.name == "http");
    https.any(|http| http.all("upstream").any(|upstream| upstream.first() == "hlsgate"))
}

fn compare(name: &str, file: &str, found: &str, expected: &str, report: &mut Report) {
    let (Ok(there), Ok(ours)) = (parse(found, file), parse(expected, name)) else {
        // The dump was read as a whole, so this cannot be.
        return;
    };
    let (there, ours) = (lines(&there, ""), lines(&ours, ""));
    let missing = ours.iter().find(|line| !there.contains(line));
    let foreign = there.iter().find(|line| !ours.contains(line));
    let (Some(different), side) = (missing.or(foreign), missing.is_some()) else {
        return report.ok(GROUP, name, format!("{file} is that of this version"));
    };
    let word = different.rsplit(" › ").next().unwrap_or_default().split(' ').next().unwrap_or_default();
    let seen = match side {
        true => format!("{file} lacks `{different}`"),
        false => format!("{file} has `{different}`, which this version does not print"),
    };
    let expected = "the file as `hlsgate nginx` prints it for this configuration";
    let todo = format!("compare: `hlsgate nginx --only {name} | diff {file} -`, then replace it and reload nginx");
    match ESSENTIAL.contains(&word) || word.starts_with('~') {
        true => report.wrong(GROUP, name, seen, expected, todo),
        false => report.warning(GROUP, name, seen, expected, todo),
    }
}

/// Every directive as one line, with the blocks that it stands in before it.
fn lines(directives: &[Directive], above: &str) -> Vec<String> {
    let mut all = Vec::new();
    for directive in directives.iter().filter(|directive| !OWN.contains(&directive.name.as_str())) {
        let line = format!("{above}{}", directive.text());
        let below = format!("{line} › ");
        all.push(line);
        all.extend(lines(directive.inside(), &below));
    }
    all
}
