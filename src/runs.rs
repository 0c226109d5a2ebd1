//! The runs of this machine, found by their directories, and what those left that lost both their processes.
//!
//! What is found was written by others, perhaps by nobody of ours: a directory counts only when it is no link and
//! nobody but its owner can enter it, a record only says where to look, and the lock decides who lives.

use crate::rundir;
use crate::sys::page::{self, Page};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How many kept directories of failed runs stay.
const KEPT: usize = 10;

/// A run, by its directory.
pub struct Run {
    pub name: String,
    /// As the kernel shows it among the open files of a process.
    pub path: PathBuf,
    pub uid: u32,
    pub state: State,
    /// A copy of its record; none when there is none that this version can read.
    pub page: Option<Box<Page>>,
    changed: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Guard or host hold the lock.
    Live,
    /// Both are gone, and neither has said that the run is over.
    Lost,
    /// Over; its directory was kept.
    Ended,
    /// Both are gone, and there is no record to tell what it left.
    Unknown,
}

/// Every run in the directory that this process would use as well, oldest first.
pub fn all() -> Vec<Run> {
    let Ok(base) = fs::canonicalize(rundir::base()) else { return Vec::new() };
    let names = fs::read_dir(&base).into_iter().flatten().flatten();
    let mut found: Vec<Run> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(rundir::PREFIX) && !name.ends_with(rundir::SHARED))
        .filter_map(|name| open(&base, name))
        .collect();
    found.sort_by(|a, b| (a.changed, &a.name).cmp(&(b.changed, &b.name)));
    found
}

/// Reads one run. None when it is none: no directory, a link, open to others, not readable for us, only just being
/// made, or being removed.
fn open(base: &Path, name: String) -> Option<Run> {
    let path = base.join(&name);
    let dir = openat(AT_FDCWD, &path, OFlag::O_DIRECTORY | FLAGS, Mode::empty()).ok()?;
    let meta = fstat(&dir).ok()?;
    if meta.st_mode & 0o777 != 0o700 {
        return None;
    }
    let lock = regular(&dir, rundir::LOCK)?;
    // Shared: whoever else looks at this moment must not take us for the run.
    let held = matches!(Flock::lock(lock, FlockArg::LockSharedNonblock), Err((_, Errno::EWOULDBLOCK)));
    let page = regular(&dir, rundir::PAGE).and_then(|file| page::read(&file));
    let state = match &page {
        _ if held => State::Live,
        None => State::Unknown,
        // The lock is what counts, but should somebody have replaced it, nobody shall be killed for that.
        Some(page) if page.counts_here() && (page.guard().alive() || page.host().alive()) => State::Live,
        Some(page) if page.ended() || page.is_of_another_boot() => State::Ended,
        Some(_) => State::Lost,
    };
    let changed = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(meta.st_mtime.cast_unsigned());
    Some(Run { name, path, uid: meta.st_uid, state, page, changed })
}

const FLAGS: OFlag =
    OFlag::O_CLOEXEC.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// Opens a plain file of a run directory for reading; not a link, nor a FIFO that would hold us up.
fn regular(dir: &OwnedFd, name: &str) -> Option<File> {
    let file = openat(dir, name, FLAGS, Mode::empty()).ok()?;
    let kind = SFlag::from_bits_truncate(fstat(&file).ok()?.st_mode & SFlag::S_IFMT.bits());
    (kind == SFlag::S_IFREG).then(|| File::from(file))
}

/// What the last of the two processes does with the directory of a run that is over.
pub fn tidy(run: &Path, keep: bool) {
    if let Some(page) = page::get() {
        page.end();
    }
    if keep {
        prune(run);
    } else {
        rundir::remove(run);
    }
}

/// Removes the oldest directories of ended runs of ours, so that failures do not fill the disk.
fn prune(run: &Path) {
    let me = nix::unistd::geteuid().as_raw();
    let name = run.file_name().unwrap_or_default();
    let over = |other: &Run| other.uid == me && other.name.as_str() != name && other.state != State::Live;
    let old: Vec<Run> = all().into_iter().filter(over).collect();
    let surplus = (old.len() + 1).saturating_sub(KEPT);
    for other in old.into_iter().take(surplus) {
        rundir::remove(&other.path);
    }
}
