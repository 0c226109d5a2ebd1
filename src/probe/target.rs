//! "Does this URL answer as it should?"

use super::http::{Error, Flight, Reason, Request, Watched, exchange, read_body};
use crate::jobs::now;
use regex::Regex;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use ureq::http;

/// Which statuses mean ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want(Vec<RangeInclusive<u16>>);

impl Default for Want {
    /// Any 2xx or 3xx.
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl Want {
    /// `"200"`, `"2xx"` or `"any"`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "any" {
            return Some(Self(vec![100..=999]));
        }
        if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            let class = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))?;
            return Some(Self(vec![class * 100..=class * 100 + 99]));
        }
        text.parse::<u16>().ok().filter(|code| (100..=999).contains(code)).map(|code| Self(vec![code..=code]))
    }

    /// Any of these.
    pub fn any(several: impl IntoIterator<Item = Self>) -> Self {
        Self(several.into_iter().flat_map(|want| want.0).collect())
    }

    pub fn accepts(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

/// What a URL must answer to be ready. A redirect is an answer and is not followed.
#[derive(Clone, Debug)]
pub struct Target {
    pub request: Request,
    pub want: Want,
    pub contains: Option<String>,
    pub matches: Option<Regex>,
    /// Must be part of the body.
    pub json: Option<Value>,
}

impl Target {
    /// The port, when a process of this machine must own it.
    pub fn local_port(&self) -> Option<u16> {
        if self.request.unix_socket.is_some() { None } else { self.request.url.local_port() }
    }

    fn needs_body(&self) -> bool {
        self.contains.is_some() || self.matches.is_some() || self.json.is_some()
    }
}

/// The answer of a target that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub ms: u64,
    /// Which of this machine's addresses has answered.
    pub ip: Option<IpAddr>,
}

/// What an attempt saw instead: `connection refused`, `503`, ``200 but the body does not contain `ok` ``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    pub reason: Reason,
    pub what: String,
}

impl From<Error> for Miss {
    fn from(error: Error) -> Self {
        Self { reason: error.reason, what: error.message }
    }
}

/// One attempt. Blocks, at most for `timeout`.
///
/// # Errors
/// What was seen instead.
pub fn attempt(target: &Target, timeout: Duration, flight: &Arc<Flight>) -> Result<Answer, Miss> {
    let start = now();
    let known = target.request.unix_socket.is_none().then(|| target.request.url.addresses()).flatten();
    let addresses = known.map_or(vec![None], |all| all.into_iter().map(Some).collect());
    let mut refused = None;
    for address in addresses {
        let request = Request { timeout, ..target.request.clone() };
        match exchange(&request, timeout, Some(&Watched { address, flight })) {
            Ok(answer) => return judge(target, answer, timeout, start, flight, address),
            // On the other address somebody may listen.
            Err(error) if error.reason == Reason::Refused => drop(refused.get_or_insert(error)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused.map_or_else(|| Miss { reason: Reason::Other, what: "no address".to_owned() }, Miss::from))
}

/// A body of so many bytes comes with its head.
const SHORT: u64 = 4096;

/// Whether an answer is as wanted. Only its head is waited for unless the body matters, and of the body no more than is
/// needed: it may be a stream without an end.
fn judge(
    target: &Target,
    mut answer: http::Response<ureq::Body>,
    timeout: Duration,
    start: Duration,
    flight: &Flight,
    address: Option<SocketAddr>,
) -> Result<Answer, Miss> {
    let status = answer.status().as_u16();
    let other = |what: String| Miss { reason: Reason::Other, what };
    if !target.want.accepts(status) {
        // To hang up on a short body that has come is to reset the connection, which some servers log with a backtrace.
        let length = answer.headers().get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length <= SHORT) {
            let _ = read_body(&mut answer, timeout, start, |_| false);
        }
        return Err(other(status.to_string()));
    }
    if target.needs_body() {
        let kind = answer.headers().get(http::header::CONTENT_TYPE);
        let events = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let mut missing = String::new();
        let enough = |body: &[u8]| match check_body(target, &Body { bytes: body, events, whole: false }) {
            Ok(()) => true,
            Err(what) => {
                flight.has_arrived(format!("{status} but {what} ({} bytes have come)", body.len()));
                missing = what;
                false
            }
        };
        let body = read_body(&mut answer, timeout, start, enough);
        let body = body.map_err(|e| match (e.reason, missing.as_str()) {
            (Reason::TimedOut, missing) if !missing.is_empty() => {
                other(format!("{status} but {missing}, and {}", e.message))
            }
            _ => Miss { reason: e.reason, what: format!("{status} but {}", e.message) },
        })?;
        // Of a body without an end this is only the beginning, which has been found good.
        let whole = Body { bytes: &body, events, whole: true };
        check_body(target, &whole).map_err(|what| other(format!("{status} but {what}")))?;
    }
    let ms = u64::try_from(now().saturating_sub(start).as_millis()).unwrap_or(u64::MAX);
    Ok(Answer { status, ms, ip: address.map(|address| address.ip()) })
}

/// Whether the server can be asked by TLS, as it was not.
pub fn speaks_tls(target: &Target) -> bool {
    const PATIENCE: Duration = Duration::from_millis(500);
    let Some(url) = target.request.url.with_tls() else { return false };
    let mut request = Request { timeout: PATIENCE, ..Request::get(url) };
    request.trust.insecure = true;
    exchange(&request, PATIENCE, None).is_ok()
}

/// What has come of a body.
struct Body<'a> {
    bytes: &'a [u8],
    /// It is a stream of events (server-sent events).
    events: bool,
    /// Nothing more will come.
    whole: bool,
}

fn check_body(target: &Target, body: &Body) -> Result<(), String> {
    let text = String::from_utf8_lossy(body.bytes);
    if let Some(wanted) = &target.contains
        && !text.contains(wanted.as_str())
    {
        return Err(format!("the body does not contain `{wanted}`"));
    }
    if let Some(pattern) = &target.matches
        && !(pattern.is_match(&text) && (body.whole || holds_whatever_follows(pattern, &text)))
    {
        return Err(format!("the body does not match `{pattern}`"));
    }
    if let Some(wanted) = &target.json {
        has_json(wanted, body, &text)?;
    }
    Ok(())
}

/// Whether the end of the text has no part in the match (`$`, `\\b`): more may come.
fn holds_whatever_follows(pattern: &Regex, text: &str) -> bool {
    ["x", " ", "\n"].iter().all(|more| {
        let found = pattern.find(&format!("{text}{more}")).map(|found| found.start());
        found.is_some_and(|start| start < text.len())
    })
}

/// Whether a body is the wanted JSON; or one document of several in a row, as streams have them.
fn has_json(wanted: &Value, body: &Body, text: &str) -> Result<(), String> {
    if body.events {
        let events = text.split("\n\n").flat_map(|event| event.split("\r\n\r\n")).map(|event| {
            let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
            data.collect::<Vec<_>>().join("\n")
        });
        return any_json(wanted, events.filter_map(|data| serde_json::from_str(&data).ok()));
    }
    // A number may go on; what has an end of its own does not.
    let has_end = |value: &Value| body.whole || !value.is_number();
    let documents = serde_json::Deserializer::from_slice(body.bytes).into_iter::<Value>();
    any_json(wanted, documents.map_while(Result::ok).filter(has_end))
}

/// Whether one of these is the wanted one; else why the last one is not.
fn any_json(wanted: &Value, documents: impl Iterator<Item = Value>) -> Result<(), String> {
    let mut why = "the body is not JSON".to_owned();
    for document in documents {
        match subset(wanted, &document, "") {
            Ok(()) => return Ok(()),
            Err(what) => why = what,
        }
    }
    Err(why)
}

/// Whether all of `wanted` is in `got`: more keys are fine, an array must have the same length.
pub fn subset(wanted: &Value, got: &Value, path: &str) -> Result<(), String> {
    let name = |path: &str| if path.is_empty() { "the body".to_owned() } else { format!("`{path}`") };
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match got.get(key) {
                    Some(got) => subset(value, got, &path)?,
                    None => return Err(format!("the body has no `{path}`")),
                }
            }
            Ok(())
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            let mut pairs = wanted.iter().zip(got).enumerate();
            pairs.try_for_each(|(i, (wanted, got))| subset(wanted, got, &format!("{path}[{i}]")))
        }
        (Value::Number(wanted), Value::Number(got)) if wanted.as_f64() == got.as_f64() => Ok(()),
        _ if wanted == got => Ok(()),
        _ => Err(format!("{} is {}, not {}", name(path), short(got), short(wanted))),
    }
}

fn short(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    if text.chars().count() > MOST { text.chars().take(MOST).collect::<String>() + "…" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::http::Url;
    use std::io::Read;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn wanted_statuses_in_every_form() {
        let want = Want::default();
        assert!(want.accepts(200) && want.accepts(302) && !want.accepts(404) && !want.accepts(101));
        let class = Want::parse("2xx").expect("class");
        assert!(class.accepts(299) && !class.accepts(300));
        assert!(Want::parse("204").expect("code").accepts(204));
        assert!(Want::parse("any").is_some_and(|any| any.accepts(101) && any.accepts(503)));
        let any = Want::any([Want::parse("401").expect("code"), class]);
        assert!(any.accepts(401) && any.accepts(201) && !any.accepts(403));
        for text in ["", "x", "9xx", "2x", "0", "-200"] {
            assert_eq!(Want::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_subset_says_where_it_differs() {
        let check = |wanted: &str, got: &str| {
            let parse = |text: &str| serde_json::from_str::<Value>(text).expect(text);
            subset(&parse(wanted), &parse(got), "")
        };
        assert_eq!(check(r#"{"a":{"b":1}}"#, r#"{"a":{"b":1.0,"c":2},"d":3}"#), Ok(()));
        assert_eq!(check(r#"{"a":{"b":1}}"#, r#"{"a":{"b":"x"}}"#), Err("`a.b` is \"x\", not 1".into()));
        assert_eq!(check(r#"{"a":1}"#, "{}"), Err("the body has no `a`".into()));
        assert_eq!(check(r#"[{"a":1}]"#, r#"[{"a":2}]"#), Err("`[0].a` is 2, not 1".into()));
        assert_eq!(check("[1]", "[1,2]"), Err("the body is [1,2], not [1]".into()));
    }

    /// A server that gives this answer to every connection.
    fn says(answer: &'static str) -> u16 {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
                // Stays open until the client has gone: an answer without length has no end.
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        port
    }

    fn target(port: u16) -> Target {
        Target {
            request: Request::get(url(&format!("http://localhost:{port}/health"))),
            want: Want::default(),
            contains: None,
            matches: None,
            json: None,
        }
    }

    fn seen(target: &Target) -> Result<u16, String> {
        attempt(target, Duration::from_secs(20), &Arc::default())
            .map(|answer| answer.status)
            .map_err(|miss| miss.what)
    }

    #[test]
    fn an_attempt_says_what_it_saw() {
        assert_eq!(seen(&target(says("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"))), Err("503".into()));
        let moved = says("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(seen(&target(moved)), Ok(302));
        let json = says("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"state\":\"starting\"}");
        assert_eq!(seen(&target(json)), Ok(200));
        let with = |change: fn(&mut Target)| {
            let mut target = target(json);
            change(&mut target);
            seen(&target)
        };
        assert_eq!(with(|t| t.contains = Some("star".into())), Ok(200));
        assert_eq!(
            with(|t| t.contains = Some("up".into())),
            Err("200 but the body does not contain `up`".into())
        );
        assert_eq!(
            with(|t| t.matches = Regex::new("^up").ok()),
            Err("200 but the body does not match `^up`".into())
        );
        assert_eq!(
            with(|t| t.json = serde_json::from_str(r#"{"state":"up"}"#).ok()),
            Err("200 but `state` is \"starting\", not \"up\"".into())
        );
        assert_eq!(with(|t| t.want = Want::any([])), Err("200".into()));
    }

    #[test]
    fn long_headers_fit_both_ways() {
        let long = |length| "x".repeat(length);
        let answer = format!("HTTP/1.1 200 OK\r\na: {}\r\ncontent-length: 0\r\n\r\n", long(60_000));
        let mut target = target(says(answer.leak()));
        for name in ["b", "c"] {
            target.request.headers.insert(name, long(30_000).parse().expect("a value"));
        }
        assert_eq!(seen(&target), Ok(200));
    }

    #[test]
    fn an_attempt_waits_for_no_more_of_a_body_than_matters() {
        let endless = says("HTTP/1.1 200 OK\r\n\r\ndata: {\"up\": 1}\n\n");
        assert_eq!(seen(&target(endless)), Ok(200));
        let late = |limit, change: fn(&mut Target)| {
            let mut target = target(endless);
            change(&mut target);
            attempt(&target, Duration::from_secs(limit), &Arc::default()).map_err(|miss| miss.what)
        };
        // Either answers long before its limit, which only a machine that is busy elsewhere comes near.
        assert!(late(60, |t| t.contains = Some("up".into())).is_ok());
        assert!(late(60, |t| t.matches = Regex::new("(?m)^data: .*$").ok()).is_ok());
        let missing =
            "200 but the body does not contain `down`, and the body did not end within 3 s (17 bytes came)";
        assert_eq!(late(3, |t| t.contains = Some("down".into())), Err(missing.into()));
        // More may come, and then this is not the end.
        assert!(late(3, |t| t.matches = Regex::new("\\n\\n$").ok()).is_err());
    }

    #[test]
    fn one_of_many_documents_is_enough() {
        let wanted = serde_json::from_str(r#"{"up":1}"#).expect("json");
        let check = |text: &str, events, whole| {
            has_json(&wanted, &Body { bytes: text.as_bytes(), events, whole }, text)
        };
        assert_eq!(check("{\"up\":0}\n{\"up\":1}\n{\"u", false, false), Ok(()));
        assert_eq!(check("{\"up\":0}\n{\"u", false, false), Err("`up` is 0, not 1".into()));
        assert_eq!(check("event: a\ndata: {\"up\":\ndata: 1}\n\nid: 1\nda", true, false), Ok(()));
        assert_eq!(check(": hello\r\n\r\ndata:{\"up\":1}\r\n\r\n", true, false), Ok(()));
        assert_eq!(check("{\"up\":1}", true, true), Err("the body is not JSON".into()));
        assert_eq!(check("hello", false, true), Err("the body is not JSON".into()));
        let number = serde_json::from_str("1").expect("json");
        let body = |whole| Body { bytes: b"1", events: false, whole };
        assert!(has_json(&number, &body(false), "1").is_err());
        assert_eq!(has_json(&number, &body(true), "1"), Ok(()));
    }
}
