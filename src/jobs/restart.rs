//! Jobs that are started again when they end by themselves (`restart`), and the thread that does it.
//!
//! Such a job rests between its end and its next start. While it does, its end is no failure. What it has left running is
//! stopped first. A stop and a start never cross:
//!
//! 1. Whoever stops a job on behalf of the script takes the lock `restarting` first, and marks a job that rests.
//! 2. The thread holds that lock from its last look at the mark until the new process is in the table. So a stop sees
//!    either a job that rests, or its new process.
//! 3. At the end of the run nothing can start any more, which is decided under the lock of the table: no start that is
//!    under way gets past it.

use crate::event::Event;
use crate::jobs::all::Jobs;
use crate::jobs::job::JobId;
use crate::jobs::output::terminal::start_thread;
use crate::jobs::spec::SpawnError;
use crate::jobs::stop::command::reason;
use crate::jobs::stop::step::Ask;
use crate::jobs::table::Phase;
use crate::lock::lock;
use crate::sys::clock;
use std::sync::MutexGuard;

impl Jobs {
    /// From now on jobs that have a `restart` are started again.
    pub(super) fn start_restarting(&self) -> Result<(), SpawnError> {
        let mut runs = lock(&self.restarts);
        if !*runs && let Some(jobs) = self.me.upgrade() {
            start_thread("restarts", move || jobs.restart_jobs())?;
            *runs = true;
        }
        Ok(())
    }

    /// As long as this is held, none of these jobs is started again. None where none of them would be.
    pub(super) fn hold_restarts(&self, ids: &[JobId]) -> Option<MutexGuard<'_, ()>> {
        let may_restart = {
            let table = lock(&self.table);
            let has_policy = |id: &JobId| table.entry(*id).is_some_and(|one| one.job.spec.restart.is_some());
            table.phase == Phase::Open && ids.iter().any(has_policy)
        };
        may_restart.then(|| lock(&self.restarting))
    }

    /// How often each job was started again by its `restart`, if it was.
    pub fn restarted(&self) -> Vec<(String, usize)> {
        let table = lock(&self.table);
        let restarted = table.all().filter(|entry| entry.restarts > 0);
        restarted.map(|entry| (entry.job.spec.name.clone(), entry.restarts)).collect()
    }

    fn restart_jobs(&self) {
        loop {
            let seen = self.control.bell.rings();
            let over = self.control.run_halted() || self.control.closing();
            let (due, next) = {
                let table = lock(&self.table);
                if table.phase != Phase::Open {
                    return;
                }
                if over { (Vec::new(), None) } else { table.resting(clock::now()) }
            };
            if due.is_empty() {
                self.control.bell.wait(seen, next);
            }
            due.into_iter().for_each(|id| self.restart(id));
        }
    }

    fn restart(&self, id: JobId) {
        // What it has printed counts first: a line that means failure is one.
        self.look_for_failures();
        let over = || self.control.run_halted() || self.control.closing();
        self.stop(&[id], Ask { again: true, ..Ask::default() }, &over);
        if over() {
            return;
        }
        let result = {
            let _alone = lock(&self.restarting);
            let Some(job) = lock(&self.table).take_restart(id) else { return };
            self.launch(id, job.spec.clone(), job.kind, true).map(drop).map_err(|error| (job, error))
        };
        if let Err((job, error)) = result {
            // That the run has ended meanwhile is no failure.
            let is_over = error == SpawnError::Stopping;
            lock(&self.table).give_up(id, is_over);
            if !is_over {
                let (name, why) = (&job.spec.name, reason(&error));
                self.bus.emit(Event::Warning(format!("{name} could not be started again: {why}")));
            }
        }
        self.control.bell.ring();
    }
}
