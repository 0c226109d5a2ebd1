//! What a script holds → Rust, and back. Nothing here knows that a script runs.
//!
//! ```text
//! address      the addresses of services, in what is said of another
//! arguments    the arguments of a script: words such as `--name value`
//! describe     the macros that describe functions and options
//! described    described functions in the engine, and how their arguments are read
//! dotenv       files of variables
//! error        what a script can catch
//! handle       a job, as scripts hold it
//! json         values of scripts ↔ JSON
//! kinds        the kinds of values: how each is read and judged
//! limits       how large a script and what it holds may become
//! outcome      how a command or a job has ended
//! parameter    what a value of a parameter stands for
//! path         `users[0].name`: a path into JSON
//! read         arguments: durations, commands, option maps
//! response     what a request was answered
//! spot         where a line or a key stands in a file
//! typed        a text as a value of the type that a default has
//! unknown      what is said of an option that there is not
//! utf8         bytes of a file → text
//! worded       what can be waited for, as one text
//! written      the texts of what is said of a job
//! ```

pub mod address;
pub mod arguments;
pub mod describe;
pub mod described;
pub mod dotenv;
pub mod error;
pub mod handle;
pub mod json;
pub mod kinds;
pub mod limits;
pub mod outcome;
pub mod parameter;
pub mod path;
pub mod read;
pub mod response;
pub mod spot;
pub mod typed;
pub mod unknown;
pub mod utf8;
pub mod worded;
pub mod written;

pub use read::*;
pub use unknown::*;
