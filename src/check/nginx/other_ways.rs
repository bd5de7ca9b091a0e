//! Other ways to the protected files: another location or server whose `root` or `alias` reaches the same folder, or a cache
//! in front that hands out what one viewer was allowed to have.

use std::path::{Path, PathBuf};

use super::syntax::Directive;
use super::tree::{Found, Guard, Inherits as _, Location, Server, joined};
use super::{GROUP, SAMPLES, samples};
use crate::check::report::Report;
use crate::config::Config;

/// Most entries of an open folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// Looks for open ways into each protected folder.
pub(super) fn look(config: &Config, servers: &[Server<'_>], report: &mut Report) {
    let folders = protected_folders(config, servers);
    let mut found = false;
    for server in servers.iter().filter(|server| server.own("return").is_empty()) {
        for (name, path, file) in open_ways(config, server, &folders) {
            found = true;
            report.wrong(
                GROUP,
                "another way",
                format!(
                    "{path} of {} is answered by {name} from {}, and nobody is asked",
                    server.name(),
                    file.display()
                ),
                "one way to the protected files: through the gate",
                "move the files out of that folder, or shut the path: `location ^~ PATH { return 404; }`",
            );
        }
        for (what, file) in led_ways(server, &folders).into_iter().chain(named_ways(config, server, &folders)) {
            found = true;
            report.wrong(
                GROUP,
                "another way",
                format!("{what} files from {}, and nobody is asked", file.display()),
                "one way to the protected files: through the gate",
                "take it out, or move the files out of that folder",
            );
        }
        found |= cache_in_front(config, server, report);
    }
    match folders.as_slice() {
        [] => {}
        _ if found => {}
        folders => {
            let list: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            report.ok(GROUP, "another way", format!("no other location or server reaches {}", list.join(", ")));
        }
    }
}

/// The folders behind the protected locations.
fn protected_folders(config: &Config, servers: &[Server<'_>]) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for server in servers {
        for path in samples(config) {
            let Some(location) = server.find(&path).filter(|location| location.guard() == Guard::Gate) else {
                continue;
            };
            let folder = location.folder_of(config.media.prefix());
            // A folder that only variables tell, or the whole disk, says nothing.
            if location.serves_files() && folder.components().count() > 1 && !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders
}

/// Files of a video, as they lie in a protected folder.
fn files_of_a_video(config: &Config) -> Vec<String> {
    let video = config.media.suffix().trim_matches('/');
    SAMPLES.iter().map(|file| format!("VIDEO/{video}/{file}").replace("//", "/")).collect()
}

/// What is answered with a protected file by an open location: its name, the request's path, the file's folder.
fn open_ways(config: &Config, server: &Server<'_>, folders: &[PathBuf]) -> Vec<(String, String, PathBuf)> {
    let mut ways: Vec<(String, String, PathBuf)> = Vec::new();
    // What is open below the media path itself is told under "media path".
    let told = server.has_gate() || server.protects();
    let mut note = |name: String, path: String, file: &Path| {
        let below = told && path.starts_with(config.media.prefix());
        if !below && !ways.iter().any(|(known, ..)| *known == name) {
            ways.push((name, path, file.to_owned()));
        }
    };
    let below = files_of_a_video(config);
    for folder in folders {
        for file in &below {
            let target = folder.join(file);
            // The server itself, for whatever no location takes.
            let root = joined(server.root(), "");
            for path in path_of(&root, "/", &target).into_iter().chain(by_link(&root, "/", folder, file)) {
                if server.find(&path).is_none() {
                    note(format!("the server's own root {}", root.display()), path, folder);
                }
            }
            for location in server.locations.iter().filter(|location| location.serves_files()) {
                for path in paths_into(location, folder, file) {
                    let ends = server.find(&path);
                    let here = ends.is_some_and(|ends| std::ptr::eq(ends, location) && ends.guard() == Guard::Open);
                    if here && reaches(location, &path, folder) {
                        note(location.name(), path, folder);
                    }
                }
            }
        }
    }
    ways
}

/// Ways that no path tells: into an `internal` location, and through an expression whose `alias` holds what it captured.
/// Gives what serves, and the folder.
fn led_ways(server: &Server<'_>, folders: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let mut ways = Vec::new();
    for location in server.locations.iter().filter(|location| location.serves_files()) {
        let folder = location.folder_of(location.prefix().unwrap_or("/"));
        let Some(folder) = folders.iter().find(|protected| folder.starts_with(protected)) else { continue };
        match (&location.found, location.guard()) {
            (Found::Pattern(_), Guard::Open) if !location.own("alias").is_empty() => {
                ways.push((format!("{} serves", location.name()), folder.clone()));
            }
            (Found::Prefix { path, .. } | Found::Exactly(path), Guard::Other)
                if !location.own("internal").is_empty() =>
            {
                if let Some(leads) = leading_to(server, path) {
                    let seen =
                        format!("`{}` ({}) leads into {}, which serves", leads.text(), leads.place, location.name());
                    ways.push((seen, folder.clone()));
                }
            }
            _ => {}
        }
    }
    ways
}

/// Ways into a named location, which keeps the request's path and asks nobody. Gives what serves, and the folder.
fn named_ways(config: &Config, server: &Server<'_>, folders: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let files = files_of_a_video(config);
    let open = |location: &&Location<'_>| matches!(location.found, Found::Named) && location.guard() == Guard::Open;
    let mut ways = Vec::new();
    // One path for each directive is enough.
    let mut told: Vec<&Directive> = Vec::new();
    for location in server.locations.iter().filter(open) {
        let targets = folders.iter().flat_map(|folder| files.iter().map(move |file| (folder, file)));
        let paths = targets
            .flat_map(|(folder, file)| paths_into(location, folder, file).into_iter().map(move |path| (folder, path)));
        for (folder, path) in paths.filter(|(_, path)| location.serves_what_was_asked_for(path)) {
            let Some(leads) = handing_over(server, &path, location.directive().first()) else { continue };
            if !told.iter().any(|other| std::ptr::eq(*other, leads)) {
                told.push(leads);
                let (text, place, into) = (leads.text(), &leads.place, location.name());
                ways.push((format!("{path} comes by `{text}` ({place}) into {into}, which serves"), folder.clone()));
            }
        }
    }
    ways
}

/// The directive by which a request for this path is handed over to the location `name` before anybody has allowed it.
fn handing_over<'a>(server: &Server<'a>, path: &str, name: &str) -> Option<&'a Directive> {
    let ends = server.find(path);
    let (tries, pages) = match ends {
        Some(location) => (location.own("try_files"), location.in_force("error_page")),
        None => (server.own("try_files"), server.in_force("error_page")),
    };
    let open = ends.is_none_or(|location| location.guard() == Guard::Open);
    let leads = |directive: &&Directive| directive.args.last().is_some_and(|last| last == name);
    // Where a question comes first, nothing is tried before it was answered with yes.
    tries.into_iter().filter(|_| open).find(leads).or_else(|| {
        let mut shown: Vec<&str> = Vec::new();
        pages.into_iter().find(|page| {
            // Of two pages for a status nginx shows the first; and a file is missing (404) only after the yes.
            let statuses: Vec<&str> = page.all_but_last().filter(|it| !it.starts_with('=')).collect();
            let shows = statuses.iter().any(|status| !shown.contains(status) && (open || *status != "404"));
            shown.extend(statuses);
            shows && leads(page)
        })
    })
}

/// A directive outside the protected locations that takes a request to a path below `path`.
fn leading_to<'a>(server: &Server<'a>, path: &str) -> Option<&'a Directive> {
    let open = server.locations.iter().filter(|location| location.guard() != Guard::Gate);
    let levels = open.map(Location::directive).chain([server.directive()]);
    let mut found = levels.flat_map(|level| {
        let conditions = level.all("if").flat_map(Directive::inside);
        level.inside().iter().chain(conditions)
    });
    found.find(|directive| {
        let targets = match directive.name.as_str() {
            "rewrite" => directive.args.get(1..2),
            "try_files" | "error_page" => directive.args.last().map(std::slice::from_ref),
            _ => None,
        };
        targets.is_some_and(|targets| targets[0].starts_with(path))
    })
}

/// The paths by which a location would serve `target`, were it asked.
fn paths_into(location: &Location<'_>, folder: &Path, file: &str) -> Vec<String> {
    let alias = !location.own("alias").is_empty();
    let (base, prefix) = match &location.found {
        Found::Prefix { path, .. } | Found::Exactly(path) if alias => (location.folder_of(path), path.as_str()),
        Found::Pattern(_) if alias => return Vec::new(),
        _ => (location.folder_of("/"), "/"),
    };
    if let Some(path) = path_of(&base, prefix, &folder.join(file)) {
        return vec![path];
    }
    // The location begins somewhere inside the protected folder.
    let own = location.prefix().unwrap_or("/");
    match location.folder_of(own).starts_with(folder) {
        true => vec![format!("{own}{}", SAMPLES[1])],
        false => by_link(&base, prefix, folder, file),
    }
}

/// The paths that lead into the protected folder through a symbolic link of `base`; deeper ones are not looked for.
fn by_link(base: &Path, prefix: &str, folder: &Path, file: &str) -> Vec<String> {
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    let path = |entry: std::fs::DirEntry| {
        let real = std::fs::canonicalize(entry.path()).ok()?;
        let below = match folder.strip_prefix(&real) {
            Ok(below) => below.join(file),
            Err(_) if real.starts_with(folder) => SAMPLES[1].into(),
            Err(_) => return None,
        };
        path_of(base, prefix, &entry.path().join(below))
    };
    links.filter_map(path).collect()
}

fn reaches(location: &Location<'_>, path: &str, folder: &Path) -> bool {
    location.folder_of(path).starts_with(folder)
}

/// The request's path for a file, if `base` stands for `prefix`.
fn path_of(base: &Path, prefix: &str, target: &Path) -> Option<String> {
    let rest = target.strip_prefix(base).ok()?;
    Some(format!("{}/{}", prefix.trim_end_matches('/'), rest.display()))
}

/// A caching proxy whose key lacks what the gate reads, and which was told to keep what says `private`.
fn cache_in_front(config: &Config, server: &Server<'_>, report: &mut Report) -> bool {
    let mut seen: Vec<String> = Vec::new();
    for path in samples(config) {
        let Some(location) = server.find(&path).filter(|location| location.guard() == Guard::Open) else { continue };
        let caches = location.value("proxy_cache").is_some_and(|zone| zone != "off");
        let told_to_keep = location
            .in_force("proxy_ignore_headers")
            .iter()
            .any(|ignored| ignored.args.iter().any(|header| header.eq_ignore_ascii_case("Cache-Control")));
        let key = location.value("proxy_cache_key").unwrap_or("$scheme$proxy_host$request_uri");
        let lacks = ["$http_cookie", "$http_authorization"].into_iter().find(|carrier| !key.contains(carrier));
        let (true, true, Some(carrier)) = (caches, told_to_keep, lacks) else { continue };
        let name = location.name();
        if seen.contains(&name) {
            continue;
        }
        report.wrong(
            GROUP,
            "proxy_cache",
            format!("{name} keeps answers that say `private`, by a key without {carrier}: one viewer's video is served to all"),
            "no cache of the media path in front of the gate",
            "write `proxy_cache off;` for the media path, or take Cache-Control out of proxy_ignore_headers",
        );
        seen.push(name);
    }
    !seen.is_empty()
}
