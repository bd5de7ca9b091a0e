//! Servers and locations as nginx sees them: what each inherits, which files each serves, which one a path ends in.

use std::path::{Path, PathBuf};

use regex::bytes::{Regex, RegexBuilder};

use super::syntax::Directive;

/// The question's location, which the server's snippet brings.
pub(super) const AUTH_LOCATION: &str = "/hlsgate-auth";
/// The folder of `root` when nobody names one; relative to the place where nginx was built to live.
const DEFAULT_ROOT: &str = "html";
/// What answers instead of a file.
const HANDLERS: [&str; 8] = [
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
    "stub_status",
    "empty_gif",
];

/// A `server` block.
#[derive(Debug)]
pub(super) struct Server<'a> {
    /// `http`, then `server`.
    levels: [&'a Directive; 2],
    /// Every location of it, nested ones behind the one that holds them.
    pub locations: Vec<Location<'a>>,
}

/// A `location` block.
#[derive(Debug)]
pub(super) struct Location<'a> {
    /// From `http` down to the location itself.
    levels: Vec<&'a Directive>,
    /// How it is found.
    pub found: Found,
}

/// How nginx finds a location.
#[derive(Debug)]
pub(super) enum Found {
    /// `location = /path`
    Exactly(String),
    /// `location /path`; `alone` with `^~`: no regular expression takes its requests.
    Prefix {
        /// The path.
        path: String,
        /// `^~`
        alone: bool,
    },
    /// `location ~ …`; `None` for an expression that cannot be read here.
    Pattern(Option<Regex>),
    /// `location @name`
    Named,
}

/// How a location is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// By hlsgate.
    Gate,
    /// It asks, but lacks the rest of `hlsgate-protect.conf`: every request is refused.
    Shut,
    /// By something else: another `auth_request`, a password, `deny all`, `internal`.
    Other,
    /// Not at all.
    Open,
}

/// Something with levels above it that it inherits from.
pub(super) trait Inherits<'a> {
    /// From `http` down.
    fn levels(&self) -> &[&'a Directive];

    /// The block itself.
    fn directive(&self) -> &'a Directive {
        self.levels()[self.levels().len() - 1]
    }

    /// Directives of this name in the block itself.
    fn own(&self, name: &'a str) -> Vec<&'a Directive> {
        self.directive().all(name).collect()
    }

    /// Those in force: of the block itself or, if it has none, of the nearest level above that has any.
    fn in_force(&self, name: &'a str) -> Vec<&'a Directive> {
        let nearest = self.levels().iter().rev().find(|level| level.all(name).next().is_some());
        nearest.map(|level| level.all(name).collect()).unwrap_or_default()
    }

    /// The first word of the one in force.
    fn value(&self, name: &'a str) -> Option<&'a str> {
        self.in_force(name).first().map(|directive| directive.first())
    }

    /// The folder of `root`.
    fn root(&self) -> &'a str {
        self.value("root").unwrap_or(DEFAULT_ROOT)
    }
}

impl<'a> Inherits<'a> for Server<'a> {
    fn levels(&self) -> &[&'a Directive] {
        &self.levels
    }
}

impl<'a> Inherits<'a> for Location<'a> {
    fn levels(&self) -> &[&'a Directive] {
        &self.levels
    }
}

/// Every server of every `http` block.
pub(super) fn servers(main: &[Directive]) -> Vec<Server<'_>> {
    let https = main.iter().filter(|directive| directive.name == "http");
    https.flat_map(|http| http.all("server").map(move |server| Server::new(http, server))).collect()
}

impl<'a> Server<'a> {
    fn new(http: &'a Directive, server: &'a Directive) -> Self {
        let mut locations = Vec::new();
        collect(&[http, server], &mut locations);
        Server { levels: [http, server], locations }
    }

    /// What to call it: its first name, and where it stands.
    pub(super) fn name(&self) -> String {
        let name = self.own("server_name").first().map(|names| names.first()).filter(|name| !name.is_empty());
        format!("server {} ({})", name.unwrap_or("without a name"), self.directive().place)
    }

    /// Whether `snippets/hlsgate.conf` is part of it, in whatever file its text stands.
    pub(super) fn has_gate(&self) -> bool {
        self.locations.iter().any(|location| matches!(&location.found, Found::Exactly(path) if path == AUTH_LOCATION))
    }

    /// Whether any location of it asks the gate.
    pub(super) fn protects(&self) -> bool {
        self.locations.iter().any(|location| matches!(location.guard(), Guard::Gate | Guard::Shut))
    }

    /// Where a request for `path` ends: the location, or `None` for the server itself.
    pub(super) fn find(&self, path: &str) -> Option<&Location<'a>> {
        self.find_below(2, None, path)
    }

    /// nginx's own way (`ngx_http_core_find_location`) through the locations of one level.
    fn find_below(&self, depth: usize, parent: Option<&'a Directive>, path: &str) -> Option<&Location<'a>> {
        let here = || {
            self.locations.iter().filter(move |location| {
                location.levels.len() == depth + 1
                    && parent.is_none_or(|parent| std::ptr::eq(location.levels[depth - 1], parent))
            })
        };
        if let Some(exact) = here().find(|location| matches!(&location.found, Found::Exactly(exact) if exact == path)) {
            return Some(exact);
        }
        let longest = here()
            .filter(|location| location.prefix().is_some_and(|prefix| path.starts_with(prefix)))
            .max_by_key(|location| location.prefix().map_or(0, str::len));
        if let Some(location) = longest
            && let Some(nested) = self.find_below(depth + 1, Some(location.directive()), path)
        {
            // One found there by an expression, or a longer prefix: either stands.
            return Some(nested);
        }
        if matches!(longest, Some(Location { found: Found::Prefix { alone: true, .. }, .. })) {
            return longest;
        }
        let by_pattern = here().find(|location| match &location.found {
            // An expression that cannot be read here may well fit.
            Found::Pattern(pattern) => pattern.as_ref().is_none_or(|pattern| pattern.is_match(path.as_bytes())),
            _ => false,
        });
        by_pattern.or(longest)
    }
}

fn collect<'a>(above: &[&'a Directive], into: &mut Vec<Location<'a>>) {
    for directive in above[above.len() - 1].all("location") {
        let levels: Vec<_> = above.iter().copied().chain([directive]).collect();
        into.push(Location { levels: levels.clone(), found: Found::of(directive) });
        collect(&levels, into);
    }
}

impl Found {
    fn of(location: &Directive) -> Found {
        let words: Vec<&str> = location.args.iter().map(String::as_str).collect();
        let (modifier, path) = match words.as_slice() {
            [modifier, path, ..] => (*modifier, *path),
            // `location =/path` and `location ~^/path` are one word.
            [word] => ["=", "^~", "~*", "~"]
                .iter()
                .find_map(|modifier| word.strip_prefix(modifier).map(|path| (*modifier, path)))
                .unwrap_or(("", word)),
            [] => ("", ""),
        };
        match modifier {
            "=" => Found::Exactly(path.into()),
            "~" | "~*" => {
                Found::Pattern(RegexBuilder::new(path).case_insensitive(modifier == "~*").unicode(false).build().ok())
            }
            "^~" => Found::Prefix { path: path.into(), alone: true },
            _ if path.starts_with('@') => Found::Named,
            _ => Found::Prefix { path: path.into(), alone: false },
        }
    }
}

impl Location<'_> {
    /// What to call it: as it is written, and where it stands.
    pub(super) fn name(&self) -> String {
        format!("{} ({})", self.directive().text(), self.directive().place)
    }

    /// The path of a prefix location.
    pub(super) fn prefix(&self) -> Option<&str> {
        match &self.found {
            Found::Prefix { path, .. } => Some(path),
            _ => None,
        }
    }

    /// How it is guarded.
    pub(super) fn guard(&self) -> Guard {
        match self.value("auth_request") {
            Some(AUTH_LOCATION) => {
                let asks = self.directive().all("set").any(|set| set.first() == "$hlsgate_path");
                return if asks { Guard::Gate } else { Guard::Shut };
            }
            Some(other) if other != "off" => return Guard::Other,
            _ => {}
        }
        let password = self.value("auth_basic").is_some_and(|realm| realm != "off");
        let denied =
            self.in_force("deny").iter().any(|deny| deny.first() == "all") && self.in_force("allow").is_empty();
        let internal = self.directive().all("internal").next().is_some();
        if password || denied || internal { Guard::Other } else { Guard::Open }
    }

    /// Whether a location around it asks the gate.
    pub(super) fn inside_protected(&self) -> bool {
        let asks = |level: &&Directive| level.all("auth_request").any(|request| request.first() == AUTH_LOCATION);
        self.levels[..self.levels.len() - 1].iter().any(|level| level.name == "location" && asks(level))
    }

    /// Whether requests are answered with files: nothing else answers in their place, and paths lead there.
    pub(super) fn serves_files(&self) -> bool {
        self.has_no_handler() && !matches!(self.found, Found::Named)
    }

    /// Whether a request for `path` that is handed over to it is answered with the file of that path, not with a page for all.
    pub(super) fn serves_what_was_asked_for(&self, path: &str) -> bool {
        let own = self.directive();
        let of_the_path = |target: &String| target.contains('$');
        let leads_elsewhere = |rewrite: &Directive| {
            let applies = Regex::new(rewrite.first()).is_ok_and(|pattern| pattern.is_match(path.as_bytes()));
            let redirects = matches!(rewrite.args.get(2).map(String::as_str), Some("redirect" | "permanent"));
            applies && (redirects || !rewrite.args.get(1).is_some_and(of_the_path))
        };
        self.has_no_handler()
            && !own.all("rewrite").any(leads_elsewhere)
            && own.all("try_files").all(|tries| tries.args.iter().any(of_the_path))
    }

    fn has_no_handler(&self) -> bool {
        let own = self.directive();
        HANDLERS.iter().all(|handler| own.all(handler).next().is_none()) && own.all("return").next().is_none()
    }

    /// The file system's folder of everything below `path`, as far as it is the same for all requests.
    pub(super) fn folder_of(&self, path: &str) -> PathBuf {
        match (self.own("alias").first(), &self.found) {
            (Some(alias), Found::Prefix { path: prefix, .. } | Found::Exactly(prefix)) => {
                joined(alias.first(), path.strip_prefix(prefix.as_str()).unwrap_or_default())
            }
            (Some(alias), _) => fixed_part(alias.first()),
            (None, _) => joined(self.root(), path),
        }
    }
}

/// Path and folder put together as nginx does it, as text; links are followed as far as the path is on this machine.
pub(super) fn joined(folder: &str, path: &str) -> PathBuf {
    let whole = fixed_part(&format!("{folder}/{path}"));
    // What is relative here is relative to a place that nginx knows.
    let mut above = whole.ancestors().filter(|_| whole.is_absolute());
    let there = above.find_map(|above| Some((above, std::fs::canonicalize(above).ok()?)));
    match there.and_then(|(above, real)| Some(real.join(whole.strip_prefix(above).ok()?))) {
        // Joining nothing would leave a slash behind.
        Some(real) => real.components().collect(),
        None => whole,
    }
}

/// The part before the first variable, without doubled slashes.
fn fixed_part(path: &str) -> PathBuf {
    let fixed = match path.split_once('$') {
        // `/srv/a$b` may be any neighbour of /srv/a.
        Some((fixed, _)) => fixed.rsplit_once('/').map_or("", |(folder, _)| folder),
        None => path,
    };
    Path::new(fixed).components().collect()
}
