//! Staying: the wait of a script that has nothing more to do but to keep its jobs running.

use crate::event::Event;
use crate::host::run::death;
use crate::host::run::job::view;
use crate::host::run::options::{Common, WaitExit};
use crate::host::run::runtime::rt;
use crate::host::run::services;
use crate::host::run::waiting::{self, TimeoutFacts, timeout};
use crate::host::value::describe::function;
use crate::host::value::described::Entry;
use crate::host::value::error::{self, Fallible};
use crate::host::value::handle::Job;
use crate::host::value::kinds::Jobs;
use crate::jobs::State;
use crate::probe::{Attempt, Failed, Seen, Wait};
use rhai::NativeCallContext;
use std::convert::Infallible;
use std::time::Duration;

pub const FUNCTIONS: &[Entry] = &[STAY];

function! {
    /// Stays until the run is interrupted, so that its jobs can be used from outside; a job that dies ends it with
    /// `job_died`, as it ends every wait.
    ///
    /// Ctrl-C, TERM or HUP is the usual end: the jobs are stopped, nothing is kept but what `--keep-logs` asks for, and
    /// bgjobs ends by that signal (130 for a shell after Ctrl-C, 143 after TERM), so that whoever has called it knows that
    /// it was not over by itself. It returns when every job has ended in a way that was expected, since there is nothing
    /// left to stay for; without a job it stays, too.
    ///
    /// ```rhai
    /// spawn("sleep 0.01");
    /// stay("10s");
    /// ```
    STAY = "stay" -> (), throws timeout job_died {
        (; WaitExit) => stay;
        /// Returns when this job has ended, or every job of an array; a server's end is a death, whatever its code.
        ///
        /// ```rhai
        /// spawn("sleep 60");
        /// stay(spawn("sleep 0.01"), #{timeout: "10s", message: "it goes on and on"});
        /// ```
        (jobs: Jobs; WaitExit) => stay_with;
    }
}

fn stay(_: &NativeCallContext, opts: WaitExit) -> Fallible<()> {
    wait(None, &opts.into())
}

fn stay_with(_: &NativeCallContext, Jobs(jobs): Jobs, opts: WaitExit) -> Fallible<()> {
    let jobs = match jobs.clone().try_cast::<Job>() {
        Some(one) => vec![one],
        None => waiting::job_list("stay", &jobs)?,
    };
    wait(Some(&jobs), &opts.into())
}

/// `about`: for the end of these; without them for that of all.
fn wait(about: Option<&[Job]>, common: &Common) -> Fallible<()> {
    /// Ends and interrupts ring the bell; this only makes up for one that was missed.
    const LOOK: Duration = Duration::from_secs(1);
    let rt = rt();
    rt.checkpoint()?;
    let mut wait = Wait::new(&rt.jobs);
    wait.timeout = common.timeout;
    wait.interval = Some(LOOK);
    wait.eager = true;
    wait.needs_jobs = about.is_none();
    let has_ended = |job: &Job| view(job).is_none_or(|view| matches!(view.state, State::Ended(_)));
    let over = || match about.is_some_and(|jobs| jobs.iter().all(has_ended)) {
        true => Attempt::Ready(()),
        false => Attempt::NotYet(String::new()),
    };
    rt.control().stay(true);
    let jobs = rt.jobs.live(usize::MAX).len();
    // Where there is nothing left to stay for, that would be wrong.
    if about.is_none() && (jobs > 0 || !rt.jobs.all_ended()) {
        rt.emit(Event::Staying { jobs, urls: services::all_urls() });
    }
    let ended = wait.run::<(), Infallible>(over);
    // Whoever is interrupted here was staying to its end.
    if !matches!(ended, Err(Failed::Halted)) {
        rt.control().stay(false);
    }
    let message = common.message.as_deref();
    match ended {
        Ok(()) | Err(Failed::AllEnded) => Ok(()),
        Err(Failed::Halted) => Err(error::terminated()),
        Err(Failed::Died(job, death)) => {
            Err(death::while_waiting(death::death(&job, &death, None).into(), message))
        }
        Err(Failed::Ended(job, status)) => {
            Err(death::while_waiting(death::job_died(&job, status, None).into(), message))
        }
        Err(Failed::Timeout { waited, .. }) => {
            let (what, about) = ("an interrupt", about.unwrap_or_default());
            let seen = &Seen::default();
            let facts = TimeoutFacts { what, waited, seen, about, condition: None, advice: None, message };
            Err(timeout("stay", &facts).hint("sleep(…)   (when its time is over, the script goes on)").into())
        }
        Err(Failed::Never(never)) => match never {},
    }
}
