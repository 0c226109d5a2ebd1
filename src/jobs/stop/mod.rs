//! How jobs are stopped.
//!
//! ```text
//! step      one job's way out, as a pure step
//! order     which jobs stop before which, as pure decisions
//! command   the command that is run instead of a stop signal
//! end       an end at a stop that is worth a word
//! stopping  all jobs' way out, and the final sweep
//! ```

pub(super) mod command;
pub(super) mod end;
pub(super) mod order;
pub(super) mod step;
pub(super) mod stopping;

pub use step::{AFTER_KILL, Ask, DYING, pause_in_sweep};
pub use stopping::sweep;
