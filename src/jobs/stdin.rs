//! Writing to the stdin of a job.

use crate::jobs::all::Jobs;
use crate::jobs::job::JobId;
use crate::sys::pty::END_OF_FILE;
use crate::sys::{clock, fd};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

/// A job's stdin is not ours to write.
pub struct NoStdin;

/// How writing to a job's stdin has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    All,
    /// Nobody reads it any more.
    Gone,
    /// Nobody has read any of it for [`UNREAD`], or whoever sends was told to give up.
    Stalled,
}

/// How long a job may leave what is sent to it unread: what waits have by default.
pub const UNREAD: Duration = Duration::from_secs(30);

/// How often a writer that cannot go on asks whether it should give up.
const LOOK_UP: Duration = Duration::from_millis(50);

impl Jobs {
    /// Writes to a job's stdin, after what others are just writing there.
    ///
    /// # Errors
    /// When its stdin is not a pipe, or was closed.
    pub fn send(&self, id: JobId, text: &[u8], give_up: &dyn Fn() -> bool) -> Result<Sent, NoStdin> {
        let job = self.get(id).ok_or(NoStdin)?;
        let Some(stdin) = lock_unless(&job.stdin, give_up) else {
            return Ok(Sent::Stalled);
        };
        let pipe = stdin.as_ref().ok_or(NoStdin)?;
        let mut rest = text;
        let mut read = clock::now();
        while !rest.is_empty() {
            match fd::write_some(pipe.as_fd(), rest, LOOK_UP) {
                fd::Written::Bytes(n) => {
                    rest = &rest[n..];
                    read = clock::now();
                }
                fd::Written::Gone | fd::Written::Failed(_) => return Ok(Sent::Gone),
                fd::Written::Stalled if give_up() || clock::now() >= read + UNREAD => {
                    return Ok(Sent::Stalled);
                }
                fd::Written::Stalled => {}
            }
        }
        Ok(Sent::All)
    }

    /// Closes a job's stdin: it reads end of file. At a terminal that is typed.
    pub fn close_stdin(&self, id: JobId, give_up: &dyn Fn() -> bool) {
        match self.get(id) {
            Some(job) if job.spec.pty => drop(self.send(id, &[END_OF_FILE], give_up)),
            Some(job) => drop(lock_unless(&job.stdin, give_up).and_then(|mut stdin| stdin.take())),
            None => {}
        }
    }
}

/// Locks what another thread may hold for as long as a job does not read; none when `give_up` says so.
fn lock_unless<'a, T>(mutex: &'a Mutex<T>, give_up: &dyn Fn() -> bool) -> Option<MutexGuard<'a, T>> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if give_up() => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_UP),
        }
    }
}
