//! An error of the evaluation → plain data for the report: message, place, the path to it.

use super::error::ScriptError;
use crate::event::{Failure, Place};
use crate::exit;
use crate::jobs::control::lock;
use rhai::{Dynamic, EvalAltResult, Map, Position};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// Every script text that was loaded, for excerpts.
fn texts() -> &'static Mutex<HashMap<String, Arc<str>>> {
    static TEXTS: OnceLock<Mutex<HashMap<String, Arc<str>>>> = OnceLock::new();
    TEXTS.get_or_init(Mutex::default)
}

pub fn remember(name: &str, text: &str) {
    lock(texts()).insert(name.to_owned(), text.into());
}

/// What failed, where, and how the script got there. `main` is the name of the main script.
pub fn describe(error: &EvalAltResult, main: &str) -> Failure {
    let mut source = main.to_owned();
    let mut frames = Vec::new();
    let mut error = error;
    loop {
        match error {
            EvalAltResult::ErrorInFunctionCall(function, callee_source, inner, position) => {
                let name = if function.starts_with("anon$") {
                    "a closure".to_owned()
                } else {
                    format!("`{function}`")
                };
                frames.push(format!("in {name}, called at {}", at(&source, *position)));
                if !callee_source.is_empty() {
                    source.clone_from(callee_source);
                }
                error = inner;
            }
            EvalAltResult::ErrorInModule(module, inner, position) => {
                frames.push(format!("in module `{module}`, imported at {}", at(&source, *position)));
                source.clone_from(module);
                error = inner;
            }
            _ => break,
        }
    }
    frames.reverse();
    let mut failure = leaf(error);
    failure.place = place(&source, error.position());
    failure.trail = frames;
    failure
}

/// An error object that was never thrown in a script.
pub fn from_error(error: &ScriptError) -> Failure {
    Failure {
        code: error.exit,
        message: error.message.clone(),
        place: None,
        trail: Vec::new(),
        notes: error.notes.clone(),
        tails: error.tails.clone(),
        hint: error.hint.clone(),
    }
}

fn leaf(error: &EvalAltResult) -> Failure {
    let text = match error {
        EvalAltResult::ErrorRuntime(value, _) => match value.read_lock::<ScriptError>() {
            Some(error) => return from_error(&error),
            None => thrown(value),
        },
        other => {
            let text = other.to_string();
            // Rhai appends the position, which has its own line here.
            text.rsplit_once(" (line ").map_or(text.clone(), |(message, _)| message.to_owned())
        }
    };
    Failure { code: exit::FAILED, message: text, ..Failure::default() }
}

/// What `throw value` threw.
fn thrown(value: &Dynamic) -> String {
    if value.is_unit() {
        return "the script threw nothing (`throw;`)".to_owned();
    }
    if let Some(map) = value.read_lock::<Map>()
        && let Some(message) = map.get("message")
    {
        return message.to_string();
    }
    value.to_string()
}

fn at(source: &str, position: Position) -> String {
    let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
    format!("{source}:{line}:{column}")
}

/// The line with the token that an error points to.
pub fn place(source: &str, position: Position) -> Option<Place> {
    let line = position.line()?;
    let column = position.position().unwrap_or(1).max(1);
    let text = lock(texts()).get(source).and_then(|text| text.lines().nth(line - 1).map(str::to_owned));
    let text = text.unwrap_or_default();
    let rest: String = text.chars().skip(column - 1).collect();
    Some(Place { file: source.to_owned(), line, column, width: token_width(&rest), text })
}

/// How many characters the token at the start of a text has.
fn token_width(rest: &str) -> usize {
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    match rest.chars().next() {
        Some('"') => rest[1..].find('"').map_or(1, |end| rest[..end + 2].chars().count()),
        Some(c) if word(&c) => rest.chars().take_while(word).count(),
        _ => 1,
    }
}
