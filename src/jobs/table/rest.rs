//! Jobs that have ended and rest until they are started again.

use crate::jobs::job::{Job, JobId, State};
use crate::jobs::table::entries::{Phase, Table};
use std::sync::Arc;
use std::time::Duration;

impl Table {
    /// The jobs that are to be started again by now, and when the next one is.
    pub fn resting(&self, now: Duration) -> (Vec<JobId>, Option<Duration>) {
        let at = |id: &JobId| {
            let entry = self.entry(*id)?;
            let pause = entry.job.spec.restart.map_or(Duration::ZERO, |restart| restart.pause);
            Some((*id, entry.ended.unwrap_or(now) + pause))
        };
        let all: Vec<(JobId, Duration)> = self.at_rest.iter().filter_map(at).collect();
        let due = all.iter().filter(|(_, at)| *at <= now).map(|(id, _)| *id).collect();
        (due, all.iter().map(|(_, at)| *at).filter(|at| *at > now).min())
    }

    /// A job that is to be started again now, unless that has changed.
    pub fn take_restart(&mut self, id: JobId) -> Option<Arc<Job>> {
        self.at_rest.remove(&id);
        if self.phase != Phase::Open {
            return None;
        }
        let entry = self.entry_mut(id)?;
        // What could not be ended would share its port.
        if !entry.comes_back() || entry.alive() {
            entry.gave_up |= entry.alive() && matches!(entry.state(), State::Ended(_));
            self.suspect(id);
            return None;
        }
        entry.returns = true;
        Some(Arc::clone(&entry.job))
    }

    /// It could not be started again, which is a death unless the run is over.
    pub fn give_up(&mut self, id: JobId, is_over: bool) {
        if let Some(entry) = self.entry_mut(id) {
            (entry.returns, entry.gave_up, entry.kept_down) = (false, !is_over, is_over);
        }
        self.suspect(id);
    }

    /// The script stops a job that rests: it stays as it is, and that it ended is no failure.
    pub fn keep_down(&mut self, id: JobId) {
        if let Some(entry) = self.entry_mut(id)
            && entry.comes_back()
        {
            entry.kept_down = true;
            self.at_rest.remove(&id);
        }
    }
}
