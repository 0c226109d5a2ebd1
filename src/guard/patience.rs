//! How long the guard bears with a host that is to end: a pure step from what is known and the time to what is done.
//! [`Guard::watch`](super::watch::Guard) looks at the host, and does it.

use crate::jobs::stop::{AFTER_KILL, DYING};
use std::time::Duration;

/// How much longer than twice the grace period the host may take before the guard kills it: as long as it waits for
/// what SIGKILL does not end, and for its writers, and a second.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
/// At most so much longer yet: the time that the host has waited for a processor meanwhile, which on an overloaded machine
/// is most of it.
const STARVED: Duration = Duration::from_secs(30);
/// How long it takes to see whether the host is starved.
pub(super) const A_WHILE: Duration = Duration::from_millis(50);
/// After that long a host that may yet end is looked at again.
const SOON: Duration = Duration::from_millis(100);
/// A second signal means "kill now" only this long after the first: `timeout` sends TERM twice, npm and outer
/// runs forward what the terminal has already delivered.
const SECOND_SIGNAL: Duration = Duration::from_millis(500);

/// Whether a signal means "kill now", when the first came at `first`.
pub(super) fn means_kill(first: Duration, now: Duration) -> bool {
    now.saturating_sub(first) >= SECOND_SIGNAL
}

/// The host, looked at. Only when its time is up, since a look costs some.
pub(super) trait Looks {
    /// Until when it has asked not to be killed, since it is busy with something that takes long.
    fn asked_until(&self) -> Duration;
    /// SIGKILL has reached something in its PID namespace that only has to get a processor to die.
    fn is_dying(&self) -> bool;
    /// How long one of its threads has waited for a processor since there was a deadline.
    fn lost(&self) -> Duration;
    /// One of its threads could run and does not get a processor. Takes [`A_WHILE`].
    fn is_starved(&self) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may go on, for ever or until this time.
    Wait(Option<Duration>),
    /// It has not kept its bounds.
    Kill,
}

/// When the host is killed for not keeping its bounds. Times are on the run's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    deadline: Option<Duration>,
    /// When that had first passed.
    due: Option<Duration>,
}

impl Patience {
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// It is to end until this time; an earlier deadline stays.
    pub fn bound(&mut self, until: Duration) {
        self.deadline = Some(self.deadline.map_or(until, |before| before.min(until)));
    }

    /// What is done now. `killing`: everything is to be killed at once, and a lack of processors is no excuse.
    pub fn step(&mut self, killing: bool, host: &dyn Looks, now: Duration) -> Verdict {
        if self.deadline.is_some_and(|at| now >= at) {
            let Some(later) = self.later(killing, host, now) else { return Verdict::Kill };
            self.deadline = Some(later);
        }
        Verdict::Wait(self.deadline)
    }

    /// Until when a host whose time is up may go on.
    fn later(&mut self, killing: bool, host: &dyn Looks, now: Duration) -> Option<Duration> {
        let asked = host.asked_until();
        if now < asked {
            return Some(asked);
        }
        if host.is_dying() {
            return Some(now + SOON);
        }
        if killing {
            return None;
        }
        let due = *self.due.get_or_insert(now);
        let until = due + host.lost().min(STARVED);
        if now < until {
            return Some(until);
        }
        (now < due + STARVED && host.is_starved()).then_some(now + A_WHILE + SOON)
    }
}

/// Whether a host that SIGKILL was sent to is waited for, so long after that. In uninterruptible sleep it does not even
/// die of that, and is named then, with the others; one that has no processor to die on does once it gets one.
pub(super) fn may_yet_die(since: Duration, is_starved: &dyn Fn() -> bool) -> bool {
    since < AFTER_KILL || since < AFTER_KILL * DYING && is_starved()
}

/// Whether what SIGKILL has reached in a PID namespace is waited for, so long after all threads of its host have ended.
pub(super) fn may_linger(since: Duration) -> bool {
    since < AFTER_KILL * DYING
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times are in milliseconds.
    #[derive(Clone, Copy, Debug, Default)]
    struct Host {
        asked_until: u64,
        dying: bool,
        lost: u64,
        starved: bool,
    }

    impl Looks for Host {
        fn asked_until(&self) -> Duration {
            at(self.asked_until)
        }

        fn is_dying(&self) -> bool {
            self.dying
        }

        fn lost(&self) -> Duration {
            at(self.lost)
        }

        fn is_starved(&self) -> bool {
            self.starved
        }
    }

    /// A look costs time: nobody looks at a host whose time is not up.
    struct Unseen;

    impl Looks for Unseen {
        fn asked_until(&self) -> Duration {
            panic!("it has time")
        }

        fn is_dying(&self) -> bool {
            panic!("it has time")
        }

        fn lost(&self) -> Duration {
            panic!("it has time")
        }

        fn is_starved(&self) -> bool {
            panic!("it has time")
        }
    }

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn patience(deadline: u64, due: Option<u64>) -> Patience {
        Patience { deadline: Some(at(deadline)), due: due.map(at) }
    }

    #[test]
    fn every_step_of_its_patience() {
        let idle = Host::default();
        let asks = Host { asked_until: 3000, ..idle };
        let dies = Host { dying: true, ..idle };
        let lost = Host { lost: 700, ..idle };
        let lost_all = Host { lost: 99_000, ..idle };
        let starves = Host { starved: true, ..idle };
        let starves_and_lost = Host { lost: 700, ..starves };
        let wait = |ms| Verdict::Wait(Some(at(ms)));
        let table = [
            // when its deadline had first passed, the host, killing, time → verdict, when the deadline had first passed
            (None, idle, false, 1000, Verdict::Kill, Some(1000)),
            (None, idle, true, 1000, Verdict::Kill, None),
            // It has asked for time, which counts also when all is to be killed at once, and is no delay.
            (None, asks, false, 1000, wait(3000), None),
            (None, asks, true, 2999, wait(3000), None),
            (None, asks, false, 3000, Verdict::Kill, Some(3000)),
            (None, dies, false, 1000, wait(1100), None),
            (None, dies, true, 1000, wait(1100), None),
            // It gets back what it has waited for a processor, counted from when its time was first up,
            (None, lost, false, 1000, wait(1700), Some(1000)),
            (Some(1000), lost, false, 1699, wait(1700), Some(1000)),
            (Some(1000), lost, false, 1700, Verdict::Kill, Some(1000)),
            // but not without end, and not when all is to be killed at once.
            (Some(1000), lost_all, false, 2000, wait(31_000), Some(1000)),
            (Some(1000), lost_all, false, 31_000, Verdict::Kill, Some(1000)),
            (None, lost, true, 1000, Verdict::Kill, None),
            // One that waits for a processor just now is looked at again.
            (None, starves, false, 1000, wait(1150), Some(1000)),
            (Some(1000), starves_and_lost, false, 1700, wait(1850), Some(1000)),
            (Some(1000), starves, false, 30_999, wait(31_149), Some(1000)),
            (Some(1000), starves, false, 31_000, Verdict::Kill, Some(1000)),
            (None, starves, true, 1000, Verdict::Kill, None),
        ];
        for (due, host, killing, now, verdict, then_due) in table {
            let mut patience = patience(1000, due);
            let case = format!("{patience:?}, {host:?}, killing: {killing}, at {now} ms");
            assert_eq!(patience.step(killing, &host, at(now)), verdict, "{case}");
            assert_eq!(patience.due, then_due.map(at), "{case}");
        }
    }

    #[test]
    fn nobody_looks_at_a_host_that_has_time() {
        assert_eq!(Patience::default().step(false, &Unseen, at(9999)), Verdict::Wait(None));
        assert_eq!(patience(1000, None).step(true, &Unseen, at(999)), Verdict::Wait(Some(at(1000))));
    }

    #[test]
    fn an_earlier_deadline_stays() {
        let mut patience = Patience::default();
        for (until, deadline) in [(2000, 2000), (3000, 2000), (1000, 1000)] {
            patience.bound(at(until));
            assert_eq!(patience.deadline(), Some(at(deadline)));
        }
    }

    #[test]
    fn what_sigkill_has_reached_may_take_longer_when_it_has_no_processor() {
        let never = || -> bool { panic!("a look that is not needed") };
        assert!(may_yet_die(at(1999), &never));
        for (ms, starved, waits) in [(2000, true, true), (2000, false, false), (9999, true, true)] {
            assert_eq!(may_yet_die(at(ms), &|| starved), waits, "{ms} ms, starved: {starved}");
        }
        assert!(!may_yet_die(at(10_000), &never));
        assert!(may_linger(at(9999)) && !may_linger(at(10_000)));
    }

    #[test]
    fn a_second_signal_soon_after_the_first_is_the_same_again() {
        assert!(!means_kill(at(1000), at(1499)) && means_kill(at(1000), at(1500)));
    }
}
