//! Waits: they wake early, fail early, check the owner, and say why.

use crate::event::Tail;
use crate::host::run::options::{Common, Surroundings, Telling, WaitExit, Waiting};
use crate::host::run::ready::condition::Condition;
use crate::host::run::ready::prober::Prober;
use crate::host::run::ready::{readiness, starting};
use crate::host::run::request::{Answer, target};
use crate::host::run::runtime::rt;
use crate::host::run::waiting::{self, TimeoutFacts, failed, timeout};
use crate::host::run::{launch, owner};
use crate::host::value::describe::{function, options, words};
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::kinds::{Count, Host, Jobs, Port};
use crate::host::value::outcome::Outcome;
use crate::jobs::spec::Command;
use crate::jobs::{self, text};
use crate::pending::Doing;
use crate::probe::http::Url;
use crate::probe::{Attempt, Failed, Wait};
use regex::Regex;
use rhai::{Array, Dynamic, FnPtr, NativeCallContext};
use std::sync::Arc;
use std::time::Duration;

pub const FUNCTIONS: &[Entry] = &[
    WAIT_HTTP,
    WAIT_PORT,
    WAIT_PORT_FREE,
    WAIT_LISTENING,
    WAIT_LOG,
    WAIT_FILE,
    WAIT_SOCKET,
    WAIT_CMD,
    WAIT_UNTIL,
    WAIT_READY,
    WAIT_EXIT,
    WAIT_ALL,
];

options! {
    /// What a wait for jobs that say themselves when they are ready can be told.
    pub struct WaitReady or timeout: Telling as telling {
        /// How long it waits; then it throws `timeout`.
        timeout: Option<Duration>, default "the option `timeout` of each job, or 30s",
            also max_time deadline retries attempts tries max_retries start_period;
    }
}

options! {
    /// What a wait for a URL can be told.
    pub struct WaitHttp or timeout: Waiting as waiting, Answer as answer {
        /// It must hold that long without a break.
        stable: Option<Duration>;
        /// How long one request may take.
        attempt_timeout: Option<Duration>, default "as long as the wait";
        /// A server outside of this run is meant.
        external: bool = false;
    }
}

options! {
    /// What a wait for a port can be told.
    pub struct WaitPort or timeout: Waiting as waiting {
        /// It must accept that long without a break.
        stable: Option<Duration>;
        /// A server outside of this run is meant.
        external: bool = false;
    }
}

words! {
    /// Which lines of a log count.
    pub enum From { Start = "start", Now = "now" }
}

options! {
    /// What a wait for lines of a log can be told.
    pub struct WaitLog or timeout: Waiting as waiting {
        /// So many lines must match; returned are the captures of the last of them.
        times: Count = 1;
        /// Which lines count: all since the job's start, or those that come from now on.
        from: From = "start";
    }
}

options! {
    /// What a wait for a command can be told.
    pub struct WaitCmd or timeout: Waiting as waiting, Surroundings as surroundings {
        /// It must succeed that long without a break.
        stable: Option<Duration>;
        /// One run that takes longer is ended, and counts as failed.
        attempt_timeout: Option<Duration>, default "as long as the wait";
    }
}

function! {
    /// Waits until a URL answers with any 2xx or 3xx, or as the options want it; `localhost` means 127.0.0.1
    /// and ::1. `port_taken` is thrown when a process outside of this run answers.
    ///
    /// ```rhai
    /// let api = mock(#{"/health": "ok"});
    /// wait_http(`${api.url}/health`);
    /// ```
    ///
    /// What is wanted of the body holds as soon as what has come satisfies it.
    ///
    /// ```rhai
    /// let api = mock(#{"/health": #{json: #{ok: true, up: 1}}});
    /// wait_http(`${api.url}/health`, #{timeout: "10s", status: 200, json: #{ok: true}});
    /// ```
    WAIT_HTTP = "wait_http" -> (), throws timeout job_died port_taken {
        (url: Url; WaitHttp) => wait_http;
        /// For a server that this job is: its end, with any code, ends the wait.
        ///
        /// ```rhai
        /// let api = mock(#{"/health": "ok"});
        /// api.wait_http(`${api.url}/health`, "10s");
        /// ```
        (job: Job, url: Url; WaitHttp) => job_wait_http;
    }
}

function! {
    /// Waits until a TCP port of this machine accepts connections, or one of another host.
    /// `port_taken` is thrown when a process outside of this run answers.
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// wait_port(api.port);
    /// ```
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// wait_port("127.0.0.1", api.port, #{timeout: "10s"});
    /// ```
    WAIT_PORT = "wait_port" -> (), throws timeout job_died port_taken {
        (port: Port; WaitPort) => wait_port;
        (host: Host, port: Port; WaitPort) => wait_port_at;
        /// For a port that this job listens on: its end, with any code, ends the wait.
        ///
        /// ```rhai
        /// let api = mock(#{"/": "ok"});
        /// api.wait_port(api.port, "10s");
        /// ```
        (job: Job, port: Port; WaitPort) => job_wait_port;
    }
}

function! {
    /// Waits until nobody listens on a TCP port of this machine, on whatever address: the server that had it has let
    /// it go. The error `timeout` names who has it.
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// let port = api.port;
    /// api.signal("TERM");
    /// wait_port_free(port);
    /// ```
    WAIT_PORT_FREE = "wait_port_free" -> (), throws timeout job_died {
        (port: Port; Waiting) => wait_port_free;
    }
}

function! {
    /// Waits until the job listens on any TCP port and returns the port: it can pick its own, so that no two
    /// ever want the same.
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// let port = api.wait_listening();
    /// ```
    WAIT_LISTENING = "wait_listening" -> i64, throws timeout job_died {
        (job: Job; Waiting) => wait_listening;
    }
}

function! {
    /// Waits until the job's log has a line that matches, from the job's start on, and returns the captures:
    /// the whole match first, then the groups. A carriage return starts a line over: `^` is also what follows it. `job_died` is thrown also when
    /// it ends with 0.
    ///
    /// ```rhai
    /// let job = spawn("echo listening on 8080; sleep 60");
    /// let found = job.wait_log("listening on (\\d+)");
    /// assert_eq(found[1], "8080");
    /// ```
    ///
    /// ```rhai
    /// let job = spawn("echo up; sleep 60");
    /// job.wait_log("up", #{timeout: "10s", from: "start"});
    /// ```
    WAIT_LOG = "wait_log" -> Dynamic, throws timeout job_died {
        (job: Job, regex: Regex; WaitLog) => wait_log;
    }
}

function! {
    /// Waits until a file exists.
    ///
    /// ```rhai
    /// let path = temp_dir() + "/done";
    /// spawn(["sh", "-c", "touch \"$0\"; sleep 60", path]);
    /// wait_file(path);
    /// ```
    WAIT_FILE = "wait_file" -> (), throws timeout job_died {
        (path: String; Waiting) => wait_file;
    }
}

function! {
    /// Waits until a Unix socket accepts connections.
    ///
    /// ```rhai
    /// fn connect() { wait_socket("app.sock"); }
    /// ```
    WAIT_SOCKET = "wait_socket" -> (), throws timeout job_died {
        (path: String; Waiting) => wait_socket;
    }
}

function! {
    /// Waits until a command succeeds: it is run again and again, silently, until it ends with 0.
    ///
    /// ```rhai
    /// wait_cmd("test -e /etc/passwd");
    /// ```
    ///
    /// ```rhai
    /// wait_cmd(["test", "-e", "passwd"], #{cwd: "/etc", timeout: "5s"});
    /// ```
    WAIT_CMD = "wait_cmd" -> (), throws timeout job_died {
        (cmd: Command; WaitCmd) => wait_cmd;
    }
}

function! {
    /// Waits until a closure gives true, or a value other than false and `()`, and returns that. Errors of
    /// the kinds `command_failed`, `http`, `io` and `assertion`, and what the script itself throws, mean *not yet*;
    /// others end the wait. For a closure of assertions there is `eventually`.
    ///
    /// ```rhai
    /// let n = 0;
    /// wait_until(|| { n += 1; n >= 3 });
    /// ```
    ///
    /// ```rhai
    /// wait_until(|| exists("/etc/passwd"), #{timeout: "5s", message: "no users"});
    /// ```
    WAIT_UNTIL = "wait_until" -> Dynamic, throws timeout job_died {
        (closure: FnPtr; Waiting) => wait_until;
    }
}

function! {
    /// Waits until a job, or every job of an array, is ready as its option `ready` says.
    ///
    /// ```rhai
    /// let job = spawn("echo up; sleep 60", #{ready: #{log: "up"}});
    /// wait_ready(job);
    /// ```
    WAIT_READY = "wait_ready" -> (), throws timeout job_died {
        (jobs: Jobs; WaitReady) => wait_ready;
    }
}

function! {
    /// Waits until a job has ended and returns its `Result`, or until every job of an array has, and returns
    /// an array of them. No time limit unless one is given; never throws for an exit code. Their end is
    /// expected from then on.
    ///
    /// ```rhai
    /// let result = wait_exit(spawn("exit 3"));
    /// assert_eq(result.code, 3);
    /// ```
    ///
    /// ```rhai
    /// wait_exit([spawn("true"), spawn("false")], "10s");
    /// ```
    WAIT_EXIT = "wait_exit" -> Dynamic, throws timeout {
        (jobs: Jobs; WaitExit) => wait_exit;
    }
}

function! {
    /// Always an error: it could mean `wait_ready` or `wait_exit`.
    WAIT_ALL = "wait_all" -> () {
        (jobs: Dynamic) => wait_all;
    }
}

/// What is waited for, and whose it is.
struct Watch<'a> {
    function: &'static str,
    job: Option<&'a Job>,
    external: bool,
    from: From,
    common: Common,
}

impl<'a> Watch<'a> {
    fn new(function: &'static str, common: impl Into<Common>) -> Self {
        Self { function, job: None, external: false, from: From::Start, common: common.into() }
    }

    fn of(self, job: Option<&'a Job>) -> Self {
        Self { job, ..self }
    }

    fn stable(self, stable: Option<Duration>) -> Self {
        Self { common: Common { stable, ..self.common }, ..self }
    }
}

fn wait_http(ctx: &NativeCallContext, url: Url, opts: WaitHttp) -> Fallible<()> {
    http_of(ctx, None, url, opts)
}

fn job_wait_http(ctx: &NativeCallContext, job: Job, url: Url, opts: WaitHttp) -> Fallible<()> {
    http_of(ctx, Some(&job), url, opts)
}

fn http_of(ctx: &NativeCallContext, job: Option<&Job>, url: Url, opts: WaitHttp) -> Fallible<()> {
    let target = Arc::new(target("wait_http", url, opts.answer)?);
    let watch = Watch::new("wait_http", opts.waiting).of(job).stable(opts.stable);
    let condition = Condition::Http { target, limit: opts.attempt_timeout, roams: false };
    wait_for_condition(ctx, condition, Watch { external: opts.external, ..watch }).map(drop)
}

fn wait_port(ctx: &NativeCallContext, port: Port, opts: WaitPort) -> Fallible<()> {
    port_of(ctx, None, "localhost".to_owned(), port, opts)
}

fn wait_port_at(ctx: &NativeCallContext, host: Host, port: Port, opts: WaitPort) -> Fallible<()> {
    port_of(ctx, None, host.0, port, opts)
}

fn job_wait_port(ctx: &NativeCallContext, job: Job, port: Port, opts: WaitPort) -> Fallible<()> {
    port_of(ctx, Some(&job), "localhost".to_owned(), port, opts)
}

fn port_of(
    ctx: &NativeCallContext,
    job: Option<&Job>,
    host: String,
    Port(port): Port,
    opts: WaitPort,
) -> Fallible<()> {
    let watch = Watch::new("wait_port", opts.waiting).of(job).stable(opts.stable);
    wait_for_condition(ctx, Condition::Port { host, port }, Watch { external: opts.external, ..watch })
        .map(drop)
}

fn wait_port_free(ctx: &NativeCallContext, Port(port): Port, opts: Waiting) -> Fallible<()> {
    wait_for_condition(ctx, Condition::PortFree(port), Watch::new("wait_port_free", opts)).map(drop)
}

fn wait_listening(ctx: &NativeCallContext, job: Job, opts: Waiting) -> Fallible<i64> {
    let port =
        wait_for_condition(ctx, Condition::Listening, Watch::new("wait_listening", opts).of(Some(&job)))?;
    Ok(port.as_int().unwrap_or_default())
}

fn wait_log(ctx: &NativeCallContext, job: Job, pattern: Regex, opts: WaitLog) -> Fallible<Dynamic> {
    let watch = Watch::new("wait_log", opts.waiting).of(Some(&job));
    let condition = Condition::Log { pattern, times: opts.times.count() };
    wait_for_condition(ctx, condition, Watch { from: opts.from, ..watch })
}

fn wait_file(ctx: &NativeCallContext, path: String, opts: Waiting) -> Fallible<()> {
    wait_for_condition(ctx, Condition::File(rt().path(&path)), Watch::new("wait_file", opts)).map(drop)
}

fn wait_socket(ctx: &NativeCallContext, path: String, opts: Waiting) -> Fallible<()> {
    wait_for_condition(ctx, Condition::Socket(rt().path(&path)), Watch::new("wait_socket", opts)).map(drop)
}

fn wait_cmd(ctx: &NativeCallContext, command: Command, opts: WaitCmd) -> Fallible<()> {
    let limit = opts.attempt_timeout;
    let launch = launch::Launch::placed("wait_cmd", command.clone(), opts.surroundings)?;
    let prober = Prober::command(command, launch, limit)?;
    drive(ctx, prober, &Watch::new("wait_cmd", opts.waiting).stable(opts.stable)).map(drop)
}

fn wait_until(ctx: &NativeCallContext, closure: FnPtr, opts: Waiting) -> Fallible<Dynamic> {
    wait_for_condition(ctx, Condition::Closure(closure), Watch::new("wait_until", opts))
}

/// Waits for one condition.
fn wait_for_condition(ctx: &NativeCallContext, condition: Condition, watch: Watch) -> Fallible<Dynamic> {
    rt().checkpoint()?;
    let from = match (watch.from, watch.job) {
        (From::Start, Some(job)) => readiness::of_job(job).log_from(),
        (From::Now, Some(job)) => job.0.log_size(),
        (_, None) => 0,
    };
    if condition.local_port().is_some() {
        owner::need_loopback(watch.function)?;
    }
    let prober = Prober::new(condition, watch.job.cloned(), watch.external, from, watch.common.interval)?;
    drive(ctx, prober, &watch)
}

fn drive(ctx: &NativeCallContext, mut prober: Prober<'static>, watch: &Watch) -> Fallible<Dynamic> {
    let Watch { function, job, common, .. } = watch;
    let rt = rt();
    rt.checkpoint()?;
    let condition = prober.condition().clone();
    let mut wait = Wait::new(&rt.jobs);
    if let Some(timeout) = common.timeout {
        wait.timeout = Some(timeout);
    }
    wait.interval = common.interval;
    wait.about = job.map(|job| job.0.id);
    wait.needs_jobs = condition.needs_jobs() && !prober.external();
    wait.eager = condition.is_eventful();
    wait.signalled = prober.is_signalled() && common.stable.is_none();
    wait.by_door = condition.local_port().is_some();
    let what = condition.describe();
    let pending = rt.pending(Doing::Waiting, what.clone(), wait.timeout);
    wait.pending = Some(&pending);
    let about: Vec<Job> = job.cloned().into_iter().collect();
    let mut held = None;
    let since = crate::jobs::now();
    let found = wait.run_looking(|look| match (prober.attempt(ctx, look), common.stable) {
        (Attempt::Ready(value), Some(stable)) => {
            let now = crate::jobs::now();
            let since = *held.get_or_insert(now);
            if now >= since + stable {
                return Attempt::Ready(value);
            }
            Attempt::NotYet("held, but not for long enough".to_owned())
        }
        (missed @ Attempt::NotYet(_), _) => {
            held = None;
            missed
        }
        (found, _) => found,
    });
    waiting::record(&what, since, found.is_ok());
    found.map_err(|failed| match failed {
        Failed::Timeout { waited, mut seen } => {
            prober.under_way().into_iter().for_each(|what| seen.add(what));
            let facts = TimeoutFacts {
                what: &what,
                waited,
                seen: &seen,
                about: &about,
                condition: Some(&condition),
                advice: prober.advice(),
                message: common.message.as_deref(),
            };
            let mut error = timeout(function, &facts);
            if let Condition::PortFree(port) = &condition {
                error = error
                    .fact("port", i64::from(*port))
                    .note(format!("port {port} is taken by {}", owner::who(*port)))
                    .hint(format!("kill_port({port})   (ends who has it)"));
            }
            if let Some(output) = prober.last_output() {
                let lines = text::last_lines_folded(output.as_bytes(), 10);
                error = error.tail(Tail { title: format!("last output of {what}"), lines, path: None });
            }
            error.into()
        }
        other => self::failed(function, &what, other, common.message.as_deref(), &about, |error| error),
    })
}

fn wait_ready(ctx: &NativeCallContext, Jobs(jobs): Jobs, opts: WaitReady) -> Fallible<()> {
    starting::wait(
        ctx,
        "wait_ready",
        &waiting::job_list("wait_ready", &jobs)?,
        &Common::of(opts.telling, opts.timeout),
    )
}

fn wait_exit(_: &NativeCallContext, Jobs(jobs): Jobs, opts: WaitExit) -> Fallible<Dynamic> {
    let opts: Common = opts.into();
    if let Some(one) = jobs.clone().try_cast::<Job>() {
        return waiting::wait_for_end("wait_exit", &one, &opts, Duration::ZERO).map(Dynamic::from);
    }
    let jobs = waiting::job_list("wait_exit", &jobs)?;
    // All are expected to end from the start, not one after the other.
    for job in &jobs {
        rt().jobs.expect(job.0.id, jobs::spec::Expect::AnyEnd);
    }
    let since = crate::jobs::now();
    let one =
        |job: &Job| waiting::wait_for_end("wait_exit", job, &opts, crate::jobs::now().saturating_sub(since));
    let results: Fallible<Vec<Outcome>> = jobs.iter().map(one).collect();
    Ok(results?.into_iter().map(Dynamic::from).collect::<Array>().into())
}

fn wait_all(_: &NativeCallContext, _: Dynamic) -> Fallible<()> {
    Err(ScriptError::usage("there is no `wait_all`: is it about being ready or about having ended?")
        .hint("wait_ready(jobs)   or   wait_exit(jobs)")
        .into())
}
