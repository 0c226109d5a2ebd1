//! The threads that live as long as the process: the spawner, the reaper, and the one that keeps the logs short.

use crate::event::{Bus, Event};
use crate::jobs::all::{Jobs, Request};
use crate::jobs::cgroup::Cgroup;
use crate::jobs::ctl::Ctl;
use crate::jobs::job::{Kind, State};
use crate::jobs::launch::explain;
use crate::jobs::log::follow::Follower;
use crate::jobs::log::limit;
use crate::jobs::log::watched::Watched;
use crate::jobs::refused::why;
use crate::jobs::spec::SpawnError;
use crate::jobs::table::{self, Table};
use crate::jobs::wait::control::Control;
use crate::jobs::wait::files::Files;
use crate::lock::lock;
use crate::sys::{clock, fd, fork, sched, signal, testing};
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, Weak, mpsc};
use std::time::Duration;

/// How long the reaper rests after a look that was costly.
const LONGEST_BREATH: Duration = Duration::from_millis(5);

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
            spawner: OnceLock::new(),
            first: OnceLock::new(),
            logs: OnceLock::new(),
            restarting: Mutex::default(),
            restarts: Mutex::default(),
            usage_told: AtomicBool::new(false),
            me: Weak::clone(me),
            looking: AtomicBool::new(false),
        });
        let known = Arc::downgrade(&jobs);
        jobs.follower.ask(move |id| {
            let view = known.upgrade().and_then(|jobs| jobs.view(id));
            view.is_none_or(|view| matches!(view.state, State::Ended(_)))
        });
        jobs
    }

    /// Whom to ask for a process. The first who asks starts the three threads; where that fails nobody gets any.
    pub(super) fn spawner(&self) -> Result<&mpsc::Sender<Request>, SpawnError> {
        let started = self.spawner.get_or_init(|| {
            let jobs = self.me.upgrade().ok_or(SpawnError::Stopping)?;
            jobs.start_threads().map_err(|error| SpawnError::Os { what: "a thread", reason: why(error) })
        });
        started.as_ref().map_err(Clone::clone)
    }

    fn start_threads(self: Arc<Self>) -> io::Result<mpsc::Sender<Request>> {
        *lock(&self.reserve) = fd::reserve();
        let children = signal::descriptor(&[Signal::SIGCHLD])?;
        let (waker, woken) = limit::Waker::new()?;
        let (sender, requests) = mpsc::channel();
        let [spawner, reaper, logs] = [&self, &self, &self].map(Arc::clone);
        let start = |name: &str| std::thread::Builder::new().name(name.into());
        start("spawner").spawn(move || spawner.serve(&requests))?;
        start("reaper").spawn(move || reaper.reap(&children))?;
        start("logs").spawn(move || logs.keep_logs_short(&woken))?;
        let _ = self.logs.set(waker);
        Ok(sender)
    }

    /// The spawner's loop. The lock is held from the fork until the child is in the table, so that a stop
    /// sees either no child or one that it knows.
    fn serve(&self, requests: &mpsc::Receiver<Request>) {
        sched::usual();
        while let Ok(Request { exec, job, reply }) = requests.recv() {
            let mut table = lock(&self.table);
            testing::may_panic();
            let result = if table.phase.allows(job.kind) {
                fork::fork_exec(&exec).map_err(|failure| explain(failure, &job.spec))
            } else {
                Err(SpawnError::Stopping)
            };
            if let Ok(pid) = result {
                let other = exec.credentials.as_ref().map(|user| user.uid);
                let uid = other.unwrap_or_else(|| nix::unistd::geteuid().as_raw());
                let (kind, name, command) = (job.kind, job.spec.name.clone(), job.spec.command.display());
                let log = job.log.clone();
                table.insert(job, pid, uid, clock::now());
                // Told once the guard knows it, too: whoever reads that may kill us. Nobody tells its end before,
                // since that needs the lock.
                if kind == Kind::Job {
                    self.bus.emit(Event::JobStarted { job: name, command, pid, log });
                }
            }
            drop(table);
            let _ = reply.send(result);
        }
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
