//! What `test(…)` recorded, in order. Plain data.

use crate::event::{Outcome, Tested};
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
pub struct Suite(Mutex<Vec<Tested>>);

impl Suite {
    pub fn record(&self, tested: Tested) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tested);
    }

    pub fn all(&self) -> Vec<Tested> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn any_failed(&self) -> bool {
        self.all().iter().any(|tested| matches!(tested.outcome, Outcome::Failed(_)))
    }
}
