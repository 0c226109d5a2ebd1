//! What wakes whoever waits, and why the script must stop. No processes here.

use crate::jobs::spec::JobId;
use crate::jobs::wait::strand;
use crate::lock::lock;
use crate::sys::{clock, fd, sched, testing};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Rings whenever something happened that a wait may be waiting for: a process ended, a file changed, the
/// script must stop. Waiters look for themselves; a ring carries no meaning, but for that of the end of commands, which
/// those do not hear who wait for another one: hundreds of them would look, and take turns for it, at each end.
#[derive(Default)]
pub struct Bell {
    rings: Mutex<Rings>,
    condvar: Condvar,
    /// For who does not hear the ends of commands.
    general: Condvar,
}

#[derive(Default)]
struct Rings {
    all: u64,
    /// Those that are for everybody.
    general: u64,
    /// Who waits for the end of this command.
    listeners: HashMap<JobId, Ear>,
    /// Of those who do so no longer.
    unused: Vec<Arc<EventFd>>,
    /// Who sleeps until it rings: to wake nobody is a system call, too.
    sleepers: usize,
    deaf: usize,
}

/// Of one who waits for a command, and for descriptors beside the bell.
struct Ear {
    own: u64,
    /// It has to be told of the command's end.
    hears_end: bool,
    asleep: bool,
    wake: Arc<EventFd>,
}

impl Ear {
    fn wake(&mut self) {
        if std::mem::take(&mut self.asleep) {
            let _ = self.wake.write(1);
        }
    }
}

impl Rings {
    /// Those that whoever waits for this command has heard.
    fn heard(&self, command: JobId) -> u64 {
        self.general + self.listeners.get(&command).map_or(0, |ear| ear.own)
    }
}

impl Bell {
    pub fn ring(&self) {
        let mut rings = lock(&self.rings);
        rings.all += 1;
        rings.general += 1;
        rings.listeners.values_mut().for_each(Ear::wake);
        let (sleepers, deaf) = (rings.sleepers, rings.deaf);
        // Who is woken takes the lock: it would sleep again at once.
        drop(rings);
        if sleepers > 0 {
            self.condvar.notify_all();
        }
        if deaf > 0 {
            self.general.notify_all();
        }
    }

    /// These commands have ended, and nothing else has happened.
    pub fn ring_for(&self, commands: impl IntoIterator<Item = JobId>) {
        let mut rings = lock(&self.rings);
        rings.all += 1;
        for command in commands {
            if let Some(ear) = rings.listeners.get_mut(&command).filter(|ear| ear.hears_end) {
                ear.own += 1;
                ear.wake();
            }
        }
        let sleepers = rings.sleepers;
        drop(rings);
        if sleepers > 0 {
            self.condvar.notify_all();
        }
    }

    /// Read this *before* looking at the state, and pass it to [`Bell::wait`]: no ring in between is lost.
    pub fn rings(&self) -> u64 {
        lock(&self.rings).all
    }

    /// Waits until it has rung since `seen`, or until `deadline` on the run's clock. Other closures of a `parallel`
    /// run meanwhile.
    pub fn wait(&self, seen: u64, deadline: Option<Duration>) {
        strand::aside(|| self.wait_now(seen, deadline));
    }

    /// As [`Bell::wait`], for what nobody rings for: `watch` is asked again and again. It says how long it is left alone
    /// then, or that there is something to see, which ends the wait as a ring does.
    pub fn wait_watching(
        &self,
        seen: u64,
        deadline: Option<Duration>,
        watch: &mut dyn FnMut() -> Option<Duration>,
    ) {
        strand::aside(|| {
            let _on_time = sched::wake_on_time();
            while let Some(pause) = watch() {
                let pause = clock::now() + pause;
                let until = deadline.map_or(pause, |deadline| pause.min(deadline));
                self.wait_now(seen, Some(until));
                if self.rings() != seen || deadline.is_some_and(|deadline| clock::now() >= deadline) {
                    return;
                }
            }
        });
    }

    /// As [`Bell::rings`], for [`Bell::wait_deaf`].
    pub fn general_rings(&self) -> u64 {
        lock(&self.rings).general
    }

    /// As [`Bell::wait`], for who has nothing to do when a command has ended; on a thread of its own.
    pub fn wait_deaf(&self, seen: u64, deadline: Option<Duration>) {
        let mut rings = lock(&self.rings);
        rings.deaf += 1;
        sleep(&self.general, rings, |rings| rings.general != seen, deadline).deaf -= 1;
    }

    /// For whoever waits for a command: the rings for everybody, and, with `hears_end`, those for this one.
    ///
    /// # Errors
    /// When there is no descriptor to be had.
    pub fn listen(&self, command: JobId, hears_end: bool) -> nix::Result<Listener<'_>> {
        let mut rings = lock(&self.rings);
        let new = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map(Arc::new);
        let wake = rings.unused.pop().map_or_else(new, Ok)?;
        rings.listeners.insert(command, Ear { own: 0, hears_end, asleep: false, wake: Arc::clone(&wake) });
        Ok(Listener { bell: self, command, wake })
    }

    fn wait_now(&self, seen: u64, deadline: Option<Duration>) {
        let mut rings = lock(&self.rings);
        rings.sleepers += 1;
        sleep(&self.condvar, rings, |rings| rings.all != seen, deadline).sleepers -= 1;
    }
}

fn sleep<'a>(
    condvar: &Condvar,
    mut rings: MutexGuard<'a, Rings>,
    rung: impl Fn(&Rings) -> bool,
    deadline: Option<Duration>,
) -> MutexGuard<'a, Rings> {
    while !rung(&rings) {
        let Some(deadline) = deadline else {
            rings = condvar.wait(rings).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let left = deadline.saturating_sub(clock::now());
        if left.is_zero() {
            break;
        }
        rings = condvar.wait_timeout(rings, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    rings
}

pub struct Listener<'a> {
    bell: &'a Bell,
    command: JobId,
    wake: Arc<EventFd>,
}

impl Listener<'_> {
    /// As [`Bell::rings`].
    pub fn rings(&self) -> u64 {
        lock(&self.bell.rings).heard(self.command)
    }

    /// Waits until one of these descriptors has something, at most this long; which ones have. None: it has rung since
    /// `seen`.
    pub fn sleep(&self, seen: u64, fds: &[BorrowedFd], patience: Option<Duration>) -> Option<Vec<bool>> {
        if !self.is_asleep(true, seen) {
            return None;
        }
        let all: Vec<BorrowedFd> = std::iter::once(self.wake.as_fd()).chain(fds.iter().copied()).collect();
        let mut ready = fd::wait_readable(&all, patience);
        if !self.is_asleep(false, seen) {
            let _ = self.wake.read();
            return None;
        }
        Some(ready.split_off(1))
    }

    /// Goes to sleep unless it has rung since `seen`; or wakes, and says whether it has slept until now.
    fn is_asleep(&self, on: bool, seen: u64) -> bool {
        let mut rings = lock(&self.bell.rings);
        let rung = rings.heard(self.command) != seen;
        let Some(ear) = rings.listeners.get_mut(&self.command) else { return false };
        if on {
            ear.asleep = !rung;
            return ear.asleep;
        }
        std::mem::take(&mut ear.asleep)
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let mut rings = lock(&self.bell.rings);
        rings.listeners.remove(&self.command);
        rings.unused.push(Arc::clone(&self.wake));
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
    /// The script does nothing but wait for being interrupted.
    staying: AtomicBool,
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

    /// The script waits for being interrupted, or does so no longer.
    pub fn stay(&self, on: bool) {
        self.staying.store(on, SeqCst);
    }

    /// Whether an interrupt is what the script is, or was, waiting for.
    pub fn staying(&self) -> bool {
        self.staying.load(SeqCst)
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
