//! What a command has printed, in the order in which it came; of very much the first and the last part.

use crate::jobs::output::text;
use std::collections::VecDeque;

/// How much of one command's output is kept; beyond it, the first and the last half.
pub const CAPTURE_LIMIT: usize = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Output in the order in which it came.
#[derive(Default)]
pub struct Captured {
    head: Vec<(Stream, Vec<u8>)>,
    tail: VecDeque<(Stream, Vec<u8>)>,
    head_bytes: usize,
    tail_bytes: usize,
    /// Bytes that were dropped between head and tail, of stdout and of stderr.
    dropped: [usize; 2],
}

impl Captured {
    pub(crate) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        if self.head_bytes < CAPTURE_LIMIT / 2 {
            self.head_bytes += bytes.len();
            match self.head.last_mut() {
                Some((last, chunk)) if *last == stream => chunk.extend_from_slice(bytes),
                _ => self.head.push((stream, bytes.to_vec())),
            }
            return;
        }
        self.tail_bytes += bytes.len();
        self.tail.push_back((stream, bytes.to_vec()));
        while self.tail_bytes > CAPTURE_LIMIT / 2 {
            let Some((stream, chunk)) = self.tail.pop_front() else { break };
            self.tail_bytes -= chunk.len();
            self.dropped[stream as usize] += chunk.len();
        }
    }

    /// The text of one stream, or of both in the order in which it came.
    pub fn text(&self, only: Option<Stream>) -> String {
        let wanted = |stream: &Stream| only.is_none_or(|only| only == *stream);
        let mut bytes = joined(self.head.iter().filter(|(stream, _)| wanted(stream)));
        let dropped = only.map_or(self.dropped(), |only| self.dropped[only as usize]);
        if dropped > 0 {
            bytes.truncate(text::whole_characters(&bytes).len());
            bytes.extend_from_slice(left_out(dropped).as_bytes());
        }
        let tail = joined(self.tail.iter().filter(|(stream, _)| wanted(stream)));
        bytes.extend_from_slice(if dropped > 0 { text::from_character(&tail) } else { &tail });
        fit(&bytes)
    }

    /// How many bytes were dropped.
    pub fn dropped(&self) -> usize {
        self.dropped.iter().sum()
    }
}

/// Chunks of two streams, one after the other. Where one of them was cut within a character, the rest of that comes
/// with the stream's next chunk: not behind what the other stream has between them.
fn joined<'a>(chunks: impl Iterator<Item = &'a (Stream, Vec<u8>)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut cut: [Vec<u8>; 2] = Default::default();
    for (stream, chunk) in chunks {
        let cut = &mut cut[*stream as usize];
        cut.extend_from_slice(chunk);
        bytes.extend(cut.drain(..text::whole_characters(cut).len()));
    }
    cut.into_iter().for_each(|rest| bytes.extend(rest));
    bytes
}

pub(crate) fn left_out(bytes: usize) -> String {
    format!("\n… {bytes} bytes left out …\n")
}

/// Bytes as text that a script can hold: its strings end at [`CAPTURE_LIMIT`], and what is no UTF-8 grows.
pub(crate) fn fit(bytes: &[u8]) -> String {
    const MOST: usize = CAPTURE_LIMIT - 1024;
    let text = String::from_utf8_lossy(bytes);
    if text.len() <= MOST {
        return text.into_owned();
    }
    let head = text.floor_char_boundary(MOST / 2);
    let tail = text.ceil_char_boundary(text.len() - MOST / 2);
    format!("{}{}{}", &text[..head], left_out(tail - head), &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_came_in_pieces_is_whole() {
        let mut captured = Captured::default();
        let smile = "😀".as_bytes();
        for (stream, bytes) in [
            (Stream::Stdout, &b"f\xc3"[..]),
            (Stream::Stderr, &smile[..1]),
            (Stream::Stdout, &b"\xbcr f\xfcr"[..]),
            (Stream::Stderr, &smile[1..2]),
            (Stream::Stdout, b" \xc3"),
            (Stream::Stderr, &smile[2..]),
        ] {
            captured.push(stream, bytes);
        }
        assert_eq!(captured.text(Some(Stream::Stdout)), "für f\u{fffd}r \u{fffd}");
        assert_eq!(captured.text(Some(Stream::Stderr)), "😀");
        assert_eq!(captured.text(None), "für f\u{fffd}r 😀\u{fffd}");
    }

    #[test]
    fn what_is_too_much_keeps_its_head_and_tail() {
        let mut captured = Captured::default();
        let chunk = vec![b'a'; 1 << 20];
        for _ in 0..70 {
            captured.push(Stream::Stdout, &chunk);
        }
        captured.push(Stream::Stderr, b"end");
        assert!(captured.dropped() >= 6 << 20);
        let text = captured.text(None);
        assert!(text.len() < CAPTURE_LIMIT + 200 && text.ends_with("end") && text.contains("bytes left out"));
    }
}
