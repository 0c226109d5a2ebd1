//! The outer process. It keeps the caller's pid, process group and terminal, forks the host, forwards
//! signals as orders, and returns only when everything is gone or has been named.
//!
//! It runs no script, holds no lock and starts no thread but one that it can do without (`sys::memory`), so that
//! nothing the script does can hang it.

use crate::cli::{Options, Verbosity};
use crate::event::Killed;
use crate::exit;
use crate::jobs::cgroup::{self, Cgroup};
use crate::jobs::{self, Survivor, leak, stop};
use crate::report::{self, GuardVerdict};
use crate::run::{self, Host};
use crate::rundir::{self, Keep, RunDir};
use crate::runs;
use crate::sys::fork::{self, Forked};
use crate::sys::link::{self, Link, Order, Received, Report};
use crate::sys::namespace;
use crate::sys::page::{self, Page, SlotView};
use crate::sys::proc::{self, Stat};
use crate::sys::wait::{self, Change, ExitStatus, Peek};
use crate::sys::{clock, fd, pidfd, sched, signal, testing, tty, vault};
use anyhow::Context;
use nix::libc::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::{Mode, umask};
use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// A second signal means "kill now" only this long after the first: `timeout` sends TERM twice, npm and outer
/// runs forward what the terminal has already delivered.
const SECOND_SIGNAL: Duration = Duration::from_millis(500);
/// How much longer than twice the grace period the host may take before the guard kills it: as long as it waits for
/// what SIGKILL does not end, and for its writers, and a second.
const PATIENCE: Duration = Duration::from_secs(4);
/// At most so much longer yet: the time that it has waited for a processor meanwhile. Beside processes of somebody else
/// that fork as fast as they can, each time into a session of its own, the scheduler was seen to leave a host runnable
/// for more than six seconds without letting it run (Linux 6.18.44 with autogroups, sched(7)).
const STARVED: Duration = Duration::from_secs(30);

/// How long Ctrl-Z waits for the host to stand still.
const STAND_STILL: Duration = Duration::from_millis(500);

/// What ends a run gracefully.
const STOPPING: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// Runs a script in a host process of its own; returns the exit code, or dies of the signal that ended the
/// run.
pub fn run(options: &Options) -> i32 {
    match prepare(options) {
        Ok(code) => code,
        Err(error) => {
            report::plain_error(&error);
            exit::SURROUNDINGS
        }
    }
}

fn prepare(options: &Options) -> anyhow::Result<i32> {
    // 1. Known surroundings, before anything is opened or forked. An inherited *ignored* SIGCHLD would lose
    //    the host's status.
    fd::open_standard();
    fd::seal_inherited();
    signal::default(Signal::SIGCHLD);
    // A limit of file sizes is to be an error of one write, not the end of guard and host (setrlimit(2)).
    signal::ignore(Signal::SIGXFSZ);
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
    // 2. Children that are not ours (`server & exec bgjobs …`), or pid 1, whose children are everybody's
    //    orphans: a process in between keeps them apart from those we kill and count.
    let stranger = std::process::id() == 1 || !matches!(wait::peek_any(), Peek::NoChild);
    let mut outer = None;
    let mut ours = Vec::new();
    if stranger {
        let parent = std::process::id();
        let handle = pidfd::open(parent.cast_signed()).context("cannot open a pidfd")?;
        let handled = handled_signals();
        signal::block(&handled).context("cannot block signals")?;
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
    let handled = handled_signals();
    signal::block(&handled).context("cannot block signals")?;
    let signals = signal::descriptor(&handled).context("cannot open a signalfd")?;
    let myself = pidfd::open(std::process::id().cast_signed()).context("cannot open a pidfd")?;
    let (link, theirs) = link::pair().context("cannot open a socket pair")?;
    let modes = tty::save();
    signal::ignore(Signal::SIGTTOU);
    fork::become_subreaper().context("cannot become a subreaper")?;
    testing::may_hang("guard");
    vault::create().context("cannot map shared memory")?;
    // Near the end and with signals blocked: else it would be left behind.
    let (run_dir, page) = make_room()?;
    page.describe(&options.source.to_string(), &directory, options.grace);
    ours.push(std::process::id().cast_signed());
    let cgroup = cgroup::create(&run_dir.name(), ours);
    if let Ok(cgroup) = &cgroup {
        run_dir.record_cgroup(cgroup.path());
    }
    // Here and in all of the host, but for whoever starts the jobs.
    sched::prompt();
    let forked = match options.isolate.any() {
        true => namespace::fork(options.isolate)
            .map_err(|obstacle| anyhow::anyhow!(report::obstacle(options.isolate, obstacle))),
        false => fork::fork_single_threaded().context("cannot fork"),
    };
    let forked = forked.inspect_err(|_| {
        if let Ok(cgroup) = &cgroup {
            cgroup.remove(false);
        }
        rundir::remove(run_dir.path());
    })?;
    match forked {
        Forked::Child => {
            // First of all, and CONT: so that a host that is stopped wakes when its guard dies. Before this line it
            // would not.
            fork::on_parent_death(Signal::SIGCONT).context("cannot watch the guard")?;
            drop((link, signals));
            let run_dir = run_dir.keep_locked();
            Ok(run::host(options, Host { link: Arc::new(theirs), guard: myself, page, run_dir, cgroup }))
        }
        Forked::Parent(host) => {
            drop((theirs, myself));
            page.set_host(host);
            if options.verbosity != Verbosity::Quiet {
                if let Some(why) = rundir::passed_over() {
                    report::hint(&format!("note: {why}\n"));
                }
                // While the host starts, so that nobody waits for it.
                tell_what_others_left();
            }
            fork::no_core_dump(); // It may die of QUIT; its jobs may dump as their user has set it.
            let cgroup = cgroup.ok();
            let mut guard = Guard::new(host, link, signals, outer, page, run_dir, cgroup, options);
            let end = guard.watch();
            let code = guard.finish(end, &modes);
            Ok(code)
        }
    }
}

/// The run directory, and the page in it. Ours alone, whatever the umask is, which the jobs get as it was.
fn make_room() -> anyhow::Result<(RunDir, &'static Page)> {
    let create = || {
        let run_dir = rundir::create()?;
        let page = page::create(&run_dir.path().join(rundir::PAGE))
            .inspect_err(|_| drop(rundir::remove(run_dir.path())))
            .context("cannot map shared memory")?;
        Ok((run_dir, page))
    };
    let mask = umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let made = create();
    umask(mask);
    made
}

/// One line when runs that were killed have left something.
fn tell_what_others_left() {
    match runs::left_behind() {
        0 => {}
        left => report::left_behind(left),
    }
}

/// HUP, INT, QUIT and TSTP that were ignored when we started stay ignored (nohup, `&` in a shell).
fn handled_signals() -> Vec<Signal> {
    let mut list = vec![Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGCONT];
    let kept = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP];
    list.extend(kept.into_iter().filter(|signal| !signal::is_ignored(*signal)));
    list
}

/// The process in between: passes signals on to the guard proper, and ends as it ended.
fn forward_to(inner: i32, signals: &SignalFd) -> i32 {
    loop {
        fd::wait_readable(&[signals.as_fd()], None);
        while let Ok(Some(info)) = signals.read_signal() {
            match i32::try_from(info.ssi_signo).unwrap_or(0) {
                nix::libc::SIGCHLD => {}
                // The guard proper is in our group: the terminal has told it, and we stop when it has stopped.
                nix::libc::SIGTSTP => {}
                number => drop(signal::kill(inner, number)),
            }
        }
        match wait::change(inner) {
            Change::None => {}
            Change::Stopped => drop(signal::kill(std::process::id().cast_signed(), SIGSTOP)),
            Change::Ended(status) => return imitate(status),
        }
        if std::process::id() == 1 {
            // Everybody's orphans are ours to reap; the inner process has not ended, or we would be gone.
            while let Peek::Ended(pid, _) = wait::peek_any() {
                if pid == inner {
                    break;
                }
                wait::reap(pid);
            }
        }
    }
}

/// Ends as the other process did, except by a signal that says that somebody was shot or crashed.
fn imitate(status: ExitStatus) -> i32 {
    if let ExitStatus::Signal(number) = status
        && let Ok(signal) = Signal::try_from(number)
        && STOPPING.contains(&signal)
    {
        signal::die_of(signal);
    }
    status.code()
}

/// How the watch ended.
enum End {
    /// The host has reported, and is gone.
    Reported(Report),
    /// The host is gone without a report.
    Died(ExitStatus),
    /// The host did not keep its bounds and was killed by us.
    Hung,
}

struct Guard<'a> {
    /// None once it has been reaped.
    host: Option<i32>,
    link: Link,
    /// When the host has closed its end.
    link_ended: Option<Duration>,
    signals: SignalFd,
    /// The process in between, if there is one: its death is ours.
    outer: Option<OwnedFd>,
    page: &'static Page,
    run_dir: RunDir,
    cgroup: Option<Cgroup>,
    options: &'a Options,
    started: Duration,
    first: Option<(Signal, Duration)>,
    /// Told to kill everything now.
    killing: bool,
    report: Option<Report>,
    /// When the host is killed for not keeping its bounds, on the run's clock.
    deadline: Option<Duration>,
    /// How long each thread of the host had waited for a processor when there first was a deadline.
    delays: HashMap<i32, u64>,
    /// When the deadline had first passed.
    due: Option<Duration>,
    timed_out: bool,
    /// A signal has come while the guard wrote.
    hurried: Cell<bool>,
    /// The host has ended, but not all of its PID namespace.
    lingers: bool,
}

impl<'a> Guard<'a> {
    #[expect(clippy::too_many_arguments, reason = "all that was opened before the fork")]
    fn new(
        host: i32,
        link: Link,
        signals: SignalFd,
        outer: Option<OwnedFd>,
        page: &'static Page,
        run_dir: RunDir,
        cgroup: Option<Cgroup>,
        options: &'a Options,
    ) -> Self {
        let started = clock::now();
        Self {
            host: Some(host),
            link,
            link_ended: None,
            signals,
            outer,
            page,
            run_dir,
            cgroup,
            options,
            started,
            first: None,
            killing: false,
            report: None,
            deadline: None,
            delays: HashMap::new(),
            due: None,
            timed_out: false,
            hurried: Cell::default(),
            lingers: false,
        }
    }

    /// Passes on what arrives until the host is gone.
    fn watch(&mut self) -> End {
        loop {
            let run_end = self.options.timeout.filter(|_| !self.timed_out).map(|time| self.started + time);
            let next = [self.deadline, run_end].into_iter().flatten().min();
            let patience = next.map(|at| at.saturating_sub(clock::now()));
            let mut sources = vec![self.signals.as_fd()];
            sources.extend(self.outer.as_ref().map(AsFd::as_fd));
            // At its end the link reads as ready for ever: the host is about to end, which SIGCHLD will tell.
            if self.link_ended.is_none() {
                sources.push(self.link.as_fd());
            }
            let ready = fd::wait_readable(&sources, patience);
            if self.outer.is_some() && ready.get(1) == Some(&true) {
                self.outer = None;
                self.stop(Signal::SIGTERM);
            }
            while let Ok(Some(info)) = self.signals.read_signal() {
                if let Ok(signal) = Signal::try_from(i32::try_from(info.ssi_signo).unwrap_or(0)) {
                    self.on_signal(signal);
                }
            }
            self.read_reports();
            if let Some(status) = self.host_ended() {
                self.read_reports();
                return match self.report {
                    Some(report) => End::Reported(report),
                    None => End::Died(status),
                };
            }
            let now = clock::now();
            if run_end.is_some_and(|at| now >= at) {
                // The host keeps this deadline itself; should it be stopped or hung, we do.
                self.timed_out = true;
                self.wake_host();
                self.allow(run::ON_EXIT + self.grace() * 2);
            }
            let asked = Duration::from_nanos(self.page.patience_ns.load(SeqCst));
            if self.deadline.is_some_and(|at| now >= at) && now < asked {
                self.deadline = Some(asked);
            } else if self.deadline.is_some_and(|at| now >= at) && self.is_dying(now) {
                self.deadline = Some(now + stop::AFTER_KILL / 20);
            } else if self.deadline.is_some_and(|at| now >= at)
                && !self.killing
                && let Some(later) = self.more_time(now)
            {
                self.deadline = Some(later);
            } else if self.deadline.is_some_and(|at| now >= at) {
                // Before the signal: it ends the link of any host.
                self.lingers = self.link_ended.is_some() && self.options.isolate.pid;
                self.signal_host(SIGKILL);
                self.deadline = None;
                // One that lingers has had its time.
                if !self.lingers {
                    self.wait_for_host();
                }
                self.read_reports();
                return self.report.map_or(End::Hung, End::Reported);
            }
        }
    }

    fn read_reports(&mut self) {
        loop {
            match self.link.next_report() {
                Received::Message(Report::Stopping(ms)) => {
                    self.allow(Duration::from_millis(u64::from(ms.unsigned_abs())));
                }
                Received::Message(outcome) => self.report = Some(outcome),
                Received::Nothing => return,
                Received::End => {
                    if self.options.isolate.pid && self.link_ended.is_none() {
                        // All threads of the host have ended. It is not seen to end before everything in its
                        // namespace has: what SIGKILL does not end must not keep us.
                        self.bound(stop::AFTER_KILL);
                    }
                    self.link_ended.get_or_insert(clock::now());
                    return;
                }
            }
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::SIGQUIT => self.kill(signal),
            Signal::SIGTSTP => self.suspend(),
            Signal::SIGCONT => self.wake_host(),
            Signal::SIGCHLD => {}
            _ => match self.first {
                None => self.stop(signal),
                Some((_, at)) if clock::raw().saturating_sub(at) >= SECOND_SIGNAL => self.kill(signal),
                Some(_) => {}
            },
        }
    }

    fn stop(&mut self, signal: Signal) {
        self.first.get_or_insert((signal, clock::raw()));
        self.wake_host();
        self.link.order(Order::Stop(signal as i32));
        self.allow(run::ON_EXIT + self.grace() * 2);
    }

    fn kill(&mut self, signal: Signal) {
        self.first.get_or_insert((signal, clock::raw()));
        self.wake_host();
        self.link.order(Order::Kill(signal as i32));
        self.killing = true;
        self.allow(Duration::ZERO);
    }

    /// A stopped host would never read its orders.
    fn wake_host(&self) {
        self.signal_host(SIGCONT);
    }

    /// Once the host has been reaped its number may be anybody's.
    fn signal_host(&self, number: i32) {
        if let Some(host) = self.host {
            let _ = signal::kill(host, number);
        }
    }

    /// Whether the host has ended (and been reaped) since the last look.
    fn host_ended(&mut self) -> Option<ExitStatus> {
        let Change::Ended(status) = wait::change(self.host?) else { return None };
        self.host = None;
        Some(status)
    }

    /// Gives the host this long, and some patience; an earlier bound stays.
    fn allow(&mut self, time: Duration) {
        self.bound(time + PATIENCE);
    }

    fn bound(&mut self, time: Duration) {
        let at = clock::now() + time;
        if self.deadline.is_none() {
            self.delays = self.host.map(proc::delays).unwrap_or_default();
        }
        self.deadline = Some(self.deadline.map_or(at, |before| before.min(at)));
    }

    /// The longest grace period of any job.
    fn grace(&self) -> Duration {
        let longest = self.page.longest_grace_ms.load(SeqCst).max(self.page.grace_ms.load(SeqCst));
        Duration::from_millis(longest)
    }

    /// Ctrl-Z: the host stops first, so that the caller's prompt does not race with its output; the time until
    /// we are continued counts in no deadline.
    fn suspend(&mut self) {
        let since = clock::raw();
        self.signal_host(SIGSTOP);
        // Stops are not immediate. One that is in a system call for long is not waited for.
        while self
            .host
            .is_some_and(|host| !wait::is_stopped(host) && matches!(wait::peek(host), Peek::Living))
            && clock::raw().saturating_sub(since) < STAND_STILL
        {
            std::thread::sleep(Duration::from_micros(200));
        }
        signal::stop_myself();
        let stopped = clock::raw().saturating_sub(since);
        self.page.paused_ns.fetch_add(u64::try_from(stopped.as_nanos()).unwrap_or(0), SeqCst);
        self.wake_host();
    }

    /// Until when a host whose deadline has passed may go on, since it had no processor for all of that time.
    fn more_time(&mut self, now: Duration) -> Option<Duration> {
        let due = *self.due.get_or_insert(now);
        let delays = self.host.map(proc::delays).unwrap_or_default();
        let since = |(thread, delay): (&i32, &u64)| {
            delay.saturating_sub(self.delays.get(thread).copied().unwrap_or(0))
        };
        let lost = Duration::from_nanos(delays.iter().map(since).max().unwrap_or(0));
        let until = due + lost.min(STARVED);
        if until > now {
            Some(until)
        } else if now < due + STARVED && self.is_starved() {
            Some(clock::now() + stop::AFTER_KILL / 20)
        } else {
            None
        }
    }

    /// Whether it is not hung, but one of its threads could run and does not get a processor.
    fn is_starved(&self) -> bool {
        const A_WHILE: Duration = Duration::from_millis(50);
        let Some(host) = self.host else { return false };
        let before = proc::runnable(host);
        if before.is_empty() {
            return false;
        }
        std::thread::sleep(A_WHILE);
        let after = proc::runnable(host);
        before.iter().any(|thread| after.contains(thread))
    }

    fn wait_for_host(&mut self) {
        // A host in uninterruptible sleep does not even die of this; it is named then, with the others. One that has
        // no processor to die on does once it gets one.
        let start = clock::now();
        let bound = |starved: bool| stop::AFTER_KILL * if starved { stop::DYING } else { 1 };
        while self.host_ended().is_none()
            && (clock::now() < start + bound(false)
                || clock::now() < start + bound(true) && self.is_starved())
        {
            fd::wait_readable(&[self.signals.as_fd()], Some(Duration::from_millis(20)));
            while matches!(self.signals.read_signal(), Ok(Some(_))) {}
        }
    }

    /// Makes sure that nothing is left, says what the host could not say, and gives the exit code.
    fn finish(&mut self, end: End, modes: &tty::Modes) -> i32 {
        let signal = self.first.map(|(signal, _)| signal);
        // The host knew who is left only by numbers that mean nothing out here.
        let named_inside = self.options.isolate.pid && matches!(end, End::Reported(_));
        let (code, keep, named, died_of) = match end {
            End::Reported(Report::Signalled { signal: number, keep, left }) => {
                (exit::signal(number), keep, left, signal.or(Signal::try_from(number).ok()))
            }
            End::Reported(Report::Outcome { code, keep, left }) => (code, keep, left, None),
            End::Reported(Report::Stopping(_)) => (exit::SURROUNDINGS, true, false, signal),
            End::Hung | End::Died(_) => {
                let running: Vec<String> = self.page.published().into_iter().map(|slot| slot.name).collect();
                let killed = self.stop_all();
                let mut left = leak::look(&self.run_dir.name(), None);
                self.leave_out_host(&mut left.descendants);
                let cause = match end {
                    End::Died(status) => report::host_died(jobs::describe(status)),
                    _ if self.lingers => report::HOST_LINGERS.to_owned(),
                    _ => report::HOST_HUNG.to_owned(),
                };
                let code = match signal {
                    Some(signal) if matches!(end, End::Hung) => exit::signal(signal as i32),
                    _ if self.timed_out => exit::TIMEOUT,
                    _ => exit::SURROUNDINGS,
                };
                let run_dir = self.run_dir.path();
                let (keep, kept) = run::what_stays(run_dir, true, self.options);
                let stays = match keep {
                    Keep::All => Vec::new(),
                    Keep::Logs | Keep::Nothing => rundir::clear(run_dir, &mut || {}),
                };
                let elapsed = clock::now().saturating_sub(self.started);
                let verdict = GuardVerdict {
                    cause,
                    kept: &kept,
                    stays: &stays,
                    code,
                    elapsed,
                    running: &running,
                    by_kernel: self.options.isolate.pid,
                    killed: &killed,
                    left: &left,
                };
                report::guard_verdict(&verdict, &|| self.in_a_hurry());
                jobs::log::finish_noted();
                (
                    code,
                    keep != Keep::Nothing,
                    !left.descendants.is_empty(),
                    signal.filter(|_| matches!(end, End::Hung)),
                )
            }
        };
        // All has been swept; this only finds something when a process slipped from one to the other. What has
        // been named already has had its time, too.
        let left = self.sweep(if named { Duration::ZERO } else { stop::AFTER_KILL });
        let code = if left.is_empty() || code != exit::OK { code } else { exit::SURROUNDINGS };
        if !named || named_inside {
            report::late_survivors(&left, &|| self.in_a_hurry());
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove(named || !left.is_empty());
        }
        let keep = match keep {
            false => Keep::Nothing,
            true if self.options.keep => Keep::All,
            true => Keep::Logs,
        };
        if keep != Keep::Nothing {
            jobs::log::finish_all(&self.run_dir.path().join(rundir::LOGS));
        }
        runs::tidy(self.run_dir.path(), keep);
        modes.restore();
        if let Some(signal) = died_of.filter(|_| code >= 128) {
            signal::die_of(signal);
        }
        code
    }

    /// Whether somebody wants the guard to end while it writes, after the host.
    fn in_a_hurry(&self) -> bool {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = Signal::try_from(i32::try_from(info.ssi_signo).unwrap_or(0));
            let ends = signal.is_ok_and(|signal| STOPPING.contains(&signal) || signal == Signal::SIGQUIT);
            self.hurried.set(self.hurried.get() || ends);
        }
        self.hurried.get() || self.first.is_some() || self.timed_out
    }

    /// Stops everything in the host's place. The leaders have got their stop signal from the kernel when the host died
    /// (perhaps more than once: from each thread of the host that they were passed on to, kernel/exit.c), and some take a
    /// later one for an order to hurry; everyone else, and a leader that has become another user, gets it from us; of a
    /// job whose first process tells the others, nobody else does. Then each job has its grace, all at once. Returns the
    /// jobs that let it pass.
    fn stop_all(&mut self) -> Vec<(String, Killed)> {
        let mut killed: Vec<(String, Killed)> = Vec::new();
        if self.options.isolate.pid {
            // The kernel kills all that are in a PID namespace when its first process ends, and lets that one end
            // last (pid_namespaces(7)). The numbers in the page are those of the namespace: not ours to use.
            // A host that lingers has been given its time.
            self.sweep(if self.host.is_some() { Duration::ZERO } else { stop::AFTER_KILL });
            return killed;
        }
        // A stop already under way keeps its clock; a job that was not asked yet has its own, within that of all.
        let begin = clock::now();
        let since = self.page.stop_since().unwrap_or(begin);
        let last = since + self.grace() * 2;
        let end_of = |slot: &SlotView| {
            let grace = Duration::from_millis(u64::from(slot.grace_ms));
            (slot.asked.unwrap_or(begin) + grace).min(last)
        };
        leak::note_ports();
        let slots = self.page.published();
        let me = std::process::id().cast_signed();
        let default = Duration::from_millis(self.page.grace_ms.load(SeqCst));
        let everyone = attributed(&slots, &proc::descendants(me));
        let first = first_of_mixed(&everyone, me);
        let spared = |stat: &Stat, slot: &SlotView| {
            slot.mixed && !first.iter().any(|(_, one)| (one.pid, one.start) == (stat.pid, stat.start))
        };
        for (stat, slot) in everyone.iter().copied() {
            let told = |slot: &SlotView| slot.pid == stat.pid && proc::keeps_death_signal(stat.pid, slot.uid);
            if !slot.is_some_and(|slot| told(slot) || spared(&stat, slot)) {
                jobs::signal_process(&stat, me, slot.map_or(SIGTERM, |slot| slot.stop_signal));
            }
            jobs::signal_process(&stat, me, SIGCONT);
        }
        loop {
            reap_some(0);
            if matches!(wait::peek_any(), Peek::NoChild) {
                return killed;
            }
            let now = clock::now();
            let mut next: Option<Duration> = None;
            for (stat, slot) in attributed(&slots, &proc::descendants(me)) {
                let grace = slot.map_or(default, |slot| Duration::from_millis(u64::from(slot.grace_ms)));
                let end = if self.killing { now } else { slot.map_or(since + default, end_of) };
                // What a mixed job leaves has had its time.
                let lives = |(of, one): &&(i32, Stat)| {
                    slot.is_some_and(|slot| slot.pid == *of)
                        && proc::stat(one.pid).is_some_and(|now| now.start == one.start && now.alive())
                };
                let left_over = slot.is_some_and(|slot| slot.mixed) && !first.iter().any(|one| lives(&one));
                if left_over && now < end {
                    jobs::signal_process(&stat, me, SIGKILL);
                    next = Some(next.map_or(end, |before| before.min(end)));
                } else if now >= end {
                    jobs::signal_process(&stat, me, SIGKILL);
                    if let Some(slot) = slot.filter(|_| !self.killing && !grace.is_zero())
                        && !killed.iter().any(|(name, _)| *name == slot.name)
                    {
                        let ignored = signal::name(slot.stop_signal);
                        killed.push((slot.name.clone(), Killed { ignored, grace }));
                    }
                } else {
                    next = Some(next.map_or(end, |before| before.min(end)));
                }
            }
            // Without a pending grace period all that is left has been shot: sweep.
            let Some(next) = next else {
                self.sweep(stop::AFTER_KILL);
                return killed;
            };
            fd::wait_readable(&[self.signals.as_fd()], Some(next.saturating_sub(now)));
            while let Ok(Some(info)) = self.signals.read_signal() {
                let number = i32::try_from(info.ssi_signo).unwrap_or(0);
                match Signal::try_from(number) {
                    Ok(Signal::SIGQUIT) => self.killing = true,
                    Ok(Signal::SIGTSTP) => self.suspend(),
                    Ok(signal) if STOPPING.contains(&signal) => {
                        let (_, at) = *self.first.get_or_insert((signal, clock::raw()));
                        self.killing |= clock::raw().saturating_sub(at) >= SECOND_SIGNAL;
                    }
                    _ => {}
                }
            }
        }
    }

    /// SIGKILL to all in the cgroup, and to every child until there is none (ECHILD) or the bound has passed.
    fn sweep(&self, bound: Duration) -> Vec<Survivor> {
        if testing::off("sweep") {
            return Vec::new();
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        let me = std::process::id().cast_signed();
        let mut left = jobs::sweep(bound, || {
            // In a PID namespace all have been killed with the host, and our /proc may be somebody else's.
            let lives = !matches!(wait::peek_any(), Peek::NoChild) && !self.options.isolate.pid;
            reap_some(if lives { jobs::kill_children(me) } else { 0 });
            !matches!(wait::peek_any(), Peek::NoChild)
        });
        self.leave_out_host(&mut left);
        left
    }

    /// Whether SIGKILL has reached something in the host's PID namespace that only has to get a processor to die.
    fn is_dying(&self, now: Duration) -> bool {
        let in_time = |since: Duration| now < since + stop::AFTER_KILL * stop::DYING;
        if !self.options.isolate.pid || !self.link_ended.is_some_and(in_time) {
            return false;
        }
        let mut left = jobs::survivors();
        self.leave_out_host(&mut left);
        left.iter().any(|one| !one.beyond_reach)
    }

    /// The host of a PID namespace lingers for as long as anything in there does; that is what is left, not the host.
    fn leave_out_host(&self, left: &mut Vec<Survivor>) {
        if self.options.isolate.pid && left.len() > 1 {
            left.retain(|one| Some(one.pid) != self.host);
        }
    }
}

/// The first processes of the jobs that stop by telling only those, with the number that each job has in the page: of one
/// whose first process has ended, those that have been left to us.
fn first_of_mixed(everyone: &[(Stat, Option<&SlotView>)], me: i32) -> Vec<(i32, Stat)> {
    let lives = |pid: i32| everyone.iter().any(|(stat, _)| stat.pid == pid);
    let of_mixed = everyone.iter().filter_map(|(stat, slot)| Some((slot.filter(|slot| slot.mixed)?, *stat)));
    let first =
        of_mixed.filter(|(slot, stat)| if lives(slot.pid) { stat.pid == slot.pid } else { stat.ppid == me });
    first.map(|(slot, stat)| (slot.pid, stat)).collect()
}

/// At least so many, if so many have ended.
fn reap_some(least: usize) {
    for _ in 0..least.max(jobs::REAPED_AT_ONCE) {
        if !matches!(wait::reap_any(), Peek::Ended(..)) {
            return;
        }
    }
}

/// Each living descendant with the job that it belongs to, by ancestry, group or session.
fn attributed<'s>(slots: &'s [SlotView], tree: &[Stat]) -> Vec<(Stat, Option<&'s SlotView>)> {
    let mut owners: HashMap<i32, &SlotView> = HashMap::new();
    let mut list = Vec::new();
    for stat in tree {
        let own = slots
            .iter()
            .find(|slot| slot.pid == stat.pid || slot.pid == stat.pgrp || slot.pid == stat.session);
        let owner = own.or_else(|| owners.get(&stat.ppid).copied());
        if let Some(slot) = owner {
            owners.insert(stat.pid, slot);
        }
        if stat.alive() {
            list.push((*stat, owner));
        }
    }
    list
}
