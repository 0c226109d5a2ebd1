//! Opens what guard and host need, forks the host, and watches it.

use crate::cli::{Options, Recording, Verbosity};
use crate::end;
use crate::guard::between::forward_to;
use crate::guard::patience::Patience;
use crate::guard::signals::{STOPPING, handled_signals};
use crate::guard::watch::Guard;
use crate::jobs::cgroup;
use crate::report::ReportStyle;
use crate::report::views::Outputs;
use crate::run::{self, Host};
use crate::rundir;
use crate::sys::fork::{self, Forked};
use crate::sys::page::{self, Page};
use crate::sys::wait::{self, Peek};
use crate::sys::{clock, fd, link, namespace, pidfd, sched, signal, testing, tty, vault};
use crate::{exit, report};
use anyhow::Context;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Runs a script in a host process of its own; returns the exit code, or dies of the signal that ended the
/// run.
pub fn run(options: &Options) -> i32 {
    let done = match options.reports.is_empty() {
        true => prepare(options, Outputs::default()),
        false => with_reports(options),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            report::plain_error(&error);
            exit::INFRASTRUCTURE
        }
    }
}

/// Reports are made of what is recorded, for which there may be no file yet.
fn with_reports(options: &Options) -> anyhow::Result<i32> {
    fd::open_standard();
    let path = match &options.events {
        Some(Recording::At(path)) => Some(path.as_path()),
        _ => None,
    };
    let outputs = match Outputs::open(&options.reports, path) {
        Ok(outputs) => outputs,
        Err(failure) => {
            report::print_failure(&failure, ReportStyle::choose(options.color));
            return Ok(failure.code);
        }
    };
    let events = match &options.events {
        None => {
            let file = tempfile::tempfile()
                .context("cannot record what happens in the directory for temporary files")?;
            Some(Recording::Kept(Arc::new(file)))
        }
        events => events.clone(),
    };
    prepare(&Options { events, ..options.clone() }, outputs)
}

fn prepare(options: &Options, outputs: Outputs) -> anyhow::Result<i32> {
    // 1. Known surroundings, before anything is opened or forked. An inherited *ignored* SIGCHLD would lose
    //    the host's status.
    fd::open_standard();
    signal::default(Signal::SIGCHLD);
    // A limit of file sizes is to be an error of one write, not the end of guard and host (setrlimit(2)).
    signal::ignore(Signal::SIGXFSZ);
    signal::ignore(Signal::SIGTTOU);
    signal::unblock_all().context("cannot set the signal mask")?;
    // With a PID namespace of its own the host mounts its own, and we need none: when it ends, all have ended.
    if !rundir::proc_is_there() && !options.isolate.pid {
        anyhow::bail!(
            "/proc is not mounted here or belongs to another PID namespace, and without it no process can be \
             found or named: mount it, or use --isolate pid"
        );
    }
    let directory = std::env::current_dir()
        .context("cannot tell the current directory (was it removed? change to another)")?;
    let handled = handled_signals();
    signal::block(&handled).context("cannot block signals")?;
    testing::may_hang("guard");
    if let Some(code) = alone(options) {
        return Ok(code);
    }
    fd::seal_inherited();
    // 2. Children that are not ours (`server & exec bgjobs …`), or pid 1, whose children are everybody's
    //    orphans: a process in between keeps them apart from those we kill and count.
    let stranger = std::process::id() == 1 || !matches!(wait::peek_any(), Peek::NoChild);
    let mut outer = None;
    let mut ours = Vec::new();
    if stranger {
        let parent = std::process::id();
        let handle = pidfd::open(parent.cast_signed()).context("cannot open a pidfd")?;
        let signals = signal::descriptor(&handled).context("cannot open a signalfd")?;
        match fork::fork_single_threaded().context("cannot fork")? {
            Forked::Parent(inner) => return Ok(forward_to(inner, &signals)),
            Forked::Child => {
                drop(signals);
                // CONT, so that a guard that Ctrl-Z has stopped wakes and sees the end of its outer process.
                fork::on_parent_death(Signal::SIGCONT).context("cannot watch the outer process")?;
                outer = Some(handle);
                ours.push(parent.cast_signed());
            }
        }
    }
    // 3. Everything that both processes need, then the fork.
    let signals = signal::descriptor(&handled).context("cannot open a signalfd")?;
    let myself = pidfd::open(std::process::id().cast_signed()).context("cannot open a pidfd")?;
    let (link, theirs) = link::pair().context("cannot open a socket pair")?;
    let modes = tty::save();
    fork::become_subreaper().context("cannot become a subreaper")?;
    vault::create().context("cannot map shared memory")?;
    // Near the end and with signals blocked: else it would be left behind.
    let page = page::create().context("cannot map shared memory")?;
    page.describe(&options.source.to_string(), &directory, options.grace);
    let run_dir = make_room(page, options.keep)?;
    ours.push(std::process::id().cast_signed());
    let cgroup = cgroup::create(&rundir::name(&run_dir), ours);
    if let Ok(cgroup) = &cgroup {
        page.set_cgroup(cgroup.path());
    }
    // Here and in all of the host, but for whoever starts the jobs.
    sched::prompt();
    let forked = match options.isolate.any() {
        true => namespace::fork(options.isolate)
            .map_err(|obstacle| anyhow::anyhow!(report::obstacle(options.isolate, obstacle))),
        false => fork::fork_single_threaded().context("cannot fork"),
    };
    let forked = forked.inspect_err(|_| {
        end::undo(&run_dir, cgroup.as_ref().ok());
    })?;
    match forked {
        Forked::Child => {
            // First of all, and CONT: so that a host that is stopped wakes when its guard dies. Before this line it
            // would not.
            fork::on_parent_death(Signal::SIGCONT).context("cannot watch the guard")?;
            drop((link, signals));
            Ok(run::host(
                options,
                Host { link: Arc::new(theirs), guard: myself, page, run_dir, cgroup, outputs },
            ))
        }
        Forked::Parent(host) => {
            drop((theirs, myself));
            page.set_host(host);
            // While the host starts, so that nobody waits for it.
            if let Ok(cgroup) = &cgroup {
                cgroup.remove_dead_ones();
            }
            mention(options);
            fork::no_core_dump(); // It may die of QUIT; its jobs may dump as their user has set it.
            let mut guard = Guard {
                host: Some(host),
                link,
                link_ended: None,
                signals,
                outer,
                page,
                run_dir,
                cgroup: cgroup.ok(),
                options,
                outputs,
                started: clock::now(),
                first: None,
                killing: false,
                report: None,
                patience: Patience::default(),
                delays: HashMap::new(),
                delays_due: None,
                timed_out: false,
                hurried: Cell::default(),
                lingers: false,
                closed_early: false,
            };
            let end = guard.watch();
            let code = guard.finish(end, &modes);
            Ok(code)
        }
    }
}

/// The run directory, with a copy of the page in it. Ours alone, whatever the umask is, which the jobs get as it was.
fn make_room(page: &Page, keep: bool) -> anyhow::Result<PathBuf> {
    let mask = umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let made = rundir::create(page, keep);
    umask(mask);
    made
}

/// A script that needs no run is over before there is one; the exit code. What is not as it always is, a signal or a
/// reader who does not read, is left to the run.
fn alone(options: &Options) -> Option<i32> {
    let verdict = run::alone(options)?;
    mention(options);
    let pending =
        STOPPING.iter().chain(&[Signal::SIGQUIT, Signal::SIGTSTP]).any(|it| signal::is_pending(*it));
    (!pending && report::said_at_once(&verdict)).then_some(exit::OK)
}

/// A line when TMPDIR is not used, and one when runs that were killed have left something.
fn mention(options: &Options) {
    if options.verbosity == Verbosity::Quiet {
        return;
    }
    if let Some(why) = rundir::passed_over() {
        report::hint(&format!("note: {why}\n"));
    }
    match end::after_lost_runs() {
        0 => {}
        left => report::left_behind(left),
    }
}
