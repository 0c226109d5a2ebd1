//! A job's log, wherever it is by now: its job, or somebody, may have deleted, renamed or truncated it meanwhile, as
//! rotation does. What can still be read is: through a descriptor that is held while the job lives, and afterwards if
//! the log is no more where it was. What lies under its name since is read after it.

use crate::jobs::job::Job;
use crate::jobs::log::held::FileId;
use crate::jobs::log::piece::Stretch;
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

    /// The same for people: a line of its own says where it was started again, so that what it has printed each time is not
    /// taken for one line that comes twice.
    pub fn log_tail_told(&self, count: usize) -> Vec<String> {
        text::last_lines(&self.log_end_told(), count)
    }

    /// The same for a report: what is repeated is folded.
    pub fn log_tail_folded(&self, count: usize) -> Vec<String> {
        text::last_lines_folded(&self.log_end_told(), count)
    }

    fn log_end(&self) -> Vec<u8> {
        self.log_files().iter().flat_map(|file| end_of(file).bytes).collect()
    }

    fn log_end_told(&self) -> Vec<u8> {
        // In a log that was truncated the offsets say nothing any more.
        let again_at =
            if self.log_fate() == Fate::Truncated { Vec::new() } else { lock(&self.again_at).clone() };
        let files = self.log_files();
        let ends = files.iter().enumerate().map(|(number, file)| {
            let Stretch { start, bytes, .. } = end_of(file);
            if number == 0 { with_marks(start, &bytes, &again_at) } else { bytes }
        });
        ends.flatten().collect()
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

/// What stands where a job was started again.
const MARK: &str = "-- started again --\n";

/// The end of a log, which begins at `start`, with a line at each of these offsets.
fn with_marks(start: u64, bytes: &[u8], again_at: &[u64]) -> Vec<u8> {
    let mut marked = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for at in again_at.iter().filter_map(|at| usize::try_from(at.checked_sub(start)?).ok()) {
        // Where nothing was printed before, there is nothing to tell apart.
        let Some(before) = bytes.get(done..at).filter(|_| at > 0) else { continue };
        marked.extend_from_slice(before);
        if !matches!(marked.last(), None | Some(b'\n')) {
            marked.push(b'\n');
        }
        marked.extend_from_slice(MARK.as_bytes());
        done = at;
    }
    marked.extend_from_slice(&bytes[done..]);
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_a_job_was_started_again() {
        let marked = |start, text: &str, again_at: &[u64]| {
            String::from_utf8(with_marks(start, text.as_bytes(), again_at)).expect("text")
        };
        assert_eq!(
            marked(0, "up\nup\nup\n", &[3, 6]),
            "up\n-- started again --\nup\n-- started again --\nup\n"
        );
        // It had not ended its line; it has printed nothing yet; it had not.
        assert_eq!(marked(0, "hupup\n", &[3]), "hup\n-- started again --\nup\n");
        assert_eq!(marked(0, "up\n", &[3]), "up\n-- started again --\n");
        assert_eq!(marked(0, "up\n", &[0]), "up\n");
        // Of a long log only the end was read; of one that became shorter, nobody knows.
        assert_eq!(marked(100, "up\nup\n", &[40, 103, 500]), "up\n-- started again --\nup\n");
    }
}
