//! A script that calls nothing, in the process that is called: without a host, a thread, a cgroup or a run directory, since
//! there is nothing that could outlive us. What it does not do: judge, write, or wait. Whatever is not as simple as that (an
//! error, a call, an option that needs a run) is left to a run, which begins anew, as nothing has happened.

use crate::cli::Options;
use crate::exit;
use crate::host;
use crate::jobs::Left;
use crate::report::{self, ReportStyle, Verdict};
use crate::sys::clock;
use std::time::Duration;

/// Evaluates such a script to its end; what is to be said of it, since it has passed. The caller has blocked signals and sees
/// to those that come meanwhile: it does not take long.
pub fn alone(options: &Options) -> Option<String> {
    /// What is longer than that does not pass before it has begun.
    const SHORTEST: Duration = Duration::from_secs(1);
    // By name, each of them: an option that is added does not compile until it is decided here whether it needs a run.
    let Options {
        source,
        args,
        timeout,
        keep,
        include,
        isolate,
        plan,
        events,
        reports,
        select,
        update,
        task,
        color,
        // Nothing is stopped, nothing happens that could be told, there are no logs, and no call asks what was handed on.
        grace: _,
        verbosity: _,
        keep_logs: _,
        follow: _,
        handed: _,
    } = options;
    let is_plain = args.is_empty()
        && timeout.is_none_or(|time| time >= SHORTEST)
        && !(*keep || *plan || *update || isolate.any())
        && events.is_none()
        && reports.is_empty()
        && select.is_all()
        && task.is_none();
    let started = clock::now();
    if !is_plain || !host::runs_alone(source, include) {
        return None;
    }
    let verdict = Verdict {
        code: exit::OK,
        cause: None,
        elapsed: clock::now().saturating_sub(started),
        tests: &[],
        slow_start: &[],
        only: false,
        stopped: 0,
        stop_ends: &[],
        restarted: &[],
        left: &Left::default(),
        inside: false,
        kept: &[],
        stays: &[],
        one_line: false,
    };
    Some(report::verdict(&verdict, ReportStyle::choose(*color)))
}
