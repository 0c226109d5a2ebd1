//! What the script functions work on. One process runs one script, so there is one.

use crate::cli::Follow;
use crate::event::{Bus, Event};
use crate::host::explain::called;
use crate::host::value::error::{Fallible, terminated};
use crate::issuer::Authority;
use crate::jobs::Jobs;
use crate::jobs::control::Control;
use crate::jobs::port::{self, FreePorts};
use crate::jobs::strand::{self, Strand};
use crate::lock::lock;
use crate::pending::{Doing, Pending};
use crate::suite::Suite;
use rhai::FnPtr;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// What `run` gives us to work with.
#[derive(Clone)]
pub struct Session {
    pub jobs: Arc<Jobs>,
    pub bus: Arc<Bus>,
    pub suite: Arc<Suite>,
    pub options: Options,
}

#[derive(Clone)]
pub struct Options {
    /// The script as it was called: a path, the name of one that is built in, `-` or `-e`.
    pub source: String,
    pub args: Vec<String>,
    pub include: Vec<PathBuf>,
    pub grace: Duration,
    /// What jobs print is shown, whether or not they have the option `echo`.
    pub follow: Option<Follow>,
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
    pub suite: Arc<Suite>,
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
    /// Which address of this machine has answered on a port, and whether by TLS.
    pub answered: Mutex<BTreeMap<u16, (IpAddr, bool)>>,
    /// How often the script has limited the rest of the run.
    pub limits: AtomicUsize,
    /// The mocks, by the id of their job, and the schemes of their addresses.
    pub mocks: Mutex<BTreeMap<usize, &'static str>>,
    /// What signs certificates, by the path of its own: first that of the run, which our own requests trust.
    pub authorities: Mutex<Vec<(PathBuf, Arc<Authority>)>>,
}

/// What surrounds a piece of the script while it is evaluated; the closures of a `parallel` inherit it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// A condition is being tried.
    pub condition: bool,
    /// The test that it is part of.
    pub test: Option<Arc<crate::host::run::runtime::Running>>,
}

thread_local! {
    static PLACE: RefCell<Place> = const { RefCell::new(Place { condition: false, test: None }) };
}

/// Sets back where the thread was before.
pub struct RestorePlace(Place);

impl Drop for RestorePlace {
    fn drop(&mut self) {
        PLACE.set(std::mem::take(&mut self.0));
    }
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
    called::remember(&session.options.source, &session.options.args);
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    RUNTIME.get_or_init(|| Runtime {
        jobs: session.jobs,
        bus: session.bus,
        suite: session.suite,
        options: session.options,
        ports: FreePorts::default(),
        env: Mutex::new(std::env::vars_os().collect()),
        cwd: Mutex::new(cwd.clone()),
        hooks: Mutex::default(),
        script_dir: Mutex::new(cwd),
        asked: Mutex::default(),
        answered: Mutex::default(),
        limits: AtomicUsize::new(0),
        mocks: Mutex::default(),
        authorities: Mutex::default(),
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

    /// Tries a condition (`wait_until` and the like): what it runs is not worth a line.
    pub fn as_condition<T>(&self, attempt: impl FnOnce() -> T) -> T {
        let mut place = self.place();
        place.condition = true;
        let _there = self.at(place);
        attempt()
    }

    pub fn within_condition(&self) -> bool {
        PLACE.with_borrow(|place| place.condition)
    }

    /// What surrounds what the calling thread evaluates.
    pub fn place(&self) -> Place {
        PLACE.with_borrow(Place::clone)
    }

    /// Has the calling thread be there, until the guard goes.
    pub fn at(&self, place: Place) -> RestorePlace {
        RestorePlace(PLACE.replace(place))
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

    /// A server of this machine has answered there.
    pub fn answered(&self, address: SocketAddr, tls: bool) {
        lock(&self.answered).insert(address.port(), (address.ip(), tls));
    }

    /// Where the server on a port of this machine is to be asked: on the address that has answered, or else on the one
    /// that it listens on.
    pub fn url(&self, port: u16) -> String {
        let known = lock(&self.answered).get(&port).copied();
        let (ip, tls) = known.unwrap_or_else(|| (port::address(port), false));
        let scheme = if tls { "https" } else { "http" };
        format!("{scheme}://{}", SocketAddr::new(ip, port))
    }

    /// Emits what the script brings about; first waits until there is room for it, as for all that it prints.
    pub fn emit(&self, event: Event) {
        strand::aside(|| self.bus.output(event, || self.control().halted()));
    }

    /// Whether what a job prints is shown, although it has not the option `echo`.
    pub fn follows(&self, job: &str) -> bool {
        self.options.follow.as_ref().is_some_and(|follow| follow.shows(job))
    }

    /// Notes for the report what is waited for from now on, until what is returned goes. What a condition does that is
    /// tried within another wait is none of its own.
    pub fn pending(&self, doing: Doing, what: impl Into<String>, timeout: Option<Duration>) -> Pending {
        if self.within_condition() {
            return Pending::default();
        }
        self.bus.pending.begin(doing, what.into(), timeout)
    }

    /// Waits until there is room for events that somebody else emits.
    pub fn wait_for_room(&self) {
        strand::aside(|| self.bus.wait_for_room(|| self.control().halted()));
    }

    pub fn warn(&self, text: impl Into<String>) {
        self.emit(Event::Warning(text.into()));
    }
}

/// The test that is being run.
#[derive(Debug)]
pub struct Running {
    pub name: String,
    pub strand: Arc<Strand>,
    pub skipped: Mutex<Option<String>>,
}
