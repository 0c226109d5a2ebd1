//! Is there anybody who listens? The kernel tells nobody of a new listening socket, so whoever waits for one asks; but to look
//! an address up is so much cheaper than an attempt that it can be done so often that nobody notices the difference.
//!
//! An attempt that has found nobody leaves the addresses here ([`leave`]); the loop of its wait asks for them between its
//! attempts ([`Doors`]), and makes the next one as soon as somebody listens at any of them.

use crate::jobs;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

thread_local! {
    /// Where the last attempts of the wait that the calling thread is in have found nobody.
    static CLOSED: RefCell<Vec<SocketAddr>> = const { RefCell::new(Vec::new()) };
}

/// How long to leave them alone after having waited so long. Such a look costs about as much as the sleep before it, 20 to 40
/// microseconds together: what can be looked at how often within a budget is worked out in docs/performance.md.
pub fn pause(waited: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_millis(50);
    match waited.as_millis() {
        ..200 => Duration::from_micros(500),
        200..1_200 => Duration::from_micros(1_000),
        1_200..5_200 => Duration::from_micros(1_200),
        _ => (waited / 500 + Duration::from_millis(2)).min(LONGEST),
    }
}

/// Nobody listens at any of these addresses of this machine: the attempt is to be made again when somebody does.
pub fn leave(addresses: &[SocketAddr]) {
    CLOSED.with_borrow_mut(|closed| closed.extend_from_slice(addresses));
}

/// Those of one wait. Another one within it, in a closure that it tries, has its own.
pub struct Doors {
    outer: Vec<SocketAddr>,
}

impl Doors {
    pub fn begin() -> Self {
        Self { outer: CLOSED.take() }
    }

    /// Before the attempts are made again.
    pub fn forget(&self) {
        CLOSED.with_borrow_mut(Vec::clear);
    }

    pub fn are_none(&self) -> bool {
        CLOSED.with_borrow(Vec::is_empty)
    }

    pub fn is_one_open(&self) -> bool {
        CLOSED.with_borrow(|closed| !jobs::port::all_closed(closed))
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        CLOSED.set(std::mem::take(&mut self.outer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_wait_within_another_one_has_doors_of_its_own() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("bound");
        drop(server);
        let outer = Doors::begin();
        leave(&[address]);
        let inner = Doors::begin();
        assert!(inner.are_none());
        drop(inner);
        assert!(!outer.are_none() && !outer.is_one_open());
        let _server = TcpListener::bind(address).expect("still free");
        assert!(outer.is_one_open());
        outer.forget();
        assert!(outer.are_none());
    }

    #[test]
    fn who_is_slow_is_looked_at_less_and_less_often() {
        let of = |millis| pause(Duration::from_millis(millis));
        assert_eq!(of(0), Duration::from_micros(500));
        assert_eq!(of(5_000), Duration::from_micros(1_200));
        assert_eq!(of(6_000), Duration::from_millis(14));
        assert_eq!(of(60_000), Duration::from_millis(50));
    }
}
