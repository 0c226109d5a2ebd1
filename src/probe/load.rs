//! The same request again and again, on several connections at once, and what came of it.
//!
//! Every connection has a thread, and is kept open as long as the server keeps it. What a time is counted from decides
//! what it says: without a rate it is the moment of sending, and a server that stalls is asked less; with a rate it is
//! the moment when the request was due, so that a stall is charged with all that would have come meanwhile.
//!
//! Redirects are not followed: what is asked is what is measured.

use super::http::{KeptOpen, Request};
use super::target::Want;
use crate::jobs::now;
use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// More threads than this measure themselves.
pub const MOST_CONNECTIONS: i64 = 1000;

/// A TLS handshake in a debug build needs no more than half of this.
const STACK: usize = 1 << 20;

/// After a failure a connection pauses so long: a server that refuses would otherwise be asked all the time.
const AFTER_FAILURE: Duration = Duration::from_millis(1);

pub struct Load {
    pub request: Request,
    pub connections: usize,
    /// How many at most.
    pub requests: Option<u64>,
    /// How long at most; what is under way then is waited for.
    pub time: Option<Duration>,
    /// How many a second at most, all connections together.
    pub rate: Option<f64>,
    pub want: Want,
    /// Nobody waits for the rest any more.
    pub given_up: AtomicBool,
}

/// What came of a load.
#[derive(Default)]
pub struct Measured {
    pub ok: u64,
    pub statuses: BTreeMap<u16, u64>,
    /// Why there was no answer, and how often.
    pub errors: BTreeMap<String, u64>,
    /// Of every answer, ascending, in microseconds.
    pub times: Vec<u64>,
    pub took: Duration,
}

impl Measured {
    pub fn failed(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.errors.values().sum::<u64>() - self.ok
    }

    /// The time that this share of the answers did not take longer than, in milliseconds; 0 without an answer.
    pub fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.times.len() as f64).ceil() as usize;
        self.times.get(rank.saturating_sub(1)).map_or(0.0, |time| *time as f64 / 1000.0)
    }

    pub fn mean(&self) -> f64 {
        if self.times.is_empty() {
            return 0.0;
        }
        self.times.iter().sum::<u64>() as f64 / self.times.len() as f64 / 1000.0
    }

    fn add(&mut self, other: Self) {
        self.ok += other.ok;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        self.times.extend(other.times);
    }
}

/// Sends all of it. Blocks until the last answer has come, each at most for the request's timeout.
///
/// # Errors
/// When there cannot be so many threads, or no connection for this URL at all.
pub fn run(load: &Load) -> Result<Measured, String> {
    let all = Mutex::new(Measured::default());
    let sent = AtomicU64::new(0);
    let start = now();
    std::thread::scope(|scope| {
        for n in 0..load.connections {
            let connection = KeptOpen::new(&load.request).map_err(|error| error.message)?;
            let (all, sent) = (&all, &sent);
            let thread = std::thread::Builder::new().name("load".into()).stack_size(STACK);
            let started = thread.spawn_scoped(scope, move || {
                let measured = send_requests(load, &connection, sent, start);
                lock(all).add(measured);
            });
            if let Err(error) = started {
                load.given_up.store(true, SeqCst);
                return Err(format!("no thread for connection {}: {error}", n + 1));
            }
        }
        Ok(())
    })?;
    let took = now().saturating_sub(start);
    let mut all = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.times.sort_unstable();
    all.took = took;
    Ok(all)
}

/// What one connection does.
fn send_requests(load: &Load, connection: &KeptOpen, sent: &AtomicU64, start: Duration) -> Measured {
    let mut measured = Measured::default();
    let end = load.time.map(|time| start.saturating_add(time));
    loop {
        let number = sent.fetch_add(1, SeqCst);
        if load.requests.is_some_and(|most| number >= most) {
            return measured;
        }
        let mut from = now();
        if let Some(rate) = load.rate {
            let due = start.saturating_add(Duration::from_secs_f64(number as f64 / rate));
            if end.is_some_and(|end| due >= end) {
                return measured;
            }
            pause(due.saturating_sub(from), &load.given_up);
            from = due;
        }
        if end.is_some_and(|end| now() >= end) || load.given_up.load(SeqCst) {
            return measured;
        }
        match connection.send() {
            Ok(status) => {
                let time = now().saturating_sub(from);
                measured.times.push(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
                *measured.statuses.entry(status).or_default() += 1;
                measured.ok += u64::from(load.want.accepts(status));
            }
            Err(error) => {
                *measured.errors.entry(error.message).or_default() += 1;
                pause(AFTER_FAILURE, &load.given_up);
            }
        }
    }
}

/// Waits, but not much longer than somebody wants the rest.
fn pause(time: Duration, given_up: &AtomicBool) {
    const LOOK: Duration = Duration::from_millis(100);
    let end = now().saturating_add(time);
    while !given_up.load(SeqCst) {
        let left = end.saturating_sub(now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_occurred() {
        let times = |times: Vec<u64>| Measured { times, ..Measured::default() };
        assert_eq!(times(vec![]).percentile(95.0), 0.0);
        assert_eq!(times(vec![7000]).percentile(50.0), 7.0);
        let hundred = times((1..=100).map(|ms| ms * 1000).collect());
        let of = [50.0, 90.0, 95.0, 99.0, 100.0].map(|percent| hundred.percentile(percent));
        assert_eq!(of, [50.0, 90.0, 95.0, 99.0, 100.0]);
        assert_eq!(hundred.mean(), 50.5);
    }
}
