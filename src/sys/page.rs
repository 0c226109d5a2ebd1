//! The memory that guard and host share: written by one side, read by the other when the first is gone.
//!
//! Fixed layout and atomics only, no lock: a process that was killed while it held a lock would take the
//! other one with it. A slot is published by storing its pid last and withdrawn by storing 0 first.

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};

/// Jobs beyond this number are stopped with the defaults (TERM, the run's grace period) when the host is
/// killed; while the host lives there is no limit.
pub const SLOTS: usize = 1024;
const NAME: usize = 32;

#[repr(C)]
pub struct Page {
    /// Nanoseconds that the run has spent stopped (Ctrl-Z); see [`super::clock`].
    pub paused_ns: AtomicU64,
    /// The run's grace period, in milliseconds.
    pub grace_ms: AtomicU64,
    /// When the stop began, on the run's clock, in nanoseconds; 0 before. Whoever ends a stop keeps this clock.
    pub stop_since_ns: AtomicU64,
    /// The longest grace period of any running job, in milliseconds.
    pub longest_grace_ms: AtomicU64,
    slots: [Slot; SLOTS],
}

#[repr(C)]
struct Slot {
    pid: AtomicI32,
    stop_signal: AtomicI32,
    grace_ms: AtomicU32,
    name: [AtomicU8; NAME],
}

/// What the guard needs to stop one job in the host's place.
#[derive(Clone, Debug)]
pub struct SlotView {
    pub pid: i32,
    pub stop_signal: i32,
    pub grace_ms: u32,
    pub name: String,
}

static PAGE: OnceLock<&'static Page> = OnceLock::new();

/// Maps the page. Called once, by the guard, before it forks the host.
pub fn create() -> nix::Result<&'static Page> {
    let size = NonZeroUsize::new(size_of::<Page>()).unwrap_or(NonZeroUsize::MIN);
    // SAFETY: a fresh anonymous mapping, large and aligned enough for a Page; zeroed memory is a valid
    // Page since every field is an atomic integer or bool; it is never unmapped, hence 'static.
    let page: &'static Page = unsafe {
        let memory =
            mmap_anonymous(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED)?;
        &*memory.as_ptr().cast::<Page>()
    };
    Ok(PAGE.get_or_init(|| page))
}

/// The page, once there is one.
pub fn get() -> Option<&'static Page> {
    PAGE.get().copied()
}

impl Page {
    /// Publishes a job; returns the slot to withdraw later, none when all are taken.
    pub fn publish(&self, pid: i32, stop_signal: i32, grace_ms: u64, name: &str) -> Option<usize> {
        self.longest_grace_ms.fetch_max(grace_ms, SeqCst);
        let index = self.slots.iter().position(|slot| slot.pid.load(SeqCst) == 0)?;
        let slot = &self.slots[index];
        slot.stop_signal.store(stop_signal, SeqCst);
        slot.grace_ms.store(u32::try_from(grace_ms).unwrap_or(u32::MAX), SeqCst);
        let bytes = name.as_bytes();
        for (i, cell) in slot.name.iter().enumerate() {
            cell.store(bytes.get(i).copied().unwrap_or(0), SeqCst);
        }
        slot.pid.store(pid, SeqCst);
        Some(index)
    }

    pub fn withdraw(&self, slot: usize) {
        self.slots[slot].pid.store(0, SeqCst);
    }

    pub fn published(&self) -> Vec<SlotView> {
        let text = |slot: &Slot| {
            let bytes: Vec<u8> = slot.name.iter().map(|c| c.load(SeqCst)).take_while(|b| *b != 0).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        self.slots
            .iter()
            .filter(|slot| slot.pid.load(SeqCst) != 0)
            .map(|slot| SlotView {
                pid: slot.pid.load(SeqCst),
                stop_signal: slot.stop_signal.load(SeqCst),
                grace_ms: slot.grace_ms.load(SeqCst),
                name: text(slot),
            })
            .collect()
    }
}
