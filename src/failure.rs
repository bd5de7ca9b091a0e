//! How a command fails: what was wrong, and what to do about it.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::random::NoRandom;

/// `EX_CONFIG` of sysexits.h. The unit lists it, so that systemd does not start a daemon again that cannot run.
pub(crate) const EXIT_CONFIG: u8 = 78;

/// A command that did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: Option<String>,
    exit: u8,
}

impl Failure {
    /// A failure in one sentence: lower-case, no full stop.
    pub(crate) fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), hint: None, exit: 1 }
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the exit code.
    pub(crate) fn exit(mut self, code: u8) -> Failure {
        self.exit = code;
        self
    }

    /// Something that the system refused to do with a file.
    pub(crate) fn file(doing: &str, file: &Path, err: &io::Error) -> Failure {
        let failure = Failure::new(format!("cannot {doing} {}: {err}", file.display()));
        match err.kind() {
            io::ErrorKind::PermissionDenied => failure.hint("run it as root, or as the user that owns the file"),
            _ => failure,
        }
    }

    /// What was wrong.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Prints it to standard error.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.what);
        if let Some(hint) = &self.hint {
            eprintln!("  hint: {hint}");
        }
        ExitCode::from(self.exit)
    }
}

impl From<ConfigError> for Failure {
    fn from(err: ConfigError) -> Failure {
        Failure::new(err.to_string()).exit(EXIT_CONFIG)
    }
}

impl From<NoRandom> for Failure {
    fn from(err: NoRandom) -> Failure {
        Failure::new(err.to_string())
    }
}

/// The error and its causes, in one line.
pub(crate) fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        let part = err.to_string();
        // Some libraries repeat their cause in their own text.
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = err.source();
    }
    text
}
