//! Why the system refused something, with the limit that was met, where it is one.

use crate::sys::proc;

/// What a thread gets at least that runs a part of a script; others get less.
pub const SMALLEST_STACK: usize = 16 << 20;

/// What comes with a stack: its guard, and what the heap may take in between.
const BESIDE: usize = 1 << 20;

/// Why the system refused something, with the limit that was met, where it is one.
pub fn why(error: impl Into<std::io::Error>) -> String {
    use nix::libc;
    let error = error.into();
    let limit = match error.raw_os_error() {
        // A thread whose stack finds no room is refused with the same number.
        Some(libc::EAGAIN) if !proc::has_room((SMALLEST_STACK + BESIDE) as u64) => {
            "`ulimit -v` leaves no room for another thread"
        }
        Some(libc::EAGAIN) => "the limit of processes is reached (`ulimit -u`, or `pids.max` of a cgroup)",
        Some(libc::EMFILE) => "the limit of open files is reached (`ulimit -n`)",
        Some(libc::ENFILE) => "the machine's limit of open files is reached",
        Some(libc::ENOMEM) => "out of memory (or `ulimit -v` is reached)",
        Some(libc::EFBIG) => "the limit of file sizes is reached (`ulimit -f`)",
        Some(libc::E2BIG) => {
            "arguments and environment are too large (one may have 128 KiB, all together a quarter of `ulimit -s`)"
        }
        Some(libc::ENOSYS) => "this kernel cannot do that (Linux 5.4 or newer is needed)",
        Some(number) => return nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => return error.to_string(),
    };
    limit.to_owned()
}
