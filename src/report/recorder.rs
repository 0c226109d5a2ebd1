//! The lines that `bgjobs test` itself adds to a file of events, between those of its scripts, which these write themselves
//! as things happen: so one that is killed leaves a file that can be read.

use super::events::{Lines, VERSION, ms};
use super::tested::Tally;
use super::views::model::Whole;
use crate::jobs;
use crate::sys::clock;
use serde_json::json;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// How much of what a run has said is repeated, from its end.
const TAIL: u64 = 16 * 1024;

pub struct Recorder {
    /// All write to one description of the file, whose end is moved by each write alone.
    pub file: Arc<File>,
    lines: Lines,
    started: Duration,
    error: Option<String>,
}

/// How a try of a script has ended.
pub struct TryEnd<'a> {
    pub name: &'a str,
    pub number: u32,
    pub outcome: &'static str,
    /// Another one follows.
    pub again: bool,
    pub code: i32,
    pub status: String,
    pub after: Duration,
    /// All that it has said.
    pub said: Option<&'a File>,
}

impl Recorder {
    pub fn begin(file: File, started: Duration, whole: &Whole) -> std::io::Result<Self> {
        let lines = Lines::new(file.try_clone()?, started, None);
        let mut recorder = Self { file: Arc::new(file), lines, started, error: None };
        let shard = whole.shard.map(|it| json!({"index": it.index, "total": it.total}));
        let first = json!({
            "version": VERSION, "bgjobs": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "scripts": whole.paths,
            "repeat": whole.repeat, "list": {"hash": whole.hash, "count": whole.count}, "shard": shard,
        });
        recorder.write("tests_started", first);
        Ok(recorder)
    }

    /// `setup`: it is no test, but what tests share.
    pub fn script_started(&mut self, name: &str, path: &str, number: u32, setup: bool) {
        let value = json!({"script": name, "try": number, "path": path, "setup": setup});
        self.write("script_started", value);
    }

    pub fn script_ended(&mut self, end: &TryEnd) {
        let said = end.said.filter(|_| end.outcome != "passed");
        let said = said.map(|said| tail(said).unwrap_or_default());
        let value = json!({
            "script": end.name, "try": end.number, "tries": end.number, "outcome": end.outcome, "again": end.again,
            "code": end.code, "status": end.status, "took_ms": ms(end.after), "said": said,
        });
        self.write("script_ended", value);
    }

    pub fn ended(&mut self, code: i32, cause: Option<&str>, tally: &Tally) {
        let took = clock::now().saturating_sub(self.started);
        let value = json!({
            "code": code, "cause": cause, "passed": tally.passed, "flaky": tally.flaky, "failed": tally.failed,
            "stopped": tally.stopped, "not_run": tally.not_run, "setups_failed": tally.setups, "took_ms": ms(took),
        });
        self.write("tests_ended", value);
    }

    /// Why not all was recorded.
    pub fn error(&self) -> Option<String> {
        self.error.as_ref().map(|why| format!("the file of --events cannot be written: {why}"))
    }

    fn write(&mut self, name: &str, value: serde_json::Value) {
        if let Err(error) = self.lines.write(clock::now(), name, value) {
            self.error.get_or_insert_with(|| jobs::why(error));
        }
    }
}

/// The end of what a run has said.
fn tail(said: &File) -> std::io::Result<String> {
    let length = said.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    let mut bytes = vec![0; usize::try_from(length - from).unwrap_or(0)];
    said.read_exact_at(&mut bytes, from)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match from {
        0 => text,
        // Its first line may be a part of one.
        _ => format!("…\n{}", text.split_once('\n').map_or("", |(_, rest)| rest)),
    })
}
