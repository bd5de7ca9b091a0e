//! Reads one TOML table field by field; what is wrong is noted, what is left over was misspelt.

use std::str::FromStr;
use std::time::Duration;

use toml::{Table, Value};

use super::problems::Problems;

/// A table of the file on its way to becoming values.
pub(crate) struct Section {
    path: String,
    table: Table,
    known: Vec<&'static str>,
}

impl Section {
    /// The file's top level.
    pub(crate) fn root(table: Table) -> Self {
        Section { path: String::new(), table, known: Vec::new() }
    }

    /// The path of a field as the reader typed it.
    pub(crate) fn path_of(&self, name: &str) -> String {
        let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let name = if bare { name.to_owned() } else { format!("{name:?}") };
        if self.path.is_empty() { name } else { format!("{}.{name}", self.path) }
    }

    /// The table `[name]`; an empty one if it is not there.
    pub(crate) fn section(&mut self, name: &'static str, problems: &mut Problems) -> Section {
        self.optional_section(name, problems).unwrap_or_else(|| self.child(name, Table::new()))
    }

    /// The table `[name]`, if it is there.
    pub(crate) fn optional_section(&mut self, name: &'static str, problems: &mut Problems) -> Option<Section> {
        match self.take(name)? {
            Value::Table(table) => Some(self.child(name, table)),
            other => {
                problems.note(self.path_of(name), expected("a table", &other));
                None
            }
        }
    }

    /// The tables of `[[name]]`, or of `name = [{…}, …]`; `None` if it is not there.
    pub(crate) fn sections(&mut self, name: &'static str, problems: &mut Problems) -> Option<Vec<Section>> {
        let items = match self.take(name)? {
            Value::Array(items) => items,
            other => {
                problems.note(self.path_of(name), expected("a list of tables", &other));
                return None;
            }
        };
        let mut sections = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(name));
            match item {
                Value::Table(table) => sections.push(Section { path, table, known: Vec::new() }),
                other => problems.note(path, expected("a table", &other)),
            }
        }
        Some(sections)
    }

    /// Every table that is left, by name: `[videos.ID]`, `[passes.NAME]`.
    pub(crate) fn named_sections(&mut self) -> Vec<(String, Section)> {
        let (tables, others): (Table, Table) =
            std::mem::take(&mut self.table).into_iter().partition(|(_, value)| value.is_table());
        // Neither a field nor a table: `finish` will say so.
        self.table = others;
        let section = |(name, value): (String, Value)| match value {
            Value::Table(table) => Some((name.clone(), self.child(&name, table))),
            _ => None,
        };
        tables.into_iter().filter_map(section).collect()
    }

    /// A string.
    pub(crate) fn string(&mut self, name: &'static str, problems: &mut Problems) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => {
                problems.note(self.path_of(name), expected("a string in quotes", &other));
                None
            }
        }
    }

    /// A string of a form that `T` knows.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &'static str, problems: &mut Problems) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.string(name, problems)?;
        problems.check(&self.path_of(name), text.parse())
    }

    /// A string through `read`, whose error says what is wrong.
    pub(crate) fn read<T>(
        &mut self,
        name: &'static str,
        problems: &mut Problems,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.string(name, problems)?;
        problems.check(&self.path_of(name), read(&text))
    }

    /// A length of time in whole seconds, such as `24h`.
    pub(crate) fn duration(&mut self, name: &'static str, problems: &mut Problems) -> Option<Duration> {
        self.read(name, problems, duration)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &'static str, problems: &mut Problems) -> Option<bool> {
        match self.take(name)? {
            Value::Boolean(value) => Some(value),
            other => {
                problems.note(self.path_of(name), expected("true or false", &other));
                None
            }
        }
    }

    /// A whole number from 1 on.
    pub(crate) fn count(&mut self, name: &'static str, problems: &mut Problems) -> Option<u32> {
        match self.take(name)? {
            Value::Integer(value) if value > 0 && value <= i64::from(u32::MAX) => Some(value as u32),
            other => {
                problems.note(self.path_of(name), expected("a whole number from 1 on", &other));
                None
            }
        }
    }

    /// A list of strings.
    pub(crate) fn strings(&mut self, name: &'static str, problems: &mut Problems) -> Option<Vec<String>> {
        let value = self.take(name)?;
        let strings =
            value.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        if strings.is_none() {
            problems.note(self.path_of(name), expected("a list of strings", &value));
        }
        strings
    }

    /// Either a word or a list of strings.
    pub(crate) fn word_or_strings(
        &mut self,
        name: &'static str,
        problems: &mut Problems,
    ) -> Option<Result<String, Vec<String>>> {
        match self.table.get(name) {
            Some(Value::String(_)) => self.string(name, problems).map(Ok),
            _ => self.strings(name, problems).map(Err),
        }
    }

    /// Notes a field that has to be there and is not.
    pub(crate) fn require<T>(&self, name: &'static str, value: &Option<T>, problems: &mut Problems, hint: &str) {
        let path = self.path_of(name);
        let noted = problems.iter().any(|problem| problem.field == path);
        if value.is_none() && !noted {
            problems.note(path, format_args!("missing; {hint}"));
        }
    }

    /// Notes every field that nobody asked for.
    pub(crate) fn finish(self, problems: &mut Problems) {
        for name in self.table.keys() {
            let path = self.path_of(name);
            let nearest = self.known.iter().map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
            match nearest {
                Some((distance, known)) if distance <= 1 + known.len() / 4 => {
                    problems.note(path, format_args!("unknown field; did you mean {known:?}?"));
                }
                _ if self.known.is_empty() => problems.note(path, "unknown field"),
                _ => problems.note(path, format_args!("unknown field; expected one of {}", self.known.join(", "))),
            }
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.table.remove(name)
    }

    fn child(&self, name: &str, table: Table) -> Section {
        Section { path: self.path_of(name), table, known: Vec::new() }
    }
}

/// A length of time in whole seconds, such as `24h` or `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let form = "expected a number and a unit, such as \"30m\", \"24h\" or \"30d\"";
    let duration = humantime::parse_duration(text).map_err(|_| format!("{text:?} is no length of time; {form}"))?;
    match duration.subsec_nanos() {
        0 => Ok(duration),
        _ => Err(format!("{text:?} is not a whole number of seconds; {form}")),
    }
}

fn expected(what: &str, found: &Value) -> String {
    let found = match found {
        Value::String(text) => format!("{text:?}"),
        Value::Table(_) => "a table".into(),
        Value::Array(_) => "a list".into(),
        other => other.to_string(),
    };
    format!("expected {what}, found {found}")
}
