//! What this process was sent, passed on to the runs that are under way. Decides nothing but that.

use crate::sys::{clock, signal};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// As a guard: a second signal so soon is the first again, on another way.
const SECOND_SIGNAL: Duration = Duration::from_millis(500);
/// `si_code` of what the kernel itself sends (sigaction(2)), as for the keys of a terminal.
const SI_KERNEL: i32 = 0x80;

pub struct Signals {
    source: SignalFd,
    first: Cell<Option<(Signal, Duration)>>,
    guards: RefCell<Vec<Guard>>,
}

/// The guard of a run.
struct Guard {
    pid: i32,
    /// It was forked since nothing more was to be read.
    fresh: bool,
    /// Of what others need: it is in a process group of its own, and ends when they have.
    last: bool,
}

impl Signals {
    /// From now on signals end this process no more. Those that were ignored when it began stay ignored (nohup).
    pub fn catch() -> nix::Result<Self> {
        signal::default(Signal::SIGCHLD);
        let mut handled = vec![Signal::SIGCHLD, Signal::SIGTERM];
        let kept = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT];
        handled.extend(kept.into_iter().filter(|signal| !signal::is_ignored(*signal)));
        signal::block(&handled)?;
        Ok(Self { source: signal::descriptor(&handled)?, first: Cell::default(), guards: RefCell::default() })
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    /// `last`: others need it.
    pub fn add(&self, guard: i32, last: bool) {
        self.guards.borrow_mut().push(Guard { pid: guard, fresh: true, last });
    }

    pub fn remove(&self, guard: i32) {
        self.guards.borrow_mut().retain(|one| one.pid != guard);
    }

    /// What has asked for the end of it all.
    pub fn first(&self) -> Option<Signal> {
        self.first.get().map(|(signal, _)| signal)
    }

    /// Passes on what has come; whether somebody wants the end.
    pub fn look(&self) -> bool {
        while let Ok(Some(info)) = self.source.read_signal() {
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            match signal {
                None | Some(Signal::SIGCHLD) => {}
                Some(signal) => self.pass_on(signal, info.ssi_code == SI_KERNEL),
            }
        }
        self.guards.borrow_mut().iter_mut().for_each(|guard| guard.fresh = false);
        self.first.get().is_some()
    }

    /// `by_terminal`: the guards, which are in our process group, have got it as we have; but for one that was forked after
    /// it had come, and before it was read.
    fn pass_on(&self, signal: Signal, by_terminal: bool) {
        let now = clock::raw();
        let again = match self.first.get() {
            None => false,
            Some((_, first)) => signal != Signal::SIGQUIT && now.saturating_sub(first) < SECOND_SIGNAL,
        };
        // What others need ends when they have, unless somebody cannot wait for that.
        let is_first = self.first.get().is_none() && signal != Signal::SIGQUIT;
        self.first.set(self.first.get().or(Some((signal, now))));
        if !again {
            self.send(signal, |guard| match guard.last {
                true => !is_first,
                false => guard.fresh || !by_terminal,
            });
        }
    }

    /// Stops all scripts as a signal to each would; what they need ends after them.
    pub fn stop_all(&self) {
        self.send(Signal::SIGTERM, |guard| !guard.last);
    }

    /// Stops one.
    pub fn stop(&self, pid: i32) {
        self.send(Signal::SIGTERM, |guard| guard.pid == pid);
    }

    fn send(&self, signal: Signal, is_meant: impl Fn(&Guard) -> bool) {
        for guard in self.guards.borrow().iter().filter(|guard| is_meant(guard)) {
            // It is our child and has not been reaped: the number is its own.
            let _ = signal::kill(guard.pid, signal as i32);
        }
    }
}
