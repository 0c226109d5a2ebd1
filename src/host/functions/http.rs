//! The HTTP client: `http_get` and its kin, and what they give back.
//!
//! A request runs on a thread of its own while the script's thread listens to the bell, so that an interrupt
//! gets through at once.

use super::job::{self, Job};
use crate::api::Type;
use crate::exit;
use crate::host::run::ready::readiness;
use crate::host::run::runtime::rt;
use crate::host::value::describe::{function, options};
use crate::host::value::described::{Entry, FromOpts};
use crate::host::value::error::{Fallible, Kind, ScriptError};
use crate::host::value::kinds::{self, FromValue, MapOf, Typed, Within, Word};
use crate::host::value::{self, Opts, utf8};
use crate::jobs::fail::Death;
use crate::jobs::{self, State};
use crate::probe::background::Background;
use crate::probe::http::{self, Reason, Request, Url};
use rhai::plugin::*;
use rhai::{Array, Blob, Dynamic, Engine, ImmutableString, Map};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub const FUNCTIONS: &[Entry] =
    &[HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_WITH_ANY_METHOD];

function! {
    /// Sends a GET request and returns the `Response`. A 4xx or 5xx does not throw; a refused or timed-out
    /// request throws an error of kind `http`.
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

/// What a request was answered, as scripts hold it.
#[derive(Clone)]
pub struct Response(Arc<Answered>);

struct Answered {
    method: String,
    response: http::Response,
}

impl Response {
    /// What an assertion about it needs: `GET http://127.0.0.1:8080/`, the status, the start of the body.
    pub fn facts(&self) -> (String, u16, String) {
        let Answered { method, response } = &*self.0;
        (format!("{method} {}", response.url), response.status, start_of(&response.body))
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// Of kind `http` when it is none.
    pub fn read_json(&self) -> Fallible<Dynamic> {
        json(&self.0)
    }
}

impl Typed for Response {
    const TYPE: Type = Type::Object("Response");
}

/// The headers of a response: names in any case.
#[derive(Clone)]
pub struct Headers(Arc<Answered>);

pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Response>("Response");
    engine.register_type_with_name::<Headers>("Headers");
    engine.register_global_module(rhai::exported_module!(functions).into());
}

#[export_module]
mod functions {
    /// The status code, such as 200.
    /// ```rhai
    /// assert_eq(http_get(mock(#{}).url).status, 404);
    /// ```
    #[rhai_fn(get = "status", pure)]
    pub fn status(response: &mut Response) -> i64 {
        i64::from(response.0.response.status)
    }

    /// Whether the status is 200 to 299.
    /// ```rhai
    /// assert(!http_get(mock(#{}).url).ok);
    /// ```
    #[rhai_fn(get = "ok", pure)]
    pub fn ok(response: &mut Response) -> bool {
        (200..300).contains(&response.0.response.status)
    }

    /// The headers: `headers["content-type"]`, a name in any case, `()` when there is none.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{json: 1}}).url);
    /// assert_eq(answer.headers["Content-Type"], "application/json");
    /// ```
    #[rhai_fn(get = "headers", pure)]
    pub fn headers(response: &mut Response) -> Headers {
        Headers(Arc::clone(&response.0))
    }

    /// One header, its name in any case; `()` when there is none. Several of one name are joined by `, `.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{json: 1}}).url);
    /// assert_eq(answer.header("content-type"), "application/json");
    /// ```
    #[rhai_fn(pure)]
    pub fn header(response: &mut Response, name: &str) -> Dynamic {
        super::header(&response.0.response, name)
    }

    /// The body as text. Bytes that are not UTF-8 become `�`; `.bytes` has them as they are.
    /// ```rhai
    /// assert_eq(http_get(mock(#{"/": "hello"}).url).body, "hello");
    /// ```
    #[rhai_fn(get = "body", pure)]
    pub fn body(response: &mut Response) -> String {
        super::lossy(&response.0.response.body)
    }

    /// The same as `.body`.
    /// ```rhai
    /// assert_eq(http_get(mock(#{"/": "hello"}).url).text, "hello");
    /// ```
    #[rhai_fn(get = "text", pure)]
    pub fn text(response: &mut Response) -> String {
        super::lossy(&response.0.response.body)
    }

    /// The body as a blob.
    /// ```rhai
    /// assert_eq(http_get(mock(#{"/": "hello"}).url).bytes.len(), 5);
    /// ```
    #[rhai_fn(get = "bytes", pure)]
    pub fn bytes(response: &mut Response) -> Blob {
        response.0.response.body.clone()
    }

    /// The body, read as JSON: a map, an array, a string, a number, true, false or `()` for null. Throws an
    /// error of kind `http` when it is none, with the status and its first 200 characters.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{json: #{users: [#{name: "Ada"}]}}}).url);
    /// assert_eq(answer.json.users[0].name, "Ada");
    /// ```
    #[rhai_fn(get = "json", name = "json", pure, return_raw)]
    pub fn json(response: &mut Response) -> Fallible<Dynamic> {
        super::json(&response.0)
    }

    /// How long the request took, in milliseconds, with redirects and the whole body.
    /// ```rhai
    /// assert(http_get(mock(#{"/": #{delay: "20ms"}}).url).ms >= 20);
    /// ```
    #[rhai_fn(get = "ms", pure)]
    pub fn ms(response: &mut Response) -> i64 {
        i64::try_from(response.0.response.ms).unwrap_or(i64::MAX)
    }

    /// Where the answer came from, after redirects.
    /// ```rhai
    /// let web = mock(#{"/old": #{status: 302, headers: #{location: "/new"}}, "/new": "here"});
    /// assert_eq(http_get(`${web.url}/old`).url, `${web.url}/new`);
    /// ```
    #[rhai_fn(get = "url", pure)]
    pub fn url(response: &mut Response) -> String {
        response.0.response.url.to_string()
    }

    /// The response in one line, for `print`: status, size, time and the start of the body.
    /// ```rhai
    /// print(http_get(mock(#{"/": "hello"}).url));
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn to_string(response: &mut Response) -> String {
        super::one_line(&response.0)
    }

    /// One header, its name in any case; `()` when there is none. Several of one name are joined by `, `.
    /// ```rhai
    /// let headers = http_get(mock(#{}).url).headers;
    /// assert_eq(headers["x-missing"], ());
    /// ```
    #[rhai_fn(index_get, pure)]
    pub fn headers_index(headers: &mut Headers, name: &str) -> Dynamic {
        super::header(&headers.0.response, name)
    }

    /// Whether there is a header of this name, in any case; also `"etag" in headers`.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{json: 1}}).url);
    /// assert("Content-Type" in answer.headers);
    /// ```
    #[rhai_fn(name = "contains", pure)]
    pub fn headers_contain(headers: &mut Headers, name: &str) -> bool {
        headers.0.response.headers.contains_key(name)
    }

    /// Every value of a header, in order: an array, empty when there is none.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{headers: #{"x-a": "1"}}}).url);
    /// assert_eq(answer.headers.all("x-a"), ["1"]);
    /// ```
    #[rhai_fn(pure)]
    pub fn all(headers: &mut Headers, name: &str) -> Array {
        let values = headers.0.response.headers.get_all(name);
        values.iter().map(|value| super::lossy(value.as_bytes()).into()).collect()
    }

    /// The names of the headers, in small letters.
    /// ```rhai
    /// let answer = http_get(mock(#{"/": #{json: 1}}).url);
    /// assert("content-type" in answer.headers.keys());
    /// ```
    #[rhai_fn(name = "keys", pure)]
    pub fn headers_keys(headers: &mut Headers) -> Array {
        headers.0.response.headers.keys().map(|name| name.as_str().to_owned().into()).collect()
    }

    /// The headers, one a line, for `print`.
    /// ```rhai
    /// print(http_get(mock(#{}).url).headers);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn headers_to_string(headers: &mut Headers) -> String {
        let lines = headers.0.response.headers.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}", super::lossy(value.as_bytes())));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn header(response: &http::Response, name: &str) -> Dynamic {
    let values: Vec<String> =
        response.headers.get_all(name).iter().map(|value| lossy(value.as_bytes())).collect();
    if values.is_empty() { Dynamic::UNIT } else { values.join(", ").into() }
}

/// The first characters of a body, for an error or a line.
fn start_of(body: &[u8]) -> String {
    const MOST: usize = 200;
    let text = lossy(&body[..body.len().min(4 * MOST)]);
    let start: String = text.chars().take(MOST).collect();
    let cut = start.len() < body.len();
    format!("{}{}", start.trim_end(), if cut { "…" } else { "" })
}

fn one_line(answered: &Answered) -> String {
    let response = &answered.response;
    let body = if response.body.is_empty() {
        String::new()
    } else {
        format!(": {}", start_of(&response.body).replace(['\r', '\n'], " "))
    };
    format!("{} ({} bytes, {} ms){body}", response.status, response.body.len(), response.ms)
}

fn json(answered: &Answered) -> Fallible<Dynamic> {
    let response = &answered.response;
    let body = response.body.strip_prefix(utf8::MARK.to_string().as_bytes()).unwrap_or(&response.body);
    match serde_json::from_slice(body) {
        Ok(value) => Ok(from_json(&value)),
        Err(error) => {
            let what = format!("{} {}", answered.method, response.url);
            let (status, start) = (response.status, start_of(&response.body));
            let message = if response.body.is_empty() {
                format!("{what}: the body is empty, not JSON (status {status})")
            } else {
                format!("{what}: the body is not JSON (status {status}): {start}")
            };
            Err(ScriptError::new(Kind::Http, message)
                .fact("url", response.url.to_string())
                .fact("method", answered.method.clone())
                .fact("status", i64::from(status))
                .fact("body", start)
                .note(format!("not JSON because: {error}"))
                .into())
        }
    }
}

/// A value of a script as JSON.
///
/// # Errors
/// What has no JSON form, such as a closure or a job; in words that stand after "cannot become JSON: ".
pub fn to_json(value: &Dynamic) -> Result<Value, String> {
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(bool) = value.as_bool() {
        return Ok(bool.into());
    }
    if let Ok(int) = value.as_int() {
        return Ok(int.into());
    }
    if let Ok(float) = value.as_float() {
        let number = serde_json::Number::from_f64(float);
        return number.map(Value::Number).ok_or_else(|| format!("the number {float}"));
    }
    if value.is_string() || value.is_char() {
        return Ok(value.to_string().into());
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(to_json).collect();
    }
    if let Some(map) = value.read_lock::<Map>() {
        let pairs = map.iter().map(|(key, value)| {
            let value = to_json(value).map_err(|what| format!("{what} at `{key}`"))?;
            Ok((key.to_string(), value))
        });
        return pairs.collect::<Result<_, _>>().map(Value::Object);
    }
    Err(format!("a {}", value::type_name(value)))
}

/// JSON as a value of a script. A number that is no i64 becomes a float.
pub fn from_json(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(bool) => (*bool).into(),
        Value::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(array) => array.iter().map(from_json).collect::<Array>().into(),
        Value::Object(object) => {
            let pairs = object.iter().map(|(key, value)| (key.as_str().into(), from_json(value)));
            pairs.collect::<Map>().into()
        }
    }
}

fn parse_method(function: &str, text: &str) -> Fallible<ureq::http::Method> {
    let error = ScriptError::usage(format!("{function}: {text:?} is no HTTP method"));
    if text.contains("://") {
        return Err(error.note("the method comes first, then the URL").into());
    }
    match text.trim().to_ascii_uppercase().parse() {
        Ok(method) => Ok(method),
        Err(_) => Err(error.note("a method is a word such as GET").into()),
    }
}

options! {
    /// How a server is spoken to.
    pub struct Connection {
        /// Headers to send with the request.
        headers: Option<MapOf<Word>>, also header;
        /// Accepts every certificate.
        insecure: bool = false, also verify;
        /// The login: `"user:password"`, `#{user: …, password: …}` or `#{bearer: token}`.
        auth: Option<Login>, also authorization basic_auth;
    }
}

options! {
    /// What a request carries: one of these.
    pub struct Content {
        /// A body as JSON: any value.
        json: Option<Dynamic>, also data;
        /// A body as a form sends it: a map of fields.
        form: Option<MapOf<Word>>, also params;
        /// A body: a string or a blob as it is, a map or an array as JSON.
        body: Option<Dynamic>;
    }
}

options! {
    /// What every request can be told.
    pub struct Sending: Connection as connection, Content as content {
        /// How long a request may take.
        timeout: Option<Duration>, default "10s", also max_time;
    }
}

options! {
    /// What a single request can be told.
    pub struct Asking or timeout: Sending as sending {
        /// How many redirects are followed; 0 returns the redirect itself.
        redirects: Within<0, { i64::MAX }> = 5;
        /// The path of a Unix socket to connect to, whatever host the URL names.
        unix_socket: Option<String>;
    }
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

/// What else than a body a request can be told.
pub fn common(
    function: &str,
    connection: &Connection,
    socket: Option<&str>,
    request: &mut Request,
) -> Fallible<()> {
    let usage = |message: String| ScriptError::usage(format!("{function}: {message}"));
    for (name, Word(value)) in connection.headers.iter().flat_map(|headers| &headers.0) {
        request.header(name, value).map_err(|e| usage(format!("option `headers`: {e}")))?;
    }
    request.insecure = connection.insecure;
    if let Some(Login(value)) = &connection.auth {
        // Not the reason: it would show the value.
        request.header("authorization", value).map_err(|_| {
            usage("option `auth`: a login has no line breaks or other control characters".into())
        })?;
    }
    if let Some(path) = socket {
        let path = http::socket_path(&rt().path(path));
        request.unix_socket = Some(path.map_err(|e| usage(format!("option `unix_socket`: {e}")))?);
    }
    Ok(())
}

options! {
    /// A login as a map.
    struct Credentials {
        /// The name, for basic authentication.
        user: Option<Hidden>, also username login;
        /// With the user.
        password: Option<Hidden>, also pass;
        /// A token in place of both.
        bearer: Option<Hidden>, also token;
    }
}

/// A word that no error shows.
#[derive(Clone)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

impl Typed for Hidden {
    const TYPE: Type = Type::Secret(&Type::Word);
}

impl FromValue for Hidden {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kinds::literal(Self::TYPE, value, what)?;
        value::word(value, what).map(Self)
    }
}

/// What the header `authorization` has: `"user:password"`, `#{user, password}` or `#{bearer}`.
#[derive(Clone)]
pub struct Login(String);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Login")
    }
}

impl Typed for Login {
    const TYPE: Type = Type::Secret(&Type::Either(&[Type::Text, Type::Options(Credentials::OPTIONS)]));
}

impl FromValue for Login {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        let wrong = || {
            ScriptError::usage(format!("{what}: {} is no login", value::type_name(value)))
                .note("write \"user:password\", #{user: …, password: …} or #{bearer: …}")
        };
        if let Some(text) = value.read_lock::<ImmutableString>() {
            return if text.contains(':') { Ok(Self(http::basic(&text))) } else { Err(wrong().into()) };
        }
        if !value.is_map() {
            return Err(wrong().into());
        }
        let login = Credentials::read(&Opts::described(what, value, Credentials::OPTIONS)?)?;
        match (login.user, login.password, login.bearer) {
            (None, None, Some(token)) => Ok(Self(format!("Bearer {}", token.0))),
            (Some(user), password, None) => {
                let password = password.map_or_else(String::new, |password| password.0);
                Ok(Self(http::basic(&format!("{}:{password}", user.0))))
            }
            _ => Err(wrong().into()),
        }
    }
}

/// Puts a body in, with its type unless the script named one.
fn set_body(request: &mut Request, body: Vec<u8>, content_type: &str) {
    request.body = Some(body);
    if !request.headers.contains_key("content-type") {
        // Only constants come here, which are valid.
        let _ = request.header("content-type", content_type);
    }
}

/// A map or an array as JSON, a string or a blob as it is, `()` for none.
fn body(function: &str, given: &Dynamic, request: &mut Request) -> Fallible<()> {
    let wrong = |why: String| ScriptError::usage(format!("{function}: the body {why}"));
    if given.is_unit() {
        return Ok(());
    }
    if let Some(text) = given.read_lock::<ImmutableString>() {
        set_body(request, text.as_bytes().to_vec(), "text/plain; charset=utf-8");
        return Ok(());
    }
    if let Some(blob) = given.read_lock::<Blob>() {
        set_body(request, blob.clone(), "application/octet-stream");
        return Ok(());
    }
    if given.is_map() || given.is_array() {
        let json = to_json(given).map_err(|e| wrong(format!("cannot become JSON: {e}")))?;
        set_body(request, json.to_string().into_bytes(), "application/json");
        return Ok(());
    }
    Err(wrong(format!("is {}; write a string, a map, an array or ()", value::show(given))).into())
}

fn encoded(form: &MapOf<Word>) -> Vec<u8> {
    let pairs = form
        .0
        .iter()
        .map(|(name, Word(value))| format!("{}={}", http::encode_form(name), http::encode_form(value)));
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

/// Options in the place of the body would be sent to the server without a word.
fn options_as_body(function: &str, body: &Dynamic) -> Option<ScriptError> {
    let map = body.read_lock::<Map>()?;
    let only_options = !map.is_empty() && map.keys().all(|key| Asking::OPTIONS.get(key).is_some());
    let certain = map.contains_key("json")
        || map.get("headers").is_some_and(Dynamic::is_map)
        || map.get("form").is_some_and(Dynamic::is_map);
    let keys = map.keys().map(|key| format!("{key}: …")).collect::<Vec<_>>().join(", ");
    (only_options && certain).then(|| {
        ScriptError::usage(format!("{function}: the second argument is the body, options come after it"))
            .note(format!("a body that really has these keys: {function}(url, (), #{{json: body}})"))
            .hint(format!("{function}(url, (), #{{{keys}}})"))
    })
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

fn request(
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
    perform(request)
}

/// A request as a script wrote it, not sent yet.
pub fn prepared(
    function: &str,
    method: &str,
    url: Url,
    given: Option<&Dynamic>,
    sending: Sending,
    socket: Option<&str>,
) -> Fallible<Request> {
    let method = parse_method(function, method)?;
    let mut request = Request { method, ..Request::get(url) };
    common(function, &sending.connection, socket, &mut request)?;
    if let Some(timeout) = sending.timeout {
        request.timeout = timeout;
    }
    let given = given.filter(|given| !given.is_unit());
    if let Some(error) = given.and_then(|given| options_as_body(function, given)) {
        return Err(error.into());
    }
    let content = sending.content;
    let bodies = content.given();
    if bodies.len() + usize::from(given.is_some()) > 1 {
        let argument = if given.is_some() { "the second argument and " } else { "" };
        let message = format!("{function}: more than one body: {argument}`{}`", bodies.join("`, `"));
        return Err(ScriptError::usage(message).into());
    }
    if let Some(given) = given.or(content.body.as_ref()) {
        body(function, given, &mut request)?;
    }
    if let Some(given) = content.json {
        let json = to_json(&given)
            .map_err(|e| ScriptError::usage(format!("{function}: option `json`: cannot become JSON: {e}")))?;
        set_body(&mut request, json.to_string().into_bytes(), "application/json");
    }
    if let Some(fields) = content.form {
        set_body(&mut request, encoded(&fields), "application/x-www-form-urlencoded");
    }
    Ok(request)
}

impl Content {
    /// Which of them are given.
    pub fn given(&self) -> Vec<&'static str> {
        let given =
            [("json", self.json.is_some()), ("form", self.form.is_some()), ("body", self.body.is_some())];
        given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }
}

/// Sends a request, listening to the bell.
fn perform(request: Request) -> Fallible<Response> {
    /// If the thread cannot be started nothing rings: look again.
    const LOOK_AGAIN: Duration = Duration::from_millis(100);
    let rt = rt();
    let request = Arc::new(request);
    let mut sending = Background::new(Arc::clone(&rt.jobs.control));
    let result = loop {
        let seen = rt.control().bell.rings();
        rt.checkpoint()?;
        let work = Arc::clone(&request);
        if let Some(result) = sending.poll(move || http::send(&work)) {
            break result;
        }
        rt.control().bell.wait(seen, Some(jobs::now() + LOOK_AGAIN));
    };
    let method = request.method.to_string();
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
            .exit(exit::SURROUNDINGS);
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
    running && readiness::of(job).is_empty() && job::listening_ports(job).is_empty()
}
