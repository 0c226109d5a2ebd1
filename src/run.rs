//! The host process: its threads, and the order of shutdown, told once.
//!
//! ```text
//! main      this file: waits for the script, then stops everything. Runs no script, never writes
//! script    evaluates the script, then its `on_exit` closures
//! control   orders from the guard, the guard's death, the run's deadline → `Control`
//! report    the only one that writes
//! spawner, reaper   see `jobs`
//! ```
//!
//! Shutdown:
//! 1. The script ends, throws, panics, or is halted (a signal, the deadline, nobody reads our stdout).
//! 2. `on_exit` closures run, last in first out, all together within [`report::ON_EXIT`].
//! 3. The table closes: nothing new can start. All jobs are stopped at once, each with its own grace.
//! 4. The sweep: SIGKILL to whatever is left, until there is no child.
//! 5. The report, the verdict, the outcome to the guard.
//!
//! A kill order cuts 1 to 3 short. None of the steps waits for a reader, a pipe or the script beyond its bound.

use crate::cli::Options;
use crate::event::{Bus, Event, Failure};
use crate::exit;
use crate::host::{self, Session};
use crate::jobs::control::{Control, Halt};
use crate::jobs::{Ask, Jobs, Survivor};
use crate::report::{self, ReportStyle, Reporter, Verdict};
use crate::rundir;
use crate::sys::link::{Link, Order, Received, Report};
use crate::sys::page::Page;
use crate::sys::{clock, fd, fork, signal, testing};
use anyhow::Context;
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long the writers have at the end.
const WRITERS: Duration = Duration::from_secs(1);
/// How long the script and its `on_exit` closures have once the guard has been killed: all must be gone within the
/// grace period and a second.
const ORPHANED_ON_EXIT: Duration = Duration::from_millis(500);
/// Rhai evaluates recursively: room for the deepest script that its limits allow. Virtual memory only.
const SCRIPT_STACK: usize = 256 << 20;

/// What the guard hands to its host.
pub struct Host {
    pub link: Link,
    /// A pidfd of the guard.
    pub guard: OwnedFd,
    pub page: &'static Page,
    pub run_dir: PathBuf,
}

/// The host process, from just after the fork to its exit code.
pub fn host(options: &Options, host: Host) -> i32 {
    let run_dir = host.run_dir.clone();
    match prepare(options, host) {
        Ok(code) => code,
        Err(error) => {
            report::plain_error(&format!("{error:#}"));
            rundir::remove(&run_dir);
            exit::SURROUNDINGS
        }
    }
}

fn prepare(options: &Options, host: Host) -> anyhow::Result<i32> {
    // A session of its own: a kill of the caller's group or a signal from its terminal does not reach us.
    fork::new_session().context("cannot start a session")?;
    fork::become_subreaper().context("cannot become a subreaper")?;
    // CONT, so that even a stopped host wakes and sees that its guard is gone.
    fork::on_parent_death(Signal::SIGCONT).context("cannot watch the guard")?;
    // Until `ctrlc` catches them, signals to the host itself have to wait: they would end it.
    let stopping = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];
    signal::block_only(&[Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM])
        .context("cannot set the signal mask")?;
    signal::default(Signal::SIGTTOU);
    for ignored in [Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGPIPE] {
        signal::ignore(ignored);
    }

    let started = clock::now();
    let control = Arc::new(Control::default());
    let bus = Arc::new(Bus::default());
    let style = ReportStyle::choose(options.color);
    let terminal = report::terminal(started, options.verbosity, style);
    let reporter = {
        let control = Arc::clone(&control);
        report::start(Arc::clone(&bus), terminal, move || control.halt(Halt::StdoutGone))
            .context("cannot start a thread")?
    };
    let link = Arc::new(host.link);
    watch(options, &host.guard, &link, &control, &bus, &reporter)?;
    signal::unblock(&stopping).context("cannot unblock signals")?;
    panics_halt_the_run(&control, &bus);

    let run_name = host.run_dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let jobs = Jobs::start(Arc::clone(&control), Arc::clone(&bus), host.run_dir.clone(), run_name)
        .context("cannot start")?;
    let session = Session {
        jobs: Arc::clone(&jobs),
        bus: Arc::clone(&bus),
        options: host::Options {
            args: options.args.clone(),
            include: options.include.clone(),
            grace: options.grace,
            started,
        },
    };
    let (finished, closing) = start_script(options, session)?;
    let failure = wait_for_script(&control, &finished, &closing);
    let halted = control.reason().is_some();

    // From here on: the teardown.
    let bound = host.page.longest_grace_ms.load(SeqCst).max(host.page.grace_ms.load(SeqCst));
    link.report(Report::Stopping(i32::try_from(bound).unwrap_or(i32::MAX)));
    host.page.stop_since_ns.store(u64::try_from(clock::now().as_nanos()).unwrap_or(1), SeqCst);
    let left = stop_everything(&jobs);
    // A script that had come to its end keeps its result, whatever its teardown meets; but a signal is answered.
    let too_late = |reason: &Halt| !halted && matches!(reason, Halt::Deadline | Halt::GuardGone);
    let reason = control.reason().filter(|reason| !too_late(reason));
    Ok(conclude(
        options,
        &Ending { started, style, reason, bus, jobs, link, failure, left, run_dir: host.run_dir },
        reporter,
    ))
}

/// Follows the guard's orders, its death and the run's deadline, on a thread of its own; and `ctrlc` catches
/// signals sent to the host itself, which all mean *stop*.
fn watch(
    options: &Options,
    guard: &OwnedFd,
    link: &Arc<Link>,
    control: &Arc<Control>,
    bus: &Arc<Bus>,
    reporter: &Reporter,
) -> anyhow::Result<()> {
    let guard = guard.try_clone().context("cannot duplicate a descriptor")?;
    let deadline = options.timeout.map(|time| clock::now() + time);
    let (link, bus, mute) = (Arc::clone(link), Arc::clone(bus), reporter.mute_switch());
    let watched = Arc::clone(control);
    let follow = move || {
        let mut deadline = deadline;
        loop {
            testing::may_panic();
            let patience = deadline.map(|at| at.saturating_sub(clock::now()));
            let ready = fd::wait_readable(&[link.as_fd(), guard.as_fd()], patience);
            while let Received::Message(order) = link.next_order() {
                obey(order, &watched, &bus);
            }
            if deadline.is_some_and(|at| clock::now() >= at) {
                deadline = None;
                watched.halt(Halt::Deadline);
            }
            if ready[1] {
                mute.store(true, SeqCst);
                watched.lose_guard();
                return;
            }
        }
    };
    std::thread::Builder::new().name("control".into()).spawn(follow).context("cannot start a thread")?;
    let control = Arc::clone(control);
    ctrlc::set_handler(move || control.halt(Halt::Signal(Signal::SIGTERM as i32)))
        .context("cannot catch signals")
}

fn obey(order: Order, control: &Control, bus: &Bus) {
    let interrupted = |number: i32, how: &str| {
        bus.emit(Event::Interrupted(format!("SIG{}: {how}", signal::name(number))));
    };
    match order {
        Order::Stop(number) => {
            interrupted(number, "stopping");
            control.halt(Halt::Signal(number));
        }
        Order::Kill(number) => {
            interrupted(number, "killing everything now");
            control.kill_now(Halt::Signal(number));
        }
    }
}

/// A panic in any of our threads stops the run; its message goes through the report, not past it.
fn panics_halt_the_run(control: &Arc<Control>, bus: &Arc<Bus>) {
    let (control, bus) = (Arc::clone(control), Arc::clone(bus));
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let what = info.payload_as_str().unwrap_or("panic");
        bus.emit(Event::Text(format!("error: bug in bgjobs: {what}{place}; please report it\n")));
        control.halt(Halt::Panicked);
    }));
}

type Finished = mpsc::Receiver<Option<Failure>>;
/// Says that the script is over and that its `on_exit` closures run.
type Closing = mpsc::Receiver<()>;

/// Starts the script on its own thread.
fn start_script(options: &Options, session: Session) -> anyhow::Result<(Finished, Closing)> {
    let (send_finished, finished) = mpsc::channel();
    let (send_closing, closing) = mpsc::channel();
    let source = options.source.clone();
    let work = move || {
        let control = Arc::clone(&session.jobs.control);
        let mut script = host::Script::new(session);
        let failure = script.run(&source).err();
        let _ = send_closing.send(());
        control.run_on_exit(true);
        control.bell.ring();
        script.on_exit();
        control.run_on_exit(false);
        let _ = send_finished.send(failure);
        control.bell.ring();
    };
    let start = |stack: usize| {
        std::thread::Builder::new().name("script".into()).stack_size(stack).spawn(work.clone())
    };
    // An address space limit (ulimit -v) may not have that much room.
    start(SCRIPT_STACK).or_else(|_| start(SCRIPT_STACK / 16)).context("cannot start the script's thread")?;
    Ok((finished, closing))
}

/// Waits until the script and its `on_exit` closures are over, or their time is.
fn wait_for_script(control: &Control, finished: &Finished, closing: &Closing) -> Option<Failure> {
    let mut closing_since = None;
    loop {
        testing::may_panic();
        let seen = control.bell.rings();
        match finished.try_recv() {
            Ok(failure) => return failure,
            Err(mpsc::TryRecvError::Disconnected) => return None, // It panicked; the hook has said so.
            Err(mpsc::TryRecvError::Empty) => {}
        }
        let now = clock::now();
        if closing_since.is_none() && (closing.try_recv().is_ok() || control.reason().is_some()) {
            closing_since = Some(now);
        }
        let bound = if control.guard_gone() { ORPHANED_ON_EXIT } else { report::ON_EXIT };
        let until = closing_since.map(|since: Duration| since + bound);
        if control.killing() {
            return None;
        }
        if until.is_some_and(|until| now >= until) {
            control.run_on_exit(false);
            return None;
        }
        control.bell.wait(seen, until);
    }
}

/// Stops all jobs at once, then sweeps until there is no child.
fn stop_everything(jobs: &Jobs) -> Vec<Survivor> {
    let all = jobs.close();
    jobs.stop(&all, Ask::default(), &|| false);
    jobs.sweep()
}

/// What the end of a run is told from.
struct Ending {
    started: Duration,
    style: ReportStyle,
    /// Why the script was stopped; read once, since a signal may still come.
    reason: Option<Halt>,
    bus: Arc<Bus>,
    jobs: Arc<Jobs>,
    link: Arc<Link>,
    failure: Option<Failure>,
    left: Vec<Survivor>,
    run_dir: PathBuf,
}

fn conclude(options: &Options, ending: &Ending, reporter: Reporter) -> i32 {
    let mut failure = ending.failure.clone();
    let (mut code, cause) = outcome(ending.reason, failure.as_ref(), options);
    if ending.reason.is_some_and(|reason| !matches!(reason, Halt::Deadline)) {
        failure = None; // It failed because it was stopped.
    }
    if ending.reason.is_none()
        && failure.is_none()
        && let Some(death) = host::untold_death(&ending.jobs)
    {
        code = death.code;
        failure = Some(death);
    }
    if code == exit::OK && !ending.left.is_empty() {
        code = exit::SURROUNDINGS;
    }
    let remains = rundir::remains(&ending.run_dir).filter(|_| code != exit::OK || options.keep_logs);
    let keep = remains.is_some();
    let broken_pipe = ending.reason == Some(Halt::StdoutGone);
    if let Some(failure) = &failure {
        ending.bus.emit(Event::Text(report::failure(failure, ending.style)));
    }
    let verdict = Verdict {
        code,
        cause,
        elapsed: clock::now().saturating_sub(ending.started),
        passed: 0,
        failed: 0,
        stopped: ending.jobs.stopped_count(),
        left: &ending.left,
        kept: remains.as_deref(),
    };
    if !broken_pipe {
        ending.bus.emit(Event::Text(report::verdict(&verdict, ending.style)));
    }
    ending.bus.close();
    reporter.finish(WRITERS);
    if keep {
        rundir::prune(&ending.run_dir);
    }
    if !keep {
        // The guard does this too, should a late process have written; but the guard may be gone.
        rundir::remove(&ending.run_dir);
    }
    let left = !ending.left.is_empty();
    ending.link.report(match ending.reason {
        Some(Halt::Signal(signal)) => Report::Signalled { signal, keep, left },
        _ => Report::Outcome { code, keep, left },
    });
    code
}

/// The exit code, and in words why the run ended, when it was not the script that ended it.
fn outcome(reason: Option<Halt>, failure: Option<&Failure>, options: &Options) -> (i32, Option<String>) {
    match reason {
        Some(Halt::Signal(number)) => {
            (exit::signal(number), Some(format!("interrupted by SIG{}", signal::name(number))))
        }
        Some(Halt::Deadline) => {
            let time = options.timeout.unwrap_or_default();
            (exit::TIMEOUT, Some(format!("timed out after {}", report::duration(time))))
        }
        Some(Halt::Exit(code)) => (code & 0xff, None),
        Some(Halt::StdoutGone) => (exit::BROKEN_PIPE, None),
        Some(Halt::GuardGone) => (exit::SURROUNDINGS, Some("the guard was killed".to_owned())),
        Some(Halt::Panicked) => (exit::SURROUNDINGS, None),
        None => (failure.map_or(exit::OK, |failure| failure.code), None),
    }
}

/// `bgjobs check`: compiles and checks, runs nothing.
pub fn check(options: &Options) -> i32 {
    match host::check(&options.source, &options.include) {
        Ok(()) => exit::OK,
        Err(failure) => {
            report::print_failure(&failure, ReportStyle::choose(options.color));
            failure.code
        }
    }
}
