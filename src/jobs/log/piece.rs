//! What a log holds in one stretch: its beginning may have been dropped, which leaves a hole.

use crate::sys::hole;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

/// What a log holds in one stretch, without the hole before it.
pub(crate) struct Piece {
    /// Where the bytes begin; behind where reading was to begin, if the log's beginning was dropped.
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
    /// What follows begins here, or behind a hole that begins here.
    pub(crate) end: u64,
    /// The first line is not whole: what came before was dropped.
    pub(crate) cut: bool,
}

/// Reads a log from an offset on: at most `most` bytes, and not beyond the next hole (see [`super::limit`]; an
/// offset writer makes one, too, when somebody truncates the file under it).
pub(crate) fn piece(file: &File, from: u64, most: u64) -> std::io::Result<Piece> {
    let size = file.metadata()?.size();
    let start = hole::data_from(file, from).unwrap_or(size);
    let end = hole::hole_from(file, start).min(start.saturating_add(most));
    let length = end.saturating_sub(start);
    // And one more, so that the end of the stretch is seen without room for more.
    let mut bytes = Vec::with_capacity(usize::try_from(length + 1).unwrap_or_default());
    let mut reader = file;
    reader.seek(SeekFrom::Start(start))?;
    reader.take(length).read_to_end(&mut bytes)?;
    let end = start + bytes.len() as u64;
    // What was dropped while it was read reads as zeros.
    let mut piece = Piece { start, bytes, end, cut: false };
    piece.skip_to(hole::data_from(file, start).unwrap_or(end));
    if piece.start > from {
        // Data begins and ends with a block, which may be zeros to where the writer began, and from where it ended.
        let zeros = piece.bytes.iter().take_while(|byte| **byte == 0).count();
        piece.cut = zeros == 0;
        piece.skip_to(piece.start + zeros as u64);
    }
    if file.metadata().is_ok_and(|meta| meta.size() > end) && hole::hole_from(file, start) == end {
        while piece.bytes.last() == Some(&0) {
            piece.bytes.pop();
        }
    }
    Ok(piece)
}

impl Piece {
    fn skip_to(&mut self, offset: u64) {
        let skipped = offset.clamp(self.start, self.end) - self.start;
        self.bytes.drain(..usize::try_from(skipped).unwrap_or(usize::MAX).min(self.bytes.len()));
        self.start += skipped;
    }

    /// Drops the rest of a line that is not whole.
    pub(crate) fn without_cut_line(mut self) -> Self {
        if std::mem::take(&mut self.cut) {
            let end = self.bytes.iter().position(|byte| *byte == b'\n');
            let skipped = end.map_or(self.bytes.len(), |at| at + 1) as u64;
            self.skip_to(self.start + skipped);
        }
        self
    }
}

/// All that a log holds from an offset on.
pub(crate) struct Stretch {
    pub(crate) start: u64,
    /// What came before was dropped.
    pub(crate) cut: bool,
    pub(crate) bytes: Vec<u8>,
}

/// What a log holds between two offsets, without its holes.
pub(crate) fn stretch(file: &File, from: u64, to: u64) -> Stretch {
    let mut first = None;
    let mut bytes = Vec::new();
    let mut at = from;
    while at < to
        && let Ok(mut piece) = piece(file, at, to - at)
        && piece.end > at
    {
        let cut = piece.cut;
        // One that begins behind a hole is as long as was asked for all the same.
        piece.bytes.truncate(usize::try_from(to.saturating_sub(piece.start)).unwrap_or(usize::MAX));
        at = piece.end.min(to);
        let piece = piece.without_cut_line();
        first.get_or_insert((piece.start, cut));
        bytes.extend_from_slice(&piece.bytes);
    }
    let (start, cut) = first.unwrap_or((from, false));
    Stretch { start, cut, bytes }
}

#[cfg(test)]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
mod tests {
    use super::*;
    use crate::jobs::log::reader::LogReader;
    use crate::jobs::log::whole::{end_of, read_log};
    use crate::jobs::output::text;
    use std::io::Write;

    /// A log whose beginning was dropped: 100,000 bytes of lines, of which at most the first 50,000 are gone.
    fn with_hole() -> Option<tempfile::NamedTempFile> {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        for number in 0..10_000 {
            writeln!(file, "line {number:04}").expect("written");
        }
        let punched = hole::punch(file.as_file(), 50_000);
        if punched.is_err() {
            println!("skipped: this file system has no holes");
        }
        punched.ok().map(|()| file)
    }

    fn tail(file: &File, count: usize) -> Vec<String> {
        text::last_lines(&end_of(file).bytes, count)
    }

    #[test]
    fn a_log_without_its_beginning_says_so_and_shows_no_zeros() {
        let Some(file) = with_hole() else { return };
        let text = read_log(file.as_file(), u64::MAX);
        let mut lines = text.lines();
        let first = lines.next().expect("a line");
        assert!(
            first.starts_with("… the first ") && first.ends_with(" bytes were dropped (max_log) …"),
            "{first}"
        );
        assert!(lines.all(|line| line.len() == 9 && line.starts_with("line ")), "{text}");
        assert!(text.ends_with("line 9999\n") && !text.contains("line 0000"));
        let begun = read_log(file.as_file(), 99_990);
        assert!(text.starts_with(&begun) && begun.ends_with("line 9998\n"));
        assert_eq!(tail(file.as_file(), 2), ["line 9998", "line 9999"]);
        let all = tail(file.as_file(), 20_000);
        assert!(all.len() < 6000 && all.iter().all(|line| line.len() == 9), "{}", all.len());
    }

    #[test]
    fn a_reader_goes_on_behind_what_was_dropped() {
        let Some(mut file) = with_hole() else { return };
        let mut late = LogReader::from_offset(file.path(), 15);
        let news = late.news();
        assert!(late.missed && !late.truncated);
        assert!(news.lines.iter().all(|line| line.len() == 9), "{:?}", news.lines.first());
        assert_eq!(news.lines.last().map(String::as_str), Some("line 9999"));
        let mut early = LogReader::from_offset(file.path(), 99_990);
        assert_eq!(early.news().lines, ["line 9999"]);
        file.seek(SeekFrom::End(0)).expect("sought");
        writeln!(file, "more").expect("written");
        assert_eq!(early.news().lines, ["more"]);
        assert_eq!(late.news().lines, ["more"]);
        assert!(!early.missed);
    }

    #[test]
    fn one_who_writes_at_an_offset_leaves_no_zeros_either() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(b"before\n").expect("written");
        file.as_file().set_len(0).expect("truncated");
        file.seek(SeekFrom::Start(1_000_003)).expect("sought");
        file.write_all(b"after\n").expect("written");
        if hole::data_from(file.as_file(), 0) == Some(0) {
            return println!("skipped: this file system has no holes");
        }
        assert_eq!(read_log(file.as_file(), u64::MAX), "after\n");
        assert_eq!(LogReader::from_offset(file.path(), 0).news().lines, ["after"]);
    }
}
