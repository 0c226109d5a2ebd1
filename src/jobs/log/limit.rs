//! Keeps the logs of running jobs within their limits (`max_log`).
//!
//! A job writes its log itself, so nobody stands between it and the disk. A thread looks at the sizes. What is too much is dropped from the beginning, by punching a hole:
//! offsets, tails and waits stay right, whether the writers append or not, and half of the limit stays. Where the
//! file system has no holes the job is stopped.
//!
//! A job can be ahead of us by what it writes within [`SHORTEST`], or on a machine that is busy until this thread
//! has its turn. A job that is being stopped has at most [`LAST_GRACE`].

use crate::jobs::log::held::FileId;
use crate::sys::{fd, hole, open};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::statvfs::statvfs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// When a log is not limited otherwise.
pub const DEFAULT: u64 = 100_000_000;
/// Holes are made of whole blocks, and half of the limit has to hold the last lines.
pub const LEAST: u64 = 64_000;
pub(crate) const SHORTEST: Duration = Duration::from_millis(5);
/// For a job whose log can only be kept short by stopping it.
pub(crate) const LAST_GRACE: Duration = Duration::from_secs(1);

/// Wakes the thread when there is a new job.
pub struct Waker(OwnedFd);

impl Waker {
    pub fn new() -> nix::Result<(Self, OwnedFd)> {
        let (reader, writer) = fd::pipe()?;
        fd::set_nonblocking(&reader)?;
        fd::set_nonblocking(&writer)?;
        Ok((Self(writer), reader))
    }

    pub fn wake(&self) {
        // A full pipe wakes as well.
        let _ = nix::unistd::write(&self.0, &[0]);
    }
}

pub(crate) struct Kept {
    /// What may still come before the next look.
    pub(crate) room: u64,
    pub(crate) dropped: bool,
}

/// Drops the beginning of a log that is too long.
pub(crate) fn keep_short(path: &Path, id: FileId, limit: u64) -> nix::Result<Kept> {
    let within = |length: u64| Kept { room: limit.saturating_sub(length), dropped: false };
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(within(0)) };
    if meta.size() <= limit || FileId::of(&meta) != id {
        return Ok(within(meta.size().min(limit)));
    }
    let Ok(file) = open::with(path, OFlag::O_RDWR | OFlag::O_NONBLOCK, 0) else { return Ok(within(0)) };
    let Ok(meta) = file.metadata() else { return Ok(within(0)) };
    if FileId::of(&meta) != id {
        return Ok(within(0));
    }
    let length = meta.size() - hole::data_from(&file, 0).unwrap_or_else(|| meta.size()).min(meta.size());
    if length <= limit {
        return Ok(within(length));
    }
    match hole::punch(&file, meta.size() - limit / 2) {
        Ok(()) => Ok(Kept { room: limit / 2, dropped: true }),
        Err(Errno::EINTR) => Ok(within(limit)),
        Err(errno) => Err(errno),
    }
}

/// Whether nothing more can be written to this directory.
pub(crate) fn is_full(dir: &Path) -> bool {
    statvfs(dir).is_ok_and(|disk| {
        let free =
            if nix::unistd::geteuid().is_root() { disk.blocks_free() } else { disk.blocks_available() };
        free == 0 && disk.blocks() > 0
    })
}
