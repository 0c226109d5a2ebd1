//! One inotify instance for the whole run: 128 instances a user is the usual limit (inotify(7)).

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

pub struct Watch(Inotify);

/// None where the limit is reached; then whoever waits polls.
pub fn create() -> Option<Watch> {
    Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok().map(Watch)
}

impl Watch {
    /// Reports what is written, created, moved in or removed in this directory.
    pub fn directory(&self, path: &Path) -> bool {
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CLOSE_WRITE;
        self.0.add_watch(path, flags).is_ok()
    }

    /// Reports the next write to this file, or that it is renamed; false when that cannot be had. A file that is not there is
    /// not written to.
    pub fn next_write(&self, file: &Path) -> bool {
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONESHOT
            | AddWatchFlags::IN_DONT_FOLLOW;
        matches!(self.0.add_watch(file, flags), Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR))
    }

    /// Takes what has been reported; whether one of these names was among it, or what has changed cannot be told.
    pub fn changed(&self, wanted: impl Fn(&OsStr) -> bool) -> bool {
        let mut found = false;
        while let Ok(events) = self.0.read_events()
            && !events.is_empty()
        {
            // Without a name when reports were lost, or the directory itself is gone.
            found |= events.iter().any(|event| event.name.as_deref().is_none_or(&wanted));
        }
        found
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
