//! Peeking at and reaping children. Peeking leaves the zombie, which keeps its pid from being used again.

use nix::errno::Errno;
use nix::libc;
use std::time::Duration;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
}

impl ExitStatus {
    /// The shell's number: the code, or 128 + signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

pub enum Peek {
    /// A child has ended; it is still a zombie.
    Ended(i32, ExitStatus),
    /// Children live, none has ended.
    Living,
    /// There is no child at all (ECHILD).
    NoChild,
}

/// Looks at any child that has ended, without reaping it.
pub fn peek_any() -> Peek {
    waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL)
}

/// Looks at one child, without reaping it.
pub fn peek(pid: i32) -> Peek {
    waitid(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL)
}

/// Reaps one child that has ended.
pub fn reap(pid: i32) -> Peek {
    waitid(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG | libc::__WALL)
}

/// Reaps one child that has ended; the processor time, user and system, that it and those whom it has waited for have
/// used.
pub fn reap_with_cost(pid: i32) -> Duration {
    // SAFETY: rusage is plain data for which all-zero bytes are valid, and wait4 only fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::wait4(pid, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        seconds + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Reaps whatever child has ended.
pub fn reap_any() -> Peek {
    waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::__WALL)
}

/// Waits until this child has ended or stopped, and reaps it if it has ended.
pub enum Change {
    Ended(ExitStatus),
    Stopped,
    None,
}

/// Whether this child has ended (then it is reaped) or has stopped since the last call.
pub fn change(pid: i32) -> Change {
    let mut info = empty();
    let flags = libc::WEXITED | libc::WSTOPPED | libc::WNOHANG | libc::__WALL;
    // SAFETY: info is a valid siginfo_t for the kernel to fill.
    let result = unsafe { libc::waitid(libc::P_PID, pid.cast_unsigned(), &raw mut info, flags) };
    // SAFETY: after success the SIGCHLD fields are initialised (zero when nothing changed).
    if result != 0 || unsafe { info.si_pid() } == 0 {
        return Change::None;
    }
    if info.si_code == libc::CLD_STOPPED || info.si_code == libc::CLD_TRAPPED {
        return Change::Stopped;
    }
    Change::Ended(status(&info))
}

/// Whether this child stands still (SIGSTOP), all its threads; the change can still be waited for.
pub fn is_stopped(pid: i32) -> bool {
    let mut info = empty();
    let flags = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: info is a valid siginfo_t for the kernel to fill; after success si_pid is 0 when nothing changed.
    unsafe { libc::waitid(libc::P_PID, pid.cast_unsigned(), &raw mut info, flags) == 0 && info.si_pid() != 0 }
}

fn waitid(kind: libc::idtype_t, pid: i32, flags: libc::c_int) -> Peek {
    loop {
        let mut info = empty();
        // SAFETY: info is a valid siginfo_t for the kernel to fill.
        if unsafe { libc::waitid(kind, pid.cast_unsigned(), &raw mut info, flags) } != 0 {
            match Errno::last() {
                Errno::EINTR => continue,
                _ => return Peek::NoChild,
            }
        }
        // SAFETY: waitid succeeded; si_pid is 0 when WNOHANG found nothing (waitid(2)).
        let pid = unsafe { info.si_pid() };
        return if pid == 0 { Peek::Living } else { Peek::Ended(pid, status(&info)) };
    }
}

fn empty() -> libc::siginfo_t {
    // SAFETY: siginfo_t is plain data for which all-zero bytes are valid.
    unsafe { std::mem::zeroed() }
}

fn status(info: &libc::siginfo_t) -> ExitStatus {
    // SAFETY: only called for a siginfo_t that waitid filled for an ended child.
    let value = unsafe { info.si_status() };
    match info.si_code {
        libc::CLD_EXITED => ExitStatus::Code(value),
        _ => ExitStatus::Signal(value & 0x7f),
    }
}
