//! Stopping: jobs, all at the same time, each with its grace; and the final sweep, which leaves nothing.

use crate::event::{Event, Killed, Waiting};
use crate::jobs::all::Jobs;
use crate::jobs::job::{Job, JobId, Kind, State, describe};
use crate::jobs::remains::shared;
use crate::jobs::remains::survivor::{Survivor, survivors};
use crate::jobs::spec::{Expect, KillMode};
use crate::jobs::stop::end::StopEnd;
use crate::jobs::stop::step::{self, Action, Ask, FollowUp, Partly, Stage, Then};
use crate::jobs::table::{self, Entry, Order, Phase, StopCommand, Table, To};
use crate::jobs::wait::control::Halt;
use crate::lock::lock;
use crate::pending::Doing;
use crate::sys::wait::{self, ExitStatus, Peek};
use crate::sys::{clock, fd, page, proc, signal, testing};
use nix::libc::{SIGCONT, SIGINT, SIGKILL};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// After so long a stop that is waited for is worth a line.
const WORTH_A_LINE: Duration = Duration::from_millis(500);

/// What runs other programs as from a terminal, where Ctrl-C reaches all of them: it does not pass INT on.
const SHELLS: &[&str] =
    &["sh", "dash", "bash", "zsh", "ksh", "ksh93", "mksh", "fish", "ash", "busybox", "make", "gmake"];
/// The same, run by an interpreter.
const SCRIPTED: &[&str] = &["npm", "npx", "yarn", "pnpm", "pnpx"];

impl Jobs {
    /// Asks these jobs to stop, without waiting.
    pub fn ask(&self, ids: &[JobId], ask: Ask) {
        let _no_restart = if ask.again { None } else { self.hold_restarts(ids) };
        let (mut table, doomed) = self.caught_up(ids);
        table.tell_orphans();
        let now = clock::now();
        let (mut orders, mut commands) = (Vec::new(), Vec::new());
        for &id in ids {
            if !ask.again {
                table.keep_down(id);
            }
            let Some(entry) = table.entry_mut(id) else { continue };
            let grace = ask.grace.unwrap_or(entry.job.spec.grace);
            let grace = if testing::off("grace") { Duration::ZERO } else { grace };
            let first = match entry.stage {
                Stage::Running => true,
                // It looked gone between two of its processes.
                Stage::Gone { .. } if entry.alive() => true,
                // A stop under way keeps its clock; only its patience may shrink.
                Stage::Asked { since, grace: before } => {
                    entry.stage = Stage::Asked { since, grace: before.min(grace) };
                    false
                }
                _ => continue,
            };
            if first {
                if !entry.alive() {
                    continue;
                }
                // What has ended by itself before has died all the same, even if it left something to stop.
                entry.asked |= !matches!(entry.state(), State::Ended(_)) && !doomed.contains(&id);
                let has_time = !grace.is_zero() && !self.control.killing();
                let by_command = entry.job.spec.stop_cmd.is_some() && ask.signal.is_none() && has_time;
                // Only once: one that looked gone has had its command.
                let by_command = by_command && entry.stage == Stage::Running;
                let slot = entry.asked_at(now, grace);
                let (number, to) = addressed(entry, ask, has_time);
                entry.by = number;
                if by_command {
                    entry.stop_command = Some(StopCommand::Due);
                    commands.push(id);
                }
                let signals = if by_command { Vec::new() } else { vec![number] };
                orders.push(Order { id, signals, to });
                table.changed.extend(slot);
                // CONT, since a stopped process would only see the signal, or its command's request, after it.
                orders.push(Order::tree(id, &[SIGCONT]));
            }
        }
        table.ask(&orders, now);
        drop(table);
        commands.into_iter().for_each(|id| self.start_stop_command(id));
    }

    /// Stops these jobs, all at the same time: returns when the whole tree of each is gone or has been given
    /// up. `abandon` ends the waiting early; the stop goes on.
    pub fn stop(&self, ids: &[JobId], ask: Ask, abandon: &dyn Fn() -> bool) {
        // What is killed cannot remove what it shares, and who had it cannot be told afterwards.
        shared::note();
        self.stop_until(ids, ask, None, abandon);
    }

    /// Stops these jobs in order, as [`super::order`] has it: in at most twice the longest grace period together, of
    /// which so much has been spent. There is no order for those in a hurry.
    pub fn stop_in_order(&self, ids: &[JobId], ask: Ask, spent: Duration, abandon: &dyn Fn() -> bool) {
        let longest = ask.grace.unwrap_or_else(|| lock(&self.table).longest_grace(ids));
        let until = clock::now() + (longest * 2).saturating_sub(spent);
        self.stop_until(ids, ask, Some(until), abandon);
    }

    fn stop_until(&self, ids: &[JobId], ask: Ask, until: Option<Duration>, abandon: &dyn Fn() -> bool) {
        let mut waiting: Vec<JobId> = ids.to_vec();
        let most = || ask.grace.unwrap_or_else(|| lock(&self.table).longest_grace(ids));
        let most = until.map_or_else(most, |until| until.saturating_sub(clock::now()));
        let (pending, mut told) = (self.bus.pending.begin(Doing::Stopping, String::new(), Some(most)), 0);
        while !waiting.is_empty() && !abandon() {
            page::ask_for_patience();
            let seen = self.control.bell.rings();
            let now = clock::now();
            let in_order = until.filter(|_| !self.control.killing() && !self.control.guard_gone());
            let (due, mut wake) = match in_order {
                Some(until) => lock(&self.table).due(&waiting, until, now),
                None => (waiting.clone(), None),
            };
            // In every round: a job that looked dead in the first may have been between two of its processes.
            self.ask(&due, ask);
            let now = clock::now();
            let mut slow = Vec::new();
            let mut follow = Vec::new();
            let mut finished = Vec::new();
            let mut kills = Vec::new();
            let mut overdue = Vec::new();
            let mut table = lock(&self.table);
            let patience = table.patience(now);
            waiting.retain(|&id| {
                let command = table.stop_command(id);
                let Some(entry) = table.entry_mut(id) else { return false };
                let before = entry.stage;
                // Its stop command is part of it.
                let alive = entry.alive() || command.is_some_and(|(_, alive, _)| alive);
                let (stage, action) = step::next(before, alive, self.control.killing(), patience, now);
                entry.stage = stage;
                let job = Arc::clone(&entry.job);
                match action {
                    Action::Done => {
                        finished.push(Finished {
                            job,
                            before,
                            stage,
                            by_command: entry.stop_command.is_some(),
                            end: entry.end_when_asked(),
                            expect: entry.expect.clone(),
                        });
                        return false;
                    }
                    Action::WaitUntil(until) => {
                        let mut next = until;
                        if let Stage::Asked { since, grace } = stage {
                            let worth = since + WORTH_A_LINE;
                            if now < worth {
                                next = [next, Some(worth)].into_iter().flatten().min();
                            } else if !entry.said && entry.alive() {
                                entry.said = true;
                                slow.push((Arc::clone(&job), entry.pid, entry.by, since + grace));
                            }
                        }
                        if let (Stage::Asked { since, grace }, Some(partly)) = (stage, entry.partly)
                            && entry.alive()
                            && command.is_none_or(|(_, alive, _)| !alive)
                        {
                            match step::then(partly, since, grace, entry.first_lives(), now) {
                                Then::Wait(at) => next = [next, at].into_iter().flatten().min(),
                                Then::Group => {
                                    entry.partly = Some(Partly::GroupInterrupted);
                                    let signals = vec![entry.by];
                                    follow.push(Order { id, signals, to: To::RestOfGroup });
                                    next = [next, Some(since + grace / 2)].into_iter().flatten().min();
                                }
                                Then::Signal => {
                                    entry.partly = None;
                                    follow.push(Order::tree(id, &[job.spec.stop_signal, SIGCONT]));
                                }
                                Then::Kill => {
                                    entry.stage = Stage::Killed { since, at: now, grace };
                                    kills.push(Order::tree(id, &[SIGKILL]));
                                }
                            }
                        }
                        if let (Stage::Asked { since, grace }, Some((_, _, status))) = (stage, command)
                            && entry.alive()
                        {
                            match step::follow_up(since, grace, status, now) {
                                FollowUp::Wait(at) => next = [next, at].into_iter().flatten().min(),
                                FollowUp::Signal => overdue.push((id, status)),
                            }
                        }
                        match entry.rest_due.take() {
                            Some((at, signals)) if now >= at => {
                                follow.push(Order { id, signals, to: To::Others });
                            }
                            later => {
                                next = [next, later.as_ref().map(|(at, _)| *at)].into_iter().flatten().min();
                                entry.rest_due = later;
                            }
                        }
                        wake = [wake, next].into_iter().flatten().min();
                    }
                    Action::Kill => {
                        let ids = std::iter::once(id).chain(command.map(|(command, _, _)| command));
                        kills.extend(ids.map(|id| Order::tree(id, &[SIGKILL])));
                    }
                }
                true
            });
            if told != waiting.len() {
                told = waiting.len();
                pending.about(|| named(&table, &waiting));
            }
            // At the end of the run, once nobody has any grace left, all go together: who belongs to whom is read
            // from /proc, and a chain that forks fast enough is always elsewhere by then.
            let all_together =
                table.phase == Phase::Stopping && !kills.is_empty() && !table.anyone_has_grace();
            table.signal(&follow);
            if !all_together {
                table.signal(&kills);
            }
            drop(table);
            self.say_who_is_slow(&slow, now);
            if all_together {
                self.sweep();
            }
            // What had ended by itself and is to be started again was announced as that.
            for one in finished.iter().filter(|_| !ask.again) {
                self.announce_stop(one, now);
            }
            for (id, status) in overdue {
                let failed = status.filter(|status| !status.success());
                self.signal_instead(id, failed.map(describe));
            }
            if !kills.is_empty() {
                // Whoever forked in the meantime is found by looking again, at once.
                wake = Some(now + Duration::from_millis(1));
                self.look();
            }
            if !waiting.is_empty() {
                wake = [wake, self.bus.show_pending(now)].into_iter().flatten().min();
                self.control.bell.wait(seen, wake);
            }
        }
    }

    /// When several jobs have just been told to end, waits for a moment until the last of them has: a look at many ends costs
    /// little more than one at the first of them.
    pub fn wait_for_many(&self) {
        let many = lock(&self.table).take_told();
        if let Some((last, many)) = many {
            let moment = Duration::from_millis(1) + Duration::from_micros(50) * many;
            fd::wait_readable(&[last.as_fd()], Some(moment.min(Duration::from_millis(20))));
        }
    }

    /// Says once for whom a stop waits.
    fn say_who_is_slow(&self, slow: &[(Arc<Job>, i32, i32, Duration)], now: Duration) {
        let waiting = slow.iter().map(|(job, pid, by, until)| Waiting {
            job: if job.kind == Kind::Job { job.spec.name.clone() } else { job.spec.command.display() },
            signal: signal::name(*by),
            ignored: proc::ignores(*pid, *by),
            left: until.saturating_sub(now),
        });
        let waiting: Vec<Waiting> = waiting.collect();
        if !waiting.is_empty() {
            // Only then does the next signal mean that.
            let by_signal = match self.control.reason() {
                Some(Halt::Signal(number)) => Some(number),
                _ => None,
            };
            self.bus.emit(Event::StopWaits { waiting, again: by_signal.map(|number| number == SIGINT) });
        }
    }

    fn announce_stop(&self, finished: &Finished, now: Duration) {
        let Finished { job, by_command, .. } = finished;
        let (since, has_time, killed) = match (finished.before, finished.stage) {
            (Stage::Asked { since, grace }, Stage::Gone { .. }) => (since, !grace.is_zero(), None),
            // Only one that had its grace has ignored anything.
            (Stage::Killed { since, at, grace }, Stage::Gone { .. }) => {
                let patient = !grace.is_zero() && at >= since + grace;
                let signal = || signal::name(job.spec.stop_signal);
                let ignored = || if *by_command { "its stop_cmd".to_owned() } else { signal() };
                (since, !grace.is_zero(), patient.then(|| Killed { ignored: ignored(), grace }))
            }
            _ => return,
        };
        if job.kind == Kind::Job {
            let after = now.saturating_sub(since);
            let end = self.note_end(finished, has_time);
            let status = end.filter(|_| killed.is_none()).map(describe);
            self.bus.emit(Event::JobStopped { job: job.spec.name.clone(), after, status, killed });
        }
    }

    /// Remembers how a job has ended at its stop, when that is worth a word.
    fn note_end(&self, finished: &Finished, has_time: bool) -> Option<ExitStatus> {
        let Finished { job, expect, .. } = finished;
        let (status, by) = finished.end?;
        let wanted = &job.spec.expect_stop;
        let is_one_of = |codes: &[i32]| matches!(status, ExitStatus::Code(code) if codes.contains(&code));
        let expected = match expect {
            Expect::AnyEnd => true,
            Expect::Codes(codes) => is_one_of(codes),
            Expect::Success | Expect::NoEnd => false,
        };
        let wrong = has_time && !wanted.is_empty() && !is_one_of(wanted);
        let odd = !expected && wanted.is_empty() && step::is_worth_a_word(status, by);
        if !wrong && !odd {
            return None;
        }
        let job = Arc::clone(job);
        lock(&self.stop_ends).push(StopEnd { job, status, wrong, told: false });
        Some(status)
    }

    /// The ends at a stop that are worth a word, in the order of the stops, each once.
    pub fn stop_ends(&self) -> Vec<(String, ExitStatus)> {
        let mut ends = Vec::new();
        for end in lock(&self.stop_ends).iter().map(|end| (end.job.spec.name.clone(), end.status)) {
            // One that was restarted has been stopped several times.
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
        ends
    }

    /// One of these jobs, or of all, that has ended in another way than its stop was to bring (`expect_stop`), if nobody
    /// was told yet; from now on somebody has been.
    pub fn tell_wrong_stop(&self, ids: Option<&[JobId]>) -> Option<(Arc<Job>, ExitStatus)> {
        let mut ends = lock(&self.stop_ends);
        let meant = |end: &&mut StopEnd| ids.is_none_or(|ids| ids.contains(&end.job.id));
        let end = ends.iter_mut().filter(meant).find(|end| end.wrong && !end.told)?;
        end.told = true;
        Some((Arc::clone(&end.job), end.status))
    }

    /// Interrupts the commands that the script waits for, and says which of them have time left to end.
    pub fn interrupt(&self, signal: i32) -> Vec<JobId> {
        let commands = lock(&self.table).foreground();
        self.ask(&commands, Ask::interrupt(signal));
        commands
    }

    /// The longest grace period of these.
    pub fn longest_grace(&self, ids: &[JobId]) -> Duration {
        lock(&self.table).longest_grace(ids)
    }

    /// From now on nothing new can start. Returns everything that has not been stopped yet.
    pub fn close(&self) -> Vec<JobId> {
        lock(&self.reserve).clear();
        let live = |table: &Table| table.live().map(|entry| entry.job.id).collect();
        let live: Vec<JobId> = live(&lock(&self.table));
        let (mut table, doomed) = self.caught_up(&live);
        testing::may_hang("teardown");
        table.phase = Phase::Stopping;
        // The run is over: who ends from now on, perhaps since another one is stopped first, does not fail it.
        for entry in table.all_mut().filter(|entry| entry.job.kind == Kind::Job) {
            entry.asked |= !matches!(entry.state(), State::Ended(_)) && !doomed.contains(&entry.job.id);
        }
        // A stop command ends in the stop of its job, which may be under way.
        let to_stop = |entry: &&table::Entry| entry.job.kind != Kind::StopCommand && table.is_busy(entry);
        table.all().filter(to_stop).map(|entry| entry.job.id).collect()
    }

    /// Closes the table of a run that has started nothing, and so has nothing to stop, to sweep or to prove; whether it is
    /// one. The kernel is asked, too: there is no child.
    pub fn close_unused(&self) -> bool {
        if self.have_started() {
            return false;
        }
        self.close();
        // Again, now that nothing can start any more: whoever starts something says so first.
        !self.have_started() && matches!(wait::peek_any(), Peek::NoChild)
    }

    fn kill_cgroup(&self) {
        if let Ok(cgroup) = &self.cgroup {
            cgroup.kill();
        }
    }

    /// The final sweep: SIGKILL to every descendant until there is none (ECHILD), or what is left has had its time.
    pub fn sweep(&self) {
        if testing::off("sweep") {
            return;
        }
        lock(&self.table).phase = Phase::Sweeping;
        self.kill_cgroup();
        // A job that outlived its SIGKILL has had its time.
        let stuck = lock(&self.table).all().any(|entry| entry.stage == Stage::Stuck);
        let bound = if stuck { step::AFTER_KILL / 10 } else { step::AFTER_KILL };
        sweep(bound, || lock(&self.table).sweep_round());
    }
}

/// A job whose stop is over.
struct Finished {
    job: Arc<Job>,
    before: Stage,
    stage: Stage,
    /// Its stop signal was not sent.
    by_command: bool,
    /// How its first process has ended, and the signal.
    end: Option<(ExitStatus, i32)>,
    expect: Expect,
}

/// The first of these, for the report: `api, db and 3 more`.
fn named(table: &Table, ids: &[JobId]) -> String {
    const MOST: usize = 3;
    let name = |entry: &Entry| match entry.job.kind {
        Kind::Job => entry.job.spec.name.clone(),
        Kind::Command | Kind::StopCommand => entry.job.spec.command.display(),
    };
    let names: Vec<String> = ids.iter().filter_map(|id| table.entry(*id)).take(MOST).map(name).collect();
    match ids.len().saturating_sub(names.len()) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Whether a process is one that only runs others: a shell, or what is like one.
fn runs_others(pid: i32) -> bool {
    let program = proc::program(pid).unwrap_or_default();
    let command = proc::command(pid);
    // Of npm the command line is `npm run dev`, since it renames itself, or that of its interpreter.
    let mut words = command.split_ascii_whitespace().take(2);
    let scripted = |word: &str| {
        let base = word.rsplit('/').next().unwrap_or_default();
        SCRIPTED.contains(&base.split(['.', '-']).next().unwrap_or_default())
    };
    SHELLS.contains(&program.as_str()) || words.any(scripted)
}

/// The signal that asks this job to stop, and who gets it.
fn addressed(entry: &mut Entry, ask: Ask, has_time: bool) -> (i32, To) {
    let spec = &entry.job.spec;
    if ask.gently && entry.in_foreground() && has_time {
        let number = spec.interrupt.or(ask.signal).unwrap_or(SIGINT);
        let as_at_a_terminal = runs_others(entry.pid);
        entry.partly = Some(if as_at_a_terminal { Partly::GroupInterrupted } else { Partly::Interrupted });
        return (number, if as_at_a_terminal { To::Group } else { To::First });
    }
    let number = ask.signal.filter(|_| !ask.gently).unwrap_or(spec.stop_signal);
    if spec.kill_mode == KillMode::Mixed && has_time {
        entry.partly = Some(Partly::Mixed);
        return (number, To::First);
    }
    (number, To::Tree)
}

/// Repeats a round of SIGKILL to every child, which says whether any child is left, until none is, or what is left
/// has had its time: `bound` if SIGKILL does not reach it, five times as long if it only has to get a processor.
/// Returns who is left.
pub fn sweep(bound: Duration, mut round: impl FnMut() -> bool) -> Vec<Survivor> {
    // A process that dies may be in uninterruptible sleep for a moment: only who stays there is beyond reach.
    const ROUNDS: usize = 5;
    let start = clock::now();
    let mut unreached = 0;
    while round() {
        let waited = clock::now().saturating_sub(start);
        if waited >= bound {
            let left = survivors();
            let reached = left.is_empty() || left.iter().any(|one| !one.beyond_reach);
            unreached = if reached { 0 } else { unreached + 1 };
            if waited >= bound * step::DYING || unreached == ROUNDS {
                return left;
            }
        }
        page::ask_for_patience();
        step::pause_in_sweep(waited);
    }
    Vec::new()
}
