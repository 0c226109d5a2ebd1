//! What `bgjobs ctl` says: what a run has answered, or why there is no answer.

use super::print::{print, print_failure, print_json};
use super::style::Style;
use super::table::{row, table};
use super::words::duration;
use crate::ask::{Answer, Done, JobState, State};
use crate::cli::Color;
use crate::event::Failure;
use crate::exit;
use crate::words::quote;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// An answer on stdout; of an error its words on stderr. The exit code.
pub fn answer(answer: &Answer, as_json: bool) -> i32 {
    match answer {
        Answer::Failed(failure) if as_json => {
            let printed = print_json(&json!({"error": described(failure)}));
            if printed == exit::OK { failure.code } else { printed }
        }
        Answer::Failed(failure) => {
            print_failure(failure, Style::choose(Color::Auto));
            failure.code
        }
        answer if as_json => print_json(&object(answer)),
        answer => print(&text(answer)),
    }
}

fn described(failure: &Failure) -> Value {
    let tails = failure.tails.iter().map(|tail| json!({"title": tail.title, "lines": tail.lines}));
    json!({
        "code": failure.code, "message": failure.message, "notes": failure.notes, "hint": failure.hint,
        "logs": tails.collect::<Vec<_>>(),
    })
}

fn object(answer: &Answer) -> Value {
    match answer {
        Answer::Done { job, done, took_ms } => json!({"job": job, "done": word(*done), "took_ms": took_ms}),
        Answer::Port { job, port } => json!({"job": job, "port": port}),
        Answer::Url { job, url } => json!({"job": job, "url": url}),
        Answer::Logs { job, lines } => json!({"job": job, "lines": lines}),
        Answer::Env(all) => {
            let all = all.iter().map(|(name, value)| (name.clone(), value.clone().into()));
            Value::Object(all.collect::<Map<_, _>>())
        }
        Answer::Jobs(all) => all.iter().map(job).collect(),
        Answer::Failed(failure) => described(failure),
    }
}

fn job(it: &JobState) -> Value {
    json!({
        "name": it.name, "pid": it.pid, "state": state(it.state), "end": it.end, "ready": it.ready,
        "uptime_ms": it.uptime_ms, "port": it.port, "url": it.url,
    })
}

fn text(answer: &Answer) -> String {
    let lines = |lines: Vec<String>| lines.into_iter().map(|line| line + "\n").collect();
    match answer {
        Answer::Done { job, done, took_ms } => {
            format!("{job} {} ({})\n", word(*done), duration(Duration::from_millis(*took_ms)))
        }
        Answer::Port { port, .. } => format!("{port}\n"),
        Answer::Url { url, .. } => format!("{url}\n"),
        Answer::Logs { lines: all, .. } => lines(all.clone()),
        Answer::Env(all) => {
            lines(all.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect())
        }
        Answer::Jobs(all) => {
            let mut rows = vec![row(["JOB", "PID", "STATE", "READY", "UP", "ADDRESS"])];
            rows.extend(all.iter().map(cells));
            table(&rows)
        }
        Answer::Failed(failure) => format!("{}\n", failure.message),
    }
}

fn cells(it: &JobState) -> Vec<String> {
    let state = it.end.clone().unwrap_or_else(|| state(it.state).to_owned());
    let ready = it.ready.map_or("-", |ready| if ready { "yes" } else { "no" });
    let up = duration(Duration::from_millis(it.uptime_ms));
    let address = it.url.clone().unwrap_or_else(|| "-".to_owned());
    vec![it.name.clone(), it.pid.to_string(), state, ready.to_owned(), up, address]
}

fn word(done: Done) -> &'static str {
    match done {
        Done::Restarted => "restarted",
        Done::Stopped => "stopped",
        Done::Paused => "paused",
        Done::Resumed => "resumed",
        Done::Killed => "killed",
        Done::Ready => "ready",
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Paused => "paused",
        State::Background => "background",
        State::Resting => "resting",
        State::Ended => "ended",
    }
}
