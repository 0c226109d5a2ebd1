//! All words about a run for people. The only writers of stdout and stderr.
//!
//! ```text
//! words      small words: times, sizes, counts, and what is cut
//! said       a text of ours as it is written: without secrets and orders to the terminal
//! style      colour or none
//! failure    the report of a failure
//! terminal   events as lines on stderr
//! status     what is waited for, on a terminal in one line
//! live       the logs of jobs while they grow
//! events     events as lines of JSON in a file
//! recorder   what `bgjobs test` adds to them
//! lane       what waits for one descriptor to take it
//! out        the thread that writes: events in, bytes out
//! print      texts where no thread writes
//! verdict    the last line of a run, and what is left
//! isolation  why a run cannot have what `--isolate` asks for
//! tested     what `bgjobs test` says
//! watching   what it says with --watch
//! views/     reports for other programs, made from files of events
//! html       the page of them
//! table      rows of cells → lines with aligned columns
//! pager      long texts on a terminal
//! doctor     what `bgjobs doctor` says
//! manual     what a script says about itself
//! ctl        what `bgjobs ctl` says
//! runs       what `bgjobs ps` and `bgjobs sweep` say
//! ```

mod ctl;
mod doctor;
mod events;
mod failure;
mod html;
mod isolation;
mod lane;
mod live;
mod manual;
mod out;
mod pager;
mod print;
mod recorder;
mod runs;
mod said;
mod status;
mod style;
mod table;
mod terminal;
mod tested;
mod verdict;
pub mod views;
mod watching;
mod words;

pub use ctl::answer as ctl;
pub use doctor::{Check, Diagnosis, descriptors, doctor, run_directory};
pub use events::{Events, SCHEMA, at as events_at, open as open_events, refused as events_refused};
pub use failure::failure;
pub use isolation::obstacle;
pub use live::{Live, unknown_job};
pub use manual::{manual, params, plan, scripts};
pub use out::{Haste, Loss, Reporter, StdoutEnd, start};
pub use pager::page;
pub use print::erase_status;
pub use print::{
    findings, hint, plain_error, print, print_as_it_is, print_failure, print_json, print_warning,
    said_at_once,
};
pub use recorder::{Recorder, TryEnd};
pub use runs::{
    JobLine, LeftLine, Record as RunRecord, RunLine, Swept, Unread, UnreadLine, Why, left_behind, leftovers,
    ps, swept,
};
pub use style::Style as ReportStyle;
pub use terminal::Terminal;
pub use tested::{
    End as ScriptEnd, Tally, Teller, damaged, described, failed_above, made, merged, not_begun,
    nothing_to_run, print_made,
};
pub use verdict::{
    GuardVerdict, HOST_HUNG, HOST_LINGERS, Verdict, guard_verdict, host_died, late_survivors, loss, verdict,
};
pub use watching::{changed, nothing_failed, old_defaults, watching};
pub use words::duration;
