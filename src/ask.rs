//! What `bgjobs ctl` asks a run, and what that answers: plain data, a line of JSON each. Only bgjobs itself reads and
//! writes it, of one version; users have the command.

use crate::event::Failure;
use serde::{Deserialize, Serialize};

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Request {
    Restart {
        job: String,
    },
    Stop {
        job: String,
    },
    Pause {
        job: String,
    },
    Resume {
        job: String,
    },
    Kill {
        job: String,
    },
    /// Until it is ready.
    Wait {
        job: String,
        /// How long at most; without it as its `ready` says.
        timeout_ms: Option<u64>,
    },
    Port {
        job: String,
    },
    Url {
        job: String,
    },
    /// The last lines of its log.
    Logs {
        job: String,
        lines: usize,
    },
    /// The addresses of all jobs.
    Env,
    Jobs,
}

impl Request {
    /// The job that it is about.
    pub fn job(&self) -> Option<&str> {
        match self {
            Self::Restart { job } | Self::Stop { job } | Self::Pause { job } | Self::Resume { job } => {
                Some(job)
            }
            Self::Kill { job } | Self::Wait { job, .. } | Self::Port { job } | Self::Url { job } => Some(job),
            Self::Logs { job, .. } => Some(job),
            Self::Env | Self::Jobs => None,
        }
    }

    /// As it is typed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Restart { .. } => "restart",
            Self::Stop { .. } => "stop",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Kill { .. } => "kill",
            Self::Wait { .. } => "wait",
            Self::Port { .. } => "port",
            Self::Url { .. } => "url",
            Self::Logs { .. } => "logs",
            Self::Env => "env",
            Self::Jobs => "jobs",
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Done {
        job: String,
        done: Done,
        took_ms: u64,
    },
    Port {
        job: String,
        port: u16,
    },
    Url {
        job: String,
        url: String,
    },
    Logs {
        job: String,
        lines: Vec<String>,
    },
    /// Names and values.
    Env(Vec<(String, String)>),
    Jobs(Vec<JobState>),
    Failed(Failure),
}

/// What has been done with a job, or what it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    Restarted,
    Stopped,
    Paused,
    Resumed,
    Killed,
    Ready,
}

/// A job at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobState {
    pub name: String,
    pub pid: i32,
    pub state: State,
    /// How it has ended.
    pub end: Option<String>,
    /// Whether it is ready; none when nothing says when it is.
    pub ready: Option<bool>,
    pub uptime_ms: u64,
    pub port: Option<u16>,
    pub url: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Running,
    Paused,
    /// Its first process has ended, others of it run.
    Background,
    /// It has ended, and is started again by its `restart`.
    Resting,
    Ended,
}
