//! Load: one request many times, on several connections at once, and how long the answers took.

use crate::api::Type;
use crate::exit;
use crate::host::run::runtime::rt;
use crate::host::run::{death, request};
use crate::host::value;
use crate::host::value::describe::{function, options};
use crate::host::value::described::Entry;
use crate::host::value::error::{self, Fallible, Kind, ScriptError};
use crate::host::value::kinds::{Count, FromValue, Typed, Within};
use crate::pending::Doing;
use crate::probe::background::Background;
use crate::probe::http::Url;
use crate::probe::load::{self, Load, MOST_CONNECTIONS, Measured};
use crate::probe::target::Want;
use crate::probe::{Attempt, Failed, Wait};
use rhai::{Dynamic, Map, NativeCallContext};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How many requests there are when neither their number nor a duration is given.
const REQUESTS: usize = 1000;

pub const FUNCTIONS: &[Entry] = &[HTTP_LOAD];

options! {
    /// What a load can be told.
    pub struct Plan: request::Sending as sending {
        /// How many requests there are at most.
        requests: Option<Count>, default "1000, or no limit with `duration`", also total number n;
        /// How long it lasts at most; what is under way then is waited for.
        duration: Option<Duration>, also time;
        /// How many connections are kept open.
        connections: Within<1, MOST_CONNECTIONS> = 10, also concurrency users clients vus;
        /// How many requests are sent a second at most, all connections together.
        rate: Option<Rate>, also rps qps;
        /// The method of each request.
        method: Option<String>, default "`\"GET\"`, or `\"POST\"` with a body";
        /// Which statuses are ok: 200, `[200, 404]`, `"2xx"`.
        status: Option<Want>, default "any 2xx or 3xx", also status_code code;
    }
}

function! {
    /// Sends the same request many times, on several connections that are kept open, and returns what came of it;
    /// `std/load` is the way to use it. Redirects are not followed.
    ///
    /// Returns a map: `requests` (how many were sent), `ok`, `failed`, `statuses` (a map of status → number), `errors`
    /// (a map of reason → number, of those without an answer), `rps` (answers a second), `ms` (how long it took), and of
    /// the answers `mean_ms`, `p50_ms`, `p90_ms`, `p95_ms`, `p99_ms`, `max_ms`, in milliseconds with three decimals. With
    /// `rate`, a time counts from when its request was due: a server that stalls is charged with those that had to
    /// wait. An answer, or a lack of it, is never an error.
    /// ```rhai
    /// let api = mock(#{"/": "hello"});
    /// let load = http_load(api.url, #{requests: 20, connections: 2});
    /// assert_eq(load.ok, 20);
    /// assert(load.p95_ms <= load.max_ms);
    /// ```
    HTTP_LOAD = "http_load" -> Map, throws job_died {
        (url: Url; Plan) => http_load;
    }
}

/// Requests a second.
#[derive(Clone, Copy, Debug)]
pub struct Rate(f64);

impl Typed for Rate {
    const TYPE: Type = Type::Number;
}

impl FromValue for Rate {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        let rate = f64::from_value(value, what).ok().filter(|rate| (0.01..=1_000_000.0).contains(rate));
        let wrong = || ScriptError::usage(format!("{what}: {} is not a number a second", value::show(value)));
        Ok(Self(rate.ok_or_else(wrong)?))
    }
}

fn http_load(_: &NativeCallContext, url: Url, plan: Plan) -> Fallible<Map> {
    let rt = rt();
    rt.checkpoint()?;
    let load = Arc::new(planned(url, plan)?);
    let mut running = Background::new(Arc::clone(&rt.jobs.control));
    let mut wait = Wait::new(&rt.jobs);
    wait.timeout = None;
    let _pending = rt.pending(Doing::Running, "http_load", load.time);
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
            Err(ScriptError::new(Kind::Io, format!("http_load: {why}")).exit(exit::INFRASTRUCTURE).into())
        }
        Err(Failed::Died(job, death)) => Err(death::death(&job, &death, Some("`http_load`")).into()),
        Err(Failed::Ended(..) | Failed::Halted | Failed::AllEnded | Failed::Timeout { .. }) => {
            Err(error::terminated())
        }
    }
}

fn planned(url: Url, plan: Plan) -> Fallible<Load> {
    const NAME: &str = "http_load";
    if plan.duration.is_some_and(|time| time.is_zero()) {
        let wrong = format!("{NAME}: option `duration`: it must be longer than nothing");
        return Err(ScriptError::usage(wrong).into());
    }
    let usual = if plan.sending.content.given().is_empty() { "GET" } else { "POST" };
    let method = plan.method.unwrap_or_else(|| usual.to_owned());
    let requests = match (plan.requests, plan.duration) {
        (Some(most), _) => Some(most.count()),
        (None, Some(_)) => None,
        (None, None) => Some(REQUESTS),
    };
    Ok(Load {
        request: request::prepared(NAME, &method, url, None, plan.sending, None)?,
        // More than there are requests would only be opened.
        connections: plan.connections.count().min(requests.unwrap_or(usize::MAX)),
        requests: requests.map(|most| most as u64),
        time: plan.duration,
        rate: plan.rate.map(|rate| rate.0),
        want: plan.status.unwrap_or_default(),
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
