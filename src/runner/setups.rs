//! `_setup.rhai`: what all scripts of a directory and below it share, as a run of its own. Here is which there are, and how far
//! each of them has come; when one is to start and to end, its user decides.

use crate::cli::{Options, Recording};
use crate::event::Failure;
use crate::exit;
use crate::handed::{Handed, SETUP};
use crate::isolate::Isolation;
use crate::runner::attempt::{As, Attempt};
use crate::runner::signals::Signals;
use crate::select::Select;
use crate::sys::wait::ExitStatus;
use anyhow::Context;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How far one has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Idle,
    Starting,
    /// The scripts below can run.
    Up,
    /// It was told to end.
    Ending,
    Over,
    /// It did not come up, or has died.
    Failed,
}

pub struct Setup {
    /// As it is called from here, and without links.
    pub name: String,
    path: PathBuf,
    /// The next one in the directories above.
    above: Option<usize>,
    phase: Phase,
    attempt: Option<Attempt>,
    /// Where it hands on, and is told to end.
    link: Option<UnixStream>,
    received: Vec<u8>,
    handed: Option<Handed>,
    /// It has taken longer to come up than it may.
    pub late: bool,
    /// What it has ended with.
    pub code: i32,
}

/// One that is over.
pub struct Ended {
    pub index: usize,
    pub status: ExitStatus,
    pub after: Duration,
    pub said: File,
    /// How far it had come.
    pub phase: Phase,
}

/// What a script has from those above it.
pub enum Above {
    Ready(Vec<Handed>),
    /// This one, which has failed.
    Failed(usize),
    /// This one is to start, or to come up.
    NotYet(usize),
}

#[derive(Default)]
pub struct Setups(Vec<Setup>);

impl Setups {
    /// The innermost one above a script.
    pub fn of(&mut self, script: &Path) -> Option<usize> {
        let mut above = None;
        for path in files_above(script) {
            let known = self.0.iter().position(|setup| setup.path == path);
            above = Some(known.unwrap_or_else(|| {
                self.0.push(Setup {
                    name: shown(&path),
                    path,
                    above,
                    phase: Phase::Idle,
                    attempt: None,
                    link: None,
                    received: Vec::new(),
                    handed: None,
                    late: false,
                    code: exit::INFRASTRUCTURE,
                });
                self.0.len() - 1
            }));
        }
        above
    }

    pub fn get(&self, index: usize) -> &Setup {
        &self.0[index]
    }

    /// The outermost first.
    fn chain(&self, innermost: Option<usize>) -> Vec<usize> {
        let mut chain: Vec<usize> = std::iter::successors(innermost, |index| self.0[*index].above).collect();
        chain.reverse();
        chain
    }

    pub fn above(&self, innermost: Option<usize>) -> Above {
        let chain = self.chain(innermost);
        let is = |phase: Phase| chain.iter().find(|index| self.0[**index].phase == phase).copied();
        if let Some(failed) = is(Phase::Failed) {
            return Above::Failed(failed);
        }
        match chain.iter().find(|index| self.0[**index].phase != Phase::Up) {
            Some(first) => Above::NotYet(*first),
            None => Above::Ready(chain.iter().filter_map(|index| self.0[*index].handed.clone()).collect()),
        }
    }

    pub fn phase(&self, index: usize) -> Phase {
        self.0[index].phase
    }

    /// Whether none runs.
    pub fn all_over(&self) -> bool {
        self.0.iter().all(|setup| setup.attempt.is_none())
    }

    /// Starts one whose own are up.
    pub fn start(
        &mut self,
        index: usize,
        template: &Options,
        (color, events): (bool, Option<Recording>),
        signals: &Signals,
    ) -> anyhow::Result<()> {
        let (ours, theirs) = UnixStream::pair().context("cannot make a pair of sockets")?;
        ours.set_nonblocking(true).context("cannot set up a socket")?;
        let above = self.chain(self.0[index].above);
        let handed = above.iter().filter_map(|index| self.0[*index].handed.clone()).collect();
        // It starts what is to be tested, and is no test; how long it may stay is not how long a script may take.
        let options = Options { select: Select::default(), timeout: None, ..template.clone() };
        let name = PathBuf::from(&self.0[index].name);
        let role = As::Setup(Arc::new(theirs));
        let attempt = Attempt::start(&name, &options, (role, handed), (color, events), signals)
            .with_context(|| format!("cannot run {}", name.display()))?;
        let setup = &mut self.0[index];
        (setup.phase, setup.attempt, setup.link) = (Phase::Starting, Some(attempt), Some(ours));
        Ok(())
    }

    /// What tells that one comes up.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let starting = self.0.iter().filter(|setup| setup.phase == Phase::Starting);
        starting.filter_map(|setup| Some(setup.link.as_ref()?.as_fd()))
    }

    /// Those that have come up, and how long they have taken.
    pub fn come_up(&mut self) -> Vec<(usize, Duration)> {
        let mut up = Vec::new();
        for (index, setup) in self.0.iter_mut().enumerate() {
            if setup.phase != Phase::Starting {
                continue;
            }
            setup.receive();
            if let Some(handed) = Handed::from_line(&setup.received) {
                (setup.handed, setup.phase) = (Some(handed), Phase::Up);
                up.push((index, setup.age().unwrap_or_default()));
            }
        }
        up
    }

    /// Those whose run is over.
    pub fn ended(&mut self, signals: &Signals) -> Vec<Ended> {
        let mut ended = Vec::new();
        for (index, setup) in self.0.iter_mut().enumerate() {
            let over = setup.attempt.as_ref().and_then(|attempt| attempt.ended(signals));
            let Some((status, after)) = over else { continue };
            let Some(attempt) = setup.attempt.take() else { continue };
            let phase = setup.phase;
            let is_fine = phase == Phase::Ending && (status.success() || setup.handed.is_none());
            setup.phase = if is_fine { Phase::Over } else { Phase::Failed };
            setup.link = None;
            ended.push(Ended { index, status, after, said: attempt.into_said(), phase });
        }
        ended
    }

    /// Ends those that nobody needs: neither a script nor one below them that runs.
    pub fn end_all_but(&mut self, users: &[Option<usize>], signals: &Signals) {
        let below: Vec<Option<usize>> =
            self.0.iter().filter(|setup| setup.attempt.is_some()).map(|setup| setup.above).collect();
        for index in 0..self.0.len() {
            let runs = matches!(self.0[index].phase, Phase::Starting | Phase::Up);
            let is_needed = || users.iter().any(|user| self.chain(*user).contains(&index));
            if runs && !below.contains(&Some(index)) && !is_needed() {
                self.0[index].end(signals);
            }
        }
    }

    /// What scripts that fail with it end with.
    pub fn note_code(&mut self, index: usize, code: i32) {
        self.0[index].code = code;
    }

    /// Why what they start would be out of reach.
    pub fn wrong(&self, isolation: &Isolation) -> Option<Failure> {
        let first = self.0.first().filter(|_| isolation.net)?;
        Some(Failure {
            code: exit::USAGE,
            message: format!("--isolate net: scripts would not reach what {} starts", first.name),
            notes: vec!["each run has a network of its own".to_owned()],
            hint: Some("--isolate pid,ipc   (or services in each script)".to_owned()),
            ..Failure::default()
        })
    }

    /// When the first of those that start is late.
    pub fn next_late(&self, timeout: Option<Duration>) -> Option<Duration> {
        let timeout = timeout?;
        let starting = self.0.iter().filter(|setup| setup.phase == Phase::Starting && !setup.late);
        starting.filter_map(|setup| Some(timeout.saturating_sub(setup.age()?))).min()
    }

    /// Stops those that take too long to come up.
    pub fn stop_late(&mut self, timeout: Option<Duration>, signals: &Signals) {
        let Some(timeout) = timeout else { return };
        for setup in self.0.iter_mut().filter(|setup| setup.phase == Phase::Starting && !setup.late) {
            if setup.age().is_some_and(|age| age >= timeout) {
                setup.late = true;
                setup.attempt.iter().for_each(|attempt| attempt.stop(signals));
            }
        }
    }

    /// Those that run, and for how long.
    pub fn starting(&self) -> impl Iterator<Item = (&str, Duration)> {
        let starting = self.0.iter().filter(|setup| setup.phase == Phase::Starting);
        starting.filter_map(|setup| Some((setup.name.as_str(), setup.age()?)))
    }
}

impl Setup {
    fn age(&self) -> Option<Duration> {
        self.attempt.as_ref().map(Attempt::age)
    }

    /// What has come.
    fn receive(&mut self) {
        let Some(link) = &mut self.link else { return };
        let mut bytes = [0; 4096];
        loop {
            match link.read(&mut bytes) {
                Ok(0) => return,
                Ok(length) => self.received.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// One that is up waits for a word; one that is not is stopped.
    fn end(&mut self, signals: &Signals) {
        let told =
            self.phase == Phase::Up && self.link.as_mut().is_some_and(|link| link.write_all(b"\n").is_ok());
        if !told {
            self.attempt.iter().for_each(|attempt| attempt.stop(signals));
        }
        self.phase = Phase::Ending;
    }
}

/// Whether a path is that of one.
pub fn is_setup(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == SETUP)
}

/// Those above a script, the outermost first, up to the root of its project: where `bgjobs.toml` or `.git` is, or else the
/// working directory.
pub fn files_above(script: &Path) -> Vec<PathBuf> {
    let dir = script.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(dir) = std::fs::canonicalize(dir) else { return Vec::new() };
    let here = std::env::current_dir().and_then(std::fs::canonicalize).unwrap_or_default();
    let is_root = |dir: &&Path| dir.join(".git").exists() || dir.join("bgjobs.toml").is_file();
    let root = dir.ancestors().find(is_root).map(Path::to_owned);
    let root = root.unwrap_or_else(|| if dir.starts_with(&here) { here } else { dir.clone() });
    let dirs = dir.ancestors().take_while(|dir| dir.starts_with(&root));
    let mut found: Vec<PathBuf> = dirs.map(|dir| dir.join(SETUP)).filter(|path| path.is_file()).collect();
    found.reverse();
    found
}

/// As it is called from here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(std::fs::canonicalize).unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
