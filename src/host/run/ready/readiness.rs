//! When a job is ready, and waiting for it.

use super::prober::{Condition, Prober};
use crate::api::{Options, Type};
use crate::event::Event;
use crate::host::functions::job::{Job, view};
use crate::host::functions::wait::{self as waits, Answer, Common};
use crate::host::run::launch::{self, JobOptions};
use crate::host::run::owner;
use crate::host::run::runtime::rt;
use crate::host::value::describe::options;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{self, Fallible, ScriptError};
use crate::host::value::kinds::{self, Count, FromValue, Port, Typed};
use crate::host::value::{self, Opts, unknown_described};
use crate::jobs::control::lock;
use crate::jobs::fail::Death;
use crate::jobs::spec::Command;
use crate::jobs::{self, Ask, JobId, State, port};
use crate::probe::{Attempt, DEFAULT_TIMEOUT, Look, Seen, Wait};
use regex::Regex;
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, NativeCallContext};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Failure = Box<EvalAltResult>;

/// When a job is ready, as its options say.
#[derive(Default)]
pub struct Readiness {
    conditions: Vec<Condition>,
    /// By `start`, not by `spawn`.
    started: bool,
    common: Common,
    /// How often it may be started until it is ready.
    tries: usize,
    /// Where in its log the job began: later than 0 after a restart.
    log_from: AtomicU64,
}

/// What stands beside `ready` and is meant for what is in it.
#[derive(Default)]
struct Beside {
    port: Option<u16>,
    times: Option<usize>,
    limit: Option<Duration>,
}

impl Readiness {
    pub fn parse(function: &str, options: &JobOptions, port: Option<u16>) -> Fallible<Self> {
        let mut conditions = Vec::new();
        let (times, limit) = (options.times.map(Count::count), options.attempt_timeout);
        let beside = Beside { port, times, limit };
        if let Some(Ready(value)) = &options.ready {
            parse_conditions(&format!("{function}: option `ready`"), value, &beside, &mut conditions)?;
        } else if options.is_task() {
            // Such as a migration: what needs it wants it done.
            conditions.push(Condition::Ended);
        } else if let Some(key) = about_ready(options) {
            let wrong = format!("{function}: option `{key}`: there is no `ready` that it could be about");
            return Err(ScriptError::usage(wrong)
                .hint(format!("ready: #{{log: \"listening\"}}, {key}: …"))
                .into());
        }
        if beside.times.is_some() && !conditions.iter().any(|one| matches!(one, Condition::Log { .. })) {
            let wrong = format!("{function}: option `times`: `ready` waits for no log line");
            return Err(ScriptError::usage(wrong).hint("ready: #{log: \"…\"}, times: 2").into());
        }
        // At once, and not when its time is up.
        if conditions.iter().any(|one| one.local_port().is_some() || matches!(one, Condition::Listening)) {
            owner::need_loopback(function)?;
        }
        let tries = options.tries.map_or(1, Count::count);
        let (started, telling) = (function == "start", options.telling.clone());
        let (timeout, stable) = (options.timeout, options.stable);
        let common = Common { timeout, stable, ..Common::of(telling, timeout) };
        Ok(Self { conditions, started, common, tries, log_from: AtomicU64::new(0) })
    }

    fn is_task(&self) -> bool {
        matches!(self.conditions[..], [Condition::Ended])
    }

    /// Who starts it waits until it is ready.
    pub fn is_awaited(&self) -> bool {
        !self.is_empty() && (self.started || !self.is_task())
    }

    pub fn is_server_from_the_start(&self) -> bool {
        self.started && !self.is_empty() && !self.is_task()
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

/// When each job of the run is ready, by id.
static READINESS: Mutex<BTreeMap<usize, Arc<Readiness>>> = Mutex::new(BTreeMap::new());

/// What shows that this job is ready.
pub fn of(job: &Job) -> Arc<Readiness> {
    lock(&READINESS).get(&job.0.id).cloned().unwrap_or_default()
}

/// Remembers what shows that a job is ready.
pub fn remember(id: JobId, readiness: Readiness) {
    lock(&READINESS).insert(id, Arc::new(readiness));
}

options! {
    /// The conditions that a map names, all of which must hold, and what is said about them.
    pub struct Conditions: Answer as answer {
        /// It accepts connections on this port.
        port: Option<Port>;
        /// This URL answers, or this path on the job's own port.
        http: Option<String>, also url;
        /// Its log has a line that matches.
        log: Option<Regex>, also regex output;
        /// There is a file.
        file: Option<String>;
        /// A Unix socket accepts connections: its path.
        socket: Option<String>;
        /// A command succeeds, which is run again and again.
        cmd: Option<Command>, also command exec run;
        /// It listens on any TCP port.
        listening: bool = false;
        /// It has printed nothing for so long.
        settled: Option<Duration>;
        /// So many lines must match `log`.
        times: Option<Count>, default "1";
        /// How long one HTTP request or one command may take.
        attempt_timeout: Option<Duration>, default "as long as the whole wait";
    }
}

/// The option `ready`. What it says is read where the job's own port is known.
#[derive(Clone, Debug)]
pub struct Ready(pub Dynamic);

impl Typed for Ready {
    const TYPE: Type = Type::OneOrMore(&Type::Either(&[
        Type::Port,
        Type::Text,
        Type::Closure,
        Type::Options(Conditions::OPTIONS),
    ]));
}

impl FromValue for Ready {
    fn from_value(value: &Dynamic, _: &str) -> Fallible<Self> {
        Ok(Self(value.clone()))
    }
}

/// The first option that says more about a `ready`.
fn about_ready(options: &JobOptions) -> Option<&'static str> {
    let given = [
        ("times", options.times.is_some()),
        ("stable", options.stable.is_some()),
        ("attempt_timeout", options.attempt_timeout.is_some()),
        ("tries", options.tries.is_some()),
        ("message", options.telling.message.is_some()),
    ];
    given.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
}

/// Options of `start` that are easily taken for a part of `ready`.
pub const BESIDE_READY: &[&str] = &["timeout", "interval", "message", "stable", "tries"];

/// A key that no condition of `ready` has. Worded the same whether it is found before the run or during it.
pub fn unknown_key(what: &str, key: &str, conditions: &'static Options) -> ScriptError {
    if !BESIDE_READY.contains(&key) {
        return unknown_described(what, key, conditions);
    }
    ScriptError::usage(format!("{what}: `{key}` stands beside `ready`, not in it"))
        .hint(format!("ready: #{{…}}, {key}: …"))
}

fn parse_conditions(what: &str, value: &Dynamic, beside: &Beside, into: &mut Vec<Condition>) -> Fallible<()> {
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().try_for_each(|one| parse_conditions(what, one, beside, into));
    }
    if let Some(closure) = value.clone().try_cast::<FnPtr>() {
        into.push(Condition::Closure(closure));
        return Ok(());
    }
    if let Some(text) = value.read_lock::<rhai::ImmutableString>()
        && (text.contains("://") || own_path(&text).is_some())
    {
        let url = own_url(what, &text, beside.port)?;
        let answer = Answer::read(&Opts::none(what))?;
        let target = Arc::new(waits::target(what, kinds::url(what, &url)?, answer)?);
        into.push(Condition::Http { target, limit: beside.limit });
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
    if let Some(map) = value.read_lock::<rhai::Map>()
        && let Some(key) = map.keys().find(|key| BESIDE_READY.contains(&key.as_str()))
    {
        return Err(unknown_key(what, key, Conditions::OPTIONS).into());
    }
    let given = Conditions::read(&Opts::described(what, value, Conditions::OPTIONS)?)?;
    let limit = given.attempt_timeout.or(beside.limit);
    let before = into.len();
    if let Some(Port(port)) = given.port {
        into.push(Condition::Port { host: "localhost".to_owned(), port });
    }
    if let Some(url) = given.http {
        // Over a Unix socket the host and its port do not matter.
        let port = beside.port.or(given.answer.unix_socket.as_ref().map(|_| 80));
        let url = kinds::url(what, &own_url(what, &url, port)?)?;
        let target = Arc::new(waits::target(what, url, given.answer)?);
        into.push(Condition::Http { target, limit });
    }
    if let Some(pattern) = given.log {
        let times = given.times.map(Count::count).or(beside.times).unwrap_or(1);
        into.push(Condition::Log { pattern, times });
    }
    if let Some(path) = given.file {
        into.push(Condition::File(rt().path(&path)));
    }
    if let Some(path) = given.socket {
        into.push(Condition::Socket(rt().path(&path)));
    }
    if let Some(command) = given.cmd {
        into.push(Condition::Cmd { command, limit });
    }
    if given.listening {
        into.push(Condition::Listening);
    }
    if let Some(time) = given.settled {
        into.push(Condition::Settled(time));
    }
    if into.len() == before {
        let names: Vec<&str> = Conditions::OPTIONS.keys[..8].iter().map(|opt| opt.name).collect();
        return Err(ScriptError::usage(format!("{what}: the map names no condition"))
            .note(format!("it takes one or more of: {}", names.join(", ")))
            .into());
    }
    Ok(())
}

/// The scheme and the path of what is meant for the job's own port: `/health`, `https:/health`.
fn own_path(text: &str) -> Option<(&str, &str)> {
    let (scheme, path) = match text.split_once(':') {
        Some((scheme @ ("http" | "https"), path)) => (scheme, path),
        _ => ("http", text),
    };
    (path.starts_with('/') && !path.starts_with("//")).then_some((scheme, path))
}

/// A path alone is one on the job's own URL, on whichever of the two addresses of this machine it listens.
fn own_url(what: &str, url: &str, port: Option<u16>) -> Fallible<String> {
    if url.contains("$PORT") || url.contains("${PORT}") {
        let path = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = path.find('/').map_or("/", |start| &path[start..]);
        let scheme = if url.starts_with("https:") { "https:" } else { "" };
        return Err(ScriptError::usage(format!("{what}: {url:?}: only a shell would replace PORT"))
            .hint(format!("\"{scheme}{path}\"   (a path alone is one on the job's own port)"))
            .into());
    }
    let Some((scheme, path)) = own_path(url) else { return Ok(url.to_owned()) };
    match port {
        Some(port) => Ok(format!("{scheme}://localhost:{port}{path}")),
        None => Err(ScriptError::usage(format!("{what}: the path {url:?} needs the job's own port"))
            .hint(format!(
                "port: \"free\"   (or the whole URL: \"{scheme}://localhost:8080{path}\", or #{{file: {path:?}}})"
            ))
            .into()),
    }
}

/// Waiting until one job is ready: its conditions one after the other, round and round, until all of them have held in
/// one round, and for as long as they have to.
pub struct Starting {
    pub job: Job,
    readiness: Arc<Readiness>,
    rounds: Rounds,
    since: Duration,
    deadline: Duration,
    seen: Seen,
    /// How often it has been started.
    started: usize,
    /// It has crashed, and is started again then.
    again_at: Option<Duration>,
    /// Its readiness has been announced.
    pub ready: bool,
}

/// Where the look at the conditions of one job is.
#[derive(Default)]
struct Rounds {
    probers: Vec<Option<Prober<'static>>>,
    /// Those that hold for ever.
    done: Vec<bool>,
    at: usize,
    /// How many in a row have held, and since when.
    held: usize,
    held_since: Option<Duration>,
    /// What the last condition that holds was satisfied by.
    shown: Option<String>,
}

/// What a look at the conditions has shown.
enum Found {
    Holds,
    /// This one does not hold yet, or not for long enough.
    NotYet(usize),
    /// An attempt is under way.
    Busy(usize),
    Never(Failure),
}

impl Rounds {
    fn new(conditions: usize) -> Self {
        let probers = std::iter::repeat_with(|| None).take(conditions).collect();
        Self { probers, done: vec![false; conditions], ..Self::default() }
    }

    /// At most one round of attempts.
    fn look(
        &mut self,
        ctx: &NativeCallContext,
        job: &Job,
        readiness: &Readiness,
        look: Look,
        seen: &mut Seen,
    ) -> Found {
        let conditions = &readiness.conditions;
        let mut tried = 0;
        loop {
            let now = jobs::now();
            let stable = readiness.common.stable.unwrap_or_default();
            if self.held >= conditions.len() && self.held_since.is_none_or(|since| now >= since + stable) {
                return Found::Holds;
            }
            let index = self.at % conditions.len();
            if tried == conditions.len() {
                return Found::NotYet(index);
            }
            if !self.done[index] {
                match self.attempt(ctx, job, readiness, index, look) {
                    Attempt::Ready(value) => {
                        let condition = &conditions[index];
                        self.shown = Some(condition.satisfied_by(&value));
                        self.done[index] = condition.is_final();
                    }
                    Attempt::Never(error) => return Found::Never(error),
                    Attempt::NotYet(what) => {
                        if let Some(since) = self.held_since.take().filter(|_| !stable.is_zero()) {
                            seen.add(held_for(now.saturating_sub(since)));
                        }
                        if conditions[index].is_eventful() {
                            seen.note(what)
                        } else {
                            seen.add(what)
                        }
                        self.held = 0;
                        return Found::NotYet(index);
                    }
                    Attempt::Busy => return Found::Busy(index),
                }
            }
            tried += 1;
            self.at += 1;
            self.held += 1;
            self.held_since.get_or_insert(now);
        }
    }

    fn attempt(
        &mut self,
        ctx: &NativeCallContext,
        job: &Job,
        readiness: &Readiness,
        index: usize,
        look: Look,
    ) -> Attempt<Dynamic, Failure> {
        let prober = match &mut self.probers[index] {
            Some(prober) => prober,
            empty => {
                let condition = readiness.conditions[index].clone();
                let (from, interval) = (readiness.log_from(), readiness.common.interval);
                match Prober::new(condition, Some(job.clone()), false, from, interval) {
                    Ok(prober) => empty.insert(prober),
                    Err(error) => return Attempt::Never(error),
                }
            }
        };
        prober.attempt(ctx, look)
    }
}

fn held_for(time: Duration) -> String {
    format!("held for {}", value::show_duration(Duration::from_millis(time.as_millis() as u64)))
}

/// How long a job rests before it is started again: as often as it has crashed times this.
const REST: Duration = Duration::from_millis(100);

impl Starting {
    pub fn new(job: &Job, common: &Common) -> Self {
        let readiness = of(job);
        let since = jobs::now();
        let timeout = common.timeout.or(readiness.common.timeout).unwrap_or(DEFAULT_TIMEOUT);
        let starting = Self {
            job: job.clone(),
            rounds: Rounds::new(readiness.conditions.len()),
            readiness,
            since,
            deadline: since + timeout,
            seen: Seen::default(),
            started: 1,
            again_at: None,
            ready: false,
        };
        rt().jobs.forgive(job.0.id, starting.may_crash());
        starting
    }

    /// Tries what it waits for now; goes on to the next condition as soon as one holds.
    pub fn step(&mut self, ctx: &NativeCallContext, function: &str, look: Look) -> Attempt<(), Failure> {
        if self.ready {
            return Attempt::Ready(());
        }
        if let Err(error) = self.start_again() {
            return Attempt::Never(error);
        }
        // Looked at before the attempt: what a job printed just before its end counts.
        let state = view(&self.job).map(|view| view.state);
        let ended = match state {
            Some(State::Ended(status)) if self.again_at.is_none() => Some(status),
            _ => None,
        };
        let look = if ended.is_some() { Look::Poll } else { look };
        // While it may crash, nobody else hears of what it prints.
        if self.again_at.is_none()
            && self.may_crash()
            && !self.job.0.spec.fail_on.is_empty()
            && let Some(found) = rt().jobs.tell_fail_line(self.job.0.id)
        {
            return self.crashed(&Death::Line(found), "it to be ready");
        }
        let found = if self.again_at.is_some() {
            Found::NotYet(0)
        } else {
            self.rounds.look(ctx, &self.job, &self.readiness, look, &mut self.seen)
        };
        let (index, busy) = match found {
            Found::Holds => return self.holds(),
            Found::Never(error) => return Attempt::Never(error),
            Found::NotYet(index) => (index, false),
            Found::Busy(index) => (index, true),
        };
        let condition = &self.readiness.conditions[index];
        let what = condition.describe();
        if let Some(status) = ended.filter(|_| !matches!(condition, Condition::Ended)) {
            if let Some(found) = rt().jobs.tell_fail_line(self.job.0.id) {
                return self.crashed(&Death::Line(found), &what);
            }
            rt().jobs.told(self.job.0.id);
            return self.crashed(&Death::Ended(status), &what);
        }
        if jobs::now() >= self.deadline {
            return Attempt::Never(self.late(function, index).into());
        }
        if busy { Attempt::Busy } else { Attempt::NotYet(what) }
    }

    /// All that shows that it is ready is there.
    fn holds(&mut self) -> Attempt<(), Failure> {
        if let Some(found) = rt().jobs.tell_fail_line(self.job.0.id) {
            let what = format!("`{}` to be ready", self.job.0.spec.name);
            return self.crashed(&Death::Line(found), &what);
        }
        self.ready = true;
        rt().jobs.forgive(self.job.0.id, false);
        if !self.readiness.is_task() {
            rt().jobs.serves(self.job.0.id);
        }
        let what = self.rounds.shown.take().unwrap_or_else(|| "started".to_owned());
        let after = jobs::now().saturating_sub(view(&self.job).map_or(self.since, |view| view.started));
        rt().jobs.ready(self.job.0.id);
        rt().emit(Event::JobReady { job: self.job.0.spec.name.clone(), what, after });
        Attempt::Ready(())
    }

    /// Whether an end before it is ready is no failure yet.
    fn may_crash(&self) -> bool {
        self.started < self.readiness.tries
    }

    /// It has failed before it was ready: it is started again, if it may be.
    fn crashed(&mut self, death: &Death, what: &str) -> Attempt<(), Failure> {
        let tries = self.readiness.tries;
        if !self.may_crash() {
            let again = (self.started > 1).then(|| format!("it was started {tries} times (`tries`)"));
            let mut error = match death {
                Death::Ended(status) => error::job_died(&self.job.0, *status, Some(what)),
                Death::Line(found) => error::fail_line(&self.job.0, found, Some(what)),
            };
            let port = self.readiness.conditions.iter().find_map(Condition::local_port);
            if let Some((note, hint @ Some(_))) = owner::port_unused(&self.job.0)
                && port.is_some_and(|port| self.job.0.spec.port == Some(port))
            {
                error.notes.push(note);
                error.hint = error.hint.or(hint);
            } else if let Some(port) = port.filter(|port| port::in_use(*port)) {
                error = error
                    .note(format!("port {port} is taken by {}", owner::who(port)))
                    .hint(owner::another_port(&self.job.0.spec.command, port));
            }
            let error = again.into_iter().fold(error, ScriptError::note).into();
            let message = self.readiness.common.message.as_deref();
            return Attempt::Never(error::while_waiting(error, message));
        }
        let rest = REST * u32::try_from(self.started).unwrap_or(1);
        self.again_at = Some(jobs::now() + rest);
        let job = self.job.0.spec.name.clone();
        rt().emit(Event::JobAgain { job, next: self.started + 1, tries });
        Attempt::NotYet("it has crashed".to_owned())
    }

    /// Starts it again once it has rested.
    fn start_again(&mut self) -> Fallible<()> {
        if self.again_at.is_none_or(|at| jobs::now() < at) {
            return Ok(());
        }
        self.again_at = None;
        let (rt, job) = (rt(), &self.job.0);
        // What it has left, and a job that has failed without having ended.
        rt.jobs.stop(&[job.id], Ask::default(), &|| rt.control().run_halted());
        rt.checkpoint()?;
        self.readiness.restart_at(job.log_size());
        rt.jobs.respawn(job).map_err(|e| launch::spawn_error("start", &e, None))?;
        self.started += 1;
        rt.jobs.forgive(job.id, self.may_crash());
        self.rounds = Rounds::new(self.readiness.conditions.len());
        Ok(())
    }

    /// Its time is up.
    fn late(&mut self, function: &str, index: usize) -> ScriptError {
        let condition = &self.readiness.conditions[index];
        let prober = self.rounds.probers.get(index).and_then(Option::as_ref);
        if let Some(what) = prober.and_then(Prober::under_way) {
            self.seen.add(what);
        }
        if let Some(since) = self.rounds.held_since {
            self.seen.add(held_for(jobs::now().saturating_sub(since)));
        }
        let what = format!("`{}` to be ready ({})", self.job.0.spec.name, condition.describe());
        waits::timeout(
            function,
            &waits::TimeoutFacts {
                what: &what,
                waited: self.deadline.saturating_sub(self.since),
                seen: &self.seen,
                about: std::slice::from_ref(&self.job),
                condition: Some(condition),
                advice: prober.and_then(Prober::advice),
                message: self.readiness.common.message.as_deref(),
            },
        )
    }

    /// The poll interval that its options ask for.
    pub fn interval(&self) -> Option<Duration> {
        self.readiness.common.interval
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        rt().jobs.forgive(self.job.0.id, false);
    }
}

/// Waits until all of these jobs are ready.
pub fn wait(ctx: &NativeCallContext, function: &str, jobs: &[Job], common: &Common) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    if let Some(job) = jobs.iter().find(|job| of(job).is_empty()) {
        return Err(ScriptError::usage(format!("{function}: job `{}` has no `ready`", job.0.spec.name))
            .hint("ready: 8080   (in its options; or a URL, #{log: regex}, #{listening: true} …)")
            .into());
    }
    let mut starting: Vec<Starting> = jobs.iter().map(|job| Starting::new(job, common)).collect();
    let mut wait = Wait::new(&rt.jobs);
    wait.timeout = None; // Each job has its own deadline.
    wait.interval = common.interval.or_else(|| starting.iter().filter_map(Starting::interval).min());
    wait.eager = starting.iter().any(|one| one.readiness.conditions.iter().any(Condition::is_eventful));
    let names: Vec<String> = jobs.iter().map(|job| format!("`{}`", job.0.spec.name)).collect();
    let all = |look| {
        let mut all = Attempt::Ready(());
        for one in &mut starting {
            match one.step(ctx, function, look) {
                Attempt::Ready(()) => {}
                Attempt::Never(error) => return Attempt::Never(error),
                Attempt::Busy => all = Attempt::Busy,
                waiting @ Attempt::NotYet(_) if matches!(all, Attempt::Ready(())) => all = waiting,
                Attempt::NotYet(_) => {}
            }
        }
        all
    };
    let what = format!("{} to be ready", names.join(", "));
    wait.run_looking(all).map_err(|failed| {
        waits::failed(function, &what, failed, common.message.as_deref(), jobs, |error| error)
    })
}

/// The job that `start` has started, once it is ready. One that does not get ready is told with its log.
pub fn started(ctx: &NativeCallContext, job: Job) -> Fallible<Job> {
    wait(ctx, "start", std::slice::from_ref(&job), &Common::default())?;
    Ok(job)
}
