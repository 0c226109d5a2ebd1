//! What is said before anything runs.
//!
//! ```text
//! declared     which options a function that is written in Rhai takes
//! plan         what a script would do, read from its text
//! walk         the walk over a script and the modules that it imports
//! warnings     habits of shell scripts that run, but are better left
//! ```

mod declared;
pub mod plan;
mod walk;
pub mod warnings;

pub use walk::check;
pub use walk::each;
