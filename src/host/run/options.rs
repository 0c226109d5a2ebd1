//! What commands, jobs and waits can be told, and how that is read.

use super::request::Answer;
use crate::api::Type;
use crate::host::value::describe::{options, words};
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::kinds::{
    self, Count, FromValue, MapOf, OneOrMore, Port, Signal, Size, Typed, Within, Word,
};
use crate::host::value::{self, Opts};
use crate::jobs::spec::{Command, Expect, KillMode, Stdin};
use regex::Regex;
use rhai::Dynamic;
use std::time::Duration;

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

/// How a wait is to be done, from the options of its function.
#[derive(Clone, Debug, Default)]
pub struct Common {
    pub timeout: Option<Duration>,
    pub interval: Option<Duration>,
    pub message: Option<String>,
    /// How long it must hold without a break.
    pub stable: Option<Duration>,
    /// What goes wrong is told to whoever waits, who is not the script.
    pub aside: bool,
}

impl Common {
    pub fn of(telling: Telling, timeout: Option<Duration>) -> Self {
        Self { timeout, interval: telling.interval, message: telling.message, ..Self::default() }
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

options! {
    /// Where and as whom a process runs.
    pub struct Surroundings {
        /// Its working directory.
        cwd: Option<String>, default "`cwd()`", also workdir working_dir working_directory directory dir path;
        /// Variables of its environment besides those of the run; `()` takes one away.
        env: Option<MapOf<Option<Word>>>, also environment environ envs vars;
        /// Gives it no other variables than those of `env`.
        clear_env: bool = false;
        /// Another user to run it as, by name or number; only root can.
        user: Option<String>;
    }
}

options! {
    /// What every process can be told.
    pub struct Process: Surroundings as surroundings {
        /// What it reads: `"null"`, nothing; `"pipe"`, what `job.send` writes; or a text.
        stdin: Option<Input>, default "`\"null\"`", also input;
        /// It has a terminal of 24 rows and 120 columns, which is its stdin, stdout and stderr.
        pty: bool = false, also tty terminal;
        /// How long it may take to end when it is asked to; then it gets SIGKILL.
        grace: Option<Duration>, default "`--grace`, or 5s",
            also stop_timeout stop_grace_period kill_timeout grace_period;
        /// How much memory it may use with all that it starts: beyond it the kernel kills them all. Needs a cgroup
        /// (version 2) with this controller; throws `io` where it cannot be enforced.
        max_memory: Option<Size>, also memory mem_limit memory_limit;
        /// How many processes and threads it may have, together: beyond it none can be started. Needs a cgroup, too.
        max_procs: Option<Count>, also pids_limit max_processes;
    }
}

options! {
    /// A text to read.
    struct Typing {
        /// What is to be read, and then its end.
        text: Option<Word>;
    }
}

options! {
    /// What a job can be told.
    pub struct JobOptions or timeout: Process as process, Telling as telling {
        /// What it is called in messages, and its log after it.
        name: Option<String>, default "that of its program";
        /// The port that it is to listen on, which it finds in `PORT`: a number, or `"free"` for any that is free. In the words of
        /// a command that is an array, and in its options, `$PORT` is replaced by it; `$$PORT` is the text `$PORT`.
        port: Option<OwnPort>;
        /// Several ports by name, such as `#{http: "free", peer: "free", metrics: 9100}`, which it finds in `PORT_PEER` and so
        /// on. `PORT` is the one called `main`, `http`, `https` or `client`, the only one, or the option `port` beside these.
        ports: Option<MapOf<OwnPort>>;
        /// Where its log is written: a path.
        log: Option<String>, default "in the directory of the run", also output logfile log_file stdout;
        /// What it gets when it is to stop.
        stop_signal: Signal = "TERM", also kill_signal signal;
        /// Who gets the stop signal: its whole group, or its first process alone, and what that leaves SIGKILL.
        kill_mode: Gets = "group";
        /// A command that is run instead of the stop signal; it finds the first process in `MAINPID`.
        stop_cmd: Option<Command>, also stop_command shutdown;
        /// When it is ready: a port, a URL, a path on its own URL, a map of conditions, a closure, or an array of these. A text
        /// that a closure gives is told of it: `|| { check.call(); "it has 3 members" }`.
        ready: Option<Ready>, also healthcheck health_check health readiness wait wait_for;
        /// How long it may take to become ready.
        timeout: Option<Duration>, default "30s", also max_time deadline attempts max_retries start_period;
        /// So many lines must match the `log` of `ready`.
        times: Option<Count>, default "1";
        /// `ready` must hold that long without a break: some databases restart themselves while they initialise.
        stable: Option<Duration>;
        /// How long one HTTP request or one command of `ready` may take.
        attempt_timeout: Option<Duration>, default "as long as the whole wait";
        /// How often it is started at most: when it ends, or has failed by `fail_on`, before it was ready, it is started
        /// again, within the same `timeout`, after a pause of 100 ms times the number of starts.
        tries: Option<Count>, default "1";
        /// Which end is not a failure: true for any, a code, or an array of codes. With false no end is expected, not even with
        /// 0, as of a server.
        expect_exit: Option<Ends>, default "one with 0, unless it has been ready by its `ready`";
        /// The code with which it must end when it is asked to stop, or an array of codes: with another one, by a signal or
        /// not within its `grace`, it has failed, which throws `job_died` where it was stopped, or fails the run at its
        /// end. `.kill()` asks nothing.
        expect_stop: Option<StopCodes>, default "any, told in the last line when it is not 0 or the stop signal's";
        /// As soon as a line of its log (stdout and stderr) has ended and has a match in it, it counts as failed, although it may
        /// live on: every wait and command ends with `job_died`, which has `.job`, `.line` and `.pattern`, and so does the
        /// run if nobody waits. Its end is no second failure, and what it prints after it was asked to stop does not count.
        fail_on: Option<OneOrMore<Regex>>, also fail_if fail_pattern;
        /// Shows what it prints on stderr while it runs, each line behind its name. Its log has it, too.
        echo: bool = false;
        /// When its log becomes longer, its beginning is dropped and at least half of this stays; where the file system
        /// cannot do that, the job is stopped, which throws `job_died`.
        max_log: Size = "100MB", also log_limit max_log_size log_size;
        /// Whether it is started again when it ends by itself, before or after it was ready: when it has failed, by another code
        /// than 0 or a signal, or always. Not when the script has stopped it or sent it a signal, nor for `fail_on`. The verdict
        /// tells of it.
        restart: Restarts = "no", also restart_policy auto_restart respawn;
        /// How often at most; its next end counts as without `restart`.
        max_restarts: Option<Count>, default "3";
        /// How long it rests before it is started again.
        backoff: Option<Duration>, default "1s", also restart_delay backoff_seconds;
        /// How often a task (`expect_exit`) is run again when it has failed, each time after `backoff`.
        retries: Option<Count>;
    }
}

words! {
    /// Who gets the stop signal of a job.
    pub enum Gets { Group = "group", Mixed = "mixed" }
}

words! {
    /// When a job is started again.
    pub enum Restarts { No = "no", OnFailure = "on-failure", Always = "always" }
}

impl From<Gets> for KillMode {
    fn from(gets: Gets) -> Self {
        match gets {
            Gets::Group => Self::Group,
            Gets::Mixed => Self::Mixed,
        }
    }
}

/// The option `port`.
#[derive(Clone, Copy, Debug)]
pub enum OwnPort {
    Free,
    Number(u16),
}

impl Typed for OwnPort {
    const TYPE: Type = Type::Either(&[Type::Port, Type::OneOf(&["free"])]);
}

impl FromValue for OwnPort {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        match value.clone().into_string().as_deref() {
            Ok("free") => Ok(Self::Free),
            _ => {
                kinds::literal(Self::TYPE, value, what)?;
                value::port(value, what).map(Self::Number)
            }
        }
    }
}

/// What a process can end with (exit(3)).
const CODE: Type = Type::Int(0, 255);

/// The option `expect_exit`.
#[derive(Clone, Debug)]
pub struct Ends(pub Expect);

impl Typed for Ends {
    const TYPE: Type = Type::Either(&[Type::Bool, CODE, Type::List(&CODE)]);
}

impl FromValue for Ends {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kinds::literal(Self::TYPE, value, what)?;
        if let Ok(any) = value.as_bool() {
            return Ok(Self(if any { Expect::AnyEnd } else { Expect::NoEnd }));
        }
        let OneOrMore(codes) = OneOrMore::<i64>::from_value(value, what)?;
        let codes = codes.into_iter().filter_map(|code| i32::try_from(code).ok());
        Ok(Self(Expect::Codes(codes.collect())))
    }
}

/// The option `expect_stop`.
pub type StopCodes = OneOrMore<Within<0, 255>>;

impl StopCodes {
    pub fn codes(&self) -> Vec<i32> {
        self.0.iter().filter_map(|code| i32::try_from(code.0).ok()).collect()
    }
}

impl JobOptions {
    /// Whether the job is expected to end, and nothing else is said of when it is ready.
    pub fn is_task(&self) -> bool {
        self.ready.is_none() && self.expect_exit.as_ref().is_some_and(|ends| ends.0 != Expect::NoEnd)
    }
}

/// What a process reads.
#[derive(Clone, Debug)]
pub struct Input(pub Stdin);

impl Typed for Input {
    const TYPE: Type = Type::Either(&[Type::OneOf(&["null", "pipe"]), Type::Options(Typing::OPTIONS)]);
}

impl FromValue for Input {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kinds::literal(Self::TYPE, value, what)?;
        if value.is_map() {
            let text = Typing::read(&Opts::described(what, value, Typing::OPTIONS)?)?.text;
            let missing = || ScriptError::usage(format!("{what}: the `text` of its map is missing"));
            return Ok(Self(Stdin::Text(text.ok_or_else(missing)?.0)));
        }
        let pipe = value.clone().into_string().is_ok_and(|word| word == "pipe");
        Ok(Self(if pipe { Stdin::Pipe } else { Stdin::Null }))
    }
}

options! {
    /// The conditions that a map names, all of which must hold, and what is said about them.
    pub struct Conditions: Answer as answer {
        /// It accepts connections on this port.
        port: Option<Port>;
        /// This URL answers, or this path on the job's own port.
        http: Option<String>, also url;
        /// Its log has a line that matches.
        log: Option<Regex>, also regex output;
        /// There is a file.
        file: Option<String>;
        /// A Unix socket accepts connections: its path.
        socket: Option<String>;
        /// A command succeeds, which is run again and again.
        cmd: Option<Command>, also command exec run;
        /// It listens on any TCP port.
        listening: bool = false;
        /// It has printed nothing for so long.
        settled: Option<Duration>;
        /// A path of `http` is asked for on whichever port the job listens, when it does not listen on its own.
        any_port: bool = false;
        /// So many lines must match `log`.
        times: Option<Count>, default "1";
        /// How long one HTTP request or one command may take.
        attempt_timeout: Option<Duration>, default "as long as the whole wait";
    }
}

/// The option `ready`. What it says is read where the job's own port is known.
#[derive(Clone, Debug)]
pub struct Ready(pub Dynamic);

impl Typed for Ready {
    const TYPE: Type = Type::OneOrMore(&Type::Either(&[
        Type::Port,
        Type::Text,
        Type::Closure,
        Type::Options(Conditions::OPTIONS),
    ]));
}

impl FromValue for Ready {
    fn from_value(value: &Dynamic, _: &str) -> Fallible<Self> {
        Ok(Self(value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::{Array, Map};

    /// A value as a script may have it, wrong or right.
    fn random_value(random: &mut crate::fuzz::Random, depth: usize) -> Dynamic {
        let word = [
            "",
            "x",
            "5s",
            "1m30s",
            "500ms",
            "-1s",
            "1e400s",
            "18446744073709551615s",
            "99999999999999999999y",
            "100MB",
            "1.5GiB",
            "inf",
            "nan",
            "0x10",
            "1e99GB",
            "8080",
            "free",
            "TERM",
            "()",
            "é",
            "\0",
            "１２",
        ];
        match random.below(if depth == 0 { 8 } else { 10 }) {
            0 => Dynamic::UNIT,
            1 => Dynamic::from(random.below(2) == 0),
            2 => Dynamic::from(
                *[0, 1, -1, 300, 301, 5000, 65_535, 65_536, i64::MAX, i64::MIN]
                    .get(random.below(10))
                    .expect("one of them"),
            ),
            3 => Dynamic::from(
                *[0.0, -0.0, 0.5, -1.5, 1e300, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE]
                    .get(random.below(8))
                    .expect("one of them"),
            ),
            4 => Dynamic::from(random.text(12)),
            5 => Dynamic::from(format!(
                "{}{}",
                random.below(1000),
                random.pick(&["s", "ms", "m", "h", "d", "y", "KB", "PiB", " s", "ss"])
            )),
            6 => Dynamic::from('x'),
            8 => Dynamic::from(
                (0..random.below(4)).map(|_| random_value(random, depth - 1)).collect::<Array>(),
            ),
            9 => Dynamic::from(random_map(random, depth - 1)),
            _ => Dynamic::from(random.pick(&word).to_owned()),
        }
    }

    fn random_map(random: &mut crate::fuzz::Random, depth: usize) -> Map {
        let key = |random: &mut crate::fuzz::Random| match random.below(4) {
            0 => random.text(8),
            _ => random.pick(&JobOptions::OPTIONS.names()).to_string(),
        };
        (0..random.below(5)).map(|_| (key(random).into(), random_value(random, depth))).collect()
    }

    #[test]
    fn no_value_makes_a_reader_of_options_panic() {
        crate::fuzz::for_a_while("options", |random| {
            let value = random_value(random, 3);
            let _ = (
                value::show(&value),
                value::size(&value, "x"),
                value::port(&value, "x"),
                value::command(&value, "run"),
                value::word(&value, "x"),
            );
            if let Ok(time) = value::duration(&value, "x") {
                // What is added to a time must not overflow.
                let _ = (value::show_duration(time), std::time::Duration::from_secs(1 << 40) + time);
            }
            if let Ok(opts) = Opts::described("spawn", &value, JobOptions::OPTIONS) {
                let _ = JobOptions::read(&opts);
            }
            let _ = kinds::literal(Type::Options(JobOptions::OPTIONS), &value, "spawn");
        });
    }
}
