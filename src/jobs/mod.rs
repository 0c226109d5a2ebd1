//! What runs and who stops it. Knows processes, not scripts: no rhai, no unsafe.
//!
//! ```text
//! env       the environment of what is started
//! cgroup    the wall around all jobs, where the machine has one; limits
//! spec      what to start: data, and its translation for exec
//! plain     command lines that need no shell
//! refused   why the system refused something
//! wait/     what a wait is woken by, and whose turn it is meanwhile
//! output/   what commands print, and how it looks as text
//! job       a job, and what can be said of it at one moment
//! fail      why a job counts as dead
//! log/      a job's log
//! port      free ports, who listens
//! remains/  the proof: what is left of a run
//! table/    the one table: states, attribution, signals
//! all       all jobs of the run, and what is asked about them
//! failures  who has died or failed, and whether the script knows
//! stdin     what is sent to a job
//! launch    starts jobs and commands
//! ctl       the socket by which processes of the run can ask it for something
//! stop/     how jobs are stopped, and the final sweep
//! restart   starts jobs again that end by themselves
//! slow      which starts the run has waited for
//! evict     frees a port
//! usage     what jobs use, told while they run
//! threads   who forks, who reaps: threads that live as long as the process
//! ```
//!
//! The thread of the script forks by itself what it starts, and waits by itself for its commands (`output::attended`): the
//! kernel's parent-death signal follows the forking thread, so it stays until the process ends. Who may end before, such as a
//! closure of `parallel`, asks the *spawner*, which the first of them starts. The *reaper* starts with the first process,
//! and looks at all children whenever one has ended: on a thread of its own, since what it reads in /proc takes the
//! longer the more there is, and no order may wait behind that. *logs* starts with the first job and keeps the logs short:
//! whoever punches holes into files waits as long as their disk does, and no end of a process may wait behind that.
//! *restarts* runs once a job has a `restart`, and *usage* where events are recorded. Children are only
//! reaped under the table's lock, which is a leaf: no other lock is taken under it, but that of the event stream, which
//! nobody holds for longer than a moment: what is announced under the lock is announced in the order in which it
//! happened. Whoever forks holds it until an exec has succeeded or failed, and /proc is read under it.

mod all;
pub mod cgroup;
pub mod ctl;
pub mod env;
pub mod evict;
pub mod fail;
mod failures;
mod job;
mod launch;
pub mod log;
pub mod output;
mod plain;
pub mod port;
mod refused;
mod remains;
mod restart;
mod slow;
pub mod spec;
mod stdin;
pub mod stop;
mod table;
mod threads;
mod usage;
mod wait;

pub use crate::sys::clock::now;
pub use crate::sys::names;
pub use crate::sys::page::ask_for_patience;
pub use crate::sys::proc::command as process_command;
pub use crate::sys::signal::{name as signal_name, names as signal_names, number as signal_number};
pub use crate::sys::wait::ExitStatus;
pub use all::Jobs;
pub use job::{Job, JobId, Kind, State, View, describe};
pub use log::limit;
pub use output::{print, text};
pub use refused::{SMALLEST_STACK, why};
pub use remains::{Left, Survivor, leak, process_name, shared, survivors};
pub use stdin::{Sent, UNREAD};
pub use stop::{Ask, sweep};
pub use table::{REAPED_AT_ONCE, kill_children, signal_process};
pub use threads::Lasting;
pub use wait::files::Watching;
pub use wait::{control, patient, strand};
