//! `start([…])`: a list of services, in parallel and in the order of their needs.

use super::caught;
use super::options::{self, JobOptions};
use super::runtime::rt;
use super::start::launch_with;
use super::waiting;
use crate::api::Type;
use crate::host::run::ready::starting::Starting;
use crate::host::value::describe::options;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, Kind, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::kinds::{OneOrMore, Typed, Word};
use crate::host::value::{self, Opts};
use crate::jobs::spec::Command;
use crate::probe::{Attempt, Look, Wait};
use crate::words;
use rhai::{Array, Dynamic, EvalAltResult, Map, NativeCallContext};

options! {
    /// What a service can be told.
    pub struct ServiceOptions: JobOptions as job {
        /// What it runs: a string for the shell, or an array.
        cmd: Option<Command>, also command exec run args;
        /// The names of the services that must be ready before it starts.
        needs: Option<OneOrMore<Word>>, also depends_on depends requires after;
    }
}

/// An array of services.
pub struct Services;

impl Typed for Services {
    const TYPE: Type = Type::List(&Type::Options(ServiceOptions::OPTIONS));
}

struct Service {
    name: String,
    command: Command,
    needs: Vec<String>,
    options: JobOptions,
    starting: Option<Starting>,
    /// What the modules that read files of services propose when it ends by itself with 0.
    task_hint: Option<String>,
}

impl Service {
    fn ready(&self) -> bool {
        self.starting.as_ref().is_some_and(|starting| starting.ready)
    }
}

/// Starts all of them; returns the jobs by name.
pub fn start(ctx: &NativeCallContext, list: &Array) -> Fallible<Map> {
    let rt = rt();
    rt.checkpoint()?;
    let mut services =
        list.iter().enumerate().map(|(i, value)| read(i, value)).collect::<Fallible<Vec<_>>>()?;
    check_needs(&services)?;
    let mut wait = Wait::new(&rt.jobs);
    wait.timeout = None; // Each service has its own deadline.
    wait.eager = true;
    wait.run_looking(|look| match step(ctx, &mut services, look) {
        Ok(true) => Attempt::Ready(()),
        Ok(false) => Attempt::NotYet("not all are ready".to_owned()),
        Err(error) => Attempt::Never(error),
    })
    .map_err(|failed| waiting::failed("start", "the services", failed, None, &[], |error| error))
    .map_err(|mut error| {
        caught::change(&mut error, |error| propose_task(error, &services));
        error
    })?;
    let job = |service: Service| {
        let starting = service.starting?;
        Some((service.name.into(), Dynamic::from(starting.job.clone())))
    };
    Ok(services.into_iter().filter_map(job).collect())
}

/// A service that has ended well may be meant as a task.
fn propose_task(error: &mut ScriptError, services: &[Service]) {
    let fact = |name: &str| error.facts.get(name).map(ToString::to_string);
    if error.kind != Kind::JobDied || fact("code").as_deref() != Some("0") {
        return;
    }
    let name = fact("job");
    let service = services.iter().find(|service| Some(&service.name) == name.as_ref());
    if let Some(hint) = service.and_then(|service| service.task_hint.clone()) {
        error.hint = Some(hint);
    }
}

fn read(index: usize, value: &Dynamic) -> Fallible<Service> {
    let place = format!("start: service {}", index + 1);
    let Some(mut map) = value.read_lock::<Map>().map(|map| map.clone()) else {
        return Err(ScriptError::usage(format!(
            "{place}: {} is not a map `#{{name: …, cmd: …}}`",
            value::show(value)
        ))
        .into());
    };
    // Not for scripts: the modules that read files of services set it.
    let task_hint = map.remove("task_hint").and_then(|hint| hint.into_string().ok());
    let map = Dynamic::from_map(map);
    let missing = |key: &str| ScriptError::usage(format!("{place}: `{key}` is missing"));
    let opts = Opts::described(&place, &map, ServiceOptions::OPTIONS)?;
    let name = opts.string("name")?.ok_or_else(|| missing("name"))?;
    let place = format!("start: service `{name}`");
    let read = ServiceOptions::read(&Opts::described(&place, &map, ServiceOptions::OPTIONS)?)?;
    let missing = |key: &str| ScriptError::usage(format!("{place}: `{key}` is missing"));
    let command = read.cmd.ok_or_else(|| missing("cmd"))?;
    let needs =
        read.needs.map_or_else(Vec::new, |needs| needs.0.into_iter().map(|Word(need)| need).collect());
    Ok(Service { name, command, needs, options: read.job, starting: None, task_hint })
}

/// Names are unique, needs exist, and nobody needs itself through others.
fn check_needs(services: &[Service]) -> Fallible<()> {
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(ScriptError::usage(format!("start: two services are named `{name}`")).into());
        }
    }
    for service in services {
        if let Some(unknown) = service.needs.iter().find(|need| !names.contains(&need.as_str())) {
            let error = ScriptError::usage(format!(
                "start: service `{}` needs `{unknown}`, which is not in the list",
                service.name
            ));
            return Err(match words::nearest(unknown, names.iter().copied()) {
                Some(near) => error.hint(format!("needs: [\"{near}\"]")),
                None => error,
            }
            .into());
        }
    }
    let mut done: Vec<&str> = Vec::new();
    while done.len() < services.len() {
        let ready = |s: &&Service| {
            !done.contains(&s.name.as_str()) && s.needs.iter().all(|n| done.contains(&n.as_str()))
        };
        let next: Vec<&str> = services.iter().filter(ready).map(|service| service.name.as_str()).collect();
        if next.is_empty() {
            let circle: Vec<&str> = names.iter().copied().filter(|name| !done.contains(name)).collect();
            return Err(ScriptError::usage(format!(
                "start: these services need each other in a circle: {}",
                circle.join(", ")
            ))
            .into());
        }
        done.extend(next);
    }
    Ok(())
}

/// Starts what can start, looks at what has started; true when all are ready.
fn step(ctx: &NativeCallContext, services: &mut [Service], look: Look) -> Result<bool, Box<EvalAltResult>> {
    for i in 0..services.len() {
        let (before, rest) = services.split_at_mut(i);
        let Some((service, after)) = rest.split_first_mut() else { continue };
        if service.starting.is_none() {
            let needed: Vec<&Service> = before
                .iter()
                .chain(after.iter())
                .filter(|other| service.needs.contains(&other.name))
                .collect();
            if needed.iter().all(|other| other.ready()) {
                let extra = needed.iter().flat_map(|other| addresses(other)).collect::<Vec<_>>();
                let job = launch_with(
                    "start",
                    Some(&service.name),
                    service.command.clone(),
                    service.options.clone(),
                    &extra,
                    needed.iter().filter_map(|other| Some(other.starting.as_ref()?.job.0.id)).collect(),
                )?;
                service.starting = Some(Starting::new(&job, &options::Common::default()));
            }
        }
        if let Some(starting) = &mut service.starting
            && !starting.ready
            && let Attempt::Never(error) = starting.step(ctx, "start", look)
        {
            return Err(error);
        }
    }
    Ok(services.iter().all(Service::ready))
}

/// Where a service is, as variables for those that need it: `DB_PORT`, `DB_URL`.
fn addresses(service: &Service) -> Vec<(String, String)> {
    let Some(port) = service.starting.as_ref().and_then(|starting: &Starting| port_of(&starting.job)) else {
        return Vec::new();
    };
    let upper: String = service
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    vec![(format!("{upper}_PORT"), port.to_string()), (format!("{upper}_URL"), rt().url(port))]
}

fn port_of(job: &Job) -> Option<u16> {
    job.0.spec.port
}
