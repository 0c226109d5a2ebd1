//! Which file a log was when it was opened, and what is kept of it should it go.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// The file that a log was when it was opened: what has come under its name since is not ours to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    pub fn of(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }
}

/// What is kept of a log.
#[derive(Default)]
pub struct Held {
    pub(crate) file: Mutex<Option<File>>,
    /// The most that was ever seen in it.
    pub(crate) longest: AtomicU64,
    /// Its fate has been said.
    pub(crate) said: AtomicBool,
}

impl Held {
    pub fn new(file: Option<File>) -> Self {
        Self { file: Mutex::new(file), ..Self::default() }
    }
}
