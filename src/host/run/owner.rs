//! Whose port is it? A wait that is satisfied by somebody else's server is worse than one that fails.

use super::runtime::rt;
use crate::exit;
use crate::host::explain::caller::caller;
use crate::host::value::error::{Fallible, Kind, ScriptError};
use crate::jobs::Job;
use crate::jobs::port::{self, Listening, NoLoopback, Owner};
use crate::jobs::spec::Command;
use crate::words;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

thread_local! {
    /// The ports of this machine that have answered requests of the condition that is being looked at; none while none is.
    static ANSWERED: RefCell<Option<BTreeSet<u16>>> = const { RefCell::new(None) };
}

/// A request to this port of this machine was answered.
pub fn answered(port: u16) {
    ANSWERED.with_borrow_mut(|all| all.as_mut().map(|all| all.insert(port)));
}

/// Looks at a condition that is a closure; and which ports of this machine have answered what it asked.
pub fn answers_to<T>(look: impl FnOnce() -> T) -> (T, BTreeSet<u16>) {
    let before = ANSWERED.replace(Some(BTreeSet::new()));
    let found = look();
    (found, ANSWERED.replace(before).unwrap_or_default())
}

/// Whether a job should answer on this port: it was given it, or its command names it, but not in a URL, which is that of
/// somebody else whom it asks.
pub fn claims(job: &Job, port: u16) -> bool {
    let command = job.spec.command.display();
    let is_url = |word: &&str| word.contains("http://") || word.contains("https://");
    let mut words = command.split_whitespace().filter(|word| !is_url(word));
    job.spec.has_port(port) || words.any(|word| numbers(word).contains(&port))
}

/// Throws when no server of this machine can be reached, whatever the script does: in a sandbox.
pub fn need_loopback(function: &str) -> Fallible<()> {
    static FOUND: OnceLock<Result<(), NoLoopback>> = OnceLock::new();
    let error = match FOUND.get_or_init(port::loopback) {
        Ok(()) => return Ok(()),
        Err(NoLoopback::Forbidden(reason)) => ScriptError::io(format!(
            "{function}: this process may not open a port or connect to one on this machine ({reason}): it is in a sandbox"
        ))
        .note("no server can be reached here; run bgjobs outside of the sandbox, or allow it 127.0.0.1"),
        Err(NoLoopback::Down) => ScriptError::io(format!(
            "{function}: the loopback interface `lo` is down: this is a network namespace of its own, or a sandbox"
        ))
        .note("no server can be reached on 127.0.0.1 here")
        .hint("ip link set lo up   (before bgjobs, in that namespace)"),
    };
    Err(error.exit(exit::INFRASTRUCTURE).into())
}

/// A free port, held for this run.
pub fn take(function: &str) -> Fallible<u16> {
    need_loopback(function)?;
    rt().ports.take().ok_or_else(|| {
        ScriptError::io(format!("{function}: no TCP port below the ephemeral range is free"))
            .exit(exit::INFRASTRUCTURE)
            .into()
    })
}

/// Why a job does not listen on the port that it was given, when its command shows that: a note, and the next edit.
pub fn port_unused(job: &Job) -> Option<(String, Option<String>)> {
    job.spec.port?;
    // In the words of an array its number stands.
    let Command::Shell(text) = &job.spec.command else { return None };
    let names: Vec<&str> = text
        .split('$')
        .skip(1)
        .map(|rest| {
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            &rest[..end]
        })
        .filter(|name| !name.is_empty())
        .collect();
    if names.contains(&"PORT") {
        return None;
    }
    let unset = |name: &&&str| !job.spec.env.contains_key(std::ffi::OsStr::new(**name));
    let wrong = names.iter().filter(unset).find(|name| words::nearest(name, ["PORT"]).is_some());
    Some(match wrong {
        Some(wrong) => {
            let right = text.replace(&format!("${wrong}"), "$PORT").replace(&format!("${{{wrong}"), "${PORT");
            let typed = caller().map(|caller| caller.instead(text, &right));
            let hint = typed.unwrap_or_else(|| Some(format!("{right:?}")));
            (format!("`${wrong}` in its command is not set"), hint)
        }
        None => ("its command has no `$PORT`: its program must read PORT by itself".to_owned(), None),
    })
}

/// What to do about a port that is taken, for a job with this command.
pub fn another_port(job: &str, command: &Command, port: u16) -> String {
    let number = port.to_string();
    let is_number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).any(|word| word == number);
    let fixed = match command {
        Command::Shell(text) => is_number(text),
        Command::Argv(words) | Command::Own(words) => words.iter().any(|word| is_number(word)),
    };
    if let Some(caller) = caller() {
        let free = format!("bgjobs script free-port --port {port}");
        return match caller.ready(job, "/").filter(|_| fixed) {
            Some(ready) => {
                format!("{free}   (ends it; or {ready}, and `$PORT` in the place of {port} in the command)")
            }
            None => format!("{free}   (ends it)"),
        };
    }
    match (fixed, command) {
        (true, Command::Shell(_)) => {
            format!(
                "port: \"free\", and `$PORT` in the place of {port} in the command; or kill_port({port}) before"
            )
        }
        (true, _) => format!("let port = free_port();   in the place of {port}; or kill_port({port}) before"),
        (false, _) => format!("port: \"free\"   (takes one that is free); or kill_port({port}) before"),
    }
}

/// Who listens on a port, in words.
pub fn who(port: u16) -> String {
    match port::listening(port) {
        Listening::Nobody => "nobody".to_owned(),
        Listening::Known(owners) => owners.iter().map(describe).collect::<Vec<_>>().join(", "),
        Listening::Unknown(owner) => format!("a process of user {} that cannot be seen", owner.user),
    }
}

pub fn describe(owner: &Owner) -> String {
    let pid = owner.pid.unwrap_or(0);
    let jobs = &rt().jobs;
    let of_job = |job: &Arc<Job>| jobs.processes(job.id).iter().any(|stat| owner.pid == Some(stat.pid));
    let job = jobs.list().into_iter().find(of_job);
    let job = job.map_or_else(String::new, |job| format!(" of job `{}`", job.spec.name));
    const MOST: usize = 80;
    let mut command: String = owner.command.chars().take(MOST).collect();
    if command.len() < owner.command.len() {
        command.push('…');
    }
    // The name tells where a command begins with an interpreter or has been overwritten.
    let named = command.split_whitespace().next().is_some_and(|word| word.contains(&owner.name));
    let name = if named || owner.name == "?" { String::new() } else { format!("{}: ", owner.name) };
    format!("pid {pid}{job} ({name}{command})")
}

/// The port that a job wants and somebody else has, when its log says that its address is in use: a note, and what
/// to do. Programs say it in many ways, some of them without the port: then it is one of those that their command or
/// their log names.
pub fn taken_by_log(job: &Job) -> Option<(u16, String, String)> {
    const LINES: usize = 40;
    let tail = if job.log.is_some() { job.log_tail(LINES) } else { return None };
    let at = tail.iter().rposition(|line| says_in_use(line))?;
    let near = &tail[at.saturating_sub(2)..tail.len().min(at + 6)];
    let others = tail.iter().flat_map(|line| numbers(line)).filter(|port| *port >= 1024);
    let command = job.spec.command.display();
    let known = [job.spec.port].into_iter().flatten();
    let candidates = numbers(&tail[at])
        .into_iter()
        .chain(near.iter().flat_map(|line| numbers(line)))
        .chain(numbers(&command))
        .chain(known)
        .chain(others);
    let own = rt().jobs.ports(job.id);
    let port = candidates.filter(|port| !own.contains(port)).find(|port| port::in_use(*port))?;
    let note = format!("port {port} is taken by {}", who(port));
    Some((port, note, another_port(&job.spec.name, &job.spec.command, port)))
}

fn says_in_use(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["eaddrinuse", "address already in use", "address in use", "errno 98]", "os error 98"]
        .iter()
        .any(|words| line.contains(words))
        || line.contains("port") && (line.contains("already in use") || line.contains("is in use"))
}

/// The numbers of a text that may be ports.
fn numbers(text: &str) -> Vec<u16> {
    let words = text.split(|c: char| !c.is_ascii_digit());
    words
        .filter(|word| word.len() > 1)
        .filter_map(|word| word.parse().ok())
        .filter(|port| *port != 98)
        .collect()
}

/// Passes when a process of this run listens on this local port, or when it cannot be told who does: then with
/// a warning, unless the port is one that this run chose for somebody. Throws `port_taken` when it is known to be
/// somebody else. `own_job`: the job that should answer, where the wait is for one; then a stranger cannot be meant.
pub fn check_owner(number: u16, own_job: Option<&Job>) -> Fallible<()> {
    let rt = rt();
    // Our own few processes first: reading everybody's descriptors takes milliseconds.
    if rt.jobs.listens(number) {
        return Ok(());
    }
    let chosen = || {
        let of_a_job = |job: &Arc<Job>| job.spec.has_port(number);
        rt.ports.gave(number) || rt.jobs.list().iter().any(of_a_job)
    };
    let accept = |why: &str| {
        if !chosen() {
            rt.warn(format!("port {number} answers, but {why}: whether this run started it cannot be told"));
        }
        Ok(())
    };
    match port::listening(number) {
        Listening::Nobody => accept("no local process listens on it"),
        Listening::Unknown(owner) => accept(&format!("it belongs to user {}", owner.user)),
        Listening::Known(owners) => {
            if owners.iter().any(|owner| owner.pid.is_some_and(|pid| rt.jobs.is_ours(pid))) {
                return Ok(());
            }
            if owners.iter().any(port::forwards) {
                return accept("a container engine forwards it");
            }
            let who = owners.first().map(describe).unwrap_or_default();
            let stranger = format!("port {number} is answered by {who}, which this run did not start");
            let error = match own_job {
                Some(job) => ScriptError::new(Kind::PortTaken, stranger)
                    .note(format!("job `{}` should answer it", job.spec.name))
                    .about("port")
                    .hint(another_port(&job.spec.name, &job.spec.command, number)),
                None => ScriptError::new(Kind::PortTaken, format!("{stranger}; `external: true` accepts it")),
            };
            Err(error
                .fact("port", i64::from(number))
                .fact("pid", i64::from(owners.first().and_then(|owner| owner.pid).unwrap_or(0)))
                .into())
        }
    }
}
