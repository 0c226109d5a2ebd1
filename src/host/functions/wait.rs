//! Waits: they wake early, fail early, check the owner, and say why.

use super::command::Outcome;
use super::http;
use super::job::{self, Job, listening_ports, view};
use crate::event::Tail;
use crate::host::run::launch::{self, Surroundings};
use crate::host::run::owner;
use crate::host::run::ready::prober::{Advice, Condition, Prober};
use crate::host::run::ready::readiness;
use crate::host::run::runtime::rt;
use crate::host::value;
use crate::host::value::describe::{function, options, words};
use crate::host::value::described::Entry;
use crate::host::value::error::{self, Fallible, Kind, ScriptError};
use crate::host::value::kinds::{Count, Host, Jobs, Port};
use crate::jobs::spec::Command;
use crate::jobs::{self, State, text};
use crate::probe::http::{Request, Url};
use crate::probe::target::{Target, Want};
use crate::probe::{Attempt, Failed, Seen, Wait};
use regex::Regex;
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, NativeCallContext};
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
    /// What every wait can be told besides its time.
    pub struct Telling {
        /// The time between two attempts.
        interval: Option<Duration>, default "what is fit for what is waited for", also delay poll retry_delay every;
        /// What the error says first.
        message: Option<String>, also msg;
    }
}

options! {
    /// What every wait can be told.
    pub struct Waiting or timeout: Telling as telling {
        /// How long it waits; then it throws `timeout`.
        timeout: Duration = "30s", also max_time deadline retries attempts tries max_retries start_period;
    }
}

options! {
    /// What a wait without a limit of its own can be told.
    pub struct WaitExit or timeout: Telling as telling {
        /// How long it waits; then it throws `timeout`.
        timeout: Option<Duration>, default "no limit", also max_time deadline retries attempts tries max_retries;
    }
}

options! {
    /// What a wait for jobs that say themselves when they are ready can be told.
    pub struct WaitReady or timeout: Telling as telling {
        /// How long it waits; then it throws `timeout`.
        timeout: Option<Duration>, default "the option `timeout` of each job, or 30s",
            also max_time deadline retries attempts tries max_retries start_period;
    }
}

options! {
    /// What an answer must be like, and how it is asked for.
    pub struct Answer: http::Connection as connection {
        /// The statuses that are ok: 200, `[200, 204]`, `"2xx"`.
        status: Option<Want>, default "any 2xx or 3xx", also status_code code;
        /// Must be in the body.
        contains: Option<String>, also body;
        /// Must match in the body.
        matches: Option<Regex>;
        /// A subset of the answer, or of one of the documents of a stream.
        json: Option<Dynamic>, also data;
        /// The method of the request.
        method: Option<String>, default "`\"GET\"`";
        /// The path of a Unix socket to connect to, whatever host the URL names.
        unix_socket: Option<String>;
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

/// How a wait is to be done, from the options of its function.
#[derive(Clone, Debug, Default)]
pub struct Common {
    pub timeout: Option<Duration>,
    pub interval: Option<Duration>,
    pub message: Option<String>,
    /// How long it must hold without a break.
    pub stable: Option<Duration>,
}

impl Common {
    pub fn of(telling: Telling, timeout: Option<Duration>) -> Self {
        Self { timeout, interval: telling.interval, message: telling.message, stable: None }
    }
}

impl std::convert::From<Waiting> for Common {
    fn from(waiting: Waiting) -> Self {
        Self::of(waiting.telling, Some(waiting.timeout))
    }
}

impl std::convert::From<WaitExit> for Common {
    fn from(opts: WaitExit) -> Self {
        Self::of(opts.telling, opts.timeout)
    }
}

/// What a URL must answer.
pub fn target(what: &str, url: Url, answer: Answer) -> Fallible<Target> {
    let mut request = Request::get(url);
    http::common(what, &answer.connection, answer.unix_socket.as_deref(), &mut request)?;
    request.redirects = 0;
    if let Some(method) = answer.method {
        request.method = method.to_ascii_uppercase().parse().map_err(|_| {
            ScriptError::usage(format!("{what}: option `method`: {method:?} is no HTTP method"))
        })?;
    }
    let json = match &answer.json {
        Some(value) => Some(
            rhai::serde::from_dynamic(value)
                .map_err(|e| ScriptError::usage(format!("{what}: option `json` cannot be JSON: {e}")))?,
        ),
        None => None,
    };
    let want = answer.status.unwrap_or_default();
    Ok(Target { request, want, contains: answer.contains, matches: answer.matches, json })
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
    let condition = Condition::Http { target, limit: opts.attempt_timeout };
    one(ctx, condition, Watch { external: opts.external, ..watch }).map(drop)
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
    one(ctx, Condition::Port { host, port }, Watch { external: opts.external, ..watch }).map(drop)
}

fn wait_port_free(ctx: &NativeCallContext, Port(port): Port, opts: Waiting) -> Fallible<()> {
    one(ctx, Condition::PortFree(port), Watch::new("wait_port_free", opts)).map(drop)
}

fn wait_listening(ctx: &NativeCallContext, job: Job, opts: Waiting) -> Fallible<i64> {
    let port = one(ctx, Condition::Listening, Watch::new("wait_listening", opts).of(Some(&job)))?;
    Ok(port.as_int().unwrap_or_default())
}

fn wait_log(ctx: &NativeCallContext, job: Job, pattern: Regex, opts: WaitLog) -> Fallible<Dynamic> {
    let watch = Watch::new("wait_log", opts.waiting).of(Some(&job));
    let condition = Condition::Log { pattern, times: opts.times.count() };
    one(ctx, condition, Watch { from: opts.from, ..watch })
}

fn wait_file(ctx: &NativeCallContext, path: String, opts: Waiting) -> Fallible<()> {
    one(ctx, Condition::File(rt().path(&path)), Watch::new("wait_file", opts)).map(drop)
}

fn wait_socket(ctx: &NativeCallContext, path: String, opts: Waiting) -> Fallible<()> {
    one(ctx, Condition::Socket(rt().path(&path)), Watch::new("wait_socket", opts)).map(drop)
}

fn wait_cmd(ctx: &NativeCallContext, command: Command, opts: WaitCmd) -> Fallible<()> {
    let limit = opts.attempt_timeout;
    let launch = launch::Launch::placed("wait_cmd", command.clone(), opts.surroundings)?;
    let prober = Prober::command(command, launch, limit)?;
    drive(ctx, prober, &Watch::new("wait_cmd", opts.waiting).stable(opts.stable)).map(drop)
}

fn wait_until(ctx: &NativeCallContext, closure: FnPtr, opts: Waiting) -> Fallible<Dynamic> {
    one(ctx, Condition::Closure(closure), Watch::new("wait_until", opts))
}

/// Waits for one condition.
fn one(ctx: &NativeCallContext, condition: Condition, watch: Watch) -> Fallible<Dynamic> {
    rt().checkpoint()?;
    let from = match (watch.from, watch.job) {
        (From::Start, Some(job)) => readiness::of(job).log_from(),
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
    wait.told = prober.is_told() && common.stable.is_none();
    let what = condition.describe();
    let about: Vec<Job> = job.cloned().into_iter().collect();
    let mut held = None;
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
    readiness::wait(
        ctx,
        "wait_ready",
        &job_list("wait_ready", &jobs)?,
        &Common::of(opts.telling, opts.timeout),
    )
}

fn wait_exit(_: &NativeCallContext, Jobs(jobs): Jobs, opts: WaitExit) -> Fallible<Dynamic> {
    let opts: Common = opts.into();
    if let Some(one) = jobs.clone().try_cast::<Job>() {
        return job::wait_for_end("wait_exit", &one, &opts, Duration::ZERO).map(Dynamic::from);
    }
    let jobs = job_list("wait_exit", &jobs)?;
    // All are expected to end from the start, not one after the other.
    for job in &jobs {
        rt().jobs.expect(job.0.id, jobs::spec::Expect::AnyEnd);
    }
    let since = crate::jobs::now();
    let one =
        |job: &Job| job::wait_for_end("wait_exit", job, &opts, crate::jobs::now().saturating_sub(since));
    let results: Fallible<Vec<Outcome>> = jobs.iter().map(one).collect();
    Ok(results?.into_iter().map(Dynamic::from).collect::<Array>().into())
}

fn wait_all(_: &NativeCallContext, _: Dynamic) -> Fallible<()> {
    Err(ScriptError::usage("there is no `wait_all`: is it about being ready or about having ended?")
        .hint("wait_ready(jobs)   or   wait_exit(jobs)")
        .into())
}

/// A job, an array of jobs, or the values of a map of jobs.
fn job_list(function: &str, value: &Dynamic) -> Fallible<Vec<Job>> {
    if let Some(job) = value.clone().try_cast::<Job>() {
        return Ok(vec![job]);
    }
    let values: Vec<Dynamic> = if let Some(list) = value.read_lock::<Array>() {
        list.iter().cloned().collect()
    } else if let Some(map) = value.read_lock::<rhai::Map>() {
        map.values().cloned().collect()
    } else {
        return Err(ScriptError::usage(format!(
            "{function}: {} is no job or array of jobs",
            value::show(value)
        ))
        .into());
    };
    let job = |value: Dynamic| {
        let shown = value::show(&value);
        value
            .try_cast::<Job>()
            .ok_or_else(|| ScriptError::usage(format!("{function}: {shown} is no job")).into())
    };
    values.into_iter().map(job).collect()
}

/// A wait that ended without success → what the script catches.
pub fn failed<E>(
    function: &str,
    what: &str,
    failed: Failed<E>,
    message: Option<&str>,
    about: &[Job],
    never: impl FnOnce(E) -> Box<EvalAltResult>,
) -> Box<EvalAltResult> {
    let error = match failed {
        Failed::Never(error) => never(error),
        Failed::Halted => error::terminated(),
        Failed::Died(job, death) => error::death(&job, &death, Some(what)).into(),
        Failed::Ended(job, status) => error::job_died(&job, status, Some(what)).into(),
        Failed::AllEnded => {
            let mut error = ScriptError::new(
                Kind::JobDied,
                format!("{function}: {what} cannot come any more: every job of this run has ended"),
            );
            for job in rt().jobs.list().iter().rev().take(2) {
                error = error.note(state_line(&Job(Arc::clone(job)))).log_of(job);
            }
            error.note("a server outside of this run is meant? `external: true`").into()
        }
        Failed::Timeout { waited, seen } => {
            let facts =
                TimeoutFacts { what, waited, seen: &seen, about, condition: None, advice: None, message };
            timeout(function, &facts).into()
        }
    };
    error::while_waiting(error, message)
}

/// What a timeout is explained from.
pub struct TimeoutFacts<'a> {
    pub what: &'a str,
    pub waited: Duration,
    pub seen: &'a Seen,
    /// The jobs that were waited for; all that run when there are none.
    pub about: &'a [Job],
    pub condition: Option<&'a Condition>,
    pub advice: Option<Advice>,
    pub message: Option<&'a str>,
}

/// The error of a wait whose time is up: what was seen, what the jobs do, the likely cause.
pub fn timeout(function: &str, facts: &TimeoutFacts) -> ScriptError {
    let said = facts.message.map_or_else(String::new, |message| format!("{message}: "));
    let waited = value::show_duration(facts.waited);
    let port = facts.condition.and_then(Condition::local_port);
    let mut error = ScriptError::new(
        Kind::Timeout,
        format!("{said}{function}: timed out after {waited} waiting for {}", facts.what),
    )
    .fact("waited_ms", i64::try_from(facts.waited.as_millis()).unwrap_or(i64::MAX));
    if !facts.seen.is_empty() {
        error = error.note(format!("attempts: {}", facts.seen));
    }
    if let (Some(Condition::Http { target, .. }), Some(advice)) = (facts.condition, facts.advice) {
        // The number of a free port is another one the next time.
        let own = facts.about.len() == 1 && facts.about[0].0.spec.port == Some(target.request.url.port());
        error = error.hint(advice_on_url(function, &target.request.url, own, advice));
    }
    let everyone: Vec<Job>;
    let about = if facts.about.is_empty() {
        everyone = rt()
            .jobs
            .list()
            .into_iter()
            .map(Job)
            .filter(|job| view(job).is_some_and(|v| !matches!(v.state, State::Ended(_))))
            .collect();
        &everyone
    } else {
        facts.about
    };
    for job in about.iter().take(3) {
        error = error.note(state_line(job));
        let unused = owner::port_unused(&job.0);
        if let Some((note, hint)) = unused
            && port == job.0.spec.port
            && port.is_some_and(|port| !listening_ports(job).contains(&port))
        {
            error = error.note(note);
            error.hint = error.hint.or(hint);
        }
        if let (Some(wanted), Some(&other)) = (port, listening_ports(job).first())
            && wanted != other
            && error.hint.is_none()
        {
            let edit = match function {
                "wait_port" => format!("wait_port({other})"),
                "wait_http" => format!("port {other}"),
                _ => format!("ready: {other}"),
            };
            error =
                error.hint(format!("{edit}   (`{}` listens on {other}, not on {wanted})", job.0.spec.name));
        }
        if job.0.log.is_some() && job.0.log_length() == 0 {
            error =
                error.note(format!("the log of `{}` is empty: it may buffer its output", job.0.spec.name));
        }
    }
    if let [job] = about {
        error = error.fact("job", job.0.spec.name.clone());
    }
    for job in about.iter().take(2) {
        error = error.log_of(&job.0);
    }
    error
}

/// How to ask a server that does not answer as it was asked. `own`: on the port that its job was given.
fn advice_on_url(function: &str, url: &Url, own: bool, advice: Advice) -> String {
    let tls = url.is_tls() != matches!(advice, Advice::Plain | Advice::Tls);
    let (scheme, rest) = (if tls { "https:" } else { "http:" }, url.to_string());
    let rest = rest.split_once(':').map_or("", |(_, rest)| rest).to_owned();
    let waits = function == "wait_http";
    let shown = match own && !waits {
        true if tls => format!("https:{}", url.path()),
        true => url.path().to_owned(),
        false => format!("{scheme}{rest}"),
    };
    let (call, option) = match waits {
        true => (format!("wait_http({shown:?})"), format!("wait_http({shown:?}, #{{insecure: true}})")),
        false => (format!("ready: {shown:?}"), format!("ready: #{{http: {shown:?}, insecure: true}}")),
    };
    match advice {
        Advice::Insecure => format!("{option}   (accepts every certificate)"),
        Advice::Plain => call,
        Advice::Tls => format!("{option}   (it speaks TLS)"),
        Advice::NoHttp1 => {
            let place =
                if own { format!("http://localhost:$PORT{}", url.path()) } else { format!("{scheme}{rest}") };
            let ask = format!("\"curl -fsS --http2-prior-knowledge {place}\"");
            if waits { format!("wait_cmd({ask})") } else { format!("ready: #{{cmd: {ask}}}") }
        }
    }
}

/// What a job does now, in one line.
pub fn state_line(job: &Job) -> String {
    let name = &job.0.spec.name;
    let Some(view) = view(job) else { return format!("`{name}` is gone") };
    match view.state {
        // A restarted job has a new limit.
        State::Ended(status) => {
            let job = rt().jobs.get(job.0.id).unwrap_or_else(|| Arc::clone(&job.0));
            format!("`{name}` has ended ({})", job.describe(status))
        }
        State::Running | State::Daemonised => {
            let ports: Vec<String> = listening_ports(job).iter().map(u16::to_string).collect();
            let listens = if ports.is_empty() {
                "listens on no port".to_owned()
            } else {
                format!("listens on {}", ports.join(", "))
            };
            format!("`{name}` runs (pid {}) and {listens}", view.pid)
        }
    }
}
