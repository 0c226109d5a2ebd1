//! A job, as scripts hold it.

use crate::jobs::Job as Inner;
use std::sync::Arc;

/// A job as scripts hold it: copies are the same job.
#[derive(Clone)]
pub struct Job(pub Arc<Inner>);
