//! Where a line, or a key of YAML, JSON or TOML, stands in a text.
//!
//! Values of such files keep no places; here the text is read a second time, only once something is wrong with it.

use crate::event::Place;
use granit_parser::{Event, Parser, Span, StrInput};

/// A place in a text: line and column from 1, and how many characters are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

impl Spot {
    /// As errors show it.
    pub fn of(self, file: String, text: &str) -> Place {
        let Self { line, column, width } = self;
        Place { file, line, column, width, text: text.lines().nth(line - 1).unwrap_or_default().to_owned() }
    }
}

/// A word of a line; without one that is in it, the whole line. There is always a first line.
pub fn of_word(text: &str, line: usize, word: Option<&str>) -> Spot {
    let line = line.max(1);
    let whole = text.lines().nth(line - 1).unwrap_or_default();
    let start = word.filter(|word| !word.is_empty()).and_then(|word| Some((whole.find(word)?, word)));
    let (start, word) = start.unwrap_or((whole.len() - whole.trim_start().len(), whole.trim()));
    Spot { line, column: whole[..start].chars().count() + 1, width: word.chars().count().max(1) }
}

/// The key, index or value that a path leads to, as far as it is there.
pub fn of_key(text: &str, path: &[String], value: bool) -> Spot {
    let mut walk = Walk { events: Parser::new_from_str(text), value, depth: 0, found: None, is_whole: false };
    // Whatever comes after a mistake in the syntax is not looked at.
    while walk.found.is_none() {
        let Some((event, _)) = walk.next() else { break };
        if walk.node(&event, Some(path)).is_none() {
            break;
        }
    }
    let Some(span) = walk.found else { return of_words(text, path) };
    of_span(span)
}

fn of_span(span: Span) -> Spot {
    let width = if span.start.line() == span.end.line() { span.end.col() - span.start.col() } else { 1 };
    Spot { line: span.start.line(), column: span.start.col() + 1, width: width.max(1) }
}

/// The value that a path leads to, if it is there.
pub fn of_value(text: &str, path: &[String]) -> Option<Spot> {
    let (key, section) = path.split_last()?;
    let mut walk =
        Walk { events: Parser::new_from_str(text), value: true, depth: 0, found: None, is_whole: false };
    while let Some((event, _)) = walk.next() {
        if walk.node(&event, Some(path)).is_none() {
            break;
        }
    }
    if walk.found.is_none() {
        // A TOML file: below the heading, up to the next.
        let heading = of_words(text, section).line;
        let below = || text.lines().enumerate().skip(heading).take_while(|(_, line)| !line.starts_with('['));
        let has = |line: &str| {
            line.strip_prefix(key.as_str()).is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let (at, line) = below().find(|(_, line)| has(line))?;
        return Some(of_word(text, at + 1, line.split_once('=').map(|(_, value)| value.trim())));
    }
    walk.found.filter(|_| walk.is_whole).map(of_span)
}

/// Where a variable stands, from a line on: `$NAME` or `${NAME…`.
pub fn of_variable(text: &str, from: usize, name: &str) -> Option<Spot> {
    let ends = |rest: &str| !rest.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric());
    for (at, line) in text.lines().enumerate().skip(from.max(1) - 1) {
        for start in [format!("${name}"), format!("${{{name}")] {
            if let Some((column, _)) =
                line.match_indices(&start).find(|(at, _)| ends(&line[at + start.len()..]))
            {
                let column = line[..column].chars().count() + 1;
                return Some(Spot { line: at + 1, column, width: start.chars().count() });
            }
        }
    }
    None
}

/// Where a key stands, from a line on.
pub fn of_key_from(text: &str, from: usize, key: &str) -> Option<Spot> {
    let is_word = |c: char| c == '_' || c == '-' || c.is_alphanumeric();
    let is_key = |before: &str, behind: &str| {
        let behind = behind.trim_start_matches(['"', '\'']).trim_start();
        !before.ends_with(is_word) && behind.starts_with([':', '='])
    };
    text.lines().enumerate().skip(from.max(1) - 1).find_map(|(at, line)| {
        let found = line.match_indices(key);
        let mut found = found.filter(|(start, _)| is_key(&line[..*start], &line[start + key.len()..]));
        let column = line[..found.next()?.0].chars().count() + 1;
        Some(Spot { line: at + 1, column, width: key.chars().count() })
    })
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
    /// The path has been followed to its end.
    is_whole: bool,
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
        self.is_whole = rest.is_empty();
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
    fn a_value_is_found_only_where_it_is() {
        let place = |text: &str, path: &[&str]| {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            of_value(text, &path).map(|Spot { line, column, width }| (line, column, width))
        };
        assert_eq!(place(YAML, &["services", "web", "command"]), Some((4, 14, 5)));
        assert_eq!(place(YAML, &["services", "web", "cmd"]), None);
        let toml =
            "[services.db]\ncommand = \"db\"\n[services.web]\ncwd = \"x\"\n[services.api]\ncommand = 1\n";
        assert_eq!(place(toml, &["services", "db", "command"]), Some((2, 11, 4)));
        assert_eq!(place(toml, &["services", "web", "cwd"]), Some((4, 7, 3)));
        assert_eq!(place(toml, &["services", "web", "command"]), None);
    }

    #[test]
    fn a_variable_is_not_a_longer_one() {
        let spot = |from, name| of_variable("a: $API_PORTS\nb: x${API_PORT:-1}\n", from, name);
        assert_eq!(spot(1, "API_PORT"), Some(Spot { line: 2, column: 5, width: 10 }));
        assert_eq!(spot(2, "API_PORTS"), None);
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
