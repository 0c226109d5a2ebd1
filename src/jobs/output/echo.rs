//! What is shown of a command's output while it runs. Of several at the same time, whole lines with a word before each.

use crate::jobs::output::captured::Stream;
use crate::jobs::output::text;
use bytes::Bytes;
use std::borrow::Cow;

/// What is shown of a command's output while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echo {
    Nothing,
    AsItIs,
    /// Whole lines, each after this word: several commands run at the same time.
    Prefixed(String),
}

/// Cuts what comes into lines, which are not to be mixed with those of others.
#[derive(Default)]
pub(crate) struct Cutter {
    /// The beginning of a line, of stdout and of stderr.
    partial: [Vec<u8>; 2],
}

/// A line that is longer is shown in pieces.
const LONGEST_LINE: usize = 64 << 10;

impl Cutter {
    /// Passes on what is whole lines by now.
    pub(crate) fn cut(&mut self, stream: Stream, bytes: &Bytes, mut pass: impl FnMut(Bytes)) {
        let partial = &mut self.partial[stream as usize];
        // Most of it is whole lines, which are not copied behind the beginning of one.
        let first = match partial.is_empty() {
            true => 0,
            false => bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1),
        };
        partial.extend_from_slice(&bytes[..first]);
        if partial.ends_with(b"\n") {
            pass(std::mem::take(partial).into());
        }
        let end = memchr::memrchr(b'\n', &bytes[first..]).map_or(first, |at| first + at + 1);
        if first < end {
            pass(bytes.slice(first..end));
        }
        partial.extend_from_slice(&bytes[end..]);
        if partial.len() >= LONGEST_LINE {
            let rest = partial.split_off(text::whole_characters(partial).len());
            pass(std::mem::replace(partial, rest).into());
        }
    }

    /// What was no whole line when the command ended.
    pub(crate) fn rest(&mut self, stream: Stream) -> Bytes {
        std::mem::take(&mut self.partial[stream as usize]).into()
    }
}

/// Each line after a word: `curl | hello`. So is what a carriage return begins: it would be written over the word.
pub fn prefixed(word: &str, bytes: &[u8]) -> Vec<u8> {
    let prefix = format!("{word} | ");
    let again = format!("\r{prefix}");
    // To look for what is not text takes many times as long as to see that all is.
    let text = std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    let starts_over = memchr::memchr(b'\r', text.as_bytes()).is_some();
    let mut shown = Vec::with_capacity(text.len() + text.len() / 4);
    if !starts_over {
        // The last line may have no end.
        let open = !text.is_empty() && !text.ends_with('\n');
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        let mut from = 0;
        for end in ends.chain(open.then_some(text.len())) {
            shown.extend_from_slice(prefix.as_bytes());
            shown.extend_from_slice(&text.as_bytes()[from..end]);
            from = end;
        }
        if open {
            shown.push(b'\n');
        }
        return shown;
    }
    for line in text.split_inclusive('\n') {
        shown.extend_from_slice(prefix.as_bytes());
        let line = line.strip_suffix('\n').unwrap_or(line);
        let states = line.trim_end_matches('\r');
        shown.extend_from_slice(states.replace('\r', &again).as_bytes());
        shown.extend_from_slice(&line.as_bytes()[states.len()..]);
        shown.push(b'\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_before_each_line_and_each_state_of_it() {
        let text = |bytes: &[u8]| String::from_utf8(prefixed("a", bytes)).expect("text");
        assert_eq!(text(b"one\r\n\ntwo"), "a | one\r\na | \na | two\n");
        assert_eq!(text(b"10 %\r20 %\nf\xfcr\n"), "a | 10 %\ra | 20 %\na | f\u{fffd}r\n");
        let mut cutter = Cutter::default();
        let mut cut = |stream, piece: &[u8]| {
            let mut shown = Vec::new();
            cutter.cut(stream, &Bytes::copy_from_slice(piece), |lines| shown.extend(prefixed("a", &lines)));
            shown
        };
        let piece = [b"x".repeat(LONGEST_LINE - 1), b"\xc3".to_vec()].concat();
        let first = cut(Stream::Stdout, &piece);
        assert_eq!(first.len(), LONGEST_LINE - 1 + "a | \n".len());
        assert_eq!(cut(Stream::Stdout, b"\xbc\n"), "a | ü\n".as_bytes());
        let pieces = [&b"on"[..], b"e\ntw", b"", b"o", b"\n", b"\n\nfour\nfi"];
        let shown: Vec<u8> = pieces.into_iter().flat_map(|piece| cut(Stream::Stderr, piece)).collect();
        assert_eq!(shown, b"a | one\na | two\na | \na | \na | four\n");
        assert_eq!(&cutter.rest(Stream::Stderr)[..], b"fi");
    }
}
