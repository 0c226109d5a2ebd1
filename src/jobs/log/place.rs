//! A job's log, wherever it is by now: its job, or somebody, may have deleted, renamed or truncated it meanwhile, as
//! rotation does. What can still be read is: through a descriptor that is held while the job lives, and afterwards if
//! the log is no more where it was. What lies under its name since is read after it.

use crate::jobs::job::Job;
use crate::jobs::log::held::FileId;
use crate::jobs::log::reader::LogReader;
use crate::jobs::log::whole::{end_of, read_log};
use crate::jobs::output::text;
use crate::lock::lock;
use crate::sys::{open, proc};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;

/// What has become of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    InPlace,
    Truncated,
    Renamed(PathBuf),
    Deleted,
}

impl Fate {
    /// As in "its log …".
    pub fn describe(&self) -> Option<String> {
        match self {
            Self::InPlace => None,
            Self::Truncated => Some("was truncated".to_owned()),
            Self::Renamed(to) => Some(format!("was renamed to {}", to.display())),
            Self::Deleted => Some("was deleted".to_owned()),
        }
    }
}

impl Job {
    /// What has become of its log.
    pub fn log_fate(&self) -> Fate {
        let held = lock(&self.held.file);
        let Some(file) = &*held else { return Fate::InPlace };
        let Ok(meta) = file.metadata() else { return Fate::InPlace };
        let at_path = self.log.as_ref().and_then(|path| std::fs::symlink_metadata(path).ok());
        if at_path.is_some_and(|at_path| FileId::of(&at_path) == FileId::of(&meta)) {
            let longest = self.held.longest.fetch_max(meta.size(), SeqCst);
            return if meta.size() < longest { Fate::Truncated } else { Fate::InPlace };
        }
        match proc::open_path(file).filter(|_| meta.nlink() > 0) {
            Some(to) => Fate::Renamed(to),
            None => Fate::Deleted,
        }
    }

    /// Where it lies by now, as far as that is known.
    pub(crate) fn log_place(&self) -> Option<PathBuf> {
        match self.log_fate() {
            Fate::Renamed(to) => Some(to),
            _ => self.log.clone(),
        }
    }

    /// What somebody who reads along has seen of it.
    pub fn log_was_read(&self, reader: &LogReader) {
        let length = if reader.truncated { u64::MAX } else { reader.offset() };
        self.held.longest.fetch_max(length, SeqCst);
    }

    /// Its log, and what lies where that was.
    fn log_files(&self) -> Vec<File> {
        let Some(path) = &self.log else { return Vec::new() };
        let at_path = open::read(path).ok();
        let is_other = |file: &File| file.metadata().is_ok_and(|meta| Some(FileId::of(&meta)) != self.file);
        let moved = match at_path.as_ref().is_none_or(is_other) {
            true => lock(&self.held.file).as_ref().and_then(|file| open::reopen(file).ok()),
            false => None,
        };
        moved.into_iter().chain(at_path).collect()
    }

    /// All that is in it.
    pub fn log_text(&self) -> String {
        self.log_text_up_to(u64::MAX)
    }

    /// What was in it when it was so long ([`Self::log_length`]), as far as it still is.
    pub fn log_text_up_to(&self, length: u64) -> String {
        let mut left = length;
        let mut text = String::new();
        for file in self.log_files() {
            text += &read_log(&file, left);
            left = left.saturating_sub(file.metadata().map_or(0, |meta| meta.size()));
        }
        text
    }

    /// Its last lines.
    pub fn log_tail(&self, count: usize) -> Vec<String> {
        text::last_lines(&self.log_end(), count)
    }

    /// Its last lines for a report: what is repeated is folded.
    pub fn log_tail_folded(&self, count: usize) -> Vec<String> {
        text::last_lines_folded(&self.log_end(), count)
    }

    fn log_end(&self) -> Vec<u8> {
        self.log_files().iter().flat_map(end_of).collect()
    }

    /// How long it is, without what lies where it was.
    pub fn log_size(&self) -> u64 {
        self.log_files().first().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.size())
    }

    /// How much there is to read, with what lies where it was. Every command asks that of every job that lives, so that one
    /// that is where it was, as nearly all are, is not opened.
    pub fn log_length(&self) -> u64 {
        let at_path = self.log.as_ref().and_then(|path| std::fs::symlink_metadata(path).ok());
        if let Some(meta) = at_path.filter(|meta| Some(FileId::of(meta)) == self.file) {
            return meta.size();
        }
        self.log_files().iter().filter_map(|file| file.metadata().ok()).map(|meta| meta.size()).sum()
    }

    /// Reads it from an offset on, as it grows.
    pub fn log_reader(&self, offset: u64) -> Option<LogReader> {
        let path = self.log.as_ref()?;
        Some(LogReader::of(path, self.log_files().into_iter().next(), offset))
    }

    /// The job has ended: a descriptor is kept only for a log that cannot be found otherwise.
    pub(crate) fn let_go_of_log(&self) {
        if !matches!(self.log_fate(), Fate::Renamed(_) | Fate::Deleted) {
            lock(&self.held.file).take();
        }
    }

    /// Takes what a job with a terminal has printed and nobody has copied yet. For whoever has seen that it has ended,
    /// before reading its log.
    pub(crate) fn complete_log(&self) {
        // A log that is not a regular file may hold up whoever writes to it.
        if let (Some(terminal), Some(_)) = (&self.terminal, self.file) {
            terminal.copy();
        }
    }
}
