//! Jobs that have died or failed (`fail_on`), and whether the script has been told.
//!
//! Nobody reads along all the time: whoever waits looks, and is woken whenever something is written to a watched log.
//! What a job prints counts until it is asked to stop; the first such line is the one that counts.

use crate::event::Event;
use crate::jobs::all::Jobs;
use crate::jobs::fail::{Death, FailLine};
use crate::jobs::job::{Job, JobId, State};
use crate::jobs::log::reader::News;
use crate::jobs::log::watched::Log;
use crate::lock::lock;
use std::sync::Arc;

/// So many pieces of a log are read in one look; then others have their turn.
const MOST_PIECES: usize = 8;

impl Jobs {
    /// From now on what comes into this job's log, from this offset on, is looked at.
    pub(super) fn watch_for_failure(&self, job: &Job, from: u64) {
        let mut logs = lock(&self.watched.0);
        logs.retain(|log| log.id != job.id);
        // Of what is not a regular file (a FIFO) nothing could be read a second time.
        let (false, Some(path), Some(_)) = (job.spec.fail_on.is_empty(), &job.log, job.file) else { return };
        let Some(reader) = job.log_reader(from) else { return };
        let patterns = job.spec.fail_on.clone();
        let watching = self.watch(path);
        logs.push(Log { id: job.id, reader, patterns, unfinished: None, more: false, _watching: watching });
    }

    /// Looks for lines that mean failure in what has come since the last look.
    pub fn look_for_failures(&self) {
        lock(&self.watched.0).retain_mut(|log| self.look_at(log));
    }

    /// The last look before something is decided: at all that has been printed by now, however much that is. Not at
    /// what comes meanwhile: there may be no end of it.
    pub fn look_for_failures_to_the_end(&self) {
        // This also completes the logs of those that have ended.
        self.look_for_failures();
        let left = |log: &&Log| log.more;
        let ends: Vec<(JobId, u64)> =
            lock(&self.watched.0).iter().filter(left).map(|log| (log.id, log.reader.size())).collect();
        let behind = |log: &Log| {
            // A log that was truncated never gets there, but has an end, too.
            log.more && ends.iter().any(|(id, end)| *id == log.id && log.reader.offset() < *end)
        };
        while !self.control.run_halted() && lock(&self.watched.0).iter().any(behind) {
            self.look_for_failures();
        }
    }

    /// Whether there will be anything more to look at.
    fn look_at(&self, log: &mut Log) -> bool {
        // Before reading: what it printed just before its end counts.
        let (job, over) = match lock(&self.table).entry(log.id) {
            Some(entry) if !entry.asked => (Arc::clone(&entry.job), matches!(entry.state(), State::Ended(_))),
            _ => return false,
        };
        if over {
            job.complete_log();
        }
        for _ in 0..MOST_PIECES {
            let missed = log.reader.missed;
            let News { lines, partial, more } = log.reader.news();
            log.more = more;
            job.log_was_read(&log.reader);
            if log.reader.missed && !missed {
                self.bus.emit(Event::Warning(
                    "a job's log grew faster than it was read: what was dropped of it was not searched for `fail_on`"
                        .to_owned(),
                ));
            }
            if !lines.is_empty() || partial.is_some() {
                log.unfinished = partial;
            }
            let last = log.unfinished.iter().filter(|_| over && !more);
            if let Some(found) = lines.iter().chain(last).find_map(|line| log.means_failure(line)) {
                self.fail(log.id, found);
                return false;
            }
            if !more {
                return !over;
            }
        }
        self.control.bell.ring(); // Go on at once, but let others hear an interrupt first.
        true
    }

    fn fail(&self, id: JobId, found: FailLine) {
        let mut table = lock(&self.table);
        // Of one whose death has been told already, nothing more is to be said.
        let Some(entry) = table.entry_mut(id).filter(|entry| !entry.asked && !entry.reported) else { return };
        entry.failed = Some(found.clone());
        let job = entry.job.spec.name.clone();
        table.suspect(id);
        self.bus.emit(Event::JobFailed { job, line: found.line });
    }

    /// The line by which a job has failed, if the script has not been told yet; from now on it has.
    pub fn take_fail_line(&self, id: JobId) -> Option<FailLine> {
        self.look_for_failures_to_the_end();
        let mut table = lock(&self.table);
        let entry = table.entry_mut(id)?;
        let found = entry.failed.clone().filter(|_| !entry.reported)?;
        entry.reported = true;
        Some(found)
    }

    /// A job that died unexpectedly, or has printed what means failure, and of which the script has not been told yet.
    pub fn death(&self) -> Option<(Arc<Job>, Death)> {
        self.look_for_failures();
        self.unreported_death()
    }

    /// As [`Jobs::death`], for a statement that is not woken by ends: of all that the kernel knows by now.
    pub fn death_by_now(&self) -> Option<(Arc<Job>, Death)> {
        self.catch_up();
        self.death()
    }

    /// As [`Jobs::death`], without a look at what was printed since the last one.
    pub fn unreported_death(&self) -> Option<(Arc<Job>, Death)> {
        let found = lock(&self.table).unreported_death();
        found.inspect(|(job, _)| job.complete_log())
    }

    /// Whether this job's death counts at all: somebody is there to start it again.
    pub fn forgive(&self, id: JobId, on: bool) {
        let mut table = lock(&self.table);
        if let Some(entry) = table.entry_mut(id) {
            entry.forgiven = on;
            table.suspect(id);
        }
    }

    /// Marks a death as told: its error is being thrown.
    pub fn mark_reported(&self, id: JobId) {
        if let Some(entry) = lock(&self.table).entry_mut(id) {
            entry.reported = true;
        }
    }

    /// Why this job counts as dead, if the script has not been told yet; from now on it has.
    pub fn take_death(&self, id: JobId) -> Option<Death> {
        let death = self.death_of(id)?;
        self.mark_reported(id);
        Some(death)
    }

    /// The same, and the script is still to be told.
    pub fn death_of(&self, id: JobId) -> Option<Death> {
        self.look_for_failures_to_the_end();
        lock(&self.table).entry(id)?.death()
    }
}
