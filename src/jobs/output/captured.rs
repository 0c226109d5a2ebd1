//! What a command has printed, in the order in which it came; of very much the first and the last part.
//!
//! Large pieces are kept as they were read, shared with whoever writes them; small ones are put together. Text is only
//! made of it when somebody asks for that: most commands print for people alone.

use crate::jobs::output::text;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// How much of one command's output is kept; beyond it, the first and the last half.
pub const CAPTURE_LIMIT: usize = 64 << 20;
/// A shorter piece is copied behind the one before.
const SMALL: usize = 16 << 10;
/// No more is put together to one piece: it is dropped as a whole.
const LARGE: usize = 256 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

type Piece = (Stream, Bytes);

/// Output in the order in which it came.
#[derive(Debug, Default)]
pub struct Captured {
    head: Vec<Piece>,
    tail: VecDeque<Piece>,
    /// Small pieces of one stream, behind all others.
    open: Option<(Stream, BytesMut)>,
    head_bytes: usize,
    tail_bytes: usize,
    /// Bytes that were dropped between head and tail, of stdout and of stderr.
    dropped: [usize; 2],
}

impl Captured {
    pub(crate) fn push(&mut self, stream: Stream, bytes: Bytes) {
        if bytes.len() >= SMALL {
            self.close();
            return self.keep((stream, bytes));
        }
        if self.open.as_ref().is_some_and(|(of, open)| *of != stream || open.len() >= LARGE) {
            self.close();
        }
        self.open.get_or_insert_with(|| (stream, BytesMut::new())).1.extend_from_slice(&bytes);
    }

    /// No more is put behind the last piece.
    pub(crate) fn close(&mut self) {
        if let Some((stream, bytes)) = self.open.take() {
            self.keep((stream, bytes.freeze()));
        }
    }

    fn keep(&mut self, piece: Piece) {
        if self.head_bytes < CAPTURE_LIMIT / 2 {
            self.head_bytes += piece.1.len();
            return self.head.push(piece);
        }
        self.tail_bytes += piece.1.len();
        self.tail.push_back(piece);
        while self.tail_bytes > CAPTURE_LIMIT / 2 {
            let Some((stream, bytes)) = self.tail.pop_front() else { break };
            self.tail_bytes -= bytes.len();
            self.dropped[stream as usize] += bytes.len();
        }
    }

    /// The text of one stream, or of both in the order in which it came.
    pub fn text(&self, only: Option<Stream>) -> String {
        let wanted = |stream: Stream| only.is_none_or(|only| only == stream);
        let head = self.head.iter().map(|(stream, bytes)| (*stream, &bytes[..]));
        let head = head.filter(|(stream, _)| wanted(*stream));
        let tail = self.behind_head().filter(|(stream, _)| wanted(*stream));
        let dropped = only.map_or(self.dropped(), |only| self.dropped[only as usize]);
        if dropped == 0 {
            return fit(joined(head.chain(tail)));
        }
        let mut bytes = joined(head);
        bytes.truncate(text::whole_characters(&bytes).len());
        bytes.extend_from_slice(left_out(dropped).as_bytes());
        bytes.extend_from_slice(text::from_character(&joined(tail)));
        fit(bytes)
    }

    /// The end of both, for whoever wants last lines: at least so much as they are looked for in, if there is so much.
    pub fn end(&self) -> Vec<u8> {
        let mut length = 0;
        let head = self.head.iter().map(|(stream, bytes)| (*stream, &bytes[..]));
        let mut last: Vec<_> = head
            .chain(self.behind_head())
            .rev()
            .take_while(|(_, bytes)| {
                let enough = length >= LARGE;
                length += bytes.len();
                !enough
            })
            .collect();
        last.reverse();
        joined(last.into_iter())
    }

    fn behind_head(&self) -> impl DoubleEndedIterator<Item = (Stream, &[u8])> {
        let tail = self.tail.iter().map(|(stream, bytes)| (*stream, &bytes[..]));
        tail.chain(self.open.iter().map(|(stream, bytes)| (*stream, &bytes[..])))
    }

    /// How many bytes were dropped.
    pub fn dropped(&self) -> usize {
        self.dropped.iter().sum()
    }
}

/// Chunks of two streams, one after the other. Where one of them was cut within a character, the rest of that comes
/// with the stream's next chunk: not behind what the other stream has between them.
fn joined<'a>(chunks: impl Iterator<Item = (Stream, &'a [u8])>) -> Vec<u8> {
    let chunks: Vec<_> = chunks.collect();
    let mut bytes = Vec::with_capacity(chunks.iter().map(|(_, chunk)| chunk.len()).sum());
    let mut cut: [Vec<u8>; 2] = Default::default();
    for (stream, chunk) in chunks {
        let cut = &mut cut[stream as usize];
        if cut.is_empty() {
            let whole = text::whole_characters(chunk);
            bytes.extend_from_slice(whole);
            cut.extend_from_slice(&chunk[whole.len()..]);
        } else {
            cut.extend_from_slice(chunk);
            bytes.extend(cut.drain(..text::whole_characters(cut).len()));
        }
    }
    cut.into_iter().for_each(|rest| bytes.extend(rest));
    bytes
}

pub(crate) fn left_out(bytes: usize) -> String {
    format!("\n… {bytes} bytes left out …\n")
}

/// Bytes as text that a script can hold: its strings end at [`CAPTURE_LIMIT`], and what is no UTF-8 grows.
pub(crate) fn fit(bytes: Vec<u8>) -> String {
    const MOST: usize = CAPTURE_LIMIT - 1024;
    // Not a copy of what is text already, as most is.
    let text =
        String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
    if text.len() <= MOST {
        return text;
    }
    let head = text.floor_char_boundary(MOST / 2);
    let tail = text.ceil_char_boundary(text.len() - MOST / 2);
    format!("{}{}{}", &text[..head], left_out(tail - head), &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(captured: &mut Captured, stream: Stream, bytes: &[u8]) {
        captured.push(stream, Bytes::copy_from_slice(bytes));
    }

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
            push(&mut captured, stream, bytes);
        }
        assert_eq!(captured.text(Some(Stream::Stdout)), "für f\u{fffd}r \u{fffd}");
        assert_eq!(captured.text(Some(Stream::Stderr)), "😀");
        assert_eq!(captured.text(None), "für f\u{fffd}r 😀\u{fffd}");
        assert_eq!(String::from_utf8_lossy(&captured.end()), captured.text(None));
    }

    #[test]
    fn what_is_too_much_keeps_its_head_and_tail() {
        let mut captured = Captured::default();
        let chunk = vec![b'a'; 1 << 20];
        for _ in 0..70 {
            push(&mut captured, Stream::Stdout, &chunk);
        }
        push(&mut captured, Stream::Stderr, b"end");
        assert!(captured.dropped() >= 6 << 20);
        let text = captured.text(None);
        assert!(text.len() < CAPTURE_LIMIT + 200 && text.ends_with("end") && text.contains("bytes left out"));
        assert_eq!(captured.text(Some(Stream::Stderr)), "end");
        let end = captured.end();
        assert!(end.ends_with(b"aend") && end.len() >= LARGE && end.len() <= LARGE + chunk.len());
    }

    #[test]
    fn small_and_large_pieces_keep_their_order_however_many() {
        let mut captured = Captured::default();
        let mut expected = String::new();
        for i in 0..100_000 {
            let text =
                if i % 1000 == 0 { format!("{i:0>width$}\n", width = SMALL) } else { format!("{i}\n") };
            let stream = if i % 300 == 299 { Stream::Stderr } else { Stream::Stdout };
            push(&mut captured, stream, text.as_bytes());
            expected += &text;
        }
        assert!(captured.text(None) == expected && captured.dropped() == 0);
        captured.close();
        assert!(captured.text(None) == expected, "also when nothing more will come");
        assert!(expected.as_bytes().ends_with(&captured.end()) && captured.end().len() >= LARGE);
    }
}
