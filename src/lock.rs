//! Taking a lock. Here it is decided what a panic elsewhere means for that; what is locked, and in which order, is said where
//! the locks are.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks even after a panic elsewhere: the teardown must go on with whatever state there is.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
