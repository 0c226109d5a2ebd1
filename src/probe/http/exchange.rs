//! Sends a request and reads what is answered.
//!
//! Redirects are followed here and not by `ureq`, which does not send a body a second time (307, 308).

use super::error::{Error, Reason};
use super::explain::{explain, no_answer, words};
use super::flight::{CONNECT, Flight, Leg};
use super::message::{Request, Response, basic};
use super::transport::{Accepted, Addresses, UnixConnector};
use super::url::without_password;
use crate::jobs::now;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{self, HeaderValue, Method, StatusCode};
use ureq::unversioned::transport::{Connector, DefaultConnector, RustlsConnector, TcpConnector};
use ureq::{Agent, Proxy};

/// The largest body that is read.
const LARGEST_BODY: usize = 64 << 20;

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
        hop.url = url.or_userinfo(userinfo);
    } else {
        hop.headers.remove(http::header::AUTHORIZATION);
        hop.headers.remove(http::header::COOKIE);
        hop.trust.identity = None;
        hop.url = url;
    }
    hop.headers.remove(http::header::HOST);
    Ok(())
}

/// A request as it is made from a wait: to one address of several, and seen from another thread.
pub(in crate::probe) struct Watched<'a> {
    pub address: Option<SocketAddr>,
    pub flight: &'a Arc<Flight>,
}

/// One request on one connection, up to the head of its answer. `whole`: the timeout to speak of.
pub(in crate::probe) fn exchange(
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
        .tls_config(request.trust.config(&request.url))
        .proxy(if local { None } else { Proxy::try_from_env() });
    // To get memory for more than a probe sends and is sent takes as long as a server of this machine takes to answer.
    let config = match watched {
        Some(_) => config.input_buffer_size(ANSWER).output_buffer_size(QUESTION + length(request)),
        None => config,
    };
    let config = config.build();
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

/// What of an answer must fit: all of its headers, of which the client takes 64 KiB.
const ANSWER: usize = 80 << 10;
/// What of a question must fit beside what is the caller's: its first line and any one header.
const QUESTION: usize = 4 << 10;

/// How long the parts of a request's head are that the caller has chosen.
fn length(request: &Request) -> usize {
    let headers = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    request.url.to_string().len() + headers.sum::<usize>()
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

/// Reads a body to its end, or until `enough` says so of what has come.
pub(in crate::probe) fn read_body(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::http::Url;

    #[test]
    fn a_refused_connection_is_one_on_both_families() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
        let request = Request::get(Url::parse(&format!("http://localhost:{}", free.port())).expect("a URL"));
        let error = send(&request).expect_err("refused");
        assert_eq!((error.reason, error.message.as_str()), (Reason::Refused, "connection refused"));
    }
}
