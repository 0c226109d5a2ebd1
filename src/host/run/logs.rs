//! The ends of the logs that have grown, for a failure that they may explain.

use super::runtime::rt;
use crate::event::{Failure, Tail};
use crate::host::value::error;
use crate::jobs::{Job as Inner, State};
use crate::lock::lock;
use std::sync::Arc;
use std::time::Duration;

/// The logs of the jobs that live, but of mocks, which only say what they were asked for; and how long they are.
pub fn logs() -> Vec<(Arc<Inner>, u64)> {
    /// Nobody reads more, and looking at thousands would cost more than most commands.
    const MOST: usize = 128;
    let rt = rt();
    let mocks = lock(&rt.mocks);
    let jobs = rt.jobs.live(MOST).into_iter().filter(|job| !mocks.contains_key(&job.id));
    rt.jobs.log_lengths(jobs.filter(|job| job.log.is_some()))
}

/// The end of a log that has grown.
pub struct Grown {
    pub tail: Tail,
    /// Its job has not ended, or as it should.
    pub of_living: bool,
}

/// The ends of the logs that have grown since: what failed has most likely met what is written there.
pub fn grown(before: &[(Arc<Inner>, u64)]) -> Vec<Grown> {
    const MOST: usize = 3;
    let grown = before.iter().filter_map(|(job, before)| {
        let tail = error::log_tail(job).filter(|_| job.log_length() > *before)?;
        let ended = rt().jobs.view(job.id).map(|view| view.state);
        let of_living = !matches!(ended, Some(State::Ended(status)) if !status.success());
        Some(Grown { tail, of_living })
    });
    grown.take(MOST).collect()
}

/// The ends of the logs that have grown since then, for a failure that has not brought others; also of jobs that have
/// ended meanwhile, or have come.
pub fn show_logs(failure: &mut Failure, before: &[(Arc<Inner>, u64)], then: Duration) {
    if !failure.tails.is_empty() {
        return;
    }
    let rt = rt();
    let mocks = lock(&rt.mocks).clone();
    let since = |job: Arc<Inner>| {
        let over = rt.jobs.view(job.id).and_then(|view| view.ended).is_some_and(|ended| ended < then);
        let length = before.iter().find(|(old, _)| old.id == job.id).map_or(0, |(_, length)| *length);
        (!over && !mocks.contains_key(&job.id)).then_some((job, length))
    };
    let now: Vec<_> = rt.jobs.list().into_iter().filter_map(since).collect();
    failure.tails = grown(&now).into_iter().map(|grown| grown.tail).collect();
}
