//! The files that a process has open.

use super::stat::stat;
use super::tree::pids;
use crate::sys::kernel;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// An open file that a process writes to and for which `wanted` holds.
pub fn writes_to(pid: i32, wanted: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let writes = |view: &Path, number: &OsStr| {
        let info = kernel::text(view.join("fdinfo").join(number)).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
        Some(flags & nix::libc::O_ACCMODE != nix::libc::O_RDONLY)
    };
    views(pid).find_map(|view| {
        fs::read_dir(view.join("fd")).ok()?.flatten().find_map(|entry| {
            let file = fs::read_link(entry.path()).ok().filter(|file| wanted(file))?;
            writes(&view, &entry.file_name())?.then_some(file)
        })
    })
}

/// Where /proc shows a process: by its leading thread, and when that has ended while others live, which lets go of
/// everything, by those.
pub(super) fn views(pid: i32) -> impl Iterator<Item = PathBuf> {
    let dead = stat(pid).is_some_and(|stat| stat.state == 'Z' && stat.threads > 1);
    let threads = dead.then(|| fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten();
    let threads = threads.into_iter().flatten().flatten().map(|thread| thread.path());
    std::iter::once(PathBuf::from(format!("/proc/{pid}"))).chain(threads)
}

/// Where a regular file that is open here lies.
pub fn open_path(fd: &impl AsRawFd) -> Option<PathBuf> {
    let place = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    place.is_absolute().then_some(place)
}

/// Where the open descriptors of a process point to; none when they may not be read.
pub fn open_files(pid: i32) -> Option<Vec<PathBuf>> {
    let list = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(list.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect())
}

/// The processes that have one of these sockets open, by inode, and whether every process could be read.
pub fn socket_owners(inodes: &[u64]) -> (HashMap<u64, Vec<i32>>, bool) {
    let wanted: HashMap<PathBuf, u64> =
        inodes.iter().map(|inode| (PathBuf::from(format!("socket:[{inode}]")), *inode)).collect();
    let mut owners: HashMap<u64, Vec<i32>> = HashMap::new();
    let mut complete = true;
    for pid in pids() {
        match open_files(pid) {
            Some(files) => {
                for inode in files.iter().filter_map(|file| wanted.get(file)) {
                    owners.entry(*inode).or_default().push(pid);
                }
            }
            None => complete = false,
        }
    }
    (owners, complete)
}
