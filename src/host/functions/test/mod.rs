//! `test` and what belongs to it: a failed test is told where it happens, and the script goes on.
//!
//! ```text
//! group    groups of tests, and what is done before and after each test
//! options  what a test can be told
//! running  one test: its tries, and what comes of it
//! ```

mod group;
mod options;
mod running;

pub use group::FUNCTIONS as GROUPS;
pub use running::FUNCTIONS;
