//! A log as one text, and the end of one.

use crate::jobs::log::piece::{Stretch, stretch};
use crate::jobs::output::captured::{CAPTURE_LIMIT, fit, left_out};
use crate::jobs::output::text;
use crate::sys::hole;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

/// The whole log, or so much of it; of a very large one the first and the last part. What was dropped of its beginning
/// is replaced by a line that says so.
pub fn read_log(file: &File, upto: u64) -> String {
    const HALF: u64 = CAPTURE_LIMIT as u64 / 2;
    let mut text = Vec::new();
    for _ in 0..TRIES {
        let size = file.metadata().map_or(0, |meta| meta.size()).min(upto);
        let begin = hole::data_from(file, 0).unwrap_or(0);
        let large = size.saturating_sub(begin) > 2 * HALF;
        let head = stretch(file, 0, if large { begin + HALF } else { size });
        if head.cut {
            text.extend_from_slice(dropped(head.start).as_bytes());
        }
        if large {
            let skipped = usize::try_from(size - begin - 2 * HALF).unwrap_or(usize::MAX);
            text.extend_from_slice(text::whole_characters(&head.bytes));
            text.extend_from_slice(left_out(skipped).as_bytes());
            text.extend_from_slice(text::from_character(&stretch(file, size - HALF, size).bytes));
        } else {
            text.extend_from_slice(&head.bytes);
        }
        if !head.bytes.is_empty() || size == 0 {
            break;
        }
        text.clear();
    }
    fit(text)
}

/// How often a log is read again of which nothing was left by the time it was read.
const TRIES: usize = 10;

/// What a log begins with when its real beginning was dropped.
pub(crate) fn dropped(bytes: u64) -> String {
    format!("… the first {bytes} bytes were dropped (max_log) …\n")
}

/// Where the last lines of a log begin.
pub fn start_of_last(file: &File, count: usize) -> u64 {
    const PIECE: u64 = 64 << 10;
    let size = file.metadata().map_or(0, |meta| meta.size());
    let begin = hole::data_from(file, 0).unwrap_or(0);
    let (mut end, mut lines) = (size, 0);
    while end > begin && count > 0 {
        let start = end.saturating_sub(PIECE).max(begin);
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        if file.read_exact_at(&mut bytes, start).is_err() {
            break;
        }
        for (at, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let next = start + at as u64 + 1;
            // The one at the very end begins no line.
            lines += usize::from(next < size);
            if lines == count {
                return next;
            }
        }
        end = start;
    }
    if count == 0 { size } else { begin }
}

/// The end of a log: as much as last lines are looked for in.
pub(crate) fn end_of(file: &File) -> Stretch {
    const MOST: u64 = 256 << 10;
    let mut end = Stretch { start: 0, cut: false, bytes: Vec::new() };
    for _ in 0..TRIES {
        let size = file.metadata().map_or(0, |meta| meta.size());
        let from = size.saturating_sub(MOST);
        end = stretch(file, from, size);
        if from > 0 {
            let skipped = end.bytes.len() - text::from_character(&end.bytes).len();
            end.bytes.drain(..skipped);
            end.start += skipped as u64;
        }
        if !end.bytes.is_empty() || size == 0 {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_lines_begin_behind_the_one_before() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        assert_eq!(start_of_last(file.as_file(), 3), 0);
        file.write_all(b"one\ntwo\n\nfour\nfi").expect("written");
        let at = |count| start_of_last(file.as_file(), count);
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(at), [16, 14, 9, 8, 4, 0, 0]);
        let mut long = tempfile::NamedTempFile::new().expect("file");
        long.write_all("a line of some length\n".repeat(10_000).as_bytes()).expect("written");
        assert_eq!(start_of_last(long.as_file(), 4000), 6000 * 22);
    }
}
