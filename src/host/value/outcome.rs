//! How a command or a job has ended, as scripts hold it.

use super::kinds::Typed;
use crate::api::Type;
use crate::jobs::{self, ExitStatus};

/// How a command or a job ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub code: i64,
    pub signal: Option<String>,
    pub timed_out: bool,
    pub stdout: String,
    pub stderr: String,
    pub output: String,
    pub ms: i64,
}

impl Typed for Outcome {
    const TYPE: Type = Type::Object("Result");
}

pub fn signal_of(status: ExitStatus) -> Option<String> {
    match status {
        ExitStatus::Signal(number) => Some(jobs::signal_name(number)),
        ExitStatus::Code(_) => None,
    }
}
