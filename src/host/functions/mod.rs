//! The script functions, one namespace a file: convert → call below → convert. None imports another.
//!
//! ```text
//! assert/      what must be true
//! command      commands that run to their end
//! data         JSON, YAML and TOML
//! env          the environment of the run, directories, `.env` files
//! error        the properties of errors
//! flow         sleeping, trying again, ending the run
//! fs           files
//! http         HTTP requests and their responses
//! job          jobs: starting them, asking about them, stopping them
//! load         load on a server, and what it bears
//! mock         the stand-in HTTP server
//! module       what modules need: who calls, where from
//! number       numbers
//! parallel     closures at the same time, closures with an end
//! param        the script's parameters
//! port         ports: free ones, who listens
//! position     errors that point into a file that a script reads
//! sample       what only the tests have
//! stay         staying until the run is interrupted
//! test/        tests, groups of them, and what is done around each
//! text         strings and arrays
//! tls          certificates, which `std/tls` gives out
//! wait         waiting for something
//! ```

pub mod assert;
pub mod command;
pub mod data;
pub mod env;
pub mod error;
pub mod flow;
pub mod fs;
pub mod http;
pub mod job;
pub mod load;
pub mod mock;
pub mod module;
pub mod number;
pub mod parallel;
pub mod param;
pub mod port;
pub mod position;
#[cfg(test)]
pub mod sample;
pub mod stay;
pub mod test;
pub mod text;
pub mod tls;
pub mod wait;
