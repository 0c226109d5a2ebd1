//! Opens a file whose path leads through directories in which somebody else may write: a symbolic link of theirs, on the
//! way or at its end, is not followed, since it would have us read or write what they may not. Links of root's and of our
//! own are. Nor is a file opened that has a second name (a hard link), which may be anything of ours.
//!
//! openat2(2) says in one call that there is no link at all, which is the rule; else, and before Linux 5.6, the path is
//! walked, and each step is held before it is judged.

use super::testing;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::libc;
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// For reading.
///
/// # Errors
/// As [`with`].
pub fn read(path: &Path) -> io::Result<File> {
    with(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0)
}

/// A file that is open here, for reading, with an offset of its own: wherever it lies by now, or nowhere.
///
/// # Errors
/// As open(2).
pub fn reopen(file: &File) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// With these flags, and this mode if it is created. Relative paths are those of this process.
///
/// # Errors
/// ELOOP where somebody else's link is on the way, EMLINK where the file has a second name; else as open(2).
pub fn with(path: &Path, flags: OFlag, mode: libc::mode_t) -> io::Result<File> {
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let mode = Mode::from_bits_truncate(mode);
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let how = if flags.contains(OFlag::O_CREAT) { how.mode(mode) } else { how };
    let opened = if testing::off("openat2") { Err(Errno::ENOSYS) } else { openat2(AT_FDCWD, path, how) };
    let opened = match opened {
        // A link; a kernel that cannot do it, or a filter that does not know it.
        Err(Errno::ELOOP | Errno::ENOSYS | Errno::EPERM) => walk(path, flags, mode),
        result => result,
    };
    let file = opened?;
    let meta = fstat(&file)?;
    let kind = SFlag::from_bits_truncate(meta.st_mode & SFlag::S_IFMT.bits());
    if kind == SFlag::S_IFREG && meta.st_nlink > 1 {
        return Err(Errno::EMLINK.into());
    }
    Ok(file.into())
}

/// Makes a directory for us alone, whatever the umask is, unless it is there.
pub fn private_directory(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o700)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn walk(path: &Path, flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
    const STEP: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);
    let start = |path: &Path| {
        let from = if path.is_absolute() { "/" } else { "." };
        openat(AT_FDCWD, from, STEP | OFlag::O_DIRECTORY, Mode::empty())
    };
    let mut dir = start(path)?;
    let mut rest = steps(path);
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        let last = rest.is_empty();
        let name = name.as_os_str();
        let here = match openat(&dir, name, STEP | OFlag::O_NOFOLLOW, Mode::empty()) {
            Err(Errno::ENOENT) if last => return openat(&dir, name, flags | OFlag::O_NOFOLLOW, mode),
            step => step?,
        };
        let meta = fstat(&here)?;
        let kind = SFlag::from_bits_truncate(meta.st_mode & SFlag::S_IFMT.bits());
        if kind != SFlag::S_IFLNK {
            if last {
                return openat(&dir, name, flags | OFlag::O_NOFOLLOW, mode);
            }
            dir = here;
            continue;
        }
        links += 1;
        let trusted = meta.st_uid == 0 || meta.st_uid == nix::unistd::geteuid().as_raw();
        if !trusted || links > MOST_LINKS {
            return Err(Errno::ELOOP);
        }
        if fstatfs(&here)?.filesystem_type() == PROC_SUPER_MAGIC {
            // /dev/stderr leads to /proc/self/fd/2, whose text is not a path. In /proc nobody plants anything.
            if last {
                return openat(&dir, name, flags, mode);
            }
            dir = openat(&dir, name, STEP | OFlag::O_DIRECTORY, Mode::empty())?;
            continue;
        }
        let target = PathBuf::from(readlinkat(&here, "")?);
        if target.is_absolute() {
            dir = start(&target)?;
        }
        for step in steps(&target).into_iter().rev() {
            rest.push_front(step);
        }
    }
    // A path of directories alone, such as `/`.
    openat(&dir, ".", flags, mode)
}

fn steps(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{lchown, symlink};

    fn text(path: &Path, by: impl Fn(&Path) -> io::Result<File>) -> Result<String, i32> {
        let mut text = String::new();
        let file = by(path).map_err(|error| error.raw_os_error().unwrap_or(0));
        file.map(|mut file| file.read_to_string(&mut text).expect("read")).map(|_| text)
    }

    #[test]
    fn links_of_our_own_are_followed_and_those_of_others_are_not() {
        let base = tempfile::tempdir().expect("a directory");
        let base = fs::canonicalize(base.path()).expect("there");
        let at = |name: &str| base.join(name);
        fs::create_dir_all(at("real/dir")).expect("made");
        fs::write(at("real/dir/file"), "x").expect("written");
        symlink("real", at("ours")).expect("a link");
        symlink(at("ours/dir"), at("far")).expect("a link");
        symlink("loop", at("loop")).expect("a link");
        fs::write(at("twice"), "x").expect("written");
        fs::hard_link(at("twice"), at("again")).expect("a link");
        let walked =
            |path: &Path| walk(path, OFlag::O_RDONLY, Mode::empty()).map(File::from).map_err(Into::into);
        for by in [&read as &dyn Fn(&Path) -> io::Result<File>, &walked] {
            for way in ["real/dir/file", "ours/dir/file", "far/file", "far/../dir/./file"] {
                assert_eq!(text(&at(way), by), Ok("x".to_owned()), "{way}");
            }
            assert_eq!(text(&at("loop"), by), Err(libc::ELOOP));
            assert_eq!(text(&at("far/none"), by), Err(libc::ENOENT));
            assert_eq!(text(Path::new("/dev/null"), by), Ok(String::new()));
            assert!(by(Path::new("/proc/self/exe")).is_ok());
        }
        assert_eq!(text(&at("again"), read), Err(libc::EMLINK));
        let created = with(&at("far/new"), OFlag::O_CREAT | OFlag::O_WRONLY, 0o600);
        assert!(created.is_ok() && at("real/dir/new").exists());
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        for (link, way) in [("ours", "ours/dir/file"), ("far", "far/file")] {
            lchown(at(link), Some(65534), Some(65534)).expect("given away");
            for by in [&read as &dyn Fn(&Path) -> io::Result<File>, &walked] {
                assert_eq!(text(&at(way), by), Err(libc::ELOOP), "{way}");
            }
        }
        let created = with(&at("far/newer"), OFlag::O_CREAT | OFlag::O_WRONLY, 0o600);
        assert!(created.is_err() && !at("real/dir/newer").exists());
    }
}
