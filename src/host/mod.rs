//! The script functions: convert → call below → convert. The only folder that imports rhai.
//!
//! ```text
//! engine   the registry: which namespaces there are, limits, reserved words
//! script   load, check, run, `on_exit`
//! check    what is checked before anything runs
//! declared which options a function that is written in Rhai takes
//! functions    the functions that scripts define, by name
//! hints    advice for habits from other languages
//! import   where modules come from
//! signature    which functions there are
//! method   what is said about the methods of a map
//! reference    the documentation of all functions
//! failure  an error of the evaluation → plain data for the report
//! error    what a script can catch
//! describe the macros that describe functions and options
//! described    described functions in the engine, and how their arguments are read
//! kinds    the kinds of values: how each is read and judged
//! value    arguments: durations, commands, option maps
//! launch   from a script's words to a process
//! prober   what can be waited for, and one attempt after the other
//! ready    waiting until a job is ready
//! services `start([…])`
//! owner    whose port is it
//! path     `users[0].name`: a path into JSON
//! parallel closures at the same time, closures with an end
//! param    the script's parameters
//! captured what closures share, when they run at the same time
//! runtime  what the functions work on
//! position errors that point into a file that a script reads
//! utf8     bytes of a file → text
//! job, command, wait, http, load, mock, assert, test, port, fs, env, flow, module, text, number   one namespace a file
//! ```
//!
//! A function that can block checks [`runtime::Runtime::checkpoint`] and waits on the bell, never on a plain
//! sleep, so that an interrupt gets through.

mod assert;
mod called;
mod captured;
mod check;
mod command;
mod data;
mod declared;
mod describe;
mod described;
mod dotenv;
mod engine;
mod env;
mod error;
mod failure;
mod flow;
mod fs;
mod functions;
mod hints;
mod http;
mod import;
mod job;
mod kinds;
mod launch;
mod load;
mod method;
mod mock;
mod module;
mod number;
mod owner;
mod pages;
mod parallel;
mod param;
mod path;
mod plan;
mod port;
mod position;
mod prober;
mod program;
mod ready;
mod reference;
mod runtime;
mod script;
mod services;
mod signature;
mod test;
mod text;
mod utf8;
mod value;
mod wait;
mod warnings;

pub use pages::{brief, entries_as_json, overview, pages, search};
pub use parallel::STACK;
pub use reference::reference;
pub use runtime::{Options, Session};
pub use script::{Script, built_in, built_in_text, check, findings, manual, plan, scripts_of};

use crate::event::Failure;
use crate::jobs::Jobs;
use crate::jobs::fail::Death;

/// The jobs that died besides the one that the failure is about, a line each.
pub fn other_deaths(jobs: &Jobs) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((job, death)) = jobs.known_death() {
        jobs.told(job.id);
        let what = if matches!(death, Death::Ended(_)) { "died" } else { "failed" };
        lines.push(format!("job `{}` has {what} too ({})", job.spec.name, death.describe(&job)));
    }
    lines
}

/// A job that died without the script having noticed: the run has failed, even if its last line was reached.
pub fn untold_death(jobs: &Jobs) -> Option<Failure> {
    let (job, death) = jobs.known_death()?;
    jobs.told(job.id);
    Some(failure::from_error(&error::death(&job, &death, None)))
}
