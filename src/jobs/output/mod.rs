//! What processes print: a command's two pipes or its terminal, which are read here, and how all of it looks as text.
//! A job writes its log itself (`jobs/log`).
//!
//! ```text
//! text      how what they print looks as text
//! captured  what a command has printed
//! echo      what is shown of that while it runs
//! pump      reads a command's pipes
//! printed   what the script itself prints
//! attended  a command that the calling thread waits for
//! terminal  a terminal for a job or a command
//! foreground  the user's terminal, handed on to a command
//! ```

mod attended;
pub(super) mod captured;
pub(super) mod echo;
pub(super) mod foreground;
mod printed;
pub(super) mod pump;
pub(super) mod terminal;
pub mod text;

pub use attended::Attended;
pub use captured::{CAPTURE_LIMIT, Captured, Stream};
pub use echo::{Echo, prefixed};
pub use foreground::Foreground;
pub use printed::print;
pub use pump::Pump;
