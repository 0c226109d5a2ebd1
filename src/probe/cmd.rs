//! Does a command succeed? Each attempt is one run of it, silent.

use super::http::words;
use super::{Attempt, Look};
use crate::jobs::output::{Captured, Echo, Pump};
use crate::jobs::spec::{SpawnError, Spec};
use crate::jobs::{self, Ask, ExitStatus, Job, Jobs, Kind};
use std::sync::Arc;
use std::time::Duration;

/// A command that hangs must not make the wait outlive its deadline, nor be left running.
pub struct CommandProbe<'a> {
    jobs: &'a Jobs,
    spec: Spec,
    under_way: Option<Running>,
    /// How long one attempt may take.
    limit: Option<Duration>,
    /// How the last finished attempt ended.
    pub last: Option<(ExitStatus, Captured)>,
}

struct Running {
    job: Arc<Job>,
    pump: Pump,
    since: Duration,
}

impl<'a> CommandProbe<'a> {
    pub fn new(jobs: &'a Jobs, spec: Spec, limit: Option<Duration>) -> Self {
        Self { jobs, spec, under_way: None, limit, last: None }
    }

    /// Starts the command unless it runs; ready once it has ended with 0.
    pub fn attempt(&mut self, look: Look) -> Attempt<(), SpawnError> {
        let Some(Running { job, since, .. }) = &self.under_way else {
            return if look != Look::Event { self.begin() } else { Attempt::Busy };
        };
        let Some(status) = self.jobs.view(job.id).and_then(|view| view.leader) else {
            return match self.limit {
                Some(limit) if jobs::now() >= *since + limit => {
                    self.end();
                    Attempt::NotYet(format!("no end within {}", words(limit)))
                }
                _ => Attempt::Busy,
            };
        };
        if let Some(Running { pump, .. }) = self.under_way.take() {
            let control = Arc::clone(&self.jobs.control);
            self.last = Some((status, pump.finish(&move || control.halted())));
        }
        if status.success() { Attempt::Ready(()) } else { Attempt::NotYet(jobs::describe(status)) }
    }

    fn begin(&mut self) -> Attempt<(), SpawnError> {
        match self.jobs.spawn(self.spec.clone(), Kind::Command) {
            Ok((job, Some(capture))) => match self.jobs.read_beside(capture, Echo::Nothing) {
                Ok(pump) => {
                    self.under_way = Some(Running { job, pump, since: jobs::now() });
                    Attempt::Busy
                }
                Err(e) => Attempt::NotYet(e.to_string()),
            },
            Ok((_, None)) => Attempt::NotYet("no output".to_owned()),
            Err(e) => Attempt::Never(e),
        }
    }
}

impl CommandProbe<'_> {
    /// Nobody is interested in its answer any more.
    fn end(&mut self) {
        if let Some(Running { job, .. }) = self.under_way.take() {
            self.jobs.stop(&[job.id], Ask { grace: Some(Duration::ZERO), ..Ask::default() }, &|| false);
        }
    }
}

impl Drop for CommandProbe<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
