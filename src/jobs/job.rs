//! A job, and what can be said of it at one moment.

use crate::jobs::cgroup::Limited;
use crate::jobs::log::held::{FileId, Held};
use crate::jobs::output::terminal::Terminal;
use crate::jobs::spec::{self, Spec};
use crate::sys::signal;
use crate::sys::wait::ExitStatus;
use nix::libc::SIGKILL;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use crate::jobs::spec::JobId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Started by `spawn`: lives until it is stopped.
    Job,
    /// Started by `run`: expected to end by itself.
    Command,
    /// Run instead of a job's stop signal: may start while the run is being stopped, and ends with that job.
    StopCommand,
}

/// What about a job never changes.
pub struct Job {
    pub id: JobId,
    pub kind: Kind,
    pub spec: Spec,
    /// Its log file; none for a command.
    pub log: Option<PathBuf>,
    /// Where in it its output begins: later than 0 when it was started again.
    pub log_from: u64,
    /// Where in it the output of each time began that it was started again, of the last so many.
    pub(super) again_at: Arc<Mutex<Vec<u64>>>,
    /// Which file that was when it was opened; none when it is not a regular one.
    pub file: Option<FileId>,
    /// What is kept of it, should it go.
    pub(super) held: Held,
    /// Its log passed its limit and could not be kept short: it is stopped, which is a death.
    pub log_overflowed: AtomicBool,
    /// The writing end of its stdin, when that is a pipe or a terminal.
    pub stdin: Mutex<Option<OwnedFd>>,
    /// What its log comes through, when it has a terminal.
    pub terminal: Option<Arc<Terminal>>,
    /// Its own cgroup, when it has limits.
    pub limited: Option<Limited>,
}

/// Whether a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    /// Its leader exited with 0 and left living processes.
    Daemonised,
    Ended(ExitStatus),
}

/// A job at one moment.
#[derive(Clone, Debug)]
pub struct View {
    pub pid: i32,
    pub state: State,
    /// The end of the leader alone, whatever it left running.
    pub leader: Option<ExitStatus>,
    pub started: Duration,
    pub ended: Option<Duration>,
    /// It ended in another way than was expected of it, and nobody asked for that.
    pub died: bool,
    /// It was asked to end: stopped, killed, or to be started again.
    pub asked: bool,
    /// It has ended, and rests until it is started again by its `restart`.
    pub comes_back: bool,
    /// How often that was.
    pub restarts: usize,
    /// Where in its log its output begins.
    pub log_from: u64,
}

/// `exit 3`, `killed by SIGSEGV`.
pub fn describe(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exit {code}"),
        ExitStatus::Signal(number) => format!("killed by SIG{}", signal::name(number)),
    }
}

impl Job {
    /// As [`describe`]; also when the kernel has ended it because of its limit.
    pub fn describe(&self, status: ExitStatus) -> String {
        match self.limited.as_ref().and_then(Limited::out_of_memory) {
            Some(limit) if status == ExitStatus::Signal(SIGKILL) => {
                format!("killed by the kernel: out of memory (max_memory {})", spec::show_size(limit))
            }
            _ => describe(status),
        }
    }

    pub fn out_of_memory(&self) -> bool {
        self.limited.as_ref().and_then(Limited::out_of_memory).is_some()
    }

    /// How often it could not start a process or thread because of its limit, and the limit.
    pub fn out_of_procs(&self) -> Option<(u64, u64)> {
        self.limited.as_ref().and_then(Limited::out_of_procs)
    }
}
