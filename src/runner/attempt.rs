//! One run of one script, in a process of its own, which is its guard.
//!
//! What holds when this process ends in any way, SIGKILL included: the kernel then sends each guard SIGTERM (its
//! parent-death signal, which follows the one thread that there is), and a guard that gets it stops its run as always. A
//! guard that is killed at the same instant is mourned by its host, which does the same.

use crate::cli::{Color, Options, Recording, Source, Task};
use crate::exit;
use crate::guard;
use crate::handed::Handed;
use crate::runner::signals::Signals;
use crate::sys::fork::{self, Forked};
use crate::sys::wait::{self, Change, ExitStatus};
use crate::sys::{clock, signal};
use anyhow::Context;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, setpgid};
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a script is run for.
pub enum As {
    /// Itself: it is a test.
    Test,
    /// What it hands on here.
    Setup(Arc<UnixStream>),
}

pub struct Attempt {
    guard: i32,
    since: Duration,
    /// All that the run says, as it is said.
    said: File,
}

impl Attempt {
    /// Starts it. The run has what it says in colour if `color` says so, since it does not see where that is shown.
    /// `events`: where what happens in it is recorded. `handed`: what it has from those above it.
    pub fn start(
        script: &Path,
        template: &Options,
        (role, handed): (As, Vec<Handed>),
        (color, events): (bool, Option<Recording>),
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let color = if color { Color::Always } else { Color::Never };
        // Without a name, so that nothing of it is left however this process ends.
        let said = tempfile::tempfile()
            .context("cannot keep what scripts say in the directory for temporary files")?;
        let is_setup = matches!(role, As::Setup(_));
        let task = match role {
            As::Test => None,
            As::Setup(link) => Some(Task::Setup(link)),
        };
        let source = Source::File(script.to_owned());
        let options = Options { source, color, events, task, handed, ..template.clone() };
        let nothing = File::open("/dev/null").context("cannot open /dev/null")?;
        let parent = std::process::id();
        let since = clock::now();
        match fork::fork_single_threaded().context("cannot fork")? {
            Forked::Child => {
                if is_setup {
                    // The keys of a terminal are not for it: it ends when the scripts have.
                    let _ = setpgid(Pid::this(), Pid::from_raw(0));
                }
                let run = || Self::guard(&options, &said, &nothing, parent);
                let code = catch_unwind(AssertUnwindSafe(run)).unwrap_or(exit::INFRASTRUCTURE);
                // What it has inherited is not its own to clean up.
                fork::leave(code)
            }
            Forked::Parent(guard) => {
                signals.add(guard, is_setup);
                Ok(Self { guard, since, said })
            }
        }
    }

    /// The child: from here on it is `bgjobs script`.
    fn guard(options: &Options, said: &File, nothing: &File, parent: u32) -> i32 {
        let ready = fork::on_parent_death(Signal::SIGTERM)
            .and_then(|()| nix::unistd::dup2_stdin(nothing))
            .and_then(|()| nix::unistd::dup2_stdout(said))
            .and_then(|()| nix::unistd::dup2_stderr(said));
        // Its parent may have died before it was to be told so.
        if ready.is_err() || std::os::unix::process::parent_id() != parent {
            return exit::INFRASTRUCTURE;
        }
        signal::default(Signal::SIGCHLD);
        guard::run(options)
    }

    /// How it has ended, if it has.
    pub fn ended(&self, signals: &Signals) -> Option<(ExitStatus, Duration)> {
        let Change::Ended(status) = wait::change(self.guard) else { return None };
        signals.remove(self.guard);
        Some((status, clock::now().saturating_sub(self.since)))
    }

    pub fn age(&self) -> Duration {
        clock::now().saturating_sub(self.since)
    }

    /// As a signal to it would.
    pub fn stop(&self, signals: &Signals) {
        signals.stop(self.guard);
    }

    /// What it has said.
    pub fn into_said(self) -> File {
        self.said
    }
}
