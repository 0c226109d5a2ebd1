//! The thread that keeps the logs of running jobs within their limits.
//!
//! While jobs write, it looks at the sizes, the sooner the less room is left; while none does, it sleeps until one writes
//! again or a new one comes (inotify(7); without it, it goes on looking).

use crate::event::Event;
use crate::jobs::all::Jobs;
use crate::jobs::job::{Job, JobId, Kind};
use crate::jobs::log::limit::{Kept, LAST_GRACE, SHORTEST, is_full, keep_short};
use crate::jobs::remains::shared;
use crate::jobs::stop::step::Ask;
use crate::lock::lock;
use crate::sys::watch::{self, Watch};
use crate::sys::{clock, fd};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// In bytes a second: as fast as a log may grow without being looked at too late.
const FASTEST: f64 = 2e9;
const LONGEST: Duration = Duration::from_millis(100);

/// How often it is asked whether the disk is full while no log grows, in which case somebody else has filled it.
const UNASKED: Duration = Duration::from_secs(1);
/// The same while nobody writes at all.
const ASLEEP: Duration = Duration::from_secs(10);

/// What the last look has found, and what has been said once.
#[derive(Default)]
struct Looked {
    dropped: HashSet<JobId>,
    full: bool,
    /// When to ask again whether the disk is full, although no log grows.
    full_at: Duration,
    /// The room in all logs together, and the last of the jobs.
    last: Option<(u64, JobId)>,
}

/// When to look again.
enum Next {
    After(Duration),
    /// When one of these logs is written to, which nobody does at present: after `rest` where that is not told, and after
    /// `most` at the latest.
    Written {
        logs: Vec<Arc<Job>>,
        rest: Duration,
        most: Duration,
    },
    /// When there is a job.
    NewJob,
}

impl Jobs {
    /// The thread's loop.
    pub(crate) fn keep_logs_short(self: &Arc<Self>, woken: &OwnedFd) {
        let mut looked = Looked::default();
        let mut watch = None;
        loop {
            match self.look_at_logs(&mut looked) {
                Next::After(rest) => std::thread::sleep(rest),
                Next::Written { logs, rest, most } => {
                    self.wait_for_write(&mut watch, &logs, (rest, most), woken);
                }
                Next::NewJob => drop(fd::wait_readable(&[woken.as_fd()], None)),
            }
            // A job that comes from here on is seen by the next look.
            while matches!(fd::read_some(woken, &mut [0; 64]), fd::Read::Bytes(_)) {}
        }
    }

    /// One look at all logs.
    fn look_at_logs(self: &Arc<Self>, looked: &mut Looked) -> Next {
        let start = clock::now();
        let running = self.running();
        let Some(newest) = running.iter().map(|job| job.id).max() else { return Next::NewJob };
        let shared = shared::note_sometimes(looked.last.is_none_or(|(_, last)| last != newest));
        let mut rest = LONGEST;
        let mut rooms = 0u64;
        for job in &running {
            let (Some(path), Some(id)) = (&job.log, job.file) else { continue };
            let limit = job.spec.max_log;
            let room = match keep_short(path, id, limit) {
                Ok(Kept { room, dropped }) => {
                    if dropped && looked.dropped.insert(job.id) {
                        self.bus.emit(Event::LogDropped { job: job.spec.name.clone(), limit });
                    }
                    room
                }
                Err(_) => {
                    self.stop_chatty(job);
                    limit
                }
            };
            self.warn_of_log(job);
            rooms = rooms.saturating_add(room);
            rest = rest.min(Duration::from_secs_f64(room as f64 / FASTEST));
        }
        let quiet = looked.last.replace((rooms, newest)) == Some((rooms, newest));
        if !looked.full && (!quiet || start >= looked.full_at) {
            looked.full_at = start + UNASKED;
            looked.full = is_full(&self.run_dir);
            if looked.full {
                self.bus.emit(Event::DiskFull { path: self.run_dir.clone() });
            }
        }
        // However many there are, this takes at most a fifth of a processor.
        let cost = clock::now().saturating_sub(start);
        let rest = rest.max(SHORTEST).max(cost * 4);
        match quiet {
            true => Next::Written { logs: running, rest, most: shared.map_or(ASLEEP, |time| time.max(rest)) },
            false => Next::After(rest),
        }
    }

    /// How long the logs of these jobs are by now.
    pub fn log_lengths(&self, jobs: impl Iterator<Item = Arc<Job>>) -> Vec<(Arc<Job>, u64)> {
        self.quiet.lengths(jobs)
    }

    fn running(&self) -> Vec<Arc<Job>> {
        let table = lock(&self.table);
        let running = table.live().filter(|entry| entry.job.kind == Kind::Job && entry.alive());
        running.map(|entry| Arc::clone(&entry.job)).collect()
    }

    /// Stops a job whose log nothing else keeps short, on a thread of its own: the other logs grow meanwhile.
    fn stop_chatty(self: &Arc<Self>, job: &Arc<Job>) {
        if job.log_overflowed.swap(true, SeqCst) {
            return;
        }
        lock(&self.table).suspect(job.id);
        let (jobs, id) = (Arc::clone(self), job.id);
        let ask = Ask { grace: Some(job.spec.grace.min(LAST_GRACE)), ..Ask::default() };
        let stop = move || jobs.stop(&[id], ask, &|| false);
        if std::thread::Builder::new().name("stop".into()).spawn(stop).is_err() {
            self.stop(&[id], ask, &|| false);
        }
    }

    /// Sleeps until one of these logs is written to or there is a new job, at most so long; where the kernel tells of no
    /// writes, and at least after one, for as long as after any look.
    ///
    /// One watch serves all of these sleeps: to take one down makes its owner wait for the kernel.
    fn wait_for_write(
        &self,
        kept: &mut Option<Arc<Watch>>,
        jobs: &[Arc<Job>],
        (rest, most): (Duration, Duration),
        woken: &OwnedFd,
    ) {
        let logs = || jobs.iter().filter_map(|job| job.log.as_deref());
        let lengths = || jobs.iter().map(|job| (job.id, job.log_length())).collect::<HashMap<_, _>>();
        let before = lengths();
        let watch = kept.take().or_else(|| watch::create().map(Arc::new)).filter(|watch| {
            // What it has told of before is nothing new.
            watch.changed(|_| false);
            logs().all(|log| watch.next_write(log))
        });
        // What was written before its file was watched is seen here.
        let told = watch.as_ref().filter(|_| lengths() == before).map(|watch| {
            self.quiet.begin(watch, before);
            let woken = fd::wait_readable(&[watch.as_fd(), woken.as_fd()], Some(most));
            self.quiet.end();
            woken.contains(&true)
        });
        *kept = watch;
        if told != Some(false) {
            std::thread::sleep(rest);
        }
    }
}
