//! The stand-in HTTP server that `mock(routes)` starts as a job: a process of its own, so that it is stopped,
//! killed and paused like the service that it stands for.
//!
//! It reads its routes as JSON on stdin, says on stdout when it listens, and then prints one line of JSON a
//! request: its log is its record of requests. A request is on record before it is answered, so that whoever
//! has the answer can read the record.
//!
//! Both ends of that conversation are here: the routes and the record as plain data. It knows no jobs and no scripts.

use crate::exit;
use crate::probe::http::decode;
use oxhttp::Server;
use oxhttp::model::{Body, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How much of a request's body goes on record.
const RECORDED_BODY: u64 = 1 << 20;
/// Headers that the server underneath sets itself, or drops.
const OWN_HEADERS: &[&str] = &[
    "accept-charset",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-allow-methods",
    "connection",
    "content-length",
    "date",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// One route: which requests it is for, and what they are answered in turn; the last answer stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// As the script wrote it: `GET /users/:id`.
    pub key: String,
    /// None: any.
    method: Option<String>,
    path: Vec<Part>,
    pub answers: Vec<Answer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `:name`: one segment.
    Param(String),
    /// `*` at the end: whatever is left.
    Rest,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub content: Content,
    pub delay: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    None,
    Text(String),
    /// Read anew for every request.
    File(PathBuf),
}

impl Answer {
    /// # Errors
    /// What the server cannot send.
    pub fn check(&self) -> Result<(), String> {
        if !(200..=599).contains(&self.status) {
            return Err(format!("{} is not a status (200 to 599)", self.status));
        }
        if matches!(self.status, 204 | 304) && self.content != Content::None {
            return Err(format!("an answer with status {} has no body", self.status));
        }
        for (name, value) in &self.headers {
            if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(format!("a mock cannot send the header `{name}`"));
            }
            if name.parse::<HeaderName>().is_err() {
                return Err(format!("{name:?} is not the name of a header"));
            }
            if value.parse::<HeaderValue>().is_err() {
                return Err(format!("{value:?} is not a header value (line breaks?)"));
            }
        }
        Ok(())
    }

    fn encode(&self) -> Value {
        let (body, file) = match &self.content {
            Content::None => (None, None),
            Content::Text(text) => (Some(text), None),
            Content::File(path) => (None, path.to_str()),
        };
        let delay = u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX);
        json!({ "status": self.status, "headers": self.headers, "body": body, "file": file, "delay_ms": delay })
    }

    fn decode(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let headers = value["headers"].as_array()?.iter();
        let content = match (text(&value["body"]), text(&value["file"])) {
            (Some(body), _) => Content::Text(body),
            (None, Some(file)) => Content::File(file.into()),
            (None, None) => Content::None,
        };
        Some(Self {
            status: value["status"].as_u64()?.try_into().ok()?,
            headers: headers.map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect::<Option<_>>()?,
            content,
            delay: Duration::from_millis(value["delay_ms"].as_u64()?),
        })
    }
}

impl Route {
    /// Reads `GET /users/:id`, `/any-method` or `/files/*`.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub fn new(key: &str, answers: Vec<Answer>) -> Result<Self, String> {
        let mut words = key.split_ascii_whitespace();
        let (method, path) = match (words.next(), words.next(), words.next()) {
            (Some(path), None, _) => (None, path),
            (Some(method), Some(path), None) => (Some(method.to_ascii_uppercase()), path),
            _ => return Err("a route is \"METHOD /path\" or \"/path\"".to_owned()),
        };
        if let Some(method) = &method
            && (!method.chars().all(|c| c.is_ascii_alphabetic() || c == '-') || method.is_empty())
        {
            return Err(format!("{method:?} is no HTTP method"));
        }
        let Some(segments) = path.strip_prefix('/') else {
            return Err(format!("the path {path:?} does not begin with `/`"));
        };
        if path.contains(['?', '#']) {
            return Err("a route has no query: it matches any".to_owned());
        }
        let segments: Vec<&str> = segments.split('/').collect();
        let last = segments.len() - 1;
        let part = |(i, segment): (usize, &&str)| match *segment {
            "*" if i == last => Ok(Part::Rest),
            "*" => Err("`*` stands only at the end of a path".to_owned()),
            ":" => Err("a `:` without a name".to_owned()),
            segment => Ok(match segment.strip_prefix(':') {
                Some(name) => Part::Param(name.to_owned()),
                None => Part::Literal(decode(segment)),
            }),
        };
        let path = segments.iter().enumerate().map(part).collect::<Result<_, _>>()?;
        Ok(Self { key: key.to_owned(), method, path, answers })
    }

    /// The parameters when this path matches.
    fn params(&self, path: &str) -> Option<Map<String, Value>> {
        let mut params = Map::new();
        let mut segments = path.strip_prefix('/')?.split('/');
        for part in &self.path {
            if *part == Part::Rest {
                return Some(params);
            }
            let segment = decode(segments.next()?);
            match part {
                Part::Literal(literal) if *literal == segment => {}
                Part::Param(name) if !segment.is_empty() => drop(params.insert(name.clone(), segment.into())),
                _ => return None,
            }
        }
        segments.next().is_none().then_some(params)
    }

    fn takes(&self, method: &str) -> bool {
        match self.method.as_deref() {
            None => true,
            Some("GET") => matches!(method, "GET" | "HEAD"),
            Some(own) => own == method,
        }
    }

    /// Of several routes that match, the one with the smallest rank is meant: the most particular.
    fn rank(&self) -> (bool, usize, bool) {
        let count = |wanted: fn(&Part) -> bool| self.path.iter().filter(|part| wanted(part)).count();
        let rest = count(|part| *part == Part::Rest) > 0;
        (rest, count(|part| matches!(part, Part::Param(_))), self.method.is_none())
    }
}

/// The routes as the server reads them from stdin.
pub fn encode(routes: &[Route]) -> String {
    let route = |route: &Route| {
        let answers: Vec<Value> = route.answers.iter().map(Answer::encode).collect();
        json!({ "key": route.key, "answers": answers })
    };
    Value::Array(routes.iter().map(route).collect()).to_string()
}

fn decode_routes(text: &str) -> Option<Vec<Route>> {
    let routes: Value = serde_json::from_str(text).ok()?;
    let route = |value: &Value| {
        let answers = value["answers"].as_array()?.iter().map(Answer::decode).collect::<Option<_>>()?;
        Route::new(value["key"].as_str()?, answers).ok()
    };
    routes.as_array()?.iter().map(route).collect()
}

/// The line that says that it listens; also a pattern for it.
pub fn listening(port: u16) -> String {
    format!("listening on http://127.0.0.1:{port}")
}

/// The requests on record in a log, in the order in which they came. Other lines are none.
pub fn requests(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|value| value["method"].is_string() && value["path"].is_string()).collect()
}

/// The query as names and values; a name that comes several times has an array.
fn query(text: &str) -> Map<String, Value> {
    let mut query = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(|text| decode(&text.replace('+', " ")));
        match query.get_mut(&name) {
            None => drop(query.insert(name, value.into())),
            Some(Value::Array(values)) => values.push(value.into()),
            Some(one) => *one = json!([one.take(), value]),
        }
    }
    query
}

struct Mock {
    routes: Vec<(Route, AtomicUsize)>,
    started: Instant,
}

impl Mock {
    /// The most particular route for a request, with what its parameters stand for.
    fn find(&self, method: &str, path: &str) -> Option<(&Route, &AtomicUsize, Map<String, Value>)> {
        let takes = |(route, served)| {
            let route: &Route = route;
            if !route.takes(method) {
                return None;
            }
            Some((route, served, route.params(path)?))
        };
        let found = self.routes.iter().map(|(route, served)| (route, served)).filter_map(takes);
        found.min_by_key(|(route, ..)| route.rank())
    }

    /// What a request without a route is told.
    fn unknown(&self, method: &str, path: &str) -> Answer {
        let known = self.routes.iter().any(|(route, _)| route.params(path).is_some());
        let keys: Vec<&str> = self.routes.iter().map(|(route, _)| route.key.as_str()).collect();
        let body = json!({ "error": format!("no route for {method} {path}"), "routes": keys });
        Answer {
            status: if known { 405 } else { 404 },
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            content: Content::Text(body.to_string()),
            delay: Duration::ZERO,
        }
    }

    fn answer(&self, request: &mut Request<Body>) -> Response<Body> {
        let method = request.method().to_string();
        let path = request.uri().path().to_owned();
        let (answer, params) = match self.find(&method, &path) {
            Some((route, served, params)) => {
                let nth = served.fetch_add(1, Relaxed).min(route.answers.len().saturating_sub(1));
                (route.answers.get(nth).cloned(), params)
            }
            None => (None, Map::new()),
        };
        let answer = answer.unwrap_or_else(|| self.unknown(&method, &path));
        let (status, body) = content(&answer);
        self.record(request, &path, params, status);
        std::thread::sleep(answer.delay);
        let mut response = Response::new(match *request.method() {
            Method::HEAD => Body::empty(),
            _ => Body::from(body),
        });
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        for (name, value) in &answer.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }

    /// One line of the log. Written at once and whole, also when several requests come at the same time.
    fn record(&self, request: &mut Request<Body>, path: &str, params: Map<String, Value>, status: u16) {
        let mut body = Vec::new();
        // What cannot be read is not on record; the server answers such a request itself.
        let _ = request.body_mut().take(RECORDED_BODY).read_to_end(&mut body);
        let mut headers = Map::new();
        for name in request.headers().keys() {
            let values: Vec<_> = request.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect();
            headers.insert(name.to_string(), String::from_utf8_lossy(&values.join(&b", "[..])).into());
        }
        let at = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Not one JSON object, whose names would be sorted: people read this log, too.
        let fields: [(&str, Value); 8] = [
            ("method", request.method().as_str().into()),
            ("path", path.into()),
            ("status", status.into()),
            ("at_ms", at.into()),
            ("query", query(request.uri().query().unwrap_or_default()).into()),
            ("params", params.into()),
            ("body", String::from_utf8_lossy(&body).into()),
            ("headers", headers.into()),
        ];
        let fields = fields.map(|(name, value)| format!("\"{name}\":{value}"));
        say(&format!("{{{}}}", fields.join(",")));
    }
}

/// The status and body of an answer; a file that has gone is the server's failure.
fn content(answer: &Answer) -> (u16, Vec<u8>) {
    match &answer.content {
        Content::None => (answer.status, Vec::new()),
        Content::Text(text) => (answer.status, text.clone().into_bytes()),
        Content::File(path) => match std::fs::read(path) {
            Ok(bytes) => (answer.status, bytes),
            Err(e) => (500, format!("mock: cannot read {}: {e}\n", path.display()).into_bytes()),
        },
    }
}

/// The content type of a file, by its name.
pub fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "json" => "application/json",
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "xml" => "application/xml",
        "txt" | "md" | "csv" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        _ => "application/octet-stream",
    }
}

/// A line of the log. When nobody can have it, the server goes on.
fn say(line: &str) {
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

/// What `ps`, `ss` and `port_owner` call its process; at most 15 bytes (prctl(2)).
const NAME: &std::ffi::CStr = c"bgjobs-mock";

/// Serves until it is killed. Returns the exit code when it cannot.
pub fn serve(port: u16) -> i32 {
    // It was executed as /proc/self/exe, so that `ps` and `ss` call it `exe`. Its threads have the name from it.
    let _ = nix::sys::prctl::set_name(NAME);
    let failed = |message: String| {
        let _ = writeln!(std::io::stderr(), "mock: {message}");
        exit::SURROUNDINGS
    };
    let mut text = String::new();
    if let Err(e) = std::io::stdin().lock().read_to_string(&mut text) {
        return failed(format!("cannot read the routes: {e}"));
    }
    let Some(routes) = decode_routes(&text) else {
        return failed(
            "standard input has no routes; `mock(routes)` in a script starts this server".to_owned(),
        );
    };
    let routes = routes.into_iter().map(|route| (route, AtomicUsize::new(0))).collect();
    let mock = Mock { routes, started: Instant::now() };
    let mut server = Server::new(move |request| mock.answer(request)).bind((Ipv4Addr::LOCALHOST, port));
    // A machine without IPv6 has only the other.
    if TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok() {
        server = server.bind((Ipv6Addr::LOCALHOST, port));
    }
    let running = match server.spawn() {
        Ok(running) => running,
        Err(e) => return failed(format!("cannot listen on port {port}: {e}")),
    };
    say(&listening(port));
    match running.join() {
        Ok(()) => exit::OK,
        Err(e) => failed(format!("the server ended: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(key: &str) -> Route {
        Route::new(key, Vec::new()).expect(key)
    }

    fn mock(keys: &[&str]) -> Mock {
        let routes = keys.iter().map(|key| (route(key), AtomicUsize::new(0))).collect();
        Mock { routes, started: Instant::now() }
    }

    #[test]
    fn the_most_particular_route_is_meant() {
        let mock = mock(&["/*", "/users/:id", "GET /users/:id", "/users/me", "POST /users"]);
        let found = |method: &str, path: &str| mock.find(method, path).map(|(route, ..)| route.key.clone());
        for (method, path, key) in [
            ("GET", "/users/me", "/users/me"),
            ("GET", "/users/7", "GET /users/:id"),
            ("HEAD", "/users/7", "GET /users/:id"),
            ("PUT", "/users/7", "/users/:id"),
            ("POST", "/users", "POST /users"),
            ("GET", "/users", "/*"),
            ("GET", "/", "/*"),
            ("GET", "/users/7/x", "/*"),
            ("GET", "/users/m%65", "/users/me"),
        ] {
            assert_eq!(found(method, path).as_deref(), Some(key), "{method} {path}");
        }
    }

    #[test]
    fn parameters_have_names_and_are_decoded() {
        let params = route("/a/:x/b/:y").params("/a/1%202/b/3").expect("match");
        assert_eq!(Value::Object(params), json!({ "x": "1 2", "y": "3" }));
        assert_eq!(route("/a/:x").params("/a/"), None);
        assert!(route("/a/*").params("/a/b/c").is_some());
        assert_eq!(route("/a/*").params("/b"), None);
    }

    #[test]
    fn a_bad_key_is_told() {
        for key in ["", "health", "GET", "GET health", "GET /a /b", "/a?b=1", "/a/*/b", "/a/:", "G€T /"] {
            assert!(Route::new(key, Vec::new()).is_err(), "{key}");
        }
    }

    #[test]
    fn routes_survive_the_way_to_the_server() {
        let answer = |content| Answer {
            status: 201,
            headers: vec![("x-a".into(), "1".into())],
            content,
            delay: Duration::from_millis(20),
        };
        let answers = vec![
            answer(Content::Text("ä\n".into())),
            answer(Content::File("/x".into())),
            answer(Content::None),
        ];
        let routes = vec![Route::new("post /a/:b", answers).expect("route")];
        assert_eq!(decode_routes(&encode(&routes)), Some(routes));
        assert_eq!(decode_routes("nonsense"), None);
    }

    #[test]
    fn a_query_has_decoded_names_and_values() {
        let query = Value::Object(query("a=1&b=x+y%21&a=2&c&a=3"));
        assert_eq!(query, json!({ "a": ["1", "2", "3"], "b": "x y!", "c": "" }));
    }

    #[test]
    fn lines_that_are_no_requests_are_not_on_record() {
        let log = "listening on x\n{\"method\":\"GET\",\"path\":\"/\"}\n{}\n[1]\ntext\n{\"method\":\"PUT\",\"path\":\"/a\"";
        assert_eq!(requests(log).len(), 1);
    }
}
