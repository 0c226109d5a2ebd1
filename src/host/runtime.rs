//! What the script functions work on. One process runs one script, so there is one.

use super::error::{Fallible, terminated};
use crate::event::{Bus, Event};
use crate::jobs::Jobs;
use crate::jobs::control::{Control, lock};
use crate::jobs::port::FreePorts;
use rhai::FnPtr;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// What `run` gives us to work with.
#[derive(Clone)]
pub struct Session {
    pub jobs: Arc<Jobs>,
    pub bus: Arc<Bus>,
    pub options: Options,
}

#[derive(Clone)]
pub struct Options {
    pub args: Vec<String>,
    pub include: Vec<PathBuf>,
    pub grace: Duration,
    /// When the run started, on the run's clock.
    pub started: Duration,
}

/// A closure to run at the end, with what it needs to be called.
#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
pub struct Hook {
    pub closure: FnPtr,
    pub context: rhai::NativeCallContextStore,
}

pub struct Runtime {
    pub jobs: Arc<Jobs>,
    pub bus: Arc<Bus>,
    pub options: Options,
    pub ports: FreePorts,
    /// The environment of what is started from now on.
    pub env: Mutex<BTreeMap<OsString, OsString>>,
    pub cwd: Mutex<PathBuf>,
    pub hooks: Mutex<Vec<Hook>>,
    /// The directory of the main script.
    pub script_dir: Mutex<PathBuf>,
    /// The parameters that the script has asked for.
    pub asked: Mutex<BTreeSet<String>>,
    /// When each job is ready, by id.
    pub readiness: Mutex<BTreeMap<usize, Arc<super::ready::Readiness>>>,
    /// How many conditions (`wait_until` and its kin) are being tried: what they run is not worth a line.
    pub conditions: AtomicUsize,
    /// Jobs started by `mock`, by id.
    pub mocks: Mutex<BTreeSet<usize>>,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime of this process.
///
/// # Panics
/// Outside of a run. Only functions called by a script use it, and `check` calls none.
pub fn rt() -> &'static Runtime {
    RUNTIME.get().expect("script functions are only called in a run")
}

/// Whether a script runs in this process.
pub fn running() -> Option<&'static Runtime> {
    RUNTIME.get()
}

pub fn install(session: Session) -> &'static Runtime {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    RUNTIME.get_or_init(|| Runtime {
        jobs: session.jobs,
        bus: session.bus,
        options: session.options,
        ports: FreePorts::default(),
        env: Mutex::new(std::env::vars_os().collect()),
        cwd: Mutex::new(cwd.clone()),
        hooks: Mutex::default(),
        script_dir: Mutex::new(cwd),
        asked: Mutex::default(),
        readiness: Mutex::default(),
        conditions: AtomicUsize::new(0),
        mocks: Mutex::default(),
    })
}

impl Runtime {
    pub fn control(&self) -> &Control {
        &self.jobs.control
    }

    /// Every function that does something passes here first: an interrupted script goes no further.
    pub fn checkpoint(&self) -> Fallible<()> {
        if self.control().halted() { Err(terminated()) } else { Ok(()) }
    }

    pub fn within_condition(&self) -> bool {
        self.conditions.load(SeqCst) > 0
    }

    /// A path as the script means it: relative to `cwd()`.
    pub fn path(&self, path: &str) -> PathBuf {
        lock(&self.cwd).join(path)
    }

    pub fn cwd(&self) -> PathBuf {
        lock(&self.cwd).clone()
    }

    pub fn env(&self) -> BTreeMap<OsString, OsString> {
        lock(&self.env).clone()
    }

    pub fn emit(&self, event: Event) {
        self.bus.emit(event);
    }

    pub fn warn(&self, text: impl Into<String>) {
        self.emit(Event::Warning(text.into()));
    }
}

/// A path for people: relative to the directory that bgjobs was called in, where that is shorter.
pub fn display_path(path: &Path) -> String {
    let cwd = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&cwd).unwrap_or(path).display().to_string()
}
