//! The one table of what runs, under one lock.
//!
//! ```text
//! entry     a job in the table
//! entries   the table: who is in it, by id, name, number and log
//! owners    to which job each process belongs
//! look      who has ended, who still lives, who may be reaped
//! rest      jobs that rest until they are started again
//! signals   signals to jobs, and the round of the final sweep
//! due       what a stop asks: who may be asked to end now, and how long that may take
//! ```

mod due;
mod entries;
mod entry;
mod look;
mod owners;
mod rest;
mod signals;

pub(super) use entries::{Phase, Table, canonical};
pub(super) use entry::{Entry, StopCommand};
pub(super) use look::{Change, Look};
pub(super) use signals::{Order, To};
pub use signals::{REAPED_AT_ONCE, kill_children, signal_process};
