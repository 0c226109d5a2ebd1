//! What a `_setup.rhai` hands on to the scripts below it: what it exports, the variables that it has set, where its jobs are;
//! its stay until nobody needs them any more; and the other end, in the run of such a script.

use crate::handed::Handed;
use crate::host::run::death;
use crate::host::run::job::{address_of, port_of, view};
use crate::host::run::runtime::{Runtime, rt};
use crate::host::run::services;
use crate::host::source::import;
use crate::host::value::error::{self, Fallible, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::json::{from_json, to_json};
use crate::lock::lock;
use crate::probe::{Attempt, Failed, Wait};
use crate::secret;
use rhai::{AST, ASTFlags, Array, Dynamic, FnPtr, Map, Scope, Stmt};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Hands on what the script, which has run, has made, and stays until whoever is at the other end has had enough.
///
/// # Errors
/// What it exports is not data, nobody is there to take it, or a job has died meanwhile.
pub fn hand_on(path: &Path, ast: &AST, scope: &Scope, link: &Arc<UnixStream>) -> Fallible<()> {
    let secrets = secret::all();
    let handed = Handed { path: path.to_owned(), values: exported(ast, scope)?, env: variables(), secrets };
    (&**link)
        .write_all(&handed.to_line())
        .map_err(|why| ScriptError::io(format!("what it hands on cannot be told to `bgjobs test`: {why}")))?;
    stay(link)
}

/// What `export` names, at the end of the script.
fn exported(ast: &AST, scope: &Scope) -> Fallible<serde_json::Map<String, serde_json::Value>> {
    let mut all = serde_json::Map::new();
    for statement in ast.statements() {
        let (name, known_as) = match statement {
            Stmt::Var(it, flags, _) if flags.contains(ASTFlags::EXPORTED) => {
                (it.0.name.to_string(), it.0.name.to_string())
            }
            Stmt::Export(it, _) => {
                let name = it.0.name.to_string();
                let other = it.1.name.to_string();
                (name.clone(), if other.is_empty() { name } else { other })
            }
            _ => continue,
        };
        let value = scope.get_value::<Dynamic>(&name).unwrap_or(Dynamic::UNIT);
        let value = to_json(&plain(&value)).map_err(|what| {
            ScriptError::usage(format!("`{known_as}` cannot be handed on to the scripts below: {what}"))
                .note("what is exported goes to other processes: texts, numbers, lists, maps, jobs as maps of their addresses")
        })?;
        all.insert(known_as, value);
    }
    Ok(all)
}

/// With maps in the place of jobs, which have what can be read of them elsewhere.
fn plain(value: &Dynamic) -> Dynamic {
    if let Some(job) = value.read_lock::<Job>() {
        let mut map = Map::new();
        map.insert("name".into(), job.0.spec.name.clone().into());
        map.insert("pid".into(), view(&job).map_or(0, |view| i64::from(view.pid)).into());
        if let Some(port) = port_of(&job) {
            map.insert("port".into(), i64::from(port).into());
            map.insert("url".into(), rt().url(port).into());
        }
        map.insert("address".into(), address_of(&job).map_or(Dynamic::UNIT, Dynamic::from));
        let named =
            job.0.spec.ports.iter().map(|(name, port)| (name.as_str().into(), i64::from(*port).into()));
        map.insert("ports_by_name".into(), named.collect::<Map>().into());
        return map.into();
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(plain).collect::<Array>().into();
    }
    if let Some(map) = value.read_lock::<Map>() {
        // A module may have put a closure beside what it has started.
        let data = map.iter().filter(|(_, value)| !value.is::<FnPtr>());
        return data.map(|(key, value)| (key.clone(), plain(value))).collect::<Map>().into();
    }
    value.clone()
}

/// What is in the environment otherwise than in that of `bgjobs test`, and where the jobs are.
fn variables() -> Vec<(String, Option<String>)> {
    let before: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let now = rt().env();
    let mut now: BTreeMap<OsString, OsString> =
        now.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in services::all_addresses() {
        now.entry(name.into()).or_insert_with(|| value.into());
    }
    let text = |text: &OsString| text.to_string_lossy().into_owned();
    let changed = now.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    let mut all: Vec<_> = changed.map(|(name, value)| (text(name), Some(text(value)))).collect();
    all.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| (text(name), None)));
    all
}

/// Until the other end says so, or is gone. A job that dies meanwhile is an error, as in each wait.
fn stay(link: &Arc<UnixStream>) -> Fallible<()> {
    /// The end rings the bell; this only makes up for one that was missed.
    const LOOK: Duration = Duration::from_secs(1);
    let rt = rt();
    rt.checkpoint()?;
    let over = Arc::new(AtomicBool::new(false));
    let (link, seen, control) = (Arc::clone(link), Arc::clone(&over), Arc::clone(&rt.jobs.control));
    let listen = move || {
        // A byte, or the end.
        let _ = (&*link).read(&mut [0]);
        seen.store(true, SeqCst);
        control.bell.ring();
    };
    let started = std::thread::Builder::new().name("setup".into()).spawn(listen);
    started.map_err(|why| ScriptError::io(format!("cannot start a thread: {why}")))?;
    let mut wait = Wait::new(&rt.jobs);
    // As long as the scripts below take.
    wait.timeout = None;
    wait.interval = Some(LOOK);
    wait.eager = true;
    rt.control().stay(true);
    let ended = wait.run::<(), Infallible>(|| match over.load(SeqCst) {
        true => Attempt::Ready(()),
        false => Attempt::NotYet(String::new()),
    });
    if !matches!(ended, Err(Failed::Halted)) {
        rt.control().stay(false);
    }
    match ended {
        Ok(()) | Err(Failed::AllEnded | Failed::Timeout { .. }) => Ok(()),
        Err(Failed::Halted) => Err(error::terminated()),
        Err(Failed::Died(job, how)) => Err(death::while_waiting(death::death(&job, &how, None).into(), None)),
        Err(Failed::Ended(job, status)) => {
            Err(death::while_waiting(death::job_died(&job, status, None).into(), None))
        }
        Err(Failed::Never(never)) => match never {},
    }
}

/// What those above have handed on is this run's from now on.
pub fn receive(rt: &Runtime, all: &[Handed]) {
    if all.is_empty() {
        return;
    }
    for handed in all {
        let mut env = lock(&rt.env);
        for (name, value) in &handed.env {
            match value {
                Some(value) => env.insert(name, value),
                None => env.remove(std::ffi::OsStr::new(name)),
            }
        }
        // There was room for them where they come from.
        handed.secrets.iter().for_each(|secret| drop(secret::register(secret)));
    }
    let values = |handed: &Handed| {
        let values = handed.values.iter().map(|(name, value)| (name.as_str().into(), from_json(value)));
        (handed.path.clone(), values.collect::<Map>())
    };
    import::give(all.iter().map(values).collect());
}
