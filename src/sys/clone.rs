//! Two ways in which a child begins that libc does not offer, by clone3(2): in a cgroup (version 2) from its birth, and in
//! the memory of its parent, as after vfork(2).
//!
//! The kernel's own call leaves out what libc does around a fork: its locks stay as they were, and it goes on believing
//! in the threads that the child lacks. So the child must not call what takes a lock or speaks to all threads: `setuid`
//! and the like do.

use super::testing;
use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

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

impl CloneArgs {
    fn new(cgroup: Option<&OwnedFd>) -> Self {
        Self {
            flags: cgroup.map_or(0, |_| CLONE_INTO_CGROUP),
            exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
            cgroup: cgroup.map_or(0, |cgroup| u64::from(cgroup.as_raw_fd().cast_unsigned())),
            ..Self::default()
        }
    }
}

/// What a failed call means: a kernel that is too old, a container that forbids it, a cgroup that cannot be joined are
/// reasons to take the ordinary way (none). Without memory or processes that would fail as well.
fn final_error(errno: Errno) -> Option<nix::Result<libc::pid_t>> {
    matches!(errno, Errno::EAGAIN | Errno::ENOMEM).then_some(Err(errno))
}

/// fork(2) into a cgroup at once (Linux 5.7): joining it afterwards takes a lock that can cost tens of milliseconds. None:
/// that cannot be done here.
///
/// # Safety
/// In the child as after fork(2) in a process with several threads, and as the head of this file says.
pub(super) unsafe fn fork_into(cgroup: &OwnedFd) -> Option<nix::Result<libc::pid_t>> {
    if testing::off("clone3") {
        return None;
    }
    let args = CloneArgs::new(Some(cgroup));
    // SAFETY: without CLONE_VM the child gets a copy of everything, this stack included, as with fork(2).
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match libc::pid_t::try_from(pid) {
        Ok(pid) if pid >= 0 => Some(Ok(pid)),
        _ => final_error(Errno::last()),
    }
}

/// What runs in the child, with what it was given.
pub(super) type Body = unsafe extern "C" fn(*mut libc::c_void) -> !;

/// Starts a child that shares the memory of this process, on a stack of its own; the calling thread stands still until it
/// has executed a program or ended. A fork would copy the tables of all memory, for nothing: that takes the longer, the
/// more memory and threads there are. With `files` it shares our descriptors, too, until it has called [`Parting::part`].
/// None: that cannot be done here.
///
/// # Safety
/// All signals are blocked in the calling thread. `body` keeps to async-signal-safe functions and to what the head of this
/// file says, and writes to no memory but what `given` is for: all of it is ours. It runs no code that this thread may be
/// within, so that a lock that is held stays so until this thread goes on. With `files` it opens and closes nothing before
/// it has parted from ours.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn vfork(
    cgroup: Option<&OwnedFd>,
    files: bool,
    body: Body,
    given: *mut libc::c_void,
) -> Option<nix::Result<libc::pid_t>> {
    if testing::off("clone3") || testing::off("vfork") {
        return None;
    }
    // Held until the child no longer needs it.
    let stack = stack::get();
    let (low, size) = (*stack)?;
    let mut args = CloneArgs::new(cgroup);
    let files = if files { libc::CLONE_FILES } else { 0 };
    args.flags |= u64::from((libc::CLONE_VM | libc::CLONE_VFORK | files).cast_unsigned());
    args.stack = low as u64;
    args.stack_size = size as u64;
    let result: i64;
    // SAFETY: parent and child both go on behind `syscall`, the child (rax is 0) on its own empty stack, whose end is
    // aligned as a call wants it. It touches no stack frame of ours: it calls `body`, which never returns. The kernel
    // keeps all registers but rax, rcx and r11; memory may have changed, which is what asm! assumes by default.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw const args,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") given,
            in("r13") body,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    drop(stack);
    match libc::pid_t::try_from(result) {
        Ok(pid) if pid > 0 => Some(Ok(pid)),
        Ok(error) => final_error(Errno::from_raw(-error)),
        Err(_) => None,
    }
}

/// Only where it was tried.
///
/// # Safety
/// None is asked for.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn vfork(
    _: Option<&OwnedFd>,
    _: bool,
    _: Body,
    _: *mut libc::c_void,
) -> Option<nix::Result<libc::pid_t>> {
    None
}

/// How a child that shares our descriptors gets its own table of them: with those that it needs alone. A table that is copied
/// as a whole costs the more, the more there are, and so does the exec that closes them one by one: each job that lives has
/// one or two with us.
#[derive(Clone, Copy)]
pub(super) struct Parting {
    /// What is above it is not for the child.
    highest: RawFd,
    /// close_range(2) with `CLOSE_RANGE_UNSHARE` (Linux 5.9): else all are copied.
    by_range: bool,
    /// unshare(2).
    by_copy: bool,
}

/// Somewhere neither is allowed, as a child has found.
static CANNOT_PART: AtomicBool = AtomicBool::new(false);

impl Parting {
    /// For a child that needs none above this one. None: it must not share them.
    pub(super) fn above(highest: RawFd) -> Option<Self> {
        (!CANNOT_PART.load(SeqCst)).then(|| Self {
            highest,
            by_range: !testing::off("close_range"),
            by_copy: !testing::off("unshare"),
        })
    }

    /// From now on no child is to share them.
    pub(super) fn give_up() {
        CANNOT_PART.store(true, SeqCst);
    }

    /// In the child; whether it has a table of its own now. Async-signal-safe.
    ///
    /// With this end of the range the kernel does not even copy what it would close (`dup_fd` in fs/file.c).
    pub(super) fn part(self) -> bool {
        const UNSHARE: libc::c_uint = 1 << 1;
        let first = self.highest.max(2).cast_unsigned() + 1;
        // SAFETY: plain system calls; what they close is closed for the child alone.
        unsafe {
            self.by_range && libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, UNSHARE) == 0
                || self.by_copy && libc::unshare(libc::CLONE_FILES) == 0
        }
    }
}

/// The stack of such children, one after the other.
#[cfg(target_arch = "x86_64")]
mod stack {
    use nix::libc;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// Much more than a child needs between its start and its exec, also in a debug build.
    const SIZE: usize = 128 << 10;
    /// Below it, so that who needs more dies instead of writing over something else.
    const GUARD: usize = 64 << 10;

    /// Its lowest address and its size.
    type Stack = Option<(usize, usize)>;

    /// It is made once; none where there is no room for it.
    pub(super) fn get() -> MutexGuard<'static, Stack> {
        static STACK: Mutex<Stack> = Mutex::new(None);
        let mut stack = STACK.lock().unwrap_or_else(PoisonError::into_inner);
        if stack.is_none() {
            *stack = make();
        }
        stack
    }

    fn make() -> Stack {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh mapping that nobody else knows; it is never unmapped.
        unsafe {
            let low = libc::mmap(std::ptr::null_mut(), GUARD + SIZE, libc::PROT_NONE, flags, -1, 0);
            if low == libc::MAP_FAILED {
                return None;
            }
            let low = low.byte_add(GUARD);
            let usable = libc::mprotect(low, SIZE, libc::PROT_READ | libc::PROT_WRITE) == 0;
            usable.then_some((low as usize, SIZE))
        }
    }
}
