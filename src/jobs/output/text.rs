//! How what processes print looks as text: as a terminal would show it. Whoever matches, quotes or returns lines of it
//! has them from here, so that all see the same.
//!
//! Bytes that are no UTF-8 are U+FFFD each. Colour codes and other sequences are left out, a carriage return starts the
//! line over, a backspace takes a character back. Nothing here is for the terminal's safety: what bgjobs says is made
//! harmless where it is written.

use anstream::adapter::strip_str;
use std::collections::{HashMap, HashSet};

/// Lines in which nothing is but text, as they are; else none, and [`line()`] has to look at each.
pub fn plain(lines: &[u8]) -> Option<&str> {
    // In blocks, which the compiler takes many bytes at a time.
    let is_plain =
        |block: &[u8]| !block.iter().fold(false, |any, byte| any | (!is_text(*byte) & (*byte != b'\n')));
    if lines.chunks(1024).all(is_plain) { std::str::from_utf8(lines).ok() } else { None }
}

/// A line as it is shown in the end: of a progress bar the last state.
pub fn line(bytes: &[u8]) -> String {
    if is_simple(bytes) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let text = String::from_utf8_lossy(bytes);
    let last = starts_over(&text).into_iter().rev().find_map(|state| {
        let shown = shown(state);
        (!shown.is_empty() || erases(state)).then_some(shown)
    });
    last.unwrap_or_default()
}

/// As [`line()`], but with its colours, which end with it.
pub fn colored_line(bytes: &[u8]) -> String {
    if is_simple(bytes) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let text = String::from_utf8_lossy(bytes);
    let last = starts_over(&text).into_iter().rev().find(|state| !shown(state).is_empty() || erases(state));
    let mut rest = last.unwrap_or_default();
    let mut colored = String::new();
    let (mut from, mut any) = (0, false);
    while let Some(at) = rest[from..].find("\x1b[").map(|at| from + at) {
        let code = rest[at + 2..]
            .find(|c| !matches!(c, '0'..='9' | ';' | ':'))
            .map_or(rest.len(), |end| at + 2 + end);
        if rest[code..].starts_with('m') {
            colored.extend([&shown(&rest[..at]), &rest[at..=code]]);
            (rest, from, any) = (&rest[code + 1..], 0, true);
        } else {
            from = at + 2;
        }
    }
    colored.push_str(&shown(rest));
    if any && !colored.ends_with("\x1b[0m") {
        colored.push_str("\x1b[0m");
    }
    colored
}

/// What a line has shown, one after the other: a progress bar that has passed 50 % was there.
pub fn states(bytes: &[u8]) -> Vec<String> {
    if is_simple(bytes) {
        return vec![String::from_utf8_lossy(bytes).into_owned()];
    }
    let text = String::from_utf8_lossy(bytes);
    let states: Vec<String> =
        starts_over(&text).into_iter().map(shown).filter(|state| !state.is_empty()).collect();
    // An empty line is a line.
    if states.is_empty() { vec![String::new()] } else { states }
}

/// All lines, each as it is shown in the end.
pub fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = String> {
    let text = (!bytes.is_empty()).then(|| bytes.strip_suffix(b"\n").unwrap_or(bytes));
    text.into_iter().flat_map(|text| text.split(|byte| *byte == b'\n')).map(line)
}

/// The last `count` lines.
pub fn last_lines(bytes: &[u8], count: usize) -> Vec<String> {
    let mut last: Vec<String> = lines(bytes).rev().take(count).collect();
    last.reverse();
    last
}

/// As [`last_lines`], for a report: a line that comes again and again is shown once, `connection refused ×133`.
///
/// Where not all have room, lines that differ in their numbers alone count as the same wherever they stand: of a server that
/// was asked a hundred times, the one line that says what is wrong with it must not be lost among its access log.
pub fn last_lines_folded(bytes: &[u8], count: usize) -> Vec<String> {
    const OFTEN: usize = 4;
    let all: Vec<String> = lines(bytes).collect();
    let mut often: HashMap<String, usize> = HashMap::new();
    if all.len() > count {
        for line in &all {
            *often.entry(shape(line)).or_default() += 1;
        }
        often.retain(|shape, times| *times >= OFTEN && shape.contains(char::is_alphabetic));
    }
    let mut folded: Vec<(String, usize)> = Vec::new();
    let mut shown: HashSet<String> = HashSet::new();
    for line in all.into_iter().rev() {
        let full = folded.len() == count;
        let shape = shape(&line);
        let times = often.get(&shape).copied();
        match folded.last_mut() {
            _ if shown.contains(&shape) => {}
            Some((last, times)) if *last == line => *times += 1,
            _ if full => break,
            _ => folded.push((line, times.unwrap_or(1))),
        }
        if times.is_some() {
            shown.insert(shape);
        }
    }
    let mut lines = Vec::new();
    for (line, times) in folded.into_iter().rev() {
        match times {
            1 => lines.push(line),
            // Twice the same is read as fast as a number.
            2 => lines.extend([line.clone(), line]),
            _ if line.is_empty() => lines.push(line),
            _ => lines.push(format!("{line} ×{times}")),
        }
    }
    lines.split_off(lines.len().saturating_sub(count))
}

/// A line without what differs from one time to the next.
fn shape(line: &str) -> String {
    let mut shape = String::with_capacity(line.len());
    for c in line.chars() {
        if !c.is_ascii_digit() {
            shape.push(c);
        } else if !shape.ends_with('0') {
            shape.push('0');
        }
    }
    shape
}

/// These bytes without the beginning of a character that is not whole: more of it may be about to come.
pub fn whole_characters(bytes: &[u8]) -> &[u8] {
    let begin = bytes.len().saturating_sub(3);
    match bytes[begin..].iter().rposition(|byte| !is_continuation(*byte)) {
        Some(at) if std::str::from_utf8(&bytes[begin + at..]).is_err_and(|e| e.error_len().is_none()) => {
            &bytes[..begin + at]
        }
        _ => bytes,
    }
}

/// These bytes without the end of a character whose beginning was cut off.
pub fn from_character(bytes: &[u8]) -> &[u8] {
    let rest = bytes.iter().take(3).take_while(|byte| is_continuation(**byte)).count();
    &bytes[rest..]
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Nothing in it that a terminal would take for an order.
fn is_simple(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| is_text(*byte))
}

fn is_text(byte: u8) -> bool {
    (byte >= b' ') & (byte != 0x7f) | (byte == b'\t')
}

/// The texts that were written over each other: what a carriage return divides, or the cursor's way to column 1.
fn starts_over(text: &str) -> Vec<&str> {
    let mut states = Vec::new();
    for part in text.split('\r') {
        let mut rest = part;
        while let Some((at, length)) = to_first_column(rest) {
            states.push(&rest[..at]);
            rest = &rest[at + length..];
        }
        states.push(rest);
    }
    states
}

/// Where a sequence stands that moves the cursor to the first column, and how long it is.
fn to_first_column(text: &str) -> Option<(usize, usize)> {
    const SEQUENCES: &[&str] = &["\x1b[G", "\x1b[0G", "\x1b[1G"];
    if !text.contains('\x1b') {
        return None;
    }
    SEQUENCES.iter().filter_map(|sequence| Some((text.find(sequence)?, sequence.len()))).min()
}

/// Whether it ends by taking away what stood in the line.
fn erases(state: &str) -> bool {
    ["\x1b[K", "\x1b[0K", "\x1b[2K", "\x1b[J", "\x1b[0J"].iter().any(|sequence| state.contains(sequence))
}

/// A state of a line without what only a terminal understands.
fn shown(state: &str) -> String {
    let mut shown = String::new();
    for (index, piece) in state.split('\u{8}').enumerate() {
        if index > 0 {
            shown.pop();
        }
        shown.extend(strip_str(piece));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_a_terminal_shows_of_it_in_the_end() {
        let cases: &[(&[u8], &str)] = &[
            (b"f\xfcr ready", "f\u{fffd}r ready"),
            (b"\x1b[1mf\xfcr\x1b[0m", "f\u{fffd}r"),
            ("für \x1b[32mgrün\x1b[0m".as_bytes(), "für grün"),
            (b"10 %\r50 %\r100 %", "100 %"),
            (b"10 %\r50 %\r", "50 %"),
            (b"10 %\r\x1b[Kready\r", "ready"),
            (b"10 %\r\x1b[K", ""),
            (b"10 %\x1b[2K\x1b[1Gready", "ready"),
            (b"10 %\r\x1b[0m", "10 %"),
            (b"|\x08/\x08-\x08done", "done"),
            (b"\r\x1b[36mprompt> \x1b[0m", "prompt> "),
            (b"\ta\x07b\x7f", "\tab"),
            (b"", ""),
        ];
        for (bytes, text) in cases {
            assert_eq!(line(bytes), *text, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn lines_are_plain_when_each_is_shown_as_it_is() {
        for text in ["", "a\n\tb\n\n", "für 😀"] {
            assert_eq!(plain(text.as_bytes()), Some(text));
        }
        for odd in [&b"f\xfcr"[..], b"\x1b[1m", b"10 %\r", b"\x07", b"\x7f", b"\0"] {
            let among = [&[b'a'; 5000][..], odd, b"\nend"].concat();
            assert_eq!(plain(&among), None, "{odd:?}");
        }
    }

    #[test]
    fn colours_stay_where_they_are_shown_and_end_with_their_line() {
        let cases: &[(&[u8], &str)] = &[
            (b"plain", "plain"),
            (b"\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
            (b"\x1b[31mred", "\x1b[31mred\x1b[0m"),
            (b"\x1b[2J\x1b[31mred\x1b[K\x07\x1b[m.", "\x1b[31mred\x1b[m.\x1b[0m"),
            (b"10 %\r\x1b[32m20 %\x1b[0m\r", "\x1b[32m20 %\x1b[0m"),
            (b"\x1b[31", ""),
        ];
        for (bytes, text) in cases {
            assert_eq!(colored_line(bytes), *text, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn every_state_of_a_line_can_be_matched() {
        assert_eq!(states(b"10 %\r50 %\r\x1b[Kready\r"), ["10 %", "50 %", "ready"]);
        assert_eq!(states(b"\r"), [""]);
        assert_eq!(states(b"plain"), ["plain"]);
    }

    #[test]
    fn tails_are_lines() {
        assert_eq!(last_lines(b"", 3), Vec::<String>::new());
        assert_eq!(last_lines(b"a\nb\nc\n", 2), ["b", "c"]);
        assert_eq!(last_lines(b"a", 2), ["a"]);
        assert_eq!(last_lines(b"1\r2\r\nx\r\n", 2), ["2", "x"]);
        assert_eq!(lines(b"a\n\nb\r\n").collect::<Vec<_>>(), ["a", "", "b"]);
        assert_eq!(lines(b"").count(), 0);
    }

    #[test]
    fn what_comes_again_and_again_is_folded() {
        let text = format!("first\n{}b\nb\n{}", "refused\n".repeat(133), "\n".repeat(5));
        assert_eq!(last_lines_folded(text.as_bytes(), 9), ["first", "refused ×133", "b", "b", ""]);
        assert_eq!(last_lines_folded(text.as_bytes(), 3), ["b", "b", ""]);
        assert_eq!(last_lines_folded(b"", 3), Vec::<String>::new());
    }

    #[test]
    fn the_one_line_that_matters_is_not_lost_among_many_alike() {
        let mut text = "no database\n".to_owned();
        for second in 10..60 {
            text += &format!("12:00:{second} GET / 503 {second}ms\nslow\n");
        }
        text += "bye\n";
        let shown = last_lines_folded(text.as_bytes(), 9);
        assert_eq!(shown, ["no database", "12:00:59 GET / 503 59ms ×50", "slow ×50", "bye"]);
        // Where all have room they are as they are.
        let few = "1 a\n2 a\n3 a\n4 a";
        assert_eq!(last_lines_folded(few.as_bytes(), 4), ["1 a", "2 a", "3 a", "4 a"]);
    }

    #[test]
    fn a_character_that_is_cut_is_seen_as_such() {
        let text = "aü€😀".as_bytes();
        let expected = ["", "a", "a", "aü", "aü", "aü", "aü€", "aü€", "aü€", "aü€", "aü€😀"];
        for (length, expected) in expected.into_iter().enumerate() {
            assert_eq!(whole_characters(&text[..length]), expected.as_bytes(), "{length}");
        }
        assert_eq!(whole_characters(b"f\xfc"), b"f\xfc", "that is none that could begin like this");
        assert_eq!(whole_characters(b"f\xfcr"), b"f\xfcr");
        assert_eq!(from_character(&text[2..]), "€😀".as_bytes());
        assert_eq!(from_character(&text[1..]), "ü€😀".as_bytes());
    }
}
