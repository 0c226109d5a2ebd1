//! A job's log: the job writes it, others read it meanwhile, and it may be cut, renamed, truncated or deleted under them.
//!
//! ```text
//! held      which file a log is, and what is kept of it
//! piece     what it holds in one stretch, without holes
//! reader    reads it line by line as it grows
//! whole     as one text, and its end
//! place     wherever it is by now
//! watched   the logs that are searched for lines that mean failure
//! follow    passes them on as they grow
//! limit     cuts a log that is too long
//! limiting  the thread that keeps the logs within their limits
//! quiet     how long logs are to which nobody writes
//! finish    the final form of those that are kept: without holes and secrets
//! ```

pub(super) mod finish;
pub(super) mod follow;
pub(super) mod held;
pub mod limit;
mod limiting;
mod piece;
mod place;
pub(super) mod quiet;
pub(super) mod reader;
pub(super) mod watched;
pub(super) mod whole;

pub use finish::{finish_all, finish_noted};
pub use reader::{LogReader, News};
pub use whole::start_of_last;
