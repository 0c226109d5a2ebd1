//! Does a job's log have a line that matches?

use crate::jobs::output::LogReader;
use regex::Regex;

/// One attempt: reads what is new; the captures of the first line that matches.
pub fn matching(reader: &mut LogReader, pattern: &Regex) -> Option<Vec<Option<String>>> {
    reader.new_lines().iter().find_map(|line| captures(pattern, line))
}

fn captures(pattern: &Regex, line: &str) -> Option<Vec<Option<String>>> {
    let found = pattern.captures(line)?;
    Some(found.iter().map(|group| group.map(|text| text.as_str().to_owned())).collect())
}
