//! When a thread gets its turn.

use nix::libc;
use std::sync::OnceLock;

/// The shortest slice that the kernel accepts, in nanoseconds (kernel/sched/syscalls.c).
const SHORTEST_SLICE: u64 = 100_000;

/// What the caller of bgjobs has given us, before the first [`prompt`].
static USUAL: OnceLock<libc::sched_attr> = OnceLock::new();

/// Asks for short slices for the calling thread, and for the threads and processes that it starts from now on: they then
/// get their turn soon, though no more of the processor than before. Without it, processes that fork and exit as fast
/// as they can keep them waiting for seconds, since a new process comes first. Before Linux 6.12 the kernel ignores it
/// (sched(7)). Whoever was given a policy of its own, such as SCHED_FIFO, stays with it.
pub fn prompt() {
    let Some(mut attributes) = attributes() else { return };
    if attributes.sched_policy == libc::SCHED_OTHER.cast_unsigned() {
        USUAL.get_or_init(|| attributes);
        attributes.sched_runtime = SHORTEST_SLICE;
        set(&attributes);
    }
}

/// Undoes [`prompt`] for a job, which calls it before its exec: it is to have the place that our caller has with the
/// scheduler. Async-signal-safe.
pub(super) fn usual() {
    if let Some(attributes) = USUAL.get() {
        set(attributes);
    }
}

/// Those of the calling thread.
fn attributes() -> Option<libc::sched_attr> {
    // SAFETY: sched_attr is plain data for which all-zero bytes are valid, and the kernel fills no more than the size
    // that it is told; 0 means the calling thread.
    unsafe {
        let mut attributes: libc::sched_attr = std::mem::zeroed();
        let size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0);
        let result = libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0);
        attributes.size = size;
        (result == 0).then_some(attributes)
    }
}

/// Allowed to everybody as long as it does not lower the nice value.
fn set(attributes: &libc::sched_attr) {
    // SAFETY: sched_setattr only reads the struct; 0 means the calling thread.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attributes, 0) };
}

/// Gives this thread the right of way among those of its session, and the session a larger portion of the processor
/// (sched(7), autogroup). Only root may; for others nothing changes. Our jobs share that portion, which is why it is
/// no larger: about nine times the usual one.
pub fn right_of_way() {
    const FIRST: i32 = -20;
    const PORTION: &str = "-10";
    // SAFETY: a plain system call; 0 means the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, FIRST) };
    let _ = std::fs::write("/proc/self/autogroup", PORTION);
}

/// As long as it lives, the calling thread wakes when it has asked for and not up to 50 microseconds later, by which the
/// kernel puts the ends of sleeps together (PR_SET_TIMERSLACK(2const)). What is started meanwhile inherits that.
pub struct OnTime(());

pub fn wake_on_time() -> OnTime {
    let _ = nix::sys::prctl::set_timerslack(1);
    OnTime(())
}

impl Drop for OnTime {
    fn drop(&mut self) {
        // Zero stands for what the thread began with.
        let _ = nix::sys::prctl::set_timerslack(0);
    }
}
