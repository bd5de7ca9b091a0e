//! What `nginx -T` prints: every file of the configuration behind a line with its name. Includes are put in their places.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::syntax::{Directive, parse};

/// Deepest chain of includes: far above any honest one.
const MAX_INCLUDES: usize = 32;
/// Largest text that is read from a file or from standard input.
const MAX_TEXT: u64 = 64 << 20;

/// The files of a configuration, as nginx read them.
#[derive(Debug)]
pub(crate) struct Dump {
    /// The main file's directives, with those of included files in place of each `include`.
    pub main: Vec<Directive>,
    /// Text by file name.
    pub files: BTreeMap<String, String>,
}

/// Why there is no dump.
#[derive(Debug)]
pub(crate) enum NoDump {
    /// There is no nginx on this machine, or it may not be run.
    NotHere(String),
    /// It was run, but not as a user who may read everything.
    NotAllowed(String),
    /// nginx itself says that the configuration is bad.
    Refused(String),
    /// The text is no output of `nginx -T`.
    NotADump(String),
}

/// Runs `nginx -T`.
pub(super) fn from_nginx() -> Result<Dump, NoDump> {
    let (program, output) = run("-T")?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Dump::parse(&out);
    }
    let complaint = format!("`{} -T` fails: {}", program.display(), complaint(&err));
    match complaint.contains("Permission denied") {
        true => Err(NoDump::NotAllowed(complaint)),
        false => Err(NoDump::Refused(complaint)),
    }
}

/// What nginx complains about first, without the time and the process that did.
fn complaint(text: &str) -> &str {
    let line = text.lines().find(|line| line.contains("[emerg]") || line.contains("[alert]")).unwrap_or(text).trim();
    let said = line.split_once("] ").map_or(line, |(_, said)| said);
    let process = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'#');
    said.split_once(": ").filter(|(word, _)| process(word)).map_or(said, |(_, said)| said)
}

/// Reads the text that somebody else had nginx print; `-` is standard input.
pub(super) fn from_file(file: &Path) -> Result<Dump, NoDump> {
    let mut bytes = Vec::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().lock().take(MAX_TEXT + 1).read_to_end(&mut bytes),
        false => std::fs::File::open(file).and_then(|opened| opened.take(MAX_TEXT + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|err| NoDump::NotADump(format!("cannot read {}: {err}", file.display())))?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(NoDump::NotADump(format!("{} is larger than {} MiB", file.display(), MAX_TEXT >> 20)));
    }
    // A comment may be in any encoding.
    Dump::parse(&String::from_utf8_lossy(&bytes))
}

/// What `nginx -V` prints: version and the options that it was built with.
pub(super) fn build() -> Result<String, NoDump> {
    let (_, output) = run("-V")?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn run(option: &str) -> Result<(PathBuf, std::process::Output), NoDump> {
    // Debian keeps it in sbin, which is not on every user's path.
    for program in ["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"] {
        match Command::new(program).arg(option).stdin(Stdio::null()).output() {
            Ok(output) => return Ok((program.into(), output)),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
            Err(err) => return Err(NoDump::NotHere(format!("cannot run {program}: {err}"))),
        }
    }
    Err(NoDump::NotHere("there is no nginx on this machine".into()))
}

impl Dump {
    /// Takes the output of `nginx -T` apart.
    pub(crate) fn parse(text: &str) -> Result<Dump, NoDump> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let mut main_file = None;
        let mut current: Option<&mut String> = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("# configuration file ").and_then(|rest| rest.strip_suffix(':')) {
                main_file.get_or_insert_with(|| name.to_owned());
                current = Some(files.entry(name.to_owned()).or_default());
            } else if let Some(text) = current.as_mut() {
                text.push_str(line);
                text.push('\n');
            }
        }
        let Some(main_file) = main_file else {
            return Err(NoDump::NotADump(
                "the text is no output of `nginx -T`: no line says \"# configuration file …:\"".into(),
            ));
        };
        let parsed = files.iter().map(|(name, text)| parse(text, name).map(|read| (name.as_str(), read)));
        let parsed: BTreeMap<&str, Vec<Directive>> =
            parsed.collect::<Result<_, _>>().map_err(|err| NoDump::NotADump(format!("cannot be read: {err}")))?;
        let folder = Path::new(&main_file).parent().unwrap_or(Path::new("/"));
        let main = expand(&parsed[main_file.as_str()], &parsed, folder, MAX_INCLUDES)?;
        Ok(Dump { main, files })
    }

    /// The file whose name ends with `name`, such as `snippets/hlsgate.conf`.
    pub(crate) fn file(&self, name: &str) -> Option<(&str, &str)> {
        let ends = |file: &str| Path::new(file).ends_with(name);
        self.files.iter().find(|(file, _)| ends(file)).map(|(file, text)| (file.as_str(), text.as_str()))
    }
}

/// Puts the directives of included files in the places of the includes, in the order in which nginx's glob finds them.
fn expand(
    directives: &[Directive],
    files: &BTreeMap<&str, Vec<Directive>>,
    folder: &Path,
    depth: usize,
) -> Result<Vec<Directive>, NoDump> {
    if depth == 0 {
        return Err(NoDump::NotADump("files include each other without an end".into()));
    }
    let mut expanded = Vec::new();
    for directive in directives {
        if directive.name == "include" && directive.block.is_none() {
            let mut none = true;
            for included in included(directive.first(), files, folder) {
                expanded.extend(expand(included, files, folder, depth - 1)?);
                none = false;
            }
            // nginx itself stops at a file that is not there; a pattern may find nothing.
            if none && !directive.first().contains(['*', '?', '[']) {
                return Err(NoDump::NotADump(format!(
                    "{} includes {}, which is not part of the text",
                    directive.place,
                    directive.first()
                )));
            }
            continue;
        }
        let mut directive = directive.clone();
        if let Some(block) = &directive.block {
            directive.block = Some(expand(block, files, folder, depth)?);
        }
        expanded.push(directive);
    }
    Ok(expanded)
}

fn included<'a>(
    pattern: &'a str,
    files: &'a BTreeMap<&str, Vec<Directive>>,
    folder: &Path,
) -> impl Iterator<Item = &'a Vec<Directive>> {
    // glob(3), as nginx calls it: a star stops at a slash and passes over hidden files.
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let whole = folder.join(pattern);
    let compiled = glob::Pattern::new(&whole.to_string_lossy()).ok();
    files
        .iter()
        .filter(move |(name, _)| {
            Path::new(name) == whole || compiled.as_ref().is_some_and(|pattern| pattern.matches_with(name, options))
        })
        .map(|(_, read)| read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_are_put_in_their_places() {
        let text = "nginx: ok\n# configuration file /etc/nginx/nginx.conf:\nhttp { include conf.d/*.conf; include x.conf; z; }\n\
                    # configuration file /etc/nginx/conf.d/b.conf:\nb;\n# configuration file /etc/nginx/conf.d/a.conf:\na;\n\
                    # configuration file /etc/nginx/x.conf:\nserver { include conf.d/a.conf; }\n";
        let dump = Dump::parse(text).unwrap();
        let names: Vec<_> = dump.main[0].inside().iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "server", "z"]);
        assert_eq!(dump.main[0].inside()[2].inside()[0].name, "a");
        assert_eq!(dump.file("conf.d/a.conf"), Some(("/etc/nginx/conf.d/a.conf", "a;\n")));
        assert_eq!(dump.file("d/a.conf"), None);
    }

    #[test]
    fn a_file_that_includes_itself_has_an_end() {
        let text = "# configuration file /a/n.conf:\ninclude n.conf;\n";
        assert!(matches!(Dump::parse(text), Err(NoDump::NotADump(_))));
    }
}
