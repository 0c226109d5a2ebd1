//! What a script holds → Rust, and back. Nothing here knows that a script runs.
//!
//! ```text
//! describe     the macros that describe functions and options
//! described    described functions in the engine, and how their arguments are read
//! dotenv       files of variables
//! error        what a script can catch
//! kinds        the kinds of values: how each is read and judged
//! path         `users[0].name`: a path into JSON
//! read         arguments: durations, commands, option maps
//! utf8         bytes of a file → text
//! ```

pub mod describe;
pub mod described;
pub mod dotenv;
pub mod error;
pub mod kinds;
pub mod path;
pub mod read;
pub mod utf8;

pub use read::*;
