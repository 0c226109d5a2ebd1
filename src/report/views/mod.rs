//! Reports for other programs and for later: all of them are views of files of events, and of nothing else, so that a
//! report can be made when the run is long over, or of several runs together.
//!
//! ```text
//! model    what files of events tell, as plain data
//! line     one line of such a file
//! read     files → model
//! cases    model → what is counted: tests, and scripts
//! junit    JUnit XML
//! ctrf     CTRF JSON
//! tap      TAP
//! github   the summary and the annotations of GitHub Actions
//! trace    trace events for Perfetto
//! summary  what `bgjobs test --json` prints
//! outputs  where reports go; which view belongs to which kind
//! shards   whether several runs are all of one list
//! testing  recorded runs, for the tests
//! ```

pub mod cases;
mod ctrf;
mod github;
mod junit;
mod line;
pub mod model;
mod outputs;
mod read;
mod shards;
mod summary;
mod tap;
#[cfg(test)]
pub mod testing;
mod trace;

pub use outputs::{Outputs, write_one};
pub use read::{read, read_one};
pub use shards::{hash, merged};
pub use summary::summary;
