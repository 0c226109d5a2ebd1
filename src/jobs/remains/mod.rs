//! What is left of a run, or was before it ended.
//!
//! ```text
//! survivor  processes that are still there
//! shared    shared memory that outlives its processes
//! leak      the proof: what is left of a run
//! ```

pub mod leak;
pub mod shared;
pub(super) mod survivor;

pub use leak::Left;
pub use survivor::{Survivor, process_name, survivors};
