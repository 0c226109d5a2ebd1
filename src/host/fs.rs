//! Files and directories. Relative paths start from `cwd()`. What fails is an error of kind `io` with the path.

use super::error::{Fallible, ScriptError};
use super::runtime::rt;
use super::value::{self, Opts};
use crate::jobs::spec;
use crate::rundir;
use rhai::plugin::*;
use rhai::{Dynamic, Engine};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// As much text as a script's string may hold.
const LARGEST: u64 = 64 << 20;

pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// The text of a file. It must be UTF-8 and at most 64 MiB.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/greeting";
    /// write_file(file, "hello");
    /// assert_eq(read_file(file), "hello");
    /// ```
    #[rhai_fn(name = "read_file", return_raw)]
    pub fn read_file(path: &str) -> Fallible<String> {
        rt().checkpoint()?;
        super::read("read_file", path)
    }

    /// The value of a JSON file; `null` is `()`.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/config.json";
    /// write_file(file, `{"port": 8080}`);
    /// assert_eq(read_json(file).port, 8080);
    /// ```
    #[rhai_fn(name = "read_json", return_raw)]
    pub fn read_json(path: &str) -> Fallible<Dynamic> {
        rt().checkpoint()?;
        let text = super::read("read_json", path)?;
        serde_json::from_str(&text).map_err(|e| {
            let wrong = ScriptError::io(format!("read_json: `{path}` is no JSON: {e}"));
            wrong.fact("path", path.to_owned()).into()
        })
    }

    /// Writes a file: text, or a number or boolean as text. What was in it is gone. Its directory must exist.
    ///
    /// ```rhai
    /// write_file(temp_dir() + "/answer", 42);
    /// ```
    #[rhai_fn(name = "write_file", return_raw)]
    pub fn write_file(path: &str, text: Dynamic) -> Fallible<()> {
        super::write("write_file", path, &text, File::options().write(true).create(true).truncate(true))
    }

    /// Adds text to the end of a file, which is created when it is missing.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/log";
    /// append_file(file, "one\n");
    /// append_file(file, "two\n");
    /// assert_eq(read_file(file), "one\ntwo\n");
    /// ```
    #[rhai_fn(name = "append_file", return_raw)]
    pub fn append_file(path: &str, text: Dynamic) -> Fallible<()> {
        super::write("append_file", path, &text, File::options().append(true).create(true))
    }

    /// Whether there is a file, a directory or anything else at this path. A link to nothing is nothing.
    ///
    /// ```rhai
    /// assert(exists("/dev/null"));
    /// ```
    #[rhai_fn(name = "exists", return_raw)]
    pub fn exists(path: &str) -> Fallible<bool> {
        let full = super::full("exists", path)?;
        match fs::metadata(full) {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(e) => Err(super::failed("exists: cannot look at", path, &e).into()),
        }
    }

    /// Creates a directory and those above it. One that exists is fine.
    ///
    /// ```rhai
    /// let dir = temp_dir() + "/a/b";
    /// mkdir(dir);
    /// assert(exists(dir));
    /// ```
    #[rhai_fn(name = "mkdir", return_raw)]
    pub fn mkdir(path: &str) -> Fallible<()> {
        rt().checkpoint()?;
        let full = super::full("mkdir", path)?;
        if fs::metadata(&full).is_ok_and(|meta| !meta.is_dir()) {
            let error = ScriptError::io(format!("mkdir: `{path}` exists and is not a directory"));
            return Err(error.fact("path", path.to_owned()).into());
        }
        fs::create_dir_all(full).map_err(|e| super::failed("mkdir: cannot create", path, &e).into())
    }

    /// Removes a file, a link, or a directory with all that is in it. Returns false when there was nothing.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/old";
    /// write_file(file, "");
    /// assert(remove(file));
    /// assert(!remove(file));
    /// ```
    #[rhai_fn(name = "remove", return_raw)]
    pub fn remove(path: &str) -> Fallible<bool> {
        rt().checkpoint()?;
        super::remove(path)
    }

    /// Creates a fresh, empty directory that only its owner may enter, and returns its path, short enough for Unix
    /// sockets. It is removed at the end of the run, and kept when the run fails.
    ///
    /// ```rhai
    /// let data = temp_dir();
    /// write_file(data + "/config", "x = 1");
    /// ```
    #[rhai_fn(name = "temp_dir", return_raw)]
    pub fn temp_dir() -> Fallible<String> {
        super::temp_dir(None)
    }

    /// As `temp_dir()`; with `#{user: "name"}` it belongs to that user, which bgjobs can only do as root.
    ///
    /// ```rhai
    /// let data = temp_dir(#{user: ()});
    /// ```
    #[rhai_fn(name = "temp_dir", return_raw)]
    pub fn temp_dir_with(opts: Dynamic) -> Fallible<String> {
        let opts = Opts::new("temp_dir", &opts, &["user"])?;
        super::temp_dir(opts.string("user")?.as_deref())
    }

    /// Quotes one word for the shell.
    ///
    /// ```rhai
    /// assert_eq(quote("it's"), `'it'\''s'`);
    /// ```
    #[rhai_fn(name = "quote", return_raw)]
    pub fn quote(word: Dynamic) -> Fallible<String> {
        value::word(&word, "quote").map(|word| spec::quote(&word))
    }
}

/// What went wrong with a file, in words.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is not a directory".to_owned(),
        ErrorKind::InvalidInput => "its name contains a NUL byte".to_owned(),
        ErrorKind::InvalidFilename => "its name is too long".to_owned(),
        ErrorKind::StorageFull => "no space is left".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

/// `what` names function and action: `read_file: cannot read`.
pub fn failed(what: &str, path: &str, error: &std::io::Error) -> ScriptError {
    let full = rt().path(path);
    let wrong = ScriptError::io(format!("{what} `{path}`: {}", reason(error))).fact("path", path.to_owned());
    if Path::new(path).is_relative() && error.kind() == ErrorKind::NotFound {
        wrong.note(format!("a relative path starts from cwd(): {}", full.display()))
    } else {
        wrong
    }
}

/// A path as the script means it. An empty one would be `cwd()` itself, which nobody means.
fn full(function: &str, path: &str) -> Fallible<PathBuf> {
    if path.is_empty() {
        return Err(ScriptError::usage(format!("{function}: the path is empty")).into());
    }
    Ok(rt().path(path))
}

pub fn read(function: &str, path: &str) -> Fallible<String> {
    let full = full(function, path)?;
    let what = format!("{function}: cannot read");
    let mut bytes = Vec::new();
    let file = File::open(full).map_err(|e| failed(&what, path, &e))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| failed(&what, path, &e))?;
    let wrong = |reason: String| {
        ScriptError::io(format!("{function}: `{path}` {reason}")).fact("path", path.to_owned())
    };
    if bytes.len() as u64 > LARGEST {
        return Err(wrong(format!("is larger than {} MiB", LARGEST >> 20)).into());
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(format!("is not UTF-8 text: invalid byte in line {line}")).into()
    })
}

fn write(function: &str, path: &str, text: &Dynamic, how: &fs::OpenOptions) -> Fallible<()> {
    rt().checkpoint()?;
    let full = full(function, path)?;
    let text = value::word(text, &format!("{function}: the text for `{path}`"))?;
    how.open(&full).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| {
        let dir = full.parent().unwrap_or(&full);
        if e.kind() == ErrorKind::NotFound && !dir.exists() {
            let dir = Path::new(path).parent().unwrap_or(dir).display();
            return ScriptError::io(format!(
                "{function}: cannot write `{path}`: the directory `{dir}` does not exist"
            ))
            .fact("path", path.to_owned())
            .hint(format!("mkdir(\"{dir}\") before"))
            .into();
        }
        failed(&format!("{function}: cannot write"), path, &e).into()
    })
}

fn remove(path: &str) -> Fallible<bool> {
    let full = full("remove", path)?;
    let meta = match fs::symlink_metadata(&full) {
        Ok(meta) => meta,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(false),
        Err(e) => return Err(failed("remove: cannot look at", path, &e).into()),
    };
    if !meta.is_dir() {
        return match fs::remove_file(&full) {
            Ok(()) => Ok(true),
            Err(e) => Err(failed("remove: cannot remove", path, &e).into()),
        };
    }
    // `remove(dir + "/")` with an empty `dir` must not take the machine with it.
    let real = fs::canonicalize(&full).unwrap_or_else(|_| full.clone());
    if rt().cwd().starts_with(&real) || rt().jobs.run_dir().starts_with(&real) {
        return Err(ScriptError::usage(format!(
            "remove: `{path}` is the directory of this run, or above it"
        ))
        .note(format!("it is {}", real.display()))
        .into());
    }
    fs::remove_dir_all(&full).map(|()| true).map_err(|e| failed("remove: cannot remove", path, &e).into())
}

fn temp_dir(user: Option<&str>) -> Fallible<String> {
    rt().checkpoint()?;
    let run = rt().jobs.run_dir();
    let failed = |e: std::io::Error| {
        ScriptError::io(format!("temp_dir: cannot create a directory in {}: {}", run.display(), reason(&e)))
            .fact("path", run.display().to_string())
    };
    let Some(user) = user else {
        return Ok(fresh_dir(run).map_err(failed)?.display().to_string());
    };
    let account = spec::account(user).map_err(|e| super::launch::spawn_error("temp_dir", &e, None))?;
    let dir = shared_dir(run).and_then(|shared| fresh_dir(&shared)).map_err(failed)?;
    let ids = account.credentials;
    chown(&dir, Some(ids.uid), Some(ids.gid)).map_err(|e| {
        let _ = fs::remove_dir(&dir);
        let wrong = ScriptError::io(format!("temp_dir: cannot give it to user `{user}`: {}", reason(&e)));
        wrong.fact("path", dir.display().to_string()).note("only root can do that")
    })?;
    Ok(dir.display().to_string())
}

/// A directory of its own in one that only we can write to.
fn fresh_dir(base: &Path) -> std::io::Result<PathBuf> {
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
fn shared_dir(run: &Path) -> std::io::Result<PathBuf> {
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
