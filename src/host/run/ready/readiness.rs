//! When a job is ready, as its options say.

use super::condition::Condition;
use crate::host::run::options::{Common, Conditions, JobOptions, Ready};
use crate::host::run::owner;
use crate::host::run::request::{self, Answer};
use crate::host::run::runtime::rt;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError, about};
use crate::host::value::handle::Job;
use crate::host::value::kinds::{self, Count, Port};
use crate::host::value::worded::{self, Worded};
use crate::host::value::{self, BESIDE_READY, Opts, unknown_key};
use crate::jobs::spec::Command;
use crate::jobs::{JobId, View};
use crate::lock::lock;
use crate::probe::http::Url;
use rhai::{Array, Dynamic, FnPtr, NativeCallContext};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// When a job is ready, as its options say.
#[derive(Default)]
pub struct Readiness {
    pub conditions: Vec<Condition>,
    /// By `start`, not by `spawn`.
    started: bool,
    pub common: Common,
    /// How often it may be started until it is ready.
    pub tries: usize,
    /// Where in its log the job began: later than 0 after a restart.
    log_from: AtomicU64,
    /// How often it had been started again by its `restart` when it was looked at last.
    restarts: AtomicUsize,
    /// Since its last start it has been seen to be ready.
    held: AtomicBool,
    /// On which port it was found to listen in the place of its own; 0 when there is none.
    elsewhere: AtomicU16,
    /// It was taken for ready after so many milliseconds of life, without a port; 0 when something has shown it.
    guessed: AtomicU64,
    /// How many find out whether it is.
    watchers: AtomicUsize,
    /// Where the closures of its conditions are called from, once the script has come there: they find their functions by it.
    home: Mutex<Option<Home>>,
}

#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
pub type Home = rhai::NativeCallContextStore;

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
            parse_conditions(&format!("{function}: option `ready`"), value, &beside, &mut conditions)
                .map_err(|error| about(error, "ready"))?;
        } else if options.is_task() {
            // Such as a migration: what needs it wants it done.
            conditions.push(Condition::Ended);
        } else if let Some(key) = about_ready(options) {
            return Err(ScriptError::of_option(function, key, "there is no `ready` that it could be about")
                .hint(format!("ready: #{{log: \"listening\"}}, {key}: …"))
                .into());
        }
        if beside.times.is_some() && !conditions.iter().any(|one| matches!(one, Condition::Log { .. })) {
            let wrong = "`ready` waits for no log line";
            return Err(ScriptError::of_option(function, "times", wrong)
                .hint("ready: #{log: \"…\"}, times: 2")
                .into());
        }
        // At once, and not when its time is up.
        if conditions.iter().any(|one| one.local_port().is_some() || matches!(one, Condition::Listening)) {
            owner::need_loopback(function)?;
        }
        let tries = options.tries.map_or(1, Count::count);
        let (started, telling) = (function == "start", options.telling.clone());
        let (timeout, stable) = (options.timeout, options.stable);
        let common = Common { timeout, stable, ..Common::of(telling, timeout) };
        Ok(Self { conditions, started, common, tries, ..Self::default() })
    }

    pub fn is_task(&self) -> bool {
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
        self.held.store(false, SeqCst);
        self.guessed.store(0, SeqCst);
        self.elsewhere.store(0, SeqCst);
    }

    /// It listens on this port, and not on its own.
    pub fn listens_elsewhere(&self, port: u16) {
        self.elsewhere.store(port, SeqCst);
    }

    /// The port that it was found to listen on in the place of its own.
    pub fn elsewhere(&self) -> Option<u16> {
        Some(self.elsewhere.load(SeqCst)).filter(|port| *port != 0)
    }

    /// The URL that shows that it is ready, where it is one of this or another machine.
    pub fn url(&self) -> Option<&Url> {
        self.conditions.iter().find_map(|one| match one {
            Condition::Http { target, .. } if target.request.unix_socket.is_none() => {
                Some(&target.request.url)
            }
            _ => None,
        })
    }

    /// The local port that shows that it is ready.
    pub fn local_port(&self) -> Option<u16> {
        self.conditions.iter().find_map(Condition::local_port)
    }

    /// Whether it has been started again since the last look: then all is to be shown anew.
    pub fn is_renewed(&self, view: &View) -> bool {
        let renewed = self.restarts.swap(view.restarts, SeqCst) != view.restarts;
        if renewed {
            self.restart_at(view.log_from);
        }
        renewed
    }

    pub fn hold(&self) {
        self.held.store(true, SeqCst);
    }

    /// Nothing but its time of life has shown that it is ready.
    pub fn guess(&self) {
        let life = self.conditions.iter().find_map(|one| match one {
            Condition::Settled(time) => u64::try_from(time.as_millis()).ok(),
            _ => None,
        });
        self.guessed.store(life.unwrap_or(0), SeqCst);
    }

    #[expect(
        deprecated,
        reason = "rhai marks what it considers volatile as deprecated; there is no other way"
    )]
    pub fn called_from(&self, ctx: &NativeCallContext) {
        if self.has_closure() {
            lock(&self.home).get_or_insert_with(|| ctx.store_data());
        }
    }

    pub fn home(&self) -> Option<Home> {
        lock(&self.home).clone()
    }

    pub fn has_closure(&self) -> bool {
        self.conditions.iter().any(|one| matches!(one, Condition::Closure(_)))
    }

    /// Somebody finds out from now on whether it is ready, or does so no longer.
    pub fn watch(&self, on: bool) {
        if on {
            self.watchers.fetch_add(1, SeqCst)
        } else {
            self.watchers.fetch_sub(1, SeqCst)
        };
    }

    pub fn is_watched(&self) -> bool {
        self.watchers.load(SeqCst) > 0
    }

    /// Whether it was seen to be ready since it was started last, be that by its `restart`.
    pub fn holds(&self, view: &View) -> bool {
        self.has_held() && self.restarts.load(SeqCst) == view.restarts
    }

    pub fn has_held(&self) -> bool {
        self.held.load(SeqCst)
    }

    pub fn log_from(&self) -> u64 {
        self.log_from.load(SeqCst)
    }
}

/// When each job of the run is ready, by id.
static READINESS: Mutex<BTreeMap<usize, Arc<Readiness>>> = Mutex::new(BTreeMap::new());

/// What shows that this job is ready.
pub fn of_job(job: &Job) -> Arc<Readiness> {
    lock(&READINESS).get(&job.0.id).cloned().unwrap_or_default()
}

/// Remembers what shows that a job is ready.
pub fn remember(id: JobId, readiness: Readiness) {
    lock(&READINESS).insert(id, Arc::new(readiness));
}

/// What a failure is told of the jobs that were taken for ready without having shown it: each may be what has failed.
pub fn guesses() -> Vec<String> {
    const MOST: usize = 4;
    let known = lock(&READINESS).clone();
    let line = |job: std::sync::Arc<crate::jobs::Job>| {
        let life = known.get(&job.id)?.guessed.load(SeqCst);
        let time = value::show_duration(Duration::from_millis(life));
        (life > 0).then(|| format!("`{}` was taken for ready after {time} without a port", job.spec.name))
    };
    rt().jobs.list().into_iter().filter_map(line).take(MOST).collect()
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

fn parse_conditions(what: &str, value: &Dynamic, beside: &Beside, into: &mut Vec<Condition>) -> Fallible<()> {
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().try_for_each(|one| parse_conditions(what, one, beside, into));
    }
    if let Some(closure) = value.clone().try_cast::<FnPtr>() {
        into.push(Condition::Closure(closure));
        return Ok(());
    }
    if let Some(text) = value.read_lock::<rhai::ImmutableString>() {
        into.push(in_words(what, &text, beside)?);
        return Ok(());
    }
    if value.is_int() {
        into.push(Condition::Port { host: "localhost".to_owned(), port: value::port(value, what)? });
        return Ok(());
    }
    if !value.is_map() {
        let shown = value::show(value);
        return Err(ScriptError::usage(format!("{what}: {shown} is not a condition"))
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
        let url = match worded::read(&url).map_err(|wrong| as_written(what, wrong))? {
            Worded::Own { tls, path } => own_url(what, tls, path, port)?,
            Worded::Port(port) => format!("http://localhost:{port}/"),
            // What is no URL is told by who reads one.
            _ => url,
        };
        let target = Arc::new(request::target(what, kinds::url(what, &url)?, given.answer)?);
        into.push(Condition::Http { target, limit, roams: given.any_port });
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

/// A condition that is one text.
fn in_words(what: &str, text: &str, beside: &Beside) -> Fallible<Condition> {
    let limit = beside.limit;
    let http = |url: &str| {
        let answer = Answer::read(&Opts::none(what))?;
        let target = Arc::new(request::target(what, kinds::url(what, url)?, answer)?);
        Ok(Condition::Http { target, limit, roams: false })
    };
    if text.contains("://") && text.contains("()") {
        // A variable in it has no value.
        return http(text);
    }
    Ok(match worded::read(text).map_err(|wrong| as_written(what, wrong))? {
        Worded::Own { tls, path } => http(&own_url(what, tls, path, beside.port)?)?,
        Worded::Url(url) => http(&url)?,
        Worded::Port(port) => Condition::Port { host: "localhost".to_owned(), port },
        Worded::Tcp { host, port } => Condition::Port { host, port },
        Worded::Socket(path) => Condition::Socket(rt().path(path)),
        Worded::Log(pattern) => Condition::Log { pattern, times: beside.times.unwrap_or(1) },
        Worded::Cmd(command) => Condition::Cmd { command: Command::Shell(command.to_owned()), limit },
        Worded::Listening => Condition::Listening,
    })
}

/// What is wrong with a text, as it stands in a script: the better one in quotes.
fn as_written(what: &str, wrong: worded::Wrong) -> ScriptError {
    let error = ScriptError::usage(format!("{what}: {}", wrong.message));
    let remark = wrong.remark.map_or_else(String::new, |remark| format!("   ({remark})"));
    match wrong.hint {
        Some(text) => error.hint(format!("{text:?}{remark}")),
        None if wrong.is_like_none => error.note(format!("a text is one of: {}", worded::FORMS)),
        None => error,
    }
}

/// A path alone is one on the job's own URL, on whichever of the two addresses of this machine it listens.
fn own_url(what: &str, tls: bool, path: &str, port: Option<u16>) -> Fallible<String> {
    let scheme = if tls { "https" } else { "http" };
    match port {
        Some(port) => Ok(format!("{scheme}://localhost:{port}{path}")),
        None => Err(ScriptError::usage(format!("{what}: the path {path:?} needs the job's own port"))
            .hint(format!(
                "port: \"free\"   (or the whole URL: \"{scheme}://localhost:8080{path}\", or #{{file: {path:?}}})"
            ))
            .into()),
    }
}
