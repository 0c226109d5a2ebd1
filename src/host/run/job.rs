//! What is asked about jobs, and stopping them.

use super::death;
use super::ready::readiness;
use super::runtime::rt;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::handle::Job;
use crate::jobs::{Ask, JobId, View, port};
use crate::words;
use std::time::Duration;

pub fn view(job: &Job) -> Option<View> {
    rt().jobs.view(job.0.id)
}

pub fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The ports that a job's processes listen on.
pub fn listening_ports(job: &Job) -> Vec<u16> {
    rt().jobs.ports(job.0.id)
}

/// The same, as it is at this moment, for who asks once.
pub fn listening_ports_now(job: &Job) -> Vec<u16> {
    rt().jobs.forget_ports();
    listening_ports(job)
}

/// The port that it was given, unless it was found to listen on another; else the first that it listens on.
pub fn port_of(job: &Job) -> Option<u16> {
    let own = readiness::of_job(job).elsewhere().or(job.0.spec.port);
    own.or_else(|| listening_ports_now(job).first().copied())
}

/// Where a job is to be found: at the URL or port that its `ready` names, or else at its own port.
pub fn address_of(job: &Job) -> Option<String> {
    let readiness = readiness::of_job(job);
    let own = readiness.elsewhere().or(job.0.spec.port);
    let named = readiness.url().filter(|url| job.0.spec.port != Some(url.port()));
    if let Some(url) = named.filter(|_| readiness.elsewhere().is_none()) {
        return Some(url.origin());
    }
    let listens = || listening_ports_now(job).first().copied();
    let unused = own.is_some_and(|own| !port::in_use(own));
    let port = readiness.local_port().filter(|_| readiness.elsewhere().is_none()).or(own.filter(|_| !unused));
    port.or_else(listens).or(own).map(|port| rt().url(port))
}

pub fn by_name(name: &str) -> Fallible<Job> {
    if let Some(job) = rt().jobs.named(name) {
        return Ok(Job(job));
    }
    let jobs = rt().jobs.list();
    let names: Vec<&str> = jobs.iter().map(|job| job.spec.name.as_str()).collect();
    let known = if names.is_empty() {
        "no job was started yet".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    };
    let error = ScriptError::usage(format!("there is no job `{name}`")).note(known);
    Err(match words::nearest(name, names) {
        Some(near) => error.hint(format!("job(\"{near}\")")),
        None => error,
    }
    .into())
}

/// Waits for the stop also when only a part of the script has been ended: what needs SIGKILL gets it here.
pub fn stop_one(job: &Job, ask: Ask) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    rt.jobs.look_for_failures_to_the_end();
    rt.jobs.stop(&[job.0.id], ask, &|| rt.control().run_halted());
    rt.checkpoint()?;
    as_expected(&[job.0.id])
}

/// Throws when one of these has ended at its stop in another way than it should.
fn as_expected(ids: &[JobId]) -> Fallible<()> {
    match rt().jobs.tell_wrong_stop(Some(ids)) {
        Some((job, status)) => Err(death::wrong_stop(&job, status).into()),
        None => Ok(()),
    }
}

pub fn stop_all(grace: Option<Duration>) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    let ids: Vec<_> = rt.jobs.list().iter().map(|job| job.id).collect();
    rt.jobs.look_for_failures_to_the_end();
    rt.jobs
        .stop_in_order(&ids, Ask { grace, ..Ask::default() }, Duration::ZERO, &|| rt.control().run_halted());
    rt.checkpoint()?;
    as_expected(&ids)
}
