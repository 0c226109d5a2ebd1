//! The run's clock: CLOCK_MONOTONIC less the time that the run was stopped (Ctrl-Z), so that a stop
//! counts in no deadline. Both processes read the same: the subtrahend lives in the shared page.

use super::page;
use nix::time::{ClockId, clock_gettime};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Time on the run's clock; only differences mean anything.
pub fn now() -> Duration {
    let paused = page::get().map_or(0, |page| page.paused_ns.load(SeqCst));
    raw().saturating_sub(Duration::from_nanos(paused))
}

/// Time since the machine was started, suspended or not: what the start times of processes are counted in.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// CLOCK_MONOTONIC itself.
pub fn raw() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
