//! Errors that something in the script catches: which, as what, and which of them mean *not yet*.

use super::runtime::rt;
use crate::host::explain::failure;
use crate::host::value::error::{self, Kind, Origin, ScriptError};
use rhai::plugin::*;
use rhai::{Dynamic, Map};

/// Whether nothing in the script may stop this error on its way.
pub fn passes_through(error: &EvalAltResult) -> bool {
    rt().control().halted() || !error.unwrap_inner().is_catchable()
}

/// An error as a value on which `.kind` and `.message` always work: what was thrown if it has them, an error object
/// otherwise.
pub fn caught(error: &EvalAltResult, source: &str) -> Dynamic {
    let thrown = match error.unwrap_inner() {
        EvalAltResult::ErrorRuntime(value, _) => value.flatten_clone(),
        _ => Dynamic::UNIT,
    };
    let failure = failure::describe(error, source);
    let origin = || Some(Box::new(Origin { place: failure.place.clone(), trail: failure.trail.clone() }));
    if let Some(mut object) = thrown.clone().try_cast::<ScriptError>() {
        object.origin = origin();
        return Dynamic::from(object);
    }
    if let Some(mut map) = thrown.clone().try_cast::<Map>() {
        map.entry("message".into()).or_insert_with(|| failure.message.clone().into());
        return map.into();
    }
    let mut object = ScriptError::new(Kind::Script, failure.message.clone());
    object.notes.clone_from(&failure.notes);
    object.hint.clone_from(&failure.hint);
    object.origin = origin();
    if let Some(place) = &failure.place {
        object = object.fact("line", i64::try_from(place.line).unwrap_or(0));
    }
    if !thrown.is_unit() {
        object = object.fact("value", thrown);
    }
    Dynamic::from(object)
}

/// The first line of an error that means *not yet*, in `retry`, `wait_until`, `eventually` and `ready`: one of a kind
/// that says so, or what the script itself threw. A mistake in the script is none, nor is a job that died.
pub fn not_yet(error: &EvalAltResult) -> Option<String> {
    if passes_through(error) {
        return None;
    }
    let EvalAltResult::ErrorRuntime(thrown, _) = error.unwrap_inner() else { return None };
    let message = match error::thrown(thrown) {
        Some(error) if error.kind.is_not_yet() => error.message,
        Some(_) => return None,
        None => failure::thrown(thrown),
    };
    Some(message.lines().next().unwrap_or_default().to_owned())
}
