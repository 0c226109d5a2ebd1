//! What came of each script of `bgjobs test`, read from the events of its runs: plain data for reports.

use crate::jobs;
use crate::sys::wait::ExitStatus;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::time::Duration;

/// How much of what a run has said a report repeats, from its end.
const TAIL: u64 = 16 * 1024;

/// A script, and all that was tried with it; nothing when its turn never came.
pub struct Script {
    /// Its path, and which of several runs it is.
    pub name: String,
    pub path: String,
    pub tries: Vec<Try>,
}

/// One run of it.
pub struct Try {
    pub took: Duration,
    pub ended: Ended,
    pub tests: Vec<Test>,
}

pub enum Ended {
    Passed,
    /// It was stopped, as all were.
    Stopped,
    /// Because of its tests alone.
    TestsFailed,
    Failed(Problem),
}

pub struct Test {
    pub name: String,
    pub took: Duration,
    pub outcome: TestOutcome,
}

pub enum TestOutcome {
    Passed,
    Skipped(String),
    Failed(Problem),
}

/// Why something failed.
#[derive(Clone)]
pub struct Problem {
    pub message: String,
    /// All of it, as it was shown.
    pub text: String,
    pub file: Option<String>,
    pub line: Option<u64>,
}

impl Try {
    /// Reads what a run has recorded and said; a line that was cut short by its end is left out.
    pub fn read(mut events: &File, said: &File, status: ExitStatus, stopped: bool, took: Duration) -> Self {
        let mut tests = Vec::new();
        let mut failure = None;
        let mut whole = false;
        let lines = events.rewind().map(|()| BufReader::new(events).lines()).into_iter().flatten();
        for line in lines.map_while(Result::ok) {
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            match event["event"].as_str() {
                Some("test") => tests.push(Test::read(&event)),
                Some("run_ended") => {
                    whole = true;
                    failure = Problem::read(&event["failure"]);
                }
                _ => {}
            }
        }
        let failed = tests.iter().any(|test| matches!(test.outcome, TestOutcome::Failed(_)));
        let ended = match failure {
            _ if status.success() => Ended::Passed,
            _ if stopped => Ended::Stopped,
            Some(problem) => Ended::Failed(problem),
            None if failed && whole => Ended::TestsFailed,
            None => Ended::Failed(Problem {
                message: jobs::describe(status),
                text: tail(said).unwrap_or_default(),
                file: None,
                line: None,
            }),
        };
        Self { took, ended, tests }
    }
}

impl Test {
    fn read(event: &Value) -> Self {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let outcome = match event["outcome"].as_str() {
            Some("passed") => TestOutcome::Passed,
            Some("skipped") => TestOutcome::Skipped(text("reason")),
            _ => TestOutcome::Failed(Problem::read(&event["failure"]).unwrap_or_else(|| Problem {
                message: "failed".to_owned(),
                text: String::new(),
                file: None,
                line: None,
            })),
        };
        let ms = event["took_ms"].as_f64().unwrap_or_default();
        let took = Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default();
        Self { name: text("name"), took, outcome }
    }
}

impl Problem {
    fn read(failure: &Value) -> Option<Self> {
        let place = &failure["place"];
        Some(Self {
            message: failure["message"].as_str()?.to_owned(),
            text: failure["text"].as_str().unwrap_or_default().to_owned(),
            file: place["file"].as_str().map(str::to_owned),
            line: place["line"].as_u64(),
        })
    }
}

/// The end of what a run has said.
fn tail(mut said: &File) -> std::io::Result<String> {
    let length = said.seek(SeekFrom::End(0))?;
    said.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    said.take(TAIL).read_to_end(&mut bytes)?;
    said.rewind()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match length.saturating_sub(TAIL) {
        0 => text,
        // Its first line may be a part of one.
        _ => format!("…\n{}", text.split_once('\n').map_or("", |(_, rest)| rest)),
    })
}
