//! Much output in few system calls: pipes that hold more, reads without a copy, writes that take what fits at once.
//!
//! All of it is for speed alone: where the kernel or a sandbox refuses, [`super::fd`] does the same in small pieces.

use super::fd::{Written, written};
use super::testing;
use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// What a pipe holds unless somebody has asked for more (pipe(7)).
pub const PIPE: usize = 64 << 10;
/// What a pipe is made to hold through which much comes: more would be of little use, and each user has a limit for all
/// pipes together (pipe(7)).
pub const LARGE_PIPE: usize = 4 * PIPE;
/// The same for what goes from pipe to pipe, of one command at a time: as much as anybody may have without a privilege.
pub const LARGEST_PIPE: usize = 16 * PIPE;

/// Makes a pipe hold at least so many bytes; how many it holds then. A user who has too many of these keeps what it has.
pub fn grow(pipe: impl AsFd, bytes: usize) -> usize {
    let wanted = i32::try_from(bytes).unwrap_or(i32::MAX);
    let size = match fcntl(&pipe, FcntlArg::F_GETPIPE_SZ) {
        Ok(size) if size < wanted => fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(wanted)).unwrap_or(size),
        size => size.unwrap_or(0),
    };
    usize::try_from(size).ok().filter(|size| *size > 0).unwrap_or(PIPE)
}

/// Makes the pipe that our output goes to hold more, so that whoever reads it and we wake each other less often. Once for each
/// size, for it belongs to others as well; and only for a reader who reads, or more would be written that nobody will.
pub fn grow_once(pipe: BorrowedFd, bytes: usize) {
    static GROWN: AtomicUsize = AtomicUsize::new(0);
    if GROWN.fetch_max(bytes, Relaxed) < bytes {
        grow(pipe, bytes);
    }
}

/// Memory that much is read into, one read behind the other. What has come is handed out without a copy, and keeps all of it.
///
/// It is what the kernel calls a huge page: to get 64 MiB page by page takes as long as to copy them several times.
pub struct Chunk {
    block: Arc<Block>,
    used: usize,
}

impl Chunk {
    /// How much there is room for.
    pub const SIZE: usize = 2 << 20;

    pub fn new() -> Self {
        Self { block: Arc::new(Block::new()), used: 0 }
    }

    pub fn room(&self) -> usize {
        Self::SIZE - self.used
    }

    /// Reads at most so many bytes, and not more than there is room for. What is shorter than `least` does not stay here.
    pub fn read(&mut self, fd: &OwnedFd, most: usize, least: usize) -> ReadInto {
        let most = most.min(self.room());
        // SAFETY: `used` is within the block, and behind it nobody but us reads or writes for `most` bytes.
        let n = unsafe { libc::read(fd.as_raw_fd(), self.block.0.as_ptr().add(self.used).cast(), most) };
        match usize::try_from(n) {
            Ok(0) => ReadInto::End,
            Ok(length) => {
                let piece = Piece { block: Arc::clone(&self.block), from: self.used, length };
                if length < least {
                    return ReadInto::Bytes(Bytes::copy_from_slice(piece.as_ref()));
                }
                self.used += length;
                ReadInto::Bytes(Bytes::from_owner(piece))
            }
            Err(_) if matches!(Errno::last(), Errno::EINTR | Errno::EAGAIN) => ReadInto::Nothing,
            Err(_) => ReadInto::End, // EIO: the other end of a terminal is gone.
        }
    }
}

/// As [`super::fd::Read`], with what has come.
pub enum ReadInto {
    Bytes(Bytes),
    Nothing,
    End,
}

/// What a read has filled of a block. Nobody writes there any more.
struct Piece {
    block: Arc<Block>,
    from: usize,
    length: usize,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the kernel has filled so many bytes there, within the block, which lives as long as we do.
        unsafe { std::slice::from_raw_parts(self.block.0.as_ptr().add(self.from), self.length) }
    }
}

/// [`Chunk::SIZE`] bytes.
struct Block(NonNull<u8>);

// SAFETY: plain memory, which is freed once.
unsafe impl Send for Block {}
// SAFETY: what may be read by several is not written any more.
unsafe impl Sync for Block {}

/// The last that was given back: where the oldest output is dropped for the newest, that is the next to be filled.
static SPARE: Mutex<Option<Block>> = Mutex::new(None);

impl Block {
    const LAYOUT: Layout = match Layout::from_size_align(Chunk::SIZE, Chunk::SIZE) {
        Ok(layout) => layout,
        Err(_) => panic!("a power of two"),
    };

    fn new() -> Self {
        if let Some(spare) = SPARE.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return spare;
        }
        // SAFETY: its size is not 0.
        let Some(start) = NonNull::new(unsafe { alloc(Self::LAYOUT) }) else {
            handle_alloc_error(Self::LAYOUT);
        };
        // SAFETY: advice on memory that is ours. A kernel without such pages gives small ones.
        unsafe { libc::madvise(start.as_ptr().cast(), Chunk::SIZE, libc::MADV_HUGEPAGE) };
        Self(start)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            *spare = Some(Self(self.0));
        } else {
            drop(spare);
            // SAFETY: it was got with this layout, and nobody else has it.
            unsafe { dealloc(self.0.as_ptr(), Self::LAYOUT) };
        }
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
    #[test]
    fn what_a_pipe_shows_to_another_one_is_in_both() {
        let (from, write) = fd::pipe().expect("a pipe");
        let (to, show_to) = fd::pipe().expect("a pipe");
        fd::set_nonblocking(&to).expect("ours");
        assert_eq!(show(&from, show_to.as_fd(), PIPE), Some(Written::Stalled), "it is empty");
        nix::unistd::write(&write, b"one two").expect("written");
        assert_eq!(show(&from, show_to.as_fd(), 3), Some(Written::Bytes(3)));
        let mut chunk = Chunk::new();
        let mut read = |most| match chunk.read(&from, most, 1) {
            ReadInto::Bytes(bytes) => bytes,
            ReadInto::Nothing | ReadInto::End => panic!("there is something"),
        };
        let first = read(3);
        assert_eq!(show(&from, show_to.as_fd(), PIPE), Some(Written::Bytes(4)));
        let mut seen = [0; 100];
        assert!(matches!(fd::read_some(&to, &mut seen), fd::Read::Bytes(7)) && seen.starts_with(b"one two"));
        assert_eq!((&first[..], &read(100)[..]), (&b"one"[..], &b" two"[..]));
        // What is full takes nothing, and takes something again once it has been read.
        nix::unistd::write(&show_to, &vec![0; PIPE]).expect("written");
        nix::unistd::write(&write, b"three").expect("written");
        assert_eq!(show(&from, show_to.as_fd(), PIPE), Some(Written::Stalled));
        while let fd::Read::Bytes(_) = fd::read_some(&to, &mut [0; 4096]) {}
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
        assert_eq!(grow(&write, PIPE), size, "it holds more by then");
        let mut chunk = Chunk::new();
        let mut pieces = Vec::new();
        for (most, room) in [(100, Chunk::SIZE), (usize::MAX, Chunk::SIZE)] {
            let ReadInto::Bytes(bytes) = chunk.read(&read, most, 101) else { panic!("there is something") };
            assert_eq!(chunk.room(), if bytes.len() > 100 { room - bytes.len() } else { room });
            pieces.push(bytes);
        }
        drop(chunk);
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [100, PIPE - 100]);
        assert!(pieces.concat().iter().all(|byte| *byte == 7));
        drop(read);
        assert_eq!(write_at_once(write.as_fd(), &bytes), Some(Written::Gone));
    }
}
