//! All words about a run for people. The only writers of stdout and stderr.
//!
//! ```text
//! doctor    what `bgjobs doctor` says
//! manual    what a script says about itself
//! out       the thread that writes: events in, bytes out
//! pager     long texts on a terminal
//! runs      what `bgjobs ps` and `bgjobs sweep` say
//! table     rows of cells → lines with aligned columns
//! terminal  events as lines on stderr
//! text      the longer texts: the failure report, the verdict
//! ```

mod doctor;
mod manual;
mod out;
mod pager;
mod runs;
mod table;
mod terminal;
mod text;

pub use doctor::{Check, Diagnosis, descriptors, doctor, run_directory};
pub use manual::{manual, params, plan, scripts};
pub use out::{Haste, Loss, Reporter, StdoutEnd, start};
pub use pager::page;
pub use runs::{
    JobLine, LeftLine, Record as RunRecord, RunLine, Swept, Why, left_behind, leftovers, ps, swept,
};
pub use terminal::{Style as ReportStyle, Terminal};
pub use text::{
    GuardVerdict, Verdict, duration, failure, findings, guard_verdict, hint, host_died, late_survivors, loss,
    obstacle, plain_error, print, print_as_it_is, print_failure, print_json, print_warning, verdict,
};

use crate::cli::Verbosity;
use std::time::Duration;

pub fn terminal(started: Duration, verbosity: Verbosity, style: ReportStyle) -> Terminal {
    Terminal::new(started, verbosity, style)
}

/// How long all `on_exit` closures together may take.
pub const ON_EXIT: Duration = Duration::from_secs(10);

pub const HOST_LINGERS: &str =
    "the host process was killed or has crashed, and something in its PID namespace does not end";

pub const HOST_HUNG: &str = "the host process did not stop in time and was killed";
