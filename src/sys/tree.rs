//! Removes a tree of files: follows no links, crosses no mounts, and goes on past what cannot be removed.
//!
//! Everything is reached from the directory above it (unlinkat(2)), so that nobody who may write in the tree leads us
//! out of it. rmdir(2) refuses a mount point before it looks whether the directory is empty, which tells one from the
//! other, a bind mount of the same filesystem included.

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What could not be removed.
#[derive(Clone, Debug)]
pub struct Stays {
    pub path: PathBuf,
    /// Whose it is, as far as that can be seen.
    pub owner: Option<u32>,
    pub errno: Errno,
}

/// Removes all that is in a directory of ours but what has one of these names, and returns what stays all the same.
/// `tick` is called for every entry: a large tree takes a while.
pub fn empty(path: &Path, spared: &[&str], tick: &mut dyn FnMut()) -> Vec<Stays> {
    let mut removal = Removal { stays: Vec::new(), tick };
    if let Some(dir) = removal.open_own(path) {
        removal.empty(&dir, path, spared);
    }
    removal.stays
}

/// As [`empty`], and the directory itself. What has one of the names `last` goes last, in this order, and only when
/// nothing else stays.
pub fn remove(path: &Path, last: &[&str], tick: &mut dyn FnMut()) -> Vec<Stays> {
    let mut removal = Removal { stays: Vec::new(), tick };
    if let Some(dir) = removal.open_own(path) {
        removal.empty(&dir, path, last);
        for name in last {
            if removal.stays.is_empty() {
                removal.remove(&dir, OsStr::new(name), &path.join(name));
            }
        }
    }
    let mut stays = removal.stays;
    if stays.is_empty()
        && let Err(error) = std::fs::remove_dir(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        stays.push(Stays { path: path.to_owned(), owner: None, errno });
    }
    stays
}

struct Removal<'a> {
    stays: Vec<Stays>,
    tick: &'a mut dyn FnMut(),
}

impl Removal<'_> {
    /// Opens the directory at the top, which has to be ours; none when it is not there, or stays.
    fn open_own(&mut self, path: &Path) -> Option<OwnedFd> {
        let errno = match open(AT_FDCWD, path.as_os_str()) {
            Ok(dir) if fstat(&dir).is_ok_and(|meta| meta.st_uid == nix::unistd::geteuid().as_raw()) => {
                return Some(dir);
            }
            Err(Errno::ENOENT) => return None,
            Ok(_) => Errno::EPERM,
            Err(errno) => errno,
        };
        self.stays(AT_FDCWD, path.as_os_str(), path, errno);
        None
    }

    fn empty(&mut self, dir: &OwnedFd, path: &Path, spared: &[&str]) {
        make_writable(dir);
        let names = match names(dir) {
            Ok(names) => names,
            Err(errno) => return self.stays(AT_FDCWD, path.as_os_str(), path, errno),
        };
        for name in names {
            (self.tick)();
            let name = OsStr::from_bytes(name.to_bytes());
            if !spared.iter().any(|spared| name == *spared) {
                self.remove(dir, name, &path.join(name));
            }
        }
    }

    fn remove(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path) {
        let unlink = |flag| unlinkat(dir, name, flag);
        match unlink(UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return,
            Err(Errno::EISDIR) => {}
            Err(errno) => return self.stays(dir, name, path, errno),
        }
        match unlink(UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return,
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
            Err(errno) => return self.stays(dir, name, path, errno),
        }
        let before = self.stays.len();
        match open(dir, name) {
            Ok(inner) => self.empty(&inner, path, &[]),
            Err(errno) => return self.stays(dir, name, path, errno),
        }
        if self.stays.len() == before
            && let Err(errno) = unlink(UnlinkatFlags::RemoveDir)
            && errno != Errno::ENOENT
        {
            self.stays(dir, name, path, errno);
        }
    }

    fn stays(&mut self, dir: impl AsFd, name: &OsStr, path: &Path, errno: Errno) {
        let owner = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|meta| meta.st_uid).ok();
        self.stays.push(Stays { path: path.to_owned(), owner, errno });
    }
}

/// A directory that is no link; one of ours that nobody may read is made readable.
fn open(dir: impl AsFd + Copy, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(dir, name, flags, Mode::empty()) {
        Err(Errno::EACCES) => {
            let seen = openat(dir, name, flags | OFlag::O_PATH, Mode::empty())?;
            // fchmod(2) does not take such a descriptor.
            let path = format!("/proc/self/fd/{}", seen.as_raw_fd());
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(path, mode).map_err(|_| Errno::EACCES)?;
            openat(dir, name, flags, Mode::empty())
        }
        result => result,
    }
}

/// Package managers leave directories in which nobody may write (Go's module cache).
fn make_writable(dir: &OwnedFd) {
    if fstat(dir).is_ok_and(|meta| meta.st_mode & 0o700 != 0o700) {
        let _ = fchmod(dir, Mode::S_IRWXU);
    }
}

fn names(dir: &OwnedFd) -> nix::Result<Vec<std::ffi::CString>> {
    let mut list = Dir::openat(dir, ".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let own = |name: &CStr| name == c"." || name == c"..";
    let entries = list.iter().filter_map(Result::ok).map(|entry| entry.file_name().to_owned());
    Ok(entries.filter(|name| !own(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_tree_is_emptied_without_following_links_and_without_what_is_spared() {
        let base = tempfile::tempdir().expect("a directory");
        let (outside, tree) = (base.path().join("outside"), base.path().join("tree"));
        fs::create_dir_all(outside.join("kept")).expect("made");
        fs::create_dir_all(tree.join("a/b/c")).expect("made");
        fs::create_dir(tree.join("logs")).expect("made");
        fs::write(tree.join("logs/x.log"), "x").expect("written");
        fs::write(tree.join("a/b/file"), "x").expect("written");
        symlink(&outside, tree.join("a/link")).expect("a link");
        for dir in ["a/b/c", "a/b"] {
            fs::set_permissions(tree.join(dir), fs::Permissions::from_mode(0o000)).expect("a mode");
        }
        let mut entries = 0;
        let stays = empty(&tree, &["logs"], &mut || entries += 1);
        assert!(stays.is_empty(), "{stays:?}");
        assert!(entries >= 5, "{entries}");
        assert!(
            outside.join("kept").exists() && tree.join("logs/x.log").exists() && !tree.join("a").exists()
        );
        assert!(remove(&tree, &[], &mut || {}).is_empty() && !tree.exists());
        assert!(remove(&tree, &[], &mut || {}).is_empty(), "what is not there does not stay");
        symlink(&outside, &tree).expect("a link");
        assert_eq!(remove(&tree, &[], &mut || {}).len(), 1, "a link is not followed");
        assert!(outside.join("kept").exists());
    }

    #[test]
    fn what_goes_last_goes_too() {
        let base = tempfile::tempdir().expect("a directory");
        let tree = base.path().join("tree");
        fs::create_dir_all(tree.join("logs/old")).expect("made");
        fs::write(tree.join("lock"), "").expect("written");
        assert!(remove(&tree, &["page", "lock"], &mut || {}).is_empty() && !tree.exists());
    }
}
