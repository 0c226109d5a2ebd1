//! Switches for this project's own tests, which must be able to fail. Not for users: a release build has none.
//!
//! ```text
//! BGJOBS_TEST_OFF=subreaper,sweep,pdeathsig   leaves these parts of the containment out
//! BGJOBS_TEST_PANIC=THREAD:FILE               that thread of the host panics once FILE exists
//! ```

use std::path::Path;
use std::sync::OnceLock;

/// Whether this part of the containment is to be left out.
pub fn off(part: &str) -> bool {
    cfg!(debug_assertions)
        && std::env::var("BGJOBS_TEST_OFF").is_ok_and(|parts| parts.split(',').any(|off| off == part))
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
