//! The flow of the script itself: messages, time, ending, trying again.

use crate::api::Type;
use crate::event::Event;
use crate::exit;
use crate::host::run::caught::{caught, not_yet, passes_through};
use crate::host::run::death;
use crate::host::run::runtime::{Hook, rt};
use crate::host::value;
use crate::host::value::describe::function;
use crate::host::value::described::{self, Entry};
use crate::host::value::error::{Fallible, Kind, ScriptError, change, terminated};
use crate::host::value::kinds::{self, FromValue, Typed};
use crate::jobs;
use crate::jobs::control::Halt;
use crate::pending::Doing;
use crate::probe::{Attempt, Failed, Wait};
use rhai::plugin::*;
use rhai::{Dynamic, Engine, FnPtr, ImmutableString, Map, Module};
use std::any::TypeId;
use std::time::Duration;

pub const FUNCTIONS: &[Entry] = &[RETRY, LOG, WARN, EXIT, ON_EXIT, ATTEMPT, SLEEP, ELAPSED_MS];

function! {
    /// Calls a closure up to `n` times, waiting for `delay` in between, until it does not throw, and does not return
    /// `false`; returns its value. After the last attempt its error is thrown. Errors of the kinds
    /// `command_failed`, `http`, `io` and `assertion`, and what the script itself throws, mean *not yet*; a mistake
    /// in the script, or a job that dies, ends it at once.
    ///
    /// ```rhai
    /// let tries = 0;
    /// let value = retry(5, "1ms", || {
    ///     tries += 1;
    ///     if tries < 3 { fail("not yet") }
    ///     "done"
    /// });
    /// assert_eq(value, "done");
    /// ```
    RETRY = "retry" -> Dynamic {
        (n: i64, delay: Duration, closure: FnPtr) => retry;
    }
}

pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(functions).into());
    // Rhai's own take exactly these two types, and an exact match is found first.
    let mut module = Module::new();
    for number in [TypeId::of::<i64>(), TypeId::of::<f64>()] {
        described::in_place(&mut module, &SLEEP, &[number], |_, value, _| {
            sleep_unless_ended(value::duration(value, "sleep")?, ASLEEP).map(Into::into)
        });
    }
    engine.register_global_module(module.into());
}

function! {
    /// Writes a line to stderr, among the events of the run.
    ///
    /// ```rhai
    /// log("loading the fixtures");
    /// ```
    LOG = "log" -> () {
        (msg: Dynamic) => log;
    }
}

function! {
    /// Writes a warning to stderr; the run goes on and its result is not changed.
    ///
    /// ```rhai
    /// warn("no cache: this will be slow");
    /// ```
    WARN = "warn" -> () {
        (msg: Dynamic) => warn;
    }
}

function! {
    /// Ends the run with exit code 0: `on_exit` closures run, jobs are stopped. It cannot be caught, and works the
    /// same in functions, closures and modules.
    ///
    /// ```rhai
    /// if args().is_empty() { exit(); }
    /// ```
    EXIT = "exit" -> () {
        () => |_| leave(0);
        /// Ends the run with this exit code, 0 to 255.
        ///
        /// ```rhai
        /// if cwd() == "/" { exit(3); }
        /// ```
        (code: Code) => |_| leave(code.0);
        /// Ends the run: true is exit code 0, false is 1.
        ///
        /// ```rhai
        /// let ok = 1 + 1 == 2;
        /// exit(ok);
        /// ```
        (ok: bool) => |_| leave(i64::from(!ok));
    }
}

function! {
    /// Runs a closure without parameters at the end of the run, however it ends, before the jobs are stopped; the
    /// last one first. All of them together have 10 s.
    ///
    /// ```rhai
    /// on_exit(|| log("cleaning up"));
    /// ```
    ON_EXIT = "on_exit" -> () {
        (closure: FnPtr) => |ctx| at_end(ctx, closure);
    }
}

function! {
    /// Calls a closure and returns `#{ok, value, error}`: what it returned, or the error that it threw, with
    /// `.error.kind` and `.error.message`. `exit` and an interrupt pass through.
    ///
    /// ```rhai
    /// let r = attempt(|| read_file("/no/such/file"));
    /// if !r.ok { log(r.error.message); }
    /// ```
    ATTEMPT = "attempt" -> Map {
        (closure: FnPtr) => |ctx| attempted(ctx, &closure);
    }
}

function! {
    /// Waits for a time such as `"500ms"`, or a number of seconds. A job that dies meanwhile ends it with an error
    /// of kind `job_died`.
    ///
    /// ```rhai
    /// sleep("5ms");
    /// ```
    SLEEP = "sleep" -> () {
        (duration: Duration) => |_| sleep_unless_ended(duration, ASLEEP);
    }
}

function! {
    /// Milliseconds since the run started.
    ///
    /// ```rhai
    /// let before = elapsed_ms();
    /// sleep("2ms");
    /// assert(elapsed_ms() - before >= 2);
    /// ```
    ELAPSED_MS = "elapsed_ms" -> i64 {
        () => elapsed_ms;
    }
}

#[export_module]
mod functions {
    /// Always an error: a time has its unit in its name.
    #[rhai_fn(name = "elapsed", return_raw)]
    pub fn elapsed() -> Fallible<i64> {
        Err(ScriptError::usage("there is no `elapsed()`: a time has its unit in the name")
            .hint("elapsed_ms()   (milliseconds since the run started)")
            .into())
    }

    /// Always an error: a time has its unit in its name.
    #[rhai_fn(get = "duration", return_raw)]
    pub fn duration(value: &mut Dynamic) -> Fallible<i64> {
        let what = value::type_name(value).to_owned();
        Err(ScriptError::usage("there is no `.duration`: a time has its unit in the name")
            .note(format!("asked of a value of type {what}"))
            .hint(".ms   (milliseconds; of a job: .uptime_ms)")
            .into())
    }
}

fn log(ctx: &NativeCallContext, msg: Dynamic) -> Fallible<()> {
    rt().checkpoint()?;
    rt().emit(Event::Log(text(ctx, &msg)));
    Ok(())
}

fn warn(ctx: &NativeCallContext, msg: Dynamic) -> Fallible<()> {
    rt().checkpoint()?;
    rt().warn(text(ctx, &msg));
    Ok(())
}

fn elapsed_ms(_: &NativeCallContext) -> Fallible<i64> {
    let since = jobs::now().saturating_sub(rt().options.started);
    Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A value as `print` shows it.
fn text(ctx: &NativeCallContext, value: &Dynamic) -> String {
    if value.is_string() {
        return value.to_string();
    }
    if value.is_unit() {
        return "()".to_owned();
    }
    let own = ctx.call_native_fn::<ImmutableString>("to_string", (value.clone(),));
    own.map_or_else(|_| value.to_string(), |text| text.to_string())
}

/// An exit code.
struct Code(i64);

impl Typed for Code {
    const TYPE: Type = Type::Int(0, 255);
}

impl FromValue for Code {
    fn from_value(value: &Dynamic, _: &str) -> Fallible<Self> {
        kinds::literal(Self::TYPE, value, "").map_err(|_| no_exit_code(value))?;
        Ok(Self(value.as_int().unwrap_or_default()))
    }
}

fn no_exit_code(code: &Dynamic) -> ScriptError {
    ScriptError::usage(format!("exit: {} is not an exit code", value::show(code)))
        .note("an exit code is a whole number from 0 to 255, or true (0) or false (1)")
}

fn leave(code: i64) -> Fallible<()> {
    rt().checkpoint()?;
    let code = i32::from(u8::try_from(code).map_err(|_| no_exit_code(&code.into()))?);
    if rt().control().closing() {
        // The script has ended, perhaps by an error: nothing may turn that into a success.
        return Err(ScriptError::usage(format!(
            "exit({code}) comes too late in an on_exit closure: the run's exit code is decided"
        ))
        .into());
    }
    if code == exit::OK {
        // It says that all went well; once the script is halted there is no time to see whether it did.
        rt().jobs.look_for_failures_to_the_end();
    }
    rt().control().halt(Halt::Exit(code));
    Err(terminated())
}

fn at_end(ctx: &NativeCallContext, closure: FnPtr) -> Fallible<()> {
    rt().checkpoint()?;
    let hook = Hook::new("on_exit", ctx, closure)?;
    crate::lock::lock(&rt().hooks).push(hook);
    rt().control().expect_hooks();
    Ok(())
}

fn attempted(ctx: &NativeCallContext, closure: &FnPtr) -> Fallible<Map> {
    rt().checkpoint()?;
    let (ok, value, error) = match closure.call_within_context::<Dynamic>(ctx, ()) {
        Ok(value) => (true, value, Dynamic::UNIT),
        Err(error) if passes_through(&error) => return Err(error),
        Err(error) => (false, Dynamic::UNIT, caught(&error, ctx.call_source().unwrap_or_default())),
    };
    Ok(Map::from([("ok".into(), ok.into()), ("value".into(), value), ("error".into(), error)]))
}

/// What is slept in, for messages.
const ASLEEP: &str = "`sleep`";

/// Waits, but not beyond the death of a job or the end of the run.
fn sleep_unless_ended(time: Duration, what: &str) -> Fallible<()> {
    rt().checkpoint()?;
    let mut wait = Wait::new(&rt().jobs);
    wait.timeout = Some(time);
    wait.interval = Some(time);
    let _pending =
        rt().pending(if what == ASLEEP { Doing::Sleeping } else { Doing::Waiting }, what, wait.timeout);
    match wait.run::<(), ()>(|| Attempt::NotYet(String::new())) {
        Ok(()) | Err(Failed::Timeout { .. }) => {
            rt().jobs.waited();
            Ok(())
        }
        Err(Failed::Died(job, death)) => Err(death::death(&job, &death, Some(what)).into()),
        Err(Failed::Ended(job, status)) => Err(death::job_died(&job, status, Some(what)).into()),
        Err(Failed::Halted | Failed::AllEnded | Failed::Never(())) => Err(terminated()),
    }
}

fn retry(ctx: &NativeCallContext, n: i64, delay: Duration, closure: FnPtr) -> Fallible<Dynamic> {
    rt().checkpoint()?;
    if n < 1 {
        return Err(ScriptError::usage(format!("retry: {n} attempts? at least 1")).into());
    }
    let mut attempt = 1;
    loop {
        let last = attempt == n;
        match closure.call_within_context::<Dynamic>(ctx, ()) {
            Err(error) if last && not_yet(&error).is_some() => return Err(after(error, n)),
            Err(error) if not_yet(&error).is_none() => return Err(error),
            Ok(value) if value.as_bool() != Ok(false) => return Ok(value),
            Ok(_) if last => {
                let attempts =
                    if n == 1 { "its attempt".to_owned() } else { format!("the last of {n} attempts") };
                let message = format!("retry: {attempts} returned false");
                return Err(ScriptError::new(Kind::Assertion, message).into());
            }
            Ok(_) | Err(_) => {}
        }
        sleep_unless_ended(delay, "the next attempt of `retry`")?;
        attempt += 1;
    }
}

/// The last error, with the number of attempts.
fn after(mut error: Box<EvalAltResult>, attempts: i64) -> Box<EvalAltResult> {
    change(&mut error, |error| {
        error.notes.push(format!("retry: all {attempts} attempts failed; this is the last one"));
    });
    error
}
