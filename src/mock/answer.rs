//! What a request is answered, as plain data; and which answers no server can give.

use super::stream::Stream;
use super::template;
use super::websocket::Talk;
use super::when::When;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Headers by which the end of a body is known: `fault` is there for those that lie.
const OWN_HEADERS: &[&str] = &["content-length", "transfer-encoding"];

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Which requests it is for.
    pub when: When,
    /// How often it is given.
    pub times: Option<usize>,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub content: Content,
    /// Before it begins.
    pub delay: Duration,
    /// Over how long its body comes.
    pub trickle: Duration,
    pub fault: Option<Fault>,
    /// Whether `{{…}}` in it is replaced.
    pub template: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Content {
    None,
    Text(String),
    Json(Value),
    /// Read anew for every request.
    File(PathBuf),
    /// Piece by piece.
    Stream(Stream),
    WebSocket(Talk),
}

/// How a server can fail at an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Closes the connection without an answer.
    Close,
    /// Resets it.
    Reset,
    /// Answers what is not HTTP.
    Garbage,
    /// Closes the connection in the middle of the body.
    Cut,
    /// Never answers.
    Hang,
}

impl Answer {
    /// With this status and nothing else.
    pub fn new(status: u16) -> Self {
        Self {
            when: When::default(),
            times: None,
            status,
            headers: Vec::new(),
            content: Content::None,
            delay: Duration::ZERO,
            trickle: Duration::ZERO,
            fault: None,
            template: true,
        }
    }

    /// Whether a request with this answer has a status on record.
    pub fn answers(&self) -> bool {
        matches!(self.fault, None | Some(Fault::Cut))
    }

    /// # Errors
    /// What the server cannot send, and what was hardly meant.
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
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(is_token) {
                return Err(format!("{name:?} is not the name of a header"));
            }
            if value.chars().any(|c| c.is_control() && c != '\t') {
                return Err(format!("{value:?} is not a header value (line breaks?)"));
            }
        }
        if let Content::Stream(stream) = &self.content {
            if self.fault.is_some() {
                return Err(
                    "a stream fails by `then: \"cut\"` or `then: \"reset\"`, not by `fault`".to_owned()
                );
            }
            if !self.trickle.is_zero() {
                return Err("a stream has its own times: `after`, not `trickle`".to_owned());
            }
            stream.check(self.template)?;
        }
        if let Content::WebSocket(talk) = &self.content {
            if matches!(self.fault, Some(Fault::Cut)) || !self.trickle.is_zero() {
                return Err("a WebSocket breaks off by `close: \"cut\"`".to_owned());
            }
            if self.status != 200 {
                return Err("a WebSocket has the status 101".to_owned());
            }
            talk.check(self.template)?;
        }
        if !self.template {
            return Ok(());
        }
        self.headers.iter().try_for_each(|(_, value)| template::check(value))?;
        match &self.content {
            Content::Text(text) => template::check(text),
            Content::Json(value) => template::check_json(value),
            Content::None | Content::File(_) | Content::Stream(_) | Content::WebSocket(_) => Ok(()),
        }
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
