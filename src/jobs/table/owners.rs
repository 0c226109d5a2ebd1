//! To which job each process belongs.

use crate::jobs::job::{JobId, State};
use crate::jobs::spec::MARK;
use crate::jobs::stop::step::Stage;
use crate::jobs::table::entries::Table;
use crate::jobs::table::entry::{Entry, Leader};
use crate::sys::proc::{self, Stat, Usage};
use crate::sys::wait::{self, Peek};
use nix::unistd::{Pid, getpgid, getsid};
use std::collections::{HashMap, HashSet};

impl Table {
    /// All descendants, or those alone whom their leader has left; `None` when they cannot be read. Of a leader that has
    /// ended all members are among the latter: they have become ours, or are below one who has.
    pub(super) fn tree(&mut self, whole: bool) -> Option<Vec<Stat>> {
        let running: Vec<JobId> = self.live.iter().filter(|_| whole).copied().collect();
        self.tree_of(&running, whole)
    }

    /// The descendants among whom all processes of these jobs are. `whole`: they are all jobs.
    ///
    /// Who was seen before and still lives is looked for by number, should the kernel's lists of children, which are no
    /// snapshot, have missed it.
    pub(super) fn tree_of(&mut self, ids: &[JobId], whole: bool) -> Option<Vec<Stat>> {
        self.tree_below(ids, whole, &HashMap::new())
    }

    /// The same, when some leaders have just been looked at.
    pub(super) fn tree_below(
        &mut self,
        ids: &[JobId],
        whole: bool,
        known: &HashMap<i32, Stat>,
    ) -> Option<Vec<Stat>> {
        let runs = |entry: &Entry| entry.leader == Leader::Running;
        let leaders = ids.iter().filter_map(|id| self.entry(*id)).filter(|entry| runs(entry));
        let mut tree = proc::forest(leaders.map(|entry| entry.pid), known)?;
        let mut found: HashSet<i32> = tree.iter().map(|stat| stat.pid).collect();
        let mut gone = Vec::new();
        for ((pid, start), owner) in &self.seen {
            // Below another leader, where nobody has looked.
            let elsewhere =
                || owner.and_then(|id| self.entry(id)).is_some_and(|e| runs(e) && !ids.contains(&e.job.id));
            if found.contains(pid) || !whole && elsewhere() {
                continue;
            }
            // Of a leader it is known that it has ended.
            if self.leader(*pid).and_then(|id| self.entry(id)).is_some_and(|entry| !runs(entry)) {
                gone.push((*pid, *start));
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

    /// The job of a child that has ended; /proc is only read of those that it can be told of, since there may be thousands.
    pub(super) fn owner_of_ended(&self, pid: i32, sighted: &HashSet<i32>) -> Option<JobId> {
        let is_leader = |id: Pid| self.by_pid.contains_key(&id.as_raw());
        let child = Some(Pid::from_raw(pid));
        let known = sighted.contains(&pid)
            || getpgid(child).is_ok_and(is_leader)
            || getsid(child).is_ok_and(is_leader);
        if known { self.owner_by_number(&proc::stat(pid)?) } else { None }
    }

    /// Each descendant's job; `None` for one that cannot be told.
    /// `whole`: these are all descendants.
    pub(super) fn owners(&mut self, tree: &[Stat], whole: bool) -> HashMap<i32, Option<JobId>> {
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

    /// Finds out whose the orphans are that nobody has seen yet. To be called before a job is asked to stop: one that is being
    /// stopped is taken for nobody's origin any more.
    pub fn tell_orphans(&mut self) {
        let seen: HashSet<i32> = self.seen.keys().map(|(pid, _)| *pid).collect();
        let new = |pid: &i32| self.leader(*pid).is_none() && !seen.contains(pid);
        if proc::adopted().is_some_and(|adopted| adopted.iter().any(new))
            && let Some(tree) = self.tree(false)
        {
            self.owners(&tree, false);
        }
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
}
