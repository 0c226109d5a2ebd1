//! A fork whose child stands behind walls that the kernel keeps: a PID namespace of its own, a network namespace, an IPC
//! namespace with its own /dev/shm (namespaces(7)), and a user namespace where the right to make those is missing.
//!
//! The calling process stays where it is. A process in between does what would move it:
//!
//! 1. The caller forks the one in between.
//! 2. That makes the user namespace if there is to be one, and maps our ids to themselves; makes the other
//!    namespaces; cuts mounts off from those outside; brings the loopback interface up.
//! 3. It forks the child, which is the first process of its PID namespace and mounts the /proc that belongs to it.
//! 4. The one in between says which number the child has out here, and is gone: the child becomes the caller's,
//!    which is a subreaper.
//!
//! Each step that fails is told over a pipe with its errno. Nothing is asked of sysctls: what a machine allows shows
//! when it is done.

use super::fd;
use super::fork::{Forked, fork_single_threaded};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// What is to be the run's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// Process numbers, /proc and mounts.
    pub pid: bool,
    /// Network interfaces: a loopback and nothing else.
    pub net: bool,
    /// Shared memory, semaphores and message queues.
    pub ipc: bool,
}

impl Isolation {
    pub fn any(self) -> bool {
        self.pid || self.net || self.ipc
    }
}

/// What has to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The process in between, and the child.
    Fork,
    /// unshare(CLONE_NEWUSER).
    User,
    /// `deny` into /proc/self/setgroups.
    Setgroups,
    /// /proc/self/uid_map.
    UidMap,
    /// /proc/self/gid_map.
    GidMap,
    /// unshare() of the others.
    Namespaces,
    /// Mounts made private.
    Private,
    /// /dev/shm.
    Shm,
    /// `lo` up.
    Loopback,
    /// /proc.
    Proc,
}

const STEPS: [Step; 10] = [
    Step::Fork,
    Step::User,
    Step::Setgroups,
    Step::UidMap,
    Step::GidMap,
    Step::Namespaces,
    Step::Private,
    Step::Shm,
    Step::Loopback,
    Step::Proc,
];

/// The step that this machine does not let us take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub step: Step,
    pub errno: Errno,
}

/// Forks a child behind these walls. The caller has one thread, is a subreaper and has no other child.
///
/// # Errors
/// The step that failed; no process is left then.
pub fn fork(walls: Isolation) -> Result<Forked, Obstacle> {
    with_or_without_user(|user| enter(walls, user, false))
}

/// Takes every step of [`fork`] in processes that are gone when it returns. The caller has one thread.
///
/// # Errors
/// The step that failed.
pub fn attempt(walls: Isolation) -> Result<(), Obstacle> {
    let done = with_or_without_user(|user| enter(walls, user, true))?;
    if let Forked::Child = done {
        // SAFETY: ends this process, which has nothing to tidy up, and runs none of the caller's code.
        unsafe { libc::_exit(0) }
    }
    Ok(())
}

/// Root needs no user namespace, unless it is a container's root without the right.
fn with_or_without_user<T>(go: impl Fn(bool) -> Result<T, Obstacle>) -> Result<T, Obstacle> {
    if nix::unistd::geteuid().is_root() {
        match go(false) {
            Err(Obstacle { errno: Errno::EPERM | Errno::EACCES, .. }) => {}
            result => return result,
        }
    }
    go(true)
}

/// What the others tell the caller.
enum Message {
    Failed(Obstacle),
    /// The child's number, as the caller sees it.
    Number(i32),
    /// The child has taken its last step.
    Ready,
}

/// `throw_away`: the child is to end at once, and has ended when this returns.
fn enter(walls: Isolation, user: bool, throw_away: bool) -> Result<Forked, Obstacle> {
    let fork_failed = |errno| Obstacle { step: Step::Fork, errno };
    let (read, write) = fd::pipe().map_err(fork_failed)?;
    match fork_single_threaded().map_err(fork_failed)? {
        Forked::Child => match between(walls, user) {
            Ok(Forked::Parent(child)) => {
                tell(&write, &Message::Number(child));
                if throw_away {
                    wait_for(child);
                }
                // SAFETY: ends this process without running what belongs to the caller (its locks, its files).
                unsafe { libc::_exit(0) }
            }
            result => match result.and_then(|_| first_inside(walls, user)) {
                Ok(()) => {
                    tell(&write, &Message::Ready);
                    Ok(Forked::Child)
                }
                Err(obstacle) => {
                    tell(&write, &Message::Failed(obstacle));
                    // SAFETY: as above.
                    unsafe { libc::_exit(1) }
                }
            },
        },
        Forked::Parent(between) => {
            drop(write);
            let (mut number, mut ready, mut failed) = (None, false, None);
            // To the end of a failure: then both have ended. After a success the child lives on, without its end.
            while number.is_none() || !ready || failed.is_some() {
                match hear(&read) {
                    Some(Message::Number(pid)) => number = Some(pid),
                    Some(Message::Ready) => ready = true,
                    Some(Message::Failed(obstacle)) => failed = Some(obstacle),
                    None => break,
                }
            }
            wait_for(between);
            match (failed, number) {
                (None, Some(pid)) if ready => Ok(Forked::Parent(pid)),
                (failed, number) => {
                    if let Some(pid) = number.filter(|_| !throw_away) {
                        wait_for(pid);
                    }
                    // Neither a failure nor a success: somebody has killed one of them.
                    Err(failed.unwrap_or(fork_failed(Errno::ECHILD)))
                }
            }
        }
    }
}

/// The process in between: all that can be done before there is a child; then the fork.
fn between(walls: Isolation, user: bool) -> Result<Forked, Obstacle> {
    let failed = |step| move |errno| Obstacle { step, errno };
    if user {
        // Read before: inside an id that is not mapped yet reads as nobody's.
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(failed(Step::User))?;
        // user_namespaces(7): who has no rights outside may map its group only after giving setgroups(2) up.
        write_file("/proc/self/setgroups", "deny").map_err(failed(Step::Setgroups))?;
        write_file("/proc/self/uid_map", &format!("{uid} {uid} 1")).map_err(failed(Step::UidMap))?;
        write_file("/proc/self/gid_map", &format!("{gid} {gid} 1")).map_err(failed(Step::GidMap))?;
    }
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWPID, walls.pid);
    flags.set(CloneFlags::CLONE_NEWNET, walls.net);
    flags.set(CloneFlags::CLONE_NEWIPC, walls.ipc);
    flags.set(CloneFlags::CLONE_NEWNS, walls.pid || walls.ipc);
    unshare(flags).map_err(failed(Step::Namespaces))?;
    if walls.pid || walls.ipc {
        // Else what we mount would be mounted over that of everybody else.
        mount(c"none", c"/", c"", libc::MS_REC | libc::MS_PRIVATE, c"").map_err(failed(Step::Private))?;
    }
    if walls.ipc {
        match mount(c"tmpfs", c"/dev/shm", c"tmpfs", libc::MS_NOSUID | libc::MS_NODEV, c"mode=1777") {
            // Without it there is no such memory.
            Err(Errno::ENOENT) => {}
            result => result.map_err(failed(Step::Shm))?,
        }
    }
    if walls.net {
        loopback_up().map_err(failed(Step::Loopback))?;
    }
    fork_single_threaded().map_err(failed(Step::Fork))
}

/// The child: what only a member of the PID namespace can do.
fn first_inside(walls: Isolation, user: bool) -> Result<(), Obstacle> {
    if walls.pid {
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        mount(c"proc", c"/proc", c"proc", flags, c"")
            .map_err(|errno| Obstacle { step: Step::Proc, errno })?;
    }
    if user && !nix::unistd::geteuid().is_root() {
        drop_capabilities();
    }
    Ok(())
}

/// In its new user namespace a process may do what it could not do outside; a script is to notice no difference.
/// What root's programs may do they get at their exec, so it keeps what it has.
fn drop_capabilities() {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let none = [0u32; 6];
    // SAFETY: capset(2) reads a header of two words and, in version 3, twice three words.
    unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
}

fn mount(
    source: &std::ffi::CStr,
    target: &std::ffi::CStr,
    kind: &std::ffi::CStr,
    flags: libc::c_ulong,
    options: &std::ffi::CStr,
) -> nix::Result<()> {
    // SAFETY: four strings that end in NUL; `data` is one for the filesystems that we mount.
    let result = unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast())
    };
    Errno::result(result).map(drop)
}

/// One write(2), as the files of user_namespaces(7) want it.
fn write_file(path: &str, text: &str) -> nix::Result<()> {
    let errno = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(0));
    let mut file = fs::OpenOptions::new().write(true).open(path).map_err(errno)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(errno)
}

/// Brings `lo` up, with 127.0.0.1 and ::1 (netdevice(7)): it is there in a new namespace, but down.
fn loopback_up() -> nix::Result<()> {
    // SAFETY: socket returns a descriptor of ours or -1; `request` is plain data for which zeroes are valid, holds a
    // name that ends in NUL, and is what both calls read and write.
    unsafe {
        let fd = Errno::result(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?;
        let fd = OwnedFd::from_raw_fd(fd);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
            *to = libc::c_char::try_from(*from).unwrap_or(0);
        }
        Errno::result(libc::ioctl(fd.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request))?;
        let up = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
        request.ifr_ifru.ifru_flags |= up;
        Errno::result(libc::ioctl(fd.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)).map(drop)
    }
}

/// Waits until this child of ours has ended, and reaps it.
fn wait_for(pid: i32) {
    // SAFETY: a null status is allowed; the number is that of our own child, or ECHILD.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) } == -1
        && Errno::last() == Errno::EINTR
    {}
}

/// Three words: what kind, a number or errno, which step.
fn tell(pipe: &OwnedFd, message: &Message) {
    let words: [i32; 3] = match message {
        Message::Number(pid) => [0, *pid, 0],
        Message::Ready => [1, 0, 0],
        Message::Failed(Obstacle { step, errno }) => {
            let index = STEPS.iter().position(|known| known == step).unwrap_or(0);
            [2, *errno as i32, i32::try_from(index).unwrap_or(0)]
        }
    };
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    // Should nobody read it any more, the guard is gone, which its pidfd tells the child.
    let _ = nix::unistd::write(pipe, &bytes);
}

/// The next message; none when nobody can send one any more. A pipe passes on twelve bytes at once or none.
fn hear(pipe: &OwnedFd) -> Option<Message> {
    let mut bytes = [0u8; 12];
    loop {
        match nix::unistd::read(pipe, &mut bytes) {
            Err(Errno::EINTR) => {}
            Ok(12) => break,
            _ => return None,
        }
    }
    let word = |i: usize| i32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
    Some(match word(0) {
        0 => Message::Number(word(4)),
        1 => Message::Ready,
        _ => {
            let step = usize::try_from(word(8)).ok().and_then(|index| STEPS.get(index).copied());
            Message::Failed(Obstacle { step: step.unwrap_or(Step::Fork), errno: Errno::from_raw(word(4)) })
        }
    })
}
