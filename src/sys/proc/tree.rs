//! Who descends from whom, and every process that can be seen.

use super::stat::{Blind, Stat, blind, stat, stat_of};
use crate::sys::{kernel, wait};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::sync::{Mutex, PoisonError};

/// The children of every thread of a process. /proc/PID/task/TID/children exists with
/// CONFIG_PROC_CHILDREN, which every common kernel has; where it does not, all of /proc is read.
pub fn children(pid: i32) -> Vec<i32> {
    children_of(pid).unwrap_or_default()
}

/// The children of a process with so many threads: most have one, which has the number of the process, so that there is
/// no list of them to be read.
fn children_below(pid: i32, threads: i64) -> Result<Vec<i32>, Blind> {
    if threads != 1 {
        return children_of(pid);
    }
    match kernel::text(format!("/proc/{pid}/task/{pid}/children")) {
        Ok(text) => Ok(text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()),
        Err(error) if blind(&error) => Err(Blind),
        Err(_) => children_of(pid),
    }
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
        match kernel::text(task.path().join("children")) {
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
    let mut seen = HashSet::from([root]);
    let mut queue = vec![(root, 0)];
    // Our own zombies are told by a system call each: there may be thousands that nobody had the time to reap.
    let ours = root.cast_unsigned() == std::process::id();
    let is_zombie = |parent, pid| ours && parent == root && matches!(wait::peek(pid), wait::Peek::Ended(..));
    let mut again = ours;
    while let Some((parent, threads)) =
        queue.pop().or_else(|| std::mem::take(&mut again).then_some((root, 0)))
    {
        for pid in children_below(parent, threads).ok()? {
            if seen.insert(pid)
                && !is_zombie(parent, pid)
                && let Some(stat) = stat_of(pid).ok()?
            {
                found.push(stat);
                // Who has ended has no children any more.
                if stat.alive() {
                    queue.push((pid, stat.threads));
                }
            }
        }
    }
    Some(found)
}

/// As [`tree`], of this process, but only below those of its children that are named, and below whom it has adopted. Some of
/// them may be known as they are just now.
pub fn forest(named: impl IntoIterator<Item = i32>, known: &HashMap<i32, Stat>) -> Option<Vec<Stat>> {
    let mut found: Vec<Stat> = Vec::new();
    let mut seen = HashSet::from([std::process::id().cast_signed()]);
    let mut queue = Vec::new();
    let mut children: Vec<i32> = named.into_iter().collect();
    children.extend(adopted()?);
    let (mut ours, mut again) = (true, true);
    loop {
        for pid in children {
            if !seen.insert(pid) {
                continue;
            }
            let stat = match known.get(&pid).filter(|_| ours) {
                Some(stat) => Some(*stat),
                None if ours && matches!(wait::peek(pid), wait::Peek::Ended(..)) => None,
                None => stat_of(pid).ok()?,
            };
            if let Some(stat) = stat {
                found.push(stat);
                if stat.alive() {
                    queue.push((pid, stat.threads));
                }
            }
        }
        let next = queue.pop();
        ours = next.is_none();
        children = match next {
            Some((parent, threads)) => children_below(parent, threads).ok()?,
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
///
/// Asked after each end, so the file is kept open: to find it takes longer than to read it.
pub fn adopted() -> Option<Vec<i32>> {
    static KEPT: Mutex<Option<(u32, Option<File>)>> = Mutex::new(None);
    let me = std::process::id();
    let path = || format!("/proc/{me}/task/{me}/children");
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    // Not the one of who has forked us.
    if kept.as_ref().is_none_or(|(whose, file)| *whose != me || file.is_none()) {
        *kept = Some((me, File::open(path()).ok()));
    }
    let bytes = kept.as_ref().and_then(|(_, file)| kernel::again(file.as_ref()?));
    let read = match bytes {
        Some(bytes) => {
            String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
        }
        None => kernel::text(path()),
    };
    match read {
        Ok(text) => Some(text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()),
        Err(error) if blind(&error) => None,
        Err(_) => children_of(me.cast_signed()).ok(),
    }
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

pub(super) fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}
