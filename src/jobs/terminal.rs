//! Jobs and commands that have a terminal (`pty`): what they print is copied by us, what they read is typed.
//!
//! The end of the output is that of the process, not that of the terminal, which a process in the background may hold
//! open for ever. The kernel keeps what was printed until we have read it, also beyond the end of the last process;
//! whoever says that a job has ended takes that first ([`Job::complete_log`]).

use super::control::Control;
use super::output::Capture;
use super::spec::{Descriptors, Output, SpawnError, Spec, Stdin};
use super::{Ends, Job, Jobs, why};
use crate::lock::lock;
use crate::sys::fd::{self, Read, Written};
use crate::sys::pty::{self, END_OF_FILE};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a terminal that nobody looks at may well have: a log has long lines.
const ROWS: u16 = 24;
const COLUMNS: u16 = 120;

/// How many reads take all that can be in a terminal: the kernel holds some 64 KiB, and hands out at most 4 KiB.
pub const READS: usize = 32;

/// What a job prints, on its way into its log.
pub struct Terminal {
    master: OwnedFd,
    /// Whoever copies has it.
    log: Mutex<OwnedFd>,
}

impl Terminal {
    /// Copies what is there. False: no process has the terminal open any more.
    fn copy(&self) -> bool {
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

impl Jobs {
    /// A terminal for what is to be started.
    pub(super) fn open_terminal(
        &self,
        spec: &Spec,
        owner: Option<(u32, u32)>,
        again: bool,
    ) -> Result<Ends, SpawnError> {
        let os = |what| move |e: nix::Error| SpawnError::Os { what, reason: why(e) };
        let terminal = os("a terminal");
        let pty::Pair { master, slave } = pty::open(ROWS, COLUMNS).map_err(terminal)?;
        if let Some((uid, gid)) = owner {
            fd::give(&slave, uid, gid);
        }
        let ours = || fd::duplicate(&master).map_err(terminal);
        let theirs = || fd::duplicate(&slave).map_err(terminal);
        let child = Descriptors { stdin: theirs()?, stdout: theirs()?, stderr: theirs()? };
        let mut ends =
            Ends { child, stdin: None, log: None, file: None, held: None, capture: None, terminal: None };
        if let Output::Captured = spec.output {
            ends.capture = Some(Capture::of_terminal(ours()?));
        } else {
            let opened = self.open_output(&spec.output, owner, again)?;
            (ends.log, ends.file, ends.held) = (opened.log, opened.file, opened.held);
            let terminal = Arc::new(Terminal { master: ours()?, log: Mutex::new(opened.stdout) });
            ends.terminal = Some(Arc::clone(&terminal));
            // Until the last process has let go of it; our own `slave` keeps it open up to the fork.
            start_thread("terminal", move || {
                let mut open = true;
                while open {
                    fd::wait_readable(&[terminal.master.as_fd()], None);
                    open = terminal.copy();
                }
            })?;
        }
        if let Stdin::Text(text) = &spec.stdin {
            let (keyboard, control) = (ours()?, Arc::clone(&self.control));
            let text = text.clone();
            start_thread("typist", move || type_in(&keyboard, &text, &control))?;
        }
        ends.stdin = Some(master);
        Ok(ends)
    }
}

fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), SpawnError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|e| SpawnError::Os { what: "a thread", reason: why(e) })
}

/// Types a text and the end of file, which counts as such at the beginning of a line only.
fn type_in(keyboard: &OwnedFd, text: &str, control: &Control) {
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

impl Job {
    /// Takes what a job with a terminal has printed and nobody has copied yet. For whoever has seen that it has ended,
    /// before reading its log.
    pub(super) fn complete_log(&self) {
        // A log that is not a regular file may hold up whoever writes to it.
        if let (Some(terminal), Some(_)) = (&self.terminal, self.file) {
            terminal.copy();
        }
    }
}
