//! Unix sockets that have a path, and who is at the other end. What is said over them is none of its business.
//!
//! A path has room for 107 bytes (unix(7)); a longer one is reached through a descriptor of its directory.

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::sys::stat::Mode;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

const LONGEST: usize = 107;

/// A process at the other end, as the kernel knew it when it connected.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// In our PID namespace; 0 when it is in none that we see.
    pub pid: i32,
    pub uid: u32,
}

/// Listens at a path where there is nothing yet, for its owner alone. Who may come meanwhile the directory has to say.
///
/// # Errors
/// As bind(2); nothing is there then.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let listener = within_reach(path, |path| UnixListener::bind(path))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })?;
    Ok(listener)
}

/// # Errors
/// As connect(2): ECONNREFUSED when nobody listens any more.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    within_reach(path, |path| UnixStream::connect(path))
}

/// # Errors
/// As getsockopt(2).
pub fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let who = getsockopt(stream, PeerCredentials)?;
    Ok(Peer { pid: who.pid(), uid: who.uid() })
}

/// Calls this with a path to the same place that is short enough.
fn within_reach<T>(path: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return call(path) };
    if path.as_os_str().as_bytes().len() <= LONGEST {
        return call(path);
    }
    let held = openat(AT_FDCWD, dir, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    call(&PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd())).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_long_path_is_reached_as_well_and_the_peer_is_known() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["short", &"long".repeat(30)] {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).expect("made");
            let path = path.join("socket");
            let listener = listen(&path).expect("it listens");
            let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            let mut ours = connect(&path).expect("it connects");
            let (mut theirs, _) = listener.accept().expect("it is accepted");
            let who = peer(&theirs).expect("it is known");
            assert_eq!(
                (who.pid, who.uid),
                (std::process::id().cast_signed(), nix::unistd::geteuid().as_raw())
            );
            ours.write_all(b"x").expect("written");
            theirs.read_exact(&mut [0]).expect("read");
            drop((listener, theirs));
            assert_eq!(connect(&path).expect_err("nobody").kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
