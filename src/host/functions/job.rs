//! Jobs: `spawn`, `start`, and what a job can be asked and told.

use crate::host::run::job::{
    address_of, by_name, listening_ports, millis, port_of, stop_all, stop_one, view,
};
use crate::host::run::options::{Common, JobOptions, WaitExit};
use crate::host::run::ready::starting;
use crate::host::run::runtime::rt;
use crate::host::run::services::{self, Services};
use crate::host::run::start::{launch, restart, with_options_or_name};
use crate::host::run::waiting::wait_for_end;
use crate::host::value::describe::function;
use crate::host::value::described::{Entry, FromOpts};
use crate::host::value::error::{Fallible, Kind, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::kinds::signal_number;
use crate::host::value::outcome::{Outcome, signal_of};
use crate::host::value::{self, Opts};
use crate::jobs::spec::{Command, Expect};
use crate::jobs::{self, Ask, Sent, State, UNREAD, strand, text};
use crate::lock::lock;
use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, Map};
use std::time::Duration;

pub const FUNCTIONS: &[Entry] = &[SPAWN, START_SERVICES, START, ADDRESSES];

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
        services::start(&ctx, &services)
    }

    /// Described by `START`; an error that says what is missing.
    #[rhai_fn(name = "start", return_raw)]
    pub fn start_without_options(cmd: &str) -> Fallible<Job> {
        launch("start", None, &cmd.into(), &Dynamic::UNIT)
    }

    /// Described by `START`, with its errors.
    #[rhai_fn(name = "start", return_raw)]
    pub fn start(ctx: NativeCallContext, cmd_or_name: Dynamic, cmd_or_opts: Dynamic) -> Fallible<Job> {
        starting::started(&ctx, with_options_or_name("start", &cmd_or_name, &cmd_or_opts)?)
    }

    /// Described by `START`, with its errors.
    #[rhai_fn(name = "start", return_raw)]
    pub fn start_named(ctx: NativeCallContext, name: &str, cmd: Dynamic, opts: Dynamic) -> Fallible<Job> {
        starting::started(&ctx, launch("start", Some(name), &cmd, &opts)?)
    }

    /// Stops every job, in the order in which the end of a run stops them, and returns when all are gone. A job stops
    /// before what it `needs`, and before what had become ready when it was started; what is neither stops at the same time.
    /// Each has its own grace period; all together take at most twice the longest.
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

    /// Its name: what messages and its log are called after.
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

    /// Its whole log as a string, with colour codes and carriage returns; what is no UTF-8 is U+FFFD. When its beginning
    /// was dropped (`max_log`), the first line says so.
    #[rhai_fn(get = "output", pure)]
    pub fn output(job: &mut Job) -> String {
        rt().jobs.warn_of_log(&job.0);
        job.0.log_text()
    }

    /// The last `n` lines of its log, as a string: as a terminal would show them, without colour codes, of a progress
    /// bar the last state; what is no UTF-8 is U+FFFD.
    ///
    /// ```rhai
    /// let job = spawn("echo one; echo two; sleep 60");
    /// job.wait_log("two");
    /// assert_eq(job.tail(1), "two");
    /// ```
    #[rhai_fn(name = "tail", pure)]
    pub fn tail(job: &mut Job, n: i64) -> String {
        let count = usize::try_from(n).unwrap_or(0);
        rt().jobs.warn_of_log(&job.0);
        job.0.log_tail(count).join("\n")
    }

    /// The lines of its log, as an array of strings, each as in `.tail(n)`.
    ///
    /// ```rhai
    /// let job = spawn("echo one; echo two; sleep 60");
    /// job.wait_log("two");
    /// assert_eq(job.lines().len(), 2);
    /// ```
    #[rhai_fn(name = "lines", pure)]
    pub fn lines(job: &mut Job) -> Array {
        rt().jobs.warn_of_log(&job.0);
        let text = job.0.log_text();
        text::lines(text.as_bytes()).map(Dynamic::from).collect()
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

    /// The ports that its option `ports` gave it, as a map by name.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60", #{ports: #{http: "free", peer: "free"}});
    /// assert_eq(job.ports_by_name.http, job.port);
    /// assert_ne(job.ports_by_name.peer, job.port);
    /// ```
    #[rhai_fn(get = "ports_by_name", pure)]
    pub fn ports_by_name(job: &mut Job) -> Map {
        let ports = job.0.spec.ports.iter();
        ports.map(|(name, number)| (name.as_str().into(), i64::from(*number).into())).collect()
    }

    /// `http://127.0.0.1:PORT` with its `.port`, `smtp://` of `mock_smtp`; `http://[::1]:PORT` when it is only there that it answers, and `https`
    /// when that was how it became ready. Throws `usage` when it has none.
    #[rhai_fn(get = "url", pure, return_raw)]
    pub fn url(job: &mut Job) -> Fallible<String> {
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

    /// Where it is to be found, as its `ready` names it: `http://localhost:3000` when that is a URL, the URL of the port when
    /// it is one; else its `.url`, or that of the port which it listens on alone; `()` without any.
    #[rhai_fn(get = "address", pure)]
    pub fn address(job: &mut Job) -> Dynamic {
        address_of(job).map_or(Dynamic::UNIT, Dynamic::from)
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

    /// The memory that all its processes have resident now, in bytes; 0 when it has ended. What processes share (a
    /// library, the pages of a parent) counts in each of them.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// assert(job.rss < 100_000_000, "it takes too much memory");
    /// ```
    #[rhai_fn(get = "rss", pure)]
    pub fn rss(job: &mut Job) -> i64 {
        i64::try_from(rt().jobs.usage(job.0.id).rss).unwrap_or(i64::MAX)
    }

    /// The processor time that its processes have used since its start, user and system together, in milliseconds
    /// (in steps of usually 10 ms while it runs). Of processes that have ended those count for whom another process
    /// of the job has waited, as a shell does. It stays after the end; `.restart()` begins at 0.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// assert(job.cpu_ms < 1000, "it is busy although nobody asks it");
    /// ```
    #[rhai_fn(get = "cpu_ms", pure)]
    pub fn cpu_ms(job: &mut Job) -> i64 {
        millis(rt().jobs.usage(job.0.id).cpu)
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
        wait_for_end("wait", job, &Common::default(), Duration::ZERO)
    }

    /// As `wait()`, but throws `timeout` after this time.
    ///
    /// ```rhai
    /// spawn("true").wait("10s");
    /// ```
    #[rhai_fn(name = "wait", pure, return_raw)]
    pub fn wait_within(job: &mut Job, timeout: Dynamic) -> Fallible<Outcome> {
        let opts = WaitExit::read(&Opts::described("wait", &timeout, WaitExit::OPTIONS)?)?;
        wait_for_end("wait", job, &opts.into(), Duration::ZERO)
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

    /// Kills its whole tree with SIGKILL; returns when nothing of it is left. That it ends is expected then, unless it
    /// had died before.
    ///
    /// ```rhai
    /// let job = spawn("sleep 60");
    /// job.kill();
    /// assert_eq(job.signal, "KILL");
    /// ```
    #[rhai_fn(name = "kill", pure, return_raw)]
    pub fn kill(job: &mut Job) -> Fallible<()> {
        let kill = jobs::signal_number("KILL");
        stop_one(job, Ask { signal: kill, grace: Some(Duration::ZERO), ..Ask::default() })
    }

    /// Sends a signal to its first process: `"HUP"`, `"SIGHUP"` or a number. An end because of it is
    /// expected, but not one before it.
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

    /// Stops it if it runs and starts it again, with the same name, options, port and log; returns when `ready` holds
    /// again, at once if it has none. Whether its end was expected before is forgotten. Throws `job_died`, and leaves it stopped, when it has failed (`fail_on`) or had
    /// died before it was stopped, and the script does not know that yet.
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
    #[rhai_fn(name = "send", pure, return_raw)]
    pub fn send(job: &mut Job, text: &str) -> Fallible<()> {
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

    /// Closes its stdin: it reads end of file. With `pty` that is typed (Ctrl-D), and more can be typed later.
    ///
    /// ```rhai
    /// let cat = spawn("cat", #{stdin: "pipe"});
    /// cat.close_stdin();
    /// cat.wait();
    /// ```
    #[rhai_fn(name = "close_stdin", pure)]
    pub fn close_stdin(job: &mut Job) {
        let rt = rt();
        strand::aside(|| rt.jobs.close_stdin(job.0.id, &|| rt.control().halted()));
    }

    /// From now on its end is not a failure, whatever its code.
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
