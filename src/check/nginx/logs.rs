//! Logs without tokens, and limits that count viewers instead of proxies.

use std::collections::BTreeMap;

use super::GROUP;
use super::syntax::Directive;
use super::tree::{Guard, Inherits as _, Server};
use crate::check::report::Report;

/// Variables that can hold a token or what leads to one.
const TELLING: [&str; 19] = [
    "request",
    "request_uri",
    "uri",
    "document_uri",
    "args",
    "query_string",
    "arg_token",
    "http_referer",
    "http_cookie",
    "http_authorization",
    "request_filename",
    "sent_http_set_cookie",
    "upstream_http_set_cookie",
    "hlsgate_path",
    "hlsgate_path_token",
    "hlsgate_query",
    "hlsgate_set_cookie",
    "cookie_hlsgate",
    "request_body",
];

/// Looks at the logs and the addresses of every server with a gate.
pub(super) fn look(main: &[Directive], servers: &[Server<'_>], report: &mut Report) {
    let mut formats: BTreeMap<&str, String> = BTreeMap::from([("combined", "$request".to_owned())]);
    let https = main.iter().filter(|directive| directive.name == "http");
    for format in https.flat_map(|http| http.all("log_format")) {
        formats.insert(format.first(), format.args.get(1..).unwrap_or_default().concat());
    }
    for server in servers.iter().filter(|server| server.has_gate()) {
        access_logs(&formats, server, report);
        error_logs(main, server, report);
        addresses(server, report);
    }
}

fn access_logs(formats: &BTreeMap<&str, String>, server: &Server<'_>, report: &mut Report) {
    let expected = "the format `hlsgate`, which leaves tokens out";
    let todo = "give it the format: `access_log FILE hlsgate;`";
    let mut clean = true;
    for log in server.in_force("access_log") {
        if let Some(variable) = telling(log, formats) {
            clean = false;
            let seen = format!(
                "`{}` ({}) writes ${variable}: requests that fail before a location is found are logged with their token",
                log.text(),
                log.place
            );
            report.warning(GROUP, "access log", seen, expected, todo);
        }
    }
    for location in server.locations.iter().filter(|location| location.guard() == Guard::Gate) {
        for log in location.in_force("access_log") {
            if let Some(variable) = telling(log, formats) {
                clean = false;
                let seen =
                    format!("`{}` ({}) writes ${variable}, and with it the tokens of viewers", log.text(), log.place);
                report.wrong(GROUP, "access log", seen, expected, todo);
            }
        }
    }
    if clean {
        report.ok(GROUP, "access log", format!("that of {} shows no token", server.name()));
    }
}

/// The first variable of the log's format that can show a token.
fn telling(log: &Directive, formats: &BTreeMap<&str, String>) -> Option<String> {
    if log.first() == "off" {
        return None;
    }
    let format = log.args.get(1).filter(|word| !word.contains('=')).map_or("combined", String::as_str);
    let text = formats.get(format)?;
    let names = text.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        &rest[..end]
    });
    names.map(str::to_owned).find(|name| TELLING.contains(&name.as_str()))
}

fn error_logs(main: &[Directive], server: &Server<'_>, report: &mut Report) {
    let own = server.in_force("error_log");
    let global = main.iter().filter(|directive| directive.name == "error_log");
    let logs: Vec<&Directive> = if own.is_empty() { global.collect() } else { own };
    if let Some(log) = logs.iter().find(|log| log.args.get(1).is_some_and(|level| level.starts_with("debug"))) {
        report.warning(
            GROUP,
            "error log",
            format!("`{}` ({}) writes every header, tokens included", log.text(), log.place),
            "error, or warn",
            "lower it when the search is over, and remove what was written",
        );
    }
}

fn addresses(server: &Server<'_>, report: &mut Report) {
    let trusted = server.in_force("set_real_ip_from");
    if let Some(all) = trusted.iter().find(|from| matches!(from.first(), "0.0.0.0/0" | "::/0")) {
        return report.wrong(
            GROUP,
            "viewer's address",
            format!(
                "`{}` ({}) believes everybody's {}: viewers choose the address that limits count",
                all.text(),
                all.place,
                server.value("real_ip_header").unwrap_or("X-Real-IP")
            ),
            "the addresses of your proxy or CDN alone",
            "list them, one set_real_ip_from each",
        );
    }
    if !trusted.is_empty() {
        let header = server.value("real_ip_header").unwrap_or("X-Real-IP");
        let seen = format!("{} takes it from {header} of {} trusted networks", server.name(), trusted.len());
        return report.ok(GROUP, "viewer's address", seen);
    }
    let listens = server.own("listen");
    let inward = |address: &str| {
        address.starts_with("unix:")
            || address.starts_with("127.")
            || address.starts_with("[::1]")
            || address.starts_with("localhost")
    };
    match !listens.is_empty() && listens.iter().all(|listen| inward(listen.first())) {
        true => report.warning(
            GROUP,
            "viewer's address",
            format!("{} is reached through another proxy only, and takes that proxy's address for the viewer's: all share one limit", server.name()),
            "set_real_ip_from and real_ip_header",
            "see \"Behind a CDN or another proxy\" in docs/nginx.md",
        ),
        false => report.ok(GROUP, "viewer's address", format!("{} takes that of the connection; behind a CDN it needs set_real_ip_from", server.name())),
    }
}
