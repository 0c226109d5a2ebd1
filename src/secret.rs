//! Values that must not be shown, and how they are masked.
//!
//! The script registers them (`secret(…)`); they lie in the memory that guard and host share, so that the guard
//! masks as well once the host is gone. Whoever writes for people or into a log that is kept passes it through here:
//! [`mask`] for texts of our own, [`Stream`] for output that comes in pieces. The values that a script holds are
//! never masked: only what is written is.
//!
//! A value is found as it is, as a shell's quotes, `to_debug` and JSON write it, line by line when it has several,
//! and also when our own text cuts it short with `…`. Other encodings (base64, percent) are not looked for.

use crate::sys::vault;
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
    let Some(vault) = vault::get() else { return Ok(()) };
    let _one_at_a_time = MASK.lock().unwrap_or_else(PoisonError::into_inner);
    let known = vault.secrets().iter().any(|secret| secret == value.as_bytes());
    if known || vault.add(value.as_bytes()) { Ok(()) } else { Err(Full) }
}

/// A text of ours, masked.
pub fn mask(text: &str) -> Cow<'_, str> {
    match current() {
        None => text.into(),
        Some(mask) => {
            let mut hidden = Vec::new();
            mask.hide(text.as_bytes(), End::Text, &mut hidden);
            String::from_utf8_lossy(&hidden).into_owned().into()
        }
    }
}

/// Whether a secret is in this text.
pub fn inside(text: &str) -> bool {
    current().is_some_and(|mask| mask.hide(text.as_bytes(), End::Text, &mut Vec::new()).hit)
}

/// Masks what comes in pieces. What may be the beginning of a secret is held back until more has come.
#[derive(Default)]
pub struct Stream {
    held: Vec<u8>,
    /// Something was masked.
    pub hit: bool,
}

impl Stream {
    /// What can be shown now.
    pub fn pass(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        match current() {
            None => bytes,
            Some(mask) => self.push(&mask, &bytes, End::Piece),
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
        let mut shown = Vec::with_capacity(buffer.len());
        let Hidden { upto, hit } = mask.hide(&buffer, end, &mut shown);
        self.held = buffer.split_off(upto);
        self.hit |= hit;
        shown
    }
}

/// The mask of what has been registered so far; none when that is nothing.
fn current() -> Option<Arc<Mask>> {
    let vault = vault::get()?;
    let used = vault.used();
    if used == 0 {
        return None;
    }
    let mut known = MASK.lock().unwrap_or_else(PoisonError::into_inner);
    match &*known {
        Some((before, mask)) if *before == used => Some(Arc::clone(mask)),
        _ => {
            let mask = Arc::new(Mask::new(&vault.secrets()));
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

struct Hidden {
    /// So many bytes have been dealt with; the rest may be the beginning of a secret.
    upto: usize,
    hit: bool,
}

struct Mask {
    /// All that is looked for, the longest first.
    forms: Vec<Vec<u8>>,
    /// Which bytes a form begins with.
    first: [bool; 256],
}

impl Mask {
    fn new(secrets: &[Vec<u8>]) -> Self {
        let mut forms: Vec<Vec<u8>> = Vec::new();
        for secret in secrets {
            let text = String::from_utf8_lossy(secret);
            let lines = text.lines().map(str::trim).filter(|line| line.chars().count() >= SHORTEST);
            forms.extend(std::iter::once(&*text).chain(lines).flat_map(written));
        }
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        let mut first = [false; 256];
        for form in &forms {
            first[usize::from(form[0])] = true;
        }
        Self { forms, first }
    }

    fn hide(&self, bytes: &[u8], end: End, into: &mut Vec<u8>) -> Hidden {
        let (mut at, mut hit) = (0, false);
        while at < bytes.len() {
            let rest = &bytes[at..];
            if !self.first[usize::from(rest[0])] {
                into.push(rest[0]);
                at += 1;
                continue;
            }
            // A longer one may be about to come: which it is, the next piece tells.
            if end == End::Piece
                && self.forms.iter().any(|form| form.len() > rest.len() && form.starts_with(rest))
            {
                return Hidden { upto: at, hit };
            }
            let whole = self.forms.iter().find(|form| rest.starts_with(form)).map(Vec::len);
            match whole.or_else(|| self.cut(rest).filter(|_| end == End::Text)) {
                Some(length) => {
                    into.extend_from_slice(MASKED);
                    at += length;
                    hit = true;
                }
                None => {
                    into.push(rest[0]);
                    at += 1;
                }
            }
        }
        Hidden { upto: at, hit }
    }

    /// The length of the beginning of a secret that is followed by `…`.
    fn cut(&self, rest: &[u8]) -> Option<usize> {
        let common = |form: &Vec<u8>| form.iter().zip(rest).take_while(|(a, b)| a == b).count();
        let lengths = self.forms.iter().map(common);
        lengths.filter(|&length| length >= SHORTEST && rest[length..].starts_with("…".as_bytes())).max()
    }
}

/// A text as it is, and as shell, script and JSON write it, and as it stands in our own texts.
fn written(text: &str) -> Vec<Vec<u8>> {
    let debug = format!("{text:?}");
    let json = serde_json::Value::from(text).to_string();
    let visible = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    [
        text.to_owned(),
        text.replace('\'', r"'\''"),
        debug[1..debug.len() - 1].to_owned(),
        json[1..json.len() - 1].to_owned(),
        text.chars().map(visible).collect(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_of(secrets: &[&str]) -> Mask {
        Mask::new(&secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    fn hidden(secrets: &[&str], text: &str) -> String {
        let mut shown = Vec::new();
        mask_of(secrets).hide(text.as_bytes(), End::Text, &mut shown);
        String::from_utf8(shown).expect("text")
    }

    #[test]
    fn a_secret_is_masked_however_it_is_written() {
        let secret = "pa\"ss'w\\ord\u{1b}";
        let json = serde_json::Value::from(secret).to_string();
        let shell = format!("'{}'", secret.replace('\'', r"'\''"));
        for text in [secret, &json, &shell, &format!("{secret:?}"), "pa\"ss'w\\ord\u{fffd}"] {
            let shown = hidden(&[secret], &format!("<{text}>"));
            assert!(shown.contains("***") && !shown.contains("ss"), "{text}: {shown}");
        }
    }

    #[test]
    fn the_longest_secret_wins() {
        assert_eq!(hidden(&["abcd", "abcdef", "cdefgh"], "abcdefgh abcdx"), "***gh ***x");
    }

    #[test]
    fn every_line_of_a_secret_is_masked_and_so_is_what_was_cut_short() {
        let key = "-----BEGIN-----\nMIIEpAIB\n}\n";
        assert_eq!(hidden(&[key], "  | MIIEpAIB"), "  | ***");
        assert_eq!(hidden(&["s3cret\n"], "Bearer s3cret."), "Bearer ***.");
        assert_eq!(hidden(&["0123456789"], "key 012345… and 012 01234"), "key ***… and 012 01234");
    }

    #[test]
    fn pieces_of_any_length_are_masked_alike() {
        let mask = mask_of(&["hunter2", "hunter2000", "été-secret"]);
        let text = "a hunter2 b hunter2000 c hunte hunter200 été-secret été-secre hunter".as_bytes();
        let expected = "a *** b *** c hunte ***00 *** été-secre hunter";
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
