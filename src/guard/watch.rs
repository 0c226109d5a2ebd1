//! Watches the host: passes signals on as orders, and kills it when it does not keep its bounds.

use crate::cli::Options;
use crate::guard::patience::{
    A_WHILE, Looks, PATIENCE, Patience, Verdict, may_linger, may_yet_die, means_kill,
};
use crate::jobs::cgroup::Cgroup;
use crate::jobs::{self, Survivor, stop};
use crate::report::{self, views::Outputs};
use crate::run;
use crate::sys::link::{Link, Order, Received, Report};
use crate::sys::page::Page;
use crate::sys::wait::{self, Change, ExitStatus, Peek};
use crate::sys::{clock, fd, proc, signal};
use nix::libc::{SIGCONT, SIGKILL, SIGSTOP};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How long Ctrl-Z waits for the host to stand still.
const STAND_STILL: Duration = Duration::from_millis(500);

/// How the watch ended.
pub(super) enum End {
    /// The host has reported, and is gone.
    Reported(Report),
    /// The host is gone without a report.
    Died(ExitStatus),
    /// The host did not keep its bounds and was killed by us.
    Hung,
}

pub(super) struct Guard<'a> {
    /// None once it has been reaped.
    pub(super) host: Option<i32>,
    pub(super) link: Link,
    /// When the host has closed its end.
    pub(super) link_ended: Option<Duration>,
    pub(super) signals: SignalFd,
    /// The process in between, if there is one: its death is ours.
    pub(super) outer: Option<OwnedFd>,
    pub(super) page: &'static Page,
    pub(super) run_dir: PathBuf,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) options: &'a Options,
    /// Where reports go, should the host not make them.
    pub(super) outputs: Outputs,
    pub(super) started: Duration,
    pub(super) first: Option<(Signal, Duration)>,
    /// Told to kill everything now.
    pub(super) killing: bool,
    pub(super) report: Option<Report>,
    /// When the host is killed for not keeping its bounds.
    pub(super) patience: Patience,
    /// How long each thread of the host had waited for a processor, soon after there first was a deadline.
    pub(super) delays: HashMap<i32, u64>,
    /// When that is read: a host that ends at once, as most do, is not looked at.
    pub(super) delays_due: Option<Duration>,
    pub(super) timed_out: bool,
    /// A signal has come while the guard wrote.
    pub(super) hurried: Cell<bool>,
    /// The host has ended, but not all of its PID namespace.
    pub(super) lingers: bool,
    /// The run's directory has been removed while the host still ended.
    pub(super) closed_early: bool,
}

impl Guard<'_> {
    /// Passes on what arrives until the host is gone.
    pub(super) fn watch(&mut self) -> End {
        loop {
            let run_end = self.options.timeout.filter(|_| !self.timed_out).map(|time| self.started + time);
            let next = [self.patience.deadline(), run_end, self.delays_due].into_iter().flatten().min();
            let rest = next.map(|at| at.saturating_sub(clock::now()));
            let mut sources = vec![self.signals.as_fd()];
            sources.extend(self.outer.as_ref().map(AsFd::as_fd));
            // At its end the link reads as ready for ever: the host is about to end, which SIGCHLD will tell.
            if self.link_ended.is_none() {
                sources.push(self.link.as_fd());
            }
            let ready = fd::wait_readable(&sources, rest);
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
            self.close_early();
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
            if self.delays_due.is_some_and(|at| now >= at) {
                self.delays_due = None;
                self.delays = self.host.map(proc::delays).unwrap_or_default();
            }
            let mut patience = self.patience;
            let verdict = patience.step(self.killing, self, now);
            self.patience = patience;
            if verdict == Verdict::Kill {
                // Before the signal: it ends the link of any host.
                self.lingers = self.link_ended.is_some() && self.options.isolate.pid;
                self.signal_host(SIGKILL);
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
                Some((_, first)) if means_kill(first, clock::raw()) => self.kill(signal),
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
    pub(super) fn host_ended(&mut self) -> Option<ExitStatus> {
        let Change::Ended(status) = wait::change(self.host?) else { return None };
        self.host = None;
        Some(status)
    }

    /// Gives the host this long, and some patience; an earlier bound stays.
    fn allow(&mut self, time: Duration) {
        self.bound(time + PATIENCE);
    }

    fn bound(&mut self, time: Duration) {
        let now = clock::now();
        if self.patience.deadline().is_none() {
            self.delays_due = Some(now + A_WHILE);
        }
        self.patience.bound(now + time);
    }

    /// The longest grace period of any job.
    pub(super) fn grace(&self) -> Duration {
        let longest = self.page.longest_grace_ms.load(SeqCst).max(self.page.grace_ms.load(SeqCst));
        Duration::from_millis(longest)
    }

    /// Ctrl-Z: the host stops first, so that the caller's prompt does not race with its output; the time until
    /// we are continued counts in no deadline.
    pub(super) fn suspend(&mut self) {
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
        report::erase_status();
        signal::stop_myself();
        let stopped = clock::raw().saturating_sub(since);
        self.page.paused_ns.fetch_add(u64::try_from(stopped.as_nanos()).unwrap_or(0), SeqCst);
        self.wake_host();
    }

    fn wait_for_host(&mut self) {
        let start = clock::now();
        while self.host_ended().is_none() && may_yet_die(clock::now() - start, &|| self.is_starved()) {
            fd::wait_readable(&[self.signals.as_fd()], Some(Duration::from_millis(20)));
            while matches!(self.signals.read_signal(), Ok(Some(_))) {}
        }
    }

    /// The host of a PID namespace lingers for as long as anything in there does; that is what is left, not the host.
    pub(super) fn leave_out_host(&self, left: &mut Vec<Survivor>) {
        if self.options.isolate.pid && left.len() > 1 {
            left.retain(|one| Some(one.pid) != self.host);
        }
    }
}

impl Looks for Guard<'_> {
    fn asked_until(&self) -> Duration {
        Duration::from_nanos(self.page.patience_ns.load(SeqCst))
    }

    fn is_dying(&self) -> bool {
        let in_time = |since: Duration| may_linger(clock::now().saturating_sub(since));
        if !self.options.isolate.pid || !self.link_ended.is_some_and(in_time) {
            return false;
        }
        let mut left = jobs::survivors();
        self.leave_out_host(&mut left);
        left.iter().any(|one| !one.beyond_reach)
    }

    fn lost(&self) -> Duration {
        let delays = self.host.map(proc::delays).unwrap_or_default();
        let since = |(thread, delay): (&i32, &u64)| {
            delay.saturating_sub(self.delays.get(thread).copied().unwrap_or(0))
        };
        Duration::from_nanos(delays.iter().map(since).max().unwrap_or(0))
    }

    fn is_starved(&self) -> bool {
        let Some(host) = self.host else { return false };
        let before = proc::runnable(host);
        if before.is_empty() {
            return false;
        }
        std::thread::sleep(A_WHILE);
        let after = proc::runnable(host);
        before.iter().any(|thread| after.contains(thread))
    }
}
