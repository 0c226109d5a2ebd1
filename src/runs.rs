//! The runs of this machine, found by their directories, and what those left that lost both their processes.
//!
//! What is found was written by others, perhaps by nobody of ours: a directory counts only when it is no link and
//! nobody but its owner can enter it, a record only says where to look, and the lock decides who lives.
//!
//! A process is left over when there is evidence against it: a dead run's record has it (pid and start time, of this
//! boot), it is in the run's cgroup, or it descends from such a one. Of a *lost* run, of which nobody has looked what it
//! left, also when it carries the run's mark, or writes to a file in the run directory and has no terminal: whoever looks
//! at a log that was kept, or has the mark of a run that is over in its environment, is none of ours. What
//! carries the mark of a *live* run belongs to that run, whatever it has inherited besides. The guard of a live run
//! that a dead one has started is asked to stop, and what it guards is left to it.
//!
//! Never: this process, its ancestors, pid 1, processes of another user, runs of another user. Root alone may end
//! processes of others, those that its own dead run has started as another user; for those the mark is no evidence,
//! since anybody can set a variable, and no record of another user's run speaks for them.

use crate::jobs::cgroup;
use crate::jobs::shared;
use crate::jobs::spec::MARK;
use crate::rundir;
use crate::sys::ipc;
use crate::sys::page::{self, Identity, Page, SlotView};
use crate::sys::proc::{self, Stat};
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::libc::SIGTERM;
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::Uid;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File, TryLockError};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// The grace period where no record says another.
const GRACE: Duration = Duration::from_secs(5);
/// What a run may take to end besides the grace period of its jobs: its closures, its patience, some air.
const BESIDES: Duration = Duration::from_secs(16);

/// A run, by its directory.
pub struct Run {
    pub name: String,
    /// As the kernel shows it among the open files of a process.
    pub path: PathBuf,
    pub uid: u32,
    pub state: State,
    /// A copy of its record; none when there is none that this version can read.
    pub page: Option<Box<Page>>,
    /// Since 1970.
    changed: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Guard or host hold the lock.
    Live,
    /// Both are gone, and neither has said that the run is over.
    Lost,
    /// Over; its directory was kept.
    Ended,
    /// Both are gone, and there is no record to tell what it left.
    Unknown,
}

/// Why nobody can tell by its record what a run has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A version up to 0.2 has made it.
    Older,
    Fault(page::Fault),
}

/// A process that a dead run has left.
#[derive(Clone, Debug)]
pub struct Leftover {
    pub stat: Stat,
    /// The name of the run.
    pub run: String,
    pub evidence: Evidence,
    pub stop_signal: i32,
    pub grace: Duration,
}

/// Why a process is said to be left over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The record has it as the first process of this job.
    Job(String),
    /// It is in the run's cgroup.
    Cgroup,
    /// It writes to this file of the run directory.
    File(PathBuf),
    /// It has the run's mark in its environment.
    Mark,
    /// It descends from this process.
    Descendant(i32),
    /// It is the guard of this run, which lives, and which the dead run has started.
    Guard(String),
}

/// Every run in the directory that this process would use as well, oldest first.
pub fn all() -> Vec<Run> {
    list(true)
}

/// As [`all`], without the records of live runs, of which there may be hundreds, and of those that are over.
pub fn without_records() -> Vec<Run> {
    list(false)
}

fn list(records: bool) -> Vec<Run> {
    let Ok(base) = fs::canonicalize(rundir::base()) else { return Vec::new() };
    let names = fs::read_dir(&base).into_iter().flatten().flatten();
    let mut found: Vec<Run> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(rundir::PREFIX) && !name.ends_with(rundir::SHARED))
        .filter_map(|name| open(&base, name, records))
        .collect();
    found.sort_by(|a, b| (a.changed, &a.name).cmp(&(b.changed, &b.name)));
    found
}

/// The run of this directory.
pub fn at(path: &Path) -> Option<Run> {
    let path = fs::canonicalize(path).ok()?;
    let name = path.file_name()?.to_str()?.to_owned();
    let is_one = name.starts_with(rundir::PREFIX) && !name.ends_with(rundir::SHARED);
    is_one.then(|| open(path.parent()?, name, true)).flatten()
}

/// Reads one run. None when it is none: no directory, a link, open to others, not readable for us, only just being
/// made, or being removed.
fn open(base: &Path, name: String, records: bool) -> Option<Run> {
    let path = base.join(&name);
    let dir = openat(AT_FDCWD, &path, OFlag::O_DIRECTORY | FLAGS, Mode::empty()).ok()?;
    let meta = fstat(&dir).ok()?;
    if meta.st_mode & 0o777 != 0o700 {
        return None;
    }
    let owner = meta.st_uid;
    let record = regular(&dir, owner, rundir::RECORD)?;
    // Shared: whoever else looks at this moment must not take us for the run.
    let held = matches!(record.try_lock_shared(), Err(TryLockError::WouldBlock));
    let ended = !records && !held && page::says_ended(&record);
    let page = if ended || held && !records { None } else { page::read(&record) };
    let state = match &page {
        _ if held => State::Live,
        _ if ended => State::Ended,
        None => State::Unknown,
        Some(page) if page.ended() || page.is_of_another_boot() => State::Ended,
        // The lock is what counts, but should somebody have replaced it, nobody shall be killed for that.
        Some(page) if page.counts_here() && (page.guard().alive() || page.host().alive()) => State::Live,
        Some(_) => State::Lost,
    };
    let seconds = Duration::from_secs(meta.st_mtime.cast_unsigned());
    let changed = seconds.saturating_add(Duration::from_nanos(meta.st_mtime_nsec.cast_unsigned()));
    Some(Run { name, path, uid: meta.st_uid, state, page, changed })
}

const FLAGS: OFlag =
    OFlag::O_CLOEXEC.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// Opens a plain file of a run directory for reading; not a link, nor a FIFO that would hold us up, nor what belongs to
/// somebody else than the directory.
fn regular(dir: &OwnedFd, owner: u32, name: &str) -> Option<File> {
    let file = openat(dir, name, FLAGS, Mode::empty()).ok()?;
    let meta = fstat(&file).ok()?;
    let kind = SFlag::from_bits_truncate(meta.st_mode & SFlag::S_IFMT.bits());
    (kind == SFlag::S_IFREG && meta.st_uid == owner).then(|| File::from(file))
}

impl Run {
    /// Where its record says that its cgroup is.
    fn recorded_cgroup(&self) -> Option<PathBuf> {
        self.page.as_deref().and_then(Page::cgroup)
    }

    /// The cgroup of this dead run, if it still is its own.
    pub fn cgroup(&self) -> Option<cgroup::Dir> {
        cgroup::of_dead_run(&self.recorded_cgroup()?, &self.name, self.uid)
    }

    /// How many of these it has left; none where that cannot be told yet, since there is somebody in what it has
    /// recorded as its cgroup, of which guard or host have not let go.
    pub fn count_of(&self, left: &[Leftover]) -> Option<usize> {
        let count = left.iter().filter(|one| one.run == self.name).count();
        let dir = self.recorded_cgroup().map(|path| cgroup::Dir { path, name: String::new() });
        let hides_somebody = || dir.is_some_and(|dir| dir.is_populated());
        (count > 0 || !hides_somebody()).then_some(count)
    }

    /// Removes the shared memory that it has noted and nobody uses any more.
    pub fn remove_memory(&self) {
        let here = |page: &&Page| page.counts_here() && page.ipc_namespace() == ipc::namespace();
        if let Some(page) = self.page.as_deref().filter(here) {
            shared::remove_noted(page);
        }
    }

    pub fn is_dead(&self) -> bool {
        self.state != State::Live
    }

    /// Whether it lives and is this user's, whose word alone counts: anybody can write a record.
    fn is_live_for(&self, user: Uid) -> bool {
        !self.is_dead() && self.uid == user.as_raw()
    }

    /// Whether it was started in this directory, or below.
    pub fn is_under(&self, directory: &Path) -> bool {
        self.page.as_deref().is_some_and(|page| page.directory().starts_with(directory))
    }

    /// Keeps others from sweeping or removing this dead run as long as the result lives; none when somebody does.
    pub fn hold(&self) -> Option<File> {
        const TRIES: usize = 20;
        let dir = openat(AT_FDCWD, &self.path, OFlag::O_DIRECTORY | FLAGS, Mode::empty()).ok()?;
        let lock = regular(&dir, self.uid, rundir::RECORD)?;
        for _ in 0..TRIES {
            if lock.try_lock().is_ok() {
                return Some(lock);
            }
            // Somebody may only be asking whether it is held.
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// Who carries the mark of this run or writes to a file in its directory: which proves nothing about a run that may be
    /// over, but that it may not be. None when that cannot be seen.
    pub fn suspects(&self) -> Option<Vec<Stat>> {
        let is_its = |stat: &Stat| {
            proc::variable(stat.pid, MARK).as_deref() == Some(&self.name)
                || proc::writes_to(stat.pid, |file| file.starts_with(&self.path)).is_some()
        };
        Some(proc::census()?.into_iter().filter(is_its).collect())
    }

    /// Why the record of this dead run cannot be read; none when it can, or the run lives.
    pub fn unread(&self) -> Option<Unread> {
        if self.state != State::Unknown {
            return None;
        }
        let dir = openat(AT_FDCWD, &self.path, OFlag::O_DIRECTORY | FLAGS, Mode::empty()).ok()?;
        // Where versions up to 0.2 have it.
        if regular(&dir, self.uid, "page").is_some() {
            return Some(Unread::Older);
        }
        Some(Unread::Fault(page::fault(&regular(&dir, self.uid, rundir::RECORD)?)))
    }

    /// The jobs of its record, as far as the numbers in it mean anything here.
    pub fn jobs(&self) -> Vec<SlotView> {
        let page = self.page.as_deref().filter(|page| page.counts_here());
        page.map(Page::published).unwrap_or_default()
    }
}

/// What the dead ones of these runs have left, as far as it is ours to end. None when it cannot be seen, since no
/// descriptor is left to read /proc with.
pub fn leftovers(runs: &[Run]) -> Option<Vec<Leftover>> {
    let me = nix::unistd::geteuid();
    let dead: Vec<&Run> = runs.iter().filter(|run| run.is_dead() && run.uid == me.as_raw()).collect();
    if dead.is_empty() {
        return Some(Vec::new());
    }
    let mut processes = proc::census()?;
    let members = members(&dead);
    let seen: HashSet<(i32, u64)> = processes.iter().map(|stat| (stat.pid, stat.start)).collect();
    processes.extend(members.iter().map(|(stat, _)| stat).filter(|it| !seen.contains(&(it.pid, it.start))));
    let search = Search::new(runs, dead, &members, &processes);
    let mut found: Vec<Leftover> = processes.iter().filter_map(|stat| search.evidence(stat)).collect();
    let mut known: HashSet<i32> = found.iter().map(|one| one.stat.pid).collect();
    let mut queue: VecDeque<Leftover> = found.iter().cloned().collect();
    while let Some(parent) = queue.pop_front() {
        // What a live run guards is its own.
        if matches!(parent.evidence, Evidence::Guard(_)) {
            continue;
        }
        for stat in processes.iter().filter(|stat| stat.ppid == parent.stat.pid) {
            if known.insert(stat.pid)
                && let Some(child) = search.descendant(stat, &parent)
            {
                queue.push_back(child.clone());
                found.push(child);
            }
        }
    }
    found.sort_by(|a, b| (&a.run, a.stat.pid).cmp(&(&b.run, b.stat.pid)));
    Some(found)
}

/// Who is in the cgroup of which dead run. A chain of processes that fork and exit is elsewhere by the time all of /proc
/// has been read, but never out of its cgroup.
fn members(dead: &[&Run]) -> Vec<(Stat, usize)> {
    const TRIES: usize = 20;
    let look = |cgroup: &cgroup::Dir| {
        let mut found = Vec::new();
        for _ in 0..TRIES {
            let pids = cgroup.own_processes();
            found = pids.iter().filter_map(|pid| proc::stat(*pid)).filter(Stat::alive).collect();
            if pids.is_empty() || !found.is_empty() {
                break;
            }
        }
        found
    };
    let with_cgroup = dead.iter().enumerate().filter_map(|(i, run)| Some((i, run.cgroup()?)));
    with_cgroup.flat_map(|(i, cgroup)| look(&cgroup).into_iter().map(move |stat| (stat, i))).collect()
}

/// What must be known to judge one process.
struct Search<'r> {
    me: Uid,
    dead: Vec<&'r Run>,
    live: HashSet<&'r str>,
    /// Guards of live runs, and their hosts, which are left to their guards.
    guards: HashMap<(i32, u64), &'r Run>,
    hosts: HashSet<(i32, u64)>,
    /// The recorded jobs of dead runs: the index of the run with them.
    jobs: Vec<(usize, SlotView)>,
    /// Who is in the cgroup of which dead run.
    members: HashMap<(i32, u64), usize>,
    /// This process, its ancestors, pid 1.
    spared: HashSet<i32>,
}

impl<'r> Search<'r> {
    fn new(runs: &'r [Run], dead: Vec<&'r Run>, members: &[(Stat, usize)], processes: &[Stat]) -> Self {
        let mut spared = HashSet::from([1]);
        let mut next = Some(std::process::id().cast_signed());
        while let Some(pid) = next.filter(|pid| spared.insert(*pid)) {
            next = processes.iter().find(|stat| stat.pid == pid).map(|stat| stat.ppid);
        }
        let me = nix::unistd::geteuid();
        let mut search = Self {
            me,
            live: runs.iter().filter(|run| run.is_live_for(me)).map(|run| run.name.as_str()).collect(),
            guards: HashMap::new(),
            hosts: HashSet::new(),
            jobs: dead
                .iter()
                .enumerate()
                .flat_map(|(i, run)| run.jobs().into_iter().map(move |j| (i, j)))
                .collect(),
            members: members.iter().map(|(stat, run)| ((stat.pid, stat.start), *run)).collect(),
            dead,
            spared,
        };
        let key = |it: Identity| (it.pid, it.start);
        for run in runs.iter().filter(|run| run.is_live_for(me)) {
            if let Some(page) = run.page.as_deref().filter(|page| page.counts_here()) {
                search.guards.insert(key(page.guard()), run);
                search.hosts.insert(key(page.host()));
            }
        }
        search
    }

    /// The evidence against one process, if there is any, whoever its parent is.
    fn evidence(&self, stat: &Stat) -> Option<Leftover> {
        if !stat.alive() || self.spared.contains(&stat.pid) || self.hosts.contains(&(stat.pid, stat.start)) {
            return None;
        }
        let member = self.members.get(&(stat.pid, stat.start)).copied();
        let Some(uid) = proc::real_uid(stat.pid) else {
            // It has ended since, but there is always somebody.
            let run = member.filter(|run| self.dead[*run].cgroup().is_some_and(|it| it.is_populated()))?;
            return Some(self.leftover(stat, run, Evidence::Cgroup, None));
        };
        let own = uid == self.me.as_raw();
        if !own && !self.me.is_root() {
            return None;
        }
        let mark = if own { proc::variable(stat.pid, MARK) } else { None };
        if mark.as_deref().is_some_and(|mark| self.live.contains(mark)) {
            return None;
        }
        let recorded = self.jobs.iter().find(|(_, job)| job.pid == stat.pid && job.start == stat.start);
        let (run, evidence) = if let Some((run, job)) = recorded {
            (*run, Evidence::Job(job.name.clone()))
        } else if let Some(run) = member {
            (run, Evidence::Cgroup)
        } else if let Some(run) = self.lost(|run| mark.as_deref() == Some(&run.name)) {
            (run, Evidence::Mark)
        } else if stat.terminal != 0 {
            // An editor; no job has a terminal but one of its own, which has ended with the run.
            return None;
        } else {
            let file =
                proc::writes_to(stat.pid, |file| self.lost(|run| file.starts_with(&run.path)).is_some())?;
            let run = self.lost(|run| file.starts_with(&run.path))?;
            (run, Evidence::File(file))
        };
        Some(self.leftover(stat, run, evidence, None))
    }

    /// The first of the lost runs for which this holds.
    fn lost(&self, holds: impl Fn(&Run) -> bool) -> Option<usize> {
        self.dead.iter().position(|run| run.state == State::Lost && holds(run))
    }

    /// A child of one that is left over is as well, unless it belongs to a live run.
    fn descendant(&self, stat: &Stat, parent: &Leftover) -> Option<Leftover> {
        if !stat.alive() || self.spared.contains(&stat.pid) || self.hosts.contains(&(stat.pid, stat.start)) {
            return None;
        }
        let own = proc::real_uid(stat.pid)? == self.me.as_raw();
        let of_a_live_run =
            proc::variable(stat.pid, MARK).is_some_and(|mark| self.live.contains(mark.as_str()));
        if of_a_live_run || !own && !self.me.is_root() {
            return None;
        }
        let run = self.dead.iter().position(|run| run.name == parent.run)?;
        Some(self.leftover(stat, run, Evidence::Descendant(parent.stat.pid), Some(parent)))
    }

    fn leftover(&self, stat: &Stat, run: usize, evidence: Evidence, parent: Option<&Leftover>) -> Leftover {
        let Run { name, page, .. } = self.dead[run];
        if let Some(live) = self.guards.get(&(stat.pid, stat.start)) {
            let longest = live.page.as_deref().map_or(GRACE, |page| {
                Duration::from_millis(page.grace_ms.load(SeqCst).max(page.longest_grace_ms.load(SeqCst)))
            });
            return Leftover {
                stat: *stat,
                run: name.clone(),
                evidence: Evidence::Guard(live.name.clone()),
                stop_signal: SIGTERM,
                grace: longest.saturating_add(BESIDES),
            };
        }
        let of_run = || self.jobs.iter().filter(|(of, _)| *of == run).map(|(_, job)| job);
        let by_number = || of_run().find(|job| [stat.pid, stat.pgrp, stat.session].contains(&job.pid));
        let by_name = || {
            let name = proc::variable(stat.pid, "BGJOBS_JOB")?;
            of_run().find(|job| job.name == name)
        };
        let (stop_signal, grace) = match (by_number().or_else(by_name), parent) {
            (Some(job), _) => (job.stop_signal, Duration::from_millis(job.grace_ms.into())),
            (None, Some(parent)) => (parent.stop_signal, parent.grace),
            (None, None) => {
                let grace = page.as_deref().map(|page| Duration::from_millis(page.grace_ms.load(SeqCst)));
                (SIGTERM, grace.unwrap_or(GRACE))
            }
        };
        // The record may be garbage.
        let stop_signal = if (1..=64).contains(&stop_signal) { stop_signal } else { SIGTERM };
        Leftover { stat: *stat, run: name.clone(), evidence, stop_signal, grace }
    }
}
