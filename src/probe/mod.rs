//! "Is it ready?" Each probe is one attempt that does not block; the waiting loop is written once, here.
//!
//! ```text
//! tcp         does the port accept
//! log         does the log have a line
//! cmd         does a command succeed
//! http        one request
//! target      does a URL answer as wanted
//! background  an attempt that may block, on a thread of its own
//! door        is there anybody who listens, asked at the price of a look-up
//! load        the same request again and again
//! ```
//!
//! The loop wakes early (an event, or a poll about every hundredth of the time already waited), fails early (a job died,
//! the run was stopped) and remembers what the attempts saw.

pub mod background;
pub mod cmd;
pub mod door;
pub mod http;
pub mod load;
pub mod log;
pub mod target;
pub mod tcp;

use crate::jobs::control::Control;
use crate::jobs::fail::Death;
use crate::jobs::output::Attended;
use crate::jobs::{self, ExitStatus, Job, JobId, Jobs, State};
use crate::pending::Pending;
use std::sync::Arc;
use std::time::Duration;

/// How long a wait takes when nothing else is said.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const SHORTEST_POLL: Duration = Duration::from_millis(1);
const LONGEST_POLL: Duration = Duration::from_millis(50);
const TOLD_POLL: Duration = Duration::from_millis(250);

/// What one attempt found.
pub enum Attempt<T, E> {
    Ready(T),
    /// Not ready; what was seen instead.
    NotYet(String),
    /// Nothing new: it is still trying, and rings the bell when it knows more; or its time has not come.
    Busy,
    /// It will never be ready.
    Never(E),
}

/// Why a wait ended without success.
pub enum Failed<E> {
    Timeout {
        waited: Duration,
        seen: Seen,
    },
    /// A job died that should live, or has printed what means failure.
    Died(Arc<Job>, Death),
    /// The job that was waited for has ended, with whatever code.
    Ended(Arc<Job>, ExitStatus),
    /// Every job of this run has ended.
    AllEnded,
    /// The run is being stopped.
    Halted,
    Never(E),
}

/// What the attempts saw, in order, repetitions counted: `connection refused ×41, then 503 ×9`.
#[derive(Clone, Debug, Default)]
pub struct Seen(Vec<(String, usize)>);

impl Seen {
    pub fn add(&mut self, what: String) {
        match self.0.last_mut() {
            Some((last, count)) if *last == what => *count += 1,
            _ => self.0.push((what, 1)),
        }
    }

    /// As `add`, for what is looked at whenever anything happens: how often that was says nothing.
    pub fn note(&mut self, what: String) {
        if self.0.last().is_none_or(|(last, _)| *last != what) {
            self.0.push((what, 1));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn last(&self) -> Option<&str> {
        self.0.last().map(|(last, _)| last.as_str())
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        const MOST: usize = 4;
        let skipped = self.0.len().saturating_sub(MOST);
        if skipped > 0 {
            write!(f, "… ")?;
        }
        let shown = self.0[skipped..].iter().map(|(what, count)| match count {
            1 => what.clone(),
            _ => format!("{what} ×{count}"),
        });
        f.write_str(&shown.collect::<Vec<_>>().join(", then "))
    }
}

/// One wait.
pub struct Wait<'a> {
    pub jobs: &'a Jobs,
    /// None: for ever.
    pub timeout: Option<Duration>,
    /// Instead of the growing poll interval.
    pub interval: Option<Duration>,
    /// The job that is waited for: its end, with any code, ends the wait.
    pub about: Option<JobId>,
    /// The command whose end is all that is waited for.
    pub attended: Option<&'a Attended<'a>>,
    /// It can only be satisfied by a job of this run: when all have ended, so has the wait.
    pub needs_jobs: bool,
    /// Try again at events, not only at every poll.
    pub eager: bool,
    /// An event tells whenever there is something to see; polls only make up for one that was missed.
    pub signalled: bool,
    /// Nothing but somebody who listens can satisfy it: while nobody does, polls only make up for what a look-up cannot tell.
    pub by_door: bool,
    /// Deaths end the wait.
    pub watch_deaths: bool,
    /// Where what the attempts see is noted.
    pub pending: Option<&'a Pending>,
}

/// How often to try after having waited this long: every hundredth of that time.
pub fn poll_interval(waited: Duration) -> Duration {
    (waited / 100).clamp(SHORTEST_POLL, LONGEST_POLL)
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Something has happened: worth an attempt at what events tell of, and at what is under way.
    Event,
    /// It is time to try everything.
    Poll,
    /// As a poll, since somebody has begun to listen where nobody did.
    Opened,
}

impl<'a> Wait<'a> {
    pub fn new(jobs: &'a Jobs) -> Self {
        Self {
            jobs,
            timeout: Some(DEFAULT_TIMEOUT),
            interval: None,
            about: None,
            attended: None,
            needs_jobs: false,
            eager: false,
            signalled: false,
            by_door: false,
            // In `on_exit` there may well be a death: it must not keep the clean-up from its work.
            watch_deaths: !jobs.control.closing(),
            pending: None,
        }
    }

    fn control(&self) -> &Control {
        &self.jobs.control
    }

    /// Tries until it succeeds or cannot any more; see [`Wait::run_looking`].
    pub fn run<T, E>(&self, mut attempt: impl FnMut() -> Attempt<T, E>) -> Result<T, Failed<E>> {
        self.run_looking(|_| attempt())
    }

    /// Tries until it succeeds or cannot any more.
    ///
    /// 1. Note the bell. 2. Try. 3. Look for what makes waiting pointless, and then try once more: what was
    ///    waited for may have come just before. 4. Sleep until the bell, the next poll or the deadline.
    pub fn run_looking<T, E>(&self, mut attempt: impl FnMut(Look) -> Attempt<T, E>) -> Result<T, Failed<E>> {
        let doors = door::Doors::begin();
        let start = jobs::now();
        let deadline = self.timeout.map(|time| start.saturating_add(time));
        let mut next_try = start;
        let mut seen = Seen::default();
        let mut busy = false;
        let mut last_chance = false;
        let mut opened = false;
        loop {
            let rings = self.attended.map_or_else(|| self.control().bell.rings(), Attended::rings);
            if self.control().halted() {
                return Err(Failed::Halted);
            }
            let now = jobs::now();
            let expired = deadline.is_some_and(|at| now >= at);
            let look = match () {
                () if std::mem::take(&mut opened) => Look::Opened,
                () if now >= next_try || last_chance || expired => Look::Poll,
                () => Look::Event,
            };
            let poll = look != Look::Event;
            let mut wake = next_try;
            if poll || busy || self.eager {
                busy = false;
                if poll {
                    doors.forget();
                }
                match attempt(look) {
                    Attempt::Ready(value) => {
                        self.jobs.waited();
                        return Ok(value);
                    }
                    Attempt::Never(error) => return Err(Failed::Never(error)),
                    Attempt::NotYet(what) => {
                        self.pending.inspect(|pending| pending.saw(&what));
                        if self.eager { seen.note(what) } else { seen.add(what) }
                    }
                    Attempt::Busy => busy = true,
                }
                if now >= next_try || look == Look::Opened {
                    let usual = || match self.signalled || self.by_door && !doors.are_none() {
                        true => TOLD_POLL,
                        false => poll_interval(now.saturating_sub(start)),
                    };
                    next_try = now.saturating_add(self.interval.unwrap_or_else(usual));
                }
                // Whoever is busy rings; should it not have been able to begin, it is asked again.
                wake = if busy { next_try.min(now + LONGEST_POLL) } else { next_try };
            }
            match self.hopeless() {
                Some(hopeless) if last_chance => {
                    if let Failed::Died(job, _) | Failed::Ended(job, _) = &hopeless {
                        self.jobs.mark_reported(job.id);
                    }
                    return Err(hopeless);
                }
                Some(_) => {
                    last_chance = true;
                    continue;
                }
                None => last_chance = false,
            }
            if expired {
                return Err(Failed::Timeout { waited: self.timeout.unwrap_or_default(), seen });
            }
            let wake =
                [deadline, self.jobs.show_pending(now)].into_iter().flatten().fold(wake, Duration::min);
            let wake = Some(wake);
            match self.attended {
                Some(attended) => attended.wait(rings, wake),
                None if doors.are_none() => self.control().bell.wait(rings, wake),
                None => self.control().bell.wait_watching(rings, wake, &mut || {
                    opened = doors.is_one_open();
                    (!opened).then(|| door::pause(jobs::now().saturating_sub(start)))
                }),
            }
        }
    }

    /// Why going on waiting is pointless, if it is.
    fn hopeless<E>(&self) -> Option<Failed<E>> {
        if self.watch_deaths
            && let Some((job, death)) = self.jobs.death()
        {
            return Some(Failed::Died(job, death));
        }
        if let Some(id) = self.about
            && let (Some(view), Some(job)) = (self.jobs.view(id), self.jobs.get(id))
            && let State::Ended(status) = view.state
            && !view.comes_back
        {
            return Some(Failed::Ended(job, status));
        }
        (self.needs_jobs && self.jobs.all_ended()).then_some(Failed::AllEnded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_counted_and_cut_short() {
        let mut seen = Seen::default();
        for what in ["refused", "refused", "503", "refused", "refused", "reset", "503"] {
            seen.add(what.to_owned());
        }
        assert_eq!(seen.to_string(), "… 503, then refused ×2, then reset, then 503");
    }
}
