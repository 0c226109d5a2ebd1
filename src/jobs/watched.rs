//! The logs that are searched for lines that mean failure (`fail_on`).

use super::fail::FailLine;
use super::files::Watching;
use super::job::JobId;
use super::output::LogReader;
use regex::Regex;
use std::sync::Mutex;

/// The logs that are looked at.
#[derive(Default)]
pub(super) struct Watched(pub(super) Mutex<Vec<Log>>);

pub(super) struct Log {
    pub(super) id: JobId,
    pub(super) reader: LogReader,
    pub(super) patterns: Vec<Regex>,
    /// The beginning of a line, which counts as one when the job has ended.
    pub(super) unfinished: Option<String>,
    /// The last look has left something.
    pub(super) more: bool,
    /// What is written to it wakes whoever waits.
    pub(super) _watching: Option<Watching>,
}

impl Log {
    pub(super) fn means_failure(&self, line: &str) -> Option<FailLine> {
        let pattern = self.patterns.iter().find(|pattern| pattern.is_match(line))?;
        Some(FailLine { line: line.to_owned(), pattern: pattern.to_string() })
    }
}
