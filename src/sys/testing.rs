//! Switches for this project's own tests, which must be able to fail. Not for users: a release build has none.
//!
//! ```text
//! BGJOBS_TEST_OFF=subreaper,sweep,pdeathsig   leaves these parts of the containment out, and the cgroup with them,
//!                                             which would make up for each
//! BGJOBS_TEST_OFF=cgroup                      does without a cgroup
//! BGJOBS_TEST_OFF=clone3,cgroup.kill,nowait   takes the ways of older kernels
//! BGJOBS_TEST_OFF=vfork                       starts no child in our own memory
//! BGJOBS_TEST_OFF=close_range,unshare         copies all descriptors for such a child; with both, shares none with it
//! BGJOBS_TEST_OFF=grace                       no job is given its grace period
//! BGJOBS_TEST_OFF=punch_hole                  a file system without holes
//! BGJOBS_TEST_PANIC=THREAD:FILE               that thread of the host panics once FILE exists
//! BGJOBS_TEST_HANG=PLACE:FILE                 whoever comes to that place makes FILE.reached and stays there for as
//!                                             long as FILE exists
//! ```
//!
//! The places to hang at:
//!
//! ```text
//! guard      in the guard, its signals blocked, before there is a run directory or a host
//! start      in the host's main thread, before it watches the guard, its link or a signal
//! script     in the script's thread, at any operation: a native call that spins and hears nothing
//! spawn      in a job's child, between fork and exec; who forks waits for it with the table locked
//! teardown   in the host's main thread, with the table locked, once the stop has begun: a deadlock
//! reaper     in the reaper, which knows that somebody has ended and has not looked
//! verdict    in the host's main thread, when all is gone and only the report is due
//! ```

use nix::libc;
use std::ffi::CString;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// Whether this part of the containment is to be left out.
pub fn off(part: &str) -> bool {
    cfg!(debug_assertions)
        && std::env::var("BGJOBS_TEST_OFF").is_ok_and(|parts| parts.split(',').any(|off| off == part))
}

/// Whether no part of the containment is left out that a cgroup would make up for.
pub fn whole() -> bool {
    !["subreaper", "sweep", "pdeathsig"].into_iter().any(off)
}

/// Panics when a test wants to see what a panic in the calling thread does.
pub fn may_panic() {
    static WISH: OnceLock<Option<String>> = OnceLock::new();
    if cfg!(debug_assertions)
        && let Some(wish) = WISH.get_or_init(|| std::env::var("BGJOBS_TEST_PANIC").ok())
        && let Some((wanted, file)) = wish.split_once(':')
        && std::thread::current().name() == Some(wanted)
    {
        assert!(!Path::new(file).exists(), "asked for by a test");
    }
}

/// The file that keeps whoever comes to this place there.
fn hang_file(place: &str) -> Option<&'static str> {
    static WISH: OnceLock<Option<String>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return None;
    }
    let (wanted, file) =
        WISH.get_or_init(|| std::env::var("BGJOBS_TEST_HANG").ok()).as_ref()?.split_once(':')?;
    (wanted == place).then_some(file)
}

/// Hangs when a test wants to see what a hang at this place does.
pub fn may_hang(place: &str) {
    let Some(file) = hang_file(place) else { return };
    let elsewhere = place == "script" && std::thread::current().name() != Some(place);
    if elsewhere || !Path::new(file).exists() {
        return;
    }
    let _ = std::fs::write(format!("{file}.reached"), "");
    while Path::new(file).exists() {
        // The script's thread really spins: that is what a native call without an end does.
        if place != "script" {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// FILE and FILE.reached for a child between fork and exec, which may not allocate.
static IN_CHILD: OnceLock<Option<(CString, CString)>> = OnceLock::new();

/// Makes ready for [`hang_in_child`]; before the fork.
pub(super) fn prepare_child() {
    let name = |text: String| CString::new(text).ok();
    IN_CHILD.get_or_init(|| {
        let file = hang_file("spawn")?;
        Some((name(file.to_owned())?, name(format!("{file}.reached"))?))
    });
}

/// As [`may_hang`], with async-signal-safe calls only.
pub(super) fn hang_in_child() {
    let Some(Some((file, reached))) = IN_CHILD.get() else { return };
    let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    // SAFETY: plain system calls on memory that was prepared before the fork.
    unsafe {
        if libc::access(file.as_ptr(), libc::F_OK) != 0 {
            return;
        }
        libc::close(libc::open(reached.as_ptr(), libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC, 0o600));
        while libc::access(file.as_ptr(), libc::F_OK) == 0 {
            libc::nanosleep(&raw const pause, std::ptr::null_mut());
        }
    }
}
