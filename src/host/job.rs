//! Jobs: `spawn`, `start`, and what a job can be asked and told.

use super::error::{Fallible, Kind as ErrorKind, ScriptError};
use super::runtime::rt;
use super::value::{self, Opts};
use crate::exit;
use crate::jobs::spec::{Command, Expect, Output, SpawnError, Spec, Stdin};
use crate::jobs::{self, Job as Inner, Kind};
use rhai::plugin::*;
use rhai::{Dynamic, Engine};
use std::sync::Arc;

/// A job as scripts hold it: copies are the same job.
#[derive(Clone)]
pub struct Job(pub Arc<Inner>);

pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Job>("Job");
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// Starts a background job and returns it at once.
    #[rhai_fn(name = "spawn", return_raw)]
    pub fn spawn(cmd: Dynamic) -> Fallible<Job> {
        let command = value::command(&cmd, "spawn")?;
        super::spawn(None, command, &Opts::none("spawn"))
    }

    /// Its name.
    #[rhai_fn(get = "name", pure)]
    pub fn name(job: &mut Job) -> String {
        job.0.spec.name.clone()
    }
}

fn spawn(name: Option<String>, command: Command, _opts: &Opts) -> Fallible<Job> {
    let rt = rt();
    rt.checkpoint()?;
    let name = name.unwrap_or_else(|| command.program_name());
    let spec = Spec {
        output: Output::Log(rt.jobs.log_path(&name)),
        name,
        command,
        cwd: rt.cwd(),
        env: rt.env(),
        user: None,
        port: None,
        stdin: Stdin::Null,
        stop_signal: 15,
        grace: rt.options.grace,
        expect: Expect::Running,
    };
    let (job, _) = rt.jobs.spawn(spec, Kind::Job).map_err(|e| spawn_error("spawn", &e))?;
    Ok(Job(job))
}

/// What could not be started and why, with the exit code that shells give it.
pub fn spawn_error(function: &str, error: &SpawnError) -> Box<rhai::EvalAltResult> {
    let failed = |message: String, code: i32| {
        ScriptError::new(ErrorKind::CommandFailed, format!("{function}: {message}"))
            .exit(code)
            .fact("code", i64::from(code))
    };
    match error {
        SpawnError::NotFound { program, path: Some(path) } => {
            failed(format!("program `{program}` not found"), exit::NOT_FOUND).note(format!("PATH is {path}"))
        }
        SpawnError::NotFound { program, path: None } => {
            failed(format!("there is no program `{program}`"), exit::NOT_FOUND)
        }
        SpawnError::NoInterpreter { program, interpreter } => failed(
            format!("`{program}` is there, but its interpreter `{interpreter}` (first line) is not"),
            exit::NOT_FOUND,
        ),
        SpawnError::NotExecutable { program, reason } => {
            failed(format!("`{program}` cannot be executed: {reason}"), exit::NOT_EXECUTABLE)
        }
        SpawnError::Cwd { cwd, reason } => failed(
            format!("the directory `{}` (cwd) cannot be entered: {reason}", cwd.display()),
            exit::NOT_FOUND,
        ),
        SpawnError::User { user, reason } => {
            failed(format!("cannot become user `{user}`: {reason}"), exit::NOT_EXECUTABLE)
        }
        SpawnError::Log { path, reason } => {
            ScriptError::io(format!("{function}: cannot write the log `{}`: {reason}", path.display()))
        }
        SpawnError::Nul { what } => ScriptError::usage(format!("{function}: {what} contains a NUL byte")),
        SpawnError::Os { what, reason } => {
            ScriptError::io(format!("{function}: cannot make {what}: {reason}")).exit(exit::SURROUNDINGS)
        }
        SpawnError::Stopping => return super::error::terminated(),
    }
    .into()
}

/// Keeps the table of jobs reachable for namespaces that only have a name.
pub fn by_name(name: &str) -> Option<Job> {
    rt().jobs.list().into_iter().rev().find(|job| job.spec.name == name).map(Job)
}

#[expect(dead_code, reason = "used by later functions")]
fn unused(_: jobs::View) {}
