//! What runs and who stops it. Knows processes, not scripts: no rhai, no text for people, no unsafe.
//!
//! ```text
//! cgroup   the wall around all jobs, where the machine has one; limits
//! control  what wakes a wait, and whether the script may go on
//! strand   parts of the script that end by themselves, and take turns
//! spec     what to start: data, and its translation for exec
//! table    the one table: states, attribution, signals
//! stop     one job's way out, as a pure step
//! order    which jobs stop before which, as pure decisions
//! stopping all jobs' way out, and the final sweep
//! last     the command that is run instead of a stop signal
//! output   a job's log, a command's pipes
//! text     how what they hold looks as text
//! patient  files whose other end may keep one waiting
//! terminal a job's terminal
//! log      a job's log, wherever it is by now
//! limit    keeps the logs within their limits
//! files    files whose changes ring the bell
//! fail     lines of a log that mean failure
//! leak     the proof: what is left of a run
//! port     free ports, who listens
//! shared   shared memory that outlives its processes
//! evict    frees a port
//! ```
//!
//! Three threads live as long as the process: the *spawner*, because the kernel's parent-death signal follows
//! the forking thread, the *reaper*, which looks at all children whenever one has ended, and *logs*, which keeps
//! them short. Children are only
//! reaped under the table's lock, which is a leaf: no other lock is taken under it, but that of the event stream, which
//! nobody holds for longer than a moment: what is announced under the lock is announced in the order in which it
//! happened. The spawner holds it until an exec has succeeded or failed, and /proc is read under it.

pub mod cgroup;
pub mod control;
pub mod evict;
pub mod fail;
mod files;
mod last;
pub mod leak;
pub mod limit;
mod log;
mod order;
pub mod output;
pub mod patient;
pub mod port;
pub mod shared;
pub mod spec;
pub mod stop;
mod stopping;
pub mod strand;
mod table;
pub mod terminal;
pub mod text;

pub use crate::sys::wait::ExitStatus;
pub use leak::Left;
pub use stopping::sweep;
pub use table::{
    Job, JobId, Kind, REAPED_AT_ONCE, State, View, ask_for_patience, kill_children, signal_process,
};

use crate::event::{Bus, Event};
use crate::lock::lock;
use crate::sys::fork::{self, Exec, Join, Step};
use crate::sys::proc::{self, Births, Stat, Usage};
use crate::sys::pty::END_OF_FILE;
use crate::sys::{clock, fd, open, sched, signal, testing, wait};
use cgroup::{Cgroup, Limited, Limits, Refused};
use control::Control;
use fail::Death;
use files::Files;
pub use files::Watching;
use limit::FileId;
use log::Held;
use nix::fcntl::OFlag;
use nix::libc::{SIGCONT, SIGKILL};
use nix::sys::signal::Signal;
use output::{Capture, Pump};
use spec::{Descriptors, Expect, Output, SpawnError, Spec, Stdin};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata, Permissions};
use std::io::{Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError, mpsc};
use std::time::Duration;
use stop::Stage;
use table::Table;
use terminal::Terminal;

/// All jobs of the run.
pub struct Jobs {
    table: Mutex<Table>,
    pub control: Arc<Control>,
    bus: Arc<Bus>,
    run_dir: PathBuf,
    run: String,
    /// Or why there is none.
    cgroup: Result<Cgroup, String>,
    next_id: AtomicUsize,
    files: Files,
    /// Of the commands whose output may not have been read to its end.
    pumps: Mutex<Vec<Pump>>,
    watched: fail::Watched,
    ports: Mutex<KnownPorts>,
    /// Descriptors for the teardown, which must be able to read /proc whatever the script has used up.
    reserve: Mutex<Vec<OwnedFd>>,
    spawner: Mutex<mpsc::Sender<Request>>,
    /// When the first process was started, for the look at the end.
    first: OnceLock<Option<Births>>,
    /// The thread that keeps the logs short; it stands still while no job writes.
    logs: OnceLock<limit::Waker>,
    /// The reaper knows that somebody has ended, and has not looked yet.
    looking: AtomicBool,
}

struct Request {
    exec: Exec,
    job: Arc<Job>,
    reply: mpsc::Sender<Result<i32, SpawnError>>,
}

/// The descriptors of a process that is to be started, and what we keep of them.
struct Ends {
    child: Descriptors,
    stdin: Option<OwnedFd>,
    log: Option<PathBuf>,
    file: Option<FileId>,
    held: Option<File>,
    capture: Option<Capture>,
    terminal: Option<Arc<Terminal>>,
}

/// Where a process's output goes.
struct Opened {
    stdout: OwnedFd,
    stderr: OwnedFd,
    log: Option<PathBuf>,
    /// Which file the log is; none when it is not a regular one.
    file: Option<FileId>,
    /// The same, for reading.
    held: Option<File>,
    capture: Option<Capture>,
}

/// Who listens where, as of a moment ago.
#[derive(Default)]
struct KnownPorts {
    good_until: Duration,
    by_job: HashMap<JobId, Vec<u16>>,
}

/// A job's stdin is not ours to write.
pub struct NoStdin;

/// How writing to a job's stdin has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    All,
    /// Nobody reads it any more.
    Gone,
    /// Nobody has read any of it for [`UNREAD`], or whoever sends was told to give up.
    Stalled,
}

/// How long a job may leave what is sent to it unread: what waits have by default.
pub const UNREAD: Duration = Duration::from_secs(30);

/// How often a writer that cannot go on asks whether it should give up.
const LOOK_UP: Duration = Duration::from_millis(50);

/// A process that is still there.
#[derive(Clone, Debug)]
pub struct Survivor {
    pub pid: i32,
    pub user: String,
    pub state: char,
    pub command: String,
    /// SIGKILL does not get through to it: another user's, or in uninterruptible sleep.
    pub beyond_reach: bool,
}

/// How long the reaper rests after a look that took long.
const LONGEST_BREATH: Duration = Duration::from_millis(5);

/// How a stop was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Instead of the job's own stop signal.
    pub signal: Option<i32>,
    /// Instead of the job's own grace period.
    pub grace: Option<Duration>,
    /// A command in the foreground is interrupted: at first its own first process alone gets the signal (INT when none
    /// is given), or its group when that is a shell.
    pub gently: bool,
}

impl Ask {
    /// Interrupts a command, as Ctrl-C would, or with this signal.
    pub fn interrupt(signal: i32) -> Self {
        Self { signal: Some(signal), gently: true, ..Self::default() }
    }
}

impl Jobs {
    /// Starts the three threads. The caller has blocked SIGCHLD, so that all threads have it blocked.
    pub fn start(
        control: Arc<Control>,
        bus: Arc<Bus>,
        run_dir: PathBuf,
        run: String,
        cgroup: Result<Cgroup, String>,
    ) -> anyhow::Result<Arc<Self>> {
        let (sender, requests) = mpsc::channel();
        let run_dir = table::canonical(&run_dir);
        let jobs = Arc::new(Self {
            table: Mutex::new(Table::new(run.clone())),
            control,
            bus,
            run_dir,
            run,
            cgroup,
            next_id: AtomicUsize::new(1),
            files: Files::default(),
            pumps: Mutex::default(),
            watched: fail::Watched::default(),
            ports: Mutex::default(),
            reserve: Mutex::new(fd::reserve()),
            spawner: Mutex::new(sender),
            first: OnceLock::new(),
            logs: OnceLock::new(),
            looking: AtomicBool::new(false),
        });
        let children = signal::descriptor(&[Signal::SIGCHLD])?;
        let spawner = Arc::clone(&jobs);
        std::thread::Builder::new().name("spawner".into()).spawn(move || spawner.serve(&requests))?;
        let reaper = Arc::clone(&jobs);
        std::thread::Builder::new().name("reaper".into()).spawn(move || reaper.reap(&children))?;
        let logs = Arc::clone(&jobs);
        let (waker, woken) = limit::Waker::new()?;
        std::thread::Builder::new().name("logs".into()).spawn(move || logs.keep_logs_short(&woken))?;
        let _ = jobs.logs.set(waker);
        Ok(jobs)
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
                if job.kind == Kind::Job {
                    let (name, command) = (job.spec.name.clone(), job.spec.command.display());
                    self.bus.emit(Event::JobStarted { job: name, command, pid });
                }
                table.insert(job, pid, uid, clock::now());
            }
            drop(table);
            let _ = reply.send(result);
        }
    }

    /// The reaper's loop: every SIGCHLD means a look at all children, since signals of one kind coalesce.
    ///
    /// It looks at most half of the time. A chain of processes that fork and exit as fast as they can would
    /// else keep it looking without end, and whoever reads /proc holds up whoever exits.
    fn reap(&self, children: &nix::sys::signalfd::SignalFd) {
        loop {
            fd::wait_readable(&[children.as_fd()], None);
            // In this order, so that an end is to be seen at any time, by the signal or by this.
            self.looking.store(true, SeqCst);
            while matches!(children.read_signal(), Ok(Some(_))) {}
            let start = clock::now();
            testing::may_hang("reaper");
            self.look();
            self.looking.store(false, SeqCst);
            std::thread::sleep(clock::now().saturating_sub(start).min(LONGEST_BREATH));
        }
    }

    /// Brings the table up to date, announces what changed, wakes whoever waits.
    fn look(&self) {
        testing::may_panic();
        let mut table = lock(&self.table);
        let changes = table.look(clock::now());
        let commands_only =
            !changes.is_empty() && changes.iter().all(|change| change.job.kind == Kind::Command);
        let commands: Vec<JobId> =
            changes.iter().map(|change| change.job.id).filter(|_| commands_only).collect();
        let ended = |change: &table::Change| matches!(change.state, State::Ended(_));
        let over: Vec<Arc<Job>> =
            changes.iter().filter(|change| ended(change)).map(|change| Arc::clone(&change.job)).collect();
        for change in changes {
            let job = change.job.spec.name.clone();
            match change.state {
                _ if change.job.kind != Kind::Job || change.asked => {}
                State::Ended(status) => {
                    let status = change.job.describe(status);
                    self.bus.emit(Event::JobEnded { job, status, expected: !change.died });
                }
                State::Daemonised => self.bus.emit(Event::JobDaemonised { job, left: change.members }),
                State::Running => {}
            }
        }
        drop(table);
        over.iter().for_each(|job| job.let_go_of_log());
        if commands_only {
            self.control.bell.ring_for(commands);
        } else {
            self.control.bell.ring();
        }
    }

    /// Whether somebody has ended whom nobody has looked at yet.
    fn is_behind(&self) -> bool {
        self.looking.load(SeqCst) || signal::is_pending(Signal::SIGCHLD)
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
    fn catch_up(&self) {
        if self.is_behind() && lock(&self.table).anyone_needs_look() {
            self.look();
        }
    }

    /// The table before a signal is sent to these jobs on the script's behalf: whoever ends for another reason has ended
    /// before it. Those that are on their way out are waited for, though not for long; which still are is the second.
    fn caught_up(&self, ids: &[JobId]) -> (MutexGuard<'_, Table>, Vec<JobId>) {
        const MOMENT: Duration = Duration::from_millis(50);
        const PAUSE: Duration = Duration::from_micros(200);
        let until = clock::now() + MOMENT;
        loop {
            let behind = self.is_behind();
            let table = lock(&self.table);
            let unasked = || ids.iter().filter_map(|id| table.entry(*id)).filter(|entry| !entry.asked);
            let ended = unasked().any(|entry| table.needs_look(entry.job.id, behind));
            let doomed: Vec<JobId> =
                unasked().filter(|entry| entry.is_doomed()).map(|entry| entry.job.id).collect();
            let in_time = clock::now() < until;
            if !in_time || !ended && doomed.is_empty() {
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

    /// Starts a job, or a command whose output is captured.
    ///
    /// # Errors
    /// When it can not be executed; nothing runs then.
    pub fn spawn(&self, spec: Spec, kind: Kind) -> Result<(Arc<Job>, Option<Capture>), SpawnError> {
        let id = self.next_id.fetch_add(1, SeqCst);
        self.launch(id, spec, kind, false)
    }

    /// Starts an ended job again: same handle, name, port and log.
    ///
    /// # Errors
    /// As [`Jobs::spawn`].
    pub fn respawn(&self, job: &Job) -> Result<(), SpawnError> {
        self.launch(job.id, job.spec.clone(), job.kind, true).map(drop)
    }

    fn launch(
        &self,
        id: JobId,
        mut spec: Spec,
        kind: Kind,
        again: bool,
    ) -> Result<(Arc<Job>, Option<Capture>), SpawnError> {
        self.first.get_or_init(proc::births);
        spec.env.insert(leak::MARK.into(), self.run.clone().into());
        spec.env.insert("BGJOBS_JOB".into(), spec.name.clone().into());
        let account = spec.user.as_deref().map(spec::account).transpose()?;
        if let Some(account) = &account {
            let home = account.home.clone().into_os_string();
            for (name, value) in [
                ("USER", account.name.clone().into()),
                ("LOGNAME", account.name.clone().into()),
                ("HOME", home),
            ] {
                // What the script has set on purpose stays.
                if spec.env.get(OsStr::new(name)) == std::env::var_os(name).as_ref() {
                    spec.env.insert(name.into(), value);
                }
            }
        }
        // Before its log is truncated: that may be a file of the user's.
        spec.check()?;
        let limited = self.limited(spec.limits)?;
        let owner = account.as_ref().map(|a| (a.credentials.uid, a.credentials.gid));
        let Ends { child, stdin, log, file, held, capture, terminal } = if spec.pty {
            self.open_terminal(&spec, owner, again)?
        } else {
            let (stdin, writer) = open_stdin(&spec.stdin, owner, &self.run_dir)?;
            let Opened { stdout, stderr, log, file, held, capture } =
                self.open_output(&spec.output, owner, again)?;
            let child = Descriptors { stdin, stdout, stderr };
            Ends { child, stdin: writer, log, file, held, capture, terminal: None }
        };
        let log_from = log.as_deref().filter(|_| again).map_or(0, output::size);
        let exec = spec.prepare(child, account, self.join(limited.as_ref()));
        let (stdin, too_chatty) = (Mutex::new(stdin), AtomicBool::new(false));
        let job = Arc::new(Job {
            id,
            kind,
            spec,
            log,
            file,
            held: Held::new(held),
            too_chatty,
            stdin,
            terminal,
            limited,
        });
        exec.and_then(|exec| self.fork(exec, &job)).inspect_err(|_| {
            // The empty log of what never ran would only mislead; a file of the user's stays.
            if let (Some(log), false) = (job.log.as_ref().filter(|log| log.starts_with(&self.run_dir)), again)
            {
                let _ = std::fs::remove_file(log);
            }
        })?;
        if kind == Kind::Job {
            self.watch_for_failure(&job, log_from);
            self.logs.get().inspect(|thread| thread.wake());
        }
        Ok((job, capture))
    }

    /// A cgroup of its own for a job that has limits.
    fn limited(&self, limits: Limits) -> Result<Option<Limited>, SpawnError> {
        if limits == Limits::default() {
            return Ok(None);
        }
        let limited = match &self.cgroup {
            Ok(cgroup) => cgroup.limited(limits),
            Err(reason) => Err(Refused {
                reason: format!("there is no cgroup for this run: {reason}"),
                delegation: true,
            }),
        };
        limited.map(Some).map_err(SpawnError::Limit)
    }

    fn join(&self, limited: Option<&Limited>) -> Option<Join> {
        let all = || self.cgroup.as_ref().ok().map(Cgroup::join);
        limited.map(Limited::join).or_else(all)
    }

    /// Has the spawner fork it; its pid once the exec has succeeded.
    fn fork(&self, exec: Exec, job: &Arc<Job>) -> Result<i32, SpawnError> {
        let (reply, answer) = mpsc::channel();
        let request = Request { exec, job: Arc::clone(job), reply };
        lock(&self.spawner).send(request).map_err(|_| SpawnError::Stopping)?;
        answer.recv().map_err(|_| SpawnError::Stopping)?
    }

    fn open_output(
        &self,
        output: &Output,
        owner: Option<(u32, u32)>,
        again: bool,
    ) -> Result<Opened, SpawnError> {
        let os = |what| move |e: nix::Error| SpawnError::Os { what, reason: why(e) };
        match output {
            Output::Log(path) => {
                let strangers = |what: &str| {
                    let reason = what.to_owned();
                    SpawnError::Log { path: path.clone(), reason }
                };
                let log_error = |e: std::io::Error| match e.raw_os_error() {
                    Some(nix::libc::ELOOP) => strangers(
                        "a symbolic link on the way belongs to another user, who could point it anywhere",
                    ),
                    Some(nix::libc::EMLINK) => {
                        strangers("it has a second name (a hard link), and may be another file of yours")
                    }
                    // Nothing is wrong with this path.
                    Some(nix::libc::EMFILE | nix::libc::ENFILE | nix::libc::ENOMEM) => {
                        SpawnError::Os { what: "a log", reason: why(e) }
                    }
                    _ => SpawnError::Log { path: path.clone(), reason: why(e) },
                };
                // Non-blocking only for the opening: a FIFO without a reader would hold it up for ever.
                let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NONBLOCK;
                let file = open::with(path, flags, 0o600).map_err(log_error)?;
                let regular = file.metadata().ok().filter(Metadata::is_file);
                if regular.is_some() && !again {
                    file.set_len(0).map_err(log_error)?;
                }
                let ours = path.starts_with(&self.run_dir);
                if ours && regular.is_some() {
                    // Whatever the umask is: it is to be read by its name.
                    file.set_permissions(Permissions::from_mode(0o600)).map_err(log_error)?;
                }
                let owner = owner.filter(|_| ours);
                let held = regular.as_ref().and_then(|_| open::again(&file).ok());
                let stdout = OwnedFd::from(file);
                fd::set_blocking(&stdout).map_err(os("a descriptor"))?;
                if let Some((uid, gid)) = owner {
                    fd::give(&stdout, uid, gid);
                }
                let stderr = fd::duplicate(&stdout).map_err(os("a descriptor"))?;
                // Not where its name leads by now.
                let place = proc::open_path(&stdout).unwrap_or_else(|| table::canonical(path));
                let (log, file) = (Some(place), regular.as_ref().map(FileId::of));
                if let (Some(log), Some(file), false) = (&log, file, ours || again) {
                    output::note(log, file);
                }
                Ok(Opened { stdout, stderr, log, file, held, capture: None })
            }
            Output::Captured => {
                let (out_read, out_write) = fd::pipe().map_err(os("a pipe"))?;
                let (err_read, err_write) = fd::pipe().map_err(os("a pipe"))?;
                if let Some((uid, gid)) = owner {
                    fd::give(&out_write, uid, gid);
                    fd::give(&err_write, uid, gid);
                }
                let capture = Capture::new(out_read, err_read).map_err(os("a pipe"))?;
                let (stdout, stderr) = (out_write, err_write);
                Ok(Opened { stdout, stderr, log: None, file: None, held: None, capture: Some(capture) })
            }
        }
    }

    /// Reads a command's output and passes it on to the event stream as `echo` says.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn pump(&self, capture: Capture, echo: output::Echo) -> std::io::Result<Pump> {
        let pump = capture.pump(echo, Arc::clone(&self.bus))?;
        let mut pumps = lock(&self.pumps);
        pumps.retain(|pump| !pump.is_flushed());
        pumps.push(pump.clone());
        Ok(pump)
    }

    /// Waits at most this long until all that commands have printed has been read and passed on; whether it has. To be
    /// called when they have ended.
    pub fn wait_for_output(&self, patience: Duration) -> bool {
        let until = clock::raw() + patience;
        let pumps = lock(&self.pumps).clone();
        pumps.iter().for_each(Pump::flush);
        pumps.iter().all(|pump| pump.wait_flushed(until.saturating_sub(clock::raw())))
    }

    /// From now on, changes of this file wake whoever waits, until what is returned goes. None: they have to poll.
    pub fn watch(&self, file: &Path) -> Option<Watching> {
        self.files.watch(file, &self.control)
    }

    /// Writes to a job's stdin, after what others are just writing there.
    ///
    /// # Errors
    /// When its stdin is not a pipe, or was closed.
    pub fn send(&self, id: JobId, text: &[u8], give_up: &dyn Fn() -> bool) -> Result<Sent, NoStdin> {
        let job = self.get(id).ok_or(NoStdin)?;
        let Some(stdin) = lock_unless(&job.stdin, give_up) else {
            return Ok(Sent::Stalled);
        };
        let pipe = stdin.as_ref().ok_or(NoStdin)?;
        let mut rest = text;
        let mut read = clock::now();
        while !rest.is_empty() {
            match fd::write_some(pipe.as_fd(), rest, LOOK_UP) {
                fd::Written::Bytes(n) => {
                    rest = &rest[n..];
                    read = clock::now();
                }
                fd::Written::Gone | fd::Written::Failed(_) => return Ok(Sent::Gone),
                fd::Written::Stalled if give_up() || clock::now() >= read + UNREAD => {
                    return Ok(Sent::Stalled);
                }
                fd::Written::Stalled => {}
            }
        }
        Ok(Sent::All)
    }

    /// Closes a job's stdin: it reads end of file. At a terminal that is typed.
    pub fn close_stdin(&self, id: JobId, give_up: &dyn Fn() -> bool) {
        match self.get(id) {
            Some(job) if job.spec.pty => drop(self.send(id, &[END_OF_FILE], give_up)),
            Some(job) => drop(lock_unless(&job.stdin, give_up).and_then(|mut stdin| stdin.take())),
            None => {}
        }
    }

    /// A name that no job has: the one wanted, or with `-2`, `-3`, …
    pub fn unique_name(&self, wanted: &str) -> String {
        lock(&self.table).unique_name(wanted)
    }

    /// Where the log of a job of this name is kept.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.run_dir.join("logs").join(format!("{name}.log"))
    }

    /// Brings the logs that lie where the script wants them into their final form; those in the run directory are
    /// only worth it when they are kept.
    pub fn finish_own_logs(&self) {
        for job in self.list() {
            job.complete_log();
            if let (Some(log), Some(file)) = (job.log_place(), job.file)
                && !log.starts_with(&self.run_dir)
                && let Err(error) = output::finish_own(&log, file)
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

    pub fn get(&self, id: JobId) -> Option<Arc<Job>> {
        lock(&self.table).entry(id).map(|entry| Arc::clone(&entry.job))
    }

    /// A job that died unexpectedly, or has printed what means failure, and of which the script has not been told yet.
    pub fn death(&self) -> Option<(Arc<Job>, Death)> {
        self.look_for_failures();
        self.known_death()
    }

    /// As [`Jobs::death`], for a statement that is not woken by ends: of all that the kernel knows by now.
    pub fn death_by_now(&self) -> Option<(Arc<Job>, Death)> {
        self.catch_up();
        self.death()
    }

    /// As [`Jobs::death`], without a look at what was printed since the last one.
    pub fn known_death(&self) -> Option<(Arc<Job>, Death)> {
        let found = lock(&self.table).untold_death();
        found.inspect(|(job, _)| job.complete_log())
    }

    /// Whether this job's death counts at all: somebody is there to start it again.
    pub fn forgive(&self, id: JobId, on: bool) {
        let mut table = lock(&self.table);
        if let Some(entry) = table.entry_mut(id) {
            entry.forgiven = on;
            table.suspect(id);
        }
    }

    /// Marks a death as told: its error is being thrown.
    pub fn told(&self, id: JobId) {
        if let Some(entry) = lock(&self.table).entry_mut(id) {
            entry.told = true;
        }
    }

    /// Whether there are jobs, every one of them has ended, and nothing that any of them or a command left
    /// behind lives either.
    pub fn all_ended(&self) -> bool {
        let mut table = lock(&self.table);
        table.all_jobs_ended() && !table.anything_lives()
    }

    /// A job has shown that it is ready: what is started from now on may rely on it.
    pub fn ready(&self, id: JobId) {
        lock(&self.table).ready(id);
    }

    /// The script has waited for something: what it has started before counts as ready.
    pub fn waited(&self) {
        lock(&self.table).history.waited();
    }

    /// Why this job counts as dead, if the script has not been told yet; from now on it has.
    pub fn tell_death(&self, id: JobId) -> Option<Death> {
        self.look_for_failures_to_the_end();
        let mut table = lock(&self.table);
        let entry = table.entry_mut(id)?;
        let death = entry.death()?;
        entry.told = true;
        Some(death)
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
            let listeners = port::Listeners::now();
            known.by_job = processes.into_iter().map(|(job, pids)| (job, listeners.of(&pids))).collect();
            let cost = clock::now().saturating_sub(now);
            known.good_until = clock::now() + cost;
        }
        known.by_job.get(&id).cloned().unwrap_or_default()
    }

    /// Whether a process of this run listens on a TCP port.
    pub fn listens(&self, port: u16) -> bool {
        let ours = proc::descendants(nix::unistd::getpid().as_raw());
        let pids: Vec<i32> = ours.iter().map(|stat| stat.pid).collect();
        port::Listeners::now().of(&pids).contains(&port)
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
        table::ask_for_patience();
        // What has started nothing can have left nothing; an empty script is not to pay for the look.
        let Some(since) = self.first.get() else { return Left::default() };
        // Each process that a limit refuses takes a number, too, without being counted: who is new cannot be told.
        let refused = lock(&self.table).all().any(|entry| entry.job.out_of_procs().is_some());
        leak::look(&self.run, since.filter(|_| !refused))
    }

    /// How many jobs were ended by a stop.
    pub fn stopped_count(&self) -> usize {
        let table = lock(&self.table);
        let stopped = |entry: &&table::Entry| {
            entry.job.kind == Kind::Job && entry.asked && entry.stage != Stage::Running
        };
        table.all().filter(stopped).count()
    }

    /// Removes the run's cgroup: for the last of guard and host, after the last process.
    pub fn remove_cgroup(&self, left: bool) {
        if let Ok(cgroup) = &self.cgroup {
            cgroup.remove(left);
        }
    }
}

/// Every living descendant of this process; none where /proc speaks of others (the guard of a run with a PID namespace
/// needs none of its own).
pub fn survivors() -> Vec<Survivor> {
    if !proc::available() {
        return Vec::new();
    }
    let me = nix::unistd::getpid().as_raw();
    let tree = proc::descendants(me);
    // One of another user cannot be seen where /proc hides it (hidepid), but it is still our child.
    let hidden = proc::children(me).into_iter().filter(|pid| {
        !tree.iter().any(|stat| stat.pid == *pid) && matches!(wait::peek(*pid), wait::Peek::Living)
    });
    let hidden: Vec<Survivor> = hidden.map(unseen).collect();
    tree.into_iter().filter(Stat::alive).map(described).chain(hidden).collect()
}

fn unseen(pid: i32) -> Survivor {
    let (user, command) = ("?".to_owned(), "? (/proc hides it)".to_owned());
    Survivor { pid, user, state: '?', command, beyond_reach: table::is_forbidden(pid) }
}

/// A living process, with what names it.
fn survivor(pid: i32) -> Option<Survivor> {
    proc::stat(pid).filter(Stat::alive).map(described)
}

fn described(stat: Stat) -> Survivor {
    Survivor {
        pid: stat.pid,
        user: proc::uid(stat.pid).map_or_else(|| "?".to_owned(), user_name),
        state: stat.state,
        command: proc::command(stat.pid),
        beyond_reach: table::beyond_reach(&stat),
    }
}

/// The name of a user id, or the number.
pub fn user_name(uid: u32) -> String {
    nix::unistd::User::from_uid(uid.into()).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// `exit 3`, `killed by SIGSEGV`.
pub fn describe(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exit {code}"),
        ExitStatus::Signal(number) => format!("killed by SIG{}", signal::name(number)),
    }
}

impl Job {
    /// As [`describe`]; also when the kernel has ended it because of its limit.
    pub fn describe(&self, status: ExitStatus) -> String {
        match self.limited.as_ref().and_then(Limited::out_of_memory) {
            Some(limit) if status == ExitStatus::Signal(SIGKILL) => {
                format!("killed by the kernel: out of memory (max_memory {})", spec::show_size(limit))
            }
            _ => describe(status),
        }
    }

    pub fn out_of_memory(&self) -> bool {
        self.limited.as_ref().and_then(Limited::out_of_memory).is_some()
    }

    /// How often it could not start a process or thread because of its limit, and the limit.
    pub fn out_of_procs(&self) -> Option<(u64, u64)> {
        self.limited.as_ref().and_then(Limited::out_of_procs)
    }
}

/// Locks what another thread may hold for as long as a job does not read; none when `give_up` says so.
fn lock_unless<'a, T>(mutex: &'a Mutex<T>, give_up: &dyn Fn() -> bool) -> Option<MutexGuard<'a, T>> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if give_up() => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_UP),
        }
    }
}

fn open_stdin(
    stdin: &Stdin,
    owner: Option<(u32, u32)>,
    dir: &Path,
) -> Result<(OwnedFd, Option<OwnedFd>), SpawnError> {
    let os = |what, reason: String| SpawnError::Os { what, reason };
    match stdin {
        Stdin::Null => {
            let file = File::open("/dev/null").map_err(|e| os("/dev/null", why(e)))?;
            Ok((file.into(), None))
        }
        Stdin::Pipe => {
            let (read, write) = fd::pipe().map_err(|e| os("a pipe", why(e)))?;
            Ok((read, Some(write)))
        }
        // A nameless file: a pipe would need a thread of ours to fill it.
        Stdin::Text(text) => {
            let mut file = tempfile::tempfile_in(dir).map_err(|e| os("a temporary file", why(e)))?;
            file.write_all(text.as_bytes())
                .and_then(|()| file.rewind())
                // Whatever the umask is: it can be opened again as /dev/stdin.
                .and_then(|()| file.set_permissions(Permissions::from_mode(0o600)))
                .map_err(|e| os("a temporary file", why(e)))?;
            let file = OwnedFd::from(file);
            if let Some((uid, gid)) = owner {
                fd::give(&file, uid, gid);
            }
            Ok((file, None))
        }
    }
}

/// What the failed step of a fork means for the one who asked for it.
fn explain(failure: fork::Failure, spec: &Spec) -> SpawnError {
    use nix::errno::Errno;
    let reason = why(failure.errno);
    let program = spec.command.first_word().map_or_else(|| "/bin/sh".to_owned(), str::to_owned);
    match failure.step {
        Step::Cwd => SpawnError::Cwd { cwd: spec.cwd.clone(), reason },
        Step::User => {
            // EINVAL: the user namespace that we are in has no such id.
            let denied = matches!(failure.errno, Errno::EPERM | Errno::EINVAL);
            SpawnError::User { user: spec.user.clone().unwrap_or_default(), reason, denied }
        }
        Step::Exec if failure.errno == Errno::ENOENT => SpawnError::NotFound { program, path: None },
        Step::Exec => SpawnError::NotExecutable { program, reason },
        Step::Cgroup => {
            let reason = format!("it cannot join a cgroup: {reason}");
            SpawnError::Limit(Refused { reason, delegation: false })
        }
        Step::Terminal => SpawnError::Os { what: "a controlling terminal", reason },
        Step::Fork => SpawnError::Os { what: "a process", reason },
        Step::Setup => SpawnError::Os { what: "a process group", reason },
    }
}

/// What a thread gets at least that runs a part of a script; others get less.
pub const SMALLEST_STACK: usize = 16 << 20;

/// Why the system refused something, with the limit that was met, where it is one.
pub fn why(error: impl Into<std::io::Error>) -> String {
    use nix::libc;
    let error = error.into();
    let limit = match error.raw_os_error() {
        // A thread whose stack finds no room is refused with the same number.
        Some(libc::EAGAIN) if !proc::has_room(SMALLEST_STACK as u64) => {
            "`ulimit -v` leaves no room for another thread"
        }
        Some(libc::EAGAIN) => "the limit of processes is reached (`ulimit -u`, or `pids.max` of a cgroup)",
        Some(libc::EMFILE) => "the limit of open files is reached (`ulimit -n`)",
        Some(libc::ENFILE) => "the machine's limit of open files is reached",
        Some(libc::ENOMEM) => "out of memory (or `ulimit -v` is reached)",
        Some(libc::EFBIG) => "the limit of file sizes is reached (`ulimit -f`)",
        Some(libc::E2BIG) => {
            "arguments and environment are too large (one may have 128 KiB, all together a quarter of `ulimit -s`)"
        }
        Some(libc::ENOSYS) => "this kernel cannot do that (Linux 5.4 or newer is needed)",
        Some(number) => return nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => return error.to_string(),
    };
    limit.to_owned()
}

/// `TERM` for 15.
pub fn signal_name(number: i32) -> String {
    signal::name(number)
}

/// The number of `TERM`, `SIGTERM` or `15`.
pub fn signal_number(name: &str) -> Option<i32> {
    signal::number(name)
}

/// Every name that [`signal_number`] knows.
pub fn signal_names() -> Vec<String> {
    signal::names()
}

/// The run's clock: monotonic, standing still while the run is suspended.
pub fn now() -> Duration {
    clock::now()
}

/// The short name of a process.
pub fn process_name(pid: i32) -> String {
    proc::name(pid).unwrap_or_else(|| "?".to_owned())
}

/// The command line of a process.
pub fn process_command(pid: i32) -> String {
    proc::command(pid)
}
