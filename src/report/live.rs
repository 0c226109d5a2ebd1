//! The logs of jobs while they grow: each line behind the name of its job, all names as wide as the widest, each in a
//! colour of its own where there are colours.

use super::style::Style;
use crate::jobs::text;
use crate::secret;
use crate::words::nearest;
use std::borrow::Cow;

/// Told apart well, also by most of those who see red and green alike; none that means good or bad.
const COLORS: [&str; 8] = ["36", "33", "35", "34", "96", "93", "95", "94"];
/// A longer name stands out.
const WIDEST: usize = 24;

pub struct Live {
    style: Style,
    /// They are what the run is for, and go to stdout.
    on_stdout: bool,
    /// Of one alone, without its name.
    bare: bool,
    names: Vec<String>,
    width: usize,
}

impl Live {
    pub fn new(style: Style, on_stdout: bool) -> Self {
        Self { style, on_stdout, bare: false, names: Vec::new(), width: 0 }
    }

    /// Of one job alone, whose name nobody needs to be told.
    pub fn bare(style: Style) -> Self {
        Self { bare: true, ..Self::new(style, true) }
    }

    pub fn on_stdout(&self) -> bool {
        self.on_stdout
    }

    /// These have a place of their own, whenever they print.
    pub fn expect(&mut self, names: &[String]) {
        for name in names {
            if !self.names.contains(name) {
                self.names.push(name.clone());
                self.width = self.width.max(name.chars().count().min(WIDEST));
            }
        }
    }

    /// Lines as they are shown. Orders to the terminal are left out but for colours, where these are shown; secrets are
    /// masked.
    pub fn lines(&mut self, job: &str, bytes: &[u8], missed: bool) -> Vec<u8> {
        self.expect(&[job.to_owned()]);
        let color = COLORS[self.names.iter().position(|name| name == job).unwrap_or(0) % COLORS.len()];
        let width = self.width;
        let prefix = match self.bare {
            true => String::new(),
            false => self.style.escaped(color, &format!("{job:width$} |")),
        };
        let before = if self.bare { String::new() } else { format!("{prefix} ") };
        let mut shown = String::with_capacity(bytes.len() + bytes.len() / 4);
        // A line with its newline.
        let mut add = |line: &str| {
            shown.push_str(if line.len() > 1 { &before } else { &prefix });
            shown.push_str(line);
        };
        if missed {
            add("… what came here was dropped before it was read (max_log) …\n");
        }
        // Of much that is nothing but text each line is looked at once.
        if let Some(text) = text::plain(bytes) {
            let mut from = 0;
            for end in memchr::memchr_iter(b'\n', text.as_bytes()) {
                add(&text[from..=end]);
                from = end + 1;
            }
            // The last one may have none.
            if from < text.len() || from == 0 {
                add(&format!("{}\n", &text[from..]));
            }
        } else {
            for line in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n') {
                let line = if self.style.has_color() { text::colored_line(line) } else { text::line(line) };
                add(&format!("{line}\n"));
            }
        }
        let masked = match secret::mask(&shown) {
            Cow::Owned(masked) => Some(masked),
            Cow::Borrowed(_) => None,
        };
        masked.unwrap_or(shown).into_bytes()
    }
}

/// `--follow=apii: no job of this run has that name; did you mean `api`?`
pub fn unknown_job(option: &str, name: &str, jobs: &[String]) -> String {
    const MOST: usize = 10;
    let known: Vec<&str> = jobs.iter().map(String::as_str).collect();
    let instead = match (nearest(name, known.iter().copied()), &known[..]) {
        (Some(near), _) => format!("; did you mean `{near}`?"),
        (None, []) => "; none was started".to_owned(),
        (None, known) if known.len() > MOST => format!("; there are {} and more", known[..MOST].join(", ")),
        (None, known) => format!("; there are {}", known.join(", ")),
    };
    format!("{option}={name}: no job of this run has that name{instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(live: &mut Live, job: &str, bytes: &[u8]) -> String {
        String::from_utf8(live.lines(job, bytes, false)).expect("text")
    }

    #[test]
    fn names_are_as_wide_as_the_widest_that_is_expected() {
        let mut live = Live::new(Style::never(), true);
        live.expect(&["db".to_owned(), "worker".to_owned()]);
        assert_eq!(shown(&mut live, "db", b"one\n\ntwo"), "db     | one\ndb     |\ndb     | two\n");
        assert_eq!(
            shown(&mut live, "db", b"10 %\r20 %\r\n\x1b[31mred\x1b[0m\x1b[2J\n"),
            "db     | 20 %\ndb     | red\n"
        );
        let long = "x".repeat(30);
        assert_eq!(shown(&mut live, &long, b"a\n"), format!("{long} | a\n"));
        assert_eq!(shown(&mut live, "db", b"b\n"), format!("db{} | b\n", " ".repeat(22)));
        assert_eq!(shown(&mut Live::bare(Style::never()), "db", b"a\n\nb\n"), "a\n\nb\n");
    }

    #[test]
    fn each_has_a_colour_and_keeps_those_of_its_own() {
        let mut live = Live::new(Style::colored(), false);
        assert_eq!(shown(&mut live, "a", b"x\n"), "\x1b[36ma |\x1b[0m x\n");
        assert_eq!(shown(&mut live, "b", b"\x1b[31mred\x1b[K\n"), "\x1b[33mb |\x1b[0m \x1b[31mred\x1b[0m\n");
    }
}
