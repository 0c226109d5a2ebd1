//! Which starts the run has waited for: the chain of jobs of which each was started when the one before it was ready. Pure;
//! [`crate::jobs::Jobs::slow_start`] asks for it.

use crate::jobs::spec::JobId;
use std::collections::HashSet;
use std::time::Duration;

/// What takes no longer altogether needs no word.
pub const SLOW: Duration = Duration::from_secs(2);

/// A job that has become ready: the first time, should it have been started again later.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    pub id: JobId,
    pub name: &'a str,
    pub started: Duration,
    pub ready: Duration,
    /// What it waited for, as it was said.
    pub needs: &'a [JobId],
}

/// The chain that ends with the job that was ready last, in the order in which they were started, with how long each took.
/// Empty when that is not much. What a job needs comes before it; else what had become ready last when it was started: the
/// script has waited for that.
pub fn chain<'a>(starts: &[Start<'a>]) -> Vec<(&'a str, Duration)> {
    let last_of = |all: &mut dyn Iterator<Item = &Start<'a>>| all.max_by_key(|start| start.ready).cloned();
    let mut chain = Vec::new();
    let mut seen = HashSet::new();
    let mut next = last_of(&mut starts.iter());
    while let Some(start) = next.filter(|start| seen.insert(start.id)) {
        let before =
            || starts.iter().filter(|other| other.ready <= start.started && !seen.contains(&other.id));
        let needed = last_of(&mut before().filter(|other| start.needs.contains(&other.id)));
        next = needed.or_else(|| last_of(&mut before()));
        chain.push((start.name, start.ready.saturating_sub(start.started)));
    }
    chain.reverse();
    let all: Duration = chain.iter().map(|(_, took)| *took).sum();
    if all < SLOW { Vec::new() } else { chain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(
        id: JobId,
        name: &'static str,
        started: u64,
        ready: u64,
        needs: &'static [JobId],
    ) -> Start<'static> {
        let ms = Duration::from_millis;
        Start { id, name, started: ms(started), ready: ms(ready), needs }
    }

    #[test]
    fn the_chain_is_what_was_waited_for() {
        type Case = (&'static str, Vec<Start<'static>>, &'static [(&'static str, u64)]);
        let table: &[Case] = &[
            ("nobody", vec![], &[]),
            ("soon", vec![start(1, "db", 0, 1900, &[])], &[]),
            ("one", vec![start(1, "db", 0, 2000, &[])], &[("db", 2000)]),
            (
                "one after the other, with something else between",
                vec![start(1, "db", 0, 1200, &[]), start(2, "api", 9000, 9900, &[])],
                &[("db", 1200), ("api", 900)],
            ),
            (
                "at the same time: the slower one",
                vec![
                    start(1, "db", 0, 3000, &[]),
                    start(2, "cache", 0, 200, &[]),
                    start(3, "api", 3000, 3300, &[]),
                ],
                &[("db", 3000), ("api", 300)],
            ),
            (
                "what it needs, and not what else was ready by then",
                vec![
                    start(1, "db", 0, 1900, &[]),
                    start(2, "mail", 0, 1999, &[]),
                    start(3, "api", 2000, 2600, &[1]),
                ],
                &[("db", 1900), ("api", 600)],
            ),
            (
                "ready at once",
                vec![
                    start(1, "a", 0, 2000, &[]),
                    start(2, "b", 2000, 2000, &[1]),
                    start(3, "c", 2000, 2000, &[2]),
                ],
                &[("a", 2000), ("b", 0), ("c", 0)],
            ),
        ];
        for (what, starts, expected) in table {
            let expected: Vec<(&str, Duration)> =
                expected.iter().map(|(name, ms)| (*name, Duration::from_millis(*ms))).collect();
            assert_eq!(chain(starts), expected, "{what}");
        }
    }
}
