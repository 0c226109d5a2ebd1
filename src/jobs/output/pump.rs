//! Reads a command's two pipes, or its terminal.
//!
//! A pipe is never read to its end before a result is given: a process that the command left behind may hold
//! it open for ever. When the command has ended, what is in the pipe then belongs to it; the rest is drained
//! until the run ends, since closing the pipe would kill the one that still holds it.
//!
//! Much output is read in large pieces, from a pipe that is made larger for it, and each piece is shared by who keeps and
//! who shows it. A command that prints little has no part in that.

use crate::event::{Bus, Event};
use crate::jobs::output::captured::{Captured, Stream};
use crate::jobs::output::echo::{Echo, Prefixer};
use crate::jobs::wait::strand;
use crate::lock::lock;
use crate::sys::fd::{self, Read as ReadFd};
use crate::sys::pty::READS;
use crate::sys::stream::{self, PIPE};
use bytes::{Bytes, BytesMut};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What a pipe is made to hold through which much comes: more would be of little use, and each user has a limit for all
/// pipes together (pipe(7)).
const LARGE_PIPE: usize = 4 * PIPE;
/// A command that has once printed so much at a time prints much.
const MUCH: usize = PIPE / 2;
/// Memory for so much output at a time is got, and filled but for a rest that is too small to read into.
const BUFFER: usize = 4 * LARGE_PIPE;
/// What is shorter is copied rather than to keep memory for what did not come.
const SMALL: usize = PIPE / 4;

/// Our ends of a command's pipes, or of its terminal, before anybody reads them.
pub struct Capture(Vec<Source>);

struct Source {
    stream: Stream,
    fd: OwnedFd,
    /// How much can be in it.
    holds: usize,
    /// How many reads may follow each other although one has not got all that it could.
    reads: usize,
    /// Much comes through it.
    large: bool,
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
        let pipe = |stream, fd| Source { stream, fd, holds: PIPE, reads: 1, large: false };
        Ok(Self(vec![pipe(Stream::Stdout, stdout), pipe(Stream::Stderr, stderr)]))
    }

    /// Of a terminal there is one stream only.
    pub fn of_terminal(master: OwnedFd) -> Self {
        let (stream, fd) = (Stream::Stdout, master);
        Self(vec![Source { stream, fd, holds: usize::MAX, reads: READS, large: false }])
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
            let Self(mut sources) = self;
            let mut buffer = BytesMut::new();
            let mut finished = false;
            let mut prefixer = match &echo {
                Echo::Prefixed(word) => Some(Prefixer::new(word)),
                Echo::AsItIs | Echo::Nothing => None,
            };
            let show = |stream: Stream, bytes: Bytes| {
                let event = match stream {
                    _ if bytes.is_empty() => return,
                    Stream::Stdout => Event::Stdout(bytes),
                    Stream::Stderr => Event::Stderr(bytes),
                };
                bus.output(event, || false);
            };
            while !sources.is_empty() {
                let mut wait: Vec<_> = sources.iter().map(|source| source.fd.as_fd()).collect();
                if !finished {
                    wait.push(wake_read.as_fd());
                }
                // The other end of `wake` is closed when the command has ended, or nobody asks any more.
                let ready = fd::wait_readable(&wait, None);
                let flush = !finished && ready.last() == Some(&true);
                let mut take = |stream: Stream, bytes: Bytes| {
                    if finished {
                        return; // A stranger's output now.
                    }
                    lock(&theirs.state).captured.push(stream, bytes.clone());
                    match &mut prefixer {
                        Some(prefixer) => show(stream, prefixer.pass(stream, &bytes).into()),
                        None if echo == Echo::AsItIs => show(stream, bytes),
                        None => {}
                    }
                };
                let mut ready = ready.into_iter();
                // What has come since counts as well when it is the last look.
                sources.retain_mut(|source| {
                    let any = ready.next().unwrap_or(true) || flush;
                    !any || source.read(&mut buffer, &mut take)
                });
                // Without a pipe nothing more can come.
                if !finished && (flush || sources.is_empty()) {
                    finished = true;
                    if let Some(prefixer) = &mut prefixer {
                        for stream in [Stream::Stdout, Stream::Stderr] {
                            show(stream, prefixer.rest(stream).into());
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

impl Source {
    /// Reads what can be in it, and no more: no stream starves the other, and nobody who goes on writing keeps us from the
    /// end. False: nothing more can come.
    fn read(&mut self, buffer: &mut BytesMut, take: &mut dyn FnMut(Stream, Bytes)) -> bool {
        let (mut most, mut reads) = (self.holds, self.reads);
        while most > 0 {
            if buffer.capacity() < PIPE {
                buffer.reserve(if self.large { BUFFER } else { PIPE });
            }
            let asked = most.min(buffer.capacity());
            let read = match stream::read_more(&self.fd, buffer, asked) {
                ReadFd::Bytes(read) => read,
                ReadFd::Nothing => return true,
                ReadFd::End => return false,
            };
            if read < SMALL {
                take(self.stream, Bytes::copy_from_slice(buffer));
                buffer.clear();
            } else {
                take(self.stream, buffer.split().freeze());
            }
            if read >= MUCH && !self.large {
                self.large = true;
                self.holds = stream::grow(&self.fd, LARGE_PIPE);
            }
            most -= read;
            // It was empty by then.
            reads -= usize::from(read < asked);
            if reads == 0 {
                break;
            }
        }
        true
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
        let mut captured = std::mem::take(&mut lock(&self.0.state).captured);
        captured.close();
        captured
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
