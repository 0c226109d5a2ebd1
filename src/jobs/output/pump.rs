//! Reads what a command prints, and passes it on: on the thread that waits for the command ([`Attended`]), or on one of its
//! own.
//!
//! Nobody waits for the end of a pipe before a result is given: a process that the command left behind may hold
//! it open for ever. When the command has ended, what is in the pipe then belongs to it; the rest is drained
//! until the run ends, since closing the pipe would kill the one that still holds it.
//!
//! What has been printed is never with one thread alone: at the end of the run whoever comes first reads the rest
//! ([`Pump::flush`]), whatever has become of the thread that was to do so.
//!
//! Much output is read in large pieces, from a pipe that is made larger for it, and each piece is shared by who keeps and
//! who shows it. Where it is only to be written as it is, and nothing else waits to be written, the kernel shows it to the
//! reader of our stdout before we read it ([`Bus::straight`]): then no thread waits for another one, and it is copied once.
//! A command that prints little has no part in that.
//!
//! [`Attended`]: crate::jobs::output::Attended

use crate::event::{Bus, Event};
use crate::jobs::output::captured::{Captured, Stream};
use crate::jobs::output::echo::{Cutter, Echo};
use crate::jobs::wait::strand;
use crate::lock::lock;
use crate::sys::fd::{self, Written};
use crate::sys::pty::READS;
use crate::sys::stream::{self, Chunk, LARGE_PIPE, LARGEST_PIPE, PIPE, ReadInto};
use bytes::Bytes;
use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A command that has once printed so much at a time prints much.
const MUCH: usize = PIPE / 2;
/// What is shorter is copied rather than to keep memory for what did not come.
const SMALL: usize = PIPE / 4;
/// Where much comes in little pieces, so long is waited for more: each piece costs whoever writes, us and whoever reads a
/// wake-up. A pipe that is filled at 1 GB/s has room for twice as long.
const GATHER: Duration = Duration::from_micros(100);

/// How long whoever reads our stdout may take to make room for more before it is left to the thread that writes: that one
/// knows how to wait for a reader that does not read.
const PROMPT: Duration = Duration::from_millis(20);

/// Our ends of a command's pipes, or of its terminal, before anybody reads them.
pub struct Capture {
    sources: Vec<Source>,
    /// A pidfd of the command's first process, where there is one.
    pub(super) process: Option<OwnedFd>,
}

struct Source {
    stream: Stream,
    fd: Arc<OwnedFd>,
    /// How much can be in it.
    holds: usize,
    /// How many reads may follow each other although one has not got all that it could.
    reads: usize,
    /// Much comes through it.
    large: bool,
    /// It has been made to hold as much as there may be.
    largest: bool,
    /// So much of what is in it has been shown.
    shown: usize,
    /// The last time there was little in it.
    little: bool,
}

impl Capture {
    pub fn new(stdout: OwnedFd, stderr: OwnedFd) -> nix::Result<Self> {
        fd::set_nonblocking(&stdout)?;
        fd::set_nonblocking(&stderr)?;
        let pipe = |stream, fd| Source {
            stream,
            fd: Arc::new(fd),
            holds: PIPE,
            reads: 1,
            large: false,
            largest: false,
            shown: 0,
            little: false,
        };
        let sources = vec![pipe(Stream::Stdout, stdout), pipe(Stream::Stderr, stderr)];
        Ok(Self { sources, process: None })
    }

    /// Of a terminal there is one stream only.
    pub fn of_terminal(master: OwnedFd) -> Self {
        let (stream, fd) = (Stream::Stdout, Arc::new(master));
        let sources = vec![Source {
            stream,
            fd,
            holds: usize::MAX,
            reads: READS,
            large: false,
            largest: false,
            shown: 0,
            little: false,
        }];
        Self { sources, process: None }
    }

    pub(crate) fn of_process(self, process: Option<OwnedFd>) -> Self {
        Self { process, ..self }
    }
}

/// What reads a command's output.
#[derive(Clone)]
pub struct Pump(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    bus: Arc<Bus>,
}

/// Whoever reads holds its lock, and waits for nothing meanwhile.
struct State {
    sources: Vec<Source>,
    buffer: Buffer,
    shown: Shown,
    captured: Captured,
    /// What was in the pipes when the command ended has been read and passed on. What comes now is a stranger's.
    flushed: bool,
    /// A thread reads that does nothing else.
    alone: bool,
    straight: Straight,
}

thread_local! {
    /// What small pieces are read into, and copied from: one command after the other.
    static SMALL_PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is read into.
#[derive(Default)]
struct Buffer {
    /// Where much comes.
    chunk: Option<Chunk>,
}

impl Buffer {
    fn read(&mut self, fd: &OwnedFd, most: usize, large: bool) -> (ReadInto, usize) {
        if large {
            let chunk = self.chunk.take().filter(|chunk| chunk.room() >= PIPE);
            let chunk = self.chunk.insert(chunk.unwrap_or_else(Chunk::new));
            let asked = most.min(chunk.room());
            return (chunk.read(fd, asked, SMALL), asked);
        }
        let asked = most.min(PIPE);
        let read = SMALL_PIECE.with_borrow_mut(|piece| {
            piece.resize(PIPE, 0);
            match fd::read_some(fd, &mut piece[..asked]) {
                fd::Read::Bytes(read) => ReadInto::Bytes(Bytes::copy_from_slice(&piece[..read])),
                fd::Read::Nothing => ReadInto::Nothing,
                fd::Read::End => ReadInto::End,
            }
        });
        (read, asked)
    }
}

/// Whether large output may be shown before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Straight {
    Possible,
    /// The reader of our stdout had no room.
    Full,
    /// It had none for long: the next piece is left to the thread that writes.
    Slow,
    /// It is not only to be written, or the kernel cannot do it.
    Impossible,
}

/// Passes on to the event stream what is to be shown.
struct Shown {
    echo: Echo,
    /// Something has been passed on.
    begun: bool,
    /// What is shown in whole lines, and the word before each.
    lines: Option<(Arc<str>, Cutter)>,
}

impl Shown {
    fn pass(&mut self, stream: Stream, bytes: Bytes, bus: &Bus) {
        self.begun |= self.echo != Echo::Nothing;
        match &mut self.lines {
            Some((word, cutter)) => cutter.cut(stream, &bytes, |lines| emit_lines(word, stream, lines, bus)),
            None if self.echo == Echo::AsItIs => emit(stream, bytes, bus),
            None => {}
        }
    }

    /// The command has ended.
    fn end(&mut self, bus: &Bus) {
        if !self.begun {
            return;
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some((word, cutter)) = &mut self.lines {
                emit_lines(word, stream, cutter.rest(stream), bus);
            }
        }
        bus.emit(Event::OutputEnd);
    }
}

fn emit(stream: Stream, bytes: Bytes, bus: &Bus) {
    bus.emit(match stream {
        _ if bytes.is_empty() => return,
        Stream::Stdout => Event::Stdout(bytes),
        Stream::Stderr => Event::Stderr(bytes),
    });
}

fn emit_lines(word: &Arc<str>, stream: Stream, bytes: Bytes, bus: &Bus) {
    if !bytes.is_empty() {
        bus.emit(Event::Lines { word: Arc::clone(word), on_stderr: stream == Stream::Stderr, bytes });
    }
}

impl State {
    /// Reads from those that have something, in their order, and from those of which that is not known.
    fn read(&mut self, ready: &[bool], bus: &Bus) {
        let Self { sources, buffer, shown, captured, flushed, straight, .. } = self;
        let mut take = |stream: Stream, bytes: Bytes, is_shown: bool| {
            if !*flushed {
                captured.push(stream, bytes.clone());
                if !is_shown {
                    shown.pass(stream, bytes, bus);
                }
            }
        };
        let mut ready = ready.iter();
        sources.retain_mut(|source| match ready.next() {
            Some(false) => true,
            Some(true) if source.goes_straight(*straight) => {
                source.read_straight(buffer, &mut take, straight, bus)
            }
            _ => source.read(buffer, &mut take),
        });
    }

    fn flush(&mut self, bus: &Bus) {
        if !self.flushed {
            self.read(&[], bus);
            self.flushed = true;
            self.shown.end(bus);
            // Whether there can be more: mostly nobody has the pipe any more.
            self.read(&[], bus);
        }
    }
}

/// Takes what was read, and whether it has been shown.
type Take<'a> = dyn FnMut(Stream, Bytes, bool) + 'a;

impl Source {
    /// Reads what can be in it, and no more: no stream starves the other, and nobody who goes on writing keeps us from the
    /// end. False: nothing more can come.
    fn read(&mut self, buffer: &mut Buffer, take: &mut Take) -> bool {
        let (mut most, mut reads) = (self.holds, self.reads);
        self.little = true;
        let mut all = 0;
        while most > 0 {
            // What has been shown is not put together with what has not.
            let shown = if self.shown > 0 { self.shown } else { usize::MAX };
            let (bytes, asked) = match buffer.read(&self.fd, most.min(shown), self.large) {
                (ReadInto::Bytes(bytes), asked) => (bytes, asked),
                (ReadInto::Nothing, _) => return true,
                (ReadInto::End, _) => return false,
            };
            let read = bytes.len();
            take(self.stream, bytes, self.shown > 0);
            self.shown = self.shown.saturating_sub(read);
            all += read;
            self.little = all < LARGE_PIPE / 4;
            if read >= MUCH && !self.large {
                self.large = true;
                self.holds = stream::grow(&*self.fd, LARGE_PIPE);
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

    fn goes_straight(&self, straight: Straight) -> bool {
        self.large && self.stream == Stream::Stdout && matches!(straight, Straight::Possible | Straight::Full)
    }

    /// As [`Self::read`], of what there is; shows it first, as far as the reader of our stdout has room.
    fn read_straight(
        &mut self,
        buffer: &mut Buffer,
        take: &mut Take,
        straight: &mut Straight,
        bus: &Bus,
    ) -> bool {
        *straight = Straight::Possible;
        if !std::mem::replace(&mut self.largest, true) {
            self.holds = stream::grow(&*self.fd, LARGEST_PIPE);
        }
        let stdout = std::io::stdout();
        match bus.straight(|| stream::show(&self.fd, stdout.as_fd(), self.holds)) {
            Some(Some(Written::Bytes(shown))) => self.shown += shown,
            Some(Some(Written::Stalled)) => {
                *straight = Straight::Full;
                return true;
            }
            // It is gone, which the thread that writes has to find.
            Some(Some(Written::Gone | Written::Failed(_))) | None => {}
            Some(None) => *straight = Straight::Impossible,
        }
        let holds = self.holds;
        if self.shown > 0 {
            self.holds = self.shown;
        }
        let goes_on = self.read(buffer, take);
        self.holds = holds;
        goes_on
    }
}

impl Pump {
    pub(crate) fn of(capture: Capture, echo: Echo, bus: Arc<Bus>) -> Self {
        let lines = match &echo {
            Echo::Prefixed(word) => Some((Arc::from(word.as_str()), Cutter::default())),
            Echo::AsItIs | Echo::Nothing => None,
        };
        let straight = if echo == Echo::AsItIs { Straight::Possible } else { Straight::Impossible };
        let state = State {
            sources: capture.sources,
            buffer: Buffer::default(),
            shown: Shown { echo, begun: false, lines },
            captured: Captured::default(),
            flushed: false,
            alone: false,
            straight,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), bus }))
    }

    /// What can be read from.
    pub(super) fn sources(&self) -> Vec<Arc<OwnedFd>> {
        lock(&self.0.state).sources.iter().map(|source| Arc::clone(&source.fd)).collect()
    }

    /// Reads from those of the sources that have something, as they are waited for in their order. Where much comes in little
    /// pieces, waits a moment for more.
    pub(super) fn read(&self, ready: &[bool]) {
        let gather = {
            let mut state = lock(&self.0.state);
            state.read(ready, &self.0.bus);
            state.sources.iter().zip(ready).any(|(source, ready)| *ready && source.large && source.little)
        };
        if gather {
            std::thread::sleep(GATHER);
        }
    }

    /// Waits until what has been passed on is written, but for as much as may wait, or `give_up` says so; whether there is
    /// room for more.
    pub(super) fn wait_for_room(&self, give_up: impl Fn() -> bool) -> bool {
        let (shows_nothing, straight, is_large) = {
            let state = lock(&self.0.state);
            let is_large = state.sources.iter().any(|source| source.large);
            (state.shown.echo == Echo::Nothing, state.straight, is_large)
        };
        let straight = if self.0.bus.may_go_straight() { straight } else { Straight::Impossible };
        let prompt = match straight {
            Straight::Full if give_up() => return false,
            Straight::Full => {
                let stdout = std::io::stdout();
                let has_room = fd::wait_writable(&[stdout.as_fd()], PROMPT);
                if has_room {
                    stream::grow_once(stdout.as_fd(), LARGEST_PIPE);
                }
                has_room
            }
            // What went to the thread that writes goes first.
            Straight::Possible if is_large => self.0.bus.wait_written(PROMPT),
            Straight::Slow => self.0.bus.unwritten() == 0,
            Straight::Possible | Straight::Impossible => {
                return shows_nothing || self.0.bus.wait_for_room(give_up);
            }
        };
        lock(&self.0.state).straight = if prompt { Straight::Possible } else { Straight::Slow };
        shows_nothing || self.0.bus.wait_for_room(give_up)
    }

    /// From now on a thread of its own reads, also when nobody asks for the result any more: a command that is being stopped
    /// may have its summary to print. Without a source nothing can come.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn go_on_alone(&self) -> std::io::Result<()> {
        let mut state = lock(&self.0.state);
        if state.alone || state.sources.is_empty() {
            return Ok(());
        }
        let pump = self.clone();
        let work = move || while pump.wait_and_read() {};
        std::thread::Builder::new().name("output".to_owned()).spawn(work)?;
        state.alone = true;
        Ok(())
    }

    /// Whether more can come.
    fn wait_and_read(&self) -> bool {
        let sources = self.sources();
        let fds: Vec<BorrowedFd> = sources.iter().map(|fd| fd.as_fd()).collect();
        if fds.is_empty() {
            return false;
        }
        let ready = fd::wait_readable(&fds, None);
        self.wait_for_room(|| lock(&self.0.state).flushed);
        self.read(&ready);
        true
    }

    /// What is in the pipes now belongs to the command, and nothing more.
    pub fn flush(&self) {
        lock(&self.0.state).flush(&self.0.bus);
    }

    /// Nothing more can come.
    pub(crate) fn is_over(&self) -> bool {
        let state = lock(&self.0.state);
        state.flushed && state.sources.is_empty()
    }

    /// What the command has printed, once it has ended; `give_up` ends the wait for a stalled echo.
    pub fn finish(self, give_up: &dyn Fn() -> bool) -> Captured {
        self.flush();
        strand::aside(|| self.wait_for_room(give_up));
        let mut captured = std::mem::take(&mut lock(&self.0.state).captured);
        captured.close();
        captured
    }
}
