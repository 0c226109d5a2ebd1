//! Which script runs when.

use crate::cli::{Recording, Test};
use crate::event::Failure;
use crate::exit;
use crate::report::views::Outputs;
use crate::report::{self, Recorder, ReportStyle, Tally, Teller};
use crate::runner::attempt::{As, Attempt};
use crate::runner::seen::Seen;
use crate::runner::selected::{Selected, selected};
use crate::runner::setups::{Above, Phase, Setups};
use crate::runner::signals::Signals;
use crate::sys::wait::ExitStatus;
use crate::sys::{clock, fd};
use anyhow::Context;
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// After so long without a line, it is said what is waited for.
const QUIET: Duration = Duration::from_secs(60);

/// Runs the scripts; the exit code, unless it dies of the signal that has ended them.
pub fn run(options: &Test) -> i32 {
    fd::open_standard();
    let style = ReportStyle::choose(options.options.color);
    let refuse = |failure: Failure| report::not_begun(&failure, options.json, style);
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
        return refuse(failure);
    }
    if options.list && options.json {
        let paths: Vec<String> = selected.scripts.iter().map(|path| path.display().to_string()).collect();
        return report::print_json(&serde_json::json!({"scripts": paths}));
    }
    if options.list {
        let lines: String = selected.scripts.iter().map(|path| format!("{}\n", path.display())).collect();
        return report::print(&lines);
    }
    if let Some(nothing) = &selected.nothing {
        return report::nothing_to_run(nothing, options.json);
    }
    let mut setups = Setups::default();
    for script in &selected.scripts {
        setups.of(script);
    }
    if let Some(wrong) = setups.wrong(&options.options.isolate) {
        return refuse(wrong);
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
    run_all(options, selected, setups, outputs, events).unwrap_or_else(|error| {
        report::plain_error(&error);
        exit::INFRASTRUCTURE
    })
}

fn run_all(
    options: &Test,
    selected: Selected,
    mut setups: Setups,
    outputs: Outputs,
    events: Option<File>,
) -> anyhow::Result<i32> {
    // Before the first run: from here on a signal ends nothing but by way of the runs.
    let signals = Signals::catch().context("cannot catch signals")?;
    let hurry = || signals.look();
    let style = ReportStyle::choose(options.options.color);
    let teller = Teller { style, verbosity: options.options.verbosity, json: options.json, hurry: &hurry };
    if let Some(config) = &options.config {
        teller.config(&config.path, &config.taken);
    }
    selected.notes.iter().for_each(|note| teller.note(note));
    selected.warnings.iter().for_each(|warning| teller.always(warning));
    let temporary =
        || tempfile::tempfile().context("cannot keep what scripts say in the directory for temporary files");
    let events = match events {
        // Also what is said of the tests is read from it.
        None => Some(match &options.record {
            Some(file) => file.try_clone().context("cannot duplicate a descriptor")?,
            None => temporary()?,
        }),
        events => events,
    };
    let started = clock::now();
    let recorder = events.map(|file| Recorder::begin(file, started, &selected.whole)).transpose();
    let recorder = recorder.context("cannot duplicate a descriptor")?;
    let turns = in_order(options, selected.scripts, &mut setups, &teller);
    let failures = temporary()?;
    let all = All {
        options,
        signals: &signals,
        teller: &teller,
        started,
        turns,
        running: Vec::new(),
        setups,
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
pub struct Turn {
    pub script: PathBuf,
    /// Its path, and which of several runs it is.
    pub name: String,
    /// The innermost setup above it.
    pub setup: Option<usize>,
    /// How often it has been run already, and how that ended first.
    pub tries: u32,
    pub failed_with: Option<ExitStatus>,
}

fn in_order(options: &Test, scripts: Vec<PathBuf>, setups: &mut Setups, teller: &Teller) -> VecDeque<Turn> {
    let scripts: Vec<(PathBuf, Option<usize>)> = scripts
        .into_iter()
        .map(|script| {
            let setup = setups.of(&script);
            (script, setup)
        })
        .collect();
    let turn = |(script, setup): &(PathBuf, Option<usize>), number: u32| {
        let path = script.display();
        let name = if options.repeat > 1 { format!("{path} [{number}]") } else { path.to_string() };
        Turn { script: script.clone(), name, setup: *setup, tries: 0, failed_with: None }
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
pub enum StoppedBy {
    Signal,
    Deadline,
}

/// All turns: those to come, under way, and what has come of the others.
pub struct All<'a> {
    pub options: &'a Test,
    pub signals: &'a Signals,
    pub teller: &'a Teller<'a>,
    pub started: Duration,
    pub turns: VecDeque<Turn>,
    pub running: Vec<(Turn, Attempt)>,
    /// What the scripts of directories share.
    pub setups: Setups,
    pub tally: Tally,
    pub worst: i32,
    /// What runs have said that failed, one after the other.
    pub failures: File,
    /// Lines about them, for the end.
    pub bad: Vec<String>,
    /// Where reports go.
    pub outputs: Outputs,
    /// Who records what they tell of.
    pub recorder: Option<Recorder>,
    /// The tests that there were.
    pub seen: Seen,
    pub stopped_by: Option<StoppedBy>,
    /// When something was said last.
    pub heard: Duration,
}

impl All<'_> {
    fn run(mut self) -> anyhow::Result<i32> {
        let result = self.take_turns();
        if result.is_err() {
            self.signals.stop_all();
            while !self.running.is_empty() || !self.setups.all_over() {
                self.running.retain(|(_, attempt)| attempt.ended(self.signals).is_none());
                self.setups.ended(self.signals);
                let users: Vec<_> = self.running.iter().map(|(turn, _)| turn.setup).collect();
                self.setups.end_all_but(&users, self.signals);
                fd::wait_readable(&[self.signals.as_fd()], Some(Duration::from_secs(1)));
                self.signals.look();
            }
        }
        result.map(|()| self.conclude())
    }

    fn take_turns(&mut self) -> anyhow::Result<()> {
        loop {
            self.look_for_an_end();
            self.start_what_can()?;
            self.end_setups();
            if self.running.is_empty() && self.setups.all_over() {
                return Ok(());
            }
            self.wait();
            self.collect()?;
        }
    }

    /// As many as may run at the same time, in their order: one whose setups come up keeps its place.
    fn start_what_can(&mut self) -> anyhow::Result<()> {
        let mut waiting = 0;
        while self.running.len() + waiting < self.options.jobs && self.may_start() {
            let Some(turn) = self.turns.get(waiting) else { break };
            let handed = match self.setups.above(turn.setup) {
                Above::Ready(handed) => handed,
                Above::Failed(index) => {
                    if let Some(turn) = self.turns.remove(waiting) {
                        self.fails_with(turn, index);
                    }
                    continue;
                }
                Above::NotYet(index) => {
                    if self.setups.phase(index) == Phase::Idle {
                        self.start_setup(index)?;
                    }
                    waiting += 1;
                    continue;
                }
            };
            let Some(turn) = self.turns.remove(waiting) else { break };
            let wanted = (self.teller.style.has_color(), self.record(&turn));
            let role = (As::Test, handed);
            let attempt = Attempt::start(&turn.script, &self.options.options, role, wanted, self.signals)
                .with_context(|| format!("cannot run {}", turn.name))?;
            self.running.push((turn, attempt));
        }
        Ok(())
    }

    /// Where the next try of a script is recorded, which begins.
    fn record(&mut self, turn: &Turn) -> Option<Recording> {
        let recorder = self.recorder.as_mut()?;
        let (script, number) = (turn.name.clone(), turn.tries + 1);
        recorder.script_started(&script, &turn.script.display().to_string(), number, false);
        let file = Arc::clone(&recorder.file);
        Some(Recording::Part { file, started: self.started, script, number })
    }

    pub fn may_start(&self) -> bool {
        self.stopped_by.is_none() && !(self.options.fail_fast && self.tally.failed > 0)
    }

    /// Until something has happened, or has not for too long.
    fn wait(&mut self) {
        let now = clock::now();
        let end = self.deadline().filter(|_| self.stopped_by.is_none());
        let late = self.setups.next_late(self.options.options.timeout).map(|left| now + left);
        let next = end.into_iter().chain(late).chain([self.heard + QUIET]).min().unwrap_or(now);
        let fds: Vec<_> = std::iter::once(self.signals.as_fd()).chain(self.setups.fds()).collect();
        fd::wait_readable(&fds, Some(next.saturating_sub(now)));
        let now = clock::now();
        if now >= self.heard + QUIET {
            self.heard = now;
            let running = self.running.iter().map(|(turn, attempt)| (turn.name.as_str(), attempt.age()));
            let names = self.setups.starting().chain(running).map(|(name, age)| {
                format!("{name} ({})", report::duration(Duration::from_secs(age.as_secs())))
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
        self.look_at_setups()?;
        over.into_iter().try_for_each(|(turn, attempt, status, after)| {
            self.heard = clock::now();
            self.over(turn, attempt.into_said(), status, after)
        })
    }
}
