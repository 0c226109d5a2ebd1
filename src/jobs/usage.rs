//! What jobs use of memory and processor, told while they run; only for whoever records events.
//!
//! A look reads /proc of each process of each job, as `.rss` and `.cpu_ms` do, so that all of them mean the same: what a
//! cgroup calls its memory has the cache of files in it. It is to cost less than a thousandth of a processor, what is
//! written of it included: the rest between two looks is so many times as long as a look has taken. And it doubles after
//! every so many looks: of a run of hours there are some thousand lines and not a hundred thousand.

use crate::event::{Event, Used};
use crate::jobs::all::Jobs;
use crate::jobs::job::Kind;
use crate::jobs::output::terminal::start_thread;
use crate::jobs::table::Phase;
use crate::lock::lock;
use crate::sys::clock;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Before the first look: a job that ends at once is not worth one.
const FIRST: Duration = Duration::from_millis(100);
const SHORTEST: Duration = Duration::from_millis(250);
/// The rest is this many times as long as a look, of which the writing is the other half.
const SHARE: u32 = 2000;
/// How many looks until the rest is twice as long.
const UNTIL_HALF: u32 = 240;

impl Jobs {
    /// From now on it is told, where somebody wants to know. Without a thread it is not.
    pub(super) fn start_telling_usage(&self) {
        if self.bus.is_recorded()
            && !self.usage_told.swap(true, SeqCst)
            && let Some(jobs) = self.me.upgrade()
        {
            let _ = start_thread("usage", move || jobs.tell_usage());
        }
    }

    fn tell_usage(&self) {
        let mut rest = FIRST;
        for looks in 1.. {
            std::thread::sleep(rest);
            let started = clock::of_thread();
            if !self.look_at_usage() {
                return;
            }
            rest = rest_after(looks, clock::of_thread().saturating_sub(started));
        }
    }

    /// Whether there is anything to look at yet. Nothing is told once the run is being stopped: its end is the last event.
    fn look_at_usage(&self) -> bool {
        let mut table = lock(&self.table);
        if table.phase != Phase::Open {
            return false;
        }
        let live = table.live().filter(|entry| entry.job.kind == Kind::Job);
        let live: Vec<_> = live.map(|entry| (entry.job.id, entry.job.spec.name.clone())).collect();
        let mut used = Vec::with_capacity(live.len());
        for (id, job) in live {
            let usage = table.usage(id);
            used.push(Used { job, cpu: usage.cpu, rss: usage.rss });
        }
        if !used.is_empty() {
            self.bus.emit(Event::Usage(used));
        }
        true
    }
}

fn rest_after(looks: u32, cost: Duration) -> Duration {
    let doubled = 2u32.saturating_pow(looks / UNTIL_HALF);
    SHORTEST.saturating_mul(doubled).max(cost.saturating_mul(SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_ten_hours_has_some_thousand_looks() {
        let (mut time, mut looks) = (Duration::ZERO, 0);
        while time < Duration::from_secs(36_000) {
            looks += 1;
            time += rest_after(looks, Duration::ZERO);
        }
        assert!((1000..4000).contains(&looks), "{looks}");
        assert_eq!(rest_after(1, Duration::from_millis(1)), Duration::from_secs(2));
    }
}
