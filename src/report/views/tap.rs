//! TAP, the Test Anything Protocol, version 14: a line for each test, flat, since consumers of older versions count only
//! what is not indented; details of failures as YAML, in which every text is a string of JSON.

use super::cases::{Case, Problem, Status, cases};
use super::model::Recorded;
use serde_json::json;
use std::fmt::Write;

/// The report.
pub fn tap(recorded: &Recorded) -> String {
    let cases = cases(recorded);
    let mut text = format!("TAP version 14\n1..{}\n", cases.len());
    for (index, case) in cases.iter().enumerate() {
        line(&mut text, index + 1, case);
    }
    text
}

fn line(text: &mut String, number: usize, case: &Case) {
    let (ok, directive, problem) = match &case.status {
        Status::Passed => ("ok", None, None),
        Status::Skipped(reason) => ("ok", Some(format!("SKIP {}", described(reason))), None),
        Status::NotRun => ("ok", Some("SKIP not run".to_owned()), None),
        Status::Stopped => ("not ok", None, Some(Problem::bare("stopped".to_owned(), ""))),
        Status::Failed(problem) => ("not ok", None, Some(problem.clone())),
    };
    let directive = directive.map_or_else(String::new, |directive| format!(" # {}", directive.trim_end()));
    let _ = writeln!(text, "{ok} {number} - {}{directive}", described(&case.name));
    let _ = writeln!(text, "  ---");
    let _ = writeln!(text, "  duration_ms: {:.3}", case.took_ms);
    if !case.tags.is_empty() {
        let _ = writeln!(text, "  tags: {}", json!(case.tags));
    }
    if let Some(problem) = problem {
        let _ = writeln!(text, "  message: {}", json!(problem.message));
        let _ = writeln!(text, "  severity: fail");
        let _ = writeln!(text, "  at: {}", at(case, &problem));
        if !problem.text.is_empty() {
            let _ = writeln!(text, "  detail: {}", json!(problem.text));
        }
    }
    if !case.earlier.is_empty() {
        let messages: Vec<&str> = case.earlier.iter().map(|one| one.problem.message.as_str()).collect();
        let _ = writeln!(text, "  flaky: {}\n  failed_before: {}", case.is_flaky(), json!(messages));
    }
    let _ = writeln!(text, "  ...");
}

fn at(case: &Case, problem: &Problem) -> serde_json::Value {
    match (problem.line, problem.column) {
        (Some(line), Some(column)) => json!({"file": case.file(), "line": line, "column": column}),
        _ => json!({"file": case.file()}),
    }
}

/// A description: one line, in which `#` begins no directive.
fn described(text: &str) -> String {
    let line: Vec<&str> = text.lines().collect();
    line.join(" ").replace('\\', "\\\\").replace('#', "\\#")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::views::testing::{failing, passing, recorded, script};

    #[test]
    fn a_failure_has_its_details_and_a_name_no_directive() {
        let scripts = vec![
            script("a.rhai", vec![passing(&["fine # SKIP it"])]),
            script("b.rhai", vec![failing("x", "1: \"no\"\nand more")]),
            script("c.rhai", Vec::new()),
        ];
        let expected = "\
TAP version 14
1..3
ok 1 - a.rhai › fine \\# SKIP it
  ---
  duration_ms: 5.000
  ...
not ok 2 - b.rhai › x
  ---
  duration_ms: 5.000
  message: \"1: \\\"no\\\"\\nand more\"
  severity: fail
  at: {\"column\":1,\"file\":\"a.rhai\",\"line\":3}
  detail: \"error: 1: \\\"no\\\"\\nand more\\n  --> a.rhai:3:1\\n\"
  ...
ok 3 - c.rhai # SKIP not run
  ---
  duration_ms: 0.000
  ...
";
        assert_eq!(tap(&recorded(scripts)), expected);
    }
}
