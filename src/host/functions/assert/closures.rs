//! Closures that must throw, and closures of assertions that must hold in the end.

use crate::host::functions::assert::failure::failed;
use crate::host::functions::assert::show::{excerpt, shown};
use crate::host::run::options::{Telling, Waiting};
use crate::host::run::runtime::rt;
use crate::host::run::{caught, waiting};
use crate::host::value;
use crate::host::value::error::{self, Fallible, Kind, ScriptError};
use crate::pending::Doing;
use crate::probe::{Attempt, Failed, Wait};
use rhai::{Dynamic, EvalAltResult, FnPtr, NativeCallContext};
use std::time::Duration;

pub(super) fn throws(ctx: &NativeCallContext, closure: &FnPtr, expected: Option<&str>) -> Fallible<Dynamic> {
    rt().checkpoint()?;
    let error = match closure.call_within_context::<Dynamic>(ctx, ()) {
        Ok(value) => {
            let returned =
                if value.is_unit() { String::new() } else { format!(" and returned {}", shown(&value)) };
            let wanted = expected.map_or_else(String::new, |expected| format!(" (expected: {expected})"));
            return Err(failed(None, &format!("the closure did not throw{wanted}{returned}")).into());
        }
        Err(error) if caught::passes_through(&error) => return Err(error),
        Err(error) => error,
    };
    let caught = caught::caught(&error, ctx.call_source().unwrap_or_default());
    let Some(expected) = expected else { return Ok(caught) };
    let (kind, message) = error::kind_and_message(&caught);
    let is_kind = Kind::named(expected).is_some() || expected == Kind::Script.name();
    let fits = if is_kind { kind == expected } else { message.contains(expected) };
    if fits {
        return Ok(caught);
    }
    let what = if is_kind {
        format!("the closure threw an error of kind `{kind}`, expected `{expected}`")
    } else {
        format!("the closure threw an error without {} in its message", excerpt(expected))
    };
    Err(failed(None, &what)
        .fact("expected", expected)
        .fact("actual", caught)
        .note(format!("it threw: {message}"))
        .into())
}

pub(super) fn eventually(ctx: &NativeCallContext, closure: FnPtr, opts: Waiting) -> Fallible<Dynamic> {
    let rt = rt();
    rt.checkpoint()?;
    let mut wait = Wait::new(&rt.jobs);
    let Telling { interval, message } = opts.telling;
    let message = message.as_deref();
    wait.timeout = Some(opts.timeout);
    wait.interval = interval;
    let pending = rt.pending(Doing::Waiting, "what `eventually` asserts", wait.timeout);
    wait.pending = Some(&pending);
    let (mut attempts, mut last) = (0, None);
    let attempt = || {
        attempts += 1;
        match rt.as_condition(|| closure.call_within_context::<Dynamic>(ctx, ())) {
            Ok(value) if value.as_bool() == Ok(false) => {
                last = None;
                Attempt::NotYet("false".to_owned())
            }
            Ok(value) => Attempt::Ready(value),
            Err(error) => match caught::not_yet(&error) {
                Some(message) => {
                    last = Some(error);
                    Attempt::NotYet(message)
                }
                None => Attempt::Never(error),
            },
        }
    };
    match wait.run(attempt) {
        Ok(value) => Ok(value),
        Err(Failed::Timeout { waited, .. }) => Err(in_the_end(last, attempts, waited, message)),
        Err(other) => {
            Err(waiting::failed("eventually", "its assertions to hold", other, message, &[], |error| error))
        }
    }
}

/// What `eventually` throws when its time is up: the last error, with what was tried.
fn in_the_end(
    last: Option<Box<EvalAltResult>>,
    attempts: usize,
    waited: Duration,
    message: Option<&str>,
) -> Box<EvalAltResult> {
    let waited = value::show_duration(waited);
    let tries = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
    let said = message.map_or_else(String::new, |message| format!("{message}: "));
    let Some(mut last) = last else {
        let what = format!("{said}eventually: the closure still returned false after {waited} ({tries})");
        return ScriptError::new(Kind::Assertion, what).into();
    };
    error::change(&mut last, |error| {
        error.message = format!("{said}{}", error.message);
        error.notes.push(format!("eventually: {tries} in {waited}; this is the last one"));
    });
    last
}
