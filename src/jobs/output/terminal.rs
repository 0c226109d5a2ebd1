//! Jobs and commands that have a terminal (`pty`): what they print is copied by us, what they read is typed.
//!
//! The end of the output is that of the process, not that of the terminal, which a process in the background may hold
//! open for ever. The kernel keeps what was printed until we have read it, also beyond the end of the last process;
//! whoever says that a job has ended takes that first ([`crate::jobs::Job::complete_log`]).

use crate::jobs::refused::why;
use crate::jobs::spec::SpawnError;
use crate::jobs::wait::control::Control;
use crate::lock::lock;
use crate::sys::fd::{self, Read, Written};
use crate::sys::pty::{END_OF_FILE, READS};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a terminal that nobody looks at may well have: a log has long lines.
pub(crate) const ROWS: u16 = 24;
pub(crate) const COLUMNS: u16 = 120;

/// What a job prints, on its way into its log.
pub struct Terminal {
    pub(crate) master: OwnedFd,
    /// Whoever copies has it.
    pub(crate) log: Mutex<Arc<OwnedFd>>,
}

impl Terminal {
    /// Copies what is there. False: no process has the terminal open any more.
    pub(crate) fn copy(&self) -> bool {
        let log = lock(&self.log);
        let mut buffer = [0u8; 4096];
        for _ in 0..READS {
            match fd::read_some(&self.master, &mut buffer) {
                Read::Bytes(n) => write_all(&log, &buffer[..n]),
                Read::Nothing => return true,
                Read::End => return false,
            }
        }
        true
    }
}

/// A full disk loses output, not the run.
fn write_all(log: &OwnedFd, mut rest: &[u8]) {
    while !rest.is_empty() {
        match nix::unistd::write(log, rest) {
            Ok(n) => rest = &rest[n..],
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

pub(crate) fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), SpawnError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|e| SpawnError::Os { what: "a thread", reason: why(e) })
}

/// Types a text and the end of file, which counts as such at the beginning of a line only.
pub(crate) fn type_in(keyboard: &OwnedFd, text: &str, control: &Control) {
    let mut keys = text.as_bytes().to_vec();
    if !text.is_empty() && !text.ends_with('\n') {
        keys.push(END_OF_FILE);
    }
    keys.push(END_OF_FILE);
    let mut rest = keys.as_slice();
    while !rest.is_empty() {
        match fd::write_some(keyboard.as_fd(), rest, Duration::from_millis(50)) {
            Written::Bytes(n) => rest = &rest[n..],
            Written::Stalled if !control.halted() => {}
            Written::Stalled | Written::Gone | Written::Failed(_) => return,
        }
    }
}
