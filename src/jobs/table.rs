//! The one table of what runs, and to which job each process belongs.
//!
//! Whoever holds its lock may signal our own children by number: they are only ever reaped under the same
//! lock. A job's leader stays a zombie until its group has no other living member, which keeps the
//! number of its group from being used again.

use super::fail::{Death, FailLine};
use super::job::{Job, JobId, Kind, State, View};
use super::order::{self, History};
use super::spec::{Expect, KillMode, MARK};
use super::stop::{self, Partly, Stage};
use super::survivor::beyond_reach;
use crate::sys::proc::{self, Stat, Usage};
use crate::sys::wait::{self, ExitStatus, Peek};
use crate::sys::{clock, page, pidfd, signal};
use nix::libc::{SIGINT, SIGKILL, SIGQUIT, SIGTERM};
use nix::unistd::{Pid, getpgid, getsid};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// The command that is run instead of a job's stop signal.
pub(super) enum StopCommand {
    /// Somebody is about to start it.
    Due,
    Started(Arc<Job>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    Running,
    /// Ended, not reaped: its number is pinned.
    Zombie(ExitStatus),
    Reaped(ExitStatus),
}

pub(super) struct Entry {
    pub job: Arc<Job>,
    pub pid: i32,
    slot: Option<usize>,
    leader: Leader,
    /// Living processes of this job besides its leader, as of the last look.
    members: usize,
    /// How the last orphan of this job ended: the end of a daemonised job.
    last_member: Option<ExitStatus>,
    started: Duration,
    ended: Option<Duration>,
    /// The processor time of its leader, once that was reaped.
    cost: Duration,
    pub stage: Stage,
    /// When it was started and when it was seen to be ready, in the run's [`History`].
    started_as: u64,
    shown_ready: Option<u64>,
    /// Its stop signal has gone to some of its processes only, and how that goes on.
    pub partly: Option<Partly>,
    /// Those, unless it was its first process alone.
    first: Vec<Stat>,
    /// The signal that has asked it to stop.
    pub by: i32,
    /// It was said that its stop is waited for.
    pub said: bool,
    pub expect: Expect,
    /// None as well once the stop signal has followed.
    pub stop_command: Option<StopCommand>,
    /// The script stopped, killed or restarted it.
    pub asked: bool,
    /// The signals that the script has sent it.
    pub signalled: Vec<i32>,
    /// Its unexpected death, or its failure, has been thrown once.
    pub told: bool,
    /// Somebody waits for it who starts it again when it dies.
    pub forgiven: bool,
    /// It has printed a line that means failure.
    pub failed: Option<FailLine>,
    /// A change that the reaper has seen and not yet announced.
    announced: State,
    /// It was announced to have ended, and yet lived: it was between two of its processes. Said once, since a chain of
    /// processes that fork and exit is so all the time.
    revived: bool,
}

impl Entry {
    pub fn alive(&self) -> bool {
        self.leader == Leader::Running || self.members > 0
    }

    /// This number is its leader's, and nobody else can have it.
    fn pins(&self, pid: i32) -> bool {
        self.pid == pid && !matches!(self.leader, Leader::Reaped(_))
    }

    /// Its leader has been reaped: the number may be anybody's from now on.
    fn let_go(&mut self, status: ExitStatus) {
        self.leader = Leader::Reaped(status);
        if let (Some(slot), Some(page)) = (self.slot.take(), page::get()) {
            page.withdraw(slot);
        }
    }

    /// Whether anyone lives to whom the stop signal has gone, when not to all.
    pub fn first_lives(&self) -> bool {
        let lives =
            |first: &Stat| proc::stat(first.pid).is_some_and(|now| now.start == first.start && now.alive());
        if self.first.is_empty() { self.leader == Leader::Running } else { self.first.iter().any(lives) }
    }

    /// A command that the script waits for; not what one has left running.
    pub fn in_foreground(&self) -> bool {
        self.job.kind == Kind::Command && self.leader == Leader::Running
    }

    /// It is asked to stop now.
    pub fn asked_at(&mut self, now: Duration, grace: Duration) {
        self.stage = Stage::Asked { since: now, grace };
        if let (Some(slot), Some(page)) = (self.slot, page::get()) {
            page.note_asked(slot, now);
        }
    }

    fn leader_status(&self) -> Option<ExitStatus> {
        match self.leader {
            Leader::Running => None,
            Leader::Zombie(status) | Leader::Reaped(status) => Some(status),
        }
    }

    pub fn state(&self) -> State {
        match self.leader_status() {
            None => State::Running,
            Some(status) if self.members == 0 => {
                let status = if status.success() { self.last_member.unwrap_or(status) } else { status };
                State::Ended(status)
            }
            Some(_) if self.asked && self.stage != Stage::Running => State::Running,
            Some(status) if status.success() => State::Daemonised,
            Some(status) => State::Ended(status),
        }
    }

    pub fn died(&self) -> bool {
        let expected = |status: ExitStatus| match &self.expect {
            Expect::Success => status.success(),
            Expect::NoEnd => false,
            Expect::AnyEnd => true,
            Expect::Codes(codes) => codes.contains(&status.code()),
        };
        match self.state() {
            State::Ended(_) if self.job.too_chatty.load(SeqCst) => true,
            State::Ended(status) => {
                self.job.kind == Kind::Job && !self.asked && !expected(status) && !self.ended_as_told(status)
            }
            State::Running | State::Daemonised => false,
        }
    }

    /// Why it counts as dead, if the script has not been told of it yet. What it printed comes first: that is why it
    /// has ended, if it has, and its end is no second failure.
    pub fn death(&self) -> Option<Death> {
        match (&self.failed, self.state()) {
            _ if self.told || self.forgiven => None,
            (Some(found), _) => Some(Death::Line(found.clone())),
            (None, State::Ended(status)) if self.died() => Some(Death::Ended(status)),
            (None, _) => None,
        }
    }

    /// Whether it ended because of a signal that the script has sent: by that signal, or in whatever way a
    /// program answers one that means *end*.
    fn ended_as_told(&self, status: ExitStatus) -> bool {
        const MEANS_END: [i32; 4] = [SIGINT, SIGQUIT, SIGTERM, SIGKILL];
        let by = |number: &i32| status == ExitStatus::Signal(*number);
        self.signalled.iter().any(|number| by(number) || MEANS_END.contains(number))
    }

    /// Its leader has ended, which has not been noted yet.
    fn has_ended_unnoted(&self) -> bool {
        self.leader == Leader::Running && matches!(wait::peek(self.pid), Peek::Ended(..))
    }

    /// Its leader is on its way out: what is sent to it now is not why it ends.
    pub fn is_doomed(&self) -> bool {
        self.leader == Leader::Running && proc::is_doomed(self.pid)
    }

    pub fn view(&self) -> View {
        View {
            pid: self.pid,
            state: self.state(),
            leader: self.leader_status(),
            started: self.started,
            ended: self.ended,
            died: self.died(),
        }
    }
}

/// What the reaper noticed, for the event stream.
pub(super) struct Change {
    pub job: Arc<Job>,
    pub state: State,
    pub died: bool,
    pub asked: bool,
    pub members: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
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

/// Who gets signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The whole tree: the group as a group, everyone else one by one.
    Tree,
    /// Its group, as Ctrl-C at a terminal reaches it.
    Group,
    /// The same without its first process.
    RestOfGroup,
    /// Its first process alone; of a job whose first process has ended, those that are left without a parent.
    First,
}

/// Signals that are due.
pub(super) struct Order {
    pub id: JobId,
    pub signals: Vec<i32>,
    pub to: To,
}

impl Order {
    pub fn tree(id: JobId, signals: &[i32]) -> Self {
        Self { id, signals: signals.to_vec(), to: To::Tree }
    }
}

pub(super) struct Table {
    pub phase: Phase,
    pub history: History,
    /// By id: in the order in which they were started.
    entries: BTreeMap<JobId, Entry>,
    /// Those of which something lives, or whose end was not announced yet: whom a look is about. What costs time for
    /// each entry is only done for these, so that thousands that have ended cost nothing.
    live: BTreeSet<JobId>,
    /// Those of them whose leader has ended.
    lingering: BTreeSet<JobId>,
    /// Those whose death the script may have to be told.
    suspects: BTreeSet<JobId>,
    /// Commands that are over, for as long as somebody holds them.
    over: Vec<JobId>,
    /// The newest whose leader has this number, or had it.
    by_pid: HashMap<i32, JobId>,
    /// All of this name or with this log but for stop commands, the newest last.
    by_name: HashMap<String, Vec<JobId>>,
    by_log: HashMap<PathBuf, Vec<JobId>>,
    /// From where to look for a number that makes this name unique.
    numbers: HashMap<String, usize>,
    /// Identifies this run in the environment of its processes.
    run: String,
    me: i32,
    /// To which job each descendant belonged when last seen, by (pid, start time).
    seen: HashMap<(i32, u64), Option<JobId>>,
    /// The groups and sessions whose members last seen were all of one job; and those that its processes may have founded
    /// since, which have their numbers.
    groups: HashMap<i32, Option<JobId>>,
    /// When all descendants may be looked at again.
    sight_due: Duration,
}

/// A look at all descendants costs as much as there are; so many times what the last one has taken they are left alone.
const SELDOM: u32 = 20;
/// So many ends in one look are taken one by one.
const FEW: usize = 16;

impl Table {
    pub fn new(run: String) -> Self {
        let me = nix::unistd::getpid().as_raw();
        Self {
            phase: Phase::Open,
            history: History::default(),
            entries: BTreeMap::new(),
            live: BTreeSet::new(),
            lingering: BTreeSet::new(),
            suspects: BTreeSet::new(),
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
    pub fn untold_death(&self) -> Option<(Arc<Job>, Death)> {
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
        self.live().all(ended) && self.all().any(|entry| entry.job.kind == Kind::Job)
    }

    /// Whether a look would find that this job has ended. `behind`: somebody has ended since the last one.
    pub fn needs_look(&self, id: JobId, behind: bool) -> bool {
        self.entry(id).is_some_and(|entry| {
            entry.has_ended_unnoted() || behind && entry.leader != Leader::Running && entry.members > 0
        })
    }

    /// The same for any of them, given that somebody has ended.
    pub fn anyone_needs_look(&self) -> bool {
        match wait::peek_any() {
            Peek::Living | Peek::NoChild => false,
            Peek::Ended(pid, _) => {
                let lingers = |id: JobId| self.lingering.contains(&id);
                !self.leader(pid).is_some_and(lingers) || self.live().any(|e| self.needs_look(e.job.id, true))
            }
        }
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

    /// Whether any descendant lives, known or not.
    pub fn anything_lives(&mut self) -> bool {
        self.tree(true).unwrap_or_default().iter().any(Stat::alive)
    }

    /// Records a process that has just been started as this user; a restarted job replaces its old self.
    pub fn insert(&mut self, job: Arc<Job>, pid: i32, uid: u32, now: Duration) {
        let spec = &job.spec;
        let grace = u64::try_from(spec.grace.as_millis()).unwrap_or(u64::MAX);
        let mixed = spec.kill_mode == KillMode::Mixed;
        let slot =
            page::get().and_then(|page| page.publish(pid, spec.stop_signal, mixed, grace, uid, &spec.name));
        let started_as = self.history.next();
        let mut entry = Entry {
            pid,
            slot,
            leader: Leader::Running,
            members: 0,
            last_member: None,
            started: now,
            ended: None,
            cost: Duration::ZERO,
            stage: Stage::Running,
            started_as,
            shown_ready: None,
            partly: None,
            first: Vec::new(),
            by: spec.stop_signal,
            said: false,
            expect: spec.expect.clone(),
            stop_command: None,
            asked: false,
            signalled: Vec::new(),
            told: false,
            forgiven: false,
            failed: None,
            announced: State::Running,
            revived: false,
            job,
        };
        let id = entry.job.id;
        if let Some(old) = self.entries.get(&id) {
            // It keeps its place in the order of the end: who relied on it still does.
            (entry.started_as, entry.shown_ready) = (old.started_as, old.shown_ready);
            if self.by_pid.get(&old.pid) == Some(&id) {
                self.by_pid.remove(&old.pid);
            }
        } else if entry.job.kind != Kind::StopCommand {
            self.by_name.entry(entry.job.spec.name.clone()).or_default().push(id);
            if let Some(log) = &entry.job.log {
                self.by_log.entry(log.clone()).or_default().push(id);
            }
        }
        self.by_pid.insert(pid, id);
        self.live.insert(id);
        self.lingering.remove(&id);
        self.suspects.remove(&id);
        self.entries.insert(id, entry);
    }

    /// Forgets the commands that are over and that nobody holds any more.
    fn forget(&mut self) {
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

    /// Looks at every child: notes the leaders that ended, reaps orphans, counts who still lives, lets go of
    /// the leaders whose group is empty. Returns what has changed.
    pub fn look(&mut self, now: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        if now >= self.sight_due || !self.look_at_ends(now, &mut changes) {
            self.look_at_all(now, &mut changes);
        }
        self.forget();
        changes
    }

    /// The usual case, which costs the same however many jobs there are: leaders have ended and have left nobody, nor has
    /// anyone before them. Whether that was all.
    fn look_at_ends(&mut self, now: Duration, changes: &mut Vec<Change>) -> bool {
        for _ in 0..FEW {
            let Peek::Ended(pid, status) = wait::peek_any() else { return self.lingering.is_empty() };
            let Some(id) = self.leader(pid).filter(|id| !self.lingering.contains(id)) else { return false };
            // Only now, when its end has been seen: then those whom it has left had become ours before.
            if !proc::adopted().is_some_and(|adopted| adopted.is_empty()) {
                return false;
            }
            self.note_end(id, status);
            if let Some(entry) = self.entry_mut(id) {
                entry.members = 0;
            }
            changes.extend(self.release(id, now));
        }
        false
    }

    fn look_at_all(&mut self, now: Duration, changes: &mut Vec<Change>) {
        // Our own children first, without /proc: what cannot be read there must not keep a wait from its end.
        self.note_leaders();
        self.reap_orphans();
        let whole = now >= self.sight_due;
        let start = clock::now();
        let Some(tree) = self.tree(whole) else { return };
        self.count(&tree, whole);
        if whole {
            let end = clock::now();
            self.sight_due = end + end.saturating_sub(start) * SELDOM;
        }
        // A process that forked while the tree was read may be missing from it, so before anyone is declared
        // gone the tree is read again.
        if self.live().any(|entry| entry.ended.is_none() && !entry.alive()) {
            let Some(tree) = self.tree(false) else { return };
            self.reap_orphans();
            self.count(&tree, false);
        }
        let ids: Vec<JobId> = self.live.iter().copied().collect();
        changes.extend(ids.into_iter().filter_map(|id| self.release(id, now)));
    }

    /// All descendants, or those alone whom their leader has left; `None` when they cannot be read. Of a leader that has
    /// ended all members are among the latter: they have become ours, or are below one who has.
    fn tree(&mut self, whole: bool) -> Option<Vec<Stat>> {
        let running: Vec<JobId> = self.live.iter().filter(|_| whole).copied().collect();
        self.tree_of(&running, whole)
    }

    /// The descendants among whom all processes of these jobs are. `whole`: they are all jobs.
    ///
    /// Who was seen before and still lives is looked for by number, should the kernel's lists of children, which are no
    /// snapshot, have missed it.
    fn tree_of(&mut self, ids: &[JobId], whole: bool) -> Option<Vec<Stat>> {
        let runs = |entry: &Entry| entry.leader == Leader::Running;
        let leaders = ids.iter().filter_map(|id| self.entry(*id)).filter(|entry| runs(entry));
        let mut tree = proc::forest(leaders.map(|entry| entry.pid))?;
        let mut found: HashSet<i32> = tree.iter().map(|stat| stat.pid).collect();
        let mut gone = Vec::new();
        for ((pid, start), owner) in &self.seen {
            // Below another leader, where nobody has looked.
            let elsewhere =
                || owner.and_then(|id| self.entry(id)).is_some_and(|e| runs(e) && !ids.contains(&e.job.id));
            if found.contains(pid) || !whole && elsewhere() {
                continue;
            }
            match proc::stat(*pid).filter(|stat| stat.start == *start && stat.alive()) {
                None => gone.push((*pid, *start)),
                Some(missed) => {
                    let below = proc::tree(*pid)?.into_iter();
                    tree.extend(std::iter::once(missed).chain(below).filter(|stat| found.insert(stat.pid)));
                }
            }
        }
        for key in gone {
            self.seen.remove(&key);
        }
        Some(tree)
    }

    /// Notes the leaders that have ended.
    fn note_leaders(&mut self) {
        let ended = |entry: &Entry| match entry.leader {
            Leader::Running => match wait::peek(entry.pid) {
                Peek::Ended(_, status) => Some((entry.job.id, status)),
                Peek::Living | Peek::NoChild => None,
            },
            Leader::Zombie(_) | Leader::Reaped(_) => None,
        };
        let ended: Vec<_> = self.live().filter_map(ended).collect();
        for (id, status) in ended {
            self.note_end(id, status);
        }
    }

    fn note_end(&mut self, id: JobId, status: ExitStatus) {
        if let Some(entry) = self.entry_mut(id) {
            entry.leader = Leader::Zombie(status);
            self.lingering.insert(id);
            self.suspects.insert(id);
        }
    }

    /// Reaps all ended children that are nobody's leader. All, since looking costs as much as there are children: if some
    /// of them were left, chains of processes that fork and exit would outrun us, until no process number is left.
    fn reap_orphans(&mut self) {
        let daemonised = (self.lingering.iter().filter_map(|id| self.entry(*id)))
            .any(|entry| entry.announced == State::Daemonised);
        let sighted: HashSet<i32> = self.seen.keys().filter(|_| daemonised).map(|(pid, _)| *pid).collect();
        for pid in proc::adopted().unwrap_or_default() {
            if self.leader(pid).is_some() {
                continue;
            }
            let Peek::Ended(_, status) = wait::peek(pid) else { continue };
            let owner = if daemonised { self.owner_of_ended(pid, &sighted) } else { None };
            // The end of a daemonised job is that of its last process; what an orphan does while the leader
            // runs says nothing, and neither does an end that the end of the run has brought.
            let open = self.phase == Phase::Open;
            if let Some(entry) = owner.and_then(|id| self.entry_mut(id))
                && open
                && entry.announced == State::Daemonised
            {
                entry.last_member = Some(status);
            }
            wait::reap(pid);
        }
    }

    /// The job of a child that has ended; /proc is only read of those that it can be told of, since there may be thousands.
    fn owner_of_ended(&self, pid: i32, sighted: &HashSet<i32>) -> Option<JobId> {
        let is_leader = |id: Pid| self.by_pid.contains_key(&id.as_raw());
        let child = Some(Pid::from_raw(pid));
        let known = sighted.contains(&pid)
            || getpgid(child).is_ok_and(is_leader)
            || getsid(child).is_ok_and(is_leader);
        if known { self.owner_by_number(&proc::stat(pid)?) } else { None }
    }

    fn count(&mut self, tree: &[Stat], whole: bool) {
        let owners = self.owners(tree, whole);
        let mut counts: HashMap<JobId, usize> = HashMap::new();
        for stat in tree.iter().filter(|stat| stat.alive()) {
            if let Some(Some(id)) = owners.get(&stat.pid)
                && self.entry(*id).is_some_and(|e| stat.pid != e.pid || stat.ppid != self.me)
            {
                *counts.entry(*id).or_default() += 1;
            }
        }
        let dead = |id: &JobId| !counts.contains_key(id);
        let dead: Vec<JobId> = self.live.iter().copied().filter(dead).collect();
        for (id, members) in counts.into_iter().chain(dead.into_iter().map(|id| (id, 0))) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            entry.members = members;
            // Perhaps it looked gone before, and was only between two of its processes.
            self.live.insert(id);
            if entry.leader != Leader::Running {
                self.lingering.insert(id);
            }
        }
    }

    /// Reaps the leader of this job if its tree is gone, and says what has changed.
    fn release(&mut self, id: JobId, now: Duration) -> Option<Change> {
        let entry = self.entries.get_mut(&id)?;
        if let Leader::Zombie(status) = entry.leader
            && entry.members == 0
        {
            entry.cost = wait::reap_with_cost(entry.pid);
            entry.let_go(status);
        }
        let state = entry.state();
        if matches!(state, State::Ended(_)) && entry.ended.is_none() {
            entry.ended = Some(now);
        }
        let mut change = None;
        if state != entry.announced {
            let known = entry.revived;
            entry.revived |= matches!(entry.announced, State::Ended(_));
            entry.announced = state;
            change = (!known).then(|| Change {
                job: Arc::clone(&entry.job),
                state,
                died: entry.died(),
                asked: entry.asked,
                members: entry.members,
            });
        }
        if !entry.alive() && !matches!(entry.leader, Leader::Zombie(_)) {
            self.live.remove(&id);
            self.lingering.remove(&id);
            if entry.death().is_none() {
                self.suspects.remove(&id);
            }
            // It needs no place any more.
            if entry.job.kind != Kind::Job {
                self.over.push(id);
            }
        }
        change
    }

    /// Each descendant's job; `None` for one that cannot be told.
    /// `whole`: these are all descendants.
    fn owners(&mut self, tree: &[Stat], whole: bool) -> HashMap<i32, Option<JobId>> {
        let mut owners: HashMap<i32, Option<JobId>> = HashMap::new();
        let mut seen = HashMap::new();
        for stat in tree {
            let leader = self.leader(stat.pid);
            let owner = match owners.get(&stat.ppid) {
                _ if leader.is_some() => leader,
                Some(Some(parent)) => Some(*parent),
                _ => self.owner_of_orphan(stat),
            };
            owners.insert(stat.pid, owner);
            seen.insert((stat.pid, stat.start), owner);
        }
        let groups = self.groups_of(tree, &owners);
        if whole {
            (self.seen, self.groups) = (seen, groups);
        } else {
            self.seen.extend(seen);
            self.groups.extend(groups);
        }
        owners
    }

    /// To which job each group and session belongs; to none when its members are of several. A daemon's first process may
    /// end before anybody has seen the others, which are orphans then, and have nothing but this in common with it.
    fn groups_of(&self, tree: &[Stat], owners: &HashMap<i32, Option<JobId>>) -> HashMap<i32, Option<JobId>> {
        let mut groups = HashMap::new();
        for stat in tree {
            let owner = owners.get(&stat.pid).copied().flatten();
            for number in [stat.pid, stat.pgrp, stat.session]
                .into_iter()
                .filter(|number| *number > 0 && *number != self.me)
            {
                groups
                    .entry(number)
                    .and_modify(|of: &mut Option<JobId>| *of = (*of == owner).then_some(owner).flatten())
                    .or_insert(owner);
            }
        }
        groups
    }

    fn leader(&self, pid: i32) -> Option<JobId> {
        let id = self.by_pid.get(&pid)?;
        self.entry(*id).filter(|entry| entry.pins(pid)).map(|entry| entry.job.id)
    }

    /// The first of these: all that can be told of a zombie.
    fn owner_by_number(&self, stat: &Stat) -> Option<JobId> {
        let newest =
            [stat.pgrp, stat.session].into_iter().filter_map(|number| self.by_pid.get(&number)).max();
        let by_sight = || self.seen.get(&(stat.pid, stat.start)).copied().flatten();
        let by_members =
            || [stat.pgrp, stat.session].iter().find_map(|number| self.groups.get(number).copied().flatten());
        newest.copied().or_else(by_sight).or_else(by_members)
    }

    /// The job of a process that has become our child because its parent died, by its group or session, by
    /// where it was last seen, by whom it shares its group or session with, by the log that it has open, by its environment: in this order. A daemon that
    /// hides all of these (redis makes a session of its own and overwrites its environment) is that of the
    /// one job whose first process has just ended with 0, or runs, if there is one such job; of several that have just ended
    /// the one whose first process was called as it is.
    fn owner_of_orphan(&self, stat: &Stat) -> Option<JobId> {
        let newest = |ids: Option<&Vec<JobId>>| ids.and_then(|ids| ids.last().copied());
        let by_log = || {
            let files = proc::open_files(stat.pid)?.into_iter();
            files.filter_map(|file| newest(self.by_log.get(&file))).max()
        };
        let by_environment = || {
            let [run, name] = proc::variables(stat.pid, [MARK, "BGJOBS_JOB"]);
            let name = name.filter(|_| run.as_ref() == Some(&self.run))?;
            newest(self.by_name.get(&name))
        };
        let by_elimination = || {
            // No look at who is left has been finished since. Only a look may note an end: it counts the members
            // too, and a leader that has ended without members is a job that has. One that is being stopped starts
            // nothing any more.
            let just_ended = |entry: &&Entry| match entry.leader {
                _ if entry.stage != Stage::Running => false,
                Leader::Running => {
                    matches!(wait::peek(entry.pid), Peek::Ended(_, status) if status.success())
                }
                Leader::Zombie(status) => status.success() && entry.announced == State::Running,
                Leader::Reaped(_) => false,
            };
            // Nobody descends from what was started later.
            let came_first = |entry: &&Entry| {
                proc::stat(entry.pid).is_none_or(|leader| (leader.start, leader.pid) < (stat.start, stat.pid))
            };
            if self.seen.contains_key(&(stat.pid, stat.start)) {
                return None;
            }
            let runs = |entry: &&Entry| entry.stage == Stage::Running && entry.leader == Leader::Running;
            let mut candidates: Vec<&Entry> = self.live().filter(just_ended).filter(came_first).collect();
            if candidates.len() > 1 {
                // What only forks keeps its name (proc(5), comm); commands that ask whether a job is ready end all the time.
                let name = proc::name(stat.pid);
                candidates.retain(|entry| proc::name(entry.pid) == name);
            }
            if candidates.is_empty() {
                // One that still runs may have left it, too.
                candidates.extend(self.live().filter(runs).filter(came_first).take(2));
            }
            if let [only] = candidates[..] { Some(only.job.id) } else { None }
        };
        self.owner_by_number(stat).or_else(by_log).or_else(by_environment).or_else(by_elimination)
    }

    /// To which job each descendant belongs now.
    pub fn owners_now(&mut self) -> HashMap<i32, Option<JobId>> {
        let Some(tree) = self.tree(true) else { return HashMap::new() };
        self.owners(&tree, true)
    }

    /// The living processes of every job.
    pub fn processes_by_job(&mut self) -> HashMap<JobId, Vec<i32>> {
        let Some(tree) = self.tree(true) else { return HashMap::new() };
        let owners = self.owners(&tree, true);
        let mut by_job: HashMap<JobId, Vec<i32>> = HashMap::new();
        for stat in tree.iter().filter(|stat| stat.alive()) {
            if let Some(Some(job)) = owners.get(&stat.pid) {
                by_job.entry(*job).or_default().push(stat.pid);
            }
        }
        by_job
    }

    /// The living processes of a job, its leader first.
    pub fn processes(&mut self, id: JobId) -> Vec<Stat> {
        let Some(tree) = self.tree_of(&[id], false) else { return Vec::new() };
        let owners = self.owners(&tree, false);
        let leader = self.entry(id).map(|entry| entry.pid);
        let mut found: Vec<Stat> = tree
            .into_iter()
            .filter(|stat| stat.alive() && owners.get(&stat.pid) == Some(&Some(id)))
            .collect();
        found.sort_by_key(|stat| Some(stat.pid) != leader);
        found
    }

    /// What a job's whole tree uses. Of the ended ones those count whom somebody in the tree has waited for, and the
    /// leader; an orphan does not.
    pub fn usage(&mut self, id: JobId) -> Usage {
        let mut usage = Usage::default();
        let tree = self.tree_of(&[id], false).unwrap_or_default();
        let owners = self.owners(&tree, false);
        let Some(entry) = self.entry(id) else { return usage };
        usage.cpu += entry.cost;
        let members = tree.iter().map(|stat| stat.pid).filter(|pid| owners.get(pid) == Some(&Some(id)));
        // A zombie of our own is not in the tree.
        let zombie = matches!(entry.leader, Leader::Zombie(_)).then_some(entry.pid);
        for pid in members.filter(|pid| Some(*pid) != zombie).chain(zombie) {
            usage += proc::usage(pid).unwrap_or_default();
        }
        usage
    }

    /// Sends signals to a job's whole tree.
    pub fn signal_tree(&mut self, id: JobId, signals: &[i32]) {
        self.signal(&[Order::tree(id, signals)]);
    }

    /// Sends signals to many jobs. /proc is read once, not once a job: hundreds of jobs must stop in the time of one.
    pub fn signal(&mut self, orders: &[Order]) {
        if orders.is_empty() {
            return;
        }
        // The groups are reached even if nobody can be looked for, and who belonged to whom is not forgotten.
        let ids: Vec<JobId> = orders.iter().map(|order| order.id).collect();
        let tree = self.tree_of(&ids, false);
        let owners = tree.as_ref().map(|tree| self.owners(tree, false)).unwrap_or_default();
        let tree = tree.unwrap_or_default();
        let mut processes: HashMap<JobId, Vec<&Stat>> = HashMap::new();
        for stat in tree.iter().filter(|stat| stat.alive()) {
            if let Some(Some(id)) = owners.get(&stat.pid) {
                processes.entry(*id).or_default().push(stat);
            }
        }
        let me = self.me;
        for Order { id, signals, to } in orders {
            let Some(entry) = self.entry_mut(*id) else { continue };
            let (group, pinned) = (entry.pid, !matches!(entry.leader, Leader::Reaped(_)));
            let others = processes.get(id).map(Vec::as_slice).unwrap_or_default();
            if *to != To::Tree {
                let runs = entry.leader == Leader::Running;
                let is_first = |stat: &&&Stat| match to {
                    To::Group | To::RestOfGroup => pinned && stat.pgrp == group,
                    _ => !runs && stat.ppid == me,
                };
                entry.first = others.iter().filter(is_first).map(|stat| **stat).collect();
                for &number in signals {
                    match to {
                        To::Group if pinned => drop(signal::kill(-group, number)),
                        To::RestOfGroup => {
                            let rest = entry.first.iter().filter(|stat| stat.pid != group);
                            rest.for_each(|stat| signal_process(stat, me, number));
                        }
                        _ if runs => drop(signal::kill(group, number)),
                        _ => entry.first.iter().for_each(|stat| signal_process(stat, me, number)),
                    }
                }
                continue;
            }
            for &number in signals {
                if number == SIGKILL
                    && let Some(cgroup) = &entry.job.limited
                {
                    cgroup.kill();
                }
                if pinned {
                    let _ = signal::kill(-group, number);
                }
                for stat in others.iter().filter(|stat| !pinned || stat.pgrp != group) {
                    signal_process(stat, me, number);
                }
            }
        }
    }

    /// Those of these jobs that may be asked to stop now, in the order of an end that is to be over at `until`; and when
    /// all others are asked at the latest.
    pub fn due(&self, ids: &[JobId], until: Duration, now: Duration) -> (Vec<JobId>, Option<Duration>) {
        let wanted: BTreeSet<JobId> = ids.iter().copied().collect();
        let entries = wanted.iter().filter_map(|id| self.entry(*id));
        let members: Vec<order::Member> = entries
            .map(|entry| order::Member {
                id: entry.job.id,
                started: entry.started_as,
                ready: self.history.ready(entry.started_as, entry.shown_ready),
                needs: &entry.job.spec.needs,
                foreground: entry.in_foreground(),
                holds: matches!(entry.stage, Stage::Running | Stage::Asked { .. }) && self.is_busy(entry),
                asked: entry.stage != Stage::Running,
                grace: entry.job.spec.grace,
            })
            .collect();
        match order::latest(&members, until) {
            Some(latest) if now < latest => (order::due(&members), Some(latest)),
            _ => (ids.to_vec(), None),
        }
    }

    /// A job has shown that it is ready.
    pub fn ready(&mut self, id: JobId) {
        let now = self.history.next();
        if let Some(entry) = self.entry_mut(id) {
            entry.shown_ready.get_or_insert(now);
        }
    }

    /// The commands that the script waits for and that have time left to end: those that run, and those that are being
    /// stopped.
    pub fn foreground(&self) -> Vec<JobId> {
        let has_time = |entry: &&Entry| {
            let under_way = matches!(entry.stage, Stage::Asked { .. }) && self.is_busy(entry);
            entry.job.kind == Kind::Command
                && (under_way || entry.stage == Stage::Running && entry.in_foreground())
        };
        self.all().filter(has_time).map(|entry| entry.job.id).collect()
    }

    /// The longest grace period of these.
    pub fn longest_grace(&self, ids: &[JobId]) -> Duration {
        let entries = ids.iter().filter_map(|id| self.entry(*id));
        entries.map(|entry| entry.job.spec.grace).max().unwrap_or_default()
    }

    /// Sends a signal to the leader, or to everyone once the leader is gone.
    pub fn signal_leader(&mut self, id: JobId, number: i32) {
        match self.entry(id) {
            Some(entry) if entry.leader == Leader::Running => drop(signal::kill(entry.pid, number)),
            _ => self.signal_tree(id, &[number]),
        }
    }

    /// The stop command of a job: its id, whether anything of it lives, and how it has ended if it has.
    pub fn stop_command(&self, id: JobId) -> Option<(JobId, bool, Option<ExitStatus>)> {
        let Some(StopCommand::Started(command)) = &self.entry(id)?.stop_command else { return None };
        let entry = self.entry(command.id)?;
        Some((command.id, entry.alive(), entry.leader_status()))
    }

    /// How long after SIGKILL jobs are waited for. Only looked into once that matters.
    pub fn patience(&mut self, now: Duration) -> Duration {
        let late =
            |entry: &&Entry| matches!(entry.stage, Stage::Killed { at, .. } if now >= at + stop::AFTER_KILL);
        let late: Vec<JobId> = self.live().filter(late).map(|entry| entry.job.id).collect();
        if late.is_empty() {
            return stop::AFTER_KILL;
        }
        let Some(tree) = self.tree_of(&late, false) else { return stop::AFTER_KILL };
        let owners = self.owners(&tree, false);
        let mut theirs = tree.iter().filter(|stat| {
            stat.alive() && matches!(owners.get(&stat.pid), Some(Some(id)) if late.contains(id))
        });
        if theirs.all(beyond_reach) { stop::AFTER_KILL } else { stop::AFTER_KILL * stop::DYING }
    }

    /// Whether anything of a job lives. Its stop command is part of it.
    pub fn is_busy(&self, entry: &Entry) -> bool {
        entry.alive() || self.stop_command(entry.job.id).is_some_and(|(_, alive, _)| alive)
    }

    /// Whether any job lives that has not been killed yet, whoever stops it.
    pub fn anyone_has_grace(&self) -> bool {
        let patient = |entry: &Entry| {
            entry.job.kind != Kind::StopCommand && matches!(entry.stage, Stage::Running | Stage::Asked { .. })
        };
        self.all().any(|entry| patient(entry) && self.is_busy(entry))
    }

    /// One round of the final sweep: SIGKILL to every child, then reap whoever has ended. False when no child
    /// is left: children of the killed become ours, so that round by round the whole tree goes.
    pub fn sweep_round(&mut self) -> bool {
        for _ in 0..kill_children(self.me).max(REAPED_AT_ONCE) {
            match wait::reap_any() {
                Peek::Ended(pid, status) => {
                    if let Some(entry) = self.leader(pid).and_then(|id| self.entry_mut(id)) {
                        entry.let_go(status);
                    }
                }
                Peek::Living => return true,
                Peek::NoChild => {
                    self.all_gone();
                    return false;
                }
            }
        }
        true
    }

    /// There is no child any more.
    fn all_gone(&mut self) {
        for entry in self.all_mut() {
            entry.members = 0;
        }
    }
}

/// So many, or as many as have just been killed: while there is still somebody to kill, that comes first.
pub const REAPED_AT_ONCE: usize = 2048;

/// SIGKILL to every child, and how many there were. The youngest first: of a chain of processes that each fork and exit,
/// the others are zombies.
pub fn kill_children(me: i32) -> usize {
    if me == 1 {
        // The first process of a PID namespace reaches all others at once, also while they fork (kill(2)).
        let _ = signal::kill(-1, SIGKILL);
        return 0;
    }
    let children = proc::children(me);
    for pid in children.iter().rev() {
        let _ = signal::kill(*pid, SIGKILL);
    }
    children.len()
}

/// Sends a signal to one process of the tree below `me`.
pub fn signal_process(stat: &Stat, me: i32, number: i32) {
    if stat.ppid == me {
        // Our own child cannot have been replaced by another process: it is only reaped by us, and not now.
        let _ = signal::kill(stat.pid, number);
        return;
    }
    // Somebody else's child: take hold of it first, then make sure that it is still the one we saw.
    let Ok(handle) = pidfd::open(stat.pid) else { return };
    if proc::stat(stat.pid).is_some_and(|now| now.start == stat.start) {
        let _ = pidfd::send(&handle, number);
    }
}

/// The path as the kernel shows it among a process's open files.
pub(super) fn canonical(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
