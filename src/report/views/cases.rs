//! What is counted: each test of a script, and a script itself, when it has no tests or when something has failed outside
//! of them; what scripts share, when it has failed. All reports of tests tell of these, so that none counts otherwise than another.

use super::model::{Failure, Outcome, Recorded, Run, Script, Test, TestOutcome, Try};
use crate::report::said::sanitize;
use std::collections::HashMap;

pub struct Case<'a> {
    /// Once among all: `a.rhai › adds`, or the name of the script.
    pub name: String,
    pub run: &'a Run,
    pub script: &'a Script,
    /// None where the case is the script itself.
    pub test: Option<&'a str>,
    pub tags: &'a [String],
    pub status: Status,
    /// In milliseconds since 1970; 0 of what did not run.
    pub at_ms: f64,
    pub took_ms: f64,
    /// How it has failed before, when it was tried again.
    pub earlier: Vec<Earlier>,
    /// The trace that it is in, and its span there.
    pub trace: Option<(&'a str, &'a str)>,
}

pub enum Status {
    Passed,
    Failed(Problem),
    /// For this reason.
    Skipped(String),
    /// It was stopped, as all were.
    Stopped,
    NotRun,
}

pub struct Earlier {
    pub number: u32,
    pub problem: Problem,
    pub took_ms: f64,
}

/// Why something has failed.
#[derive(Clone)]
pub struct Problem {
    pub message: String,
    /// All of it, as it was shown.
    pub text: String,
    pub file: Option<String>,
    pub line: Option<u64>,
    pub column: Option<u64>,
}

impl Case<'_> {
    pub fn is_flaky(&self) -> bool {
        matches!(self.status, Status::Passed) && !self.earlier.is_empty()
    }

    /// The file to look into.
    pub fn file(&self) -> &str {
        match &self.status {
            Status::Failed(problem) => problem.file.as_deref().unwrap_or(&self.script.path),
            _ => &self.script.path,
        }
    }

    /// Where what has failed first: of a script whose job has died, that.
    pub fn failed_at_ms(&self) -> f64 {
        let died = |one: &Try| {
            let deaths = one.jobs.iter().filter_map(|job| job.end.as_ref());
            let died = deaths.filter(|end| end.how == super::model::JobEnding::Died);
            died.map(|end| end.at_ms).min_by(f64::total_cmp)
        };
        let of_script = self.script.last().filter(|_| self.test.is_none()).and_then(died);
        of_script.map_or(self.at_ms + self.took_ms, |ms| self.run.began_ms + ms)
    }
}

impl Problem {
    /// One without a place.
    pub fn bare(message: String, text: &str) -> Self {
        Self { message, text: sanitize(text), file: None, line: None, column: None }
    }

    fn of(failure: &Failure) -> Self {
        let place = failure.place.as_ref();
        Self {
            message: sanitize(&failure.message),
            text: sanitize(&failure.text),
            file: place.map(|place| place.file.clone()),
            // Without a line it is an option as it was typed.
            line: place.map(|place| place.line).filter(|line| *line > 0),
            column: place.map(|place| place.column).filter(|column| *column > 0),
        }
    }

    /// The text of a report: with the message, where it does not begin with that.
    pub fn whole(&self) -> String {
        match self.text.contains(&self.message) {
            true => self.text.clone(),
            false => format!("{}\n{}", self.message, self.text),
        }
    }
}

/// All cases, in the order of the scripts.
pub fn cases(recorded: &Recorded) -> Vec<Case<'_>> {
    let mut names = Names::default();
    let mut all = Vec::new();
    for run in &recorded.runs {
        for script in run.scripts.iter().filter(|script| is_counted(script)) {
            add(run, script, &mut names, &mut all);
        }
    }
    all
}

/// What scripts share is worth a word when it is the cause of what they are.
fn is_counted(script: &Script) -> bool {
    let failed = |last: &Try| matches!(last.outcome, Outcome::Failed | Outcome::Unfinished);
    !script.setup || script.last().is_some_and(failed)
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

fn add<'a>(run: &'a Run, script: &'a Script, names: &mut Names, all: &mut Vec<Case<'a>>) {
    let Some((last, before)) = script.tries.split_last() else {
        let name = names.unique(script.name.clone());
        let (status, earlier) = (Status::NotRun, Vec::new());
        all.push(Case {
            name,
            run,
            script,
            test: None,
            tags: &[],
            status,
            at_ms: 0.0,
            took_ms: 0.0,
            earlier,
            trace: None,
        });
        return;
    };
    for (at, test) in last.tests.iter().enumerate() {
        // One of several tests of that name, by its place among them.
        let number = last.tests[..at].iter().filter(|other| other.name == test.name).count();
        let earlier = before.iter().filter_map(|one| {
            let of_name = one.tests.iter().filter(|other| other.name == test.name).nth(number)?;
            match &of_name.outcome {
                TestOutcome::Failed(failure) => Some(Earlier {
                    number: one.number,
                    problem: Problem::of(failure),
                    took_ms: of_name.took_ms,
                }),
                TestOutcome::Passed | TestOutcome::Skipped(_) => None,
            }
        });
        // By its own option: how long each took is not told.
        let own = (1..).zip(&test.before).map(|(number, failure)| Earlier {
            number,
            problem: Problem::of(failure),
            took_ms: 0.0,
        });
        all.push(Case {
            name: names.unique(sanitize(&format!("{} › {}", script.name, test.name))),
            run,
            script,
            test: Some(&test.name),
            tags: &test.tags,
            status: status_of_test(test),
            at_ms: run.began_ms + test.at_ms,
            took_ms: test.took_ms,
            earlier: earlier.chain(own).collect(),
            trace: last
                .trace
                .as_ref()
                .zip(test.span.as_deref())
                .map(|(trace, span)| (trace.id.as_str(), span)),
        });
    }
    let earlier: Vec<Earlier> = before.iter().filter_map(earlier_of_script).collect();
    if last.tests.is_empty()
        || !earlier.is_empty()
        || !matches!(ended(last), Ended::Passed | Ended::TestsFailed)
    {
        all.push(Case {
            name: names.unique(script.name.clone()),
            run,
            script,
            test: None,
            tags: &[],
            status: status_of_script(last),
            at_ms: run.began_ms + last.at_ms,
            took_ms: last.took_ms,
            earlier,
            trace: last.trace.as_ref().map(|trace| (trace.id.as_str(), trace.span.as_str())),
        });
    }
}

enum Ended {
    Passed,
    Stopped,
    /// Because of its tests alone.
    TestsFailed,
    Failed(Problem),
}

fn ended(one: &Try) -> Ended {
    let failed = one.tests.iter().any(|test| matches!(test.outcome, TestOutcome::Failed(_)));
    let bare = |message: String, text: &str| Ended::Failed(Problem::bare(message, text));
    match (one.outcome, &one.failure) {
        (Outcome::Passed, _) => Ended::Passed,
        (Outcome::Stopped, _) => Ended::Stopped,
        (_, Some(failure)) => Ended::Failed(Problem::of(failure)),
        (Outcome::Failed, None) if failed && one.whole => Ended::TestsFailed,
        (Outcome::Failed, None) => {
            let code = || one.code.map_or_else(|| "failed".to_owned(), |code| format!("exit {code}"));
            let how = one.cause.clone().or_else(|| one.status.clone());
            bare(how.unwrap_or_else(code), one.said.as_deref().unwrap_or_default())
        }
        (Outcome::Unfinished, None) => bare("killed: what was recorded has no end".to_owned(), ""),
    }
}

fn status_of_test(test: &Test) -> Status {
    match &test.outcome {
        TestOutcome::Passed => Status::Passed,
        TestOutcome::Skipped(reason) => Status::Skipped(sanitize(reason)),
        TestOutcome::Failed(failure) => Status::Failed(Problem::of(failure)),
    }
}

fn status_of_script(one: &Try) -> Status {
    match ended(one) {
        Ended::Passed | Ended::TestsFailed => Status::Passed,
        Ended::Stopped => Status::Stopped,
        Ended::Failed(problem) => Status::Failed(problem),
    }
}

/// A failure that is not one of its tests.
fn earlier_of_script(one: &Try) -> Option<Earlier> {
    match ended(one) {
        Ended::Failed(problem) => Some(Earlier { number: one.number, problem, took_ms: one.took_ms }),
        Ended::Passed | Ended::Stopped | Ended::TestsFailed => None,
    }
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub all: usize,
    pub passed: usize,
    pub flaky: usize,
    pub failed: usize,
    pub skipped: usize,
    pub stopped: usize,
    pub not_run: usize,
}

pub fn counts(cases: &[Case]) -> Counts {
    let mut counts = Counts { all: cases.len(), ..Counts::default() };
    for case in cases {
        let one = match case.status {
            Status::Passed => &mut counts.passed,
            Status::Failed(_) => &mut counts.failed,
            Status::Skipped(_) => &mut counts.skipped,
            Status::Stopped => &mut counts.stopped,
            Status::NotRun => &mut counts.not_run,
        };
        *one += 1;
        counts.flaky += usize::from(case.is_flaky());
    }
    counts
}
