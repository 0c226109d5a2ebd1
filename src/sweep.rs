//! `bgjobs ps`: what runs; `bgjobs sweep`: what a run has left that lost both its processes, shown, and ended when
//! told so. [`runs`] decides who that is.
//!
//! Ending is as everywhere: the stop signal to all, the grace period, SIGKILL until nothing is left. Nobody here is
//! our child, so everyone is held by a pidfd, opened before its start time is compared once more, and it is the pidfd
//! that is signalled and waited for. Who sends us a signal meanwhile has waited long enough: the grace periods are over.

use crate::cli;
use crate::end;
use crate::exit;
use crate::jobs::{cgroup, stop};
use crate::report::{self, JobLine, LeftLine, RunLine, RunRecord, Swept, UnreadLine};
use crate::rundir;
use crate::runs::{self, Evidence, Leftover, Run, State, Unread};
use crate::sys::page::{Fault, SlotView};
use crate::sys::proc::{self, Stat};
use crate::sys::tree::Stays;
use crate::sys::{clock, fd, names, pidfd};
use nix::libc::{SIGCONT, SIGKILL};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Shows the live runs of this user; for root those of all.
pub fn ps(options: &cli::Ps) -> i32 {
    let me = nix::unistd::geteuid();
    let visible = |run: &Run| run.state == State::Live && (me.is_root() || run.uid == me.as_raw());
    let lines: Vec<RunLine> = runs::all().into_iter().filter(visible).map(run_line).collect();
    report::ps(&lines, options.json)
}

fn run_line(run: Run) -> RunLine {
    let record = run.page.as_deref().map(|page| RunRecord {
        script: page.script(),
        directory: page.directory(),
        started: page.started(),
        up: page.started().elapsed().unwrap_or_default(),
        guard: page.guard().pid,
        host: page.host().pid,
        stopping: page.stop_since().is_some(),
        suspended: [page.guard().pid, page.host().pid]
            .iter()
            .any(|pid| proc::stat(*pid).is_some_and(|stat| matches!(stat.state, 'T' | 't'))),
    });
    let jobs = jobs_of(&run);
    RunLine { name: run.name, path: run.path, user: names::user_name(run.uid), record, jobs }
}

/// The jobs of a live run, without those that have just ended. With `--isolate pid` the record has the numbers that
/// they have inside; shown is what they are called here.
fn jobs_of(run: &Run) -> Vec<JobLine> {
    let slots = run.jobs();
    let here = |slot: &SlotView| proc::stat(slot.pid).filter(|stat| stat.start == slot.start);
    let inside: HashMap<(i32, u64), Stat> = if slots.iter().all(|slot| here(slot).is_some()) {
        HashMap::new()
    } else {
        let host = run.page.as_deref().map_or(0, |page| page.host().pid);
        let inner = |stat: Stat| Some(((proc::inner_pid(stat.pid)?, stat.start), stat));
        proc::descendants(host).into_iter().filter_map(inner).collect()
    };
    let line = |slot: SlotView| {
        let stat = here(&slot).or_else(|| inside.get(&(slot.pid, slot.start)).copied())?;
        Some(JobLine { name: slot.name, pid: stat.pid, state: stat.state, up: stat.age() })
    };
    slots.into_iter().filter_map(line).collect()
}

/// Shows what dead runs of this user have left; ends it when told so.
pub fn sweep(options: &cli::Sweep) -> i32 {
    if !rundir::proc_is_there() {
        report::plain_error(&anyhow::anyhow!(
            "/proc is not mounted here, and without it no process can be found"
        ));
        return exit::INFRASTRUCTURE;
    }
    fd::raise_limit();
    let blind = || {
        report::plain_error(&anyhow::anyhow!("cannot read /proc: too many open files"));
        exit::INFRASTRUCTURE
    };
    let under = match options.under.as_deref().map(std::fs::canonicalize).transpose() {
        Ok(under) => under,
        Err(error) => {
            let dir = options.under.clone().unwrap_or_default().display().to_string();
            report::plain_error(&anyhow::Error::new(error).context(format!("--under {dir}")));
            return exit::USAGE;
        }
    };
    let runs = runs::all();
    let Some(found) = leftovers(&runs, under.as_deref()) else { return blind() };
    let unread = unread_lines(&runs);
    let shown = report::leftovers(&lines(&found), &unread, options.yes);
    if found.is_empty() {
        return exit::OK;
    }
    if !options.yes {
        return if shown == exit::OK { exit::FAILED } else { shown };
    }
    let mut sweep = Sweep { under, ..Sweep::default() };
    let Some(left) = sweep.run() else { return blind() };
    let left = lines(&left);
    let ended = report::swept(&Swept {
        ended: sweep.ended,
        killed: sweep.killed,
        removed: &sweep.removed,
        stays: &sweep.stays,
        left: &left,
    });
    if ended == exit::OK { shown } else { ended }
}

/// What the dead ones of these runs have left, if they were started in this directory.
fn leftovers(runs: &[Run], under: Option<&Path>) -> Option<Vec<Leftover>> {
    let mut found = runs::leftovers(runs)?;
    if let Some(under) = under {
        let meant: HashSet<&str> =
            runs.iter().filter(|run| run.is_under(under)).map(|run| run.name.as_str()).collect();
        found.retain(|one| meant.contains(one.run.as_str()));
    }
    Some(found)
}

/// The dead runs of this user of which nobody knows what they have left, nor where they were started.
fn unread_lines(runs: &[Run]) -> Vec<UnreadLine> {
    let me = nix::unistd::geteuid().as_raw();
    let line = |run: &Run| {
        let why = match run.unread()? {
            Unread::Older => report::Unread::Older,
            Unread::Fault(Fault::Empty) => report::Unread::Empty,
            Unread::Fault(Fault::OtherVersion) => report::Unread::OtherVersion,
            Unread::Fault(Fault::Damaged) => report::Unread::Damaged,
        };
        let suspects = run.suspects().unwrap_or_default();
        let suspects = suspects.iter().map(|stat| (stat.pid, proc::command(stat.pid))).collect();
        Some(UnreadLine { path: run.path.clone(), why, suspects })
    };
    runs.iter().filter(|run| run.uid == me).filter_map(line).collect()
}

fn lines(found: &[Leftover]) -> Vec<LeftLine> {
    found.iter().map(left_line).collect()
}

fn left_line(one: &Leftover) -> LeftLine {
    let why = match &one.evidence {
        Evidence::Job(job) => report::Why::Job(job.clone()),
        Evidence::File(path) => report::Why::File(path.clone()),
        Evidence::Cgroup => report::Why::Cgroup,
        Evidence::Mark => report::Why::Mark,
        Evidence::Descendant(pid) => report::Why::Descendant(*pid),
        Evidence::Guard(run) => report::Why::Guard(run.clone()),
    };
    LeftLine {
        run: one.run.clone(),
        pid: one.stat.pid,
        user: proc::uid(one.stat.pid).map_or_else(|| "?".to_owned(), names::user_name),
        state: one.stat.state,
        why,
        command: proc::command(one.stat.pid),
    }
}

/// One process on its way out.
struct Asked {
    handle: OwnedFd,
    killed: bool,
}

/// Whether somebody wants it to be over: Ctrl-C, TERM or HUP, which would else leave a sweep half done.
struct Hurry {
    /// Readable from then on.
    bell: OwnedFd,
    since: Option<Duration>,
}

impl Hurry {
    /// None where signals cannot be caught, or one of them is ignored (nohup) and is to stay so.
    fn listen() -> Option<Self> {
        let (bell, end) = fd::pipe().ok()?;
        let mut end = Some(end);
        ctrlc::try_set_handler(move || drop(end.take())).ok()?;
        Some(Self { bell, since: None })
    }

    fn notice(&mut self, now: Duration) {
        if self.since.is_none() && fd::wait_readable(&[self.bell.as_fd()], Some(Duration::ZERO))[0] {
            self.since = Some(now);
        }
    }
}

/// A dead run that nobody else may touch now.
struct Held {
    run: Run,
    cgroup: Option<cgroup::Dir>,
    /// Until it goes.
    _lock: File,
}

#[derive(Default)]
struct Sweep {
    start: Duration,
    hurry: Option<Hurry>,
    /// Only runs that were started in this directory.
    under: Option<PathBuf>,
    asked: HashMap<(i32, u64), Asked>,
    /// The dead runs that nobody else may touch now, by name.
    held: HashMap<String, Held>,
    ended: usize,
    killed: usize,
    removed: Vec<PathBuf>,
    /// What could not be removed.
    stays: Vec<Stays>,
}

impl Sweep {
    /// Ends everything; returns what is left all the same.
    ///
    /// A run within a dead run that does not end as its guard is told becomes a dead run itself, so the runs are
    /// looked at again in every round.
    fn run(&mut self) -> Option<Vec<Leftover>> {
        self.start = clock::now();
        self.hurry = Hurry::listen();
        let left = loop {
            let found = self.look()?;
            self.count_ended();
            let now = clock::now();
            self.hurry.iter_mut().for_each(|hurry| hurry.notice(now));
            let all: Vec<Duration> = found.iter().map(|one| self.end(one)).collect();
            let ends = || all.iter().copied();
            if ends().all(|end| now >= end.saturating_add(stop::AFTER_KILL)) {
                break found;
            }
            for one in &found {
                self.step(one, self.end(one), now);
            }
            self.kill_cgroups(&found, now);
            match ends().filter(|end| *end <= now).min() {
                Some(end) => stop::pause_in_sweep(now.saturating_sub(end)),
                None => self.wait(ends().min().unwrap_or(now)),
            }
        };
        for (name, held) in self.held.drain() {
            if left.iter().any(|one| one.run == name) {
                continue;
            }
            match end::swept(&held.run, held.cgroup.as_ref()) {
                stays if stays.is_empty() => self.removed.push(held.run.path),
                stays => self.stays.extend(stays),
            }
        }
        self.removed.sort();
        Some(left)
    }

    /// When a process has had its time. Whoever comes later has no later end: else a chain of processes would have none.
    fn end(&self, one: &Leftover) -> Duration {
        let hurried = self.hurry.as_ref().and_then(|hurry| hurry.since).unwrap_or(Duration::MAX);
        self.start.saturating_add(one.grace).min(hurried)
    }

    /// What there is to end, of runs that are ours to sweep: whoever holds another one is sweeping that.
    fn look(&mut self) -> Option<Vec<Leftover>> {
        let mut runs = runs::all();
        for run in &mut runs {
            if self.held.contains_key(&run.name) {
                run.state = State::Lost; // It is our own lock that makes it look alive.
            }
        }
        let mut found = leftovers(&runs, self.under.as_deref())?;
        let mut tried = HashSet::new();
        found.retain(|one| {
            if !self.held.contains_key(&one.run)
                && tried.insert(one.run.clone())
                && let Some(at) = runs.iter().position(|run| run.name == one.run)
                && let Some(lock) = runs[at].hold()
            {
                let run = runs.swap_remove(at);
                self.held.insert(one.run.clone(), Held { cgroup: run.cgroup(), run, _lock: lock });
            }
            self.held.contains_key(&one.run)
        });
        Some(found)
    }

    /// Those whose pidfd says so have ended.
    fn count_ended(&mut self) {
        self.asked.retain(|_, asked| {
            let over = fd::wait_readable(&[asked.handle.as_fd()], Some(Duration::ZERO))[0];
            self.ended += usize::from(over);
            self.killed += usize::from(over && asked.killed);
            !over
        });
    }

    /// Asks a process to stop when it is new, and kills it when it has had its time.
    fn step(&mut self, one: &Leftover, end: Duration, now: Duration) {
        let id = (one.stat.pid, one.stat.start);
        if let Entry::Vacant(new) = self.asked.entry(id) {
            let Some(handle) = hold(&one.stat) else { return };
            if now < end {
                let _ = pidfd::send(&handle, one.stop_signal);
                let _ = pidfd::send(&handle, SIGCONT);
            }
            new.insert(Asked { handle, killed: false });
        }
        if let Some(asked) = self.asked.get_mut(&id)
            && now >= end
        {
            asked.killed = true;
            let _ = pidfd::send(&asked.handle, SIGKILL);
        }
    }

    /// Of a run whose processes have all had their time: a chain of them that fork and exit is elsewhere whenever we
    /// look, but it does not get out of its cgroup.
    fn kill_cgroups(&self, found: &[Leftover], now: Duration) {
        for (run, held) in &self.held {
            let mut left = found.iter().filter(|one| one.run == *run).peekable();
            if let Some(cgroup) = &held.cgroup
                && left.peek().is_some()
                && left.all(|one| now >= self.end(one))
            {
                cgroup.kill_own();
            }
        }
    }

    /// Until somebody has ended, has had its time, or we are to hurry.
    fn wait(&self, end: Duration) {
        // Not at every end of a chain of processes: to look is expensive.
        std::thread::sleep(Duration::from_millis(5));
        let mut handles: Vec<_> = self.asked.values().map(|asked| asked.handle.as_fd()).collect();
        let patient = self.hurry.as_ref().filter(|hurry| hurry.since.is_none());
        handles.extend(patient.map(|hurry| hurry.bell.as_fd()));
        fd::wait_readable(&handles, Some(end.saturating_sub(clock::now())));
    }
}

/// Takes hold of a process, then makes sure that it is still the one that was seen.
fn hold(stat: &Stat) -> Option<OwnedFd> {
    let handle = pidfd::open(stat.pid).ok()?;
    proc::stat(stat.pid).is_some_and(|now| now.start == stat.start).then_some(handle)
}
