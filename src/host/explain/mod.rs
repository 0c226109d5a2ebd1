//! An error → what is said about it: the cause, and the next edit.
//!
//! ```text
//! called       errors of scripts that are built in
//! failure      an error of the evaluation → plain data for the report
//! hints        advice for habits from other languages
//! method       what is said about the methods of a map
//! signature    which functions there are
//! ```

pub mod called;
pub mod failure;
pub mod hints;
pub mod method;
pub mod signature;
