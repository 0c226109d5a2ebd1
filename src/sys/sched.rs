//! When a thread gets its turn.

use nix::libc;

/// The shortest slice that the kernel accepts, in nanoseconds (kernel/sched/syscalls.c).
const SHORTEST_SLICE: u64 = 100_000;

/// Asks for short slices for the calling thread: it then gets its turn soon, though no more of the processor than
/// before. Without it, processes that fork and exit as fast as they can keep it waiting for seconds, since a new
/// process comes first. Its own children are as usual. Before Linux 6.12 the kernel ignores it (sched(7)).
pub fn prompt() {
    // Allowed to everybody as long as it does not lower the nice value.
    // SAFETY: getpriority and sched_setattr only read the struct; 0 means the calling thread.
    unsafe {
        let nice = libc::getpriority(libc::PRIO_PROCESS, 0);
        let mut attributes: libc::sched_attr = std::mem::zeroed();
        attributes.size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0);
        attributes.sched_policy = libc::SCHED_OTHER.cast_unsigned();
        attributes.sched_flags = u64::from(libc::SCHED_FLAG_RESET_ON_FORK.cast_unsigned());
        attributes.sched_nice = nice;
        attributes.sched_runtime = SHORTEST_SLICE;
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
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
