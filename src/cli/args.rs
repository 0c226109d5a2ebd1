//! The commands as they are typed, with the options of those that run no script: their comments are what `--help` shows.

use super::options::{Color, Options, Source, Task, Verbosity};
use super::run_args::{CheckArgs, ScriptArgs, TestArgs, UpArgs};
use super::{after_help, ctl, report};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use std::path::PathBuf;

/// No help is wider.
pub(super) const WIDEST: usize = 100;

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
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Sub,
}

#[derive(Subcommand)]
pub(super) enum Sub {
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
    /// The live runs, or the jobs of one, a line each: for the completion of a shell
    #[command(hide = true)]
    Names(Names),
    /// The server behind `mock(routes)`
    #[command(hide = true)]
    Mock {
        #[arg(long)]
        port: u16,
    },
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

/// Whose names a shell wants.
#[derive(Clone, Debug, Args)]
pub struct Names {
    /// Those of runs, and not those of jobs
    #[arg(long)]
    pub runs: bool,
    /// The run whose jobs are meant, as `bgjobs ctl --run` takes it
    #[arg(long)]
    pub run: Option<String>,
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

/// The run that writes a script; it says nothing but what goes wrong.
impl New {
    pub fn run_from(&self, source: PathBuf, target: PathBuf) -> Options {
        Options {
            verbosity: Verbosity::Quiet,
            task: Some(Task::NewFrom(target)),
            ..Options::of(Source::File(source))
        }
    }
}
