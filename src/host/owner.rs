//! Whose port is it? A wait that is satisfied by somebody else's server is worse than one that fails.

use super::error::{Fallible, Kind, ScriptError};
use super::runtime::rt;
use crate::exit;
use crate::jobs::Job;
use crate::jobs::port::{self, Listening, NoLoopback, Owner};
use std::sync::{Arc, OnceLock};

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
    Err(error.exit(exit::SURROUNDINGS).into())
}

/// A free port, held for this run.
pub fn take(function: &str) -> Fallible<u16> {
    need_loopback(function)?;
    rt().ports.take().ok_or_else(|| {
        ScriptError::io(format!("{function}: no TCP port below the ephemeral range is free"))
            .exit(exit::SURROUNDINGS)
            .into()
    })
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
    const MOST: usize = 80;
    let mut command: String = owner.command.chars().take(MOST).collect();
    if command.len() < owner.command.len() {
        command.push('…');
    }
    format!("pid {pid} ({command})")
}

/// Passes when a process of this run listens on this local port, or when it cannot be told who does: then with
/// a warning, unless the port is one that this run chose for somebody. Throws `port_taken` when it is known to be
/// somebody else. `own_job`: the job that should answer, where the wait is for one; then a stranger cannot be meant.
pub fn check_owner(number: u16, own_job: Option<&str>) -> Fallible<()> {
    let rt = rt();
    // Our own few processes first: reading everybody's descriptors takes milliseconds.
    if rt.jobs.listens(number) {
        return Ok(());
    }
    let chosen = || {
        let of_a_job = |job: &Arc<Job>| job.spec.port == Some(number);
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
                    .note(format!("job `{job}` should answer it"))
                    .hint("port: \"free\"   (another port, in PORT), or stop that process"),
                None => ScriptError::new(Kind::PortTaken, format!("{stranger}; `external: true` accepts it")),
            };
            Err(error
                .fact("port", i64::from(number))
                .fact("pid", i64::from(owners.first().and_then(|owner| owner.pid).unwrap_or(0)))
                .into())
        }
    }
}
