//! What /proc says of processes. Every answer is a snapshot: the process may be gone, or another one, by
//! the time it is read, so whoever signals a pid from here checks its start time first.
//!
//! ```text
//! stat         who a process is, how it is, and what it uses
//! threads      which of its threads run or wait for a processor
//! status       its users, its rights, how it hears signals
//! tree         who descends from whom, and every process there is
//! files        what it has open
//! memory       what the kernel reads out of its own memory, from a thread that may be given up
//! environment  its command line and its environment
//! ```

mod environment;
mod files;
mod memory;
mod stat;
mod status;
mod threads;
mod tree;

pub use environment::{Births, births, carriers, command, name, program, variable, variables};
pub use files::{open_files, open_path, socket_owners, writes_to};
pub use stat::{Stat, Usage, in_background, start_between, stat, usage};
pub use status::{available, has_room, ignores, inner_pid, keeps_death_signal, pid_namespace, real_uid, uid};
pub use threads::{delays, runnable};
pub use tree::{adopted, all, census, children, descendants, forest, tree};
