//! A job in the table: its first process, who else of it lives, and how far it is on its way.

use crate::jobs::fail::{Death, FailLine};
use crate::jobs::job::{Job, Kind, State, View};
use crate::jobs::spec::Expect;
use crate::jobs::stop::step::{Partly, Stage};
use crate::sys::page;
use crate::sys::proc::{self, Stat};
use crate::sys::wait::{self, ExitStatus, Peek};
use nix::libc::{SIGINT, SIGKILL, SIGQUIT, SIGTERM};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// The command that is run instead of a job's stop signal.
pub(crate) enum StopCommand {
    /// Somebody is about to start it.
    Due,
    Started(Arc<Job>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leader {
    Running,
    /// Ended, not reaped: its number is pinned.
    Zombie(ExitStatus),
    Reaped(ExitStatus),
}

pub(crate) struct Entry {
    pub job: Arc<Job>,
    pub pid: i32,
    pub(super) slot: Option<usize>,
    pub(super) leader: Leader,
    /// Its leader is among the watched ones.
    pub(super) watched: Option<OwnedFd>,
    /// Living processes of this job besides its leader, as of the last look.
    pub(super) members: usize,
    /// How the last orphan of this job ended: the end of a daemonised job.
    pub(super) last_member: Option<ExitStatus>,
    pub(super) started: Duration,
    pub(super) ended: Option<Duration>,
    /// The processor time of its leader, once that was reaped.
    pub(super) cost: Duration,
    pub stage: Stage,
    /// When it was started and when it was seen to be ready, in the run's `History`.
    pub(super) started_as: u64,
    pub(super) shown_ready: Option<u64>,
    /// When it was started the first time, and when it was ready the first time.
    pub first_started: Duration,
    pub first_ready: Option<Duration>,
    /// Its stop signal has gone to some of its processes only, and how that goes on.
    pub partly: Option<Partly>,
    /// Its stop signals have gone to its group, since nobody else was seen; when whoever was missed gets them.
    pub rest_due: Option<(Duration, Vec<i32>)>,
    /// Those, unless it was its first process alone.
    pub(super) first: Vec<Stat>,
    /// The signal that has asked it to stop.
    pub by: i32,
    /// It was said that its stop is waited for.
    pub said: bool,
    pub expect: Expect,
    /// None as well once the stop signal has followed.
    pub stop_command: Option<StopCommand>,
    /// The script stopped, killed or restarted it.
    pub asked: bool,
    /// Its first process ran when it was asked to stop.
    pub(super) ran_when_asked: bool,
    /// The signals that the script has sent it.
    pub signalled: Vec<i32>,
    /// Its unexpected death, or its failure, has been thrown once.
    pub reported: bool,
    /// Somebody waits for it who starts it again when it dies.
    pub forgiven: bool,
    /// How often it was started again by its `restart`.
    pub restarts: usize,
    /// It is being started again now.
    pub returns: bool,
    /// It cannot be started again.
    pub gave_up: bool,
    /// The script has stopped it while it rested.
    pub kept_down: bool,
    /// It has printed a line that means failure.
    pub failed: Option<FailLine>,
    /// A change that the reaper has seen and not yet announced.
    pub(super) announced: State,
    /// It was announced to have ended, and yet lived: it was between two of its processes. Said once, since a chain of
    /// processes that fork and exit is so all the time.
    pub(super) revived: bool,
}

impl Entry {
    pub fn alive(&self) -> bool {
        self.leader == Leader::Running || self.members > 0
    }

    /// This number is its leader's, and nobody else can have it.
    pub(super) fn pins(&self, pid: i32) -> bool {
        self.pid == pid && !matches!(self.leader, Leader::Reaped(_))
    }

    /// Its leader has been reaped: the number may be anybody's from now on. Its place in the record, which is to be shown.
    pub(super) fn let_go(&mut self, status: ExitStatus) -> Option<usize> {
        self.leader = Leader::Reaped(status);
        self.watched = None;
        let slot = self.slot.take()?;
        page::get()?.withdraw(slot);
        Some(slot)
    }

    /// Whether anyone lives to whom the stop signal has gone, when not to all.
    pub fn first_lives(&self) -> bool {
        let lives =
            |first: &Stat| proc::stat(first.pid).is_some_and(|now| now.start == first.start && now.alive());
        if self.first.is_empty() { self.leader == Leader::Running } else { self.first.iter().any(lives) }
    }

    /// A command that the script waits for; not what one has left running.
    pub fn in_foreground(&self) -> bool {
        self.job.kind == Kind::Command && self.leader == Leader::Running
    }

    /// It is asked to stop now. Its place in the record, which is to be shown.
    pub fn asked_at(&mut self, now: Duration, grace: Duration) -> Option<usize> {
        self.stage = Stage::Asked { since: now, grace };
        self.ran_when_asked = self.leader == Leader::Running;
        page::get()?.note_asked(self.slot?, now);
        self.slot
    }

    /// How its first process has ended after it was asked to stop, and by which signal it was asked.
    pub fn end_when_asked(&self) -> Option<(ExitStatus, i32)> {
        let status = self.leader_status().filter(|_| self.asked && self.ran_when_asked)?;
        Some((status, self.by))
    }

    pub(super) fn leader_status(&self) -> Option<ExitStatus> {
        match self.leader {
            Leader::Running => None,
            Leader::Zombie(status) | Leader::Reaped(status) => Some(status),
        }
    }

    pub fn state(&self) -> State {
        match self.leader_status() {
            None => State::Running,
            Some(status) if self.members == 0 => {
                let status = if status.success() { self.last_member.unwrap_or(status) } else { status };
                State::Ended(status)
            }
            Some(_) if self.asked && self.stage != Stage::Running => State::Running,
            Some(status) if status.success() => State::Daemonised,
            Some(status) => State::Ended(status),
        }
    }

    pub fn died(&self) -> bool {
        let expected = |status: ExitStatus| match &self.expect {
            Expect::Success => status.success(),
            Expect::NoEnd => false,
            Expect::AnyEnd => true,
            Expect::Codes(codes) => codes.contains(&status.code()),
        };
        match self.state() {
            State::Ended(_) if self.job.log_overflowed.load(SeqCst) => true,
            State::Ended(status) => {
                self.job.kind == Kind::Job && !self.asked && !expected(status) && !self.ended_as_told(status)
            }
            State::Running | State::Daemonised => false,
        }
    }

    /// Whether it rests until it is started again: it has ended by itself, and its `restart` says so.
    pub fn comes_back(&self) -> bool {
        let (Some(restart), State::Ended(status)) = (self.job.spec.restart, self.state()) else {
            return false;
        };
        let is_over = self.asked || self.gave_up || self.kept_down || self.failed.is_some();
        let is_stopped = is_over || self.job.log_overflowed.load(SeqCst) || self.ended_as_told(status);
        self.returns || !is_stopped && restart.is_due(self.restarts, status, self.died())
    }

    /// Why it counts as dead, if the script has not been told of it yet. What it printed comes first: that is why it
    /// has ended, if it has, and its end is no second failure.
    pub fn death(&self) -> Option<Death> {
        match (&self.failed, self.state()) {
            _ if self.reported || self.forgiven || self.kept_down || self.comes_back() => None,
            (Some(found), _) => Some(Death::Line(found.clone())),
            (None, State::Ended(status)) if self.died() => Some(Death::Ended(status)),
            (None, _) => None,
        }
    }

    /// Whether it ended because of a signal that the script has sent: by that signal, or in whatever way a
    /// program answers one that means *end*.
    fn ended_as_told(&self, status: ExitStatus) -> bool {
        const MEANS_END: [i32; 4] = [SIGINT, SIGQUIT, SIGTERM, SIGKILL];
        let by = |number: &i32| status == ExitStatus::Signal(*number);
        self.signalled.iter().any(|number| by(number) || MEANS_END.contains(number))
    }

    /// Its leader has ended, which has not been noted yet.
    pub(super) fn has_ended_unnoted(&self) -> bool {
        self.leader == Leader::Running && matches!(wait::peek(self.pid), Peek::Ended(..))
    }

    /// Its leader as /proc shows it, unless its end has been noted.
    pub fn leader_now(&self) -> Option<Stat> {
        if self.leader == Leader::Running { proc::stat(self.pid) } else { None }
    }

    pub fn view(&self) -> View {
        View {
            pid: self.pid,
            state: self.state(),
            leader: self.leader_status(),
            started: self.started,
            ended: self.ended,
            died: self.died(),
            asked: self.asked,
            comes_back: self.comes_back(),
            restarts: self.restarts,
            log_from: self.job.log_from,
        }
    }
}
