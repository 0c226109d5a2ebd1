//! Values and texts as messages show them: as a script would write them, cut short.

use crate::host::functions::assert::equal::text_of;
use crate::host::value::handle::Job;
use crate::host::value::{self, path};
use rhai::{Array, Dynamic, FnPtr, Map};

/// How many characters of a value a message shows.
pub(super) const SHOWN: usize = 120;

pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most).chain(['…']).collect()
}

/// A text in quotes, cut short.
pub(super) fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(SHOWN).collect();
    if start.len() == text.len() {
        return format!("{text:?}");
    }
    format!("{start:?}… ({} characters)", text.chars().count())
}

/// A value as a script would write it, cut short.
pub(super) fn shown(value: &Dynamic) -> String {
    let mut text = String::new();
    write(&mut text, value);
    cut(&text, SHOWN)
}

/// Stops writing when there is more than will be shown.
fn write(text: &mut String, value: &Dynamic) {
    if text.len() > 4 * SHOWN {
        return;
    }
    if let Some(string) = text_of(value) {
        text.push_str(&excerpt(&string));
    } else if let Some(items) = value.read_lock::<Array>() {
        text.push('[');
        for (index, item) in items.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            write(text, item);
            if text.len() > 4 * SHOWN {
                return;
            }
        }
        text.push(']');
    } else if let Some(map) = value.read_lock::<Map>() {
        text.push_str("#{");
        for (index, (key, item)) in map.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            text.push_str(member("", key).trim_start_matches('.'));
            text.push_str(": ");
            write(text, item);
            if text.len() > 4 * SHOWN {
                return;
            }
        }
        text.push('}');
    } else if let Some(job) = value.read_lock::<Job>() {
        text.push_str(&format!("job `{}`", job.0.spec.name));
    } else if value.is::<FnPtr>() {
        text.push_str("a closure");
    } else if value.is_unit() {
        text.push_str("()");
    } else {
        let debug = format!("{value:?}");
        // Handles of other namespaces have no text of their own here: Rust's would be noise.
        text.push_str(if debug.contains("::") { value::type_name(value) } else { &debug });
    }
}

pub(super) fn member(root: &str, key: &str) -> String {
    if path::is_word(key) { format!("{root}.{key}") } else { format!("{root}[{key:?}]") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_a_script_writes_them() {
        let map = Map::from([("a b".into(), Dynamic::UNIT), ("c".into(), "x\"y".into())]);
        assert_eq!(shown(&map.into()), r#"#{["a b"]: (), c: "x\"y"}"#);
        assert_eq!(shown(&Dynamic::from(1.0)), "1.0");
        let long = shown(&Dynamic::from_array(vec![Dynamic::from("x".repeat(1000)); 1000]));
        assert!(long.chars().count() <= SHOWN + 1, "{long}");
    }
}
