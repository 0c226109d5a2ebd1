//! A path into JSON: `users[0].name`, `["content-type"]`, `[-1]`.

use rhai::{Array, Dynamic, Map};

pub const FORM: &str =
    "a path is keys and indexes: \"users[0].name\", \"headers[\\\"content-type\\\"]\", \"[-1]\"";

#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Key(String),
    /// From the end when it is negative.
    Index(i64),
}

/// Where a path stopped leading anywhere.
pub struct Lost {
    /// The path to the value where it ended; empty for the whole.
    pub so_far: String,
    /// The first part that is not there.
    pub wanted: String,
    pub at: Dynamic,
}

/// The steps of a path; none for an empty one, which is the whole.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text.trim();
    // As `jq` writes it.
    rest = rest.strip_prefix('$').unwrap_or(rest);
    let mut first = true;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            rest = match inside.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inside = &inside[1..];
                    let end = inside.find(quote).ok_or("a quote is not closed")?;
                    steps.push(Step::Key(inside[..end].to_owned()));
                    inside[end + 1..].strip_prefix(']').ok_or("a `]` is missing")?
                }
                _ => {
                    let end = inside.find(']').ok_or("a `]` is missing")?;
                    let index = inside[..end].trim();
                    let number = index.parse().map_err(|_| format!("`{index}` is not an index"))?;
                    steps.push(Step::Index(number));
                    &inside[end + 1..]
                }
            };
        } else {
            let word = match rest.strip_prefix('.') {
                Some(word) => word,
                None if first => rest,
                None => return Err("after `]` comes `.` or `[`".to_owned()),
            };
            let end = word.find(['.', '[']).unwrap_or(word.len());
            if end == 0 {
                return Err("a key is missing".to_owned());
            }
            steps.push(Step::Key(word[..end].to_owned()));
            rest = &word[end..];
        }
        first = false;
    }
    Ok(steps)
}

/// The value that a path leads to.
pub fn follow(root: &Dynamic, steps: &[Step]) -> Result<Dynamic, Box<Lost>> {
    let mut value = root.flatten_clone();
    let mut so_far = String::new();
    for step in steps {
        let wanted = match step {
            Step::Key(key) if is_word(key) && so_far.is_empty() => key.clone(),
            Step::Key(key) if is_word(key) => format!("{so_far}.{key}"),
            Step::Key(key) => format!("{so_far}[{key:?}]"),
            Step::Index(index) => format!("{so_far}[{index}]"),
        };
        let next = match step {
            Step::Key(key) => {
                value.read_lock::<Map>().and_then(|map| map.get(key.as_str()).map(Dynamic::flatten_clone))
            }
            Step::Index(index) => value.read_lock::<Array>().and_then(|items| item(&items, *index)),
        };
        let Some(next) = next else {
            return Err(Box::new(Lost { so_far, wanted, at: value }));
        };
        (value, so_far) = (next, wanted);
    }
    Ok(value)
}

fn item(items: &Array, index: i64) -> Option<Dynamic> {
    let len = i64::try_from(items.len()).ok()?;
    let at = if index < 0 { len + index } else { index };
    items.get(usize::try_from(at).ok()?).map(Dynamic::flatten_clone)
}

/// Whether a key can stand in a path without quotes.
pub fn is_word(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_keys_and_indexes() {
        let key = |key: &str| Step::Key(key.to_owned());
        assert_eq!(parse("users[0].name"), Ok(vec![key("users"), Step::Index(0), key("name")]));
        assert_eq!(parse("[-1][\"a.b\"].c-d"), Ok(vec![Step::Index(-1), key("a.b"), key("c-d")]));
        assert_eq!(parse("$.a"), Ok(vec![key("a")]));
        assert_eq!(parse(".a"), Ok(vec![key("a")]));
        assert_eq!(parse(""), Ok(vec![]));
        for wrong in ["a..b", "a[", "a[x]", "a[\"b]", "a]b[0", "[0]a", "a."] {
            let parsed = parse(wrong);
            assert!(parsed.is_err() || wrong == "a]b[0", "{wrong}: {parsed:?}");
        }
    }
}
