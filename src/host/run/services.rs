//! `start([…])`: a list of services, in parallel and in the order of their needs. What they need may also run already.
//!
//! What is said of a service may name the addresses of what it needs (`$API_URL`). All names are judged before anything
//! starts; the values are put in when the service starts, as they are not known earlier.

use super::caught;
use super::options::{self, JobOptions};
use super::runtime::rt;
use super::start::launch_with;
use super::waiting;
use crate::api::Type;
use crate::event::Event;
use crate::host::run::job::{listening_ports, port_of, view};
use crate::host::run::ready::readiness;
use crate::host::run::ready::starting::Starting;
use crate::host::source::import;
use crate::host::value::address::{self, Scope};
use crate::host::value::describe::options;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, Kind, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::kinds::{OneOrMore, Typed, Word};
use crate::host::value::{self, Opts};
use crate::jobs::State;
use crate::jobs::spec::Command;
use crate::probe::{Attempt, Look, Wait};
use crate::words;
use rhai::{Array, Dynamic, EvalAltResult, Map, NativeCallContext};
use std::collections::BTreeMap;

options! {
    /// What a service can be told.
    pub struct ServiceOptions: JobOptions as job {
        /// What it runs: a string for the shell, or an array.
        cmd: Option<Command>, also command exec run args;
        /// The names of the services that must be ready before it starts: of this list, or jobs that run already. Their
        /// addresses `$<NAME>_URL`, `$<NAME>_PORT` and `$<NAME>_HOST` are in its environment, and in the texts of its
        /// options and the words of its command.
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
    needs: Vec<String>,
    /// As it was written, with the names of addresses in it.
    map: Map,
    command: Command,
    options: JobOptions,
    starting: Option<Starting>,
    /// It runs already, and is there because others need it.
    is_given: bool,
    /// What the modules that read files of services propose when it ends by itself with 0.
    task_hint: Option<String>,
}

impl Service {
    fn ready(&self) -> bool {
        self.starting.as_ref().is_some_and(|starting| starting.ready)
    }

    /// It will have none: a task that is given no port.
    fn has_no_address(&self) -> bool {
        !self.is_given && self.options.port.is_none() && self.options.is_task()
    }
}

/// Starts all of them; returns the jobs by name.
pub fn start(ctx: &NativeCallContext, list: &Array) -> Fallible<Map> {
    let rt = rt();
    rt.checkpoint()?;
    let mut services =
        list.iter().enumerate().map(|(i, value)| read(i, value)).collect::<Fallible<Vec<_>>>()?;
    services.extend(running(&services)?);
    check_needs(&services)?;
    check_addresses(&services)?;
    if rt.options.follow || services.iter().any(|service| service.options.echo) {
        let shown = |service: &&Service| rt.options.follow || service.options.echo;
        let names = services.iter().filter(shown).map(|service| service.name.clone());
        rt.emit(Event::JobsToShow(names.collect()));
    }
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
        if service.is_given {
            return None;
        }
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
    let given = Dynamic::from_map(map.clone());
    let missing = |key: &str| ScriptError::usage(format!("{place}: `{key}` is missing"));
    let opts = Opts::described(&place, &given, ServiceOptions::OPTIONS)?;
    let name = opts.string("name")?.ok_or_else(|| missing("name"))?;
    let read = read_options(&name, given)?;
    let missing = |key: &str| ScriptError::usage(format!("start: service `{name}`: `{key}` is missing"));
    let command = read.cmd.ok_or_else(|| missing("cmd"))?;
    let needs =
        read.needs.map_or_else(Vec::new, |needs| needs.0.into_iter().map(|Word(need)| need).collect());
    let options = read.job;
    Ok(Service { name, needs, map, command, options, starting: None, is_given: false, task_hint })
}

fn read_options(name: &str, map: Dynamic) -> Fallible<ServiceOptions> {
    let place = format!("start: service `{name}`");
    ServiceOptions::read(&Opts::described(&place, &map, ServiceOptions::OPTIONS)?)
}

/// What the services of a list need and is not in it, but runs.
fn running(services: &[Service]) -> Fallible<Vec<Service>> {
    let mut given: Vec<Service> = Vec::new();
    for need in services.iter().flat_map(|service| &service.needs) {
        if services.iter().chain(&given).any(|service| service.name == *need) {
            continue;
        }
        let Some(job) = rt().jobs.named(need).map(Job).filter(is_running) else { continue };
        let mut starting = Starting::new(&job, &options::Common::default());
        // It was ready when it was started, or has nothing to show it.
        let readiness = readiness::of(&job);
        starting.ready = readiness.is_empty() || readiness.has_held();
        given.push(Service {
            name: need.clone(),
            needs: Vec::new(),
            map: Map::new(),
            command: job.0.spec.command.clone(),
            options: read_options(need, Dynamic::from_map(Map::new()))?.job,
            starting: Some(starting),
            is_given: true,
            task_hint: None,
        });
    }
    Ok(given)
}

fn is_running(job: &Job) -> bool {
    view(job).is_some_and(|view| !view.died && !matches!(view.state, State::Ended(_)))
}

/// A text of a service, and who reads it.
struct Text<'a> {
    what: String,
    text: &'a mut rhai::ImmutableString,
    is_shell: bool,
}

/// Every text of a service in which an address may stand.
fn each_text(map: &mut Map, each: &mut dyn FnMut(Text<'_>) -> Fallible<()>) -> Fallible<()> {
    map.iter_mut().try_for_each(|(key, value)| match key.as_str() {
        "name" | "needs" => Ok(()),
        "cmd" => texts_of(value, "`cmd`", true, each),
        key => texts_of(value, &format!("option `{key}`"), key == "stop_cmd", each),
    })
}

fn texts_of(
    value: &mut Dynamic,
    what: &str,
    is_command: bool,
    each: &mut dyn FnMut(Text<'_>) -> Fallible<()>,
) -> Fallible<()> {
    if let Some(mut text) = value.write_lock::<rhai::ImmutableString>() {
        return each(Text { what: what.to_owned(), text: &mut text, is_shell: is_command });
    }
    if let Some(mut map) = value.write_lock::<Map>() {
        return map.iter_mut().try_for_each(|(key, value)| {
            texts_of(
                value,
                &format!("{what}: `{key}`"),
                key.as_str() == "cmd" && what.ends_with("`ready`"),
                each,
            )
        });
    }
    let Some(mut list) = value.write_lock::<Array>() else { return Ok(()) };
    let words: Vec<_> = list.iter().map(|word| word.clone().into_string().ok()).collect();
    let words: Vec<_> = words.iter().map(Option::as_deref).collect();
    let shell = is_command.then(|| address::shell_word(&words)).flatten();
    list.iter_mut().zip(0..).try_for_each(|(value, at)| texts_of(value, what, shell == Some(at), each))
}

/// What names an address names one of what the service needs, and that has one.
fn check_addresses(services: &[Service]) -> Fallible<()> {
    let names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
    let inherited = rt().env();
    for service in services.iter().filter(|service| !service.is_given) {
        let scope = Scope { service: &service.name, needs: &service.needs, services: &names };
        let own = service.options.process.surroundings.env.as_ref();
        let is_own = |name: &str| own.is_some_and(|env| env.0.iter().any(|(own, _)| own == name));
        let tasks =
            || services.iter().filter(|one| service.needs.contains(&one.name) && one.has_no_address());
        each_text(&mut service.map.clone(), &mut |Text { what, text, is_shell }| {
            let what = format!("start: service `{}`: {what}", service.name);
            // In a text that no shell reads there are no other variables.
            let is_set = |name: &str| {
                let inherited = || inherited.contains_key(std::ffi::OsStr::new(name));
                is_shell && (is_own(name) || inherited() || address::is_set_in(name, text))
            };
            if let Some(error) = scope.judge(&what, text, is_shell, &is_set) {
                return Err(error.into());
            }
            for task in tasks() {
                let addresses = address::names(&task.name);
                if let Some(name) = address::named(text, addresses.iter().map(String::as_str)).first()
                    && !is_set(name)
                {
                    return Err(no_address(&what, name, &task.name).into());
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn no_address(what: &str, name: &str, service: &str) -> ScriptError {
    ScriptError::usage(format!("{what}: `${name}`: `{service}` has no port"))
        .hint(format!("port: \"free\"   (of `{service}`, which finds the number in PORT)"))
}

/// The options of a service, with the addresses of what it needs in place of their names.
fn addressed(service: &Service, values: &BTreeMap<String, String>) -> Fallible<ServiceOptions> {
    let mut map = service.map.clone();
    let known: Vec<String> = service.needs.iter().flat_map(|need| address::names(need)).collect();
    each_text(&mut map, &mut |Text { what, text, is_shell }| {
        let missing = known.iter().map(String::as_str).filter(|name| !values.contains_key(*name));
        if !is_shell
            && let Some(name) = address::named(text, missing).first()
            && let Some(need) =
                service.needs.iter().find(|need| address::names(need).iter().any(|it| it == name))
        {
            let what = format!("start: service `{}`: {what}", service.name);
            return Err(no_address(&what, name, need).into());
        }
        if !is_shell {
            *text = address::replaced(text, values).into();
        }
        Ok(())
    })?;
    read_options(&service.name, Dynamic::from_map(map))
}

/// Names are unique, needs exist, and nobody needs itself through others.
fn check_needs(services: &[Service]) -> Fallible<()> {
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    let jobs = rt().jobs.list();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(ScriptError::usage(format!("start: two services are named `{name}`")).into());
        }
    }
    for service in services {
        if let Some(unknown) = service.needs.iter().find(|need| !names.contains(&need.as_str())) {
            let error = ScriptError::usage(format!(
                "start: service `{}` needs `{unknown}`, which is not in the list and is not running",
                service.name
            ));
            let has_ended = jobs.iter().any(|job| job.spec.name == *unknown);
            let error = match has_ended {
                true => error.note(format!("the job `{unknown}` has ended")),
                false => error,
            };
            let live = jobs.iter().map(|job| job.spec.name.as_str()).filter(|name| *name != unknown.as_str());
            let module = format!("std/{unknown}");
            return Err(match words::nearest(unknown, names.iter().copied().chain(live)) {
                Some(near) => error.hint(format!("needs: [\"{near}\"]")),
                None if import::is_built_in(&module) => error.hint(format!(
                    "import \"{module}\" as {unknown}; {unknown}::start();   (before this call)"
                )),
                None => error.hint(format!(
                    "start(\"{unknown}\", …) before, or #{{name: \"{unknown}\", cmd: …}} in the list"
                )),
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
                let extra: Vec<_> = needed.iter().flat_map(|other| addresses(other)).collect();
                let read = addressed(service, &extra.iter().cloned().collect())?;
                let job = launch_with(
                    "start",
                    Some(&service.name),
                    read.cmd.unwrap_or_else(|| service.command.clone()),
                    read.job,
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

/// Where a service is, as variables for those that need it.
fn addresses(service: &Service) -> Vec<(String, String)> {
    let Some(starting) = &service.starting else { return Vec::new() };
    let Some(port) = port_of(&starting.job).or_else(|| starting.local_port()) else { return Vec::new() };
    addresses_of(&service.name, &starting.job, port)
}

/// Where all are that run and have a port, in the order in which they were started.
pub fn all_addresses() -> Vec<(String, String)> {
    let jobs = rt().jobs.list().into_iter().map(Job).filter(is_running);
    let addresses = |job: Job| Some(addresses_of(&job.0.spec.name, &job, port_of(&job)?));
    jobs.filter_map(addresses).flatten().collect()
}

/// The names of those that listen, each with its URL.
pub fn all_urls() -> Vec<(String, String)> {
    let jobs = rt().jobs.list().into_iter().map(Job).filter(is_running);
    let url = |job: Job| {
        let name = job.0.spec.name.clone();
        let port = port_of(&job).filter(|port| listening_ports(&job).contains(port))?;
        let [(_, url), ..] = &addresses_of(&name, &job, port)[..] else { return None };
        Some((name, url.clone()))
    };
    jobs.filter_map(url).collect()
}

/// Where a job is: `DB_URL`, `DB_PORT`, `DB_HOST`.
fn addresses_of(name: &str, job: &Job, port: u16) -> Vec<(String, String)> {
    let url = rt().url(port);
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let own = scheme_of(&job.0.spec.command.program_name());
    let url = own.map_or_else(|| url.clone(), |own| format!("{own}://{rest}"));
    address::names(name).into_iter().zip([url, port.to_string(), host]).collect()
}

/// The scheme of a server that does not speak HTTP.
fn scheme_of(program: &str) -> Option<&'static str> {
    Some(match program {
        "redis-server" | "valkey-server" => "redis",
        "postgres" => "postgres",
        "mariadbd" | "mysqld" | "mysqld_safe" => "mysql",
        "memcached" => "memcached",
        "mosquitto" => "mqtt",
        "mongod" => "mongodb",
        "nats-server" => "nats",
        "rabbitmq-server" => "amqp",
        _ => return None,
    })
}
