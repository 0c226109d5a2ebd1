//! Who starts processes, who sees that they have ended, and who keeps their logs short: threads that live as long as the
//! process, each from when it is needed.

use crate::event::{Bus, Event};
use crate::jobs::all::{Jobs, Request};
use crate::jobs::cgroup::Cgroup;
use crate::jobs::ctl::Ctl;
use crate::jobs::job::{Job, Kind, State};
use crate::jobs::launch::explain;
use crate::jobs::log::follow::Follower;
use crate::jobs::log::limit;
use crate::jobs::log::quiet::Quiet;
use crate::jobs::log::watched::Watched;
use crate::jobs::output::terminal::start_thread;
use crate::jobs::refused::why;
use crate::jobs::spec::{SpawnError, Spec};
use crate::jobs::table::{self, Table};
use crate::jobs::wait::control::Control;
use crate::jobs::wait::files::Files;
use crate::lock::lock;
use crate::sys::fork::{Exec, Step};
use crate::sys::page::Identity;
use crate::sys::wait::{self, Peek};
use crate::sys::{clock, fd, fork, pidfd, proc, signal, testing};
use nix::sys::signal::Signal;
use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, Weak, mpsc};
use std::time::Duration;

/// How long the reaper rests after a look that was costly.
const LONGEST_BREATH: Duration = Duration::from_millis(5);

thread_local! {
    /// The calling thread ends with the process, and not before.
    static LASTS: Cell<bool> = const { Cell::new(false) };
}

/// For a thread that starts processes itself: the kernel's parent-death signal is that of the thread that has forked. When
/// this goes, be it in a panic, the thread stands still for the rest of the process's life.
pub struct Lasting(());

impl Lasting {
    pub fn begin() -> Self {
        LASTS.set(true);
        Self(())
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Forks and executes. What was not looked at before, since nearly all of it can be executed, is looked at where it cannot be.
fn start(exec: &Exec, spec: &Spec) -> Result<i32, SpawnError> {
    let failure = match fork::fork_exec(exec, false) {
        Ok(pid) => return Ok(pid),
        Err(failure) => failure,
    };
    spec.check()?;
    let shell = failure.step == Step::Exec && !exec.otherwise.is_empty();
    if shell { fork::fork_exec(exec, true) } else { Err(failure) }.map_err(|failure| explain(failure, spec))
}

impl Jobs {
    /// Starts nothing yet: a run pays for what keeps its processes once it has one. The caller has blocked SIGCHLD, so
    /// that all threads have it blocked.
    pub fn new(
        control: Arc<Control>,
        bus: Arc<Bus>,
        run_dir: PathBuf,
        run: String,
        cgroup: Result<Cgroup, String>,
    ) -> Arc<Self> {
        let run_dir = table::canonical(&run_dir);
        let bus_of_logs = Arc::clone(&bus);
        let jobs = Arc::new_cyclic(|me| Self {
            table: Mutex::new(Table::new(run.clone(), cgroup.as_ref().ok().map(Cgroup::members))),
            control,
            bus,
            ctl: Ctl::default(),
            run_dir,
            run,
            cgroup,
            next_id: AtomicUsize::new(1),
            files: Files::default(),
            pumps: Mutex::default(),
            watched: Watched::default(),
            follower: Follower::new(bus_of_logs),
            ports: Mutex::default(),
            stop_ends: Mutex::default(),
            reserve: Mutex::default(),
            reaper: OnceLock::new(),
            spawner: OnceLock::new(),
            first: OnceLock::new(),
            logs: OnceLock::new(),
            restarting: Mutex::default(),
            restarts: Mutex::default(),
            quiet: Quiet::default(),
            usage_told: AtomicBool::new(false),
            me: Weak::clone(me),
            looking: AtomicBool::new(false),
            attended: AtomicI32::new(0),
            left_to_script: AtomicBool::new(false),
        });
        let known = Arc::downgrade(&jobs);
        jobs.follower.ask(move |id| {
            let view = known.upgrade().and_then(|jobs| jobs.view(id));
            view.is_none_or(|view| matches!(view.state, State::Ended(_)))
        });
        jobs
    }

    /// The first process starts the reaper; where that cannot be, nobody gets any process.
    fn need_reaper(&self) -> Result<(), SpawnError> {
        let start = || {
            let jobs = self.me.upgrade().ok_or(SpawnError::Stopping)?;
            *lock(&self.reserve) = fd::reserve();
            let children = signal::descriptor(&[Signal::SIGCHLD])
                .map_err(|e| SpawnError::Os { what: "a descriptor", reason: why(e) })?;
            start_thread("reaper", move || jobs.reap(&children))
        };
        self.reaper.get_or_init(start).clone()
    }

    /// Whom to ask for a process, for a thread that may end before it. The first who asks starts it.
    fn spawner(&self) -> Result<&mpsc::Sender<Request>, SpawnError> {
        let start = || {
            let jobs = self.me.upgrade().ok_or(SpawnError::Stopping)?;
            let (sender, requests) = mpsc::channel();
            start_thread("spawner", move || jobs.serve(&requests))?;
            Ok(sender)
        };
        self.spawner.get_or_init(start).as_ref().map_err(Clone::clone)
    }

    /// Who keeps logs short, from the first job on.
    pub(super) fn logs(&self) -> Result<&limit::Waker, SpawnError> {
        let start = || {
            let jobs = self.me.upgrade().ok_or(SpawnError::Stopping)?;
            let pipe = limit::Waker::new();
            let (waker, woken) = pipe.map_err(|e| SpawnError::Os { what: "a pipe", reason: why(e) })?;
            start_thread("logs", move || jobs.keep_logs_short(&woken))?;
            Ok(waker)
        };
        self.logs.get_or_init(start).as_ref().map_err(Clone::clone)
    }

    /// Forks it, on a thread that lasts: the calling one, or the spawner. Once the exec has succeeded: a pidfd, of a
    /// command.
    pub(super) fn fork(&self, exec: Exec, job: &Arc<Job>) -> Result<Option<OwnedFd>, SpawnError> {
        self.need_reaper()?;
        if LASTS.get() {
            return self.fork_here(&exec, Arc::clone(job));
        }
        let (reply, answer) = mpsc::channel();
        let request = Request { exec, job: Arc::clone(job), reply };
        self.spawner()?.send(request).map_err(|_| SpawnError::Stopping)?;
        answer.recv().map_err(|_| SpawnError::Stopping)?
    }

    fn serve(&self, requests: &mpsc::Receiver<Request>) {
        while let Ok(Request { exec, job, reply }) = requests.recv() {
            let result = self.fork_here(&exec, job);
            drop(exec);
            let _ = reply.send(result);
        }
    }

    /// The lock is held from the fork until the child is in the table, so that a stop sees either no child or one that it
    /// knows.
    fn fork_here(&self, exec: &Exec, job: Arc<Job>) -> Result<Option<OwnedFd>, SpawnError> {
        let mut table = lock(&self.table);
        testing::may_panic();
        if !table.phase.allows(job.kind) {
            return Err(SpawnError::Stopping);
        }
        let before = clock::since_boot();
        let pid = start(exec, &job.spec)?;
        let began = proc::start_between(before, clock::since_boot());
        let who = began.map_or_else(|| Identity::of(pid), |start| Identity { pid, start });
        // Nobody reaps it as long as the lock is held: its number is still its own.
        let process = (job.kind == Kind::Command).then(|| pidfd::open(pid).ok()).flatten();
        let other = exec.credentials.as_ref().map(|user| user.uid);
        let uid = other.unwrap_or_else(|| nix::unistd::geteuid().as_raw());
        let started = (job.kind == Kind::Job).then(|| {
            let (job, command, log) = (job.spec.name.clone(), job.spec.command.display(), job.log.clone());
            Event::JobStarted { job, command, pid, log }
        });
        table.insert(job, who, uid, clock::now());
        // Told once the guard knows it, too: whoever reads that may kill us. Nobody tells its end before, since that needs
        // the lock.
        started.into_iter().for_each(|event| self.bus.emit(event));
        Ok(process)
    }

    /// Whether somebody else has looked, or will: that is the script's thread when its command has ended, which the kernel
    /// wakes as well. It is trusted once: should anybody else end before it has come to it, the reaper looks at both.
    fn need_not_look(&self) -> bool {
        let attended = self.attended.load(SeqCst);
        if attended == 0 || !matches!(wait::peek(attended), Peek::Ended(..)) {
            return !lock(&self.table).anyone_needs_look();
        }
        self.left_to_script.store(true, SeqCst);
        let is_left = self.attended.compare_exchange(attended, 0, SeqCst, SeqCst).is_ok();
        if !is_left {
            self.left_to_script.store(false, SeqCst);
        }
        is_left
    }

    /// The reaper's loop: every SIGCHLD means a look at all children, since signals of one kind coalesce.
    ///
    /// What has cost much is done at most half of the time. A chain of processes that fork and exit as fast as they can would
    /// else keep it looking without end, and whoever reads /proc holds up whoever exits.
    ///
    /// It also sees when somebody connects to the run's socket for the first time; from then on others do.
    fn reap(&self, children: &nix::sys::signalfd::SignalFd) {
        let mut ctl = self.ctl.listener();
        loop {
            let watched: Vec<_> = [children.as_fd()].into_iter().chain(ctl.map(AsFd::as_fd)).collect();
            let ready = fd::wait_readable(&watched, None);
            if ready.get(1) == Some(&true) && self.ctl.serve() {
                ctl = None;
            }
            if !ready[0] {
                continue;
            }
            // In this order, so that an end is to be seen at any time, by the signal or by this.
            self.looking.store(true, SeqCst);
            while matches!(children.read_signal(), Ok(Some(_))) {}
            if self.need_not_look() {
                self.looking.store(false, SeqCst);
                continue;
            }
            let start = clock::now();
            testing::may_hang("reaper");
            self.wait_for_many();
            let cheap = self.look();
            self.looking.store(false, SeqCst);
            if !cheap {
                std::thread::sleep(clock::now().saturating_sub(start).min(LONGEST_BREATH));
            }
        }
    }
}
