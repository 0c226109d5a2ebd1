//! pidfds: a handle of one process, which its successor under the same number cannot be confused with
//! (pidfd_open(2), Linux 5.3; pidfd_send_signal(2), 5.1).

use super::fd;
use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

/// Processes of which the kernel keeps who has ended: to ask for that costs the same however many they are, while waitid(2)
/// goes through all children.
#[derive(Default)]
pub struct Ends(OnceLock<Option<Epoll>>);

impl Ends {
    /// From now on, until what is returned goes. It is told by this number. None: that cannot be had.
    pub fn watch(&self, pid: i32, number: usize) -> Option<OwnedFd> {
        let new = || Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).ok();
        let epoll = self.0.get_or_init(new).as_ref()?;
        let process = fd::out_of_the_way(open(pid).ok()?);
        if fd::are_scarce(&process) {
            return None;
        }
        let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(number).ok()?);
        epoll.add(&process, event).is_ok().then_some(process)
    }

    /// Some of those that have ended, all in the end; perhaps one that is watched no more.
    pub fn some(&self) -> Vec<usize> {
        const AT_ONCE: usize = 256;
        let Some(Some(epoll)) = self.0.get() else { return Vec::new() };
        let mut events = [EpollEvent::empty(); AT_ONCE];
        let count = epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        events[..count].iter().filter_map(|event| usize::try_from(event.data()).ok()).collect()
    }
}

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
