//! Does a command succeed? Each attempt is one run of it, silent.

use super::Attempt;
use crate::jobs::output::{Captured, Echo, Pump};
use crate::jobs::spec::{SpawnError, Spec};
use crate::jobs::{self, Ask, ExitStatus, Job, Jobs, Kind};
use std::sync::Arc;
use std::time::Duration;

/// A command that hangs must not make the wait outlive its deadline, nor be left running.
pub struct CommandProbe<'a> {
    jobs: &'a Jobs,
    spec: Spec,
    under_way: Option<(Arc<Job>, Pump)>,
    /// How the last finished attempt ended.
    pub last: Option<(ExitStatus, Captured)>,
}

impl<'a> CommandProbe<'a> {
    pub fn new(jobs: &'a Jobs, spec: Spec) -> Self {
        Self { jobs, spec, under_way: None, last: None }
    }

    /// Starts the command unless it runs; ready once it has ended with 0.
    pub fn attempt(&mut self) -> Attempt<(), SpawnError> {
        let Some((job, _)) = &self.under_way else {
            return self.begin();
        };
        let Some(status) = self.jobs.view(job.id).and_then(|view| view.leader) else { return Attempt::Busy };
        if let Some((_, pump)) = self.under_way.take() {
            let control = Arc::clone(&self.jobs.control);
            self.last = Some((status, pump.finish(&move || control.halted())));
        }
        if status.success() { Attempt::Ready(()) } else { Attempt::NotYet(jobs::describe(status)) }
    }

    fn begin(&mut self) -> Attempt<(), SpawnError> {
        match self.jobs.spawn(self.spec.clone(), Kind::Command) {
            Ok((job, Some(capture))) => match self.jobs.pump(capture, Echo::Nothing) {
                Ok(pump) => {
                    self.under_way = Some((job, pump));
                    Attempt::Busy
                }
                Err(e) => Attempt::NotYet(e.to_string()),
            },
            Ok((_, None)) => Attempt::NotYet("no output".to_owned()),
            Err(e) => Attempt::Never(e),
        }
    }
}

impl Drop for CommandProbe<'_> {
    fn drop(&mut self) {
        if let Some((job, _)) = &self.under_way {
            // Nobody is interested in its answer any more.
            self.jobs.stop(&[job.id], Ask { grace: Some(Duration::ZERO), ..Ask::default() }, &|| false);
        }
    }
}
