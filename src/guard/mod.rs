//! The outer process. It keeps the caller's pid, process group and terminal, forks the host, forwards
//! signals as orders, and returns only when everything is gone or has been named.
//!
//! It runs no script, holds no lock and starts no thread but one that it can do without (`sys::memory`), so that
//! nothing the script does can hang it.
//!
//! ```text
//! signals    which signals it handles
//! patience   how long it bears with a host that is to end, as a pure step
//! between    the process that keeps it apart from children that are not ours
//! watch      watches the host
//! teardown   makes sure that nothing is left
//! start      opens, forks, watches
//! ```

mod between;
mod patience;
mod signals;
mod start;
mod teardown;
mod watch;

pub use start::run;
