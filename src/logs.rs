//! `bgjobs logs`: what the jobs of a run have printed, of one that lives or whose logs were kept; and what they print, until
//! it has ended.
//!
//! Read is what lies there, as the jobs have written it: without times, since a log has none, and while the run lives also
//! without its secrets masked, which only the run itself knows. So the runs of others are not shown, to root neither.

use crate::cli;
use crate::event::Failure;
use crate::exit;
use crate::jobs::log::{LogReader, start_of_last};
use crate::report::{self, Live, ReportStyle};
use crate::rundir;
use crate::runs::{self, Run, State};
use crate::sys::page::Identity;
use crate::sys::watch::{self, Watch};
use crate::sys::{fd, names, open, pidfd, proc};
use crate::words::nearest;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Lines that come one by one are shown a few at a time.
const BREATH: Duration = Duration::from_millis(2);
/// How often to look although nothing was told.
const ASLEEP: Duration = Duration::from_secs(1);
/// The same where the kernel tells of no writes.
const POLL: Duration = Duration::from_millis(100);

pub fn logs(options: &cli::Logs) -> i32 {
    fd::raise_limit();
    let shown = found(options).and_then(|found| Showing::new(options, found));
    match shown {
        Ok(mut showing) => showing.show(options.follow),
        Err(failure) => {
            report::print_failure(&failure, ReportStyle::choose(options.color));
            failure.code
        }
    }
}

fn wrong(message: String, notes: Vec<String>, hint: &str) -> Failure {
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    Failure { code: exit::USAGE, message, notes, hint, ..Failure::default() }
}

/// The run, and the jobs of it that are meant; all of them when that is none.
struct Found {
    run: Run,
    jobs: Vec<String>,
}

fn found(options: &cli::Logs) -> Result<Found, Failure> {
    if let Some(since) = &options.since {
        let note = "a log has what a job has printed, and not when".to_owned();
        let hint = "bgjobs logs -n 100   (the last lines; with -f -n 0 what comes from now on)";
        return Err(wrong(format!("--since {since}: lines of logs carry no times"), vec![note], hint));
    }
    let me = nix::unistd::geteuid().as_raw();
    let own: Vec<Run> = runs::all().into_iter().filter(|run| run.uid == me).collect();
    let Some(word) = options.words.first() else {
        return Ok(Found { run: usual(own)?, jobs: Vec::new() });
    };
    let jobs = options.words[1..].to_vec();
    if let Some(run) = at(Path::new(word)).or_else(|| runs::at(&rundir::base().join(word))) {
        return if run.uid == me { Ok(Found { run, jobs }) } else { Err(foreign(word, run.uid)) };
    }
    let (mut meant, others): (Vec<Run>, Vec<Run>) = own.into_iter().partition(|run| is_called(run, word));
    if let Some(run) = meant.pop() {
        return Ok(Found { run, jobs });
    }
    let names_a_run = word.contains('/') || word.starts_with(rundir::PREFIX) || word.parse::<i32>().is_ok();
    if names_a_run {
        return Err(no_such_run(word, me, &others));
    }
    Ok(Found { run: usual(others)?, jobs: options.words.clone() })
}

/// Whether a run has this name, with or without what all begin with, or one of its two processes this number.
fn is_called(run: &Run, word: &str) -> bool {
    let is_number = || {
        let page = run.page.as_deref().filter(|page| run.state == State::Live && page.counts_here());
        let pid = word.parse::<i32>().ok();
        page.is_some_and(|page| pid == Some(page.guard().pid) || pid == Some(page.host().pid))
    };
    run.name == word || run.name.strip_prefix(rundir::PREFIX) == Some(word) || is_number()
}

/// The run of this directory, or of one in it: the end of a run names that of its logs.
fn at(path: &Path) -> Option<Run> {
    let path = std::fs::canonicalize(path).ok()?;
    runs::at(&path).or_else(|| runs::at(path.parent()?))
}

/// The one that lives; else the last whose logs were kept.
fn usual(own: Vec<Run>) -> Result<Run, Failure> {
    let (mut live, over): (Vec<Run>, Vec<Run>) = own.into_iter().partition(|run| run.state == State::Live);
    if live.len() > 1 {
        let message = format!("{} runs are live: which one?", live.len());
        let hint = format!("bgjobs logs {}", live.last().map_or("RUN", |run| &run.name));
        return Err(wrong(message, live.iter().map(placed).collect(), &hint));
    }
    if let Some(run) = live.pop().or_else(|| over.into_iter().rfind(|run| rundir::logs(&run.path).is_some()))
    {
        report::hint(&format!("{}\n", described(&run)));
        return Ok(run);
    }
    let looked = format!(
        "looked in {}: a run that was started with another TMPDIR is not seen",
        rundir::base().display()
    );
    let hint = "bgjobs script --keep-logs FILE   (a run that fails keeps them anyway)";
    Err(wrong("no run of yours is live, and no logs were kept".to_owned(), vec![looked], hint))
}

/// `bgjobs-x7Kq2P: dev.rhai, live, guard 4711`.
fn described(run: &Run) -> String {
    let script = run.page.as_deref().map(|page| format!("{}, ", page.script())).unwrap_or_default();
    let guard = run.page.as_deref().map(|page| format!(", guard {}", page.guard().pid)).unwrap_or_default();
    match run.state {
        State::Live => format!("{}: {script}live{guard}", run.name),
        State::Lost | State::Ended | State::Unknown => format!("{}: {script}over", run.name),
    }
}

/// The same with the directory that it was started in, by which one of several is chosen.
fn placed(run: &Run) -> String {
    match run.page.as_deref().map(|page| page.directory()) {
        Some(directory) => format!("{}, in {}", described(run), directory.display()),
        None => described(run),
    }
}

fn foreign(word: &str, owner: u32) -> Failure {
    let user = names::user_name(owner);
    let message = format!("`{word}` is a run of user {user}: what its jobs print may hold secrets");
    wrong(message, Vec::new(), &format!("sudo -u {user} bgjobs logs {word}"))
}

fn no_such_run(word: &str, me: u32, own: &[Run]) -> Failure {
    let owner = match word.parse::<i32>() {
        Ok(pid) => proc::uid(pid),
        Err(_) => std::fs::symlink_metadata(rundir::base().join(word)).ok().map(|meta| meta.uid()),
    };
    if let Some(owner) = owner.filter(|owner| *owner != me) {
        return foreign(word, owner);
    }
    let names: Vec<&str> = own.iter().map(|run| run.name.as_str()).collect();
    let hint = nearest(word, names).map(|near| format!("bgjobs logs {near}"));
    let known = own.iter().map(placed).collect();
    wrong(format!("there is no run `{word}`"), known, hint.as_deref().unwrap_or("bgjobs ps"))
}

/// The logs of a run by the names of their jobs, in the order in which they were made.
fn logs_of(run: &Run) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(run.path.join(rundir::LOGS)).into_iter().flatten().flatten();
    let log = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".log")?.to_owned();
        let born = path.symlink_metadata().and_then(|meta| meta.created()).ok();
        Some((born, name, path))
    };
    let mut all: Vec<_> = entries.filter_map(|entry| log(entry.path())).collect();
    all.sort();
    let mut all: Vec<(String, PathBuf)> = all.into_iter().map(|(_, name, path)| (name, path)).collect();
    // Where the script wants them: as long as the job lives, it is known where it writes.
    for job in run.jobs() {
        // The record has the beginning of a long name.
        let is_cut = job.name.len() >= 35;
        let is_known = all.iter().any(|(name, _)| *name == job.name || is_cut && name.starts_with(&job.name));
        let is_it = || proc::stat(job.pid).is_some_and(|stat| stat.start == job.start);
        if let Ok(path) = std::fs::read_link(format!("/proc/{}/fd/1", job.pid))
            && !is_known
            && path.is_file()
            && is_it()
        {
            all.push((job.name, path));
        }
    }
    all
}

/// What is shown, and how far.
struct Showing {
    run: Run,
    /// Empty for all.
    jobs: Vec<String>,
    live: Live,
    lines: Option<usize>,
    readers: BTreeMap<PathBuf, Reading>,
}

struct Reading {
    name: String,
    reader: LogReader,
    /// It has been brought into its final form under us: what was read cannot be told from what was not.
    over: bool,
}

impl Showing {
    fn new(options: &cli::Logs, Found { run, jobs }: Found) -> Result<Self, Failure> {
        let known: Vec<String> = logs_of(&run).into_iter().map(|(name, _)| name).collect();
        if let Some(job) = jobs.iter().find(|job| !known.contains(job)) {
            let notes = match known.is_empty() {
                true => vec![format!("{} has no logs", run.name)],
                false => vec![format!("there are: {}", known.join(", "))],
            };
            let near = nearest(job, known.iter().map(String::as_str));
            let hint = near.map(|near| format!("bgjobs logs {} {near}", run.name)).unwrap_or_default();
            return Err(wrong(format!("no job `{job}` has a log in {}", run.name), notes, &hint));
        }
        let style = ReportStyle::choose_for_stdout(options.color);
        let others_may_come = options.follow && run.state == State::Live && jobs.is_empty();
        let count = if jobs.is_empty() { known.len() } else { jobs.len() };
        let mut live = if count > 1 || others_may_come { Live::new(style, true) } else { Live::bare(style) };
        live.expect(if jobs.is_empty() { &known } else { &jobs });
        let readers = BTreeMap::new();
        Ok(Self { run, jobs, live, lines: options.lines, readers })
    }

    fn show(&mut self, follow: bool) -> i32 {
        let code = if follow && self.run.state == State::Live { self.follow() } else { self.once() };
        code.err().unwrap_or(exit::OK)
    }

    /// What there is by now, and no more: who lives may go on for ever.
    fn once(&mut self) -> Result<(), i32> {
        for path in self.open_new(self.lines) {
            self.rest(&path)?;
        }
        Ok(())
    }

    fn follow(&mut self) -> Result<(), i32> {
        let (watch, ends) = (watch::create(), self.ends());
        let directory = self.run.path.join(rundir::LOGS);
        let watch = watch.filter(|watch| watch.directory(&directory));
        let mut lines = self.lines;
        let mut processes = BTreeMap::new();
        loop {
            // Before reading: what was printed just before the end counts.
            let over = self.is_over(&ends);
            self.open_new(lines);
            for (job, pid) in self.processes() {
                if processes.insert(job.clone(), pid).is_some_and(|before| before != pid) {
                    report::hint(&format!("{job} was started again (pid {pid})\n"));
                }
            }
            // Those that come later are shown from their beginning.
            lines = None;
            let paths: Vec<PathBuf> = self.readers.keys().cloned().collect();
            let outside = |path: &&PathBuf| !path.starts_with(&directory);
            let told =
                watch.as_ref().is_some_and(|it| paths.iter().filter(outside).all(|path| it.next_write(path)));
            let mut any = false;
            for path in &paths {
                any |= self.news(path)?;
            }
            if over {
                for path in &paths {
                    self.rest(path)?;
                }
                report::hint(&format!("{} has ended\n", self.run.name));
                return Ok(());
            }
            if !any {
                wait(watch.as_ref().filter(|_| told), &ends);
            }
        }
    }

    /// The first processes of the jobs that live and are shown; a command has no log. A log goes on where its job is started
    /// again, and says nothing of that.
    fn processes(&self) -> BTreeMap<String, i32> {
        let jobs = runs::at(&self.run.path).map(|run| run.jobs()).unwrap_or_default();
        let wanted = |name: &String| self.readers.values().any(|log| log.name == *name);
        jobs.into_iter().map(|job| (job.name, job.pid)).filter(|(name, _)| wanted(name)).collect()
    }

    /// What becomes readable when guard and host have ended; empty where they are not known by their numbers.
    fn ends(&self) -> Vec<OwnedFd> {
        let Some(page) = self.run.page.as_deref().filter(|page| page.counts_here()) else {
            return Vec::new();
        };
        let hold = |id: Identity| {
            let handle = pidfd::open(id.pid).ok()?;
            proc::stat(id.pid).is_some_and(|stat| stat.start == id.start).then_some(handle)
        };
        [page.guard(), page.host()].into_iter().filter_map(hold).collect()
    }

    fn is_over(&self, ends: &[OwnedFd]) -> bool {
        let handles: Vec<_> = ends.iter().map(AsFd::as_fd).collect();
        match handles.is_empty() {
            false => fd::wait_readable(&handles, Some(Duration::ZERO)).into_iter().all(|ended| ended),
            true => runs::at(&self.run.path).is_none_or(|run| run.state != State::Live),
        }
    }

    /// Begins to read what is wanted and not read yet: its last lines, or all of it.
    fn open_new(&mut self, lines: Option<usize>) -> Vec<PathBuf> {
        let mut new = Vec::new();
        for (name, path) in logs_of(&self.run) {
            let wanted = self.jobs.is_empty() || self.jobs.contains(&name);
            if !wanted || self.readers.contains_key(&path) {
                continue;
            }
            let Ok(file) = open::read(&path) else { continue };
            let from = lines.map_or(0, |count| start_of_last(&file, count));
            let reader = LogReader::of(&path, Some(file), from);
            self.readers.insert(path.clone(), Reading { name, reader, over: false });
            new.push(path);
        }
        new
    }

    /// Shows a piece of what has come; whether there was any.
    fn news(&mut self, path: &Path) -> Result<bool, i32> {
        let Some(log) = self.readers.get_mut(path).filter(|log| !log.over) else { return Ok(false) };
        if log.reader.size() < log.reader.offset() {
            let stops = |run: Run| {
                run.state != State::Live || run.page.is_some_and(|page| page.stop_since().is_some())
            };
            log.over = runs::at(&self.run.path).is_none_or(stops);
            if log.over {
                return Ok(false);
            }
        }
        let (bytes, more) = log.reader.whole_lines();
        self.print(path, &bytes)?;
        Ok(more || !bytes.is_empty())
    }

    /// Shows what is in it by now. A last line needs no end.
    fn rest(&mut self, path: &Path) -> Result<(), i32> {
        let end = self.readers.get(path).map_or(0, |log| log.reader.size());
        while self.readers.get(path).is_some_and(|log| log.reader.offset() < end) && self.news(path)? {}
        let rest = self.readers.get_mut(path).map(|log| log.reader.take_rest()).unwrap_or_default();
        self.print(path, &rest)
    }

    fn print(&mut self, path: &Path, bytes: &[u8]) -> Result<(), i32> {
        let Some(log) = self.readers.get_mut(path).filter(|_| !bytes.is_empty()) else { return Ok(()) };
        let missed = std::mem::take(&mut log.reader.missed);
        let lines = self.live.lines(&log.name, bytes, missed);
        match report::print_as_it_is(&String::from_utf8_lossy(&lines)) {
            exit::OK => Ok(()),
            code => Err(code),
        }
    }
}

/// Sleeps until one of the logs is written to, or the run has ended.
fn wait(watch: Option<&Watch>, ends: &[OwnedFd]) {
    let mut handles: Vec<_> = ends.iter().map(AsFd::as_fd).collect();
    // Of two that end one after the other, the first is readable all the time.
    if handles.len() > 1 && fd::wait_readable(&handles, Some(Duration::ZERO)).contains(&true) {
        handles.clear();
    }
    match watch {
        Some(watch) => {
            let patience = if handles.is_empty() { POLL } else { ASLEEP };
            handles.push(watch.as_fd());
            fd::wait_readable(&handles, Some(patience));
            watch.changed(|_| true);
            std::thread::sleep(BREATH);
        }
        None if handles.is_empty() => std::thread::sleep(POLL),
        None => drop(fd::wait_readable(&handles, Some(POLL))),
    }
}
