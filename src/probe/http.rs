//! One HTTP request.
//!
//! A small layer over `ureq` that says in words what went wrong and that a wait can rely on:
//!
//! * every request has a connection of its own ([`KeptOpen`] apart): no pool hands out one that the server has just
//!   closed;
//! * everything is bounded: the time of the whole request with its redirects and its body, and the body's size;
//! * `localhost` means 127.0.0.1 and ::1, whatever the resolver says, and loopback never goes through a proxy;
//! * a status is an answer, never an error.
//!
//! Redirects are followed here and not by `ureq`, which does not send a body a second time (307, 308).

use super::tcp;
use crate::jobs::control::lock;
use crate::jobs::now;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ureq::http::{self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, Either, LazyBuffers, NextTimeout,
    RustlsConnector, TcpConnector, Transport,
};
use ureq::{Agent, Proxy};

/// How long a request takes at most when nothing else is said.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How many redirects a request follows when nothing else is said.
pub const REDIRECTS: u32 = 5;
/// The largest body that is read.
const LARGEST_BODY: usize = 64 << 20;

/// Where a request goes: checked, encoded, without fragment and without a password in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    /// As the Host header has it.
    authority: String,
    host: String,
    port: u16,
    /// With the query; never empty.
    path: String,
    /// `user:password`, decoded.
    userinfo: Option<String>,
}

/// Why a text is no URL, and what would be one where that is clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl {
    pub message: String,
    pub hint: Option<String>,
}

impl Url {
    /// # Errors
    /// Anything but `http://` or `https://`, a host and a port from 1 to 65535.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let bad = |message: String, hint: Option<String>| Err(BadUrl { message, hint });
        let text = text.trim();
        let shown = without_password(text);
        let Some((scheme, rest)) = text.split_once("://") else {
            return bad(format!("{shown:?} is no URL: it has no `http://`"), with_scheme(&shown));
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            // `localhost:80/go?to=http://…` has no scheme of its own.
            other if !other.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) => {
                return bad(format!("{shown:?} is no URL: it has no `http://`"), with_scheme(&shown));
            }
            other => {
                return bad(format!("{shown:?}: unsupported scheme `{other}` (http and https are)"), None);
            }
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (userinfo, authority) = match authority.rsplit_once('@') {
            Some((userinfo, authority)) => (Some(decode(userinfo)), authority),
            None => (None, authority),
        };
        let (host, port) = split_port(authority);
        let port = match port {
            None if tls => 443,
            None => 80,
            Some("") => {
                let message = format!("{shown:?}: no port after the colon (a variable without a value?)");
                return bad(message, None);
            }
            Some(digits) => match digits.parse::<u16>().ok().filter(|port| *port != 0) {
                Some(port) => port,
                None if shown != text && userinfo.is_none() => {
                    let message =
                        format!("{shown:?}: in a password `/`, `?` and `#` are `%2F`, `%3F` and `%23`");
                    return bad(message, None);
                }
                None => return bad(format!("{shown:?}: bad port `{digits}` (1 to 65535)"), None),
            },
        };
        if host.is_empty() {
            let hint = format!("\"{scheme}://localhost{authority}{path}\"");
            return bad(format!("{shown:?} is no URL: it has no host"), Some(hint));
        }
        let path = encode(path.split('#').next().unwrap_or_default());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let url = Self { tls, authority: authority.to_owned(), host, port, path, userinfo };
        match url.to_string().parse::<Uri>() {
            Ok(_) => Ok(url),
            Err(e) => bad(format!("{shown:?} is no URL: {e}"), None),
        }
    }

    /// The port, when the host is this machine's loopback.
    pub fn local_port(&self) -> Option<u16> {
        let local = self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
        local.then_some(self.port)
    }

    /// Where a `Location` header of this URL's answer leads.
    fn join(&self, location: &str) -> Result<Self, BadUrl> {
        let scheme = if self.tls { "https" } else { "http" };
        let origin = format!("{scheme}://{}", self.authority);
        let path = self.path.split('?').next().unwrap_or_default();
        let scheme_end = location.find("://").unwrap_or(usize::MAX);
        if location.find(['/', '?', '#']).is_some_and(|at| at > scheme_end) {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        if location.starts_with(['?', '#']) || location.is_empty() {
            return Self::parse(&format!("{origin}{path}{location}"));
        }
        if location.starts_with('/') {
            return Self::parse(&format!("{origin}{location}"));
        }
        let directory = path.rfind('/').map_or("/", |at| &path[..=at]);
        Self::parse(&format!("{origin}{}", without_dots(&format!("{directory}{location}"))))
    }

    /// The addresses to ask one after the other, when the host is this machine: whoever listens on one of them is meant.
    pub fn addresses(&self) -> Option<Vec<SocketAddr>> {
        let name = if self.host.ends_with(".localhost") { "localhost" } else { &self.host };
        tcp::local(name, self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same by TLS; none when it is that already.
    pub(super) fn with_tls(&self) -> Option<Self> {
        (!self.tls).then(|| Self { tls: true, ..self.clone() })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// For people: with the address that has answered in the place of the name of this machine.
    pub fn answered_by(&self, ip: Option<IpAddr>) -> String {
        match ip {
            Some(ip) if self.host == "localhost" => {
                let scheme = if self.tls { "https" } else { "http" };
                format!("{scheme}://{}{}", SocketAddr::new(ip, self.port), self.path)
            }
            _ => self.to_string(),
        }
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }

    fn same_origin(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.path)
    }
}

/// A URL for people: with `…` in the place of `user:password`, however wrong the rest of it is.
fn without_password(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let rest = &text[start..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // What looks like a port and is none may be the first half of a password.
    let halved = || {
        let (_, port) = authority.split_once(':')?;
        if port.chars().all(|c| c.is_ascii_digit()) { None } else { rest.rfind('@') }
    };
    match authority.rfind('@').or_else(halved) {
        Some(at) => format!("{}…{}", &text[..start], &rest[at..]),
        None => text.to_owned(),
    }
}

/// What a URL without scheme was probably meant to be.
fn with_scheme(text: &str) -> Option<String> {
    let text = text.trim_start_matches("http:").trim_start_matches("https:").trim_start_matches('/');
    let (host, port) = split_port(text.split('/').next().unwrap_or_default());
    if text.chars().all(|c| c.is_ascii_digit()) {
        return (!text.is_empty()).then(|| format!("\"http://localhost:{text}\""));
    }
    if host.is_empty() && port.is_some() {
        return Some(format!("\"http://localhost{text}\""));
    }
    let is_host = port.is_some() || host == "localhost" || host.contains('.');
    is_host.then(|| format!("\"http://{text}\""))
}

/// `host:port`, with IPv6 addresses in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    }
}

/// Removes `.` and `..` from a path; a query stays as it is.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
        if last && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("/{}{query}", kept.join("/"))
}

/// Encodes what may not stand in a path or query; leaves `%` alone, which is taken for an escape.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0..=0x20 | 0x7f.. => {
                encoded.push_str(&format!("%{byte:02X}"));
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

/// Encodes one name or value of a form.
pub fn encode_form(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'*' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// `%41` → `A`; what is no escape stays.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The value of an Authorization header for a user and a password.
pub fn basic(user_and_password: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::from("Basic ");
    for chunk in user_and_password.as_bytes().chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) & 63;
            let padding = i > chunk.len();
            encoded.push(if padding { '=' } else { char::from(ALPHABET[sextet as usize]) });
        }
    }
    encoded
}

/// What to send.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
    /// For everything: connecting, redirects, the whole body.
    pub timeout: Duration,
    /// How many to follow; 0 gives the redirect itself.
    pub redirects: u32,
    /// Accept every certificate.
    pub insecure: bool,
    /// Connect to this socket, whatever the URL's host.
    pub unix_socket: Option<PathBuf>,
}

impl Request {
    /// A plain GET.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: TIMEOUT,
            redirects: REDIRECTS,
            insecure: false,
            unix_socket: None,
        }
    }

    /// Adds a header.
    ///
    /// # Errors
    /// What is wrong with the name or the value.
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name: HeaderName = name.trim().parse().map_err(|_| format!("{name:?} is no name of a header"))?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| format!("{value:?} is no value of a header (line breaks?)"))?;
        self.headers.insert(name, value);
        Ok(())
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub ms: u64,
    /// Where the answer came from, after redirects.
    pub url: Url,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Refused,
    TimedOut,
    /// Its certificate is not trusted.
    Untrusted,
    /// `https` to a server without TLS.
    NotTls,
    /// It speaks HTTP/2 and nothing else.
    Http2,
    /// It speaks something else.
    NotHttp,
    /// It has hung up without an answer.
    Closed,
    Other,
}

/// Why there is no response, in words that stand after `GET http://…: `.
#[derive(Clone, Debug)]
pub struct Error {
    pub reason: Reason,
    pub message: String,
    /// What to write instead, where that is clear.
    pub hint: Option<String>,
}

impl Error {
    fn other(message: impl Into<String>) -> Self {
        Self::new(Reason::Other, message)
    }

    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), hint: None }
    }
}

/// Sends a request and reads the whole answer. Blocks, at most for the request's timeout.
///
/// # Errors
/// When there is no complete answer; never for a status.
pub fn send(request: &Request) -> Result<Response, Error> {
    let start = now();
    let mut hop = request.clone();
    let mut followed = 0;
    loop {
        hop.timeout = request.timeout.saturating_sub(now().saturating_sub(start));
        // The first URL alone would send the reader to the wrong server.
        let there = |mut error: Error| {
            if followed > 0 {
                error.message = format!("redirected to {}: {}", hop.url, error.message);
            }
            error
        };
        let mut answer = exchange(&hop, request.timeout, None).map_err(there)?;
        let status = answer.status();
        if request.redirects > 0
            && matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
            && let Some(location) = answer.headers().get(http::header::LOCATION)
        {
            let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
            if followed == request.redirects {
                let often = if followed == 1 { "redirect" } else { "redirects" };
                return Err(Error::other(format!(
                    "more than {followed} {often}; the last one leads to {}",
                    without_password(&location)
                )));
            }
            followed += 1;
            redirect(&mut hop, status, &location)?;
            continue;
        }
        let body = read_body(&mut answer, request.timeout, start, |_| false).map_err(there)?;
        let ms = u64::try_from(now().saturating_sub(start).as_millis()).unwrap_or(u64::MAX);
        let (head, _) = answer.into_parts();
        return Ok(Response { status: status.as_u16(), headers: head.headers, body, ms, url: hop.url });
    }
}

/// Turns a request into the one that a redirect asks for, as browsers do.
fn redirect(hop: &mut Request, status: StatusCode, location: &str) -> Result<(), Error> {
    let url = hop.url.join(location);
    let url = url.map_err(|e| Error::other(format!("redirected to nowhere: {}", e.message)))?;
    if status == StatusCode::SEE_OTHER && hop.method != Method::HEAD
        || status.as_u16() < 303 && hop.method == Method::POST
    {
        hop.method = Method::GET;
        hop.body = None;
        hop.headers.remove(http::header::CONTENT_TYPE);
    }
    if hop.url.same_origin(&url) {
        let userinfo = hop.url.userinfo.take();
        hop.url = Url { userinfo: url.userinfo.clone().or(userinfo), ..url };
    } else {
        hop.headers.remove(http::header::AUTHORIZATION);
        hop.headers.remove(http::header::COOKIE);
        hop.url = url;
    }
    hop.headers.remove(http::header::HOST);
    Ok(())
}

/// A request under way, seen from another thread.
#[derive(Debug, Default)]
pub struct Flight {
    state: Mutex<Leg>,
    agent: Mutex<Option<Agent>>,
    given_up: AtomicBool,
}

/// How far a request has come.
#[derive(Clone, Debug, Default)]
enum Leg {
    /// The connection is not ours to see.
    #[default]
    Unseen,
    Connecting,
    Accepted,
    /// This has come.
    Arrived(String),
}

impl Flight {
    /// Ends it: nobody is interested in its answer any more.
    pub fn give_up(&self) {
        self.given_up.store(true, SeqCst);
        if let Some(agent) = lock(&self.agent).take() {
            agent.shutdown();
        }
    }

    /// From now on it can be ended.
    fn takes_off(&self, agent: &Agent, leg: Leg) -> Result<(), Error> {
        *lock(&self.agent) = Some(agent.clone());
        self.reaches(leg);
        if self.given_up.load(SeqCst) { Err(Error::other("given up")) } else { Ok(()) }
    }

    fn reaches(&self, leg: Leg) {
        *lock(&self.state) = leg;
    }

    pub(super) fn has_arrived(&self, what: String) {
        self.reaches(Leg::Arrived(what));
    }

    /// What it has come to after that time.
    pub fn describe(&self, time: Duration) -> String {
        match &*lock(&self.state) {
            Leg::Unseen => format!("no answer in {}", words(time)),
            Leg::Connecting => format!("no connection in {}", words(time.min(CONNECT))),
            Leg::Accepted => format!("accepted the connection, no answer in {}", words(time)),
            Leg::Arrived(what) => what.clone(),
        }
    }
}

/// A request as it is made from a wait: to one address of several, and seen from another thread.
pub(super) struct Watched<'a> {
    pub address: Option<SocketAddr>,
    pub flight: &'a Arc<Flight>,
}

/// How long a wait tries to connect before it tries anew: an answer may take its time, a connection does not.
const CONNECT: Duration = Duration::from_secs(5);

/// One request on one connection, up to the head of its answer. `whole`: the timeout to speak of.
pub(super) fn exchange(
    request: &Request,
    whole: Duration,
    watched: Option<&Watched>,
) -> Result<http::Response<ureq::Body>, Error> {
    if request.timeout.is_zero() {
        return Err(no_answer(whole));
    }
    let agent = agent(request, 0, watched)?;
    let Some(Watched { address, flight }) = watched else { return ask(&agent, request, whole) };
    flight.takes_off(&agent, if address.is_some() { Leg::Connecting } else { Leg::Unseen })?;
    ask(&agent, request, whole).map_err(|mut error| {
        if error.reason == Reason::TimedOut {
            error.message = flight.describe(whole);
        }
        error
    })
}

/// The same request again and again, on a connection that is kept open as long as the server keeps it.
pub struct KeptOpen {
    agent: Agent,
    request: Request,
}

impl KeptOpen {
    /// # Errors
    /// When no connection is possible for such a request.
    pub fn new(request: &Request) -> Result<Self, Error> {
        Ok(Self { agent: agent(request, 1, None)?, request: request.clone() })
    }

    /// Sends it, reads the whole answer, and returns its status. Redirects are not followed.
    ///
    /// # Errors
    /// When there is no complete answer; never for a status.
    pub fn send(&self) -> Result<u16, Error> {
        let timeout = self.request.timeout;
        let start = now();
        let mut answer = ask(&self.agent, &self.request, timeout)?;
        read_body(&mut answer, timeout, start, |_| false)?;
        Ok(answer.status().as_u16())
    }
}

/// What sends a request, and keeps so many connections for the next one.
fn agent(request: &Request, idle: usize, watched: Option<&Watched>) -> Result<Agent, Error> {
    let local = request.url.local_port().is_some() || request.unix_socket.is_some();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .max_idle_connections(idle)
        .user_agent(concat!("bgjobs/", env!("CARGO_PKG_VERSION")))
        // What a server sends is what a test wants to see: nothing is compressed unless it asks for that.
        .accept_encoding("")
        .timeout_global(Some(request.timeout))
        .timeout_connect(watched.map(|_| CONNECT))
        .tls_config(TlsConfig::builder().disable_verification(request.insecure).build())
        .proxy(if local { None } else { Proxy::try_from_env() })
        .build();
    match (&request.unix_socket, watched) {
        (Some(_), _) if request.url.tls => Err(Error::other("https over a Unix socket is not supported")),
        (Some(path), _) => {
            let addresses = Addresses { none: true, only: None };
            Ok(Agent::with_parts(config, UnixConnector(path.clone()), addresses))
        }
        (None, Some(Watched { address: only @ Some(_), flight })) => {
            let connector = ().chain(TcpConnector::default());
            let connector = connector.chain(Accepted(Arc::clone(flight))).chain(RustlsConnector::default());
            Ok(Agent::with_parts(config, connector, Addresses { none: false, only: *only }))
        }
        (None, _) => Ok(Agent::with_parts(config, DefaultConnector::default(), Addresses::default())),
    }
}

fn ask(agent: &Agent, request: &Request, whole: Duration) -> Result<http::Response<ureq::Body>, Error> {
    let mut message = http::Request::new(());
    *message.method_mut() = request.method.clone();
    *message.uri_mut() =
        request.url.to_string().parse().map_err(|e| Error::other(format!("bad URL: {e}")))?;
    *message.headers_mut() = request.headers.clone();
    if let Some(userinfo) = &request.url.userinfo
        && let Ok(value) = HeaderValue::from_str(&basic(userinfo))
    {
        message.headers_mut().entry(http::header::AUTHORIZATION).or_insert(value);
    }
    let needs_length = matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
    let answer = match &request.body {
        Some(body) => agent.run(message.map(|()| body.as_slice())),
        None if needs_length => agent.run(message.map(|()| &[] as &[u8])),
        None => agent.run(message),
    };
    answer.map_err(|error| explain(error, request, whole))
}

fn no_answer(timeout: Duration) -> Error {
    Error::new(Reason::TimedOut, format!("no answer within {}", words(timeout)))
}

/// `2 s`, `1.5 s`, `250 ms`.
pub(super) fn words(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{} s", (time.as_secs_f64() * 100.0).round() / 100.0)
    }
}

/// Why there was no head of an answer.
fn explain(error: ureq::Error, request: &Request, whole: Duration) -> Error {
    let url = &request.url;
    let garbage = || {
        if !url.tls && url.addresses().is_some_and(|all| all.iter().any(|one| tcp::speaks_http2(*one))) {
            let mut error =
                Error::new(Reason::Http2, "the server speaks only HTTP/2 (bgjobs asks by HTTP/1.1)");
            error.hint =
                Some(format!("output([\"curl\", \"-fsS\", \"--http2-prior-knowledge\", \"{url}\"])"));
            return error;
        }
        let mut error = Error::new(Reason::NotHttp, "the server answered garbage (not HTTP)");
        error.hint = (!url.tls).then(|| "\"https://…\"   (if the server speaks TLS)".to_owned());
        error
    };
    match error {
        ureq::Error::Timeout(_) => no_answer(whole),
        ureq::Error::Protocol(wrong) => contradiction(&wrong.to_string()).unwrap_or_else(garbage),
        ureq::Error::HostNotFound => Error::other(format!("cannot resolve `{}`", url.host)),
        ureq::Error::LargeResponseHeader(..) => Error::other("the head of the answer is too large"),
        ureq::Error::Io(e) => explain_io(&e, request, whole),
        ureq::Error::Rustls(e) => explain_tls(&e.to_string()),
        ureq::Error::Tls(text) => explain_tls(text),
        other => Error::other(other.to_string()),
    }
}

/// What is HTTP, but such as leaves open where the body ends.
fn contradiction(wrong: &str) -> Option<Error> {
    let what = match wrong {
        text if text.contains("conflicting content-length") => {
            "has several `content-length` headers, which contradict each other"
        }
        text if text.contains("content-length header not a number") => {
            "has a `content-length` that is no number"
        }
        text if text.contains("both transfer-encoding and content-length") => {
            "has both `transfer-encoding` and `content-length`"
        }
        _ => return None,
    };
    Some(Error::other(format!("the answer {what}")))
}

fn explain_io(error: &io::Error, request: &Request, whole: Duration) -> Error {
    let url = &request.url;
    let text = error.to_string();
    let local = url.local_port().is_some();
    match error.kind() {
        // On a machine without IPv6 the second address of `localhost` cannot be reached at all.
        ErrorKind::AddrNotAvailable | ErrorKind::NetworkUnreachable if local => refused(),
        ErrorKind::ConnectionRefused => refused(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => no_answer(whole),
        ErrorKind::NotFound if request.unix_socket.is_some() => Error::other("there is no such Unix socket"),
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => {
            Error::new(Reason::Closed, "the server closed the connection without an answer")
        }
        _ if text.contains("lookup address") => Error::other(format!("cannot resolve `{}`", url.host)),
        _ if url.tls && error.get_ref().is_some() => explain_tls(&text),
        _ => Error::other(tcp::explain(error)),
    }
}

fn refused() -> Error {
    Error::new(Reason::Refused, "connection refused")
}

fn explain_tls(text: &str) -> Error {
    let mut error = Error::other(format!("TLS: {text}"));
    if text.contains("corrupt message") {
        error = Error::new(Reason::NotTls, "the server does not speak TLS");
        error.hint = Some("\"http://…\"".to_owned());
    } else if text.contains("certificate") {
        error = Error::new(Reason::Untrusted, format!("its certificate is not trusted: {text}"));
        error.hint = Some("`insecure: true`   (accepts every certificate)".to_owned());
    }
    error
}

/// Reads a body to its end, or until `enough` says so of what has come.
pub(super) fn read_body(
    answer: &mut http::Response<ureq::Body>,
    timeout: Duration,
    start: Duration,
    mut enough: impl FnMut(&[u8]) -> bool,
) -> Result<Vec<u8>, Error> {
    let mut reader = answer.body_mut().with_config().limit(u64::MAX).reader();
    let mut body = Vec::new();
    let mut buffer = vec![0u8; 64 << 10];
    let late = |got: usize| {
        let message = format!("the body did not end within {} ({got} bytes came)", words(timeout));
        Error::new(Reason::TimedOut, message)
    };
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(body),
            Ok(n) => {
                body.extend_from_slice(&buffer[..n]);
                if enough(&body) {
                    return Ok(body);
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => {
                let got = body.len();
                return Err(match ureq::Error::from(e) {
                    ureq::Error::Timeout(_) => late(got),
                    ureq::Error::Io(e) if e.kind() == ErrorKind::TimedOut => late(got),
                    ureq::Error::Protocol(e) => {
                        Error::other(format!("the body is broken after {got} bytes: {e}"))
                    }
                    _ => Error::other(format!(
                        "the connection ended in the middle of the body ({got} bytes came)"
                    )),
                });
            }
        }
        if body.len() > LARGEST_BODY {
            return Err(Error::other(format!("the body is larger than {} MiB", LARGEST_BODY >> 20)));
        }
        // A server that never stops sending never lets a read run into the timeout.
        if now().saturating_sub(start) >= timeout {
            return Err(late(body.len()));
        }
    }
}

/// Resolves names; `localhost` is both families.
#[derive(Debug, Default)]
struct Addresses {
    /// The connector needs none.
    none: bool,
    only: Option<SocketAddr>,
}

impl Resolver for Addresses {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let loopback = host.eq_ignore_ascii_case("localhost")
            || host.len() > 10 && host.to_ascii_lowercase().ends_with(".localhost");
        if !loopback && !self.none && self.only.is_none() {
            return DefaultResolver::default().resolve(uri, config, timeout);
        }
        let mut addresses = self.empty();
        if let Some(only) = self.only {
            addresses.push(only);
            return Ok(addresses);
        }
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            addresses.push(SocketAddr::new(ip, port));
        }
        Ok(addresses)
    }
}

/// Notes that the server has accepted the connection: what is said to it comes after that.
#[derive(Debug)]
struct Accepted(Arc<Flight>);

impl<In: Transport> Connector<In> for Accepted {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<In>, ureq::Error> {
        self.0.reaches(Leg::Accepted);
        Ok(chained)
    }
}

/// Connects to a Unix socket.
#[derive(Debug)]
struct UnixConnector(PathBuf);

impl<In: Transport> Connector<In> for UnixConnector {
    type Out = Either<In, UnixTransport>;

    fn connect(&self, details: &ConnectionDetails, _: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let stream = UnixStream::connect(&self.0)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(UnixTransport { stream, buffers })))
    }
}

#[derive(Debug)]
struct UnixTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl Transport for UnixTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        use std::io::Write;
        self.stream.set_write_timeout(timeout.not_zero().map(|time| *time))?;
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.set_read_timeout(timeout.not_zero().map(|time| *time))?;
        let amount = loop {
            match self.stream.read(self.buffers.input_append_buf()) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        false // Never used twice.
    }
}

/// The path of a Unix socket, when it can be connected to at all.
pub fn socket_path(path: &Path) -> Result<PathBuf, String> {
    const LONGEST: usize = 107;
    let length = path.as_os_str().len();
    if length > LONGEST {
        return Err(format!("the path of a Unix socket has at most {LONGEST} bytes, not {length}"));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn bad(text: &str) -> (String, Option<String>) {
        let bad = Url::parse(text).expect_err(text);
        (bad.message, bad.hint)
    }

    #[test]
    fn urls_are_completed_and_encoded() {
        assert_eq!(url("http://localhost:80").to_string(), "http://localhost:80/");
        assert_eq!(url("http://h?q=a b").to_string(), "http://h/?q=a%20b");
        assert_eq!(url("HTTPS://h/ä#x").to_string(), "https://h/%C3%A4");
        assert_eq!(url("http://u:p%40@h/").userinfo.as_deref(), Some("u:p@"));
        assert_eq!(url("http://u:p@h/").to_string(), "http://h/");
    }

    #[test]
    fn the_port_of_this_machine_is_known() {
        for (text, port) in [
            ("http://localhost:8080/x", Some(8080)),
            ("http://LOCALHOST", Some(80)),
            ("https://127.0.0.2", Some(443)),
            ("http://[::1]:3000", Some(3000)),
            ("http://0.0.0.0:1", Some(1)),
            ("http://api.localhost:1", Some(1)),
            ("http://example.com", None),
            ("http://10.0.0.1:80", None),
        ] {
            assert_eq!(url(text).local_port(), port, "{text}");
        }
    }

    #[test]
    fn a_bad_url_says_what_would_be_one() {
        let hint = |text: &str| bad(text).1.unwrap_or_default();
        assert_eq!(hint("localhost:8080"), "\"http://localhost:8080\"");
        assert_eq!(hint("127.0.0.1:8080/x"), "\"http://127.0.0.1:8080/x\"");
        assert_eq!(hint("8080"), "\"http://localhost:8080\"");
        assert_eq!(hint(":8080/x"), "\"http://localhost:8080/x\"");
        assert_eq!(hint("http:localhost:1"), "\"http://localhost:1\"");
        assert_eq!(hint("http://:8080/x"), "\"http://localhost:8080/x\"");
        assert_eq!(hint("localhost:80/go?to=http://x"), "\"http://localhost:80/go?to=http://x\"");
        assert_eq!(bad("/health").1, None);
        assert_eq!(bad("").1, None);
        assert!(bad("ftp://x").0.contains("unsupported scheme `ftp`"));
        for port in ["0", "65536", "x", "-1", "80 "] {
            assert!(bad(&format!("http://localhost:{port}/x")).0.contains("bad port"), "{port}");
        }
        assert!(Url::parse("http://a b/").is_err());
    }

    #[test]
    fn redirects_lead_where_a_browser_would_go() {
        let base = url("http://h:1/a/b?q=1");
        for (location, target) in [
            ("/x?y", "http://h:1/x?y"),
            ("c", "http://h:1/a/c"),
            ("../c/./d", "http://h:1/c/d"),
            ("?z", "http://h:1/a/b?z"),
            ("//other/x", "http://other/x"),
            ("https://other/x", "https://other/x"),
            ("/login?next=http://h", "http://h:1/login?next=http://h"),
        ] {
            assert_eq!(base.join(location).map(|url| url.to_string()), Ok(target.to_owned()), "{location}");
        }
    }

    #[test]
    fn passwords_are_encoded_as_the_rfc_has_it() {
        assert_eq!(basic("Aladdin:open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("a:b"), "Basic YTpi");
        assert_eq!(basic(""), "Basic ");
        assert_eq!(encode_form("a b&c=ä"), "a+b%26c%3D%C3%A4");
        assert_eq!(decode("%41%zz%"), "A%zz%");
    }

    #[test]
    fn a_refused_connection_is_one_on_both_families() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
        let request = Request::get(url(&format!("http://localhost:{}", free.port())));
        let error = send(&request).expect_err("refused");
        assert_eq!((error.reason, error.message.as_str()), (Reason::Refused, "connection refused"));
    }
}
