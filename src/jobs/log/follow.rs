//! Passes the logs of jobs on as they grow (`echo`), line by line, to the event stream.
//!
//! A job writes its log itself and is held up by nobody: one thread reads the logs of all of them, as fast as what it
//! passes on is written. Whoever is slower than a log that is kept short (`max_log`) misses lines. The thread is started with
//! the first such job, sleeps while none of them writes (inotify(7)), and ends when the run has read them to their ends.

use crate::event::{Bus, Event};
use crate::jobs::job::{Job, JobId};
use crate::jobs::log::limit::Waker;
use crate::jobs::log::reader::LogReader;
use crate::lock::lock;
use crate::sys::watch::{self, Watch};
use crate::sys::{clock, fd};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Lines that come one by one are shown a few at a time: nobody sees the difference.
const BREATH: Duration = Duration::from_millis(2);
/// How often to look although nothing was told.
const ASLEEP: Duration = Duration::from_secs(1);
/// The same where the kernel tells of no writes.
const POLL: Duration = Duration::from_millis(50);

/// Tells whether a job has ended, and completes its log if so.
type Ended = dyn Fn(JobId) -> bool + Send + Sync;

pub struct Follower {
    bus: Arc<Bus>,
    ended: OnceLock<Box<Ended>>,
    state: Mutex<Following>,
    changed: Condvar,
}

#[derive(Default)]
struct Following {
    /// Of the thread, once there is one.
    thread: Option<Waker>,
    new: Vec<Followed>,
    /// No job writes any more: what is left is read to its end.
    finish: bool,
    done: bool,
}

struct Followed {
    job: Arc<Job>,
    reader: LogReader,
}

impl Follower {
    pub fn new(bus: Arc<Bus>) -> Arc<Self> {
        Arc::new(Self { bus, ended: OnceLock::new(), state: Mutex::default(), changed: Condvar::new() })
    }

    /// Whom to ask whether a job has ended. Before the first of them.
    pub fn ask(&self, ended: impl Fn(JobId) -> bool + Send + Sync + 'static) {
        let _ = self.ended.set(Box::new(ended));
    }

    /// From now on what comes into this job's log, from this offset on, is passed on.
    pub fn follow(self: &Arc<Self>, job: &Arc<Job>, from: u64) {
        // Of what is not a regular file (a FIFO) nothing could be read a second time.
        let Some(_) = job.file.filter(|_| job.spec.echo) else { return };
        let Some(reader) = job.log_reader(from) else { return };
        let mut state = lock(&self.state);
        state.new.push(Followed { job: Arc::clone(job), reader });
        if let Some(thread) = &state.thread {
            thread.wake();
            return;
        }
        let Ok((waker, woken)) = Waker::new() else { return };
        let follower = Arc::clone(self);
        let work = move || {
            let done = Done(follower);
            done.0.pass_logs_on(&woken);
        };
        if std::thread::Builder::new().name("follow".into()).spawn(work).is_ok() {
            state.thread = Some(waker);
        }
    }

    /// Waits until `until` for all that the jobs have printed to be passed on; whether it has been. To be called when they
    /// have ended.
    pub fn finish(&self, until: Duration) -> bool {
        let mut state = lock(&self.state);
        state.finish = true;
        let Some(thread) = &state.thread else { return true };
        thread.wake();
        let patience = until.saturating_sub(clock::raw());
        let waited = self.changed.wait_timeout_while(state, patience, |state| !state.done);
        waited.unwrap_or_else(PoisonError::into_inner).0.done
    }
}

/// The thread is over, perhaps by a panic: nobody is to wait for it.
struct Done(Arc<Follower>);

impl Drop for Done {
    fn drop(&mut self) {
        lock(&self.0.state).done = true;
        self.0.changed.notify_all();
    }
}

impl Follower {
    /// The thread's loop.
    fn pass_logs_on(&self, woken: &OwnedFd) {
        let watch = watch::create();
        let mut logs: Vec<Followed> = Vec::new();
        loop {
            let finish = {
                let mut state = lock(&self.state);
                for new in state.new.drain(..) {
                    // One that was started again goes on where it was.
                    if !logs.iter().any(|log| log.job.id == new.job.id) {
                        logs.push(new);
                    }
                }
                state.finish
            };
            if finish {
                logs.iter_mut().for_each(|log| self.pass_rest_on(log));
                return;
            }
            // Before reading: what it printed just before its end counts.
            let ended = |log: &Followed| self.ended.get().is_none_or(|ended| ended(log.job.id));
            let over: Vec<bool> = logs.iter().map(ended).collect();
            let read: Vec<bool> = logs.iter_mut().map(|log| self.pass_on(log)).collect();
            if read.contains(&true) {
                continue;
            }
            let mut over = over.into_iter();
            logs.retain_mut(|log| {
                let over = over.next().unwrap_or(false);
                if over {
                    self.pass_rest_on(log);
                }
                !over
            });
            wait(watch.as_ref(), &logs, woken);
            while matches!(fd::read_some(woken, &mut [0; 64]), fd::Read::Bytes(_)) {}
        }
    }

    /// Passes a piece of a log on; whether there was one.
    fn pass_on(&self, log: &mut Followed) -> bool {
        let (bytes, more) = log.reader.whole_lines();
        let any = more || !bytes.is_empty();
        self.show(log, bytes);
        any
    }

    /// What is in it by now, and no more: who has not ended may go on for ever. A last line needs no end.
    fn pass_rest_on(&self, log: &mut Followed) {
        let end = log.reader.size();
        while log.reader.offset() < end && self.pass_on(log) {}
        let rest = log.reader.take_rest();
        self.show(log, rest);
    }

    fn show(&self, log: &mut Followed, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            let missed = std::mem::take(&mut log.reader.missed);
            self.bus.output(Event::JobOutput { job: log.job.spec.name.clone(), bytes, missed }, || false);
        }
    }
}

/// Sleeps until one of these logs is written to, or somebody calls.
fn wait(watch: Option<&Watch>, logs: &[Followed], woken: &OwnedFd) {
    let paths = || logs.iter().filter_map(|log| log.job.log.as_deref());
    let Some(watch) = watch.filter(|watch| paths().all(|path| watch.next_write(path))) else {
        fd::wait_readable(&[woken.as_fd()], Some(POLL));
        return;
    };
    // What was written before its file was watched is seen here.
    if logs.iter().all(|log| log.reader.size() == log.reader.offset()) {
        fd::wait_readable(&[watch.as_fd(), woken.as_fd()], Some(ASLEEP));
    }
    watch.changed(|_| true);
    std::thread::sleep(BREATH);
}
