//! TCP ports: free ones, and who has the others.

use super::error::{Fallible, Kind, ScriptError};
use super::runtime::rt;
use super::value;
use crate::jobs::port::{self, Listening, Owner};
use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, Map};

/// Each is held by a descriptor until the run ends.
const MOST: i64 = 500;

pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// A TCP port that nobody listens on. No other run of bgjobs gets it until this one ends, and it lies outside of
    /// the range from which the kernel takes ports for outgoing connections.
    ///
    /// ```rhai
    /// let port = free_port();
    /// assert(!port_in_use(port));
    /// ```
    #[rhai_fn(name = "free_port", return_raw)]
    pub fn free_port() -> Fallible<i64> {
        rt().checkpoint()?;
        super::take("free_port")
    }

    /// `n` different free ports, as `free_port()` gives them.
    ///
    /// ```rhai
    /// let ports = free_ports(2);
    /// assert_ne(ports[0], ports[1]);
    /// ```
    #[rhai_fn(name = "free_ports", return_raw)]
    pub fn free_ports(n: i64) -> Fallible<Array> {
        rt().checkpoint()?;
        if !(0..=super::MOST).contains(&n) {
            return Err(ScriptError::usage(format!("free_ports: {n} ports? 0 to {}", super::MOST)).into());
        }
        (0..n).map(|_| super::take("free_ports").map(Dynamic::from)).collect()
    }

    /// Whether somebody listens on a TCP port of this machine, on whatever address.
    ///
    /// ```rhai
    /// if port_in_use(5432) { log("a database is running"); }
    /// ```
    #[rhai_fn(name = "port_in_use", return_raw)]
    pub fn port_in_use(port: Dynamic) -> Fallible<bool> {
        rt().checkpoint()?;
        value::port(&port, "port_in_use").map(port::in_use)
    }

    /// Who listens on a TCP port: `#{pid, name, cmd, user, ours}`, or `()` when nobody does. `ours` says whether this
    /// run started it. Of a process that may not be looked at, `pid` is `()` and `name` is `"?"`.
    ///
    /// ```rhai
    /// let owner = port_owner(5432);
    /// if owner != () { log(`${owner.name} (pid ${owner.pid})`); }
    /// ```
    #[rhai_fn(name = "port_owner", return_raw)]
    pub fn port_owner(port: Dynamic) -> Fallible<Dynamic> {
        rt().checkpoint()?;
        let owner = match port::listening(value::port(&port, "port_owner")?) {
            Listening::Nobody => return Ok(Dynamic::UNIT),
            // A server's workers share its socket: the oldest process is the server.
            Listening::Known(owners) => owners.into_iter().next(),
            Listening::Unknown(owner) => Some(owner),
        };
        Ok(owner.map_or(Dynamic::UNIT, |owner| super::describe(owner).into()))
    }
}

fn take(function: &str) -> Fallible<i64> {
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
