//! Everything that is wrong with a configuration, in one go.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What is wrong with a configuration: one line each, the field's path first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The field as the reader typed it, for instance `offers[1].price`.
    pub(crate) field: String,
    /// What was wrong, what was expected, what to do.
    pub(crate) text: String,
    /// Whether all that is wrong is that this user may not look.
    pub(crate) denied: bool,
}

/// A configuration that cannot be used. Exit code 78 (`EX_CONFIG`).
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {file}: {reason}{hint}", file = .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's words.
        reason: String,
        /// What to do, on a line of its own; may be empty.
        hint: &'static str,
    },
    /// The file is no TOML.
    #[error("{file} is not TOML: {reason}", file = .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Place and reason.
        reason: String,
    },
    /// The values do not fit.
    #[error("{}", listed(.file, .problems))]
    Problems {
        /// The file.
        file: PathBuf,
        /// All of them.
        problems: Problems,
    },
}

impl Problems {
    /// Notes a problem.
    pub(crate) fn note(&mut self, field: impl Into<String>, text: impl fmt::Display) {
        self.0.push(Problem { field: field.into(), text: text.to_string(), denied: false });
    }

    /// Notes what this user may not look at.
    pub(crate) fn note_denied(&mut self, field: impl Into<String>, text: impl fmt::Display) {
        self.0.push(Problem { field: field.into(), text: text.to_string(), denied: true });
    }

    /// Keeps the value, or notes what is wrong and goes on.
    pub(crate) fn check<T, E: fmt::Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|err| self.note(field, err)).ok()
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each problem, in the order in which they were found.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

fn listed(file: &Path, problems: &Problems) -> String {
    let count = match problems.0.len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    let lines: String = problems.iter().map(|problem| format!("\n  {}: {}", problem.field, problem.text)).collect();
    format!("{} has {count}:{lines}", file.display())
}
