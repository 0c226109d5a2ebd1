//! An error → what is said about it: the cause, and the next edit.
//!
//! ```text
//! scan         the words and brackets of a text that may not parse
//! advice       what is wrong with a text, and the place
//! habits       words and symbols of other languages
//! signature    which functions there are
//! hints        what a parser error means
//! called       errors of scripts that are built in
//! caller       what is advised to who has called one
//! failure      an error of the evaluation → plain data for the report
//! method       what is said about the methods of a map
//! module_call  what fails in a module of the standard library → what was called of it
//! ```

mod advice;
pub mod called;
pub mod caller;
pub mod failure;
pub mod habits;
pub mod hints;
pub mod method;
mod module_call;
mod scan;
pub mod signature;
