//! What `bgjobs test` says: a line for each script as it ends, what those have said that failed, the verdict.

use super::print::{print_error_unless, repeat_unless};
use super::said::said;
use super::style::Style;
use super::views::model::{Made, Recorded};
use super::words::{duration, seconds};
use crate::cli::Verbosity;
use crate::event::Failure;
use crate::exit;
use crate::jobs;
use crate::sys::fd;
use crate::sys::wait::ExitStatus;
use serde_json::json;
use std::fmt::Write;
use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

/// How a run of a script has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At this try; the first is 1.
    Passed {
        at: u32,
    },
    Failed,
    /// It is run again.
    Again {
        next: u32,
        of: u32,
    },
    /// It was stopped, as all were.
    Stopped,
    /// It has come to its end, but has none of the tests that were asked for.
    Unselected,
}

/// `exit 1`, `killed by SIGKILL`.
pub fn described(status: ExitStatus) -> String {
    jobs::describe(status)
}

/// How many scripts have ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The flaky ones included.
    pub passed: usize,
    pub flaky: usize,
    pub failed: usize,
    pub stopped: usize,
    pub not_run: usize,
    /// Those that have none of the tests that were asked for.
    pub skipped: usize,
    /// Those with a test that has the option `only`.
    pub only: usize,
    /// The `_setup.rhai`s that have failed, which are no scripts here.
    pub setups: usize,
}

/// Who says it, on stderr.
pub struct Teller<'a> {
    pub style: Style,
    pub verbosity: Verbosity,
    /// Stdout is for one object alone.
    pub json: bool,
    /// Whether somebody wants the end of it all: then nobody waits for a reader that does not read.
    pub hurry: &'a dyn Fn() -> bool,
}

impl Teller<'_> {
    /// One as it is.
    pub fn line(&self, text: &str) {
        print_error_unless(&format!("{text}\n"), self.hurry);
    }

    /// What is no result, but for people who wait for one.
    pub fn note(&self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.line(&self.style.note(text));
        }
    }

    /// What was taken from a file of defaults.
    pub fn config(&self, path: &str, taken: &[String]) {
        if self.verbosity == Verbosity::Verbose && !taken.is_empty() {
            self.line(&self.style.note(&said(&format!("from {path}: {}", taken.join(", ")))));
        }
    }

    /// What is said of reports.
    pub fn made(&self, made: &Made) {
        print_made(made, self.hurry);
    }

    /// The same, for whoever wants to hear little.
    pub fn always(&self, text: &str) {
        self.line(&self.style.note(text));
    }

    /// What ends all before their time.
    pub fn stopping(&self, why: &str, running: usize) {
        let scripts = scripts(running);
        self.line(&self.style.note(&format!("{why}: stopping {scripts}")));
    }

    /// A run of a script is over.
    pub fn ended(&self, name: &str, status: ExitStatus, after: Duration, end: End) {
        let (style, after, how) = (self.style, duration(after), jobs::describe(status));
        let line = match end {
            End::Passed { .. } if self.verbosity == Verbosity::Quiet => return,
            End::Unselected if self.verbosity != Verbosity::Verbose => return,
            End::Unselected => format!("{} {name} (no test selected, {after})", style.note("skipped")),
            End::Passed { at: 1 } => format!("{} {name} ({after})", style.good("ok")),
            End::Passed { at } => format!("{} {name} (passed at try {at}, {after})", style.note("flaky")),
            End::Failed => format!("{} {name} ({how}, {after})", style.bad("FAILED")),
            End::Again { next, of } => {
                format!("{} {name} ({how}, {after}): try {next} of {of} follows", style.bad("FAILED"))
            }
            End::Stopped => format!("{} {name} ({after})", style.note("stopped")),
        };
        self.line(&line);
    }

    /// What scripts share is there.
    pub fn setup_up(&self, name: &str, after: Duration) {
        self.note(&format!("setup {name} (up after {})", duration(after)));
    }

    /// And is gone again.
    pub fn setup_over(&self, name: &str, after: Duration) {
        self.note(&format!("setup {name} (torn down after {})", duration(after)));
    }

    pub fn setup_failed(&self, name: &str, how: &str, after: Duration) {
        self.line(&format!("{} {name} ({how}, {})", self.style.bad("FAILED"), duration(after)));
    }

    /// All that a run has said.
    pub fn said(&self, said: &File) {
        repeat_unless(said, self.hurry);
    }

    /// The heading above what a run has said that did not pass.
    pub fn heading(&self, name: &str, how: &str) -> String {
        said(&format!("{}\n", self.style.bad(&format!("--- {name} ({how}) ---"))))
    }

    /// The last line, and before it who has failed. `cause`: why not all have come to their end.
    /// Gives back that line.
    pub fn verdict(
        &self,
        code: i32,
        cause: Option<&str>,
        elapsed: Duration,
        tally: &Tally,
        bad: &[String],
    ) -> String {
        const MOST: usize = 50;
        let mut text = String::new();
        for line in bad.iter().take(MOST) {
            let _ = writeln!(text, "{line}");
        }
        if bad.len() > MOST {
            let _ = writeln!(text, "and {} more", bad.len() - MOST);
        }
        let word = |style: Style| match cause {
            Some(cause) => format!("{cause} (exit {code})"),
            None if code == exit::OK => style.good("passed"),
            None => format!("{} (exit {code})", style.bad("failed")),
        };
        let last = |style| format!("bgjobs: {} in {}: {}\n", word(style), seconds(elapsed), counts(tally));
        print_error_unless(&format!("{text}{}", last(self.style)), self.hurry);
        // Who only sees the end of a pipe must not take its last line for all.
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let plain = last(Style::never());
        if code != exit::OK
            && !self.json
            && fd::is_pipe(out.as_fd())
            && !fd::same_file(out.as_fd(), err.as_fd())
        {
            let _ = super::print::print(&plain);
        }
        plain.trim_end().to_owned()
    }

    /// A line for the list above the verdict.
    pub fn bad(&self, name: &str, how: &str) -> String {
        format!("{} {name} ({how})", self.style.bad("FAILED"))
    }

    pub fn flaky(&self, name: &str, how: &str, at: u32) -> String {
        format!("{} {name} ({how}, then passed at try {at})", self.style.note("flaky"))
    }

    pub fn stopped(&self, name: &str) -> String {
        format!("{} {name}", self.style.note("stopped"))
    }

    pub fn only(&self, name: &str) -> String {
        format!("{} {name}: `only` is set in it: its other tests were skipped", self.style.note("note:"))
    }
}

/// How a script has ended whose setup has failed.
pub fn failed_above(setup: &str) -> String {
    format!("{setup} failed")
}

/// There is nothing to do, and that is well.
pub fn nothing_to_run(why: &str, json: bool) -> i32 {
    let line = format!("bgjobs: {why}: nothing to run");
    print_error_unless(&format!("{line}\n"), &|| false);
    if json {
        let object = json!({"code": exit::OK, "cause": null, "verdict": line, "failures": [], "scripts": []});
        return super::print::print_json(&object);
    }
    exit::OK
}

/// Why nothing was run, as people and, where that is wanted, programs read it.
pub fn not_begun(failure: &Failure, json: bool, style: Style) -> i32 {
    super::print::print_failure(failure, style);
    if json {
        let place =
            failure.place.as_ref().map(|at| json!({"file": at.file, "line": at.line, "column": at.column}));
        let error =
            json!({"message": failure.message, "place": place, "notes": failure.notes, "hint": failure.hint});
        let _ = super::print::print_json(&json!({"code": failure.code, "error": error}));
    }
    failure.code
}

/// What is said of reports: lines for the log of a CI, and what could not be written.
pub fn made(made: &Made) -> String {
    let errors = made.errors.iter().map(|why| format!("error: {why}\n"));
    made.annotations.clone() + errors.collect::<String>().as_str()
}

/// The same, said.
pub fn print_made(it: &Made, hurry: &dyn Fn() -> bool) {
    print_error_unless(&made(it), hurry);
}

/// What came of all shards.
pub fn merged(it: &Made, text: &str) {
    print_error_unless(&(made(it) + text), &|| false);
}

/// Lines that could not be read, of files that can.
pub fn damaged(recorded: &Recorded) {
    for run in recorded.runs.iter().filter(|run| run.damaged > 0) {
        let (file, count) = (&run.file, run.damaged);
        print_error_unless(&format!("warning: {count} lines of {file} could not be read\n"), &|| false);
    }
}

/// `1 script`, `2 scripts`.
fn scripts(count: usize) -> String {
    if count == 1 { "1 script".to_owned() } else { format!("{count} scripts") }
}

pub(super) fn counts(tally: &Tally) -> String {
    let mut text = format!("{} passed", scripts(tally.passed));
    if tally.flaky > 0 {
        let _ = write!(text, " ({} flaky)", tally.flaky);
    }
    for (count, word) in [
        (tally.failed, "failed"),
        (tally.stopped, "stopped"),
        (tally.not_run, "not run"),
        (tally.skipped, "without a selected test"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    match tally.setups {
        0 => {}
        1 => text.push_str(", 1 setup failed"),
        count => {
            let _ = write!(text, ", {count} setups failed");
        }
    }
    if tally.only > 0 {
        let _ = write!(text, " (`only` is set in {})", scripts(tally.only));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_counted_by_how_they_ended() {
        let passed = Tally { passed: 2, ..Tally::default() };
        assert_eq!(counts(&passed), "2 scripts passed");
        assert_eq!(counts(&Tally { passed: 1, flaky: 1, ..passed }), "1 script passed (1 flaky)");
        let all = Tally { failed: 1, stopped: 2, not_run: 3, skipped: 4, only: 1, ..Tally::default() };
        let said = "0 scripts passed, 1 failed, 2 stopped, 3 not run, 4 without a selected test (`only` is set in 1 script)";
        assert_eq!(counts(&all), said);
    }
}
