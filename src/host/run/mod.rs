//! Doing something in a run: the runtime, starting, waiting.
//!
//! ```text
//! death        the jobs that have died without the script having noticed
//! launch       from a script's words to a process
//! owner        whose port is it
//! program      a program that is not found, and the one that was meant
//! ready        what can be waited for, and waiting for it
//! runtime      what the functions work on
//! services     `start([…])`
//! ```

pub mod death;
pub mod launch;
pub mod owner;
pub mod program;
pub mod ready;
pub mod runtime;
pub mod services;
