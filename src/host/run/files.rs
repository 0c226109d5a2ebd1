//! Reading files, and why a file could not be read or written.

use super::runtime::rt;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::utf8;
use crate::jobs::patient;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// As much text as a script's string may hold.
const LARGEST: u64 = 64 << 20;

/// What went wrong with a file, in words.
pub fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is not a directory".to_owned(),
        ErrorKind::InvalidInput => "its name contains a NUL byte".to_owned(),
        ErrorKind::InvalidFilename => "its name is too long".to_owned(),
        ErrorKind::StorageFull => "no space is left".to_owned(),
        _ if error.raw_os_error() == Some(nix::libc::ENXIO) => {
            "it is a socket, or a device that is not there".to_owned()
        }
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

/// `what` names function and action: `read_file: cannot read`.
pub fn failed(what: &str, path: &str, error: &std::io::Error) -> ScriptError {
    let full = rt().path(path);
    if let Some(gone) = no_cwd(what, path) {
        return gone;
    }
    let wrong = ScriptError::io(format!("{what} `{path}`: {}", reason(error))).fact("path", path.to_owned());
    if Path::new(path).is_relative() && error.kind() == ErrorKind::NotFound {
        wrong.note(format!("a relative path starts from cwd(): {}", full.display()))
    } else {
        wrong
    }
}

/// Nothing can be done with a relative path when the current directory has been removed.
pub fn no_cwd(what: &str, path: &str) -> Option<ScriptError> {
    let cwd = rt().cwd();
    let gone = Path::new(path).is_relative() && !cwd.is_dir();
    let wrong = || format!("{what} `{path}`: the current directory `{}` is gone", cwd.display());
    gone.then(|| {
        ScriptError::io(wrong())
            .fact("path", path.to_owned())
            .hint("cd(…) to another before it is removed, or an absolute path")
    })
}

/// A path as the script means it. An empty one would be `cwd()` itself, which nobody means.
pub fn full(function: &str, path: &str) -> Fallible<PathBuf> {
    if path.is_empty() {
        return Err(ScriptError::usage(format!("{function}: the path is empty")).into());
    }
    Ok(rt().path(path))
}

/// The text of a file, for any function that reads one.
pub fn read(function: &str, path: &str) -> Fallible<String> {
    let full = full(function, path)?;
    let what = format!("{function}: cannot read");
    let read = patient::read(&full, LARGEST, Some(rt().control()));
    rt().checkpoint()?;
    let bytes = read.map_err(|e| failed(&what, path, &e))?;
    let wrong = |reason: String| {
        ScriptError::io(format!("{function}: `{path}` {reason}")).fact("path", path.to_owned())
    };
    if bytes.len() as u64 > LARGEST {
        return Err(wrong(format!("is larger than {} MiB", LARGEST >> 20)).into());
    }
    utf8::text(bytes).map_err(|reason| wrong(reason).into())
}
