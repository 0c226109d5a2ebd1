//! What is advised to who has called a scenario script that is built in: its options, in the place of what a script of
//! one's own would be changed in. `None` everywhere for other scripts.

use super::called::{built_in, has_param};
use crate::host::value::arguments;
use crate::words::quote;

/// The options that say when a server is ready, the most common first.
const READY: &[&str] = &["ready", "url", "base"];

/// Who has called a built-in script.
pub struct Caller {
    script: &'static str,
    args: &'static [String],
}

pub fn caller() -> Option<Caller> {
    built_in().map(|(_, script, args)| Caller { script, args })
}

impl Caller {
    /// Whether the script has this option.
    pub fn takes(&self, name: &str) -> bool {
        has_param(self.script, name)
    }

    /// The option with which it is said when this job is ready: `--url /health`, `--ready api=/health`.
    pub fn ready(&self, job: &str, words: &str) -> Option<String> {
        let name = READY.iter().find(|name| self.takes(name))?;
        let start = self.script.find(&format!("param(\"{name}\""))?;
        let told = self.script[start..].split("\nlet ").next().unwrap_or_default();
        let words = if told.contains("kind: \"ready\"") || words.contains("://") {
            words.to_owned()
        } else if words.starts_with(|c: char| c.is_ascii_digit()) && *name != "ready" {
            // A URL is all that it takes, or a path.
            format!("http://localhost:{words}")
        } else if words.starts_with('/') && *name != "base" {
            words.to_owned()
        } else {
            return None;
        };
        let of_job = self.script.lines().any(|line| line.contains("form: \"NAME=CONDITION\""));
        let words = if of_job { format!("{job}={words}") } else { words };
        Some(format!("--{name} {}", quote(&words)))
    }

    /// The option that was given with this value, with another in its place.
    pub fn instead(&self, value: &str, other: &str) -> Option<String> {
        let (name, given) = arguments::given(self.args).into_iter().find(|(_, given)| {
            given == value || given.split_once('=').is_some_and(|(_, rest)| rest == value)
        })?;
        let front = given.strip_suffix(value).unwrap_or_default();
        Some(format!("--{name} {}", quote(&format!("{front}{other}"))))
    }
}
