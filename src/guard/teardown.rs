//! Makes sure that nothing is left once the host is gone, and does in its place what it could not do.

use crate::cli::Recording;
use crate::end::{self, Keep};
use crate::event::Killed;
use crate::guard::patience::means_kill;
use crate::guard::signals::STOPPING;
use crate::guard::watch::{End, Guard};
use crate::jobs::{self, Survivor, leak, stop};
use crate::report::{self, GuardVerdict};
use crate::rundir;
use crate::sys::link::Report;
use crate::sys::page::SlotView;
use crate::sys::proc::{self, Stat};
use crate::sys::wait::{self, Peek};
use crate::sys::{clock, fd, signal, testing, tty};
use crate::{exit, run};
use nix::libc::{SIGCONT, SIGKILL, SIGTERM};
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

impl Guard<'_> {
    /// Removes what a run that has passed leaves behind, while its host still ends.
    pub(super) fn close_early(&mut self) {
        let passed = Report::Outcome { code: exit::OK, keep: false, left: false };
        if self.closed_early || self.options.isolate.pid || self.report != Some(passed) {
            return;
        }
        self.closed_early = true;
        if end::close_early(&self.run_dir, self.cgroup.as_ref()) {
            self.cgroup = None;
        }
    }

    /// Makes sure that nothing is left, says what the host could not say, and gives the exit code.
    pub(super) fn finish(&mut self, end: End, modes: &tty::Modes) -> i32 {
        let signal = self.first.map(|(signal, _)| signal);
        // The host knew who is left only by numbers that mean nothing out here.
        let named_inside = self.options.isolate.pid && matches!(end, End::Reported(_));
        let (code, keep, named, died_of) = match end {
            End::Reported(Report::Signalled { signal: number, keep, left }) => {
                let keep = Keep::told(keep, self.options);
                (exit::signal(number), keep, left, signal.or(Signal::try_from(number).ok()))
            }
            End::Reported(Report::Outcome { code, keep, left }) => {
                (code, Keep::told(keep, self.options), left, None)
            }
            End::Reported(Report::Stopping(_)) => {
                (exit::INFRASTRUCTURE, Keep::told(true, self.options), false, signal)
            }
            End::Hung | End::Died(_) => {
                let running: Vec<String> = self.page.published().into_iter().map(|slot| slot.name).collect();
                let killed = self.stop_all();
                let mut left = leak::look(&rundir::name(&self.run_dir), None);
                self.leave_out_host(&mut left.descendants);
                let cause = match end {
                    End::Died(status) => report::host_died(jobs::describe(status)),
                    _ if self.lingers => report::HOST_LINGERS.to_owned(),
                    _ => report::HOST_HUNG.to_owned(),
                };
                let code = match signal {
                    Some(signal) if matches!(end, End::Hung) => exit::signal(signal as i32),
                    _ if self.timed_out => exit::TIMEOUT,
                    _ => exit::INFRASTRUCTURE,
                };
                let end::Settled { keep, kept, stays } = end::settle(&self.run_dir, self.options, true, None);
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
                self.make_reports();
                report::guard_verdict(&verdict, &|| self.in_a_hurry());
                (code, keep, !left.descendants.is_empty(), signal.filter(|_| matches!(end, End::Hung)))
            }
        };
        // All has been swept; this only finds something when a process slipped from one to the other. What has
        // been named already has had its time, too.
        let left = self.sweep(if named { Duration::ZERO } else { stop::AFTER_KILL });
        let code = if left.is_empty() || code != exit::OK { code } else { exit::INFRASTRUCTURE };
        if !named || named_inside {
            report::late_survivors(&left, &|| self.in_a_hurry());
        }
        let left = named || !left.is_empty();
        match &self.cgroup {
            Some(cgroup) if self.closed_early => cgroup.remove(left),
            _ if self.closed_early => {}
            cgroup => end::close(&self.run_dir, cgroup.as_ref(), left, keep),
        }
        modes.restore();
        if let Some(signal) = died_of.filter(|_| code >= 128) {
            signal::die_of(signal);
        }
        code
    }

    /// Reports of what was recorded until the host was gone.
    fn make_reports(&self) {
        let file = match &self.options.events {
            _ if self.outputs.is_empty() => None,
            Some(Recording::At(path)) => File::open(path).ok(),
            Some(Recording::Kept(file)) => file.try_clone().ok(),
            Some(Recording::Part { .. }) | None => None,
        };
        if let Some(file) = file {
            let made = self.outputs.write(&file, &run::events_name(self.options));
            report::print_made(&made, &|| self.in_a_hurry());
        }
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
                        let (_, first) = *self.first.get_or_insert((signal, clock::raw()));
                        self.killing |= means_kill(first, clock::raw());
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
