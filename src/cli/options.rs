//! What is to be done with scripts, as plain data: what the other rooms read. Where it comes from (the command line, a file
//! of defaults, another part of bgjobs) is not to be seen in it.

use super::config::Config;
use super::report::Wanted;
use super::shard::Selection;
use crate::handed::Handed;
use crate::isolate::Isolation;
use crate::select::Select;
use clap::ValueEnum;
use regex::Regex;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    /// How this is run when nobody has asked for anything else.
    pub fn of(source: Source) -> Self {
        Self {
            source,
            args: Vec::new(),
            timeout: None,
            grace: Duration::from_secs(5),
            verbosity: Verbosity::Normal,
            keep_logs: false,
            keep: false,
            color: Color::Auto,
            include: Vec::new(),
            isolate: Isolation { pid: false, net: false, ipc: false },
            plan: false,
            follow: None,
            events: None,
            reports: Vec::new(),
            select: Select::default(),
            update: false,
            task: None,
            handed: Vec::new(),
        }
    }

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
