//! Waits that have failed, and waiting for an end.

use super::access;
use super::death;
use super::job::{listening_ports, millis, view};
use super::options::Common;
use super::owner;
use super::runtime::rt;
use crate::event::Event;
use crate::host::explain::caller::{Caller, caller};
use crate::host::run::ready::condition::Condition;
use crate::host::run::ready::prober::Advice;
use crate::host::value;
use crate::host::value::error::{self, Fallible, Kind, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::outcome::{Outcome, Printed, signal_of};
use crate::jobs::spec::Expect;
use crate::jobs::{self, State};
use crate::pending::Doing;
use crate::probe::http::Url;
use crate::probe::{Attempt, Failed, Seen, Wait};
use rhai::{Array, Dynamic, EvalAltResult};
use std::sync::Arc;
use std::time::Duration;

/// Waits until a job has ended; its end is expected then.
/// `waited`: how much of the timeout has passed already, waiting for others.
pub fn wait_for_end(function: &str, job: &Job, common: &Common, waited: Duration) -> Fallible<Outcome> {
    let rt = rt();
    rt.checkpoint()?;
    rt.jobs.expect(job.0.id, Expect::AnyEnd);
    let mut wait = Wait::new(&rt.jobs);
    wait.timeout = common.timeout.map(|time| time.saturating_sub(waited));
    wait.interval = Some(Duration::from_secs(1));
    wait.eager = true;
    let ended = || match view(job).filter(|view| !view.comes_back).map(|view| view.state) {
        Some(State::Ended(_)) => Attempt::Ready(()),
        _ => Attempt::NotYet("running".to_owned()),
    };
    let what = format!("the end of `{}`", job.0.spec.name);
    let _pending = rt.pending(Doing::Waiting, what.clone(), wait.timeout);
    let since = jobs::now();
    let found = wait.run::<(), ()>(ended);
    record(&what, since, found.is_ok());
    found.map_err(|failed| {
        crate::host::run::waiting::failed(
            function,
            &what,
            failed,
            common.message.as_deref(),
            std::slice::from_ref(job),
            |()| error::terminated(),
        )
    })?;
    // What it has printed is a failure, whatever its code.
    if let Some(found) = rt.jobs.take_fail_line(job.0.id) {
        return Err(death::fail_line(&job.0, &found, Some(&what)).into());
    }
    Ok(outcome(job))
}

/// A wait is over, for whoever records it. A condition that is tried within another wait is none of its own.
pub fn record(what: &str, since: Duration, ok: bool) {
    let rt = rt();
    if !rt.place().condition {
        rt.bus.record(|| Event::Waited {
            what: what.to_owned(),
            after: jobs::now().saturating_sub(since),
            ok,
        });
    }
}

/// How a job ended.
fn outcome(job: &Job) -> Outcome {
    let view = view(job);
    let status = match view.as_ref().map(|view| view.state) {
        Some(State::Ended(status)) => status,
        _ => jobs::ExitStatus::Code(0),
    };
    let ms = view.map_or(0, |v| millis(v.ended.unwrap_or_else(jobs::now).saturating_sub(v.started)));
    Outcome {
        code: i64::from(status.code()),
        signal: signal_of(status),
        timed_out: false,
        printed: printed(job),
        ms,
    }
}

/// What it has printed. Its log may go on, or go, when it has ended: another job may have it. But the end of a job that
/// has written much must not take the time that it takes to read that.
fn printed(job: &Job) -> Printed {
    const LARGE: u64 = 1 << 20;
    match job.0.log_length() {
        length @ LARGE.. => Printed::LargeLog(Arc::clone(&job.0), length),
        _ => Printed::Log(job.0.log_text().into()),
    }
}

/// A wait that ended without success → what the script catches.
pub fn failed<E>(
    function: &str,
    what: &str,
    failed: Failed<E>,
    message: Option<&str>,
    about: &[Job],
    never: impl FnOnce(E) -> Box<EvalAltResult>,
) -> Box<EvalAltResult> {
    let error = match failed {
        Failed::Never(error) => never(error),
        Failed::Halted => error::terminated(),
        Failed::Died(job, death) => death::death(&job, &death, Some(what)).into(),
        Failed::Ended(job, status) => death::job_died(&job, status, Some(what)).into(),
        Failed::AllEnded => {
            let mut error = ScriptError::new(
                Kind::JobDied,
                format!("{function}: {what} cannot come any more: every job of this run has ended"),
            );
            for job in rt().jobs.list().iter().rev().take(2) {
                error = error.note(state_line(&Job(Arc::clone(job)))).log_of(job);
            }
            match caller() {
                Some(_) => error.into(),
                None => error.note("a server outside of this run is meant? `external: true`").into(),
            }
        }
        Failed::Timeout { waited, seen } => {
            let facts =
                TimeoutFacts { what, waited, seen: &seen, about, condition: None, advice: None, message };
            timeout(function, &facts).into()
        }
    };
    death::while_waiting(error, message)
}

/// What a timeout is explained from.
pub struct TimeoutFacts<'a> {
    pub what: &'a str,
    pub waited: Duration,
    pub seen: &'a Seen,
    /// The jobs that were waited for; all that run when there are none.
    pub about: &'a [Job],
    pub condition: Option<&'a Condition>,
    pub advice: Option<Advice>,
    pub message: Option<&'a str>,
}

/// The error of a wait whose time is up: what was seen, what the jobs do, the likely cause.
pub fn timeout(function: &str, facts: &TimeoutFacts) -> ScriptError {
    let said = facts.message.map_or_else(String::new, |message| format!("{message}: "));
    let waited = value::show_duration(facts.waited);
    let port = facts.condition.and_then(Condition::local_port);
    let mut error = ScriptError::new(
        Kind::Timeout,
        format!("{said}{function}: timed out after {waited} waiting for {}", facts.what),
    )
    .fact("waited_ms", i64::try_from(facts.waited.as_millis()).unwrap_or(i64::MAX));
    if !facts.seen.is_empty() {
        error = error.note(format!("attempts: {}", facts.seen));
    }
    if let (Some(Condition::Http { target, .. }), Some(advice)) = (facts.condition, facts.advice) {
        // The number of a free port is another one the next time.
        let own = facts.about.len() == 1 && facts.about[0].0.spec.port == Some(target.request.url.port());
        let job = facts.about.first().map_or("", |job| &job.0.spec.name);
        error.hint = advice_on_url(function, job, &target.request.url, own, advice);
    }
    let everyone: Vec<Job>;
    let about = if facts.about.is_empty() {
        everyone = rt()
            .jobs
            .list()
            .into_iter()
            .map(Job)
            .filter(|job| view(job).is_some_and(|v| !matches!(v.state, State::Ended(_))))
            .collect();
        &everyone
    } else {
        facts.about
    };
    for job in about.iter().take(3) {
        error = error.note(state_line(job));
        let unused = owner::port_unused(&job.0);
        if let Some((note, hint)) = unused
            && port == job.0.spec.port
            && port.is_some_and(|port| !listening_ports(job).contains(&port))
        {
            error = error.note(note);
            error.hint = error.hint.or(hint);
        }
        if let (Some(wanted), Some(&other)) = (port, listening_ports(job).first())
            && wanted != other
            && error.hint.is_none()
        {
            let name = &job.0.spec.name;
            let path = match facts.condition {
                Some(Condition::Http { target, .. }) => target.request.url.path(),
                _ => "",
            };
            let edit = match (caller(), function) {
                (Some(caller), _) => caller.ready(name, &format!("{other}{path}")),
                (None, "wait_port") => Some(format!("wait_port({other})")),
                (None, "wait_http") => Some(format!("port {other}")),
                _ => Some(format!("ready: {other}")),
            };
            error.hint = edit.map(|edit| format!("{edit}   (`{name}` listens on {other}, not on {wanted})"));
        }
        if let Some((port, note, hint)) = owner::taken_by_log(&job.0) {
            error = error.fact("port", i64::from(port)).note(note).hint(hint);
        }
        if let Some((note, hint)) = access::denied(&job.0) {
            error = error.note(note);
            error.hint = error.hint.or(Some(hint));
        }
        if job.0.log.is_some() && job.0.log_length() == 0 {
            error =
                error.note(format!("the log of `{}` is empty: it may buffer its output", job.0.spec.name));
        }
    }
    if let [job] = about {
        error = error.fact("job", job.0.spec.name.clone());
    }
    for job in about.iter().take(2) {
        error = error.log_of(&job.0);
    }
    error
}

/// How to ask a server that does not answer as it was asked. `own`: on the port that its job was given.
fn advice_on_url(function: &str, job: &str, url: &Url, own: bool, advice: Advice) -> Option<String> {
    if let Some(caller) = caller() {
        return advice_to_caller(&caller, job, url, own, advice);
    }
    let tls = url.is_tls() != matches!(advice, Advice::Plain | Advice::Tls);
    let (scheme, rest) = (if tls { "https:" } else { "http:" }, url.to_string());
    let rest = rest.split_once(':').map_or("", |(_, rest)| rest).to_owned();
    let waits = function == "wait_http";
    let shown = match own && !waits {
        true if tls => format!("https:{}", url.path()),
        true => url.path().to_owned(),
        false => format!("{scheme}{rest}"),
    };
    let (call, option) = match waits {
        true => (format!("wait_http({shown:?})"), format!("wait_http({shown:?}, #{{insecure: true}})")),
        false => (format!("ready: {shown:?}"), format!("ready: #{{http: {shown:?}, insecure: true}}")),
    };
    Some(match advice {
        Advice::Refuses(status) => {
            let any = match waits {
                true => format!("wait_http({shown:?}, #{{status: \"any\"}})"),
                false => format!("ready: #{{http: {shown:?}, status: \"any\"}}"),
            };
            let or = match status {
                405 => "; `send: #{…}` makes the request a POST",
                404 => "; or name a path that it has",
                401 | 403 => "; or log in: `auth`",
                _ => "",
            };
            format!("{any}   (it answers {status}, so it runs{or})")
        }
        Advice::Insecure => {
            format!("{option}   (accepts every certificate; `ca: PATH` trusts one authority)")
        }
        Advice::Plain => call,
        Advice::Tls => format!("{option}   (it speaks TLS)"),
        Advice::NoHttp1 => {
            let place =
                if own { format!("http://localhost:$PORT{}", url.path()) } else { format!("{scheme}{rest}") };
            let ask = format!("\"curl -fsS --http2-prior-knowledge {place}\"");
            if waits { format!("wait_cmd({ask})") } else { format!("ready: #{{cmd: {ask}}}") }
        }
    })
}

/// The same for who has called a scenario script.
fn advice_to_caller(caller: &Caller, job: &str, url: &Url, own: bool, advice: Advice) -> Option<String> {
    // That it listens is enough, where nothing can be said of how it is asked.
    let listens = if own { "listening".to_owned() } else { url.port().to_string() };
    let asked = if own { url.path().to_owned() } else { url.to_string() };
    let other_scheme = |scheme: &str| match own {
        true if scheme == "http" => url.path().to_owned(),
        true => format!("{scheme}:{}", url.path()),
        false => format!("{scheme}:{}", url.to_string().split_once(':').map_or("", |(_, rest)| rest)),
    };
    let (words, why) = match advice {
        Advice::Insecure => (listens, "accepts whatever certificate it has".to_owned()),
        Advice::Plain => (other_scheme("http"), "it does not speak TLS".to_owned()),
        Advice::Tls => (other_scheme("https"), "it speaks TLS".to_owned()),
        Advice::NoHttp1 => {
            let place = if own { format!("http://localhost:$PORT{}", url.path()) } else { url.to_string() };
            (format!("cmd:curl -fsS --http2-prior-knowledge {place}"), "it speaks HTTP/2 alone".to_owned())
        }
        Advice::Refuses(status) => {
            let or = match status {
                405 if caller.takes("send") => "; --send '{…}' makes the request a POST",
                404 => "; or name a path that it has",
                401 | 403 if caller.takes("header") => "; or log in: --header 'Authorization: …'",
                _ => "",
            };
            let why = format!("it answers {status}, so it runs{or}");
            if caller.takes("status") {
                return Some(format!("{} --status any   ({why})", caller.ready(job, &asked)?));
            }
            (listens, why)
        }
    };
    Some(format!("{}   ({why})", caller.ready(job, &words)?))
}

/// What a job does now, in one line.
pub fn state_line(job: &Job) -> String {
    let name = &job.0.spec.name;
    let Some(view) = view(job) else { return format!("`{name}` is gone") };
    match view.state {
        // A restarted job has a new limit.
        State::Ended(status) => {
            let job = rt().jobs.get(job.0.id).unwrap_or_else(|| Arc::clone(&job.0));
            let rests = if view.comes_back { ", and is started again" } else { "" };
            format!("`{name}` has ended ({}){rests}", job.describe(status))
        }
        State::Running | State::Daemonised => {
            let ports: Vec<String> = listening_ports(job).iter().map(u16::to_string).collect();
            let listens = if ports.is_empty() {
                "listens on no port".to_owned()
            } else {
                format!("listens on {}", ports.join(", "))
            };
            format!("`{name}` runs (pid {}) and {listens}", view.pid)
        }
    }
}

/// A job, an array of jobs, or the values of a map of jobs.
pub fn job_list(function: &str, value: &Dynamic) -> Fallible<Vec<Job>> {
    if let Some(job) = value.clone().try_cast::<Job>() {
        return Ok(vec![job]);
    }
    let values: Vec<Dynamic> = if let Some(list) = value.read_lock::<Array>() {
        list.iter().cloned().collect()
    } else if let Some(map) = value.read_lock::<rhai::Map>() {
        map.values().cloned().collect()
    } else {
        return Err(ScriptError::usage(format!(
            "{function}: {} is not a job or array of jobs",
            value::show(value)
        ))
        .into());
    };
    let job = |value: Dynamic| {
        let shown = value::show(&value);
        value
            .try_cast::<Job>()
            .ok_or_else(|| ScriptError::usage(format!("{function}: {shown} is not a job")).into())
    };
    values.into_iter().map(job).collect()
}
