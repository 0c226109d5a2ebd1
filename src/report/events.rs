//! Events as lines of JSON in a file, each written as it happens, whole: a run that is killed leaves a file that can be
//! read. What a line is, is told to people and programs by [`SCHEMA`]; secrets are masked here, value by value.

use super::failure::failure as report;
use super::style::Style;
use crate::event::{Event, Failure, Outcome, Over, Place, Tested};
use crate::jobs;
use crate::secret;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The JSON schema of one line.
pub const SCHEMA: &str = include_str!("events.schema.json");

/// Raised when a line changes so that an old reader would take it for something else.
const VERSION: u32 = 1;

/// What `--events` takes.
pub const WHERE: &str =
    "--events OUT.jsonl   (a file in a directory that is there; an older one is replaced)";

/// The file of a path; or why there is none.
pub fn open(path: &Path) -> Result<File, String> {
    // The run would wait for whoever reads a pipe.
    if path.metadata().is_ok_and(|it| !it.is_file()) {
        return Err(if path.is_dir() { "it is a directory" } else { "it is not a regular file" }.to_owned());
    }
    File::create(path).map_err(jobs::why)
}

pub struct Events {
    file: File,
    started: Duration,
    /// The same moment for people.
    wall: SystemTime,
}

impl Events {
    /// Writes the first line.
    pub fn begin(file: File, started: Duration, script: &str) -> std::io::Result<Self> {
        let mut events = Self { file, started, wall: SystemTime::now() };
        let first = json!({
            "version": VERSION, "bgjobs": env!("CARGO_PKG_VERSION"), "script": script, "pid": std::process::id(),
        });
        events.line(started, "run_started", first)?;
        Ok(events)
    }

    /// Writes the line of an event that was emitted at this time, if it has one; or why (errno) it could not.
    pub fn write(&mut self, at: Duration, event: &Event) -> Result<(), i32> {
        let Some((name, value)) = described(event) else { return Ok(()) };
        self.line(at, name, value).map_err(|error| error.raw_os_error().unwrap_or(nix::libc::EIO))
    }

    fn line(&mut self, at: Duration, name: &str, value: Value) -> std::io::Result<()> {
        let since = at.saturating_sub(self.started);
        let time = humantime::format_rfc3339_millis(self.wall + since).to_string();
        // What each line has stands first, for people.
        let rest = masked(value).to_string();
        let line =
            format!("{{\"event\":\"{name}\",\"ms\":{},\"time\":\"{time}\",{}\n", ms(since), &rest[1..]);
        // In one write, so that no reader meets half of it.
        self.file.write_all(line.as_bytes())
    }
}

/// Milliseconds, with what belongs to them behind the point.
fn ms(time: Duration) -> Value {
    let ms = time.as_micros() as f64 / 1000.0;
    ms.into()
}

fn masked(value: Value) -> Value {
    match value {
        Value::String(text) => secret::mask(&text).into_owned().into(),
        Value::Array(list) => list.into_iter().map(masked).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, masked(value))).collect(),
        other => other,
    }
}

/// The name of an event, and what belongs to it; none for what is only said, or printed.
fn described(event: &Event) -> Option<(&'static str, Value)> {
    Some(match event {
        Event::JobStarted { job, command, pid } => {
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
        Event::Asserted { function, ok, place } => {
            ("assertion", json!({"function": function, "ok": ok, "place": place.as_ref().map(place_of)}))
        }
        Event::Test(tested) => ("test", test(tested)),
        Event::Log(text) => ("log", json!({"text": text})),
        Event::Warning(text) => ("warning", json!({"text": text})),
        Event::Interrupted(text) => ("interrupted", json!({"text": text})),
        Event::Over(over) => ("run_ended", ended(over)),
        Event::Stdout(_)
        | Event::Stderr(_)
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

fn test(tested: &Tested) -> Value {
    let (outcome, reason, failure) = match &tested.outcome {
        Outcome::Passed => ("passed", None, None),
        Outcome::Failed(failure) => ("failed", None, Some(failure_of(failure))),
        Outcome::Skipped(reason) => ("skipped", Some(reason), None),
    };
    json!({
        "name": tested.name, "outcome": outcome, "took_ms": ms(tested.after), "reason": reason, "failure": failure,
    })
}

fn ended(over: &Over) -> Value {
    let kept: Vec<String> = over.kept.iter().map(|path| path.display().to_string()).collect();
    json!({
        "code": over.code, "cause": over.cause, "failure": over.failure.as_ref().map(failure_of),
        "jobs_stopped": over.stopped, "leaked": over.leaked, "kept": kept,
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
