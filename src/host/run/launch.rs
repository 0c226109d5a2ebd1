//! From what a script says of a process to the [`Spec`] that it is started by.

use super::options::{Input, JobOptions, Process, Restarts, StopCodes, Surroundings};
use super::ports::OwnPorts;
use super::runtime::rt;
use crate::host::value::Opts;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::kinds::{Count, OneOrMore, Size, Word};
use crate::jobs::cgroup::Limits;
use crate::jobs::env::Env;
use crate::jobs::limit;
use crate::jobs::spec::{self, Command, Ends, Expect, Output, Restart, Spec, Stdin};
use crate::secret;
use regex::Regex;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

/// The options that jobs and commands share, read.
pub struct Launch {
    function: String,
    command: Command,
    cwd: PathBuf,
    env: Env,
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
        let mut env = if surroundings.clear_env { Env::default() } else { rt.env() };
        // A program that buffers its log looks dead to every wait for a line.
        env.insert_default("PYTHONUNBUFFERED", "1");
        for (key, value) in surroundings.env.into_iter().flat_map(|env| env.0) {
            if key.is_empty() || key.contains('=') {
                let wrong = format!("`{key}` is not a variable name");
                return Err(ScriptError::of_option(function, "env", wrong).into());
            }
            match value {
                Some(Word(text)) => env.insert(key, text),
                None => env.remove(OsStr::new(&key)),
            };
        }
        if process.pty {
            if matches!(process.stdin, Some(Input(Stdin::Null))) {
                return Err(no_null(function).into());
            }
            // What programs at a terminal want to know; a CI machine has none.
            env.insert_default("TERM", "xterm-256color");
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
    pub fn command_spec(mut self, interrupt: Option<i32>) -> Spec {
        rt().belong_to_test(&mut self.env);
        Spec {
            env: self.env,
            user: self.user,
            stdin: self.stdin,
            pty: self.pty,
            interrupt,
            limits: self.limits,
            ..Spec::of_command(self.command, self.cwd, self.grace, Output::Captured)
        }
    }

    /// A background job.
    pub fn job_spec(self, name: Option<String>, options: &JobOptions, ports: OwnPorts) -> Fallible<Spec> {
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
        ports.variables().into_iter().for_each(|(key, value)| env.insert(key, value));
        let log = options.log.as_ref().map_or_else(|| rt.jobs.log_path(&name), |path| rt.path(path));
        Ok(Spec {
            output: Output::Log(log),
            command: self.command,
            cwd: self.cwd,
            env,
            user: self.user,
            port: ports.main,
            ports: ports.named,
            stdin: self.stdin,
            pty: self.pty,
            stop_signal: options.stop_signal.0,
            kill_mode: options.kill_mode.into(),
            interrupt: None,
            needs: Vec::new(),
            stop_cmd: options.stop_cmd.clone(),
            grace: self.grace,
            expect_stop: options.expect_stop.as_ref().map_or_else(Vec::new, StopCodes::codes),
            expect: options.expect_exit.clone().map_or_else(Expect::default, |ends| ends.0),
            restart: restart(function, options)?,
            fail_on: fail_on(function, options.fail_on.as_ref())?,
            echo: options.echo || rt.follows(&name),
            max_log: max_log(function, options.max_log)?,
            limits: self.limits,
            name,
        })
    }
}

fn check_name(function: &str, name: &str) -> Fallible<()> {
    if secret::inside(name) {
        let wrong = format!("{function}: the job's name contains a secret, and its log is named after it");
        return Err(ScriptError::usage(wrong).into());
    }
    if !name.is_empty() && name.chars().all(spec::is_name_char) {
        return Ok(());
    }
    Err(ScriptError::usage(format!("{function}: {name:?} is not a job name"))
        .note("a name has letters, digits, `_`, `.` and `-`; a command with arguments is one string, or an array")
        .into())
}

/// `stdin: "null"` beside `pty`.
fn no_null(function: &str) -> ScriptError {
    ScriptError::of_option(function, "stdin", "with `pty` it is the terminal")
        .note("to type into it: `stdin: #{text: \"…\"}`, or `job.send(\"…\")`")
}

fn max_log(function: &str, Size(bytes): Size) -> Fallible<u64> {
    if bytes >= limit::LEAST {
        return Ok(bytes);
    }
    let (bytes, least) = (spec::show_size(bytes), spec::show_size(limit::LEAST));
    let wrong = format!("{bytes} is too little: at least {least}");
    Err(ScriptError::of_option(function, "max_log", wrong).into())
}

/// How a job is started again that ends by itself.
fn restart(function: &str, options: &JobOptions) -> Fallible<Option<Restart>> {
    const PAUSE: Duration = Duration::from_secs(1);
    const MOST: usize = 3;
    let wrong = |key: &str, why: &str| ScriptError::of_option(function, key, why);
    let when = match options.restart {
        Restarts::No => None,
        Restarts::OnFailure => Some(Ends::Failed),
        Restarts::Always => Some(Ends::Any),
    };
    let most = match (when, options.retries, options.max_restarts) {
        (None, Some(retries), None) if options.is_task() => Some((Ends::Failed, retries.count())),
        (None, Some(retries), None) if options.ready.is_some() => {
            return Err(wrong("retries", "it is for what is to end")
                .note("`tries` is how often it is started until it is ready; `restart` is for later, too")
                .hint(format!("tries: {}", retries.count().saturating_add(1)))
                .into());
        }
        (None, Some(_), None) => {
            let error = wrong("retries", "it is for what is to end: `expect_exit` says how");
            return Err(error.hint("expect_exit: 0").into());
        }
        (_, Some(_), _) => {
            return Err(wrong(
                "retries",
                "`restart` and `max_restarts` are there, too: which of them counts?",
            )
            .into());
        }
        (Some(when), None, most) => Some((when, most.map_or(MOST, Count::count))),
        (None, None, Some(_)) => {
            let error = wrong("max_restarts", "there is no `restart` that it could be about");
            return Err(error.hint("restart: \"on-failure\"   (or \"always\")").into());
        }
        (None, None, None) => None,
    };
    if most.is_none() && options.backoff.is_some() {
        let error = wrong("backoff", "there is no `restart` that it could be about");
        return Err(error.hint("restart: \"on-failure\"   (or \"always\")").into());
    }
    if most.is_some() && options.tries.is_some() {
        let error = wrong("tries", "`restart` starts it again before it is ready, too");
        return Err(error.hint("leave out `tries`; `max_restarts` says how often").into());
    }
    Ok(most.map(|(when, most)| Restart { when, most, pause: options.backoff.unwrap_or(PAUSE) }))
}

fn fail_on(function: &str, patterns: Option<&OneOrMore<Regex>>) -> Fallible<Vec<Regex>> {
    let Some(OneOrMore(patterns)) = patterns else { return Ok(Vec::new()) };
    match patterns.iter().find(|pattern| pattern.is_match("")) {
        Some(pattern) => {
            let wrong = format!("{:?} matches every line", pattern.as_str());
            Err(ScriptError::of_option(function, "fail_on", wrong).into())
        }
        None => Ok(patterns.clone()),
    }
}
