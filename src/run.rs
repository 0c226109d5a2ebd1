//! The host process: its threads, and the order of shutdown, told once.
//!
//! ```text
//! main      this file: waits for the script, then stops everything. Runs no script, never writes
//! script    evaluates the script, then its `on_exit` closures. Forks what it starts, reads what its commands print, and waits
//!           for them: no other thread has a part in a foreground command
//! control   orders from the guard, the guard's death, the run's deadline, signals → `Control`
//! report    the only one that writes
//! reaper    from the first process on: who has ended
//! logs      from the first job on: keeps logs short
//! spawner   from the first process on that is started by a thread which may end before it, such as a closure of `parallel`
//! ```
//!
//! Why they are not fewer: an order to kill must not wait behind a look at all processes (reaper), nor an end behind a disk
//! (logs), nor the teardown behind a reader (report) or a script that hears nothing (script).
//!
//! Shutdown:
//! 1. The script ends, throws, panics, or is halted (a signal, the deadline, nobody reads our stdout).
//! 2. The commands that it waits for are interrupted. They have their grace; what they print is still shown.
//! 3. `on_exit` closures run, last in first out, all together within [`ON_EXIT`].
//! 4. The table closes: nothing new can start. The jobs are stopped in the order that `jobs::order` tells, each with its
//!    own grace; 2 and 4 together take at most twice the longest.
//! 5. The sweep: SIGKILL to whatever is left, until there is no child.
//! 6. The proof: a look at all that could be left, by descent, by the run's mark, by the sockets of its jobs.
//! 7. The output: what is left of it is written, as long as somebody reads it.
//! 8. What stays of the logs and the directory, the report, the verdict, the outcome to the guard. What comes then is the
//!    guard's, while it lives: `end` tells it.
//!
//! A kill order cuts 1 to 4 short; when the guard is gone, nobody waits for anybody. None of the steps up to 6 waits for a
//! reader or a pipe, nor for the script beyond its bound. After a signal or a deadline 7 and 8 only wait for a reader that
//! reads.

mod alone;

pub use alone::alone;

use crate::cli::{Api, Check, Color, Options, Recording, Scripts, Source, Stream, Task, Verbosity};
use crate::end::{self, Keep};
use crate::event::{Bus, Event, Failure, Over as RunOver, Tested, Told};
use crate::exit;
use crate::host::{self, Session};
use crate::jobs::cgroup::Cgroup;
use crate::jobs::control::{Control, Halt};
use crate::jobs::{self, Ask, Jobs, Left};
use crate::report::views::Outputs;
use crate::report::{self, Events, Haste, Live, Loss, ReportStyle, Reporter, StdoutEnd, Terminal, Verdict};
use crate::rundir;
use crate::select::Known;
use crate::spans::Trace;
use crate::suite::Suite;
use crate::sys::link::{Link, Order, Received, Report};
use crate::sys::page::Page;
use crate::sys::{clock, fd, fork, sched, signal, testing};
use anyhow::Context;
use nix::sys::signal::Signal;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long a halted script without `on_exit` closures may take to notice.
const STUCK: Duration = Duration::from_secs(1);
/// How long all `on_exit` closures together may take.
pub const ON_EXIT: Duration = Duration::from_secs(10);
/// How long the script and its `on_exit` closures have once the guard has been killed: all must be gone within the
/// grace period and a second.
const ORPHANED_ON_EXIT: Duration = Duration::from_millis(500);

/// What the guard hands to its host.
pub struct Host {
    pub link: Arc<Link>,
    /// A pidfd of the guard.
    pub guard: OwnedFd,
    pub page: &'static Page,
    pub run_dir: PathBuf,
    /// Or why there is none.
    pub cgroup: Result<Cgroup, String>,
    /// Where reports go.
    pub outputs: Outputs,
}

/// The host process, from just after the fork to its exit code.
pub fn host(options: &Options, host: Host) -> i32 {
    let link = Arc::clone(&host.link);
    match prepare(options, host) {
        Ok(code) => code,
        Err(error) => {
            report::plain_error(&error);
            let code = exit::INFRASTRUCTURE;
            link.report(Report::Outcome { code, keep: false, left: false });
            code
        }
    }
}

fn prepare(options: &Options, host: Host) -> anyhow::Result<i32> {
    // A session of its own: a kill of the caller's group or a signal from its terminal does not reach us.
    fork::new_session().context("cannot start a session")?;
    if options.isolate.pid {
        // There may have been no /proc to tell us what we have inherited; now there is one.
        fd::seal_inherited();
    }
    fork::become_subreaper().context("cannot become a subreaper")?;
    // All threads have them blocked: whoever wants to know of them reads them.
    signal::block_only(&[Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM])
        .context("cannot set the signal mask")?;
    signal::default(Signal::SIGTTOU);
    for ignored in [Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGPIPE] {
        signal::ignore(ignored);
    }

    testing::may_hang("start");
    fd::raise_limit();

    let started = clock::now();
    let trace = Trace::of_environment().map(Arc::new);
    let (events, recorded) = match record(options, started, trace.as_deref()) {
        Ok(recorded) => recorded.unzip(),
        Err(failure) => {
            host.link.report(Report::Outcome { code: failure.code, keep: false, left: false });
            return Ok(failed(&failure, options.color));
        }
    };
    let control = Arc::new(Control::default());
    let bus = Arc::new(Bus::default());
    match options.verbosity {
        _ if events.is_some() => bus.expect_recorder(),
        Verbosity::Verbose => {}
        Verbosity::Normal => bus.tell(Told::Usual),
        Verbosity::Quiet => bus.tell(Told::Nothing),
    }
    let style = ReportStyle::choose(options.color);
    let terminal = Terminal::new(started, options.timeout, options.verbosity, style);
    let reporter = {
        let control = Arc::clone(&control);
        let halt = move |end| {
            control.halt(match end {
                StdoutEnd::Gone => Halt::StdoutGone,
                StdoutEnd::Failed => Halt::StdoutFailed,
            });
        };
        report::start(Arc::clone(&bus), terminal, live(options), events, halt)
            .context("cannot start a thread")?
    };
    let link = host.link;
    watch(options, &host.guard, &link, &control, &bus, &reporter)?;
    panics_halt_the_run(&control, &bus);

    let run_name = rundir::name(&host.run_dir);
    let (dir, cgroup) = (host.run_dir.clone(), host.cgroup);
    let jobs = Jobs::new(Arc::clone(&control), Arc::clone(&bus), dir, run_name, cgroup);
    jobs.ctl.answered_by(host::answer, host::STACK);
    let suite: Arc<Suite> = Arc::default();
    let session = Session {
        jobs: Arc::clone(&jobs),
        bus: Arc::clone(&bus),
        suite: Arc::clone(&suite),
        trace,
        options: host::Options {
            source: options.source.to_string(),
            args: options.args.clone(),
            include: options.include.clone(),
            handed: options.handed.clone(),
            grace: options.grace,
            follow: options.follow.clone(),
            select: options.select.clone(),
            update: options.update,
            started,
        },
    };
    let progress = start_script(options, session)?;
    let Over { failure, halted, spent } = wait_for_script(&jobs, &progress, &bus);

    // From here on: the teardown.
    let grace = host.page.longest_grace_ms.load(SeqCst).max(host.page.grace_ms.load(SeqCst));
    let bound = (Duration::from_millis(grace) * 2).saturating_sub(spent);
    link.report(Report::Stopping(i32::try_from(bound.as_millis()).unwrap_or(i32::MAX)));
    host.page.begin_stop(clock::now());
    let left = stop_everything(&jobs, spent);
    let run_dir = host.run_dir;
    let reports = Reports { recorded, outputs: host.outputs };
    let ending =
        Ending { started, style, halted, control, bus, suite, jobs, link, failure, left, run_dir, reports };
    Ok(conclude(options, &ending, &reporter))
}

/// Who records events, if that is wanted, and the file for whoever reads them at the end.
fn record(
    options: &Options,
    started: Duration,
    trace: Option<&Trace>,
) -> Result<Option<(Events, File)>, Failure> {
    let duplicate = |file: &File| file.try_clone().map_err(jobs::why);
    let (file, began, of) = match &options.events {
        None => return Ok(None),
        Some(Recording::At(path)) => (report::open_events(path), started, None),
        Some(Recording::Kept(file)) => (duplicate(file), started, None),
        Some(Recording::Part { file, started, script, number }) => {
            (duplicate(file), *started, Some((script.clone(), *number)))
        }
    };
    let name = options.source.to_string();
    let begin = |file: File| {
        let kept = duplicate(&file)?;
        Ok((Events::begin(file, began, &name, of, trace).map_err(jobs::why)?, kept))
    };
    file.and_then(begin).map(Some).map_err(|why| report::events_refused(&events_name(options), &why))
}

/// What the file of events is called; it may have no name.
pub fn events_name(options: &Options) -> String {
    match &options.events {
        Some(Recording::At(path)) => path.display().to_string(),
        _ => "what was recorded".to_owned(),
    }
}

/// What the jobs print, as it is shown.
fn live(options: &Options) -> Live {
    match options.follow.as_ref().map(|follow| follow.stream) {
        Some(Stream::Stdout) => Live::new(ReportStyle::choose_for_stdout(options.color), true),
        Some(Stream::Stderr) | None => Live::new(ReportStyle::choose(options.color), false),
    }
}

/// Follows the guard's orders, its death, the run's deadline, and signals sent to the host itself, which all mean *stop*, on
/// a thread of its own.
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
    let signals = signal::descriptor(&[Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM])
        .context("cannot catch signals")?;
    let follow = move || {
        let mut deadline = deadline;
        loop {
            testing::may_panic();
            let patience = deadline.map(|at| at.saturating_sub(clock::now()));
            let ready = fd::wait_readable(&[link.as_fd(), guard.as_fd(), signals.as_fd()], patience);
            while matches!(signals.read_signal(), Ok(Some(_))) {
                watched.halt(Halt::Signal(Signal::SIGTERM as i32));
            }
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
    Ok(())
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

/// How far the script's thread has come.
enum Progress {
    /// The script is over, for this reason if it failed; its `on_exit` closures run.
    Closing(Option<Failure>),
    Done,
}

/// Starts the script on its own thread.
fn start_script(options: &Options, session: Session) -> anyhow::Result<mpsc::Receiver<Progress>> {
    let (sender, progress) = mpsc::channel();
    let (source, task) = (options.source.clone(), options.task.clone());
    let work = move || {
        // It forks by itself. Dropped last: then it stands still.
        let _lasting = jobs::Lasting::begin();
        let control = Arc::clone(&session.jobs.control);
        // Dropped in this order, also when it panics: the channel's end is seen when the bell rings.
        let _ring = RingAtEnd(Arc::clone(&control));
        let sender = sender;
        let mut script = host::Script::new(session);
        let failure = match &task {
            Some(Task::Up(staying)) => script.up(&source, staying).err(),
            Some(Task::NewFrom(target)) => script.write_from(&source, target).err(),
            Some(Task::Setup(link)) => script.setup(&source, link).err(),
            None => script.run(&source).err(),
        };
        let _ = sender.send(Progress::Closing(failure));
        control.run_on_exit(true);
        script.on_exit();
        let _ = sender.send(Progress::Done);
        control.run_on_exit(false);
    };
    let start = |stack: usize| {
        std::thread::Builder::new().name("script".into()).stack_size(stack).spawn(work.clone())
    };
    // An address space limit (ulimit -v) may not have that much room.
    start(host::STACK).or_else(|_| start(host::STACK / 16)).context("cannot start the script's thread")?;
    Ok(progress)
}

/// Rings the bell when it goes.
struct RingAtEnd(Arc<Control>);

impl Drop for RingAtEnd {
    fn drop(&mut self) {
        self.0.bell.ring();
    }
}

/// How the script ended: known before its `on_exit` closures run, so that none of them can hide it.
struct Over {
    failure: Option<Failure>,
    /// It was stopped from outside before it had come to its end.
    halted: bool,
    /// How long its commands have taken to end.
    spent: Duration,
}

/// The commands that a halted script waits for, while they end.
#[derive(Default)]
struct Commands {
    since: Option<Duration>,
    /// When the last of them has had its grace.
    until: Duration,
    spent: Duration,
}

impl Commands {
    /// Has them end, in the script's place should it be slow to do so; whether they still have time for it.
    fn end(&mut self, jobs: &Jobs, now: Duration) -> bool {
        let commands = jobs.interrupt(jobs.control.interruption());
        if commands.is_empty() {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        self.until = self.until.max(since + jobs.longest_grace(&commands));
        self.spent = now - since;
        now < self.until
    }
}

/// Waits until the script and its `on_exit` closures are over, or their time is.
fn wait_for_script(jobs: &Jobs, progress: &mpsc::Receiver<Progress>, bus: &Bus) -> Over {
    let control = &jobs.control;
    let mut closing_since = None;
    let mut ended = None;
    let mut commands = Commands::default();
    let over = |ended: Option<(Option<Failure>, bool)>, spent| match ended {
        Some((failure, halted)) => Over { failure, halted, spent },
        None => Over { failure: None, halted: control.reason().is_some(), spent },
    };
    loop {
        testing::may_panic();
        let seen = control.bell.general_rings();
        let now = clock::now();
        match progress.try_recv() {
            Ok(Progress::Closing(failure)) => {
                ended = Some((failure, control.reason().is_some()));
                closing_since = closing_since.filter(|_| control.guard_gone()).or(Some(now));
                continue;
            }
            // Disconnected without `Done`: it panicked, and the hook has said so.
            Ok(Progress::Done) | Err(mpsc::TryRecvError::Disconnected) => return over(ended, commands.spent),
            Err(mpsc::TryRecvError::Empty) => {}
        }
        if control.reason().is_some() {
            closing_since.get_or_insert(now);
            let in_a_hurry = control.killing() || control.guard_gone();
            if ended.is_none() && !in_a_hurry && commands.end(jobs, now) {
                closing_since = Some(now);
            }
        }
        let bound = match () {
            () if control.guard_gone() => ORPHANED_ON_EXIT,
            // Stuck in something that hears no bell, and nothing is waiting to be run after it.
            () if !control.has_hooks() => STUCK,
            () => ON_EXIT,
        };
        let until = closing_since.map(|since: Duration| since + bound);
        if control.killing() {
            return over(ended, commands.spent);
        }
        if until.is_some_and(|until| now >= until) {
            if control.has_hooks() {
                let bound = report::duration(bound);
                bus.emit(Event::Warning(format!("on_exit: the closures were cut off after {bound}")));
            }
            control.run_on_exit(false);
            return over(ended, commands.spent);
        }
        control.bell.wait_deaf(seen, until);
    }
}

/// Stops all jobs in their order, sweeps until there is no child, and looks once more. `spent`: how long the commands
/// have taken.
fn stop_everything(jobs: &Jobs, spent: Duration) -> Left {
    if jobs.close_unused() {
        return Left::default();
    }
    jobs.note_ports();
    // Whoever forks as fast as it can must not keep us from ending it.
    sched::right_of_way();
    let all = jobs.close();
    jobs.stop_in_order(&all, Ask { gently: true, ..Ask::default() }, spent, &|| false);
    jobs.sweep();
    jobs.left()
}

/// What the end of a run is told from.
struct Ending {
    started: Duration,
    style: ReportStyle,
    /// The script was stopped before it had come to its end.
    halted: bool,
    control: Arc<Control>,
    bus: Arc<Bus>,
    suite: Arc<Suite>,
    jobs: Arc<Jobs>,
    link: Arc<Link>,
    failure: Option<Failure>,
    left: Left,
    run_dir: PathBuf,
    reports: Reports,
}

/// What reports are made from, and where they go.
struct Reports {
    recorded: Option<File>,
    outputs: Outputs,
}

impl Ending {
    /// Why the script was stopped. One that had come to its end keeps its result, whatever its teardown meets; but a
    /// signal is answered.
    fn reason(&self) -> Option<Halt> {
        let too_late = |reason: &Halt| {
            !self.halted
                && match reason {
                    Halt::Deadline | Halt::Overdue(_) | Halt::GuardGone => true,
                    Halt::StdoutGone | Halt::StdoutFailed => true,
                    Halt::Signal(_) | Halt::Exit(_) | Halt::Panicked => false,
                }
        };
        self.control.reason().filter(|reason| !too_late(reason))
    }

    /// Whether somebody waits for the run to return.
    fn haste(&self) -> Haste {
        match () {
            () if self.control.guard_gone() || self.control.killing() => Haste::Much,
            () if self.control.hurried() => Haste::Some,
            () => Haste::None,
        }
    }

    /// Everything has ended: what was printed is read and written to its end.
    fn write_output(&self, reporter: &Reporter) -> Loss {
        let haste = || self.haste();
        reporter.wait(&|patience| self.jobs.wait_for_output(patience), &haste, &jobs::ask_for_patience);
        // Mostly there is nothing: then nobody need be woken, and waited for.
        if !self.bus.is_at_rest() {
            self.bus.emit(Event::OutputEnd);
            reporter.drain(&haste, &jobs::ask_for_patience);
        }
        reporter.loss()
    }

    /// Makes the reports, once all that has happened is recorded; whether all could be written.
    fn write_reports(&self, options: &Options, reporter: &Reporter) -> bool {
        let Reports { recorded: Some(recorded), outputs } = &self.reports else { return true };
        if outputs.is_empty() {
            return true;
        }
        reporter.drain(&|| self.haste(), &jobs::ask_for_patience);
        let made = outputs.write(recorded, &events_name(options));
        self.bus.emit(Event::Text(report::made(&made)));
        made.errors.is_empty()
    }
}

fn conclude(options: &Options, ending: &Ending, reporter: &Reporter) -> i32 {
    let loss = ending.write_output(reporter);
    // Read once, since a signal may still come.
    let reason = ending.reason();
    let mut failure = ending.failure.clone();
    let (mut code, cause) = outcome(reason, failure.as_ref(), options, ending.control.staying());
    match reason {
        None => {}
        Some(Halt::Deadline | Halt::Overdue(_)) => {
            let (time, how) = match reason {
                Some(Halt::Overdue(time)) => (time, "timeout() in the script"),
                _ => (options.timeout.unwrap_or_default(), "--timeout"),
            };
            if let Some(failure) = &mut failure {
                let time = report::duration(time);
                failure.message = format!("the run timed out after {time} ({how}); the script was here");
            }
        }
        // It was there for nothing else.
        Some(Halt::Signal(_)) if ending.control.staying() => failure = None,
        Some(Halt::Signal(_)) => {
            let place = failure.take().and_then(|failure| failure.place);
            if let Some(at) = place {
                let text = at.text.trim();
                let text = if text.is_empty() { String::new() } else { format!(": {text}") };
                ending.bus.emit(Event::Text(format!("the script was at {at}{text}\n")));
            }
        }
        Some(_) => failure = None, // It failed because it was stopped.
    }
    if let Some(failure) = &mut failure {
        // Consequences, or other causes: a line each.
        failure.notes.extend(host::other_deaths(&ending.jobs));
    }
    // `exit(0)` says that all went well, which it did not.
    if code == exit::OK && ending.suite.any_failed() {
        code = exit::FAILED;
    }
    if matches!(reason, None | Some(Halt::Exit(0)))
        && failure.is_none()
        && let Some(death) =
            host::unnoticed_death(&ending.jobs).or_else(|| host::unnoticed_stop(&ending.jobs))
    {
        // What the tests say comes first.
        code = if code == exit::OK { death.code } else { code };
        failure = Some(death);
    }
    if code == exit::OK
        && matches!(reason, None | Some(Halt::Exit(0)))
        && let Some(wrong) = nothing_selected(options, &ending.suite)
    {
        code = wrong.code;
        failure = Some(wrong);
    }
    if code == exit::OK && (!ending.left.is_empty() || loss.any()) {
        code = exit::INFRASTRUCTURE;
    }
    // As a program that SIGPIPE ends, without a word.
    let broken_pipe = reason == Some(Halt::StdoutGone) || code == exit::OK && loss.stdout_gone;
    if broken_pipe {
        code = exit::BROKEN_PIPE;
    }
    // Whoever stays is interrupted in the end: there is nothing to look into.
    let usual = ending.control.staying()
        && matches!(reason, Some(Halt::Signal(_)))
        && !ending.suite.any_failed()
        && ending.left.is_empty()
        && !loss.any();
    // Nobody finds it any more, also where all of the directory stays.
    ending.jobs.ctl.close();
    // The ends of the logs have been read for the failure.
    let failed = code != exit::OK && !usual;
    let end::Settled { keep, kept, stays } =
        end::settle(&ending.run_dir, options, failed, Some(&ending.jobs));
    if loss.any() {
        ending.bus.emit(Event::Text(report::loss(&loss, ending.style)));
    }
    let slow_start = ending.jobs.slow_start();
    ending.bus.record(|| {
        Event::Over(Box::new(RunOver {
            code,
            cause: cause.clone(),
            failure: failure.clone(),
            stopped: ending.jobs.stopped_count(),
            leaked: ending.left.count(),
            slow_start: slow_start.clone(),
            kept: kept.clone(),
            only: ending.suite.has_only(),
        }))
    });
    if !ending.write_reports(options, reporter) && code == exit::OK {
        code = exit::INFRASTRUCTURE;
    }
    if let Some(failure) = &failure {
        ending.bus.emit(Event::Text(report::failure(failure, ending.style)));
    }
    let stop_ends = ending.jobs.stop_ends();
    let verdict = Verdict {
        code,
        cause,
        elapsed: clock::now().saturating_sub(ending.started),
        tests: &ending.suite.all(),
        slow_start: if options.verbosity == Verbosity::Quiet { &[] } else { &slow_start },
        only: ending.suite.has_only(),
        stopped: ending.jobs.stopped_count(),
        stop_ends: &stop_ends,
        restarted: &ending.jobs.restarted(),
        left: &ending.left,
        inside: options.isolate.pid,
        kept: &kept,
        stays: &stays,
        one_line: ending.control.guard_gone(),
    };
    if let Some(follow) = &options.follow
        && ending.jobs.have_started()
    {
        let jobs: Vec<String> = ending.jobs.list().iter().map(|job| job.spec.name.clone()).collect();
        for name in follow.unknown(&jobs) {
            ending.bus.emit(Event::Warning(report::unknown_job("--follow", name, &jobs)));
        }
    }
    // Nothing was done that could be judged: the error says it all, as it does of `bgjobs check`.
    let only_refused = code == exit::USAGE
        && reason.is_none()
        && !ending.jobs.have_started()
        && verdict.tests.is_empty()
        && ending.left.is_empty()
        && keep == Keep::Nothing;
    // It has said itself what it has written.
    let only_written = code == exit::OK && matches!(options.task, Some(Task::NewFrom(_)));
    if !broken_pipe && !only_refused && !only_written {
        ending.bus.emit(Event::Verdict(report::verdict(&verdict, ending.style)));
    }
    testing::may_hang("verdict");
    ending.bus.close();
    reporter.finish(&|| ending.haste(), &jobs::ask_for_patience);
    if code == exit::OK && reporter.loss().any() {
        code = exit::INFRASTRUCTURE;
    }
    // Those the guard would find, too.
    let left = !ending.left.descendants.is_empty();
    ending.link.report(match reason {
        Some(Halt::Signal(signal)) => Report::Signalled { signal, keep: keep != Keep::Nothing, left },
        _ => Report::Outcome { code, keep: keep != Keep::Nothing, left },
    });
    // The last of the two alive cleans up. It may take long, so it is nothing to be hurried by a deadline.
    if ending.control.guard_gone() {
        end::close(&ending.run_dir, ending.jobs.cgroup(), left, keep);
    }
    code
}

/// What is wrong when tests were asked for and the script has none of them.
fn nothing_selected(options: &Options, suite: &Suite) -> Option<Failure> {
    // One of many scripts, whose events are kept by whoever runs them, and judges them together.
    let one_of_many = matches!(options.events, Some(Recording::Part { .. }));
    if options.select.is_all() || one_of_many {
        return None;
    }
    let script = options.source.to_string();
    let known = |test: Tested| Known { script: script.clone(), test: test.name, tags: test.tags };
    let known: Vec<Known> = suite.all().into_iter().map(known).collect();
    (!known.iter().any(|test| options.select.takes(test))).then(|| options.select.nothing(&known))
}

/// The exit code, and in words why the run ended, when it was not the script that ended it.
fn outcome(
    reason: Option<Halt>,
    failure: Option<&Failure>,
    options: &Options,
    staying: bool,
) -> (i32, Option<String>) {
    match reason {
        Some(Halt::Signal(number)) => {
            let how = if staying { "stopped" } else { "interrupted" };
            (exit::signal(number), Some(format!("{how} by SIG{}", signal::name(number))))
        }
        Some(Halt::Deadline) => {
            let time = options.timeout.unwrap_or_default();
            (exit::TIMEOUT, Some(format!("timed out after {}", report::duration(time))))
        }
        Some(Halt::Overdue(time)) => {
            (exit::TIMEOUT, Some(format!("timed out after {}", report::duration(time))))
        }
        Some(Halt::Exit(code)) => (code & 0xff, None),
        Some(Halt::StdoutGone) => (exit::BROKEN_PIPE, None),
        Some(Halt::StdoutFailed) => (exit::INFRASTRUCTURE, None),
        Some(Halt::GuardGone) => (exit::INFRASTRUCTURE, Some("the guard was killed".to_owned())),
        Some(Halt::Panicked) => (exit::INFRASTRUCTURE, None),
        None => (failure.map_or(exit::OK, |failure| failure.code), None),
    }
}

/// `bgjobs script FILE --help`: says what the script says about itself, and starts nothing. None when that is not
/// asked for, or when the script answers it.
pub fn help(options: &Options) -> Option<i32> {
    if !options.asks_for_help() {
        return None;
    }
    match host::manual(&options.source, &options.include) {
        Ok(manual) => manual.map(|manual| report::manual(&manual)),
        Err(failure) => Some(failed(&failure, options.color)),
    }
}

/// `bgjobs script -n FILE`: says what the script would do, and starts nothing. None when that is not asked for.
pub fn plan(options: &Options) -> Option<i32> {
    if !options.plan {
        return None;
    }
    match host::plan(&options.source, &options.include) {
        Ok(steps) => Some(report::plan(&options.source.to_string(), &steps)),
        Err(failure) => Some(failed(&failure, options.color)),
    }
}

/// What completes the parameters of a script: of one that cannot be read, nothing.
pub fn params(source: &Source) -> i32 {
    match host::manual(source, &[]) {
        Ok(manual) => report::params(&manual.unwrap_or_default()),
        Err(_) => exit::USAGE,
    }
}

/// `bgjobs scripts`: the scenario scripts that are built in, or the text of one.
pub fn scripts(options: &Scripts) -> i32 {
    match options.name.as_deref().map(host::built_in_text) {
        None => report::scripts(&host::built_in(), options.json),
        Some(Ok(text)) => report::print(text),
        Some(Err(failure)) => failed(&failure, Color::Auto),
    }
}

/// `bgjobs api`: what somebody wants to know of the language.
pub fn api(options: &Api) -> i32 {
    let found = match options {
        Api { json: true, names, .. } => {
            return match host::entries_as_json(names) {
                Ok(value) => report::print_json(&value),
                Err(failure) => failed(&failure, Color::Auto),
            };
        }
        Api { all: true, names, .. } if names.is_empty() => Ok(host::reference()),
        Api { brief: true, .. } => Ok(host::brief()),
        Api { search: Some(word), .. } => host::search(word),
        Api { names, .. } if names.is_empty() => Ok(host::overview()),
        Api { names, all, .. } => host::pages(names, *all),
    };
    match found {
        Ok(text) => report::page(&text),
        Err(failure) => failed(&failure, Color::Auto),
    }
}

fn failed(failure: &Failure, color: Color) -> i32 {
    report::print_failure(failure, ReportStyle::choose(color));
    failure.code
}

/// `bgjobs check`: compiles and checks, runs nothing. Warnings do not make it fail.
pub fn check(options: &Check) -> i32 {
    let sources: Vec<Source> = options.sources.iter().flat_map(scripts_of).collect();
    if options.json {
        let found = sources.iter().flat_map(|source| {
            host::findings(source, &options.include).unwrap_or_else(|failure| vec![failure])
        });
        let found: Vec<Failure> = found.collect();
        let code = found.iter().map(|failure| failure.code).max().unwrap_or(exit::OK);
        return report::findings(&found).max(code);
    }
    let check = |source: &Source| match host::check(source, &options.include) {
        Ok(warnings) => {
            warnings
                .iter()
                .for_each(|warning| report::print_warning(warning, ReportStyle::choose(Color::Auto)));
            exit::OK
        }
        Err(failure) => failed(&failure, Color::Auto),
    };
    sources.iter().map(check).max().unwrap_or(exit::OK)
}

/// A directory stands for the scripts in it; one without any is told as a file that is not there would be.
fn scripts_of(source: &Source) -> Vec<Source> {
    let found = match source {
        Source::File(path) if path.is_dir() => host::scripts_of(path),
        _ => Vec::new(),
    };
    if found.is_empty() { vec![source.clone()] } else { found.into_iter().map(Source::File).collect() }
}
