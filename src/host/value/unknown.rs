//! What is said of an option that a function does not have: the one that was meant, where it is found, what to do without
//! it, or those that there are; and of another value in the place of a function's options or arguments: a call that is
//! right. Worded the same whether it is found before the run or during it.

use super::error::ScriptError;
use crate::api::{Options, Type, names, usage};
use crate::words::nearest;

/// An option of a function of the standard library.
pub fn unknown_option(function: &str, key: &str, known: &[&str]) -> ScriptError {
    let known = usage::shown(function, known);
    if let Some(meant) = names::option_of_module(key, &known) {
        return unknown_of(function, key, &known, Some(meant));
    }
    let advised = |note: String| {
        let mut error = unknown_of(function, key, &known, None);
        error.notes.insert(0, note);
        error
    };
    if let Some(advice) = names::without(function, key) {
        return match advice.starts_with("args: ") {
            true => unknown_of(function, key, &known, None).hint(advice),
            false => advised(advice.to_owned()),
        };
    }
    let takers: Vec<String> = usage::takers(function, key).iter().map(|one| format!("`{one}`")).collect();
    match takers.split_last() {
        Some((one, [])) => return advised(format!("{one} takes it")),
        Some((last, others)) => return advised(format!("{} and {last} take it", others.join(", "))),
        None => {}
    }
    let error = unknown_of(function, key, &known, nearest(key, known.iter().copied()));
    // What it means may be a word of the program itself.
    match usage::args(function).filter(|_| !error.notes.is_empty()) {
        Some(args) => error.note(format!("what the program itself takes goes into `args`: {args}")),
        None => error,
    }
}

/// An option of a function of somebody's own module.
pub fn unknown_option_of_own(function: &str, key: &str, known: &[&str]) -> ScriptError {
    let near = names::option_of_module(key, known).or_else(|| nearest(key, known.iter().copied()));
    unknown_of(function, key, known, near)
}

/// An option of a function that is described.
pub fn unknown_described(function: &str, key: &str, options: &Options) -> ScriptError {
    let meant = names::option(key, options);
    let mut error = unknown_of(function, key, &options.names(), meant);
    let advice = names::without(function, key).filter(|_| meant.is_none());
    advice.into_iter().for_each(|advice| error.notes.insert(0, advice.to_owned()));
    // What a client says on a WebSocket is no option.
    if meant.is_none() && options.names().contains(&"replies") {
        return error.hint(format!("replies: [#{{when: {key:?}, send: …}}]   (an answer to a message)"));
    }
    error
}

fn unknown_of(function: &str, key: &str, known: &[&str], near: Option<&str>) -> ScriptError {
    let error = match near {
        Some(near) => {
            ScriptError::usage(format!("{function}: unknown option `{key}`; did you mean `{near}`?"))
        }
        None => ScriptError::usage(format!("{function}: unknown option `{key}`"))
            .note(format!("options: {}", known.join(", "))),
    };
    error.about(key)
}

/// A value, as it is shown, in the place of the options of a function of the standard library.
pub fn not_options(function: &str, value: &str, known: &[&str]) -> ScriptError {
    as_shown(function, not_options_of_own(function, value, &usage::shown(function, known)))
}

/// The same for a function of somebody's own module.
pub fn not_options_of_own(function: &str, value: &str, known: &[&str]) -> ScriptError {
    ScriptError::usage(format!("{function}: {value} is not an option map"))
        .note(format!("options: #{{{}: …}}", known.join(", ")))
}

/// A value, as it is shown, that a parameter of a function of the standard library cannot be.
pub fn not_argument(function: &str, param: &str, value: &str, kind: Type) -> ScriptError {
    as_shown(function, ScriptError::usage(format!("{function}: `{param}`: {value} is not {}", kind.noun())))
}

/// With a call that is right.
fn as_shown(function: &str, error: ScriptError) -> ScriptError {
    match usage::example(function) {
        Some(call) => error.hint(call),
        None => error,
    }
}

/// Options of `start` that are easily taken for a part of `ready`.
pub const BESIDE_READY: &[&str] = &["timeout", "interval", "message", "stable", "tries"];

/// A key that no condition of `ready` has.
pub fn unknown_key(what: &str, key: &str, conditions: &'static Options) -> ScriptError {
    if !BESIDE_READY.contains(&key) {
        return unknown_described(what, key, conditions);
    }
    ScriptError::usage(format!("{what}: `{key}` stands beside `ready`, not in it"))
        .hint(format!("ready: #{{…}}, {key}: …"))
}
