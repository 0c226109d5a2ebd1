//! The user's terminal, handed on to a command that has one of its own: a client of a database, a shell.
//!
//! The command does not get the terminal itself, which belongs to the session of the guard: its Ctrl-C would end the run, and
//! the command could not be in its foreground. It has one of ours ([`Stdin::Keyboard`](crate::jobs::spec::Stdin)), what is
//! typed is copied there key by key, and so is the size of the window. What it prints goes the way of all output. Whoever
//! hands it on makes sure that there is a user (`sys::tty::is_ours`).

use crate::jobs::all::Jobs;
use crate::jobs::job::Job;
use crate::lock::lock;
use crate::sys::{fd, tty};
use nix::errno::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the size of the window is looked at: SIGWINCH is for the guard.
const LOOK: Duration = Duration::from_millis(200);

/// As long as it lives, what is typed is the command's. Then the terminal has the modes that it had.
pub struct Foreground {
    modes: tty::Modes,
    over: Arc<AtomicBool>,
    /// Closed when it is over.
    wake: Option<OwnedFd>,
    keyboard: Option<JoinHandle<()>>,
}

impl Foreground {
    /// # Errors
    /// When there is no descriptor or no thread to be had: then the terminal is as it was.
    pub fn of(jobs: &Arc<Jobs>, job: &Arc<Job>) -> std::io::Result<Self> {
        let (wake_read, wake) = fd::pipe()?;
        let over: Arc<AtomicBool> = Arc::default();
        let modes = tty::save();
        let relay = Relay { jobs: Arc::clone(jobs), job: Arc::clone(job), over: Arc::clone(&over) };
        let work = move || relay.copy(&wake_read);
        let keyboard = std::thread::Builder::new().name("keyboard".to_owned()).spawn(work)?;
        modes.make_raw();
        Ok(Self { modes, over, wake: Some(wake), keyboard: Some(keyboard) })
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        drop(self.wake.take());
        if let Some(keyboard) = self.keyboard.take() {
            let _ = keyboard.join();
        }
        self.modes.restore();
    }
}

struct Relay {
    jobs: Arc<Jobs>,
    job: Arc<Job>,
    over: Arc<AtomicBool>,
}

impl Relay {
    /// Copies until it is over or the terminal is gone, which the guard is told by SIGHUP.
    fn copy(&self, wake: &OwnedFd) {
        let stdin = std::io::stdin();
        let mut keys = [0u8; 1024];
        let mut window = tty::window(stdin.as_fd());
        loop {
            let ready = fd::wait_readable(&[stdin.as_fd(), wake.as_fd()], Some(LOOK));
            if ready[1] {
                return;
            }
            let now = tty::window(stdin.as_fd());
            if let Some(now) = now.filter(|_| now != window)
                && let Some(master) = lock(&self.job.stdin).as_ref()
            {
                tty::resize(master.as_fd(), now);
                window = Some(now);
            }
            if !ready[0] {
                continue;
            }
            match nix::unistd::read(stdin.as_fd(), &mut keys) {
                Ok(0) => return,
                // Whatever it does not read is lost, as at any terminal.
                Ok(n) => drop(self.jobs.send(self.job.id, &keys[..n], &|| self.over.load(SeqCst))),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => return,
            }
        }
    }
}
