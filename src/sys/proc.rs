//! What /proc says of processes. Every answer is a snapshot: the process may be gone, or another one, by
//! the time it is read, so whoever signals a pid from here checks its start time first.

use super::{clock, memory, wait};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One line of /proc/PID/stat (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub ppid: i32,
    pub pgrp: i32,
    pub session: i32,
    /// Its controlling terminal; 0 when it has none.
    pub terminal: i32,
    pub state: char,
    /// It is on its way out (PF_EXITING): whatever it still waits for, SIGKILL has reached it.
    pub exiting: bool,
    pub threads: i64,
    /// Clock ticks after boot: with the pid it names one process for ever.
    pub start: u64,
}

impl Stat {
    /// Whether any thread still runs. A process whose leading thread has exited while others live reads as
    /// state Z with more than one thread.
    pub fn alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }
}

impl Stat {
    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        clock::since_boot().saturating_sub(ticks(self.start))
    }
}

/// A number of clock ticks as time.
fn ticks(number: u64) -> Duration {
    // SAFETY: sysconf only asks.
    let per_second = unsafe { nix::libc::sysconf(nix::libc::_SC_CLK_TCK) };
    let per_second = u64::try_from(per_second).unwrap_or(100).max(1);
    Duration::from_millis(number.saturating_mul(1000) / per_second)
}

/// What processes use of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory that is resident, in bytes; what processes share counts in each.
    pub rss: u64,
    /// Processor time, user and system, children that were waited for included; in clock ticks, of which there are
    /// usually a hundred a second.
    pub cpu: Duration,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.rss += other.rss;
        self.cpu += other.cpu;
    }
}

/// What a process uses; of one that has ended and was not waited for yet, what it has used.
pub fn usage(pid: i32) -> Option<Usage> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_usage(&String::from_utf8_lossy(&bytes))
}

/// In bytes: 4096 on most machines, up to 64 KiB on some with aarch64.
fn page_size() -> u64 {
    // SAFETY: sysconf only asks.
    u64::try_from(unsafe { nix::libc::sysconf(nix::libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn parse_usage(text: &str) -> Option<Usage> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let page = page_size();
    // utime, stime, cutime, cstime.
    let cpu = [11, 12, 13, 14].into_iter().map(number).sum::<Option<u64>>()?;
    Some(Usage { rss: number(21)?.saturating_mul(page), cpu: ticks(cpu) })
}

/// The threads of a process that run or wait for a processor, each with how long it has run, in nanoseconds. None where
/// the kernel does not count that.
pub fn runnable(pid: i32) -> Vec<(i32, u64)> {
    let of = |path: PathBuf| {
        let stat = parse_stat(&String::from_utf8_lossy(&fs::read(path.join("stat")).ok()?))?;
        let [has_run, _] = schedstat(&path)?;
        (stat.state == 'R').then_some((stat.pid, has_run))
    };
    tasks(pid).filter_map(of).collect()
}

/// How long each thread of a process has waited for a processor although it could have run, in nanoseconds.
pub fn delays(pid: i32) -> HashMap<i32, u64> {
    let of = |path: PathBuf| {
        let [_, has_waited] = schedstat(&path)?;
        Some((path.file_name()?.to_str()?.parse().ok()?, has_waited))
    };
    tasks(pid).filter_map(of).collect()
}

fn tasks(pid: i32) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(|task| task.path())
}

/// The first two numbers of /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst).
fn schedstat(task: &Path) -> Option<[u64; 2]> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

pub fn stat(pid: i32) -> Option<Stat> {
    stat_of(pid).ok().flatten()
}

/// Whether a process is ending or has SIGKILL ahead of it: no signal that is sent to it now changes how it ends.
pub fn is_doomed(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/stat")).is_ok_and(|bytes| parse_doomed(&String::from_utf8_lossy(&bytes)))
}

/// SIGKILL is pending in each thread (field 31). The first thread alone may end while others go on.
fn parse_doomed(text: &str) -> bool {
    const KILL: u64 = 1 << (nix::libc::SIGKILL - 1);
    let fields = text.rfind(')').map_or("", |end| &text[end + 1..]);
    let fields: Vec<u64> = fields.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    let number = |at: usize| fields.get(at).copied().unwrap_or(0);
    let is_ending = number(6) & u64::from(nix::libc::PF_EXITING.cast_unsigned()) != 0;
    is_ending && number(17) <= 1 || number(28) & KILL != 0
}

/// No descriptor was left to read with: what is not seen may be there all the same.
struct Blind;

fn blind(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::EMFILE | nix::libc::ENFILE))
}

fn stat_of(pid: i32) -> Result<Option<Stat>, Blind> {
    match fs::read(format!("/proc/{pid}/stat")) {
        // The kernel cuts the name after 15 bytes, through a character if need be.
        Ok(bytes) => Ok(parse_stat(&String::from_utf8_lossy(&bytes))),
        Err(error) if blind(&error) => Err(Blind),
        Err(_) => Ok(None),
    }
}

/// The command name may hold spaces and parentheses, so the fields are counted after the *last* `)`.
fn parse_stat(text: &str) -> Option<Stat> {
    let pid = text.split(' ').next()?.parse().ok()?;
    let rest = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        pid,
        state: fields.first()?.chars().next()?,
        ppid: fields.get(1)?.parse().ok()?,
        pgrp: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        terminal: fields.get(4)?.parse().ok()?,
        exiting: fields.get(6)?.parse::<u32>().ok()? & nix::libc::PF_EXITING.cast_unsigned() != 0,
        threads: fields.get(17)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The children of every thread of a process. /proc/PID/task/TID/children exists with
/// CONFIG_PROC_CHILDREN, which every common kernel has; where it does not, all of /proc is read.
pub fn children(pid: i32) -> Vec<i32> {
    children_of(pid).unwrap_or_default()
}

fn children_of(pid: i32) -> Result<Vec<i32>, Blind> {
    let tasks = match fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(tasks) => tasks,
        Err(error) if blind(&error) => return Err(Blind),
        Err(_) => return Ok(Vec::new()),
    };
    let mut found = Vec::new();
    let mut supported = false;
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(text) => {
                supported = true;
                found.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()));
            }
            Err(error) if blind(&error) => return Err(Blind),
            Err(_) => {}
        }
    }
    if !supported && stat(pid).is_some() {
        found = all().into_iter().filter(|child| child.ppid == pid).map(|child| child.pid).collect();
    }
    Ok(found)
}

/// All descendants of a process, parents before children, without itself and without its own children that have ended;
/// none known when they cannot be read.
pub fn descendants(root: i32) -> Vec<Stat> {
    tree(root).unwrap_or_default()
}

/// As [`descendants`]; `None` when no descriptor was left to read with.
///
/// The kernel's lists of children are no snapshot: an orphan moves from the list of its parent, which is read later, to
/// that of the subreaper, which has been read. So our own list is read once more at the end.
pub fn tree(root: i32) -> Option<Vec<Stat>> {
    let mut found: Vec<Stat> = Vec::new();
    let mut seen = std::collections::HashSet::from([root]);
    let mut queue = vec![root];
    // Our own zombies are told by a system call each: there may be thousands that nobody had the time to reap.
    let ours = root.cast_unsigned() == std::process::id();
    let is_zombie = |parent, pid| ours && parent == root && matches!(wait::peek(pid), wait::Peek::Ended(..));
    let mut again = ours;
    while let Some(parent) = queue.pop().or_else(|| std::mem::take(&mut again).then_some(root)) {
        for pid in children_of(parent).ok()? {
            if seen.insert(pid)
                && !is_zombie(parent, pid)
                && let Some(stat) = stat_of(pid).ok()?
            {
                found.push(stat);
                // Who has ended has no children any more.
                if stat.alive() {
                    queue.push(pid);
                }
            }
        }
    }
    Some(found)
}

/// As [`tree`], of this process, but only below those of its children that are named, and below whom it has adopted.
pub fn forest(named: impl IntoIterator<Item = i32>) -> Option<Vec<Stat>> {
    let mut found: Vec<Stat> = Vec::new();
    let mut seen = std::collections::HashSet::from([std::process::id().cast_signed()]);
    let mut queue = Vec::new();
    let mut children: Vec<i32> = named.into_iter().collect();
    children.extend(adopted()?);
    let (mut ours, mut again) = (true, true);
    loop {
        for pid in children {
            let is_zombie = || ours && matches!(wait::peek(pid), wait::Peek::Ended(..));
            if seen.insert(pid)
                && !is_zombie()
                && let Some(stat) = stat_of(pid).ok()?
            {
                found.push(stat);
                if stat.alive() {
                    queue.push(pid);
                }
            }
        }
        let next = queue.pop();
        ours = next.is_none();
        children = match next {
            Some(parent) => children_of(parent).ok()?,
            None if std::mem::take(&mut again) => adopted()?,
            None => return Some(found),
        };
    }
}

/// Who has become our child because its parent has ended, and whatever else our first thread has started; `None` when no
/// descriptor was left to read with. The kernel gives an orphan to the first thread of its new parent that lives
/// (`find_new_reaper` in kernel/exit.c), which here is the main thread.
///
/// It moves before its parent's end can be seen: if there is nobody here after that, nothing of that parent lives.
pub fn adopted() -> Option<Vec<i32>> {
    let me = std::process::id().cast_signed();
    match fs::read_to_string(format!("/proc/{me}/task/{me}/children")) {
        Ok(text) => Some(text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()),
        Err(error) if blind(&error) => None,
        Err(_) => children_of(me).ok(),
    }
}

/// Which PID namespace this process lives in: a process has another number in each.
pub fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

/// Every process that can be seen.
pub fn all() -> Vec<Stat> {
    pids().filter_map(stat).collect()
}

/// As [`all`]; `None` when no descriptor was left to read with.
pub fn census() -> Option<Vec<Stat>> {
    let entries = fs::read_dir("/proc").ok()?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let stats: Result<Vec<Option<Stat>>, Blind> = pids.map(stat_of).collect();
    Some(stats.ok()?.into_iter().flatten().collect())
}

fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// The command line, or the name in brackets when there is none.
pub fn command(pid: i32) -> String {
    let bytes = memory::read(pid, format!("/proc/{pid}/cmdline").into()).unwrap_or_default();
    let words: Vec<String> = bytes
        .split(|b| *b == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    if words.is_empty() { format!("[{}]", name(pid).unwrap_or_default()) } else { words.join(" ") }
}

/// The short name (`comm`, at most 15 bytes).
pub fn name(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// The name of the file that a process executes; its short name where that may not be seen.
pub fn program(pid: i32) -> Option<String> {
    let file = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let base = file.and_then(|file| Some(file.file_name()?.to_string_lossy().into_owned()));
    base.map(|base| base.trim_end_matches(" (deleted)").to_owned()).or_else(|| name(pid))
}

/// Whether a process does not hear this signal: it ignores or blocks it.
pub fn ignores(pid: i32, signal: i32) -> bool {
    let status = status(pid);
    let has = |name: &str| {
        let set = values(&status, name).next().and_then(|set| u64::from_str_radix(set, 16).ok());
        set.is_some_and(|set| set >> (signal - 1) & 1 == 1)
    };
    has("SigIgn") || has("SigBlk")
}

/// The user that owns a process.
pub fn uid(pid: i32) -> Option<u32> {
    Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}

/// What /proc/PID/status says (proc_pid_status(5)); empty when there is no such process.
fn status(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The values in the line of this name.
fn values<'a>(status: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_ascii_whitespace()
}

/// The user who has started a process, also when a set-id program has made it somebody else's.
pub fn real_uid(pid: i32) -> Option<u32> {
    values(&status(pid), "Uid").next()?.parse().ok()
}

/// Whether the kernel still sends a process that was started as this user the signal for the death of its parent. It
/// forgets about it when the process gets other rights, by a set-id program or one with capabilities, or because it
/// changes its user itself (prctl(2), PR_SET_PDEATHSIG). Told by its ids and capabilities.
pub fn keeps_death_signal(pid: i32, uid: u32) -> bool {
    let status = status(pid);
    let same_user = values(&status, "Uid").all(|id| id == uid.to_string());
    let group = values(&status, "Gid").next();
    let same_group = values(&status, "Gid").all(|id| Some(id) == group);
    let no_capability = || values(&status, "CapPrm").all(|set| set.bytes().all(|digit| digit == b'0'));
    same_user && same_group && (uid == 0 || no_capability())
}

/// The number that a process has in the innermost PID namespace that it lives in.
pub fn inner_pid(pid: i32) -> Option<i32> {
    values(&status(pid), "NSpid").last()?.parse().ok()
}

/// A variable of the environment that the process was started with; none also when it may not be read.
pub fn variable(pid: i32, name: &str) -> Option<String> {
    value_of(&environment(pid, |file| memory::read(pid, file)), name)
}

/// As [`variable`], of one look at the environment, by the caller itself: for whoever holds a lock, and must not wait for
/// another thread to get a processor. Somebody has to look after the caller, should the process not answer.
pub fn variables<const N: usize>(pid: i32, names: [&str; N]) -> [Option<String>; N] {
    let environment = environment(pid, |file| fs::read(file).ok());
    names.map(|name| value_of(&environment, name))
}

fn environment(pid: i32, read: impl Fn(PathBuf) -> Option<Vec<u8>>) -> Vec<u8> {
    let files = views(pid).map(|path| path.join("environ"));
    files.filter_map(read).find(|bytes| !bytes.is_empty()).unwrap_or_default()
}

fn value_of(environment: &[u8], name: &str) -> Option<String> {
    environment.split(|b| *b == 0).find_map(|entry| {
        let entry = String::from_utf8_lossy(entry);
        entry.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
    })
}

/// An open file that a process writes to and for which `wanted` holds.
pub fn writes_to(pid: i32, wanted: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let writes = |view: &Path, number: &OsStr| {
        let info = fs::read_to_string(view.join("fdinfo").join(number)).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
        Some(flags & nix::libc::O_ACCMODE != nix::libc::O_RDONLY)
    };
    views(pid).find_map(|view| {
        fs::read_dir(view.join("fd")).ok()?.flatten().find_map(|entry| {
            let file = fs::read_link(entry.path()).ok().filter(|file| wanted(file))?;
            writes(&view, &entry.file_name())?.then_some(file)
        })
    })
}

/// Where /proc shows a process: by its leading thread, and when that has ended while others live, which lets go of
/// everything, by those.
fn views(pid: i32) -> impl Iterator<Item = PathBuf> {
    let dead = stat(pid).is_some_and(|stat| stat.state == 'Z' && stat.threads > 1);
    let threads = dead.then(|| fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten();
    let threads = threads.into_iter().flatten().flatten().map(|thread| thread.path());
    std::iter::once(PathBuf::from(format!("/proc/{pid}"))).chain(threads)
}

/// A moment in the life of this machine, told by what it has started until then.
#[derive(Clone, Copy, Debug)]
pub struct Births {
    /// The number that was given out last, in this PID namespace.
    last: i32,
    /// All processes and threads since boot.
    count: u64,
}

/// None when it cannot be told.
pub fn births() -> Option<Births> {
    let last = fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().nth(4)?.parse().ok()?;
    let stat = fs::read("/proc/stat").ok()?;
    let line = stat.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"processes "))?;
    Some(Births { last, count: std::str::from_utf8(line).ok()?.trim().parse().ok()? })
}

/// Whether a number may have been given out between two moments. Numbers ascend and start again after the highest
/// (alloc_pid in kernel/pid.c); if so many were given out that they may have met, any may be new.
fn is_new(pid: i32, from: Births, to: Births, highest: u64) -> bool {
    if to.count.saturating_sub(from.count) > highest / 2 {
        return true;
    }
    if from.last <= to.last { from.last < pid && pid <= to.last } else { from.last < pid || pid <= to.last }
}

/// The processes that were started with this entry (`NAME=value`) in their environment, as far as it may be read, and
/// those that do not answer or could not be asked within `bound`. Those that were there before `since` are not asked: that
/// would be most of a machine, 30 µs each.
pub fn carriers(entry: &str, since: Option<Births>, bound: Duration) -> (Vec<i32>, Vec<i32>) {
    let highest =
        fs::read_to_string("/proc/sys/kernel/pid_max").ok().and_then(|text| text.trim().parse().ok());
    let window = since.zip(births()).zip(highest);
    let asked = |pid: &i32| window.is_none_or(|((from, to), highest)| is_new(*pid, from, to, highest));
    let entry = entry.as_bytes().to_vec();
    let carries = move |pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|variable| variable == entry)
    };
    let (answers, missed) = memory::each(pids().filter(asked).collect(), bound, carries);
    (answers.into_iter().filter(|(_, carries)| *carries).map(|(pid, _)| pid).collect(), missed)
}

/// Where a regular file that is open here lies.
pub fn open_path(fd: &impl AsRawFd) -> Option<PathBuf> {
    let place = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    place.is_absolute().then_some(place)
}

/// Where the open descriptors of a process point to; none when they may not be read.
pub fn open_files(pid: i32) -> Option<Vec<PathBuf>> {
    let list = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(list.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect())
}

/// The processes that have one of these sockets open, by inode, and whether every process could be read.
pub fn socket_owners(inodes: &[u64]) -> (HashMap<u64, Vec<i32>>, bool) {
    let wanted: HashMap<PathBuf, u64> =
        inodes.iter().map(|inode| (PathBuf::from(format!("socket:[{inode}]")), *inode)).collect();
    let mut owners: HashMap<u64, Vec<i32>> = HashMap::new();
    let mut complete = true;
    for pid in pids() {
        match open_files(pid) {
            Some(files) => {
                for inode in files.iter().filter_map(|file| wanted.get(file)) {
                    owners.entry(*inode).or_default().push(pid);
                }
            }
            None => complete = false,
        }
    }
    (owners, complete)
}

/// Whether the limit of address space (`ulimit -v`) leaves this process so much.
pub fn has_room(bytes: u64) -> bool {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_AS) else { return true };
    let pages = fs::read_to_string("/proc/self/statm");
    let pages = pages.ok().and_then(|text| text.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0);
    limit == RLIM_INFINITY || pages.saturating_mul(page_size()).saturating_add(bytes) <= limit
}

/// Whether /proc is mounted and shows this process under the number that it knows itself by. In a PID namespace
/// that kept the /proc of the outer one, every number there is somebody else's.
pub fn available() -> bool {
    fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == std::process::id().to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let text = "77 (a) b (c)) S 5 6 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 9876 1 2 3";
        let stat = parse_stat(text).expect("parses");
        assert_eq!((stat.pid, stat.ppid, stat.pgrp, stat.session), (77, 5, 6, 7));
        assert_eq!((stat.state, stat.threads, stat.start, stat.exiting), ('S', 3, 9876, false));
        let text = text.replace("4194560", "4194564");
        assert!(parse_stat(&text).expect("parses").exiting);
    }

    #[test]
    fn a_thread_that_sleeps_is_not_runnable() {
        let (send, receive) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let sleeper = std::thread::spawn(move || {
            send.send(nix::unistd::gettid().as_raw()).expect("somebody waits");
            let _ = ended.recv();
        });
        let (me, them) = (nix::unistd::gettid().as_raw(), receive.recv().expect("a number"));
        let pid = std::process::id().cast_signed();
        loop {
            let runnable = runnable(pid);
            assert!(runnable.iter().any(|(thread, _)| *thread == me), "{runnable:?}");
            // It may still be on its way to sleep.
            if !runnable.iter().any(|(thread, _)| *thread == them) {
                break;
            }
        }
        drop(end);
        sleeper.join().expect("no panic");
    }

    #[test]
    fn numbers_are_new_when_they_were_given_out_between_two_moments() {
        let at = |last, count| Births { last, count };
        for (pid, from, to, new) in [
            (11, at(10, 0), at(20, 10), true),
            (10, at(10, 0), at(20, 10), false),
            (21, at(10, 0), at(20, 10), false),
            (10, at(10, 0), at(10, 0), false),
            // Past the highest number.
            (990, at(980, 0), at(305, 30), true),
            (305, at(980, 0), at(305, 30), true),
            (306, at(980, 0), at(305, 30), false),
            (980, at(980, 0), at(305, 30), false),
            // Perhaps all the way round.
            (10, at(10, 0), at(20, 600), true),
        ] {
            assert_eq!(is_new(pid, from, to, 1000), new, "{pid} from {from:?} to {to:?}");
        }
    }

    #[test]
    fn a_process_is_found_by_an_entry_of_its_environment_and_by_no_other() {
        let births = births().expect("/proc/loadavg and /proc/stat");
        assert!(births.last > 0 && births.count > 0, "{births:?}");
        let path = format!("PATH={}", std::env::var("PATH").expect("a PATH"));
        let me = std::process::id().cast_signed();
        let plenty = Duration::from_secs(100);
        assert!(carriers(&path, None, plenty).0.contains(&me));
        assert!(!carriers(&path[..path.len() - 1], None, plenty).0.contains(&me));
        assert!(!carriers(&path, Some(births), plenty).0.contains(&me), "it was there before");
        let (found, missed) = carriers(&path, None, Duration::ZERO);
        assert!(found.is_empty() && missed.contains(&std::process::id().cast_signed()));
    }

    #[test]
    fn a_process_that_has_become_another_user_is_not_told_of_its_parents_death() {
        let me = std::process::id().cast_signed();
        let uid = nix::unistd::geteuid().as_raw();
        assert!(keeps_death_signal(me, uid));
        assert!(!keeps_death_signal(me, uid + 1));
    }

    #[test]
    fn a_truncated_line_is_no_process() {
        for text in ["", "77", "77 (x", "77 (x) S 1", "x (y) S 1 2 3"] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_process_with_a_dead_leading_thread_is_alive() {
        let mut stat = parse_stat("1 (x) Z 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 5 0").expect("parses");
        assert!(!stat.alive());
        stat.threads = 2;
        assert!(stat.alive());
    }

    #[test]
    fn no_line_makes_the_reader_of_processes_panic() {
        let lines = [
            "77 (a) b (c)) S 5 6 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 9876 1 2 3",
            "1 (x) Z 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 5 0",
        ];
        crate::fuzz::for_a_while("proc", |random| {
            let mut line = random.pick(&lines).as_bytes().to_vec();
            random.mutate(&mut line);
            let _ = parse_stat(&String::from_utf8_lossy(&line));
            let _ = parse_stat(&random.text(60));
        });
    }
}
