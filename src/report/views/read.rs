//! Files of events → what they tell. A line that was cut short by the end of its run is left out, and what is not such a
//! file is refused by its first line.

use super::line::{Ended, First, Line, Tested, What};
use super::model::{
    Assertion, Command, End, Job, JobEnd, JobEnding, Note, NoteKind, Outcome, Ready, Recorded, Request, Run,
    Script, Shard, Tail, Test, TestOutcome, Try, Usage, Wait, Whole,
};
use crate::event::Failure;
use crate::exit;
use crate::jobs;
use crate::report::events::{VERSION, since_1970};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What several files tell, in their order.
pub fn read(paths: &[PathBuf]) -> Result<Recorded, Failure> {
    let mut runs = Vec::new();
    for path in paths {
        runs.extend(one(path)?);
    }
    Ok(Recorded { runs })
}

/// What a file tells that somebody may still write to: where that one goes on is not changed.
pub fn read_one(file: &File, name: &str) -> Result<Recorded, Failure> {
    Ok(Recorded { runs: runs(BufReader::new(FromStart { file, at: 0 }), name)? })
}

fn one(path: &Path) -> Result<Vec<Run>, Failure> {
    let name = path.display().to_string();
    if path.is_dir() {
        let hint = format!("bgjobs report merge {}", crate::words::quote(&name));
        return Err(refused(&format!("`{name}` is a directory"), &format!("{hint}   (the shards in it)")));
    }
    let file = File::open(path).map_err(jobs::why);
    let file = file.map_err(|why| refused(&format!("`{name}` cannot be read: {why}"), WRITES_ONE))?;
    runs(BufReader::new(file), &name)
}

const WRITES_ONE: &str = "bgjobs test --events OUT.jsonl   (writes one; so does `bgjobs script`)";

fn refused(message: &str, hint: &str) -> Failure {
    Failure {
        code: exit::USAGE,
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
        ..Failure::default()
    }
}

struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.file.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

fn runs(mut lines: impl BufRead, name: &str) -> Result<Vec<Run>, Failure> {
    let mut runs: Vec<Run> = Vec::new();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let length = lines.read_until(b'\n', &mut bytes).map_err(jobs::why);
        match length.map_err(|why| refused(&format!("`{name}` cannot be read: {why}"), WRITES_ONE))? {
            0 if runs.is_empty() => {
                let mut empty = refused(&format!("`{name}` is empty: it tells of no run"), WRITES_ONE);
                empty
                    .notes
                    .push("a run that fails before it begins, by a usage error, records nothing".to_owned());
                return Err(empty);
            }
            0 => break,
            _ => {}
        }
        let line = String::from_utf8_lossy(&bytes);
        if line.trim().is_empty() {
            continue;
        }
        let first: Option<First> = serde_json::from_str(&line).ok();
        let begins = first.filter(|it| matches!(it.event.as_str(), "tests_started" | "run_started"));
        if let Some(begins) = &begins
            && begins.version > u64::from(VERSION)
        {
            let message = format!(
                "`{name}` is a file of events of version {}, by bgjobs {}; this is bgjobs {}, which knows version {VERSION}",
                begins.version,
                begins.bgjobs,
                env!("CARGO_PKG_VERSION"),
            );
            return Err(refused(&message, "read it with the bgjobs that has written it, or a newer one"));
        }
        if begins.is_none() && runs.is_empty() {
            return Err(refused(&format!("`{name}` is not a file of events"), WRITES_ONE));
        }
        match (serde_json::from_str::<Line>(&line), runs.last_mut()) {
            // Of a script of `bgjobs test` it is one of many lines.
            (Ok(line), last) if begins.is_some() && (line.script_of_many().is_none() || last.is_none()) => {
                runs.push(begun(line, name));
            }
            (Ok(line), Some(run)) => run.add(line),
            // The last line of what was killed may be half of one.
            (Err(_), Some(run)) if bytes.ends_with(b"\n") => run.damaged += 1,
            (_, _) => {}
        }
    }
    runs.iter_mut().for_each(Run::close);
    Ok(runs)
}

impl Line {
    /// The script and the try that this belongs to, in the file of `bgjobs test`.
    fn script_of_many(&self) -> Option<(&str, u32)> {
        Some((self.script.as_deref()?, self.number?))
    }
}

/// The run that a line begins.
fn begun(line: Line, file: &str) -> Run {
    let mut run = Run {
        file: file.to_owned(),
        bgjobs: String::new(),
        began_ms: since_1970(&line.time) - line.ms,
        began: line.time,
        took_ms: line.ms,
        whole: None,
        scripts: Vec::new(),
        end: None,
        damaged: 0,
    };
    let script =
        |name: String, path: &str| Script { name, path: path.to_owned(), setup: false, tries: Vec::new() };
    match line.what {
        What::TestsStarted { bgjobs, scripts: paths, repeat, list, shard } => {
            run.bgjobs = bgjobs;
            for number in 1..=repeat {
                let name = |path: &String| match repeat {
                    1 => path.clone(),
                    _ => format!("{path} [{number}]"),
                };
                run.scripts.extend(paths.iter().map(|path| script(name(path), path)));
            }
            let shard = shard.map(|it| Shard { index: it.index, total: it.total });
            run.whole = Some(Whole { hash: list.hash, count: list.count, shard, paths, repeat });
        }
        What::RunStarted { bgjobs, ids } => {
            run.bgjobs = bgjobs;
            let path = line.script.unwrap_or_default();
            let mut one = script(path.clone(), &path);
            one.tries.push(Try { number: 1, trace: ids.into(), at_ms: line.ms, ..Try::default() });
            run.scripts.push(one);
        }
        _ => {}
    }
    run
}

impl Run {
    fn add(&mut self, line: Line) {
        self.took_ms = self.took_ms.max(line.ms);
        if let What::TestsEnded { code } = line.what {
            self.end = Some(End { code });
            return;
        }
        let of = line.script_of_many().map(|(name, number)| (name.to_owned(), number));
        let Some(one) = self.at(of, &line) else { return };
        if let Some(end) = one.add(line.ms, line.what) {
            // A script alone is the whole run.
            if self.whole.is_none() {
                self.end = Some(end);
            }
        }
    }

    /// Which run of which script it is that a line tells of.
    fn at(&mut self, of: Option<(String, u32)>, line: &Line) -> Option<&mut Try> {
        let Some((name, number)) = of else { return self.scripts.last_mut()?.tries.last_mut() };
        let index = match self.scripts.iter().position(|script| script.name == name) {
            Some(index) => index,
            None => {
                let (path, setup) = match &line.what {
                    What::ScriptStarted { path, setup } => (path.clone(), *setup),
                    _ => (name.clone(), false),
                };
                self.scripts.push(Script { name, path, setup, tries: Vec::new() });
                self.scripts.len() - 1
            }
        };
        let tries = &mut self.scripts[index].tries;
        let at = tries.iter().position(|one| one.number == number).unwrap_or_else(|| {
            tries.push(Try { number, at_ms: line.ms, ..Try::default() });
            tries.len() - 1
        });
        tries.get_mut(at)
    }

    /// What never ended went on until the last line.
    fn close(&mut self) {
        for one in self.scripts.iter_mut().flat_map(|script| &mut script.tries) {
            if one.outcome == Outcome::Unfinished && one.took_ms <= 0.0 {
                one.took_ms = (self.took_ms - one.at_ms).max(0.0);
            }
            let until = one.at_ms + one.took_ms;
            for command in one.commands.iter_mut().filter(|command| command.status.is_none()) {
                command.took_ms = (until - command.at_ms).max(0.0);
            }
        }
    }
}

impl Try {
    /// What a line tells; how the run has ended, when it does.
    fn add(&mut self, ms: f64, what: What) -> Option<End> {
        match what {
            What::ScriptEnded { outcome, code, status, took_ms, said } => {
                self.outcome = match outcome {
                    Ended::Passed => Outcome::Passed,
                    Ended::Failed => Outcome::Failed,
                    Ended::Stopped => Outcome::Stopped,
                };
                (self.code, self.status, self.took_ms) = (Some(code), Some(status), took_ms);
                self.said = said;
            }
            What::RunEnded { code, cause, failure, jobs_stopped, leaked, kept } => {
                self.outcome = match (code, &cause) {
                    (exit::OK, _) => Outcome::Passed,
                    // By a signal, as its end says, and not by what a command has ended with.
                    (129.., Some(_)) => Outcome::Stopped,
                    _ => Outcome::Failed,
                };
                (self.code, self.took_ms) = (Some(code), (ms - self.at_ms).max(0.0));
                (self.cause, self.failure) = (cause, failure.map(Into::into));
                (self.jobs_stopped, self.leaked, self.kept) = (jobs_stopped, leaked, kept);
                self.whole = true;
                return Some(End { code });
            }
            What::JobStarted { job: name, command, pid } => {
                let job = Job { name, command, pid, at_ms: ms, ready: None, end: None, failed: None };
                self.jobs.push(job);
            }
            What::JobReady { job, what } => {
                if let Some(job) = self.job(&job) {
                    job.ready = Some(Ready { at_ms: ms, what });
                }
            }
            What::JobFailed { job, line } => {
                if let Some(job) = self.job(&job) {
                    job.failed = Some(line);
                }
            }
            What::JobEnded { job, status } => self.job_over(&job, ms, JobEnding::Ended, Some(status), 0.0),
            What::JobDied { job, status } => self.job_over(&job, ms, JobEnding::Died, Some(status), 0.0),
            What::JobStopped { job, status, killed, took_ms } => {
                let how = if killed { JobEnding::Killed } else { JobEnding::Stopped };
                self.job_over(&job, ms, how, status, took_ms);
            }
            What::CommandStarted { command } => {
                self.commands.push(Command { command, status: None, ok: false, at_ms: ms, took_ms: 0.0 });
            }
            What::CommandEnded { command, status, ok, took_ms } => {
                let is_it = |it: &&mut Command| it.status.is_none() && it.command == command;
                match self.commands.iter_mut().find(is_it) {
                    Some(it) => (it.status, it.ok, it.took_ms) = (Some(status), ok, took_ms),
                    None => {
                        let status = Some(status);
                        self.commands.push(Command { command, status, ok, at_ms: ms - took_ms, took_ms });
                    }
                }
            }
            What::Wait { what, ok, took_ms } => {
                self.waits.push(Wait { what, ok, at_ms: ms - took_ms, took_ms });
            }
            What::Request { method, url, status, error, took_ms } => {
                self.requests.push(Request { method, url, status, error, at_ms: ms - took_ms, took_ms });
            }
            What::Usage { jobs } => self.usage.push(Usage { at_ms: ms, jobs }),
            What::Assertion { function, ok, place } => {
                self.assertions.push(Assertion { function, ok, place: place.map(Into::into), at_ms: ms });
            }
            What::TestAgain { name, failure } => self.again.push((name, failure.into())),
            What::Test { name, outcome, took_ms, reason, failure, tags, span_id: span } => {
                let outcome = match (outcome, failure) {
                    (Tested::Passed, _) => TestOutcome::Passed,
                    (Tested::Skipped, _) => TestOutcome::Skipped(reason.unwrap_or_default()),
                    (Tested::Failed, Some(failure)) => TestOutcome::Failed(failure.into()),
                    (Tested::Failed, None) => TestOutcome::Failed(unknown()),
                };
                let mine = self.again.extract_if(.., |(other, _)| *other == name);
                let before = mine.map(|(_, failure)| failure).collect();
                self.tests.push(Test { name, span, tags, before, outcome, at_ms: ms - took_ms, took_ms });
            }
            What::LogTail { title, lines, test } => {
                self.tails.push(Tail { title, lines, test });
            }
            What::Log { text } => self.notes.push(Note { kind: NoteKind::Log, text, at_ms: ms }),
            What::Warning { text } => self.notes.push(Note { kind: NoteKind::Warning, text, at_ms: ms }),
            What::Interrupted { text } => {
                self.notes.push(Note { kind: NoteKind::Interrupted, text, at_ms: ms });
            }
            // Of a script among many.
            What::RunStarted { ids, .. } => self.trace = ids.into(),
            What::TestsStarted { .. }
            | What::TestsEnded { .. }
            | What::ScriptStarted { .. }
            | What::Other => {}
        }
        None
    }

    /// The latest of a name: one that is started again is another.
    fn job(&mut self, name: &str) -> Option<&mut Job> {
        self.jobs.iter_mut().rev().find(|job| job.name == name)
    }

    fn job_over(&mut self, name: &str, at_ms: f64, how: JobEnding, status: Option<String>, took_ms: f64) {
        // One that has died may be stopped yet, with what it has left; its death is what is told.
        if let Some(job) = self.job(name).filter(|job| job.end.is_none()) {
            job.end = Some(JobEnd { at_ms, how, status, took_ms });
        }
    }
}

fn unknown() -> super::model::Failure {
    super::model::Failure {
        message: "failed".to_owned(),
        place: None,
        notes: Vec::new(),
        hint: None,
        text: String::new(),
    }
}
