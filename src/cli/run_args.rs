//! What is typed to run scripts, or to check them, and what it means. Its comments are what `--help` shows.

use super::options::{Color, Follow, Options, Recording, Source, Staying, Stream, Test, Up, Verbosity};
use super::select::{SelectArgs, regex};
use super::time::duration;
use super::{report, shard};
use crate::isolate::Isolation;
use clap::{Args, ValueEnum, ValueHint};
use regex::Regex;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args)]
pub(super) struct ScriptArgs {
    /// The script (`-` for standard input, or the NAME of one that `bgjobs scripts` lists), then what it gets
    /// from args() and param(name): all options of bgjobs come before FILE, and --help after it is the script's
    #[arg(required_unless_present = "code", value_names = ["FILE", "ARGS"], num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
    /// Run this code instead of a file
    #[arg(short = 'e', value_name = "CODE")]
    pub code: Option<String>,
    /// Say what the script starts, what waits for what and how long at most, as far as that is written out; run nothing
    #[arg(short = 'n', long = "dry-run")]
    plan: bool,
    /// Show what the jobs print as it comes, each line behind the name of its job, on stderr; --follow=api,db only that of
    /// these
    #[arg(short, long, value_name = "JOB", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "")]
    follow: Option<Vec<String>>,
    #[command(flatten)]
    pub recorded: report::Recorded,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The scripts, or directories with scripts; `-` for standard input
    #[arg(required_unless_present = "code", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Check this code instead of a file
    #[arg(short = 'e', value_name = "CODE", conflicts_with = "files")]
    pub code: Option<String>,
    /// Where else `import` looks for modules
    #[arg(short = 'I', value_name = "DIR")]
    pub include: Vec<PathBuf>,
    /// Print JSON: an array of objects with `path`, `line`, `column`, `severity`, `message`, `notes`, `hint`
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub(super) struct TestArgs {
    /// Scripts, directories with scripts, or patterns such as 'e2e/**/*.rhai'; without any those of bgjobs.toml, or
    /// tests/**/*.rhai. In directories and patterns, names that begin with _ are left out
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Only scripts whose path this matches
    #[arg(long, value_parser = regex, value_name = "REGEX")]
    filter: Option<Regex>,
    /// Print their paths, a line each; run nothing
    #[arg(long)]
    list: bool,
    /// Print what has come of it as one JSON object on stdout: `code`, `verdict`, how many `passed`, `failed` and so on,
    /// `failures` with their places, `scripts`; with --list `scripts`, and of what keeps it from running an `error`
    #[arg(long)]
    pub json: bool,
    /// Stay, and run again what a change concerns; keys run all, those that have failed, or the last ones again. On a
    /// terminal
    #[arg(long, conflicts_with_all = ["json", "list", "shard", "rerun_failed"])]
    watch: bool,
    /// How many run at the same time
    #[arg(short, long, value_parser = at_least_once, value_name = "N", default_value = "1")]
    jobs: u32,
    /// After one that has failed start no other
    #[arg(long)]
    fail_fast: bool,
    /// Run one that has failed again, up to N times; when it passes then, it counts as passed, and is called flaky
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    retries: u32,
    /// Run each N times
    #[arg(long, value_parser = at_least_once, value_name = "N", default_value = "1", hide_default_value = true)]
    repeat: u32,
    /// Run them in a random order; --shuffle=SEED repeats one
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true)]
    shuffle: Option<Option<u64>>,
    /// Stop everything after this time and exit with 124; scripts that have not run are counted
    #[arg(long, value_parser = duration, value_name = "TIME")]
    timeout_all: Option<Duration>,
    #[command(flatten)]
    pub shards: shard::ShardArgs,
    #[command(flatten)]
    pub recorded: report::Recorded,
    #[command(flatten)]
    select: SelectArgs,
    /// Take the defaults of these options from FILE, instead of the nearest bgjobs.toml, here or above
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Take no defaults from a file
    #[arg(long, conflicts_with = "config")]
    pub no_config: bool,
    #[command(flatten)]
    run: RunArgs,
    /// What each script gets from args() and param(name)
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

#[derive(Args)]
pub(super) struct UpArgs {
    /// What to start: services.yaml, .toml, .json or .conf, process-compose.yaml, a Procfile, a script, or a directory with
    /// one of these; without it what is in this directory
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Of a file of services only these, and what they depend on
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// When all are ready, run this command instead of staying, with their addresses in its environment, and end with its code;
    /// at a terminal it has that for itself
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
    /// When all are ready, write their addresses to this file, for another terminal: NAME_URL=…; it is removed at the end
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    env_file: Option<PathBuf>,
    /// Show only what these services print, as in --follow=api,db; without a name that of all, also with -q
    #[arg(short, long, value_name = "NAME", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "")]
    follow: Option<Vec<String>>,
    #[command(flatten)]
    run: RunArgs,
    /// What a script gets from args() and param(name)
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// How a run is done.
#[derive(Args)]
struct RunArgs {
    /// Stop the whole run after this time and exit with 124, e.g. 90s or 5m
    #[arg(long, value_parser = duration, value_name = "TIME")]
    timeout: Option<Duration>,
    /// How long a job may take to end after its stop signal before SIGKILL
    #[arg(long, value_parser = duration, value_name = "TIME", default_value = "5s")]
    grace: Duration,
    /// Say nothing but failures and the verdict
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Also say what is usually not worth a line
    #[arg(short, long)]
    verbose: bool,
    /// Keep the logs also after a success
    #[arg(long)]
    keep_logs: bool,
    /// Keep the whole run directory, with what is in temporary directories, however the run ends
    #[arg(long)]
    keep: bool,
    /// When to use colour; NO_COLOR and FORCE_COLOR are honoured
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    color: Color,
    /// Where else `import` looks for modules; may be given several times
    #[arg(short = 'I', value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Give the run what is its own alone; `pid,net,ipc` for all. Fails where the machine does not allow it
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    isolate: Vec<Wall>,
}

/// What `--isolate` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wall {
    /// Process numbers: even if all of bgjobs is killed at once, the kernel leaves nothing running
    Pid,
    /// Network: a private loopback, so that two runs can use the same port and nothing outside is reached
    Net,
    /// Shared memory, semaphores and message queues, with a /dev/shm of its own: they end with the run
    Ipc,
}

fn at_least_once(text: &str) -> Result<u32, String> {
    let most = 100_000;
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from 1 to {most}")),
    }
}

pub(super) fn source(file: PathBuf) -> Source {
    if file.as_os_str() == "-" { Source::Stdin } else { Source::File(file) }
}

/// The names of `--follow`; none for all.
fn only_these(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| !name.is_empty());
    names
}

impl From<ScriptArgs> for Options {
    fn from(given: ScriptArgs) -> Self {
        let mut args = given.rest;
        let source = match given.code {
            Some(code) => Source::Code(code),
            None => source(if args.is_empty() { PathBuf::new() } else { args.remove(0).into() }),
        };
        if args.first().is_some_and(|word| word == "--") {
            args.remove(0);
        }
        let events = given.recorded.events.map(Recording::At);
        let follow = given.follow.map(|only| Follow { stream: Stream::Stderr, only: only_these(only) });
        Self {
            plan: given.plan,
            events,
            follow,
            update: given.select.update,
            select: given.select.into(),
            ..given.run.options(source, args)
        }
    }
}

impl From<TestArgs> for Test {
    fn from(given: TestArgs) -> Self {
        Self {
            paths: given.paths,
            filter: given.filter,
            list: given.list,
            json: given.json,
            watch: given.watch,
            jobs: given.jobs as usize,
            fail_fast: given.fail_fast,
            retries: given.retries,
            repeat: given.repeat,
            shuffle: given.shuffle,
            timeout_all: given.timeout_all,
            selection: given.shards.into(),
            events: given.recorded.events,
            record: None,
            reports: Vec::new(),
            config: None,
            options: Options {
                update: given.select.update,
                select: given.select.into(),
                ..given.run.options(Source::File(PathBuf::new()), given.args)
            },
        }
    }
}

impl From<UpArgs> for Up {
    fn from(given: UpArgs) -> Self {
        let source = Source::File(given.file.clone().unwrap_or_default());
        let (services, exec, env_file) = (Some(given.names), given.exec, given.env_file);
        // The command has stdout for itself.
        let stream = if exec.is_some() { Stream::Stderr } else { Stream::Stdout };
        let asked = given.follow.map(only_these);
        let follow = asked.or_else(|| (!given.run.quiet).then(Vec::new)).map(|only| Follow { stream, only });
        Self {
            file: given.file,
            options: Options { follow, ..given.run.options(source, given.args) },
            staying: Staying { services, exec, at_terminal: false, env_file },
        }
    }
}

impl RunArgs {
    fn options(self, source: Source, args: Vec<String>) -> Options {
        // By name: an option that is added cannot be left out here.
        let Self { timeout, grace, quiet, verbose, keep_logs, keep, color, include, isolate } = self;
        let verbosity = match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let isolate = Isolation {
            pid: isolate.contains(&Wall::Pid),
            net: isolate.contains(&Wall::Net),
            ipc: isolate.contains(&Wall::Ipc),
        };
        Options {
            args,
            timeout,
            grace,
            verbosity,
            keep_logs,
            keep,
            color,
            include,
            isolate,
            ..Options::of(source)
        }
    }
}
