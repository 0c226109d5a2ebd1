//! Starting a process from what a script says: options → [`Spec`] → job, and the words for what could not be
//! started.

use super::program;
use super::runtime::rt;
use crate::api::Type;
use crate::exit;
use crate::host::functions::job::Job;
use crate::host::functions::wait::Telling;
use crate::host::run::ready::readiness::{self, Readiness, Ready};
use crate::host::value::describe::{options, words};
use crate::host::value::described::FromOpts;
use crate::host::value::error::{self, Fallible, Kind as ErrorKind, ScriptError};
use crate::host::value::kinds::{self, Count, FromValue, MapOf, OneOrMore, Signal, Size, Typed, Word};
use crate::host::value::{self, Opts};
use crate::jobs::cgroup::{Limits, Refused};
use crate::jobs::spec::{self, Command, Expect, KillMode, Output, SpawnError, Spec, Stdin};
use crate::jobs::{JobId, Kind, limit, port};
use crate::secret;
use crate::words;
use regex::Regex;
use rhai::{Array, Dynamic};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The two-argument forms: `(cmd, opts)` or `(name, cmd)`.
pub fn two(function: &str, first: &Dynamic, second: &Dynamic) -> Fallible<Job> {
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
    let options = JobOptions::read(&Opts::described(function, opts, JobOptions::OPTIONS)?)?;
    if function == "start" && options.ready.is_none() && !options.is_task() {
        return Err(ScriptError::usage("start: the option `ready` is missing: what shows that it is ready?")
            .hint(
                "ready: 8080, ready: \"http://localhost:8080/health\", ready: #{log: \"listening\"}; \
                 or spawn(…), which does not wait",
            )
            .into());
    }
    launch_with(function, name, command, options, &[], Vec::new())
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
    options: JobOptions,
    extra: &[(String, String)],
    needs: Vec<JobId>,
) -> Fallible<Job> {
    let rt = rt();
    let given = name.map(str::to_owned);
    let mut spec =
        Launch::new(function, command, options.process.clone())?.job_spec(given.clone(), &options)?;
    spec.needs = needs;
    for (key, value) in extra {
        spec.env.entry(key.into()).or_insert_with(|| value.into());
    }
    let readiness = Readiness::parse(function, &options, spec.port)?;
    if let Some(port) = spec.port {
        refuse_taken_port(&spec, port)?;
    }
    let command = spec.command.clone();
    rt.wait_for_room();
    let (job, _) = rt
        .jobs
        .spawn(spec, Kind::Job)
        .map_err(|e| spawn_error(function, &e, given.as_deref().map(|name| (name, &command))))?;
    if job.file.is_none() && !job.spec.fail_on.is_empty() {
        rt.warn(format!(
            "{}: its log is no regular file, so that `fail_on` cannot be looked for",
            job.spec.name
        ));
    }
    let job = Job(job);
    if readiness.is_server_from_the_start() {
        rt.jobs.serves(job.0.id);
    }
    readiness::remember(job.0.id, readiness);
    Ok(job)
}

/// A job that is told its port must find it free.
fn refuse_taken_port(spec: &Spec, number: u16) -> Fallible<()> {
    if !port::in_use(number) {
        return Ok(());
    }
    let (name, who) = (&spec.name, crate::host::run::owner::who(number));
    Err(ScriptError::new(ErrorKind::PortTaken, format!("port {number} for job `{name}` is taken by {who}"))
        .fact("port", i64::from(number))
        .hint(crate::host::run::owner::another_port(&spec.command, number))
        .into())
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
        /// The port that it is to listen on, which it finds in `PORT`: a number, or `"free"` for any that is free.
        port: Option<OwnPort>;
        /// Where its log is written: a path.
        log: Option<String>, default "in the directory of the run", also output logfile log_file stdout;
        /// What it gets when it is to stop.
        stop_signal: Signal = "TERM", also kill_signal signal;
        /// Who gets the stop signal: its whole group, or its first process alone, and what that leaves SIGKILL.
        kill_mode: Gets = "group";
        /// A command that is run instead of the stop signal.
        stop_cmd: Option<Command>, also stop_command shutdown;
        /// When it is ready: a port, a URL, a path on its own URL, a map of conditions, a closure, or an array of these.
        ready: Option<Ready>, also healthcheck health_check health readiness wait wait_for;
        /// How long it may take to become ready.
        timeout: Option<Duration>, default "30s", also max_time deadline retries attempts max_retries start_period;
        /// So many lines must match the `log` of `ready`.
        times: Option<Count>, default "1";
        /// `ready` must hold that long without a break: some databases restart themselves while they initialise.
        stable: Option<Duration>;
        /// How long one HTTP request or one command of `ready` may take.
        attempt_timeout: Option<Duration>, default "as long as the whole wait";
        /// How often it is started at most: when it ends, or has failed by `fail_on`, before it was ready, it is started
        /// again, within the same `timeout`, after a pause of 100 ms times the number of starts.
        tries: Option<Count>, default "1";
        /// Which end is no failure: true for any, a code, or an array of codes. With false no end is expected, not even with
        /// 0, as of a server.
        expect_exit: Option<Ends>, default "one with 0, unless it has been ready by its `ready`";
        /// As soon as a whole line of its log matches, it counts as failed, although it may live on: every wait ends
        /// with `job_died`, which has `.job`, `.line` and `.pattern`, and so does the run if nobody waits. Its end is no
        /// second failure, and what it prints after it was asked to stop does not count.
        fail_on: Option<OneOrMore<Regex>>, also fail_if fail_pattern;
        /// When its log becomes longer, its beginning is dropped and at least half of this stays; where the file system
        /// cannot do that, the job is stopped, which throws `job_died`.
        max_log: Size = "100MB", also log_limit max_log_size log_size;
    }
}

words! {
    /// Who gets the stop signal of a job.
    pub enum Gets { Group = "group", Mixed = "mixed" }
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
            _ => value::port(value, what).map(Self::Number),
        }
    }
}

/// What a process can end with (exit(3)).
const CODE: Type = Type::Int(0, 255);

/// The option `expect_exit`.
#[derive(Clone, Debug)]
pub struct Ends(Expect);

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

impl JobOptions {
    /// Whether the job is expected to end, and nothing else is said of when it is ready.
    pub fn is_task(&self) -> bool {
        self.ready.is_none() && self.expect_exit.as_ref().is_some_and(|ends| ends.0 != Expect::NoEnd)
    }
}

/// What a process reads.
#[derive(Clone, Debug)]
pub struct Input(Stdin);

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

/// The options that jobs and commands share, read.
pub struct Launch {
    function: String,
    command: Command,
    cwd: PathBuf,
    env: BTreeMap<OsString, OsString>,
    user: Option<String>,
    stdin: Stdin,
    pty: bool,
    grace: Duration,
    limits: Limits,
}

impl Launch {
    /// A command of which nothing is said.
    pub fn plain(function: &str, command: Command) -> Fallible<Self> {
        Self::new(function, command, Process::read(&Opts::none(function))?)
    }

    /// A command of which nothing else is said than where and as whom it runs.
    pub fn placed(function: &str, command: Command, surroundings: Surroundings) -> Fallible<Self> {
        Self::new(function, command, Process { surroundings, ..Process::read(&Opts::none(function))? })
    }

    pub fn new(function: &str, command: Command, process: Process) -> Fallible<Self> {
        let rt = rt();
        let surroundings = process.surroundings;
        let cwd = surroundings.cwd.map_or_else(|| rt.cwd(), |path| rt.path(&path));
        let mut env = if surroundings.clear_env { BTreeMap::new() } else { rt.env() };
        // A program that buffers its log looks dead to every wait for a line.
        env.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
        for (key, value) in surroundings.env.into_iter().flat_map(|env| env.0) {
            if key.is_empty() || key.contains('=') {
                return Err(ScriptError::usage(format!(
                    "{function}: option `env`: `{key}` is no variable name"
                ))
                .into());
            }
            match value {
                Some(Word(text)) => env.insert(key.into(), text.into()),
                None => env.remove(&OsString::from(key)),
            };
        }
        if process.pty {
            if matches!(process.stdin, Some(Input(Stdin::Null))) {
                return Err(no_null(function).into());
            }
            // What programs at a terminal want to know; a CI machine has none.
            env.entry("TERM".into()).or_insert_with(|| "xterm-256color".into());
        }
        Ok(Self {
            function: function.to_owned(),
            command,
            cwd,
            env,
            user: surroundings.user,
            stdin: process.stdin.map_or(Stdin::Null, |input| input.0),
            pty: process.pty,
            grace: process.grace.unwrap_or(rt.options.grace),
            limits: Limits {
                memory: process.max_memory.map(|size| size.0),
                procs: process.max_procs.map(|most| most.count() as u64),
            },
        })
    }

    /// A foreground command, with the signal that always ends it.
    pub fn command_spec(self, interrupt: Option<i32>) -> Spec {
        Spec {
            name: self.command.program_name(),
            command: self.command,
            cwd: self.cwd,
            env: self.env,
            user: self.user,
            port: None,
            stdin: self.stdin,
            pty: self.pty,
            output: Output::Captured,
            stop_signal: SIGTERM,
            kill_mode: KillMode::Group,
            interrupt,
            needs: Vec::new(),
            stop_cmd: None,
            grace: self.grace,
            expect: Expect::AnyEnd,
            fail_on: Vec::new(),
            max_log: limit::DEFAULT,
            limits: self.limits,
        }
    }

    /// A background job.
    fn job_spec(self, name: Option<String>, options: &JobOptions) -> Fallible<Spec> {
        let rt = rt();
        let function = self.function.as_str();
        let wanted = match (name, options.name.clone()) {
            (Some(name), _) | (None, Some(name)) => {
                check_name(function, &name)?;
                name
            }
            (None, None) => {
                let program = self.command.program_name();
                if secret::inside(&program) { "job".to_owned() } else { program }
            }
        };
        let name = rt.jobs.unique_name(&wanted);
        let mut env = self.env;
        let port = match options.port {
            Some(OwnPort::Free) => Some(crate::host::run::owner::take(function)?),
            Some(OwnPort::Number(port)) => Some(port),
            None => None,
        };
        if let Some(port) = port {
            env.insert("PORT".into(), port.to_string().into());
        }
        let log = options.log.as_ref().map_or_else(|| rt.jobs.log_path(&name), |path| rt.path(path));
        Ok(Spec {
            output: Output::Log(log),
            command: self.command,
            cwd: self.cwd,
            env,
            user: self.user,
            port,
            stdin: self.stdin,
            pty: self.pty,
            stop_signal: options.stop_signal.0,
            kill_mode: options.kill_mode.into(),
            interrupt: None,
            needs: Vec::new(),
            stop_cmd: options.stop_cmd.clone(),
            grace: self.grace,
            expect: options.expect_exit.clone().map_or_else(Expect::default, |ends| ends.0),
            fail_on: fail_on(function, options.fail_on.as_ref())?,
            max_log: max_log(function, options.max_log)?,
            limits: self.limits,
            name,
        })
    }
}

const SIGTERM: i32 = 15;

/// A limit that cannot be enforced, with the way out where there is one.
fn no_limit(function: &str, refused: &Refused) -> ScriptError {
    let error = ScriptError::io(format!("{function}: the limit cannot be enforced: {}", refused.reason))
        .exit(exit::SURROUNDINGS);
    if !refused.delegation {
        return error;
    }
    let error = error
        .note("`max_memory` and `max_procs` need a cgroup (version 2) that is delegated to bgjobs alone");
    if !std::path::Path::new("/run/systemd/system").is_dir() {
        return error;
    }
    let user = if nix::unistd::geteuid().is_root() { "" } else { "--user " };
    error.hint(format!("systemd-run {user}--scope -p Delegate=yes bgjobs script …"))
}

fn check_name(function: &str, name: &str) -> Fallible<()> {
    if secret::inside(name) {
        let wrong = format!("{function}: the job's name contains a secret, and its log is named after it");
        return Err(ScriptError::usage(wrong).into());
    }
    if !name.is_empty() && name.chars().all(spec::is_name_char) {
        return Ok(());
    }
    Err(ScriptError::usage(format!("{function}: {name:?} is no job name"))
        .note("a name has letters, digits, `_`, `.` and `-`; a command with arguments is one string, or an array")
        .into())
}

/// `stdin: "null"` beside `pty`.
fn no_null(function: &str) -> ScriptError {
    ScriptError::usage(format!("{function}: option `stdin`: with `pty` it is the terminal"))
        .note("what is to be typed there: `stdin: #{text: \"…\"}`, or `job.send(\"…\")`")
}

fn max_log(function: &str, Size(bytes): Size) -> Fallible<u64> {
    if bytes >= limit::LEAST {
        return Ok(bytes);
    }
    let (bytes, least) = (spec::show_size(bytes), spec::show_size(limit::LEAST));
    let wrong = format!("{function}: option `max_log`: {bytes} is too little: at least {least}");
    Err(ScriptError::usage(wrong).into())
}

fn fail_on(function: &str, patterns: Option<&OneOrMore<Regex>>) -> Fallible<Vec<Regex>> {
    let Some(OneOrMore(patterns)) = patterns else { return Ok(Vec::new()) };
    match patterns.iter().find(|pattern| pattern.is_match("")) {
        Some(pattern) => {
            let wrong = format!("{function}: option `fail_on`: {:?} matches every line", pattern.as_str());
            Err(ScriptError::usage(wrong).into())
        }
        None => Ok(patterns.clone()),
    }
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
            let error = failed(format!("program `{program}` not found"), exit::NOT_FOUND)
                .note(program::searched(path));
            program::instead(program).into_iter().fold(error, ScriptError::hint)
        }
        SpawnError::NotFound { program, path: None } => {
            let error = failed(format!("there is no program `{program}`"), exit::NOT_FOUND);
            program::instead(program).into_iter().fold(error, ScriptError::hint)
        }
        SpawnError::NoInterpreter { program, interpreter } => failed(
            format!("`{program}` is there, but its interpreter `{interpreter}` (in its first line) is not"),
            exit::NOT_FOUND,
        ),
        SpawnError::NotExecutable { program, reason } => {
            failed(format!("`{program}` cannot be executed: {reason}"), exit::NOT_EXECUTABLE)
        }
        SpawnError::Cwd { cwd, reason } => {
            // The command is not what is wrong.
            let shown = cwd.display().to_string();
            let message = format!("{function}: the directory `{shown}` (cwd) cannot be entered: {reason}");
            let error = match std::fs::read_dir(cwd) {
                // We could, so it is the other user who may not.
                Ok(_) => {
                    ScriptError::io(format!("{message} for the user of the option `user`")).hint("cwd: \"/\"")
                }
                Err(_) => ScriptError::io(message),
            };
            error.fact("path", shown)
        }
        SpawnError::User { user, reason, denied } => {
            let error = failed(format!("cannot become user `{user}`: {reason}"), exit::NOT_EXECUTABLE);
            match denied {
                true => error.note("only root can, and not where `--isolate` has made a user namespace"),
                false => error,
            }
        }
        SpawnError::Log { path, reason } => {
            ScriptError::io(format!("{function}: cannot write the log `{}`: {reason}", path.display()))
                .fact("path", path.display().to_string())
        }
        SpawnError::Limit(refused) => no_limit(function, refused),
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
            let array = value::array_form(function, &words);
            result = match taken_for(name, command) {
                Taken::Arguments => {
                    result.hint(format!("{array}   (an array: `{name}` was taken for the job's name)"))
                }
                Taken::Either => result.note(format!(
                    "`{name}` is the job's name here; to run the program `{name}` with these arguments: {array}"
                )),
                Taken::Command => result,
            };
        }
    }
    result.into()
}

/// What stands behind a name that could be a program's, as far as its first word tells.
enum Taken {
    /// Arguments of that program.
    Arguments,
    Either,
    /// A command of its own, which is mistyped or not installed.
    Command,
}

fn taken_for(name: &str, command: &Command) -> Taken {
    let words = words_of(command);
    let Some(word) = words.first() else { return Taken::Either };
    let in_cwd = || rt().path(word).exists();
    if words::nearest(word, [name]).is_some() || word.starts_with(name) {
        return Taken::Command;
    }
    match command {
        // As Node and Python start programs: a name and a list.
        Command::Argv(_) => Taken::Arguments,
        _ if word.starts_with('-') || in_cwd() => Taken::Arguments,
        // `./run` and `/usr/bin/run` are programs, `server.js` is none.
        _ if word.contains('/') => Taken::Command,
        _ if word.contains('.') => Taken::Arguments,
        _ => Taken::Either,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::Map;

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
