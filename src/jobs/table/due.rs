//! What a stop asks of the table: who may be asked to end now, and for how long each is waited for.

use crate::jobs::job::{JobId, Kind};
use crate::jobs::remains::survivor::beyond_reach;
use crate::jobs::stop::order;
use crate::jobs::stop::step::{self, Stage};
use crate::jobs::table::entries::Table;
use crate::jobs::table::entry::{Entry, StopCommand};
use crate::sys::clock;
use crate::sys::wait::ExitStatus;
use std::collections::BTreeSet;
use std::time::Duration;

impl Table {
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
            entry.first_ready.get_or_insert_with(clock::now);
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

    /// The stop command of a job: its id, whether anything of it lives, and how it has ended if it has.
    pub fn stop_command(&self, id: JobId) -> Option<(JobId, bool, Option<ExitStatus>)> {
        let Some(StopCommand::Started(command)) = &self.entry(id)?.stop_command else { return None };
        let entry = self.entry(command.id)?;
        Some((command.id, entry.alive(), entry.leader_status()))
    }

    /// How long after SIGKILL jobs are waited for. Only looked into once that matters.
    pub fn patience(&mut self, now: Duration) -> Duration {
        let late =
            |entry: &&Entry| matches!(entry.stage, Stage::Killed { at, .. } if now >= at + step::AFTER_KILL);
        let late: Vec<JobId> = self.live().filter(late).map(|entry| entry.job.id).collect();
        if late.is_empty() {
            return step::AFTER_KILL;
        }
        let Some(tree) = self.tree_of(&late, false) else { return step::AFTER_KILL };
        let owners = self.owners(&tree, false);
        let mut theirs = tree.iter().filter(|stat| {
            stat.alive() && matches!(owners.get(&stat.pid), Some(Some(id)) if late.contains(id))
        });
        if theirs.all(beyond_reach) { step::AFTER_KILL } else { step::AFTER_KILL * step::DYING }
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
}
