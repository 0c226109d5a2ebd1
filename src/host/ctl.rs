//! What `bgjobs ctl` asks for, done in the run: nothing that the script could not do. The ends of jobs that it brings about
//! are expected ends, as those that the script asks for.
//!
//! Each request is answered on a thread of its own, beside the script. What goes wrong is told to whoever has asked, and
//! not to the script: a test that restarts a server which does not come up again may mean just that. But a job that had
//! died before it was asked for stays the run's failure.

use crate::ask::{Answer, Done, JobState, Request, State};
use crate::event::{Event, Failure};
use crate::exit;
use crate::host::engine::engine;
use crate::host::explain::failure;
use crate::host::run::job::{port_of, stop_one, view};
use crate::host::run::options::Common;
use crate::host::run::ready::readiness;
use crate::host::run::ready::starting;
use crate::host::run::runtime::{self, Runtime};
use crate::host::run::services;
use crate::host::run::start::restart;
use crate::host::value::error::{Fallible, Kind, ScriptError, Thrown};
use crate::host::value::handle::Job;
use crate::host::value::show_duration;
use crate::jobs::ctl::{Asker, Heard};
use crate::jobs::names;
use crate::jobs::{self, Ask};
use crate::lock::lock;
use crate::probe::DEFAULT_TIMEOUT;
use crate::secret;
use crate::words::{nearest, quote};
use rhai::{Engine, NativeCallContext, Position};
use std::sync::OnceLock;
use std::time::Duration;

/// How many lines of a log are told at most.
const MOST_LINES: usize = 10_000;

/// The line that is said back.
pub fn answer(heard: Heard) -> Vec<u8> {
    let answer = match heard {
        Heard::Request(line, asker) => match serde_json::from_slice::<Request>(line) {
            Ok(request) => answer_to(&request, asker),
            Err(error) => refused(format!("this run does not understand what is asked of it: {error}"))
                .note(&format!("it is one of bgjobs {}", env!("CARGO_PKG_VERSION"))),
        },
        Heard::Stranger(uid) => {
            let (asks, owner) = (names::user_name(uid), names::user_name(nix::unistd::geteuid().as_raw()));
            refused(format!("the run belongs to user {owner}: user {asks} may not ask it for anything"))
        }
        Heard::TooLong => refused("what is asked for is too long".to_owned()),
        Heard::TooSlow => refused("nothing was asked for in time".to_owned()),
    };
    let value = serde_json::to_value(&answer).map(secret::mask_all).unwrap_or_default();
    format!("{value}\n").into_bytes()
}

fn refused(message: String) -> Answer {
    Answer::Failed(Failure { code: exit::USAGE, message, ..Failure::default() })
}

impl Answer {
    fn note(mut self, note: &str) -> Self {
        if let Self::Failed(failure) = &mut self {
            failure.notes.push(note.to_owned());
        }
        self
    }
}

fn answer_to(request: &Request, asker: Asker) -> Answer {
    let ending = || {
        Answer::Failed(Failure {
            code: exit::INFRASTRUCTURE,
            message: format!("ctl {}: the run is being stopped, and does nothing more", request.name()),
            ..Failure::default()
        })
    };
    match runtime::running() {
        Some(rt) if !rt.control().run_halted() => {
            let done = Asked { rt, request, asker }.done();
            done.unwrap_or_else(|error| match rt.control().run_halted() {
                true => ending(),
                // There is no line of a script that it could be about.
                false => {
                    let failure = failure::describe(&error, "");
                    Answer::Failed(Failure { place: None, trail: Vec::new(), ..failure })
                }
            })
        }
        _ => ending(),
    }
}

/// A request, and what it is done with.
struct Asked<'a> {
    rt: &'static Runtime,
    request: &'a Request,
    asker: Asker,
}

impl Asked<'_> {
    fn done(&self) -> Fallible<Answer> {
        let since = jobs::now();
        let (name, done) = match self.request {
            Request::Restart { job: name } => {
                let job = self.change(name)?;
                let common = Common { aside: true, ..Common::default() };
                with_context(self.rt, &job, |ctx| restart(ctx, &job, &common))?;
                (name, Done::Restarted)
            }
            Request::Stop { job: name } => {
                stop_one(&self.change(name)?, Ask::default())?;
                (name, Done::Stopped)
            }
            Request::Kill { job: name } => {
                let signal = jobs::signal_number("KILL");
                let ask = Ask { signal, grace: Some(Duration::ZERO), ..Ask::default() };
                stop_one(&self.change(name)?, ask)?;
                (name, Done::Killed)
            }
            Request::Pause { job: name } => (name, self.pause(name, true)?),
            Request::Resume { job: name } => (name, self.pause(name, false)?),
            Request::Wait { job: name, timeout_ms } => {
                self.wait(&self.named(name)?, timeout_ms.map(Duration::from_millis))?;
                (name, Done::Ready)
            }
            Request::Port { job: name } => {
                let job = self.named(name)?;
                let port = port_of(&job).ok_or_else(|| no_port(name))?;
                return Ok(Answer::Port { job: name.clone(), port });
            }
            Request::Url { job: name } => {
                let url = self.url(&self.named(name)?).ok_or_else(|| no_port(name))?;
                return Ok(Answer::Url { job: name.clone(), url });
            }
            Request::Logs { job: name, lines } => {
                let job = self.named(name)?;
                self.rt.jobs.warn_of_log(&job.0);
                let lines = job.0.log_tail_told((*lines).min(MOST_LINES));
                return Ok(Answer::Logs { job: name.clone(), lines });
            }
            Request::Env => return Ok(Answer::Env(services::all_addresses())),
            Request::Jobs => {
                let all = self.rt.jobs.list().into_iter();
                return Ok(Answer::Jobs(all.filter_map(|job| self.state(&Job(job))).collect()));
            }
        };
        let took_ms = u64::try_from(jobs::now().saturating_sub(since).as_millis()).unwrap_or(u64::MAX);
        Ok(Answer::Done { job: name.clone(), done, took_ms })
    }

    /// The job of this name; the latest when there were several.
    fn named(&self, name: &str) -> Fallible<Job> {
        if let Some(job) = self.rt.jobs.named(name) {
            return Ok(Job(job));
        }
        let jobs = self.rt.jobs.list();
        let names: Vec<&str> = jobs.iter().map(|job| job.spec.name.as_str()).collect();
        let known = match names.is_empty() {
            true => "no job was started yet".to_owned(),
            false => format!("there are: {}", names.join(", ")),
        };
        let error = ScriptError::usage(format!("there is no job `{name}`")).note(known);
        Err(match nearest(name, names) {
            Some(near) => error.hint(format!("bgjobs ctl {} {}", self.request.name(), quote(near))),
            None => error,
        }
        .into())
    }

    /// The same, for what is told before it is done.
    fn change(&self, name: &str) -> Fallible<Job> {
        let job = self.named(name)?;
        let Asker { program, pid } = self.asker.clone();
        self.rt.emit(Event::Asked { job: name.to_owned(), what: self.request.name(), program, pid });
        Ok(job)
    }

    fn pause(&self, name: &str, on: bool) -> Fallible<Done> {
        self.must_run(&self.named(name)?)?;
        self.rt.jobs.pause(self.change(name)?.0.id, on);
        Ok(if on { Done::Paused } else { Done::Resumed })
    }

    /// That it has ended is told here; whether that was a failure is the script's business. Only of one that has died the
    /// code says so: where somebody has stopped it, the surroundings are as they should be.
    fn must_run(&self, job: &Job) -> Fallible<()> {
        let Some(view) = view(job).filter(|view| !view.comes_back) else { return Ok(()) };
        let jobs::State::Ended(status) = view.state else { return Ok(()) };
        let (name, how) = (&job.0.spec.name, job.0.describe(status));
        let (what, code) = match (view.died, view.asked) {
            (true, _) => ("has died", exit::INFRASTRUCTURE),
            (false, true) => ("was stopped", exit::FAILED),
            (false, false) => ("has ended", exit::FAILED),
        };
        let wrong = format!("job `{name}` does not run: it {what} ({how})");
        let error = ScriptError::new(Kind::JobDied, wrong).exit(code).log_of(&job.0);
        Err(error.hint(format!("bgjobs ctl restart {}", quote(name))).into())
    }

    /// What to say of a wait that has failed: where the job was stopped meanwhile, that.
    fn why_not_ready(&self, job: &Job, error: Thrown) -> Thrown {
        let stopped = view(job).is_some_and(|view| view.asked && !view.died);
        self.must_run(job).err().filter(|_| stopped).unwrap_or(error)
    }

    /// Until it is ready. While somebody else finds that out, such as the script by `start`, that is waited for: who
    /// starts it again when it crashes must be one.
    fn wait(&self, job: &Job, timeout: Option<Duration>) -> Fallible<()> {
        let readiness = readiness::of_job(job);
        let holds = || view(job).is_some_and(|view| readiness.holds(&view) && is_up(&view, &readiness));
        let timeout = timeout.or(readiness.common.timeout).unwrap_or(DEFAULT_TIMEOUT);
        let until = jobs::now().saturating_add(timeout);
        let bell = &self.rt.control().bell;
        loop {
            let rings = bell.rings();
            self.rt.checkpoint()?;
            if holds() {
                return Ok(());
            }
            if !readiness.is_task() && !readiness.is_watched() {
                self.must_run(job)?;
            }
            let left = until.saturating_sub(jobs::now());
            if !readiness.is_watched() {
                let common = Common { timeout: Some(left), ..Common::default() };
                let jobs = std::slice::from_ref(job);
                let waited = with_context(self.rt, job, |ctx| starting::wait(ctx, "ctl wait", jobs, &common));
                return waited.map_err(|error| self.why_not_ready(job, error));
            }
            if left.is_zero() {
                let what = format!("`{}` is not ready after {}", job.0.spec.name, show_duration(timeout));
                return Err(ScriptError::new(Kind::Timeout, what).log_of(&job.0).into());
            }
            bell.wait(rings, Some(until.min(jobs::now() + LOOK)));
        }
    }

    fn url(&self, job: &Job) -> Option<String> {
        let scheme = lock(&self.rt.mocks).get(&job.0.id).copied();
        match scheme {
            Some(scheme) => Some(format!("{scheme}://127.0.0.1:{}", port_of(job)?)),
            None => services::url_of(job),
        }
    }

    fn state(&self, job: &Job) -> Option<JobState> {
        let (view, readiness) = (view(job)?, readiness::of_job(job));
        let is_paused = || {
            let all = self.rt.jobs.processes(job.0.id);
            all.iter().any(|stat| stat.pid == view.pid && matches!(stat.state, 'T' | 't'))
        };
        let (state, end) = match view.state {
            jobs::State::Ended(_) if view.comes_back => (State::Resting, None),
            jobs::State::Ended(status) => (State::Ended, Some(job.0.describe(status))),
            jobs::State::Daemonised => (State::Background, None),
            jobs::State::Running if is_paused() => (State::Paused, None),
            jobs::State::Running => (State::Running, None),
        };
        let lives = !matches!(view.state, jobs::State::Ended(_));
        let uptime = view.ended.unwrap_or_else(jobs::now).saturating_sub(view.started);
        Some(JobState {
            name: job.0.spec.name.clone(),
            pid: view.pid,
            state,
            end,
            ready: (!readiness.is_empty()).then(|| readiness.holds(&view) && is_up(&view, &readiness)),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            port: if lives { port_of(job) } else { job.0.spec.port },
            url: if lives { self.url(job) } else { None },
        })
    }
}

/// How long it may go unnoticed that nobody finds out any more whether a job is ready.
const LOOK: Duration = Duration::from_millis(100);

/// A server that has ended is not ready any more; a task is ready because it has.
fn is_up(view: &jobs::View, readiness: &readiness::Readiness) -> bool {
    readiness.is_task() || !matches!(view.state, jobs::State::Ended(_))
}

fn no_port(name: &str) -> ScriptError {
    ScriptError::usage(format!("job `{name}` has no port"))
        .hint("port: \"free\"   (in its options in the script; the job finds the number in PORT)")
}

/// Waits for what a job's `ready` says, or does what does so. Its closures are called by an engine of our own, since that of
/// the script may be at work, but from where the script has called them: there they find their functions.
#[expect(deprecated, reason = "rhai marks what it considers volatile as deprecated; there is no other way")]
fn with_context(
    rt: &Runtime,
    job: &Job,
    work: impl FnOnce(&NativeCallContext) -> Fallible<()>,
) -> Fallible<()> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| engine(&rt.options.include));
    let readiness = readiness::of_job(job);
    match readiness.home() {
        Some(home) => work(&home.create_context(engine)),
        None if readiness.has_closure() => {
            let name = &job.0.spec.name;
            let wrong =
                format!("the `ready` of job `{name}` is a closure that the script has not called yet");
            Err(ScriptError::usage(wrong).hint(format!("wait_ready({name})   (in the script)")).into())
        }
        None => {
            let global = engine.new_global_runtime_state();
            work(&NativeCallContext::new_with_all_fields(engine, "ctl", None, &global, Position::NONE))
        }
    }
}
