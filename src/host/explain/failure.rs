//! An error of the evaluation → plain data for the report: message, place, the path to it.

use super::called;
use super::hints;
use super::method;
use super::module_call;
use super::signature::{self, CallAdvice};
use crate::builtin;
use crate::event::{Failure, Place};
use crate::exit;
use crate::host::source::import;
use crate::host::source::text::{as_written, at, closures, place, position_of, text_of, texts};
use crate::host::value::error::{self, Kind, Origin, ScriptError};
use crate::host::value::limits;
use crate::lock::lock;
use rhai::{Dynamic, EvalAltResult, Map, ParseErrorType, Position};

/// What failed, where, and how the script got there. `main` is the name of the main script.
pub fn describe(error: &EvalAltResult, main: &str) -> Failure {
    let mut source = main.to_owned();
    let mut frames = Vec::new();
    // The innermost call that stands in a text of the user's, and the number of frames that it has outside.
    let mut own = None;
    let mut called = None;
    let mut error = error;
    loop {
        match error {
            EvalAltResult::ErrorInFunctionCall(function, callee_source, inner, position) => {
                let position = as_written(&source, *position);
                let name = if function.starts_with("anon$") {
                    "a closure".to_owned()
                } else {
                    format!("`{function}`")
                };
                let is_own = !import::is_built_in(&source) && !position.is_none();
                if is_own {
                    own = Some((source.clone(), position, frames.len()));
                }
                frames.push(match at(&source, position) {
                    Some(place) => format!("in {name}, called at {place}"),
                    None => format!("in {name}"),
                });
                if let Some(home) = lock(closures()).get(function) {
                    source.clone_from(home);
                } else if !callee_source.is_empty() {
                    source.clone_from(callee_source);
                }
                if is_own {
                    called =
                        import::is_built_in(&source).then(|| module_call::named(&source, function)).flatten();
                }
                error = inner;
            }
            EvalAltResult::ErrorInModule(module, inner, position) => {
                frames.push(match at(&source, *position) {
                    Some(place) => format!("in module `{module}`, imported at {place}"),
                    None => format!("in module `{module}`"),
                });
                source.clone_from(module);
                error = inner;
            }
            _ => break,
        }
    }
    frames.reverse();
    let mut failure = leaf(error, &source);
    if import::is_built_in(&source) && error::is_of_helper(error) {
        // With what number psql fails says nothing to who has called bgjobs.
        failure.code = exit::FAILED;
    }
    if import::is_built_in(&source)
        && let Some(called) = called
    {
        let is_of_type = matches!(
            error,
            EvalAltResult::ErrorFunctionNotFound(..)
                | EvalAltResult::ErrorMismatchDataType(..)
                | EvalAltResult::ErrorDotExpr(..)
                | EvalAltResult::ErrorIndexingType(..)
                | EvalAltResult::ErrorFor(..)
        );
        module_call::tell(&mut failure, &called, is_of_type);
    }
    let of_script = |place: &Place| lock(texts()).contains_key(&place.file);
    if failure.place.as_ref().is_some_and(|place| !of_script(place)) {
        // It points into a file that the script has read, by a module or itself: then its own call is enough.
        if let Some((_, _, outside)) = own {
            frames.drain(..frames.len().saturating_sub(outside + 1));
        }
    } else if failure.place.is_some() || !failure.trail.is_empty() {
        let again = at(&source, as_written(&source, error.position()))
            .map(|place| format!("thrown again at {place}"));
        let known = failure.place.as_ref().and_then(|first| at(&first.file, position_of(first)));
        let again = again.filter(|again| known.is_none_or(|known| !again.ends_with(&known)));
        frames.splice(0..0, failure.trail.into_iter().chain(again));
    } else {
        failure.place = place(&source, as_written(&source, error.position()));
        let module = builtin::module(&source).unwrap_or_default();
        if import::is_built_in(&source)
            && let Some((source, position, outside)) = own
        {
            // What happens inside the standard library is told of the call: there the user can change something.
            let inside = failure.place.take().and_then(|inside| at(&inside.file, position_of(&inside)));
            failure.place = place(&source, position);
            failure.hint = failure.hint.take().and_then(|hint| of_module(hint, module));
            frames.drain(..frames.len() - outside);
            frames.splice(0..0, inside.map(|inside| format!("thrown at {inside}")));
        }
    }
    failure.trail = fold(frames);
    called::point_at_option(&mut failure);
    failure
}

/// What the `start` inside a module advises, for who has called the module: most of them know by themselves when their
/// server is ready, and are told its port.
fn of_module(hint: String, module: &str) -> Option<String> {
    let knows_ready = module.contains("opts.port") && !module.contains("opts.ready");
    match hint.strip_prefix("ready: ") {
        Some(rest) if knows_ready => {
            rest.starts_with(|c: char| c.is_ascii_digit()).then(|| format!("port: {rest}"))
        }
        _ => Some(hint),
    }
}

/// Whether a value is what `catch` gives for an error of the evaluation: a map that rhai has filled.
pub fn is_evaluation_error(value: &Dynamic) -> bool {
    value.read_lock::<Map>().is_some_and(|map| {
        map.contains_key("message")
            && map.contains_key("line")
            && map
                .get("error")
                .and_then(|name| name.read_lock::<rhai::ImmutableString>())
                .is_some_and(|name| name.starts_with("Error"))
    })
}

/// The error object for such a map. Its message is rhai's, innermost first, with the places in it:
/// `Division by zero: 1 / 0 @ 'a.rhai' (line 2, position 13)\nin call to function 'f' (from 'a.rhai')`.
pub fn from_evaluation(map: &Map) -> ScriptError {
    let text = map.get("message").map(Dynamic::to_string).unwrap_or_default();
    let number = |key: &str| map.get(key).and_then(|n| n.as_int().ok()).and_then(|n| u16::try_from(n).ok());
    let mut source = map.get("source").map(Dynamic::to_string).unwrap_or_default();
    let mut position = Position::new(number("line").unwrap_or(1).max(1), number("position").unwrap_or(1));
    let end = ["\nin call to function '", "\nin closure call", "\nin module"];
    let end = end.into_iter().filter_map(|end| text.find(end)).min();
    let mut inner = &text[..end.unwrap_or(text.len())];
    if end.is_some()
        && let Some((before, numbers)) = inner.rsplit_once(" (line ")
        && let Some((line, column)) = numbers.trim_end_matches(')').split_once(", position ")
        && let (Ok(line), Ok(column)) = (line.parse::<u16>(), column.parse())
    {
        position = Position::new(line.max(1), column);
        inner = before;
        if let Some((before, file)) = inner.rsplit_once(" @ '") {
            file.trim_end_matches('\'').clone_into(&mut source);
            inner = before;
        }
    }
    let failure = leaf(&reread(inner, position), &source);
    let mut error = ScriptError::new(Kind::Script, failure.message)
        .fact("line", i64::try_from(position.line().unwrap_or(0)).unwrap_or(0))
        .fact("position", i64::try_from(position.position().unwrap_or(0)).unwrap_or(0))
        .fact("source", source.clone());
    error.notes = failure.notes;
    error.hint = failure.hint;
    error.origin =
        Some(Box::new(Origin { place: place(&source, as_written(&source, position)), trail: Vec::new() }));
    error
}

/// Rhai's words as the error that they came from, where we have better ones.
fn reread(text: &str, position: Position) -> EvalAltResult {
    let after = |start: &str| text.strip_prefix(start).map(str::to_owned);
    if text.starts_with("Unknown property '") {
        EvalAltResult::ErrorDotExpr(text.to_owned(), position)
    } else if let Some(call) = after("Function not found: ") {
        EvalAltResult::ErrorFunctionNotFound(call, position)
    } else if let Some(name) = after("Variable not found: ") {
        EvalAltResult::ErrorVariableNotFound(name, position)
    } else if let Some(rest) = after("Array index ") {
        let mut numbers = rest.split(' ').filter_map(|word| word.parse::<i64>().ok());
        let index = numbers.next().unwrap_or(0);
        let len = numbers.next().and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        EvalAltResult::ErrorArrayBounds(len, index, position)
    } else if let Some((given, wanted)) =
        after("Data type incorrect: ").as_deref().and_then(|rest| rest.split_once(" (expecting "))
    {
        let wanted = wanted.trim_end_matches(')').to_owned();
        EvalAltResult::ErrorMismatchDataType(wanted, given.to_owned(), position)
    } else if text.starts_with("For loop expects") {
        EvalAltResult::ErrorFor(position)
    } else {
        EvalAltResult::ErrorArithmetic(text.to_owned(), Position::NONE)
    }
}

/// A trail that fits on a screen: a runaway recursion has a thousand frames.
fn fold(mut frames: Vec<String>) -> Vec<String> {
    const FIRST: usize = 4;
    const LAST: usize = 3;
    if frames.len() > FIRST + LAST + 1 {
        let left_out = frames.len() - FIRST - LAST;
        frames.splice(FIRST..FIRST + left_out, [format!("… {left_out} more calls")]);
    }
    frames
}

/// A parser error in a text that was remembered under a name.
pub fn syntax(kind: &ParseErrorType, source: &str, position: Position) -> Failure {
    let text = text_of(source);
    let advice = hints::explain(kind, &text, position);
    Failure {
        code: exit::USAGE,
        message: advice.message,
        place: place(source, advice.at.unwrap_or(position)),
        notes: advice.note.into_iter().collect(),
        hint: advice.hint,
        ..Failure::default()
    }
}

/// An error object that was never thrown in a script.
pub fn from_error(error: &ScriptError) -> Failure {
    Failure {
        code: error.exit,
        message: error.message.clone(),
        place: error.origin.as_ref().and_then(|origin| origin.place.clone()),
        trail: error.origin.as_ref().map_or_else(Vec::new, |origin| origin.trail.clone()),
        notes: error.notes.clone(),
        tails: error.tails.clone(),
        hint: error.hint.clone(),
    }
}

fn leaf(error: &EvalAltResult, source: &str) -> Failure {
    let plain = |message: String| Failure { code: exit::FAILED, message, ..Failure::default() };
    let of_call =
        |advice: CallAdvice| Failure { notes: advice.notes, hint: advice.hint, ..plain(advice.message) };
    match error {
        EvalAltResult::ErrorRuntime(value, _) => match error::thrown(value) {
            Some(error) => from_error(&error),
            None => plain(thrown(value)),
        },
        EvalAltResult::ErrorParsing(kind, position) => syntax(kind, source, *position),
        EvalAltResult::ErrorFunctionNotFound(call, _) => {
            of_call(method::advice_on(call).unwrap_or_else(|| signature::not_found(call)))
        }
        EvalAltResult::ErrorDotExpr(text, _) => match unknown_property(text) {
            Some(advice) => of_call(advice),
            None => plain(text.replace('\'', "`")),
        },
        EvalAltResult::ErrorVariableNotFound(name, position) => {
            let failure = syntax(&ParseErrorType::VariableUndefined(name.clone()), source, *position);
            Failure { code: exit::FAILED, ..failure }
        }
        EvalAltResult::ErrorStackOverflow(_) => Failure {
            notes: vec!["does a function call itself without end?".to_owned()],
            ..plain(format!("more than {} nested calls", limits::MOST_CALLS))
        },
        EvalAltResult::ErrorDataTooLarge(what, _) => plain(too_large(what)),
        EvalAltResult::ErrorModuleNotFound(message, _) => {
            let (module, tried) = message.split_once('\n').unwrap_or((message, ""));
            Failure {
                code: exit::USAGE,
                notes: tried.lines().map(|path| format!("tried {path}")).collect(),
                hint: import::meant(module).map(|meant| format!("import \"{meant}\"")),
                ..plain(format!("there is no module `{module}`"))
            }
        }
        EvalAltResult::ErrorArrayBounds(len, index, _) => plain(format!(
            "there is no item {index} in an array of {len}{}",
            if *len == 0 { "" } else { " (the first is 0)" }
        )),
        EvalAltResult::ErrorStringBounds(len, index, _) => {
            plain(format!("there is no character {index} in a string of {len}"))
        }
        EvalAltResult::ErrorIndexNotFound(key, _) => plain(format!("there is no `{key}` in it")),
        EvalAltResult::ErrorMismatchDataType(wanted, given, _) => {
            let (wanted, given) = (signature::kind_name(wanted), signature::kind_name(given));
            let hint =
                (wanted == "bool" && given == "()").then(|| "`x != ()` tests for a missing value".to_owned());
            Failure { hint, ..plain(format!("expected {wanted}, got {given}")) }
        }
        EvalAltResult::ErrorMismatchOutputType(wanted, given, _) => {
            plain(format!("expected {}, got {}", signature::kind_name(wanted), signature::kind_name(given)))
        }
        EvalAltResult::ErrorFor(_) => Failure {
            hint: Some("`for key in map.keys()`, `for i in 0..10`, `for (item, i) in array`".to_owned()),
            ..plain("`for` iterates over arrays, ranges and strings only".to_owned())
        },
        EvalAltResult::ErrorNonPureMethodCallOnConstant(name, _) => {
            let name = name.trim_start_matches("set$");
            Failure {
                hint: Some("`let` instead of `const`".to_owned()),
                ..plain(format!("`{name}` would change a constant"))
            }
        }
        EvalAltResult::ErrorAssignmentToConstant(name, position) => {
            let failure = syntax(&ParseErrorType::AssignmentToConstant(name.clone()), source, *position);
            Failure { code: exit::FAILED, ..failure }
        }
        EvalAltResult::ErrorDataRace(..) => Failure {
            hint: Some("`let copy = value;` before the closure, and use the copy in it".to_owned()),
            ..plain("a value is used by two closures at the same time".to_owned())
        },
        other => {
            let text = other.to_string();
            // Rhai appends the position, which has its own line here.
            let text = text.rsplit_once(" (line ").map_or(text.as_str(), |(message, _)| message);
            plain(hints::lower_first(&text.replace('\'', "`")))
        }
    }
}

/// Rhai's words for a property that a type does not have.
fn unknown_property(text: &str) -> Option<CallAdvice> {
    let mut quoted = text.split('\'').skip(1).step_by(2);
    let (property, kind) = (quoted.next()?, quoted.next()?);
    (text.contains("getter") || text.contains("setter") || text.contains("property"))
        .then(|| signature::no_property(property, kind, text.contains("setter")))
}

fn too_large(what: &str) -> String {
    let what = what.to_lowercase();
    if what.contains("string") {
        format!("a string grew beyond {} MiB", limits::LARGEST_STRING >> 20)
    } else if what.contains("map") {
        format!("a map grew beyond {} entries", limits::MOST_ITEMS)
    } else {
        format!("an array grew beyond {} items", limits::MOST_ITEMS)
    }
}

/// What `throw value` threw.
pub fn thrown(value: &Dynamic) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_options_of_the_module_that_was_called() {
        let of =
            |hint: &str, name: &str| of_module(hint.to_owned(), builtin::module(name).expect("is there"));
        let listens = "18202   (`redis` listens on 18202, not on 17355)";
        assert_eq!(of(&format!("ready: {listens}"), "std/redis"), Some(format!("port: {listens}")));
        assert_eq!(of("ready: #{http: \"/\", insecure: true}", "std/etcd"), None);
        assert_eq!(of("ready: \"/x\"", "std/node").as_deref(), Some("ready: \"/x\""));
        assert_eq!(
            of("apt-get install redis-server", "std/redis").as_deref(),
            Some("apt-get install redis-server")
        );
    }
}
