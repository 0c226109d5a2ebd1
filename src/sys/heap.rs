//! How the C library's allocator gets memory from the kernel.

use nix::libc;

/// One heap for all threads, that grows by large steps and is not given back in small ones. By default each thread gets a
/// heap of its own, which grows by a page at a time: a run that does nothing but start made 120 calls of mprotect(2).
/// To be called before there is a second thread. Nothing with another C library.
pub fn grow_in_large_steps() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_TOP_PAD, 1 << 20),
        (libc::M_TRIM_THRESHOLD, 8 << 20),
        // Else it would no longer adapt to the size of what is freed (mallopt(3)).
        (libc::M_MMAP_THRESHOLD, 4 << 20),
    ] {
        // SAFETY: mallopt only sets a number.
        unsafe { libc::mallopt(what, value) };
    }
}
