//! One thing that is waited for, and one attempt after the other at it. Every wait for a port, a URL, a log line, a file
//! or a command is one [`Prober`] of one [`Condition`]; `ready` is a list of them.

use super::condition::Condition;
use crate::exit;
use crate::host::run::job::{listening_ports, view};
use crate::host::run::launch::Launch;
use crate::host::run::runtime::rt;
use crate::host::run::{caught, owner, spawn_error};
use crate::host::value::error::{self, Fallible, ScriptError, Thrown};
use crate::host::value::handle::Job;
use crate::jobs::log::LogReader;
use crate::jobs::spec::{Command, SpawnError};
use crate::jobs::{self, State, Watching};
use crate::probe::background::{self, Background};
use crate::probe::cmd::CommandProbe;
use crate::probe::http::{Flight, Reason, Request};
use crate::probe::log::{Found, LogProbe};
use crate::probe::target::{self, Answer, Miss, Target};
use crate::probe::{Attempt, Look, door, poll_interval, tcp};
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, NativeCallContext};
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// The state of waiting for one condition.
pub struct Prober<'a> {
    condition: Condition,
    job: Option<Job>,
    external: bool,
    since: Duration,
    live: Live<'a>,
    /// Where a URL that roams was asked for last.
    roamed: Option<Arc<Target>>,
    /// As long as it is waited for, a change of its file is an event.
    watching: Option<Watching>,
}

enum Live<'a> {
    Idle,
    Log {
        probe: LogProbe,
        /// Not before is it worth another look, whatever happens.
        next: Duration,
    },
    Http(Requests),
    Tcp {
        background: Background<Result<Option<SocketAddr>, String>>,
        /// Until then nobody is connected to where nobody listens.
        even_so: Duration,
    },
    Cmd(Box<CommandProbe<'a>>),
}

impl Prober<'static> {
    /// `log_from`: where in the job's log to begin. `interval`: how often to ask, if the script says so.
    pub fn new(
        condition: Condition,
        job: Option<Job>,
        external: bool,
        log_from: u64,
        interval: Option<Duration>,
    ) -> Fallible<Self> {
        let rt = rt();
        let mut watching = None;
        let live = match (&condition, &job) {
            (Condition::Log { pattern, times }, Some(job)) => {
                let path = job.0.log.clone().unwrap_or_default();
                watching = rt.jobs.watch(&path);
                let reader =
                    job.0.log_reader(log_from).unwrap_or_else(|| LogReader::of(&path, None, log_from));
                Live::Log { probe: LogProbe::new(reader, pattern.clone(), *times), next: Duration::ZERO }
            }
            (Condition::Http { .. }, _) => Live::Http(Requests::new(interval)),
            (Condition::Port { .. } | Condition::Socket(_), _) => {
                let background = Background::new(Arc::clone(&rt.jobs.control));
                Live::Tcp { background, even_so: Duration::ZERO }
            }
            (Condition::Cmd { command, limit }, _) => {
                let mut spec = Launch::plain("wait_cmd", command.clone())?.command_spec(None);
                // It looks at the job from where the job is: same PORT, same directory, same user.
                if let Some(Job(job)) = &job {
                    spec.env.clone_from(&job.spec.env);
                    spec.cwd.clone_from(&job.spec.cwd);
                    spec.user.clone_from(&job.spec.user);
                }
                Live::Cmd(Box::new(CommandProbe::new(&rt.jobs, spec, *limit)))
            }
            (Condition::File(path), _) => {
                watching = rt.jobs.watch(path);
                Live::Idle
            }
            _ => Live::Idle,
        };
        Ok(Self { condition, job, external, since: jobs::now(), live, roamed: None, watching })
    }

    /// As `new`, for a command with options of its own.
    pub fn command(command: Command, launch: Launch, limit: Option<Duration>) -> Fallible<Self> {
        let probe = CommandProbe::new(&rt().jobs, launch.command_spec(None), limit);
        Ok(Self {
            condition: Condition::Cmd { command, limit },
            job: None,
            external: false,
            since: jobs::now(),
            live: Live::Cmd(Box::new(probe)),
            roamed: None,
            watching: None,
        })
    }

    /// Whether an event tells whenever there is something to see.
    pub fn is_signalled(&self) -> bool {
        self.condition.is_eventful() && self.watching.is_some()
    }

    /// One attempt. What it is ready with is what the wait returns.
    pub fn attempt(&mut self, ctx: &NativeCallContext, look: Look) -> Attempt<Dynamic, Thrown> {
        let (found, answered) = self.try_once(ctx, look);
        let Attempt::Ready(value) = found else { return found };
        let Some(port) = self.local_port() else { return Attempt::Ready(value) };
        // A local port must be answered by this run, unless the script says otherwise.
        if !self.external {
            let own_job = self.job.as_ref().map(|job| &*job.0);
            if let Err(error) = owner::check_owner(port, own_job) {
                return Attempt::Never(error);
            }
        }
        if let Some(answered) = answered {
            let tls =
                matches!(&self.condition, Condition::Http { target, .. } if target.request.url.is_tls());
            rt().answered(answered, tls);
        }
        Attempt::Ready(value)
    }

    /// One attempt, and which address of this machine has answered.
    fn try_once(
        &mut self,
        ctx: &NativeCallContext,
        look: Look,
    ) -> (Attempt<Dynamic, Thrown>, Option<SocketAddr>) {
        let mut answered = None;
        if look != Look::Event {
            self.roam();
        }
        let found = match (&self.condition, &mut self.live) {
            (Condition::Http { target, limit, .. }, Live::Http(requests)) => {
                let target = self.roamed.as_ref().unwrap_or(target);
                match requests.attempt(target, *limit, self.since, look) {
                    Attempt::Ready(answer) => {
                        let url = &target.request.url;
                        answered = answer.ip.map(|ip| SocketAddr::new(ip, url.port()));
                        Attempt::Ready(url.answered_by(answer.ip).into())
                    }
                    Attempt::NotYet(seen) => Attempt::NotYet(seen),
                    Attempt::Busy => Attempt::Busy,
                    Attempt::Never(()) => Attempt::Never(error::terminated()),
                }
            }
            (Condition::Log { .. }, Live::Log { probe, next }) => {
                let now = jobs::now();
                if look == Look::Event && now < *next {
                    return (Attempt::Busy, None);
                }
                *next = now + poll_interval(now.saturating_sub(self.since)) / 10;
                look_at_log(probe, self.job.as_ref(), now)
            }
            (Condition::Cmd { .. }, Live::Cmd(probe)) => match probe.attempt(look) {
                Attempt::Ready(()) => Attempt::Ready(Dynamic::UNIT),
                Attempt::NotYet(seen) => Attempt::NotYet(seen),
                Attempt::Busy => Attempt::Busy,
                Attempt::Never(SpawnError::Stopping) => Attempt::Never(error::terminated()),
                Attempt::Never(e) => Attempt::Never(spawn_error::spawn_error("wait_cmd", &e, None)),
            },
            (Condition::File(path), _) => ready_if(path.exists(), "no such file"),
            (Condition::Ended, _) => {
                let ended = self
                    .job
                    .as_ref()
                    .and_then(view)
                    .is_some_and(|v| matches!(v.state, State::Ended(_)) && !v.died && !v.comes_back);
                ready_if(ended, "running")
            }
            // No event tells of the others.
            (_, Live::Tcp { background, .. }) if look == Look::Event && !background.under_way() => {
                Attempt::Busy
            }
            (_, Live::Idle) if look == Look::Event => Attempt::Busy,
            (Condition::Port { host, port }, Live::Tcp { background, even_so }) => {
                // On this machine connecting does not block, and a thread would only cost time; a name may have
                // to be looked up.
                let result = match tcp::local(host, *port) {
                    Some(addresses) => {
                        let now = jobs::now();
                        if look != Look::Opened && now < *even_so && jobs::port::all_closed(&addresses) {
                            door::leave(&addresses);
                            return (Attempt::NotYet(tcp::REFUSED.to_owned()), None);
                        }
                        *even_so = now + self::even_so(now.saturating_sub(self.since));
                        let result = tcp::connect(&addresses);
                        if result.is_err() && jobs::port::all_closed(&addresses) {
                            door::leave(&addresses);
                        }
                        Some(result.map(Some))
                    }
                    None => {
                        let (host, port) = (host.clone(), *port);
                        background.poll(move || tcp::connect(&tcp::addresses(&host, port)?).map(|_| None))
                    }
                };
                match result {
                    None => Attempt::Busy,
                    Some(Ok(address)) => {
                        answered = address;
                        Attempt::Ready(Dynamic::UNIT)
                    }
                    Some(Err(seen)) => Attempt::NotYet(seen),
                }
            }
            (Condition::Socket(path), Live::Tcp { background, .. }) => {
                if !background.under_way() && !path.exists() {
                    return (Attempt::NotYet("no such file".to_owned()), None);
                }
                match background.poll(socket_attempt(path)) {
                    None => Attempt::Busy,
                    Some(Ok(_)) => Attempt::Ready(Dynamic::UNIT),
                    Some(Err(_)) if !path.metadata().is_ok_and(|meta| meta.file_type().is_socket()) => {
                        Attempt::NotYet("not a socket".to_owned())
                    }
                    Some(Err(seen)) => Attempt::NotYet(seen),
                }
            }
            (Condition::PortFree(port), _) => ready_if(!jobs::port::in_use(*port), "somebody listens"),
            (Condition::Listening, _) => {
                let ports = self.job.as_ref().map(listening_ports).unwrap_or_default();
                let own = self.job.as_ref().and_then(|job| job.0.spec.port);
                match own.filter(|own| ports.contains(own)).or(ports.first().copied()) {
                    Some(port) => Attempt::Ready(i64::from(port).into()),
                    None => Attempt::NotYet("listens on no port".to_owned()),
                }
            }
            (Condition::Settled(time), _) => {
                let lived = jobs::now() >= self.since + *time;
                let listens = || self.job.as_ref().is_some_and(|job| !listening_ports(job).is_empty());
                ready_if(lived || listens(), "neither listens nor has lived that long")
            }
            (Condition::Closure(closure), _) => {
                let (found, asked) = owner::answers_to(|| call_condition(ctx, closure, self.job.as_ref()));
                // What answers in the job's place is not the job.
                let ready = matches!(found, Attempt::Ready(_));
                let job = self.job.as_ref().map(|job| &*job.0).filter(|_| ready);
                let stranger = job.and_then(|job| {
                    let mut own = asked.into_iter().filter(|port| owner::claims(job, *port));
                    own.find_map(|port| owner::check_owner(port, Some(job)).err())
                });
                stranger.map_or(found, Attempt::Never)
            }
            _ => Attempt::NotYet(String::new()),
        };
        (found, answered)
    }

    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Chooses where a URL that roams is asked for: on the job's own port as long as the job listens there or on none,
    /// else on each that it listens on in turn, since one of them may be a debugger's.
    fn roam(&mut self) {
        let (Condition::Http { target, roams: true, .. }, Live::Http(requests), Some(job)) =
            (&self.condition, &self.live, &self.job)
        else {
            return;
        };
        if !requests.under_way.is_empty() {
            return;
        }
        let url = &target.request.url;
        let ports = if jobs::port::in_use(url.port()) { Vec::new() } else { listening_ports(job) };
        let before = self.roamed.as_ref().map(|target| target.request.url.port());
        let next = ports.iter().find(|port| before.is_some_and(|before| **port > before)).or(ports.first());
        self.roamed = next.map(|port| {
            let request = Request { url: url.on_port(*port), ..target.request.clone() };
            Arc::new(Target { request, ..Target::clone(target) })
        });
    }

    /// The local port that is asked.
    pub fn local_port(&self) -> Option<u16> {
        match &self.roamed {
            Some(target) => target.local_port(),
            None => self.condition.local_port(),
        }
    }

    pub fn external(&self) -> bool {
        self.external
    }

    /// What an attempt that is still under way has come to.
    pub fn under_way(&self) -> Option<String> {
        match &self.live {
            Live::Http(requests) => requests.under_way(),
            _ => None,
        }
    }

    /// What would have helped, where the attempts have shown it: an option for the URL, or another URL.
    pub fn advice(&self) -> Option<Advice> {
        match &self.live {
            Live::Http(requests) => requests.advice(&self.condition),
            _ => None,
        }
    }

    /// What a command that never succeeded printed last.
    pub fn last_output(&self) -> Option<String> {
        match &self.live {
            Live::Cmd(probe) => probe.last.as_ref().map(|(_, captured)| captured.text(None)),
            _ => None,
        }
    }
}

/// What a server has shown of itself by an answer that was of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// `insecure: true`.
    Insecure,
    /// `http`, not `https`.
    Plain,
    /// `https`, not `http`.
    Tls,
    /// It cannot be asked by HTTP/1.1.
    NoHttp1,
    /// It runs, and refuses what it is asked with this status.
    Refuses(u16),
}

/// Where nobody listens, the kernel may still forward the port to somebody (a container's, without a proxy): so long it is
/// not tried all the same. A tenth of the time already waited, within these bounds.
fn even_so(waited: Duration) -> Duration {
    (waited / 10).clamp(Duration::from_millis(200), Duration::from_secs(1))
}

/// The requests of one wait: one, and another beside it when there was no answer for long.
struct Requests {
    under_way: Vec<Sent>,
    /// Not before is another one made.
    next: Duration,
    interval: Option<Duration>,
    /// Since when there are answers that are not as wanted.
    answers_since: Option<Duration>,
    advice: Option<Advice>,
    /// The status, when it is one by which a server refuses a request (4xx).
    refuses: Option<u16>,
    /// What has come may be what a server says that is not asked by TLS.
    wants_tls: bool,
    /// Until then no request is made where nobody listens.
    even_so: Duration,
}

struct Sent {
    result: Background<Result<Answer, Miss>>,
    flight: Arc<Flight>,
    since: Duration,
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.flight.give_up();
    }
}

/// How long a request is left to itself before another is made beside it: a server may have lost the first one while it
/// started. A slow server is not asked twice for nothing; each further one comes after twice the time.
const ANOTHER: Duration = Duration::from_secs(10);
/// The end of a request that nobody waits for any more and that could not be ended.
const LONGEST: Duration = Duration::from_secs(3600);
/// How often a server is asked that answers, but not as wanted: its own log shall stay readable.
const RESPITE: Duration = Duration::from_millis(250);
/// How long a server may be asked more often than that.
const IMPATIENT: Duration = Duration::from_secs(1);

impl Requests {
    fn new(interval: Option<Duration>) -> Self {
        Self {
            under_way: Vec::new(),
            next: Duration::ZERO,
            interval,
            answers_since: None,
            advice: None,
            refuses: None,
            wants_tls: false,
            even_so: Duration::ZERO,
        }
    }

    fn attempt(
        &mut self,
        target: &Arc<Target>,
        limit: Option<Duration>,
        since: Duration,
        look: Look,
    ) -> Attempt<Answer, ()> {
        let now = jobs::now();
        let waited = now.saturating_sub(since);
        if let Some(result) = self.landed() {
            return match result {
                Ok(answer) => Attempt::Ready(answer),
                Err(miss) => {
                    self.learn(&miss, now, waited);
                    if miss.reason == Reason::Refused && unreachable(target).is_some() {
                        // Whether there is anybody by now is asked more cheaply.
                        self.next = now;
                    }
                    Attempt::NotYet(miss.what)
                }
            };
        }
        let Some(first) = self.under_way.first() else {
            if look == Look::Event || now < self.next {
                return Attempt::Busy;
            }
            if look != Look::Opened
                && now < self.even_so
                && let Some(seen) = unreachable(target)
            {
                return Attempt::NotYet(seen);
            }
            self.even_so = now + even_so(waited);
            self.send(target, limit.unwrap_or(LONGEST), now);
            return Attempt::Busy;
        };
        let patience = ANOTHER * ((1 << self.under_way.len().min(16)) - 1);
        if limit.is_none() && now >= first.since + patience {
            self.send(target, LONGEST, now);
        }
        Attempt::Busy
    }

    /// The result of a request that has one.
    fn landed(&mut self) -> Option<Result<Answer, Miss>> {
        let (at, result) =
            self.under_way.iter_mut().enumerate().find_map(|(i, sent)| Some((i, sent.result.take()?)))?;
        self.under_way.remove(at);
        Some(result)
    }

    fn send(&mut self, target: &Arc<Target>, limit: Duration, now: Duration) {
        let (theirs, flight) = (Arc::clone(target), Arc::<Flight>::default());
        let seen = Arc::clone(&flight);
        let mut result = Background::new(Arc::clone(&rt().jobs.control));
        result.poll(move || target::attempt(&theirs, limit, &seen));
        if result.under_way() {
            self.under_way.push(Sent { result, flight, since: now });
        }
    }

    /// When to ask again after such an answer, and what it shows.
    fn learn(&mut self, miss: &Miss, now: Duration, waited: Duration) {
        self.advice = match miss.reason {
            Reason::Untrusted => Some(Advice::Insecure),
            Reason::NotTls => Some(Advice::Plain),
            Reason::Http2 => Some(Advice::NoHttp1),
            _ => None,
        };
        self.wants_tls = matches!(miss.reason, Reason::NotHttp | Reason::Closed) || miss.what == "400";
        self.refuses = miss.what.parse().ok().filter(|status| (400..500).contains(status));
        let usual = poll_interval(waited);
        let pause = match self.interval {
            Some(interval) => interval,
            None if miss.reason == Reason::Refused => usual,
            None if waited >= IMPATIENT => RESPITE,
            None => {
                let since = *self.answers_since.get_or_insert(now);
                usual.max(now.saturating_sub(since) / 10)
            }
        };
        self.next = now + pause;
    }

    fn advice(&self, condition: &Condition) -> Option<Advice> {
        let tls = || match condition {
            Condition::Http { target, .. } => self.wants_tls && target::speaks_tls(target),
            _ => false,
        };
        self.advice.or_else(|| tls().then_some(Advice::Tls)).or(self.refuses.map(Advice::Refuses))
    }

    /// What the oldest has come to; nothing of one that was sent just before the wait was over, which could not have come to
    /// anything.
    fn under_way(&self) -> Option<String> {
        const TOO_SOON: Duration = Duration::from_millis(20);
        let first = self.under_way.first()?;
        let time = jobs::now().saturating_sub(first.since);
        (time >= TOO_SOON).then(|| first.flight.describe(time))
    }
}

/// Why a request would be of no use. Whether somebody listens at all is known at a fraction of its cost, and without a
/// connection that would say nothing to a server that has just begun to listen.
fn unreachable(target: &Target) -> Option<String> {
    if let Some(path) = &target.request.unix_socket {
        return (!path.exists()).then(|| "there is no such Unix socket".to_owned());
    }
    let addresses = target.request.url.addresses()?;
    if !jobs::port::all_closed(&addresses) {
        return None;
    }
    door::leave(&addresses);
    background::prepare();
    Some(tcp::REFUSED.to_owned())
}

/// One look at a log.
fn look_at_log(probe: &mut LogProbe, job: Option<&Job>, now: Duration) -> Attempt<Dynamic, Thrown> {
    let rt = rt();
    let (before, missed) = (probe.reader.truncated, probe.reader.missed);
    let over = job.and_then(view).is_none_or(|v| matches!(v.state, State::Ended(_)));
    let found = probe.attempt(over, now);
    if probe.reader.missed && !missed {
        rt.warn(
            "a job's log grew faster than it was read: what was dropped of it was not looked at (max_log)",
        );
    }
    if let Some(job) = job {
        job.0.log_was_read(&probe.reader);
        if probe.reader.truncated && !before {
            rt.jobs.warn_of_log(&job.0);
        }
    }
    // It would wait for what nobody reads.
    if let Some(number) = probe.reader.refused {
        let why = jobs::why(std::io::Error::from_raw_os_error(number));
        let log = job.map_or_else(|| "a log".to_owned(), |job| format!("the log of `{}`", job.0.spec.name));
        let error = ScriptError::io(format!("cannot read {log}: {why}")).exit(exit::INFRASTRUCTURE);
        return Attempt::Never(error.into());
    }
    match found {
        Found::Match(captures) => Attempt::Ready(capture_array(captures)),
        Found::Nothing if probe.is_settling() => Attempt::Busy,
        Found::Nothing => Attempt::NotYet(probe.missing()),
        Found::More => {
            rt.control().bell.ring(); // Go on at once, but hear an interrupt first.
            Attempt::Busy
        }
    }
}

/// Connecting to a Unix socket blocks when its backlog is full.
fn socket_attempt(
    path: &std::path::Path,
) -> impl FnOnce() -> Result<Option<SocketAddr>, String> + Send + 'static {
    let path = path.to_owned();
    move || UnixStream::connect(path).map(|_| None).map_err(|e| tcp::explain(&e))
}

fn ready_if(ready: bool, otherwise: &str) -> Attempt<Dynamic, Thrown> {
    if ready { Attempt::Ready(Dynamic::UNIT) } else { Attempt::NotYet(otherwise.to_owned()) }
}

pub fn capture_array(captures: Vec<Option<String>>) -> Dynamic {
    let values: Array =
        captures.into_iter().map(|group| group.map_or(Dynamic::UNIT, Dynamic::from)).collect();
    values.into()
}

/// Calls a condition. Expected failures mean *not yet*; a mistake in the script ends the wait.
fn call_condition(ctx: &NativeCallContext, closure: &FnPtr, job: Option<&Job>) -> Attempt<Dynamic, Thrown> {
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
        Err(error) => match caught::not_yet(&error) {
            Some(message) => Attempt::NotYet(message),
            None => Attempt::Never(error),
        },
    }
}

/// Whether there is no such function with this number of parameters.
fn is_unknown(error: &EvalAltResult, name: &str) -> bool {
    matches!(error, EvalAltResult::ErrorFunctionNotFound(signature, _) if signature.starts_with(name))
}
