//! The jobs that have died without the script having noticed.

use crate::event::Failure;
use crate::host::explain::failure;
use crate::host::value::error;
use crate::jobs::Jobs;
use crate::jobs::fail::Death;

/// The jobs that died besides the one that the failure is about, a line each.
pub fn other_deaths(jobs: &Jobs) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((job, death)) = jobs.known_death() {
        jobs.told(job.id);
        let what = if matches!(death, Death::Ended(_)) { "died" } else { "failed" };
        lines.push(format!("job `{}` has {what} too ({})", job.spec.name, death.describe(&job)));
    }
    lines
}

/// A job that died without the script having noticed: the run has failed, even if its last line was reached.
pub fn untold_death(jobs: &Jobs) -> Option<Failure> {
    let (job, death) = jobs.known_death()?;
    jobs.told(job.id);
    Some(failure::from_error(&error::death(&job, &death, None)))
}
