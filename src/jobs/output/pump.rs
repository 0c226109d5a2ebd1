//! Reads a command's two pipes, or its terminal.
//!
//! A pipe is never read to its end before a result is given: a process that the command left behind may hold
//! it open for ever. When the command has ended, what is in the pipe then belongs to it; the rest is drained
//! until the run ends, since closing the pipe would kill the one that still holds it.

use crate::event::{Bus, Event};
use crate::jobs::output::captured::{Captured, Stream};
use crate::jobs::output::echo::{Echo, Prefixer};
use crate::jobs::wait::strand;
use crate::lock::lock;
use crate::sys::fd::{self, Read as ReadFd};
use crate::sys::pty::READS;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Our ends of a command's pipes, or of its terminal, before anybody reads them.
pub struct Capture {
    pipes: Vec<(Stream, OwnedFd)>,
    /// How many reads take all that can be in one of them.
    reads: usize,
}

/// Reads a command's pipes on a thread of its own, which goes on also when nobody asks for the result any more: a command
/// that is being stopped may have its summary to print.
#[derive(Clone)]
pub struct Pump(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Closed when the command has ended.
    wake: Mutex<Option<OwnedFd>>,
}

#[derive(Default)]
struct State {
    captured: Captured,
    /// What was in the pipes when the command ended has been read and passed on.
    flushed: bool,
}

impl Capture {
    pub fn new(stdout: OwnedFd, stderr: OwnedFd) -> nix::Result<Self> {
        fd::set_nonblocking(&stdout)?;
        fd::set_nonblocking(&stderr)?;
        let pipes = vec![(Stream::Stdout, stdout), (Stream::Stderr, stderr)];
        // A pipe holds 64 KiB (pipe(7)).
        Ok(Self { pipes, reads: 1 })
    }

    /// Of a terminal there is one stream only.
    pub fn of_terminal(master: OwnedFd) -> Self {
        Self { pipes: vec![(Stream::Stdout, master)], reads: READS }
    }

    /// Starts reading, and passes on to the event stream what `echo` says, as fast as that is written.
    pub fn pump(self, echo: Echo, bus: Arc<Bus>) -> std::io::Result<Pump> {
        let (wake_read, wake) = fd::pipe()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            wake: Mutex::new(Some(wake)),
        });
        let theirs = Arc::clone(&shared);
        let name = "output".to_owned();
        std::thread::Builder::new().name(name).spawn(move || {
            let Self { mut pipes, reads } = self;
            let mut buffer = vec![0u8; 64 << 10];
            let mut finished = false;
            let mut prefixer = match &echo {
                Echo::Prefixed(word) => Some(Prefixer::new(word)),
                Echo::AsItIs | Echo::Nothing => None,
            };
            let show = |stream: Stream, bytes: Vec<u8>| {
                let event = match stream {
                    _ if bytes.is_empty() => return,
                    Stream::Stdout => Event::Stdout(bytes),
                    Stream::Stderr => Event::Stderr(bytes),
                };
                bus.output(event, || false);
            };
            while !pipes.is_empty() {
                let mut wait: Vec<_> = pipes.iter().map(|(_, pipe)| pipe.as_fd()).collect();
                if !finished {
                    wait.push(wake_read.as_fd());
                }
                // The other end of `wake` is closed when the command has ended, or nobody asks any more.
                let flush = fd::wait_readable(&wait, None).last() == Some(&true) && !finished;
                let mut take = |stream: Stream, bytes: &[u8]| {
                    if finished {
                        return; // A stranger's output now.
                    }
                    lock(&theirs.state).captured.push(stream, bytes);
                    match &mut prefixer {
                        Some(prefixer) => show(stream, prefixer.pass(stream, bytes)),
                        None if echo == Echo::AsItIs => show(stream, bytes.to_vec()),
                        None => {}
                    }
                };
                // What can be in it, and no more: no stream starves the other, and nobody who goes on writing keeps
                // us from the end.
                pipes.retain(|(stream, pipe)| {
                    for _ in 0..reads {
                        match fd::read_some(pipe, &mut buffer) {
                            ReadFd::Bytes(n) => take(*stream, &buffer[..n]),
                            ReadFd::Nothing => return true,
                            ReadFd::End => return false,
                        }
                    }
                    true
                });
                // Without a pipe nothing more can come.
                if !finished && (flush || pipes.is_empty()) {
                    finished = true;
                    if let Some(prefixer) = &mut prefixer {
                        for stream in [Stream::Stdout, Stream::Stderr] {
                            show(stream, prefixer.rest(stream));
                        }
                    }
                    bus.emit(Event::OutputEnd);
                    lock(&theirs.state).flushed = true;
                    theirs.changed.notify_all();
                }
            }
        })?;
        Ok(Pump(shared))
    }
}

impl Pump {
    /// What the command has printed, once it has ended; `give_up` ends the wait for a stalled echo.
    pub fn finish(self, give_up: &dyn Fn() -> bool) -> Captured {
        strand::aside(|| self.finish_now(give_up))
    }

    fn finish_now(self, give_up: &dyn Fn() -> bool) -> Captured {
        self.flush();
        while !self.wait_flushed(Duration::from_millis(50)) && !give_up() {}
        std::mem::take(&mut lock(&self.0.state).captured)
    }

    /// What is in the pipes now belongs to the command, and nothing more.
    pub fn flush(&self) {
        drop(lock(&self.0.wake).take());
    }

    pub fn is_flushed(&self) -> bool {
        lock(&self.0.state).flushed
    }

    /// Waits at most this long until what was in the pipes has been read and passed on; whether it has.
    pub fn wait_flushed(&self, patience: Duration) -> bool {
        let state = lock(&self.0.state);
        let waited = self.0.changed.wait_timeout_while(state, patience, |state| !state.flushed);
        waited.unwrap_or_else(PoisonError::into_inner).0.flushed
    }
}
