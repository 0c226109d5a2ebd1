//! Errors that point into a file that a script reads, as errors of scripts point into scripts: the place of a
//! line, or of a key of YAML or JSON.
//!
//! Values come from `read_yaml` and the like, which keep no places; here the text is read a second time, only once
//! something is wrong with it.

use crate::event::Place;
use crate::host::run::files;
use crate::host::run::runtime::rt;
use crate::host::value;
use crate::host::value::describe::{function, options};
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, Origin, ScriptError};
use crate::words;
use granit_parser::{Event, Parser, Span, StrInput};
use rhai::{Array, Dynamic, NativeCallContext};

pub const FUNCTIONS: &[Entry] = &[FAIL_AT];

options! {
    /// What is said about a mistake in a file.
    struct Pointing {
        /// The words that would be right: the one nearest to `word` is proposed.
        known: Option<Array>;
        /// The wrong word, which is also what is underlined in a line.
        word: Option<String>, default "the last key of `place`";
        /// Points to the value of the last key, not to the key.
        value: bool = false;
        /// What is said besides.
        note: Option<String>;
        /// What to write instead.
        hint: Option<String>, also help;
    }
}

function! {
    /// Fails with a `usage` error that points into a file, as the errors of a script point into the script: for
    /// what is wrong in a file that a script or module reads.
    ///
    /// `place` is the number of a line, from 1, or an array of the keys and indexes that lead to a value of a YAML,
    /// JSON or TOML file. When the last of them are not there, it points to the last one that is; `()` points to no line.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/limits.json";
    /// write_file(file, "{\"limits\":\n  {\"memory\": \"lots\"}}");
    /// let wrong = attempt(|| fail_at(file, ["limits", "memory"], "`lots` is not a size"));
    /// assert_eq(wrong.error.line, 2);
    /// ```
    ///
    /// ```rhai
    /// let file = temp_dir() + "/limits.conf";
    /// write_file(file, "# limits\nmemroy 64\n");
    /// let wrong = attempt(|| fail_at(file, 2, "unknown limit `memroy`", #{word: "memroy", known: ["memory"]}));
    /// assert_eq(wrong.error.message, "unknown limit `memroy`; did you mean `memory`?");
    /// ```
    FAIL_AT = "fail_at" -> (), throws usage {
        (path: String, place: Dynamic, msg: String; Pointing) => fail_at;
    }
}

/// A place in a text: line and column from 1, and how many characters are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    line: usize,
    column: usize,
    width: usize,
}

fn fail_at(_: &NativeCallContext, path: String, place: Dynamic, msg: String, opts: Pointing) -> Fallible<()> {
    rt().checkpoint()?;
    let text = files::read("fail_at", &path)?;
    let keys = place.read_lock::<Array>().map(|keys| keys.clone());
    let word = opts.word.or_else(|| Some(keys.as_ref()?.last()?.to_string()));
    let spot = match (&keys, place.as_int()) {
        (Some(keys), _) => {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            Some(of_key(&text, &keys, opts.value))
        }
        (None, Ok(line)) => Some(of_word(&text, usize::try_from(line).unwrap_or(0), word.as_deref())),
        (None, Err(_)) if place.is_unit() => None,
        (None, Err(_)) => {
            let wrong = format!("fail_at: {} is not a place", value::show(&place));
            return Err(ScriptError::usage(wrong)
                .note("a place is the number of a line, or an array of keys and indexes")
                .into());
        }
    };
    let mut error = ScriptError::usage(msg);
    if let Some(known) = opts.known {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let names = || known.iter().map(String::as_str);
        match word.and_then(|word| words::nearest(&word, names())) {
            Some(near) => error.message.push_str(&format!("; did you mean `{near}`?")),
            None => error = error.note(format!("known: {}", known.join(", "))),
        }
    }
    if let Some(note) = opts.note {
        error = error.note(note);
    }
    if let Some(hint) = opts.hint {
        error = error.hint(hint);
    }
    error = error.fact("path", path.clone());
    if let Some(Spot { line, column, width }) = spot {
        error = error.fact("line", i64::try_from(line).unwrap_or(i64::MAX));
        let text = text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let place = Place { file: path, line, column, width, text };
        error.origin = Some(Box::new(Origin { place: Some(place), trail: Vec::new() }));
    }
    Err(error.into())
}

/// A word of a line; without one that is in it, the whole line. There is always a first line.
fn of_word(text: &str, line: usize, word: Option<&str>) -> Spot {
    let line = line.max(1);
    let whole = text.lines().nth(line - 1).unwrap_or_default();
    let start = word.filter(|word| !word.is_empty()).and_then(|word| Some((whole.find(word)?, word)));
    let (start, word) = start.unwrap_or((whole.len() - whole.trim_start().len(), whole.trim()));
    Spot { line, column: whole[..start].chars().count() + 1, width: word.chars().count().max(1) }
}

/// The key, index or value that a path leads to, as far as it is there.
fn of_key(text: &str, path: &[String], value: bool) -> Spot {
    let mut walk = Walk { events: Parser::new_from_str(text), value, depth: 0, found: None };
    // Whatever comes after a mistake in the syntax is not looked at.
    while walk.found.is_none() {
        let Some((event, _)) = walk.next() else { break };
        if walk.node(&event, Some(path)).is_none() {
            break;
        }
    }
    let Some(span) = walk.found else { return of_words(text, path) };
    let width = if span.start.line() == span.end.line() { span.end.col() - span.start.col() } else { 1 };
    Spot { line: span.start.line(), column: span.start.col() + 1, width: width.max(1) }
}

/// The last key that is found when each is looked for from the line of the one before: in TOML they stand in headings
/// and before `=`.
fn of_words(text: &str, path: &[String]) -> Spot {
    let lines: Vec<&str> = text.lines().collect();
    let (mut from, mut last) = (0, None);
    for key in path.iter().take_while(|key| key.parse::<usize>().is_err()) {
        let Some(further) = lines[from..].iter().position(|line| line.contains(key.as_str())) else { break };
        from += further;
        last = Some(key.as_str());
    }
    of_word(text, from + 1, last)
}

/// As deep as the values that are read.
const DEEPEST: usize = 128;

struct Walk<'a> {
    events: Parser<'a, StrInput<'a>>,
    value: bool,
    depth: usize,
    found: Option<Span>,
}

impl<'a> Walk<'a> {
    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        loop {
            let (event, span) = self.events.next()?.ok()?;
            if !matches!(event, Event::Comment(..) | Event::Anchor(..)) {
                return Some((event, span));
            }
        }
    }

    /// Reads one node to its end. `path` leads from it to what is looked for, if that is in it; none at the end of
    /// what can be read.
    fn node(&mut self, event: &Event<'a>, path: Option<&[String]>) -> Option<()> {
        self.depth += 1;
        match (event, self.depth < DEEPEST) {
            (_, false) => return None,
            (Event::MappingStart(..), _) => loop {
                let (key, key_span) = self.next()?;
                let name = match &key {
                    Event::MappingEnd => break,
                    Event::Scalar(name, ..) => name.to_string(),
                    // A key that is a list or a map: nobody asks for it.
                    other => {
                        self.node(other, None)?;
                        String::new()
                    }
                };
                self.item(&name, key_span, path)?;
            },
            (Event::SequenceStart(..), _) => {
                for index in 0.. {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    let inside = self.enter(&index.to_string(), span, path);
                    self.node(&event, inside)?;
                }
            }
            _ => {}
        }
        self.depth -= 1;
        Some(())
    }

    fn item(&mut self, name: &str, key: Span, path: Option<&[String]>) -> Option<()> {
        let (event, span) = self.next()?;
        let last = path.is_some_and(|path| path.len() == 1);
        let inside = self.enter(name, if self.value && last { span } else { key }, path);
        self.node(&event, inside)
    }

    /// The rest of the path inside of an item, if it leads there; then this is where it leads so far.
    fn enter<'p>(&mut self, name: &str, span: Span, path: Option<&'p [String]>) -> Option<&'p [String]> {
        let (first, rest) = path?.split_first()?;
        if first != name {
            return None;
        }
        self.found = Some(span);
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
# services
services:
  web:
    command: serve
    ports: [8080, soon]
    \"depends_on\": {db: {condition: healthy}}
  \u{fc}ber: {command: x}
";

    fn key(path: &[&str], value: bool) -> (usize, usize, usize) {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        let Spot { line, column, width } = of_key(YAML, &path, value);
        (line, column, width)
    }

    #[test]
    fn a_path_of_keys_leads_to_a_key_or_its_value() {
        assert_eq!(key(&["services", "web", "command"], false), (4, 5, 7));
        assert_eq!(key(&["services", "web", "command"], true), (4, 14, 5));
        assert_eq!(key(&["services", "web", "ports", "1"], false), (5, 19, 4));
        assert_eq!(key(&["services", "web", "depends_on", "db", "condition"], true), (6, 36, 7));
        assert_eq!(key(&["services", "\u{fc}ber", "command"], true), (7, 19, 1));
    }

    #[test]
    fn a_path_that_ends_early_leads_as_far_as_it_can() {
        assert_eq!(key(&["services", "web", "image"], true), (3, 3, 3));
        assert_eq!(key(&["services", "nobody", "image"], false), (2, 1, 8));
        assert_eq!(key(&["version"], false), (1, 1, 10));
        assert_eq!(of_key("", &["a".to_owned()], false), Spot { line: 1, column: 1, width: 1 });
        assert_eq!(of_key("a: [b: {", &["a".to_owned()], false), Spot { line: 1, column: 1, width: 1 });
        let deep = "[".repeat(100_000);
        assert_eq!(of_key(&deep, &["0".to_owned()], false).line, 1);
    }

    #[test]
    fn json_is_read_as_well() {
        let text = "{\n\t\"a\": {\"b\": [1,\n\t\t\"\u{e4}\", 3]}\n}";
        let path = ["a", "b", "2"].map(str::to_owned);
        assert_eq!(of_key(text, &path, false), Spot { line: 3, column: 8, width: 1 });
    }

    #[test]
    fn in_toml_keys_are_found_as_words() {
        let text = "[services.db]\ncommand = \"db\"\n\n[services.web]\nports = [1]\ncommand = 5\n";
        let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let spot = of_key(text, &path(&["services", "web", "command"]), false);
        assert_eq!(spot, Spot { line: 6, column: 1, width: 7 });
        assert_eq!(of_key(text, &path(&["services", "web", "image"]), true).line, 4);
    }

    #[test]
    fn a_word_of_a_line() {
        let spot = |line, word| {
            let Spot { line, column, width } = of_word("one\n  two three  \n", line, word);
            (line, column, width)
        };
        assert_eq!(spot(2, Some("three")), (2, 7, 5));
        assert_eq!(spot(2, Some("four")), (2, 3, 9));
        assert_eq!(spot(2, None), (2, 3, 9));
        assert_eq!(spot(9, None), (9, 1, 1));
        assert_eq!(spot(0, Some("one")), (1, 1, 3));
    }
}
