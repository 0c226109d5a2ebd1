//! `start([…])`: a list of services, in parallel and in the order of their needs. What they need may also run already.
//!
//! What is said of a service may name the addresses of what it needs (`$API_URL`), its own ports (`$PORT`), and, of several
//! copies, their number and the addresses of all of them. All names are judged before anything starts; the values are put
//! in when the service starts, as they are not known earlier.

use super::options::{self, JobOptions, OwnPort};
use super::origin::Listed;
use super::ports::{self, OwnPorts};
use super::runtime::rt;
use super::start::{launch_with, rehearse};
use super::waiting;
use crate::api::Type;
use crate::event::Event;
use crate::host::run::job::{listening_ports, port_of, view};
use crate::host::run::ready::readiness;
use crate::host::run::ready::starting::Starting;
use crate::host::source::import;
use crate::host::value::address::{self, INDEX, MOST_COPIES, Place, Scope};
use crate::host::value::describe::options;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{self, Fallible, Kind, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::kinds::{OneOrMore, Typed, Within, Word};
use crate::host::value::written::{Text, each_text};
use crate::host::value::{self, Opts};
use crate::jobs::State;
use crate::jobs::spec::Command;
use crate::probe::{Attempt, Look, Wait};
use crate::words;
use rhai::{Array, Dynamic, EvalAltResult, Map, NativeCallContext};
use std::collections::BTreeMap;
use std::ffi::OsStr;

options! {
    /// What a service can be told.
    pub struct ServiceOptions: JobOptions as job {
        /// What it runs: a string for the shell, or an array.
        cmd: Option<Command>, also command exec run args;
        /// The names of the services that must be ready before it starts: of this list, or jobs that run already. Their
        /// addresses `$<NAME>_URL`, `$<NAME>_PORT` and `$<NAME>_HOST` are in its environment, and in the texts of its
        /// options and the words of its command.
        needs: Option<OneOrMore<Word>>, also depends_on depends requires after;
        /// So many copies of it are started, `NAME-1` and so on: each finds its number in `INDEX`, and the addresses of all,
        /// `$<NAME>_1_URL` and so on, as does who `needs` it.
        count: Option<Copies>, also replicas copies instances scale;
    }
}

/// How many copies of a service are started.
type Copies = Within<1, { MOST_COPIES as i64 }>;

/// An array of services.
pub struct Services;

impl Typed for Services {
    const TYPE: Type = Type::List(&Type::Options(ServiceOptions::OPTIONS));
}

#[derive(Clone)]
struct Service {
    /// What its job is called: with a number, if it is one of several copies.
    name: String,
    /// What has its addresses: its name in the list, and how many there are of it.
    place: Place,
    /// Which of the copies it is.
    index: Option<usize>,
    needs: Vec<String>,
    /// As it was written, with the names of addresses in it.
    map: Map,
    command: Command,
    options: JobOptions,
    ports: OwnPorts,
    /// What the modules that read files of services propose when it ends by itself with 0.
    task_hint: Option<String>,
    /// Where it stands in the file that they have read.
    listed: Option<Listed>,
}

/// A service on its way.
struct Member {
    service: Service,
    starting: Option<Starting>,
    /// It runs already, and is there because others need it.
    is_given: bool,
}

impl Member {
    fn ready(&self) -> bool {
        self.starting.as_ref().is_some_and(|starting| starting.ready)
    }
}

impl Service {
    /// It will have none: a task that is given no port.
    fn has_no_address(&self) -> bool {
        self.options.port.is_none() && self.options.ports.is_none() && self.options.is_task()
    }

    /// The names of what is its own: its ports, and which copy it is.
    fn own(&self) -> Vec<String> {
        let mut own = address::own_names(self.place.ports.as_deref().unwrap_or_default());
        own.extend(self.place.copies.map(|_| INDEX.to_owned()));
        own
    }
}

/// Starts all of them; returns the jobs by name.
pub fn start(ctx: &NativeCallContext, list: &Array) -> Fallible<Map> {
    let rt = rt();
    rt.checkpoint()?;
    let services = list.iter().enumerate().map(|(i, value)| read(i, value)).collect::<Fallible<Vec<_>>>()?;
    let given = running(&services)?;
    check_needs(&services, &given)?;
    check_addresses(&services, &given)?;
    let started = |service| Member { service, starting: None, is_given: false };
    let mut members: Vec<Member> = copies(services)?.into_iter().map(started).collect();
    members.extend(given);
    check_values(&members)?;
    let shown = |member: &&Member| member.service.options.echo || rt.follows(&member.service.name);
    let names: Vec<String> = members.iter().filter(shown).map(|member| member.service.name.clone()).collect();
    if !names.is_empty() {
        rt.emit(Event::JobsToShow(names));
    }
    let mut wait = Wait::new(&rt.jobs);
    wait.timeout = None; // Each service has its own deadline.
    wait.eager = true;
    wait.run_looking(|look| match step(ctx, &mut members, look) {
        Ok(true) => Attempt::Ready(()),
        Ok(false) => Attempt::NotYet("not all are ready".to_owned()),
        Err(error) => Attempt::Never(error),
    })
    .map_err(|failed| waiting::failed("start", "the services", failed, None, &[], |error| error))
    .map_err(|mut error| {
        error::change(&mut error, |error| propose_task(error, &members));
        error
    })?;
    let job = |member: Member| {
        if member.is_given {
            return None;
        }
        let starting = member.starting?;
        Some((member.service.name.into(), Dynamic::from(starting.job.clone())))
    };
    Ok(members.into_iter().filter_map(job).collect())
}

/// A service that has ended well may be meant as a task.
fn propose_task(error: &mut ScriptError, members: &[Member]) {
    let fact = |name: &str| error.facts.get(name).map(ToString::to_string);
    if error.kind != Kind::JobDied || fact("code").as_deref() != Some("0") {
        return;
    }
    let name = fact("job");
    let member = members.iter().find(|member| Some(&member.service.name) == name.as_ref());
    let Some(service) = member.map(|member| &member.service) else { return };
    if let Some(hint) = service.task_hint.clone() {
        error.hint = Some(hint);
    }
    // A file has no option for it.
    if service.listed.is_some() {
        for note in &mut error.notes {
            *note = note.replace("`stdin: \"pipe\"`", "`tail -f /dev/null | COMMAND`");
        }
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
    let listed = map.remove("listed").and_then(|listed| Listed::read(&listed));
    let given = Dynamic::from_map(map.clone());
    let missing = |key: &str| ScriptError::usage(format!("{place}: `{key}` is missing"));
    let opts = Opts::described(&place, &given, ServiceOptions::OPTIONS)?;
    let name = opts.string("name")?.ok_or_else(|| missing("name"))?;
    let read = placed(listed.as_ref(), &name, read_options(&name, given))?;
    let missing = |key: &str| ScriptError::usage(format!("start: service `{name}`: `{key}` is missing"));
    let command = read.cmd.ok_or_else(|| missing("cmd"))?;
    let needs =
        read.needs.map_or_else(Vec::new, |needs| needs.0.into_iter().map(|Word(need)| need).collect());
    let options = read.job;
    let copies = read.count.map(Within::count);
    let place = Place { name: name.clone(), ports: Some(ports::names(&options)), copies };
    let ports = OwnPorts::default();
    Ok(Service { name, place, index: None, needs, map, command, options, ports, task_hint, listed })
}

/// Each copy of each service, with its ports.
fn copies(services: Vec<Service>) -> Fallible<Vec<Service>> {
    let places: Vec<Place> = services.iter().map(|service| service.place.clone()).collect();
    let name_of = |place: &Place, number: usize| format!("{}-{number}", place.name);
    let mut all: Vec<Service> = Vec::new();
    for mut service in services {
        let needed = |need: String| match places.iter().find(|place| place.name == need) {
            Some(place @ Place { copies: Some(copies), .. }) => {
                (1..=*copies).map(|number| name_of(place, number)).collect()
            }
            _ => vec![need],
        };
        service.needs = service.needs.into_iter().flat_map(needed).collect();
        match service.place.copies {
            None => all.push(service),
            Some(copies) => {
                placed(service.listed.as_ref(), &service.name, check_copies(&service, copies))?;
                all.extend((1..=copies).map(|number| Service {
                    name: name_of(&service.place, number),
                    index: Some(number),
                    ..service.clone()
                }));
            }
        }
    }
    for (at, service) in all.iter().enumerate() {
        if all[..at].iter().any(|other| other.name == service.name) {
            return Err(
                ScriptError::usage(format!("start: two services are named `{}`", service.name)).into()
            );
        }
    }
    for service in &mut all {
        let taken = OwnPorts::take(&format!("start: service `{}`", service.name), &service.options);
        service.ports = placed(service.listed.as_ref(), &service.name, taken)?;
    }
    Ok(all)
}

/// What all copies would have in common, and cannot.
fn check_copies(service: &Service, copies: usize) -> Fallible<()> {
    let what = format!("start: service `{}`", service.name);
    let named = service.options.ports.iter().flat_map(|ports| &ports.0);
    let named =
        named.map(|(name, port)| ("ports", format!("`{name}`: "), format!("{name}: \"free\""), *port));
    let main = service.options.port.map(|port| ("port", String::new(), "port: \"free\"".to_owned(), port));
    for (key, which, hint, port) in named.chain(main) {
        if let OwnPort::Number(number) = port
            && copies > 1
        {
            let wrong = format!("{which}{copies} copies (`count`) cannot all have {number}");
            return Err(ScriptError::of_option(&what, key, wrong).hint(hint).into());
        }
    }
    match &service.options.log {
        Some(log) if copies > 1 && address::named(log, [INDEX].into_iter()).is_empty() => {
            let wrong = format!("{copies} copies (`count`) cannot all write {log:?}");
            Err(ScriptError::of_option(&what, "log", wrong)
                .hint(format!("{:?}", format!("{log}.$INDEX")))
                .into())
        }
        _ => Ok(()),
    }
}

/// An error about a value of a service that stands in a file tells where.
fn placed<T>(listed: Option<&Listed>, name: &str, done: Fallible<T>) -> Fallible<T> {
    done.map_err(|mut error| {
        if let Some(listed) = listed {
            listed.place(name, &mut error);
        }
        error
    })
}

fn read_options(name: &str, map: Dynamic) -> Fallible<ServiceOptions> {
    let place = format!("start: service `{name}`");
    ServiceOptions::read(&Opts::described(&place, &map, ServiceOptions::OPTIONS)?)
}

/// What the services of a list need and is not in it, but runs.
fn running(services: &[Service]) -> Fallible<Vec<Member>> {
    let mut given: Vec<Member> = Vec::new();
    for need in services.iter().flat_map(|service| &service.needs) {
        if services.iter().chain(given.iter().map(|one| &one.service)).any(|service| service.name == *need) {
            continue;
        }
        let Some(job) = rt().jobs.named(need).map(Job).filter(is_running) else { continue };
        let mut starting = Starting::new(&job, &options::Common::default());
        // It was ready when it was started, or has nothing to show it.
        let readiness = readiness::of_job(&job);
        starting.was_ready(readiness.is_empty() || readiness.has_held());
        let spec = &job.0.spec;
        let ports = OwnPorts { main: spec.port, named: spec.ports.clone() };
        let names = ports.named.iter().map(|(name, _)| name.clone()).collect();
        let service = Service {
            name: need.clone(),
            place: Place { name: need.clone(), ports: Some(names), copies: None },
            index: None,
            needs: Vec::new(),
            map: Map::new(),
            command: spec.command.clone(),
            options: read_options(need, Dynamic::from_map(Map::new()))?.job,
            ports,
            task_hint: None,
            listed: None,
        };
        given.push(Member { service, starting: Some(starting), is_given: true });
    }
    Ok(given)
}

fn is_running(job: &Job) -> bool {
    view(job).is_some_and(|view| !view.died && !matches!(view.state, State::Ended(_)))
}

/// What names an address names one of what the service needs, and that has one.
fn check_addresses(services: &[Service], given: &[Member]) -> Fallible<()> {
    let places: Vec<Place> = services.iter().map(|service| service.place.clone()).collect();
    let given: Vec<Place> = given.iter().map(|member| member.service.place.clone()).collect();
    let inherited = rt().env();
    for service in services {
        let is_needed = |place: &&Place| service.needs.contains(&place.name);
        let mut needs: Vec<Place> = places.iter().chain(&given).filter(is_needed).cloned().collect();
        needs.extend(service.place.copies.map(|_| service.place.clone()));
        let own_names = service.own();
        let scope = Scope { service: &service.name, needs: &needs, services: &places, own: &own_names };
        let own = service.options.process.surroundings.env.as_ref();
        let is_own = |name: &str| own.is_some_and(|env| env.0.iter().any(|(own, _)| own == name));
        let tasks =
            || services.iter().filter(|one| service.needs.contains(&one.name) && one.has_no_address());
        let mut map = Dynamic::from_map(service.map.clone());
        let judged = each_text(&mut map, &mut |Text { what, text, is_shell, .. }| {
            let what = format!("start: service `{}`: {what}", service.name);
            // In a text that no shell reads there are no other variables.
            let is_set = |name: &str| {
                let inherited = || inherited.contains_key(OsStr::new(name));
                is_shell && (is_own(name) || inherited() || address::is_set_in(name, text))
            };
            if let Some(error) = scope.judge(&what, text, is_shell, &is_set) {
                return Err(error.into());
            }
            for task in tasks() {
                let addresses = task.place.names();
                if let Some(name) = address::named(text, addresses.iter().map(String::as_str)).first()
                    && !is_set(name)
                {
                    return Err(no_address(&what, name, &task.name).into());
                }
            }
            Ok(())
        });
        placed(service.listed.as_ref(), &service.name, judged)?;
    }
    Ok(())
}

/// What would be told of a service only when what it needs is up, as far as it is known before: its options with the
/// addresses in them, its program, its directory and its user. Whatever a task makes may not be there yet.
fn check_values(members: &[Member]) -> Fallible<()> {
    for Member { service, is_given, .. } in members {
        if *is_given {
            continue;
        }
        let named: Vec<&Service> = members
            .iter()
            .map(|member| &member.service)
            .filter(|other| {
                let is_copy = service.index.is_some() && other.place.name == service.place.name;
                is_copy || service.needs.contains(&other.name)
            })
            .collect();
        // Any address will do.
        let of = |other: &&Service| {
            let names = Place { copies: None, name: other.name.clone(), ..other.place.clone() }.names();
            names.into_iter().map(|name| {
                let value = match name.rsplit_once('_') {
                    Some((_, "URL")) => "http://127.0.0.1:1",
                    Some((_, "HOST")) => "127.0.0.1",
                    _ => "1",
                };
                (name, value.to_owned())
            })
        };
        let mut values: BTreeMap<String, String> = named.iter().flat_map(of).collect();
        values.extend(service.index.map(|index| (INDEX.to_owned(), index.to_string())));
        values.extend(service.ports.variables());
        let checked = addressed(service, &named, &values).and_then(|read| {
            let command = read.cmd.unwrap_or_else(|| service.command.clone());
            // A name that stands in them is not known yet.
            let is_written = |text: Option<&str>| text.is_none_or(|text| !text.contains('$'));
            let is_there = is_written(service.options.process.surroundings.cwd.as_deref())
                && is_written(service.command.first_word())
                && !awaits_task(service, members);
            let ports = service.ports.clone();
            rehearse("start", &service.name, command, &read.job, ports, is_there)
        });
        placed(service.listed.as_ref(), &service.name, checked)?;
    }
    Ok(())
}

/// Whether a task ends before it starts.
fn awaits_task(service: &Service, members: &[Member]) -> bool {
    let needed = members.iter().map(|member| &member.service);
    let mut needed = needed.filter(|other| service.needs.contains(&other.name));
    needed.any(|other| other.options.is_task() || awaits_task(other, members))
}

fn no_address(what: &str, name: &str, service: &str) -> ScriptError {
    ScriptError::usage(format!("{what}: `${name}`: `{service}` has no port"))
        .hint(format!("port: \"free\"   (of `{service}`, which finds the number in PORT)"))
}

/// The options of a service, with what they name put in. `needed`: those whose addresses it may name.
fn addressed(
    service: &Service,
    needed: &[&Service],
    values: &BTreeMap<String, String>,
) -> Fallible<ServiceOptions> {
    let mut map = Dynamic::from_map(service.map.clone());
    let names = |one: &Service| Place { copies: None, name: one.name.clone(), ..one.place.clone() }.names();
    each_text(&mut map, &mut |Text { what, text, is_shell, .. }| {
        if is_shell {
            return Ok(());
        }
        for need in needed {
            let names = names(need);
            let missing = names.iter().map(String::as_str).filter(|name| !values.contains_key(*name));
            if let Some(name) = address::named(text, missing).first() {
                let what = format!("start: service `{}`: {what}", service.name);
                return Err(no_address(&what, name, &need.name).into());
            }
        }
        *text = address::replaced(text, values).into();
        Ok(())
    })?;
    read_options(&service.name, map)
}

/// Names are unique, needs exist, and nobody needs itself through others.
fn check_needs(services: &[Service], given: &[Member]) -> Fallible<()> {
    let known = services.iter().chain(given.iter().map(|member| &member.service));
    let names: Vec<&str> = known.clone().map(|service| service.name.as_str()).collect();
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
    while done.len() < names.len() {
        let ready = |s: &&Service| {
            !done.contains(&s.name.as_str()) && s.needs.iter().all(|n| done.contains(&n.as_str()))
        };
        let next: Vec<&str> = known.clone().filter(ready).map(|service| service.name.as_str()).collect();
        if next.is_empty() {
            let circle: Vec<&str> = names.iter().copied().filter(|name| !done.contains(name)).collect();
            let wrong = format!("start: these services need each other in a circle: {}", circle.join(", "));
            let first = services.iter().find(|service| circle.contains(&service.name.as_str()));
            let listed = first.and_then(|first| first.listed.as_ref());
            return placed(listed, circle[0], Err(ScriptError::usage(wrong).into()));
        }
        done.extend(next);
    }
    Ok(())
}

/// Starts what can start, looks at what has started; true when all are ready.
fn step(ctx: &NativeCallContext, members: &mut [Member], look: Look) -> Result<bool, Box<EvalAltResult>> {
    for i in 0..members.len() {
        if members[i].starting.is_none() {
            let service = &members[i].service;
            let is_needed = |other: &&Member| service.needs.contains(&other.service.name);
            let needed: Vec<&Member> = members.iter().filter(is_needed).collect();
            if needed.iter().all(|other| other.ready()) {
                let job = placed(service.listed.as_ref(), &service.name, launch(service, &needed, members))?;
                members[i].starting = Some(Starting::new(&job, &options::Common::default()));
            }
        }
        if let Some(starting) = &mut members[i].starting
            && !starting.ready
            && let Attempt::Never(error) = starting.step(ctx, "start", look)
        {
            return Err(error);
        }
    }
    Ok(members.iter().all(Member::ready))
}

/// Starts a service whose needs are ready.
fn launch(service: &Service, needed: &[&Member], all: &[Member]) -> Fallible<Job> {
    // Copies know each other before any of them runs.
    let is_copy = |other: &&Member| service.index.is_some() && other.service.place.name == service.place.name;
    let named: Vec<&Member> = needed.iter().copied().chain(all.iter().filter(is_copy)).collect();
    let mut extra: Vec<(String, String)> = named.iter().flat_map(|other| addresses(other)).collect();
    extra.extend(service.index.map(|index| (INDEX.to_owned(), index.to_string())));
    let mut values: BTreeMap<String, String> = extra.iter().cloned().collect();
    values.extend(service.ports.variables());
    let services: Vec<&Service> = named.iter().map(|other| &other.service).collect();
    let read = addressed(service, &services, &values)?;
    launch_with(
        "start",
        Some(&service.name),
        read.cmd.unwrap_or_else(|| service.command.clone()),
        read.job,
        service.ports.clone(),
        &extra,
        needed.iter().filter_map(|other| Some(other.starting.as_ref()?.job.0.id)).collect(),
    )
}

/// Where a service is, as variables for those that need it: `DB_URL`, `DB_PORT`, `DB_HOST`, `DB_PEER_PORT`, `DB_PEER_URL`.
fn addresses(member: &Member) -> Vec<(String, String)> {
    let service = &member.service;
    let found = || {
        let starting = member.starting.as_ref()?;
        port_of(&starting.job).or_else(|| starting.local_port())
    };
    let port = service.ports.main.or_else(found);
    let own = member.starting.as_ref().and_then(|starting| own_url(&starting.job));
    variables(&service.name, &service.command.program_name(), own, port, &service.ports.named)
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

/// Where a job is, as those know it that need it.
pub fn url_of(job: &Job) -> Option<String> {
    let all = addresses_of(&job.0.spec.name, job, port_of(job)?);
    all.into_iter().next().map(|(_, url)| url)
}

/// Where a job is.
fn addresses_of(name: &str, job: &Job, port: u16) -> Vec<(String, String)> {
    let named: Vec<(String, u16)> =
        job.0.spec.ports.iter().map(|(name, port)| (name.clone(), *port)).collect();
    variables(name, &job.0.spec.command.program_name(), own_url(job), Some(port), &named)
}

/// What a module has put into the environment of a server that clients need more of than a port: a user, a database, TLS.
fn own_url(job: &Job) -> Option<String> {
    job.0.spec.env.get(OsStr::new("BGJOBS_URL")).map(|url| url.to_string_lossy().into_owned())
}

/// Where a program listens whose job or service has this name: on its main port, and on those that have a name.
fn variables(
    name: &str,
    program: &str,
    own: Option<String>,
    port: Option<u16>,
    named: &[(String, u16)],
) -> Vec<(String, String)> {
    let stem = address::stem(name);
    let mut all = Vec::new();
    if let Some(port) = port {
        let url = rt().url(port);
        let (_, rest) = url.split_once("://").unwrap_or_default();
        let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host).trim_matches(['[', ']']).to_owned();
        let url = own.unwrap_or_else(|| {
            scheme_of(program).map_or_else(|| url.clone(), |scheme| format!("{scheme}://{rest}"))
        });
        all.push((format!("{stem}_URL"), url));
        all.push((format!("{stem}_PORT"), port.to_string()));
        all.push((format!("{stem}_HOST"), host));
    }
    for (name, port) in named {
        let name = address::stem(name);
        all.push((format!("{stem}_{name}_PORT"), port.to_string()));
        all.push((format!("{stem}_{name}_URL"), rt().url(*port)));
    }
    all
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
