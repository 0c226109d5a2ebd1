//! Values that must not be shown, and how they are masked.
//!
//! The script registers them (`secret(…)`); they lie in the memory that guard and host share, so that the guard
//! masks as well once the host is gone. Whoever writes for people or into a log that is kept passes it through here:
//! [`mask`] for texts of our own, [`Stream`] for output that comes in pieces. The values that a script holds are
//! never masked: only what is written is.
//!
//! A value is found as it is and in each form in which bgjobs writes one: as a shell's quotes, `to_debug` and JSON have it,
//! percent-encoded as in a URL or a form, in base64 as in a login, whatever stands before it; line by line when it has
//! several; and also when it is cut short, by `…` in our own texts, by the end of a line or of an output elsewhere.
//!
//! All of these are looked for in one pass, however many there are: an automaton (Aho and Corasick, 1975) that at each
//! byte knows the longest end of what came that a form begins with. That much is held back, and no more.

use crate::sys::vault;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

const MASKED: &[u8] = b"***";
/// In characters. What is shorter occurs everywhere: masking it would tell it, and garble the rest.
pub const SHORTEST: usize = 4;
/// In bytes, all together.
pub const MOST: usize = vault::SIZE;

/// There is no room for another one.
pub struct Full;

/// From now on this value is masked. One that has nothing to hide is left as it is.
///
/// # Errors
/// When all together are longer than [`MOST`].
pub fn register(value: &str) -> Result<(), Full> {
    let Some(vault) = vault::secrets() else { return Ok(()) };
    let _one_at_a_time = MASK.lock().unwrap_or_else(PoisonError::into_inner);
    let known = vault.entries().iter().any(|secret| secret == value.as_bytes());
    if known || vault.add(value.as_bytes()) { Ok(()) } else { Err(Full) }
}

/// All of them that are texts, for another process.
pub fn all() -> Vec<String> {
    let all = vault::secrets().map(|vault| vault.entries()).unwrap_or_default();
    all.into_iter().filter_map(|bytes| String::from_utf8(bytes).ok()).collect()
}

/// JSON with the secrets in its strings masked, at every depth.
pub fn mask_all(value: Value) -> Value {
    match value {
        Value::String(text) => mask(&text).into_owned().into(),
        Value::Array(list) => list.into_iter().map(mask_all).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, mask_all(value))).collect(),
        other => other,
    }
}

/// Whether there is nothing to be masked so far.
pub fn are_none() -> bool {
    vault::secrets().is_none_or(|vault| vault.used() == 0)
}

/// A text of ours, masked.
pub fn mask(text: &str) -> Cow<'_, str> {
    match current() {
        None => text.into(),
        Some(mask) => {
            let hidden = Stream::default().push(&mask, text.as_bytes(), End::Text);
            String::from_utf8_lossy(&hidden).into_owned().into()
        }
    }
}

/// Whether a secret is in this text.
pub fn inside(text: &str) -> bool {
    let mut stream = Stream::default();
    current().inspect(|mask| drop(stream.push(mask, text.as_bytes(), End::Text)));
    stream.hit
}

/// Masks what comes in pieces. What may be the beginning of a secret is held back until more has come.
#[derive(Default)]
pub struct Stream {
    held: Vec<u8>,
    /// So many of the first bytes of these are the end of what is masked.
    covered: usize,
    /// The last byte that was shown was the last of a mask, to which more may belong.
    masking: bool,
    /// Something was masked.
    pub hit: bool,
}

impl Stream {
    /// What can be shown now.
    pub fn pass<B: AsRef<[u8]> + From<Vec<u8>>>(&mut self, bytes: B) -> B {
        match current() {
            None => bytes,
            Some(mask) => self.push(&mask, bytes.as_ref(), End::Piece).into(),
        }
    }

    /// What was held back, since nothing more will come.
    pub fn rest(&mut self) -> Vec<u8> {
        match current().filter(|_| !self.held.is_empty()) {
            None => std::mem::take(&mut self.held),
            Some(mask) => self.push(&mask, &[], End::Stream),
        }
    }

    /// How much is held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn push(&mut self, mask: &Mask, bytes: &[u8], end: End) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.held);
        buffer.extend_from_slice(bytes);
        let mut found = Stretches(vec![(0, self.covered)]);
        let state = mask.find(&buffer, end, &mut found);
        let upto = if end == End::Piece { buffer.len() - mask.nodes[state].depth } else { buffer.len() };
        let mut shown = Vec::with_capacity(upto);
        let mut at = 0;
        // One that begins in what is held back will be found again, but for the rest of one that began before.
        let carried = std::mem::take(&mut self.covered) > 0;
        for (from, to) in found.0.into_iter().filter(|(from, to)| from < to) {
            if from < upto {
                self.masking &= from == at;
                shown.extend_from_slice(&buffer[at..from]);
                if !self.masking {
                    shown.extend_from_slice(MASKED);
                }
                (self.masking, self.hit) = (true, true);
                at = to.min(upto);
            }
            if from < upto || carried && from == 0 {
                self.covered = to.saturating_sub(upto);
            }
        }
        self.masking &= at == upto;
        shown.extend_from_slice(&buffer[at..upto]);
        self.held = buffer.split_off(upto);
        shown
    }
}

/// What is masked, in order and apart from each other.
struct Stretches(Vec<(usize, usize)>);

impl Stretches {
    /// One that ends behind all others.
    fn add(&mut self, mut from: usize, to: usize) {
        while let Some((start, _)) = self.0.pop_if(|(_, end)| *end >= from) {
            from = from.min(start);
        }
        self.0.push((from, to));
    }
}

/// The mask of what has been registered so far; none when that is nothing.
fn current() -> Option<Arc<Mask>> {
    let vault = vault::secrets()?;
    let used = vault.used();
    if used == 0 {
        return None;
    }
    let mut known = MASK.lock().unwrap_or_else(PoisonError::into_inner);
    match &*known {
        Some((before, mask)) if *before == used => Some(Arc::clone(mask)),
        _ => {
            let mask = Arc::new(Mask::new(&vault.entries()));
            *known = Some((used, Arc::clone(&mask)));
            Some(mask)
        }
    }
}

/// And of how much of the vault it was made.
static MASK: Mutex<Option<(usize, Arc<Mask>)>> = Mutex::new(None);

/// What follows the bytes at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Perhaps more.
    Piece,
    Stream,
    /// A text of ours, in which `…` says that something was cut.
    Text,
}

/// All that is looked for, as a tree of its bytes.
struct Mask {
    nodes: Vec<Node>,
    /// Which bytes a form begins with.
    first: [bool; 256],
}

/// The beginning of a form.
#[derive(Default)]
struct Node {
    next: Vec<(u8, usize)>,
    /// The longest proper end of it that is the beginning of a form, too.
    fall_back: usize,
    /// How long it is.
    depth: usize,
    /// How long the longest end of it is that is a form.
    whole: usize,
    /// How long the shortest form is that begins so.
    shortest: usize,
}

impl Mask {
    fn new(secrets: &[Vec<u8>]) -> Self {
        let mut mask = Self { nodes: vec![Node::default()], first: [false; 256] };
        for secret in secrets {
            let text = String::from_utf8_lossy(secret);
            let lines = text.lines().map(str::trim).filter(|line| line.chars().count() >= SHORTEST);
            for form in std::iter::once(&*text).chain(lines).flat_map(written) {
                mask.insert(&form);
            }
        }
        mask.link();
        mask
    }

    fn insert(&mut self, form: &[u8]) {
        let mut at = 0;
        for (i, byte) in form.iter().enumerate() {
            self.first[usize::from(*byte)] |= i == 0;
            at = self.child(at, *byte).unwrap_or_else(|| {
                let new = self.nodes.len();
                self.nodes[at].next.push((*byte, new));
                self.nodes.push(Node { depth: i + 1, shortest: form.len(), ..Node::default() });
                new
            });
            self.nodes[at].shortest = self.nodes[at].shortest.min(form.len());
        }
        self.nodes[at].whole = form.len();
    }

    /// Tells each node where to go on when no form goes on as the text does, the shorter ones first.
    fn link(&mut self) {
        let mut queue = std::collections::VecDeque::from([0]);
        while let Some(node) = queue.pop_front() {
            for (byte, child) in self.nodes[node].next.clone() {
                let fall_back = if node == 0 { 0 } else { self.step(self.nodes[node].fall_back, byte) };
                self.nodes[child].fall_back = fall_back;
                if self.nodes[child].whole == 0 {
                    self.nodes[child].whole = self.nodes[fall_back].whole;
                }
                queue.push_back(child);
            }
        }
    }

    fn child(&self, node: usize, byte: u8) -> Option<usize> {
        self.nodes[node].next.iter().find(|(other, _)| *other == byte).map(|(_, child)| *child)
    }

    /// The longest beginning of a form that what came ends with, one byte later.
    fn step(&self, mut node: usize, byte: u8) -> usize {
        loop {
            match self.child(node, byte) {
                Some(child) => return child,
                None if node == 0 => return 0,
                None => node = self.nodes[node].fall_back,
            }
        }
    }

    /// Finds all that is to be masked; with which beginning of a form the text ends.
    fn find(&self, bytes: &[u8], end: End, found: &mut Stretches) -> usize {
        let (mut node, mut at) = (0, 0);
        while at < bytes.len() {
            if node == 0 {
                match bytes[at..].iter().position(|byte| self.first[usize::from(*byte)]) {
                    Some(skipped) => at += skipped,
                    None => break,
                }
            } else if matches!(bytes[at], b'\n' | b'\r') {
                self.find_cut(node, at, false, found);
            } else if end == End::Text && bytes[at..].starts_with("…".as_bytes()) {
                self.find_cut(node, at, true, found);
            }
            node = self.step(node, bytes[at]);
            at += 1;
            let whole = self.nodes[node].whole;
            if whole > 0 {
                found.add(at - whole, at);
            }
        }
        if end != End::Piece {
            self.find_cut(node, bytes.len(), false, found);
        }
        node
    }

    /// Masks the beginning of a form that what comes before `at` ends with, if it tells enough of it, or is known to have
    /// been `cut`.
    fn find_cut(&self, mut node: usize, at: usize, cut: bool, found: &mut Stretches) {
        while node != 0 {
            let Node { depth, shortest, fall_back, .. } = self.nodes[node];
            if depth >= 12 || depth >= 6 && depth * 4 >= shortest * 3 || cut && depth >= SHORTEST {
                return found.add(at - depth, at);
            }
            node = fall_back;
        }
    }
}

/// A text as it is, and as shell, script, JSON, URLs and logins write it, and as it stands in our own texts.
fn written(text: &str) -> Vec<Vec<u8>> {
    let debug = format!("{text:?}");
    let json = |text: &str| {
        let quoted = Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let visible = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    let percent = |plain: &str, blank: &str| {
        let mut encoded = String::new();
        for byte in text.bytes() {
            match char::from(byte) {
                ' ' => encoded.push_str(blank),
                c if c.is_ascii_alphanumeric() || plain.contains(c) => encoded.push(c),
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
        encoded
    };
    let mut forms = vec![
        text.to_owned(),
        text.replace('\'', r"'\''"),
        debug[1..debug.len() - 1].to_owned(),
        json(text),
        // A JSON body in the record of a mock.
        json(&json(text)),
        text.chars().map(visible).collect(),
        // In a path or a query, in a form, and as JavaScript's encodeURIComponent does it.
        percent("!#$%&'()*+,-./:;=?@[]_~", "%20"),
        percent("-._*", "+"),
        percent("-._~!*'()", "%20"),
    ];
    forms.extend((0..3).map(|before| base64(text.as_bytes(), before)));
    forms.retain(|form| form.chars().count() >= SHORTEST || form == text);
    forms.into_iter().map(String::into_bytes).collect()
}

/// What of its base64 is the same whatever follows it, and whichever so many bytes (of three) come before it.
fn base64(bytes: &[u8], before: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let all: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
    let digit = |i: usize| {
        let (byte, bit) = (i * 6 / 8, i * 6 % 8);
        let two = u16::from_be_bytes([all[byte], all.get(byte + 1).copied().unwrap_or(0)]);
        char::from(DIGITS[usize::from(two >> (10 - bit) & 63)])
    };
    ((before * 8).div_ceil(6)..all.len() * 8 / 6).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_of(secrets: &[&str]) -> Mask {
        Mask::new(&secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    fn hidden(secrets: &[&str], text: &str) -> String {
        let shown = Stream::default().push(&mask_of(secrets), text.as_bytes(), End::Text);
        String::from_utf8(shown).expect("text")
    }

    #[test]
    fn a_secret_is_masked_however_it_is_written() {
        let secret = "pa\"ss'w\\ord\u{1b}";
        let json = Value::from(secret).to_string();
        let shell = format!("'{}'", secret.replace('\'', r"'\''"));
        for text in [secret, &json, &shell, &format!("{secret:?}"), "pa\"ss'w\\ord\u{fffd}"] {
            let shown = hidden(&[secret], &format!("<{text}>"));
            assert!(shown.contains("***") && !shown.contains("ss"), "{text}: {shown}");
        }
    }

    #[test]
    fn a_secret_is_masked_as_urls_and_logins_write_it() {
        let secret = "pä ss/w+rd?";
        for text in ["p%C3%A4%20ss/w+rd?", "p%C3%A4+ss%2Fw%2Brd%3F", "p%C3%A4%20ss%2Fw%2Brd%3F"] {
            assert_eq!(hidden(&[secret], &format!("/x?a={text}&b=1")), "/x?a=***&b=1");
        }
        // base64 of `u:`, `us:` and `use:` before `hunter2-hunter2`
        for (login, before) in [
            ("dTpodW50ZXIyLWh1bnRlcjI=", "dT"),
            ("dXM6aHVudGVyMi1odW50ZXIy", "dXM6"),
            ("dXNlOmh1bnRlcjItaHVudGVyMg==", "dXNlO"),
        ] {
            let shown = hidden(&["hunter2-hunter2"], login);
            assert!(
                shown.starts_with(before) && shown.contains("***") && shown.len() < before.len() + 8,
                "{shown}"
            );
        }
    }

    #[test]
    fn secrets_that_overlap_are_masked_as_one() {
        assert_eq!(hidden(&["abcd", "abcdef", "cdefgh"], "abcdefgh abcdx"), "*** ***x");
        assert_eq!(hidden(&["yyyy"], &"y".repeat(1000)), "***");
        assert_eq!(hidden(&["abcdefgh", "cdef"], "abcdefg cdefg"), "ab***g ***g");
    }

    #[test]
    fn many_secrets_with_a_common_beginning_take_no_longer_than_one() {
        let secrets: Vec<String> = (0..40).map(|i| format!("{}{i}", "a".repeat(1000))).collect();
        let mask = mask_of(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
        let text = "a".repeat(1 << 20);
        let mut stream = Stream::default();
        let mut shown = stream.push(&mask, text.as_bytes(), End::Piece).len();
        // All but what may be the beginning of one; compared one by one this would be 40 billion comparisons.
        assert_eq!(shown, text.len() - 1000);
        shown += stream.push(&mask, b"x", End::Stream).len();
        assert_eq!(shown, text.len() + 1);
    }

    #[test]
    fn any_text_is_masked_as_if_each_form_were_looked_for_alone() {
        crate::fuzz::for_a_while("secret", |random| {
            let mut word = |most: usize| -> String {
                (0..random.below(most) + 4).map(|_| random.pick(&["a", "b", "-"])).collect()
            };
            let secrets = [word(4), word(6), word(3)];
            let text = word(60);
            let mut covered = vec![false; text.len()];
            for secret in &secrets {
                for at in 0..text.len() {
                    if text[at..].starts_with(secret.as_str()) {
                        covered[at..at + secret.len()].fill(true);
                    }
                }
            }
            let mut expected = String::new();
            for (at, c) in text.chars().enumerate() {
                match covered[at] {
                    true if at > 0 && covered[at - 1] => {}
                    true => expected.push_str("***"),
                    false => expected.push(c),
                }
            }
            let mask = mask_of(&secrets.each_ref().map(String::as_str));
            let mut stream = Stream::default();
            let mut shown = Vec::new();
            for piece in text.as_bytes().chunks(random.below(7) + 1) {
                shown.extend(stream.push(&mask, piece, End::Piece));
            }
            shown.extend(stream.push(&mask, b".", End::Piece));
            assert_eq!(String::from_utf8_lossy(&shown), expected + ".", "{secrets:?} in {text:?}");
        });
    }

    #[test]
    fn every_line_of_a_secret_is_masked_and_so_is_what_was_cut_short() {
        let key = "-----BEGIN-----\nMIIEpAIB\n}\n";
        assert_eq!(hidden(&[key], "  | MIIEpAIB"), "  | ***");
        assert_eq!(hidden(&["s3cret\n"], "Bearer s3cret."), "Bearer ***.");
        assert_eq!(hidden(&["0123456789"], "key 012345… and 012 01234"), "key ***… and 012 01234");
        let key = "a-secret-of-34-characters-at-least";
        for text in ["a-secret-of-34-characters-at-lea", "a-secret-of-34-ch"] {
            assert_eq!(hidden(&[key], text), "***");
            assert_eq!(hidden(&[key], &format!("{text}\nnext")), "***\nnext");
            assert_eq!(hidden(&[key], &format!("{text}, or not")), format!("{text}, or not"));
        }
    }

    #[test]
    fn pieces_of_any_length_are_masked_alike() {
        let mask = mask_of(&["hunter2", "hunter2000", "été-secret"]);
        let text = "a hunter2 b hunter2000 c hunte hunter200 été-secret été-secre hunter".as_bytes();
        let expected = "a *** b *** c hunte ***00 *** été-secre ***";
        for size in 1..text.len() {
            let mut stream = Stream::default();
            let mut shown = Vec::new();
            for piece in text.chunks(size) {
                shown.extend(stream.push(&mask, piece, End::Piece));
            }
            shown.extend(stream.push(&mask, &[], End::Stream));
            assert_eq!(String::from_utf8_lossy(&shown), expected, "pieces of {size}");
        }
    }
}
