//! Which script runs when, and what comes of it. How it is said is told in `report`.

use crate::cli::{Recording, Test, Verbosity};
use crate::event::Failure;
use crate::exit;
use crate::report::views::Outputs;
use crate::report::{self, Recorder, ReportStyle, ScriptEnd, Tally, Teller, TryEnd};
use crate::runner::attempt::Attempt;
use crate::runner::seen::Seen;
use crate::runner::selected::{Selected, selected};
use crate::runner::signals::Signals;
use crate::sys::wait::ExitStatus;
use crate::sys::{clock, fd, fork, signal};
use anyhow::Context;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// After so long without a line, it is said what is waited for.
const QUIET: Duration = Duration::from_secs(60);

/// Runs the scripts; the exit code, unless it dies of the signal that has ended them.
pub fn run(options: &Test) -> i32 {
    fd::open_standard();
    let style = ReportStyle::choose(options.options.color);
    let refuse = |failure: Failure| {
        report::print_failure(&failure, style);
        failure.code
    };
    let selected = match selected(options) {
        Ok(selected) => selected,
        Err(failure) => return refuse(failure),
    };
    if options.list && !options.options.select.is_all() {
        let failure = Failure {
            code: exit::USAGE,
            message: "--list lists scripts: which tests they have is known only when they run".to_owned(),
            hint: Some("bgjobs test --list --filter REGEX   (scripts whose path matches)".to_owned()),
            ..Failure::default()
        };
        report::print_failure(&failure, ReportStyle::choose(options.options.color));
        return failure.code;
    }
    if options.list {
        let lines: String = selected.scripts.iter().map(|path| format!("{}\n", path.display())).collect();
        return report::print(&lines);
    }
    if let Some(nothing) = &selected.nothing {
        return report::nothing_to_run(nothing);
    }
    // Before anything runs: hours later it would be too late to say that there is no place for them.
    let outputs = match Outputs::open(&options.reports, options.events.as_deref()) {
        Ok(outputs) => outputs,
        Err(failure) => return refuse(failure),
    };
    let events = match options.events.as_deref().map(report::events_at).transpose() {
        Ok(events) => events,
        Err(failure) => return refuse(failure),
    };
    run_all(options, selected, outputs, events).unwrap_or_else(|error| {
        report::plain_error(&error);
        exit::INFRASTRUCTURE
    })
}

fn run_all(
    options: &Test,
    selected: Selected,
    outputs: Outputs,
    events: Option<File>,
) -> anyhow::Result<i32> {
    // Before the first run: from here on a signal ends nothing but by way of the runs.
    let signals = Signals::catch().context("cannot catch signals")?;
    let hurry = || signals.look();
    let style = ReportStyle::choose(options.options.color);
    let teller = Teller { style, verbosity: options.options.verbosity, hurry: &hurry };
    if let Some(config) = &options.config {
        teller.config(&config.path, &config.taken);
    }
    selected.notes.iter().for_each(|note| teller.note(note));
    selected.warnings.iter().for_each(|warning| teller.always(warning));
    let temporary =
        || tempfile::tempfile().context("cannot keep what scripts say in the directory for temporary files");
    let events = match events {
        // Also what is said of the tests is read from it.
        None => Some(temporary()?),
        events => events,
    };
    let started = clock::now();
    let recorder = events.map(|file| Recorder::begin(file, started, &selected.whole)).transpose();
    let recorder = recorder.context("cannot duplicate a descriptor")?;
    let turns = in_order(options, selected.scripts, &teller);
    let failures = temporary()?;
    let all = All {
        options,
        signals: &signals,
        teller: &teller,
        started,
        turns,
        running: Vec::new(),
        tally: Tally::default(),
        worst: exit::OK,
        failures,
        bad: Vec::new(),
        outputs,
        recorder,
        seen: Seen::default(),
        stopped_by: None,
        heard: clock::now(),
    };
    all.run()
}

/// A script whose turn comes.
struct Turn {
    script: PathBuf,
    /// Its path, and which of several runs it is.
    name: String,
    /// How often it has been run already, and how that ended first.
    tries: u32,
    failed_with: Option<ExitStatus>,
}

fn in_order(options: &Test, scripts: Vec<PathBuf>, teller: &Teller) -> VecDeque<Turn> {
    let turn = |script: &PathBuf, number: u32| {
        let path = script.display();
        let name = if options.repeat > 1 { format!("{path} [{number}]") } else { path.to_string() };
        Turn { script: script.clone(), name, tries: 0, failed_with: None }
    };
    let rounds =
        (1..=options.repeat).flat_map(|number| scripts.iter().map(move |script| turn(script, number)));
    let mut turns: Vec<Turn> = rounds.collect();
    if let Some(seed) = options.shuffle {
        // Of this process and moment; the generator that gives files their names is left to the runs.
        let chance = || clock::raw().as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(48);
        let seed = seed.unwrap_or_else(|| chance() % 1_000_000);
        fastrand::Rng::with_seed(seed).shuffle(&mut turns);
        teller.note(&format!("in random order: --shuffle={seed} repeats it"));
    }
    turns.into()
}

/// Why no more are started, and those that run are stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StoppedBy {
    Signal,
    Deadline,
}

/// All turns: those to come, under way, and what has come of the others.
struct All<'a> {
    options: &'a Test,
    signals: &'a Signals,
    teller: &'a Teller<'a>,
    started: Duration,
    turns: VecDeque<Turn>,
    running: Vec<(Turn, Attempt)>,
    tally: Tally,
    worst: i32,
    /// What runs have said that failed, one after the other.
    failures: File,
    /// Lines about them, for the end.
    bad: Vec<String>,
    /// Where reports go.
    outputs: Outputs,
    /// Who records what they tell of.
    recorder: Option<Recorder>,
    /// The tests that there were.
    seen: Seen,
    stopped_by: Option<StoppedBy>,
    /// When something was said last.
    heard: Duration,
}

impl All<'_> {
    fn run(mut self) -> anyhow::Result<i32> {
        let result = self.take_turns();
        if result.is_err() {
            self.signals.stop_all();
            while !self.running.is_empty() {
                fd::wait_readable(&[self.signals.as_fd()], None);
                self.signals.look();
                self.running.retain(|(_, attempt)| attempt.ended(self.signals).is_none());
            }
        }
        result.map(|()| self.conclude())
    }

    fn take_turns(&mut self) -> anyhow::Result<()> {
        loop {
            self.look_for_an_end();
            while self.running.len() < self.options.jobs && self.may_start() {
                let Some(turn) = self.turns.pop_front() else { break };
                let wanted = (self.teller.style.has_color(), self.record(&turn));
                let attempt = Attempt::start(&turn.script, &self.options.options, wanted, self.signals)
                    .with_context(|| format!("cannot run {}", turn.name))?;
                self.running.push((turn, attempt));
            }
            if self.running.is_empty() {
                return Ok(());
            }
            self.wait();
            self.collect()?;
        }
    }

    /// Where the next try of a script is recorded, which begins.
    fn record(&mut self, turn: &Turn) -> Option<Recording> {
        let recorder = self.recorder.as_mut()?;
        let (script, number) = (turn.name.clone(), turn.tries + 1);
        recorder.script_started(&script, &turn.script.display().to_string(), number);
        let file = Arc::clone(&recorder.file);
        Some(Recording::Part { file, started: self.started, script, number })
    }

    fn may_start(&self) -> bool {
        self.stopped_by.is_none() && !(self.options.fail_fast && self.tally.failed > 0)
    }

    /// Until something has happened, or has not for too long.
    fn wait(&mut self) {
        let now = clock::now();
        let end = self.deadline().filter(|_| self.stopped_by.is_none());
        let next = end.into_iter().chain([self.heard + QUIET]).min().unwrap_or(now);
        fd::wait_readable(&[self.signals.as_fd()], Some(next.saturating_sub(now)));
        let now = clock::now();
        if now >= self.heard + QUIET {
            self.heard = now;
            let names = self.running.iter().map(|(turn, attempt)| {
                format!("{} ({})", turn.name, report::duration(Duration::from_secs(attempt.age().as_secs())))
            });
            let names: Vec<String> = names.collect();
            self.teller.note(&format!("still running: {}", names.join(", ")));
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.options.timeout_all.map(|time| self.started + time)
    }

    fn look_for_an_end(&mut self) {
        if self.signals.look() && self.stopped_by != Some(StoppedBy::Signal) {
            self.stopped_by = Some(StoppedBy::Signal);
            let name = self.signals.first().map_or_else(String::new, |signal| signal.to_string());
            self.teller.stopping(&name, self.running.len());
        }
        if self.stopped_by.is_none() && self.deadline().is_some_and(|at| clock::now() >= at) {
            self.stopped_by = Some(StoppedBy::Deadline);
            let time = report::duration(self.options.timeout_all.unwrap_or_default());
            self.teller.stopping(&format!("timed out after {time} (--timeout-all)"), self.running.len());
            self.signals.stop_all();
        }
    }

    /// Those that have ended.
    fn collect(&mut self) -> anyhow::Result<()> {
        self.signals.look();
        let mut over = Vec::new();
        let mut index = 0;
        while index < self.running.len() {
            match self.running[index].1.ended(self.signals) {
                Some((status, after)) => {
                    let (turn, attempt) = self.running.remove(index);
                    over.push((turn, attempt, status, after));
                }
                None => index += 1,
            }
        }
        over.into_iter().try_for_each(|(turn, attempt, status, after)| {
            self.heard = clock::now();
            self.over(turn, attempt.into_said(), status, after)
        })
    }

    fn over(
        &mut self,
        mut turn: Turn,
        mut said: File,
        status: ExitStatus,
        after: Duration,
    ) -> anyhow::Result<()> {
        turn.tries += 1;
        said.rewind().context("cannot read what a script has said")?;
        // A guard dies of what has stopped it.
        let was_stopped =
            (self.signals.first().is_some() || self.stopped_by.is_some()) && status.code() >= 128;
        let (has_selected, only) = self
            .recorder
            .as_ref()
            .map_or((true, false), |recorder| self.seen.of(&recorder.file, &turn.name, turn.tries));
        let only = only && turn.failed_with.is_none();
        let of = self.options.retries + 1;
        let end = match () {
            () if status.success() && !has_selected && !self.options.options.select.is_all() => {
                ScriptEnd::Unselected
            }
            () if status.success() => ScriptEnd::Passed { at: turn.tries },
            () if was_stopped => ScriptEnd::Stopped,
            () if turn.tries < of && self.stopped_by.is_none() => {
                ScriptEnd::Again { next: turn.tries + 1, of }
            }
            () => ScriptEnd::Failed,
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.script_ended(&TryEnd {
                name: &turn.name,
                number: turn.tries,
                outcome: match end {
                    ScriptEnd::Passed { .. } | ScriptEnd::Unselected => "passed",
                    ScriptEnd::Failed | ScriptEnd::Again { .. } => "failed",
                    ScriptEnd::Stopped => "stopped",
                },
                again: matches!(end, ScriptEnd::Again { .. }),
                code: status.code(),
                status: report::described(status),
                after,
                said: &said,
            });
        }
        self.teller.ended(&turn.name, status, after, end);
        let how = report::described(status);
        if only {
            self.tally.only += 1;
            self.bad.push(self.teller.only(&turn.name));
        }
        match end {
            ScriptEnd::Unselected => self.tally.skipped += 1,
            ScriptEnd::Passed { at } => {
                self.tally.passed += 1;
                if let Some(first) = turn.failed_with {
                    self.tally.flaky += 1;
                    self.bad.push(self.teller.flaky(&turn.name, &report::described(first), at));
                }
                if self.options.options.verbosity == Verbosity::Verbose {
                    self.teller.said(&said);
                }
            }
            ScriptEnd::Failed | ScriptEnd::Again { .. } => {
                let how = if of > 1 { format!("try {} of {of}: {how}", turn.tries) } else { how.clone() };
                self.keep(&turn.name, &how, said)?;
            }
            ScriptEnd::Stopped => {
                self.tally.stopped += 1;
                self.bad.push(self.teller.stopped(&turn.name));
                self.keep(&turn.name, "stopped", said)?;
            }
        }
        if let ScriptEnd::Again { .. } = end {
            turn.failed_with.get_or_insert(status);
            self.turns.push_front(turn);
            return Ok(());
        }
        if end == ScriptEnd::Failed {
            self.tally.failed += 1;
            self.worst = self.worst.max(status.code());
            self.bad.push(self.teller.bad(&turn.name, &how));
        }
        Ok(())
    }

    /// What a run has said, for the end.
    fn keep(&mut self, name: &str, how: &str, mut said: File) -> anyhow::Result<()> {
        let mut copy = || {
            self.failures.write_all(self.teller.heading(name, how).as_bytes())?;
            let length = std::io::copy(&mut said, &mut self.failures)?;
            let mut last = [b'\n'];
            if length > 0 {
                said.seek(std::io::SeekFrom::End(-1))?;
                said.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                self.failures.write_all(b"\n")?;
            }
            Ok::<(), std::io::Error>(())
        };
        copy().context("cannot keep what scripts say in the directory for temporary files")
    }

    /// Records the end, writes what was asked for, and says what could not be written; whether all was.
    fn write_reports(&mut self, code: i32, cause: Option<&str>) -> bool {
        let Some(recorder) = &mut self.recorder else { return true };
        recorder.ended(code, cause, &self.tally);
        let name = self.options.events.as_deref().map_or_else(String::new, |path| path.display().to_string());
        let mut made = self.outputs.write(&recorder.file, &name);
        made.errors.extend(recorder.error());
        self.teller.made(&made);
        made.errors.is_empty()
    }

    fn conclude(mut self) -> i32 {
        self.tally.not_run = self.turns.len();
        let stopped_by = self.stopped_by.or(self.signals.look().then_some(StoppedBy::Signal));
        let first = self.signals.first().filter(|_| stopped_by == Some(StoppedBy::Signal));
        let (code, cause) = match (stopped_by, first) {
            (_, Some(signal)) => (exit::signal(signal as i32), Some(format!("interrupted by {signal}"))),
            (Some(StoppedBy::Deadline), _) => {
                let time = report::duration(self.options.timeout_all.unwrap_or_default());
                (self.worst.max(exit::TIMEOUT), Some(format!("timed out after {time}")))
            }
            _ => (self.worst, None),
        };
        let select = &self.options.options.select;
        let wrong = self.seen.wrong(select).filter(|_| code == exit::OK);
        let code = wrong.as_ref().map_or(code, |wrong| wrong.code);
        let code = match self.write_reports(code, cause.as_deref()) {
            true => code,
            false => code.max(exit::INFRASTRUCTURE),
        };
        // Nothing to do about it when it cannot be read: the lines have said who has failed.
        if self.failures.rewind().is_ok() {
            self.teller.said(&self.failures);
        }
        if let Some(wrong) = &wrong {
            report::print_failure(wrong, self.teller.style);
        }
        let elapsed = clock::now().saturating_sub(self.started);
        self.teller.verdict(code, cause.as_deref(), elapsed, &self.tally, &self.bad);
        if let Some(signal) = first {
            fork::no_core_dump();
            signal::die_of(signal);
        }
        code
    }
}
