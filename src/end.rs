//! What becomes of the logs, the directory, the cgroup and the shared memory of a run that is over, told once. Whether it has
//! failed is decided elsewhere; nothing here ends a process, or says anything to people.
//!
//! When everything of the run has ended:
//! 1. [`settle`]: the logs that lie where the script wants them get their final form, without holes and secrets.
//! 2. [`settle`]: what stays is decided: nothing, the logs (after a failure, or with `--keep-logs`), or all (`--keep`).
//!    Unless all stays, what is in temporary directories goes.
//! 3. Reports and the verdict, which names where the logs are, and what could not be removed. Not here: see `run` and `guard`.
//! 4. [`close`]: the cgroup goes.
//! 5. [`close`]: the logs that stay get their final form.
//! 6. [`close`]: the record says that the run is over.
//! 7. [`close`]: the directory goes, or, where something stays, the oldest of those that stayed before.
//!
//! Who does it:
//!
//! ```text
//!                                        1 and 2        4 to 7
//! the host ends by itself                host           guard; if the run has passed, while the host still ends
//! the host was killed, or hung           guard          guard
//! the guard was killed                   host           host
//! both were                              nobody         the next run of this user when no process is left
//!                                                       (`after_lost_runs`), or else `bgjobs sweep` (`swept`)
//! there never was a host                 -              guard (`undo`)
//! ```
//!
//! Each step may be done a second time by somebody else, and finds less to do. Whoever is killed before 6 leaves a directory
//! whose lock is free and whose record does not say that the run is over: it counts as lost, and the next run looks at it.
//! None of them needs room on a disk: a log gets its final form in place, and one with a secret that cannot be masked is
//! emptied.
//!
//! The record, which tells that a directory is one of a run, goes last, and only when nothing else stays: a later run tries
//! again.

use crate::cli::Options;
use crate::jobs::cgroup::{self, Cgroup};
use crate::jobs::{Jobs, ask_for_patience, log};
use crate::rundir::{self, LOGS, RECORD};
use crate::runs::{self, Run, State};
use crate::sys::page;
use crate::sys::tree::{self, Stays};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many kept directories of failed runs stay.
const KEPT: usize = 10;
/// How long the kernel may take to let go of a cgroup whose processes have just ended.
const LET_GO: Duration = Duration::from_millis(500);

/// What stays of a run that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Nothing,
    Logs,
    /// Temporary directories, too.
    All,
}

impl Keep {
    /// Of a run whose host has only told whether anything stays.
    pub fn told(anything: bool, options: &Options) -> Self {
        match anything {
            false => Self::Nothing,
            true if options.keep => Self::All,
            true => Self::Logs,
        }
    }
}

/// What is known before the verdict.
pub struct Settled {
    pub keep: Keep,
    /// Where it is.
    pub kept: Vec<PathBuf>,
    /// What could not be removed.
    pub stays: Vec<Stays>,
}

/// Steps 1 and 2. `host`: the jobs, for the host; the guard knows only what has been noted of them.
pub fn settle(run: &Path, options: &Options, failed: bool, host: Option<&Jobs>) -> Settled {
    match host {
        Some(jobs) => jobs.finish_own_logs(),
        None => log::finish_noted(),
    }
    if options.keep {
        let shared = Some(rundir::shared_dir(run)).filter(|shared| rundir::is_ours(run, shared));
        let kept = std::iter::once(run.to_owned()).chain(shared).collect();
        return Settled { keep: Keep::All, kept, stays: Vec::new() };
    }
    let logs = rundir::logs(run).filter(|_| failed || options.keep_logs);
    let keep = if logs.is_some() { Keep::Logs } else { Keep::Nothing };
    Settled { keep, kept: logs.into_iter().collect(), stays: clear(run) }
}

/// Steps 4 to 7, for the last of guard and host. `left`: whether there are processes that nothing could end.
pub fn close(run: &Path, cgroup: Option<&Cgroup>, left: bool, keep: Keep) {
    if let Some(cgroup) = cgroup {
        cgroup.remove(left);
    }
    if keep != Keep::Nothing {
        log::finish_all(&run.join(LOGS));
    }
    close_directory(run, keep);
}

/// The same for a run that has passed, while its host, which has told that nothing of it lives and writes nothing more, still
/// ends. Whether the cgroup is gone as well: what does not go at once waits until the host is gone.
pub fn close_early(run: &Path, cgroup: Option<&Cgroup>) -> bool {
    // It could not be removed if anybody were in it.
    let gone = cgroup.is_none_or(Cgroup::remove_empty);
    close_directory(run, Keep::Nothing);
    gone
}

fn close_directory(run: &Path, keep: Keep) {
    if let Some(page) = page::get() {
        page.end();
    }
    match keep {
        Keep::Nothing => drop(remove(run)),
        // Once more: what was cleared before the verdict may have come back since.
        Keep::Logs => drop(clear(run)),
        Keep::All => {}
    }
    if keep != Keep::Nothing {
        prune(run);
    }
}

/// Of a run that has not begun: nothing was started, and there is nothing to keep.
pub fn undo(run: &Path, cgroup: Option<&Cgroup>) {
    if let Some(cgroup) = cgroup {
        cgroup.remove(false);
    }
    remove(run);
}

/// Of a dead run of which `bgjobs sweep` has ended all that it had left, and which it holds. Returns what stays.
pub fn swept(run: &Run, cgroup: Option<&cgroup::Dir>) -> Vec<Stays> {
    run.remove_memory();
    if let Some(cgroup) = cgroup {
        cgroup.remove(LET_GO);
    }
    remove(&run.path)
}

/// How many processes runs of ours have left that lost both their processes, for a word at the start of the next
/// run. Only when there is such a run this costs more than a look at a few directories; a run of which no process is
/// left is marked as ended, so that nobody looks again, and keeps its logs alone. What ended runs could not remove is
/// tried once more. Their cgroups go by locks of their own ([`Cgroup::remove_dead_ones`]).
pub fn after_lost_runs() -> usize {
    let me = nix::unistd::geteuid().as_raw();
    let is_lost = |run: &Run| run.state == State::Lost && run.uid == me;
    let listed = runs::without_records();
    let is_over = |run: &&Run| run.state == State::Ended && run.uid == me;
    for remains in listed.iter().filter(is_over).filter(|run| has_only_remains(&run.path)) {
        remove(&remains.path);
    }
    if !listed.iter().any(is_lost) {
        return 0;
    }
    let runs = runs::all();
    let Some(left) = runs::leftovers(&runs) else { return 0 };
    let mut count = 0;
    for run in runs.iter().filter(|run| is_lost(run)) {
        match run.count_of(&left) {
            Some(0) => {
                page::settle(&run.path.join(RECORD));
                run.remove_memory();
                clear(&run.path);
            }
            some => count += some.unwrap_or(0),
        }
    }
    count
}

/// Removes the oldest directories of ended runs of ours, so that failures do not fill the disk; not those of runs
/// that have left processes, which only `bgjobs sweep` finds by them.
fn prune(run: &Path) {
    let me = nix::unistd::geteuid().as_raw();
    let name = rundir::name(run);
    let over = |other: &Run| other.uid == me && other.name != name && other.is_dead();
    let mut old: Vec<Run> = runs::without_records().into_iter().filter(over).collect();
    old.truncate((old.len() + 1).saturating_sub(KEPT));
    let doubtful = old.iter().any(|other| other.state != State::Ended);
    let left = if doubtful { runs::leftovers(&runs::all()) } else { Some(Vec::new()) };
    let is_empty = |other: &Run| {
        let has_left_none = || left.as_ref().and_then(|left| other.count_of(left)) == Some(0);
        match other.state {
            State::Ended => true,
            State::Live | State::Lost => has_left_none(),
            // Of another version of bgjobs, or it found no room for its record.
            State::Unknown => has_left_none() && other.suspects().is_some_and(|all| all.is_empty()),
        }
    };
    for other in old.iter().filter(|other| is_empty(other)) {
        remove(&other.path);
    }
}

/// Removes what a run has put into temporary directories: everything but its logs and its record. Follows no links and crosses no mounts. Returns what could not be removed.
fn clear(run: &Path) -> Vec<Stays> {
    let mut stays = remove_shared(run);
    stays.extend(tree::empty(run, &[LOGS, RECORD], &mut ask_for_patience));
    stays
}

/// Removes everything of a run. When something cannot be removed, its record stays with it; its logs go.
fn remove(run: &Path) -> Vec<Stays> {
    let mut stays = remove_shared(run);
    if stays.is_empty() {
        return tree::remove(run, &[RECORD], &mut ask_for_patience);
    }
    stays.extend(tree::empty(run, &[RECORD], &mut ask_for_patience));
    stays
}

fn remove_shared(run: &Path) -> Vec<Stays> {
    let shared = rundir::shared_dir(run);
    if rundir::is_ours(run, &shared) { tree::remove(&shared, &[], &mut ask_for_patience) } else { Vec::new() }
}

/// Whether it is over, but something of it could not be removed: what is kept has logs, or was to be kept from the start.
fn has_only_remains(run: &Path) -> bool {
    fs::symlink_metadata(run.join(LOGS)).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}
