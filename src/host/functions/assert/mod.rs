//! Assertions: `assert`, `assert_eq` and the like. A failed one is an error of kind `assertion` that shows both
//! values, short: what differs, and where.
//!
//! ```text
//! equal        when two values are equal
//! show         values as messages show them
//! failure      what a failed assertion says
//! differences  where two values differ
//! checks       what must be true of values
//! closures     what must be true of closures
//! namespace    the functions
//! snapshot     values as they were when somebody has looked at them
//! ```

mod checks;
mod closures;
mod differences;
mod equal;
mod failure;
mod namespace;
mod show;
mod snapshot;

pub use namespace::FUNCTIONS;
pub use snapshot::finish as finish_snapshots;
