//! The words and brackets of a text that may not parse, past its strings and comments.

use rhai::Position;

/// Behind the last character of code before a place.
pub(super) fn end_before(source: &str, position: Position) -> Option<Position> {
    let line = position.line()?;
    let lines: Vec<&str> = source.lines().take(line - 1).collect();
    for (index, text) in lines.iter().enumerate().rev() {
        let code = text.split("//").next().unwrap_or_default();
        // `//` in a string is not a comment.
        let code = if code.matches('"').count() % 2 == 1 { text } else { code };
        let code = code.trim_end();
        if !code.trim().is_empty() {
            let column = code.chars().count() + 1;
            return Some(Position::new(u16::try_from(index + 1).ok()?, u16::try_from(column).ok()?));
        }
    }
    None
}

/// Where a variable, a constant or a loop variable is declared.
#[derive(Debug)]
pub(super) struct Declaration {
    pub name: String,
    pub line: usize,
    /// How many blocks it is in.
    pub depth: usize,
    pub constant: bool,
}

/// The declarations of a text that may not parse.
pub(super) fn declarations(source: &str) -> Vec<Declaration> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut last = String::new();
    let _ = scan(source, |piece| match piece {
        Piece::Symbol('{', _) => depth += 1,
        Piece::Symbol('}', _) => depth = depth.saturating_sub(1),
        Piece::Symbol('(', _) => {}
        Piece::Symbol(..) => last.clear(),
        Piece::Word(word, (line, _)) => {
            if matches!(last.as_str(), "let" | "const" | "for") {
                found.push(Declaration { name: word.to_owned(), line, depth, constant: last == "const" });
            }
            word.clone_into(&mut last);
        }
    });
    found
}

/// The name of the function that a place is in.
pub(super) fn function_around(source: &str, position: Position) -> Option<String> {
    let place = (position.line()?, position.position().unwrap_or(1));
    let mut blocks: Vec<Option<String>> = Vec::new();
    let mut pending = None;
    let mut last = String::new();
    let mut passed = false;
    let _ = scan(source, |piece| {
        let at = match &piece {
            Piece::Word(_, at) | Piece::Symbol(_, at) => *at,
        };
        passed = passed || at >= place;
        if passed {
            return;
        }
        match piece {
            Piece::Word(word, _) => {
                if last == "fn" {
                    pending = Some(word.to_owned());
                }
                word.clone_into(&mut last);
            }
            Piece::Symbol('{', _) => blocks.push(pending.take()),
            Piece::Symbol('}', _) => drop(blocks.pop()),
            Piece::Symbol(..) => last.clear(),
        }
    });
    blocks.into_iter().flatten().next()
}

/// Where the comment begins that swallows the rest of a text.
pub(super) fn open_comment(source: &str) -> Option<(usize, usize)> {
    if source.contains("/*") { scan(source, |_| ()) } else { None }
}

/// The innermost opening bracket that nothing closes.
pub(super) fn unclosed(source: &str, closing: &str) -> Option<(u16, u16)> {
    let opening = match closing {
        "}" => '{',
        ")" => '(',
        _ => '[',
    };
    let mut open: Vec<(char, (usize, usize))> = Vec::new();
    let _ = scan(source, |piece| {
        if let Piece::Symbol(c, at) = piece {
            match c {
                '{' | '(' | '[' => open.push((c, at)),
                '}' | ')' | ']' => drop(open.pop()),
                _ => {}
            }
        }
    });
    let (line, column) = open.iter().rev().find(|(c, _)| *c == opening)?.1;
    Some((u16::try_from(line).ok()?, u16::try_from(column).ok()?))
}

enum Piece<'a> {
    Word(&'a str, (usize, usize)),
    Symbol(char, (usize, usize)),
}

/// Goes through the words and symbols of a text, past strings and comments. Rhai's own tokens are of no use
/// here: they end at the first error. Returns where a comment begins that has no end.
fn scan<'a>(source: &'a str, on: impl FnMut(Piece<'a>)) -> Option<(usize, usize)> {
    let mut scan = Scan { source, chars: source.char_indices().peekable(), line: 1, column: 0, on };
    // The braces that are open in each `${…}` around, the innermost last.
    let mut inside: Vec<usize> = Vec::new();
    while let Some((at, c, place)) = scan.step() {
        match c {
            '"' => scan.string('"', 0),
            '\'' => scan.string('\'', 0),
            '#' if scan.raw_string() => {}
            '`' => inside.extend(scan.text().then_some(0)),
            '/' if scan.next_is('/') => while scan.step().is_some_and(|(_, inner, _)| inner != '\n') {},
            '/' if scan.next_is('*') => {
                if !scan.comment() {
                    return Some(place);
                }
            }
            // The end of a `${…}`: the text around goes on.
            '}' if inside.last() == Some(&0) => {
                inside.pop();
                inside.extend(scan.text().then_some(0));
            }
            c if is_word(c) => scan.word(at, c, place),
            c if c.is_whitespace() => {}
            c => {
                if let (Some(open), '{' | '}') = (inside.last_mut(), c) {
                    *open = if c == '{' { *open + 1 } else { *open - 1 };
                }
                (scan.on)(Piece::Symbol(c, place));
            }
        }
    }
    None
}

struct Scan<'a, F> {
    source: &'a str,
    chars: std::iter::Peekable<std::str::CharIndices<'a>>,
    line: usize,
    column: usize,
    on: F,
}

impl<'a, F: FnMut(Piece<'a>)> Scan<'a, F> {
    fn step(&mut self) -> Option<(usize, char, (usize, usize))> {
        let (at, c) = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
            self.column = 0;
        } else {
            self.column += 1;
        }
        Some((at, c, (self.line, self.column)))
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.chars.peek().is_some_and(|(_, next)| *next == wanted)
    }

    fn word(&mut self, start: usize, first: char, place: (usize, usize)) {
        let mut end = start + first.len_utf8();
        while let Some((next, inner)) = self.chars.peek().copied().filter(|(_, inner)| is_word(*inner)) {
            end = next + inner.len_utf8();
            self.step();
        }
        (self.on)(Piece::Word(&self.source[start..end], place));
    }

    /// The rest of a string that ends with a quote and so many `#`; without any it ends with its line, too.
    fn string(&mut self, quote: char, hashes: usize) {
        while let Some((at, inner, _)) = self.step() {
            match inner {
                '\\' if hashes == 0 => drop(self.step()),
                '\n' if hashes == 0 => return,
                inner if inner == quote => {
                    let after = &self.source[at + 1..];
                    if after.bytes().take(hashes).filter(|byte| *byte == b'#').count() == hashes {
                        (0..hashes).for_each(|_| _ = self.step());
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// The rest of `#"…"#` or `##"…"##`, if it is one.
    fn raw_string(&mut self) -> bool {
        let rest = self.chars.peek().map_or("", |(at, _)| &self.source[*at..]);
        let more = rest.len() - rest.trim_start_matches('#').len();
        if !rest[more..].starts_with('"') {
            return false;
        }
        (0..=more).for_each(|_| _ = self.step());
        self.string('"', more + 1);
        true
    }

    /// The rest of a text in backticks. Whether it stops at a `${`.
    fn text(&mut self) -> bool {
        while let Some((_, inner, _)) = self.step() {
            match inner {
                '`' => return false,
                '\\' => drop(self.step()),
                '$' if self.next_is('{') => return self.step().is_some(),
                _ => {}
            }
        }
        false
    }

    /// The rest of a comment and those within it. Whether it has an end.
    fn comment(&mut self) -> bool {
        let mut open = 1;
        self.step();
        // As rhai has it: `/**/` is the beginning of a documentation comment.
        if self.next_is('*') {
            self.step();
        }
        while let Some((_, inner, _)) = self.step() {
            match inner {
                '*' if self.next_is('/') => open -= 1,
                '/' if self.next_is('*') => open += 1,
                _ => continue,
            }
            self.step();
            if open == 0 {
                return true;
            }
        }
        false
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found_past_strings_and_comments() {
        let source = "let a = \"let b = 1\"; // let c\nfn f() { const D = `let e`; }\nfor x in a { }\n";
        let found: Vec<(String, usize, usize)> =
            declarations(source).into_iter().map(|one| (one.name, one.line, one.depth)).collect();
        assert_eq!(found, [("a".into(), 1, 0), ("D".into(), 2, 1), ("x".into(), 3, 0)]);
    }

    #[test]
    fn an_open_comment_is_found_past_strings_and_closed_ones() {
        for (source, place) in [
            ("/* a /* b */\nlet x = 1;", (1, 1)),
            ("let a = \"/*\"; // /*\n'/'; /* x */ /** y", (2, 14)),
            ("let a = `/* ${ `/*` + #\"/* \" \"# } /*`;\n  /*/", (2, 3)),
            ("let a = `${ #{a: {}} /* } `;", (1, 22)),
            ("let c = '\"'; let d = '\\''; /*", (1, 28)),
            ("/***/ /**/ let x = 1;", (1, 7)),
        ] {
            assert_eq!(open_comment(source), Some(place), "{source}");
        }
        for source in
            ["/* /* */ */", "/***/", "let a = \"/*\";", "let a = `/*`;", "#\"/*\"#", "// /*", "`\\`/*`"]
        {
            assert_eq!(open_comment(source), None, "{source}");
        }
    }

    #[test]
    fn the_function_around_a_place_is_the_outer_one() {
        let source = "fn outer(a) {\n  if a { x }\n}\nlet y = || { x };\n";
        assert_eq!(function_around(source, Position::new(2, 10)).as_deref(), Some("outer"));
        assert_eq!(function_around(source, Position::new(4, 14)), None);
    }
}
