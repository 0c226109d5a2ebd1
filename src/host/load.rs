//! Load: one request many times, on several connections at once, and how long the answers took.

use super::error::{self, Fallible, Kind, ScriptError};
use super::http;
use super::runtime::rt;
use super::value::{self, Opts};
use super::wait;
use crate::exit;
use crate::probe::background::Background;
use crate::probe::load::{self, Load, MOST_CONNECTIONS, Measured};
use crate::probe::{Attempt, Failed, Wait};
use rhai::plugin::*;
use rhai::{Dynamic, Engine, Map};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// Everything that a load can be told.
pub const OPTIONS: &[&str] = &[
    "requests",
    "connections",
    "duration",
    "rate",
    "method",
    "status",
    "headers",
    "json",
    "form",
    "body",
    "timeout",
    "insecure",
    "auth",
];

/// How many requests there are when neither their number nor a duration is given.
const REQUESTS: u64 = 1000;
const CONNECTIONS: i64 = 10;

pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// Sends the same request many times, on several connections that are kept open, and returns what came of it;
    /// `std/load` is the way to use it. Options: `requests` (how many at most; 1000 when there is no `duration`),
    /// `duration` (how long at most), `connections` (10; at most 1000), `rate` (how many a second at most, all together),
    /// `method` (`"GET"`, `"POST"` with a body), `status` (which are ok: 200, `[200, 404]`, `"2xx"`; any 2xx or 3xx
    /// unless it is given), and of those of `http_get`: `headers`, `auth`, `insecure`, `json`, `form`, `body`, `timeout`
    /// (10 s, of one request). Redirects are not followed.
    ///
    /// Returns a map: `requests` (how many were sent), `ok`, `failed`, `statuses` (a map of status → number), `errors`
    /// (a map of reason → number, of those without an answer), `rps` (answers a second), `ms` (how long it took), and of
    /// the answers `mean_ms`, `p50_ms`, `p90_ms`, `p95_ms`, `p99_ms`, `max_ms`, in milliseconds with three decimals. With
    /// `rate`, a time counts from when its request was due: a server that stalls is charged with those that had to
    /// wait. Throws `job_died` when a job dies meanwhile, never for an answer or a lack of it.
    /// ```rhai
    /// let api = mock(#{"/": "hello"});
    /// let load = http_load(api.url, #{requests: 20, connections: 2});
    /// assert_eq(load.ok, 20);
    /// assert(load.p95_ms <= load.max_ms);
    /// ```
    #[rhai_fn(name = "http_load", return_raw)]
    pub fn http_load(url: &str, opts: Dynamic) -> Fallible<Map> {
        super::measure(url, &opts)
    }
}

fn measure(url: &str, opts: &Dynamic) -> Fallible<Map> {
    let rt = rt();
    rt.checkpoint()?;
    let load = Arc::new(planned("http_load", url, opts)?);
    let mut running = Background::new(Arc::clone(&rt.jobs.control));
    let mut wait = Wait::new(&rt.jobs);
    wait.timeout = None;
    let measured = wait.run(|| {
        let work = Arc::clone(&load);
        match running.poll(move || load::run(&work)) {
            Some(Ok(measured)) => Attempt::Ready(measured),
            Some(Err(why)) => Attempt::Never(why),
            None => Attempt::Busy,
        }
    });
    load.given_up.store(true, SeqCst);
    match measured {
        Ok(measured) => Ok(result(&measured)),
        Err(Failed::Never(why)) => {
            Err(ScriptError::new(Kind::Io, format!("http_load: {why}")).exit(exit::SURROUNDINGS).into())
        }
        Err(Failed::Died(job, death)) => Err(error::death(&job, &death, Some("`http_load`")).into()),
        Err(Failed::Ended(..) | Failed::Halted | Failed::AllEnded | Failed::Timeout { .. }) => {
            Err(error::terminated())
        }
    }
}

fn planned(function: &str, url: &str, opts: &Dynamic) -> Fallible<Load> {
    // A bare duration would be taken for the timeout of one request.
    if !opts.is_map() && !opts.is_unit() {
        let wrong = format!("{function}: {} is no option map", value::show(opts));
        return Err(ScriptError::usage(wrong).hint("#{requests: 1000, connections: 10}").into());
    }
    let opts = Opts::new(function, opts, OPTIONS)?;
    let wrong = |key: &str, why: String| ScriptError::usage(format!("{function}: option `{key}`: {why}"));
    let has_body = ["json", "form", "body"].iter().any(|key| opts.get(key).is_some());
    let method = opts.string("method")?.unwrap_or_else(|| if has_body { "POST" } else { "GET" }.to_owned());
    let request = http::prepared(function, &method, url, None, &opts)?;
    let time = opts.duration("duration")?;
    if time.is_some_and(|time| time.is_zero()) {
        return Err(wrong("duration", "it must be longer than nothing".to_owned()).into());
    }
    let requests = match opts.int("requests")? {
        Some(most) => Some(
            u64::try_from(most)
                .ok()
                .filter(|most| *most > 0)
                .ok_or_else(|| wrong("requests", format!("{most} is not at least 1")))?,
        ),
        None if time.is_some() => None,
        None => Some(REQUESTS),
    };
    let connections = opts.int("connections")?.unwrap_or(CONNECTIONS);
    if !(1..=MOST_CONNECTIONS).contains(&connections) {
        return Err(wrong("connections", format!("{connections} is not 1 to {MOST_CONNECTIONS}")).into());
    }
    let rate = match opts.get("rate") {
        None => None,
        Some(given) => {
            let rate = given.as_float().or_else(|_| given.as_int().map(|rate| rate as f64));
            let rate = rate.ok().filter(|rate| (0.01..=1_000_000.0).contains(rate));
            Some(rate.ok_or_else(|| wrong("rate", format!("{} is no number a second", value::show(given))))?)
        }
    };
    Ok(Load {
        request,
        // More than there are requests would only be opened.
        connections: usize::try_from(connections)
            .unwrap_or(1)
            .min(requests.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)),
        requests,
        time,
        rate,
        want: wait::want(function, &opts)?,
        given_up: AtomicBool::new(false),
    })
}

/// Milliseconds, with the microseconds as decimals.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn result(measured: &Measured) -> Map {
    let count = |n: u64| Dynamic::from(i64::try_from(n).unwrap_or(i64::MAX));
    let answers = measured.statuses.values().sum::<u64>();
    let statuses: Map =
        measured.statuses.iter().map(|(status, n)| (status.to_string().into(), count(*n))).collect();
    let errors: Map = measured.errors.iter().map(|(why, n)| (why.as_str().into(), count(*n))).collect();
    let seconds = measured.took.as_secs_f64().max(1e-6);
    let round = |number: f64| Dynamic::from((number * 1000.0).round() / 1000.0);
    Map::from([
        ("requests".into(), count(answers + measured.errors.values().sum::<u64>())),
        ("ok".into(), count(measured.ok)),
        ("failed".into(), count(measured.failed())),
        ("statuses".into(), statuses.into()),
        ("errors".into(), errors.into()),
        ("rps".into(), round(answers as f64 / seconds)),
        ("ms".into(), ms(measured.took).into()),
        ("mean_ms".into(), round(measured.mean())),
        ("p50_ms".into(), round(measured.percentile(50.0))),
        ("p90_ms".into(), round(measured.percentile(90.0))),
        ("p95_ms".into(), round(measured.percentile(95.0))),
        ("p99_ms".into(), round(measured.percentile(99.0))),
        ("max_ms".into(), round(measured.percentile(100.0))),
    ])
}
