//! What `test(…)` recorded, in order. Plain data.

use crate::event::{Outcome, Tested};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
pub struct Suite {
    tests: Mutex<Vec<Tested>>,
    /// One of them has the option `only`.
    only: AtomicBool,
}

impl Suite {
    pub fn record(&self, tested: Tested) {
        self.tests.lock().unwrap_or_else(PoisonError::into_inner).push(tested);
    }

    pub fn all(&self) -> Vec<Tested> {
        self.tests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_only(&self, only: bool) {
        self.only.store(only, Relaxed);
    }

    pub fn has_only(&self) -> bool {
        self.only.load(Relaxed)
    }

    pub fn any_failed(&self) -> bool {
        self.all().iter().any(|tested| matches!(tested.outcome, Outcome::Failed(_)))
    }
}
