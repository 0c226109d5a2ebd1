//! Waits: they wake early, fail early, check the owner, and say why.

use super::command::Outcome;
use super::described::FromOpts;
use super::error::{self, Fallible, Kind, ScriptError};
use super::http;
use super::job::{self, Job, listening_ports, view};
pub use super::kinds::{regex, statuses};
use super::launch;
use super::owner;
use super::prober::{Advice, Condition, Prober};
use super::ready;
use super::runtime::rt;
use super::value::{self, Opts};
use crate::event::Tail;
use crate::jobs::{self, State, text};
use crate::probe::http::{Request, Url};
use crate::probe::target::{Target, Want};
use crate::probe::{Attempt, Failed, Seen, Wait};
use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr};
use std::sync::Arc;
use std::time::Duration;

/// What every wait can be told.
pub const WAIT_OPTIONS: &[&str] = &["timeout", "interval", "message"];
pub const WAIT_PORT_OPTIONS: &[&str] = &["timeout", "interval", "message", "stable", "external"];
pub const WAIT_LOG_OPTIONS: &[&str] = &["timeout", "interval", "message", "times", "from"];
pub const WAIT_CMD_OPTIONS: &[&str] =
    &["timeout", "interval", "message", "stable", "attempt_timeout", "cwd", "env", "clear_env", "user"];
pub const WAIT_HTTP_OPTIONS: &[&str] = &[
    "timeout",
    "interval",
    "message",
    "stable",
    "attempt_timeout",
    "status",
    "contains",
    "matches",
    "json",
    "headers",
    "method",
    "insecure",
    "auth",
    "unix_socket",
    "external",
];

pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// Waits until a URL answers with any 2xx or 3xx (GET; `localhost` means 127.0.0.1 and ::1). Throws
    /// `timeout` (30 s), `job_died`, and `port_taken` when a process outside of this run answers.
    ///
    /// ```rhai
    /// let api = mock(#{"/health": "ok"});
    /// wait_http(`${api.url}/health`);
    /// ```
    #[rhai_fn(name = "wait_http", return_raw)]
    pub fn wait_http(ctx: NativeCallContext, url: &str) -> Fallible<()> {
        super::wait_http(&ctx, url, &Dynamic::UNIT, None)
    }

    /// As `wait_http(url)`, with a timeout or options: `timeout`, `interval`, `message`, `stable` (it must hold that long
    /// without a break), `attempt_timeout` (of one request; it may take as long as the wait unless that is given), `status`
    /// (200, `[200, 204]`, `"2xx"`), `contains`, `matches` (regex), `json` (a subset of the answer, or of one of the
    /// documents of a stream; these three hold as soon as what has come satisfies them), `headers`, `method`, `insecure`, `auth` and `unix_socket` as `http_get` has them, `external` (a server outside of this run
    /// is meant).
    ///
    /// ```rhai
    /// let api = mock(#{"/health": #{json: #{ok: true, up: 1}}});
    /// wait_http(`${api.url}/health`, #{timeout: "10s", status: 200, json: #{ok: true}});
    /// ```
    #[rhai_fn(name = "wait_http", return_raw)]
    pub fn wait_http_with(ctx: NativeCallContext, url: &str, opts: Dynamic) -> Fallible<()> {
        super::wait_http(&ctx, url, &opts, None)
    }

    /// As `wait_http(url)`, for a server that this job is: its end, with any code, ends the wait.
    ///
    /// ```rhai
    /// let api = mock(#{"/health": "ok"});
    /// api.wait_http(`${api.url}/health`);
    /// ```
    #[rhai_fn(name = "wait_http", return_raw)]
    pub fn job_wait_http(ctx: NativeCallContext, job: Job, url: &str) -> Fallible<()> {
        super::wait_http(&ctx, url, &Dynamic::UNIT, Some(&job))
    }

    /// As `job.wait_http(url)`, with the options of `wait_http`.
    ///
    /// ```rhai
    /// let api = mock(#{"/health": "ok"});
    /// api.wait_http(`${api.url}/health`, "10s");
    /// ```
    #[rhai_fn(name = "wait_http", return_raw)]
    pub fn job_wait_http_with(ctx: NativeCallContext, job: Job, url: &str, opts: Dynamic) -> Fallible<()> {
        super::wait_http(&ctx, url, &opts, Some(&job))
    }

    /// Waits until a TCP port of this machine accepts connections. Throws `timeout` (30 s), `job_died`, and
    /// `port_taken` when a process outside of this run answers.
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// wait_port(api.port);
    /// ```
    #[rhai_fn(name = "wait_port", return_raw)]
    pub fn wait_port(ctx: NativeCallContext, port: Dynamic) -> Fallible<()> {
        super::wait_port(&ctx, "localhost", &port, &Dynamic::UNIT, None)
    }

    /// As `wait_port(port)`, with a host before the port or options after it: `timeout`, `interval`,
    /// `message`, `stable` (it must accept that long without a break), `external`.
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// wait_port(api.port, "10s");
    /// wait_port("127.0.0.1", api.port);
    /// ```
    #[rhai_fn(name = "wait_port", return_raw)]
    pub fn wait_port_with(
        ctx: NativeCallContext,
        port_or_host: Dynamic,
        opts_or_port: Dynamic,
    ) -> Fallible<()> {
        if let Some(job) = port_or_host.clone().try_cast::<Job>() {
            return super::wait_port(&ctx, "localhost", &opts_or_port, &Dynamic::UNIT, Some(&job));
        }
        match port_or_host.clone().into_string() {
            Ok(host) if host.parse::<i64>().is_err() => {
                super::wait_port(&ctx, &host, &opts_or_port, &Dynamic::UNIT, None)
            }
            _ => super::wait_port(&ctx, "localhost", &port_or_host, &opts_or_port, None),
        }
    }

    /// As `wait_port(host, port)`, with the options of `wait_port`; or for a port that a job listens on:
    /// `job.wait_port(port, opts)`.
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// wait_port("127.0.0.1", api.port, #{timeout: "10s"});
    /// ```
    #[rhai_fn(name = "wait_port", return_raw)]
    pub fn wait_port_at(ctx: NativeCallContext, host: Dynamic, port: Dynamic, opts: Dynamic) -> Fallible<()> {
        if let Some(job) = host.clone().try_cast::<Job>() {
            return super::wait_port(&ctx, "localhost", &port, &opts, Some(&job));
        }
        super::wait_port(&ctx, &value::word(&host, "wait_port: host")?, &port, &opts, None)
    }

    /// Waits until nobody listens on a TCP port of this machine, on whatever address: the server that had it has let
    /// it go. Throws `timeout` (30 s), which names who has it, and `job_died`.
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// let port = api.port;
    /// api.signal("TERM");
    /// wait_port_free(port);
    /// ```
    #[rhai_fn(name = "wait_port_free", return_raw)]
    pub fn wait_port_free(ctx: NativeCallContext, port: Dynamic) -> Fallible<()> {
        super::wait_port_free(&ctx, &port, &Dynamic::UNIT)
    }

    /// As `wait_port_free(port)`, with a timeout or the options `timeout`, `interval`, `message`.
    ///
    /// ```rhai
    /// wait_port_free(free_port(), "5s");
    /// ```
    #[rhai_fn(name = "wait_port_free", return_raw)]
    pub fn wait_port_free_with(ctx: NativeCallContext, port: Dynamic, opts: Dynamic) -> Fallible<()> {
        super::wait_port_free(&ctx, &port, &opts)
    }

    /// Waits until the job listens on any TCP port and returns the port: it can pick its own, so that no two
    /// ever want the same. Throws `timeout` (30 s), `job_died`.
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// let port = api.wait_listening();
    /// ```
    #[rhai_fn(name = "wait_listening", return_raw)]
    pub fn wait_listening(ctx: NativeCallContext, job: Job) -> Fallible<i64> {
        super::wait_listening(&ctx, &job, &Dynamic::UNIT)
    }

    /// As `job.wait_listening()`, with a timeout or the options `timeout`, `interval`, `message`.
    ///
    /// ```rhai
    /// let api = mock(#{"/": "ok"});
    /// let port = api.wait_listening("10s");
    /// ```
    #[rhai_fn(name = "wait_listening", return_raw)]
    pub fn wait_listening_with(ctx: NativeCallContext, job: Job, opts: Dynamic) -> Fallible<i64> {
        super::wait_listening(&ctx, &job, &opts)
    }

    /// Waits until the job's log has a line that matches, from the job's start on, and returns the captures:
    /// the whole match first, then the groups. A carriage return starts a line over: `^` is also what follows it. Throws `timeout` (30 s), `job_died` also when it ends with 0.
    ///
    /// ```rhai
    /// let job = spawn("echo listening on 8080; sleep 60");
    /// let found = job.wait_log("listening on (\\d+)");
    /// assert_eq(found[1], "8080");
    /// ```
    #[rhai_fn(name = "wait_log", return_raw)]
    pub fn wait_log(ctx: NativeCallContext, job: Job, regex: &str) -> Fallible<Dynamic> {
        super::wait_log(&ctx, &job, regex, &Dynamic::UNIT)
    }

    /// As `wait_log(job, regex)`, with a timeout or options: `timeout`, `interval`, `message`, `times` (so many lines must
    /// match; returned are the captures of the last of them), `from` (`"start"` or `"now"`: only lines that come from now on).
    ///
    /// ```rhai
    /// let job = spawn("echo up; sleep 60");
    /// job.wait_log("up", #{timeout: "10s", from: "start"});
    /// ```
    #[rhai_fn(name = "wait_log", return_raw)]
    pub fn wait_log_with(ctx: NativeCallContext, job: Job, regex: &str, opts: Dynamic) -> Fallible<Dynamic> {
        super::wait_log(&ctx, &job, regex, &opts)
    }

    /// Waits until a file exists. Throws `timeout` (30 s), `job_died`.
    ///
    /// ```rhai
    /// let path = temp_dir() + "/done";
    /// spawn(["sh", "-c", "touch \"$0\"; sleep 60", path]);
    /// wait_file(path);
    /// ```
    #[rhai_fn(name = "wait_file", return_raw)]
    pub fn wait_file(ctx: NativeCallContext, path: &str) -> Fallible<()> {
        simple(&ctx, "wait_file", Condition::File(rt().path(path)), &Dynamic::UNIT)
    }

    /// As `wait_file(path)`, with a timeout or the options `timeout`, `interval`, `message`.
    ///
    /// ```rhai
    /// wait_file("/etc/passwd", "1s");
    /// ```
    #[rhai_fn(name = "wait_file", return_raw)]
    pub fn wait_file_with(ctx: NativeCallContext, path: &str, opts: Dynamic) -> Fallible<()> {
        simple(&ctx, "wait_file", Condition::File(rt().path(path)), &opts)
    }

    /// Waits until a Unix socket accepts connections. Throws `timeout` (30 s), `job_died`.
    ///
    /// ```rhai
    /// fn connect() { wait_socket("app.sock"); }
    /// ```
    #[rhai_fn(name = "wait_socket", return_raw)]
    pub fn wait_socket(ctx: NativeCallContext, path: &str) -> Fallible<()> {
        simple(&ctx, "wait_socket", Condition::Socket(rt().path(path)), &Dynamic::UNIT)
    }

    /// As `wait_socket(path)`, with a timeout or the options `timeout`, `interval`, `message`.
    ///
    /// ```rhai
    /// fn connect() { wait_socket("app.sock", "10s"); }
    /// ```
    #[rhai_fn(name = "wait_socket", return_raw)]
    pub fn wait_socket_with(ctx: NativeCallContext, path: &str, opts: Dynamic) -> Fallible<()> {
        simple(&ctx, "wait_socket", Condition::Socket(rt().path(path)), &opts)
    }

    /// Waits until a command succeeds: it is run again and again, silently, until it ends with 0. Throws
    /// `timeout` (30 s), `job_died`.
    ///
    /// ```rhai
    /// wait_cmd("test -e /etc/passwd");
    /// ```
    #[rhai_fn(name = "wait_cmd", return_raw)]
    pub fn wait_cmd(ctx: NativeCallContext, cmd: Dynamic) -> Fallible<()> {
        super::wait_cmd(&ctx, &cmd, &Dynamic::UNIT)
    }

    /// As `wait_cmd(cmd)`, with a timeout or options: `timeout`, `interval`, `message`, `stable` (it must succeed that long
    /// without a break), `attempt_timeout` (one run that takes longer is ended, and counts as failed), `cwd`, `env`,
    /// `clear_env`, `user`.
    ///
    /// ```rhai
    /// wait_cmd(["test", "-e", "passwd"], #{cwd: "/etc", timeout: "5s"});
    /// ```
    #[rhai_fn(name = "wait_cmd", return_raw)]
    pub fn wait_cmd_with(ctx: NativeCallContext, cmd: Dynamic, opts: Dynamic) -> Fallible<()> {
        super::wait_cmd(&ctx, &cmd, &opts)
    }

    /// Waits until a closure gives true, or a value other than false and `()`, and returns that. Errors of
    /// the kinds `command_failed`, `http`, `io` and `assertion`, and what the script itself throws, mean *not yet*;
    /// others end the wait. Throws `timeout` (30 s), `job_died`. For a closure of assertions there is `eventually`.
    ///
    /// ```rhai
    /// let n = 0;
    /// wait_until(|| { n += 1; n >= 3 });
    /// ```
    #[rhai_fn(name = "wait_until", return_raw)]
    pub fn wait_until(ctx: NativeCallContext, closure: FnPtr) -> Fallible<Dynamic> {
        general(&ctx, "wait_until", Condition::Closure(closure), &Dynamic::UNIT)
    }

    /// As `wait_until(closure)`, with a timeout or the options `timeout`, `interval`, `message`.
    ///
    /// ```rhai
    /// wait_until(|| exists("/etc/passwd"), #{timeout: "5s", message: "no users"});
    /// ```
    #[rhai_fn(name = "wait_until", return_raw)]
    pub fn wait_until_with(ctx: NativeCallContext, closure: FnPtr, opts: Dynamic) -> Fallible<Dynamic> {
        general(&ctx, "wait_until", Condition::Closure(closure), &opts)
    }

    /// Waits until a job, or every job of an array, is ready as its option `ready` says. Throws `timeout`
    /// (the option `timeout` of the job, or 30 s), `job_died`.
    ///
    /// ```rhai
    /// let job = spawn("echo up; sleep 60", #{ready: #{log: "up"}});
    /// wait_ready(job);
    /// ```
    #[rhai_fn(name = "wait_ready", return_raw)]
    pub fn wait_ready(ctx: NativeCallContext, jobs: Dynamic) -> Fallible<()> {
        super::wait_ready(&ctx, &jobs, &Dynamic::UNIT)
    }

    /// As `wait_ready(job)`, with a timeout or the options `timeout`, `interval`, `message`.
    ///
    /// ```rhai
    /// let job = spawn("echo up; sleep 60", #{ready: #{log: "up"}});
    /// job.wait_ready("10s");
    /// ```
    #[rhai_fn(name = "wait_ready", return_raw)]
    pub fn wait_ready_with(ctx: NativeCallContext, jobs: Dynamic, opts: Dynamic) -> Fallible<()> {
        super::wait_ready(&ctx, &jobs, &opts)
    }

    /// Waits until a job has ended and returns its `Result`, or until every job of an array has, and returns
    /// an array of them. No time limit unless one is given; never throws for an exit code. Their end is
    /// expected from then on.
    ///
    /// ```rhai
    /// let result = wait_exit(spawn("exit 3"));
    /// assert_eq(result.code, 3);
    /// ```
    #[rhai_fn(name = "wait_exit", return_raw)]
    pub fn wait_exit(jobs: Dynamic) -> Fallible<Dynamic> {
        super::wait_exit(&jobs, &Dynamic::UNIT)
    }

    /// As `wait_exit(job)`, with a timeout or the options `timeout`, `interval`, `message`; throws `timeout`.
    ///
    /// ```rhai
    /// wait_exit([spawn("true"), spawn("false")], "10s");
    /// ```
    #[rhai_fn(name = "wait_exit", return_raw)]
    pub fn wait_exit_with(jobs: Dynamic, opts: Dynamic) -> Fallible<Dynamic> {
        super::wait_exit(&jobs, &opts)
    }

    /// Always an error: it could mean `wait_ready` or `wait_exit`.
    #[rhai_fn(name = "wait_all", return_raw)]
    pub fn wait_all(_jobs: Dynamic) -> Fallible<()> {
        Err(ScriptError::usage("there is no `wait_all`: is it about being ready or about having ended?")
            .hint("wait_ready(jobs)   or   wait_exit(jobs)")
            .into())
    }
}

/// The options that every wait has, read.
#[derive(Clone, Debug, Default)]
pub struct Common {
    pub timeout: Option<Duration>,
    pub interval: Option<Duration>,
    pub message: Option<String>,
    /// How long it must hold without a break.
    pub stable: Option<Duration>,
}

impl Common {
    pub fn from(opts: &Opts) -> Fallible<Self> {
        Ok(Self {
            timeout: opts.duration("timeout")?,
            interval: opts.duration("interval")?,
            message: opts.string("message")?,
            stable: opts.duration("stable")?,
        })
    }
}

/// What a URL must answer, from options.
pub fn target(what: &str, url: &str, opts: &Opts) -> Fallible<Target> {
    if url.contains("()") {
        return Err(value::unit_inside(what, url).into());
    }
    let url = Url::parse(url).map_err(|bad| {
        let error = ScriptError::usage(format!("{what}: {}", bad.message));
        match bad.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })?;
    let mut request = Request::get(url);
    let socket = opts.string("unix_socket")?;
    http::common(what, &http::Connection::read(opts)?, socket.as_deref(), &mut request)?;
    request.redirects = 0;
    if let Some(method) = opts.string("method")? {
        request.method = method.to_ascii_uppercase().parse().map_err(|_| {
            ScriptError::usage(format!("{what}: option `method`: {method:?} is no HTTP method"))
        })?;
    }
    let json = match opts.get("json") {
        Some(value) => Some(
            rhai::serde::from_dynamic(value)
                .map_err(|e| ScriptError::usage(format!("{what}: option `json` cannot be JSON: {e}")))?,
        ),
        None => None,
    };
    Ok(Target {
        request,
        want: want(what, opts)?,
        contains: opts.string("contains")?,
        matches: opts.string("matches")?.map(|pattern| regex(what, &pattern)).transpose()?,
        json,
    })
}

/// `200`, `[200, 204]`, `"2xx"`; any 2xx or 3xx when nothing is said.
pub fn want(what: &str, opts: &Opts) -> Fallible<Want> {
    match opts.get("status") {
        Some(value) => statuses(&format!("{what}: option `status`"), value),
        None => Ok(Want::default()),
    }
}

fn wait_http(ctx: &NativeCallContext, url: &str, opts: &Dynamic, job: Option<&Job>) -> Fallible<()> {
    let opts = Opts::new("wait_http", opts, WAIT_HTTP_OPTIONS)?;
    let target = target("wait_http", url, &opts)?;
    let condition = Condition::Http { target: Arc::new(target), limit: opts.duration("attempt_timeout")? };
    one(ctx, "wait_http", condition, job, &opts).map(drop)
}

fn wait_port(
    ctx: &NativeCallContext,
    host: &str,
    port: &Dynamic,
    opts: &Dynamic,
    job: Option<&Job>,
) -> Fallible<()> {
    let port = value::port(port, "wait_port")?;
    let opts = Opts::new("wait_port", opts, WAIT_PORT_OPTIONS)?;
    let host = host.to_owned();
    one(ctx, "wait_port", Condition::Port { host, port }, job, &opts).map(drop)
}

fn wait_port_free(ctx: &NativeCallContext, port: &Dynamic, opts: &Dynamic) -> Fallible<()> {
    let port = value::port(port, "wait_port_free")?;
    simple(ctx, "wait_port_free", Condition::PortFree(port), opts)
}

fn wait_listening(ctx: &NativeCallContext, job: &Job, opts: &Dynamic) -> Fallible<i64> {
    let opts = Opts::new("wait_listening", opts, WAIT_OPTIONS)?;
    let port = one(ctx, "wait_listening", Condition::Listening, Some(job), &opts)?;
    Ok(port.as_int().unwrap_or_default())
}

fn wait_log(ctx: &NativeCallContext, job: &Job, pattern: &str, opts: &Dynamic) -> Fallible<Dynamic> {
    let opts = Opts::new("wait_log", opts, WAIT_LOG_OPTIONS)?;
    let (pattern, times) = (regex("wait_log", pattern)?, opts.count("times")?.unwrap_or(1));
    one(ctx, "wait_log", Condition::Log { pattern, times }, Some(job), &opts)
}

fn wait_cmd(ctx: &NativeCallContext, cmd: &Dynamic, opts: &Dynamic) -> Fallible<()> {
    let command = value::command(cmd, "wait_cmd")?;
    let opts = Opts::new("wait_cmd", opts, WAIT_CMD_OPTIONS)?;
    let launch = launch::Launch::new("wait_cmd", None, command.clone(), &opts)?;
    let limit = opts.duration("attempt_timeout")?;
    drive(ctx, "wait_cmd", Prober::command(command, launch, limit)?, None, &opts).map(drop)
}

fn simple(ctx: &NativeCallContext, function: &str, condition: Condition, opts: &Dynamic) -> Fallible<()> {
    general(ctx, function, condition, opts).map(drop)
}

fn general(
    ctx: &NativeCallContext,
    function: &str,
    condition: Condition,
    opts: &Dynamic,
) -> Fallible<Dynamic> {
    let opts = Opts::new(function, opts, WAIT_OPTIONS)?;
    one(ctx, function, condition, None, &opts)
}

/// Waits for one condition.
fn one(
    ctx: &NativeCallContext,
    function: &str,
    condition: Condition,
    job: Option<&Job>,
    opts: &Opts,
) -> Fallible<Dynamic> {
    rt().checkpoint()?;
    let external = opts.bool("external")?.unwrap_or(false);
    let from = match (opts.string("from")?.as_deref(), job) {
        (None | Some("start"), Some(job)) => ready::of(job).log_from(),
        (Some("now"), Some(job)) => job.0.log_size(),
        (None, None) => 0,
        (Some(other), _) => {
            return Err(ScriptError::usage(format!(
                "{function}: option `from`: {other:?} is not \"start\" or \"now\""
            ))
            .into());
        }
    };
    if condition.local_port().is_some() {
        owner::need_loopback(function)?;
    }
    let prober = Prober::new(condition, job.cloned(), external, from, opts.duration("interval")?)?;
    drive(ctx, function, prober, job, opts)
}

fn drive(
    ctx: &NativeCallContext,
    function: &str,
    mut prober: Prober<'static>,
    job: Option<&Job>,
    opts: &Opts,
) -> Fallible<Dynamic> {
    let rt = rt();
    rt.checkpoint()?;
    let common = Common::from(opts)?;
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
        other => self::failed(function, &what, other, opts, &about, |error| error),
    })
}

fn wait_ready(ctx: &NativeCallContext, jobs: &Dynamic, opts: &Dynamic) -> Fallible<()> {
    let jobs = job_list("wait_ready", jobs)?;
    let opts = Opts::new("wait_ready", opts, WAIT_OPTIONS)?;
    ready::wait(ctx, "wait_ready", &jobs, &opts)
}

fn wait_exit(jobs: &Dynamic, opts: &Dynamic) -> Fallible<Dynamic> {
    if let Some(one) = jobs.clone().try_cast::<Job>() {
        return job::wait_for_end("wait_exit", &one, opts, Duration::ZERO).map(Dynamic::from);
    }
    let jobs = job_list("wait_exit", jobs)?;
    // All are expected to end from the start, not one after the other.
    for job in &jobs {
        rt().jobs.expect(job.0.id, jobs::spec::Expect::AnyEnd);
    }
    let since = crate::jobs::now();
    let one = |job: &Job| job::wait_for_end("wait_exit", job, opts, crate::jobs::now().saturating_sub(since));
    let results: Fallible<Vec<Outcome>> = jobs.iter().map(one).collect();
    Ok(results?.into_iter().map(Dynamic::from).collect::<Array>().into())
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
    opts: &Opts,
    about: &[Job],
    never: impl FnOnce(E) -> Box<EvalAltResult>,
) -> Box<EvalAltResult> {
    let message = opts.string("message").ok().flatten();
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
            let message = message.as_deref();
            let facts =
                TimeoutFacts { what, waited, seen: &seen, about, condition: None, advice: None, message };
            timeout(function, &facts).into()
        }
    };
    error::while_waiting(error, message.as_deref())
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
