//! An end at a stop that is worth a word. Which are is decided elsewhere.

use crate::jobs::job::Job;
use crate::sys::wait::ExitStatus;
use std::sync::Arc;

pub struct StopEnd {
    pub job: Arc<Job>,
    pub status: ExitStatus,
    /// Another one was expected.
    pub wrong: bool,
    /// Somebody was told of that.
    pub told: bool,
}
