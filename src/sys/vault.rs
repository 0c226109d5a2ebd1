//! Memory for secrets, which guard and host share, and for where the script wants its logs. Nameless, unlike the page: it
//! is in no file, and in no core dump.
//!
//! Atomics only, no lock; what has been published stays.

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::SeqCst};

/// In bytes: what all entries together may have, with four more for each.
pub const SIZE: usize = 64 << 10;
const LENGTH: usize = size_of::<u32>();

#[repr(C)]
pub struct Vault {
    /// How many bytes are in use.
    used: AtomicU32,
    /// One after another, each with its length before it.
    bytes: [AtomicU8; SIZE],
}

static SECRETS: OnceLock<&'static Vault> = OnceLock::new();
static LOGS: OnceLock<&'static Vault> = OnceLock::new();

/// Maps both. Called once, by the guard, before it forks.
pub fn create() -> nix::Result<()> {
    let _ = SECRETS.set(map()?);
    let _ = LOGS.set(map()?);
    Ok(())
}

/// The one for secrets, once there is one.
pub fn secrets() -> Option<&'static Vault> {
    SECRETS.get().copied()
}

/// The one for logs that lie where the script wants them.
pub fn logs() -> Option<&'static Vault> {
    LOGS.get().copied()
}

fn map() -> nix::Result<&'static Vault> {
    let size = NonZeroUsize::new(size_of::<Vault>()).unwrap_or(NonZeroUsize::MIN);
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a fresh anonymous mapping, large and aligned enough for a Vault, of which zeroed memory is a valid one
    // since every field is an atomic integer; it is never unmapped, hence 'static.
    unsafe {
        let memory = mmap_anonymous(None, size, access, MapFlags::MAP_SHARED)?;
        let _ = madvise(memory, size.get(), MmapAdvise::MADV_DONTDUMP);
        Ok(&*memory.as_ptr().cast::<Vault>())
    }
}

impl Vault {
    /// Publishes an entry; false when there is no room. Only one thread at a time may do this.
    pub fn add(&self, entry: &[u8]) -> bool {
        let used = self.used();
        let Ok(length) = u32::try_from(entry.len()) else { return false };
        let end = used + LENGTH + entry.len();
        let Some(room) = self.bytes.get(used..end) else { return false };
        for (cell, byte) in room.iter().zip(length.to_ne_bytes().iter().chain(entry)) {
            cell.store(*byte, SeqCst);
        }
        self.used.store(u32::try_from(end).unwrap_or(u32::MAX), SeqCst);
        true
    }

    /// How much room the entries take: 0 when there are none, more with each.
    pub fn used(&self) -> usize {
        (self.used.load(SeqCst) as usize).min(SIZE)
    }

    pub fn entries(&self) -> Vec<Vec<u8>> {
        let bytes: Vec<u8> = self.bytes[..self.used()].iter().map(|cell| cell.load(SeqCst)).collect();
        let mut rest: &[u8] = &bytes;
        let mut found = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<LENGTH>() {
            let length = (u32::from_ne_bytes(*length) as usize).min(tail.len());
            found.push(tail[..length].to_vec());
            rest = &tail[length..];
        }
        found
    }
}
