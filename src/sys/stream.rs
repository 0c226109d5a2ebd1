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

/// Has a pipe show to another one what is in it, without taking it or copying it (tee(2)): as much as goes without waiting,
/// whatever flags they have. Nothing goes where the one is empty or the other full. None where it cannot be had: one of them
/// is not a pipe.
pub fn show(from: &OwnedFd, to: BorrowedFd, most: usize) -> Option<Written> {
    if testing::off("tee") {
        return None;
    }
    // SAFETY: two descriptors and two numbers.
    let n = unsafe { libc::tee(from.as_raw_fd(), to.as_raw_fd(), most, libc::SPLICE_F_NONBLOCK) };
    match Errno::result(n) {
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EPERM | Errno::EBADF) => None,
        result => Some(written(to, result.map(isize::cast_unsigned))),
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
    fn what_a_pipe_shows_to_another_one_is_in_both() {
        let (from, write) = fd::pipe().expect("a pipe");
        let (to, show_to) = fd::pipe().expect("a pipe");
        fd::set_nonblocking(&to).expect("ours");
        assert_eq!(show(&from, show_to.as_fd(), PIPE), Some(Written::Stalled), "it is empty");
        nix::unistd::write(&write, b"one two").expect("written");
        assert_eq!(show(&from, show_to.as_fd(), 3), Some(Written::Bytes(3)));
        let mut buffer = BytesMut::with_capacity(PIPE);
        assert!(matches!(read_more(&from, &mut buffer, 3), Read::Bytes(3)));
        assert_eq!(show(&from, show_to.as_fd(), PIPE), Some(Written::Bytes(4)));
        let mut seen = [0; 100];
        assert!(matches!(fd::read_some(&to, &mut seen), Read::Bytes(7)) && seen.starts_with(b"one two"));
        assert!(matches!(read_more(&from, &mut buffer, 100), Read::Bytes(4)) && buffer[..] == *b"one two");
        // What is full takes nothing, and takes something again once it has been read.
        nix::unistd::write(&show_to, &vec![0; PIPE]).expect("written");
        nix::unistd::write(&write, b"three").expect("written");
        assert_eq!(show(&from, show_to.as_fd(), PIPE), Some(Written::Stalled));
        while let Read::Bytes(_) = fd::read_some(&to, &mut [0; 4096]) {}
        assert_eq!(show(&from, show_to.as_fd(), PIPE), Some(Written::Bytes(5)));
        let file = tempfile::tempfile().expect("a file");
        assert_eq!(show(&from, file.as_fd(), PIPE), None);
        drop(to);
        assert_eq!(show(&from, show_to.as_fd(), PIPE), Some(Written::Gone));
    }

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
