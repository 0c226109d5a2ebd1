//! One run of one script, in a process of its own, which is its guard.
//!
//! What holds when this process ends in any way, SIGKILL included: the kernel then sends each guard SIGTERM (its
//! parent-death signal, which follows the one thread that there is), and a guard that gets it stops its run as always. A
//! guard that is killed at the same instant is mourned by its host, which does the same.

use crate::cli::{Color, Options, Recording, Source};
use crate::exit;
use crate::guard;
use crate::runner::signals::Signals;
use crate::sys::fork::{self, Forked};
use crate::sys::wait::{self, Change, ExitStatus};
use crate::sys::{clock, signal};
use anyhow::Context;
use nix::sys::signal::Signal;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

pub struct Attempt {
    guard: i32,
    since: Duration,
    /// All that the run says, as it is said.
    said: File,
}

impl Attempt {
    /// Starts it. The run has what it says in colour if `color` says so, since it does not see where that is shown.
    /// `events`: where what happens in it is recorded.
    pub fn start(
        script: &Path,
        template: &Options,
        (color, events): (bool, Option<Recording>),
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let color = if color { Color::Always } else { Color::Never };
        // Without a name, so that nothing of it is left however this process ends.
        let said = tempfile::tempfile()
            .context("cannot keep what scripts say in the directory for temporary files")?;
        let options = Options { source: Source::File(script.to_owned()), color, events, ..template.clone() };
        let nothing = File::open("/dev/null").context("cannot open /dev/null")?;
        let parent = std::process::id();
        let since = clock::now();
        match fork::fork_single_threaded().context("cannot fork")? {
            Forked::Child => {
                let run = || Self::guard(&options, &said, &nothing, parent);
                let code = catch_unwind(AssertUnwindSafe(run)).unwrap_or(exit::INFRASTRUCTURE);
                // What it has inherited is not its own to clean up.
                fork::leave(code)
            }
            Forked::Parent(guard) => {
                signals.add(guard);
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

    /// What it has said.
    pub fn into_said(self) -> File {
        self.said
    }
}
