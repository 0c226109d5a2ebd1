//! The thread that writes: events in, bytes out, in order.
//!
//! A reader that stalls holds up nobody but whoever prints. So no more is written than the descriptor takes at once; its
//! flags are never touched, since the caller shares them. While stdout is stalled, stderr goes on, unless both are the same pipe, file or terminal.
//!
//! Nothing is dropped but by [`Reporter::wait`], for whoever is in a hurry, and what cannot be written: that is counted.
//! All bytes of a run pass here, so here secrets are masked.

use super::events::Events;
use super::lane::Lane;
use super::live::Live;
use super::said::said;
use super::status::{Show, Status};
use super::terminal::Terminal;
use crate::event::{Bus, Closed, Event};
use crate::jobs::output::prefixed;
use crate::secret::{self, Stream};
use crate::sys::fd::{self, Written};
use crate::sys::{clock, tty};
use bytes::Bytes;
use std::cell::Cell;
use std::io::{stderr, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How often it is looked for events while a reader makes us wait, and whether somebody is in a hurry.
const LOOK: Duration = Duration::from_millis(20);
/// How long stderr waits for a stalled stdout before it goes first.
const KEEP_ORDER: Duration = Duration::from_millis(100);
/// How long whoever is in a hurry waits for a reader that takes nothing.
pub const UNREAD: Duration = Duration::from_secs(1);
/// The same for a disk or a machine that is slow: a verdict is not lost for that.
const SLOW_DISK: Duration = Duration::from_secs(10);
/// How long the thread may take to notice that it has to give up.
const NOTICE: Duration = Duration::from_millis(200);

const STDOUT: usize = 0;
const STDERR: usize = 1;

/// How long the writing may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// As long as the reader lives.
    None,
    /// As long as it reads: [`UNREAD`] without progress are too long.
    Some,
    /// [`UNREAD`] altogether.
    Much,
}

/// What could not be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Bytes that nobody has read in time.
    pub unread: u64,
    /// Bytes that were refused, and why (errno), for stdout and stderr.
    pub refused: [Option<(i32, u64)>; 2],
    /// Why (errno) not all events were recorded.
    pub unrecorded: Option<i32>,
    /// Nobody reads our stdout any more, and there was something to read.
    pub stdout_gone: bool,
}

impl Loss {
    /// Something is lost that somebody would have read.
    pub fn any(&self) -> bool {
        self.unread > 0 || self.unrecorded.is_some() || self.refused.iter().any(Option::is_some)
    }
}

/// Why stdout takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdoutEnd {
    /// Nobody reads it any more.
    Gone,
    /// A full disk, an I/O error.
    Failed,
}

pub struct Reporter {
    /// Says, or closes, when the thread has ended.
    ended: mpsc::Receiver<()>,
    bus: Arc<Bus>,
    shared: Arc<Shared>,
    /// The thread is kept by a write that does not come to its end.
    stuck: Cell<bool>,
}

/// What the thread and whoever waits for it tell each other.
#[derive(Default)]
struct Shared {
    mute: Arc<AtomicBool>,
    /// The thread waits for a reader that does not read.
    stalled: AtomicBool,
    /// Counts the writes that got through.
    moved: AtomicU64,
    /// What waits to be written is to be dropped.
    give_up: AtomicBool,
    unread: AtomicU64,
    refused: [AtomicU64; 2],
    errno: [AtomicI32; 2],
    stdout_gone: AtomicBool,
    unrecorded: AtomicI32,
}

/// Starts writing what the bus carries. `stdout_ended` is called once, when stdout takes nothing more.
pub fn start(
    bus: Arc<Bus>,
    terminal: Terminal,
    live: Live,
    events: Option<Events>,
    stdout_ended: impl Fn(StdoutEnd) + Send + 'static,
) -> std::io::Result<Reporter> {
    let shared: Arc<Shared> = Arc::default();
    let (running, ended) = mpsc::channel::<()>();
    let status = terminal.status(Arc::clone(&bus.pending));
    let mut writer = Writer {
        bus: Arc::clone(&bus),
        terminal,
        status,
        live,
        events,
        shared: Arc::clone(&shared),
        stdout_ended,
        lanes: [stdout().as_fd(), stderr().as_fd()].map(Lane::to),
        masks: Default::default(),
        one_file: fd::same_file(stdout().as_fd(), stderr().as_fd()),
        within_line: false,
        out_of_order: false,
        muted: false,
    };
    writer.let_others_write();
    let work = move || {
        writer.run();
        drop(running);
    };
    std::thread::Builder::new().name("report".into()).spawn(work)?;
    Ok(Reporter { ended, bus, shared, stuck: Cell::default() })
}

impl Reporter {
    /// Set when the guard is gone, and with it whoever read our stdout: nothing is written there then.
    pub fn mute_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.shared.mute)
    }

    /// Waits until all that was emitted has been written, or until that has taken too long for whoever is in a hurry.
    /// `working` is called again and again while there is hope.
    pub fn drain(&self, haste: &dyn Fn() -> Haste, working: &dyn Fn()) {
        self.wait(&|patience| self.bus.wait_written(patience), haste, working);
    }

    /// The same; the bus has been closed, and the thread ends.
    pub fn finish(&self, haste: &dyn Fn() -> Haste, working: &dyn Fn()) {
        let over = |patience| self.ended.recv_timeout(patience) != Err(mpsc::RecvTimeoutError::Timeout);
        self.wait(&over, haste, working);
    }

    /// Waits until `done` (which waits at most as long as it is told) or until that has taken too long: then what waits to
    /// be written is dropped, and nobody who prints is held up any more.
    pub fn wait(&self, done: &dyn Fn(Duration) -> bool, haste: &dyn Fn() -> Haste, working: &dyn Fn()) {
        let (mut waited, mut for_reader) = (Duration::ZERO, Duration::ZERO);
        let mut moved = self.shared.moved.load(SeqCst);
        if self.stuck.get() {
            done(NOTICE);
            return;
        }
        while !done(LOOK) && !self.is_over() {
            let (haste, before) = (haste(), moved);
            moved = self.shared.moved.load(SeqCst);
            let stalled = self.shared.stalled.load(SeqCst);
            if haste == Haste::None || haste == Haste::Some && moved != before {
                (waited, for_reader) = (Duration::ZERO, Duration::ZERO);
            } else {
                waited += LOOK;
                for_reader += if stalled { LOOK } else { Duration::ZERO };
            }
            if for_reader.is_zero() && haste != Haste::Much {
                working();
            }
            if for_reader >= UNREAD || waited >= if haste == Haste::Much { UNREAD } else { SLOW_DISK } {
                self.shared.give_up.store(true, SeqCst);
                self.bus.hold_up_nobody();
                self.stuck.set(!done(NOTICE));
                return;
            }
        }
    }

    /// The thread has ended, perhaps by a panic.
    fn is_over(&self) -> bool {
        self.ended.try_recv() == Err(mpsc::TryRecvError::Disconnected)
    }

    pub fn loss(&self) -> Loss {
        let shared = &self.shared;
        let refused = |stream: usize| {
            let errno = shared.errno[stream].load(SeqCst);
            (errno != 0).then(|| (errno, shared.refused[stream].load(SeqCst)))
        };
        // What is still there when it has been given up: the thread is in the middle of a write.
        let left = if shared.give_up.load(SeqCst) { self.bus.unwritten() as u64 } else { 0 };
        Loss {
            unread: shared.unread.load(SeqCst) + left,
            refused: [refused(STDOUT), refused(STDERR)],
            unrecorded: Some(shared.unrecorded.load(SeqCst)).filter(|errno| *errno != 0),
            stdout_gone: shared.stdout_gone.load(SeqCst),
        }
    }
}

/// Our own lines as they have to end: a terminal that has been handed on to a command does nothing to them.
fn ended(lines: Bytes) -> Bytes {
    if !tty::is_raw() {
        return lines;
    }
    let ends =
        lines.iter().flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) });
    ends.copied().collect()
}

struct Writer<F> {
    bus: Arc<Bus>,
    terminal: Terminal,
    /// What is waited for; it gives way to whatever is written.
    status: Status,
    live: Live,
    events: Option<Events>,
    shared: Arc<Shared>,
    stdout_ended: F,
    /// Of stdout and stderr; only the first when they are one file.
    lanes: [Lane; 2],
    masks: [Stream; 2],
    /// stdout and stderr are the same terminal, pipe or file.
    one_file: bool,
    /// The last byte that is meant for stderr, or the same file, is no newline.
    within_line: bool,
    /// stderr has waited for stdout in vain.
    out_of_order: bool,
    /// The guard is gone, and what was for whoever had called us has been dropped.
    muted: bool,
}

impl<F: Fn(StdoutEnd)> Writer<F> {
    fn run(&mut self) {
        const LONG: Duration = Duration::from_secs(3600);
        loop {
            let idle = self.is_empty();
            match self.bus.next(if idle { self.status.patience(LONG) } else { Duration::ZERO }) {
                Ok(Some((at, event))) => {
                    self.handle(at, event);
                    self.write(Duration::ZERO);
                }
                Ok(None) => {
                    self.status.wake();
                    self.write(if idle { Duration::ZERO } else { LOOK });
                }
                Err(Closed) if idle => {
                    self.make_room(STDERR);
                    self.let_go();
                    self.write(Duration::ZERO);
                    if self.is_empty() {
                        return;
                    }
                }
                Err(Closed) => self.write(LOOK),
            }
            let held: usize = self.masks.iter().map(Stream::held).sum();
            self.bus.taken(held + self.lanes.iter().map(Lane::len).sum::<usize>());
            if self.is_empty() {
                self.show_status();
            }
        }
    }

    /// Where stdout is a pipe of its own, and nobody wants more of output than to write it, whoever has it may do so.
    fn let_others_write(&self) {
        if self.one_file || self.events.is_some() || !fd::is_pipe(stdout().as_fd()) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.bus.allow_straight(move || {
            let takes_more = !shared.stdout_gone.load(SeqCst) && shared.errno[STDOUT].load(SeqCst) == 0;
            takes_more && !shared.mute.load(SeqCst) && secret::are_none()
        });
    }

    /// Says what is waited for, where that is due. On a terminal it gives way to anything else, and waits for nothing.
    fn show_status(&mut self) {
        if self.shared.mute.load(SeqCst) {
            return self.status.forget();
        }
        if self.bus.has_gone_straight() {
            self.make_room(STDOUT);
        }
        match self.status.look(!self.within_line && !tty::is_raw()) {
            Show::Nothing => {}
            Show::Draw(bytes) => {
                // What it does not take at once it shows the next time.
                let _ = fd::write_some(stderr().as_fd(), &bytes, Duration::ZERO);
            }
            Show::Say(lines) => {
                let now = clock::now();
                for line in lines {
                    self.queue_own(&self.terminal.stamped(now, &line));
                }
                self.write(Duration::ZERO);
            }
        }
    }

    /// The line that says what is waited for gives way to what is about to be written.
    fn make_room(&mut self, stream: usize) {
        let Some(erase) = self.status.give_way(stream == STDOUT) else { return };
        if self.shared.mute.load(SeqCst) {
            return;
        }
        let lane = self.lane_of_stderr();
        // It was drawn while nothing waited; should the terminal have been stopped since, it goes first once it goes on.
        if !matches!(fd::write_some(stderr().as_fd(), erase, Duration::ZERO), Written::Bytes(_)) {
            self.lanes[lane].add(Bytes::from_static(erase));
        }
    }

    /// A line of ours. What a command printed without a newline must not run into it.
    fn queue_own(&mut self, line: &str) {
        if self.within_line {
            self.queue_err(ended(Bytes::from_static(b"\n")));
        }
        self.queue_err(ended(said(line).into()));
    }

    fn lane_of_stderr(&self) -> usize {
        if self.one_file { STDOUT } else { STDERR }
    }

    fn is_empty(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    /// Without the guard only the verdict's last line is written: whoever called us has gone on long ago.
    fn handle(&mut self, at: Duration, event: Event) {
        if let Some(Err(errno)) = self.events.as_mut().map(|events| events.write(at, &event)) {
            self.events = None;
            self.shared.unrecorded.store(errno, SeqCst);
        }
        match event {
            Event::Verdict(text) if self.shared.mute.load(SeqCst) => {
                let line = text.lines().last().unwrap_or_default();
                self.queue_err(format!("{}\n", said(line)).into());
            }
            _ if self.shared.mute.load(SeqCst) => {}
            Event::Stdout(bytes) => self.show_out(bytes),
            Event::Stderr(bytes) => self.show_err(bytes),
            // Not by whoever reads them of the command: so two threads share the work.
            Event::Lines { word, on_stderr: false, bytes } => self.show_out(prefixed(&word, &bytes).into()),
            Event::Lines { word, on_stderr: true, bytes } => self.show_err(prefixed(&word, &bytes).into()),
            Event::OutputEnd => self.let_go(),
            Event::JobsToShow(names) => self.live.expect(&names),
            Event::JobOutput { job, bytes, missed } => {
                let lines = self.live.lines(&job, &bytes, missed);
                // What a command printed without a newline must not run into these.
                if self.within_line && (self.one_file || !self.live.on_stdout()) {
                    self.queue_err(ended(Bytes::from_static(b"\n")));
                }
                let lines = ended(lines.into());
                match self.live.on_stdout() {
                    true => self.queue_out(lines),
                    false => self.queue_err(lines),
                }
            }
            other => {
                if let Some(line) = self.terminal.line(at, &other) {
                    self.queue_own(&line);
                }
            }
        }
    }

    fn show_out(&mut self, bytes: Bytes) {
        let bytes = self.masks[STDOUT].pass(bytes);
        self.queue_out(bytes);
    }

    fn show_err(&mut self, bytes: Bytes) {
        let bytes = self.masks[STDERR].pass(bytes);
        self.queue_err(bytes);
    }

    /// Shows what was held back: it did not become a secret.
    fn let_go(&mut self) {
        let bytes = self.masks[STDOUT].rest();
        self.queue_out(bytes.into());
        let bytes = self.masks[STDERR].rest();
        self.queue_err(bytes.into());
    }

    fn queue_out(&mut self, bytes: Bytes) {
        if self.one_file {
            return self.queue_err(bytes);
        }
        if !bytes.is_empty() {
            self.make_room(STDOUT);
        }
        self.lanes[STDOUT].add(bytes);
    }

    fn queue_err(&mut self, bytes: Bytes) {
        let Some(last) = bytes.last() else { return };
        self.make_room(STDERR);
        self.within_line = *last != b'\n';
        let until = clock::now() + KEEP_ORDER;
        while !self.one_file && !self.out_of_order && !self.lanes[STDOUT].is_empty() {
            self.write(LOOK);
            self.out_of_order = clock::now() >= until;
        }
        let lane = self.lane_of_stderr();
        self.lanes[lane].add(bytes);
    }

    /// Writes all that goes without waiting; if that is nothing, waits at most `patience` until something goes.
    fn write(&mut self, patience: Duration) {
        if self.shared.mute.load(SeqCst) && !std::mem::replace(&mut self.muted, true) {
            self.lanes.iter_mut().for_each(|lane| lane.given_up = !lane.is_empty());
            self.drop_given_up();
            self.lanes.iter_mut().for_each(|lane| lane.given_up = false);
        }
        let mut any = false;
        for stream in [STDOUT, STDERR] {
            any |= self.push(stream);
        }
        if self.shared.give_up.swap(false, SeqCst) {
            for lane in self.lanes.iter_mut().filter(|lane| !lane.is_empty()) {
                lane.given_up = true;
            }
        }
        self.drop_given_up();
        if any || patience.is_zero() || self.is_empty() {
            return;
        }
        let (out, err) = (stdout(), stderr());
        let waiting = |stream: usize| !self.lanes[stream].is_empty();
        let fds: Vec<BorrowedFd> = [(STDOUT, out.as_fd()), (STDERR, err.as_fd())]
            .into_iter()
            .filter_map(|(stream, fd)| waiting(stream).then_some(fd))
            .collect();
        self.shared.stalled.store(true, SeqCst);
        if fd::wait_writable(&fds, patience) {
            self.lanes.iter_mut().for_each(Lane::may_have_room);
        }
        self.shared.stalled.store(false, SeqCst);
    }

    /// Drops what waits for those who are waited for no longer.
    fn drop_given_up(&mut self) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.given_up) {
            self.shared.unread.fetch_add(lane.len() as u64, SeqCst);
            lane.clear();
        }
        let lane = &self.lanes[self.lane_of_stderr()];
        if lane.given_up {
            self.within_line = lane.within_line;
        }
    }

    /// Writes what a descriptor takes at once; whether that is anything.
    fn push(&mut self, stream: usize) -> bool {
        let mut any = false;
        let (out, err) = (stdout(), stderr());
        let fd = if stream == STDOUT { out.as_fd() } else { err.as_fd() };
        let lane = &mut self.lanes[stream];
        if lane.is_empty() {
            return false;
        }
        while !lane.is_empty() && !lane.closed {
            if lane.is_full() {
                return any;
            }
            // A terminal that was stopped (Ctrl-S) may take a part and keep us until it takes the rest.
            self.shared.stalled.store(!lane.is_file(), SeqCst);
            let written = lane.write(fd);
            self.shared.stalled.store(false, SeqCst);
            match written {
                Written::Bytes(_) => {
                    self.shared.moved.fetch_add(1, SeqCst);
                    self.out_of_order &= stream != STDOUT;
                    any = true;
                }
                Written::Stalled => return any,
                Written::Gone => {
                    lane.closed = true;
                    if stream == STDOUT {
                        self.shared.stdout_gone.store(true, SeqCst);
                        (self.stdout_ended)(StdoutEnd::Gone);
                    }
                }
                Written::Failed(errno) => {
                    lane.closed = true;
                    self.shared.errno[stream].store(errno as i32, SeqCst);
                    if stream == STDOUT {
                        (self.stdout_ended)(StdoutEnd::Failed);
                    }
                }
            }
        }
        // It goes nowhere: whoever is gone misses nothing, and whoever has a full disk is told how much it is.
        if self.shared.errno[stream].load(SeqCst) != 0 {
            self.shared.refused[stream].fetch_add(lane.len() as u64, SeqCst);
        }
        lane.clear();
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;

    /// The end of a reporter whose thread takes `time` to write what is left: whether all was written, how often it was
    /// said to be working, and how long that took.
    fn finished(time: Duration, stalled: bool, haste: Haste) -> (bool, usize, Duration) {
        let (running, ended) = mpsc::channel::<()>();
        let shared = Arc::new(Shared { stalled: AtomicBool::new(stalled), ..Shared::default() });
        let reporter = Reporter { ended, bus: Arc::default(), shared, stuck: Cell::default() };
        let written = Arc::new(AtomicBool::new(false));
        let all = Arc::clone(&written);
        std::thread::spawn(move || {
            std::thread::sleep(time);
            written.store(true, SeqCst);
            drop(running);
        });
        let (start, calls) = (clock::raw(), Cell::new(0));
        reporter.finish(&|| haste, &|| calls.set(calls.get() + 1));
        (all.load(SeqCst), calls.get(), clock::raw() - start)
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_slow_disk_loses_nothing_even_after_a_signal() {
        let (all, calls, _) = finished(UNREAD + UNREAD / 2, false, Haste::Some);
        assert!(all && calls > 0, "{all} {calls}");
    }

    #[test]
    fn a_reader_that_does_not_read_is_waited_for_as_long_as_nobody_is_in_a_hurry() {
        let (all, calls, _) = finished(UNREAD + UNREAD / 2, true, Haste::None);
        assert!(all && calls > 0, "{all} {calls}");
        let (all, calls, took) = finished(LONG, true, Haste::Some);
        assert!(!all && calls == 0 && took >= UNREAD, "{all} {calls} {took:?}");
    }

    #[test]
    fn who_kills_everything_waits_for_nothing() {
        let (all, calls, took) = finished(LONG, false, Haste::Much);
        assert!(!all && calls == 0 && took < SLOW_DISK, "{all} {calls} {took:?}");
    }
}
