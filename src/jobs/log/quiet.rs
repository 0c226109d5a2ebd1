//! How long logs are to which nobody writes: as long as the kernel has told of no write, each is as long as when that was last
//! asked. So a command beside many jobs that are idle does not ask for all of their logs.

use crate::jobs::job::{Job, JobId};
use crate::lock::lock;
use crate::sys::fd;
use crate::sys::watch::Watch;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Known by the thread that keeps logs short, while it sleeps.
#[derive(Default)]
pub(crate) struct Quiet(Mutex<Option<Known>>);

struct Known {
    /// Has something to read once one of the logs has been written to or renamed.
    watch: Arc<Watch>,
    lengths: HashMap<JobId, u64>,
}

impl Quiet {
    /// They were that long when the watch over them had begun.
    pub(super) fn begin(&self, watch: &Arc<Watch>, lengths: HashMap<JobId, u64>) {
        *lock(&self.0) = Some(Known { watch: Arc::clone(watch), lengths });
    }

    /// Before the watch is told to watch anything else.
    pub(super) fn end(&self) {
        lock(&self.0).take();
    }

    /// How long the logs of these jobs are by now ([`Job::log_length`]).
    pub(super) fn lengths(&self, jobs: impl Iterator<Item = Arc<Job>>) -> Vec<(Arc<Job>, u64)> {
        let quiet = lock(&self.0);
        let told = |known: &Known| fd::wait_readable(&[known.watch.as_fd()], Some(Duration::ZERO))[0];
        let known = quiet.as_ref().filter(|known| !told(known));
        let length = |job: &Job| known.and_then(|known| known.lengths.get(&job.id).copied());
        jobs.map(|job| (Arc::clone(&job), length(&job).unwrap_or_else(|| job.log_length()))).collect()
    }
}
