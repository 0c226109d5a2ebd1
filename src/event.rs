//! What happened, as plain data, and the one stream that carries it to whoever reports.
//!
//! Emitting never blocks and never fails, so the teardown may emit. Only [`Bus::output`] waits, when the
//! reader of our stdout or stderr is slow: the command that prints is slowed down with it, as in a pipe.
//!
//! Output is never copied on its way: whoever reads it from a command, keeps it and writes it shares its pieces. And
//! nobody is woken who has nothing to do yet: with much output that would cost more than the output.

use crate::pending::Board;
use crate::sys::clock;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Bytes that may wait to be written before whoever prints is held up.
const MOST_UNWRITTEN: usize = 1 << 20;

#[derive(Clone, Debug)]
pub enum Event {
    /// What the script printed, or a command's stdout: verbatim to stdout.
    Stdout(Bytes),
    /// A command's stderr, or `debug`: verbatim to stderr.
    Stderr(Bytes),
    /// Lines of a command's stdout or stderr beside that of others, each to be shown behind this word.
    Lines {
        word: Arc<str>,
        on_stderr: bool,
        bytes: Bytes,
    },
    /// A command's output is over: what looked like the beginning of a secret was none.
    OutputEnd,
    /// These are about to be started, and what they print is shown.
    JobsToShow(Vec<String>),
    /// Whole lines of a job's log, but for a last one.
    JobOutput {
        job: String,
        bytes: Vec<u8>,
        /// Some before these were dropped (`max_log`).
        missed: bool,
    },
    JobStarted {
        job: String,
        command: String,
        pid: i32,
        log: Option<PathBuf>,
    },
    JobReady {
        job: String,
        what: String,
        after: Duration,
    },
    /// It has failed before it was ready, and is started again.
    JobAgain {
        job: String,
        next: usize,
        tries: usize,
    },
    /// It has ended, and is started again by its `restart`.
    JobComesBack {
        job: String,
        number: usize,
        most: usize,
        pause: Duration,
    },
    /// It ended by itself.
    JobEnded {
        job: String,
        status: String,
        expected: bool,
    },
    /// Somebody outside of the script wants this of it.
    Asked {
        job: String,
        what: &'static str,
        /// Who, as far as that can be told.
        program: Option<String>,
        pid: Option<i32>,
    },
    /// It has printed a line that means failure.
    JobFailed {
        job: String,
        line: String,
    },
    /// Its leader exited with 0 and left processes behind.
    JobDaemonised {
        job: String,
        left: usize,
    },
    JobStopped {
        job: String,
        after: Duration,
        /// How it has ended, where that is worth a word.
        status: Option<String>,
        killed: Option<Killed>,
    },
    /// These take their time to stop. `again`: what another signal would do, when one has come: whether that was INT.
    StopWaits {
        waiting: Vec<Waiting>,
        again: Option<bool>,
    },
    /// What was run instead of its stop signal was of no use: it gets the signal.
    StopCommandFailed {
        job: String,
        why: String,
        signal: String,
    },
    CommandStarted {
        command: String,
    },
    CommandEnded {
        command: String,
        status: String,
        ok: bool,
        after: Duration,
        /// It was to run silently.
        quiet: bool,
    },
    /// A process outside of this run was ended, so that its port is free.
    PortFreed {
        port: u16,
        pid: i32,
        command: String,
        /// It did not obey, or had no grace.
        killed: bool,
    },
    /// A log has become longer than this: from now on its beginning is dropped.
    LogDropped {
        job: String,
        limit: u64,
    },
    /// Nothing more can be written to the logs.
    DiskFull {
        path: PathBuf,
    },
    /// What a command left running.
    LeftRunning {
        command: String,
        processes: Vec<String>,
    },
    /// A test of the script is over.
    Test(Tested),
    /// It has failed, and is run again, by its `retries`.
    TestAgain {
        name: String,
        next: usize,
        tries: usize,
        failure: Box<Failure>,
        /// The id of the span of the try that has failed.
        span: Option<String>,
    },
    /// A wait of the script is over; only where events are recorded.
    Waited {
        what: String,
        after: Duration,
        ok: bool,
    },
    /// An HTTP request of the script is over, whatever was answered; only where events are recorded.
    Requested {
        method: String,
        url: String,
        status: Option<u16>,
        /// Why nothing was answered.
        error: Option<String>,
        after: Duration,
    },
    /// An assertion of the script; only where events are recorded.
    Asserted {
        function: String,
        ok: bool,
        place: Option<Place>,
    },
    /// What jobs use at this moment; only where events are recorded.
    Usage(Vec<Used>),
    /// The run is over; only where events are recorded.
    Over(Box<Over>),
    /// `log(…)` in the script.
    Log(String),
    Warning(String),
    /// The script waits for nothing but being interrupted, while so many jobs run; where those are that have a port.
    Staying {
        jobs: usize,
        urls: Vec<(String, String)>,
    },
    Interrupted(String),
    /// Ready-made text for stderr: the failure report.
    Text(String),
    /// The verdict, which is said even when nobody but a log may read it.
    Verdict(String),
}

/// A test that is over.
#[derive(Clone, Debug)]
pub struct Tested {
    /// With the groups that it is in: `cart › is empty`.
    pub name: String,
    pub outcome: Outcome,
    /// All tries together.
    pub after: Duration,
    /// How often it was run; not at all when it was not to be.
    pub tries: usize,
    pub tags: Vec<String>,
    /// The id of its span, in its last try.
    pub span: Option<String>,
}

impl Tested {
    /// Whether it has failed before it passed.
    pub fn is_flaky(&self) -> bool {
        self.tries > 1 && matches!(self.outcome, Outcome::Passed)
    }
}

#[derive(Clone, Debug)]
pub enum Outcome {
    Passed,
    Failed(Box<Failure>),
    /// For this reason.
    Skipped(String),
    /// Others were asked for; the reason says by what. It counts as skipped, but is hardly worth a line.
    Deselected(String),
}

/// What a job uses of the machine, with all its processes.
#[derive(Clone, Debug)]
pub struct Used {
    pub job: String,
    /// Processor time since its start.
    pub cpu: Duration,
    /// Memory that is resident, in bytes.
    pub rss: u64,
}

/// How a run has ended.
#[derive(Clone, Debug)]
pub struct Over {
    pub code: i32,
    /// In words, when it was not the script that ended it.
    pub cause: Option<String>,
    pub failure: Option<Failure>,
    pub stopped: usize,
    pub leaked: usize,
    /// The jobs whose starts took long, one after the other; empty when it was not long altogether.
    pub slow_start: Vec<(String, Duration)>,
    /// What is kept.
    pub kept: Vec<PathBuf>,
    /// A test has the option `only`.
    pub only: bool,
}

/// A job that SIGKILL had to end.
#[derive(Clone, Debug)]
pub struct Killed {
    pub ignored: String,
    pub grace: Duration,
}

/// A job, or a command, that takes its time to stop.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub job: String,
    pub signal: String,
    /// It is deaf to that signal, and not only slow.
    pub ignored: bool,
    /// How long until SIGKILL.
    pub left: Duration,
}

#[derive(Default)]
struct Queue {
    /// Each with its time on the run's clock.
    events: VecDeque<(Duration, Event)>,
    /// How much these are.
    queued: usize,
    /// How much of what the reader has taken it has not yet written.
    taken: usize,
    /// Whoever prints is not held up any more.
    free: bool,
    closed: bool,
    /// The reader sleeps.
    asleep: bool,
    /// So many wait for something to be written.
    waiting: usize,
    /// The reader is to look at what is waited for.
    nudged: bool,
}

/// What is said of processes, or recorded.
#[derive(Clone, Copy)]
pub enum Told {
    All,
    /// That jobs have started, and commands have ended.
    Usual,
    Nothing,
}

#[derive(Default)]
pub struct Bus {
    queue: Mutex<Queue>,
    /// There are events, or there will be none.
    come: Condvar,
    /// Much has been written, or nobody need wait for that any more.
    gone: Condvar,
    /// What is being waited for.
    pub pending: Arc<Board>,
    /// Somebody records what happens, and wants more than is said.
    recorded: AtomicBool,
    /// As [`Told`].
    told: AtomicU8,
    straight: Straight,
}

/// Output that does not come by here, since its reader would only write it as it is.
#[derive(Default)]
struct Straight {
    /// Whether it may go to stdout at once; set where that can be at all.
    allowed: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
    /// Some has gone since this was last asked.
    gone: AtomicBool,
}

impl Queue {
    fn unwritten(&self) -> usize {
        self.queued + self.taken
    }

    /// Whether those who wait for room are to go on: not for each little that has been written.
    fn has_room(&self) -> bool {
        self.unwritten() <= MOST_UNWRITTEN / 2 || self.free || self.closed
    }
}

impl Bus {
    pub fn emit(&self, event: Event) {
        self.put(self.lock(), event);
    }

    fn put(&self, mut queue: MutexGuard<Queue>, event: Event) {
        queue.queued += size(&event);
        let is_due = self.is_due(&event);
        queue.events.push_back((clock::now(), event));
        if is_due && std::mem::take(&mut queue.asleep) {
            drop(queue);
            self.come.notify_all();
        }
    }

    /// Whether the reader is to be woken for it. Of short commands one after the other that would cost as much as to start them.
    fn is_due(&self, event: &Event) -> bool {
        let least = match event {
            Event::CommandStarted { .. } | Event::CommandEnded { quiet: true, .. } => Told::All,
            Event::CommandEnded { .. } | Event::JobStarted { .. } => Told::Usual,
            _ => return true,
        };
        self.told.load(Relaxed) <= least as u8
    }

    /// So much is said of processes. The reader gets the rest when something else has woken it.
    pub fn tell(&self, told: Told) {
        self.told.store(told as u8, Relaxed);
    }

    /// From now on somebody wants to know more than is said.
    pub fn expect_recorder(&self) {
        self.recorded.store(true, Relaxed);
    }

    pub fn is_recorded(&self) -> bool {
        self.recorded.load(Relaxed)
    }

    /// Emits what is only recorded; without a recorder it is not even made.
    pub fn record(&self, event: impl FnOnce() -> Event) {
        if self.is_recorded() {
            self.emit(event());
        }
    }

    /// From now on whoever has output for stdout may write it there as it is whenever nothing waits to be written and this says
    /// so. Once.
    pub fn allow_straight(&self, allowed: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.straight.allowed.set(Box::new(allowed));
    }

    /// Writes to stdout as it is, in its order: nobody emits or writes anything meanwhile, so it must not wait. None where that
    /// is not allowed just now.
    pub fn straight<T>(&self, write: impl FnOnce() -> T) -> Option<T> {
        let queue = self.lock();
        self.begin_straight(&queue).then(write)
    }

    /// Whether what is printed may go to stdout now, before anything else does.
    fn begin_straight(&self, queue: &Queue) -> bool {
        let idle = queue.unwritten() == 0 && queue.events.is_empty() && !queue.free && !queue.closed;
        let straight = idle && self.may_go_straight();
        self.straight.gone.fetch_or(straight, Relaxed);
        straight
    }

    /// Whether anything may once what there is has been written.
    pub fn may_go_straight(&self) -> bool {
        !self.is_recorded() && self.straight.allowed.get().is_some_and(|allowed| allowed())
    }

    /// Whether anything has gone to stdout straight since this was last asked.
    pub fn has_gone_straight(&self) -> bool {
        self.straight.gone.swap(false, Relaxed)
    }

    /// As [`Self::output`], for stdout; where it may be written there at once, `write` does so as far as it goes without
    /// waiting, and says how far.
    pub fn print(&self, bytes: Bytes, write: impl FnOnce(&[u8]) -> usize, give_up: impl Fn() -> bool) {
        let queue = self.lock();
        if !self.begin_straight(&queue) {
            drop(queue);
            return self.output(Event::Stdout(bytes), give_up);
        }
        let rest = bytes.slice(write(&bytes)..);
        if !rest.is_empty() {
            self.put(queue, Event::Stdout(rest));
        }
    }

    /// Emits output; first waits until what there is has been written, or `give_up` says so.
    pub fn output(&self, event: Event, give_up: impl Fn() -> bool) {
        self.wait_for_room(give_up);
        self.emit(event);
    }

    /// Waits until what there is has been written, but for as much as may wait, or `give_up` says so; whether there is room
    /// for more.
    pub fn wait_for_room(&self, give_up: impl Fn() -> bool) -> bool {
        let mut queue = self.lock();
        if queue.unwritten() <= MOST_UNWRITTEN {
            return true;
        }
        while !queue.has_room() {
            // Whoever is asked may take locks of its own.
            drop(queue);
            if give_up() {
                return false;
            }
            queue = self.lock();
            if !queue.has_room() {
                queue = self.wait_for_writing(queue, Duration::from_millis(50));
            }
        }
        true
    }

    /// Waits at most this long until all has been written; whether it has.
    pub fn wait_written(&self, patience: Duration) -> bool {
        let until = clock::raw() + patience;
        let mut queue = self.lock();
        while queue.unwritten() > 0 {
            let left = until.saturating_sub(clock::raw());
            if left.is_zero() {
                return false;
            }
            queue = self.wait_for_writing(queue, left);
        }
        true
    }

    /// Wakes the reader when something has been waited for so long that it is worth showing; else says when that will be.
    pub fn show_pending(&self, now: Duration) -> Option<Duration> {
        if self.pending.is_due(now) {
            self.lock().nudged = true;
            self.come.notify_all();
        }
        self.pending.due()
    }

    /// Whether all that is worth it has been written, and nothing is held back that may be the beginning of a secret.
    pub fn is_at_rest(&self) -> bool {
        let queue = self.lock();
        queue.asleep && queue.taken == 0
    }

    /// How much waits to be written.
    pub fn unwritten(&self) -> usize {
        self.lock().unwritten()
    }

    /// Whoever prints is not held up any more, since what it prints is dropped.
    pub fn hold_up_nobody(&self) {
        self.lock().free = true;
        self.gone.notify_all();
    }

    /// No more events will come; the reader ends when it has written all.
    pub fn close(&self) {
        self.lock().closed = true;
        self.come.notify_all();
        self.gone.notify_all();
    }

    /// The next event and when it was emitted, waiting at most `patience`; `Err` when closed and empty.
    pub fn next(&self, patience: Duration) -> Result<Option<(Duration, Event)>, Closed> {
        let mut queue = self.lock();
        if queue.events.is_empty() && !queue.closed && !queue.nudged && !patience.is_zero() {
            queue.asleep = true;
            queue = self.come.wait_timeout(queue, patience).unwrap_or_else(PoisonError::into_inner).0;
            queue.asleep = false;
        }
        match queue.events.pop_front() {
            Some((at, event)) => {
                queue.queued -= size(&event);
                queue.taken += size(&event);
                Ok(Some((at, event)))
            }
            None if queue.closed => Err(Closed),
            None => {
                queue.nudged = false;
                Ok(None)
            }
        }
    }

    /// The reader has this much left to write of what it has taken.
    pub fn taken(&self, bytes: usize) {
        let mut queue = self.lock();
        let changed = std::mem::replace(&mut queue.taken, bytes) != bytes;
        if changed && queue.waiting > 0 && queue.has_room() {
            drop(queue);
            self.gone.notify_all();
        }
    }

    fn wait_for_writing<'a>(
        &self,
        mut queue: MutexGuard<'a, Queue>,
        patience: Duration,
    ) -> MutexGuard<'a, Queue> {
        queue.waiting += 1;
        let mut queue = self.gone.wait_timeout(queue, patience).unwrap_or_else(PoisonError::into_inner).0;
        queue.waiting -= 1;
        queue
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Closed;

/// How much it is about to write, and more than nothing, so that no flood of events is free.
fn size(event: &Event) -> usize {
    const LINE: usize = 100;
    match event {
        Event::Stdout(bytes) | Event::Stderr(bytes) | Event::Lines { bytes, .. } => bytes.len().max(1),
        Event::JobOutput { bytes, .. } => bytes.len().max(1),
        Event::Log(text) | Event::Warning(text) | Event::Text(text) => LINE + text.len(),
        _ => LINE,
    }
}

/// Why a run failed, as plain data; `report` words it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failure {
    pub code: i32,
    /// The first cause: what failed, in one line, or a few.
    pub message: String,
    pub place: Option<Place>,
    /// How the failing line was reached, innermost first: ``in fn `helper`, called at a.rhai:30:1``.
    pub trail: Vec<String>,
    /// Why, one fact a line.
    pub notes: Vec<String>,
    pub tails: Vec<Tail>,
    /// The next edit, where one is clear.
    pub hint: Option<String>,
}

/// A place in a script, with the line as it stands there; or, without a line, an option as it was typed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub text: String,
    /// How many characters to underline.
    pub width: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// The end of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tail {
    pub title: String,
    pub lines: Vec<String>,
    pub path: Option<String>,
}
