//! What the script functions work on. One process runs one script, so there is one.

use crate::cli::Follow;
use crate::event::{Bus, Event};
use crate::handed::Handed;
use crate::host::explain::called;
use crate::host::source::captured;
use crate::host::value::error::{Fallible, ScriptError, terminated};
use crate::issuer::Authority;
use crate::jobs::control::Control;
use crate::jobs::env::Env;
use crate::jobs::port::{self, FreePorts};
use crate::jobs::strand::{self, Strand};
use crate::jobs::{self, Jobs};
use crate::lock::lock;
use crate::pending::{Doing, Pending};
use crate::select::Select;
use crate::snapshot::Snapshots;
use crate::spans::{self, Span, Trace};
use crate::suite::Suite;
use rhai::{Dynamic, Engine, FnPtr, NativeCallContext};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// What `run` gives us to work with.
#[derive(Clone)]
pub struct Session {
    pub jobs: Arc<Jobs>,
    pub bus: Arc<Bus>,
    pub suite: Arc<Suite>,
    /// None where nothing is to be traced.
    pub trace: Option<Arc<Trace>>,
    pub options: Options,
}

#[derive(Clone)]
pub struct Options {
    /// The script as it was called: a path, the name of one that is built in, `-` or `-e`.
    pub source: String,
    pub args: Vec<String>,
    pub include: Vec<PathBuf>,
    /// What was handed on to this run.
    pub handed: Vec<Handed>,
    pub grace: Duration,
    /// Which tests run.
    pub select: Select,
    /// Snapshots are written anew.
    pub update: bool,
    /// What jobs print is shown, whether or not they have the option `echo`.
    pub follow: Option<Follow>,
    /// When the run started, on the run's clock.
    pub started: Duration,
}

/// A closure to run later, with what it needs to be called.
#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
#[derive(Clone, Debug)]
pub struct Hook {
    pub closure: FnPtr,
    pub context: rhai::NativeCallContextStore,
    /// The file in which it was handed over.
    pub source: String,
}

#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
impl Hook {
    /// # Errors
    /// The closure has parameters, but would get nothing. `function`: what has been given it.
    pub fn new(function: &str, ctx: &NativeCallContext, closure: FnPtr) -> Fallible<Self> {
        if let Some(params) = captured::parameters(&closure).filter(|params| *params > 0) {
            let plural = if params == 1 { "a parameter" } else { "parameters" };
            let wrong = format!("{function}: its closure takes {plural}, but gets none");
            return Err(ScriptError::usage(wrong).hint(format!("{function}(|| …)")).into());
        }
        let source = ctx.call_source().unwrap_or_default().to_owned();
        Ok(Self { closure, context: ctx.store_data(), source })
    }

    pub fn call(&self, engine: &Engine) -> Fallible<()> {
        let context = self.context.create_context(engine);
        self.closure.call_within_context::<Dynamic>(&context, ()).map(drop)
    }
}

pub struct Runtime {
    pub jobs: Arc<Jobs>,
    pub bus: Arc<Bus>,
    pub suite: Arc<Suite>,
    trace: Option<Arc<Trace>>,
    pub options: Options,
    pub ports: FreePorts,
    /// The environment of what is started from now on.
    pub env: Mutex<Env>,
    pub cwd: Mutex<PathBuf>,
    pub hooks: Mutex<Vec<Hook>>,
    /// What is done around the tests of the whole script.
    pub tests: Arc<Group>,
    /// A test of the script has the option `only`.
    pub only: AtomicBool,
    /// The file of the main script, if it has one.
    pub script_file: Mutex<Option<PathBuf>>,
    /// Its snapshots, once they were asked for.
    pub snapshots: Mutex<Option<Snapshots>>,
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
    pub test: Option<Arc<Running>>,
    /// The innermost group that it is part of.
    pub group: Option<Arc<Group>>,
}

thread_local! {
    static PLACE: RefCell<Place> = const { RefCell::new(Place { condition: false, test: None, group: None }) };
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
    let mut env: Env = std::env::vars_os().collect();
    if let Some(trace) = &session.trace {
        env.insert(spans::PARENT, trace.mark());
        if !trace.continues() {
            env.remove(OsStr::new(spans::STATE));
        }
    }
    RUNTIME.get_or_init(|| Runtime {
        jobs: session.jobs,
        bus: session.bus,
        suite: session.suite,
        trace: session.trace,
        options: session.options,
        ports: FreePorts::default(),
        env: Mutex::new(env),
        cwd: Mutex::new(cwd.clone()),
        hooks: Mutex::default(),
        tests: Arc::default(),
        only: AtomicBool::new(false),
        script_file: Mutex::default(),
        snapshots: Mutex::default(),
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

    /// The innermost group of tests around what the calling thread evaluates.
    pub fn group(&self) -> Arc<Group> {
        self.place().group.unwrap_or_else(|| Arc::clone(&self.tests))
    }

    /// A path as the script means it: relative to `cwd()`.
    pub fn path(&self, path: &str) -> PathBuf {
        lock(&self.cwd).join(path)
    }

    pub fn cwd(&self) -> PathBuf {
        lock(&self.cwd).clone()
    }

    /// The environment of what is started now, in the span of the run: a job may outlive the test that starts it.
    pub fn env(&self) -> Env {
        let mut env = {
            let mut env = lock(&self.env);
            env.settle();
            env.clone()
        };
        if let Some(trace) = self.traced(&env) {
            env.insert(spans::PARENT, trace.parent(None));
        }
        env
    }

    /// The trace, unless the script has set another one, or none, in this environment.
    fn traced(&self, env: &Env) -> Option<&Trace> {
        let set = env.get(OsStr::new(spans::PARENT))?;
        self.trace.as_deref().filter(|trace| *set == trace.mark())
    }

    /// A span for a try of a test, where there is a trace for it.
    pub fn span(&self) -> Option<Span> {
        self.traced(&lock(&self.env)).map(|_| Span::draw())
    }

    /// What a command or a request is handed here: in a test its span, else that of the run.
    pub fn traceparent(&self) -> Option<String> {
        let span = self.place().test.and_then(|test| test.span);
        self.traced(&lock(&self.env)).map(|trace| trace.parent(span))
    }

    /// Has a command that is started in a test belong to its span. What was set on purpose stays.
    pub fn belong_to_test(&self, env: &mut Env) {
        let (Some(trace), Some(span)) = (&self.trace, self.place().test.and_then(|test| test.span)) else {
            return;
        };
        if env.get(OsStr::new(spans::PARENT)).is_some_and(|set| *set == *trace.parent(None)) {
            env.insert(spans::PARENT, trace.parent(Some(span)));
        }
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
        let halted = || self.control().halted();
        strand::aside(|| match event {
            Event::Stdout(bytes) => jobs::print(&self.bus, bytes, halted),
            event => self.bus.output(event, halted),
        });
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
    /// Of this try of it.
    pub span: Option<Span>,
    pub strand: Arc<Strand>,
    pub skipped: Mutex<Option<String>>,
    /// It has been called; what is done after it is under way.
    pub over: AtomicBool,
}

/// A group of tests; the outermost, without a name, is the script.
#[derive(Debug, Default)]
pub struct Group {
    pub name: String,
    pub outer: Option<Arc<Self>>,
    /// What is done before and after each of its tests.
    pub before: Mutex<Vec<Hook>>,
    pub after: Mutex<Vec<Hook>>,
}

impl Group {
    /// The groups around a test, the outermost first.
    pub fn chain(self: &Arc<Self>) -> Vec<Arc<Self>> {
        let mut chain: Vec<Arc<Self>> =
            std::iter::successors(Some(Arc::clone(self)), |group| group.outer.clone()).collect();
        chain.reverse();
        chain
    }

    /// The name of a test of it: `cart › empty › has no total`.
    pub fn named(self: &Arc<Self>, test: &str) -> String {
        let groups = self.chain();
        let names = groups.iter().map(|group| group.name.as_str()).filter(|name| !name.is_empty());
        names.chain([test]).collect::<Vec<_>>().join(" › ")
    }
}
