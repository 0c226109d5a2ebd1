//! Signals to jobs, by group and by number, and the round of the final sweep.

use crate::jobs::cgroup::Members;
use crate::jobs::job::JobId;
use crate::jobs::table::entries::Table;
use crate::jobs::table::entry::{Entry, Leader};
use crate::sys::proc::{self, Stat};
use crate::sys::wait::{self, Peek};
use crate::sys::{pidfd, signal};
use nix::libc::SIGKILL;
use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long after a stop signal whoever it may not have reached is looked for.
const MOMENT: Duration = Duration::from_millis(20);

/// Who gets signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// The whole tree: the group as a group, everyone else one by one.
    Tree,
    /// Those who had left the cgroup: of those in there only the groups were left when these got them.
    Others,
    /// Its group, as Ctrl-C at a terminal reaches it.
    Group,
    /// The same without its first process.
    RestOfGroup,
    /// Its first process alone; of a job whose first process has ended, those that are left without a parent.
    First,
}

/// Signals that are due.
pub(crate) struct Order {
    pub id: JobId,
    pub signals: Vec<i32>,
    pub to: To,
}

impl Order {
    pub fn tree(id: JobId, signals: &[i32]) -> Self {
        Self { id, signals: signals.to_vec(), to: To::Tree }
    }
}

impl Table {
    /// Sends signals to a job's whole tree.
    pub fn signal_tree(&mut self, id: JobId, signals: &[i32]) {
        self.signal(&[Order::tree(id, signals)]);
    }

    /// Asks jobs to end, with their stop signals. Where the cgroup shows nobody but first processes, their groups are all
    /// there is; should somebody have left it, a second call follows for those that do not end at once.
    pub fn ask(&mut self, orders: &[Order], now: Duration) {
        self.show_changes();
        let known = std::mem::take(&mut self.leaders);
        let ids: Vec<JobId> = orders.iter().map(|order| order.id).collect();
        let alone = !orders.is_empty() && self.leaders_are_alone();
        if alone {
            self.send(orders, &[]);
            for order in orders.iter().filter(|order| order.to == To::Tree) {
                if let Some(entry) = self.entries.get_mut(&order.id) {
                    let (_, signals) = entry.rest_due.get_or_insert_with(|| (now + MOMENT, Vec::new()));
                    signals.extend(&order.signals);
                }
            }
        } else {
            self.signal_below(orders, &known);
        }
        let running = |id: &&JobId| self.entry(**id).is_some_and(|entry| entry.leader == Leader::Running);
        let told: HashSet<JobId> = ids.iter().filter(running).copied().collect();
        let last = ids.iter().rev().find(|id| told.contains(id)).and_then(|id| self.entry(*id));
        let last = last.filter(|_| told.len() > 1).map(|entry| entry.pid);
        self.told = last.zip(u32::try_from(told.len()).ok());
    }

    /// The last of several that have just been told to end, and how many they are; once.
    pub fn take_told(&mut self) -> Option<(OwnedFd, u32)> {
        let (pid, many) = self.told.take()?;
        self.leader(pid)?;
        Some((pidfd::open(pid).ok()?, many))
    }

    /// Whether nobody lives but the first processes of jobs, by the cgroup, which lists all others as well.
    pub(super) fn leaders_are_alone(&mut self) -> bool {
        let Some(listed) = self.members.as_ref().and_then(Members::now) else { return false };
        if listed.iter().any(|pid| self.leader(*pid).is_none()) {
            return false;
        }
        let listed: HashSet<i32> = listed.into_iter().collect();
        // One that has a cgroup of its own, or could not join, may have others beside it.
        let is_elsewhere = |entry: &Entry| {
            entry.job.limited.is_some()
                || entry.leader == Leader::Running
                    && !listed.contains(&entry.pid)
                    && !entry.has_ended_unnoted()
        };
        if self.live().any(is_elsewhere) {
            return false;
        }
        // So may somebody who has left it. Whom nobody has seen outside, a look at all would hardly see.
        let mut seen = std::mem::take(&mut self.seen);
        seen.retain(|(pid, start), _| {
            self.leader(*pid).is_none()
                && proc::stat(*pid).is_some_and(|stat| stat.start == *start && stat.alive())
        });
        self.seen = seen;
        if self.seen.is_empty() {
            self.groups.clear();
        }
        self.seen.is_empty()
    }

    /// Sends signals to many jobs. /proc is read once, not once a job: hundreds of jobs must stop in the time of one.
    pub fn signal(&mut self, orders: &[Order]) {
        self.signal_below(orders, &HashMap::new());
    }

    fn signal_below(&mut self, orders: &[Order], known: &HashMap<i32, Stat>) {
        if orders.is_empty() {
            return;
        }
        // The groups are reached even if nobody can be looked for, and who belonged to whom is not forgotten.
        let ids: Vec<JobId> = orders.iter().map(|order| order.id).collect();
        let tree = self.tree_below(&ids, false, known);
        let owners = tree.as_ref().map(|tree| self.owners(tree, false)).unwrap_or_default();
        let tree = tree.unwrap_or_default();
        let tree: Vec<(&Stat, JobId)> = tree
            .iter()
            .filter(|stat| stat.alive())
            .filter_map(|stat| Some((stat, owners.get(&stat.pid).copied().flatten()?)))
            .collect();
        self.send(orders, &tree);
    }

    /// The same, given who else lives and to which job each of them belongs.
    fn send(&mut self, orders: &[Order], tree: &[(&Stat, JobId)]) {
        let mut processes: HashMap<JobId, Vec<&Stat>> = HashMap::new();
        for (stat, id) in tree {
            processes.entry(*id).or_default().push(stat);
        }
        let me = self.me;
        let others_meant = orders.iter().any(|order| order.to == To::Others);
        let inside =
            self.members.as_ref().filter(|_| others_meant).and_then(Members::now).unwrap_or_default();
        for Order { id, signals, to } in orders {
            let Some(entry) = self.entry_mut(*id) else { continue };
            let (group, pinned) = (entry.pid, !matches!(entry.leader, Leader::Reaped(_)));
            let others = processes.get(id).map(Vec::as_slice).unwrap_or_default();
            if !matches!(to, To::Tree | To::Others) {
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
                if pinned && *to == To::Tree {
                    let _ = signal::kill(-group, number);
                }
                let beside = |stat: &&&Stat| !pinned || stat.pgrp != group;
                let outside = |stat: &&&Stat| *to == To::Tree || !inside.contains(&stat.pid);
                for stat in others.iter().filter(beside).filter(outside) {
                    signal_process(stat, me, number);
                }
            }
        }
    }

    /// Sends a signal to the leader, or to everyone once the leader is gone.
    pub fn signal_leader(&mut self, id: JobId, number: i32) {
        match self.entry(id) {
            Some(entry) if entry.leader == Leader::Running => drop(signal::kill(entry.pid, number)),
            _ => self.signal_tree(id, &[number]),
        }
    }

    /// One round of the final sweep: SIGKILL to every child, then reap whoever has ended. False when no child
    /// is left: children of the killed become ours, so that round by round the whole tree goes.
    pub fn sweep_round(&mut self) -> bool {
        // The usual case: all have ended before.
        if matches!(wait::peek_any(), Peek::NoChild) {
            self.all_gone();
            return false;
        }
        for _ in 0..kill_children(self.me).max(REAPED_AT_ONCE) {
            match wait::reap_any() {
                Peek::Ended(pid, status) => {
                    if let Some(id) = self.leader(pid)
                        && let Some(entry) = self.entries.get_mut(&id)
                    {
                        self.changed.extend(entry.let_go(status));
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
        self.show_changes();
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
