//! Jobs: `spawn`, `start`, and what a job can be asked and told.

use crate::host::run::job::{
    address_of, by_name, listening_ports_now, millis, port_of, stop_all, stop_one, view,
};
use crate::host::run::options::{Common, JobOptions, WaitExit};
use crate::host::run::ready::starting;
use crate::host::run::runtime::rt;
use crate::host::run::services::{self, Services};
use crate::host::run::start::{launch, restart, with_options_or_name};
use crate::host::run::waiting::wait_for_end;
use crate::host::value;
use crate::host::value::describe::{function, properties};
use crate::host::value::described::{Entry, Property};
use crate::host::value::error::{Fallible, Kind, ScriptError, stopped_in};
use crate::host::value::handle::Job;
use crate::host::value::kinds::Signal;
use crate::host::value::outcome::{Outcome, signal_of};
use crate::jobs::spec::{Command, Expect};
use crate::jobs::{self, Ask, Sent, State, UNREAD, strand, text};
use crate::lock::lock;
use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, Map};
use std::time::Duration;

pub const PROPERTIES: &[&[Property]] = &[OF_JOB];

pub const FUNCTIONS: &[Entry] = &[
    SPAWN,
    START_SERVICES,
    START,
    ADDRESSES,
    KILL_ALL,
    JOBS,
    JOB,
    TAIL,
    LINES,
    WAIT,
    STOP,
    KILL,
    SIGNAL,
    PAUSE,
    RESUME,
    RESTART,
    SEND,
    CLOSE_STDIN,
    EXPECT_EXIT,
];

function! {
    /// Starts a background job and returns it at once, without waiting until it is ready.
    ///
    /// A string is run by `/bin/sh -c`, an array is executed directly. Its output goes to its log. It is
    /// stopped at the end of the run, however that ends. Throws `command_failed` when it cannot be executed
    /// (exit code 127 not found, 126 not executable). `ready` and what is said about it are for `wait_ready`.
    ///
    /// With `pty` the terminal is also its controlling one, in a session of its own. All that it prints is in its log,
    /// where lines end as it has ended them; what is typed (`.send(text)`, `stdin: #{text}` followed by Ctrl-D) is
    /// echoed there, unless the program turns that off. As at any terminal, what it leaves in its foreground gets HUP
    /// when its first process ends. Interactive shells ignore TERM: `stop_signal: "HUP"`.
    ///
    /// With `kill_mode: "mixed"` the stop signal goes to its first process alone, which is to tell the others, as gunicorn,
    /// celery and npm do: each gets one signal then, not two. What is left when that process has ended, or at the end of
    /// the grace period, gets SIGKILL. A shell tells nobody: `exec` the server there, or start it by an array.
    ///
    /// `stop_cmd` is run with the job's environment, directory and user; what it prints goes to the job's log. The grace period runs from its start. When it fails, the job gets its stop
    /// signal at once, with a warning; when it has ended well and the job still runs after half of the grace period,
    /// too; SIGKILL at the end of the grace period, as always. It is also run at the end of the run and when that is
    /// interrupted, but not by `.kill()`, nor when bgjobs itself was killed: then there are only signals.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// let db = spawn(["sleep", "60"], #{name: "db", grace: "1s"});
    /// ```
    SPAWN = "spawn" -> Job, throws command_failed port_taken io {
        (cmd: Command; JobOptions);
        /// With the name of the job first.
        ///
        /// ```rhai
        /// let api = spawn("api", "sleep 60", #{env: #{MODE: "test"}});
        /// ```
        (name: String, cmd: Command; JobOptions);
    }
}

function! {
    /// Starts a list of services, in parallel and in the order of their `needs`, waits until each is ready,
    /// and returns a map of the jobs by name. Each is a map with `name`, `cmd`, `needs` (an array of names)
    /// and the options of `spawn`. `needs` may also name a job that runs already, such as `redis` after `redis::start()`
    /// of `std/redis`.
    ///
    /// A service finds `<NAME>_URL`, `<NAME>_PORT` and `<NAME>_HOST` of those that it needs in its environment. In its
    /// options (`env`, `cwd`, `ready` …) and in the words of a command that is an array, `$API_URL` and `${API_URL}` are
    /// replaced; in a command that is a string, the shell does that. No other names are touched: `$HOME` stays, and
    /// `$$API_URL` is the text `$API_URL`. One that is of no service which it needs is an error before anything starts.
    /// The URL begins with `http`, but for servers that are known by their program to speak otherwise, such as
    /// `redis://127.0.0.1:6379` of redis-server; a password is not in it. Of the ports that have a name there are also
    /// `<NAME>_PEER_PORT` and `<NAME>_PEER_URL`. Its own ports a service names by `$PORT` and `$PORT_PEER`.
    ///
    /// With `count: 3` there are `NAME-1` to `NAME-3`, which know the addresses of all three from the start; `needs: ["NAME"]` means
    /// all of them, and finds `<NAME>_1_URL` and so on.
    ///
    /// ```rhai
    /// let s = start([
    ///     #{name: "db", cmd: "python3 -m http.server $PORT", port: "free", ready: "/"},
    ///     #{name: "api", cmd: "echo $DB; exec sleep 60", env: #{DB: "$DB_URL/x"}, ready: #{log: "/x"}, needs: ["db"]},
    /// ]);
    /// assert_eq(s.api.output.trim(), s.db.url + "/x");
    /// ```
    START_SERVICES = "start" -> Map, throws timeout job_died port_taken command_failed {
        (services: Services);
    }
}

function! {
    /// Starts a job and waits until its `ready` holds; needs the option `ready`.
    ///
    /// `ready` is a port, a URL, a path on the job's own URL, a map such as `#{log: regex}` or `#{listening: true}`, a
    /// closure, or an array of these. All of them must hold at the same time. What `wait_http` takes goes beside `http`.
    /// A path is one on its own `port`, on whichever of 127.0.0.1 and ::1 it listens: `"/health"`, or `"https:/health"` for TLS.
    /// With `expect_exit` and no `ready` it is a task: ready when it has ended.
    ///
    /// ```rhai
    /// let job = start("echo listening; sleep 60", #{ready: #{log: "listening"}});
    /// ```
    START = "start" -> Job, throws timeout job_died port_taken command_failed {
        (cmd: Command; JobOptions);
        /// With the name of the job first.
        ///
        /// ```rhai
        /// let job = start("api", ["sh", "-c", "echo up; sleep 60"], #{ready: #{log: "up"}});
        /// ```
        (name: String, cmd: Command; JobOptions);
    }
}

function! {
    /// Where the jobs are that run and have a port, for the environment of tests: a map of `<NAME>_URL`, `<NAME>_PORT` and
    /// `<NAME>_HOST`, as a service finds those of what it `needs`.
    ///
    /// ```rhai
    /// start("api", "exec python3 -m http.server $PORT --bind 127.0.0.1", #{port: "free", ready: "/"});
    /// run("curl -sf -o /dev/null $API_URL", #{env: addresses()});
    /// ```
    ADDRESSES = "addresses" -> Map {
        () => addresses;
    }
}

fn addresses(_: &NativeCallContext) -> Fallible<Map> {
    rt().checkpoint()?;
    let all = services::all_addresses().into_iter();
    Ok(all.map(|(name, value)| (name.into(), value.into())).collect())
}

pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Job>("Job");
    engine.register_global_module(rhai::exported_module!(functions).into());
}

function! {
    /// Stops every job, in the order in which the end of a run stops them, and returns when all are gone. A job stops
    /// before what it `needs`, and before what had become ready when it was started; what is neither stops at the same time.
    /// Each has its own grace period; all together take at most twice the longest.
    ///
    /// ```rhai
    /// kill_all();
    /// ```
    KILL_ALL = "kill_all" -> () {
        () => |_| stop_all(None);
        /// As `kill_all()`, with one grace period for all.
        ///
        /// ```rhai
        /// kill_all("500ms");
        /// ```
        (grace: Duration) => |_| stop_all(Some(grace));
    }
}

function! {
    /// The jobs of this run, in the order in which they were started, ended ones included.
    ///
    /// ```rhai
    /// for job in jobs() { print(job.name); }
    /// ```
    JOBS = "jobs" -> Array {
        () => |_| Ok(rt().jobs.list().into_iter().map(|job| Dynamic::from(Job(job))).collect());
    }
}

function! {
    /// The job of this name; the latest when there were several. Throws `usage` when there is none.
    ///
    /// ```rhai
    /// spawn("api", "sleep 60");
    /// job("api").stop();
    /// ```
    JOB = "job" -> Job {
        (name: String) => |_| by_name(&name);
    }
}

function! {
    /// The last `n` lines of its log, as a string: as a terminal would show them, without colour codes, of a progress
    /// bar the last state; what is no UTF-8 is U+FFFD.
    ///
    /// ```rhai
    /// let job = spawn("echo one; echo two; sleep 60");
    /// job.wait_log("two");
    /// assert_eq(job.tail(1), "two");
    /// ```
    TAIL = "tail" -> String {
        (job: Job, n: i64) => tail;
    }
}

function! {
    /// The lines of its log, as an array of strings, each as in `.tail(n)`.
    ///
    /// ```rhai
    /// let job = spawn("echo one; echo two; sleep 60");
    /// job.wait_log("two");
    /// assert_eq(job.lines().len(), 2);
    /// ```
    LINES = "lines" -> Array {
        (job: Job) => lines;
    }
}

function! {
    /// Waits until it ends, without limit, and returns its `Result`. Its end is expected then, whatever its
    /// code.
    ///
    /// ```rhai
    /// let result = spawn("exit 3").wait();
    /// assert_eq(result.code, 3);
    /// ```
    WAIT = "wait" -> Outcome {
        (job: Job) => |_| wait_for_end("wait", &job, &Common::default(), Duration::ZERO);
        /// As `wait()`, but throws `timeout` after this time.
        ///
        /// ```rhai
        /// spawn("true").wait("10s");
        /// ```
        (job: Job; WaitExit) => wait_within;
    }
}

function! {
    /// Stops it gracefully: its stop signal to the whole tree, SIGKILL after its grace period. Returns when
    /// nothing of it is left.
    ///
    /// ```rhai
    /// spawn("sleep 60").stop();
    /// ```
    STOP = "stop" -> () {
        (job: Job) => |_| stop_one(&job, Ask::default());
        /// As `stop()`, with another grace period.
        ///
        /// ```rhai
        /// spawn("sleep 60").stop("100ms");
        /// ```
        (job: Job, grace: Duration) => stop_within;
    }
}

function! {
    /// Kills its whole tree with SIGKILL; returns when nothing of it is left. That it ends is expected then, unless it
    /// had died before.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.kill();
    /// assert_eq(job.signal, "KILL");
    /// ```
    KILL = "kill" -> () {
        (job: Job) => kill;
    }
}

function! {
    /// Sends a signal to its first process: `"HUP"`, `"SIGHUP"` or a number. An end because of it is
    /// expected, but not one before it.
    ///
    /// ```rhai
    /// spawn("sleep 60").signal("TERM");
    /// ```
    SIGNAL = "signal" -> () {
        (job: Job, signal: Signal) => send_signal;
    }
}

function! {
    /// Suspends all its processes (SIGSTOP).
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.pause();
    /// job.resume();
    /// ```
    PAUSE = "pause" -> () {
        (job: Job) => pause;
    }
}

function! {
    /// Continues what `pause` suspended.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.pause();
    /// job.resume();
    /// ```
    RESUME = "resume" -> () {
        (job: Job) => resume;
    }
}

function! {
    /// Stops it if it runs and starts it again, with the same name, options, port and log; returns when `ready` holds
    /// again, at once if it has none. Whether its end was expected before is forgotten. Throws `job_died`, and leaves it stopped, when it has failed (`fail_on`) or had
    /// died before it was stopped, and the script does not know that yet.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.restart();
    /// assert(job.running);
    /// ```
    RESTART = "restart" -> () {
        (job: Job) => |ctx| restart(ctx, &job, &Common::default());
    }
}

function! {
    /// Writes a text to its stdin; needs `stdin: "pipe"`, or `pty: true`: then it is typed, and `"\x03"` is Ctrl-C.
    /// Throws `io` when nobody reads it any more, and `timeout` when it has read nothing for 30 s while there was no room
    /// for more. What several closures of `parallel` send comes one after the other.
    ///
    /// ```rhai
    /// let cat = spawn("cat", #{stdin: "pipe"});
    /// cat.send("hello\n");
    /// cat.wait_log("hello");
    ///
    /// let terminal = spawn("read name; echo hello $name", #{pty: true});
    /// terminal.send("world\n");
    /// terminal.wait_log("hello world");
    /// ```
    SEND = "send" -> () {
        (job: Job, text: String) => send;
    }
}

function! {
    /// Closes its stdin: it reads end of file. With `pty` that is typed (Ctrl-D), and more can be typed later.
    ///
    /// ```rhai
    /// let cat = spawn("cat", #{stdin: "pipe"});
    /// cat.close_stdin();
    /// cat.wait();
    /// ```
    CLOSE_STDIN = "close_stdin" -> () {
        (job: Job) => close_stdin;
    }
}

function! {
    /// From now on its end is not a failure, whatever its code.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.expect_exit();
    /// run(`kill -9 ${job.pid}`);
    /// ```
    EXPECT_EXIT = "expect_exit" -> () {
        (job: Job) => |_| { rt().jobs.expect(job.0.id, Expect::AnyEnd); Ok(()) };
    }
}

properties! {
    OF_JOB of Job {
        /// Its name: what messages and its log are called after.
        name: String => |job| Ok(job.0.spec.name.clone());
        /// The process id of its first process.
        pid: i64 => |job| Ok(view(job).map_or(0, |view| i64::from(view.pid)));
        /// Whether it runs; a job that went to the background does.
        running: bool => |job| Ok(view(job).is_some_and(|view| !matches!(view.state, State::Ended(_))));
        /// Its exit code, 128 + n after signal n; `()` while it runs.
        code: Dynamic => |job| code_of_job(job);
        /// The signal that ended it, such as `"KILL"`; `()` when none did.
        signal: Dynamic => |job| signal_of_job(job);
        /// How long it has run, in milliseconds; until its end if it has ended.
        uptime_ms: i64 => |job| Ok(view(job).map_or(0, |view| millis(view.ended.unwrap_or_else(jobs::now).saturating_sub(view.started))));
        /// The path of its log file, stdout and stderr together.
        log_path: String => |job| Ok(job.0.log.as_ref().map_or_else(String::new, |path| path.display().to_string()));
        /// Its whole log as a string, with colour codes and carriage returns; what is no UTF-8 is U+FFFD. When its beginning
        /// was dropped (`max_log`), the first line says so.
        output: String => |job| output_of_job(job);
        /// Its port: the one it was given, or the first that it listens on; `()` when there is none.
        port: Dynamic => |job| Ok(port_of(job).map_or(Dynamic::UNIT, |port| i64::from(port).into()));
        /// The TCP ports that it listens on now, ascending.
        ports: Array => |job| Ok(listening_ports_now(job).into_iter().map(|port| i64::from(port).into()).collect());
        /// The ports that its option `ports` gave it, as a map by name.
        ///
        /// ```rhai
        /// let job = spawn("sleep 60", #{ports: #{http: "free", peer: "free"}});
        /// assert_eq(job.ports_by_name.http, job.port);
        /// assert_ne(job.ports_by_name.peer, job.port);
        /// ```
        ports_by_name: Map => |job| Ok(ports_by_name_of_job(job));
        /// `http://127.0.0.1:PORT` with its `.port`, `smtp://` of `mock_smtp`; `http://[::1]:PORT` when it is only there that it answers, and `https`
        /// when that was how it became ready. Throws `usage` when it has none.
        url: String => |job| url_of_job(job);
        /// Where it is to be found, as its `ready` names it: `http://localhost:3000` when that is a URL, the URL of the port when
        /// it is one; else its `.url`, or that of the port which it listens on alone; `()` without any.
        address: Dynamic => |job| Ok(address_of(job).map_or(Dynamic::UNIT, Dynamic::from));
        /// Its living processes besides the first, as maps `#{pid, name, cmd}`.
        descendants: Array => |job| descendants_of_job(job);
        /// The memory that all its processes have resident now, in bytes; 0 when it has ended. What processes share (a
        /// library, the pages of a parent) counts in each of them.
        ///
        /// ```rhai
        /// let job = spawn("sleep 60");
        /// assert(job.rss < 100_000_000, "it takes too much memory");
        /// ```
        rss: i64 => |job| Ok(i64::try_from(rt().jobs.usage(job.0.id).rss).unwrap_or(i64::MAX));
        /// The processor time that its processes have used since its start, user and system together, in milliseconds
        /// (in steps of usually 10 ms while it runs). Of processes that have ended those count for whom another process
        /// of the job has waited, as a shell does. It stays after the end; `.restart()` begins at 0.
        ///
        /// ```rhai
        /// let job = spawn("sleep 60");
        /// assert(job.cpu_ms < 1000, "it is busy although nobody asks it");
        /// ```
        cpu_ms: i64 => |job| Ok(millis(rt().jobs.usage(job.0.id).cpu));
    }
}

#[export_module]
mod functions {
    /// Described by `SPAWN`, with its errors.
    #[rhai_fn(name = "spawn", return_raw)]
    pub fn spawn(cmd: Dynamic) -> Fallible<Job> {
        launch("spawn", None, &cmd, &Dynamic::UNIT)
    }

    /// Described by `SPAWN`, with its errors.
    #[rhai_fn(name = "spawn", return_raw)]
    pub fn spawn_with(cmd_or_name: Dynamic, cmd_or_opts: Dynamic) -> Fallible<Job> {
        with_options_or_name("spawn", &cmd_or_name, &cmd_or_opts)
    }

    /// Described by `SPAWN`, with its errors.
    #[rhai_fn(name = "spawn", return_raw)]
    pub fn spawn_named(name: &str, cmd: Dynamic, opts: Dynamic) -> Fallible<Job> {
        launch("spawn", Some(name), &cmd, &opts)
    }

    /// Described by `START_SERVICES`, with its errors.
    #[rhai_fn(name = "start", return_raw)]
    pub fn start_services(ctx: NativeCallContext, services: Array) -> Fallible<Map> {
        services::start(&ctx, &services).map_err(|error| stopped_in(error, "start", &ctx))
    }

    /// Described by `START`; an error that says what is missing.
    #[rhai_fn(name = "start", return_raw)]
    pub fn start_without_options(cmd: &str) -> Fallible<Job> {
        launch("start", None, &cmd.into(), &Dynamic::UNIT)
    }

    /// Described by `START`, with its errors.
    #[rhai_fn(name = "start", return_raw)]
    pub fn start(ctx: NativeCallContext, cmd_or_name: Dynamic, cmd_or_opts: Dynamic) -> Fallible<Job> {
        let job = with_options_or_name("start", &cmd_or_name, &cmd_or_opts)?;
        starting::started(&ctx, job).map_err(|error| stopped_in(error, "start", &ctx))
    }

    /// Described by `START`, with its errors.
    #[rhai_fn(name = "start", return_raw)]
    pub fn start_named(ctx: NativeCallContext, name: &str, cmd: Dynamic, opts: Dynamic) -> Fallible<Job> {
        let job = launch("start", Some(name), &cmd, &opts)?;
        starting::started(&ctx, job).map_err(|error| stopped_in(error, "start", &ctx))
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

fn tail(_: &NativeCallContext, job: Job, n: i64) -> Fallible<String> {
    let count = usize::try_from(n).unwrap_or(0);
    rt().jobs.warn_of_log(&job.0);
    Ok(job.0.log_tail(count).join("\n"))
}

fn lines(_: &NativeCallContext, job: Job) -> Fallible<Array> {
    rt().jobs.warn_of_log(&job.0);
    let text = job.0.log_text();
    Ok(text::lines(text.as_bytes()).map(Dynamic::from).collect())
}

fn wait_within(_: &NativeCallContext, job: Job, opts: WaitExit) -> Fallible<Outcome> {
    wait_for_end("wait", &job, &opts.into(), Duration::ZERO)
}

fn stop_within(_: &NativeCallContext, job: Job, grace: Duration) -> Fallible<()> {
    stop_one(&job, Ask { grace: Some(grace), ..Ask::default() })
}

fn kill(_: &NativeCallContext, job: Job) -> Fallible<()> {
    let kill = jobs::signal_number("KILL");
    stop_one(&job, Ask { signal: kill, grace: Some(Duration::ZERO), ..Ask::default() })
}

fn send_signal(_: &NativeCallContext, job: Job, signal: Signal) -> Fallible<()> {
    rt().checkpoint()?;
    rt().jobs.signal(job.0.id, signal.0);
    Ok(())
}

fn pause(_: &NativeCallContext, job: Job) -> Fallible<()> {
    rt().checkpoint()?;
    rt().jobs.pause(job.0.id, true);
    Ok(())
}

fn resume(_: &NativeCallContext, job: Job) -> Fallible<()> {
    rt().checkpoint()?;
    rt().jobs.pause(job.0.id, false);
    Ok(())
}

fn send(_: &NativeCallContext, job: Job, text: String) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    let name = &job.0.spec.name;
    let send = || rt.jobs.send(job.0.id, text.as_bytes(), &|| rt.control().halted());
    match strand::aside(send) {
        Ok(Sent::All) => Ok(()),
        Ok(Sent::Gone) => {
            rt.checkpoint()?;
            Err(ScriptError::io(format!("send: job `{name}` does not read its stdin any more")).into())
        }
        Ok(Sent::Stalled) => {
            rt.checkpoint()?;
            let unread = value::show_duration(UNREAD);
            let message = format!("send: job `{name}` has read nothing of its stdin for {unread}");
            Err(ScriptError::new(Kind::Timeout, message).log_of(&job.0).into())
        }
        Err(_) => Err(ScriptError::usage(format!("send: the stdin of job `{name}` is not an open pipe"))
            .hint("stdin: \"pipe\"   (in its options)")
            .into()),
    }
}

fn close_stdin(_: &NativeCallContext, job: Job) -> Fallible<()> {
    let rt = rt();
    strand::aside(|| rt.jobs.close_stdin(job.0.id, &|| rt.control().halted()));
    Ok(())
}

fn code_of_job(job: &mut Job) -> Fallible<Dynamic> {
    Ok(match view(job).map(|view| view.state) {
        Some(State::Ended(status)) => i64::from(status.code()).into(),
        _ => Dynamic::UNIT,
    })
}

fn signal_of_job(job: &mut Job) -> Fallible<Dynamic> {
    Ok(match view(job).map(|view| view.state) {
        Some(State::Ended(status)) => signal_of(status).map_or(Dynamic::UNIT, Dynamic::from),
        _ => Dynamic::UNIT,
    })
}

fn output_of_job(job: &mut Job) -> Fallible<String> {
    rt().jobs.warn_of_log(&job.0);
    Ok(job.0.log_text())
}

fn ports_by_name_of_job(job: &Job) -> Map {
    let ports = job.0.spec.ports.iter();
    ports.map(|(name, number)| (name.as_str().into(), i64::from(*number).into())).collect()
}

fn url_of_job(job: &mut Job) -> Fallible<String> {
    match port_of(job) {
        Some(port) => Ok(match lock(&rt().mocks).get(&job.0.id) {
            Some(scheme) if *scheme != "http" => format!("{scheme}://127.0.0.1:{port}"),
            _ => rt().url(port),
        }),
        None => Err(ScriptError::usage(format!("job `{}` has no port", job.0.spec.name))
            .hint("port: \"free\"   (in its options; the job finds the number in PORT)")
            .into()),
    }
}

fn descendants_of_job(job: &mut Job) -> Fallible<Array> {
    let leader = view(job).map(|view| view.pid);
    let processes = rt().jobs.processes(job.0.id);
    let describe = |pid: i32| {
        Map::from([
            ("pid".into(), i64::from(pid).into()),
            ("name".into(), jobs::process_name(pid).into()),
            ("cmd".into(), jobs::process_command(pid).into()),
        ])
    };
    Ok(processes
        .iter()
        .filter(|stat| Some(stat.pid) != leader)
        .map(|stat| describe(stat.pid).into())
        .collect())
}
