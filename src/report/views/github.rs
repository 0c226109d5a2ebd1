//! What GitHub Actions shows: a summary of the job in Markdown, and annotations, which are lines in its log.
//!
//! Its limits decide: of a summary beyond 1 MiB nothing at all is shown, and of annotations the first ten of a step, the
//! rest without a word. So the summary ends early, what has failed comes first, and there are few annotations, the first
//! cause before its consequences.

use super::cases::{Case, Problem, Status, cases, counts};
use super::model::Recorded;
use crate::report::words::duration;
use std::fmt::Write;
use std::time::Duration;

/// The longest summary.
const LONGEST: usize = 900 * 1024;
const MOST_ANNOTATIONS: usize = 8;
/// Of each failure.
const LONGEST_TEXT: usize = 20_000;
const LONGEST_ANNOTATION: usize = 4_000;

/// The summary.
pub fn summary(recorded: &Recorded) -> String {
    let cases = cases(recorded);
    let counts = counts(&cases);
    let bad = counts.failed + counts.stopped;
    let mut text = match bad {
        0 => format!("### ✅ bgjobs: {} passed\n\n", tests(counts.passed)),
        _ => format!("### ❌ bgjobs: {bad} of {} failed\n\n", tests(counts.all)),
    };
    let took = recorded.runs.iter().map(|run| run.took_ms).fold(0.0, f64::max);
    let mut facts = vec![format!("{} passed", counts.passed)];
    let some = [
        (counts.flaky, "flaky"),
        (counts.failed, "failed"),
        (counts.stopped, "stopped"),
        (counts.skipped, "skipped"),
        (counts.not_run, "not run"),
    ];
    facts.extend(
        some.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")),
    );
    let _ = writeln!(text, "{}; {}", facts.join(", "), time(took));
    let shards: Vec<String> = recorded
        .runs
        .iter()
        .filter_map(|run| run.whole.as_ref()?.shard)
        .map(|it| format!("{}/{}", it.index, it.total))
        .collect();
    if !shards.is_empty() {
        let _ = writeln!(text, "\nshards: {}", shards.join(", "));
    }
    let mut left_out = 0;
    let mut add = |text: &mut String, part: &str| {
        // Room for what is left out, and how the tables end.
        let fits = text.len() + part.len() + 200 < LONGEST;
        if fits { text.push_str(part) } else { left_out += 1 }
    };
    for case in cases.iter().filter(|case| matches!(case.status, Status::Failed(_) | Status::Stopped)) {
        add(&mut text, &failed(case));
    }
    let flaky: Vec<&Case> = cases.iter().filter(|case| case.is_flaky()).collect();
    for (index, case) in flaky.iter().enumerate() {
        let heading = if index == 0 { "\n#### Flaky\n\n" } else { "" };
        let first =
            case.earlier.first().map_or("", |one| one.problem.message.lines().next().unwrap_or_default());
        add(&mut text, &format!("{heading}- {} (first: {})\n", escaped(&case.name), escaped(first)));
    }
    add(&mut text, "\n<details><summary>All tests</summary>\n\n| | test | time |\n| --- | --- | --- |\n");
    for case in &cases {
        let row = format!("| {} | {} | {} |\n", mark(&case.status), escaped(&case.name), time(case.took_ms));
        add(&mut text, &row);
    }
    text.push_str("\n</details>\n");
    if left_out > 0 {
        let _ =
            writeln!(text, "\n{left_out} more entries are left out: GitHub shows no summary beyond 1 MiB.");
    }
    text
}

fn mark(status: &Status) -> &'static str {
    match status {
        Status::Passed => "✅",
        Status::Failed(_) => "❌",
        Status::Stopped => "❌ stopped",
        Status::Skipped(_) => "skipped",
        Status::NotRun => "not run",
    }
}

fn failed(case: &Case) -> String {
    let problem = match &case.status {
        Status::Failed(problem) => problem.clone(),
        _ => Problem::bare("stopped".to_owned(), ""),
    };
    let whole: String = problem.whole().chars().take(LONGEST_TEXT).collect();
    // Longer than any fence in the text.
    let mut longest = 0;
    let mut run = 0;
    for c in whole.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    let took = time(case.took_ms);
    format!("\n#### ❌ {} ({took})\n\n{fence}text\n{}\n{fence}\n", escaped(&case.name), whole.trim_end())
}

/// The lines that become annotations. `prefix`: where in the repository the scripts were called, or nothing.
pub fn annotations(recorded: &Recorded, prefix: &str) -> String {
    let cases = cases(recorded);
    let bad = |case: &&Case| matches!(case.status, Status::Failed(_) | Status::Stopped);
    let mut bad: Vec<&Case> = cases.iter().filter(bad).collect();
    bad.sort_by(|a, b| {
        let stopped = |case: &Case| matches!(case.status, Status::Stopped);
        stopped(a).cmp(&stopped(b)).then(a.failed_at_ms().total_cmp(&b.failed_at_ms()))
    });
    let mut text = String::new();
    for case in bad.into_iter().take(MOST_ANNOTATIONS) {
        let problem = match &case.status {
            Status::Failed(problem) => problem.clone(),
            _ => Problem::bare("stopped".to_owned(), ""),
        };
        let file = match prefix {
            "" => case.file().to_owned(),
            prefix => format!("{prefix}/{}", case.file()),
        };
        let mut at = format!("file={}", property(&file));
        if let Some(line) = problem.line {
            let _ = write!(at, ",line={line}");
        }
        if let Some(column) = problem.column {
            let _ = write!(at, ",col={column}");
        }
        let message: String = problem.whole().trim_end().chars().take(LONGEST_ANNOTATION).collect();
        let _ = writeln!(text, "::error {at},title={}::{}", property(&case.name), data(&message));
    }
    text
}

/// As the log's commands want it: they end with the line.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// One line of Markdown, also in a cell of a table.
fn escaped(text: &str) -> String {
    let line = text.lines().collect::<Vec<_>>().join(" ");
    let mut shown = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '<' => shown.push_str("&lt;"),
            '&' => shown.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '~' => shown.extend(['\\', c]),
            _ => shown.push(c),
        }
    }
    shown
}

/// `1 test`, `2 tests`.
fn tests(count: usize) -> String {
    if count == 1 { "1 test".to_owned() } else { format!("{count} tests") }
}

fn time(ms: f64) -> String {
    duration(Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::views::testing::{failing, passing, recorded, script};

    #[test]
    fn an_annotation_keeps_to_its_line() {
        // Whatever orders a terminal about is taken from the text before.
        let scripts = vec![script("a,b.rhai", vec![failing("50%: x", "first\r\nsecond: 100%, done")])];
        let lines = annotations(&recorded(scripts), "sub");
        let expected = "::error file=sub/a.rhai,line=3,col=1,title=a%2Cb.rhai › 50%25%3A x::error: first\u{fffd}%0Asecond: 100%25, done%0A  --> a.rhai:3:1\n";
        assert_eq!(lines, expected);
    }

    #[test]
    fn there_are_few_annotations_and_no_long_summary() {
        let long = "x".repeat(10_000);
        let scripts: Vec<_> =
            (0..200).map(|number| script(&format!("{number}.rhai"), vec![failing("x", &long)])).collect();
        let all = recorded(scripts);
        assert_eq!(annotations(&all, "").lines().count(), MOST_ANNOTATIONS);
        let text = summary(&all);
        assert!(text.len() < LONGEST && text.len() > LONGEST / 2, "{}", text.len());
        assert!(text.ends_with("more entries are left out: GitHub shows no summary beyond 1 MiB.\n"));
    }

    #[test]
    fn a_summary_tells_what_failed_first() {
        let scripts = vec![
            script("a.rhai", vec![passing(&["<x>|y"])]),
            script("b.rhai", vec![failing("z", "has ``` in it")]),
        ];
        let text = summary(&recorded(scripts));
        assert!(
            text.starts_with("### ❌ bgjobs: 1 of 2 tests failed\n\n1 passed, 1 failed; 2 s\n"),
            "{text}"
        );
        assert!(text.contains("#### ❌ b.rhai › z (5 ms)\n\n````text\nerror: has ``` in it\n"), "{text}");
        assert!(text.contains("| ✅ | a.rhai › &lt;x>\\|y | 5 ms |\n"), "{text}");
    }
}
