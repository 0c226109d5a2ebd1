//! What can be waited for.

use crate::host::value;
use crate::jobs::spec::Command;
use crate::probe::target::Target;
use regex::Regex;
use rhai::{Array, Dynamic, FnPtr, ImmutableString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One thing that can be waited for.
#[derive(Clone)]
pub enum Condition {
    /// A TCP port accepts connections.
    Port {
        host: String,
        port: u16,
    },
    /// Nobody listens on a TCP port of this machine.
    PortFree(u16),
    /// A URL answers as wanted. One request may take as long as the wait, unless there is a limit. `roams`: it is asked
    /// on whichever port the job listens when it does not listen on that of the URL.
    Http {
        target: Arc<Target>,
        limit: Option<Duration>,
        roams: bool,
    },
    /// The job's log has so many matching lines.
    Log {
        pattern: Regex,
        times: usize,
    },
    File(PathBuf),
    /// A Unix socket accepts connections.
    Socket(PathBuf),
    /// A command ends with 0. One run of it may take as long as the wait, unless there is a limit.
    Cmd {
        command: Command,
        limit: Option<Duration>,
    },
    /// The job listens on any TCP port.
    Listening,
    /// It listens, or is still alive after this time.
    Settled(Duration),
    Closure(FnPtr),
    /// It has ended as expected: a task, not a server.
    Ended,
}

impl Condition {
    /// What is waited for, as people say it.
    pub fn describe(&self) -> String {
        match self {
            Self::Port { host, port } if host == "localhost" => format!("port {port}"),
            Self::Port { host, port } => format!("{host}:{port}"),
            Self::PortFree(port) => format!("port {port} to be free"),
            Self::Http { target, .. } => target.request.url.to_string(),
            Self::Log { pattern, times: 1 } => format!("a log line matching /{pattern}/"),
            Self::Log { pattern, times } => format!("{times} log lines matching /{pattern}/"),
            Self::File(path) => format!("the file {}", path.display()),
            Self::Socket(path) => format!("the socket {}", path.display()),
            Self::Cmd { command, .. } => format!("`{}`", command.display()),
            Self::Listening => "a listening port".to_owned(),
            Self::Settled(time) => {
                format!("a listening port, or {} of life", value::show_duration(*time))
            }
            Self::Closure(_) => "the condition".to_owned(),
            Self::Ended => "its end".to_owned(),
        }
    }

    /// What satisfied it, given what an attempt was ready with.
    pub fn satisfied_by(&self, value: &Dynamic) -> String {
        let whole_match = || value.read_lock::<Array>()?.first()?.clone().into_string().ok();
        match self {
            Self::Log { .. } => {
                whole_match().map_or_else(|| self.describe(), |text| format!("{text:?} in its log"))
            }
            // The URL, with the address that has answered.
            Self::Http { .. } => value.to_string(),
            Self::Listening => format!("port {value}"),
            Self::Ended => "it has ended".to_owned(),
            // A text that it gives says what it has asked.
            Self::Closure(_) => one_line(value).unwrap_or_else(|| "its condition holds".to_owned()),
            _ => self.describe(),
        }
    }

    /// The local port that must answer, for the owner check and for advice.
    pub fn local_port(&self) -> Option<u16> {
        match self {
            Self::Port { host, port } => {
                matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1").then_some(*port)
            }
            Self::Http { target, .. } => target.local_port(),
            _ => None,
        }
    }

    /// Whether what has held once holds for ever.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Log { .. } | Self::Settled(_) | Self::Ended)
    }

    /// Whether only a job of this run can satisfy it.
    pub fn needs_jobs(&self) -> bool {
        matches!(
            self,
            Self::Port { .. } | Self::Http { .. } | Self::Log { .. } | Self::Listening | Self::Settled(_)
        )
    }

    /// Whether an event tells of it, so that each is worth an attempt.
    pub fn is_eventful(&self) -> bool {
        matches!(self, Self::Log { .. } | Self::File(_) | Self::Ended)
    }
}

/// The first line of a text that says something, as far as it fits beside others; none of any other value.
fn one_line(value: &Dynamic) -> Option<String> {
    const MOST: usize = 100;
    let text = value.read_lock::<ImmutableString>()?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(match line.char_indices().nth(MOST) {
        Some(_) => line.chars().take(MOST - 1).chain(['…']).collect(),
        None => line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_closure_is_short() {
        let line = |text: &str| one_line(&Dynamic::from(text.to_owned()));
        assert_eq!(line("\n  select 1 answers \nand more").as_deref(), Some("select 1 answers"));
        assert_eq!(line(" \n"), None);
        assert_eq!(one_line(&Dynamic::from(true)), None);
        assert_eq!(line(&"é".repeat(100)), Some("é".repeat(100)));
        assert_eq!(line(&"é".repeat(101)), Some("é".repeat(99) + "…"));
    }
}
