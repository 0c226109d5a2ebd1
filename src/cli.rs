//! Arguments → one plain [`Command`]. The only room that knows the argument parser.

mod after_help;
mod complete;
mod config;
mod ctl;
mod meant;
mod report;
mod select;
mod shard;
mod time;

pub use config::Config;
pub use report::{Report, ReportKind, Wanted, on_github};
pub use shard::{Selection, Shard};

use crate::event::Failure;
use crate::exit;
use crate::handed::Handed;
use crate::isolate::Isolation;
use crate::select::Select;
use crate::words::{columns, folded, is_order};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use regex::Regex;
use select::{SelectArgs, regex};
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use time::duration;

pub use ctl::Ctl;

/// What to do, without a trace of how it was said.
pub enum Command {
    Script(Options),
    Test(Box<Test>),
    /// Something is wrong with a file that belongs to the command line.
    Refused {
        failure: Failure,
        json: bool,
    },
    Up(Up),
    Check(Check),
    Scripts(Scripts),
    Ps(Ps),
    Logs(Logs),
    Ctl(Ctl),
    Sweep(Sweep),
    Doctor(Doctor),
    Api(Api),
    New(New),
    Skill(Skill),
    Report(Report),
    /// The help or the version, with its colours.
    Help(String),
    /// Something to print that only the argument parser knows.
    Text(String),
    /// What completes the parameters of a script.
    Params(Source),
    Mock {
        port: u16,
    },
}

/// How to run a script.
#[derive(Clone, Debug)]
pub struct Options {
    pub source: Source,
    pub args: Vec<String>,
    pub timeout: Option<Duration>,
    pub grace: Duration,
    pub verbosity: Verbosity,
    pub keep_logs: bool,
    pub keep: bool,
    pub color: Color,
    pub include: Vec<PathBuf>,
    pub isolate: Isolation,
    /// Only say what the script would do.
    pub plan: bool,
    /// What jobs print is shown as it comes, whether or not they have the option `echo`.
    pub follow: Option<Follow>,
    /// Where what happens is recorded.
    pub events: Option<Recording>,
    /// What is made of it at the end.
    pub reports: Vec<Wanted>,
    /// Which of its tests run.
    pub select: Select,
    /// Its snapshots are written anew.
    pub update: bool,
    /// What is done beyond running the script; none with `bgjobs script`.
    pub task: Option<Task>,
    /// What the `_setup.rhai`s above it have handed on, the outermost first.
    pub handed: Vec<Handed>,
}

/// Where what happens in a run is recorded.
#[derive(Clone, Debug)]
pub enum Recording {
    At(PathBuf),
    /// A file that is open already.
    Kept(Arc<File>),
    /// The file of many scripts, which began at this time: the events of this one, in this try.
    Part {
        file: Arc<File>,
        started: Duration,
        script: String,
        number: u32,
    },
}

/// A part of bgjobs that needs a run.
#[derive(Clone, Debug)]
pub enum Task {
    Up(Staying),
    /// Writes a script that starts what the source, which is a file of services, lists.
    NewFrom(PathBuf),
    /// A `_setup.rhai`: hands on here, and stays until it is told to end.
    Setup(Arc<UnixStream>),
}

/// Whose output is shown as it comes, and where.
#[derive(Clone, Debug)]
pub struct Follow {
    pub stream: Stream,
    /// Only that of these jobs; without them that of all.
    pub only: Vec<String>,
}

impl Follow {
    /// Whether what a job prints is shown.
    pub fn shows(&self, job: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| is_or_copy(name, job))
    }

    /// Those that were asked for by a name that none of these jobs has.
    pub fn unknown<'a>(&'a self, jobs: &'a [String]) -> impl Iterator<Item = &'a str> {
        let known = |name: &&String| jobs.iter().any(|job| is_or_copy(name, job));
        self.only.iter().filter(move |name| !known(name)).map(String::as_str)
    }
}

/// Whether this is the name of a job, or of a copy or later namesake of it: `api-2`.
fn is_or_copy(name: &str, job: &str) -> bool {
    let number = job.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    job == name || number.is_some_and(|number| number.parse::<usize>().is_ok())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Which scripts to run, each as a run of its own, and how.
#[derive(Clone)]
pub struct Test {
    /// Files, directories and patterns; none for the usual place.
    pub paths: Vec<PathBuf>,
    pub filter: Option<Regex>,
    /// Only say which they are.
    pub list: bool,
    /// What has come of it is one object on stdout.
    pub json: bool,
    /// They run again when they change, until somebody has had enough.
    pub watch: bool,
    /// How many run at the same time.
    pub jobs: usize,
    /// After one that has failed no other is started.
    pub fail_fast: bool,
    /// How often one that has failed is tried again.
    pub retries: u32,
    /// How often each is run.
    pub repeat: u32,
    /// In a random order; that of this seed.
    pub shuffle: Option<Option<u64>>,
    /// How long all may take together.
    pub timeout_all: Option<Duration>,
    /// Which of those that are found.
    pub selection: Selection,
    /// Where what happens is recorded.
    pub events: Option<PathBuf>,
    /// Where it is recorded when nobody wants the file.
    pub record: Option<Arc<File>>,
    /// What is made of it at the end.
    pub reports: Vec<Wanted>,
    /// What of it all came from `bgjobs.toml`.
    pub config: Option<Config>,
    /// How each is run; the source is that of nobody.
    pub options: Options,
}

/// What `bgjobs up` is to start.
#[derive(Clone, Debug)]
pub struct Up {
    /// A file of services, a script, or a directory with one of them; without it the current directory.
    pub file: Option<PathBuf>,
    /// How the run is done. Its source is `file`, once that has been found.
    pub options: Options,
    pub staying: Staying,
}

/// What `bgjobs up` does.
#[derive(Clone, Debug, Default)]
pub struct Staying {
    /// The source is a file of services, and no script: of these services start these, or all.
    pub services: Option<Vec<String>>,
    /// Instead of staying: runs this, and ends as it does.
    pub exec: Option<String>,
    /// And does so in front of the user: there is a terminal, and we are in its foreground.
    pub at_terminal: bool,
    /// Where the addresses of what runs are written.
    pub env_file: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub enum Source {
    File(PathBuf),
    Stdin,
    Code(String),
}

/// As a person would call it; of code only that it was code, which may hold a secret.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("-"),
            Self::Code(_) => f.write_str("-e"),
        }
    }
}

impl Options {
    /// Whether what stands after the script asks for its help.
    pub fn asks_for_help(&self) -> bool {
        let mut words = self.args.iter().take_while(|word| *word != "--");
        self.args.first().is_some_and(|word| word == "-h") || words.any(|word| word == "--help")
    }
}

/// What to check.
#[derive(Clone, Debug)]
pub struct Check {
    pub sources: Vec<Source>,
    pub include: Vec<PathBuf>,
    pub json: bool,
}

/// Which scripts to show.
#[derive(Clone, Debug, Args)]
pub struct Scripts {
    /// Print the text of this one, for a copy that you change: bgjobs scripts NAME > my.rhai
    #[arg(value_name = "NAME", conflicts_with = "json")]
    pub name: Option<String>,
    /// Print JSON: an array with one object for each script
    #[arg(long)]
    pub json: bool,
}

/// How to show what runs.
#[derive(Clone, Copy, Debug, Args)]
pub struct Ps {
    /// Print JSON: an array with one object for each run
    #[arg(long)]
    pub json: bool,
}

/// Which logs to show.
#[derive(Clone, Debug, Args)]
pub struct Logs {
    /// A run: its name, its directory, or the number of its guard or host. Without one the only run that is live, or else the
    /// last whose logs were kept. Then the jobs; without one all of them
    #[arg(value_names = ["RUN", "JOB"], num_args = 0..)]
    pub words: Vec<String>,
    /// Go on with what comes, until the run has ended
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines of each job
    #[arg(short = 'n', long, value_name = "N", alias = "tail")]
    pub lines: Option<usize>,
    /// When to use colour; NO_COLOR and FORCE_COLOR are honoured
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,
    /// What cannot be had, so that it can be said why
    #[arg(long, hide = true, value_name = "TIME")]
    pub since: Option<String>,
}

/// What to begin with.
#[derive(Clone, Debug, Args)]
pub struct New {
    /// The file to write; `.rhai` may be left out
    #[arg(value_name = "NAME", default_value = "test.rhai")]
    pub name: PathBuf,
    /// What the script starts
    #[arg(long, value_enum, default_value_t = Kind::Web)]
    pub kind: Kind,
    /// Write what starts the services of this file: a Procfile, a file of process-compose, of services or of Compose, or
    /// package.json
    #[arg(long, value_name = "FILE", conflicts_with = "kind", value_hint = ValueHint::FilePath)]
    pub from: Option<PathBuf>,
}

/// What a first script starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// One web server, tests of its pages
    Web,
    /// Several services that need each other
    Services,
    /// PostgreSQL with migrations
    Database,
    /// Nothing yet
    Empty,
}

/// What to do with the skill.
#[derive(Clone, Debug, Args)]
pub struct Skill {
    /// Write it, with references, below DIR, or into the project's folder for an agent: claude, codex, gemini, cursor,
    /// copilot, or agents (a folder that several of them read)
    #[arg(long, value_name = "DIR|AGENT")]
    pub install: Option<String>,
    /// Replace files that were changed
    #[arg(long, requires = "install")]
    pub force: bool,
}

/// What to tell of the language.
#[derive(Clone, Debug, Args)]
pub struct Api {
    /// What to explain: spawn, Job.wait_log, spawn.fail_on, std/postgres, errors, rhai …
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Every word of the reference
    #[arg(long, conflicts_with_all = ["brief", "search"])]
    pub all: bool,
    /// The whole language in at most 12,000 characters, without examples
    #[arg(long, conflicts_with_all = ["names", "search"])]
    pub brief: bool,
    /// Where a word occurs, a line each
    #[arg(long, value_name = "WORD", conflicts_with = "names")]
    pub search: Option<String>,
    /// Print JSON: an array of objects with `name`, `group`, `property`, `calls`, `sentence`, `options`, `text`
    #[arg(long, conflicts_with_all = ["brief", "search", "all"])]
    pub json: bool,
}

/// How to show what was tried.
#[derive(Clone, Copy, Debug, Args)]
pub struct Doctor {
    /// Print JSON: an object with `holds`, `checks` and `covers`
    #[arg(long)]
    pub json: bool,
}

/// What to do with what is left.
#[derive(Clone, Debug, Args)]
pub struct Sweep {
    /// Stop what is shown, with its grace period, then with SIGKILL, and remove the directories of these runs
    #[arg(long)]
    pub yes: bool,
    /// Only what runs have left that were started in this directory, or below
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub under: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
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

/// Run scripts that start background processes, wait until they are really ready, test them, and leave
/// nothing behind.
#[derive(Parser)]
#[command(
    name = "bgjobs",
    version = env!("BGJOBS_VERSION"),
    max_term_width = WIDEST,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Subcommand)]
enum Sub {
    /// Run a script; when it returns, however it ended, nothing that it started is still running
    #[command(after_help = after_help::SCRIPT, override_usage = "bgjobs script [OPTIONS] FILE|NAME [ARGS]...\n       bgjobs script [OPTIONS] -e CODE [ARGS]...")]
    Script(ScriptArgs),
    /// Run many scripts, each as a run of its own, and say which of them failed
    #[command(after_help = after_help::TEST, override_usage = "bgjobs test [OPTIONS] [PATH]... [-- ARGS]", mut_arg("timeout", |arg| arg.help(after_help::TEST_TIMEOUT)), mut_arg("quiet", |arg| arg.help(after_help::TEST_QUIET)), mut_arg("verbose", |arg| arg.help(after_help::TEST_VERBOSE)))]
    Test(TestArgs),
    /// Start services, show what they print, and stay until interrupted, or until one dies
    #[command(after_help = after_help::UP, override_usage = "bgjobs up [OPTIONS] [FILE [NAME]...] [-- ARGS...]")]
    Up(UpArgs),
    /// Check a script without running it: syntax, unknown functions, wrong options, silent mistakes
    Check(CheckArgs),
    /// List the scenario scripts that are built in, with their parameters, or print one
    #[command(after_help = after_help::SCRIPTS)]
    Scripts(Scripts),
    /// List the live runs and their jobs
    #[command(after_help = after_help::PS)]
    Ps(Ps),
    /// Show what the jobs of a run have printed, live or kept, and go on with -f
    #[command(after_help = after_help::LOGS, override_usage = "bgjobs logs [OPTIONS] [RUN] [JOB]...")]
    Logs(Logs),
    /// Restart, stop or ask about the jobs of a run while it goes on: from its tests, or from another terminal
    #[command(after_help = after_help::CTL, override_usage = "bgjobs ctl [--run RUN] [--json] COMMAND [NAME]")]
    Ctl(ctl::Words),
    /// Show what runs have left whose guard and host were killed at once, and stop it with --yes
    #[command(after_help = after_help::SWEEP)]
    Sweep(Sweep),
    /// Try what this machine offers, and say what the promise covers here
    #[command(after_help = after_help::DOCTOR)]
    Doctor(Doctor),
    /// Explain the language: functions, options, objects, modules, errors
    #[command(after_help = after_help::API)]
    Api(Api),
    /// Make reports of the files that --events writes, put shards together, explain such a file
    #[command(after_help = after_help::REPORT)]
    Report {
        #[command(subcommand)]
        what: report::Sub,
    },
    /// Write a script to begin with, with comments, that runs as it is
    #[command(after_help = after_help::NEW)]
    New(New),
    /// Print the skill that tells a coding agent how to use bgjobs, or install it in a project
    #[command(after_help = after_help::SKILL)]
    Skill(Skill),
    /// Print what completes the words of a command line, for a shell: see its examples
    #[command(after_help = after_help::COMPLETIONS)]
    Completions { shell: Shell },
    /// Print the manual page of bgjobs, or of one of its commands
    #[command(after_help = after_help::MAN)]
    Man {
        /// The command, such as script; without it the page is that of bgjobs itself
        command: Option<String>,
    },
    /// What a script asks for, a line each: for the completion of a shell
    #[command(hide = true)]
    Params { script: String },
    /// The server behind `mock(routes)`
    #[command(hide = true)]
    Mock {
        #[arg(long)]
        port: u16,
    },
}

#[derive(Args)]
struct ScriptArgs {
    /// The script (`-` for standard input, or the NAME of one that `bgjobs scripts` lists), then what it gets
    /// from args() and param(name): all options of bgjobs come before FILE, and --help after it is the script's
    #[arg(required_unless_present = "code", value_names = ["FILE", "ARGS"], num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
    /// Run this code instead of a file
    #[arg(short = 'e', value_name = "CODE")]
    code: Option<String>,
    /// Say what the script starts, what waits for what and how long at most, as far as that is written out; run nothing
    #[arg(short = 'n', long = "dry-run")]
    plan: bool,
    /// Show what the jobs print as it comes, each line behind the name of its job, on stderr; --follow=api,db only that of
    /// these
    #[arg(short, long, value_name = "JOB", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "")]
    follow: Option<Vec<String>>,
    #[command(flatten)]
    recorded: report::Recorded,
    #[command(flatten)]
    select: SelectArgs,
    /// Write the snapshots of assert_snapshot anew, and remove those that nothing asks for
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct CheckArgs {
    /// The scripts, or directories with scripts; `-` for standard input
    #[arg(required_unless_present = "code", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check this code instead of a file
    #[arg(short = 'e', value_name = "CODE", conflicts_with = "files")]
    code: Option<String>,
    /// Where else `import` looks for modules
    #[arg(short = 'I', value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Print JSON: an array of objects with `path`, `line`, `column`, `severity`, `message`, `notes`, `hint`
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct TestArgs {
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
    json: bool,
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
    shards: shard::ShardArgs,
    #[command(flatten)]
    recorded: report::Recorded,
    #[command(flatten)]
    select: SelectArgs,
    /// Write the snapshots of assert_snapshot anew, and remove those that nothing asks for
    #[arg(long)]
    update: bool,
    /// Take the defaults of these options from FILE, instead of the nearest bgjobs.toml, here or above
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Take no defaults from a file
    #[arg(long, conflicts_with = "config")]
    no_config: bool,
    #[command(flatten)]
    run: RunArgs,
    /// What each script gets from args() and param(name)
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

#[derive(Args)]
struct UpArgs {
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

/// No help is wider.
const WIDEST: usize = 100;

fn at_least_once(text: &str) -> Result<u32, String> {
    let most = 100_000;
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from 1 to {most}")),
    }
}

/// Reads the command line. `Err` is the exit code after a usage error has been printed.
pub fn parse() -> Result<Command, i32> {
    let whole = || {
        fitting(Cli::command())
            .try_get_matches()
            .and_then(|found| Ok((Cli::from_arg_matches(&found)?, found)))
    };
    let parsed = alone().map_or_else(whole, |command| Ok((Cli { command }, clap::ArgMatches::default())));
    if let Err(asked) = &parsed
        && !asked.use_stderr()
    {
        return Ok(Command::Help(help(asked)));
    }
    let (cli, found) = parsed.map_err(|e| {
        use clap::error::ErrorKind::{InvalidSubcommand, UnknownArgument};
        let advice = match e.kind() {
            InvalidSubcommand | UnknownArgument => {
                report::instead(&words()).or_else(|| meant::instead(&words(), &Cli::command()))
            }
            _ => None,
        };
        match advice {
            Some(advice) => tell(&advice),
            None => say(&e),
        }
        exit::USAGE
    })?;
    Ok(match cli.command {
        Sub::Script(args) => {
            // What stands there in its place is looked at only then.
            if args.code.is_none()
                && args.rest.first().is_some_and(|first| first.starts_with('-'))
                && let Some(advice) = meant::before_the_script(&words()[1..], &script_command())
            {
                tell(&advice);
                return Err(exit::USAGE);
            }
            let reports = args.recorded.wanted().map_err(refuse)?;
            Command::Script(Options { reports, ..args.into() })
        }
        Sub::Test(args) => {
            let json = args.json;
            match with_defaults(args, &found) {
                Ok((args, config)) => {
                    if let Some(advice) = args.shards.incomplete() {
                        return Err(refuse(advice));
                    }
                    let reports = args.recorded.wanted().map_err(refuse)?;
                    Command::Test(Box::new(Test { reports, config, ..args.into() }))
                }
                Err(failure) => Command::Refused { failure, json },
            }
        }
        Sub::Up(args) => Command::Up(args.into()),
        Sub::Check(CheckArgs { files, code, include, json }) => {
            let sources = code.map(Source::Code).into_iter().chain(files.into_iter().map(source));
            Command::Check(Check { sources: sources.collect(), include, json })
        }
        Sub::Scripts(options) => Command::Scripts(options),
        Sub::Ps(options) => Command::Ps(options),
        Sub::Logs(options) => Command::Logs(options),
        Sub::Ctl(words) => Command::Ctl(words.into()),
        Sub::Sweep(options) => Command::Sweep(options),
        Sub::Doctor(options) => Command::Doctor(options),
        Sub::Api(options) => Command::Api(options),
        Sub::Report { what } => Command::Report(what.read().map_err(refuse)?),
        Sub::New(options) => Command::New(options),
        Sub::Skill(options) => Command::Skill(options),
        Sub::Completions { shell } => Command::Text(complete::text(shell, &Cli::command())),
        Sub::Man { command } => Command::Text(manual_page(command.as_deref())?),
        Sub::Params { script } => Command::Params(source(script.into())),
        Sub::Mock { port } => Command::Mock { port },
    })
}

/// What `bgjobs test` was given, with what `bgjobs.toml` says where the command line does not.
fn with_defaults(args: TestArgs, found: &clap::ArgMatches) -> Result<(TestArgs, Option<Config>), Failure> {
    use clap::parser::ValueSource::CommandLine;
    let asked = match &args.config {
        _ if args.no_config => return Ok((args, None)),
        Some(path) => config::Asked::This(path),
        None => config::Asked::Nearest,
    };
    let given = found.subcommand_matches("test");
    let is_given = |id: &str| given.is_some_and(|given| given.value_source(id) == Some(CommandLine));
    let Some((words, config)) = config::defaults(&asked, &Cli::command(), &is_given)? else {
        return Ok((args, None));
    };
    let line = ["bgjobs".into(), "test".into()].into_iter().chain(words).chain(std::env::args_os().skip(2));
    // Each was tried by itself.
    let both = Cli::command().try_get_matches_from(line).and_then(|both| Cli::from_arg_matches(&both));
    match both.map(|both| both.command) {
        Ok(Sub::Test(both)) => Ok((both, Some(config))),
        Ok(_) => Ok((args, None)),
        Err(error) => Err(Failure {
            code: exit::USAGE,
            message: format!("{} and the command line do not go together", config.path),
            notes: error.to_string().lines().take(1).map(str::to_owned).collect(),
            hint: Some("bgjobs test --no-config   (without the defaults of a file)".to_owned()),
            ..Failure::default()
        }),
    }
}

/// One of the commands that are to start quickly, when nothing about it is wrong or wants to be told: to describe all the
/// others takes longer than to read its words.
fn alone() -> Option<Sub> {
    match std::env::args_os().nth(1)?.to_str()? {
        "script" => read::<ScriptArgs>("script").map(Sub::Script),
        "check" => read::<CheckArgs>("check").map(Sub::Check),
        _ => None,
    }
}

fn read<T: Args>(name: &'static str) -> Option<T> {
    let command = T::augment_args(clap::Command::new(name)).no_binary_name(true);
    let mut found = command.try_get_matches_from(std::env::args_os().skip(2)).ok()?;
    T::from_arg_matches_mut(&mut found).ok()
}

/// The help or the version that was asked for, with colours where stdout is to have them.
fn help(asked: &clap::Error) -> String {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => asked.render().to_string(),
        _ => asked.render().ansi().to_string(),
    }
}

/// The page of a command, in roff.
fn manual_page(command: Option<&str>) -> Result<String, i32> {
    let mut cli = Cli::command();
    cli.build();
    let page = match command {
        None => cli.clone(),
        Some(name) => match cli.find_subcommand(name).filter(|found| !found.is_hide_set()) {
            Some(found) => found.clone().display_name(format!("bgjobs-{name}")),
            None => {
                tell(&meant::no_page(name, &cli));
                return Err(exit::USAGE);
            }
        },
    };
    let mut text = Vec::new();
    // Into memory: it does not fail.
    let _ =
        clap_mangen::Man::new(page).source(concat!("bgjobs ", env!("CARGO_PKG_VERSION"))).render(&mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// With a help that the reader's terminal has room for.
fn fitting(cli: clap::Command) -> clap::Command {
    let Some(width) = columns() else { return cli };
    let folded_end = |command: clap::Command| match command.get_after_help().map(ToString::to_string) {
        Some(text) => command.after_help(folded(&text, width)),
        None => command,
    };
    cli.term_width(width.min(WIDEST)).mut_subcommands(move |it| folded_end(it).term_width(width.min(WIDEST)))
}

/// The words of this command line, without the program.
fn words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// `bgjobs script` with its options; without what its help says besides.
fn script_command() -> clap::Command {
    let mut script = ScriptArgs::augment_args(clap::Command::new("script"));
    script.build();
    script
}

/// A mistake in the command line, with the way out, as the report shows errors.
fn tell(advice: &meant::Advice) {
    let note = advice.note.as_ref().map_or_else(String::new, |note| format!("\n  = {note}"));
    let text = format!("{}{note}\ntry: {}\n", advice.message, advice.hint);
    say(&clap::Error::raw(clap::error::ErrorKind::InvalidValue, text));
}

/// The same; the exit code.
fn refuse(advice: meant::Advice) -> i32 {
    tell(&advice);
    exit::USAGE
}

/// Prints an error; without colours when it repeats what would order the terminal about, which it then does not.
fn say(error: &clap::Error) {
    let text = error.render().to_string();
    let _ = if text.chars().any(is_order) {
        let shown: String = text.chars().map(|c| if is_order(c) { '\u{fffd}' } else { c }).collect();
        clap::Error::raw(error.kind(), shown.strip_prefix("error: ").unwrap_or(&shown)).print()
    } else {
        error.print()
    };
}

/// The command line of this run as it must be when options of bgjobs stand behind the script; none when none does.
/// `is_param`: the script asks for an argument of that name itself.
pub fn options_first(args: &[String], is_param: impl Fn(&str) -> bool) -> Option<String> {
    let (own, others) = meant::misplaced(args, &script_command(), is_param);
    if own.is_empty() {
        return None;
    }
    let words = words();
    // `script` and what stands before the script, and the script.
    let before = words.get(1..words.len().saturating_sub(args.len()))?;
    let before = before.strip_suffix(&["--".to_owned()]).unwrap_or(before);
    // What stands behind the script was typed last.
    let script = script_command();
    let (first, last) = meant::leading(before, &script);
    let own = meant::without_repeats(&own, &script);
    let mut line = meant::without_repeats(&[first, &own[..]].concat(), &script);
    line.rotate_right(own.len());
    line.extend_from_slice(&[last, &others[..]].concat());
    Some(format!("bgjobs script {}", crate::words::command_line(line)))
}

/// The long option of `bgjobs script` that is nearest to a name.
pub fn nearest_option(name: &str) -> Option<String> {
    let script = script_command();
    let names = script.get_arguments().filter_map(clap::Arg::get_long).filter(|name| *name != "help");
    crate::words::nearest(name, names).map(str::to_owned)
}

fn source(file: PathBuf) -> Source {
    if file.as_os_str() == "-" { Source::Stdin } else { Source::File(file) }
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
        let follow = given.follow.map(|mut only| {
            only.retain(|name| !name.is_empty());
            Follow { stream: Stream::Stderr, only }
        });
        Self {
            plan: given.plan,
            events,
            follow,
            update: given.update,
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
                select: given.select.into(),
                update: given.update,
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
        let follow = (!given.run.quiet).then(|| Follow { stream, only: Vec::new() });
        Self {
            file: given.file,
            options: Options { follow, ..given.run.options(source, given.args) },
            staying: Staying { services, exec, at_terminal: false, env_file },
        }
    }
}

/// The run that writes a script; it says nothing but what goes wrong.
impl New {
    pub fn run_from(&self, source: PathBuf, target: PathBuf) -> Options {
        Options {
            source: Source::File(source),
            args: Vec::new(),
            timeout: None,
            grace: Duration::from_secs(5),
            verbosity: Verbosity::Quiet,
            keep_logs: false,
            keep: false,
            color: Color::Auto,
            include: Vec::new(),
            isolate: Isolation { pid: false, net: false, ipc: false },
            plan: false,
            events: None,
            reports: Vec::new(),
            follow: None,
            select: Select::default(),
            update: false,
            task: Some(Task::NewFrom(target)),
            handed: Vec::new(),
        }
    }
}

impl RunArgs {
    fn options(self, source: Source, args: Vec<String>) -> Options {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Options {
            source,
            args,
            timeout: self.timeout,
            grace: self.grace,
            verbosity,
            keep_logs: self.keep_logs,
            keep: self.keep,
            color: self.color,
            include: self.include,
            isolate: Isolation {
                pid: self.isolate.contains(&Wall::Pid),
                net: self.isolate.contains(&Wall::Net),
                ipc: self.isolate.contains(&Wall::Ipc),
            },
            plan: false,
            events: None,
            reports: Vec::new(),
            follow: None,
            select: Select::default(),
            update: false,
            task: None,
            handed: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_read_by_itself_has_the_options_that_it_has_among_all() {
        let mut whole = Cli::command();
        whole.build();
        let mut check = CheckArgs::augment_args(clap::Command::new("check"));
        check.build();
        for alone in [script_command(), check] {
            let among = whole.find_subcommand(alone.get_name()).expect("is there");
            let of = |command: &clap::Command| command.get_arguments().cloned().collect::<Vec<_>>();
            assert_eq!(format!("{:?}", of(&alone)), format!("{:?}", of(among)));
        }
    }
}
