//! Shared memory of jobs that outlives them: a server that is killed cannot remove its own.
//!
//! Who has made a System V segment the kernel says by a number, and of a file in /dev/shm not at all. So it is noted while
//! its maker lives, every now and then and before jobs are stopped: what a process of ours has made, or has mapped. What
//! was noted is removed once all of ours are gone and nobody uses it any more. Of the rest, what was made during the run,
//! is this user's, and had no living maker whenever we looked, may be ours: it is named and stays.

use crate::lock::lock;
use crate::sys::ipc::{self, Segment, Shared};
use crate::sys::page::{self, Page};
use crate::sys::{clock, proc};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

/// What is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `/dev/shm/psm_1`, or the number of a System V segment.
    pub name: Result<String, i32>,
    pub size: u64,
    pub owner: u32,
    /// A process of ours was seen with it; else it only may be ours.
    pub ours: bool,
}

/// How long nobody needs to be asked again.
const REST: Duration = Duration::from_millis(100);
/// It is more the longer nothing was new, by this part of that time: a server makes what it shares when it starts.
const PART: u32 = 2;
/// And no more than that.
const LONG_REST: Duration = Duration::from_millis(1000);
/// So long a job is new, and so long something new is followed by more.
const NEW: Duration = Duration::from_secs(5);
/// How often it is asked who uses the same file.
const LOOKS: u8 = 3;

/// What was seen: how often a file was asked about; somebody else's at [`FOREIGN`].
static SEEN: Mutex<Option<Seen>> = Mutex::new(None);
const FOREIGN: u8 = u8::MAX;

#[derive(Default)]
struct Seen {
    looks: HashMap<u64, u8>,
    /// Until then something new is expected.
    expected: Duration,
    next: Duration,
}

/// As one word: what tells a segment from a later one of the same number.
fn word(segment: Segment) -> u64 {
    u64::from(segment.id.cast_unsigned()) << 32 | segment.changed & 0xffff_ffff
}

fn key(file: &Shared) -> u64 {
    file.inode
}

/// The record, when what it says about memory is of our IPC namespace: with one of its own, all ends with it.
fn record() -> Option<&'static Page> {
    page::get().filter(|page| page.ipc_namespace() == ipc::namespace())
}

/// As [`note`], but not more often than is good. `new_job`: one has come since this was called before. How long it need not be
/// called again; none when nothing new is expected any more.
pub fn note_sometimes(new_job: bool) -> Option<Duration> {
    let mut seen = lock(&SEEN);
    let seen = seen.get_or_insert_default();
    let now = clock::raw();
    if new_job {
        seen.expected = now + NEW;
        seen.next = seen.next.min(now + REST);
    }
    if now >= seen.next {
        if look(seen, true) {
            seen.expected = now + NEW;
        }
        let quiet = (now + NEW).saturating_sub(seen.expected);
        seen.next = now + (quiet / PART).clamp(REST, LONG_REST);
    }
    (now < seen.expected).then(|| seen.next.saturating_sub(now))
}

/// Notes what the processes of this run share just now.
pub fn note() {
    look(lock(&SEEN).get_or_insert_default(), true);
}

/// The same, of a job that is ready: what it shares it has by now, and it may be killed at any time. Of what no process of
/// ours uses nobody else is asked, for that takes long where there are many.
pub fn note_of_ready() {
    look(lock(&SEEN).get_or_insert_default(), false);
}

/// Whether there was anything to look at. `foreign`: whether what is not ours is looked for among all processes.
fn look(seen: &mut Seen, foreign: bool) -> bool {
    let Some(page) = record() else { return false };
    let since = page.started_second();
    let (segments, files) = (page.segments(), page.shared_files());
    let segments: Vec<Segment> = ipc::segments()
        .into_iter()
        .filter(|it| it.changed >= since && !segments.contains(&word(*it)))
        .filter(|it| seen.looks.get(&word(*it)) != Some(&FOREIGN))
        .collect();
    let files: Vec<Shared> = ipc::files()
        .into_iter()
        .filter(|it| it.changed >= since && !files.contains(&key(it)))
        .filter(|it| seen.looks.get(&key(it)).copied().unwrap_or(0) < LOOKS)
        .collect();
    if segments.is_empty() && files.is_empty() {
        return false;
    }
    let tree: HashSet<i32> =
        proc::descendants(nix::unistd::getpid().as_raw()).into_iter().map(|stat| stat.pid).collect();
    for segment in segments {
        if tree.contains(&segment.creator) {
            page.note_segment(word(segment));
        } else if proc::stat(segment.creator).is_some() {
            seen.looks.insert(word(segment), FOREIGN);
        }
    }
    if files.is_empty() {
        return true;
    }
    let ours: HashSet<u64> = tree.iter().flat_map(|pid| ipc::used_by(*pid)).collect();
    let (ours, unknown): (Vec<Shared>, Vec<Shared>) =
        files.into_iter().partition(|file| ours.contains(&file.inode));
    // At once: who has them may be killed while all others are asked.
    ours.iter().for_each(|file| page.note_shared_file(key(file)));
    if unknown.is_empty() || !foreign {
        return true;
    }
    let others = users(&|pid| !tree.contains(&pid));
    for file in unknown {
        let looks = seen.looks.entry(key(&file)).or_default();
        *looks = if others.contains(&file.inode) { FOREIGN } else { *looks + 1 };
    }
    true
}

/// The files in /dev/shm that some of all processes use.
fn users(which: &dyn Fn(i32) -> bool) -> HashSet<u64> {
    let pids = proc::all().into_iter().map(|stat| stat.pid);
    pids.filter(|pid| which(*pid)).flat_map(ipc::used_by).collect()
}

/// Removes what was noted and nobody uses any more, when all of ours are gone; returns what stays, and what may be ours.
pub fn remove_left() -> Vec<Memory> {
    let Some(page) = record() else { return Vec::new() };
    let mut left = remove_noted(page);
    let seen = lock(&SEEN);
    let is_foreign = |word: u64| seen.as_ref().is_some_and(|seen| seen.looks.get(&word) == Some(&FOREIGN));
    let (since, me) = (page.started_second(), nix::unistd::geteuid().as_raw());
    let (noted, noted_files) = (page.segments(), page.shared_files());
    let unknown = ipc::segments().into_iter().filter(|it| {
        it.changed > since
            && it.owner == me
            && it.attached == 0
            && !noted.contains(&word(*it))
            && !is_foreign(word(*it))
            && proc::stat(it.creator).is_none()
    });
    left.extend(unknown.map(|it| of_segment(it, false)));
    let unknown: Vec<Shared> = ipc::files()
        .into_iter()
        .filter(|it| {
            it.changed > since && it.owner == me && !noted_files.contains(&key(it)) && !is_foreign(key(it))
        })
        .collect();
    if !unknown.is_empty() {
        let used = users(&|_| true);
        left.extend(unknown.iter().filter(|it| !used.contains(&it.inode)).map(|it| of_file(it, false)));
    }
    left
}

/// Removes what a record has noted and nobody uses; returns what stays.
pub fn remove_noted(page: &Page) -> Vec<Memory> {
    let mut left = Vec::new();
    let noted = page.segments();
    if !noted.is_empty() {
        for segment in ipc::segments().into_iter().filter(|it| noted.contains(&word(*it))) {
            if segment.attached > 0 || ipc::remove(segment).is_err() {
                left.push(of_segment(segment, true));
            }
        }
    }
    let noted = page.shared_files();
    if noted.is_empty() {
        return left;
    }
    let there: Vec<Shared> = ipc::files().into_iter().filter(|it| noted.contains(&key(it))).collect();
    let used = if there.is_empty() { HashSet::new() } else { users(&|_| true) };
    for file in there {
        if used.contains(&file.inode) || std::fs::remove_file(&file.path).is_err() {
            left.push(of_file(&file, true));
        }
    }
    left
}

fn of_segment(segment: Segment, ours: bool) -> Memory {
    Memory { name: Err(segment.id), size: segment.size, owner: segment.owner, ours }
}

fn of_file(file: &Shared, ours: bool) -> Memory {
    let name = file.path.to_string_lossy().into_owned();
    Memory { name: Ok(name), size: file.size, owner: file.owner, ours }
}
