//! `--watch`: runs the scripts again that a change concerns, or that a key asks for. Each round is a `bgjobs test` of its own,
//! in a process of its own, which is told when this one ends, however it does.

use crate::cli::{self, Test};
use crate::event::Failure;
use crate::exit;
use crate::report::views::model::{Outcome, Recorded};
use crate::report::{self, ReportStyle, views};
use crate::runner::find;
use crate::runner::setups::files_above;
use crate::runner::signals::Signals;
use crate::runner::uses::{self, Seen, Uses};
use crate::sys::fork::{self, Forked};
use crate::sys::wait::{self, Change};
use crate::sys::{clock, fd, signal, tty, watch};
use anyhow::Context;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What one who saves several files does at once.
const SETTLED: Duration = Duration::from_millis(100);

/// What somebody wants.
enum Wish {
    All,
    Failed,
    Again,
    Quit,
}

/// Runs them until somebody has had enough; the exit code, unless it dies of a signal. `round`: does one.
pub fn watch(options: &Test, round: fn(&Test) -> i32) -> i32 {
    let style = ReportStyle::choose(options.options.color);
    let refuse = |failure: Failure| {
        report::print_failure(&failure, style);
        failure.code
    };
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return refuse(Failure {
            code: exit::USAGE,
            message: "--watch needs a terminal: keys say what runs again".to_owned(),
            hint: Some("bgjobs test   (once, as in CI)".to_owned()),
            ..Failure::default()
        });
    }
    // A mistake in what is asked for is told as ever.
    let scripts = match find::scripts(options, None) {
        Ok(scripts) => scripts,
        Err(failure) => return refuse(failure),
    };
    let Some(watch) = watch::create() else {
        return refuse(Failure {
            code: exit::INFRASTRUCTURE,
            message: "--watch: this user has no inotify instance left".to_owned(),
            hint: Some("sysctl fs.inotify.max_user_instances   (128 is usual; programs that watch files have one each)".to_owned()),
            ..Failure::default()
        });
    };
    watched(options, round, scripts, watch, style).unwrap_or_else(|error| {
        report::plain_error(&error);
        exit::INFRASTRUCTURE
    })
}

fn watched(
    options: &Test,
    round: fn(&Test) -> i32,
    scripts: Vec<PathBuf>,
    watch: watch::Watch,
    style: ReportStyle,
) -> anyhow::Result<i32> {
    let signals = Signals::catch().context("cannot catch signals")?;
    let keys = fd::duplicate(std::io::stdin()).context("cannot duplicate a descriptor")?;
    let modes = tty::save();
    modes.hand_on_keys();
    let mut watcher = Watcher {
        options: options.clone(),
        defaults: Defaults::now(),
        round,
        signals: &signals,
        watch,
        keys: keys.into(),
        style,
        uses: Uses::new(),
        seen: Seen::new(),
        next: Some(scripts.clone()),
        scripts,
        now: Vec::new(),
        failed: BTreeSet::new(),
        child: None,
        record: None,
    };
    let result = watcher.run();
    modes.restore();
    if let Some(signal) = signals.first() {
        fork::no_core_dump();
        signal::die_of(signal);
    }
    result.map(|()| exit::OK)
}

/// The file of defaults (`bgjobs.toml`), and what stands in it.
#[derive(PartialEq, Eq)]
struct Defaults {
    path: Option<PathBuf>,
    text: Option<Vec<u8>>,
}

impl Defaults {
    fn now() -> Self {
        let path = cli::defaults_of_test();
        let text = path.as_ref().and_then(|path| std::fs::read(path).ok());
        Self { path, text }
    }
}

struct Watcher<'a> {
    options: Test,
    defaults: Defaults,
    round: fn(&Test) -> i32,
    signals: &'a Signals,
    watch: watch::Watch,
    keys: File,
    style: ReportStyle,
    /// All of them, what they are made of, and how that was when it was looked at last.
    scripts: Vec<PathBuf>,
    uses: Uses,
    seen: Seen,
    /// What runs, or has run last, and what is to run then.
    now: Vec<PathBuf>,
    next: Option<Vec<PathBuf>>,
    /// Those that did not pass when they ran last.
    failed: BTreeSet<PathBuf>,
    /// The process of the round, and where it records what happens.
    child: Option<i32>,
    record: Option<Arc<File>>,
}

impl Watcher<'_> {
    fn run(&mut self) -> anyhow::Result<()> {
        self.look();
        let mut quits = false;
        loop {
            // What comes behind this look ends the wait below: whatever it tells is acted on before.
            quits |= self.signals.look();
            self.collect();
            if (quits || self.next.is_some())
                && let Some(child) = self.child
            {
                self.signals.stop(child);
                self.wait_for(child);
                quits |= self.signals.look();
            }
            if self.child.is_none() {
                match self.next.take() {
                    _ if quits => return Ok(()),
                    Some(next) => self.start(next)?,
                    None => {}
                }
            }
            let ready =
                fd::wait_readable(&[self.signals.as_fd(), self.watch.as_fd(), self.keys.as_fd()], None);
            if ready[2] {
                for wish in self.wishes() {
                    quits |= self.grant(&wish);
                }
            }
            if ready[1] {
                self.changes();
            }
        }
    }

    /// One round of these.
    fn start(&mut self, mut scripts: Vec<PathBuf>) -> anyhow::Result<()> {
        scripts.retain(|path| path.is_file());
        self.now.clone_from(&scripts);
        if scripts.is_empty() {
            self.prompt();
            return Ok(());
        }
        let record = tempfile::tempfile().context("cannot record in the directory for temporary files")?;
        let record = Arc::new(record);
        self.record = Some(Arc::clone(&record));
        let options = Test {
            paths: scripts,
            filter: None,
            config: None,
            watch: false,
            record: Some(record),
            ..self.options.clone()
        };
        let parent = std::process::id();
        match fork::fork_single_threaded().context("cannot fork")? {
            Forked::Child => {
                let alive = fork::on_parent_death(Signal::SIGTERM).is_ok();
                // It may have died before it was to be told so.
                if !alive || std::os::unix::process::parent_id() != parent {
                    fork::leave(exit::INFRASTRUCTURE);
                }
                let round = || (self.round)(&options);
                fork::leave(catch_unwind(AssertUnwindSafe(round)).unwrap_or(exit::INFRASTRUCTURE))
            }
            Forked::Parent(child) => {
                self.signals.add(child, false);
                self.child = Some(child);
            }
        }
        Ok(())
    }

    /// The end of the round, if it is over.
    fn collect(&mut self) {
        let Some(child) = self.child else { return };
        if let Change::Ended(_) = wait::change(child) {
            self.signals.remove(child);
            self.child = None;
            self.remember();
            if self.next.is_none() && self.signals.first().is_none() {
                self.prompt();
            }
        }
    }

    fn wait_for(&mut self, child: i32) {
        while self.child == Some(child) {
            fd::wait_readable(&[self.signals.as_fd()], Some(Duration::from_secs(1)));
            self.signals.look();
            self.collect();
        }
    }

    /// Who has failed in it.
    fn remember(&mut self) {
        let recorded = match (&self.options.events, &self.record) {
            (Some(path), _) => views::read(std::slice::from_ref(path)),
            (None, Some(file)) => views::read_one(file, "what was recorded"),
            (None, None) => return,
        };
        let Recorded { runs } = recorded.unwrap_or_default();
        for script in runs.iter().flat_map(|run| &run.scripts).filter(|script| !script.setup) {
            let path = PathBuf::from(&script.path);
            match script.last().map(|last| last.outcome) {
                Some(Outcome::Passed) => {
                    self.failed.remove(&path);
                }
                Some(Outcome::Failed | Outcome::Unfinished) => {
                    self.failed.insert(path);
                }
                Some(Outcome::Stopped) | None => {}
            }
        }
    }

    fn prompt(&self) {
        let failed = self.scripts.iter().filter(|path| self.failed.contains(*path)).count();
        report::watching(self.scripts.len(), failed, self.style);
    }

    fn wishes(&mut self) -> Vec<Wish> {
        let mut typed = [0; 64];
        let length = match self.keys.read(&mut typed) {
            // The terminal is gone.
            Ok(0) | Err(_) => return vec![Wish::Quit],
            Ok(length) => length,
        };
        let wish = |key: &u8| match key {
            b'a' => Some(Wish::All),
            b'f' => Some(Wish::Failed),
            b'q' | 4 => Some(Wish::Quit),
            b'\n' | b'\r' => Some(Wish::Again),
            _ => None,
        };
        typed[..length].iter().filter_map(wish).collect()
    }

    /// Whether it is the end.
    fn grant(&mut self, wish: &Wish) -> bool {
        self.next = match wish {
            Wish::Quit => return true,
            Wish::All => Some(self.scripts.clone()),
            Wish::Again => Some(self.now.clone()),
            Wish::Failed if self.failed.is_empty() => {
                report::nothing_failed(self.style);
                return false;
            }
            Wish::Failed => {
                Some(self.scripts.iter().filter(|path| self.failed.contains(*path)).cloned().collect())
            }
        };
        false
    }

    /// Something was written: the scripts that it concerns are next, with those that have not come to their end.
    fn changes(&mut self) {
        let until = clock::now() + SETTLED * 10;
        loop {
            self.watch.changed(|_| false);
            if !fd::wait_readable(&[self.watch.as_fd()], Some(SETTLED))[0] || clock::now() >= until {
                break;
            }
        }
        if self.reread() {
            return;
        }
        let (before, seen, known) = (self.uses.clone(), self.seen.clone(), self.scripts.clone());
        self.look();
        let changed = uses::changed(&seen, &self.seen);
        let mut next = uses::affected(&changed, &before, &self.uses, &self.scripts);
        next.extend(self.scripts.iter().filter(|path| !known.contains(path)).cloned());
        if next.is_empty() {
            return;
        }
        let names: Vec<String> = changed.iter().map(|path| shown(path)).collect();
        if self.child.is_some() {
            next.extend(self.now.iter().cloned());
        }
        let next: Vec<PathBuf> = self.scripts.iter().filter(|path| next.contains(path)).cloned().collect();
        report::changed(&names, next.len(), self.style);
        self.next = Some(next);
    }

    /// Whether the defaults have changed and all runs again by the new ones. Of a file with a mistake that is told, and what
    /// it said before goes on to hold.
    fn reread(&mut self) -> bool {
        let now = Defaults::now();
        if now == self.defaults {
            return false;
        }
        let path = now.path.as_ref().or(self.defaults.path.as_ref()).cloned().unwrap_or_default();
        self.defaults = now;
        match cli::test_again() {
            Ok(Some(options)) => self.options = options,
            Ok(None) => return false,
            Err(failure) => {
                report::print_failure(&failure, self.style);
                report::old_defaults(&path.display().to_string(), self.style);
                return false;
            }
        }
        self.look();
        report::changed(&[path.display().to_string()], self.scripts.len(), self.style);
        self.next = Some(self.scripts.clone());
        true
    }

    /// Which scripts there are now, and what they are made of. Watches before it looks, so that nothing is missed between.
    fn look(&mut self) {
        // A directory that is empty for a moment is no mistake.
        if let Ok(scripts) = find::scripts(&self.options, None) {
            self.scripts = scripts;
        }
        self.uses = uses::uses(&self.scripts, &self.options.options.include);
        let mut dirs: BTreeSet<PathBuf> = BTreeSet::new();
        let files = self.uses.values().flatten().cloned();
        dirs.extend(files.filter_map(|file| file.parent().map(Path::to_owned)));
        for path in find::places(&self.options) {
            below(&path, &mut dirs);
        }
        for script in &self.scripts {
            dirs.extend(files_above(script).iter().filter_map(|file| file.parent().map(Path::to_owned)));
        }
        for dir in &dirs {
            self.watch.directory(dir);
        }
        // Where the defaults stand, or may come to stand.
        let of_defaults = self.defaults.path.as_deref().and_then(Path::parent);
        for dir in of_defaults.into_iter().chain([Path::new("")]) {
            self.watch.directory(if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
        }
        self.seen = uses::seen(&dirs, &self.uses);
    }
}

/// A directory with those below it; what is hidden in it is not looked at.
fn below(dir: &Path, found: &mut BTreeSet<PathBuf>) {
    let Ok(real) = std::fs::canonicalize(dir) else { return };
    if !real.is_dir() {
        return;
    }
    found.insert(real.clone());
    for entry in std::fs::read_dir(&real).into_iter().flatten().flatten() {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            below(&entry.path(), found);
        }
    }
}

fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(std::fs::canonicalize).unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
