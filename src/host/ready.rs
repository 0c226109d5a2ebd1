//! What shows that a job is ready, and waiting for it. Every wait for a port, a URL, a log line, a file or a
//! command is one [`Prober`] of one [`Condition`]; `ready` is a list of them.

use super::error::{self, Fallible, ScriptError};
use super::flow;
use super::job::{Job, listening_ports, view};
use super::launch::{self, Launch};
use super::owner;
use super::runtime::rt;
use super::value::{self, Opts};
use super::wait::{self as waits, Common};
use crate::event::Event;
use crate::jobs::control::lock;
use crate::jobs::output::LogReader;
use crate::jobs::spec::{Command, SpawnError};
use crate::jobs::{self, State};
use crate::probe::background::Background;
use crate::probe::cmd::CommandProbe;
use crate::probe::http::{Answer, Target};
use crate::probe::log::{Found, LogProbe};
use crate::probe::{Attempt, DEFAULT_TIMEOUT, Seen, Wait, poll_interval, tcp};
use regex::Regex;
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, NativeCallContext};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// One thing that can be waited for.
#[derive(Clone)]
pub enum Condition {
    /// A TCP port accepts connections.
    Port {
        host: String,
        port: u16,
    },
    /// Nobody listens on a TCP port of this machine.
    PortFree(u16),
    /// A URL answers as wanted.
    Http(Arc<Target>),
    /// The job's log has a matching line.
    Log(Regex),
    File(PathBuf),
    /// A Unix socket accepts connections.
    Socket(PathBuf),
    Cmd(Command),
    /// The job listens on any TCP port.
    Listening,
    /// It listens, or is still alive after this time.
    Settled(Duration),
    Closure(FnPtr),
    /// It has ended as expected: a task, not a server.
    Ended,
}

impl Condition {
    /// What is waited for, as people say it.
    pub fn describe(&self) -> String {
        match self {
            Self::Port { host, port } if host == "localhost" => format!("port {port}"),
            Self::Port { host, port } => format!("{host}:{port}"),
            Self::PortFree(port) => format!("port {port} to be free"),
            Self::Http(target) => target.request.url.to_string(),
            Self::Log(pattern) => format!("a log line matching /{pattern}/"),
            Self::File(path) => format!("the file {}", path.display()),
            Self::Socket(path) => format!("the socket {}", path.display()),
            Self::Cmd(command) => format!("`{}`", command.display()),
            Self::Listening => "a listening port".to_owned(),
            Self::Settled(time) => {
                format!("a listening port, or {} of life", value::show_duration(*time))
            }
            Self::Closure(_) => "the condition".to_owned(),
            Self::Ended => "its end".to_owned(),
        }
    }

    /// What satisfied it, given what an attempt was ready with.
    fn satisfied_by(&self, value: &Dynamic) -> String {
        let whole_match = || value.read_lock::<Array>()?.first()?.clone().into_string().ok();
        match self {
            Self::Log(_) => {
                whole_match().map_or_else(|| self.describe(), |text| format!("{text:?} in its log"))
            }
            Self::Listening => format!("port {value}"),
            Self::Ended => "it has ended".to_owned(),
            Self::Closure(_) => "its condition holds".to_owned(),
            _ => self.describe(),
        }
    }

    /// The local port that must answer, for the owner check and for advice.
    pub fn local_port(&self) -> Option<u16> {
        match self {
            Self::Port { host, port } => {
                matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1").then_some(*port)
            }
            Self::Http(target) => target.local_port(),
            _ => None,
        }
    }

    /// Whether only a job of this run can satisfy it.
    pub fn needs_jobs(&self) -> bool {
        matches!(self, Self::Port { .. } | Self::Http(_) | Self::Log(_) | Self::Listening | Self::Settled(_))
    }

    /// Whether an event tells of it, so that each is worth an attempt.
    pub fn is_eventful(&self) -> bool {
        matches!(self, Self::Log(_) | Self::File(_) | Self::Ended)
    }
}

/// How long one HTTP attempt may take before another is made; the wait's own deadline holds all the same.
const HTTP_ATTEMPT: Duration = Duration::from_secs(5);

type Failure = Box<EvalAltResult>;

/// The state of waiting for one condition.
pub struct Prober<'a> {
    condition: Condition,
    job: Option<Job>,
    external: bool,
    since: Duration,
    live: Live<'a>,
}

enum Live<'a> {
    Idle,
    Log(LogProbe),
    Http {
        request: Background<Result<Answer, String>>,
        /// When a request is made even if nobody listens: the kernel may forward the port to somebody who does.
        even_so: Duration,
    },
    Tcp(Background<Result<(), String>>),
    Cmd(Box<CommandProbe<'a>>),
}

impl Prober<'static> {
    /// `log_from`: where in the job's log to begin.
    pub fn new(condition: Condition, job: Option<Job>, external: bool, log_from: u64) -> Fallible<Self> {
        let rt = rt();
        let control = || Arc::clone(&rt.jobs.control);
        let live = match (&condition, &job) {
            (Condition::Log(pattern), Some(job)) => {
                let path = job.0.log.clone().unwrap_or_default();
                if let Some(dir) = path.parent() {
                    rt.jobs.watch(dir);
                }
                Live::Log(LogProbe::new(LogReader::from_offset(&path, log_from), pattern.clone()))
            }
            (Condition::Http(_), _) => {
                Live::Http { request: Background::new(control()), even_so: Duration::ZERO }
            }
            (Condition::Port { .. } | Condition::Socket(_), _) => Live::Tcp(Background::new(control())),
            (Condition::Cmd(command), _) => {
                let opts = Opts::none("wait_cmd");
                let mut spec = Launch::new("wait_cmd", None, command.clone(), &opts)?.command_spec()?;
                // It looks at the job from where the job is: same PORT, same directory, same user.
                if let Some(Job(job)) = &job {
                    spec.env.clone_from(&job.spec.env);
                    spec.cwd.clone_from(&job.spec.cwd);
                    spec.user.clone_from(&job.spec.user);
                }
                Live::Cmd(Box::new(CommandProbe::new(&rt.jobs, spec)))
            }
            (Condition::File(path), _) => {
                if let Some(dir) = path.parent() {
                    rt.jobs.watch(dir);
                }
                Live::Idle
            }
            _ => Live::Idle,
        };
        Ok(Self { condition, job, external, since: jobs::now(), live })
    }

    /// As `new`, for a command with options of its own.
    pub fn command(command: Command, launch: Launch) -> Fallible<Self> {
        let rt = rt();
        let probe = CommandProbe::new(&rt.jobs, launch.command_spec()?);
        let live = Live::Cmd(Box::new(probe));
        Ok(Self { condition: Condition::Cmd(command), job: None, external: false, since: jobs::now(), live })
    }

    /// One attempt. What it is ready with is what the wait returns.
    pub fn attempt(&mut self, ctx: &NativeCallContext) -> Attempt<Dynamic, Failure> {
        match self.try_once(ctx) {
            Attempt::Ready(value) => match self.check_owner() {
                Ok(()) => Attempt::Ready(value),
                Err(error) => Attempt::Never(error),
            },
            other => other,
        }
    }

    fn try_once(&mut self, ctx: &NativeCallContext) -> Attempt<Dynamic, Failure> {
        let rt = rt();
        match (&self.condition, &mut self.live) {
            (Condition::Port { host, port }, Live::Tcp(background)) => {
                // On this machine connecting does not block, and a thread would only cost time; a name may have
                // to be looked up.
                let result = match tcp::local(host, *port) {
                    Some(addresses) => Some(tcp::connect(&addresses)),
                    None => {
                        let (host, port) = (host.clone(), *port);
                        background.poll(move || tcp::connect(&tcp::addresses(&host, port)?))
                    }
                };
                match result {
                    None => Attempt::Busy,
                    Some(Ok(_)) => Attempt::Ready(Dynamic::UNIT),
                    Some(Err(seen)) => Attempt::NotYet(seen),
                }
            }
            (Condition::Http(target), Live::Http { request, even_so }) => {
                // Whether somebody listens at all is known without a request, at a tenth of its cost.
                let now = jobs::now();
                let pointless = || target.local_port().is_some_and(|port| !jobs::port::in_use(port));
                if !request.under_way() {
                    if now < *even_so && pointless() {
                        return Attempt::NotYet("connection refused".to_owned());
                    }
                    *even_so = now + poll_interval(now.saturating_sub(self.since));
                }
                let theirs = Arc::clone(target);
                match request.poll(move || crate::probe::http::attempt(&theirs, HTTP_ATTEMPT)) {
                    None => Attempt::Busy,
                    Some(Ok(_)) => Attempt::Ready(Dynamic::UNIT),
                    Some(Err(seen)) => Attempt::NotYet(seen),
                }
            }
            (Condition::Log(_), Live::Log(probe)) => {
                let (before, missed) = (probe.reader.truncated, probe.reader.missed);
                let over =
                    self.job.as_ref().and_then(view).is_none_or(|v| matches!(v.state, State::Ended(_)));
                let found = probe.attempt(over, jobs::now());
                if probe.reader.missed && !missed {
                    rt.warn("a job's log grew faster than it was read: what was dropped of it was not looked at (max_log)");
                }
                if probe.reader.truncated && !before {
                    rt.warn("a job's log was truncated by somebody; reading it from its new start");
                }
                match found {
                    Found::Match(captures) => Attempt::Ready(capture_array(captures)),
                    Found::Nothing => Attempt::NotYet("no such line".to_owned()),
                    Found::More => {
                        rt.control().bell.ring(); // Go on at once, but hear an interrupt first.
                        Attempt::Busy
                    }
                }
            }
            (Condition::Cmd(_), Live::Cmd(probe)) => match probe.attempt() {
                Attempt::Ready(()) => Attempt::Ready(Dynamic::UNIT),
                Attempt::NotYet(seen) => Attempt::NotYet(seen),
                Attempt::Busy => Attempt::Busy,
                Attempt::Never(SpawnError::Stopping) => Attempt::Never(error::terminated()),
                Attempt::Never(e) => Attempt::Never(launch::spawn_error("wait_cmd", &e, None)),
            },
            (Condition::PortFree(port), _) => truth(!jobs::port::in_use(*port), "somebody listens"),
            (Condition::File(path), _) => truth(path.exists(), "no such file"),
            (Condition::Socket(path), Live::Tcp(background)) => match background.poll(socket_attempt(path)) {
                None => Attempt::Busy,
                Some(Ok(())) => Attempt::Ready(Dynamic::UNIT),
                Some(Err(_)) if !path.exists() => Attempt::NotYet("no such file".to_owned()),
                Some(Err(_)) if !path.metadata().is_ok_and(|meta| meta.file_type().is_socket()) => {
                    Attempt::NotYet("not a socket".to_owned())
                }
                Some(Err(seen)) => Attempt::NotYet(seen),
            },
            (Condition::Listening, _) => {
                match self.job.as_ref().map(listening_ports).unwrap_or_default().first() {
                    Some(port) => Attempt::Ready(i64::from(*port).into()),
                    None => Attempt::NotYet("listens on no port".to_owned()),
                }
            }
            (Condition::Settled(time), _) => {
                let lived = jobs::now() >= self.since + *time;
                let listens = || self.job.as_ref().is_some_and(|job| !listening_ports(job).is_empty());
                truth(lived || listens(), "neither listens nor has lived that long")
            }
            (Condition::Ended, _) => {
                let ended = self
                    .job
                    .as_ref()
                    .and_then(view)
                    .is_some_and(|v| matches!(v.state, State::Ended(_)) && !v.died);
                truth(ended, "running")
            }
            (Condition::Closure(closure), _) => call_condition(ctx, closure, self.job.as_ref()),
            _ => Attempt::NotYet(String::new()),
        }
    }

    /// A local port must be answered by this run, unless the script says otherwise.
    fn check_owner(&self) -> Fallible<()> {
        match self.condition.local_port() {
            Some(port) if !self.external => {
                owner::check_owner(port, self.job.as_ref().map(|job| job.0.spec.name.as_str()))
            }
            _ => Ok(()),
        }
    }

    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    pub fn external(&self) -> bool {
        self.external
    }

    /// What a command that never succeeded printed last.
    pub fn last_output(&self) -> Option<String> {
        match &self.live {
            Live::Cmd(probe) => probe.last.as_ref().map(|(_, captured)| captured.text(None)),
            _ => None,
        }
    }
}

/// Connecting to a Unix socket blocks when its backlog is full.
fn socket_attempt(path: &std::path::Path) -> impl FnOnce() -> Result<(), String> + Send + 'static {
    let path = path.to_owned();
    move || UnixStream::connect(path).map(drop).map_err(|e| tcp::explain(&e))
}

fn truth(ready: bool, otherwise: &str) -> Attempt<Dynamic, Failure> {
    if ready { Attempt::Ready(Dynamic::UNIT) } else { Attempt::NotYet(otherwise.to_owned()) }
}

pub fn capture_array(captures: Vec<Option<String>>) -> Dynamic {
    let values: Array =
        captures.into_iter().map(|group| group.map_or(Dynamic::UNIT, Dynamic::from)).collect();
    values.into()
}

/// Calls a condition. Expected failures mean *not yet*; a mistake in the script ends the wait.
fn call_condition(ctx: &NativeCallContext, closure: &FnPtr, job: Option<&Job>) -> Attempt<Dynamic, Failure> {
    let result = rt().as_condition(|| {
        let result = closure.call_within_context::<Dynamic>(ctx, ());
        match (result, job) {
            // It has a parameter: the job.
            (Err(error), Some(job)) if is_unknown(&error, closure.fn_name()) => {
                closure.call_within_context::<Dynamic>(ctx, (job.clone(),))
            }
            (result, _) => result,
        }
    });
    match result {
        Ok(value) if value.is_unit() => Attempt::NotYet("()".to_owned()),
        Ok(value) if value.as_bool() == Ok(false) => Attempt::NotYet("false".to_owned()),
        Ok(value) => Attempt::Ready(value),
        Err(error) => match flow::not_yet(&error) {
            Some(message) => Attempt::NotYet(message),
            None => Attempt::Never(error),
        },
    }
}

/// Whether there is no such function with this number of parameters.
fn is_unknown(error: &EvalAltResult, name: &str) -> bool {
    matches!(error, EvalAltResult::ErrorFunctionNotFound(signature, _) if signature.starts_with(name))
}

/// When a job is ready, as its options say.
#[derive(Default)]
pub struct Readiness {
    conditions: Vec<Condition>,
    common: Common,
    /// Where in its log the job began: later than 0 after a restart.
    log_from: AtomicU64,
}

impl Readiness {
    pub fn parse(function: &str, opts: &Opts, port: Option<u16>) -> Fallible<Self> {
        let mut conditions = Vec::new();
        if let Some(value) = opts.get("ready") {
            parse_conditions(&format!("{function}: option `ready`"), value, port, &mut conditions)?;
        } else if opts.get("expect_exit").is_some_and(|value| value.as_bool() != Ok(false)) {
            // A task, such as a migration: what needs it wants it done.
            conditions.push(Condition::Ended);
        }
        Ok(Self { conditions, common: Common::from(opts)?, log_from: AtomicU64::new(0) })
    }

    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    pub fn restart_at(&self, offset: u64) {
        self.log_from.store(offset, SeqCst);
    }

    pub fn log_from(&self) -> u64 {
        self.log_from.load(SeqCst)
    }
}

/// What shows that this job is ready.
pub fn of(job: &Job) -> Arc<Readiness> {
    lock(&rt().readiness).get(&job.0.id).cloned().unwrap_or_default()
}

pub const READY_KEYS: &[&str] = &[
    "port",
    "http",
    "log",
    "file",
    "socket",
    "cmd",
    "listening",
    "settled",
    "status",
    "contains",
    "matches",
    "json",
    "headers",
    "method",
    "insecure",
    "auth",
    "unix_socket",
];

fn parse_conditions(
    what: &str,
    value: &Dynamic,
    port: Option<u16>,
    into: &mut Vec<Condition>,
) -> Fallible<()> {
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().try_for_each(|one| parse_conditions(what, one, port, into));
    }
    if let Some(closure) = value.clone().try_cast::<FnPtr>() {
        into.push(Condition::Closure(closure));
        return Ok(());
    }
    if let Some(text) = value.read_lock::<rhai::ImmutableString>()
        && (text.contains("://") || text.starts_with('/'))
    {
        let url = own_url(what, &text, port)?;
        into.push(Condition::Http(Arc::new(waits::target(what, &url, &Opts::none(what))?)));
        return Ok(());
    }
    if let Some(word) = value.read_lock::<rhai::ImmutableString>()
        && word.trim().parse::<i64>().is_err()
    {
        let hint = if word.contains(':') {
            format!("\"http://{}\"", word.as_str())
        } else {
            format!("#{{log: {:?}}}   (a line of the job's log)", word.as_str())
        };
        let message = format!("{what}: {:?} is no port, URL or path", word.as_str());
        return Err(ScriptError::usage(message).hint(hint).into());
    }
    if value.is_int() || value.is_string() {
        into.push(Condition::Port { host: "localhost".to_owned(), port: value::port(value, what)? });
        return Ok(());
    }
    if !value.is_map() {
        let shown = value::show(value);
        return Err(ScriptError::usage(format!("{what}: {shown} is no condition"))
            .note("a condition is a port, a URL, #{log: regex}, #{file: path}, #{socket: path}, #{cmd: command}, #{listening: true}, #{settled: \"1s\"}, a closure, or an array of these")
            .into());
    }
    let opts = Opts::new(what, value, READY_KEYS)?;
    let before = into.len();
    if let Some(number) = opts.port("port")? {
        into.push(Condition::Port { host: "localhost".to_owned(), port: number });
    }
    if let Some(url) = opts.string("http")? {
        // Over a Unix socket the host and its port do not matter.
        let port = port.or(opts.get("unix_socket").map(|_| 80));
        into.push(Condition::Http(Arc::new(waits::target(what, &own_url(what, &url, port)?, &opts)?)));
    }
    if let Some(pattern) = opts.string("log")? {
        into.push(Condition::Log(waits::regex(what, &pattern)?));
    }
    if let Some(path) = opts.string("file")? {
        into.push(Condition::File(rt().path(&path)));
    }
    if let Some(path) = opts.string("socket")? {
        into.push(Condition::Socket(rt().path(&path)));
    }
    if let Some(command) = opts.get("cmd") {
        into.push(Condition::Cmd(value::command(command, what)?));
    }
    if opts.bool("listening")? == Some(true) {
        into.push(Condition::Listening);
    }
    if let Some(time) = opts.duration("settled")? {
        into.push(Condition::Settled(time));
    }
    if into.len() == before {
        return Err(ScriptError::usage(format!("{what}: the map names no condition"))
            .note(format!("it takes one or more of: {}", READY_KEYS[..8].join(", ")))
            .into());
    }
    Ok(())
}

/// A path alone is one on the job's own URL.
fn own_url(what: &str, url: &str, port: Option<u16>) -> Fallible<String> {
    if url.contains("$PORT") || url.contains("${PORT}") {
        let path = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = path.find('/').map_or("/", |start| &path[start..]);
        return Err(ScriptError::usage(format!("{what}: {url:?}: only a shell would replace PORT"))
            .hint(format!("{path:?}   (a path alone is one on the job's own port)"))
            .into());
    }
    match port {
        _ if !url.starts_with('/') => Ok(url.to_owned()),
        Some(port) => Ok(format!("http://127.0.0.1:{port}{url}")),
        None => Err(ScriptError::usage(format!("{what}: the path {url:?} needs the job's own port"))
            .hint(format!(
                "port: \"free\"   (or the whole URL: \"http://localhost:8080{url}\", or #{{file: {url:?}}})"
            ))
            .into()),
    }
}

/// Waiting until one job is ready: its conditions one after the other.
pub struct Starting {
    pub job: Job,
    readiness: Arc<Readiness>,
    next: usize,
    prober: Option<Prober<'static>>,
    since: Duration,
    deadline: Duration,
    seen: Seen,
    /// What the last condition that holds was satisfied by.
    shown: String,
    /// Its readiness has been announced.
    pub ready: bool,
}

impl Starting {
    pub fn new(job: &Job, common: &Common) -> Self {
        let readiness = of(job);
        let since = jobs::now();
        let timeout = common.timeout.or(readiness.common.timeout).unwrap_or(DEFAULT_TIMEOUT);
        Self {
            job: job.clone(),
            readiness,
            next: 0,
            prober: None,
            since,
            deadline: since + timeout,
            seen: Seen::default(),
            shown: "started".to_owned(),
            ready: false,
        }
    }

    /// Tries what it waits for now; goes on to the next condition as soon as one holds.
    pub fn step(&mut self, ctx: &NativeCallContext, function: &str) -> Attempt<(), Failure> {
        while let Some(condition) = self.readiness.conditions.get(self.next) {
            let what = condition.describe();
            let prober = match &mut self.prober {
                Some(prober) => prober,
                empty => match Prober::new(
                    condition.clone(),
                    Some(self.job.clone()),
                    false,
                    self.readiness.log_from(),
                ) {
                    Ok(prober) => empty.insert(prober),
                    Err(error) => return Attempt::Never(error),
                },
            };
            // Looked at before the attempt: what a job printed just before its end counts.
            let state = view(&self.job);
            match prober.attempt(ctx) {
                Attempt::Ready(value) => {
                    self.shown = condition.satisfied_by(&value);
                    self.prober = None;
                    self.next += 1;
                    continue;
                }
                Attempt::Never(error) => return Attempt::Never(error),
                Attempt::NotYet(seen) => self.seen.add(seen),
                Attempt::Busy => {}
            }
            let waiting_for = format!("`{}` to be ready ({what})", self.job.0.spec.name);
            if let Some(State::Ended(status)) = state.map(|view| view.state)
                && !matches!(condition, Condition::Ended)
            {
                if let Some(found) = rt().jobs.tell_fail_line(self.job.0.id) {
                    return Attempt::Never(error::fail_line(&self.job.0, &found, Some(&what)).into());
                }
                rt().jobs.told(self.job.0.id);
                return Attempt::Never(error::job_died(&self.job.0, status, Some(&what)).into());
            }
            if jobs::now() >= self.deadline {
                let waited = self.deadline.saturating_sub(self.since);
                let facts = waits::TimeoutFacts {
                    what: &waiting_for,
                    waited,
                    seen: &self.seen,
                    about: std::slice::from_ref(&self.job),
                    port: condition.local_port(),
                    message: self.readiness.common.message.as_deref(),
                };
                return Attempt::Never(waits::timeout(function, &facts).into());
            }
            return Attempt::NotYet(what);
        }
        if !self.ready {
            if let Some(found) = rt().jobs.tell_fail_line(self.job.0.id) {
                let what = format!("`{}` to be ready", self.job.0.spec.name);
                return Attempt::Never(error::fail_line(&self.job.0, &found, Some(&what)).into());
            }
            self.ready = true;
            let what = self.shown.clone();
            let after = jobs::now().saturating_sub(view(&self.job).map_or(self.since, |view| view.started));
            rt().jobs.ready(self.job.0.id);
            rt().emit(Event::JobReady { job: self.job.0.spec.name.clone(), what, after });
        }
        Attempt::Ready(())
    }

    /// The poll interval that its options ask for.
    pub fn interval(&self) -> Option<Duration> {
        self.readiness.common.interval
    }
}

/// Waits until all of these jobs are ready.
pub fn wait(ctx: &NativeCallContext, function: &str, jobs: &[Job], opts: &Opts) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    let common = Common::from(opts)?;
    if let Some(job) = jobs.iter().find(|job| of(job).is_empty()) {
        return Err(ScriptError::usage(format!("{function}: job `{}` has no `ready`", job.0.spec.name))
            .hint("ready: 8080   (in its options; or a URL, #{log: regex}, #{listening: true} …)")
            .into());
    }
    let mut starting: Vec<Starting> = jobs.iter().map(|job| Starting::new(job, &common)).collect();
    let mut wait = Wait::new(&rt.jobs);
    wait.timeout = None; // Each job has its own deadline.
    wait.interval = common.interval.or_else(|| starting.iter().filter_map(Starting::interval).min());
    wait.eager = starting.iter().any(|one| one.readiness.conditions.iter().any(Condition::is_eventful));
    let names: Vec<String> = jobs.iter().map(|job| format!("`{}`", job.0.spec.name)).collect();
    let all = || {
        let mut waiting = None;
        for one in &mut starting {
            match one.step(ctx, function) {
                Attempt::Ready(()) => {}
                Attempt::Never(error) => return Attempt::Never(error),
                Attempt::NotYet(what) => drop(waiting.get_or_insert(what)),
                Attempt::Busy => drop(waiting.get_or_insert_with(String::new)),
            }
        }
        waiting.map_or(Attempt::Ready(()), Attempt::NotYet)
    };
    let what = format!("{} to be ready", names.join(", "));
    wait.run(all).map_err(|failed| waits::failed(function, &what, failed, opts, jobs, |error| error))
}

/// The job that `start` has started, once it is ready. One that does not get ready is told with its log.
pub fn started(ctx: &NativeCallContext, job: Job) -> Fallible<Job> {
    wait(ctx, "start", std::slice::from_ref(&job), &Opts::none("start"))?;
    Ok(job)
}
