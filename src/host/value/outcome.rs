//! How a command or a job has ended, as scripts hold it.

use super::kinds::Typed;
use crate::api::Type;
use crate::jobs::output::{Captured, Stream};
use crate::jobs::{self, ExitStatus};
use std::sync::Arc;

/// How a command or a job ended.
#[derive(Clone)]
pub struct Outcome {
    pub code: i64,
    pub signal: Option<String>,
    pub timed_out: bool,
    pub printed: Printed,
    pub ms: i64,
}

/// What it has printed: as text only for whoever asks.
#[derive(Clone)]
pub enum Printed {
    Captured(Arc<Captured>),
    /// stdout and stderr in one log, read when it had ended.
    Log(Arc<str>),
    /// A log that is too large to be read in case that somebody asks: so much of it, as it is by then.
    LargeLog(Arc<jobs::Job>, u64),
    /// What a shell would have said of a command that could not be started.
    Refusal(Arc<str>),
}

impl Printed {
    pub fn stdout(&self) -> String {
        match self {
            Self::Captured(captured) => captured.text(Some(Stream::Stdout)),
            Self::Log(_) | Self::LargeLog(..) => self.both(),
            Self::Refusal(_) => String::new(),
        }
    }

    pub fn stderr(&self) -> String {
        match self {
            Self::Captured(captured) => captured.text(Some(Stream::Stderr)),
            Self::Log(_) | Self::LargeLog(..) => String::new(),
            Self::Refusal(_) => self.both(),
        }
    }

    /// Both in the order in which they came.
    pub fn both(&self) -> String {
        match self {
            Self::Captured(captured) => captured.text(None),
            Self::Log(text) | Self::Refusal(text) => text.to_string(),
            Self::LargeLog(job, length) => job.log_text_up_to(*length),
        }
    }

    /// The end of both, for whoever wants last lines.
    pub fn end(&self) -> Vec<u8> {
        match self {
            Self::Captured(captured) => captured.end(),
            _ => self.both().into_bytes(),
        }
    }
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
