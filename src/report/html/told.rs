//! What was recorded of one try of a script, as a list of events in the order of time: what the page is made of.
//! Their names and keys are those of a file of events, so that who knows one knows the other.

use crate::report::views::model::{
    Failure, Job, JobEnding, NoteKind, Outcome, Place, Script, Tail, TestOutcome, Try,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn of(script: &Script, one: &Try, began: &str, version: &str) -> Vec<Value> {
    let mut events = vec![json!({
        "event": "run_started", "ms": one.at_ms, "time": began, "bgjobs": version, "script": script.name,
        "try": one.number, "trace_id": one.trace.as_ref().map(|trace| &trace.id),
    })];
    let mut rest: Vec<Value> = Vec::new();
    one.jobs.iter().for_each(|it| job(it, &mut rest));
    rest.extend(one.commands.iter().map(|it| match &it.status {
        Some(status) => json!({
            "event": "command_ended", "ms": it.at_ms + it.took_ms, "command": it.command, "status": status,
            "ok": it.ok, "took_ms": it.took_ms,
        }),
        None => json!({"event": "command_started", "ms": it.at_ms, "command": it.command}),
    }));
    rest.extend(one.waits.iter().map(|it| {
        json!({"event": "wait", "ms": it.at_ms + it.took_ms, "what": it.what, "ok": it.ok, "took_ms": it.took_ms})
    }));
    rest.extend(one.requests.iter().map(|it| {
        json!({
            "event": "request", "ms": it.at_ms + it.took_ms, "method": it.method, "url": it.url,
            "status": it.status, "error": it.error, "took_ms": it.took_ms,
        })
    }));
    rest.extend(one.assertions.iter().map(|it| {
        json!({
            "event": "assertion", "ms": it.at_ms, "function": it.function, "ok": it.ok,
            "place": it.place.as_ref().map(place),
        })
    }));
    rest.extend(one.tests.iter().map(|it| {
        let (outcome, reason, why) = match &it.outcome {
            TestOutcome::Passed => ("passed", None, None),
            TestOutcome::Skipped(reason) => ("skipped", Some(reason), None),
            TestOutcome::Failed(why) => ("failed", None, Some(failure(why, &one.tails, Some(&it.name)))),
        };
        json!({
            "event": "test", "ms": it.at_ms + it.took_ms, "name": it.name, "outcome": outcome, "reason": reason,
            "failure": why, "took_ms": it.took_ms, "span_id": it.span,
            "failed_before": it.before.iter().map(|failure| &failure.message).collect::<Vec<_>>(),
        })
    }));
    rest.extend(one.notes.iter().map(|it| {
        let kind = match it.kind {
            NoteKind::Log => "log",
            NoteKind::Warning => "warning",
            NoteKind::Interrupted => "interrupted",
        };
        json!({"event": kind, "ms": it.at_ms, "text": it.text})
    }));
    // What comes at the same time stays as it is: a job starts before it is ready.
    rest.sort_by(|a, b| at(a).total_cmp(&at(b)));
    events.append(&mut rest);
    events.extend(end(one));
    events
}

/// What each job used: lists of the time, the processor time so far, the memory.
pub fn usage(one: &Try) -> Value {
    let mut by_job: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for look in &one.usage {
        for used in &look.jobs {
            by_job.entry(&used.job).or_default().push(json!([look.at_ms, used.cpu_ms, used.rss]));
        }
    }
    json!(by_job)
}

fn at(event: &Value) -> f64 {
    event["ms"].as_f64().unwrap_or_default()
}

/// How it has ended; nothing of one that was killed.
fn end(one: &Try) -> Option<Value> {
    let state = match one.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Stopped => "stopped",
        Outcome::Unfinished => return None,
    };
    Some(json!({
        "event": "run_ended", "ms": one.at_ms + one.took_ms, "code": one.code, "state": state, "cause": one.cause,
        "status": one.status, "said": one.said, "kept": one.kept,
        "jobs_stopped": one.jobs_stopped, "leaked": one.leaked,
        "failure": one.failure.as_ref().map(|why| failure(why, &one.tails, None)),
    }))
}

fn job(it: &Job, events: &mut Vec<Value>) {
    events.push(json!({
        "event": "job_started", "ms": it.at_ms, "job": it.name, "command": it.command, "pid": it.pid,
    }));
    if let Some(ready) = &it.ready {
        events.push(json!({
            "event": "job_ready", "ms": ready.at_ms, "job": it.name, "what": ready.what,
            "took_ms": ready.at_ms - it.at_ms,
        }));
    }
    let end = it.end.as_ref();
    if let Some(line) = &it.failed {
        // When it was is not in the model; its end comes after it.
        let ms = end.map_or(it.at_ms, |end| end.at_ms);
        events.push(json!({"event": "job_failed", "ms": ms, "job": it.name, "line": line}));
    }
    if let Some(end) = end {
        let (kind, killed) = match end.how {
            JobEnding::Ended => ("job_ended", false),
            JobEnding::Died => ("job_died", false),
            JobEnding::Stopped => ("job_stopped", false),
            JobEnding::Killed => ("job_stopped", true),
        };
        events.push(json!({
            "event": kind, "ms": end.at_ms, "job": it.name, "status": end.status, "killed": killed,
            "took_ms": (kind == "job_stopped").then_some(end.took_ms),
        }));
    }
}

fn place(it: &Place) -> Value {
    json!({"file": it.file, "line": it.line, "column": it.column})
}

/// With the ends of the logs that belong to it.
fn failure(it: &Failure, tails: &[Tail], test: Option<&str>) -> Value {
    let mine = tails.iter().filter(|tail| tail.test.as_deref() == test);
    let mine: Vec<Value> = mine.map(|tail| json!({"title": tail.title, "lines": tail.lines})).collect();
    json!({
        "message": it.message, "place": it.place.as_ref().map(place), "notes": it.notes, "hint": it.hint,
        "text": it.text, "tails": mine,
    })
}
