//! An HTTP request from what a script says: its options, headers, login and body; and what must be answered.

use super::files::read;
use super::runtime::rt;
use crate::api::Type;
use crate::host::value::describe::options;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::json::to_json;
use crate::host::value::kinds::{self, FromValue, MapOf, Typed, Within, Word};
use crate::host::value::{self, Opts};
use crate::lock::lock;
use crate::probe::http::{self, Authorities, Identity, Request, Trust, Url};
use crate::probe::target::{Target, Want};
use regex::Regex;
use rhai::{Blob, Dynamic, ImmutableString, Map};
use std::sync::Arc;
use std::time::Duration;

pub fn parse_method(function: &str, text: &str) -> Fallible<ureq::http::Method> {
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
        /// A PEM file with who may have signed the server's certificate.
        ca: Option<String>, default "that of `std/tls` for this machine, else those that browsers trust", also cacert ca_file;
        /// A PEM file with the certificate to show to the server; with `key`.
        cert: Option<String>, also client_cert certificate;
        /// A PEM file with its private key.
        key: Option<String>, also client_key private_key;
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
    request.trust = trust(function, connection)?;
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

/// Whose certificates are believed, and which one is shown.
fn trust(function: &str, connection: &Connection) -> Fallible<Trust> {
    let wrong = |path: &str, why: String| {
        ScriptError::io(format!("{function}: `{path}`: {why}")).fact("path", path.to_owned())
    };
    let mut trust = Trust { insecure: connection.insecure, ..Trust::default() };
    if let Some(path) = &connection.ca {
        let authorities = Authorities::from_pem(&read(function, path)?);
        trust.authorities = Some(authorities.map_err(|e| wrong(path, e))?);
    }
    let own = lock(&rt().authorities).first().map(|(_, own)| Arc::clone(own));
    trust.of_this_machine = own.and_then(|own| Authorities::from_pem(&own.pair.cert).ok());
    trust.identity = match (&connection.cert, &connection.key) {
        (None, None) => None,
        (Some(cert), Some(key)) => {
            let identity = Identity::from_pem(&read(function, cert)?, &read(function, key)?);
            Some(identity.map_err(|e| wrong(key, e))?)
        }
        _ => return Err(ScriptError::usage(format!("{function}: `cert` and `key` go together")).into()),
    };
    Ok(trust)
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
            ScriptError::usage(format!("{what}: {} is not a login", value::type_name(value)))
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
pub fn body(function: &str, given: &Dynamic, request: &mut Request) -> Fallible<()> {
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

options! {
    /// What an answer must be like, and how it is asked for.
    pub struct Answer: Connection as connection {
        /// The statuses that are ok: 200, `[200, 204]`, `"2xx"`, `"any"`.
        status: Option<Want>, default "any 2xx or 3xx", also status_code code;
        /// Must be in the body.
        contains: Option<String>, also body;
        /// Must match in the body.
        matches: Option<Regex>;
        /// A subset of the answer, or of one of the documents of a stream.
        json: Option<Dynamic>, also data;
        /// The method of the request.
        method: Option<String>, default "`\"GET\"`, or `\"POST\"` with `send`";
        /// What is sent with the request: a map or an array as JSON, or a text, which is sent as JSON when it is that.
        send: Option<Dynamic>, also payload request_body;
        /// The path of a Unix socket to connect to, whatever host the URL names.
        unix_socket: Option<String>;
    }
}

/// What a URL must answer.
pub fn target(what: &str, url: Url, answer: Answer) -> Fallible<Target> {
    let mut request = Request::get(url);
    common(what, &answer.connection, answer.unix_socket.as_deref(), &mut request)?;
    request.redirects = 0;
    if let Some(sent) = &answer.send {
        let as_json = sent.read_lock::<ImmutableString>().is_some_and(|text| is_json(&text));
        if as_json && !request.headers.contains_key("content-type") {
            // A constant, which is valid.
            let _ = request.header("content-type", "application/json");
        }
        body(&format!("{what}: option `send`"), sent, &mut request)?;
        request.method = ureq::http::Method::POST;
    }
    if let Some(method) = answer.method {
        request.method = method.to_ascii_uppercase().parse().map_err(|_| {
            ScriptError::usage(format!("{what}: option `method`: {method:?} is no HTTP method"))
        })?;
    }
    let json = match &answer.json {
        Some(value) => Some(
            rhai::serde::from_dynamic(value)
                .map_err(|e| ScriptError::usage(format!("{what}: option `json` cannot be JSON: {e}")))?,
        ),
        None => None,
    };
    let want = answer.status.unwrap_or_default();
    Ok(Target { request, want, contains: answer.contains, matches: answer.matches, json })
}

/// Whether a text is an object or an array of JSON.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|json| json.is_object() || json.is_array())
}
