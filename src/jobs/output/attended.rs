//! A command that the calling thread waits for: its end, what it prints, and whatever else ends the wait, all in one poll. No
//! other thread has a part in it.
//!
//! The thread goes on as soon as the first process has ended, though what is in the pipes may not have been read by then:
//! that is for [`Attended::finish`]. When the command has to end before its time, and when it has left somebody behind who
//! holds its pipes, a thread of its own goes on reading.

use crate::jobs::all::Jobs;
use crate::jobs::job::JobId;
use crate::jobs::output::captured::Captured;
use crate::jobs::output::echo::Echo;
use crate::jobs::output::pump::{Capture, Pump};
use crate::jobs::wait::control::Listener;
use crate::jobs::wait::strand;
use crate::lock::lock;
use crate::sys::{clock, fd};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How long to wait for what the table says when the kernel has said already that the command has ended.
const DISAGREED: Duration = Duration::from_millis(10);

/// Who ends closes its pipes a few microseconds before its end can be seen: to fall asleep and to be woken once more takes
/// longer than that.
const SOON: Duration = Duration::from_micros(20);

pub struct Attended<'a> {
    listener: Listener<'a>,
    pump: Pump,
    /// Readable when the command has ended. Without it the bell tells.
    process: Option<OwnedFd>,
    /// It was.
    ended: Cell<bool>,
    jobs: &'a Jobs,
}

impl Jobs {
    /// Waits for a command on the calling thread.
    ///
    /// # Errors
    /// When there is no descriptor to be had; what it prints is lost then.
    pub fn attend(&self, command: JobId, mut capture: Capture, echo: Echo) -> nix::Result<Attended<'_>> {
        let process = capture.process.take();
        let listener = self.control.bell.listen(command, process.is_none())?;
        // Beside others this thread may have to wait for its turn before it looks.
        if process.is_some()
            && !strand::beside_others()
            && let Some(entry) = lock(&self.table).entry(command)
        {
            self.attended.store(entry.pid, SeqCst);
        }
        let pump = self.pump(capture, echo);
        Ok(Attended { listener, pump, process, ended: Cell::new(false), jobs: self })
    }
}

impl Attended<'_> {
    /// As [`Bell::rings`](crate::jobs::control::Bell::rings).
    pub fn rings(&self) -> u64 {
        self.listener.rings()
    }

    /// As [`Bell::wait`](crate::jobs::control::Bell::wait), or until the command has ended; reads meanwhile what it prints.
    pub fn wait(&self, seen: u64, deadline: Option<Duration>) {
        strand::aside(|| while self.wait_and_read(seen, deadline) {});
    }

    /// Whether there is still nothing but output.
    fn wait_and_read(&self, seen: u64, deadline: Option<Duration>) -> bool {
        let mut patience = deadline.map(|deadline| deadline.saturating_sub(clock::now()));
        let told = self.ended.get();
        if told {
            patience = Some(patience.map_or(DISAGREED, |patience| patience.min(DISAGREED)));
        }
        let process = self.process.as_ref().filter(|_| !told).map(AsFd::as_fd);
        let late = || deadline.is_some_and(|deadline| clock::now() >= deadline);
        let has_ended =
            || process.is_some_and(|process| fd::wait_readable(&[process], Some(Duration::ZERO))[0]);
        if !self.pump.wait_for_room(|| self.rings() != seen || late() || has_ended()) {
            return false;
        }
        let sources = self.pump.sources();
        let fds: Vec<BorrowedFd> = process.into_iter().chain(sources.iter().map(|fd| fd.as_fd())).collect();
        let Some(ready) = self.listener.sleep(seen, &fds, patience) else { return false };
        let (ended, ready) = ready.split_at(usize::from(process.is_some()));
        if ended == [true] {
            self.ended.set(true);
            return false;
        }
        self.pump.read(ready);
        let all_closed = !ready.is_empty() && self.pump.sources().is_empty();
        if let Some(process) = process.filter(|_| all_closed)
            && fd::soon_readable(process, SOON)
        {
            self.ended.set(true);
            return false;
        }
        ready.contains(&true)
    }

    /// It has to end before its time: from now on a thread reads what it prints. Where that cannot be, what is in its pipes
    /// is read in the end.
    pub fn leave(&self) {
        // In this order: who ends from now on is the reaper's business.
        self.jobs.attended.store(0, SeqCst);
        self.jobs.look_for_reaper();
        let _ = self.pump.go_on_alone();
    }

    /// What the command has printed, once it has ended; `give_up` ends the wait for a stalled echo.
    pub fn finish(&self, give_up: &dyn Fn() -> bool) -> Captured {
        self.pump.clone().finish(give_up)
    }
}

impl Drop for Attended<'_> {
    /// Also in a panic: as long as anybody can print, somebody reads.
    fn drop(&mut self) {
        self.leave();
    }
}
