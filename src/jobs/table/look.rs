//! The look at all children: who has ended, who still lives, and whose first process may be reaped.

use crate::jobs::job::{Job, JobId, Kind, State};
use crate::jobs::spec::Restart;
use crate::jobs::table::entries::{Phase, Table};
use crate::jobs::table::entry::Leader;
use crate::sys::clock;
use crate::sys::proc::{self, Stat};
use crate::sys::wait::{self, ExitStatus, Peek};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// What the reaper noticed, for the event stream.
pub(crate) struct Change {
    pub job: Arc<Job>,
    pub state: State,
    pub died: bool,
    pub asked: bool,
    pub members: usize,
    /// It is started again: for which time, and how.
    pub restart: Option<(usize, Restart)>,
}

/// A look at all descendants costs as much as there are; so many times what the last one has taken they are left alone.
const SELDOM: u32 = 20;

/// What a look has found.
pub(crate) struct Look {
    pub changes: Vec<Change>,
    /// It has cost the same as it would have beside any number of jobs.
    pub cheap: bool,
}

impl Table {
    /// Whether any descendant lives, known or not.
    pub fn anything_lives(&mut self) -> bool {
        self.tree(true).unwrap_or_default().iter().any(Stat::alive)
    }

    /// Looks at every child: notes the leaders that ended, reaps orphans, counts who still lives, lets go of
    /// the leaders whose group is empty. Returns what has changed.
    pub fn look(&mut self, now: Duration) -> Look {
        let mut changes = Vec::new();
        let cheap = self.in_sight(now) && self.look_at_ends(now, &mut changes);
        if !cheap {
            self.look_at_all(now, &mut changes);
        }
        self.forget();
        self.show_changes();
        Look { changes, cheap }
    }

    /// Whether it is known who descends from whom: all were looked at not long ago, or there is nobody besides the first
    /// processes.
    fn in_sight(&mut self, now: Duration) -> bool {
        if now < self.sight_due {
            return true;
        }
        let start = clock::now();
        let alone = self.leaders_are_alone();
        if alone {
            self.sighted(start);
        }
        alone
    }

    fn sighted(&mut self, start: Duration) {
        let end = clock::now();
        self.sight_due = end + end.saturating_sub(start) * SELDOM;
    }

    /// The usual case, which costs the same however many jobs there are: leaders have ended and have left nobody, nor has
    /// anyone before them. Whether that was all.
    fn look_at_ends(&mut self, now: Duration, changes: &mut Vec<Change>) -> bool {
        loop {
            let ended = self.ended_leaders();
            if ended.is_empty() {
                return self.lingering.is_empty() && !self.orphan_has_ended();
            }
            // Only now, when their ends have been seen: then those whom they have left had become ours before.
            if !proc::adopted().is_some_and(|adopted| adopted.is_empty()) {
                return false;
            }
            for (id, status) in ended {
                self.note_end(id, status);
                if let Some(entry) = self.entry_mut(id) {
                    entry.members = 0;
                }
                changes.extend(self.release(id, now));
            }
        }
    }

    /// Whether a child has ended that is nobody's leader. Those are our first thread's ([`proc::adopted`]); the kernel would
    /// have to go through all children to find them.
    pub(super) fn orphan_has_ended(&self) -> bool {
        let ended = |pid: i32| matches!(wait::peek(pid), Peek::Ended(..));
        match proc::adopted() {
            Some(adopted) => adopted.into_iter().any(|pid| self.leader(pid).is_none() && ended(pid)),
            None => matches!(wait::peek_any(), Peek::Ended(..)),
        }
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
            self.sighted(start);
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

    /// Notes the leaders that have ended.
    fn note_leaders(&mut self) {
        loop {
            let ended = self.ended_leaders();
            if ended.is_empty() {
                return;
            }
            ended.into_iter().for_each(|(id, status)| self.note_end(id, status));
        }
    }

    /// Leaders whose end has not been noted yet: some, all in the end, in the order in which they were started.
    pub(super) fn ended_leaders(&mut self) -> Vec<(JobId, ExitStatus)> {
        let runs = |table: &Self, id| table.entry(id).is_some_and(|entry| entry.leader == Leader::Running);
        let mut singly = std::mem::take(&mut self.asked_singly);
        singly.retain(|id| runs(self, *id) && self.entry(*id).is_some_and(|entry| entry.watched.is_none()));
        let mut told = self.ends.some();
        told.extend(&singly);
        self.asked_singly = singly;
        told.sort_unstable();
        told.dedup();
        let status = |id: &JobId| match wait::peek(self.entry(*id)?.pid) {
            Peek::Ended(_, status) => Some((*id, status)),
            Peek::Living | Peek::NoChild => None,
        };
        told.into_iter().filter(|id| runs(self, *id)).filter_map(|id| status(&id)).collect()
    }

    fn note_end(&mut self, id: JobId, status: ExitStatus) {
        if let Some(entry) = self.entry_mut(id) {
            entry.leader = Leader::Zombie(status);
            entry.watched = None;
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
            self.changed.extend(entry.let_go(status));
        }
        let state = entry.state();
        if matches!(state, State::Ended(_)) && entry.ended.is_none() {
            entry.ended = Some(now);
        }
        let mut change = None;
        let comes_back = entry.comes_back();
        if comes_back {
            self.at_rest.insert(id);
        }
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
                restart: entry.job.spec.restart.filter(|_| comes_back).map(|how| (entry.restarts + 1, how)),
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
}
