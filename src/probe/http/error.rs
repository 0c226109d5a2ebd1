//! Why there is no answer, as data.

/// What a caller may want to tell apart.
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
    pub(super) fn other(message: impl Into<String>) -> Self {
        Self::new(Reason::Other, message)
    }

    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), hint: None }
    }
}
