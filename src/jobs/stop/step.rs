//! The decision of how to stop one job: a pure step from (stage, facts, time) to (stage, action).
//! [`crate::jobs::Jobs::stop`] takes the actions, for any number of jobs in one loop.

use crate::sys::wait::ExitStatus;
use nix::libc::SIGKILL;
use std::time::Duration;

/// How a stop was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Instead of the job's own stop signal.
    pub signal: Option<i32>,
    /// Instead of the job's own grace period.
    pub grace: Option<Duration>,
    /// A command in the foreground is interrupted: at first its own first process alone gets the signal (INT when none
    /// is given), or its group when that is a shell.
    pub gently: bool,
    /// Only what is left of it is stopped: it is to be started again.
    pub again: bool,
}

impl Ask {
    /// Interrupts a command, as Ctrl-C would, or with this signal.
    pub fn interrupt(signal: i32) -> Self {
        Self { signal: Some(signal), gently: true, ..Self::default() }
    }
}

/// How long after SIGKILL what it cannot reach is given up and named.
pub const AFTER_KILL: Duration = Duration::from_secs(2);
/// How many times as long what SIGKILL has reached may take to be gone. It needs a processor to die, which on an
/// overloaded machine it gets late; named before, it would be a leak that is none.
pub const DYING: u32 = 5;

/// Between two rounds of a sweep. At first no pause at all, or a chain of processes that each fork and exit stays
/// ahead; then what has been killed needs the processor more than we do.
pub fn pause_in_sweep(since_start: Duration) {
    match since_start {
        time if time < Duration::from_millis(20) => std::thread::yield_now(),
        time if time < AFTER_KILL => std::thread::sleep(Duration::from_micros(500)),
        _ => std::thread::sleep(Duration::from_millis(5)),
    }
}

/// Where a job is on its way out. Times are on the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody asked it to stop.
    Running,
    /// The stop signal was sent at `since`; it has `grace` to obey.
    Asked { since: Duration, grace: Duration },
    /// SIGKILL was first sent at `at`, and is sent again until nothing is left.
    Killed { since: Duration, at: Duration, grace: Duration },
    /// The whole tree is gone. `killed`: SIGKILL was needed.
    Gone { killed: bool },
    /// SIGKILL did not end it in time.
    Stuck,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing to do until something happens, or until this time.
    WaitUntil(Option<Duration>),
    /// SIGKILL to the whole tree, then look again at once.
    Kill,
    Done,
}

/// `patience` is how long after SIGKILL it is waited for.
pub fn next(stage: Stage, alive: bool, kill_now: bool, patience: Duration, now: Duration) -> (Stage, Action) {
    match stage {
        Stage::Running if alive => (stage, Action::WaitUntil(None)),
        Stage::Running | Stage::Asked { .. } if !alive => (Stage::Gone { killed: false }, Action::Done),
        Stage::Killed { .. } if !alive => (Stage::Gone { killed: true }, Action::Done),
        Stage::Asked { since, grace } if kill_now || now >= since + grace => {
            (Stage::Killed { since, at: now, grace }, Action::Kill)
        }
        Stage::Asked { since, grace } => (stage, Action::WaitUntil(Some(since + grace))),
        Stage::Killed { at, .. } if now >= at + patience => (Stage::Stuck, Action::Done),
        Stage::Killed { .. } => (stage, Action::Kill),
        Stage::Running | Stage::Gone { .. } | Stage::Stuck => (stage, Action::Done),
    }
}

/// Whether the end that a stop by this signal has brought is worth a word: not 0, nor the end by the signal itself or
/// what shells and others make of it, which is 128 and its number. Of SIGKILL it is told otherwise.
pub fn is_worth_a_word(status: ExitStatus, by: i32) -> bool {
    match status {
        ExitStatus::Code(code) => code != 0 && code != 128 + by,
        ExitStatus::Signal(signal) => signal != by && signal != SIGKILL,
    }
}

/// What to do about a job that still runs and for which a command was run instead of its stop signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowUp {
    Wait(Option<Duration>),
    /// Its stop signal, now.
    Signal,
}

/// A command that has failed is of no use; one that has ended well may only have asked, so the job has half of its
/// grace period to obey; one that still runs is not disturbed.
pub fn follow_up(since: Duration, grace: Duration, command: Option<ExitStatus>, now: Duration) -> FollowUp {
    let half = since + grace / 2;
    match command {
        None => FollowUp::Wait(None),
        Some(status) if status.success() && now < half => FollowUp::Wait(Some(half)),
        Some(_) => FollowUp::Signal,
    }
}

/// Who has got the stop signal, when not everybody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partly {
    /// The first process of a command that was interrupted: a test runner ends its own children, and prints what it has.
    Interrupted,
    /// The group of a command that was interrupted, as Ctrl-C at a terminal reaches it.
    GroupInterrupted,
    /// A job whose first process tells the others (`kill_mode: "mixed"`).
    Mixed,
}

/// What comes after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Wait(Option<Duration>),
    /// The same signal to the rest of the group: its first process seems to wait for others, who have not heard it.
    Group,
    /// The stop signal, to all.
    Signal,
    /// SIGKILL to what is left.
    Kill,
}

/// An interrupted command has half of its grace period to end in its own way, the first half of that for its first
/// process; what it leaves when all whom it was said to are gone has the rest. What a mixed job leaves has had its time, as systemd sees it.
pub fn then(partly: Partly, since: Duration, grace: Duration, first_lives: bool, now: Duration) -> Then {
    let (quarter, half) = (since + grace / 4, since + grace / 2);
    match partly {
        Partly::Mixed if first_lives => Then::Wait(None),
        Partly::Mixed => Then::Kill,
        Partly::Interrupted | Partly::GroupInterrupted if !first_lives || now >= half => Then::Signal,
        Partly::Interrupted if now < quarter => Then::Wait(Some(quarter)),
        Partly::Interrupted => Then::Group,
        Partly::GroupInterrupted => Then::Wait(Some(half)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_signal_that_not_all_have_got() {
        let table = [
            (Partly::Interrupted, true, 124, Then::Wait(Some(at(125)))),
            (Partly::Interrupted, true, 125, Then::Group),
            (Partly::Interrupted, true, 150, Then::Signal),
            (Partly::Interrupted, false, 100, Then::Signal),
            (Partly::GroupInterrupted, true, 149, Then::Wait(Some(at(150)))),
            (Partly::GroupInterrupted, true, 150, Then::Signal),
            (Partly::GroupInterrupted, false, 100, Then::Signal),
            (Partly::Mixed, true, 199, Then::Wait(None)),
            (Partly::Mixed, false, 100, Then::Kill),
        ];
        for (partly, lives, ms, expected) in table {
            assert_eq!(
                then(partly, at(100), at(100), lives, at(ms)),
                expected,
                "{partly:?} {lives} at {ms} ms"
            );
        }
    }

    #[test]
    fn an_end_by_the_stop_signal_is_a_usual_one() {
        let usual =
            [ExitStatus::Code(0), ExitStatus::Signal(15), ExitStatus::Code(143), ExitStatus::Signal(9)];
        let other =
            [ExitStatus::Code(3), ExitStatus::Signal(11), ExitStatus::Code(130), ExitStatus::Signal(2)];
        assert!(!usual.iter().any(|status| is_worth_a_word(*status, 15)));
        assert!(other.iter().all(|status| is_worth_a_word(*status, 15)));
        assert!(!other[2..].iter().any(|status| is_worth_a_word(*status, 2)));
    }

    #[test]
    fn a_stop_signal_follows_its_command() {
        let (ok, failed) = (Some(ExitStatus::Code(0)), Some(ExitStatus::Code(1)));
        let table = [
            (None, 100, FollowUp::Wait(None)),
            (None, 199, FollowUp::Wait(None)),
            (ok, 149, FollowUp::Wait(Some(at(150)))),
            (ok, 150, FollowUp::Signal),
            (failed, 100, FollowUp::Signal),
            (Some(ExitStatus::Signal(9)), 100, FollowUp::Signal),
        ];
        for (command, ms, then) in table {
            assert_eq!(follow_up(at(100), at(100), command, at(ms)), then, "{command:?} at {ms} ms");
        }
    }

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn every_step_of_a_stop() {
        let asked = Stage::Asked { since: at(100), grace: at(50) };
        let killed = Stage::Killed { since: at(100), at: at(150), grace: at(50) };
        let table = [
            // stage, alive, kill now, time → stage, action
            (Stage::Running, true, false, 0, Stage::Running, Action::WaitUntil(None)),
            (Stage::Running, false, false, 0, Stage::Gone { killed: false }, Action::Done),
            (asked, true, false, 149, asked, Action::WaitUntil(Some(at(150)))),
            (asked, false, false, 149, Stage::Gone { killed: false }, Action::Done),
            (asked, true, false, 150, killed, Action::Kill),
            (asked, true, true, 150, killed, Action::Kill),
            (asked, false, false, 9999, Stage::Gone { killed: false }, Action::Done),
            (killed, true, false, 151, killed, Action::Kill),
            (killed, false, false, 151, Stage::Gone { killed: true }, Action::Done),
            (killed, true, false, 150 + 1999, killed, Action::Kill),
            (killed, true, false, 150 + 2000, Stage::Stuck, Action::Done),
            (Stage::Stuck, true, false, 5000, Stage::Stuck, Action::Done),
            (Stage::Gone { killed: true }, false, false, 0, Stage::Gone { killed: true }, Action::Done),
        ];
        for (stage, alive, kill_now, ms, then, action) in table {
            assert_eq!(
                next(stage, alive, kill_now, AFTER_KILL, at(ms)),
                (then, action),
                "{stage:?} at {ms} ms"
            );
        }
    }

    #[test]
    fn a_kill_ends_the_grace_early() {
        let asked = Stage::Asked { since: at(0), grace: at(5000) };
        assert_eq!(next(asked, true, true, AFTER_KILL, at(1)).1, Action::Kill);
    }
}
