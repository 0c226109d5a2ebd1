//! One test: its tries, and what comes of it.
//!
//! A try works on a strand of its own, which `skip` and the option `timeout` end: no `catch` in the test gets past it.
//! What `after_each` does comes after that, on another one.

use super::options::{TestOptions, Told};
use crate::event::{Event, Failure, Outcome, Tested};
use crate::exit;
use crate::host::explain::failure;
use crate::host::run::ready::readiness;
use crate::host::run::runtime::{Group, Hook, Running, rt};
use crate::host::run::{alarm, death, logs};
use crate::host::source::text;
use crate::host::value;
use crate::host::value::describe::function;
use crate::host::value::described::Entry;
use crate::host::value::error::{self, Fallible, ScriptError, terminated};
use crate::jobs;
use crate::jobs::control::Halt;
use crate::jobs::strand::Strand;
use crate::lock::lock;
use crate::select::Known;
use crate::spans::Span;
use rhai::{Dynamic, FnPtr, NativeCallContext};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    /// test("in time", || run("true"), #{timeout: "10s", tags: "quick"});
    /// ```
    TEST = "test" -> bool {
        (name: String, closure: FnPtr; TestOptions) => options_last;
        /// The options may also stand before the closure.
        ///
        /// ```rhai
        /// test("on Tuesdays", #{skip: "nobody knows why", retries: 2}, || fail("no"));
        /// ```
        (name: String, options: Told, closure: FnPtr) => |ctx| test(ctx, &name, &options.0, &closure);
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
    if running.over.load(SeqCst) {
        let error = ScriptError::usage("skip: too late in an after_each closure: the test is over");
        return Err(error.hint("before_each(|| { skip(\"reason\"); })").into());
    }
    lock(&running.skipped).get_or_insert(reason.to_owned());
    running.strand.end();
    rt.control().bell.ring();
    Err(terminated())
}

fn options_last(ctx: &NativeCallContext, name: String, closure: FnPtr, opts: TestOptions) -> Fallible<bool> {
    test(ctx, &name, &opts, &closure)
}

/// How one try of a test has ended.
struct Tried {
    outcome: Outcome,
    /// A job has died in it.
    died: bool,
    span: Option<Span>,
}

impl Tried {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, died: false, span: None }
    }

    fn failed(failure: Failure, died: bool) -> Self {
        Self { died, ..Self::of(Outcome::Failed(Box::new(failure))) }
    }
}

fn test(ctx: &NativeCallContext, name: &str, opts: &TestOptions, closure: &FnPtr) -> Fallible<bool> {
    let rt = rt();
    rt.checkpoint()?;
    if name.trim().is_empty() {
        return Err(ScriptError::usage("test: a test needs a name").into());
    }
    if let Some(outer) = rt.place().test {
        let message = format!("test: `{name}` is inside `{}`: tests cannot be nested", outer.name);
        return Err(ScriptError::usage(message).hint("group(\"name\", || { test(…); test(…); })").into());
    }
    if rt.control().closing() {
        return Err(
            ScriptError::usage("test: too late in an on_exit closure: the run's result is decided").into()
        );
    }
    if opts.only && !rt.only.load(Relaxed) {
        let error = ScriptError::usage("test: `only` is looked for in the text, before the first test runs");
        return Err(error.hint("only: true   (written out, in the call of `test`)").into());
    }
    let group = rt.group();
    let name = group.named(name);
    let tested = |outcome, after, tries| Tested {
        name: name.clone(),
        outcome,
        after,
        tries,
        tags: opts.tags(),
        span: None,
    };
    let options = &rt.options;
    let known = Known { script: options.source.clone(), test: name.clone(), tags: opts.tags() };
    let not_run = if !options.select.takes(&known) {
        Some(Outcome::Deselected("not selected".to_owned()))
    } else if rt.only.load(Relaxed) && !opts.only {
        Some(Outcome::Deselected("another test has `only`".to_owned()))
    } else {
        opts.skipped().map(|reason| Outcome::Skipped(reason.to_owned()))
    };
    if let Some(outcome) = not_run {
        record(tested(outcome, Duration::ZERO, 0));
        return Ok(false);
    }
    // A death before it is none of its.
    if let Some((dead, status)) = rt.jobs.death_by_now() {
        rt.jobs.mark_reported(dead.id);
        return Err(death::death(&dead, &status, Some(&format!("the test `{name}` to start"))).into());
    }
    let started = jobs::now();
    let most = opts.retries.count() + 1;
    let mut tries = 0;
    let Tried { outcome, died, span } = loop {
        tries += 1;
        let tried = attempt(ctx, &name, &group, opts.timeout, closure)?;
        let span = tried.span.map(|span| span.to_string());
        match tried.outcome {
            Outcome::Failed(failure) if tries < most && !tried.died => {
                rt.emit(Event::TestAgain { name: name.clone(), next: tries + 1, tries: most, failure, span });
            }
            _ => break tried,
        }
    };
    let passed = matches!(outcome, Outcome::Passed);
    let span = span.map(|span| span.to_string());
    record(Tested { span, ..tested(outcome, jobs::now().saturating_sub(started), tries) });
    if died {
        // What follows would only fail because of it.
        rt.warn(format!("a job died in the test {}: the run ends here", value::show(&name.into())));
        rt.control().halt(Halt::Exit(exit::FAILED));
        return Err(terminated());
    }
    Ok(passed)
}

fn record(tested: Tested) {
    rt().suite.record(tested.clone());
    rt().emit(Event::Test(tested));
}

/// One try, with what is done before and after it. The error: the run is being stopped, or what is around the test: then
/// it has neither passed nor failed.
fn attempt(
    ctx: &NativeCallContext,
    name: &str,
    group: &Arc<Group>,
    timeout: Option<Duration>,
    closure: &FnPtr,
) -> Fallible<Tried> {
    let rt = rt();
    let logs = logs::logs();
    let span = rt.span();
    let running = Arc::new(Running {
        name: name.to_owned(),
        span,
        strand: Strand::inside(),
        skipped: Mutex::default(),
        over: AtomicBool::new(false),
    });
    let mut place = rt.place();
    place.test = Some(Arc::clone(&running));
    let started = jobs::now();
    let _there = rt.at(place);
    // The place of the failing closure is told by its hook.
    let mut failing: Option<Hook> = None;
    let work = || -> Fallible<()> {
        for hook in group.chain().iter().flat_map(|group| lock(&group.before).clone()) {
            if let Err(error) = hook.call(ctx.engine()) {
                failing = Some(hook);
                return Err(error);
            }
        }
        closure.call_within_context::<Dynamic>(ctx, ()).map(drop)
    };
    let (result, in_time) =
        alarm::within(&running.strand, timeout, work).map_err(|error| alarm::no_thread("test", error))?;
    if rt.control().halted() {
        return Err(result.err().unwrap_or_else(terminated));
    }
    let skipped = lock(&running.skipped).take();
    running.over.store(true, SeqCst);
    let source =
        failing.as_ref().map_or_else(|| ctx.call_source().unwrap_or_default(), |hook| hook.source.as_str());
    let described = |error: &error::Thrown| {
        let mut failure = failure::describe(error, source);
        if failing.is_some() {
            failure.notes.insert(0, "thrown in `before_each`, before the test".to_owned());
        }
        failure
    };
    let mut tried = match (skipped, result) {
        (Some(reason), _) => Tried::of(Outcome::Skipped(reason)),
        (None, result) if !in_time => {
            let doing = alarm::doing(result.as_ref().err().map(|error| &**error), "test");
            let mut failure = result.err().map_or_else(Failure::default, |error| described(&error));
            if failure.place.is_none() {
                failure.place = text::place(ctx.call_source().unwrap_or_default(), ctx.call_position());
            }
            failure.notes.insert(0, doing);
            let time = value::show_duration(timeout.unwrap_or_default());
            failure.code = exit::TIMEOUT;
            failure.message = format!("the test took longer than {time} (`timeout`)");
            logs::show_logs(&mut failure, &logs, started);
            Tried::failed(failure, false)
        }
        (None, Ok(())) => match rt.jobs.death_by_now() {
            // Nobody was waiting for anything when it died.
            Some((dead, status)) => {
                rt.jobs.mark_reported(dead.id);
                let mut failure = failure::from_error(&death::death(&dead, &status, None));
                failure.place = text::place(ctx.call_source().unwrap_or_default(), ctx.call_position());
                Tried::failed(failure, true)
            }
            None => Tried::of(Outcome::Passed),
        },
        (None, Err(error)) => {
            let mut failure = described(&error);
            let others = death::other_deaths(&rt.jobs);
            let died = error::is_death(&error) || !others.is_empty();
            failure.notes.extend(others);
            failure.notes.extend(readiness::guesses());
            logs::show_logs(&mut failure, &logs, started);
            Tried::failed(failure, died)
        }
    };
    after(ctx, group, timeout, &mut tried)?;
    Ok(Tried { span, ..tried })
}

/// What is done after a try, whatever came of it: all of it, also when a part fails.
fn after(
    ctx: &NativeCallContext,
    group: &Arc<Group>,
    timeout: Option<Duration>,
    tried: &mut Tried,
) -> Fallible<()> {
    let groups = group.chain();
    for hook in groups.iter().rev().flat_map(|group| lock(&group.after).clone().into_iter().rev()) {
        let (result, in_time) = alarm::within(&Strand::inside(), timeout, || hook.call(ctx.engine()))
            .map_err(|error| alarm::no_thread("after_each", error))?;
        if rt().control().halted() {
            return Err(result.err().unwrap_or_else(terminated));
        }
        let Err(error) = result else { continue };
        let mut failure = failure::describe(&error, &hook.source);
        if !in_time {
            let time = value::show_duration(timeout.unwrap_or_default());
            failure.message = format!("`after_each` took longer than {time} (`timeout` of the test)");
            failure.notes.insert(0, alarm::doing(Some(&error), "after_each"));
        }
        tried.died |= error::is_death(&error);
        if let Outcome::Failed(first) = &mut tried.outcome {
            let place = failure.place.as_ref().map_or_else(String::new, |place| format!(" ({place})"));
            let message = failure.message.lines().next().unwrap_or_default();
            first.notes.push(format!("`after_each` has failed, too: {message}{place}"));
        } else {
            failure.notes.insert(0, "thrown in `after_each`, after the test".to_owned());
            tried.outcome = Outcome::Failed(Box::new(failure));
        }
    }
    Ok(())
}
