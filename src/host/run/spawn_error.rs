//! What could not be started, and why.

use super::program;
use super::runtime::rt;
use crate::exit;
use crate::host::value;
use crate::host::value::error::{self, Kind as ErrorKind, ScriptError};
use crate::jobs::cgroup::Refused;
use crate::jobs::spec::{self, Command, SpawnError};
use crate::words;
use std::ffi::OsString;

pub fn words_of(command: &Command) -> Vec<String> {
    match command {
        Command::Argv(words) | Command::Own(words) => words.clone(),
        Command::Shell(text) => text.split_whitespace().map(str::to_owned).collect(),
    }
}

/// A limit that cannot be enforced, with the way out where there is one.
fn no_limit(function: &str, refused: &Refused) -> ScriptError {
    let error = ScriptError::io(format!("{function}: the limit cannot be enforced: {}", refused.reason))
        .exit(exit::INFRASTRUCTURE);
    if !refused.delegation {
        return error;
    }
    let error = error
        .note("`max_memory` and `max_procs` need a cgroup (version 2) that is delegated to bgjobs alone");
    if !std::path::Path::new("/run/systemd/system").is_dir() {
        return error;
    }
    let user = if nix::unistd::geteuid().is_root() { "" } else { "--user " };
    error.hint(format!("systemd-run {user}--scope -p Delegate=yes bgjobs script …"))
}

/// What could not be started and why, with the exit code that shells give it. `named`: the name and command
/// when both were given, for those who wrote `spawn("python3", ["app.py"])`.
pub fn spawn_error(
    function: &str,
    error: &SpawnError,
    named: Option<(&str, &Command)>,
) -> Box<rhai::EvalAltResult> {
    let failed = |message: String, code: i32| {
        ScriptError::new(ErrorKind::CommandFailed, format!("{function}: {message}"))
            .exit(code)
            .fact("code", i64::from(code))
            .about("cmd")
    };
    let mut result = match error {
        SpawnError::NotFound { program, .. } if program.trim().contains(char::is_whitespace) => {
            let words: Vec<String> = program.split_whitespace().map(|word| format!("{word:?}")).collect();
            failed(format!("there is no program `{program}`"), exit::NOT_FOUND)
                .note("the first item of an array is the program alone")
                .hint(format!("{program:?}   (a string, for the shell), or [{}]", words.join(", ")))
        }
        SpawnError::NotFound { program, path: Some(path) } => {
            let error = failed(format!("program `{program}` not found"), exit::NOT_FOUND)
                .note(program::searched(path));
            program::instead(program).into_iter().fold(error, ScriptError::hint)
        }
        SpawnError::NotFound { program, path: None } => {
            let error = failed(format!("there is no program `{program}`"), exit::NOT_FOUND);
            program::instead(program).into_iter().fold(error, ScriptError::hint)
        }
        SpawnError::NoInterpreter { program, interpreter } => failed(
            format!("`{program}` is there, but its interpreter `{interpreter}` (in its first line) is not"),
            exit::NOT_FOUND,
        ),
        SpawnError::NotExecutable { program, reason } => {
            failed(format!("`{program}` cannot be executed: {reason}"), exit::NOT_EXECUTABLE)
        }
        SpawnError::Cwd { cwd, reason } => {
            // The command is not what is wrong.
            let shown = cwd.display().to_string();
            let message = format!("{function}: the directory `{shown}` (cwd) cannot be entered: {reason}");
            let error = match std::fs::read_dir(cwd) {
                // We could, so it is the other user who may not.
                Ok(_) => {
                    ScriptError::io(format!("{message} for the user of the option `user`")).hint("cwd: \"/\"")
                }
                Err(_) => ScriptError::io(message),
            };
            error.fact("path", shown).about("cwd")
        }
        SpawnError::User { user, reason, denied } => {
            let error =
                failed(format!("cannot become user `{user}`: {reason}"), exit::NOT_EXECUTABLE).about("user");
            match denied {
                true => error.note("only root can, and not where `--isolate` has made a user namespace"),
                false => error,
            }
        }
        SpawnError::Log { path, reason } => {
            ScriptError::io(format!("{function}: cannot write the log `{}`: {reason}", path.display()))
                .fact("path", path.display().to_string())
                .about("log")
        }
        SpawnError::Limit(refused) => no_limit(function, refused),
        SpawnError::Nul { what } => ScriptError::usage(format!("{function}: {what} contains a NUL byte")),
        SpawnError::Os { what, reason } => {
            ScriptError::io(format!("{function}: cannot make {what}: {reason}")).exit(exit::INFRASTRUCTURE)
        }
        SpawnError::Stopping => return error::terminated(),
    };
    if let (Some((name, command)), SpawnError::NotFound { .. } | SpawnError::NotExecutable { .. }) =
        (named, error)
    {
        let rt = rt();
        let env = rt.env();
        let path = env.get(std::ffi::OsStr::new("PATH")).map(OsString::as_os_str);
        if spec::find_program(name, &rt.cwd(), path).is_some() {
            let mut words = vec![name.to_owned()];
            words.extend(words_of(command));
            let array = value::array_form(function, &words);
            result = match taken_for(name, command) {
                Taken::Arguments => {
                    result.hint(format!("{array}   (an array: `{name}` was taken for the job's name)"))
                }
                Taken::Either => result.note(format!(
                    "`{name}` is the job's name here; to run the program `{name}` with these arguments: {array}"
                )),
                Taken::Command => result,
            };
        }
    }
    result.into()
}

/// What stands behind a name that could be a program's, as far as its first word tells.
enum Taken {
    /// Arguments of that program.
    Arguments,
    Either,
    /// A command of its own, which is mistyped or not installed.
    Command,
}

fn taken_for(name: &str, command: &Command) -> Taken {
    let words = words_of(command);
    let Some(word) = words.first() else { return Taken::Either };
    let in_cwd = || rt().path(word).exists();
    if words::nearest(word, [name]).is_some() || word.starts_with(name) {
        return Taken::Command;
    }
    match command {
        // As Node and Python start programs: a name and a list.
        Command::Argv(_) => Taken::Arguments,
        _ if word.starts_with('-') || in_cwd() => Taken::Arguments,
        // `./run` and `/usr/bin/run` are programs, `server.js` is none.
        _ if word.contains('/') => Taken::Command,
        _ if word.contains('.') => Taken::Arguments,
        _ => Taken::Either,
    }
}
