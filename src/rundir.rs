//! The directory of one run: its logs, temporary directories, and the one file that says whether it is alive, by a lock, and
//! what it runs (see `sys::page`).
//!
//! Named by the guard before it forks. Both processes hold the lock, through one open file: it is free only
//! when both are gone. How it ends is told in `end`.

use crate::sys::open;
use crate::sys::page::Page;
use crate::sys::proc;
use anyhow::Context;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// With which the name of every run begins.
pub const PREFIX: &str = "bgjobs-";
/// The directory of the logs, which comes with the first of them (`jobs::launch`): a run of commands alone has none, and on
/// ext4 it took a twentieth of such a run to make and to remove it. One that is over and has none was not kept (`end`).
pub const LOGS: &str = "logs";
/// The file that both processes keep locked, and that holds the record of the run. Versions up to 0.2 kept the record in
/// other files, but locked one of this name: so each of the two sees which runs of the other live.
pub const RECORD: &str = "lock";
/// What it is called until it is locked and complete.
const UNNAMED_RECORD: &str = "lock.new";
/// What the name of the directory beside the run directory ends with; see [`shared_dir`].
pub const SHARED: &str = ".users";
/// Unix socket paths have room for 107 bytes (unix(7)); a longer base leaves too little for the rest.
const LONGEST_BASE: usize = 50;

/// Without a TMPDIR, or with one that cannot serve.
const DEFAULT_BASE: &str = "/tmp";

/// Creates the directory, 0700 and with an unpredictable name, and in it the record, a copy of this page; `keep`: it is to
/// stay, whether or not anything is logged.
pub fn create(page: &Page, keep: bool) -> anyhow::Result<PathBuf> {
    let base = base();
    let dir = tempfile::Builder::new()
        .prefix(PREFIX)
        .rand_bytes(6)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(&base)
        .with_context(|| {
            format!("cannot create a directory in {} (set TMPDIR to a writable one)", base.display())
        })?;
    let path = dir.keep();
    match furnish(&path, page, keep) {
        Ok(()) => Ok(path),
        Err(error) => {
            // One by one, which needs no descriptor: that may be what is missing.
            let _ = fs::remove_file(path.join(UNNAMED_RECORD));
            let _ = fs::remove_dir(path.join(LOGS));
            let _ = fs::remove_dir(&path);
            Err(error.context("cannot prepare the run directory"))
        }
    }
}

fn furnish(path: &Path, page: &Page, keep: bool) -> anyhow::Result<()> {
    if keep {
        open::private_directory(&path.join(LOGS))?;
    }
    // Locked before it has its name: a record that is there and whose lock is free means that both processes are gone.
    let unnamed = path.join(UNNAMED_RECORD);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unnamed)?;
    file.lock()?;
    page.keep_in(file);
    fs::rename(unnamed, path.join(RECORD))?;
    Ok(())
}

/// Where run directories are made, and looked for.
pub fn base() -> PathBuf {
    wanted_base().filter(|wanted| unfit(wanted).is_none()).unwrap_or_else(|| PathBuf::from(DEFAULT_BASE))
}

/// Why the TMPDIR that was set is not used.
pub fn passed_over() -> Option<String> {
    let wanted = wanted_base()?;
    unfit(&wanted).map(|why| format!("{why}: using {DEFAULT_BASE} instead of TMPDIR {}", wanted.display()))
}

/// The TMPDIR that was set; an empty one is none. From where we were called, whatever `cd` comes later.
fn wanted_base() -> Option<PathBuf> {
    let wanted = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty())?;
    Some(std::path::absolute(&wanted).unwrap_or_else(|_| wanted.into()))
}

fn unfit(base: &Path) -> Option<String> {
    match base.to_str().map(str::len) {
        // A script could not even name it.
        None => Some("it is not UTF-8".to_owned()),
        Some(length) if length > LONGEST_BASE => Some(format!(
            "a path of {length} bytes leaves no room for Unix sockets, whose paths end at 107 (at most {LONGEST_BASE} do)"
        )),
        Some(_) => None,
    }
}

/// What a run is called: the name of its directory.
pub fn name(run: &Path) -> String {
    run.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Where the temporary directories of other users lie: beside the run directory, which only its owner may
/// enter. Entered by all, listed by none (0711).
pub fn shared_dir(run: &Path) -> PathBuf {
    let mut name = run.file_name().unwrap_or_default().to_os_string();
    name.push(SHARED);
    run.with_file_name(name)
}

/// Whether what lies beside the run directory is a directory of its owner, and not what somebody else has planted
/// there: its name can be guessed.
pub fn is_ours(run: &Path, shared: &Path) -> bool {
    let owner = |path: &Path| fs::symlink_metadata(path).map(|meta| meta.uid());
    fs::symlink_metadata(shared)
        .is_ok_and(|meta| meta.is_dir() && owner(run).is_ok_and(|owner| owner == meta.uid()))
}

/// The logs of a run, if there are any.
pub fn logs(run: &Path) -> Option<PathBuf> {
    let logs = run.join(LOGS);
    let any = fs::read_dir(&logs).is_ok_and(|mut entries| entries.next().is_some());
    any.then_some(logs)
}

/// Without /proc nobody can be found, counted or named.
pub fn proc_is_there() -> bool {
    proc::available()
}
