//! Doing something in a run: the runtime, starting, waiting.
//!
//! ```text
//! access       a file that a job was told of and could not read
//! alarm        a piece of the script with an end of its own
//! beside       how the lines of commands beside each other are told apart
//! caught       errors that something in the script catches
//! death        jobs that have died: what is thrown, and which the script has not noticed
//! files        reading files, and why one could not be read or written
//! handing      what a `_setup.rhai` hands on
//! job          what is asked about jobs, and stopping them
//! launch       from options to the spec of a process
//! logs         the ends of the logs that have grown
//! options      what commands, jobs and waits can be told
//! origin       where a service stands that was read from a file
//! owner        whose port is it
//! ports        the ports of a job that is to be started
//! program      a program that is not found, and the one that was meant
//! ready        what can be waited for, and waiting for it
//! request      an HTTP request, from what a script says
//! runtime      what the functions work on
//! services     `start([…])`
//! spawn_error  what could not be started, and why
//! start        starting jobs: `spawn`, `start`, `restart`
//! waiting      waits that have failed, and waiting for an end
//! ```

pub mod access;
pub mod alarm;
pub mod beside;
pub mod caught;
pub mod death;
pub mod files;
pub mod handing;
pub mod job;
pub mod launch;
pub mod logs;
pub mod options;
pub mod origin;
pub mod owner;
pub mod ports;
pub mod program;
pub mod ready;
pub mod request;
pub mod runtime;
pub mod services;
pub mod spawn_error;
pub mod start;
pub mod waiting;
