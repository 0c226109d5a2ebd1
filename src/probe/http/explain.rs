//! Why there is no answer, in words.

use super::error::{Error, Reason};
use super::message::Request;
use crate::probe::tcp;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Why there was no head of an answer.
pub(super) fn explain(error: ureq::Error, request: &Request, whole: Duration) -> Error {
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
            "has a `content-length` that is not a number"
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
    if text.contains("CertificateRequired") {
        error = Error::other("the server wants to see a certificate of its client");
        error.hint = Some("`cert: PATH, key: PATH`   (std/tls makes some: `client: \"NAME\"`)".to_owned());
    } else if text.contains("corrupt message") {
        error = Error::new(Reason::NotTls, "the server does not speak TLS");
        error.hint = Some("\"http://…\"".to_owned());
    } else if text.contains("certificate") {
        error = Error::new(Reason::Untrusted, format!("its certificate is not trusted: {text}"));
        error.hint = Some(
            "`ca: PATH`   (who has signed it), or `insecure: true`   (accepts every certificate)".to_owned(),
        );
    }
    error
}

pub(super) fn no_answer(timeout: Duration) -> Error {
    Error::new(Reason::TimedOut, format!("no answer within {}", words(timeout)))
}

/// `2 s`, `1.5 s`, `250 ms`.
pub(in crate::probe) fn words(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{} s", (time.as_secs_f64() * 100.0).round() / 100.0)
    }
}
