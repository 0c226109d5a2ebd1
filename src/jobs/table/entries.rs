//! The one table of what runs, and to which job each process belongs.
//!
//! Whoever holds its lock may signal our own children by number: they are only ever reaped under the same
//! lock. A job's leader stays a zombie until its group has no other living member, which keeps the
//! number of its group from being used again.
//!
//! The files beside this one add what is done with the table: look, attribute, signal, stop.

use crate::jobs::cgroup::Members;
use crate::jobs::fail::Death;
use crate::jobs::job::{Job, JobId, Kind, State};
use crate::jobs::spec::{Expect, KillMode};
use crate::jobs::stop::order::History;
use crate::jobs::stop::step::Stage;
use crate::jobs::table::entry::{Entry, Leader};
use crate::sys::page::{self, Identity};
use crate::sys::pidfd::Ends;
use crate::sys::proc::Stat;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// So many leaders are asked one by one whether they have ended.
const ASKED_SINGLY: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Nothing new may start, but for the commands that stop jobs.
    Stopping,
    /// Nothing at all may start.
    Sweeping,
}

impl Phase {
    pub fn allows(self, kind: Kind) -> bool {
        match self {
            Self::Open => true,
            Self::Stopping => kind == Kind::StopCommand,
            Self::Sweeping => false,
        }
    }
}

pub(crate) struct Table {
    pub phase: Phase,
    pub history: History,
    /// By id: in the order in which they were started.
    pub(super) entries: BTreeMap<JobId, Entry>,
    /// Those of which something lives, or whose end was not announced yet: whom a look is about. What costs time for
    /// each entry is only done for these, so that thousands that have ended cost nothing.
    pub(super) live: BTreeSet<JobId>,
    /// Those of them whose leader has ended.
    pub(super) lingering: BTreeSet<JobId>,
    /// Who of the other leaders has ended, but for a few that are asked one by one.
    pub(super) ends: Ends,
    pub(super) asked_singly: Vec<JobId>,
    /// Those whose death the script may have to be told.
    pub(super) suspects: BTreeSet<JobId>,
    /// Those that are to be started again.
    pub(super) at_rest: BTreeSet<JobId>,
    /// Commands that are over, for as long as somebody holds them.
    pub(super) over: Vec<JobId>,
    /// The newest whose leader has this number, or had it.
    pub(super) by_pid: HashMap<i32, JobId>,
    /// All of this name or with this log but for stop commands, the newest last.
    pub(super) by_name: HashMap<String, Vec<JobId>>,
    pub(super) by_log: HashMap<PathBuf, Vec<JobId>>,
    /// From where to look for a number that makes this name unique.
    numbers: HashMap<String, usize>,
    /// Identifies this run in the environment of its processes.
    pub(super) run: String,
    pub(super) me: i32,
    /// To which job each descendant belonged when last seen, by (pid, start time).
    pub(super) seen: HashMap<(i32, u64), Option<JobId>>,
    /// The groups and sessions whose members last seen were all of one job; and those that its processes may have founded
    /// since, which have their numbers.
    pub(super) groups: HashMap<i32, Option<JobId>>,
    /// When all descendants may be looked at again.
    pub(super) sight_due: Duration,
    /// Who is in the run's cgroup, if it has one.
    pub(super) members: Option<Members>,
    /// First processes as whoever holds the lock has just seen them.
    pub leaders: HashMap<i32, Stat>,
    /// Places in the record that have changed and are to be shown.
    pub changed: Vec<usize>,
    /// The last of several that have just been told to end, and how many they are.
    pub(super) told: Option<(i32, u32)>,
}

impl Table {
    pub fn new(run: String, members: Option<Members>) -> Self {
        let me = nix::unistd::getpid().as_raw();
        Self {
            phase: Phase::Open,
            history: History::default(),
            entries: BTreeMap::new(),
            live: BTreeSet::new(),
            lingering: BTreeSet::new(),
            ends: Ends::default(),
            asked_singly: Vec::new(),
            suspects: BTreeSet::new(),
            at_rest: BTreeSet::new(),
            over: Vec::new(),
            by_pid: HashMap::new(),
            by_name: HashMap::new(),
            by_log: HashMap::new(),
            numbers: HashMap::new(),
            run,
            me,
            seen: HashMap::new(),
            groups: HashMap::new(),
            sight_due: Duration::ZERO,
            members,
            leaders: HashMap::new(),
            changed: Vec::new(),
            told: None,
        }
    }

    pub fn entry(&self, id: JobId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub fn entry_mut(&mut self, id: JobId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    /// All, in the order in which they were started.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.values()
    }

    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.values_mut()
    }

    /// Those of which something lives, in the order in which they were started.
    pub fn live(&self) -> impl Iterator<Item = &Entry> {
        self.live.iter().filter_map(|id| self.entry(*id))
    }

    /// Whether it is none of them.
    pub fn is_over(&self, id: JobId) -> bool {
        !self.live.contains(&id)
    }

    /// The latest job of this name.
    pub fn named(&self, name: &str) -> Option<&Entry> {
        let ids = self.by_name.get(name)?.iter().rev();
        ids.filter_map(|id| self.entry(*id)).find(|entry| entry.job.kind == Kind::Job)
    }

    /// A name that no job has: the one wanted, or with `-2`, `-3`, …
    pub fn unique_name(&mut self, wanted: &str) -> String {
        if self.named(wanted).is_none() {
            return wanted.to_owned();
        }
        // No name gets free again.
        let from = self.numbers.get(wanted).copied().unwrap_or(2);
        let number = (from..).find(|n| self.named(&format!("{wanted}-{n}")).is_none()).unwrap_or(from);
        self.numbers.insert(wanted.to_owned(), number);
        format!("{wanted}-{number}")
    }

    /// A death that the script has not been told yet.
    pub fn unreported_death(&self) -> Option<(Arc<Job>, Death)> {
        let entries = self.suspects.iter().filter_map(|id| self.entry(*id));
        entries.filter_map(|entry| Some((Arc::clone(&entry.job), entry.death()?))).next()
    }

    /// What this job has done may count as a death from now on.
    pub fn suspect(&mut self, id: JobId) {
        if self.entry(id).is_some_and(|entry| entry.death().is_some()) {
            self.suspects.insert(id);
        }
    }

    /// Whether there are jobs, and every one of them has ended.
    pub fn all_jobs_ended(&self) -> bool {
        let ended = |entry: &Entry| entry.job.kind != Kind::Job || matches!(entry.state(), State::Ended(_));
        let rests = |id: &JobId| self.entry(*id).is_some_and(Entry::comes_back);
        !self.at_rest.iter().any(rests)
            && self.live().all(ended)
            && self.all().any(|entry| entry.job.kind == Kind::Job)
    }

    /// Whether a look would find that this job has ended. `behind`: somebody has ended since the last one.
    pub fn needs_look(&self, id: JobId, behind: bool) -> bool {
        self.entry(id).is_some_and(|entry| {
            entry.has_ended_unnoted() || behind && entry.leader != Leader::Running && entry.members > 0
        })
    }

    /// The same for any of them, and for whom nobody has started.
    pub fn anyone_needs_look(&mut self) -> bool {
        let left_others = |id: &JobId| self.entry(*id).is_some_and(|entry| entry.members > 0);
        self.lingering.iter().any(left_others) || !self.ended_leaders().is_empty() || self.orphan_has_ended()
    }

    /// From now on the end of this job is unexpected whatever its code, unless something else was said.
    pub fn serves(&mut self, id: JobId) {
        if let Some(entry) = self.entry_mut(id)
            && entry.expect == Expect::Success
        {
            entry.expect = Expect::NoEnd;
        }
        self.suspect(id);
    }

    /// Records a process that has just been started as this user; a restarted job replaces its old self.
    pub fn insert(&mut self, job: Arc<Job>, who: Identity, uid: u32, now: Duration) {
        let spec = &job.spec;
        let grace = u64::try_from(spec.grace.as_millis()).unwrap_or(u64::MAX);
        let pid = who.pid;
        let mixed = spec.kill_mode == KillMode::Mixed;
        let slot =
            page::get().and_then(|page| page.publish(who, spec.stop_signal, mixed, grace, uid, &spec.name));
        let started_as = self.history.next();
        let mut entry = Entry {
            pid,
            slot,
            leader: Leader::Running,
            watched: None,
            members: 0,
            last_member: None,
            started: now,
            ended: None,
            cost: Duration::ZERO,
            stage: Stage::Running,
            started_as,
            shown_ready: None,
            first_started: now,
            first_ready: None,
            partly: None,
            rest_due: None,
            first: Vec::new(),
            by: spec.stop_signal,
            said: false,
            expect: spec.expect.clone(),
            stop_command: None,
            asked: false,
            ran_when_asked: false,
            signalled: Vec::new(),
            reported: false,
            forgiven: false,
            restarts: 0,
            returns: false,
            gave_up: false,
            kept_down: false,
            failed: None,
            announced: State::Running,
            revived: false,
            job,
        };
        let id = entry.job.id;
        if let Some(old) = self.entries.get(&id) {
            // It keeps its place in the order of the end: who relied on it still does.
            (entry.started_as, entry.shown_ready) = (old.started_as, old.shown_ready);
            (entry.first_started, entry.first_ready) = (old.first_started, old.first_ready);
            entry.forgiven = old.forgiven;
            entry.restarts = old.restarts + usize::from(old.returns);
            if old.returns {
                entry.expect = old.expect.clone();
            }
            if self.by_pid.get(&old.pid) == Some(&id) {
                self.by_pid.remove(&old.pid);
            }
        } else if entry.job.kind != Kind::StopCommand {
            self.by_name.entry(entry.job.spec.name.clone()).or_default().push(id);
            if let Some(log) = &entry.job.log {
                self.by_log.entry(log.clone()).or_default().push(id);
            }
        }
        // What it takes to watch one is more than it takes to ask some.
        if self.asked_singly.len() >= ASKED_SINGLY {
            entry.watched = self.ends.watch(pid, id);
        }
        if entry.watched.is_none() && !self.asked_singly.contains(&id) {
            self.asked_singly.push(id);
        }
        self.by_pid.insert(pid, id);
        self.live.insert(id);
        self.lingering.remove(&id);
        self.suspects.remove(&id);
        self.at_rest.remove(&id);
        self.entries.insert(id, entry);
    }

    /// Forgets the commands that are over and that nobody holds any more.
    pub(super) fn forget(&mut self) {
        let is_held = |table: &Self, id| table.entry(id).is_some_and(|e| Arc::strong_count(&e.job) > 1);
        for id in std::mem::take(&mut self.over) {
            if self.live.contains(&id) {
                continue; // It was only between two of its processes.
            }
            if is_held(self, id) {
                self.over.push(id);
            } else if let Some(entry) = self.entries.remove(&id) {
                self.suspects.remove(&id);
                if self.by_pid.get(&entry.pid) == Some(&id) {
                    self.by_pid.remove(&entry.pid);
                }
                if let Some(ids) = self.by_name.get_mut(&entry.job.spec.name) {
                    ids.retain(|other| *other != id);
                }
            }
        }
    }

    /// Shows what has changed in the record.
    pub(super) fn show_changes(&mut self) {
        if let Some(page) = page::get() {
            page.show_slots(&std::mem::take(&mut self.changed));
        }
    }

    pub(super) fn leader(&self, pid: i32) -> Option<JobId> {
        let id = self.by_pid.get(&pid)?;
        self.entry(*id).filter(|entry| entry.pins(pid)).map(|entry| entry.job.id)
    }
}

/// The path as the kernel shows it among a process's open files.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
