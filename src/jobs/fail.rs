//! Why a job counts as dead: it has ended, or printed a line that means failure (`fail_on`).

use crate::jobs::job::Job;
use crate::sys::wait::ExitStatus;

/// Why a job counts as dead.
#[derive(Clone, Debug)]
pub enum Death {
    /// It ended in another way than was expected of it, and nobody asked for that.
    Ended(ExitStatus),
    /// It has printed a line that means failure, and may well be alive.
    Line(FailLine),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailLine {
    pub line: String,
    pub pattern: String,
}

impl Death {
    pub fn describe(&self, job: &Job) -> String {
        match self {
            Self::Ended(status) => job.describe(*status),
            Self::Line(found) => format!("{:?} in its log", found.line),
        }
    }
}
