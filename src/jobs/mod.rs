//! What runs and who stops it. Knows processes, not scripts: no rhai, no unsafe.
//!
//! ```text
//! control   what wakes a wait, and whether the script may go on
//! strand    parts of the script that end by themselves, and take turns
//! text      how what they hold looks as text
//! cgroup    the wall around all jobs, where the machine has one; limits
//! spec      what to start: data, and its translation for exec
//! order     which jobs stop before which, as pure decisions
//! stop      one job's way out, as a pure step
//! refused   why the system refused something
//! survivor  processes that are still there
//! held      which file a log is, and what is kept of it
//! patient   files whose other end may keep one waiting
//! files     files whose changes ring the bell
//! limit     cuts a log that is too long
//! terminal  a job's terminal
//! job       a job, and what can be said of it at one moment
//! output    a job's log, a command's pipes
//! log       a job's log, wherever it is by now
//! fail      why a job counts as dead
//! watched   the logs that are searched for lines that mean failure
//! port      free ports, who listens
//! shared    shared memory that outlives its processes
//! leak      the proof: what is left of a run
//! table     the one table: states, attribution, signals
//! all       all jobs of the run, and what is asked about them
//! failures  who has died or failed, and whether the script knows
//! stdin     what is sent to a job
//! launch    starts jobs and commands
//! last      the command that is run instead of a stop signal
//! stopping  all jobs' way out, and the final sweep
//! log_limit the thread that keeps the logs within their limits
//! evict     frees a port
//! threads   the threads that live as long as the process
//! ```
//!
//! Three threads live as long as the process: the *spawner*, because the kernel's parent-death signal follows
//! the forking thread, the *reaper*, which looks at all children whenever one has ended, and *logs*, which keeps
//! them short. Children are only
//! reaped under the table's lock, which is a leaf: no other lock is taken under it, but that of the event stream, which
//! nobody holds for longer than a moment: what is announced under the lock is announced in the order in which it
//! happened. The spawner holds it until an exec has succeeded or failed, and /proc is read under it.

mod all;
pub mod cgroup;
pub mod control;
pub mod evict;
pub mod fail;
mod failures;
mod files;
mod held;
mod job;
mod last;
mod launch;
pub mod leak;
pub mod limit;
mod log;
mod log_limit;
mod order;
pub mod output;
pub mod patient;
pub mod port;
mod refused;
pub mod shared;
pub mod spec;
mod stdin;
pub mod stop;
mod stopping;
pub mod strand;
mod survivor;
mod table;
mod terminal;
pub mod text;
mod threads;
mod watched;

pub use crate::sys::clock::now;
pub use crate::sys::page::ask_for_patience;
pub use crate::sys::proc::command as process_command;
pub use crate::sys::signal::{name as signal_name, names as signal_names, number as signal_number};
pub use crate::sys::wait::ExitStatus;
pub use all::Jobs;
pub use files::Watching;
pub use job::{Job, JobId, Kind, State, View, describe};
pub use leak::Left;
pub use refused::{SMALLEST_STACK, why};
pub use stdin::{Sent, UNREAD};
pub use stop::Ask;
pub use stopping::sweep;
pub use survivor::{Survivor, process_name, survivors, user_name};
pub use table::{REAPED_AT_ONCE, kill_children, signal_process};
