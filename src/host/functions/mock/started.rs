//! Starts a mock: a job like others, on a port that is free, ready when it says so.

use crate::host::run::options::{Common, JobOptions};
use crate::host::run::ports::OwnPorts;
use crate::host::run::ready::starting;
use crate::host::run::runtime::rt;
use crate::host::run::{owner, start};
use crate::host::value::Opts;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::handle::Job;
use crate::jobs::Job as Inner;
use crate::jobs::spec::Command;
use crate::lock::lock;
use crate::mock::Service;
use rhai::{Dynamic, Map, NativeCallContext};

/// `function`: what the script has called, also the name of the job when it has no other.
pub fn start(
    ctx: &NativeCallContext,
    function: &str,
    name: Option<&str>,
    service: impl FnOnce(u16) -> Fallible<Service>,
) -> Fallible<Job> {
    let rt = rt();
    rt.checkpoint()?;
    let port = owner::take(function)?;
    let service = service(port)?;
    let scheme = service.scheme();
    let command = Command::Own(["mock", "--port", &port.to_string()].map(str::to_owned).to_vec());
    // Its own log says first that it listens: somebody else may accept connections on the port.
    let map = |key: &str, value: Dynamic| Dynamic::from_map(Map::from([(key.into(), value)]));
    let listens = map("log", service.listening(port).into());
    let opts = Map::from([
        ("port".into(), i64::from(port).into()),
        // Routes are larger than arguments may be.
        ("stdin".into(), map("text", service.encode().into())),
        ("ready".into(), listens),
    ]);
    let opts = JobOptions::read(&Opts::described(function, &opts.into(), JobOptions::OPTIONS)?)?;
    let ports = OwnPorts { main: Some(port), named: Vec::new() };
    let job = start::launch_with(function, name, command, opts, ports, &[], Vec::new())?;
    lock(&rt.mocks).insert(job.0.id, scheme);
    starting::wait(ctx, function, std::slice::from_ref(&job), &Common::default())?;
    Ok(job)
}

/// The log of a mock, which is its record.
pub fn record(function: &str, job: &Inner) -> Fallible<String> {
    if lock(&rt().mocks).contains_key(&job.id) {
        return Ok(job.log_text());
    }
    let message = format!("{function}: job `{}` is not a mock", job.spec.name);
    Err(ScriptError::usage(message).note("only what `mock(routes)` and the like started has a record").into())
}
