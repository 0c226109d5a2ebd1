//! Recorded runs to try reports with.

use super::model::{Failure, Outcome, Place, Recorded, Run, Script, Test, TestOutcome, Try};

/// One run with these scripts.
pub fn recorded(scripts: Vec<Script>) -> Recorded {
    let run = Run {
        file: "out.jsonl".to_owned(),
        bgjobs: "0.2.0".to_owned(),
        began: "2026-11-28T09:00:00.000Z".to_owned(),
        began_ms: 1_795_856_400_000.0,
        took_ms: 2000.0,
        whole: None,
        scripts,
        end: None,
        damaged: 0,
    };
    Recorded { runs: vec![run] }
}

pub fn script(path: &str, tries: Vec<Try>) -> Script {
    Script { name: path.to_owned(), path: path.to_owned(), setup: false, tries }
}

fn test(name: &str, outcome: TestOutcome) -> Test {
    let (tags, before) = (Vec::new(), Vec::new());
    Test { name: name.to_owned(), span: None, tags, before, outcome, at_ms: 10.0, took_ms: 5.0 }
}

fn one(outcome: Outcome, tests: Vec<Test>) -> Try {
    Try { number: 1, took_ms: 1000.0, outcome, whole: true, tests, ..Try::default() }
}

/// A try in which all these tests have passed.
pub fn passing(tests: &[&str]) -> Try {
    one(Outcome::Passed, tests.iter().map(|name| test(name, TestOutcome::Passed)).collect())
}

/// A try in which this one has failed.
pub fn failing(name: &str, message: &str) -> Try {
    let failure = Failure {
        message: message.to_owned(),
        place: Some(Place { file: "a.rhai".to_owned(), line: 3, column: 1 }),
        notes: Vec::new(),
        hint: None,
        text: format!("error: {message}\n  --> a.rhai:3:1\n"),
    };
    one(Outcome::Failed, vec![test(name, TestOutcome::Failed(failure))])
}
