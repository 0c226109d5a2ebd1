//! The HTTP client: `http_get` and the like, and what they return.
//!
//! A request runs on a thread of its own while the script's thread listens to the bell, so that an interrupt
//! gets through at once.

use crate::api::Type;
use crate::event::Event;
use crate::exit;
use crate::host::run::ready::readiness;
use crate::host::run::request::{Asking, parse_method, prepared};
use crate::host::run::runtime::rt;
use crate::host::run::{job, owner};
use crate::host::value::Opts;
use crate::host::value::describe::{function, properties};
use crate::host::value::described::{Entry, FromOpts, Property};
use crate::host::value::error::{Fallible, Kind, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::kinds::{FromValue, Typed};
use crate::host::value::response::{Answered, Headers, Response};
use crate::host::value::response::{header, json, lossy, one_line};
use crate::jobs::fail::Death;
use crate::jobs::{self, State};
use crate::lock::lock;
use crate::pending::Doing;
use crate::probe::background::Background;
use crate::probe::http::{self, Reason, Request, Url};
use crate::spans;
use rhai::plugin::*;
use rhai::{Array, Blob, Dynamic, Engine};
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

pub const PROPERTIES: &[&[Property]] = &[OF_RESPONSE, OF_HEADERS];

pub const FUNCTIONS: &[Entry] = &[
    HTTP_GET,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_WITH_ANY_METHOD,
    HEADER,
    JSON,
    CONTAINS,
    ALL,
    KEYS,
];

function! {
    /// Sends a GET request and returns the `Response`. A 4xx or 5xx does not throw; a refused or timed-out
    /// request throws an error of kind `http`. A server of this machine gets the header `traceparent` of the test, or of
    /// the run, unless the script sets one.
    /// ```rhai
    /// let web = mock(#{"GET /health": #{json: #{status: "ok"}}});
    /// let answer = http_get(`${web.url}/health`);
    /// assert_eq(answer.status, 200);
    /// assert_eq(answer.json.status, "ok");
    /// ```
    ///
    /// ```rhai
    /// let web = mock(#{"/": "hello"});
    /// let answer = http_get(web.url, #{headers: #{accept: "text/plain"}, timeout: "2s"});
    /// assert_eq(answer.body, "hello");
    /// ```
    HTTP_GET = "http_get" -> Response, throws http {
        (url: Url; Asking) => http_get;
    }
}

function! {
    /// Sends a POST request. A map or an array is sent as JSON, a string as it is, `()` means no body.
    /// ```rhai
    /// let web = mock(#{"POST /users": #{status: 201}});
    /// let answer = http_post(`${web.url}/users`, #{name: "Ada"});
    /// assert_eq(answer.status, 201);
    /// assert_eq(web.requests()[0].json.name, "Ada");
    /// ```
    ///
    /// ```rhai
    /// let web = mock(#{"POST /login": 200});
    /// http_post(`${web.url}/login`, (), #{form: #{user: "ada", password: "x"}});
    /// assert_eq(web.requests()[0].body, "password=x&user=ada");
    /// ```
    HTTP_POST = "http_post" -> Response, throws http {
        /// Without a body.
        /// ```rhai
        /// let web = mock(#{"POST /reset": 204});
        /// assert_eq(http_post(`${web.url}/reset`).status, 204);
        /// ```
        (url: Url) => http_post_nothing;
        (url: Url, body: Dynamic; Asking) => http_post;
    }
}

function! {
    /// Sends a PUT request. A map or an array is sent as JSON, a string as it is, `()` means no body.
    /// ```rhai
    /// let web = mock(#{"PUT /users/1": 204});
    /// assert(http_put(`${web.url}/users/1`, #{name: "Ada"}).ok);
    /// ```
    ///
    /// ```rhai
    /// let web = mock(#{"PUT /users/1": 204});
    /// assert(http_put(`${web.url}/users/1`, "Ada", #{headers: #{"content-type": "text/csv"}}).ok);
    /// ```
    HTTP_PUT = "http_put" -> Response, throws http {
        (url: Url, body: Dynamic; Asking) => http_put;
    }
}

function! {
    /// Sends a PATCH request. A map or an array is sent as JSON, a string as it is, `()` means no body.
    /// ```rhai
    /// let web = mock(#{"PATCH /users/1": 200});
    /// assert(http_patch(`${web.url}/users/1`, #{name: "Ada"}).ok);
    /// ```
    ///
    /// ```rhai
    /// let web = mock(#{"PATCH /users/1": 200});
    /// assert(http_patch(`${web.url}/users/1`, #{name: "Ada"}, "2s").ok);
    /// ```
    HTTP_PATCH = "http_patch" -> Response, throws http {
        (url: Url, body: Dynamic; Asking) => http_patch;
    }
}

function! {
    /// Sends a DELETE request.
    /// ```rhai
    /// let web = mock(#{"DELETE /users/1": 204});
    /// assert_eq(http_delete(`${web.url}/users/1`).status, 204);
    /// ```
    ///
    /// ```rhai
    /// let web = mock(#{"DELETE /users": 204});
    /// assert(http_delete(`${web.url}/users`, #{json: [1, 2]}).ok);
    /// ```
    HTTP_DELETE = "http_delete" -> Response, throws http {
        (url: Url; Asking) => http_delete;
    }
}

function! {
    /// Sends a request with any method.
    /// ```rhai
    /// let web = mock(#{"OPTIONS /": 204});
    /// assert_eq(http("OPTIONS", web.url).status, 204);
    /// ```
    ///
    /// ```rhai
    /// let web = mock(#{"PURGE /cache": 200});
    /// assert(http("PURGE", `${web.url}/cache`, #{headers: #{"x-token": "secret"}}).ok);
    /// ```
    HTTP_WITH_ANY_METHOD = "http" -> Response, throws http {
        (method: Method, url: Url; Asking) => http_with_any_method;
    }
}

pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Response>("Response");
    engine.register_type_with_name::<Headers>("Headers");
    engine.register_global_module(rhai::exported_module!(functions).into());
}

function! {
    /// One header, its name in any case; `()` when there is none. Several of one name are joined by `, `.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{json: 1}}).url);
    /// assert_eq(answer.header("content-type"), "application/json");
    /// ```
    HEADER = "header" -> Dynamic {
        (response: Response, name: String) => |_| Ok(header(&response.0.response, &name));
    }
}

function! {
    /// The body, read as JSON: a map, an array, a string, a number, true, false or `()` for null. Throws an
    /// error of kind `http` when it is none, with the status and its first 200 characters.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{json: #{users: [#{name: "Ada"}]}}}).url);
    /// assert_eq(answer.json.users[0].name, "Ada");
    /// ```
    JSON = "json" -> Dynamic {
        (response: Response) => |_| json(&response.0);
    }
}

function! {
    /// Whether there is a header of this name, in any case; also `"etag" in headers`.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{json: 1}}).url);
    /// assert("Content-Type" in answer.headers);
    /// ```
    CONTAINS = "contains" -> bool {
        (headers: Headers, name: String) => |_| Ok(headers.0.response.headers.contains_key(&name));
    }
}

function! {
    /// Every value of a header, in order: an array, empty when there is none.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{headers: #{"x-a": "1"}}}).url);
    /// assert_eq(answer.headers.all("x-a"), ["1"]);
    /// ```
    ALL = "all" -> Array {
        (headers: Headers, name: String) => all;
    }
}

function! {
    /// The names of the headers, in small letters.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{json: 1}}).url);
    /// assert("content-type" in answer.headers.keys());
    /// ```
    KEYS = "keys" -> Array {
        (headers: Headers)
            => |_| Ok(headers.0.response.headers.keys().map(|name| name.as_str().to_owned().into()).collect());
    }
}

properties! {
    OF_RESPONSE of Response {
        /// The status code, such as 200.
        /// ```rhai
        /// assert_eq(http_get(mock(#{}).url).status, 404);
        /// ```
        status: i64 => |response| Ok(i64::from(response.0.response.status));
        /// Whether the status is 200 to 299.
        /// ```rhai
        /// assert(!http_get(mock(#{}).url).ok);
        /// ```
        ok: bool => |response| Ok((200..300).contains(&response.0.response.status));
        /// The headers: `headers["content-type"]`, a name in any case, `()` when there is none.
        /// ```rhai
        /// let answer = http_get(mock(#{"/": #{json: 1}}).url);
        /// assert_eq(answer.headers["Content-Type"], "application/json");
        /// ```
        headers: Headers => |response| Ok(Headers(Arc::clone(&response.0)));
        /// The body as text. Bytes that are not UTF-8 become `�`; `.bytes` has them as they are.
        /// ```rhai
        /// assert_eq(http_get(mock(#{"/": "hello"}).url).body, "hello");
        /// ```
        body: String => |response| Ok(lossy(&response.0.response.body));
        /// The same as `.body`.
        /// ```rhai
        /// assert_eq(http_get(mock(#{"/": "hello"}).url).text, "hello");
        /// ```
        text: String => |response| Ok(lossy(&response.0.response.body));
        /// The body as a blob.
        /// ```rhai
        /// assert_eq(http_get(mock(#{"/": "hello"}).url).bytes.len(), 5);
        /// ```
        bytes: Blob => |response| Ok(response.0.response.body.clone());
        /// The body, read as JSON: a map, an array, a string, a number, true, false or `()` for null. Throws an
        /// error of kind `http` when it is none, with the status and its first 200 characters.
        /// ```rhai
        /// let answer = http_get(mock(#{"/": #{json: #{users: [#{name: "Ada"}]}}}).url);
        /// assert_eq(answer.json.users[0].name, "Ada");
        /// ```
        json: Dynamic => |response| json(&response.0);
        /// How long the request took, in milliseconds, with redirects and the whole body.
        /// ```rhai
        /// assert(http_get(mock(#{"/": #{delay: "20ms"}}).url).ms >= 20);
        /// ```
        ms: i64 => |response| Ok(i64::try_from(response.0.response.ms).unwrap_or(i64::MAX));
        /// Where the answer came from, after redirects.
        /// ```rhai
        /// let web = mock(#{"/old": #{status: 302, headers: #{location: "/new"}}, "/new": "here"});
        /// assert_eq(http_get(`${web.url}/old`).url, `${web.url}/new`);
        /// ```
        url: String => |response| Ok(response.0.response.url.to_string());
    }
}

properties! {
    OF_HEADERS of Headers {
    }
    /// One header, its name in any case; `()` when there is none. Several of one name are joined by `, `.
    /// ```rhai
    /// let headers = http_get(mock(#{}).url).headers;
    /// assert_eq(headers["x-missing"], ());
    /// ```
    [name] -> Dynamic => |headers| Ok(header(&headers.0.response, name));
}

#[export_module]
mod functions {
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn to_string(response: &mut Response) -> String {
        super::one_line(&response.0)
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn headers_to_string(headers: &mut Headers) -> String {
        let lines = headers.0.response.headers.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}", super::lossy(value.as_bytes())));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn all(_: &NativeCallContext, headers: Headers, name: String) -> Fallible<Array> {
    let values = headers.0.response.headers.get_all(&name);
    Ok(values.iter().map(|value| lossy(value.as_bytes()).into()).collect())
}

/// The method of a request. That it is one is judged before the URL is: where the two are in the wrong order, that is
/// what is to be told.
struct Method(String);

impl Typed for Method {
    const TYPE: Type = Type::Text;
}

impl FromValue for Method {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        let text = String::from_value(value, what)?;
        parse_method(what, &text).map(|_| Self(text))
    }
}

fn http_get(_: &NativeCallContext, url: Url, asking: Asking) -> Fallible<Response> {
    request("http_get", "GET", url, None, asking)
}

fn http_post_nothing(_: &NativeCallContext, url: Url) -> Fallible<Response> {
    request("http_post", "POST", url, None, Asking::read(&Opts::none("http_post"))?)
}

fn http_post(_: &NativeCallContext, url: Url, body: Dynamic, asking: Asking) -> Fallible<Response> {
    request("http_post", "POST", url, Some(&body), asking)
}

fn http_put(_: &NativeCallContext, url: Url, body: Dynamic, asking: Asking) -> Fallible<Response> {
    request("http_put", "PUT", url, Some(&body), asking)
}

fn http_patch(_: &NativeCallContext, url: Url, body: Dynamic, asking: Asking) -> Fallible<Response> {
    request("http_patch", "PATCH", url, Some(&body), asking)
}

fn http_delete(_: &NativeCallContext, url: Url, asking: Asking) -> Fallible<Response> {
    request("http_delete", "DELETE", url, None, asking)
}

fn http_with_any_method(
    _: &NativeCallContext,
    method: Method,
    url: Url,
    asking: Asking,
) -> Fallible<Response> {
    request("http", &method.0, url, None, asking)
}

pub fn request(
    function: &str,
    method: &str,
    url: Url,
    given: Option<&Dynamic>,
    asking: Asking,
) -> Fallible<Response> {
    rt().checkpoint()?;
    let socket = asking.unix_socket.as_deref();
    let mut request = prepared(function, method, url, given, asking.sending, socket)?;
    request.redirects = u32::try_from(asking.redirects.0).unwrap_or(u32::MAX);
    trace(&mut request);
    perform(request)
}

/// Has what a server of this machine traces of a request belong to the test, unless the script says otherwise. Elsewhere
/// nobody expects a header that was not written.
fn trace(request: &mut Request) {
    const HEADER: &str = "traceparent";
    let is_here = request.url.local_port().is_some() || request.unix_socket.is_some();
    if !is_here || request.headers.contains_key(HEADER) {
        return;
    }
    let Some(parent) = rt().traceparent() else { return };
    // Ids are valid; a state that is not could not be handed on.
    let _ = request.header(HEADER, &parent);
    let state = lock(&rt().env).get(OsStr::new(spans::STATE)).map(|it| it.to_string_lossy().into_owned());
    if let Some(state) = state.filter(|_| !request.headers.contains_key("tracestate")) {
        let _ = request.header("tracestate", &state);
    }
}

/// Sends a request, listening to the bell.
fn perform(request: Request) -> Fallible<Response> {
    /// If the thread cannot be started nothing rings: look again.
    const LOOK_AGAIN: Duration = Duration::from_millis(100);
    let rt = rt();
    let request = Arc::new(request);
    let began = jobs::now();
    let mut sending = Background::new(Arc::clone(&rt.jobs.control));
    let asked = format!("the answer to {} {}", request.method, request.url);
    let _pending = rt.pending(Doing::Waiting, asked, Some(request.timeout));
    let result = loop {
        let seen = rt.control().bell.rings();
        rt.checkpoint()?;
        let work = Arc::clone(&request);
        if let Some(result) = sending.poll(move || http::send(&work)) {
            break result;
        }
        let now = jobs::now();
        rt.jobs.show_pending(now);
        rt.control().bell.wait(seen, Some(now + LOOK_AGAIN));
    };
    let method = request.method.to_string();
    rt.bus.record(|| Event::Requested {
        method: method.clone(),
        url: request.url.to_string(),
        status: result.as_ref().ok().map(|response| response.status),
        error: result.as_ref().err().map(|error| error.message.clone()),
        after: jobs::now().saturating_sub(began),
    });
    if let (Ok(_), None, Some(port)) = (&result, &request.unix_socket, request.url.local_port()) {
        owner::answered(port);
    }
    match result {
        Ok(response) => Ok(Response(Arc::new(Answered { method, response }))),
        Err(error) => Err(failed(&request, &method, &error).into()),
    }
}

fn failed(request: &Request, method: &str, error: &http::Error) -> ScriptError {
    let rt = rt();
    let mut failed = ScriptError::new(Kind::Http, format!("{method} {}: {}", request.url, error.message))
        .fact("url", request.url.to_string())
        .fact("method", method.to_owned());
    if let Some(hint) = &error.hint {
        failed = failed.hint(hint.clone());
    }
    if let Some(path) = &request.unix_socket {
        failed = failed.note(format!("Unix socket: {}", path.display()));
    }
    let refused = error.reason == Reason::Refused;
    let cut_off = error.reason == Reason::Closed;
    // Who was asked last, after a redirect, is another one.
    let elsewhere = error.message.starts_with("redirected to ");
    if elsewhere || request.url.local_port().is_none() || !(refused || cut_off) {
        return failed;
    }
    // A server that crashes closes its connections before it has ended.
    if let Some((job, death)) = if cut_off { death_soon() } else { rt.jobs.death_by_now() } {
        let how = death.describe(&job);
        return failed
            .note(format!("job `{}` of this run has died: {how}", job.spec.name))
            .log_of(&job)
            .exit(exit::INFRASTRUCTURE);
    }
    for job in rt.jobs.live(usize::MAX).into_iter().map(Job).filter(is_starting).take(3) {
        failed = failed
            .note(format!("`{}` runs and listens on no port yet: nothing has waited for it", job.0.spec.name))
            .hint(format!(
                "start(…, #{{ready: …}}) instead of spawn, or before this: wait_http({:?})",
                request.url.to_string()
            ));
    }
    failed
}

/// A job's death, also one that is only just happening.
fn death_soon() -> Option<(Arc<jobs::Job>, Death)> {
    const SOON: Duration = Duration::from_millis(100);
    let rt = rt();
    let until = jobs::now() + SOON;
    loop {
        let seen = rt.control().bell.rings();
        let death = rt.jobs.death();
        if death.is_some() || jobs::now() >= until || rt.control().halted() {
            return death;
        }
        rt.control().bell.wait(seen, Some(until));
    }
}

/// A job that was started without waiting for it and does not listen.
fn is_starting(job: &Job) -> bool {
    let running = job::view(job).is_some_and(|view| !matches!(view.state, State::Ended(_)));
    running && readiness::of_job(job).is_empty() && job::listening_ports(job).is_empty()
}
