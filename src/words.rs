//! Words for people and for shells: the nearest of several, quoted, folded to the width of a terminal.

use crate::sys::tty;
use std::os::fd::AsFd;

/// The known name that is closest to a mistyped one, if any is close: one slip in three letters of the longer of the two
/// is. A name that is proposed because it shares a letter or two leads astray: `host` is not `port`, `js` is not `tls`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance * 3 <= name.chars().count().max(candidate.chars().count()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Quotes one word for the shell.
pub fn quote(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_.-/:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Whether a terminal would do something else than show it: control characters, line and paragraph separators, and
/// the characters with Unicode's property `Bidi_Control`.
pub fn is_order(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Words as one line for the shell.
pub fn command_line<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// How many columns a reader of stdout has: as COLUMNS says, or the terminal; none where it is a pipe or a file, which
/// gets each line whole.
pub fn columns() -> Option<usize> {
    const LEAST: usize = 20;
    let given = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok());
    let known = given.filter(|columns| *columns > 0).or_else(|| tty::columns(std::io::stdout().as_fd()));
    known.map(|columns: usize| columns.max(LEAST))
}

/// How many columns of a terminal a text takes.
pub fn width_of(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// What of a text takes at most this many columns; `…` where it was cut.
pub fn cut_to_width(text: &str, columns: usize) -> String {
    if width_of(text) <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut width = 1;
    for c in text.chars() {
        width += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if width > columns {
            break;
        }
        cut.push(c);
    }
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// With spaces behind it, up to this many columns.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{:1$}", "", width.saturating_sub(width_of(text)))
}

/// A text whose lines take at most this many columns. Paragraphs are filled anew; a line that is indented keeps its
/// indentation, and a command line in it stays one: it goes on behind a `\`.
pub fn folded(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let close = |paragraph: &mut Vec<&str>, lines: &mut Vec<String>| {
        if paragraph.iter().all(|line| width_of(line) <= width) {
            lines.extend(paragraph.drain(..).map(str::to_owned));
        } else {
            lines.extend(filled(paragraph.join(" ").split_whitespace(), width));
            paragraph.clear();
        }
    };
    for line in text.lines() {
        let indent = line.chars().take_while(|c| *c == ' ').count();
        if indent == 0 && !line.is_empty() {
            paragraph.push(line);
            continue;
        }
        close(&mut paragraph, &mut lines);
        if width_of(line) <= width {
            lines.push(line.to_owned());
        } else if line.trim_start().starts_with("bgjobs ") {
            lines.extend(folded_command(line, indent, width));
        } else {
            // What stands in a column of its own stays in it.
            let gap = line.trim_start().find("  ").map(|at| {
                let behind = &line.trim_start()[at..];
                indent + width_of(&line.trim_start()[..at]) + (behind.len() - behind.trim_start().len())
            });
            let column = gap.filter(|column| *column <= width / 2).unwrap_or(indent);
            let head: String = line.chars().take(column).collect();
            let rest: String = line.chars().skip(column).collect();
            let folded = filled(rest.split_whitespace(), width.saturating_sub(column).max(10));
            for (number, part) in folded.into_iter().enumerate() {
                let before = if number == 0 { head.clone() } else { " ".repeat(column) };
                lines.push(format!("{before}{part}"));
            }
        }
    }
    close(&mut paragraph, &mut lines);
    lines.into_iter().map(|line| line + "\n").collect()
}

/// A command line over several lines that a shell reads as one. A comment at its end goes before it.
fn folded_command(line: &str, indent: usize, width: usize) -> Vec<String> {
    let (command, comment) = line
        .trim()
        .split_once("  #")
        .map_or((line.trim(), None), |(command, comment)| (command, Some(comment)));
    let margin = " ".repeat(indent);
    let comment = comment.map(|comment| filled(comment.split_whitespace(), width.saturating_sub(indent + 2)));
    let mut lines: Vec<String> =
        comment.into_iter().flatten().map(|comment| format!("{margin}# {comment}")).collect();
    // Words with what is quoted in them.
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in command.chars() {
        match (quote, c) {
            (None, ' ') => {
                words.push(String::new());
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        if let Some(last) = words.last_mut() {
            last.push(c);
        }
    }
    let room = width.saturating_sub(indent + 6).max(10);
    let folded = filled(words.iter().map(String::as_str).filter(|word| !word.is_empty()), room);
    let last = folded.len().saturating_sub(1);
    for (number, part) in folded.into_iter().enumerate() {
        let more = if number == 0 { "" } else { "    " };
        let end = if number < last { " \\" } else { "" };
        lines.push(format!("{margin}{more}{part}{end}"));
    }
    lines
}

/// Words in lines of at most this many columns, longer words alone.
pub fn filled<'a>(words: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if width_of(line) + 1 + width_of(word) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A script was written, and what comes next.
pub fn written(script: &str) -> String {
    format!("wrote {script}\nnext: bgjobs script {}\n", quote(script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_only_one_that_is_near() {
        let known = ["timeout", "grace", "port"];
        assert_eq!(nearest("timeuot", known), Some("timeout"));
        assert_eq!(nearest("PORT", known), Some("port"));
        assert_eq!(nearest("xyzzy", known), None);
        assert_eq!(nearest("host", known), None);
        assert_eq!(nearest("js", ["tls", "args"]), None);
        assert_eq!(nearest("reload", ["ready", "name"]), None);
        assert_eq!(nearest("tls", ["TLS"]), Some("TLS"));
    }

    #[test]
    fn a_folded_text_keeps_its_shape() {
        let text = "One two three is more\nthan four five six seven.\n\n  0    all is well and done\n  bgjobs script a --cmd \"npm start now\" --url /\n";
        let folded = folded(text, 24);
        let expected = "One two three is more\nthan four five six\nseven.\n\n  0    all is well and\n       done\n  bgjobs script a \\\n      --cmd \\\n      \"npm start now\" \\\n      --url /\n";
        assert_eq!(folded, expected);
        assert_eq!(super::folded(text, 80), text);
    }

    #[test]
    fn a_command_line_survives_a_shell() {
        assert_eq!(
            command_line(["bgjobs", "-e", "print(\"a\")", "it's", ""]),
            r#"bgjobs -e 'print("a")' 'it'\''s' ''"#
        );
    }
}
