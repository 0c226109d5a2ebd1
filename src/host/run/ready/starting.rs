//! Waiting until jobs are ready.

use super::condition::Condition;
use super::prober::Prober;
use super::readiness::{Readiness, of_job};
use crate::event::Event;
use crate::host::run::job::{listening_ports, view};
use crate::host::run::options::Common;
use crate::host::run::runtime::rt;
use crate::host::run::{death, owner, spawn_error, waiting};
use crate::host::value;
use crate::host::value::error::{Fallible, ScriptError, Thrown};
use crate::host::value::handle::Job;
use crate::jobs::fail::Death;
use crate::jobs::{self, Ask, State, port};
use crate::pending::{Doing, Pending};
use crate::probe::{Attempt, DEFAULT_TIMEOUT, Look, Seen, Wait};
use rhai::{Dynamic, NativeCallContext};
use std::sync::Arc;
use std::time::Duration;

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
    /// What it waits for, for the report; which of the conditions that is.
    pending: Pending,
    told: Option<usize>,
    /// Nobody else hears of its end before.
    aside: bool,
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
    /// The port that was found where the conditions do not say which.
    found: Option<u16>,
}

/// What a look at the conditions has shown.
enum Found {
    Holds,
    /// This one does not hold yet, or not for long enough.
    NotYet(usize),
    /// An attempt is under way.
    Busy(usize),
    Never(Thrown),
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
                        let asked = || self.probers[index].as_ref().and_then(Prober::local_port);
                        self.found = match condition {
                            Condition::Listening => value.as_int().ok().and_then(|port| port.try_into().ok()),
                            Condition::Http { roams: true, .. } => asked(),
                            _ => self.found,
                        };
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
    ) -> Attempt<Dynamic, Thrown> {
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
        let readiness = of_job(job);
        if let Some(view) = view(job) {
            readiness.is_renewed(&view);
        }
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
            pending: rt().pending(Doing::Waiting, job.0.spec.name.clone(), Some(timeout)),
            told: None,
            aside: common.aside,
        };
        starting.readiness.watch(true);
        rt().jobs.forgive(job.0.id, starting.may_crash() || starting.aside);
        starting
    }

    /// Of one that ran already: whether it has shown before that it is ready.
    pub fn was_ready(&mut self, was: bool) {
        self.ready = was;
        if was {
            self.pending = Pending::default();
        }
    }

    /// Tries what it waits for now; goes on to the next condition as soon as one holds.
    pub fn step(&mut self, ctx: &NativeCallContext, function: &str, look: Look) -> Attempt<(), Thrown> {
        if self.ready {
            return Attempt::Ready(());
        }
        self.readiness.called_from(ctx);
        if let Err(error) = self.start_again() {
            return Attempt::Never(error);
        }
        // Looked at before the attempt: what a job printed just before its end counts.
        let view = view(&self.job);
        if view.as_ref().is_some_and(|view| self.readiness.is_renewed(view)) {
            self.rounds = Rounds::new(self.readiness.conditions.len());
        }
        let rests = view.as_ref().is_some_and(|view| view.comes_back);
        let ended = match view.map(|view| view.state) {
            Some(State::Ended(status)) if self.again_at.is_none() && !rests => Some(status),
            _ => None,
        };
        let look = if ended.is_some() { Look::Poll } else { look };
        // While it may crash, nobody else hears of what it prints.
        if self.again_at.is_none()
            && (self.may_crash() || self.aside)
            && !self.job.0.spec.fail_on.is_empty()
            && let Some(found) = rt().jobs.take_fail_line(self.job.0.id)
        {
            return self.crashed(&Death::Line(found), "it to be ready");
        }
        let found = if self.again_at.is_some() || rests {
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
        if self.told.replace(index) != Some(index) {
            self.pending.about(|| format!("{}: {what}", self.job.0.spec.name));
        }
        self.seen.last().inspect(|seen| self.pending.saw(seen));
        // A task that has ended and does not hold has died. Whoever watches all jobs tells that, unless it may crash.
        let watched = matches!(condition, Condition::Ended) && self.readiness.tries == 1 && !self.aside;
        if let Some(status) = ended.filter(|_| !watched) {
            if let Some(found) = rt().jobs.take_fail_line(self.job.0.id) {
                return self.crashed(&Death::Line(found), &what);
            }
            rt().jobs.mark_reported(self.job.0.id);
            return self.crashed(&Death::Ended(status), &what);
        }
        if jobs::now() >= self.deadline {
            return Attempt::Never(self.late(function, index).into());
        }
        if busy { Attempt::Busy } else { Attempt::NotYet(what) }
    }

    /// All that shows that it is ready is there.
    fn holds(&mut self) -> Attempt<(), Thrown> {
        if let Some(found) = rt().jobs.take_fail_line(self.job.0.id) {
            let what = format!("`{}` to be ready", self.job.0.spec.name);
            return self.crashed(&Death::Line(found), &what);
        }
        self.ready = true;
        self.pending = Pending::default();
        self.readiness.hold();
        let settled = |one: &Condition| matches!(one, Condition::Settled(_));
        if self.readiness.conditions.iter().any(settled) && listening_ports(&self.job).is_empty() {
            self.readiness.guess();
        }
        if let (Some(found), Some(own)) = (self.rounds.found, self.job.0.spec.port)
            && found != own
        {
            self.readiness.listens_elsewhere(found);
        }
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

    /// Whether an end before it is ready is not a failure yet.
    fn may_crash(&self) -> bool {
        self.started < self.readiness.tries
    }

    /// It has failed before it was ready: it is started again, if it may be.
    fn crashed(&mut self, death: &Death, what: &str) -> Attempt<(), Thrown> {
        let tries = self.readiness.tries;
        if !self.may_crash() {
            let again = (self.started > 1).then(|| format!("it was started {tries} times (`tries`)"));
            let mut error = match death {
                Death::Ended(status) => death::job_died(&self.job.0, *status, Some(what)),
                Death::Line(found) => death::fail_line(&self.job.0, found, Some(what)),
            };
            let port = self.readiness.conditions.iter().find_map(Condition::local_port);
            if let Some((note, hint @ Some(_))) = owner::port_unused(&self.job.0)
                && port.is_some_and(|port| self.job.0.spec.port == Some(port))
            {
                error.notes.push(note);
                error.hint = error.hint.or(hint);
            } else if let Some(port) = port.filter(|port| port::in_use(*port))
                && !error.notes.iter().any(|note| note.contains(" is taken by "))
            {
                let spec = &self.job.0.spec;
                error = error
                    .note(format!("port {port} is taken by {}", owner::who(port)))
                    .hint(owner::another_port(&spec.name, &spec.command, port));
            }
            let error = again.into_iter().fold(error, ScriptError::note).into();
            let message = self.readiness.common.message.as_deref();
            return Attempt::Never(death::while_waiting(error, message));
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
        rt.jobs.respawn(job).map_err(|e| spawn_error::spawn_error("start", &e, None))?;
        self.started += 1;
        rt.jobs.forgive(job.id, self.may_crash() || self.aside);
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
        waiting::timeout(
            function,
            &waiting::TimeoutFacts {
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

    /// The port that shows that it is ready.
    pub fn local_port(&self) -> Option<u16> {
        self.readiness.conditions.iter().find_map(Condition::local_port)
    }

    /// The poll interval that its options ask for.
    pub fn interval(&self) -> Option<Duration> {
        self.readiness.common.interval
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.readiness.watch(false);
        rt().jobs.forgive(self.job.0.id, false);
    }
}

/// Waits until all of these jobs are ready.
pub fn wait(ctx: &NativeCallContext, function: &str, jobs: &[Job], common: &Common) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    if let Some(job) = jobs.iter().find(|job| of_job(job).is_empty()) {
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
        waiting::failed(function, &what, failed, common.message.as_deref(), jobs, |error| error)
    })
}

/// The job that `start` has started, once it is ready. One that does not get ready is told with its log.
pub fn started(ctx: &NativeCallContext, job: Job) -> Fallible<Job> {
    wait(ctx, "start", std::slice::from_ref(&job), &Common::default())?;
    Ok(job)
}
