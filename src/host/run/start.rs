//! Starting jobs: `spawn`, `start` and `restart`.

use super::death;
use super::job::stop_one;
use super::launch::Launch;
use super::options::{Common, JobOptions};
use super::ports::{self, OwnPorts};
use super::runtime::rt;
use super::spawn_error::{spawn_error, words_of};
use crate::host::run::ready::readiness::{self, Readiness};
use crate::host::run::ready::starting;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{self, Fallible, Kind as ErrorKind, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::{self, Opts};
use crate::jobs::spec::{self, Command, Spec};
use crate::jobs::{Ask, JobId, Kind, port};
use crate::lock::lock;
use rhai::plugin::*;
use rhai::{Array, Dynamic};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Mutex;
use std::thread::{self, ThreadId};

/// Those that are being restarted, each by one thread.
static RESTARTING: Mutex<BTreeMap<JobId, ThreadId>> = Mutex::new(BTreeMap::new());

/// A job that nobody else restarts meanwhile: else two of it would run, with one handle. None within its own restart, by a
/// closure in its `ready`.
struct Alone(Option<JobId>);

impl Alone {
    /// Waits for whoever restarts it already.
    fn with(id: JobId) -> Fallible<Self> {
        let (rt, me) = (rt(), thread::current().id());
        loop {
            let rings = rt.control().bell.rings();
            rt.checkpoint()?;
            match lock(&RESTARTING).entry(id) {
                Entry::Vacant(free) => {
                    free.insert(me);
                    return Ok(Self(Some(id)));
                }
                Entry::Occupied(by) if *by.get() == me => return Ok(Self(None)),
                Entry::Occupied(_) => {}
            }
            rt.control().bell.wait(rings, None);
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            lock(&RESTARTING).remove(&id);
            rt().control().bell.ring();
        }
    }
}

pub fn restart(ctx: &NativeCallContext, job: &Job, common: &Common) -> Fallible<()> {
    let _alone = Alone::with(job.0.id)?;
    stop_one(job, Ask::default())?;
    let rt = rt();
    // Of its new self nobody could tell any more that its old one had failed, or died before it was stopped.
    let death = if common.aside { rt.jobs.death_of(job.0.id) } else { rt.jobs.take_death(job.0.id) };
    if let Some(death) = death {
        return Err(death::death(&job.0, &death, None).into());
    }
    let readiness = readiness::of_job(job);
    readiness.restart_at(job.0.log_size());
    // From its first moment on.
    rt.jobs.forgive(job.0.id, common.aside);
    let result = rt.jobs.respawn(&job.0).map_err(|e| spawn_error("restart", &e, None));
    let result = result.and_then(|()| match readiness.is_awaited() {
        true => starting::wait(ctx, "restart", std::slice::from_ref(job), common),
        false => Ok(()),
    });
    rt.jobs.forgive(job.0.id, false);
    result
}

/// The two-argument forms: `(cmd, opts)` or `(name, cmd)`.
pub fn with_options_or_name(function: &str, first: &Dynamic, second: &Dynamic) -> Fallible<Job> {
    if second.is_map() || second.is_unit() {
        return launch(function, None, first, second);
    }
    let Some(name) = first.read_lock::<rhai::ImmutableString>() else {
        let shown = value::show(second);
        return Err(ScriptError::usage(format!("{function}: {shown} is not an option map"))
            .note(format!("forms: {function}(cmd), {function}(cmd, #{{…}}), {function}(name, cmd), {function}(name, cmd, #{{…}})"))
            .into());
    };
    launch(function, Some(name.as_str()), second, &Dynamic::UNIT)
}

/// Starts a job as `spawn` and `start` do.
pub fn launch(function: &str, name: Option<&str>, cmd: &Dynamic, opts: &Dynamic) -> Fallible<Job> {
    rt().checkpoint()?;
    let command = value::command(cmd, function)?;
    if let Some(name) = name
        && let Some(hint) = words_apart(function, name, &command, opts)
    {
        return Err(ScriptError::usage(format!("{function}: {} is not an option map", value::show(opts)))
            .note("a command with arguments is one string, or an array of words")
            .hint(hint)
            .into());
    }
    let options = JobOptions::read(&Opts::described(function, opts, JobOptions::OPTIONS)?)?;
    if function == "start" && options.ready.is_none() && !options.is_task() {
        return Err(ScriptError::usage("start: the option `ready` is missing: what shows that it is ready?")
            .hint(
                "ready: 8080, ready: \"http://localhost:8080/health\", ready: #{log: \"listening\"}; \
                 or spawn(…), which does not wait",
            )
            .into());
    }
    let ports = OwnPorts::take(function, &options)?;
    let (mut cmd, mut opts) = (cmd.clone(), opts.clone());
    ports::put(function, &ports, &mut cmd, &mut opts)?;
    let command = value::command(&cmd, function)?;
    let options = JobOptions::read(&Opts::described(function, &opts, JobOptions::OPTIONS)?)?;
    launch_with(function, name, command, options, ports, &[], Vec::new())
}

/// `spawn("npm", "run", "dev")`: the words of one command.
fn words_apart(function: &str, name: &str, command: &Command, last: &Dynamic) -> Option<String> {
    let mut words = vec![name.to_owned()];
    words.extend(words_of(command));
    match (last.read_lock::<rhai::ImmutableString>(), last.read_lock::<Array>()) {
        (Some(text), _) if value::duration(last, function).is_err() => words.push(text.to_string()),
        (None, Some(list)) => words.extend(list.iter().map(ToString::to_string)),
        _ => return None,
    }
    Some(value::array_form(function, &words))
}

/// Starts a job from options that have been checked; `extra` comes into its environment.
pub fn launch_with(
    function: &str,
    name: Option<&str>,
    command: Command,
    options: JobOptions,
    ports: OwnPorts,
    extra: &[(String, String)],
    needs: Vec<JobId>,
) -> Fallible<Job> {
    let rt = rt();
    let given = name.map(str::to_owned);
    let numbers = ports.numbers();
    let (mut spec, readiness) = planned(function, name, command, &options, ports, extra)?;
    spec.needs = needs;
    numbers.into_iter().try_for_each(|port| refuse_taken_port(&spec, port))?;
    let command = spec.command.clone();
    rt.wait_for_room();
    let (job, _) = rt
        .jobs
        .spawn(spec, Kind::Job)
        .map_err(|e| spawn_error(function, &e, given.as_deref().map(|name| (name, &command))))?;
    if job.file.is_none() && !job.spec.fail_on.is_empty() {
        rt.warn(format!(
            "{}: its log is not a regular file, so that `fail_on` cannot be looked for",
            job.spec.name
        ));
    }
    let job = Job(job);
    if readiness.is_server_from_the_start() {
        rt.jobs.serves(job.0.id);
    }
    readiness::remember(job.0.id, readiness);
    Ok(job)
}

/// A job as it would be started, and when it would be ready.
fn planned(
    function: &str,
    name: Option<&str>,
    command: Command,
    options: &JobOptions,
    ports: OwnPorts,
    extra: &[(String, String)],
) -> Fallible<(Spec, Readiness)> {
    let launch = Launch::new(function, command, options.process.clone())?;
    let mut spec = launch.job_spec(name.map(str::to_owned), options, ports)?;
    // What runs here counts more than what the run was called with, and less than what was said of this job.
    let own = options.process.surroundings.env.as_ref();
    for (key, value) in
        extra.iter().filter(|(key, _)| own.is_none_or(|env| !env.0.iter().any(|(own, _)| own == key)))
    {
        spec.env.insert(key, value);
    }
    let readiness = Readiness::parse(function, options, spec.port)?;
    Ok((spec, readiness))
}

/// What is wrong with a job that will be started later, as far as that can be told now. `is_there`: what it needs of the
/// file system and of the users must be there already.
pub fn rehearse(
    function: &str,
    name: &str,
    command: Command,
    options: &JobOptions,
    ports: OwnPorts,
    is_there: bool,
) -> Fallible<()> {
    let numbers = ports.numbers();
    let (spec, _) = match planned(function, Some(name), command, options, ports, &[]) {
        Ok(planned) => planned,
        Err(mut error) => {
            let mut is_usage = false;
            error::change(&mut error, |error| is_usage = error.kind == ErrorKind::Usage);
            // A file that is not there yet may be made by what it waits for.
            return if is_usage { Err(error) } else { Ok(()) };
        }
    };
    if !is_there {
        return Ok(());
    }
    spec.user
        .as_deref()
        .map_or(Ok(()), |user| spec::account(user).map(drop))
        .and_then(|()| spec.check())
        .map_err(|error| spawn_error(function, &error, Some((name, &spec.command))))?;
    numbers.into_iter().try_for_each(|port| refuse_taken_port(&spec, port))
}

/// A job that is told its port must find it free.
fn refuse_taken_port(spec: &Spec, number: u16) -> Fallible<()> {
    if !port::in_use(number) {
        return Ok(());
    }
    let (name, who) = (&spec.name, crate::host::run::owner::who(number));
    Err(ScriptError::new(ErrorKind::PortTaken, format!("port {number} for job `{name}` is taken by {who}"))
        .fact("port", i64::from(number))
        .about("port")
        .hint(crate::host::run::owner::another_port(name, &spec.command, number))
        .into())
}
