//! The thread that writes: events in, bytes out, in order.
//!
//! A reader that stalls must hold up nobody but whoever prints. So writes only happen when the descriptor
//! takes them, in pieces that a pipe takes at once; the descriptors' flags are never touched, since the
//! caller shares them. While stdout is stalled, stderr goes on.
//!
//! All bytes of a run pass here, so here secrets are masked.

use super::terminal::Terminal;
use super::text::said;
use crate::event::{Bus, Closed, Event};
use crate::secret::Stream;
use crate::sys::fd::{self, Written};
use std::collections::VecDeque;
use std::io::{stderr, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How often it is looked whether the writing is held up by a reader.
const LOOK: Duration = Duration::from_millis(20);
/// How long stderr waits for a stalled stdout before it goes first.
const KEEP_ORDER: Duration = Duration::from_millis(100);

pub struct Reporter {
    /// Says, or closes, when the thread has ended.
    ended: mpsc::Receiver<()>,
    mute: Arc<AtomicBool>,
    /// The thread waits for a reader that does not read.
    stalled: Arc<AtomicBool>,
}

/// Starts writing what the bus carries. `stdout_gone` is called once, when nobody reads our stdout any more.
pub fn start(
    bus: Arc<Bus>,
    terminal: Terminal,
    stdout_gone: impl Fn() + Send + 'static,
) -> std::io::Result<Reporter> {
    let mute = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&mute);
    let stalled = Arc::new(AtomicBool::new(false));
    let waits = Arc::clone(&stalled);
    let (running, ended) = mpsc::channel::<()>();
    let work = move || {
        let mut writer = Writer {
            bus,
            terminal,
            mute: theirs,
            stalled: waits,
            stdout_gone,
            backlog: VecDeque::new(),
            masks: Default::default(),
            gone: [false; 2],
            one_file: fd::same_file(stdout().as_fd(), stderr().as_fd()),
            within_line: false,
        };
        writer.run();
        drop(running);
    };
    std::thread::Builder::new().name("report".into()).spawn(work)?;
    Ok(Reporter { ended, mute, stalled })
}

impl Reporter {
    /// Set when the guard is gone, and with it whoever read our stdout: nothing is written there then.
    pub fn mute_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.mute)
    }

    /// Waits until all is written. A reader that does not read is waited for no longer than `bound`; a disk or a machine
    /// that is slow, `at_most` in all, and `working` is called again and again meanwhile. The bus must have been closed.
    pub fn finish(self, bound: Duration, at_most: Duration, working: impl Fn()) {
        let (mut waited, mut for_reader) = (Duration::ZERO, Duration::ZERO);
        while waited < at_most && for_reader < bound {
            let step = LOOK.min(at_most - waited);
            if self.ended.recv_timeout(step) != Err(mpsc::RecvTimeoutError::Timeout) {
                return;
            }
            waited += step;
            if self.stalled.load(SeqCst) {
                for_reader += step;
            } else {
                working();
            }
        }
    }
}

struct Writer<F> {
    bus: Arc<Bus>,
    terminal: Terminal,
    mute: Arc<AtomicBool>,
    stalled: Arc<AtomicBool>,
    stdout_gone: F,
    /// Output that a stalled stdout has not taken yet.
    backlog: VecDeque<u8>,
    /// Of stdout and stderr.
    masks: [Stream; 2],
    gone: [bool; 2],
    /// stdout and stderr are the same terminal, pipe or file.
    one_file: bool,
    /// The last byte written there was no newline.
    within_line: bool,
}

impl<F: Fn()> Writer<F> {
    fn run(&mut self) {
        loop {
            let patience = if self.backlog.is_empty() { Duration::from_secs(3600) } else { Duration::ZERO };
            match self.bus.next(patience) {
                Ok(Some((at, event))) => self.handle(at, event),
                Ok(None) => self.push_backlog(KEEP_ORDER),
                Err(Closed) => {
                    self.let_go();
                    if self.backlog.is_empty() {
                        return;
                    }
                    self.push_backlog(KEEP_ORDER);
                }
            }
        }
    }

    fn handle(&mut self, at: Duration, event: Event) {
        match event {
            Event::Stdout(bytes) => {
                if !self.backlog.is_empty() {
                    self.push_backlog(Duration::ZERO);
                }
                let (bytes, less) = self.masks[0].pass(bytes);
                self.show_stdout(bytes, less);
                self.push_backlog(KEEP_ORDER);
            }
            Event::Stderr(bytes) => {
                let (bytes, less) = self.masks[1].pass(bytes);
                self.show_stderr(&bytes, less);
            }
            // Without the guard only the verdict's last line: whoever called us has gone on long ago.
            Event::Verdict(text) if self.mute.load(SeqCst) => {
                self.write_stderr(
                    text.lines()
                        .last()
                        .map(|line| format!("{}\n", said(line)))
                        .unwrap_or_default()
                        .as_bytes(),
                );
            }
            _ if self.mute.load(SeqCst) => {}
            other => {
                if let Event::Verdict(_) = other {
                    self.let_go();
                }
                if let Some(line) = self.terminal.line(at, &other) {
                    // What a command printed without a newline must not run into ours.
                    if std::mem::take(&mut self.within_line) {
                        self.write_stderr(b"\n");
                    }
                    self.write_stderr(said(&line).as_bytes());
                }
            }
        }
    }

    /// `less`: by how many bytes they are less than what was announced.
    fn show_stdout(&mut self, bytes: Vec<u8>, less: usize) {
        self.bus.written(less);
        if self.one_file {
            self.within_line = bytes.last().map_or(self.within_line, |last| *last != b'\n');
        }
        self.backlog.extend(bytes);
    }

    fn show_stderr(&mut self, bytes: &[u8], less: usize) {
        self.write_stderr(bytes);
        self.within_line = bytes.last().map_or(self.within_line, |last| *last != b'\n');
        self.bus.written(bytes.len() + less);
    }

    /// Shows what was held back: it did not become a secret.
    fn let_go(&mut self) {
        let (bytes, less) = self.masks[0].rest();
        self.show_stdout(bytes, less);
        let (bytes, less) = self.masks[1].rest();
        self.show_stderr(&bytes, less);
    }

    /// Writes what stdout takes, waiting at most `patience` for it to take anything.
    fn push_backlog(&mut self, patience: Duration) {
        while !self.backlog.is_empty() {
            let length = self.backlog.len();
            if self.gone[0] || self.mute.load(SeqCst) {
                self.backlog.clear();
                self.bus.written(length);
                return;
            }
            let chunk: Vec<u8> = self.backlog.iter().copied().take(4096).collect();
            match self.write_some(stdout().as_fd(), &chunk, patience) {
                Written::Bytes(n) => {
                    self.backlog.drain(..n);
                    self.bus.written(n);
                }
                Written::Stalled => return,
                Written::Gone => {
                    self.gone[0] = true;
                    (self.stdout_gone)();
                }
            }
        }
    }

    /// As `fd::write_some`; says so while a reader makes us wait.
    fn write_some(&self, fd: BorrowedFd, bytes: &[u8], patience: Duration) -> Written {
        let written = fd::write_some(fd, bytes, Duration::ZERO);
        if !matches!(written, Written::Stalled) || patience.is_zero() {
            return written;
        }
        self.stalled.store(true, SeqCst);
        let written = fd::write_some(fd, bytes, patience);
        self.stalled.store(false, SeqCst);
        written
    }

    fn write_stderr(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.gone[1] {
            match self.write_some(stderr().as_fd(), bytes, Duration::from_secs(3600)) {
                Written::Bytes(n) => bytes = &bytes[n..],
                Written::Stalled => {}
                Written::Gone => self.gone[1] = true, // The run goes on without a word.
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// The end of a reporter whose thread takes `time` to write what is left; how often it was said to be working.
    fn finished(time: Duration, stalled: bool) -> (bool, usize) {
        let (running, ended) = mpsc::channel::<()>();
        let mute = Arc::new(AtomicBool::new(false));
        let reporter = Reporter { ended, mute, stalled: Arc::new(AtomicBool::new(stalled)) };
        let (all, calls) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
        let written = Arc::clone(&all);
        std::thread::spawn(move || {
            std::thread::sleep(time);
            written.store(true, SeqCst);
            drop(running);
        });
        reporter.finish(Duration::from_millis(60), Duration::from_secs(3600), || {
            calls.fetch_add(1, SeqCst);
        });
        (all.load(SeqCst), calls.into_inner())
    }

    #[test]
    fn a_slow_disk_loses_nothing() {
        let (all, calls) = finished(Duration::from_millis(300), false);
        assert!(all && calls > 0, "{all} {calls}");
    }

    #[test]
    fn a_reader_that_does_not_read_is_not_waited_for() {
        assert_eq!(finished(Duration::from_secs(3600), true), (false, 0));
    }
}
