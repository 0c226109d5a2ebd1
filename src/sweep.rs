//! `bgjobs ps`: what runs.

use crate::cli;
use crate::jobs;
use crate::report::{self, JobLine, RunLine, RunRecord};
use crate::runs::{self, Run, State};
use crate::sys::page::SlotView;
use crate::sys::proc;
use std::sync::atomic::Ordering::SeqCst;

/// Shows the live runs of this user; for root those of all.
pub fn ps(options: &cli::Ps) -> i32 {
    let me = nix::unistd::geteuid();
    let visible = |run: &Run| run.state == State::Live && (me.is_root() || run.uid == me.as_raw());
    let lines: Vec<RunLine> = runs::all().into_iter().filter(visible).map(line).collect();
    report::ps(&lines, options.json)
}

fn line(run: Run) -> RunLine {
    let page = run.page.as_deref();
    let record = page.map(|page| RunRecord {
        script: page.script(),
        started: page.started(),
        up: page.started().elapsed().unwrap_or_default(),
        guard: page.guard().pid,
        host: page.host().pid,
        stopping: page.stop_since_ns.load(SeqCst) != 0,
    });
    let slots = page.filter(|page| page.counts_here()).map(|page| page.published()).unwrap_or_default();
    let jobs = slots.into_iter().filter_map(job).collect();
    RunLine { name: run.name, path: run.path, user: jobs::user_name(run.uid), record, jobs }
}

/// None when it has just ended.
fn job(slot: SlotView) -> Option<JobLine> {
    let stat = proc::stat(slot.pid).filter(|stat| stat.start == slot.start)?;
    Some(JobLine { name: slot.name, pid: slot.pid, state: stat.state, up: stat.age() })
}
