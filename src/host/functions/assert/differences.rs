//! Where two values differ, and where two long texts do.

use crate::host::functions::assert::equal::{equal, text_of};
use crate::host::functions::assert::failure::failed;
use crate::host::functions::assert::show::{SHOWN, cut, member, shown};
use crate::host::value;
use crate::host::value::error::ScriptError;
use rhai::{Array, Dynamic, Map, NativeCallContext};

/// Where two values differ. `name`: what the message calls the first.
pub(super) fn differences(
    ctx: &NativeCallContext,
    name: &str,
    actual: &Dynamic,
    expected: &Dynamic,
    msg: Option<&Dynamic>,
) -> ScriptError {
    let mut found = Differences::default();
    found.compare(ctx, name, actual, expected);
    match found.lines.as_slice() {
        [only] if found.count == 1 => failed(msg, only),
        lines => {
            let what = format!("`{name}` differs from what was expected in {} places", found.count);
            let mut error = lines.iter().fold(failed(msg, &what), |error, line| error.note(line));
            if found.count > lines.len() {
                error = error.note(format!("… and {} more", found.count - lines.len()));
            }
            error
        }
    }
}

/// Where two values differ, one line a place, the first few of them.
#[derive(Default)]
struct Differences {
    lines: Vec<String>,
    count: usize,
}

impl Differences {
    const MOST: usize = 8;

    fn add(&mut self, line: impl FnOnce() -> String) {
        self.count += 1;
        if self.lines.len() < Self::MOST {
            self.lines.push(line());
        }
    }

    fn compare(&mut self, ctx: &NativeCallContext, path: &str, actual: &Dynamic, expected: &Dynamic) {
        if equal(ctx, actual, expected) {
            return;
        }
        if let (Some(a), Some(e)) = (actual.read_lock::<Array>(), expected.read_lock::<Array>()) {
            if a.len() != e.len() && a.len().max(e.len()) <= 10 {
                return self.add(|| format!("`{path}` is {}, expected {}", shown(actual), shown(expected)));
            }
            if a.len() != e.len() {
                self.add(|| format!("`{path}` has {} items, expected {}", a.len(), e.len()));
            }
            for (index, (a, e)) in a.iter().zip(e.iter()).enumerate() {
                self.compare(ctx, &format!("{path}[{index}]"), a, e);
            }
            return;
        }
        if let (Some(a), Some(e)) = (actual.read_lock::<Map>(), expected.read_lock::<Map>()) {
            for (key, value) in a.iter() {
                let path = member(path, key);
                match e.get(key) {
                    Some(expected) => self.compare(ctx, &path, value, expected),
                    None => self.add(|| format!("`{path}` is {}, expected no such key", shown(value))),
                }
            }
            for (key, value) in e.iter().filter(|(key, _)| !a.contains_key(*key)) {
                self.add(|| format!("`{}` is missing, expected {}", member(path, key), shown(value)));
            }
            return;
        }
        self.add(|| leaf(path, actual, expected));
    }
}

/// Two values that cannot be taken apart any further.
fn leaf(path: &str, actual: &Dynamic, expected: &Dynamic) -> String {
    if let (Some(a), Some(e)) = (text_of(actual), text_of(expected))
        && a.chars().count().max(e.chars().count()) > SHOWN
    {
        let same = a.chars().zip(e.chars()).take_while(|(a, e)| a == e).count();
        return format!(
            "`{path}` ({} characters) differs from what was expected ({}) at character {}: {}, expected {}",
            a.chars().count(),
            e.chars().count(),
            same + 1,
            window(&a, same),
            window(&e, same)
        );
    }
    let (a, e) = (shown(actual), shown(expected));
    // `"3"` and `3` look alike, and so do two handles.
    if actual.type_id() != expected.type_id() && !actual.is_unit() && !expected.is_unit() {
        let (a_type, e_type) = (value::type_name(actual), value::type_name(expected));
        return format!("`{path}` is {a} ({a_type}), expected {e} ({e_type})");
    }
    if a == e {
        return format!("`{path}` is {a}, expected another {e}");
    }
    format!("`{path}` is {a}, expected {e}")
}

/// The neighbourhood of one character of a long text.
fn window(text: &str, at: usize) -> String {
    let start = at.saturating_sub(20);
    let part: String = text.chars().skip(start).take(60).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if text.chars().count() > start + 60 { "…" } else { "" };
    format!("{before}{part:?}{after}")
}

/// The lines that differ, as `-` expected and `+` actual, and the number of the first. Equal lines at both ends
/// are left out.
pub(super) fn line_diff(actual: &str, expected: &str) -> (usize, Vec<String>) {
    const MOST: usize = 8;
    let lines = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let (a, e) = (lines(actual), lines(expected));
    let start = a.iter().zip(&e).take_while(|(a, e)| a == e).count();
    let end = a[start..].iter().rev().zip(e[start..].iter().rev()).take_while(|(a, e)| a == e).count();
    let (a, e) = (&a[start..a.len() - end], &e[start..e.len() - end]);
    let mut diff = Vec::new();
    for (sign, lines) in [('-', e), ('+', a)] {
        diff.extend(lines.iter().take(MOST).map(|line| format!("{sign} {}", cut(line, 2 * SHOWN))));
        if lines.len() > MOST {
            diff.push(format!("{sign} … {} more lines", lines.len() - MOST));
        }
    }
    (start + 1, diff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_differ_are_shown_without_their_equal_neighbours() {
        let (line, diff) = line_diff("a\nb\nX\nd", "a\nb\nc\nd");
        assert_eq!((line, diff), (3, vec!["- c".to_owned(), "+ X".to_owned()]));
        let (line, diff) = line_diff("a\nb", "a\nb\nc");
        assert_eq!((line, diff), (3, vec!["- c".to_owned()]));
    }
}
