//! Starting jobs and commands: their descriptors, their cgroup, their fork.

use crate::jobs::all::Jobs;
use crate::jobs::cgroup::{Cgroup, Limited, Limits, Refused};
use crate::jobs::job::{Job, JobId, Kind};
use crate::jobs::log::finish;
use crate::jobs::log::held::{FileId, Held};
use crate::jobs::log::reader;
use crate::jobs::output::pump::Capture;
use crate::jobs::output::terminal::{COLUMNS, ROWS, Terminal, start_thread, type_in};
use crate::jobs::refused::why;
use crate::jobs::spec::{self, Descriptors, Output, SpawnError, Spec, Stdin};
use crate::jobs::table;
use crate::lock::lock;
use crate::sys::fork::{self, Join, Step};
use crate::sys::{fd, open, proc, pty, tty};
use nix::fcntl::OFlag;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{ErrorKind, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

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
    stdout: Arc<OwnedFd>,
    stderr: Arc<OwnedFd>,
    log: Option<PathBuf>,
    /// Which file the log is; none when it is not a regular one.
    file: Option<FileId>,
    /// The same, for reading.
    held: Option<File>,
    capture: Option<Capture>,
}

impl Jobs {
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

    pub(super) fn launch(
        &self,
        id: JobId,
        mut spec: Spec,
        kind: Kind,
        again: bool,
    ) -> Result<(Arc<Job>, Option<Capture>), SpawnError> {
        self.first.get_or_init(proc::births);
        spec.env.insert(spec::MARK, self.run.clone());
        spec.env.insert("BGJOBS_JOB", spec.name.clone());
        let account = spec.user.as_deref().map(spec::account).transpose()?;
        let is_us = |user: &spec::Account| user.credentials.uid == nix::unistd::geteuid().as_raw();
        let is_own = account.as_ref().is_none_or(is_us);
        self.ctl.tell(&self.run_dir, &mut spec, is_own);
        if let Some(account) = &account {
            let home: OsString = account.home.clone().into_os_string();
            for (name, value) in [
                ("USER", account.name.clone().into()),
                ("LOGNAME", account.name.clone().into()),
                ("HOME", home),
            ] {
                // What the script has set on purpose stays.
                if spec.env.get(OsStr::new(name)) == std::env::var_os(name).as_ref() {
                    spec.env.insert(name, value);
                }
            }
        }
        // Before its log is truncated: that may be a file of the user's.
        let passed = if spec.output == Output::Captured { 0 } else { spec.check()? };
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
        let log_from = log.as_deref().filter(|_| again).map_or(0, reader::size);
        let again_at = if again { self.again_at(id, file, log_from) } else { Arc::default() };
        let exec = spec.prepare(passed, child, account, self.join(limited.as_ref()));
        let (stdin, log_overflowed) = (Mutex::new(stdin), AtomicBool::new(false));
        let job = Arc::new(Job {
            id,
            kind,
            spec,
            log,
            log_from,
            again_at,
            file,
            held: Held::new(held),
            log_overflowed,
            stdin,
            terminal,
            limited,
        });
        let fork = |exec| {
            if kind == Kind::Job {
                self.logs()?;
            }
            self.fork(exec, &job)
        };
        let process = exec.and_then(fork).inspect_err(|_| {
            // The empty log of what never ran would only mislead; a file of the user's stays.
            if let (Some(log), false) = (job.log.as_ref().filter(|log| log.starts_with(&self.run_dir)), again)
            {
                let _ = std::fs::remove_file(log);
            }
        })?;
        if kind == Kind::Job && !again && job.spec.restart.is_some() {
            self.start_restarting()?;
        }
        if kind == Kind::Job {
            self.start_telling_usage();
            self.watch_for_failure(&job, log_from);
            self.follower.follow(&job, log_from);
            self.logs()?.wake();
        }
        Ok((job, capture.map(|capture| capture.of_process(process))))
    }

    /// Where in its log a job was started again, now at `log_from` as well: in a log that is still the same file. Whoever
    /// has the job from before knows of it, too.
    fn again_at(&self, id: JobId, file: Option<FileId>, log_from: u64) -> Arc<Mutex<Vec<u64>>> {
        const MOST: usize = 20;
        let before = lock(&self.table).entry(id).map(|entry| Arc::clone(&entry.job));
        let all = match before.filter(|before| before.file == file) {
            Some(before) => Arc::clone(&before.again_at),
            None => Arc::default(),
        };
        let mut offsets = lock(&all);
        offsets.push(log_from);
        let oldest = offsets.len().saturating_sub(MOST);
        offsets.drain(..oldest);
        drop(offsets);
        all
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
                let ours = path.starts_with(&self.run_dir);
                let file = match open::with(path, flags, 0o600) {
                    Err(error) if ours && error.kind() == ErrorKind::NotFound => {
                        open::private_directory(&self.logs_dir()).map_err(log_error)?;
                        open::with(path, flags, 0o600)
                    }
                    opened => opened,
                };
                let file = file.map_err(log_error)?;
                let regular = file.metadata().ok().filter(Metadata::is_file);
                // Only what is there: ext4 writes a file that was truncated to the disk when it is closed, lest a program
                // lose what it replaces so (`auto_da_alloc`), and whoever has written the log waits for that.
                if regular.as_ref().is_some_and(|meta| meta.len() > 0) && !again {
                    file.set_len(0).map_err(log_error)?;
                }
                if ours && regular.as_ref().is_some_and(|meta| meta.mode() & 0o777 != 0o600) {
                    // Whatever the umask is: it is to be read by its name.
                    file.set_permissions(Permissions::from_mode(0o600)).map_err(log_error)?;
                }
                let owner = owner.filter(|_| ours);
                let held = regular.as_ref().and_then(|_| open::reopen(&file).ok());
                let held = held.map(|held| fd::out_of_the_way(held.into()).into());
                let stdout = OwnedFd::from(file);
                fd::set_blocking(&stdout).map_err(os("a descriptor"))?;
                if let Some((uid, gid)) = owner {
                    fd::give(&stdout, uid, gid);
                }
                // Not where its name leads by now.
                let place = proc::open_path(&stdout).unwrap_or_else(|| table::canonical(path));
                let (log, file) = (Some(place), regular.as_ref().map(FileId::of));
                let stdout = Arc::new(stdout);
                let stderr = Arc::clone(&stdout);
                if let (Some(log), Some(file), false) = (&log, file, ours || again) {
                    finish::note(log, file);
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
                let (stdout, stderr) = (Arc::new(out_write), Arc::new(err_write));
                Ok(Opened { stdout, stderr, log: None, file: None, held: None, capture: Some(capture) })
            }
        }
    }

    /// A terminal for what is to be started.
    fn open_terminal(&self, spec: &Spec, owner: Option<(u32, u32)>, again: bool) -> Result<Ends, SpawnError> {
        let os = |what| move |e: nix::Error| SpawnError::Os { what, reason: why(e) };
        let terminal = os("a terminal");
        let is_seen = spec.stdin == Stdin::Keyboard;
        let window = if is_seen { tty::window(std::io::stdin().as_fd()) } else { None };
        let window = window.unwrap_or((ROWS, COLUMNS));
        let pty::Pair { master, slave } = pty::open(window, is_seen).map_err(terminal)?;
        if let Some((uid, gid)) = owner {
            fd::give(&slave, uid, gid);
        }
        let master = fd::out_of_the_way(master);
        let ours = || fd::duplicate(&master).map(fd::out_of_the_way).map_err(terminal);
        let slave = Arc::new(slave);
        let theirs = || Arc::clone(&slave);
        let child = Descriptors { stdin: theirs(), stdout: theirs(), stderr: theirs() };
        let mut ends =
            Ends { child, stdin: None, log: None, file: None, held: None, capture: None, terminal: None };
        if let Output::Captured = spec.output {
            ends.capture = Some(Capture::of_terminal(ours()?));
        } else {
            let opened = self.open_output(&spec.output, owner, again)?;
            (ends.log, ends.file, ends.held) = (opened.log, opened.file, opened.held);
            let terminal = Arc::new(Terminal { master: ours()?, log: Mutex::new(opened.stdout) });
            ends.terminal = Some(Arc::clone(&terminal));
            // Until the last process has let go of it; our own `slave` keeps it open up to the fork.
            start_thread("terminal", move || {
                let mut open = true;
                while open {
                    fd::wait_readable(&[terminal.master.as_fd()], None);
                    open = terminal.copy();
                }
            })?;
        }
        if let Stdin::Text(text) = &spec.stdin {
            let (keyboard, control) = (ours()?, Arc::clone(&self.control));
            let text = text.clone();
            start_thread("typist", move || type_in(&keyboard, &text, &control))?;
        }
        ends.stdin = Some(master);
        Ok(ends)
    }
}

fn open_stdin(
    stdin: &Stdin,
    owner: Option<(u32, u32)>,
    dir: &Path,
) -> Result<(Arc<OwnedFd>, Option<OwnedFd>), SpawnError> {
    let os = |what, reason: String| SpawnError::Os { what, reason };
    match stdin {
        // Without a terminal there is none to hand on.
        Stdin::Null | Stdin::Keyboard => {
            let null = fd::null().map_err(|e| os("/dev/null", why(e)))?;
            Ok((null, None))
        }
        Stdin::Pipe => {
            let (read, write) = fd::pipe().map_err(|e| os("a pipe", why(e)))?;
            Ok((Arc::new(read), Some(fd::out_of_the_way(write))))
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
            Ok((Arc::new(file), None))
        }
    }
}

/// What the failed step of a fork means for the one who asked for it.
pub(super) fn explain(failure: fork::Failure, spec: &Spec) -> SpawnError {
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
