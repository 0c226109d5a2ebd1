//! One line of a file of events, as it is written there; what its keys mean is told by the schema.

use super::model::{Failure, Place, Trace, Used};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Line {
    pub ms: f64,
    pub time: String,
    /// Which script of several.
    #[serde(default)]
    pub script: Option<String>,
    #[serde(default, rename = "try")]
    pub number: Option<u32>,
    #[serde(flatten)]
    pub what: What,
}

/// The first lines tell who has written them, in which version.
#[derive(Deserialize)]
pub struct First {
    pub event: String,
    pub version: u64,
    #[serde(default)]
    pub bgjobs: String,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    TestsStarted {
        bgjobs: String,
        scripts: Vec<String>,
        #[serde(default = "once")]
        repeat: u32,
        list: List,
        #[serde(default)]
        shard: Option<Part>,
    },
    ScriptStarted {
        path: String,
        #[serde(default)]
        setup: bool,
    },
    ScriptEnded {
        outcome: Ended,
        code: i32,
        status: String,
        took_ms: f64,
        #[serde(default)]
        said: Option<String>,
    },
    TestsEnded {
        code: i32,
    },
    RunStarted {
        bgjobs: String,
        #[serde(flatten)]
        ids: Ids,
    },
    RunEnded {
        code: i32,
        cause: Option<String>,
        failure: Option<Failed>,
        jobs_stopped: usize,
        leaked: usize,
        kept: Vec<String>,
    },
    JobStarted {
        job: String,
        command: String,
        pid: i64,
    },
    JobReady {
        job: String,
        what: String,
    },
    JobEnded {
        job: String,
        status: String,
    },
    JobDied {
        job: String,
        status: String,
    },
    JobFailed {
        job: String,
        line: String,
    },
    JobStopped {
        job: String,
        status: Option<String>,
        killed: bool,
        #[serde(default)]
        took_ms: f64,
    },
    CommandStarted {
        command: String,
    },
    CommandEnded {
        command: String,
        status: String,
        ok: bool,
        took_ms: f64,
    },
    Wait {
        what: String,
        ok: bool,
        took_ms: f64,
    },
    Request {
        method: String,
        url: String,
        status: Option<u16>,
        error: Option<String>,
        took_ms: f64,
    },
    Usage {
        jobs: Vec<Used>,
    },
    Assertion {
        function: String,
        ok: bool,
        place: Option<At>,
    },
    Test {
        name: String,
        outcome: Tested,
        took_ms: f64,
        reason: Option<String>,
        failure: Option<Failed>,
        #[serde(default)]
        tags: Vec<String>,
        #[serde(default)]
        span_id: Option<String>,
    },
    TestAgain {
        name: String,
        failure: Failed,
    },
    LogTail {
        title: String,
        lines: Vec<String>,
        test: Option<String>,
    },
    Log {
        text: String,
    },
    Warning {
        text: String,
    },
    Interrupted {
        text: String,
    },
    /// What is of no use here, or of a later version.
    #[serde(other)]
    Other,
}

fn once() -> u32 {
    1
}

/// The trace context of a run.
#[derive(Deserialize)]
pub struct Ids {
    #[serde(default)]
    pub trace_id: Option<String>,
    #[serde(default)]
    pub span_id: Option<String>,
    #[serde(default)]
    pub parent_span_id: Option<String>,
}

/// All scripts, of which there may be several shards.
#[derive(Deserialize)]
pub struct List {
    pub hash: String,
    pub count: usize,
}

#[derive(Deserialize)]
pub struct Part {
    pub index: usize,
    pub total: usize,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    Passed,
    Failed,
    Stopped,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tested {
    Passed,
    Failed,
    Skipped,
}

#[derive(Deserialize)]
pub struct Failed {
    message: String,
    place: Option<At>,
    #[serde(default)]
    notes: Vec<String>,
    hint: Option<String>,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
pub struct At {
    file: String,
    line: u64,
    column: u64,
}

impl From<Ids> for Option<Trace> {
    fn from(it: Ids) -> Self {
        Some(Trace { id: it.trace_id?, span: it.span_id?, parent: it.parent_span_id })
    }
}

impl From<At> for Place {
    fn from(it: At) -> Self {
        Self { file: it.file, line: it.line, column: it.column }
    }
}

impl From<Failed> for Failure {
    fn from(it: Failed) -> Self {
        let Failed { message, place, notes, hint, text } = it;
        Self { message, place: place.map(Place::from), notes, hint, text }
    }
}
