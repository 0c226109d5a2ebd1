//! Jobs that have died: what is thrown for one, and those that the script has not noticed.

use super::access;
use super::owner;
use super::program;
use super::runtime;
use crate::event::Failure;
use crate::exit;
use crate::host::explain::caller::caller;
use crate::host::explain::failure;
use crate::host::value::error::{Kind, ScriptError, TAIL, is_death, thrown};
use crate::jobs::fail::{Death, FailLine};
use crate::jobs::spec::{self, Expect};
use crate::jobs::{self, ExitStatus, Job, Jobs};
use rhai::{Dynamic, EvalAltResult};
use std::sync::atomic::Ordering::SeqCst;

/// The jobs that died besides the one that the failure is about, a line each.
pub fn other_deaths(jobs: &Jobs) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((job, death)) = jobs.unreported_death() {
        jobs.mark_reported(job.id);
        let what = if matches!(death, Death::Ended(_)) { "died" } else { "failed" };
        lines.push(format!("job `{}` has {what} too ({})", job.spec.name, death.describe(&job)));
    }
    lines
}

/// A job that died without the script having noticed: the run has failed, even if its last line was reached.
pub fn unnoticed_death(jobs: &Jobs) -> Option<Failure> {
    let (job, death) = jobs.unreported_death()?;
    jobs.mark_reported(job.id);
    Some(failure::from_error(&self::death(&job, &death, None)))
}

/// A job that has ended at its stop in another way than it should, without the script having noticed.
pub fn unnoticed_stop(jobs: &Jobs) -> Option<Failure> {
    let (job, status) = jobs.tell_wrong_stop(None)?;
    Some(failure::from_error(&wrong_stop(&job, status)))
}

/// A job has ended at its stop in another way than it should.
pub fn wrong_stop(job: &Job, status: ExitStatus) -> ScriptError {
    let name = &job.spec.name;
    let how = match status {
        ExitStatus::Code(code) => format!("ended with {code}"),
        ExitStatus::Signal(_) => format!("was {}", job.describe(status)),
    };
    let wanted: Vec<String> = job.spec.expect_stop.iter().map(i32::to_string).collect();
    let wanted = wanted.join(" or ");
    let error = ScriptError::new(
        Kind::JobDied,
        format!("job `{name}` {how} when stopped, expected was {wanted} (`expect_stop`)"),
    )
    .fact("job", name.clone())
    .fact("code", i64::from(status.code()))
    .note(format!("command: {}", job.spec.command.display()))
    .log_of(job);
    let error = match status {
        ExitStatus::Signal(number) => error.fact("signal", jobs::signal_name(number)),
        ExitStatus::Code(_) => error,
    };
    match job.log {
        Some(_) => error.fact("output", job.log_tail(TAIL).join("\n")),
        None => error,
    }
}

/// A job counts as dead. `waiting_for`: what was being waited for.
pub fn death(job: &Job, death: &Death, waiting_for: Option<&str>) -> ScriptError {
    match death {
        Death::Ended(status) => {
            let error = ended(job, *status, waiting_for);
            match expected(&job.spec.expect, *status) {
                Some(note) => error.note(note),
                None => error,
            }
        }
        Death::Line(found) => fail_line(job, found, waiting_for),
    }
}

/// Why an end that looks like a good one is none.
fn expected(expect: &Expect, status: ExitStatus) -> Option<String> {
    match (expect, status) {
        (Expect::Codes(codes), ExitStatus::Code(_)) => {
            let codes: Vec<String> = codes.iter().map(i32::to_string).collect();
            Some(format!("expected was exit {} (`expect_exit`)", codes.join(" or ")))
        }
        (_, ExitStatus::Code(0)) if caller().is_some() => {
            Some("it was a server: it is to run until it is stopped".to_owned())
        }
        (_, ExitStatus::Code(0)) => Some(match expect {
            Expect::NoEnd => "it is expected not to end (`expect_exit: false`)".to_owned(),
            _ => "it was a server, by its `ready`: it is to run until it is stopped; if it may end, say so before: job.expect_exit(), or the option `expect_exit: 0`".to_owned(),
        }),
        _ => None,
    }
}

/// A job has printed a line that means failure.
pub fn fail_line(job: &Job, found: &FailLine, waiting_for: Option<&str>) -> ScriptError {
    const MOST: usize = 200;
    let name = &job.spec.name;
    let mut line: String = found.line.trim().chars().take(MOST).collect();
    if line.len() < found.line.trim().len() {
        line.push('…');
    }
    let during = waiting_for.map_or_else(String::new, |what| format!(" while waiting for {what}"));
    let mut error = ScriptError::new(Kind::JobDied, format!("job `{name}` failed{during}: {line}"))
        .fact("job", name.clone())
        .fact("line", found.line.clone())
        .fact("pattern", found.pattern.clone())
        .note(format!("its log has a line that matches /{}/ (`fail_on`)", found.pattern))
        .note(format!("command: {}", job.spec.command.display()))
        .log_of(job);
    if job.log.is_some() {
        error = error.fact("output", job.log_tail(TAIL).join("\n"));
    }
    error
}

/// An error that says that a job died, after what the statement that was waiting says of itself (`message`).
pub fn while_waiting(mut error: Box<EvalAltResult>, message: Option<&str>) -> Box<EvalAltResult> {
    if let Some(message) = message
        && is_death(&error)
    {
        put_before(&mut error, message);
    }
    error
}

fn put_before(error: &mut EvalAltResult, message: &str) {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            put_before(inner, message);
        }
        EvalAltResult::ErrorRuntime(value, _) => {
            if let Some(mut death) = thrown(value) {
                death.message = format!("{message}: {}", death.message);
                *value = Dynamic::from(death);
            }
        }
        _ => {}
    }
}

/// A job has ended that was waited for. `waiting_for`: for what of it.
pub fn job_died(job: &Job, status: ExitStatus, waiting_for: Option<&str>) -> ScriptError {
    let error = ended(job, status, waiting_for);
    if status.success() {
        error.note(match caller() {
            Some(_) => "a server that ends at once may want an open stdin: `tail -f /dev/null | COMMAND`",
            None => "a server that ends at once may want an open stdin: `stdin: \"pipe\"`",
        })
    } else {
        error
    }
}

fn ended(job: &Job, status: ExitStatus, waiting_for: Option<&str>) -> ScriptError {
    let name = &job.spec.name;
    if job.log_overflowed.load(SeqCst) {
        return log_overflowed(job, status);
    }
    let how = match status {
        ExitStatus::Code(_) => format!("died ({})", job.describe(status)),
        ExitStatus::Signal(_) => format!("was {}", job.describe(status)),
    };
    let how = if status.success() { "ended (exit 0)".to_owned() } else { how };
    let during = waiting_for.map_or_else(String::new, |what| format!(" while waiting for {what}"));
    let mut error = ScriptError::new(Kind::JobDied, format!("job `{name}` {how}{during}"))
        .fact("job", name.clone())
        .fact("code", i64::from(status.code()))
        .note(format!("command: {}", job.spec.command.display()))
        .log_of(job);
    if let ExitStatus::Signal(number) = status {
        error = error.fact("signal", jobs::signal_name(number));
        if !job.out_of_memory() && caller().is_none() {
            error = error.note(
                "if the script caused this on purpose, say so before: job.expect_exit(), or the option `expect_exit: true`",
            );
        }
    }
    let restarts = runtime::running().and_then(|rt| rt.jobs.view(job.id)).map_or(0, |view| view.restarts);
    if restarts > 0 {
        let times = if restarts == 1 { "once".to_owned() } else { format!("{restarts} times") };
        error = error.note(format!("it was started again {times} before (`restart`)"));
    }
    if let Some((times, most)) = job.out_of_procs() {
        error =
            error.note(format!("{times} times it could not start a process or thread (max_procs {most})"));
    }
    if job.log.is_some() {
        let end = job.log_tail(TAIL).join("\n");
        let missing = if status.code() == exit::NOT_FOUND { program::missing_in(&end) } else { None };
        error = missing.and_then(program::instead).into_iter().fold(error, ScriptError::hint);
        if let Some((port, note, hint)) = owner::taken_by_log(job) {
            error = error.fact("port", i64::from(port)).note(note).hint(hint);
        }
        error = error.fact("output", end);
    }
    match access::denied(job).filter(|_| !status.success()) {
        Some((note, hint)) => error.note(note).hint(hint),
        None => error,
    }
}

/// A job that had to be stopped because its log could not be kept within its limit.
fn log_overflowed(job: &Job, status: ExitStatus) -> ScriptError {
    let (name, limit) = (&job.spec.name, spec::show_size(job.spec.max_log));
    ScriptError::new(
        Kind::JobDied,
        format!("job `{name}` was stopped: its log has passed {limit} (`max_log`)"),
    )
    .fact("job", name.clone())
    .fact("code", i64::from(status.code()))
    .note("this file system has no holes, so that the beginning of a log cannot be dropped there")
    .note(format!("command: {}", job.spec.command.display()))
    .log_of(job)
    .hint("max_log: \"1GB\", or another file system for the logs: TMPDIR, or the option `log`")
}
