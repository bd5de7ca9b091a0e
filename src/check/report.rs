//! Findings in groups, for a person and for a program.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use crate::config::ConfigError;

/// Everything that was looked at, in the order of looking.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// The heading under which it stands.
    pub group: &'static str,
    /// How it is.
    pub level: Level,
    /// What was looked at.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// What was expected; empty where all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What to do; empty where there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub todo: String,
}

/// How a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, and could be better or safer.
    Warning,
    /// It could not be looked at.
    Unknown,
    /// It is wrong.
    Wrong,
}

impl Report {
    /// Notes something that is as it should be.
    pub(crate) fn ok(&mut self, group: &'static str, what: impl Into<String>, seen: impl Into<String>) {
        self.note(group, Level::Ok, what, seen, "", "");
    }

    /// Notes something that is wrong: what was seen, what was expected, what to do.
    pub(crate) fn wrong(
        &mut self,
        group: &'static str,
        what: impl Into<String>,
        seen: impl Into<String>,
        expected: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.note(group, Level::Wrong, what, seen, expected, todo);
    }

    /// Notes something that works, and could be better or safer.
    pub(crate) fn warning(
        &mut self,
        group: &'static str,
        what: impl Into<String>,
        seen: impl Into<String>,
        expected: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.note(group, Level::Warning, what, seen, expected, todo);
    }

    /// Notes a finding of any level: what was seen, what was expected, what to do.
    pub(crate) fn note(
        &mut self,
        group: &'static str,
        level: Level,
        what: impl Into<String>,
        seen: impl Into<String>,
        expected: impl Into<String>,
        todo: impl Into<String>,
    ) {
        let (what, seen, expected, todo) = (what.into(), seen.into(), expected.into(), todo.into());
        self.findings.push(Finding { group, level, what, seen, expected, todo });
    }

    /// Notes a configuration that cannot be used.
    pub(crate) fn unusable(&mut self, err: &ConfigError) {
        match err {
            ConfigError::Problems { problems, .. } => {
                for problem in problems.iter() {
                    self.note("configuration", Level::Wrong, problem.field.as_str(), problem.text.as_str(), "", "");
                }
            }
            _ => self.note("configuration", Level::Wrong, "file", err.to_string(), "", ""),
        }
    }

    /// 0 clean, 1 something is wrong, 2 something could not be looked at. Warnings are clean.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.worst() {
            Level::Ok | Level::Warning => ExitCode::SUCCESS,
            Level::Unknown => ExitCode::from(2),
            Level::Wrong => ExitCode::from(1),
        }
    }

    /// The findings and the result, as one JSON object.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({ "clean": self.worst() <= Level::Warning, "findings": self.findings })
    }

    fn worst(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = "";
        for finding in &self.findings {
            if finding.group != group {
                group = finding.group;
                writeln!(f, "{group}")?;
            }
            let mark = match finding.level {
                Level::Ok => "✓",
                Level::Warning => "!",
                Level::Unknown => "?",
                Level::Wrong => "✗",
            };
            writeln!(f, "  {mark} {}: {}", finding.what, finding.seen)?;
            if !finding.expected.is_empty() {
                writeln!(f, "      expected: {}", finding.expected)?;
            }
            if !finding.todo.is_empty() {
                writeln!(f, "      to do: {}", finding.todo)?;
            }
        }
        let (ok, warnings) = (self.count(Level::Ok), self.count(Level::Warning));
        let (unknown, wrong) = (self.count(Level::Unknown), self.count(Level::Wrong));
        writeln!(f, "{ok} fine, {warnings} to improve, {unknown} not looked at, {wrong} wrong")
    }
}
