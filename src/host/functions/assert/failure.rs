//! What a failed assertion says: the caller's message first, then what was seen.

use crate::host::functions::assert::show::shown;
use crate::host::value::error::{Kind, ScriptError};
use rhai::Dynamic;

/// The caller's message as text.
pub(super) fn message_text(msg: &Dynamic) -> String {
    if msg.is_string() { msg.to_string() } else { shown(msg) }
}

/// The caller's message comes first, then what was seen.
pub(super) fn failed(msg: Option<&Dynamic>, what: &str) -> ScriptError {
    let message = match (msg.map(message_text).filter(|msg| !msg.is_empty()), what) {
        (Some(msg), "") => format!("assertion failed: {msg}"),
        (Some(msg), what) => format!("assertion failed: {msg}: {what}"),
        (None, "") => "assertion failed".to_owned(),
        (None, what) => format!("assertion failed: {what}"),
    };
    ScriptError::new(Kind::Assertion, message)
}
