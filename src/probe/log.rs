//! Does a job's log have a line that matches?

use crate::jobs::log::{LogReader, News};
use regex::Regex;
use std::time::Duration;

/// How long the beginning of a line must stand still before what reaches its end counts: a program may print
/// one line in several writes.
const SETTLED: Duration = Duration::from_millis(100);

/// The groups of a match, the whole of it first.
pub type Captures = Vec<Option<String>>;

pub struct LogProbe {
    pub reader: LogReader,
    pattern: Regex,
    /// How many more lines must match.
    missing: usize,
    times: usize,
    /// A match that reaches to the end of an incomplete line, and since when.
    held: Option<(Captures, Duration)>,
}

/// What one attempt found.
pub enum Found {
    Match(Captures),
    Nothing,
    /// Nothing in this piece; there is more to read at once.
    More,
}

impl LogProbe {
    /// `times`: how many lines must match; the last of them counts.
    pub fn new(reader: LogReader, pattern: Regex, times: usize) -> Self {
        Self { reader, pattern, missing: times, times, held: None }
    }

    /// What was seen so far.
    pub fn missing(&self) -> String {
        match self.times - self.missing {
            0 => "no such line".to_owned(),
            1 => format!("1 such line of {}", self.times),
            found => format!("{found} such lines of {}", self.times),
        }
    }

    /// Whether something was found that only has to stand still.
    pub fn is_settling(&self) -> bool {
        self.held.is_some()
    }

    /// One attempt. `over`: nothing more will come, so that an incomplete line is all that there is.
    pub fn attempt(&mut self, over: bool, now: Duration) -> Found {
        let News { lines, partial, more } = self.reader.news();
        if !lines.is_empty() || partial.is_some() {
            self.held = None;
        }
        for found in lines.iter().filter_map(|line| captures(&self.pattern, line)) {
            self.missing -= 1;
            if self.missing == 0 {
                return Found::Match(found);
            }
        }
        // The beginning of a line is looked at again with the rest of it.
        if let Some(line) = &partial
            && self.missing == 1
            && let Some(found) = captures(&self.pattern, line)
        {
            let reaches_end = self.pattern.find(line).is_none_or(|whole| whole.end() == line.len());
            if !reaches_end {
                return Found::Match(found);
            }
            self.held = Some((found, now));
        }
        match &self.held {
            _ if more => Found::More,
            Some((found, since)) if over || now >= *since + SETTLED => Found::Match(found.clone()),
            _ => Found::Nothing,
        }
    }
}

fn captures(pattern: &Regex, line: &str) -> Option<Captures> {
    let found = pattern.captures(line)?;
    Some(found.iter().map(|group| group.map(|text| text.as_str().to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn whole(found: Found) -> Option<String> {
        match found {
            Found::Match(captures) => captures.into_iter().next().flatten(),
            Found::Nothing | Found::More => None,
        }
    }

    #[test]
    fn half_a_line_is_not_matched_before_it_stands_still() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        let at = Duration::from_millis;
        let pattern = Regex::new("url: (.*)").expect("a pattern");
        let mut probe = LogProbe::new(LogReader::from_offset(file.path(), 0), pattern, 1);
        file.write_all(b"url: ").expect("write");
        assert_eq!(whole(probe.attempt(false, at(0))), None);
        file.write_all(b"http://x").expect("write");
        assert_eq!(whole(probe.attempt(false, at(99))), None);
        assert_eq!(whole(probe.attempt(false, at(150))), None);
        assert_eq!(whole(probe.attempt(false, at(199))).as_deref(), Some("url: http://x"));
    }

    #[test]
    fn a_match_within_half_a_line_or_at_the_end_of_the_job_counts_at_once() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(b"password: ").expect("write");
        let pattern = Regex::new("password").expect("a pattern");
        let mut probe = LogProbe::new(LogReader::from_offset(file.path(), 0), pattern, 1);
        assert_eq!(whole(probe.attempt(false, Duration::ZERO)).as_deref(), Some("password"));
        let pattern = Regex::new("word: $").expect("a pattern");
        let mut probe = LogProbe::new(LogReader::from_offset(file.path(), 0), pattern, 1);
        assert_eq!(whole(probe.attempt(true, Duration::ZERO)).as_deref(), Some("word: "));
    }
}
