//! Files and directories. Relative paths start from `cwd()`. What fails is an error of kind `io` with the path.

use crate::host::run::files::read;
use crate::host::run::files::{dir_of, failed, fresh_dir, full, no_cwd, reason};
use crate::host::run::runtime::rt;
use crate::host::value;
use crate::host::value::describe::{function, options};
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, ScriptError};
use crate::jobs::{patient, spec};
use rhai::{Array, Dynamic, NativeCallContext};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

pub const FUNCTIONS: &[Entry] =
    &[TEMP_DIR, READ_FILE, WRITE_FILE, APPEND_FILE, EXISTS, MKDIR, REMOVE, GLOB, QUOTE];

options! {
    /// What a new directory can be told.
    struct TempDir {
        /// The user that it belongs to; only root can give it away.
        user: Option<String>, default "who runs bgjobs", also owner;
    }
}

function! {
    /// Creates a fresh, empty directory that only its owner may enter, and returns its path, short enough for Unix
    /// sockets. It is removed at the end of the run, and kept when the run fails.
    ///
    /// ```rhai
    /// let data = temp_dir();
    /// write_file(data + "/config", "x = 1");
    /// ```
    ///
    /// ```rhai
    /// let data = temp_dir(#{user: ()});
    /// ```
    TEMP_DIR = "temp_dir" -> String {
        (; TempDir) => temp_dir;
    }
}

function! {
    /// The text of a file, without a byte order mark. It must be UTF-8 and at most 64 MiB. A FIFO is waited for, until
    /// somebody has written to it and closed it.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/greeting";
    /// write_file(file, "hello");
    /// assert_eq(read_file(file), "hello");
    /// ```
    READ_FILE = "read_file" -> String {
        (path: String) => read_file;
    }
}

function! {
    /// Writes a file: text, or a number or boolean as text. What was in it is gone. Its directory must exist.
    ///
    /// ```rhai
    /// write_file(temp_dir() + "/answer", 42);
    /// ```
    WRITE_FILE = "write_file" -> () {
        (path: String, text: Dynamic)
            => |_| write("write_file", &path, &text, File::options().write(true).create(true).truncate(true));
    }
}

function! {
    /// Adds text to the end of a file, which is created when it is missing.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/log";
    /// append_file(file, "one\n");
    /// append_file(file, "two\n");
    /// assert_eq(read_file(file), "one\ntwo\n");
    /// ```
    APPEND_FILE = "append_file" -> () {
        (path: String, text: Dynamic)
            => |_| write("append_file", &path, &text, File::options().append(true).create(true));
    }
}

function! {
    /// Whether there is a file, a directory or anything else at this path. A link to nothing is nothing.
    ///
    /// ```rhai
    /// assert(exists("/dev/null"));
    /// ```
    EXISTS = "exists" -> bool {
        (path: String) => exists;
    }
}

function! {
    /// Creates a directory and those above it. One that exists is fine.
    ///
    /// ```rhai
    /// let dir = temp_dir() + "/a/b";
    /// mkdir(dir);
    /// assert(exists(dir));
    /// ```
    MKDIR = "mkdir" -> () {
        (path: String) => mkdir;
    }
}

function! {
    /// Removes a file, a link, or a directory with all that is in it. Returns false when there was nothing.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/old";
    /// write_file(file, "");
    /// assert(remove(file));
    /// assert(!remove(file));
    /// ```
    REMOVE = "remove" -> bool {
        (path: String) => |_| remove(&path);
    }
}

function! {
    /// The paths that match a pattern, sorted; an empty array when there are none. `*` stands for any text, `?` for
    /// one character, `[a-z]` and `[!a-z]` for one of a set, `**` for any directories (but not
    /// through links to some), `{yml,yaml}` for alternatives. A name that begins with a dot matches only a pattern that does; names that are not
    /// UTF-8 are left out.
    ///
    /// Paths come as the pattern has them: from `cwd()` on for a relative one. Throws `usage` for a wrong pattern,
    /// `io` for a directory that may not be read.
    ///
    /// ```rhai
    /// cd(temp_dir());
    /// mkdir("db/old");
    /// for file in ["db/2.sql", "db/1.sql", "db/old/0.sql", "db/README"] { write_file(file, ""); }
    /// assert_eq(glob("db/*.sql"), ["db/1.sql", "db/2.sql"]);
    /// assert_eq(glob("**/{0,1}.sql"), ["db/1.sql", "db/old/0.sql"]);
    /// ```
    GLOB = "glob" -> Array {
        (pattern: String) => |_| matching(&pattern);
    }
}

function! {
    /// Quotes one word for the shell.
    ///
    /// ```rhai
    /// assert_eq(quote("it's"), `'it'\''s'`);
    /// ```
    QUOTE = "quote" -> String {
        (word: Dynamic) => |_| value::word(&word, "quote").map(|word| spec::quote(&word));
    }
}

fn read_file(_: &NativeCallContext, path: String) -> Fallible<String> {
    rt().checkpoint()?;
    read("read_file", &path)
}

fn exists(_: &NativeCallContext, path: String) -> Fallible<bool> {
    let full = full("exists", &path)?;
    match fs::metadata(full) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(e) => Err(failed("exists: cannot look at", &path, &e).into()),
    }
}

fn mkdir(_: &NativeCallContext, path: String) -> Fallible<()> {
    rt().checkpoint()?;
    let full = full("mkdir", &path)?;
    if let Some(gone) = no_cwd("mkdir: cannot create", &path) {
        return Err(gone.into());
    }
    if fs::metadata(&full).is_ok_and(|meta| !meta.is_dir()) {
        let error = ScriptError::io(format!("mkdir: `{path}` exists and is not a directory"));
        return Err(error.fact("path", path.to_owned()).into());
    }
    fs::create_dir_all(full).map_err(|e| failed("mkdir: cannot create", &path, &e).into())
}

fn write(function: &str, path: &str, text: &Dynamic, how: &fs::OpenOptions) -> Fallible<()> {
    rt().checkpoint()?;
    let full = full(function, path)?;
    let text = value::word(text, &format!("{function}: the text for `{path}`"))?;
    let done = patient::write(&full, how, text.as_bytes(), rt().control());
    rt().checkpoint()?;
    done.map_err(|e| {
        let dir = full.parent().unwrap_or(&full);
        if e.kind() == ErrorKind::NotFound && !dir.exists() && no_cwd(function, path).is_none() {
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

/// What matches a pattern, in the order of the paths.
fn matching(pattern: &str) -> Fallible<Array> {
    rt().checkpoint()?;
    if pattern.is_empty() {
        return Err(ScriptError::usage("glob: the pattern is empty").into());
    }
    if let Some(gone) = no_cwd("glob: cannot look for", pattern) {
        return Err(gone.into());
    }
    let wrong = |reason: &str| ScriptError::usage(format!("glob: `{pattern}` is not a pattern: {reason}"));
    let mut found = BTreeSet::new();
    for alternative in alternatives(pattern).ok_or_else(|| wrong("too many alternatives"))? {
        let mut parts: Vec<glob::Pattern> = Vec::new();
        for part in alternative.split('/').filter(|part| !part.is_empty()) {
            parts.push(glob::Pattern::new(part).map_err(|e| wrong(e.msg))?);
        }
        if parts.last().is_some_and(|part| part.as_str() == "**") {
            parts.push(glob::Pattern::new("*").map_err(|e| wrong(e.msg))?);
        }
        let start = if alternative.starts_with('/') { "/" } else { "" };
        walk(Path::new(start), &parts, alternative.ends_with('/'), &mut found)?;
    }
    Ok(found.into_iter().map(Dynamic::from).collect())
}

/// What is below a directory and matches these parts of a path. (The walk of the crate `glob` goes through links that
/// lead back until the kernel has had enough, once for every way to do so.)
fn walk(dir: &Path, parts: &[glob::Pattern], only_dirs: bool, found: &mut BTreeSet<String>) -> Fallible<()> {
    rt().checkpoint()?;
    let on_disk = |path: &Path| rt().cwd().join(path);
    let Some((part, rest)) = parts.split_first() else {
        if !only_dirs || on_disk(dir).is_dir() {
            found.extend(dir.to_str().map(str::to_owned));
        }
        return Ok(());
    };
    let recursive = part.as_str() == "**";
    if recursive {
        walk(dir, rest, only_dirs, found)?;
    }
    if !part.as_str().contains(['*', '?', '[']) {
        let path = dir.join(part.as_str());
        let there = fs::symlink_metadata(on_disk(&path)).is_ok();
        return if there { walk(&path, rest, only_dirs, found) } else { Ok(()) };
    }
    let visible = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let gone = |e: &std::io::Error| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    let cannot = |e: &std::io::Error| failed("glob: cannot read", &on_disk(dir).display().to_string(), e);
    let entries = match fs::read_dir(on_disk(dir)) {
        Err(e) if gone(&e) => return Ok(()),
        entries => entries.map_err(|e| cannot(&e))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| cannot(&e))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = dir.join(name);
        if !recursive && part.matches_with(name, visible) {
            walk(&path, rest, only_dirs, found)?;
        }
        if recursive && !name.starts_with('.') && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, parts, only_dirs, found)?;
        }
    }
    Ok(())
}

/// A pattern without `{a,b}`: one for every combination of alternatives, none when there are too many. Braces
/// without a comma stay as they are, as in a shell.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    const MOST: usize = 1000;
    let mut done = Vec::new();
    let mut queue = vec![pattern.to_owned()];
    while let Some(pattern) = queue.pop() {
        if done.len() + queue.len() > MOST {
            return None;
        }
        match braces(&pattern) {
            None => done.push(pattern),
            Some((before, items, after)) => {
                queue.extend(items.iter().map(|item| format!("{before}{item}{after}")));
            }
        }
    }
    Some(done)
}

/// The first `{a,b}` of a pattern: what is before it, its alternatives, what comes after it. `[{]` is none.
fn braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let bytes = pattern.as_bytes();
    let in_set = |at: usize| at > 0 && bytes[at - 1] == b'[';
    for start in (0..bytes.len()).filter(|at| bytes[*at] == b'{' && !in_set(*at)) {
        let (mut depth, mut item, mut items) = (0, start + 1, Vec::new());
        for at in start..bytes.len() {
            match bytes[at] {
                b'{' => depth += 1,
                b',' if depth == 1 => {
                    items.push(&pattern[item..at]);
                    item = at + 1;
                }
                b'}' if depth == 1 && items.is_empty() => break,
                b'}' if depth == 1 => {
                    items.push(&pattern[item..at]);
                    return Some((&pattern[..start], items, &pattern[at + 1..]));
                }
                b'}' => depth -= 1,
                _ => {}
            }
        }
    }
    None
}

fn remove(path: &str) -> Fallible<bool> {
    rt().checkpoint()?;
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
    if rt().cwd().starts_with(&real) && !rt().jobs.run_dir().starts_with(&real) {
        let what =
            if rt().cwd() == real { "is the current directory" } else { "holds the current directory" };
        return Err(ScriptError::usage(format!("remove: `{path}` {what}"))
            .note(format!("cwd() is {}", rt().cwd().display()))
            .hint("cd(\"/\") before   (or to another place outside of it)")
            .into());
    }
    if rt().jobs.run_dir().starts_with(&real) {
        return Err(ScriptError::usage(format!(
            "remove: `{path}` is the directory of this run, or above it"
        ))
        .note(format!("it is {}", real.display()))
        .into());
    }
    fs::remove_dir_all(&full).map(|()| true).map_err(|e| failed("remove: cannot remove", path, &e).into())
}

fn temp_dir(_: &NativeCallContext, opts: TempDir) -> Fallible<String> {
    rt().checkpoint()?;
    let run = rt().jobs.run_dir();
    let failed = |e: std::io::Error| {
        ScriptError::io(format!("temp_dir: cannot create a directory in {}: {}", run.display(), reason(&e)))
            .fact("path", run.display().to_string())
    };
    let dir = match opts.user {
        Some(user) => dir_of("temp_dir", &user)?,
        None => fresh_dir(run).map_err(failed)?,
    };
    Ok(dir.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_alternatives() {
        let of = |pattern: &str| {
            let mut all = alternatives(pattern).expect("few enough");
            all.sort();
            all
        };
        assert_eq!(of("*.{yml,yaml}"), ["*.yaml", "*.yml"]);
        assert_eq!(of("{a,b{1,2}}/{,x}"), ["a/", "a/x", "b1/", "b1/x", "b2/", "b2/x"]);
        for none in ["{a}", "a{", "}{,", "[{]a,b}", "{}"] {
            assert_eq!(of(none), [none]);
        }
        assert!(alternatives(&"{a,b}".repeat(30)).is_none());
    }
}
