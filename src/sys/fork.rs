//! The two forks: the guard's of its host, and the host's of a job, which is born into a cgroup where there is one.
//!
//! Everything a job's child needs is prepared before the fork. Between fork and exec only async-signal-safe
//! calls are made and nothing is allocated: another thread may have held the allocator's lock when we
//! forked (signal-safety(7)). Where it can be, the child is not even a copy of us until then, but lives in our memory.

use super::clone::{self, Parting};
use super::testing;
use super::wait::{self, Peek};
use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use std::ffi::{CStr, CString};
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
    /// What a shell is called with instead when none of them can be executed, to say why in its own words; nothing: it is
    /// not.
    pub otherwise: Vec<CString>,
    pub envp: Vec<Arc<CStr>>,
    pub cwd: CString,
    pub stdin: Arc<OwnedFd>,
    pub stdout: Arc<OwnedFd>,
    pub stderr: Arc<OwnedFd>,
    /// Its descriptors are a terminal, which is to be its controlling one.
    pub terminal: bool,
    pub credentials: Option<Credentials>,
    pub cgroup: Option<Join>,
    /// Sent by the kernel when the thread that has forked it dies.
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

/// All that the child works with, and what it answers.
struct Child<'a> {
    exec: &'a Exec,
    argv: &'a [*const libc::c_char],
    envp: &'a [*const libc::c_char],
    /// The fall-back for a script without `#!` line, as execvp(3) has it: /bin/sh SCRIPT ARGS…
    shell_argv: &'a mut [*const libc::c_char],
    programs: &'a [*const libc::c_char],
    parent: libc::pid_t,
    limit: Option<libc::rlimit>,
    /// The signals whose dispositions it has to reset.
    changed: u64,
    /// It was born in its cgroup.
    joined: bool,
    /// It shares our descriptors, and has to get a table of its own first.
    parting: Option<Parting>,
    /// Where to write the message; none when the memory is shared.
    status: Option<RawFd>,
    /// What it could not do, and the error; all zero when it has executed its program.
    message: [u8; 8],
}

/// The child could not get descriptors of its own: nothing else has been tried.
const NOT_PARTED: u8 = 7;

fn pointers<'a>(texts: impl Iterator<Item = &'a CStr>) -> Vec<*const libc::c_char> {
    texts.map(CStr::as_ptr).chain([std::ptr::null()]).collect()
}

/// Forks and executes; returns once the exec has succeeded, or failed and the child has been reaped. `shell`: what is to be
/// executed *otherwise*.
///
/// Must be called from a thread that lives as long as the process, since the death signal follows the
/// forking thread.
pub fn fork_exec(exec: &Exec, shell: bool) -> Result<i32, Failure> {
    let argv = pointers((if shell { &exec.otherwise } else { &exec.argv }).iter().map(CString::as_c_str));
    let mut programs = pointers(exec.programs.iter().map(CString::as_c_str));
    if shell {
        programs = pointers([c"/bin/sh"].into_iter());
    }
    let envp = pointers(exec.envp.iter().map(|variable| &**variable));
    let mut shell_argv = vec![c"sh".as_ptr(), std::ptr::null()];
    shell_argv.extend(argv.iter().skip(1));
    let mut child = Child {
        exec,
        argv: &argv,
        envp: &envp,
        shell_argv: &mut shell_argv,
        programs: &programs,
        parent: nix::unistd::getpid().as_raw(),
        limit: super::fd::original_limit(),
        changed: super::signal::changed(),
        joined: false,
        parting: None,
        status: None,
        message: [0; 8],
    };
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
    let started = start_in_our_memory(&mut child).unwrap_or_else(|| start_as_a_copy(&mut child));
    // SAFETY: `old` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut()) };
    let pid = started.map_err(|errno| Failure { step: Step::Fork, errno })?;
    let message = child.message;
    let step = match message[0] {
        // A child that was killed before it got so far says nothing either; its parent learns that from its status.
        0 => return Ok(pid),
        1 => Step::Cwd,
        2 => Step::User,
        3 => Step::Exec,
        5 => Step::Cgroup,
        6 => Step::Terminal,
        _ => Step::Setup,
    };
    await_end(pid);
    let errno = i32::from_ne_bytes([message[4], message[5], message[6], message[7]]);
    Err(Failure { step, errno: Errno::from_raw(errno) })
}

/// The quick way; none where it cannot be gone. Another user's process goes the other: libc's `setuid` and the like speak
/// to all threads.
fn start_in_our_memory(child: &mut Child) -> Option<nix::Result<libc::pid_t>> {
    let exec = child.exec;
    if exec.credentials.is_some() {
        return None;
    }
    child.joined = exec.cgroup.is_some();
    let cgroup = exec.cgroup.as_ref().map(|join| &*join.cgroup);
    let own = [&exec.stdin, &exec.stdout, &exec.stderr].map(|fd| fd.as_raw_fd());
    child.parting = Parting::above(own.into_iter().fold(0, RawFd::max));
    loop {
        let (files, given) = (child.parting.is_some(), std::ptr::from_mut(child));
        // SAFETY: all signals are blocked; `run` keeps to async-signal-safe functions, writes to `child` alone, which
        // nobody uses until this returns, and parts from our descriptors first.
        let started = unsafe { clone::vfork(cgroup, files, run, given.cast()) };
        let Some(Ok(pid)) = started.filter(|_| child.message[0] == NOT_PARTED) else { return started };
        // It has done nothing but to end.
        await_end(pid);
        Parting::give_up();
        (child.parting, child.message) = (None, [0; 8]);
    }
}

/// Reaps our own child, which is about to exit and which no table knows yet.
fn await_end(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the status is valid for writing.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
}

/// By a fork, into the cgroup at once if that is possible.
fn start_as_a_copy(child: &mut Child) -> nix::Result<libc::pid_t> {
    let (status_read, status_write) = super::fd::pipe()?;
    child.status = Some(status_write.as_raw_fd());
    child.parting = None;
    let join = child.exec.cgroup.as_ref().filter(|_| child.exec.credentials.is_none());
    // SAFETY: the child only calls `run`, which keeps to async-signal-safe functions.
    let into = join.and_then(|join| unsafe { clone::fork_into(&join.cgroup) });
    child.joined = into.is_some();
    let pid = match into {
        Some(result) => result?,
        // SAFETY: as above.
        None => Errno::result(unsafe { libc::fork() })?,
    };
    if pid == 0 {
        // SAFETY: in the child, before exec; all that it is given was prepared before.
        unsafe { run(std::ptr::from_mut(child).cast()) }
    }
    drop(status_write);
    // The exec closes the child's end: end of file means success.
    let mut message = [0u8; 8];
    let length = loop {
        match nix::unistd::read(&status_read, &mut message) {
            Err(Errno::EINTR) => {}
            result => break result.unwrap_or(0),
        }
    };
    if length == message.len() {
        child.message = message;
    }
    Ok(pid)
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

/// The child's side, of a [`Child`]. Async-signal-safe calls only, no allocation, never returns.
unsafe extern "C" fn run(given: *mut libc::c_void) -> ! {
    // SAFETY: it was made from one that lives until the exec, and that nobody else uses until then.
    let child = unsafe { &mut *given.cast::<Child>() };
    let (exec, argv, envp, programs) = (child.exec, child.argv, child.envp, child.programs);
    let (shell_argv, message) = (&mut *child.shell_argv, &mut child.message);
    // SAFETY: every call below is a plain system call on memory that the parent prepared.
    unsafe {
        let mut fail = |step: u8| -> ! {
            message[0] = step;
            message[4..].copy_from_slice(&(*libc::__errno_location()).to_ne_bytes());
            if let Some(status) = child.status {
                libc::write(status, message.as_ptr().cast(), message.len());
            }
            libc::_exit(127)
        };
        // 0. Descriptors of its own, before any is opened or closed: until then they are ours.
        if child.parting.is_some_and(|parting| !parting.part()) {
            fail(NOT_PARTED);
        }
        // 1. Default dispositions: what we or our caller ignore, a job must not inherit, and no handler of ours may run
        //    in it.
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in (1..=64).filter(|signal| child.changed >> (signal - 1) & 1 == 1) {
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
        super::sched::usual();
        if let Some(limit) = &child.limit {
            libc::setrlimit(libc::RLIMIT_NOFILE, limit);
        }
        // 2. Its cgroup, before there can be another process.
        if let Some(cgroup) = exec.cgroup.as_ref().filter(|_| !child.joined)
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
        if libc::getppid() != child.parent {
            libc::_exit(127);
        }
        testing::hang_in_child();
        // 7. Signals arrive from here on.
        let mut none = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        // 8. The first candidate that can be executed. EACCES is remembered over ENOENT, as execvp(3) does.
        let mut worst = libc::ENOENT;
        for program in programs.iter().copied().take_while(|program| !program.is_null()) {
            libc::execve(program, argv.as_ptr(), envp.as_ptr());
            match *libc::__errno_location() {
                libc::ENOEXEC => {
                    shell_argv[1] = program;
                    libc::execve(c"/bin/sh".as_ptr(), shell_argv.as_ptr(), envp.as_ptr());
                    worst = libc::ENOEXEC;
                    break;
                }
                libc::ENOENT | libc::ENOTDIR => {}
                other => worst = other,
            }
        }
        *libc::__errno_location() = worst;
        fail(3)
    }
}
