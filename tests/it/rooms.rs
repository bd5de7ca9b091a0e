//! The rooms of `src/` (CONTRIBUTING.md): who may know whom, and no circle anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which rooms a room may know. Each stands below those that know it, so no row names one that comes after it.
const MAY_KNOW: [(&str, &[&str]); 12] = [
    ("address", &[]),
    ("gate", &[]),
    ("shop", &["gate"]),
    ("btcpay", &["address", "gate", "shop"]),
    ("config", &["address", "gate", "shop"]),
    ("random", &[]),
    ("failure", &["config", "random"]),
    ("live", &["gate", "btcpay", "config", "failure"]),
    ("front", &["config"]),
    ("server", &["address", "gate", "shop", "btcpay", "config", "random", "live", "front"]),
    ("check", &["gate", "shop", "btcpay", "config", "failure", "random", "live"]),
    ("cli", &["gate", "shop", "btcpay", "config", "failure", "random", "live", "front", "server", "check"]),
];

/// A file's arrows: to `room` or `room::file`, tests left out.
type Arrows = BTreeMap<String, BTreeSet<String>>;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            false => {}
        }
    }
}

/// The names that a `use` tree or path begins with: `a::{b, c::d}` has `a`, `{b, c::d}` has `b` and `c`.
fn heads(tree: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let Some(list) = tree.trim_start().strip_prefix('{') else { return vec![name(tree)] };
    let (mut depth, mut heads, mut at_head) = (0, Vec::new(), true);
    for (at, c) in list.char_indices() {
        if at_head && !c.is_whitespace() {
            heads.push(name(&list[at..]));
            at_head = false;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_head = true,
            _ => {}
        }
    }
    heads
}

/// What follows each `prefix` in the text.
fn after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix).map(move |(at, _)| &text[at + prefix.len()..])
}

fn arrows() -> Arrows {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let of = |path: &Path| -> Vec<String> {
        let path = path.strip_prefix(&source).unwrap().with_extension("");
        let parts = path.iter().map(|part| part.to_str().unwrap().to_owned());
        parts.filter(|part| part != "mod").collect()
    };
    let modules: BTreeSet<Vec<String>> = found.iter().map(|file| of(file)).collect();
    // A room's file with the folder of its own parts is one.
    let node = |module: &[String]| module[..module.len().min(2)].join("::");
    let mut arrows = Arrows::new();
    for file in &found {
        let module = of(file);
        if matches!(module[0].as_str(), "lib" | "main") || module.iter().any(|part| part.ends_with("tests")) {
            continue;
        }
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let text: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let to = arrows.entry(node(&module)).or_default();
        for tree in after(&text, "crate::") {
            for head in heads(tree) {
                let inside = tree.strip_prefix(&format!("{head}::")).map(heads).unwrap_or_default();
                let known = inside.iter().map(|next| vec![head.clone(), next.clone()]);
                let (files, other): (Vec<_>, Vec<_>) = known.partition(|path| modules.contains(path));
                to.extend(files.iter().map(|path| node(path)));
                // A thing that the room itself holds, or passes on.
                to.extend((!other.is_empty() || inside.is_empty()).then(|| head.clone()));
            }
        }
        for tree in after(&text, "super::") {
            // `super` is the file above, in a room's file the room.
            let above = &module[..module.len() - 1];
            for head in heads(tree).into_iter().filter(|head| head != "super") {
                let path: Vec<String> = above.iter().cloned().chain([head]).collect();
                to.insert(if modules.contains(&path) { node(&path) } else { node(above) });
            }
        }
        to.remove(&node(&module));
    }
    arrows
}

fn room(node: &str) -> &str {
    node.split("::").next().unwrap()
}

#[test]
fn each_room_knows_only_those_below_it() {
    for (at, (room, known)) in MAY_KNOW.iter().enumerate() {
        let below: Vec<&str> = MAY_KNOW[..at].iter().map(|(room, _)| *room).collect();
        assert!(known.iter().all(|other| below.contains(other)), "{room}: the table itself points up");
    }
    let (allowed, mut used) = (BTreeMap::from(MAY_KNOW), BTreeSet::new());
    for (from, to) in arrows() {
        for to in to.iter().filter(|to| room(to) != room(&from)) {
            let known = allowed.get(room(&from)).unwrap_or_else(|| panic!("{from} is in no room of the table"));
            assert!(known.contains(&room(to)), "{from} knows {to}: arrows point down only");
            used.insert((room(&from).to_owned(), room(to).to_owned()));
        }
    }
    for (room, known) in MAY_KNOW {
        for other in known {
            assert!(used.contains(&(room.to_owned(), (*other).to_owned())), "nothing in {room} needs {other}");
        }
    }
}

#[test]
fn no_files_know_one_another_in_a_circle() {
    let arrows = arrows();
    let mut done = BTreeSet::new();
    fn walk(at: &str, way: &mut Vec<String>, arrows: &Arrows, done: &mut BTreeSet<String>) {
        if let Some(begin) = way.iter().position(|before| before == at) {
            panic!("a circle: {} → {at}", way[begin..].join(" → "));
        }
        if done.contains(at) {
            return;
        }
        way.push(at.to_owned());
        for next in arrows.get(at).into_iter().flatten() {
            walk(next, way, arrows, done);
        }
        way.pop();
        done.insert(at.to_owned());
    }
    assert!(arrows.len() > 50, "the files were found");
    for from in arrows.keys() {
        walk(from, &mut Vec::new(), &arrows, &mut done);
    }
}

#[test]
fn a_tree_of_imports_is_read() {
    assert_eq!(heads("a::b::C;"), ["a"]);
    assert_eq!(heads("{self, a, b::{c, d}, E as F}"), ["self", "a", "b", "E"]);
}
