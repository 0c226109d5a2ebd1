//! The logs that are searched for lines that mean failure (`fail_on`).

use crate::jobs::fail::FailLine;
use crate::jobs::job::JobId;
use crate::jobs::log::reader::LogReader;
use crate::jobs::wait::files::Watching;
use regex::Regex;
use std::sync::Mutex;

/// The logs that are looked at.
#[derive(Default)]
pub(crate) struct Watched(pub(crate) Mutex<Vec<Log>>);

pub(crate) struct Log {
    pub(crate) id: JobId,
    pub(crate) reader: LogReader,
    pub(crate) patterns: Vec<Regex>,
    /// The beginning of a line, which counts as one when the job has ended.
    pub(crate) unfinished: Option<String>,
    /// The last look has left something.
    pub(crate) more: bool,
    /// What is written to it wakes whoever waits.
    pub(crate) _watching: Option<Watching>,
}

impl Log {
    pub(crate) fn means_failure(&self, line: &str) -> Option<FailLine> {
        let pattern = self.patterns.iter().find(|pattern| pattern.is_match(line))?;
        Some(FailLine { line: line.to_owned(), pattern: pattern.to_string() })
    }
}
