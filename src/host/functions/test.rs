//! `test` and `skip`: a failed test is told where it happens, and the script goes on.
//!
//! A test works on a strand of its own, which `skip` ends: no `catch` in the test gets past it.

use crate::event::{Event, Outcome, Tested};
use crate::exit;
use crate::host::explain::failure;
use crate::host::run::ready::readiness;
use crate::host::run::runtime::{Running, rt};
use crate::host::run::{death, logs};
use crate::host::source::text;
use crate::host::value;
use crate::host::value::describe::function;
use crate::host::value::described::Entry;
use crate::host::value::error::{self, Fallible, ScriptError, terminated};
use crate::jobs;
use crate::jobs::control::Halt;
use crate::jobs::strand::Strand;
use crate::lock::lock;
use rhai::{Dynamic, FnPtr, NativeCallContext};
use std::sync::{Arc, Mutex};

pub const FUNCTIONS: &[Entry] = &[TEST, SKIP];

function! {
    /// Calls a closure and records that the test passed, or, when it throws, that it failed; returns true or false.
    /// A failure is shown at once and the script goes on; at the end failed tests are named again and the run ends
    /// with code 1, also after `exit(0)`. A job that dies unexpectedly in the test fails it and ends the run. Tests
    /// cannot be nested; in `parallel` they run at the same time.
    ///
    /// ```rhai
    /// let passed = test("two and two", || assert_eq(2 + 2, 4));
    /// assert(passed);
    /// ```
    TEST = "test" -> bool {
        (name: String, closure: FnPtr) => |ctx| test(ctx, &name, &closure);
    }
}

function! {
    /// Ends the test around it, which counts as skipped, neither passed nor failed; `test` returns false. Throws
    /// `usage` outside of a test.
    ///
    /// ```rhai
    /// test("with docker", || {
    ///     if !try_run("docker version", #{echo: false}).ok { skip("docker does not run here"); }
    ///     run("docker ps");
    /// });
    /// ```
    SKIP = "skip" -> () {
        (reason: String) => |_| skip(&reason);
    }
}

fn skip(reason: &str) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    let Some(running) = rt.place().test else {
        let error = ScriptError::usage("skip: there is no test around it");
        return Err(error.hint("test(\"name\", || { skip(\"reason\"); })").into());
    };
    lock(&running.skipped).get_or_insert(reason.to_owned());
    running.strand.end();
    rt.control().bell.ring();
    Err(terminated())
}

fn test(ctx: &NativeCallContext, name: &str, closure: &FnPtr) -> Fallible<bool> {
    let rt = rt();
    rt.checkpoint()?;
    if name.trim().is_empty() {
        return Err(ScriptError::usage("test: a test needs a name").into());
    }
    if let Some(outer) = rt.place().test {
        let message = format!("test: `{name}` is inside `{}`: tests cannot be nested", outer.name);
        return Err(ScriptError::usage(message).into());
    }
    if rt.control().closing() {
        return Err(
            ScriptError::usage("test: too late in an on_exit closure: the run's result is decided").into()
        );
    }
    // A death before it is none of its.
    if let Some((dead, status)) = rt.jobs.death_by_now() {
        rt.jobs.mark_reported(dead.id);
        return Err(death::death(&dead, &status, Some(&format!("the test `{name}` to start"))).into());
    }
    let logs = logs::logs();
    let running =
        Arc::new(Running { name: name.to_owned(), strand: Strand::inside(), skipped: Mutex::default() });
    let mut place = rt.place();
    place.test = Some(Arc::clone(&running));
    let started = jobs::now();
    let result = {
        let _strand = running.strand.enter();
        let _there = rt.at(place);
        closure.call_within_context::<Dynamic>(ctx, ())
    };
    if rt.control().halted() {
        // The run is being stopped, or what is around the test: it has neither passed nor failed.
        return Err(result.err().unwrap_or_else(terminated));
    }
    let skipped = lock(&running.skipped).take();
    let (outcome, died) = match (skipped, result) {
        (Some(reason), _) => (Outcome::Skipped(reason), false),
        (None, Ok(_)) => match rt.jobs.death_by_now() {
            // Nobody was waiting for anything when it died.
            Some((dead, status)) => {
                rt.jobs.mark_reported(dead.id);
                let mut failure = failure::from_error(&death::death(&dead, &status, None));
                failure.place = text::place(ctx.call_source().unwrap_or_default(), ctx.call_position());
                (Outcome::Failed(Box::new(failure)), true)
            }
            None => (Outcome::Passed, false),
        },
        (None, Err(error)) => {
            let mut failure = failure::describe(&error, ctx.call_source().unwrap_or_default());
            let others = death::other_deaths(&rt.jobs);
            let died = error::is_death(&error) || !others.is_empty();
            failure.notes.extend(others);
            failure.notes.extend(readiness::guesses());
            logs::show_logs(&mut failure, &logs, started);
            (Outcome::Failed(Box::new(failure)), died)
        }
    };
    let passed = matches!(outcome, Outcome::Passed);
    let after = jobs::now().saturating_sub(started);
    let tested = Tested { name: name.to_owned(), outcome, after };
    rt.suite.record(tested.clone());
    rt.emit(Event::Test(tested));
    if died {
        // What follows would only fail because of it.
        rt.warn(format!("a job died in the test {}: the run ends here", value::show(&name.into())));
        rt.control().halt(Halt::Exit(exit::FAILED));
        return Err(terminated());
    }
    Ok(passed)
}
