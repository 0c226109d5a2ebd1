//! `mock(routes)`: the answers as scripts write them.

use super::matching::When;
use super::started;
use super::stream::{Piece, Then};
use super::websocket::Ws;
use crate::api::Type;
use crate::host::run::runtime::rt;
use crate::host::value::describe::{function, options, words};
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::json::to_json;
use crate::host::value::kinds::{Count, FromValue, MapOf, OneOrMore, Typed, Within, Word};
use crate::host::value::{self, Opts};
use crate::mock::{self, Answer, Content, Route, Service, Stream};
use rhai::{Array, Dynamic, ImmutableString, Map, NativeCallContext};
use std::time::Duration;

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
        /// What it sends piece by piece: server-sent events. A text is the data of an event.
        stream: Option<OneOrMore<Piece>>, also events sse chunks;
        /// What follows the last piece of a stream: its end, nothing at all, an end in the middle, or a reset.
        then: Option<Then>, default "\"end\"";
        /// What it says on a WebSocket: the messages when it opens, or a map.
        ws: Option<Ws>, also websocket web_socket socket;
        /// Headers to send with it; several of a name are an array.
        headers: Option<MapOf<OneOrMore<Word>>>, also header;
        /// How long it waits before it answers.
        delay: Duration = "0s", also latency sleep;
        /// Over how long its body comes, in pieces.
        trickle: Duration = "0s", also dribble slow;
        /// Which requests it is for; others get the next answer of the array.
        when: Option<When>, also request with if_request matching;
        /// How often it is given, before the next one is.
        times: Option<Count>, default "1; of the last one, and with `when`, for ever", also repeat;
        /// How it fails: closes the connection without an answer, resets it, answers what is not HTTP, closes it in the middle
        /// of the body, or never answers.
        fault: Option<Fault>, also fail error;
        /// Whether `{{…}}` in it is replaced.
        template: Option<bool>, default "true; false for a file";
    }
}

words! {
    /// How a server fails.
    enum Fault { Close = "close", Reset = "reset", Garbage = "garbage", Cut = "cut", Hang = "hang" }
}

impl From<Fault> for mock::Fault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Close => Self::Close,
            Fault::Reset => Self::Reset,
            Fault::Garbage => Self::Garbage,
            Fault::Cut => Self::Cut,
            Fault::Hang => Self::Hang,
        }
    }
}

function! {
    /// Starts a stand-in HTTP server as a job and returns it when it listens, on 127.0.0.1 and ::1. The keys
    /// of `routes` are `"METHOD /path"` or `"/path"` (any method); in a path, `:name` stands for one segment
    /// and a trailing `*` for all that is left; a query, `?q=rust&page=*`, must be there, among others. The values are
    /// what to answer: a string (a text body), a number (a status without body), or a map, which has at most one of
    /// `json`, `body`, `file`, `stream` and `ws`; or an array of these, given one after another, the last one for ever. Of several
    /// routes the most particular one that has an answer is meant. A request without one gets a 404 that lists the
    /// routes, or says how it differs. In what is answered, `{{params.id}}` is replaced by that part of the
    /// request; there are `method`, `path`, `query`, `params`, `headers`, `body`, `json`, `form` (as in `requests`)
    /// and `count` (the first request for the route is 1).
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
    ///
    /// ```rhai
    /// let shop = mock(#{
    ///     "GET /users/:id": #{json: #{id: "{{params.id}}", q: "{{query.q}}"}},
    ///     "POST /charge": [
    ///         #{when: #{json: #{amount: 0}}, status: 400},
    ///         #{when: #{headers: #{authorization: "Bearer *"}}, json: #{paid: "{{json.amount}}"}},
    ///         401,
    ///     ],
    ///     "GET /broken": [#{fault: "reset", times: 2}, "up again"],
    /// });
    /// assert_eq(http_get(`${shop.url}/users/7?q=x`).json, #{id: "7", q: "x"});
    /// let paid = http_post(`${shop.url}/charge`, #{amount: 5}, #{headers: #{authorization: "Bearer t"}});
    /// assert_eq(paid.json.paid, 5);
    /// shop.assert_called("POST /charge", 1, #{json: #{amount: 5}});
    /// ```
    ///
    /// ```rhai
    /// let live = mock(#{
    ///     "GET /events": #{stream: ["hello", #{event: "price", data: #{eur: 5}, after: "10ms"}], then: "stay"},
    ///     "GET /chat": #{ws: #{send: "welcome", replies: [#{when: "ping", send: "pong"}, #{when: "bye*", close: 1000}]}},
    /// });
    /// let client = spawn("client", ["curl", "-sN", live.url + "/events"]);
    /// wait_log(client, "event: price");
    /// ```
    pub MOCK = "mock" -> Job {
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
#[derive(Clone, Debug)]
pub struct Routes(pub Map);

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

fn start(ctx: &NativeCallContext, name: Option<&str>, routes: &Map) -> Fallible<Job> {
    let routes = self::routes("mock", routes)?;
    started::start(ctx, "mock", name, |_| Ok(Service::Http(routes)))
}

/// `function`: what the script has called.
pub fn routes(function: &str, routes: &Map) -> Fallible<Vec<Route>> {
    routes.iter().map(|(key, value)| route(function, key, value)).collect()
}

fn route(function: &str, key: &str, value: &Dynamic) -> Fallible<Route> {
    let what = format!("{function}: route {key:?}");
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
            _ => error.note(
                "a route is written \"GET /users/:id\", \"/any-method\", \"/files/*\" or \"/search?q=*\"",
            ),
        }
        .into()
    })
}

fn answer(what: &str, value: &Dynamic) -> Fallible<Answer> {
    let usage = |message: String| ScriptError::usage(format!("{what}: {message}"));
    let mut answer = Answer::new(200);
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
        answer.trickle = told.trickle;
        answer.when = told.when.take().unwrap_or_default().0;
        answer.times = told.times.map(Count::count);
        answer.fault = told.fault.map(Into::into);
        answer.template = told.template.unwrap_or(told.file.is_none());
        if told.then.is_some() && told.stream.is_none() {
            return Err(usage("option `then` is for a `stream`".to_owned()).into());
        }
        for (name, OneOrMore(values)) in told.headers.take().map_or_else(Vec::new, |headers| headers.0) {
            answer.headers.extend(values.into_iter().map(|Word(text)| (name.clone(), text)));
        }
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
    let Told { json, body, file, stream, then, ws, .. } = told;
    let given = [json.is_some(), body.is_some(), file.is_some(), stream.is_some(), ws.is_some()];
    if given.into_iter().filter(|is| *is).count() > 1 {
        return Err(usage("only one of `json`, `body`, `file`, `stream` and `ws`".to_owned()).into());
    }
    if let Some(json) = json {
        let json = to_json(&json).map_err(|e| usage(format!("option `json`: cannot become JSON: {e}")))?;
        answer.content = Content::Json(json);
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
    if let Some(OneOrMore(pieces)) = stream {
        let pieces = pieces.into_iter().map(|piece| piece.0).collect();
        answer.content = Content::Stream(Stream { pieces, then: then.map(Into::into).unwrap_or_default() });
        let named = answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("cache-control"));
        if !named {
            answer.headers.push(("cache-control".to_owned(), "no-cache".to_owned()));
        }
        return Ok(Some("text/event-stream"));
    }
    if let Some(Ws(talk)) = ws {
        answer.content = Content::WebSocket(talk);
    }
    Ok(None)
}
