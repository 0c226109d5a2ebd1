//! The run's clock: CLOCK_MONOTONIC less the time that the run was stopped (Ctrl-Z), so that a stop
//! counts in no deadline. Both processes read the same: the subtrahend lives in the shared page.

use nix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// Nanoseconds that the run has spent stopped; where there is no page, it never is.
static PAUSED: OnceLock<&AtomicU64> = OnceLock::new();

/// Lets the clock stand still for the time that is counted here.
pub fn stands_still_for(paused_ns: &'static AtomicU64) {
    let _ = PAUSED.set(paused_ns);
}

/// Time on the run's clock; only differences mean anything.
pub fn now() -> Duration {
    let paused = PAUSED.get().map_or(0, |paused| paused.load(SeqCst));
    raw().saturating_sub(Duration::from_nanos(paused))
}

/// Time since the machine was started, suspended or not: what the start times of processes are counted in.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// How much of a processor the calling thread has used.
pub fn of_thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// CLOCK_MONOTONIC itself.
pub fn raw() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
