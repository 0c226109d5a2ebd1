//! pidfds: a handle of one process, which its successor under the same number cannot be confused with
//! (pidfd_open(2), Linux 5.3; pidfd_send_signal(2), 5.1).

use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub fn open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: a plain system call; the returned descriptor is ours and close-on-exec.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = Errno::result(fd)?;
        Ok(OwnedFd::from_raw_fd(i32::try_from(fd).map_err(|_| Errno::EMFILE)?))
    }
}

pub fn send(fd: &OwnedFd, signal: i32) -> nix::Result<()> {
    // SAFETY: fd is a live pidfd; a null siginfo means the same as kill(2).
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(result).map(drop)
}
