//! The run's cgroup (version 2), where one can be had: no fork, session or environment gets a process out of it, and
//! one write ends all that is in it.
//!
//! ```text
//! OWN                     the cgroup that bgjobs was started in; guard and host stay there
//! └── bgjobs-XXXXXX       the run's, named like its directory; has no process itself
//!     ├── jobs            every job and command joins this one before its exec
//!     ├── job-1 …         a job with limits of its own
//!     └── bgjobs-YYYYYY   the run of a bgjobs that is a job here: it ends with ours
//! ```
//!
//! Guard and host hold one lock on the run's cgroup, through one open file: it is free only when both are gone.
//! The guard makes it, the last of the two removes it. Where none can be had the run does without, except that a limit
//! that was asked for is an error then. Processes of others are never moved; our own two only when they are alone in
//! OWN, since controllers cannot be enabled in a cgroup that has processes (cgroups(7), "no internal processes").

use crate::lock::lock;
use crate::sys::fork::Join;
use crate::sys::{clock, fd, kernel, pidfd, testing};
use nix::errno::Errno;
use nix::libc::SIGKILL;
use nix::sys::statfs::CGROUP2_SUPER_MAGIC;
use nix::unistd::{AccessFlags, access};
use std::cell::OnceCell;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// What the names of the runs' cgroups begin with, as those of their directories.
const PREFIX: &str = "bgjobs-";
/// The one below a run's that all join.
const JOBS: &str = "jobs";
/// Its processes.
const PROCS: &str = "cgroup.procs";
/// Below OWN: where guard and host go when controllers have to be enabled in OWN.
const SELF: &str = ".self";
/// Between the making of a cgroup and its lock there is a moment in which nobody may take it for a dead run's.
const YOUNG: Duration = Duration::from_secs(2);
/// A process that has been reaped may still be counted for a moment: rmdir answers EBUSY.
const LET_GO: Duration = Duration::from_millis(500);
/// Before `cgroup.kill`: how long the frozen are shot at before the ordinary sweep has to do.
const FROZEN: Duration = Duration::from_millis(200);

/// One cgroup: where it is, and what /proc/PID/cgroup calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dir {
    pub path: PathBuf,
    pub name: String,
}

/// Where a run could have its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The parent of the runs' cgroups.
    pub dir: Dir,
    /// Bgjobs itself is in `dir`, perhaps among others.
    inside: bool,
}

/// Finds the place, and says in one line why there is none.
pub fn probe() -> Result<Place, String> {
    if !testing::whole() || testing::off("cgroup") {
        return Err("switched off by a test".to_owned());
    }
    let read = |path: &str| kernel::text(path).map_err(|e| format!("{path}: {e}"));
    let own = own_dir(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)?;
    let place = place_for(own);
    let shown = place.dir.path.display();
    // Both are needed: to make one there, and to move processes between it and ours.
    for (path, right) in [
        (place.dir.path.clone(), AccessFlags::W_OK | AccessFlags::X_OK),
        (place.dir.path.join(PROCS), AccessFlags::W_OK),
    ] {
        access(&path, right).map_err(|errno| match errno {
            Errno::EROFS => format!("{shown} is read-only"),
            Errno::EACCES | Errno::EPERM => format!("{shown} is not delegated to this user"),
            other => format!("{shown}: {}", other.desc()),
        })?;
    }
    if kernel::text(place.dir.path.join("cgroup.type")).is_ok_and(|kind| kind.contains("threaded")) {
        return Err(format!("{shown} is a threaded cgroup"));
    }
    Ok(place)
}

/// Our own cgroup from the `0::` line of /proc/self/cgroup and the cgroup2 mount of /proc/self/mountinfo, which in a
/// container may show only a part of the tree.
fn own_dir(cgroup: &str, mountinfo: &str) -> Result<Dir, String> {
    let name = cgroup.lines().find_map(|line| line.strip_prefix("0::"));
    let name = name.ok_or_else(|| "this kernel has no cgroup v2".to_owned())?;
    let mut mounted = false;
    for mount in mountinfo.lines().filter_map(Mount::parse).filter(|mount| mount.kind == "cgroup2") {
        mounted = true;
        if let Ok(below) = Path::new(name).strip_prefix(&mount.root)
            && !below.components().any(|part| part.as_os_str() == "..")
        {
            let top = Path::new(&mount.point);
            let path = if below.as_os_str().is_empty() { top.to_owned() } else { top.join(below) };
            return Ok(Dir { path, name: name.to_owned() });
        }
    }
    Err(if mounted {
        format!("our own cgroup ({name}) is not among those mounted here")
    } else {
        "cgroup v2 is not mounted".to_owned()
    })
}

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
struct Mount {
    root: String,
    point: String,
    kind: String,
    options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let (left, mut right) = (left.split(' ').collect::<Vec<_>>(), right.split(' '));
        // Space, tab, newline and backslash are written in octal.
        let plain = |text: &str| {
            let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
            codes.iter().fold(text.to_owned(), |text, (code, c)| text.replace(code, c))
        };
        Some(Self {
            root: plain(left.get(3)?),
            point: plain(left.get(4)?),
            kind: right.next()?.to_owned(),
            options: right.nth(1)?.to_owned(),
        })
    }
}

/// Beside the jobs of an outer run, not among them: then controllers can be enabled for the inner run, too.
fn place_for(own: Dir) -> Place {
    let parent = own.path.parent().filter(|parent| {
        let outer = parent.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        outer && own.path.ends_with(JOBS)
    });
    match parent {
        Some(parent) => {
            let name = own.name.trim_end_matches(JOBS).trim_end_matches('/').to_owned();
            Place { dir: Dir { path: parent.to_owned(), name }, inside: false }
        }
        None => Place { dir: own, inside: true },
    }
}

impl Dir {
    fn child(&self, name: &str) -> Self {
        Self { path: self.path.join(name), name: format!("{}/{name}", self.name.trim_end_matches('/')) }
    }

    /// SIGKILL to everything in it and below, new-born processes included.
    pub fn kill(&self) {
        let all_at_once = !testing::off("cgroup.kill") && write(&self.path.join("cgroup.kill"), "1").is_ok();
        if !all_at_once {
            self.kill_frozen();
        }
    }

    /// The same before Linux 5.14. What is frozen cannot fork, but dies of SIGKILL.
    fn kill_frozen(&self) {
        let freeze = self.path.join("cgroup.freeze");
        let _ = write(&freeze, "1");
        let until = clock::now() + FROZEN;
        loop {
            let processes = self.processes();
            if processes.is_empty() || clock::now() >= until {
                break;
            }
            processes.into_iter().for_each(|pid| self.shoot(pid));
            std::thread::sleep(Duration::from_micros(200));
        }
        let _ = write(&freeze, "0");
    }

    /// Kills one process, if this number still is one of this cgroup. Of 0, a process of a PID namespace that we cannot
    /// see, no pidfd is to be had.
    fn shoot(&self, pid: i32) {
        let Ok(handle) = pidfd::open(pid) else { return };
        let member = kernel::text(format!("/proc/{pid}/cgroup")).is_ok_and(|text| {
            let name = text.lines().find_map(|line| line.strip_prefix("0::"));
            name.is_some_and(|name| Path::new(name).starts_with(&self.name))
        });
        if member {
            let _ = pidfd::send(&handle, SIGKILL);
        }
    }

    /// The processes in it and below.
    pub fn processes(&self) -> Vec<i32> {
        let mut found = members(&self.path);
        for child in below(&self.path) {
            found.extend(Self { path: child, name: String::new() }.processes());
        }
        found
    }

    /// The same without those of runs within this one, which have cgroups of their own.
    pub fn own_processes(&self) -> Vec<i32> {
        let mut found = members(&self.path);
        for child in self.own_below() {
            found.extend(Self { path: child, name: String::new() }.processes());
        }
        found
    }

    /// Whether anything lives in it or below.
    pub fn is_populated(&self) -> bool {
        count(&self.path.join("cgroup.events"), "populated") > 0
    }

    /// SIGKILL to these, where the kernel can (Linux 5.14), but for those in no cgroup below.
    pub fn kill_own(&self) {
        for child in self.own_below() {
            let _ = write(&child.join("cgroup.kill"), "1");
        }
    }

    fn own_below(&self) -> impl Iterator<Item = PathBuf> {
        let nested =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        below(&self.path).into_iter().filter(move |child| !nested(child))
    }

    /// Removes it and all below; what still has processes stays. Waits until the kernel lets go of those that have
    /// just ended.
    pub fn remove(&self, bound: Duration) {
        let until = clock::now() + bound;
        let events = File::open(self.path.join("cgroup.events"));
        while remove_tree(&self.path).is_err_and(|e| e.raw_os_error() == Some(nix::libc::EBUSY)) {
            let left = until.saturating_sub(clock::now());
            if left.is_zero() {
                return;
            }
            // When it becomes empty, that wakes us; reading says which change is known already. What else may hold
            // it is not told, hence the short time.
            if let Ok(events) = &events {
                let _ = events.read_at(&mut [0; 64], 0);
                fd::wait_exceptional(events.as_fd(), left.min(Duration::from_millis(2)));
            }
        }
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // Not `fs::write`, which would create a file where there is none.
    use std::io::Write;
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// The processes of one cgroup, without those below. 0 stands for one that our PID namespace does not show.
fn members(path: &Path) -> Vec<i32> {
    let text = kernel::text(path.join(PROCS)).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn below(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect()
}

fn remove_tree(path: &Path) -> io::Result<()> {
    for child in below(path) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether a file of a cgroup (`cgroup.controllers`, `cgroup.subtree_control`) names this controller.
fn names(file: &Path, controller: &str) -> bool {
    kernel::text(file).is_ok_and(|text| text.split_ascii_whitespace().any(|word| word == controller))
}

/// The value of a key in a file such as `memory.events`.
fn count(file: &Path, key: &str) -> u64 {
    let text = kernel::text(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or(0)
}

/// The cgroup that a run has recorded as its own; none when this is not the cgroup of a dead run of this name and
/// user, whatever the record says.
pub fn of_dead_run(path: &Path, run: &str, uid: u32) -> Option<Dir> {
    let is_named = path.is_absolute() && path.file_name().is_some_and(|name| name == run);
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW)
        .open(path)
        .ok()?;
    let is_cgroup =
        nix::sys::statfs::fstatfs(&file).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC);
    let is_ours = file.metadata().is_ok_and(|meta| meta.uid() == uid);
    // Shared: others who ask at this moment do not make it look alive.
    let is_dead = file.try_lock_shared().is_ok();
    (is_named && is_cgroup && is_ours && is_dead).then(|| Dir { path: path.to_owned(), name: String::new() })
}

/// The cgroups of runs that have lost both their processes: nobody holds the lock. What [`Cgroup::move_aside`] has made
/// is never locked, so that it is full says nothing.
fn dead_in(place: &Place) -> Vec<Dir> {
    let old = |path: &Path| {
        let made = fs::metadata(path).and_then(|meta| meta.modified());
        made.is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > YOUNG))
    };
    let dead = |path: &Path| File::open(path).is_ok_and(|file| file.try_lock_shared().is_ok());
    below(&place.dir.path)
        .into_iter()
        .filter_map(|path| Some(place.dir.child(path.file_name()?.to_str()?)))
        .filter(|dir| dir.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)))
        .filter(|dir| old(&dir.path) && dead(&dir.path))
        .collect()
}

/// What a job may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In bytes.
    pub memory: Option<u64>,
    /// Processes and threads together.
    pub procs: Option<u64>,
}

/// Why a limit cannot be enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub reason: String,
    /// A cgroup of our own, delegated to us, would do.
    pub delegation: bool,
}

/// The run's cgroup.
pub struct Cgroup {
    place: Place,
    dir: Dir,
    jobs: Arc<OwnedFd>,
    /// Kept for as long as the process lives.
    _lock: File,
    /// Our own processes in OWN, besides the one that asks.
    ours: Vec<i32>,
    next: AtomicUsize,
    enabling: Mutex<()>,
}

/// Makes the cgroup of the run of this name. `ours`: the processes of bgjobs so far.
///
/// # Errors
/// In one line why there can be none.
pub fn create(name: &str, ours: Vec<i32>) -> Result<Cgroup, String> {
    let place = probe()?;
    let dir = place.dir.child(name);
    let make = || {
        fs::create_dir(&dir.path)?;
        let lock = File::open(&dir.path)?;
        lock.try_lock()?;
        let jobs = dir.child(JOBS).path;
        fs::create_dir(&jobs)?;
        Ok((lock, File::open(&jobs)?))
    };
    match make() {
        Ok((lock, jobs)) => {
            let jobs = Arc::new(OwnedFd::from(jobs));
            let (next, enabling) = (AtomicUsize::new(1), Mutex::default());
            Ok(Cgroup { place, dir, jobs, _lock: lock, ours, next, enabling })
        }
        Err(error) => {
            let error: io::Error = error;
            dir.remove(Duration::ZERO);
            Err(format!("cannot make {}: {error}", dir.path.display()))
        }
    }
}

impl Cgroup {
    pub fn path(&self) -> &Path {
        &self.dir.path
    }

    /// For a job without limits. One that cannot join runs all the same.
    pub fn join(&self) -> Join {
        Join { cgroup: Arc::clone(&self.jobs), must: false }
    }

    /// Who is in `jobs`, to be asked again and again.
    pub fn members(&self) -> Members {
        Members { path: self.dir.child(JOBS).path.join(PROCS), file: OnceCell::new() }
    }

    /// SIGKILL to every job and command, and to all that they have started.
    pub fn kill(&self) {
        self.dir.kill();
    }

    /// Removes what runs beside this one have left that lost both their processes, as far as nothing lives in it.
    pub fn remove_dead_ones(&self) {
        for dead in dead_in(&self.place).into_iter().filter(|dir| dir.processes().is_empty()) {
            dead.remove(Duration::ZERO);
        }
    }

    /// Removes it, when all is over. `left`: whether processes are left that nothing could end.
    pub fn remove(&self, left: bool) {
        if !self.remove_empty() {
            self.dir.remove(if left { Duration::ZERO } else { LET_GO });
            self.move_back();
        }
    }

    /// Removes it if nothing lives in it and nothing else is in the way; whether it is gone.
    pub fn remove_empty(&self) -> bool {
        // Most runs have no more than these two.
        let _ = fs::remove_dir(self.dir.child(JOBS).path);
        let gone = fs::remove_dir(&self.dir.path).is_ok();
        if gone {
            self.move_back();
        }
        gone
    }

    /// A cgroup for one job.
    ///
    /// # Errors
    /// When the limits cannot be enforced.
    pub fn limited(&self, limits: Limits) -> Result<Limited, Refused> {
        if limits.memory.is_some() {
            self.enable("memory")?;
        }
        if limits.procs.is_some() {
            self.enable("pids")?;
        }
        let dir = self.dir.child(&format!("job-{}", self.next.fetch_add(1, SeqCst)));
        let make = || {
            fs::create_dir(&dir.path)?;
            if let Some(bytes) = limits.memory {
                write(&dir.path.join("memory.max"), &bytes.to_string())?;
                // Without swap, or the limit would only make it slow; absent where the kernel accounts for none. All
                // its processes go together: half a job helps nobody.
                let _ = write(&dir.path.join("memory.swap.max"), "0");
                let _ = write(&dir.path.join("memory.oom.group"), "1");
            }
            if let Some(most) = limits.procs {
                write(&dir.path.join("pids.max"), &most.to_string())?;
            }
            File::open(&dir.path)
        };
        match make() {
            Ok(file) => Ok(Limited { dir, cgroup: Arc::new(file.into()), limits }),
            Err(error) => {
                let _ = fs::remove_dir(&dir.path);
                Err(Refused { reason: format!("{}: {error}", dir.path.display()), delegation: false })
            }
        }
    }

    /// Enables a controller for the children of the run's cgroup.
    fn enable(&self, controller: &str) -> Result<(), Refused> {
        let _one_at_a_time = lock(&self.enabling);
        if !names(&self.dir.path.join("cgroup.controllers"), controller) {
            self.enable_above(controller)?;
        }
        write(&self.dir.path.join("cgroup.subtree_control"), &format!("+{controller}")).map_err(|error| {
            Refused { reason: cannot_enable(controller, &self.dir.path, &error), delegation: false }
        })
    }

    /// Enables it for the run's cgroup itself.
    fn enable_above(&self, controller: &str) -> Result<(), Refused> {
        let dir = &self.place.dir.path;
        if !names(&dir.join("cgroup.controllers"), controller) {
            return Err(missing(controller, dir));
        }
        let enable = || write(&dir.join("cgroup.subtree_control"), &format!("+{controller}"));
        match enable() {
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => {
                if self.place.inside && self.move_aside() && enable().is_ok() {
                    return Ok(());
                }
                self.move_back();
                let reason = format!(
                    "the controller `{controller}` cannot be enabled in {}, which other processes are in",
                    dir.display()
                );
                Err(Refused { reason, delegation: true })
            }
            result => result.map_err(|error| Refused {
                reason: cannot_enable(controller, dir, &error),
                delegation: true,
            }),
        }
    }

    /// The cgroup that our own processes move to when they are alone in the one they were started in.
    fn aside(&self) -> PathBuf {
        let mut name = self.dir.path.file_name().unwrap_or_default().to_os_string();
        name.push(SELF);
        self.place.dir.path.join(name)
    }

    fn our_processes(&self) -> Vec<i32> {
        let me = std::process::id().cast_signed();
        self.ours.iter().copied().chain([me]).collect()
    }

    fn move_aside(&self) -> bool {
        let (ours, inside) = (self.our_processes(), members(&self.place.dir.path));
        let alone = inside.iter().all(|pid| ours.contains(pid));
        let procs = self.aside().join(PROCS);
        alone
            && fs::create_dir(self.aside()).is_ok()
            && inside.iter().all(|pid| write(&procs, &pid.to_string()).is_ok())
    }

    /// Undoes [`Self::move_aside`], by whichever process. The controllers go first, for the same reason.
    fn move_back(&self) {
        let aside = self.aside();
        if !aside.exists() {
            return;
        }
        let dir = &self.place.dir.path;
        for controller in ["memory", "pids"] {
            let _ = write(&dir.join("cgroup.subtree_control"), &format!("-{controller}"));
        }
        for pid in members(&aside) {
            let _ = write(&dir.join(PROCS), &pid.to_string());
        }
        let _ = fs::remove_dir(aside);
    }
}

fn cannot_enable(controller: &str, dir: &Path, error: &io::Error) -> String {
    format!("the controller `{controller}` cannot be enabled in {}: {error}", dir.display())
}

/// The processes of one cgroup, as one list that the kernel keeps, whoever has started whom.
pub struct Members {
    path: PathBuf,
    /// Opened when it is first read, and kept.
    file: OnceCell<File>,
}

impl Members {
    /// Those that live: one that has ended is no member any more. None when that cannot be read.
    pub fn now(&self) -> Option<Vec<i32>> {
        if self.file.get().is_none() {
            let _ = self.file.set(File::open(&self.path).ok()?);
        }
        let mut bytes = vec![0; 4096];
        let mut filled = 0;
        loop {
            let count = self.file.get()?.read_at(&mut bytes[filled..], u64::try_from(filled).ok()?).ok()?;
            if count == 0 {
                break;
            }
            filled += count;
            if filled == bytes.len() {
                bytes.resize(filled * 2, 0);
            }
        }
        let text = std::str::from_utf8(&bytes[..filled]).ok()?;
        text.lines().map(|line| line.parse().ok()).collect()
    }
}

/// Why a cgroup does not have this controller.
fn missing(controller: &str, dir: &Path) -> Refused {
    let mounts = kernel::text("/proc/self/mountinfo").unwrap_or_default();
    let old = mounts
        .lines()
        .filter_map(Mount::parse)
        .find(|mount| mount.kind == "cgroup" && mount.options.split(',').any(|option| option == controller));
    if let Some(old) = old {
        let reason = format!(
            "the controller `{controller}` is in use by cgroup v1 ({}): version 2 has it when the machine is booted with \
             `cgroup_no_v1=all`",
            old.point
        );
        return Refused { reason, delegation: false };
    }
    // Only the root has no type.
    if !dir.join("cgroup.type").exists() {
        let reason = format!("this kernel has no controller `{controller}` for cgroup v2");
        return Refused { reason, delegation: false };
    }
    let reason = format!("the controller `{controller}` is not delegated to {}", dir.display());
    Refused { reason, delegation: true }
}

/// The cgroup of one job. Removed with it, or else with the run's.
pub struct Limited {
    dir: Dir,
    cgroup: Arc<OwnedFd>,
    limits: Limits,
}

impl Limited {
    /// It must be in there, or its limits would not hold.
    pub fn join(&self) -> Join {
        Join { cgroup: Arc::clone(&self.cgroup), must: true }
    }

    pub fn kill(&self) {
        self.dir.kill();
    }

    /// The limit that the kernel has killed it for, in bytes.
    pub fn out_of_memory(&self) -> Option<u64> {
        self.limits.memory.filter(|_| count(&self.dir.path.join("memory.events"), "oom_kill") > 0)
    }

    /// How often it could not start a process or thread, and the limit.
    pub fn out_of_procs(&self) -> Option<(u64, u64)> {
        let times = count(&self.dir.path.join("pids.events"), "max");
        self.limits.procs.filter(|_| times > 0).map(|most| (times, most))
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.dir.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate";

    fn own(cgroup: &str, mountinfo: &str) -> Result<String, String> {
        own_dir(cgroup, mountinfo).map(|dir| dir.path.display().to_string())
    }

    #[test]
    fn our_own_cgroup_is_found_wherever_version_2_is_mounted() {
        assert_eq!(own("4:memory:/x\n0::/\n", HYBRID).as_deref(), Ok("/sys/fs/cgroup/unified"));
        assert_eq!(own("0::/a/b.scope\n", HYBRID).as_deref(), Ok("/sys/fs/cgroup/unified/a/b.scope"));
        // A container that sees only its own part of the tree.
        let part = "9 1 0:5 /docker/4f /sys/fs/cg\\040roup rw - cgroup2 cgroup rw";
        assert_eq!(own("0::/docker/4f/x\n", part).as_deref(), Ok("/sys/fs/cg roup/x"));
        assert!(own("0::/docker/77\n", part).is_err());
        assert!(own("0::/../77\n", HYBRID).is_err());
    }

    #[test]
    fn a_machine_without_version_2_is_told_so() {
        assert_eq!(own("4:memory:/\n", HYBRID), Err("this kernel has no cgroup v2".to_owned()));
        let none = HYBRID.lines().take(2).collect::<Vec<_>>().join("\n");
        assert_eq!(own("0::/\n", &none), Err("cgroup v2 is not mounted".to_owned()));
        for garbage in ["", "1 2 3", "a b c d e f - cgroup2", "- cgroup2 x y"] {
            assert!(own("0::/\n", garbage).is_err(), "{garbage:?}");
        }
    }

    #[test]
    fn an_inner_run_lies_beside_the_jobs_of_the_outer_one() {
        let dir = |path: &str| Dir { path: Path::new("/m").join(path), name: format!("/{path}") };
        assert_eq!(place_for(dir("x/bgjobs-1/jobs")), Place { dir: dir("x/bgjobs-1"), inside: false });
        for own in ["x/bgjobs-1/job-2", "x/jobs", "x"] {
            assert_eq!(place_for(dir(own)), Place { dir: dir(own), inside: true }, "{own}");
        }
    }

    #[test]
    fn events_are_counted_by_their_whole_name() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "oom 3\noom_kill 2\noom_group_kill 1\n").expect("written");
        assert_eq!(count(file.path(), "oom_kill"), 2);
        assert_eq!(count(file.path(), "max"), 0);
    }
}
