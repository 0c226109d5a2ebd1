//! The longer texts: the failure report, the verdict, what the guard has to say.

use super::terminal::Style;
use crate::event::{Failure, Place};
use crate::exit;
use crate::jobs::Survivor;
use crate::sys::fd::{self, Written};
use std::fmt::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// How many lines of all logs together a failure shows.
const TAIL_LINES: usize = 20;

/// `302 ms`, `1.2 s`, `2 min 5 s`.
pub fn duration(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0 if time.as_micros() > 0 => format!("{} µs", time.as_micros()),
        0..1000 => format!("{ms} ms"),
        1000..60_000 if ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        1000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
    }
}

/// Text without control characters: what a process printed must not repaint somebody's terminal.
pub fn sanitize(text: &str) -> String {
    let visible = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// The report of a failure: cause, place, path to it, why, the logs that matter, the next edit.
pub fn failure(failure: &Failure, style: Style) -> String {
    let mut text = String::new();
    let message = sanitize(&failure.message);
    let mut lines = message.lines();
    let _ = writeln!(text, "{} {}", style.bad("error:"), lines.next().unwrap_or_default());
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
    if let Some(place) = &failure.place {
        excerpt(&mut text, place, style);
    }
    for line in &failure.trail {
        let _ = writeln!(text, "  {line}");
    }
    for note in &failure.notes {
        let _ = writeln!(text, "  {} {}", style.dim("="), sanitize(note).replace('\n', "\n    "));
    }
    let share = TAIL_LINES / failure.tails.len().max(1);
    for tail in &failure.tails {
        let path = tail.path.as_ref().map_or_else(String::new, |path| format!(" ({path})"));
        if tail.lines.is_empty() {
            let _ = writeln!(text, "{}: empty{path}", tail.title);
            continue;
        }
        let shown = &tail.lines[tail.lines.len().saturating_sub(share.max(3))..];
        let _ = writeln!(text, "{}{path}:", tail.title);
        for line in shown {
            let _ = writeln!(text, "  {} {}", style.dim("|"), clip(&sanitize(line)));
        }
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "{} {hint}", style.good("try:"));
    }
    text
}

fn clip(line: &str) -> String {
    const MOST: usize = 300;
    if line.chars().count() <= MOST {
        line.to_owned()
    } else {
        line.chars().take(MOST).collect::<String>() + "…"
    }
}

fn excerpt(text: &mut String, place: &Place, style: Style) {
    let _ = writeln!(text, "  --> {}:{}:{}", place.file, place.line, place.column);
    if place.text.is_empty() {
        return;
    }
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    // The same tabs before the caret as before the text, so that both align however wide a tab is.
    let before: String = place
        .text
        .chars()
        .take(place.column.saturating_sub(1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let _ = writeln!(text, "{} {} {}", style.dim(&number), style.dim("|"), sanitize(&place.text));
    let caret = style.bad(&"^".repeat(place.width.max(1)));
    let _ = writeln!(text, "{margin} {} {before}{caret}", style.dim("|"));
}

/// What the last line says.
pub struct Verdict<'a> {
    pub code: i32,
    /// In words, when it was not the script that ended the run: `interrupted by SIGINT`.
    pub cause: Option<String>,
    pub elapsed: Duration,
    pub passed: usize,
    pub failed: usize,
    pub stopped: usize,
    pub left: &'a [Survivor],
    /// What is kept: the directory of the logs, or of the run when there are none.
    pub kept: Option<&'a Path>,
}

/// The verdict: one line, preceded by what could not be killed.
pub fn verdict(verdict: &Verdict, style: Style) -> String {
    let mut text = String::new();
    survivors(&mut text, verdict.left);
    let ok = verdict.code == exit::OK;
    let word = match &verdict.cause {
        Some(cause) => format!("{cause} (exit {})", verdict.code),
        None if ok => style.good("passed"),
        None => format!("{} (exit {})", style.bad("failed"), verdict.code),
    };
    if let Some(path) = verdict.kept {
        let what = if path.ends_with("logs") { "logs" } else { "kept" };
        let _ = writeln!(text, "{what}: {}", path.display());
    }
    let mut tests = String::new();
    if verdict.passed + verdict.failed > 0 {
        tests = format!("{} passed, {} failed; ", verdict.passed, verdict.failed);
    }
    let (elapsed, jobs) = (seconds(verdict.elapsed), count(verdict.stopped));
    let _ =
        writeln!(text, "bgjobs: {word} in {elapsed}: {tests}{jobs} stopped, {} leaked", verdict.left.len());
    text
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.2}s", time.as_secs_f64())
    } else {
        format!("{:.1}s", time.as_secs_f64())
    }
}

fn survivors(text: &mut String, left: &[Survivor]) {
    for one in left {
        let _ = writeln!(
            text,
            "leaked: pid {} (user {}, state {}): {}",
            one.pid,
            one.user,
            one.state,
            sanitize(&one.command)
        );
    }
}

/// Why the host ended without a report.
pub fn host_died(status: String) -> String {
    let guess = if status.contains("SIGKILL") { ", out of memory?" } else { "" };
    format!("host {status}{guess}")
}

/// The guard speaks in the host's place; `running` are the jobs that it had to stop.
pub fn guard_verdict(
    cause: &str,
    run_dir: &Path,
    code: i32,
    elapsed: Duration,
    running: &[String],
    left: &[Survivor],
) {
    let mut text = format!("error: {cause}\n");
    if !running.is_empty() {
        let _ = writeln!(text, "  = stopped by the guard: {}", running.join(", "));
    }
    survivors(&mut text, left);
    let _ = writeln!(text, "logs: {}", run_dir.join("logs").display());
    let (elapsed, jobs) = (seconds(elapsed), count(running.len()));
    let _ =
        writeln!(text, "bgjobs: failed (exit {code}) in {elapsed}: {jobs} stopped, {} leaked", left.len());
    write_all(&text);
}

/// `1 job`, `2 jobs`.
fn count(jobs: usize) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}

/// What the guard found after the host had reported.
pub fn late_survivors(left: &[Survivor]) {
    if !left.is_empty() {
        let mut text = String::new();
        survivors(&mut text, left);
        let _ = writeln!(text, "bgjobs: {} leaked", left.len());
        write_all(&text);
    }
}

/// An error of bgjobs itself, before there is a run.
pub fn plain_error(message: &str) {
    write_all(&format!("error: {}\n", sanitize(message)));
}

/// A failure outside of a run.
pub fn print_failure(what: &Failure, style: Style) {
    write_all(&failure(what, style));
}

/// The generated reference, on stdout.
pub fn api(reference: &str) -> i32 {
    write_to(std::io::stdout().as_fd(), reference);
    exit::OK
}

fn write_all(text: &str) {
    write_to(std::io::stderr().as_fd(), text);
}

/// Writes what the reader takes; gives up on one that takes nothing for a second.
fn write_to(target: std::os::fd::BorrowedFd, text: &str) {
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        match fd::write_some(target, bytes, Duration::from_secs(1)) {
            Written::Bytes(n) => bytes = &bytes[n..],
            Written::Stalled | Written::Gone => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        let cases = [(302, "302 ms"), (1000, "1 s"), (1249, "1.2 s"), (125_000, "2 min 5 s"), (0, "0 ms")];
        for (ms, text) in cases {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn control_characters_do_not_get_through() {
        assert_eq!(sanitize("a\x1b[2Jb\tc\n"), "a\u{fffd}[2Jb\tc\n");
    }
}
