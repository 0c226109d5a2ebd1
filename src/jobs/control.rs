//! What wakes whoever waits, and why the script must stop. No processes here.

use super::strand;
use crate::sys::{clock, testing};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Locks even after a panic elsewhere: the teardown must go on with whatever state there is.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rings whenever something happened that a wait may be waiting for: a process ended, a file changed, the
/// script must stop. Waiters look for themselves; a ring carries no meaning.
#[derive(Default)]
pub struct Bell {
    rings: Mutex<u64>,
    condvar: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        *lock(&self.rings) += 1;
        self.condvar.notify_all();
    }

    /// Read this *before* looking at the state, and pass it to [`Bell::wait`]: no ring in between is lost.
    pub fn rings(&self) -> u64 {
        *lock(&self.rings)
    }

    /// Waits until it has rung since `seen`, or until `deadline` on the run's clock. Other closures of a `parallel`
    /// run meanwhile.
    pub fn wait(&self, seen: u64, deadline: Option<Duration>) {
        strand::aside(|| self.wait_now(seen, deadline));
    }

    fn wait_now(&self, seen: u64, deadline: Option<Duration>) {
        let mut rings = lock(&self.rings);
        while *rings == seen {
            let Some(deadline) = deadline else {
                rings = self.condvar.wait(rings).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_sub(clock::now());
            if left.is_zero() {
                return;
            }
            rings = self.condvar.wait_timeout(rings, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Why the script was stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    Signal(i32),
    /// The whole run's deadline (`--timeout`).
    Deadline,
    /// The rest of the run has taken longer than the script allowed it: `timeout("5m")`.
    Overdue(Duration),
    /// `exit(code)` in the script.
    Exit(i32),
    /// Nobody reads our stdout any more.
    StdoutGone,
    /// Our stdout cannot be written: a full disk.
    StdoutFailed,
    /// The guard was killed.
    GuardGone,
    /// A panic in our own code.
    Panicked,
}

/// Whether the script may go on. Sticky: once set, no `catch` and no native function gets past it.
#[derive(Default)]
pub struct Control {
    pub bell: Bell,
    reason: Mutex<Option<Halt>>,
    halted: AtomicBool,
    kill_now: AtomicBool,
    guard_gone: AtomicBool,
    /// Whoever ended the run, or nobody else, waits for its output.
    hurried: AtomicBool,
    /// `on_exit` closures run although the script was halted.
    on_exit: AtomicBool,
    /// There are `on_exit` closures.
    hooks: AtomicBool,
}

impl Control {
    /// Stops the script. The first reason stays.
    pub fn halt(&self, reason: Halt) {
        lock(&self.reason).get_or_insert(reason);
        let patient = matches!(reason, Halt::Exit(_) | Halt::StdoutFailed | Halt::Panicked);
        self.hurried.fetch_or(!patient, SeqCst);
        self.halted.store(true, SeqCst);
        self.bell.ring();
    }

    /// The guard was killed, perhaps after something else has stopped the script.
    pub fn lose_guard(&self) {
        self.guard_gone.store(true, SeqCst);
        self.halt(Halt::GuardGone);
    }

    pub fn guard_gone(&self) -> bool {
        self.guard_gone.load(SeqCst)
    }

    /// Stops the script and whatever is being stopped gracefully: no more patience.
    pub fn kill_now(&self, reason: Halt) {
        self.kill_now.store(true, SeqCst);
        self.halt(reason);
    }

    /// Whether a signal or a deadline has come, even if the script was over by then.
    pub fn hurried(&self) -> bool {
        self.hurried.load(SeqCst)
    }

    pub fn reason(&self) -> Option<Halt> {
        *lock(&self.reason)
    }

    /// What interrupts a command: the signal that has ended the run, or INT.
    pub fn interruption(&self) -> i32 {
        match self.reason() {
            Some(Halt::Signal(number)) => number,
            _ => nix::libc::SIGINT,
        }
    }

    /// What script code asks at every operation: whether the run is being stopped, or the strand that the calling
    /// thread works on.
    pub fn halted(&self) -> bool {
        testing::may_panic();
        testing::may_hang("script");
        self.run_halted() || strand::ended()
    }

    /// Whether the run is being stopped, and not only a part of its script.
    pub fn run_halted(&self) -> bool {
        self.halted.load(SeqCst) && (self.killing() || !self.on_exit.load(SeqCst))
    }

    /// The script has registered an `on_exit` closure.
    pub fn expect_hooks(&self) {
        self.hooks.store(true, SeqCst);
    }

    pub fn has_hooks(&self) -> bool {
        self.hooks.load(SeqCst)
    }

    /// Whether the `on_exit` closures run: the script itself has ended.
    pub fn closing(&self) -> bool {
        self.on_exit.load(SeqCst)
    }

    pub fn killing(&self) -> bool {
        self.kill_now.load(SeqCst)
    }

    /// Lets script code run again, for the `on_exit` closures; `false` ends that.
    pub fn run_on_exit(&self, on: bool) {
        self.on_exit.store(on, SeqCst);
        if !on {
            self.halted.store(true, SeqCst);
        }
        self.bell.ring();
    }
}
