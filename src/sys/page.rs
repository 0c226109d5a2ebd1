//! The run's record: memory that guard and host share, written by one side and read by the other when the first
//! is gone. What others want to know of it is copied to the file in the run directory that both keep locked, for `bgjobs ps`
//! and `bgjobs sweep`.
//!
//! Fixed layout and atomics only, no lock: a process that was killed while it held a lock would take the
//! other one with it. A slot is published by storing its pid last and withdrawn by storing 0 first.
//!
//! Nobody maps the file: a store to a mapped page for which a full disk has no block kills (SIGBUS), and where a
//! filesystem writes every block anew, as btrfs does, it may need one at any time, however the file was allocated; a
//! file that has been cut short kills as well. Nothing in the file can be relied on but its size: every bit pattern is
//! a valid page.

use super::{clock, ipc, kernel, proc};
use nix::fcntl::posix_fallocate;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::mem::offset_of;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::time::{Duration, SystemTime};

/// Jobs beyond this number are stopped with the defaults (TERM, the run's grace period) when the host is
/// killed; while the host lives there is no limit.
pub const SLOTS: usize = 1024;
const NAME: usize = 36;
/// Listening sockets of jobs beyond this number are not looked for after the teardown.
const SOCKETS: usize = 512;
/// Shared memory beyond this number is not removed.
const MEMORY: usize = 128;
const SCRIPT: usize = 96;
/// As long as a path can be (PATH_MAX).
const DIRECTORY: usize = 4096;

/// The last byte is the version of the layout: whoever changes that counts it up.
const MAGIC: u64 = u64::from_ne_bytes(*b"bgjobs\0\x04");

const SIZE: NonZeroUsize = NonZeroUsize::new(size_of::<Page>()).expect("a page is not empty");

#[repr(C)]
pub struct Page {
    /// Stored once the record is complete.
    magic: AtomicU64,
    /// Nanoseconds that the run has spent stopped (Ctrl-Z); see [`super::clock`].
    pub paused_ns: AtomicU64,
    /// The run's grace period, in milliseconds.
    pub grace_ms: AtomicU64,
    /// When the stop began, on the run's clock, in nanoseconds; 0 before. Whoever ends a stop keeps this clock.
    stop_since_ns: AtomicU64,
    /// The longest grace period of any running job, in milliseconds.
    pub longest_grace_ms: AtomicU64,
    /// Which boot of the machine this is, in two halves: the numbers below mean nothing after the next one.
    boot: [AtomicU64; 2],
    /// The PID namespace in which guard and host have their numbers.
    namespace: AtomicU64,
    /// Milliseconds since 1970.
    started_ms: AtomicU64,
    guard: Who,
    host: Who,
    /// Everything of the run is over; what is left of it has been named.
    ended: AtomicU64,
    script: [AtomicU8; SCRIPT],
    /// Where the run was started.
    directory: [AtomicU8; DIRECTORY],
    /// Until when the host asks not to be taken for hung, on the run's clock, in nanoseconds: it is killing what is
    /// left, which on a busy machine takes its time. A host that hangs does not ask again.
    pub patience_ns: AtomicU64,
    slots: [Slot; SLOTS],
    /// The listening sockets that jobs have opened: inode and port in one word; 0 where there is none.
    sockets: [AtomicU64; SOCKETS],
    /// The IPC namespace of the guard.
    ipc: AtomicU64,
    /// System V segments and files in /dev/shm that jobs have made, each as a word; 0 where there is none.
    segments: [AtomicU64; MEMORY],
    shared_files: [AtomicU64; MEMORY],
    /// Where the run's cgroup is; empty where it has none.
    cgroup: [AtomicU8; DIRECTORY],
}

/// A process, not to be confused with a later one of the same number.
#[repr(C)]
struct Who {
    pid: AtomicU64,
    start: AtomicU64,
}

/// Without padding, as the whole page is: a reader fills it byte by byte.
#[repr(C)]
struct Slot {
    start: AtomicU64,
    /// When it was asked to stop, on the run's clock, in nanoseconds; 0 before.
    asked_ns: AtomicU64,
    pid: AtomicI32,
    stop_signal: AtomicI32,
    grace_ms: AtomicU32,
    uid: AtomicU32,
    /// 1: its stop signal is for its first process alone.
    mixed: AtomicU32,
    name: [AtomicU8; NAME],
}

/// A pid, and the start time that makes it one process for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub pid: i32,
    pub start: u64,
}

/// What is needed to stop one job in the host's place.
#[derive(Clone, Debug)]
pub struct SlotView {
    pub pid: i32,
    pub start: u64,
    pub stop_signal: i32,
    /// Its stop signal is for its first process alone.
    pub mixed: bool,
    pub grace_ms: u32,
    /// When it was asked to stop, on the run's clock; none before.
    pub asked: Option<Duration>,
    /// The user that it was started as.
    pub uid: u32,
    pub name: String,
}

static PAGE: OnceLock<&'static Page> = OnceLock::new();
/// The first slot that may be free. Only who holds the jobs' table publishes and withdraws.
static FIRST_FREE: AtomicUsize = AtomicUsize::new(0);
/// What others read.
static COPY: OnceLock<Copied> = OnceLock::new();

struct Copied {
    file: File,
    has_room: bool,
}

/// Maps the page. Called once, by the guard, before it forks the host.
pub fn create() -> nix::Result<&'static Page> {
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a fresh mapping, large and aligned enough for a Page, which is never unmapped, hence 'static; zeroed
    // memory is a valid Page since every field is an atomic integer.
    let page: &'static Page = unsafe {
        let memory = mmap_anonymous(None, SIZE, access, MapFlags::MAP_SHARED)?;
        &*memory.as_ptr().cast::<Page>()
    };
    let page = PAGE.get_or_init(|| page);
    clock::stands_still_for(&page.paused_ns);
    Ok(page)
}

/// The page, once there is one.
pub fn get() -> Option<&'static Page> {
    PAGE.get().copied()
}

/// A copy of another run's page; none when this is no page of this version.
pub fn read(mut file: &File) -> Option<Box<Page>> {
    // SAFETY: zeroed memory is a valid Page.
    let mut page: Box<Page> = Box::new(unsafe { std::mem::zeroed() });
    // SAFETY: a Page has no padding, so all of its bytes are initialised, and any bytes make a valid one; the slice
    // is the only reference while it lives.
    let bytes = unsafe {
        std::slice::from_raw_parts_mut(std::ptr::from_mut(&mut *page).cast::<u8>(), size_of::<Page>())
    };
    file.read_exact(bytes).ok()?;
    (page.magic.load(SeqCst) == MAGIC).then_some(page)
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There was no room for it.
    Empty,
    /// It is laid out as another version does.
    OtherVersion,
    Damaged,
}

/// What is wrong with a record that [`read`] does not take.
pub fn fault(file: &File) -> Fault {
    let mut magic = [0; 8];
    match file.read_exact_at(&mut magic, 0) {
        _ if file.metadata().is_ok_and(|meta| meta.len() == 0) => Fault::Empty,
        Ok(()) if magic[..7] == MAGIC.to_ne_bytes()[..7] && magic != MAGIC.to_ne_bytes() => {
            Fault::OtherVersion
        }
        _ => Fault::Damaged,
    }
}

/// Whether the record in this file says that the run is over, for whoever needs to know no more: reads a few bytes
/// instead of all.
pub fn says_ended(file: &File) -> bool {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at as u64).map(|()| u64::from_ne_bytes(bytes)).unwrap_or(0)
    };
    word(offset_of!(Page, magic)) == MAGIC && word(offset_of!(Page, ended)) != 0
}

/// Notes in the file of a run that lost both its processes that nothing of it is left.
pub fn settle(path: &Path) {
    if let Ok(file) = OpenOptions::new().write(true).custom_flags(nix::libc::O_NOFOLLOW).open(path) {
        let _ = file.write_all_at(&1u64.to_ne_bytes(), offset_of!(Page, ended) as u64);
    }
}

impl Page {
    /// Says whose record this is. Called once, by the guard, before others can see it.
    pub fn describe(&self, script: &str, directory: &Path, grace: Duration) {
        let me = std::process::id().cast_signed();
        let [high, low] = boot();
        self.boot[0].store(high, SeqCst);
        self.boot[1].store(low, SeqCst);
        self.namespace.store(proc::pid_namespace(), SeqCst);
        self.ipc.store(ipc::namespace(), SeqCst);
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.started_ms.store(u64::try_from(since_1970.as_millis()).unwrap_or(0), SeqCst);
        self.grace_ms.store(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), SeqCst);
        self.guard.set(me);
        store(&self.script, script.as_bytes());
        store(&self.directory, directory.as_os_str().as_bytes());
        self.magic.store(MAGIC, SeqCst);
    }

    /// From now on what others want to know of it is copied to this new file, which stays open for as long as guard or host
    /// live, with whatever lock is on it. Where there is no room for it (the disk is full) it stays empty: the run does not
    /// depend on being seen.
    pub fn keep_in(&self, file: File) {
        // Its blocks are there from the start, so that on most filesystems no write can fail.
        let has_room = i64::try_from(SIZE.get()).is_ok_and(|size| posix_fallocate(&file, 0, size).is_ok());
        if !has_room {
            let _ = file.set_len(0);
        }
        let _ = COPY.set(Copied { file, has_room });
        // What is still zero needs no writing: it is most of it.
        let begun = offset_of!(Self, directory) + load(&self.directory).len();
        self.show_bytes(0, begun);
        self.show(&self.ipc);
    }

    /// Whether others can read it.
    pub fn is_shown(&self) -> bool {
        COPY.get().is_some_and(|copy| copy.has_room)
    }

    /// Copies a part of the page to the file.
    fn show<T: ?Sized>(&self, part: &T) {
        let at = std::ptr::from_ref(part).cast::<u8>().addr() - std::ptr::from_ref(self).addr();
        self.show_bytes(at, size_of_val(part));
    }

    fn show_bytes(&self, at: usize, length: usize) {
        assert!(at + length <= SIZE.get(), "a part of the page");
        let copy = COPY.get().filter(|copy| copy.has_room);
        if let (Some(copy), Ok(offset)) = (copy, nix::libc::off_t::try_from(at)) {
            // SAFETY: it is a part of the page, which is never unmapped and has no padding; it is the kernel that reads it,
            // whoever writes to it meanwhile.
            unsafe {
                let from = std::ptr::from_ref(self).cast::<u8>().add(at);
                nix::libc::pwrite(copy.file.as_raw_fd(), from.cast(), length, offset)
            };
        }
    }

    /// The run has this cgroup.
    pub fn set_cgroup(&self, path: &Path) {
        let path = path.as_os_str().as_bytes();
        store(&self.cgroup, path);
        self.show(&self.cgroup[..path.len().min(DIRECTORY)]);
    }

    /// Where it says that the run's cgroup is.
    pub fn cgroup(&self) -> Option<PathBuf> {
        let path = load(&self.cgroup);
        (!path.is_empty()).then(|| OsString::from_vec(path).into())
    }

    pub fn set_host(&self, pid: i32) {
        self.host.set(pid);
        self.show(&self.host);
    }

    /// The stop begins now, on the run's clock.
    pub fn begin_stop(&self, now: Duration) {
        self.stop_since_ns.store(u64::try_from(now.as_nanos()).unwrap_or(1), SeqCst);
        self.show(&self.stop_since_ns);
    }

    /// When the stop began, on the run's clock; none before.
    pub fn stop_since(&self) -> Option<Duration> {
        Some(self.stop_since_ns.load(SeqCst)).filter(|ns| *ns != 0).map(Duration::from_nanos)
    }

    /// Everything of this run is over.
    pub fn end(&self) {
        self.ended.store(1, SeqCst);
        self.show(&self.ended);
    }

    pub fn ended(&self) -> bool {
        self.ended.load(SeqCst) != 0
    }

    /// Whether the machine has been started anew since: nothing of this run can be left.
    pub fn is_of_another_boot(&self) -> bool {
        let (then, now) = (self.boot.each_ref().map(|half| half.load(SeqCst)), boot());
        then != [0, 0] && now != [0, 0] && then != now
    }

    /// Whether its pids can be those of processes that live now, and mean the same to us.
    pub fn counts_here(&self) -> bool {
        !self.is_of_another_boot() && self.namespace.load(SeqCst) == proc::pid_namespace()
    }

    pub fn guard(&self) -> Identity {
        self.guard.get()
    }

    pub fn host(&self) -> Identity {
        self.host.get()
    }

    pub fn script(&self) -> String {
        load_text(&self.script)
    }

    /// The directory that bgjobs was called in.
    pub fn directory(&self) -> PathBuf {
        OsString::from_vec(load(&self.directory)).into()
    }

    /// Not after now, whatever the clock or the file has been set to.
    pub fn started(&self) -> SystemTime {
        let since_1970 = Duration::from_millis(self.started_ms.load(SeqCst));
        let now = SystemTime::now();
        SystemTime::UNIX_EPOCH.checked_add(since_1970).map_or(now, |started| started.min(now))
    }

    /// The second since 1970 in which the run was started.
    pub fn started_second(&self) -> u64 {
        self.started_ms.load(SeqCst) / 1000
    }

    /// Publishes a job; returns the slot to withdraw later, none when all are taken.
    pub fn publish(
        &self,
        who: Identity,
        stop_signal: i32,
        mixed: bool,
        grace_ms: u64,
        uid: u32,
        name: &str,
    ) -> Option<usize> {
        if self.longest_grace_ms.fetch_max(grace_ms, SeqCst) < grace_ms {
            self.show(&self.longest_grace_ms);
        }
        let index = self.free_slot()?;
        let slot = &self.slots[index];
        slot.stop_signal.store(stop_signal, SeqCst);
        slot.mixed.store(u32::from(mixed), SeqCst);
        slot.asked_ns.store(0, SeqCst);
        slot.grace_ms.store(u32::try_from(grace_ms).unwrap_or(u32::MAX), SeqCst);
        slot.start.store(who.start, SeqCst);
        slot.uid.store(uid, SeqCst);
        store(&slot.name, name.as_bytes());
        slot.pid.store(who.pid, SeqCst);
        self.show(slot);
        Some(index)
    }

    /// A slot that is free. Whoever has many jobs is not to look at all of them for each: below the first that may be free
    /// none is.
    fn free_slot(&self) -> Option<usize> {
        let from = FIRST_FREE.load(SeqCst);
        let index = (from..SLOTS).find(|index| self.slots[*index].pid.load(SeqCst) == 0);
        FIRST_FREE.store(index.map_or(SLOTS, |index| index + 1), SeqCst);
        index
    }

    /// A job is asked to stop now, on the run's clock. Guard and host know; others once it is shown.
    pub fn note_asked(&self, slot: usize, now: Duration) {
        self.slots[slot].asked_ns.store(u64::try_from(now.as_nanos()).unwrap_or(1), SeqCst);
    }

    /// A job is over. Guard and host know; others once it is shown.
    pub fn withdraw(&self, slot: usize) {
        self.slots[slot].pid.store(0, SeqCst);
        FIRST_FREE.fetch_min(slot, SeqCst);
    }

    /// Shows what has changed in these slots to others, who may see it a moment late: they go by the start time, too.
    /// Many jobs are stopped at once, and have slots beside each other.
    pub fn show_slots(&self, changed: &[usize]) {
        let (first, last) = (changed.iter().min(), changed.iter().max());
        let (Some(&first), Some(&last)) = (first, last) else { return };
        if last - first < changed.len() * 4 {
            self.show(&self.slots[first..=last]);
        } else {
            changed.iter().for_each(|slot| self.show(&self.slots[*slot]));
        }
    }

    /// Notes a listening socket of a job, once.
    pub fn note_socket(&self, inode: u64, port: u16) {
        self.note(&self.sockets, inode << 16 | u64::from(port));
    }

    /// The IPC namespace of the guard.
    pub fn ipc_namespace(&self) -> u64 {
        self.ipc.load(SeqCst)
    }

    /// Notes a System V segment of a job, once.
    pub fn note_segment(&self, word: u64) {
        self.note(&self.segments, word);
    }

    /// Notes a file in /dev/shm of a job, once.
    pub fn note_shared_file(&self, word: u64) {
        self.note(&self.shared_files, word);
    }

    pub fn segments(&self) -> Vec<u64> {
        noted(&self.segments).collect()
    }

    pub fn shared_files(&self) -> Vec<u64> {
        noted(&self.shared_files).collect()
    }

    fn note(&self, cells: &[AtomicU64], word: u64) {
        for cell in cells {
            match cell.compare_exchange(0, word, SeqCst, SeqCst) {
                Ok(_) => return self.show(cell),
                Err(there) if there == word => return,
                Err(_) => {}
            }
        }
    }

    /// The inodes of the sockets noted so far.
    pub fn sockets(&self) -> Vec<u64> {
        noted(&self.sockets).map(|word| word >> 16).collect()
    }

    pub fn published(&self) -> Vec<SlotView> {
        self.slots
            .iter()
            .filter(|slot| slot.pid.load(SeqCst) > 0)
            .map(|slot| SlotView {
                pid: slot.pid.load(SeqCst),
                start: slot.start.load(SeqCst),
                stop_signal: slot.stop_signal.load(SeqCst),
                mixed: slot.mixed.load(SeqCst) == 1,
                grace_ms: slot.grace_ms.load(SeqCst),
                asked: Some(slot.asked_ns.load(SeqCst)).filter(|ns| *ns != 0).map(Duration::from_nanos),
                uid: slot.uid.load(SeqCst),
                name: load_text(&slot.name),
            })
            .collect()
    }
}

impl Who {
    fn set(&self, pid: i32) {
        self.start.store(Identity::of(pid).start, SeqCst);
        self.pid.store(u64::try_from(pid).unwrap_or(0), SeqCst);
    }

    fn get(&self) -> Identity {
        let pid = i32::try_from(self.pid.load(SeqCst)).unwrap_or(0);
        Identity { pid, start: self.start.load(SeqCst) }
    }
}

impl Identity {
    /// As /proc has it; a process of which that cannot be read has none that lives.
    pub fn of(pid: i32) -> Self {
        Self { pid, start: proc::stat(pid).map_or(0, |stat| stat.start) }
    }

    /// Whether this very process still runs.
    pub fn alive(self) -> bool {
        self.pid > 0 && proc::stat(self.pid).is_some_and(|stat| stat.start == self.start && stat.alive())
    }
}

fn noted(cells: &[AtomicU64]) -> impl Iterator<Item = u64> {
    cells.iter().map(|cell| cell.load(SeqCst)).take_while(|word| *word != 0)
}

/// The end of a text is what tells one script from another, so that is kept when there is no room for all. What is stored
/// next publishes it.
fn store(cells: &[AtomicU8], bytes: &[u8]) {
    let kept = &bytes[bytes.len().saturating_sub(cells.len())..];
    // What stood behind the end is not read.
    for (cell, byte) in cells.iter().zip(kept.iter().chain(&[0])) {
        cell.store(*byte, Relaxed);
    }
}

fn load(cells: &[AtomicU8]) -> Vec<u8> {
    cells.iter().map(|cell| cell.load(SeqCst)).take_while(|byte| *byte != 0).collect()
}

fn load_text(cells: &[AtomicU8]) -> String {
    String::from_utf8_lossy(&load(cells)).into_owned()
}

/// The boot's id in two halves; zero when it cannot be known.
fn boot() -> [u64; 2] {
    let text = kernel::text("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let half = |range: std::ops::Range<usize>| {
        digits.get(range).and_then(|half| u64::from_str_radix(half, 16).ok()).unwrap_or(0)
    };
    [half(0..16), half(16..32)]
}

/// Tells the guard that this host is not hung: what it kills needs a processor to die, and so does the host to kill it;
/// what it has to look at or to write can be much.
pub fn ask_for_patience() {
    const A_WHILE: Duration = Duration::from_secs(3);
    if let Some(page) = get() {
        page.patience_ns.store(u64::try_from((clock::now() + A_WHILE).as_nanos()).unwrap_or(0), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file.rewind().expect("rewound");
        file
    }

    #[test]
    fn what_is_no_page_of_this_version_is_not_read() {
        let mut whole = vec![0xffu8; size_of::<Page>()];
        assert!(read(&file(&[])).is_none());
        assert!(read(&file(&whole)).is_none());
        whole[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        assert!(read(&file(&whole[..whole.len() - 1])).is_none());
        assert_eq!(fault(&file(&whole[..whole.len() - 1])), Fault::Damaged);
        whole[7] ^= 1;
        assert!(read(&file(&whole)).is_none(), "another version");
        assert_eq!(fault(&file(&whole)), Fault::OtherVersion);
        assert_eq!(
            [&[][..], b"x", &[0xff; 8]].map(|bytes| fault(&file(bytes))),
            [Fault::Empty, Fault::Damaged, Fault::Damaged]
        );
    }

    #[test]
    fn garbage_under_a_good_header_describes_nobody() {
        let mut whole = vec![0xffu8; size_of::<Page>()];
        whole[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        let page = read(&file(&whole)).expect("a page");
        assert!(page.published().is_empty(), "no pid is negative");
        assert!(page.is_of_another_boot() && !page.counts_here());
        assert!(!page.guard().alive() && !page.host().alive());
        assert!(page.started() <= SystemTime::now());
        assert!(!page.script().is_empty());
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        let cells: [AtomicU8; 8] = std::array::from_fn(|_| AtomicU8::new(7));
        store(&cells, b"/a/long/way/to/it.rhai");
        assert_eq!(load_text(&cells), "/it.rhai");
        store(&cells, b"x");
        assert_eq!(load_text(&cells), "x");
    }
}
