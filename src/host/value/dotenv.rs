//! What a `.env` file says: names and values, in its own words or in those of the environment.
//!
//! The tools that read such files differ in what they take. This takes what docker compose and the dotenv libraries
//! agree on, and refuses the rest with its place, for a password must not silently become another one. (The crate
//! `dotenvy` takes `$DB_USER` for `$DB` and `_USER`, looks into the environment of the process, and knows no lines.)

use std::collections::BTreeMap;

/// A line that means nothing, or more than one thing. Lines and columns count from 1.
#[derive(Debug)]
pub struct Wrong {
    pub line: usize,
    pub column: usize,
    pub reason: String,
    pub hint: Option<String>,
}

/// The variables of a file, with the values that they have from now on: that of the `environment`, where it has the
/// name and `file_wins` is false. With `keep_unset`, `$NAME` stays as it is where nothing has that name.
///
/// # Errors
/// The first line that is wrong.
pub fn read(
    text: &str,
    file_wins: bool,
    keep_unset: bool,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        Reader { text, at: 0, variables: BTreeMap::new(), keep_unset, environment: &environment };
    while let Some((name, value)) = reader.entry()? {
        let existing = if file_wins { None } else { environment(&name) };
        reader.variables.insert(name, existing.unwrap_or(value));
    }
    Ok(reader.variables)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    variables: BTreeMap<String, String>,
    keep_unset: bool,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Takes the characters up to the first that is not `wanted`.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let taken: String = self.rest().chars().take_while(|c| wanted(*c)).collect();
        self.at += taken.len();
        taken
    }

    fn skip_blanks(&mut self) {
        let _ = self.take(|c| c == ' ' || c == '\t');
    }

    fn wrong(&self, at: usize, reason: impl Into<String>) -> Wrong {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Wrong {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            reason: reason.into(),
            hint: None,
        }
    }

    /// The next name and value; none at the end.
    fn entry(&mut self) -> Result<Option<(String, String)>, Wrong> {
        loop {
            let _ = self.take(char::is_whitespace);
            match self.peek() {
                None => return Ok(None),
                Some('#') => drop(self.take(|c| c != '\n')),
                Some(_) => break,
            }
        }
        let mut name = self.name()?;
        self.skip_blanks();
        if name == "export" && self.peek() != Some('=') {
            name = self.name()?;
            self.skip_blanks();
        }
        if self.peek() != Some('=') {
            let wrong = self.wrong(self.at, format!("no `=` after `{name}`"));
            return Err(Wrong { hint: Some(format!("{name}=value")), ..wrong });
        }
        let _ = self.next();
        self.skip_blanks();
        let value = match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote, &name)?,
            _ => self.plain()?,
        };
        Ok(Some((name, value)))
    }

    fn name(&mut self) -> Result<String, Wrong> {
        if !self.peek().is_some_and(is_name_start) {
            let found =
                self.peek().filter(|c| !c.is_control()).map_or_else(String::new, |c| format!(", not `{c}`"));
            return Err(self.wrong(self.at, format!("a line begins with the name of a variable{found}")));
        }
        Ok(self.take(|c| is_name_start(c) || c.is_ascii_digit() || c == '.' || c == '-'))
    }

    /// Up to the end of the line, or a comment.
    fn plain(&mut self) -> Result<String, Wrong> {
        let mut value = String::new();
        while let Some(c) = self.peek().filter(|c| *c != '\n') {
            match c {
                '#' if value.is_empty() || value.ends_with([' ', '\t']) => {
                    let _ = self.take(|c| c != '\n');
                }
                '$' => value += &self.variable()?,
                '\\' if self.rest().starts_with("\\$") => {
                    self.at += 2;
                    value.push('$');
                }
                '\0' => return Err(self.wrong(self.at, "a NUL byte")),
                _ => {
                    value.push(c);
                    let _ = self.next();
                }
            }
        }
        value.truncate(value.trim_end().len());
        Ok(value)
    }

    /// Up to the other quote, over several lines if need be; only a comment may follow.
    fn quoted(&mut self, quote: char, name: &str) -> Result<String, Wrong> {
        let start = self.at;
        let _ = self.next();
        let mut value = String::new();
        loop {
            match self.peek() {
                None => {
                    let reason = format!("the quote of the value of `{name}` is never closed");
                    return Err(self.wrong(start, reason));
                }
                Some('\0') => return Err(self.wrong(self.at, "a NUL byte")),
                Some(c) if c == quote => break,
                Some('$') if quote == '"' => value += &self.variable()?,
                Some('\\') if quote == '"' => {
                    let _ = self.next();
                    match self.next() {
                        Some('n') => value.push('\n'),
                        Some('r') => value.push('\r'),
                        Some('t') => value.push('\t'),
                        Some(c @ ('"' | '\\' | '$')) => value.push(c),
                        Some(c) => value.extend(['\\', c]),
                        None => value.push('\\'),
                    }
                }
                Some(c) => {
                    value.push(c);
                    let _ = self.next();
                }
            }
        }
        let _ = self.next();
        let blanks = self.take(|c| c == ' ' || c == '\t' || c == '\r');
        match self.peek() {
            None | Some('\n') => {}
            Some('#') if !blanks.is_empty() => drop(self.take(|c| c != '\n')),
            Some(_) => {
                let reason = format!("the value of `{name}` goes on after its closing quote");
                return Err(self.wrong(self.at, reason));
            }
        }
        Ok(value)
    }

    /// What `$NAME`, `${NAME}` or `${NAME:-default}` stands for; another `$` is one.
    fn variable(&mut self) -> Result<String, Wrong> {
        let start = self.at;
        let _ = self.next();
        let braces = self.peek() == Some('{');
        if braces {
            let _ = self.next();
        } else if !self.peek().is_some_and(is_name_start) {
            return Ok("$".to_owned());
        }
        let name = self.take(|c| is_name_start(c) || c.is_ascii_digit());
        let value = match self.variables.get(&name) {
            Some(value) => Some(value.clone()),
            None => (self.environment)(&name),
        };
        let mut default = None;
        if braces {
            let operator = if self.rest().starts_with(":-") { ":-" } else { "-" };
            if self.rest().starts_with(operator) {
                self.at += operator.len();
                default = Some((self.take(|c| c != '}' && c != '\n'), operator == ":-"));
            }
            if name.is_empty() || self.peek() != Some('}') {
                let wrong = self.wrong(start, "`${` begins neither `${NAME}` nor `${NAME:-default}`");
                return Err(Wrong {
                    hint: Some("'…' around the value if it is meant literally".into()),
                    ..wrong
                });
            }
            let _ = self.next();
        }
        match (value, default) {
            (Some(value), Some((default, true))) if value.is_empty() => Ok(default),
            (Some(value), _) => Ok(value),
            (None, Some((default, _))) => Ok(default),
            (None, None) if self.keep_unset => Ok(self.text[start..self.at].to_owned()),
            (None, None) => {
                let wrong = self.wrong(start, format!("the variable `{name}` is not set"));
                let hint =
                    format!("'…' around the value if `$` is meant literally; otherwise ${{{name}:-default}}");
                Err(Wrong { hint: Some(hint), ..wrong })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root".to_owned())
    }

    fn value(line: &str) -> String {
        let read = read(&format!("A={line}\n"), false, false, environment);
        read.unwrap_or_else(|wrong| panic!("{line}: {wrong:?}")).remove("A").expect("A")
    }

    #[test]
    fn values_are_read_as_other_tools_read_them() {
        for (line, wanted) in [
            ("", ""),
            ("x y ", "x y"),
            ("x # comment", "x"),
            ("x#y", "x#y"),
            ("# only a comment", ""),
            ("a=b=c", "a=b=c"),
            (r"C:\new", r"C:\new"),
            (r"\$5", "$5"),
            ("5$ and $5", "5$ and $5"),
            ("$HOME/x", "/root/x"),
            ("${HOME}_x", "/root_x"),
            ("${NO:-a b}", "a b"),
            ("${NO-}", ""),
            ("'$HOME # x'", "$HOME # x"),
            ("'a\nb'", "a\nb"),
            (r#""a\n\t\"\\\$\x" # y"#, "a\n\t\"\\$\\x"),
            ("\"$HOME\"", "/root"),
            (" x\r", "x"),
            ("\"x\"\r", "x"),
            ("é", "é"),
        ] {
            assert_eq!(value(line), wanted, "{line}");
        }
    }

    #[test]
    fn the_environment_wins_unless_told_otherwise() {
        let text = "\u{feff}export HOME = /x\nexport=1\nA.b-c=$HOME\n";
        let all = read(text, false, false, environment).expect("read");
        assert_eq!(
            (all["HOME"].as_str(), all["A.b-c"].as_str(), all["export"].as_str()),
            ("/root", "/root", "1")
        );
        assert_eq!(read(text, true, false, environment).expect("read")["A.b-c"], "/x");
    }

    #[test]
    fn what_is_not_set_can_stay_as_it_is() {
        let text = "A=pa$word\nB=\"${word} $A\"\nC=${word:-none}\n";
        let all = read(text, false, true, environment).expect("read");
        assert_eq!((&*all["A"], &*all["B"], &*all["C"]), ("pa$word", "${word} pa$word", "none"));
    }

    #[test]
    fn a_mistake_has_line_and_column() {
        for (text, line, column) in [
            ("A=1\n  2=3", 2, 3),
            ("A=1\nB: 2", 2, 2),
            ("A", 1, 2),
            ("A=1\nB=\"é\n", 2, 3),
            ("A='x'y", 1, 6),
            ("A=x\nB=é$NO", 2, 4),
            ("A=${", 1, 3),
            ("A=${a b}", 1, 3),
            ("A=${HOME", 1, 3),
        ] {
            let wrong = read(text, false, false, environment).expect_err(text);
            assert_eq!((wrong.line, wrong.column), (line, column), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let seeds = ["export A='x' # c\nB=\"$A${HOME:-d}\\n\"\n", "A=${B-\\$}\r\n"];
        crate::fuzz::for_a_while("dotenv", |random| {
            let mut bytes = random.pick(&seeds).as_bytes().to_vec();
            random.mutate(&mut bytes);
            let _ = read(&String::from_utf8_lossy(&bytes), false, random.below(2) == 0, environment);
        });
    }
}
