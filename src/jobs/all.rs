//! All jobs of the run: what is asked about them, and the look at who has ended.
//!
//! The files beside this one add what is done with them: start, stop, fail, keep short.

use crate::event::{Bus, Event};
use crate::jobs::cgroup::Cgroup;
use crate::jobs::ctl::Ctl;
use crate::jobs::job::{Job, JobId, Kind, State, View};
use crate::jobs::log::finish;
use crate::jobs::log::follow::Follower;
use crate::jobs::log::limit::Waker;
use crate::jobs::log::quiet::Quiet;
use crate::jobs::log::watched::Watched;
use crate::jobs::output::echo::Echo;
use crate::jobs::output::pump::{Capture, Pump};
use crate::jobs::port::Listeners;
use crate::jobs::remains::leak::{self, Left};
use crate::jobs::remains::shared;
use crate::jobs::slow::{self, Start};
use crate::jobs::spec::{Expect, SpawnError};
use crate::jobs::stop::end::StopEnd;
use crate::jobs::stop::step::Stage;
use crate::jobs::table::{Change, Entry, Look, Table};
use crate::jobs::wait::control::Control;
use crate::jobs::wait::files::{Files, Watching};
use crate::lock::lock;
use crate::sys::fork::Exec;
use crate::sys::page;
use crate::sys::proc::{self, Births, Stat, Usage};
use crate::sys::{clock, signal, testing};
use nix::libc::SIGCONT;
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak, mpsc};
use std::time::Duration;

/// All jobs of the run.
pub struct Jobs {
    pub(super) table: Mutex<Table>,
    pub control: Arc<Control>,
    pub(super) bus: Arc<Bus>,
    pub ctl: Ctl,
    pub(super) run_dir: PathBuf,
    pub(super) run: String,
    /// Or why there is none.
    pub(super) cgroup: Result<Cgroup, String>,
    pub(super) next_id: AtomicUsize,
    pub(super) files: Files,
    /// Of the commands whose output may not have been read to its end.
    pub(super) pumps: Mutex<Vec<Pump>>,
    pub(super) watched: Watched,
    pub(super) follower: Arc<Follower>,
    pub(super) ports: Mutex<KnownPorts>,
    /// How jobs have ended at their stop, where that is worth a word.
    pub(super) stop_ends: Mutex<Vec<StopEnd>>,
    /// Descriptors for the teardown, which must be able to read /proc whatever the script has used up.
    pub(super) reserve: Mutex<Vec<OwnedFd>>,
    /// It runs once something has been started, or why nothing can be.
    pub(super) reaper: OnceLock<Result<(), SpawnError>>,
    /// The thread that forks for those that end before the process does.
    pub(super) spawner: OnceLock<Result<mpsc::Sender<Request>, SpawnError>>,
    /// When the first process was started, for the look at the end.
    pub(super) first: OnceLock<Option<Births>>,
    /// The thread that keeps the logs short; it stands still while no job writes.
    pub(super) logs: OnceLock<Result<Waker, SpawnError>>,
    /// Held from the decision that a job is started again until it has been.
    pub(super) restarting: Mutex<()>,
    /// The thread that does so runs.
    pub(super) restarts: Mutex<bool>,
    /// What is known of logs while nobody writes to them.
    pub(super) quiet: Quiet,
    /// The thread that tells what jobs use runs.
    pub(super) usage_told: AtomicBool,
    pub(super) me: Weak<Jobs>,
    /// The reaper knows that somebody has ended, and has not looked yet.
    pub(super) looking: AtomicBool,
    /// The command whose end the script's thread waits for, and will look at by itself; 0: none.
    pub(super) attended: AtomicI32,
    /// The reaper has left that to it.
    pub(super) left_to_script: AtomicBool,
}

pub(super) struct Request {
    pub(super) exec: Exec,
    pub(super) job: Arc<Job>,
    pub(super) reply: mpsc::Sender<Result<Option<OwnedFd>, SpawnError>>,
}

/// Who listens where, as of a moment ago.
#[derive(Default)]
pub(super) struct KnownPorts {
    pub(super) good_until: Duration,
    pub(super) by_job: HashMap<JobId, Vec<u16>>,
}

impl Jobs {
    /// Brings the table up to date, announces what changed, wakes whoever waits. Whether that was cheap.
    pub(super) fn look(&self) -> bool {
        testing::may_panic();
        let mut table = lock(&self.table);
        self.left_to_script.store(false, SeqCst);
        let Look { changes, cheap } = table.look(clock::now());
        let commands_only =
            !changes.is_empty() && changes.iter().all(|change| change.job.kind == Kind::Command);
        let commands: Vec<JobId> =
            changes.iter().map(|change| change.job.id).filter(|_| commands_only).collect();
        let ended = |change: &Change| matches!(change.state, State::Ended(_));
        let over: Vec<Arc<Job>> =
            changes.iter().filter(|change| ended(change)).map(|change| Arc::clone(&change.job)).collect();
        for change in changes {
            let job = change.job.spec.name.clone();
            match change.state {
                _ if change.job.kind != Kind::Job || change.asked => {}
                State::Ended(status) => {
                    let status = change.job.describe(status);
                    self.bus.emit(Event::JobEnded { job: job.clone(), status, expected: !change.died });
                    if let Some((number, restart)) = change.restart {
                        let (most, pause) = (restart.most, restart.pause);
                        self.bus.emit(Event::JobComesBack { job, number, most, pause });
                    }
                }
                State::Daemonised => self.bus.emit(Event::JobDaemonised { job, left: change.members }),
                State::Running => {}
            }
        }
        drop(table);
        if commands_only {
            self.control.bell.ring_for(commands);
        } else {
            self.control.bell.ring();
        }
        // Nobody waits for that.
        over.iter().for_each(|job| job.let_go_of_log());
        cheap
    }

    /// Looks if the reaper has left that to the script's thread, which has nothing more to wait for, and the look at its command
    /// has not found all there was by then. A look that finds nothing would wake whoever waits for anything.
    pub(super) fn look_for_reaper(&self) {
        if !self.left_to_script.load(SeqCst) {
            return;
        }
        let mut table = lock(&self.table);
        if table.anyone_needs_look() {
            drop(table);
            self.look();
        } else {
            self.left_to_script.store(false, SeqCst);
        }
    }

    /// Whether somebody has ended whom nobody has looked at yet.
    fn is_behind(&self) -> bool {
        self.looking.load(SeqCst) || self.left_to_script.load(SeqCst) || signal::is_pending(Signal::SIGCHLD)
    }

    /// Looks if this job has ended and the reaper has not come to it yet: what the kernel says has ended is not said
    /// to run.
    fn catch_up_on(&self, id: JobId) {
        let behind = self.is_behind();
        if lock(&self.table).needs_look(id, behind) {
            self.look();
        }
    }

    /// The same for all jobs.
    pub(super) fn catch_up(&self) {
        if self.is_behind() && lock(&self.table).anyone_needs_look() {
            self.look();
        }
    }

    /// The table before a signal is sent to these jobs on the script's behalf: whoever ends for another reason has ended
    /// before it. Those that are on their way out are waited for, though not for long; which still are is the second.
    pub(super) fn caught_up(&self, ids: &[JobId]) -> (MutexGuard<'_, Table>, Vec<JobId>) {
        const MOMENT: Duration = Duration::from_millis(50);
        const PAUSE: Duration = Duration::from_micros(200);
        let until = clock::now() + MOMENT;
        loop {
            let behind = self.is_behind();
            let mut table = lock(&self.table);
            let unasked = || ids.iter().filter_map(|id| table.entry(*id)).filter(|entry| !entry.asked);
            let ended = unasked().any(|entry| table.needs_look(entry.job.id, behind));
            let leaders: Vec<(JobId, Stat)> =
                unasked().filter_map(|entry| Some((entry.job.id, entry.leader_now()?))).collect();
            // What is sent to them now is not why they end.
            let doomed: Vec<JobId> =
                leaders.iter().filter(|(_, stat)| stat.doomed).map(|(id, _)| *id).collect();
            let in_time = clock::now() < until;
            if !in_time || !ended && doomed.is_empty() {
                table.leaders = leaders.into_iter().map(|(_, stat)| (stat.pid, stat)).collect();
                return (table, doomed);
            }
            drop(table);
            if ended {
                self.look();
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// What reads a command's output, and passes it on to the event stream as `echo` says.
    pub(super) fn pump(&self, capture: Capture, echo: Echo) -> Pump {
        let pump = Pump::of(capture, echo, Arc::clone(&self.bus));
        let mut pumps = lock(&self.pumps);
        pumps.retain(|pump| !pump.is_over());
        pumps.push(pump.clone());
        pump
    }

    /// Has a thread of its own read a command's output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn read_beside(&self, capture: Capture, echo: Echo) -> std::io::Result<Pump> {
        let pump = self.pump(capture, echo);
        pump.go_on_alone()?;
        Ok(pump)
    }

    /// Reads what commands have printed, whoever would have done so, and waits at most this long until what jobs have printed
    /// that is shown has been passed on; whether it has. To be called when they have ended.
    pub fn wait_for_output(&self, patience: Duration) -> bool {
        let until = clock::raw() + patience;
        let pumps = lock(&self.pumps).clone();
        pumps.iter().for_each(Pump::flush);
        self.follower.finish(until)
    }

    /// From now on, changes of this file wake whoever waits, until what is returned goes. None: they have to poll.
    pub fn watch(&self, file: &Path) -> Option<Watching> {
        self.files.watch(file, &self.control)
    }

    /// A name that no job has: the one wanted, or with `-2`, `-3`, …
    pub fn unique_name(&self, wanted: &str) -> String {
        lock(&self.table).unique_name(wanted)
    }

    /// Where logs are kept, unless the script wants them elsewhere.
    pub(super) fn logs_dir(&self) -> PathBuf {
        self.run_dir.join("logs")
    }

    /// Where the log of a job of this name is kept.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.logs_dir().join(format!("{name}.log"))
    }

    /// Has the report show what has been waited for long enough by now; or when that will be.
    pub fn show_pending(&self, now: Duration) -> Option<Duration> {
        self.bus.show_pending(now)
    }

    /// Brings the logs that lie where the script wants them into their final form; those in the run directory are
    /// only worth it when they are kept.
    pub fn finish_own_logs(&self) {
        for job in self.list() {
            job.complete_log();
            if let (Some(log), Some(file)) = (job.log_place(), job.file)
                && !log.starts_with(&self.run_dir)
                && let Err(error) = finish::finish_own(&log, file)
            {
                self.bus.emit(Event::Warning(format!(
                    "the log `{}` could not be finished: {error}",
                    log.display()
                )));
            }
        }
    }

    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// The jobs started so far, without commands, in order.
    pub fn list(&self) -> Vec<Arc<Job>> {
        let table = lock(&self.table);
        table.all().filter(|e| e.job.kind == Kind::Job).map(|e| Arc::clone(&e.job)).collect()
    }

    /// Those of them of which something lives, at most so many.
    pub fn live(&self, most: usize) -> Vec<Arc<Job>> {
        let table = lock(&self.table);
        let jobs = table.live().filter(|e| e.job.kind == Kind::Job);
        jobs.take(most).map(|e| Arc::clone(&e.job)).collect()
    }

    /// The latest job of this name.
    pub fn named(&self, name: &str) -> Option<Arc<Job>> {
        lock(&self.table).named(name).map(|entry| Arc::clone(&entry.job))
    }

    /// Of a job that has ended, the log is complete by then.
    pub fn view(&self, id: JobId) -> Option<View> {
        self.catch_up_on(id);
        let (view, job) = {
            let table = lock(&self.table);
            let entry = table.entry(id)?;
            (entry.view(), Arc::clone(&entry.job))
        };
        if matches!(view.state, State::Ended(_)) {
            job.complete_log();
        }
        Some(view)
    }

    /// Whether the last look has found nothing of a job or command any more, and has let go of its first process.
    pub fn is_over(&self, id: JobId) -> bool {
        lock(&self.table).is_over(id)
    }

    pub fn get(&self, id: JobId) -> Option<Arc<Job>> {
        lock(&self.table).entry(id).map(|entry| Arc::clone(&entry.job))
    }

    /// Whether there are jobs, every one of them has ended, and nothing that any of them or a command left
    /// behind lives either.
    pub fn all_ended(&self) -> bool {
        let mut table = lock(&self.table);
        table.all_jobs_ended() && !table.anything_lives()
    }

    /// A job has shown that it is ready: what is started from now on may rely on it.
    pub fn ready(&self, id: JobId) {
        shared::note_of_ready();
        lock(&self.table).ready(id);
    }

    /// The jobs whose starts took long, one after the other, and how long each; empty when it was not long altogether.
    pub fn slow_start(&self) -> Vec<(String, Duration)> {
        let table = lock(&self.table);
        let ready = table.all().filter_map(|entry| Some((entry, entry.first_ready?)));
        let starts: Vec<Start> = ready
            .map(|(entry, ready)| Start {
                id: entry.job.id,
                name: &entry.job.spec.name,
                started: entry.first_started,
                ready,
                needs: &entry.job.spec.needs,
            })
            .collect();
        slow::chain(&starts).into_iter().map(|(name, took)| (name.to_owned(), took)).collect()
    }

    /// The script has waited for something: what it has started before counts as ready.
    pub fn waited(&self) {
        lock(&self.table).history.waited();
    }

    /// From now on the end of this job is unexpected whatever its code, unless something else was said of it.
    pub fn serves(&self, id: JobId) {
        lock(&self.table).serves(id);
    }

    /// From now on the end of this job is not a failure.
    pub fn expect(&self, id: JobId, expect: Expect) {
        if let Some(entry) = lock(&self.table).entry_mut(id) {
            entry.expect = expect;
        }
    }

    /// Sends a signal to a job's first process on the script's behalf: what ends because of it was asked for.
    pub fn signal(&self, id: JobId, number: i32) {
        shared::note();
        let (mut table, doomed) = self.caught_up(&[id]);
        if let Some(entry) = table.entry_mut(id)
            && !matches!(entry.state(), State::Ended(_))
            && doomed.is_empty()
        {
            entry.signalled.push(number);
        }
        table.signal_leader(id, number);
    }

    /// Suspends or continues all processes of a job.
    pub fn pause(&self, id: JobId, on: bool) {
        let number = if on { nix::libc::SIGSTOP } else { SIGCONT };
        lock(&self.table).signal_tree(id, &[number]);
    }

    /// The living processes of a job.
    pub fn processes(&self, id: JobId) -> Vec<Stat> {
        lock(&self.table).processes(id)
    }

    /// What a job's whole tree uses of memory and processor.
    pub fn usage(&self, id: JobId) -> Usage {
        lock(&self.table).usage(id)
    }

    /// The TCP ports that a job listens on, ascending; at most as old as it took to find out, since many jobs
    /// may ask in one round.
    pub fn ports(&self, id: JobId) -> Vec<u16> {
        let mut known = lock(&self.ports);
        let now = clock::now();
        if now >= known.good_until {
            let processes = lock(&self.table).processes_by_job();
            let listeners = Listeners::now();
            known.by_job = processes.into_iter().map(|(job, pids)| (job, listeners.of(&pids))).collect();
            let cost = clock::now().saturating_sub(now);
            known.good_until = clock::now() + cost;
        }
        known.by_job.get(&id).cloned().unwrap_or_default()
    }

    /// The next who asks for the ports of a job looks by himself: a job may have begun to listen since.
    pub fn forget_ports(&self) {
        lock(&self.ports).good_until = Duration::ZERO;
    }

    /// Whether a process of this run listens on a TCP port.
    pub fn listens(&self, port: u16) -> bool {
        let ours = proc::descendants(nix::unistd::getpid().as_raw());
        let pids: Vec<i32> = ours.iter().map(|stat| stat.pid).collect();
        Listeners::now().of(&pids).contains(&port)
    }

    /// Whether a process belongs to this run.
    pub fn is_ours(&self, pid: i32) -> bool {
        proc::descendants(nix::unistd::getpid().as_raw()).iter().any(|stat| stat.pid == pid)
    }

    /// Whether anything was started, a job or a command.
    pub fn have_started(&self) -> bool {
        self.first.get().is_some()
    }

    /// Notes what the run listens on, so that it can be missed when all has been stopped.
    pub fn note_ports(&self) {
        if self.first.get().is_some() {
            leak::note_ports();
        }
    }

    /// The proof, after the sweep: what is left of this run.
    pub fn left(&self) -> Left {
        page::ask_for_patience();
        // What has started nothing can have left nothing; an empty script is not to pay for the look.
        let Some(since) = self.first.get() else { return Left::default() };
        // Each process that a limit refuses takes a number, too, without being counted: who is new cannot be told.
        let refused = lock(&self.table).all().any(|entry| entry.job.out_of_procs().is_some());
        leak::look(&self.run, since.filter(|_| !refused))
    }

    /// How many jobs were ended by a stop.
    pub fn stopped_count(&self) -> usize {
        let table = lock(&self.table);
        let stopped =
            |entry: &&Entry| entry.job.kind == Kind::Job && entry.asked && entry.stage != Stage::Running;
        table.all().filter(stopped).count()
    }

    /// The run's cgroup, where there is one.
    pub fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup.as_ref().ok()
    }

    /// Says once what has become of a job's log, if it is not what it was.
    pub fn warn_of_log(&self, job: &Job) {
        if let Some(fate) = job.log_fate().describe()
            && !job.held.said.swap(true, SeqCst)
        {
            let path = job.log.as_deref().unwrap_or_else(|| Path::new("")).display();
            self.bus.emit(Event::Warning(format!("the log of {}, {path}, {fate}", job.spec.name)));
        }
    }
}
