//! Much output in few system calls: pipes that hold more, reads without a copy, writes that take what fits at once.
//!
//! All of it is for speed alone: where the kernel or a sandbox refuses, [`super::fd`] does the same in small pieces.

use super::fd::{Read, Written, written};
use super::testing;
use bytes::{BufMut, BytesMut};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// What a pipe holds unless somebody has asked for more (pipe(7)).
pub const PIPE: usize = 64 << 10;

/// Makes a pipe of ours hold so many bytes; how many it holds then. A user who has too many of these keeps what it has.
pub fn grow(pipe: &OwnedFd, bytes: usize) -> usize {
    let wanted = i32::try_from(bytes).unwrap_or(i32::MAX);
    let size = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(wanted)).or_else(|_| fcntl(pipe, FcntlArg::F_GETPIPE_SZ));
    size.ok().and_then(|size| usize::try_from(size).ok()).unwrap_or(PIPE)
}

/// Reads at most so many bytes behind those that the buffer has, but not more than it has room for.
pub fn read_more(fd: &OwnedFd, buffer: &mut BytesMut, most: usize) -> Read {
    let room = buffer.spare_capacity_mut();
    let most = most.min(room.len());
    // SAFETY: `room` is ours to be written to for `most` bytes, whatever they were.
    let n = unsafe { libc::read(fd.as_raw_fd(), room.as_mut_ptr().cast(), most) };
    match usize::try_from(n) {
        Ok(0) => Read::End,
        Ok(n) => {
            // SAFETY: the kernel has filled so many bytes of what was free.
            unsafe { buffer.advance_mut(n) };
            Read::Bytes(n)
        }
        Err(_) if matches!(Errno::last(), Errno::EINTR | Errno::EAGAIN) => Read::Nothing,
        Err(_) => Read::End, // EIO: the other end of a terminal is gone.
    }
}

/// Writes as much as a pipe or a socket takes without making us wait, whatever flags its descriptor has: these belong to
/// whoever shares it. None where that cannot be asked for (before Linux 6.4, in a sandbox).
pub fn write_at_once(fd: BorrowedFd, bytes: &[u8]) -> Option<Written> {
    if testing::off("nowait") {
        return None;
    }
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: one part, which is only read. Position -1 is the descriptor's own.
    let n = unsafe { libc::pwritev2(fd.as_raw_fd(), &raw const part, 1, -1, libc::RWF_NOWAIT) };
    match Errno::result(n) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EPERM | Errno::EINVAL | Errno::ESPIPE) => None,
        result => Some(written(fd, result.map(isize::cast_unsigned))),
    }
}

/// Writes to what never waits for a reader ([`super::fd::keeps_nobody`]).
pub fn write_through(fd: BorrowedFd, bytes: &[u8]) -> Written {
    written(fd, nix::unistd::write(fd, bytes))
}

#[cfg(test)]
mod tests {
    use super::super::fd;
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_pipe_takes_what_fits_and_gives_it_all_back() {
        let (read, write) = fd::pipe().expect("a pipe");
        let bytes = vec![7; PIPE + 1000];
        let Some(written) = write_at_once(write.as_fd(), &bytes) else { return };
        assert_eq!(written, Written::Bytes(PIPE));
        assert_eq!(write_at_once(write.as_fd(), &bytes), Some(Written::Stalled));
        // With a user's limit it may stay as it is.
        let size = grow(&write, 4 * PIPE);
        assert!(size >= PIPE, "{size}");
        let mut buffer = BytesMut::with_capacity(PIPE);
        assert!(matches!(read_more(&read, &mut buffer, 100), Read::Bytes(100)));
        assert!(matches!(read_more(&read, &mut buffer, usize::MAX), Read::Bytes(n) if n == PIPE - 100));
        assert!(buffer.iter().all(|byte| *byte == 7) && buffer.len() == PIPE);
        drop(read);
        assert_eq!(write_at_once(write.as_fd(), &bytes), Some(Written::Gone));
    }
}
