//! TCP ports: free ones, and who has the others.

use crate::event::Event;
use crate::host::run::owner::{self, describe as who};
use crate::host::run::runtime::rt;
use crate::host::value::describe::function;
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, Kind, ScriptError};
use crate::host::value::kinds::Port;
use crate::jobs::evict::Held;
use crate::jobs::port::{self, Listening, Owner};
use rhai::{Array, Dynamic, Map, NativeCallContext};
use std::time::Duration;

/// Each is held by a descriptor until the run ends.
const MOST: i64 = 500;

pub const FUNCTIONS: &[Entry] = &[PORT_IN_USE, PORT_OWNER, KILL_PORT, FREE_PORT, FREE_PORTS];

function! {
    /// Whether somebody listens on a TCP port of this machine, on whatever address.
    ///
    /// ```rhai
    /// if port_in_use(5432) { log("a database is running"); }
    /// ```
    PORT_IN_USE = "port_in_use" -> bool {
        (port: Port) => port_in_use;
    }
}

function! {
    /// Who listens on a TCP port: `#{pid, name, cmd, user, ours}`, or `()` when nobody does. `ours` says whether this
    /// run started it. Of a process that may not be looked at, `pid` is `()` and `name` is `"?"`.
    ///
    /// ```rhai
    /// let owner = port_owner(5432);
    /// if owner != () { log(`${owner.name} (pid ${owner.pid})`); }
    /// ```
    PORT_OWNER = "port_owner" -> Dynamic {
        (port: Port) => port_owner;
    }
}

function! {
    /// Ends whoever listens on a TCP port, and returns when it is free; does nothing when it is. A job of this run is
    /// stopped as with `.stop()`. Anybody else gets TERM, and SIGKILL after the grace period (5 s, `--grace`); a line
    /// says who it was. All who share the listening socket are ended, the parent and its workers.
    ///
    /// Throws `port_taken`, and ends nobody, when one of them is a process of another user, or one above bgjobs (what
    /// has started it), or cannot be seen, or forwards the port of a container.
    ///
    /// ```rhai
    /// kill_port(free_port());
    /// ```
    KILL_PORT = "kill_port" -> (), throws port_taken {
        (port: Port) => kill_port;
        /// With another grace period.
        ///
        /// ```rhai
        /// kill_port(free_port(), "500ms");
        /// ```
        (port: Port, grace: Duration) => kill_port_within;
    }
}

function! {
    /// A TCP port that nobody listens on. No other run of bgjobs gets it until this one ends, and it lies outside of
    /// the range from which the kernel takes ports for outgoing connections.
    ///
    /// ```rhai
    /// let port = free_port();
    /// assert(!port_in_use(port));
    /// ```
    FREE_PORT = "free_port" -> i64 {
        () => free_port;
    }
}

function! {
    /// `n` different free ports, as `free_port()` gives them.
    ///
    /// ```rhai
    /// let ports = free_ports(2);
    /// assert_ne(ports[0], ports[1]);
    /// ```
    FREE_PORTS = "free_ports" -> Array {
        (n: i64) => free_ports;
    }
}

fn free_port(_: &NativeCallContext) -> Fallible<i64> {
    rt().checkpoint()?;
    take("free_port")
}

fn free_ports(_: &NativeCallContext, n: i64) -> Fallible<Array> {
    rt().checkpoint()?;
    if !(0..=MOST).contains(&n) {
        return Err(ScriptError::usage(format!("free_ports: {n} ports? 0 to {}", MOST)).into());
    }
    (0..n).map(|_| take("free_ports").map(Dynamic::from)).collect()
}

fn port_in_use(_: &NativeCallContext, Port(port): Port) -> Fallible<bool> {
    rt().checkpoint()?;
    Ok(port::in_use(port))
}

fn port_owner(_: &NativeCallContext, Port(port): Port) -> Fallible<Dynamic> {
    rt().checkpoint()?;
    let owner = match port::listening(port) {
        Listening::Nobody => return Ok(Dynamic::UNIT),
        // A server's workers share its socket: the oldest process is the server.
        Listening::Known(owners) => owners.into_iter().next(),
        Listening::Unknown(owner) => Some(owner),
    };
    Ok(owner.map_or(Dynamic::UNIT, |owner| describe(owner).into()))
}

fn kill_port(_: &NativeCallContext, Port(port): Port) -> Fallible<()> {
    free("kill_port", port, rt().options.grace)
}

fn kill_port_within(_: &NativeCallContext, Port(port): Port, grace: Duration) -> Fallible<()> {
    free("kill_port", port, grace)
}

fn free(function: &str, port: u16, grace: Duration) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    let (evicted, result) = rt.jobs.free(port, grace, &|| rt.control().halted());
    for one in evicted {
        let pid = one.owner.pid.unwrap_or_default();
        rt.emit(Event::PortFreed { port, pid, command: one.owner.command, killed: one.killed });
    }
    rt.checkpoint()?;
    result.map_err(|held| not_freed(function, port, held).into())
}

fn not_freed(function: &str, port: u16, held: Held) -> ScriptError {
    let held_by = |owner: &Owner| format!("port {port} is held by {}", who(owner));
    let (message, owner) = match held {
        Held::ByAncestor(owner) => {
            (format!("{}, which has started this run or is part of it", held_by(&owner)), Some(owner))
        }
        Held::ByOtherUser(owner) => {
            (format!("{}, which is user {}'s and not ours to end", held_by(&owner), owner.user), Some(owner))
        }
        Held::ByForwarder(owner) => {
            (format!("{}, which forwards it into a container: stop that", held_by(&owner)), Some(owner))
        }
        Held::Unseen(user) => {
            (format!("port {port} is held by a process of user {user} that cannot be seen"), None)
        }
        Held::Again(owner) => {
            let who = owner.as_ref().map_or_else(|| "somebody else".to_owned(), who);
            (format!("port {port} was freed, but {who} listens on it now"), owner)
        }
        Held::Stuck(owner) => (format!("{} even after SIGKILL", held_by(&owner)), Some(owner)),
    };
    ScriptError::new(Kind::PortTaken, format!("{function}: {message}"))
        .fact("port", i64::from(port))
        .fact("pid", owner.and_then(|owner| owner.pid).map_or(Dynamic::UNIT, |pid| i64::from(pid).into()))
}

fn take(function: &str) -> Fallible<i64> {
    owner::need_loopback(function)?;
    rt().ports
        .take()
        .map(i64::from)
        .ok_or_else(|| ScriptError::new(Kind::PortTaken, format!("{function}: every port is taken")).into())
}

fn describe(owner: Owner) -> Map {
    Map::from([
        ("pid".into(), owner.pid.map_or(Dynamic::UNIT, |pid| i64::from(pid).into())),
        ("name".into(), owner.name.into()),
        ("cmd".into(), owner.command.into()),
        ("user".into(), owner.user.into()),
        ("ours".into(), owner.pid.is_some_and(|pid| rt().jobs.is_ours(pid)).into()),
    ])
}
