//! What a mock got: `.requests()`, and the assertion on it.

use super::matching::Matching;
use super::started;
use crate::host::value::describe::{function, options};
use crate::host::value::error::{Fallible, Kind, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::json::from_json;
use crate::host::value::kinds::{FromValue, Within};
use crate::mock::{self, Request, Route, When};
use rhai::{Array, Dynamic, Map, NativeCallContext};

/// How often.
type Times = Within<0, { i64::MAX }>;

options! {
    /// What is asserted of the requests for a route.
    pub struct Called: Matching as matching {
        /// How often, exactly.
        times: Option<Times>, also count exactly;
        /// How often at least.
        at_least: Option<Times>, default "1, when nothing else is said", also min;
        /// How often at most.
        at_most: Option<Times>, also max;
    }
}

function! {
    /// The requests that a mock got so far, in order, as an array of maps. A map has `method`, `path`, `query` (a
    /// map), `params` (what `:name` in the path stood for), `headers` (a map, names in small letters), `body`
    /// (text, at most 1 MiB), `json` (the body, when it is JSON), `form` (when it is a form), `status` (what was
    /// answered, `()` when nothing was), `route` (the key of its route, `()` when it has none) and `at_ms` (when it
    /// came, in milliseconds since the mock listens). A message on a WebSocket is on record like a request, with the
    /// method `WS` and the message as its body. An error for a job that is not a mock.
    /// ```rhai
    /// let pay = mock(#{"POST /charge/:id": 201});
    /// http_post(`${pay.url}/charge/7?dry=yes`, #{amount: 5});
    /// let got = pay.requests()[0];
    /// assert_eq(got.json.amount, 5);
    /// assert_eq(got.query.dry, "yes");
    /// assert_eq(got.params.id, "7");
    /// ```
    pub REQUESTS = "requests" -> Array {
        (job: Job) => all;
        /// Only those for a route, which is written as in `mock`, and need not be one of it.
        /// ```rhai
        /// let pay = mock(#{"/*": 200});
        /// http_post(`${pay.url}/charge`, #{amount: 5});
        /// assert_eq(pay.requests("POST /charge", #{json: #{amount: 5}}).len(), 1);
        /// ```
        (job: Job, route: String; Matching) => some;
    }
}

function! {
    /// Fails when a mock did not get such requests.
    ///
    /// The route is written as in `mock`; at least one must have come, or exactly so many. Returns them, as `requests` does. The message and `e.came` say what came instead, and how it
    /// differs. It does not wait: `eventually(|| hooks.assert_called("POST /hook"))` does.
    /// ```rhai
    /// let pay = mock(#{"POST /charge": 201});
    /// http_post(`${pay.url}/charge`, #{amount: 5});
    /// pay.assert_called("POST /charge", 1, #{json: #{amount: 5}});
    /// pay.assert_called("POST /refund", 0);
    /// ```
    pub ASSERT_CALLED = "assert_called" -> Array, throws assertion {
        (job: Job, route: String; Called) => called;
        (job: Job, route: String, times: i64; Called) => called_times;
    }
}

fn all(_: &NativeCallContext, Job(job): Job) -> Fallible<Array> {
    let log = started::record("requests", &job)?;
    Ok(mock::requests(&log).iter().map(shown).collect())
}

fn some(_: &NativeCallContext, job: Job, route: String, matching: Matching) -> Fallible<Array> {
    let asked = Asked::read("requests", &job, &route, matching)?;
    Ok(asked.fitting().map(shown).collect())
}

fn called(_: &NativeCallContext, job: Job, route: String, told: Called) -> Fallible<Array> {
    check(&job, &route, told)
}

fn called_times(_: &NativeCallContext, job: Job, route: String, times: i64, told: Called) -> Fallible<Array> {
    let times = Times::from_value(&times.into(), "assert_called: `times`")?;
    check(&job, &route, Called { times: Some(times), ..told })
}

/// What is asked of the record.
struct Asked {
    requests: Vec<Request>,
    route: Route,
    when: When,
}

impl Asked {
    fn read(function: &str, job: &Job, route: &str, matching: Matching) -> Fallible<Self> {
        let when = matching.condition(function)?;
        let route = Route::new(route, Vec::new())
            .map_err(|e| ScriptError::usage(format!("{function}: route {route:?}: {e}")))?;
        let requests = mock::requests(&started::record(function, &job.0)?);
        Ok(Self { requests, route, when })
    }

    /// Those for the route.
    fn of_route(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| self.route.is_for(request))
    }

    fn fitting(&self) -> impl Iterator<Item = &Request> {
        self.of_route().filter(|request| self.when.misfit(request).is_none())
    }
}

fn check(job: &Job, route: &str, told: Called) -> Fallible<Array> {
    let Called { matching, times, at_least, at_most } = told;
    let asked = Asked::read("assert_called", job, route, matching)?;
    let count = asked.fitting().count();
    let limit = |times: Option<Times>| times.map(Times::count);
    let (least, most) = match (limit(times), limit(at_least), limit(at_most)) {
        (Some(times), ..) => (times, Some(times)),
        (None, None, None) => (1, None),
        (None, least, most) => (least.unwrap_or(0), most),
    };
    if count >= least && most.is_none_or(|most| count <= most) {
        return Ok(asked.fitting().map(shown).collect());
    }
    let noun = if asked.route.method() == Some(mock::MESSAGE) { "message" } else { "request" };
    let requests = |count: usize| match count {
        0 => format!("no {noun}"),
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    };
    let wanted = match most {
        Some(most) if most == least => least.to_string(),
        Some(most) if least > 0 => format!("{least} to {most}"),
        Some(most) => format!("at most {most}"),
        None => format!("at least {least}"),
    };
    let like_that = if asked.when.is_empty() { "" } else { " like that" };
    let message = format!(
        "assertion failed: `{}` got {} for `{route}`{like_that}, expected {wanted}",
        job.0.spec.name,
        requests(count)
    );
    let error = ScriptError::new(Kind::Assertion, message)
        .fact("actual", i64::try_from(count).unwrap_or(i64::MAX))
        .fact("expected", i64::try_from(least).unwrap_or(i64::MAX));
    Err(asked.explain(error).into())
}

impl Asked {
    /// What came instead: for the route, and how it differs; else whatever came.
    fn explain(&self, error: ScriptError) -> ScriptError {
        const MOST: usize = 5;
        let answered = |request: &Request| match (request.status, &request.route) {
            _ if request.is_message() => String::new(),
            (Some(status), Some(_)) => format!(" ({status})"),
            (Some(status), None) => format!(" ({status}: no answer was for it)"),
            (None, _) => " (no answer)".to_owned(),
        };
        let of_route: Vec<&Request> = self.of_route().collect();
        let (heading, listed): (_, Vec<&Request>) = match of_route.is_empty() {
            true => ("it got", self.requests.iter().collect()),
            false => ("it got for this route", of_route),
        };
        let line = |request: &&Request| {
            let why = match self.route.is_for(request) {
                true => self.when.misfit(request).map_or(String::new(), |why| format!(": {why}")),
                false => String::new(),
            };
            format!("{}{}{why}", request.shown(), answered(request))
        };
        let mut lines: Vec<String> = listed.iter().take(MOST).map(line).collect();
        if listed.len() > MOST {
            lines.push(format!("… and {} more", listed.len() - MOST));
        }
        let came: Array = lines.iter().map(|line| line.as_str().into()).collect();
        let error = error.fact("came", came);
        match &lines[..] {
            [] => error.note("it got no request at all"),
            [only] => error.note(format!("{heading}: {only}")),
            lines => error.note(format!("{heading}:\n{}", lines.join("\n"))),
        }
    }
}

fn shown(request: &Request) -> Dynamic {
    let mut map: Map = serde_json::to_value(request)
        .map_or_else(|_| Map::new(), |value| from_json(&value).try_cast().unwrap_or_default());
    if let Some(json) = request.json() {
        map.insert("json".into(), from_json(&json));
    }
    if let Some(form) = request.form() {
        map.insert("form".into(), from_json(&form.into()));
    }
    Dynamic::from_map(map)
}
