//! JUnit XML, in the dialect of Jenkins, which every CI reads.
//!
//! What readers do with it decides how it is written: GitLab only counts the first of two tests of one name, so that a
//! name has the path of its script before it; it does not show the attribute `message`, so that the text repeats it; the
//! schema of Jenkins wants a `type` of each rerun; and what XML cannot hold is left out.
//!
//! Jenkins' xunit plugin refuses a file that is not valid for its schema, as a whole, and the schema does not know where a
//! test case stands, which others show. So what it does not know is written only where these others are.

use super::cases::{Case, Earlier, Problem, Status, cases};
use super::model::Recorded;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite, XmlString};
use std::time::Duration;

/// What may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// What the schema `junit-10.xsd` of Jenkins' xunit plugin knows, and nothing else.
    Strict,
    /// Also the file and the line of a test case, its tags as properties, and how long its earlier tries took.
    Wide,
}

/// Where something reads `file` of a test case: GitLab and CircleCI themselves, on GitHub the actions for such files. Each
/// is `true` in its jobs.
const READ_WIDE: &[&str] = &["GITLAB_CI", "CIRCLECI", "GITHUB_ACTIONS"];

impl Dialect {
    /// That of this machine's readers.
    pub fn here() -> Self {
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| value == "true");
        if READ_WIDE.iter().any(is_set) { Self::Wide } else { Self::Strict }
    }
}

/// The report.
pub fn junit(recorded: &Recorded, dialect: Dialect) -> Result<String, String> {
    let mut report = Report::new("bgjobs test");
    report.set_time(time(recorded.runs.iter().map(|run| run.took_ms).fold(0.0, f64::max)));
    let mut all = cases(recorded).into_iter().peekable();
    while let Some(first) = all.next() {
        let script = first.script;
        let mut suite = TestSuite::new(plain(&script.name));
        suite.set_time(time(script.took_ms()));
        // The schema knows it here.
        suite.extra.insert("file".into(), plain(&script.path));
        suite.add_test_case(written(&first, dialect));
        while let Some(other) = all.next_if(|case| std::ptr::eq(case.script, script)) {
            suite.add_test_case(written(&other, dialect));
        }
        report.add_test_suite(suite);
    }
    let text = report.to_string().map_err(|error| error.to_string())?;
    // The library counts them in the first element in any case. Nothing before it could look like this.
    let skipped = format!(" skipped=\"{}\"", report.skipped);
    Ok(if dialect == Dialect::Strict { text.replacen(&skipped, "", 1) } else { text })
}

fn time(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

fn written(case: &Case, dialect: Dialect) -> TestCase {
    let mut status = match &case.status {
        Status::Passed => TestCaseStatus::success(),
        Status::Failed(problem) => failed(problem),
        Status::Skipped(reason) => skipped(reason),
        Status::NotRun => skipped("not run"),
        Status::Stopped => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message("stopped").set_description("stopped");
            status
        }
    };
    status.add_reruns(case.earlier.iter().map(|earlier| rerun(earlier, dialect)));
    let mut written = TestCase::new(plain(&case.name), status);
    written.set_classname(plain(&case.script.path)).set_time(time(case.took_ms));
    if dialect == Dialect::Strict {
        // What groups a test is in: all that the schema has for tags.
        if !case.tags.is_empty() {
            written.extra.insert("group".into(), plain(&case.tags.join(",")));
        }
        return written;
    }
    written.extra.insert("file".into(), plain(case.file()));
    if let Status::Failed(Problem { line: Some(line), .. }) = &case.status {
        written.extra.insert("line".into(), line.to_string().into());
    }
    for tag in case.tags {
        written.add_property((plain("tag"), plain(tag)));
    }
    written
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    // GitLab reads the text alone.
    status.set_message(plain(reason)).set_description(plain(reason));
    status
}

fn failed(problem: &Problem) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(plain(&problem.message)).set_description(plain(&problem.whole()));
    status
}

fn rerun(earlier: &Earlier, dialect: Dialect) -> TestRerun {
    let mut rerun = TestRerun::new(NonSuccessKind::Failure);
    let (message, text) = (plain(&earlier.problem.message), plain(&earlier.problem.whole()));
    rerun.set_type("failed").set_message(message).set_description(text);
    if dialect == Dialect::Wide {
        rerun.set_time(time(earlier.took_ms));
    }
    rerun
}

/// Without what XML 1.0 forbids; the library takes care of the rest.
fn plain(text: &str) -> XmlString {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::views::testing::{failing, passing, recorded, script};

    fn report(tries: Vec<super::super::model::Try>) -> String {
        junit(&recorded(vec![script("a.rhai", tries)]), Dialect::Wide).expect("XML")
    }

    #[test]
    fn tests_of_one_name_are_told_apart() {
        let text = report(vec![passing(&["x", "x"])]);
        assert!(text.contains("name=\"a.rhai › x\"") && text.contains("name=\"a.rhai › x (2)\""), "{text}");
    }

    #[test]
    fn what_failed_before_is_flaky_when_it_passes_and_a_rerun_when_it_does_not() {
        let text = report(vec![failing("x", "no"), passing(&["x"])]);
        let flaky = "<flakyFailure time=\"0.005\" message=\"no\" type=\"failed\"";
        assert!(text.contains(flaky) && text.contains("failures=\"0\""), "{text}");
        let text = report(vec![failing("x", "no"), failing("x", "no")]);
        let rerun = "<rerunFailure time=\"0.005\" message=\"no\" type=\"failed\"";
        assert!(text.contains(rerun) && text.contains("failures=\"1\""), "{text}");
    }

    #[test]
    fn what_xml_cannot_hold_is_left_out() {
        let text = report(vec![failing("x", "a\u{0}b\u{1b}[31mc\u{ffff}<&>")]);
        assert!(text.contains("message=\"a\u{fffd}bc\u{fffd}&lt;&amp;&gt;\""), "{text}");
        assert!(!text.contains(['\u{0}', '\u{1b}', '\u{ffff}']), "{text}");
    }
}
