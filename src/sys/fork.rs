//! The two forks: the guard's of its host, and the spawner thread's of a job, which is born into a cgroup where
//! there is one.
//!
//! Everything a job's child needs is prepared before the fork. Between fork and exec only async-signal-safe
//! calls are made and nothing is allocated: another thread may have held the allocator's lock when we
//! forked (signal-safety(7)).

use super::testing;
use super::wait::{self, Peek};
use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

pub enum Forked {
    Child,
    Parent(i32),
}

/// Forks a process that is still single-threaded; the child may do anything.
pub fn fork_single_threaded() -> nix::Result<Forked> {
    // SAFETY: the caller has one thread, so no lock can be held by a thread that the child lacks.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(Forked::Child),
        nix::unistd::ForkResult::Parent { child } => Ok(Forked::Parent(child.as_raw())),
    }
}

/// Runs this in a process that is thrown away; whether it said yes. The caller must have one thread only.
pub fn trial(what: impl FnOnce() -> bool) -> nix::Result<bool> {
    let child = match fork_single_threaded()? {
        Forked::Child => leave(i32::from(!what())),
        Forked::Parent(child) => child,
    };
    loop {
        match wait::reap(child) {
            Peek::Ended(_, status) => return Ok(status.success()),
            Peek::NoChild => return Ok(false),
            Peek::Living => std::thread::sleep(std::time::Duration::from_micros(200)),
        }
    }
}

/// Ends a process that is thrown away, at once: what it has inherited of its parent's state is not its own to clean up.
pub fn leave(code: i32) -> ! {
    // SAFETY: _exit runs nothing and does not return.
    unsafe { libc::_exit(code) }
}

/// Orphaned descendants become children of this process (prctl(2), PR_SET_CHILD_SUBREAPER, Linux 3.4).
pub fn become_subreaper() -> nix::Result<()> {
    if testing::off("subreaper") {
        return Ok(());
    }
    prctl::set_child_subreaper(true)
}

/// Asks for `signal` when the parent dies (prctl(2), PR_SET_PDEATHSIG): when the *thread* that forked us does.
pub fn on_parent_death(signal: nix::sys::signal::Signal) -> nix::Result<()> {
    if testing::off("pdeathsig") {
        return Ok(());
    }
    prctl::set_pdeathsig(signal)
}

pub fn new_session() -> nix::Result<()> {
    nix::unistd::setsid().map(drop)
}

pub fn no_core_dump() {
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
}

/// Which user a job becomes.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// The cgroup (version 2) that a process joins before its exec.
pub struct Join {
    /// Its directory.
    pub cgroup: Arc<OwnedFd>,
    /// Whether it must not run elsewhere.
    pub must: bool,
}

/// A program ready to be started.
pub struct Exec {
    /// What to execute, in the order to try; resolved, so that the child need not search.
    pub programs: Vec<CString>,
    pub argv: Vec<CString>,
    /// What a shell is called with when none of them can be executed, to say why in its own words; nothing: it is not.
    pub otherwise: Vec<CString>,
    pub envp: Vec<CString>,
    pub cwd: CString,
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// Its descriptors are a terminal, which is to be its controlling one.
    pub terminal: bool,
    pub credentials: Option<Credentials>,
    pub cgroup: Option<Join>,
    /// Sent by the kernel when the spawner dies.
    pub death_signal: i32,
}

/// What the child could not do, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Fork,
    Cwd,
    User,
    Exec,
    Cgroup,
    Terminal,
    Setup,
}

#[derive(Clone, Copy, Debug)]
pub struct Failure {
    pub step: Step,
    pub errno: Errno,
}

/// Forks and executes; returns once the exec has succeeded, or failed and the child has been reaped.
///
/// Must be called from a thread that lives as long as the process, since the death signal follows the
/// forking thread.
pub fn fork_exec(exec: &Exec) -> Result<i32, Failure> {
    let fail = |step| move |errno| Failure { step, errno };
    let (status_read, status_write) = super::fd::pipe().map_err(fail(Step::Fork))?;
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp, otherwise) = (pointers(&exec.argv), pointers(&exec.envp), pointers(&exec.otherwise));
    // The fall-back for a script without `#!` line, as execvp(3) has it: /bin/sh SCRIPT ARGS…
    let mut shell_argv = vec![c"sh".as_ptr(), std::ptr::null()];
    shell_argv.extend(argv.iter().skip(1));
    let parent = nix::unistd::getpid().as_raw();
    let limit = super::fd::original_limit();
    let changed = super::signal::changed();
    testing::prepare_child();

    // All signals stay blocked from before the fork until the child has its own dispositions: a handler of
    // ours must never run in the child.
    let mut all = std::mem::MaybeUninit::uninit();
    let mut old = std::mem::MaybeUninit::uninit();
    // SAFETY: both sets are valid for writing; the old mask is restored below by the same thread.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
    }
    // SAFETY: the child only calls `child`, which keeps to async-signal-safe functions.
    let (pid, joined) = unsafe { fork_into(exec) };
    if pid == 0 {
        let status = status_write.as_raw_fd();
        // SAFETY: in the child, before exec; all pointers come from the vectors above, which live on.
        unsafe {
            child(exec, joined, &argv, &envp, &mut shell_argv, &otherwise, parent, limit.as_ref(), changed, status)
        }
    }
    // SAFETY: `old` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut()) };
    if pid < 0 {
        return Err(Failure { step: Step::Fork, errno: Errno::last() });
    }
    drop(status_write);
    // The exec closes the child's end: end of file means success. So does a child that was killed before
    // it got so far; its parent will learn that from its status.
    let mut message = [0u8; 8];
    let length = loop {
        match nix::unistd::read(&status_read, &mut message) {
            Err(Errno::EINTR) => {}
            result => break result.unwrap_or(0),
        }
    };
    if length < message.len() {
        return Ok(pid);
    }
    let mut status = 0;
    // SAFETY: waits for our own child, which is about to exit and which no table knows yet.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    let step = match message[0] {
        1 => Step::Cwd,
        2 => Step::User,
        3 => Step::Exec,
        5 => Step::Cgroup,
        6 => Step::Terminal,
        _ => Step::Setup,
    };
    let errno = i32::from_ne_bytes([message[4], message[5], message[6], message[7]]);
    Err(Failure { step, errno: Errno::from_raw(errno) })
}

/// struct clone_args of clone3(2), in its second version, which has the cgroup. libc knows it on some machines only.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// fork(2), if possible into the cgroup at once (Linux 5.7): joining it afterwards takes a lock that can cost tens of
/// milliseconds. Also says whether that was done.
///
/// The kernel's own call leaves out what libc does around a fork: its locks stay as they were, and it goes on believing
/// in the threads that the child lacks. So the child must not call what takes a lock or speaks to all threads: `setuid`
/// and the like do, hence the ordinary fork for another user.
unsafe fn fork_into(exec: &Exec) -> (libc::pid_t, bool) {
    if let Some(join) = &exec.cgroup
        && exec.credentials.is_none()
        && !testing::off("clone3")
    {
        let args = CloneArgs {
            flags: CLONE_INTO_CGROUP,
            exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
            cgroup: u64::from(join.cgroup.as_raw_fd().cast_unsigned()),
            ..CloneArgs::default()
        };
        // SAFETY: without CLONE_VM the child gets a copy of everything, this stack included, as with fork(2).
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
        let pid = libc::pid_t::try_from(pid).unwrap_or(-1);
        // A kernel that is too old, a container that forbids it, a cgroup that cannot be joined: the ordinary way.
        // Without memory or processes that would fail as well.
        if pid >= 0 || matches!(Errno::last(), Errno::EAGAIN | Errno::ENOMEM) {
            return (pid, true);
        }
    }
    // SAFETY: as above; the caller keeps to async-signal-safe functions.
    (unsafe { libc::fork() }, false)
}

/// Joins the cgroup, from inside. Async-signal-safe.
unsafe fn join(cgroup: &OwnedFd) -> bool {
    // SAFETY: plain system calls on memory that is always there.
    unsafe {
        let procs =
            libc::openat(cgroup.as_raw_fd(), c"cgroup.procs".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        procs >= 0 && libc::write(procs, c"0".as_ptr().cast(), 1) == 1
    }
}

/// The child's side. Async-signal-safe calls only, no allocation, never returns.
#[expect(clippy::too_many_arguments, reason = "all of it is prepared before the fork")]
unsafe fn child(
    exec: &Exec,
    joined: bool,
    argv: &[*const libc::c_char],
    envp: &[*const libc::c_char],
    shell_argv: &mut [*const libc::c_char],
    otherwise: &[*const libc::c_char],
    parent: libc::pid_t,
    limit: Option<&libc::rlimit>,
    changed: u64,
    status: RawFd,
) -> ! {
    // SAFETY: every call below is a plain system call on memory that the parent prepared.
    unsafe {
        let fail = |step: u8| -> ! {
            let mut message = [step, 0, 0, 0, 0, 0, 0, 0];
            message[4..].copy_from_slice(&(*libc::__errno_location()).to_ne_bytes());
            libc::write(status, message.as_ptr().cast(), message.len());
            libc::_exit(127)
        };
        // 1. Default dispositions: what we or our caller ignore, a job must not inherit, and no handler of ours may run
        //    in it.
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in (1..=64).filter(|signal| changed >> (signal - 1) & 1 == 1) {
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
        if let Some(limit) = limit {
            libc::setrlimit(libc::RLIMIT_NOFILE, limit);
        }
        // 2. Its cgroup, before there can be another process.
        if let Some(cgroup) = exec.cgroup.as_ref().filter(|_| !joined)
            && !join(&cgroup.cgroup)
            && cgroup.must
        {
            fail(5);
        }
        // 3. Its own process group, before the parent can look for it; with a terminal its own session, whose leader
        //    also leads a group of the same number.
        if exec.terminal {
            if libc::setsid() < 0 {
                fail(6);
            }
        } else if libc::setpgid(0, 0) != 0 {
            fail(4);
        }
        // 4. Descriptors 0 to 2; all others are close-on-exec. The three may be 0 to 2 themselves only if
        //    the host had those closed, which it opened at start.
        for (fd, target) in [(&exec.stdin, 0), (&exec.stdout, 1), (&exec.stderr, 2)] {
            if libc::dup2(fd.as_raw_fd(), target) < 0 {
                fail(4);
            }
        }
        if exec.terminal && libc::ioctl(0, libc::TIOCSCTTY, 0) != 0 {
            fail(6);
        }
        // 5. The user, then the directory with that user's rights.
        if let Some(user) = &exec.credentials
            && (libc::setgroups(user.groups.len(), user.groups.as_ptr()) != 0
                || libc::setgid(user.gid) != 0
                || libc::setuid(user.uid) != 0)
        {
            fail(2);
        }
        if libc::chdir(exec.cwd.as_ptr()) != 0 {
            fail(1);
        }
        // 6. Die with the host. After setuid, which clears this; and if the host died before this line,
        //    nobody would ever send the signal, so look.
        libc::prctl(libc::PR_SET_PDEATHSIG, exec.death_signal);
        if libc::getppid() != parent {
            libc::_exit(127);
        }
        testing::hang_in_child();
        // 7. Signals arrive from here on.
        let mut none = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        // 8. The first candidate that can be executed. EACCES is remembered over ENOENT, as execvp(3) does.
        let mut worst = libc::ENOENT;
        for program in &exec.programs {
            libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr());
            match *libc::__errno_location() {
                libc::ENOEXEC => {
                    shell_argv[1] = program.as_ptr();
                    libc::execve(c"/bin/sh".as_ptr(), shell_argv.as_ptr(), envp.as_ptr());
                    worst = libc::ENOEXEC;
                    break;
                }
                libc::ENOENT | libc::ENOTDIR => {}
                other => worst = other,
            }
        }
        if !exec.otherwise.is_empty() {
            libc::execve(c"/bin/sh".as_ptr(), otherwise.as_ptr(), envp.as_ptr());
        }
        *libc::__errno_location() = worst;
        fail(3)
    }
}
