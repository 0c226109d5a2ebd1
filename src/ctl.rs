//! `bgjobs ctl`: finds a run that goes on, asks it for something, and shows what it has answered. What is done happens in
//! the run.

use crate::ask::{Answer, Request};
use crate::cli;
use crate::event::Failure;
use crate::exit;
use crate::jobs::{self, ctl};
use crate::report;
use crate::rundir;
use crate::runs::{self, Run, State};
use crate::sys::{local, names};
use crate::words::nearest;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// More than any answer has.
const LONGEST: u64 = 64 << 20;

pub fn ctl(options: &cli::Ctl) -> i32 {
    let answer = place(options).and_then(|place| asked(&place, &options.request));
    report::ctl(&answer.unwrap_or_else(Answer::Failed), options.json)
}

/// Prints names for the completion of a shell, a line each, and nothing where there are none: who has typed half a word
/// wants no errors.
pub fn names(options: &cli::Names) -> i32 {
    let names: Vec<String> = if options.runs {
        let me = nix::unistd::geteuid().as_raw();
        live().into_iter().filter(|run| run.uid == me).map(|run| run.name).collect()
    } else {
        let options = cli::Ctl { run: options.run.clone(), json: false, request: Request::Jobs };
        match place(&options).and_then(|place| asked(&place, &options.request)) {
            Ok(Answer::Jobs(jobs)) => jobs.into_iter().map(|job| job.name).collect(),
            _ => Vec::new(),
        }
    };
    report::print(&names.into_iter().map(|name| name + "\n").collect::<String>())
}

fn usage(message: String) -> Failure {
    Failure { code: exit::USAGE, message, ..Failure::default() }
}

fn over(message: String) -> Failure {
    Failure { code: exit::INFRASTRUCTURE, message, ..Failure::default() }
}

/// The socket of the run that is meant: of the one that was named, of the one that has started us, or of the only one.
fn place(options: &cli::Ctl) -> Result<PathBuf, Failure> {
    if let Some(run) = options.run.as_deref() {
        return named(run, options);
    }
    if let Some(path) = std::env::var_os(ctl::VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let me = nix::unistd::geteuid().as_raw();
    let mine: Vec<Run> = live().into_iter().filter(|run| run.uid == me).collect();
    match &mine[..] {
        [run] => socket_of(run),
        [] => {
            let notes = vec![format!(
                "looked in {}; what a run starts finds it by {}",
                rundir::base().display(),
                ctl::VARIABLE
            )];
            Err(Failure { notes, ..over("no run of yours goes on".to_owned()) })
        }
        [first, ..] => {
            let notes = mine.iter().map(described).collect();
            let hint = Some(line(&first.name, options));
            Err(Failure {
                notes,
                hint,
                ..usage(format!("{} runs of yours go on: which one is meant?", mine.len()))
            })
        }
    }
}

/// The command line with this run.
fn line(run: &str, options: &cli::Ctl) -> String {
    let (name, job) = (options.request.name(), options.request.job());
    let job = job.map_or_else(String::new, |job| format!(" {}", crate::words::quote(job)));
    format!("bgjobs ctl --run {run} {name}{job}")
}

fn live() -> Vec<Run> {
    runs::all().into_iter().filter(|run| run.state == State::Live).collect()
}

/// `bgjobs-x7Kq2P (dev.rhai, in /home/me/shop)`.
fn described(run: &Run) -> String {
    let page = run.page.as_deref();
    let script = page.map(|page| format!(" ({}, in {})", page.script(), page.directory().display()));
    format!("{}{}", run.name, script.unwrap_or_default())
}

/// A run by its name, with or without what all names begin with, or by its directory.
fn named(run: &str, options: &cli::Ctl) -> Result<PathBuf, Failure> {
    if run.contains('/') {
        let path = Path::new(run);
        if !path.is_dir() {
            return Err(usage(format!("--run: there is no directory `{run}`")));
        }
        return Ok(path.join(ctl::SOCKET));
    }
    let all = runs::all();
    let full = format!("{}{run}", rundir::PREFIX);
    let Some(found) = all.iter().find(|one| one.name == run || one.name == full) else {
        let live: Vec<&Run> = all.iter().filter(|run| run.state == State::Live).collect();
        let hint = nearest(run, live.iter().map(|run| run.name.as_str())).map(|name| line(name, options));
        let notes = match live.is_empty() {
            true => vec!["no run goes on".to_owned()],
            false => live.into_iter().map(described).collect(),
        };
        return Err(Failure { notes, hint, ..usage(format!("--run: there is no run `{run}`")) });
    };
    match found.state {
        State::Live => socket_of(found),
        _ => Err(over(format!("the run `{}` has ended", found.name))),
    }
}

fn socket_of(run: &Run) -> Result<PathBuf, Failure> {
    let path = run.path.join(ctl::SOCKET);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let why =
                format!("the run {} cannot be asked: it has started nothing yet, or is over", described(run));
            Err(over(why))
        }
        // Whether we may is found by doing it.
        _ => Ok(path),
    }
}

fn asked(path: &Path, request: &Request) -> Result<Answer, Failure> {
    let ended = |why: &str| {
        let notes = vec![format!("{why} {}", path.display())];
        Failure { notes, ..over("the run has ended".to_owned()) }
    };
    let mut stream = local::connect(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ended("its socket is gone:"),
        ErrorKind::ConnectionRefused => ended("nobody listens any more at"),
        ErrorKind::PermissionDenied => of_another_user(path),
        _ => over(format!("cannot connect to `{}`: {}", path.display(), jobs::why(error))),
    })?;
    let mut line = serde_json::to_vec(request).unwrap_or_default();
    line.push(b'\n');
    // Who does not want to hear it says why.
    let _ = stream.write_all(&line);
    let mut answer = Vec::new();
    let read = BufReader::new((&stream).take(LONGEST)).read_until(b'\n', &mut answer);
    if read.is_err() || answer.last() != Some(&b'\n') {
        return Err(ended("it did so before it has answered at"));
    }
    serde_json::from_slice(&answer).map_err(|error| {
        let message = format!("the run's answer is not one of bgjobs {}: {error}", env!("CARGO_PKG_VERSION"));
        let notes = vec!["the run may be one of another version".to_owned()];
        Failure { notes, ..over(message) }
    })
}

fn of_another_user(path: &Path) -> Failure {
    let owner = path.parent().and_then(|dir| fs::symlink_metadata(dir).ok()).map(|meta| meta.uid());
    let owner = owner.map_or_else(|| "another".to_owned(), names::user_name);
    usage(format!("the run belongs to user {owner}: `{}` is closed to you", path.display()))
}
