//! What files of events tell, as plain data: runs → scripts → tries → jobs, waits, commands, requests, tests, failures.
//! Times are in milliseconds. Reads and words nothing.

use serde::Deserialize;

/// What came of making reports.
#[derive(Debug, Default)]
pub struct Made {
    /// Lines for GitHub, which are to be said.
    pub annotations: String,
    /// What could not be written, and why.
    pub errors: Vec<String>,
}

/// All that was recorded.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// One for each beginning in the files: of `bgjobs test`, or of a single script.
    pub runs: Vec<Run>,
}

#[derive(Clone, Debug)]
pub struct Run {
    /// The file that tells of it, as it was called.
    pub file: String,
    /// The version of the program.
    pub bgjobs: String,
    /// When it began: as the file has it, and in milliseconds since 1970.
    pub began: String,
    pub began_ms: f64,
    /// Up to its end, or to the last line that there is.
    pub took_ms: f64,
    /// What it was to run; none where it was a single script.
    pub whole: Option<Whole>,
    /// In the order in which they were to run; those whose turn never came have no tries.
    pub scripts: Vec<Script>,
    /// None of a run that was killed.
    pub end: Option<End>,
    /// How many lines could not be read.
    pub damaged: usize,
}

/// What a run of `bgjobs test` was a part of, or all of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Of the paths of all scripts, also those of other shards.
    pub hash: String,
    /// How many these are.
    pub count: usize,
    pub shard: Option<Shard>,
    /// The paths of its own.
    pub paths: Vec<String>,
    /// How often each of these was to run.
    pub repeat: u32,
}

/// The first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    pub index: usize,
    pub total: usize,
}

#[derive(Clone, Debug)]
pub struct End {
    pub code: i32,
}

#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Its path, and which of several runs it is.
    pub name: String,
    pub path: String,
    /// It is no test, but a `_setup.rhai`, which tests share.
    pub setup: bool,
    /// All that were made; the last is the one that counts.
    pub tries: Vec<Try>,
}

/// One run of a script.
#[derive(Clone, Debug, Default)]
pub struct Try {
    /// The first is 1.
    pub number: u32,
    /// None where nothing is traced.
    pub trace: Option<Trace>,
    /// Since the beginning of the whole.
    pub at_ms: f64,
    pub took_ms: f64,
    pub outcome: Outcome,
    pub code: Option<i32>,
    /// `exit 1`, `killed by SIGKILL`.
    pub status: Option<String>,
    /// Why it was not the script that ended it.
    pub cause: Option<String>,
    /// What has failed outside of its tests.
    pub failure: Option<Failure>,
    /// The end of what it has said, where nothing else tells why it failed.
    pub said: Option<String>,
    pub jobs: Vec<Job>,
    pub waits: Vec<Wait>,
    pub commands: Vec<Command>,
    pub requests: Vec<Request>,
    pub tests: Vec<Test>,
    /// Tests that have failed and are run again, by their names.
    pub again: Vec<(String, Failure)>,
    pub assertions: Vec<Assertion>,
    pub usage: Vec<Usage>,
    pub notes: Vec<Note>,
    pub tails: Vec<Tail>,
    pub jobs_stopped: usize,
    pub leaked: usize,
    /// Where its logs and other files are kept.
    pub kept: Vec<String>,
    /// It has told its own end.
    pub whole: bool,
}

/// The trace that services of a run add their spans to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub id: String,
    /// The span of the run.
    pub span: String,
    /// The one around it, where others have begun the trace.
    pub parent: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// It was stopped from outside.
    Stopped,
    /// Nothing tells of its end: it was killed, or still runs.
    #[default]
    Unfinished,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The first cause.
    pub message: String,
    pub place: Option<Place>,
    pub notes: Vec<String>,
    /// The next edit, where one is clear.
    pub hint: Option<String>,
    /// All of it, as it was shown.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: u64,
    pub column: u64,
}

/// A job, from one start to its end; one that is started again is another.
#[derive(Clone, Debug)]
pub struct Job {
    pub name: String,
    pub command: String,
    pub pid: i64,
    pub at_ms: f64,
    pub ready: Option<Ready>,
    /// None where it was never seen to end.
    pub end: Option<JobEnd>,
    /// The line that meant failure.
    pub failed: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Ready {
    pub at_ms: f64,
    /// What has shown it.
    pub what: String,
}

#[derive(Clone, Debug)]
pub struct JobEnd {
    pub at_ms: f64,
    pub how: JobEnding,
    /// `exit 3`, where that is known.
    pub status: Option<String>,
    /// How long it took to stop.
    pub took_ms: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnding {
    /// By itself, as it was expected to.
    Ended,
    /// By itself, unexpectedly.
    Died,
    /// It was asked to.
    Stopped,
    /// SIGKILL had to end it.
    Killed,
}

#[derive(Clone, Debug)]
pub struct Wait {
    pub what: String,
    pub ok: bool,
    pub at_ms: f64,
    pub took_ms: f64,
}

#[derive(Clone, Debug)]
pub struct Command {
    pub command: String,
    /// None of one that was never seen to end.
    pub status: Option<String>,
    pub ok: bool,
    pub at_ms: f64,
    pub took_ms: f64,
}

/// An HTTP request of the script.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub url: String,
    pub status: Option<u16>,
    /// Why there is no answer.
    pub error: Option<String>,
    pub at_ms: f64,
    pub took_ms: f64,
}

#[derive(Clone, Debug)]
pub struct Test {
    pub name: String,
    pub tags: Vec<String>,
    /// How it has failed before, when it was run again by its own option.
    pub before: Vec<Failure>,
    /// The id of its span, where there is a trace.
    pub span: Option<String>,
    pub outcome: TestOutcome,
    pub at_ms: f64,
    pub took_ms: f64,
}

#[derive(Clone, Debug)]
pub enum TestOutcome {
    Passed,
    /// For this reason.
    Skipped(String),
    Failed(Failure),
}

/// What jobs used at one moment.
#[derive(Clone, Debug)]
pub struct Usage {
    pub at_ms: f64,
    pub jobs: Vec<Used>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Used {
    pub job: String,
    /// Since its start.
    pub cpu_ms: f64,
    /// In bytes.
    pub rss: u64,
}

#[derive(Clone, Debug)]
pub struct Assertion {
    pub function: String,
    pub ok: bool,
    pub place: Option<Place>,
    pub at_ms: f64,
}

/// What the script or bgjobs has said.
#[derive(Clone, Debug)]
pub struct Note {
    pub kind: NoteKind,
    pub text: String,
    pub at_ms: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    Log,
    Warning,
    Interrupted,
}

/// The end of a log that a failure shows.
#[derive(Clone, Debug)]
pub struct Tail {
    pub title: String,
    pub lines: Vec<String>,
    /// The test that has failed; none when it was the script.
    pub test: Option<String>,
}

impl Script {
    /// The run that counts.
    pub fn last(&self) -> Option<&Try> {
        self.tries.last()
    }

    /// It has failed, and has passed when it was tried again.
    pub fn is_flaky(&self) -> bool {
        self.tries.len() > 1 && self.last().is_some_and(|last| last.outcome == Outcome::Passed)
    }

    /// All runs of it together.
    pub fn took_ms(&self) -> f64 {
        self.tries.iter().map(|one| one.took_ms).sum()
    }
}
