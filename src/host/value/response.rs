//! What a request was answered, as scripts hold it.

use super::error::{Fallible, Kind, ScriptError};
use super::json::from_json;
use super::kinds::{self, FromValue, Typed};
use super::utf8;
use crate::api::Type;
use crate::probe::http;
use rhai::Dynamic;
use std::sync::Arc;

/// What a request was answered, as scripts hold it.
#[derive(Clone)]
pub struct Response(pub Arc<Answered>);

pub struct Answered {
    pub method: String,
    pub response: http::Response,
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

impl FromValue for Response {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kinds::literal(Self::TYPE, value, what)?;
        Ok(value.clone().cast())
    }
}

/// The headers of a response: names in any case.
#[derive(Clone)]
pub struct Headers(pub Arc<Answered>);

impl Typed for Headers {
    const TYPE: Type = Type::Object("Headers");
}

impl FromValue for Headers {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kinds::literal(Self::TYPE, value, what)?;
        Ok(value.clone().cast())
    }
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn header(response: &http::Response, name: &str) -> Dynamic {
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

pub fn one_line(answered: &Answered) -> String {
    let response = &answered.response;
    let body = if response.body.is_empty() {
        String::new()
    } else {
        format!(": {}", start_of(&response.body).replace(['\r', '\n'], " "))
    };
    format!("{} ({} bytes, {} ms){body}", response.status, response.body.len(), response.ms)
}

pub fn json(answered: &Answered) -> Fallible<Dynamic> {
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
