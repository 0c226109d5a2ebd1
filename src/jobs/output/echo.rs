//! What is shown of a command's output while it runs. Of several at the same time, whole lines with a word before each.

use crate::jobs::output::captured::Stream;
use crate::jobs::output::text;

/// What is shown of a command's output while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echo {
    Nothing,
    AsItIs,
    /// Whole lines, each after this word: several commands run at the same time.
    Prefixed(String),
}

/// Cuts what comes into lines, and puts a word before each.
pub(crate) struct Prefixer {
    word: String,
    /// The beginning of a line, of stdout and of stderr.
    partial: [Vec<u8>; 2],
}

/// A line that is longer is shown in pieces.
const LONGEST_LINE: usize = 64 << 10;

impl Prefixer {
    pub(crate) fn new(word: &str) -> Self {
        Self { word: word.to_owned(), partial: Default::default() }
    }

    pub(crate) fn pass(&mut self, stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let partial = &mut self.partial[stream as usize];
        partial.extend_from_slice(bytes);
        let end = partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = if end == 0 && partial.len() >= LONGEST_LINE {
            text::whole_characters(partial).len()
        } else {
            end
        };
        let whole: Vec<u8> = partial.drain(..end).collect();
        prefixed(&self.word, &whole)
    }

    /// What was no whole line when the command ended.
    pub(crate) fn rest(&mut self, stream: Stream) -> Vec<u8> {
        prefixed(&self.word, &std::mem::take(&mut self.partial[stream as usize]))
    }
}

/// Each line after a word: `curl | hello`. So is what a carriage return begins: it would be written over the word.
pub fn prefixed(word: &str, bytes: &[u8]) -> Vec<u8> {
    let prefix = format!("{word} | ");
    let again = format!("\r{prefix}");
    let mut text = String::new();
    for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
        let states = line.trim_end_matches(['\r', '\n']);
        text.extend([
            &prefix,
            &*states.replace('\r', &again),
            line[states.len()..].trim_end_matches('\n'),
            "\n",
        ]);
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_before_each_line_and_each_state_of_it() {
        let text = |bytes: &[u8]| String::from_utf8(prefixed("a", bytes)).expect("text");
        assert_eq!(text(b"one\r\n\ntwo"), "a | one\r\na | \na | two\n");
        assert_eq!(text(b"10 %\r20 %\nf\xfcr\n"), "a | 10 %\ra | 20 %\na | f\u{fffd}r\n");
        let mut prefixer = Prefixer::new("a");
        let piece = [b"x".repeat(LONGEST_LINE - 1), b"\xc3".to_vec()].concat();
        let first = prefixer.pass(Stream::Stdout, &piece);
        assert_eq!(first.len(), LONGEST_LINE - 1 + "a | \n".len());
        assert_eq!(prefixer.pass(Stream::Stdout, b"\xbc\n"), "a | ü\n".as_bytes());
    }
}
