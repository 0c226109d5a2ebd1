//! Jobs: `spawn`, `start`, and what a job can be asked and told.

use super::command::{Outcome, signal_of};
use super::error::{self, Fallible, Kind as ErrorKind, ScriptError};
use super::ready::{self, Readiness};
use super::runtime::rt;
use super::services;
use super::value::{self, Opts};
use crate::exit;
use crate::jobs::control::lock;
use crate::jobs::output as log;
use crate::jobs::port;
use crate::jobs::spec::{self, Command, Expect, Output, SpawnError, Spec, Stdin};
use crate::jobs::{self, Ask, Job as Inner, Kind, State, View};
use crate::probe::{Attempt, Wait};
use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, Map};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What `spawn` and `start` can be told.
pub const SPAWN_OPTIONS: &[&str] = &[
    "name",
    "cwd",
    "env",
    "clear_env",
    "user",
    "port",
    "stdin",
    "log",
    "stop_signal",
    "grace",
    "ready",
    "timeout",
    "interval",
    "expect_exit",
];

/// What `run`, `try_run` and `output` can be told.
pub const COMMAND_OPTIONS: &[&str] =
    &["cwd", "env", "clear_env", "user", "stdin", "timeout", "grace", "echo", "check"];

/// A job as scripts hold it: copies are the same job.
#[derive(Clone)]
pub struct Job(pub Arc<Inner>);

pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Job>("Job");
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// Starts a background job and returns it at once, without waiting until it is ready.
    ///
    /// A string is run by `/bin/sh -c`, an array is executed directly. Its output goes to its log. It is
    /// stopped at the end of the run, however that ends. Throws `command_failed` when it cannot be executed
    /// (exit code 127 not found, 126 not executable).
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// ```
    #[rhai_fn(name = "spawn", return_raw)]
    pub fn spawn(cmd: Dynamic) -> Fallible<Job> {
        launch("spawn", None, &cmd, &Dynamic::UNIT)
    }

    /// As `spawn(cmd)`, with a name before the command or options after it: `name`, `cwd`, `env` (map; `()`
    /// unsets), `clear_env`, `user` (as root), `port` (a number or `"free"`; sets PORT), `stdin` (`"null"`,
    /// `"pipe"`, `#{text: "…"}`), `log` (path), `stop_signal` (`"TERM"`), `grace` (5 s), `ready`, `timeout`
    /// (30 s, for `ready`), `interval`, `expect_exit` (true, a code, or an array of codes).
    ///
    /// ```rhai
    /// let api = spawn("api", "sleep 60");
    /// let db = spawn(["sleep", "60"], #{name: "db", grace: "1s"});
    /// ```
    #[rhai_fn(name = "spawn", return_raw)]
    pub fn spawn_with(cmd_or_name: Dynamic, cmd_or_opts: Dynamic) -> Fallible<Job> {
        two("spawn", &cmd_or_name, &cmd_or_opts)
    }

    /// As `spawn(cmd, opts)`, with the name first.
    ///
    /// ```rhai
    /// let api = spawn("api", "sleep 60", #{env: #{MODE: "test"}});
    /// ```
    #[rhai_fn(name = "spawn", return_raw)]
    pub fn spawn_named(name: &str, cmd: Dynamic, opts: Dynamic) -> Fallible<Job> {
        launch("spawn", Some(name), &cmd, &opts)
    }

    /// Starts a list of services, in parallel and in the order of their `needs`, waits until each is ready,
    /// and returns a map of the jobs by name. Each is a map with `name`, `cmd`, `needs` (an array of names)
    /// and the options of `spawn`. A service gets `<NAME>_PORT` and `<NAME>_URL` of those that it needs.
    ///
    /// ```rhai
    /// let s = start([
    ///     #{name: "db", cmd: "echo up; sleep 60", ready: #{log: "up"}},
    ///     #{name: "api", cmd: "echo up; sleep 60", ready: #{log: "up"}, needs: ["db"]},
    /// ]);
    /// assert(s.api.running);
    /// ```
    #[rhai_fn(name = "start", return_raw)]
    pub fn start_services(ctx: NativeCallContext, services: Array) -> Fallible<Map> {
        services::start(&ctx, &services)
    }

    /// Starts a job and waits until its `ready` holds; needs the option `ready`.
    ///
    /// `ready` is a port, a URL, a path on the job's own URL, `#{port}`, `#{http, status}`, `#{log: regex}`,
    /// `#{file}`, `#{socket}`, `#{cmd}`, `#{listening: true}`, `#{settled: "1s"}`, a closure, or an array of
    /// these, all of which must hold. With `expect_exit` and no `ready` it is a task: ready when it has ended.
    /// Throws `timeout` (30 s), `job_died`, `port_taken`.
    ///
    /// ```rhai
    /// let job = start("echo listening; sleep 60", #{ready: #{log: "listening"}});
    /// ```
    #[rhai_fn(name = "start", return_raw)]
    pub fn start(ctx: NativeCallContext, cmd_or_name: Dynamic, cmd_or_opts: Dynamic) -> Fallible<Job> {
        ready::started(&ctx, two("start", &cmd_or_name, &cmd_or_opts)?)
    }

    /// As `start(cmd, opts)`, with the name first.
    ///
    /// ```rhai
    /// let job = start("api", ["sh", "-c", "echo up; sleep 60"], #{ready: #{log: "up"}});
    /// ```
    #[rhai_fn(name = "start", return_raw)]
    pub fn start_named(ctx: NativeCallContext, name: &str, cmd: Dynamic, opts: Dynamic) -> Fallible<Job> {
        ready::started(&ctx, launch("start", Some(name), &cmd, &opts)?)
    }

    /// Stops every job, all at the same time, and returns when all are gone. Each has its own grace period.
    ///
    /// ```rhai
    /// kill_all();
    /// ```
    #[rhai_fn(name = "kill_all", return_raw)]
    pub fn kill_all() -> Fallible<()> {
        stop_all(None)
    }

    /// As `kill_all()`, with one grace period for all.
    ///
    /// ```rhai
    /// kill_all("500ms");
    /// ```
    #[rhai_fn(name = "kill_all", return_raw)]
    pub fn kill_all_within(grace: Dynamic) -> Fallible<()> {
        stop_all(Some(value::duration(&grace, "kill_all: grace")?))
    }

    /// The jobs of this run, in the order in which they were started, ended ones included.
    ///
    /// ```rhai
    /// for job in jobs() { print(job.name); }
    /// ```
    #[rhai_fn(name = "jobs")]
    pub fn jobs() -> Array {
        rt().jobs.list().into_iter().map(|job| Dynamic::from(Job(job))).collect()
    }

    /// The job of this name; the latest when there were several. Throws `usage` when there is none.
    ///
    /// ```rhai
    /// spawn("api", "sleep 60");
    /// job("api").stop();
    /// ```
    #[rhai_fn(name = "job", return_raw)]
    pub fn job(name: &str) -> Fallible<Job> {
        by_name(name)
    }

    /// Its name.
    #[rhai_fn(get = "name", pure)]
    pub fn name(job: &mut Job) -> String {
        job.0.spec.name.clone()
    }

    /// The process id of its first process.
    #[rhai_fn(get = "pid", pure)]
    pub fn pid(job: &mut Job) -> i64 {
        view(job).map_or(0, |view| i64::from(view.pid))
    }

    /// Whether it runs; a job that went to the background does.
    #[rhai_fn(get = "running", pure)]
    pub fn running(job: &mut Job) -> bool {
        view(job).is_some_and(|view| !matches!(view.state, State::Ended(_)))
    }

    /// Its exit code, 128 + n after signal n; `()` while it runs.
    #[rhai_fn(get = "code", pure)]
    pub fn code(job: &mut Job) -> Dynamic {
        match view(job).map(|view| view.state) {
            Some(State::Ended(status)) => i64::from(status.code()).into(),
            _ => Dynamic::UNIT,
        }
    }

    /// The signal that ended it, such as `"KILL"`; `()` when none did.
    #[rhai_fn(get = "signal", pure)]
    pub fn ended_by(job: &mut Job) -> Dynamic {
        match view(job).map(|view| view.state) {
            Some(State::Ended(status)) => signal_of(status).map_or(Dynamic::UNIT, Dynamic::from),
            _ => Dynamic::UNIT,
        }
    }

    /// How long it has run, in milliseconds; until its end if it has ended.
    #[rhai_fn(get = "uptime_ms", pure)]
    pub fn uptime_ms(job: &mut Job) -> i64 {
        view(job).map_or(0, |view| millis(view.ended.unwrap_or_else(jobs::now).saturating_sub(view.started)))
    }

    /// The path of its log file, stdout and stderr together.
    #[rhai_fn(get = "log_path", pure)]
    pub fn log_path(job: &mut Job) -> String {
        job.0.log.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }

    /// Its whole log as a string.
    #[rhai_fn(get = "output", pure)]
    pub fn output(job: &mut Job) -> String {
        job.0.log.as_ref().map_or_else(String::new, |path| log::read_log(path))
    }

    /// The last `n` lines of its log, as a string without colour codes.
    ///
    /// ```rhai
    /// let job = spawn("echo one; echo two; sleep 60");
    /// job.wait_log("two");
    /// assert_eq(job.tail(1), "two");
    /// ```
    #[rhai_fn(name = "tail", pure)]
    pub fn tail(job: &mut Job, n: i64) -> String {
        let count = usize::try_from(n).unwrap_or(0);
        job.0.log.as_ref().map_or_else(String::new, |path| log::tail(path, count).join("\n"))
    }

    /// The lines of its log, as an array of strings without colour codes.
    ///
    /// ```rhai
    /// let job = spawn("echo one; echo two; sleep 60");
    /// job.wait_log("two");
    /// assert_eq(job.lines().len(), 2);
    /// ```
    #[rhai_fn(name = "lines", pure)]
    pub fn lines(job: &mut Job) -> Array {
        let text = job.0.log.as_ref().map_or_else(String::new, |path| log::read_log(path));
        text.lines().map(|line| Dynamic::from(log::plain(line.as_bytes()))).collect()
    }

    /// Its port: the one it was given, or the first that it listens on; `()` when there is none.
    #[rhai_fn(get = "port", pure)]
    pub fn port(job: &mut Job) -> Dynamic {
        port_of(job).map_or(Dynamic::UNIT, |port| i64::from(port).into())
    }

    /// The TCP ports that it listens on now, ascending.
    #[rhai_fn(get = "ports", pure)]
    pub fn ports(job: &mut Job) -> Array {
        listening_ports(job).into_iter().map(|port| i64::from(port).into()).collect()
    }

    /// `http://127.0.0.1:PORT` with its `.port`. Throws `usage` when it has none.
    #[rhai_fn(get = "url", pure, return_raw)]
    pub fn url(job: &mut Job) -> Fallible<String> {
        match port_of(job) {
            Some(port) => Ok(format!("http://127.0.0.1:{port}")),
            None => Err(ScriptError::usage(format!("job `{}` has no port", job.0.spec.name))
                .hint("port: \"free\"   (in its options; the job finds the number in PORT)")
                .into()),
        }
    }

    /// Its living processes besides the first, as maps `#{pid, name, cmd}`.
    #[rhai_fn(get = "descendants", pure)]
    pub fn descendants(job: &mut Job) -> Array {
        let leader = view(job).map(|view| view.pid);
        let processes = rt().jobs.processes(job.0.id);
        let describe = |pid: i32| {
            Map::from([
                ("pid".into(), i64::from(pid).into()),
                ("name".into(), jobs::process_name(pid).into()),
                ("cmd".into(), jobs::process_command(pid).into()),
            ])
        };
        processes
            .iter()
            .filter(|stat| Some(stat.pid) != leader)
            .map(|stat| describe(stat.pid).into())
            .collect()
    }

    /// Waits until it ends, without limit, and returns its `Result`. Its end is expected then, whatever its
    /// code.
    ///
    /// ```rhai
    /// let result = spawn("exit 3").wait();
    /// assert_eq(result.code, 3);
    /// ```
    #[rhai_fn(name = "wait", pure, return_raw)]
    pub fn wait(job: &mut Job) -> Fallible<Outcome> {
        wait_for_end("wait", job, &Dynamic::UNIT, Duration::ZERO)
    }

    /// As `wait()`, but throws `timeout` after this time.
    ///
    /// ```rhai
    /// spawn("true").wait("10s");
    /// ```
    #[rhai_fn(name = "wait", pure, return_raw)]
    pub fn wait_within(job: &mut Job, timeout: Dynamic) -> Fallible<Outcome> {
        wait_for_end("wait", job, &timeout, Duration::ZERO)
    }

    /// Stops it gracefully: its stop signal to the whole tree, SIGKILL after its grace period. Returns when
    /// nothing of it is left.
    ///
    /// ```rhai
    /// spawn("sleep 60").stop();
    /// ```
    #[rhai_fn(name = "stop", pure, return_raw)]
    pub fn stop(job: &mut Job) -> Fallible<()> {
        stop_one(job, Ask::default())
    }

    /// As `stop()`, with another grace period.
    ///
    /// ```rhai
    /// spawn("sleep 60").stop("100ms");
    /// ```
    #[rhai_fn(name = "stop", pure, return_raw)]
    pub fn stop_within(job: &mut Job, grace: Dynamic) -> Fallible<()> {
        let grace = value::duration(&grace, "stop: grace")?;
        stop_one(job, Ask { grace: Some(grace), ..Ask::default() })
    }

    /// Kills its whole tree with SIGKILL; returns when nothing of it is left.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.kill();
    /// assert_eq(job.signal, "KILL");
    /// ```
    #[rhai_fn(name = "kill", pure, return_raw)]
    pub fn kill(job: &mut Job) -> Fallible<()> {
        stop_one(job, Ask { signal: jobs::signal_number("KILL"), grace: Some(Duration::ZERO) })
    }

    /// Sends a signal to its first process: `"HUP"`, `"SIGHUP"` or a number. An end because of it is expected.
    ///
    /// ```rhai
    /// spawn("sleep 60").signal("TERM");
    /// ```
    #[rhai_fn(name = "signal", pure, return_raw)]
    pub fn signal(job: &mut Job, signal: Dynamic) -> Fallible<()> {
        rt().checkpoint()?;
        let number = signal_number("signal", &signal)?;
        rt().jobs.signal(job.0.id, number);
        Ok(())
    }

    /// Suspends all its processes (SIGSTOP).
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.pause();
    /// job.resume();
    /// ```
    #[rhai_fn(name = "pause", pure, return_raw)]
    pub fn pause(job: &mut Job) -> Fallible<()> {
        rt().checkpoint()?;
        rt().jobs.pause(job.0.id, true);
        Ok(())
    }

    /// Continues what `pause` suspended.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.pause();
    /// job.resume();
    /// ```
    #[rhai_fn(name = "resume", pure, return_raw)]
    pub fn resume(job: &mut Job) -> Fallible<()> {
        rt().checkpoint()?;
        rt().jobs.pause(job.0.id, false);
        Ok(())
    }

    /// Stops it if it runs and starts it again, with the same name, port and log; returns when `ready` holds
    /// again, at once if it has none.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.restart();
    /// assert(job.running);
    /// ```
    #[rhai_fn(name = "restart", pure, return_raw)]
    pub fn restart(ctx: NativeCallContext, job: &mut Job) -> Fallible<()> {
        super::restart(&ctx, job)
    }

    /// Writes a text to its stdin; needs `stdin: "pipe"`. Throws `io` when it does not read any more.
    ///
    /// ```rhai
    /// let cat = spawn("cat", #{stdin: "pipe"});
    /// cat.send("hello\n");
    /// cat.wait_log("hello");
    /// ```
    #[rhai_fn(name = "send", pure, return_raw)]
    pub fn send(job: &mut Job, text: &str) -> Fallible<()> {
        let rt = rt();
        rt.checkpoint()?;
        let name = &job.0.spec.name;
        match rt.jobs.send(job.0.id, text.as_bytes(), &|| rt.control().halted()) {
            Ok(true) => Ok(()),
            Ok(false) => {
                rt.checkpoint()?;
                Err(ScriptError::io(format!("send: job `{name}` does not read its stdin any more")).into())
            }
            Err(_) => Err(ScriptError::usage(format!("send: the stdin of job `{name}` is no open pipe"))
                .hint("stdin: \"pipe\"   (in its options)")
                .into()),
        }
    }

    /// Closes its stdin: it reads end of file.
    ///
    /// ```rhai
    /// let cat = spawn("cat", #{stdin: "pipe"});
    /// cat.close_stdin();
    /// cat.wait();
    /// ```
    #[rhai_fn(name = "close_stdin", pure)]
    pub fn close_stdin(job: &mut Job) {
        rt().jobs.close_stdin(job.0.id);
    }

    /// From now on its end is no failure, whatever its code.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.expect_exit();
    /// run(`kill -9 ${job.pid}`);
    /// ```
    #[rhai_fn(name = "expect_exit", pure)]
    pub fn expect_exit(job: &mut Job) {
        rt().jobs.expect(job.0.id, Expect::AnyEnd);
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn to_string(job: &mut Job) -> String {
        format!("Job({})", job.0.spec.name)
    }

    #[rhai_fn(name = "==", pure)]
    pub fn equal(job: &mut Job, other: Job) -> bool {
        job.0.id == other.0.id
    }

    #[rhai_fn(name = "!=", pure)]
    pub fn different(job: &mut Job, other: Job) -> bool {
        job.0.id != other.0.id
    }
}

pub fn view(job: &Job) -> Option<View> {
    rt().jobs.view(job.0.id)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The ports that a job's processes listen on.
pub fn listening_ports(job: &Job) -> Vec<u16> {
    rt().jobs.ports(job.0.id)
}

fn port_of(job: &Job) -> Option<u16> {
    job.0.spec.port.or_else(|| listening_ports(job).first().copied())
}

pub fn by_name(name: &str) -> Fallible<Job> {
    let jobs = rt().jobs.list();
    if let Some(job) = jobs.iter().rev().find(|job| job.spec.name == name) {
        return Ok(Job(Arc::clone(job)));
    }
    let names: Vec<&str> = jobs.iter().map(|job| job.spec.name.as_str()).collect();
    let known = if names.is_empty() {
        "no job was started yet".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    };
    let error = ScriptError::usage(format!("there is no job `{name}`")).note(known);
    Err(match value::nearest(name, names) {
        Some(near) => error.hint(format!("job(\"{near}\")")),
        None => error,
    }
    .into())
}

fn stop_one(job: &Job, ask: Ask) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    rt.jobs.stop(&[job.0.id], ask, &|| rt.control().halted());
    rt.checkpoint()
}

fn stop_all(grace: Option<Duration>) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    let ids: Vec<_> = rt.jobs.list().iter().map(|job| job.id).collect();
    rt.jobs.stop(&ids, Ask { grace, ..Ask::default() }, &|| rt.control().halted());
    rt.checkpoint()
}

fn restart(ctx: &NativeCallContext, job: &Job) -> Fallible<()> {
    stop_one(job, Ask::default())?;
    let rt = rt();
    let readiness = ready::of(job);
    readiness.restart_at(job.0.log.as_ref().map_or(0, |path| log::size(path)));
    rt.jobs.respawn(&job.0).map_err(|e| spawn_error("restart", &e, None))?;
    if readiness.is_empty() {
        Ok(())
    } else {
        ready::wait(ctx, "restart", std::slice::from_ref(job), &Opts::none("restart"))
    }
}

/// Waits until a job has ended; its end is expected then.
/// `waited`: how much of the timeout has passed already, waiting for others.
pub fn wait_for_end(function: &str, job: &Job, opts: &Dynamic, waited: Duration) -> Fallible<Outcome> {
    let rt = rt();
    rt.checkpoint()?;
    let opts = Opts::new(function, opts, super::wait::WAIT_OPTIONS)?;
    rt.jobs.expect(job.0.id, Expect::AnyEnd);
    let mut wait = Wait::new(&rt.jobs);
    wait.timeout = opts.duration("timeout")?.map(|time| time.saturating_sub(waited));
    wait.interval = Some(Duration::from_secs(1));
    wait.eager = true;
    let ended = || match view(job).map(|view| view.state) {
        Some(State::Ended(_)) => Attempt::Ready(()),
        _ => Attempt::NotYet("running".to_owned()),
    };
    let what = format!("the end of `{}`", job.0.spec.name);
    wait.run::<(), ()>(ended).map_err(|failed| {
        super::wait::failed(function, &what, failed, &opts, std::slice::from_ref(job), |()| {
            error::terminated()
        })
    })?;
    Ok(outcome(job))
}

/// How a job ended.
fn outcome(job: &Job) -> Outcome {
    let view = view(job);
    let status = match view.as_ref().map(|view| view.state) {
        Some(State::Ended(status)) => status,
        _ => jobs::ExitStatus::Code(0),
    };
    let text = job.0.log.as_ref().map_or_else(String::new, |path| log::read_log(path));
    let ms = view.map_or(0, |v| millis(v.ended.unwrap_or_else(jobs::now).saturating_sub(v.started)));
    Outcome {
        code: i64::from(status.code()),
        signal: signal_of(status),
        timed_out: false,
        stdout: text.clone(),
        stderr: String::new(),
        output: text,
        ms,
    }
}

fn signal_number(function: &str, signal: &Dynamic) -> Fallible<i32> {
    let text = value::word(signal, function)?;
    if let Some(number) = jobs::signal_number(&text) {
        return Ok(number);
    }
    let error = ScriptError::usage(format!("{function}: `{text}` is no signal"));
    let names = jobs::signal_names();
    let bare = text.to_ascii_uppercase();
    let bare = bare.strip_prefix("SIG").unwrap_or(&bare).to_owned();
    Err(match value::nearest(&bare, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("\"{near}\"")),
        None => error.note("signals are names such as \"HUP\" or \"SIGHUP\", or numbers from 1 to 64"),
    }
    .into())
}

/// The two-argument forms: `(cmd, opts)` or `(name, cmd)`.
fn two(function: &str, first: &Dynamic, second: &Dynamic) -> Fallible<Job> {
    if second.is_map() || second.is_unit() {
        return launch(function, None, first, second);
    }
    let Some(name) = first.read_lock::<rhai::ImmutableString>() else {
        let shown = value::show(second);
        return Err(ScriptError::usage(format!("{function}: {shown} is no option map"))
            .note(format!("forms: {function}(cmd), {function}(cmd, #{{…}}), {function}(name, cmd), {function}(name, cmd, #{{…}})"))
            .into());
    };
    launch(function, Some(name.as_str()), second, &Dynamic::UNIT)
}

/// Starts a job as `spawn` and `start` do.
pub fn launch(function: &str, name: Option<&str>, cmd: &Dynamic, opts: &Dynamic) -> Fallible<Job> {
    rt().checkpoint()?;
    let command = value::command(cmd, function)?;
    if let Some(name) = name
        && let Some(hint) = words_apart(function, name, &command, opts)
    {
        return Err(ScriptError::usage(format!("{function}: {} is no option map", value::show(opts)))
            .note("a command with arguments is one string, or an array of words")
            .hint(hint)
            .into());
    }
    let opts = Opts::new(function, opts, SPAWN_OPTIONS)?;
    if function == "start" && opts.get("ready").is_none() && opts.get("expect_exit").is_none() {
        return Err(ScriptError::usage("start: the option `ready` is missing: what shows that it is ready?")
            .hint(
                "ready: 8080, ready: \"http://localhost:8080/health\", ready: #{log: \"listening\"}; \
                 or spawn(…), which does not wait",
            )
            .into());
    }
    launch_with(function, name, command, &opts, &[])
}

/// `spawn("npm", "run", "dev")`: the words of one command.
fn words_apart(function: &str, name: &str, command: &Command, last: &Dynamic) -> Option<String> {
    let mut words = vec![name.to_owned()];
    words.extend(words_of(command));
    match (last.read_lock::<rhai::ImmutableString>(), last.read_lock::<Array>()) {
        (Some(text), _) if value::duration(last, function).is_err() => words.push(text.to_string()),
        (None, Some(list)) => words.extend(list.iter().map(ToString::to_string)),
        _ => return None,
    }
    Some(value::array_form(function, &words))
}

fn words_of(command: &Command) -> Vec<String> {
    match command {
        Command::Argv(words) | Command::Own(words) => words.clone(),
        Command::Shell(text) => text.split_whitespace().map(str::to_owned).collect(),
    }
}

/// Starts a job from options that have been checked; `extra` comes into its environment.
pub fn launch_with(
    function: &str,
    name: Option<&str>,
    command: Command,
    opts: &Opts,
    extra: &[(String, String)],
) -> Fallible<Job> {
    let rt = rt();
    let given = name.map(str::to_owned);
    let launch = Launch::new(function, given.clone(), command, opts)?;
    let mut spec = launch.job_spec()?;
    for (key, value) in extra {
        spec.env.entry(key.into()).or_insert_with(|| value.into());
    }
    let readiness = Readiness::parse(function, opts, spec.port)?;
    if let Some(port) = spec.port {
        refuse_taken_port(&spec.name, port)?;
    }
    let command = spec.command.clone();
    let (job, _) = rt
        .jobs
        .spawn(spec, Kind::Job)
        .map_err(|e| spawn_error(function, &e, given.as_deref().map(|name| (name, &command))))?;
    let job = Job(job);
    lock(&rt.readiness).insert(job.0.id, Arc::new(readiness));
    Ok(job)
}

/// A job that is told its port must find it free.
fn refuse_taken_port(name: &str, number: u16) -> Fallible<()> {
    if !port::in_use(number) {
        return Ok(());
    }
    let who = super::owner::who(number);
    Err(ScriptError::new(ErrorKind::PortTaken, format!("port {number} for job `{name}` is taken by {who}"))
        .fact("port", i64::from(number))
        .hint("port: \"free\"   (takes one that is free)")
        .into())
}

/// The options that jobs and commands share, read.
pub struct Launch<'a> {
    function: String,
    name: Option<String>,
    command: Command,
    opts: &'a Opts,
    cwd: PathBuf,
    env: BTreeMap<OsString, OsString>,
    user: Option<String>,
    stdin: Stdin,
    grace: Duration,
}

impl<'a> Launch<'a> {
    pub fn new(function: &str, name: Option<String>, command: Command, opts: &'a Opts) -> Fallible<Self> {
        let rt = rt();
        let cwd = opts.string("cwd")?.map_or_else(|| rt.cwd(), |path| rt.path(&path));
        let mut env = if opts.bool("clear_env")?.unwrap_or(false) { BTreeMap::new() } else { rt.env() };
        // A program that buffers its log looks dead to every wait for a line.
        env.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
        for (key, value) in opts.map("env")?.unwrap_or_default() {
            if key.is_empty() || key.contains('=') {
                return Err(ScriptError::usage(format!(
                    "{function}: option `env`: `{key}` is no variable name"
                ))
                .into());
            }
            if value.is_unit() {
                env.remove(&OsString::from(key.as_str()));
            } else {
                let text = value::word(&value, &format!("{function}: option `env`: `{key}`"))?;
                env.insert(key.as_str().into(), text.into());
            }
        }
        Ok(Self {
            function: function.to_owned(),
            name,
            command,
            cwd,
            env,
            user: opts.string("user")?,
            stdin: stdin(function, opts)?,
            grace: opts.duration("grace")?.unwrap_or(rt.options.grace),
            opts,
        })
    }

    /// A foreground command.
    pub fn command_spec(self) -> Spec {
        Spec {
            name: self.command.program_name(),
            command: self.command,
            cwd: self.cwd,
            env: self.env,
            user: self.user,
            port: None,
            stdin: self.stdin,
            output: Output::Captured,
            stop_signal: SIGTERM,
            grace: self.grace,
            expect: Expect::AnyEnd,
        }
    }

    /// A background job.
    fn job_spec(self) -> Fallible<Spec> {
        let rt = rt();
        let function = self.function.as_str();
        let wanted = match (self.name, self.opts.string("name")?) {
            (Some(name), _) | (None, Some(name)) => {
                check_name(function, &name)?;
                name
            }
            (None, None) => self.command.program_name(),
        };
        let name = rt.jobs.unique_name(&wanted);
        let mut env = self.env;
        let port = match self.opts.get("port") {
            Some(value) if value.clone().into_string().is_ok_and(|text| text == "free") => {
                Some(super::owner::take(function)?)
            }
            Some(_) => self.opts.port("port")?,
            None => None,
        };
        if let Some(port) = port {
            env.insert("PORT".into(), port.to_string().into());
        }
        let stop_signal = match self.opts.get("stop_signal") {
            Some(value) => signal_number(&format!("{function}: option `stop_signal`"), value)?,
            None => SIGTERM,
        };
        let log = self.opts.string("log")?.map_or_else(|| rt.jobs.log_path(&name), |path| rt.path(&path));
        Ok(Spec {
            output: Output::Log(log),
            command: self.command,
            cwd: self.cwd,
            env,
            user: self.user,
            port,
            stdin: self.stdin,
            stop_signal,
            grace: self.grace,
            expect: expectation(function, self.opts)?,
            name,
        })
    }
}

const SIGTERM: i32 = 15;

fn check_name(function: &str, name: &str) -> Fallible<()> {
    if !name.is_empty() && name.chars().all(spec::is_name_char) {
        return Ok(());
    }
    Err(ScriptError::usage(format!("{function}: {name:?} is no job name"))
        .note("a name has letters, digits, `_`, `.` and `-`; a command with arguments is one string, or an array")
        .into())
}

fn stdin(function: &str, opts: &Opts) -> Fallible<Stdin> {
    let Some(value) = opts.get("stdin") else { return Ok(Stdin::Null) };
    if let Some(map) = value.read_lock::<Map>()
        && map.len() == 1
        && let Some(text) = map.get("text")
    {
        return Ok(Stdin::Text(value::word(text, &format!("{function}: option `stdin`"))?));
    }
    match value.clone().into_string().as_deref() {
        Ok("null") => Ok(Stdin::Null),
        Ok("pipe") => Ok(Stdin::Pipe),
        _ => {
            let shown = value::show(value);
            Err(ScriptError::usage(format!(
                "{function}: option `stdin`: {shown} is not \"null\", \"pipe\" or #{{text: \"…\"}}"
            ))
            .into())
        }
    }
}

fn expectation(function: &str, opts: &Opts) -> Fallible<Expect> {
    let Some(value) = opts.get("expect_exit") else { return Ok(Expect::Running) };
    if let Ok(any) = value.as_bool() {
        return Ok(if any { Expect::AnyEnd } else { Expect::Running });
    }
    let code = |value: &Dynamic| value.as_int().ok().and_then(|code| i32::try_from(code).ok());
    let codes = match (code(value), value.read_lock::<Array>()) {
        (Some(code), _) => Some(vec![code]),
        (None, Some(list)) => list.iter().map(code).collect(),
        (None, None) => None,
    };
    codes.map(Expect::Codes).ok_or_else(|| {
        let shown = value::show(value);
        ScriptError::usage(format!(
            "{function}: option `expect_exit`: {shown} is not true, a code or an array of codes"
        ))
        .into()
    })
}

/// What could not be started and why, with the exit code that shells give it. `named`: the name and command
/// when both were given, for those who wrote `spawn("python3", ["app.py"])`.
pub fn spawn_error(
    function: &str,
    error: &SpawnError,
    named: Option<(&str, &Command)>,
) -> Box<rhai::EvalAltResult> {
    let failed = |message: String, code: i32| {
        ScriptError::new(ErrorKind::CommandFailed, format!("{function}: {message}"))
            .exit(code)
            .fact("code", i64::from(code))
    };
    let mut result = match error {
        SpawnError::NotFound { program, .. } if program.trim().contains(char::is_whitespace) => {
            let words: Vec<String> = program.split_whitespace().map(|word| format!("{word:?}")).collect();
            failed(format!("there is no program `{program}`"), exit::NOT_FOUND)
                .note("the first word of an array is the program, alone")
                .hint(format!("{program:?}   (a string, for the shell), or [{}]", words.join(", ")))
        }
        SpawnError::NotFound { program, path: Some(path) } => {
            failed(format!("program `{program}` not found"), exit::NOT_FOUND).note(format!("PATH is {path}"))
        }
        SpawnError::NotFound { program, path: None } => {
            failed(format!("there is no program `{program}`"), exit::NOT_FOUND)
        }
        SpawnError::NoInterpreter { program, interpreter } => failed(
            format!("`{program}` is there, but its interpreter `{interpreter}` (in its first line) is not"),
            exit::NOT_FOUND,
        ),
        SpawnError::NotExecutable { program, reason } => {
            failed(format!("`{program}` cannot be executed: {reason}"), exit::NOT_EXECUTABLE)
        }
        SpawnError::Cwd { cwd, reason } => {
            let missing = !cwd.exists();
            let code = if missing { exit::NOT_FOUND } else { exit::NOT_EXECUTABLE };
            let message = format!("the directory `{}` (cwd) cannot be entered: {reason}", cwd.display());
            match std::fs::read_dir(cwd) {
                // We could, so it is the other user who may not.
                Ok(_) => {
                    failed(format!("{message} for the user of the option `user`"), code).hint("cwd: \"/\"")
                }
                Err(_) => failed(message, code),
            }
        }
        SpawnError::User { user, reason } => {
            failed(format!("cannot become user `{user}`: {reason}"), exit::NOT_EXECUTABLE)
        }
        SpawnError::Log { path, reason } => {
            ScriptError::io(format!("{function}: cannot write the log `{}`: {reason}", path.display()))
        }
        SpawnError::Nul { what } => ScriptError::usage(format!("{function}: {what} contains a NUL byte")),
        SpawnError::Os { what, reason } => {
            ScriptError::io(format!("{function}: cannot make {what}: {reason}")).exit(exit::SURROUNDINGS)
        }
        SpawnError::Stopping => return error::terminated(),
    };
    if let (Some((name, command)), SpawnError::NotFound { .. } | SpawnError::NotExecutable { .. }) =
        (named, error)
    {
        let rt = rt();
        let env = rt.env();
        let path = env.get(std::ffi::OsStr::new("PATH")).map(OsString::as_os_str);
        if spec::find_program(name, &rt.cwd(), path).is_some() {
            let mut words = vec![name.to_owned()];
            words.extend(words_of(command));
            result = result.hint(format!(
                "{}   (an array: `{name}` was taken for the job's name)",
                value::array_form(function, &words)
            ));
        }
    }
    result.into()
}
