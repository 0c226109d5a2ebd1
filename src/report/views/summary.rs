//! What `bgjobs test --json` prints: one object with what has come of it all, for whoever goes on with it.

use super::cases::{Status, cases};
use super::model::{Outcome, Recorded, Script};
use super::read::read_one;
use crate::report::tested::{Tally, counts};
use serde_json::{Value, json};
use std::fs::File;

/// From what was recorded; `verdict`: the line that says it to people.
pub fn summary(events: &File, code: i32, cause: Option<&str>, verdict: &str, tally: &Tally) -> Value {
    // What cannot be read has been said, and the exit code stands.
    let recorded = read_one(events, "what was recorded").unwrap_or_default();
    let scripts = recorded.runs.iter().flat_map(|run| &run.scripts).filter(|script| !script.setup);
    json!({
        "code": code, "cause": cause, "verdict": verdict, "counts": counts(tally),
        "passed": tally.passed, "flaky": tally.flaky, "failed": tally.failed, "stopped": tally.stopped,
        "not_run": tally.not_run, "not_selected": tally.skipped, "setups_failed": tally.setups,
        "took_ms": recorded.runs.iter().map(|run| run.took_ms).fold(0.0, f64::max).round(),
        "failures": failures(&recorded),
        "scripts": scripts.map(script).collect::<Vec<_>>(),
    })
}

/// The first that failed comes first: the others may only be its consequences.
fn failures(recorded: &Recorded) -> Vec<Value> {
    let cases = cases(recorded);
    let mut failed: Vec<_> = cases
        .iter()
        .filter_map(|case| match &case.status {
            Status::Failed(problem) => Some((case, problem)),
            _ => None,
        })
        .collect();
    failed.sort_by(|(a, _), (b, _)| a.failed_at_ms().total_cmp(&b.failed_at_ms()));
    let told = failed.into_iter().map(|(case, problem)| {
        json!({
            "name": case.name, "script": case.script.path, "test": case.test, "message": problem.message,
            "file": case.file(), "line": problem.line, "column": problem.column, "text": problem.whole(),
        })
    });
    told.collect()
}

fn script(script: &Script) -> Value {
    let last = script.last();
    let outcome = match last.map(|last| last.outcome) {
        None => "not run",
        Some(Outcome::Passed) if script.is_flaky() => "flaky",
        Some(Outcome::Passed) => "passed",
        Some(Outcome::Stopped) => "stopped",
        Some(Outcome::Failed | Outcome::Unfinished) => "failed",
    };
    json!({
        "name": script.name, "path": script.path, "outcome": outcome, "code": last.and_then(|last| last.code),
        "tries": script.tries.len(), "took_ms": script.took_ms().round(),
        "logs": last.map(|last| last.kept.clone()).unwrap_or_default(),
    })
}
