//! Reads a log line by line while others write it.

use crate::jobs::log::held::FileId;
use crate::jobs::log::piece::piece;
use crate::jobs::output::text;
use crate::sys::open;
use nix::libc;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Reads a log while others write it.
///
/// A log can be truncated under us (`echo x >/dev/stderr` in a shell does it): when the file is shorter than
/// what was read, reading goes on from its beginning.
pub struct LogReader {
    path: PathBuf,
    file: Option<File>,
    next: Option<Box<LogReader>>,
    offset: u64,
    pub truncated: bool,
    /// Lines were dropped before they were read: the log is longer than its limit.
    pub missed: bool,
    /// Why it could not be opened at the last look: there was no descriptor or no memory for it. It may be there.
    pub refused: Option<i32>,
    partial: Vec<u8>,
}

/// So much is read at once.
const PIECE: u64 = 1 << 20;

/// What came into a log since the last look, as text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Lines that are complete, with what each has shown before it was started over.
    pub lines: Vec<String>,
    /// The beginning of a line, if more of it has come.
    pub partial: Option<String>,
    /// There is more to read at once.
    pub more: bool,
}

impl LogReader {
    /// Reads this file if it is known, until nothing more is in it and another one lies under the path.
    pub fn of(path: &Path, file: Option<File>, offset: u64) -> Self {
        let (path, partial) = (path.to_owned(), Vec::new());
        Self { path, file, next: None, offset, truncated: false, missed: false, refused: None, partial }
    }

    #[cfg(test)]
    pub fn from_offset(path: &Path, offset: u64) -> Self {
        Self::of(path, None, offset)
    }

    /// How much of the log has been read.
    pub fn offset(&self) -> u64 {
        self.offset + self.next.as_ref().map_or(0, |next| next.offset())
    }

    /// How long the log is now.
    pub fn size(&self) -> u64 {
        let size = |file: &File| file.metadata().map_or(0, |meta| meta.size());
        let own = self.file.as_ref().map_or_else(|| self::size(&self.path), size);
        own + self.next.as_ref().map_or(0, |next| next.size())
    }

    /// What lies under the path by now, if that is another file. Whoever writes may have opened that, or go on in this one.
    fn next(&mut self) -> Option<&mut Self> {
        let id = |file: &File| file.metadata().ok().filter(Metadata::is_file).map(|meta| FileId::of(&meta));
        if self.next.is_none() {
            let other = open::read(&self.path)
                .ok()
                .filter(|file| id(file).is_some() && id(file) != self.file.as_ref().and_then(id));
            self.next = other.map(|file| Box::new(Self::of(&self.path, Some(file), 0)));
        }
        self.next.as_deref_mut()
    }

    /// What is new of that file.
    fn of_next<T: Default>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let Some(next) = self.next() else { return T::default() };
        let news = read(next);
        let (missed, truncated) = (next.missed, next.truncated);
        self.missed |= missed;
        self.truncated |= truncated;
        news
    }

    /// What is new of this file behind what was left of its last line, and whether there is more to read at once; but not
    /// more than a piece that takes no noticeable time. None when nothing is.
    fn advance(&mut self) -> Option<(Vec<u8>, bool)> {
        if self.file.is_none() {
            let opened = open::read(&self.path);
            let number = opened.as_ref().err().and_then(std::io::Error::raw_os_error);
            self.refused =
                number.filter(|number| [libc::EMFILE, libc::ENFILE, libc::ENOMEM].contains(number));
            self.file = opened.ok();
        }
        let file = self.file.as_ref()?;
        let size = file.metadata().map_or(0, |meta| meta.size());
        if size < self.offset {
            self.offset = 0;
            self.truncated = true;
            self.partial.clear();
        }
        if size == self.offset {
            return None;
        }
        let piece = piece(file, self.offset, PIECE).ok()?;
        if piece.start > self.offset {
            self.missed |= piece.cut;
            self.partial.clear();
        }
        self.offset = piece.end;
        let new = piece.without_cut_line().bytes;
        let bytes = match self.partial.is_empty() {
            true => new,
            false => [std::mem::take(&mut self.partial), new].concat(),
        };
        Some((bytes, size > self.offset))
    }

    /// Reads what is new: whole lines as they are, and whether there is more to read at once.
    pub fn whole_lines(&mut self) -> (Vec<u8>, bool) {
        let Some((mut bytes, more)) = self.advance() else { return self.of_next(Self::whole_lines) };
        let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            // A line that is longer than a piece is taken for several.
            None if bytes.len() as u64 >= PIECE => text::whole_characters(&bytes).len(),
            None => 0,
        };
        self.partial = bytes.split_off(end);
        (bytes, more)
    }

    /// The beginning of a line of which no more will come.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let next = self.next.as_deref_mut().map(Self::take_rest);
        let mut rest = std::mem::take(&mut self.partial);
        rest.extend(next.unwrap_or_default());
        rest
    }

    /// Reads what is new, as text.
    pub fn news(&mut self) -> News {
        let Some((mut bytes, more)) = self.advance() else { return self.of_next(Self::news) };
        // What follows a carriage return has started the line over. One at the end may belong to the line's end.
        let begun = |pair: &[u8]| pair[0] == b'\n' || (pair[0] == b'\r' && !matches!(pair[1], b'\r' | b'\n'));
        let end = match bytes.windows(2).rposition(begun) {
            _ if bytes.ends_with(b"\n") => bytes.len(),
            Some(last) => last + 1,
            // A line that is longer than a piece is taken for several.
            None if bytes.len() as u64 >= PIECE => text::whole_characters(&bytes).len(),
            None => 0,
        };
        self.partial = bytes.split_off(end);
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let partial = text::whole_characters(&self.partial);
        News {
            lines: if end == 0 {
                Vec::new()
            } else {
                whole.split(|b| *b == b'\n').flat_map(text::states).collect()
            },
            partial: (!partial.is_empty()).then(|| text::line(partial)),
            more,
        }
    }
}

/// How long a log is now.
pub fn size(path: &Path) -> u64 {
    open::read(path).and_then(|file| file.metadata()).map_or(0, |meta| meta.size())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    #[test]
    fn a_log_is_read_line_by_line_as_it_grows_and_after_truncation() {
        let news = |lines: &[&str], partial: Option<&str>| News {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            partial: partial.map(str::to_owned),
            more: false,
        };
        let mut file = tempfile::NamedTempFile::new().expect("file");
        let mut reader = LogReader::from_offset(file.path(), 0);
        assert_eq!(reader.news(), news(&[], None));
        file.write_all(b"one\n\x1b[32mtw").expect("write");
        assert_eq!(reader.news(), news(&["one"], Some("tw")));
        assert_eq!(reader.news(), news(&[], None), "nothing has come");
        file.write_all(b"o\x1b[0m\r\nthree\n").expect("write");
        assert_eq!(reader.news(), news(&["two", "three"], None));
        file.write_all(b"10 %\r5").expect("write");
        assert_eq!(reader.news(), news(&["10 %"], Some("5")));
        file.write_all(b"0 %\r").expect("write");
        assert_eq!(reader.news(), news(&[], Some("50 %")));
        file.write_all(b"\nf\xfcr \xc3").expect("write");
        assert_eq!(reader.news(), news(&["50 %"], Some("f\u{fffd}r ")));
        file.write_all(b"\xbc\n").expect("write");
        assert_eq!(reader.news(), news(&["f\u{fffd}r ü"], None));
        file.as_file().set_len(0).expect("truncate");
        file.rewind().expect("rewind");
        file.write_all(b"x\n").expect("write");
        assert_eq!(reader.news(), news(&["x"], None));
        assert!(reader.truncated);
    }

    #[test]
    fn a_large_log_is_read_in_pieces_and_loses_nothing() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all("a line of some length\n".repeat(200_000).as_bytes()).expect("write");
        file.write_all(&vec![b'x'; 3 << 20]).expect("write");
        let mut reader = LogReader::from_offset(file.path(), 0);
        let (mut lines, mut rounds) = (0, 0);
        loop {
            let news = reader.news();
            lines += news.lines.iter().filter(|line| *line == "a line of some length").count();
            rounds += 1;
            if !news.more {
                break;
            }
        }
        assert!(lines == 200_000 && rounds >= 7, "{lines} lines in {rounds} rounds");
    }
}
