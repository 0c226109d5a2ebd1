//! `bgjobs up`: which file is to be started. What then happens is told in `up.rhai`, which a run of its own does.

use crate::cli::{Options, Source, Task, Up, Verbosity};
use crate::envfile;
use crate::event::Failure;
use crate::exit;
use crate::report::{self, ReportStyle};
use crate::sys::tty;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What is looked for where no file is named: the first that is there. Of the last ones an error tells what runs them.
const USUAL: &[&str] = &[
    "services.yaml",
    "services.yml",
    "services.toml",
    "services.json",
    "services.conf",
    "process-compose.yaml",
    "process-compose.yml",
    "Procfile.dev",
    "Procfile",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
    "package.json",
];

/// The run that starts what was asked for; or the exit code, when there is nothing to start.
pub fn prepare(up: Up) -> Result<Options, i32> {
    prepared(up).map_err(|failure| {
        report::print_failure(&failure, ReportStyle::choose(crate::cli::Color::Auto));
        failure.code
    })
}

fn usage(message: String) -> Failure {
    Failure { code: exit::USAGE, message, ..Failure::default() }
}

fn prepared(up: Up) -> Result<Options, Failure> {
    let Up { file, options, mut staying } = up;
    let path = match &file {
        Some(path) if path.is_dir() => found(path, options.verbosity)?,
        Some(path) => path.clone(),
        None => found(Path::new(""), options.verbosity)?,
    };
    if !path.exists() {
        return Err(missing(&path));
    }
    if is_script(&path) {
        let names = staying.services.take().unwrap_or_default();
        if let Some(name) = names.first() {
            let message =
                format!("`{name}`: a script is not a file of services, of which some could be chosen");
            let hint = format!("bgjobs up {} -- {}", quoted(&path), crate::words::command_line(&names));
            return Err(Failure { hint: Some(hint), ..usage(message) });
        }
    } else if !is_services(&path) {
        let message = format!("`{}` is neither a file of services nor a script", path.display());
        let notes = vec![format!("these are: {}, *.procfile, *.conf, *.rhai", USUAL[..9].join(", "))];
        return Err(Failure { notes, ..usage(message) });
    } else if let Some(arg) = options.args.first() {
        let message = format!("`-- {arg}`: there is no script that would get it");
        return Err(Failure { hint: Some(format!("bgjobs up {} NAME", quoted(&path))), ..usage(message) });
    }
    if let Some(obstacle) = staying.env_file.as_deref().and_then(envfile::obstacle) {
        let hint =
            Some("--env-file OUT   (a file that is not there yet: it is written, not read)".to_owned());
        return Err(Failure { hint, ..usage(obstacle) });
    }
    staying.at_terminal = staying.exec.is_some() && tty::is_ours();
    Ok(Options { source: Source::File(path), task: Some(Task::Up(staying)), ..options })
}

fn quoted(path: &Path) -> String {
    crate::words::quote(&path.display().to_string())
}

/// The usual file of a directory; the empty path is the current one.
fn found(dir: &Path, verbosity: Verbosity) -> Result<PathBuf, Failure> {
    let mut there = USUAL.iter().map(|name| dir.join(name)).filter(|path| path.is_file());
    let Some(path) = there.next() else {
        let place = if dir.as_os_str().is_empty() { "this directory".to_owned() } else { quoted(dir) };
        let message = format!("there is nothing to start in {place}");
        let notes = vec![format!("looked for {}", USUAL.join(", "))];
        let hint =
            Some("bgjobs up FILE   (or `bgjobs new --kind services`, for a script to begin with)".to_owned());
        return Err(Failure { notes, hint, ..usage(message) });
    };
    if verbosity != Verbosity::Quiet {
        let others: Vec<String> = there.map(|path| path.display().to_string()).collect();
        let others = match others.is_empty() {
            true => String::new(),
            false => format!(" (and not {})", others.join(", ")),
        };
        report::hint(&format!("found {}{others}\n", path.display()));
    }
    Ok(path)
}

fn missing(path: &Path) -> Failure {
    let failure = usage(format!("there is no file `{}`", path.display()));
    let dir = path.parent().unwrap_or(Path::new(""));
    let readable = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let entries = std::fs::read_dir(readable).into_iter().flatten().flatten().map(|entry| entry.path());
    let known = entries.filter(|path| path.is_file() && (is_services(path) || is_script(path)));
    let mut names: Vec<String> =
        known.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let near = crate::words::nearest(&wanted, names.iter().map(String::as_str));
    let usual = || names.iter().find(|name| USUAL.contains(&name.as_str())).map(String::as_str);
    let hint = near.or_else(usual).map(|name| format!("bgjobs up {}", quoted(&dir.join(name))));
    Failure { hint, ..failure }
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|end| end.to_str())
}

/// By its ending, or by the line that has bgjobs run it.
fn is_script(path: &Path) -> bool {
    let mut start = [0u8; 128];
    let mut begins = || {
        let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
        let line = start[..read].split(|byte| *byte == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    };
    extension(path) == Some("rhai")
        || extension(path).is_none() && {
            let line = begins();
            line.starts_with("#!") && line.contains("bgjobs")
        }
}

/// By its name; one without an ending also by what is in it. Any text could be taken for a list of commands, and what is none
/// would be run.
fn is_services(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let has_key = || {
        let text = std::fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().any(|line| {
            let line = line.split('#').next().unwrap_or_default().trim_end();
            line == "services:" || line == "processes:"
        })
    };
    name.starts_with("procfile")
        || matches!(extension(path), Some("yaml" | "yml" | "toml" | "json" | "conf" | "procfile"))
        || extension(path).is_none() && (name.contains("services") || has_key())
}
