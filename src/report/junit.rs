//! JUnit XML, in the dialect of Jenkins, which every CI reads.
//!
//! What readers do with it decides how it is written: GitLab only counts the first of two tests of one name, so that a
//! name has the path of its script before it; it does not show the attribute `message`, so that the text repeats it; and
//! what XML cannot hold is left out.

use super::results::{Ended, Problem, Script, Test, TestOutcome, Try};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite, XmlString};
use std::collections::HashMap;
use std::time::Duration;

/// The report.
pub fn junit(scripts: &[Script], elapsed: Duration) -> Result<String, String> {
    let mut report = Report::new("bgjobs test");
    report.set_time(elapsed);
    let mut names = Names::default();
    for script in scripts {
        let mut suite = TestSuite::new(plain(&script.name));
        suite.set_time(script.tries.iter().map(|one| one.took).sum());
        suite.add_test_cases(cases(script, &mut names));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| error.to_string())
}

/// The names that have been given, each once.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    /// A second one of a name has its number behind it.
    fn unique(&mut self, name: String) -> String {
        let count = self.0.entry(name.clone()).or_default();
        *count += 1;
        match *count {
            1 => name,
            number => self.unique(format!("{name} ({number})")),
        }
    }
}

/// The tests of a script; itself, when it has none, or when something has failed outside of them.
fn cases(script: &Script, names: &mut Names) -> Vec<TestCase> {
    let mut cases = Vec::new();
    let mut add = |name: String, status: TestCaseStatus, took: Duration, problem: Option<&Problem>| {
        let mut case = TestCase::new(plain(&names.unique(name)), status);
        case.set_classname(plain(&script.path)).set_time(took);
        let file = problem.and_then(|problem| problem.file.as_deref()).unwrap_or(&script.path);
        case.extra.insert("file".into(), plain(file));
        if let Some(line) = problem.and_then(|problem| problem.line) {
            case.extra.insert("line".into(), line.to_string().into());
        }
        cases.push(case);
    };
    let Some((last, before)) = script.tries.split_last() else {
        let mut status = TestCaseStatus::skipped();
        status.set_message("not run");
        add(script.name.clone(), status, Duration::ZERO, None);
        return cases;
    };
    for (at, test) in last.tests.iter().enumerate() {
        // One of several tests of that name, by its place among them.
        let number = last.tests[..at].iter().filter(|other| other.name == test.name).count();
        let (mut status, problem) = status_of_test(test);
        let earlier = before.iter().filter_map(|one| {
            let of_name = one.tests.iter().filter(|other| other.name == test.name).nth(number)?;
            match &of_name.outcome {
                TestOutcome::Failed(problem) => Some(rerun(problem, of_name.took)),
                TestOutcome::Passed | TestOutcome::Skipped(_) => None,
            }
        });
        status.add_reruns(earlier);
        add(format!("{} › {}", script.name, test.name), status, test.took, problem);
    }
    let earlier: Vec<TestRerun> = before.iter().filter_map(rerun_of_script).collect();
    if last.tests.is_empty()
        || !earlier.is_empty()
        || !matches!(last.ended, Ended::Passed | Ended::TestsFailed)
    {
        let (mut status, problem) = status_of_script(last);
        status.add_reruns(earlier);
        add(script.name.clone(), status, last.took, problem);
    }
    cases
}

fn status_of_test(test: &Test) -> (TestCaseStatus, Option<&Problem>) {
    match &test.outcome {
        TestOutcome::Passed => (TestCaseStatus::success(), None),
        TestOutcome::Skipped(reason) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(plain(reason));
            (status, None)
        }
        TestOutcome::Failed(problem) => (failed(problem), Some(problem)),
    }
}

fn status_of_script(one: &Try) -> (TestCaseStatus, Option<&Problem>) {
    match &one.ended {
        Ended::Passed | Ended::TestsFailed => (TestCaseStatus::success(), None),
        Ended::Failed(problem) => (failed(problem), Some(problem)),
        Ended::Stopped => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message("stopped").set_description("stopped");
            (status, None)
        }
    }
}

fn failed(problem: &Problem) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(plain(&problem.message)).set_description(plain(&whole(problem)));
    status
}

fn rerun(problem: &Problem, took: Duration) -> TestRerun {
    let mut rerun = TestRerun::new(NonSuccessKind::Failure);
    rerun.set_message(plain(&problem.message)).set_description(plain(&whole(problem))).set_time(took);
    rerun
}

fn rerun_of_script(one: &Try) -> Option<TestRerun> {
    match &one.ended {
        Ended::Failed(problem) => Some(rerun(problem, one.took)),
        Ended::Passed | Ended::TestsFailed | Ended::Stopped => None,
    }
}

/// The text, which says the message in any case.
fn whole(problem: &Problem) -> String {
    match problem.text.contains(&problem.message) {
        true => problem.text.clone(),
        false => format!("{}\n{}", problem.message, problem.text),
    }
}

/// Without what XML 1.0 forbids; the library takes care of the rest.
fn plain(text: &str) -> XmlString {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(message: &str) -> Problem {
        Problem { message: message.to_owned(), text: String::new(), file: None, line: Some(3) }
    }

    fn one(ended: Ended, tests: Vec<(&str, TestOutcome)>) -> Try {
        let test = |(name, outcome): (&str, TestOutcome)| Test {
            name: name.to_owned(),
            took: Duration::from_millis(5),
            outcome,
        };
        Try { took: Duration::from_secs(1), ended, tests: tests.into_iter().map(test).collect() }
    }

    fn report(tries: Vec<Try>) -> String {
        let script = Script { name: "a.rhai".to_owned(), path: "a.rhai".to_owned(), tries };
        junit(&[script], Duration::from_secs(2)).expect("XML")
    }

    #[test]
    fn tests_of_one_name_are_told_apart() {
        let tests = vec![("x", TestOutcome::Passed), ("x", TestOutcome::Passed)];
        let text = report(vec![one(Ended::Passed, tests)]);
        assert!(text.contains("name=\"a.rhai › x\"") && text.contains("name=\"a.rhai › x (2)\""), "{text}");
    }

    #[test]
    fn what_failed_before_is_flaky_when_it_passes_and_a_rerun_when_it_does_not() {
        let first = || one(Ended::TestsFailed, vec![("x", TestOutcome::Failed(problem("no")))]);
        let text = report(vec![first(), one(Ended::Passed, vec![("x", TestOutcome::Passed)])]);
        assert!(
            text.contains("<flakyFailure time=\"0.005\" message=\"no\"") && text.contains("failures=\"0\""),
            "{text}"
        );
        let text = report(vec![first(), first()]);
        assert!(
            text.contains("<rerunFailure time=\"0.005\" message=\"no\"") && text.contains("failures=\"1\""),
            "{text}"
        );
    }

    #[test]
    fn what_xml_cannot_hold_is_left_out() {
        let text = report(vec![one(Ended::Failed(problem("a\u{0}b\u{1b}[31mc\u{ffff}<&>")), Vec::new())]);
        assert!(text.contains("message=\"abc\u{fffd}&lt;&amp;&gt;\""), "{text}");
        assert!(!text.contains(['\u{0}', '\u{1b}', '\u{ffff}']), "{text}");
    }
}
