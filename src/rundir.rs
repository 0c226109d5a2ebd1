//! The directory of one run: logs, temporary directories, the lock that says whether the run is alive.
//!
//! Named by the guard before it forks. Both processes hold the lock, through one open file: it is free only
//! when both are gone. Removed by the last of the two, after the last process, following no links.

use crate::sys::proc;
use anyhow::Context;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How many kept directories of failed runs stay.
const KEPT: usize = 10;
const PREFIX: &str = "bgjobs-";
/// Unix socket paths have room for 107 bytes (unix(7)); a longer base leaves too little for the rest.
const LONGEST_BASE: usize = 50;

pub struct RunDir {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Creates the directory, 0700 and with an unpredictable name.
pub fn create() -> anyhow::Result<RunDir> {
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
    fs::create_dir(path.join("logs"))?;
    let lock = Flock::lock(File::create(path.join("lock"))?, FlockArg::LockExclusive)
        .map_err(|(_, e)| e)
        .context("cannot lock the run directory")?;
    Ok(RunDir { path, _lock: lock })
}

fn base() -> PathBuf {
    let wanted = std::env::temp_dir();
    let fits = wanted.as_os_str().len() <= LONGEST_BASE;
    if fits { wanted } else { PathBuf::from("/tmp") }
}

impl RunDir {
    /// For the host: the lock is the guard's too, and dropping ours would unlock both. Ends with the process.
    pub fn keep_locked(self) -> PathBuf {
        std::mem::forget(self._lock);
        self.path
    }

    /// Its last component: the name of the run.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records where the run's cgroup is, for whoever looks after a run that is dead.
    pub fn record_cgroup(&self, cgroup: &Path) {
        let _ = fs::write(self.path.join("cgroup"), cgroup.as_os_str().as_encoded_bytes());
    }
}

/// Where the temporary directories of other users lie: beside the run directory, which only its owner may
/// enter. Entered by all, listed by none (0711).
pub fn shared_dir(run: &Path) -> PathBuf {
    let mut name = run.file_name().unwrap_or_default().to_os_string();
    name.push(".users");
    run.with_file_name(name)
}

/// What of a run is worth looking at when it has failed: its logs, else what it put into temporary
/// directories; none when there is neither.
pub fn remains(run: &Path) -> Option<PathBuf> {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let logs = run.join("logs");
    if entries(&logs).next().is_some() {
        return Some(logs);
    }
    let own = |name: &std::ffi::OsStr| name == "logs" || name == "lock" || name == "cgroup";
    let has_files = entries(run).any(|entry| !own(&entry.file_name()));
    (has_files || shared_dir(run).exists()).then(|| run.to_owned())
}

/// What the last of the two processes does with the directory of a run that is over.
pub fn tidy(run: &Path, keep: bool) {
    if keep {
        prune(run);
    } else {
        remove(run);
    }
}

/// Removes everything of a run. `remove_dir_all` follows no links; what is mounted inside makes it fail, and
/// stays.
pub fn remove(run: &Path) {
    let _ = fs::remove_dir_all(shared_dir(run));
    let _ = fs::remove_dir_all(run);
}

/// Removes the oldest directories of ended runs of ours, so that failures do not fill the disk.
fn prune(run: &Path) {
    let Some(base) = run.parent() else { return };
    let me = nix::unistd::getuid().as_raw();
    let mut old: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.path() != run)
        .filter_map(|entry| {
            let meta = fs::symlink_metadata(entry.path()).ok()?;
            (meta.is_dir() && meta.uid() == me && is_ended(&entry.path()))
                .then_some((meta.modified().ok()?, entry.path()))
        })
        .collect();
    old.sort();
    let surplus = (old.len() + 1).saturating_sub(KEPT);
    for (_, path) in old.into_iter().take(surplus) {
        remove(&path);
    }
}

/// Whether the run of this directory is over: its lock can be had.
fn is_ended(run: &Path) -> bool {
    File::open(run.join("lock")).is_ok_and(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok())
}

/// Without /proc nobody can be found, counted or named.
pub fn proc_is_there() -> bool {
    proc::available()
}
