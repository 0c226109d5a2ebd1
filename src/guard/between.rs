//! The process between the guard and a caller whose children are not ours.

use crate::guard::signals::STOPPING;
use crate::sys::wait::{self, Change, ExitStatus, Peek};
use crate::sys::{fd, signal};
use nix::libc::SIGSTOP;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use std::os::fd::AsFd;

/// The process in between: passes signals on to the guard proper, and ends as it ended.
pub(super) fn forward_to(inner: i32, signals: &SignalFd) -> i32 {
    loop {
        fd::wait_readable(&[signals.as_fd()], None);
        while let Ok(Some(info)) = signals.read_signal() {
            match i32::try_from(info.ssi_signo).unwrap_or(0) {
                nix::libc::SIGCHLD => {}
                // The guard proper is in our group: the terminal has told it, and we stop when it has stopped.
                nix::libc::SIGTSTP => {}
                number => drop(signal::kill(inner, number)),
            }
        }
        match wait::change(inner) {
            Change::None => {}
            Change::Stopped => drop(signal::kill(std::process::id().cast_signed(), SIGSTOP)),
            Change::Ended(status) => return imitate(status),
        }
        if std::process::id() == 1 {
            // Everybody's orphans are ours to reap; the inner process has not ended, or we would be gone.
            while let Peek::Ended(pid, _) = wait::peek_any() {
                if pid == inner {
                    break;
                }
                wait::reap(pid);
            }
        }
    }
}

/// Ends as the other process did, except by a signal that says that somebody was shot or crashed.
fn imitate(status: ExitStatus) -> i32 {
    if let ExitStatus::Signal(number) = status
        && let Ok(signal) = Signal::try_from(number)
        && STOPPING.contains(&signal)
    {
        signal::die_of(signal);
    }
    status.code()
}
