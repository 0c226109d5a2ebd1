//! What is recorded and reported, and where: the options of `bgjobs script` and `bgjobs test`, and `bgjobs report`.

use super::meant::Advice;
use crate::words::{nearest, quote};
use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

/// A form of reports for other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    Junit,
    Ctrf,
    Tap,
    Github,
    Html,
    Trace,
}

impl ReportKind {
    const ALL: [Self; 6] = [Self::Junit, Self::Ctrf, Self::Tap, Self::Github, Self::Html, Self::Trace];

    pub fn name(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::Ctrf => "ctrf",
            Self::Tap => "tap",
            Self::Github => "github",
            Self::Html => "html",
            Self::Trace => "trace",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Junit => "junit.xml",
            Self::Ctrf => "ctrf.json",
            Self::Tap => "result.tap",
            Self::Github => "summary.md",
            Self::Html => "report.html",
            Self::Trace => "trace.json",
        }
    }
}

/// A report that is to be made.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub kind: ReportKind,
    /// None for where GitHub wants it.
    pub path: Option<PathBuf>,
    /// Nobody has asked for it.
    pub by_itself: bool,
}

/// Whether this is a step of GitHub Actions.
pub fn on_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// What is recorded of a run, or of many.
#[derive(Args, Default)]
pub struct Recorded {
    /// Record what happens in this file as it happens, a line of JSON each: see `bgjobs report --help`
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub events: Option<PathBuf>,
    /// Write a report at the end: junit=FILE, ctrf=FILE, tap=FILE, github=FILE, html=FILE or trace=FILE; may be given several
    /// times
    #[arg(long = "report", value_name = "KIND=FILE")]
    reports: Vec<String>,
}

impl Recorded {
    /// The reports; or what is wrong with them. On GitHub its own is made also when nobody asks for it, but not of a run
    /// inside of another.
    pub fn wanted(&self) -> Result<Vec<Wanted>, Advice> {
        let mut all: Vec<Wanted> = self.reports.iter().map(|text| wanted(text)).collect::<Result<_, _>>()?;
        let inside = std::env::var_os(OF_RUN).is_some();
        if on_github() && !inside && !all.iter().any(|one| one.kind == ReportKind::Github) {
            all.push(Wanted { kind: ReportKind::Github, path: None, by_itself: true });
        }
        Ok(all)
    }
}

/// Whatever a run starts has this in its environment.
const OF_RUN: &str = "BGJOBS_RUN";

/// One of `--report`.
pub fn wanted(text: &str) -> Result<Wanted, Advice> {
    let (name, file) = text.split_once('=').map_or((text, None), |(name, file)| (name, Some(file)));
    let kind = kind(name).map_err(|near| Advice {
        message: format!("--report {text}: there is no kind of report `{name}`"),
        note: Some(kinds()),
        hint: format!(
            "--report {}={}",
            near.name(),
            quote(file.filter(|it| !it.is_empty()).unwrap_or(near.example()))
        ),
    })?;
    let wrong = |why: &str| Advice {
        message: format!("--report {text}: {why}"),
        note: None,
        hint: format!("--report {name}={}", kind.example()),
    };
    match file {
        None if kind == ReportKind::Github => Ok(Wanted { kind, path: None, by_itself: false }),
        None | Some("") => Err(wrong("the file is missing")),
        Some("-") => Err(wrong("a report goes to a file, since stdout is for what scripts print")),
        Some(file) => Ok(Wanted { kind, path: Some(file.into()), by_itself: false }),
    }
}

/// What others call them.
const HABITS: &[(&[&str], ReportKind)] = &[
    (&["xml", "xunit", "junitxml"], ReportKind::Junit),
    (&["json"], ReportKind::Ctrf),
    (&["markdown", "md", "summary"], ReportKind::Github),
    (&["chrome", "perfetto", "timeline"], ReportKind::Trace),
];

/// The kind of that name, or the one that is nearest to it.
fn kind(name: &str) -> Result<ReportKind, ReportKind> {
    let all = ReportKind::ALL;
    if let Some(kind) = all.into_iter().find(|kind| kind.name() == name) {
        return Ok(kind);
    }
    if let Some((_, kind)) = HABITS.iter().find(|(words, _)| words.contains(&name)) {
        return Err(*kind);
    }
    let near = nearest(name, all.map(ReportKind::name));
    Err(all.into_iter().find(|kind| Some(kind.name()) == near).unwrap_or(ReportKind::Junit))
}

fn kinds() -> String {
    format!("kinds of reports are: {}", ReportKind::ALL.map(ReportKind::name).join(", "))
}

/// `bgjobs report WORD …` where the word is not one of its commands.
pub fn instead(words: &[String]) -> Option<Advice> {
    let word = words.get(1).filter(|_| words[0] == "report")?;
    if word.starts_with('-') || COMMANDS.contains(&word.as_str()) || kind(word).is_ok() {
        return None;
    }
    let is_file = word.ends_with(".jsonl") || std::path::Path::new(word).is_file();
    let near = kind(word).unwrap_or_else(|near| near);
    let rest: Vec<String> = words[2..].iter().map(|word| quote(word)).collect();
    let rest = if rest.is_empty() { "EVENTS.jsonl".to_owned() } else { rest.join(" ") };
    Some(Advice {
        message: format!("there is no report `{word}`"),
        note: Some(format!("{}; merge puts shards together, schema explains the files", kinds())),
        hint: match is_file {
            true => format!("bgjobs report junit {}", quote(word)),
            false => format!("bgjobs report {} {rest}", near.name()),
        },
    })
}

const COMMANDS: [&str; 3] = ["merge", "schema", "help"];

/// What to make of files of events.
pub enum Report {
    One {
        kind: ReportKind,
        files: Vec<PathBuf>,
        output: Option<PathBuf>,
    },
    Merge {
        paths: Vec<PathBuf>,
        reports: Vec<Wanted>,
        output: Option<PathBuf>,
    },
    /// What a line of such a file is.
    Schema,
}

#[derive(Subcommand)]
pub enum Sub {
    /// JUnit XML, which every CI reads: a test case for each `test` of a script, or for the script
    Junit(View),
    /// CTRF JSON, the Common Test Report Format
    Ctrf(View),
    /// TAP, the Test Anything Protocol, version 14
    Tap(View),
    /// A summary in Markdown, under GitHub's limit; in GitHub Actions also at most 8 annotations in the log
    Github(View),
    /// A page for a browser, in one file
    Html(View),
    /// Trace events for ui.perfetto.dev or chrome://tracing: a track for each job, waits, commands, tests, requests
    Trace(View),
    /// Put all shards of `bgjobs test --shard` together, refuse when one is missing, and end with their worst code
    Merge(Merge),
    /// Print the JSON schema of a line of a file of events
    Schema,
}

#[derive(Args)]
pub struct View {
    /// What --events has written
    #[arg(value_name = "EVENTS", required = true, value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Where it is written, instead of to stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

#[derive(Args)]
pub struct Merge {
    /// Directories with the files of all shards (*.jsonl, at any depth), or the files
    #[arg(value_name = "DIR", required = true, value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Write a report of them all: as with `bgjobs test`
    #[arg(long = "report", value_name = "KIND=FILE")]
    reports: Vec<String>,
    /// Write all events to this file
    #[arg(short, long, value_name = "EVENTS", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

impl Sub {
    pub fn read(self) -> Result<Report, Advice> {
        let (kind, view) = match self {
            Self::Junit(view) => (ReportKind::Junit, view),
            Self::Ctrf(view) => (ReportKind::Ctrf, view),
            Self::Tap(view) => (ReportKind::Tap, view),
            Self::Github(view) => (ReportKind::Github, view),
            Self::Html(view) => (ReportKind::Html, view),
            Self::Trace(view) => (ReportKind::Trace, view),
            Self::Merge(Merge { paths, reports, output }) => {
                let reports = Recorded { events: None, reports }.wanted()?;
                return Ok(Report::Merge { paths, reports, output });
            }
            Self::Schema => return Ok(Report::Schema),
        };
        Ok(Report::One {
            kind,
            files: view.files,
            output: view.output.filter(|path| path.as_os_str() != "-"),
        })
    }
}
