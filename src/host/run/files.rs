//! Reading files, and why a file could not be read or written; directories of the run.

use super::runtime::rt;
use super::spawn_error;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::utf8;
use crate::jobs::{patient, spec};
use crate::rundir;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

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

/// A fresh directory that belongs to a user, and that only that one may enter.
pub fn dir_of(function: &str, user: &str) -> Fallible<PathBuf> {
    let account = spec::account(user).map_err(|e| spawn_error::spawn_error(function, &e, None))?;
    let run = rt().jobs.run_dir();
    let dir = shared_dir(run).and_then(|shared| fresh_dir(&shared)).map_err(|e| {
        let text = format!("{function}: cannot create a directory in {}: {}", run.display(), reason(&e));
        ScriptError::io(text).fact("path", run.display().to_string())
    })?;
    let ids = account.credentials;
    chown(&dir, Some(ids.uid), Some(ids.gid)).map_err(|e| {
        let _ = fs::remove_dir(&dir);
        let wrong = ScriptError::io(format!("{function}: cannot give it to user `{user}`: {}", reason(&e)));
        wrong.fact("path", dir.display().to_string()).note("only root can do that")
    })?;
    Ok(dir)
}

/// A directory of its own in one that only we can write to.
pub fn fresh_dir(base: &Path) -> std::io::Result<PathBuf> {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    loop {
        let dir = base.join(format!("t{}", NEXT.fetch_add(1, Relaxed)));
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
            // Whatever the umask is.
            Ok(()) => return fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).map(|()| dir),
        }
    }
}

/// The directory for other users' directories, created when it is first needed. Its name can be guessed from that
/// of the run directory, so what is there already must be ours.
pub fn shared_dir(run: &Path) -> std::io::Result<PathBuf> {
    let dir = rundir::shared_dir(run);
    match fs::DirBuilder::new().mode(0o711).create(&dir) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    if !rundir::is_ours(run, &dir) {
        return Err(std::io::Error::other("somebody else has created it"));
    }
    // Whatever the umask is.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711))?;
    Ok(dir)
}
