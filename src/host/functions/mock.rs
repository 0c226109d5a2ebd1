//! Mocks: `mock(routes)` starts a stand-in HTTP server as an ordinary job, by executing this program again.

use crate::api::Type;
use crate::host::run::options::{Common, JobOptions};
use crate::host::run::ready::starting;
use crate::host::run::runtime::rt;
use crate::host::run::{owner, start};
use crate::host::value::describe::{function, options};
use crate::host::value::described::{Entry, FromOpts};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::json::{from_json, to_json};
use crate::host::value::kinds::{FromValue, MapOf, Typed, Within, Word};
use crate::host::value::{self, Opts};
use crate::jobs::Job as Inner;
use crate::jobs::spec::Command;
use crate::lock::lock;
use crate::mock::{self, Answer, Content, Route};
use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, ImmutableString, Map};
use std::time::Duration;

pub const FUNCTIONS: &[Entry] = &[MOCK];

options! {
    /// What an answer can be told.
    struct Told {
        /// Its status.
        status: Within<200, 599> = 200, also status_code code;
        /// A body as JSON: any value; `()` is null.
        json: Option<Dynamic>, also data;
        /// A body as text.
        body: Option<Dynamic>, also text content;
        /// A body that is a file: its path.
        file: Option<String>, also path;
        /// Headers to send with it.
        headers: Option<MapOf<Word>>, also header;
        /// How long it waits before it answers.
        delay: Duration = "0s", also latency sleep;
    }
}

function! {
    /// Starts a stand-in HTTP server as a job and returns it when it listens, on 127.0.0.1 and ::1. The keys
    /// of `routes` are `"METHOD /path"` or `"/path"` (any method); in a path, `:name` stands for one segment
    /// and a trailing `*` for all that is left. The values are what to answer: a string (a text body), a
    /// number (a status without body), or a map, which has at most one of `json`, `body` and `file`; or an array of
    /// these, given one after another, the last one for ever. A request without a route gets a 404 that lists the
    /// routes.
    /// ```rhai
    /// let pay = mock(#{
    ///     "GET /health": #{json: #{ok: true}},
    ///     "POST /charge": #{status: 201, delay: "20ms"},
    ///     "GET /flaky": [503, "fine"],
    /// });
    /// assert_eq(http_get(`${pay.url}/health`).json.ok, true);
    /// assert_eq(http_get(`${pay.url}/flaky`).status, 503);
    /// assert_eq(http_get(`${pay.url}/flaky`).status, 200);
    /// ```
    MOCK = "mock" -> Job {
        (routes: Routes) => mock;
        /// The same with a name for the job.
        /// ```rhai
        /// let pay = mock("payments", #{"/": "hello"});
        /// assert_eq(pay.name, "payments");
        /// ```
        (name: String, routes: Routes) => mock_named;
    }
}

/// What is asked for, and what is to be answered; read route by route.
struct Routes(Map);

impl Typed for Routes {
    const TYPE: Type = Type::MapOf(&Type::OneOrMore(&Type::Either(&[
        Type::Text,
        Type::Int(200, 599),
        Type::Options(Told::OPTIONS),
    ])));
}

impl FromValue for Routes {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        Map::from_value(value, what).map(Self)
    }
}

fn mock(ctx: &NativeCallContext, Routes(routes): Routes) -> Fallible<Job> {
    start(ctx, None, &routes)
}

fn mock_named(ctx: &NativeCallContext, name: String, Routes(routes): Routes) -> Fallible<Job> {
    start(ctx, Some(&name), &routes)
}

pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// The requests that a mock got so far, in order, as an array of maps: `method`, `path`, `query` (a map),
    /// `params` (what `:name` in the path stood for), `headers` (a map, names in small letters), `body`
    /// (text, at most 1 MiB), `json` (the body, when it is JSON), `status` (what was answered) and `at_ms`
    /// (when it came, in milliseconds since the mock was started). An error for a job that is not a mock.
    /// ```rhai
    /// let pay = mock(#{"POST /charge/:id": 201});
    /// http_post(`${pay.url}/charge/7?dry=yes`, #{amount: 5});
    /// let got = pay.requests()[0];
    /// assert_eq(got.json.amount, 5);
    /// assert_eq(got.query.dry, "yes");
    /// assert_eq(got.params.id, "7");
    /// ```
    #[rhai_fn(name = "requests", pure, return_raw)]
    pub fn requests(job: &mut Job) -> Fallible<Array> {
        super::requests(&job.0)
    }
}

fn start(ctx: &NativeCallContext, name: Option<&str>, routes: &Map) -> Fallible<Job> {
    let rt = rt();
    rt.checkpoint()?;
    let routes = routes.iter().map(|(key, value)| route(key, value)).collect::<Fallible<Vec<_>>>()?;
    let port = owner::take("mock")?;
    let command = Command::Own(["mock", "--port", &port.to_string()].map(str::to_owned).to_vec());
    // Its own log says first that it listens: somebody else may accept connections on the port.
    let map = |key: &str, value: Dynamic| Dynamic::from_map(Map::from([(key.into(), value)]));
    let listens = map("log", mock::listening(port).into());
    let opts = Map::from([
        ("port".into(), i64::from(port).into()),
        // Routes are larger than arguments may be.
        ("stdin".into(), map("text", mock::encode(&routes).into())),
        ("ready".into(), listens),
    ]);
    let opts = JobOptions::read(&Opts::described("mock", &opts.into(), JobOptions::OPTIONS)?)?;
    let job = start::launch_with("mock", name, command, opts, &[], Vec::new())?;
    lock(&rt.mocks).insert(job.0.id);
    starting::wait(ctx, "mock", std::slice::from_ref(&job), &Common::default())?;
    Ok(job)
}

fn route(key: &str, value: &Dynamic) -> Fallible<Route> {
    let what = format!("mock: route {key:?}");
    let answers = match value.read_lock::<Array>() {
        Some(several) if several.is_empty() => {
            return Err(ScriptError::usage(format!("{what}: an empty array has no answer")).into());
        }
        Some(several) => several.iter().map(|value| answer(&what, value)).collect::<Fallible<_>>()?,
        None => vec![answer(&what, value)?],
    };
    Route::new(key, answers).map_err(|e| {
        let error = ScriptError::usage(format!("{what}: {e}"));
        match key.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            [path] if !path.starts_with('/') => error.hint(format!("\"/{path}\"")),
            [method, path] if !path.starts_with('/') => error.hint(format!("\"{method} /{path}\"")),
            _ => error.note("a route is written \"GET /users/:id\", \"/any-method\" or \"/files/*\""),
        }
        .into()
    })
}

fn answer(what: &str, value: &Dynamic) -> Fallible<Answer> {
    let usage = |message: String| ScriptError::usage(format!("{what}: {message}"));
    let mut answer =
        Answer { status: 200, headers: Vec::new(), content: Content::None, delay: Duration::ZERO };
    let mut content_type = None;
    if let Some(text) = value.read_lock::<ImmutableString>() {
        answer.content = Content::Text(text.to_string());
        content_type = Some("text/plain; charset=utf-8");
    } else if let Ok(status) = value.as_int() {
        answer.status = u16::try_from(status).unwrap_or(0);
    } else if value.is_map() {
        let mut told = Told::read(&Opts::described(what, value, Told::OPTIONS)?)?;
        // `json: ()` is the JSON value null.
        told.json = value.read_lock::<Map>().and_then(|map| map.get("json").cloned());
        answer.status = u16::try_from(told.status.0).unwrap_or(0);
        answer.delay = told.delay;
        let headers = told.headers.take().map_or_else(Vec::new, |headers| headers.0);
        answer.headers.extend(headers.into_iter().map(|(name, Word(text))| (name, text)));
        content_type = content(what, told, &mut answer)?;
    } else {
        let error = usage(format!("{} is not an answer", value::show(value)));
        return Err(error
            .note("an answer is a string, a status, or a map such as #{json: #{ok: true}}")
            .into());
    }
    let named = answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if let Some(content_type) = content_type.filter(|_| !named) {
        answer.headers.push(("content-type".to_owned(), content_type.to_owned()));
    }
    answer.check().map_err(usage)?;
    Ok(answer)
}

/// Fills in the body; its content type.
fn content(what: &str, told: Told, answer: &mut Answer) -> Fallible<Option<&'static str>> {
    let usage = |message: String| ScriptError::usage(format!("{what}: {message}"));
    let Told { json, body, file, .. } = told;
    if usize::from(json.is_some()) + usize::from(body.is_some()) + usize::from(file.is_some()) > 1 {
        return Err(usage("only one of `json`, `body` and `file`".to_owned()).into());
    }
    if let Some(json) = json {
        let json = to_json(&json).map_err(|e| usage(format!("option `json`: cannot become JSON: {e}")))?;
        answer.content = Content::Text(json.to_string());
        return Ok(Some("application/json"));
    }
    if let Some(body) = body {
        if body.is_map() || body.is_array() {
            return Err(usage("option `body` is a map or an array".to_owned()).hint("`json: …`").into());
        }
        answer.content = Content::Text(value::word(&body, &format!("{what}: option `body`"))?);
        return Ok(Some("text/plain; charset=utf-8"));
    }
    if let Some(file) = file {
        let path = rt().path(&file);
        if !path.is_file() {
            return Err(ScriptError::io(format!(
                "{what}: option `file`: there is no file `{}`",
                path.display()
            ))
            .fact("path", file)
            .into());
        }
        let content_type = mock::content_type(&path);
        answer.content = Content::File(path);
        return Ok(Some(content_type));
    }
    Ok(None)
}

fn requests(job: &Inner) -> Fallible<Array> {
    if !lock(&rt().mocks).contains(&job.id) {
        let message = format!("requests: job `{}` is not a mock", job.spec.name);
        return Err(ScriptError::usage(message)
            .note("only what `mock(routes)` started records requests")
            .into());
    }
    let log = job.log_text();
    let request = |value: &serde_json::Value| {
        let mut request: Map = from_json(value).try_cast().unwrap_or_default();
        let body = value["body"].as_str().unwrap_or_default();
        if let Ok(json) = serde_json::from_str(body) {
            request.insert("json".into(), from_json(&json));
        }
        Dynamic::from_map(request)
    };
    Ok(mock::requests(&log).iter().map(request).collect())
}
