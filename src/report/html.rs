//! A page that shows what was recorded, in one file, for a browser. Loads nothing from elsewhere.

use super::views::model::{Outcome, Recorded};
use std::fmt::Write;

/// The page.
pub fn html(recorded: &Recorded) -> String {
    let mut rows = String::new();
    for script in recorded.runs.iter().flat_map(|run| &run.scripts) {
        let how = match script.last().map(|last| last.outcome) {
            Some(Outcome::Passed) => "passed",
            Some(Outcome::Failed) => "failed",
            Some(Outcome::Stopped) => "stopped",
            Some(Outcome::Unfinished) => "without an end",
            None => "not run",
        };
        let _ = writeln!(rows, "<tr><td>{how}</td><td>{}</td></tr>", escaped(&script.name));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>bgjobs</title>\n<table>\n{rows}</table>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
