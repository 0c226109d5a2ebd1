//! Descriptors: what was inherited, writes that cannot block for ever, pipes.

use super::clock;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Marks every descriptor from 3 on close-on-exec, so that no job inherits what the caller left open
/// (a test runner's log pipe, a lock). All that we open ourselves is close-on-exec from its birth.
pub fn seal_inherited() {
    let Ok(list) = std::fs::read_dir("/proc/self/fd") else { return };
    for number in list.flatten().filter_map(|e| e.file_name().to_str()?.parse::<RawFd>().ok()) {
        if number > 2 {
            // SAFETY: the descriptor is only borrowed for one fcntl; a closed number answers EBADF.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            let _ = fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        }
    }
}

/// The soft limit of descriptors as we were started with; jobs get it back.
static LIMIT: OnceLock<nix::libc::rlimit> = OnceLock::new();

/// Raises the soft limit of descriptors to the hard one: a run with many jobs reads much of /proc.
pub fn raise_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const ENOUGH: u64 = 65_536;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard.min(ENOUGH)
        && setrlimit(Resource::RLIMIT_NOFILE, hard.min(ENOUGH), hard).is_ok()
    {
        let _ = LIMIT.set(nix::libc::rlimit { rlim_cur: soft, rlim_max: hard });
    }
}

/// The limit that a job is to have, if ours was changed.
pub(super) fn original_limit() -> Option<nix::libc::rlimit> {
    LIMIT.get().copied()
}

/// A few descriptors to be dropped when the teardown needs some.
pub fn reserve() -> Vec<OwnedFd> {
    const SPARE: usize = 8;
    let null = null().ok();
    (0..SPARE).filter_map(|_| null.as_ref()?.try_clone().ok()).collect()
}

/// Opens /dev/null on those of 0, 1 and 2 that are closed: else the next file we open would become our
/// stdout.
pub fn open_standard() {
    for number in 0..=2 {
        // SAFETY: fcntl with F_GETFD only asks; open returns the lowest free number, which is `number`,
        // and that descriptor is meant to stay open for the life of the process.
        unsafe {
            if libc::fcntl(number, libc::F_GETFD) == -1 {
                libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            }
        }
    }
}

/// /dev/null, for reading: one open file for all that are given nothing to read. Nothing that one of them does to it can be
/// noticed by another.
///
/// # Errors
/// When it cannot be opened.
pub fn null() -> std::io::Result<Arc<OwnedFd>> {
    static NULL: OnceLock<Arc<OwnedFd>> = OnceLock::new();
    if let Some(null) = NULL.get() {
        return Ok(Arc::clone(null));
    }
    let opened = Arc::new(OwnedFd::from(std::fs::File::open("/dev/null")?));
    Ok(Arc::clone(NULL.get_or_init(|| opened)))
}

/// A pipe, both ends close-on-exec.
pub fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC)
}

/// Makes *our* end of a pipe non-blocking. Never for an inherited descriptor: the flag belongs to the open
/// file, which the caller shares.
pub fn set_nonblocking(fd: &OwnedFd) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop)
}

/// Undoes what `O_NONBLOCK` at the opening has set, for a file that we have opened ourselves, to append to it.
pub fn set_blocking(fd: &OwnedFd) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_APPEND)).map(drop)
}

/// Whether two descriptors refer to the same terminal, pipe or file.
pub fn same_file(a: BorrowedFd, b: BorrowedFd) -> bool {
    let id = |fd| nix::sys::stat::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    id(a).is_some() && id(a) == id(b)
}

/// The number of the open file in its file system.
pub fn inode(fd: &OwnedFd) -> Option<u64> {
    nix::sys::stat::fstat(fd).map(|stat| stat.st_ino).ok()
}

/// How much a write has got rid of.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    Bytes(usize),
    /// The reader does not read; nothing was written within the time given.
    Stalled,
    /// The reader is gone (EPIPE), or the terminal is (EIO).
    Gone,
    /// It cannot be written: a full disk, an I/O error, a descriptor that is only open for reading.
    Failed(Errno),
}

/// Writes at most one pipe buffer's worth, and only when it can be written without blocking, waiting at
/// most `patience` for that. pipe(7): a pipe polls writable when PIPE_BUF (4096) bytes fit.
pub fn write_some(fd: BorrowedFd, bytes: &[u8], patience: Duration) -> Written {
    let chunk = &bytes[..bytes.len().min(4096)];
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(0) | Err(Errno::EINTR | Errno::EAGAIN) => return Written::Stalled,
        Ok(_) => {}
        Err(errno) => return Written::Failed(errno),
    }
    written(fd, nix::unistd::write(fd, chunk))
}

/// What came of a write.
pub(super) fn written(fd: BorrowedFd, result: nix::Result<usize>) -> Written {
    match result {
        Ok(n) => Written::Bytes(n),
        Err(Errno::EINTR | Errno::EAGAIN) => Written::Stalled,
        Err(Errno::EPIPE | Errno::ECONNRESET) => Written::Gone,
        Err(Errno::EIO) if fd.is_terminal() => Written::Gone,
        Err(errno) => Written::Failed(errno),
    }
}

/// Waits until one of the descriptors takes something, or is gone, at most this long; whether one does.
pub fn wait_writable(fds: &[BorrowedFd], patience: Duration) -> bool {
    let mut list: Vec<PollFd> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLOUT)).collect();
    poll(&mut list, PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX)).is_ok_and(|ready| ready > 0)
}

/// Whether it takes all that is written to it at once: a file, or `/dev/null`.
pub fn keeps_nobody(fd: BorrowedFd) -> bool {
    let null = nix::sys::stat::makedev(1, 3);
    nix::sys::stat::fstat(fd).is_ok_and(|stat| match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => true,
        libc::S_IFCHR => stat.st_rdev == null,
        _ => false,
    })
}

/// Whether whoever reads it may be another program: a pipe or a socket.
pub fn is_pipe(fd: BorrowedFd) -> bool {
    let kind = nix::sys::stat::fstat(fd).map(|stat| stat.st_mode & libc::S_IFMT);
    matches!(kind, Ok(libc::S_IFIFO | libc::S_IFSOCK))
}

/// What reading without blocking found.
pub enum Read {
    Bytes(usize),
    Nothing,
    End,
}

pub fn read_some(fd: &OwnedFd, buffer: &mut [u8]) -> Read {
    match nix::unistd::read(fd, buffer) {
        Ok(0) => Read::End,
        Ok(n) => Read::Bytes(n),
        Err(Errno::EINTR | Errno::EAGAIN) => Read::Nothing,
        Err(_) => Read::End, // EIO: the other end of a terminal is gone.
    }
}

/// Waits until one of the descriptors is readable or hung up; which ones are. None: for ever.
pub fn wait_readable(fds: &[BorrowedFd], patience: Option<Duration>) -> Vec<bool> {
    let mut list: Vec<PollFd> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    // Rounded up: a poll that returns a fraction of a millisecond early makes its caller spin.
    let timeout = patience.map_or(PollTimeout::NONE, |time| {
        PollTimeout::try_from(time + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
    });
    let _ = poll(&mut list, timeout);
    list.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect()
}

/// Whether it becomes readable within a moment, for which the calling thread does not sleep. It does not yield either: where
/// there is more to do than processors, it would not get its turn again for milliseconds.
pub fn soon_readable(fd: BorrowedFd, moment: Duration) -> bool {
    let until = clock::raw() + moment;
    loop {
        if wait_readable(&[fd], Some(Duration::ZERO))[0] {
            return true;
        }
        if clock::raw() >= until {
            return false;
        }
        std::hint::spin_loop();
    }
}

/// Waits until a file of the kernel reports a change since it was last read (POLLPRI), at most this long.
pub fn wait_exceptional(fd: BorrowedFd, patience: Duration) {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    let _ = poll(&mut [PollFd::new(fd, PollFlags::POLLPRI)], timeout);
}

/// A second descriptor of the same open file, close-on-exec.
pub fn duplicate(fd: impl AsFd) -> nix::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))
}

/// The same open file by a higher number, if this one is low and low numbers become few: for what stays open for as long as a
/// job lives. A process that is started gets a copy of the table of descriptors up to the highest that it needs, and what it
/// needs is opened just before. While there are few, none is moved: to enlarge its table a process with threads waits for all
/// processors (`synchronize_rcu`).
pub fn out_of_the_way(fd: OwnedFd) -> OwnedFd {
    /// So many are open at most before that, of what the first table holds, 64.
    const FEW: RawFd = 40;
    const HIGH: RawFd = 64;
    if fd.as_raw_fd() < FEW || fd.as_raw_fd() >= HIGH {
        return fd;
    }
    match fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(HIGH)) {
        // SAFETY: a new descriptor, which nobody else knows.
        Ok(high) => unsafe { OwnedFd::from_raw_fd(high) },
        Err(_) => fd,
    }
}

/// Whether half of the numbers that this process may use lie below this one: what can be done without is not kept open then.
pub(super) fn are_scarce(fd: &OwnedFd) -> bool {
    use nix::sys::resource::{Resource, getrlimit};
    let number = u64::from(fd.as_raw_fd().cast_unsigned());
    getrlimit(Resource::RLIMIT_NOFILE).is_ok_and(|(soft, _)| number >= soft / 2)
}

/// Gives the open file to a user, who may then reopen it by name (`/dev/stderr`).
pub fn give(fd: &OwnedFd, uid: u32, gid: u32) {
    let _ = nix::unistd::fchown(fd, Some(uid.into()), Some(gid.into()));
}
