//! CTRF, the Common Test Report Format: JSON with a key for everything that most tools know, and `extra` for the rest.

use super::cases::{Case, Earlier, Status, cases, counts};
use super::model::Recorded;
use serde_json::{Map, Value, json};

/// The version of the format.
const SPEC: &str = "0.1.0";

/// The report, whole.
pub fn ctrf(recorded: &Recorded) -> String {
    let cases = cases(recorded);
    let counts = counts(&cases);
    let start = recorded.runs.iter().map(|run| run.began_ms).min_by(f64::total_cmp).unwrap_or_default();
    let stop = recorded.runs.iter().map(|run| run.began_ms + run.took_ms).fold(start, f64::max);
    let suites: usize = recorded.runs.iter().map(|run| run.scripts.len()).sum();
    let runs = recorded.runs.iter().map(|run| {
        let shard = run.whole.as_ref().and_then(|whole| whole.shard);
        json!({
            "events": run.file, "began": run.began, "bgjobs": run.bgjobs, "code": run.end.as_ref().map(|end| end.code),
            "shard": shard.map(|shard| format!("{}/{}", shard.index, shard.total)),
        })
    });
    let report = json!({
        "reportFormat": "CTRF",
        "specVersion": SPEC,
        "generatedBy": "bgjobs",
        "results": {
            "tool": {"name": "bgjobs", "version": env!("CARGO_PKG_VERSION")},
            "summary": {
                "tests": counts.all, "passed": counts.passed, "failed": counts.failed, "skipped": counts.skipped,
                "pending": counts.not_run, "other": counts.stopped, "flaky": counts.flaky, "suites": suites,
                "start": whole(start), "stop": whole(stop), "duration": whole(stop - start),
            },
            "tests": cases.iter().map(test).collect::<Vec<_>>(),
            "extra": {"runs": runs.collect::<Vec<_>>()},
        },
    });
    format!("{report:#}\n")
}

fn test(case: &Case) -> Value {
    let mut it = Map::new();
    let mut set = |key: &str, value: Value| drop(it.insert(key.to_owned(), value));
    set("name", json!(case.name));
    set("status", json!(status(&case.status)));
    set("duration", json!(whole(case.took_ms)));
    if case.at_ms > 0.0 {
        set("start", json!(whole(case.at_ms)));
        set("stop", json!(whole(case.at_ms + case.took_ms)));
    }
    set("suite", json!([case.script.name]));
    set("filePath", json!(case.file()));
    if !case.tags.is_empty() {
        set("tags", json!(case.tags));
    }
    match &case.status {
        Status::Failed(problem) => {
            set("message", json!(problem.message));
            set("trace", json!(problem.whole()));
            if let Some(line) = problem.line {
                set("line", json!(line));
            }
        }
        Status::Skipped(reason) => set("message", json!(reason)),
        Status::Stopped => set("message", json!("stopped")),
        Status::NotRun => set("message", json!("not run")),
        Status::Passed => {}
    }
    set("retries", json!(case.earlier.len()));
    set("flaky", json!(case.is_flaky()));
    if !case.earlier.is_empty() {
        set("retryAttempts", case.earlier.iter().map(attempt).collect());
    }
    if let Some((trace, span)) = case.trace {
        set("extra", json!({"traceId": trace, "spanId": span}));
    }
    Value::Object(it)
}

fn attempt(earlier: &Earlier) -> Value {
    json!({
        "attempt": earlier.number, "status": "failed", "duration": whole(earlier.took_ms),
        "message": earlier.problem.message, "trace": earlier.problem.whole(),
    })
}

fn status(status: &Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed(_) => "failed",
        Status::Skipped(_) => "skipped",
        Status::NotRun => "pending",
        Status::Stopped => "other",
    }
}

/// Whole milliseconds, which the format wants.
fn whole(ms: f64) -> i64 {
    ms.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::views::testing::{failing, passing, recorded, script};

    #[test]
    fn a_test_that_was_tried_again_has_its_attempts() {
        let scripts =
            vec![script("a.rhai", vec![failing("x", "no"), passing(&["x"])]), script("b.rhai", Vec::new())];
        let report: Value = serde_json::from_str(&ctrf(&recorded(scripts))).expect("JSON");
        let results = &report["results"];
        let summary = &results["summary"];
        assert_eq!(
            (&summary["tests"], &summary["flaky"], &summary["pending"]),
            (&json!(2), &json!(1), &json!(1))
        );
        let test = &results["tests"][0];
        assert_eq!(test["start"], 1_795_856_400_010_i64);
        assert_eq!(
            (&test["status"], &test["flaky"], &test["retries"]),
            (&json!("passed"), &json!(true), &json!(1))
        );
        let attempt = &test["retryAttempts"][0];
        assert_eq!((&attempt["attempt"], &attempt["message"]), (&json!(1), &json!("no")));
        assert_eq!(results["tests"][1]["status"], "pending");
    }
}
