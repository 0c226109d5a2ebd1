//! Events as lines of JSON in a file, each written as it happens, whole: a run that is killed leaves a file that can be
//! read. What a line is, is told to people and programs by [`SCHEMA`]; secrets are masked here, value by value.

use super::failure::failure as report;
use super::style::Style;
use crate::event::{Event, Failure, Outcome, Over, Place, Tail, Tested, Used};
use crate::exit;
use crate::jobs;
use crate::secret;
use crate::spans::Trace;
use crate::sys::clock;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The JSON schema of one line.
pub const SCHEMA: &str = include_str!("events.schema.json");

/// Raised when a line changes so that an old reader would take it for something else.
pub(super) const VERSION: u32 = 1;

/// How much of the end of a log is recorded when something has failed: so many lines, of at most so many characters.
const TAIL_LINES: usize = 100;
const TAIL_WIDTH: usize = 2000;

/// What `--events` takes.
const WHERE: &str = "--events OUT.jsonl   (a file in a directory that is there; an older one is replaced)";

/// The file of a path; or why there is none.
pub fn open(path: &Path) -> Result<File, String> {
    // The run would wait for whoever reads a pipe.
    if path.metadata().is_ok_and(|it| !it.is_file()) {
        return Err(if path.is_dir() { "it is a directory" } else { "it is not a regular file" }.to_owned());
    }
    // Reports are made from it when all has been written.
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).map_err(jobs::why)
}

/// The same, as the option says it.
pub fn at(path: &Path) -> Result<File, Failure> {
    open(path).map_err(|why| refused(&path.display().to_string(), &why))
}

/// Why nothing is recorded there.
pub fn refused(path: &str, why: &str) -> Failure {
    let (message, hint) = (format!("--events {path}: {why}"), Some(WHERE.to_owned()));
    Failure { code: exit::USAGE, message, hint, ..Failure::default() }
}

/// The time of a line in milliseconds since 1970; 0 of what is not a time.
pub(super) fn since_1970(time: &str) -> f64 {
    let time = humantime::parse_rfc3339(time).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    time.map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

/// Whoever writes lines.
pub(super) struct Lines {
    file: File,
    started: Duration,
    /// The same moment for people.
    wall: SystemTime,
    /// Which script of several they tell of, and which try of it.
    of: Option<(String, u32)>,
}

impl Lines {
    /// `started`: when what they tell of began, on the run's clock.
    pub(super) fn new(file: File, started: Duration, of: Option<(String, u32)>) -> Self {
        let wall = SystemTime::now() - clock::now().saturating_sub(started);
        Self { file, started, wall, of }
    }

    /// Writes a line of something that happened at this time.
    pub(super) fn write(&mut self, at: Duration, name: &str, value: Value) -> std::io::Result<()> {
        let since = at.saturating_sub(self.started);
        let time = humantime::format_rfc3339_millis(self.wall + since).to_string();
        let mut value = secret::mask_all(value);
        let of = self.of.as_ref().map_or_else(String::new, |(script, number)| {
            // It is the same one.
            value.as_object_mut().and_then(|it| it.remove("script"));
            format!("\"script\":{},\"try\":{number},", json!(script))
        });
        // What each line has stands first, for people.
        let rest = value.to_string();
        let line =
            format!("{{\"event\":\"{name}\",\"ms\":{},\"time\":\"{time}\",{of}{}\n", ms(since), &rest[1..]);
        // In one write, so that neither a reader meets half of it nor another writer comes between.
        self.file.write_all(line.as_bytes())
    }
}

pub struct Events(Lines);

impl Events {
    /// Writes the first line. `of`: the script of several and the try that these are the events of, in the file of them all.
    pub fn begin(
        file: File,
        started: Duration,
        script: &str,
        of: Option<(String, u32)>,
        trace: Option<&Trace>,
    ) -> std::io::Result<Self> {
        let mut lines = Lines::new(file, started, of);
        let (trace, span, parent) =
            trace.map(Trace::ids).map_or((None, None, None), |(trace, span, parent)| {
                (Some(trace), Some(span.to_string()), parent.map(|span| span.to_string()))
            });
        let first = json!({
            "version": VERSION, "bgjobs": env!("CARGO_PKG_VERSION"), "script": script, "pid": std::process::id(),
            "trace_id": trace, "span_id": span, "parent_span_id": parent,
        });
        lines.write(clock::now(), "run_started", first)?;
        Ok(Self(lines))
    }

    /// Writes the line of an event that was emitted at this time, if it has one; or why (errno) it could not.
    pub fn write(&mut self, at: Duration, event: &Event) -> Result<(), i32> {
        let Some((name, value)) = described(event) else { return Ok(()) };
        let mut lines: Vec<(&str, Value)> = tails(event);
        lines.push((name, value));
        lines
            .into_iter()
            .try_for_each(|(name, value)| self.0.write(at, name, value))
            .map_err(|error| error.raw_os_error().unwrap_or(nix::libc::EIO))
    }
}

/// Milliseconds, with what belongs to them behind the point.
pub(super) fn ms(time: Duration) -> Value {
    let ms = time.as_micros() as f64 / 1000.0;
    ms.into()
}

/// The name of an event, and what belongs to it; none for what is only said, or printed.
fn described(event: &Event) -> Option<(&'static str, Value)> {
    Some(match event {
        Event::JobStarted { job, command, pid, .. } => {
            ("job_started", json!({"job": job, "command": command, "pid": pid}))
        }
        Event::JobReady { job, what, after } => {
            ("job_ready", json!({"job": job, "what": what, "took_ms": ms(*after)}))
        }
        Event::JobAgain { job, next, tries } => {
            ("job_again", json!({"job": job, "reason": "not ready", "number": next, "most": tries}))
        }
        Event::JobComesBack { job, number, most, .. } => {
            ("job_again", json!({"job": job, "reason": "restart", "number": number, "most": most}))
        }
        Event::JobEnded { job, status, expected: true } => {
            ("job_ended", json!({"job": job, "status": status}))
        }
        Event::JobEnded { job, status, expected: false } => {
            ("job_died", json!({"job": job, "status": status}))
        }
        Event::Asked { job, what, program, pid } => {
            ("asked", json!({"job": job, "what": what, "program": program, "pid": pid}))
        }
        Event::JobFailed { job, line } => ("job_failed", json!({"job": job, "line": line})),
        Event::JobStopped { job, after, status, killed } => (
            "job_stopped",
            json!({"job": job, "took_ms": ms(*after), "status": status, "killed": killed.is_some()}),
        ),
        Event::CommandStarted { command } => ("command_started", json!({"command": command})),
        Event::CommandEnded { command, status, ok, after, .. } => {
            ("command_ended", json!({"command": command, "status": status, "ok": ok, "took_ms": ms(*after)}))
        }
        Event::PortFreed { port, pid, command, killed } => {
            ("port_freed", json!({"port": port, "pid": pid, "command": command, "killed": killed}))
        }
        Event::Waited { what, after, ok } => ("wait", json!({"what": what, "ok": ok, "took_ms": ms(*after)})),
        Event::Requested { method, url, status, error, after } => (
            "request",
            json!({"method": method, "url": url, "status": status, "error": error, "took_ms": ms(*after)}),
        ),
        Event::Asserted { function, ok, place } => {
            ("assertion", json!({"function": function, "ok": ok, "place": place.as_ref().map(place_of)}))
        }
        Event::Test(tested) => ("test", test(tested)),
        Event::TestAgain { name, next, tries, failure, span } => (
            "test_again",
            json!({
                "name": name, "number": next, "most": tries, "failure": failure_of(failure), "span_id": span,
            }),
        ),
        Event::Usage(used) => {
            let of = |it: &Used| json!({"job": it.job, "cpu_ms": ms(it.cpu), "rss": it.rss});
            ("usage", json!({"jobs": used.iter().map(of).collect::<Vec<_>>()}))
        }
        Event::Log(text) => ("log", json!({"text": text})),
        Event::Warning(text) => ("warning", json!({"text": text})),
        Event::Interrupted(text) => ("interrupted", json!({"text": text})),
        Event::Over(over) => ("run_ended", ended(over)),
        Event::Stdout(_)
        | Event::Stderr(_)
        | Event::Lines { .. }
        | Event::OutputEnd
        | Event::JobsToShow(_)
        | Event::JobOutput { .. }
        | Event::JobDaemonised { .. }
        | Event::StopWaits { .. }
        | Event::StopCommandFailed { .. }
        | Event::LogDropped { .. }
        | Event::DiskFull { .. }
        | Event::LeftRunning { .. }
        | Event::Staying { .. }
        | Event::Text(_)
        | Event::Verdict(_) => return None,
    })
}

/// The ends of the logs that a failure shows, as events of their own.
fn tails(event: &Event) -> Vec<(&'static str, Value)> {
    let (test, failure) = match event {
        Event::Test(Tested { name, outcome: Outcome::Failed(failure), .. }) => (Some(name), &**failure),
        Event::Over(over) => match &over.failure {
            Some(failure) => (None, failure),
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    let line = |line: &String| line.chars().take(TAIL_WIDTH).collect::<String>();
    let tail = |tail: &Tail| {
        let shown = &tail.lines[tail.lines.len().saturating_sub(TAIL_LINES)..];
        let lines: Vec<String> = shown.iter().map(line).collect();
        ("log_tail", json!({"title": tail.title, "lines": lines, "path": tail.path, "test": test}))
    };
    failure.tails.iter().map(tail).collect()
}

fn test(tested: &Tested) -> Value {
    let (outcome, reason, failure) = match &tested.outcome {
        Outcome::Passed => ("passed", None, None),
        Outcome::Failed(failure) => ("failed", None, Some(failure_of(failure))),
        Outcome::Skipped(reason) | Outcome::Deselected(reason) => ("skipped", Some(reason), None),
    };
    json!({
        "name": tested.name, "outcome": outcome, "took_ms": ms(tested.after), "reason": reason, "failure": failure,
        "tries": tested.tries, "tags": tested.tags, "span_id": tested.span, "selected": !matches!(tested.outcome, Outcome::Deselected(_)),
    })
}

fn ended(over: &Over) -> Value {
    let slow = over.slow_start.iter().map(|(job, took)| json!({"job": job, "took_ms": ms(*took)}));
    let slow: Vec<Value> = slow.collect();
    let kept: Vec<String> = over.kept.iter().map(|path| path.display().to_string()).collect();
    json!({
        "code": over.code, "cause": over.cause, "failure": over.failure.as_ref().map(failure_of),
        "jobs_stopped": over.stopped, "leaked": over.leaked, "slow_start": slow, "kept": kept, "only": over.only,
    })
}

fn failure_of(failure: &Failure) -> Value {
    json!({
        "message": failure.message, "place": failure.place.as_ref().map(place_of), "notes": failure.notes,
        "hint": failure.hint, "text": report(failure, Style::never()),
    })
}

fn place_of(place: &Place) -> Value {
    json!({"file": place.file, "line": place.line, "column": place.column})
}
