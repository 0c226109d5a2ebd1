//! What is said before anything runs.
//!
//! ```text
//! declared     which options a function that is written in Rhai takes
//! plan         what a script would do, read from its text
//! tree         what is asked of an expression as it is written
//! project      a script and the modules that it imports
//! walk         the walk over one file, with what is in scope
//! call         calls: is there such a function
//! qualified    calls of functions of modules
//! addresses    the addresses of services in a list of them
//! arguments    arguments and options, where they are written out
//! kept         closures that are kept beyond their loop
//! shell        commands that only look as in a shell
//! findings     all that is wrong with a script and what it imports
//! warnings     habits of shell scripts that run, but are better left
//! ```

mod addresses;
mod arguments;
mod call;
mod declared;
mod findings;
mod kept;
pub mod plan;
mod project;
mod qualified;
mod shell;
mod tree;
mod walk;
pub mod warnings;

pub use findings::{Facts, check, each};
