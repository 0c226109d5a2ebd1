//! The order of an end, as pure decisions: which jobs may be asked to stop now. [`crate::jobs::Jobs::stop_in_order`] asks them.
//!
//! A job stops before what it needs, and before what had become ready when it was started: it may still have to talk to
//! that. What is neither stops at the same time.

use crate::jobs::spec::JobId;
use std::collections::HashSet;
use std::time::Duration;

/// What happened before what, by number. When a job has no condition of its own, it counts as ready as soon as the script,
/// having started it, has waited for anything.
#[derive(Debug, Default)]
pub struct History {
    last: u64,
    /// When the script has waited, ascending; only the first time after something was started.
    waits: Vec<u64>,
}

impl History {
    /// The next number: something was started, or has become ready.
    pub fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The script has waited for something.
    pub fn waited(&mut self) {
        if self.waits.last() != Some(&self.last) {
            let now = self.next();
            self.waits.push(now);
        }
    }

    /// When what was started then counted as ready.
    pub fn ready(&self, started: u64, shown: Option<u64>) -> Option<u64> {
        let waited = self.waits.get(self.waits.partition_point(|wait| *wait < started)).copied();
        [waited, shown].into_iter().flatten().min()
    }
}

/// One of those that are to be stopped.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    pub id: JobId,
    pub started: u64,
    pub ready: Option<u64>,
    pub needs: &'a [JobId],
    /// A command that the script waits for: it stops before all jobs.
    pub foreground: bool,
    /// It lives and has not been killed yet: what it relies on has to wait.
    pub holds: bool,
    /// It was asked already.
    pub asked: bool,
    pub grace: Duration,
}

/// Whom to ask to stop now.
pub fn due(members: &[Member]) -> Vec<JobId> {
    let holding = || members.iter().filter(|member| member.holds);
    let needed: HashSet<JobId> = holding().flat_map(|member| member.needs).copied().collect();
    let newest = holding().map(|member| member.started).max().unwrap_or(0);
    let commands = holding().any(|member| member.foreground);
    let may_stop = |member: &&Member| {
        let outlives =
            commands || member.ready.is_some_and(|ready| ready < newest) || needed.contains(&member.id);
        member.asked || member.foreground || !outlives
    };
    let due: Vec<JobId> = members.iter().filter(may_stop).map(|member| member.id).collect();
    // Should they ever rely on each other in a circle, nobody waits for anybody.
    let stuck = due.is_empty() || !members.iter().any(|member| member.holds && due.contains(&member.id));
    if stuck { members.iter().map(|member| member.id).collect() } else { due }
}

/// When all that are left are asked at the latest, so that each has its grace period before `until`.
pub fn latest(members: &[Member], until: Duration) -> Option<Duration> {
    let waiting = members.iter().filter(|member| !member.asked);
    waiting.map(|member| member.grace).max().map(|longest| until.saturating_sub(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: JobId, started: u64, ready: Option<u64>, needs: &[JobId]) -> Member<'_> {
        Member {
            id,
            started,
            ready,
            needs,
            foreground: false,
            holds: true,
            asked: false,
            grace: Duration::from_secs(5),
        }
    }

    /// All waves, when everybody obeys at once.
    fn waves(mut members: Vec<Member>) -> Vec<Vec<JobId>> {
        let mut waves = Vec::new();
        while !members.is_empty() {
            let wave = due(&members);
            members.retain(|member| !wave.contains(&member.id));
            waves.push(wave);
        }
        waves
    }

    #[test]
    fn jobs_stop_in_waves() {
        type Case<'a> = (&'a str, Vec<Member<'a>>, &'a [&'a [JobId]]);
        let table: &[Case] = &[
            ("nobody", vec![], &[]),
            ("one", vec![member(1, 1, None, &[])], &[&[1]]),
            ("started without waiting", vec![member(1, 1, None, &[]), member(2, 2, None, &[])], &[&[1, 2]]),
            ("ready before", vec![member(1, 1, Some(2), &[]), member(2, 3, Some(4), &[])], &[&[2], &[1]]),
            (
                "ready after the other was started",
                vec![member(1, 1, Some(3), &[]), member(2, 2, Some(4), &[])],
                &[&[1, 2]],
            ),
            ("needed, never ready", vec![member(1, 1, None, &[]), member(2, 2, None, &[1])], &[&[2], &[1]]),
            (
                "a cache and a database, then two that use them",
                vec![
                    member(1, 1, Some(4), &[]),
                    member(2, 2, Some(3), &[]),
                    member(3, 5, None, &[]),
                    member(4, 6, None, &[]),
                ],
                &[&[3, 4], &[1, 2]],
            ),
            (
                "a chain",
                vec![member(1, 1, Some(2), &[]), member(2, 3, Some(4), &[]), member(3, 5, Some(6), &[])],
                &[&[3], &[2], &[1]],
            ),
            ("a circle", vec![member(1, 1, None, &[2]), member(2, 2, None, &[1])], &[&[1, 2]]),
            ("itself", vec![member(1, 1, None, &[1])], &[&[1]]),
            (
                "a command in the foreground",
                vec![
                    member(1, 1, None, &[]),
                    Member { foreground: true, ..member(2, 2, None, &[]) },
                    Member { foreground: true, ..member(3, 3, None, &[]) },
                ],
                &[&[2, 3], &[1]],
            ),
        ];
        for (what, members, expected) in table {
            assert_eq!(waves(members.clone()), *expected, "{what}");
        }
    }

    #[test]
    fn only_who_lives_and_has_its_grace_is_waited_for() {
        let database = member(1, 1, Some(2), &[]);
        let worker = member(2, 3, None, &[1]);
        let asked = Member { asked: true, ..worker.clone() };
        assert_eq!(due(&[database.clone(), asked]), [2], "it takes its time");
        let killed = Member { asked: true, holds: false, ..worker };
        assert_eq!(due(&[database, killed]), [1, 2], "it was killed");
    }

    #[test]
    fn the_last_are_asked_while_there_is_time_for_their_grace() {
        let at = Duration::from_secs;
        let slow = Member { grace: at(8), ..member(1, 1, Some(2), &[]) };
        let quick = Member { grace: at(1), ..member(2, 3, None, &[]) };
        assert_eq!(latest(&[slow.clone(), quick.clone()], at(20)), Some(at(12)));
        assert_eq!(latest(&[Member { asked: true, ..slow.clone() }, quick.clone()], at(20)), Some(at(19)));
        assert_eq!(latest(&[Member { asked: true, ..slow }, Member { asked: true, ..quick }], at(20)), None);
    }

    #[test]
    fn what_was_waited_for_is_ready() {
        let mut history = History::default();
        let (first, second) = (history.next(), history.next());
        assert_eq!(history.ready(first, None), None);
        history.waited();
        history.waited();
        let third = history.next();
        let shown = history.next();
        for started in [first, second] {
            assert!(history.ready(started, None).is_some_and(|ready| ready < third));
        }
        assert_eq!(history.ready(third, None), None);
        assert_eq!(history.ready(third, Some(shown)), Some(shown));
        history.waited();
        assert_eq!(history.ready(third, Some(shown)), Some(shown), "the earlier of the two");
        assert_eq!(history.waits.len(), 2, "waiting twice says nothing new");
    }
}
