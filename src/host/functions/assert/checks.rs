//! What must be true of values, and what is said when it is not.

use crate::host::functions::assert::differences::{differences, line_diff};
use crate::host::functions::assert::equal::{equal, text_of};
use crate::host::functions::assert::failure::failed;
use crate::host::functions::assert::show::{SHOWN, cut, excerpt, shown};
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::response::Response;
use crate::host::value::{self, kinds, path};
use rhai::{Array, Dynamic, EvalAltResult, Map, NativeCallContext};

pub(super) fn is_true(cond: &Dynamic, msg: Option<&Dynamic>) -> Fallible<()> {
    match cond.as_bool() {
        Ok(true) => Ok(()),
        Ok(false) => Err(failed(msg, "").fact("actual", false).fact("expected", true).into()),
        Err(_) => {
            let error =
                ScriptError::usage(format!("`assert` takes true or false, got {}", value::show(cond)));
            let error = if cond.is_unit() {
                error.note("compare it: assert(x != ())")
            } else {
                error.note("compare it: assert(x > 0), assert(x != \"\"), assert_eq(x, …)")
            };
            Err(error.into())
        }
    }
}

pub(super) fn equals(
    ctx: &NativeCallContext,
    actual: &Dynamic,
    expected: &Dynamic,
    msg: Option<&Dynamic>,
) -> Fallible<()> {
    if equal(ctx, actual, expected) {
        return Ok(());
    }
    let with_facts = |error: ScriptError| -> Box<EvalAltResult> {
        error.fact("actual", actual.clone()).fact("expected", expected.clone()).into()
    };
    if let (Some(actual), Some(expected)) = (text_of(actual), text_of(expected))
        && (actual.contains('\n') || expected.contains('\n'))
    {
        let (line, diff) = line_diff(&actual, &expected);
        let error = failed(msg, &format!("`actual` differs from what was expected from line {line} on"));
        return Err(with_facts(error.note(format!("- expected, + actual:\n{}", diff.join("\n")))));
    }
    Err(with_facts(differences(ctx, "actual", actual, expected, msg)))
}

pub(super) fn differs(
    ctx: &NativeCallContext,
    actual: &Dynamic,
    other: &Dynamic,
    msg: Option<&Dynamic>,
) -> Fallible<()> {
    if !equal(ctx, actual, other) {
        return Ok(());
    }
    let error = failed(msg, &format!("both are {}", shown(actual)));
    Err(error.fact("actual", actual.clone()).fact("expected", other.clone()).into())
}

pub(super) fn contains(
    ctx: &NativeCallContext,
    haystack: &Dynamic,
    needle: &Dynamic,
    msg: Option<&Dynamic>,
) -> Fallible<()> {
    let (found, what) = if let Some(text) = text_of(haystack) {
        let Some(part) = text_of(needle) else {
            return Err(ScriptError::usage(format!(
                "assert_contains: a string can only contain a string, got {}",
                value::show(needle)
            ))
            .into());
        };
        let mut what = format!("{} does not contain {}", excerpt(&text), excerpt(&part));
        if text.to_lowercase().contains(&part.to_lowercase()) {
            what.push_str(" (only with other upper and lower case)");
        }
        (text.contains(&*part), what)
    } else if let Some(items) = haystack.read_lock::<Array>() {
        let found = items.iter().any(|item| equal(ctx, item, needle));
        (found, format!("{} has no item {}", shown(haystack), shown(needle)))
    } else if let Some(map) = haystack.read_lock::<Map>() {
        let Some(key) = text_of(needle) else {
            return Err(ScriptError::usage(format!(
                "assert_contains: a map has strings as keys, got {}",
                value::show(needle)
            ))
            .into());
        };
        let keys: Vec<&str> = map.keys().map(|key| key.as_str()).collect();
        let has = if keys.is_empty() {
            "is empty".to_owned()
        } else {
            format!("has: {}", cut(&keys.join(", "), SHOWN))
        };
        (map.contains_key(&*key), format!("the map has no key {}; it {has}", excerpt(&key)))
    } else {
        return Err(ScriptError::usage(format!(
            "`assert_contains` searches a string, an array or a map, got {}",
            value::show(haystack)
        ))
        .into());
    };
    if found {
        return Ok(());
    }
    Err(failed(msg, &what).fact("actual", haystack.clone()).fact("expected", needle.clone()).into())
}

pub(super) fn matches(text: &Dynamic, regex: &Dynamic, msg: Option<&Dynamic>) -> Fallible<()> {
    let wrong = |what: &str, value: &Dynamic| {
        ScriptError::usage(format!("assert_matches: the {what} must be a string, got {}", value::show(value)))
    };
    let subject = text_of(text).ok_or_else(|| wrong("text", text))?;
    let pattern = text_of(regex).ok_or_else(|| wrong("regular expression", regex))?;
    let compiled = regex::Regex::new(&pattern).map_err(|e| {
        // The last line of the message says what is wrong; those before repeat the pattern.
        let reason = e.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        ScriptError::usage(format!("assert_matches: {pattern:?} is not a regular expression: {reason}"))
    })?;
    if compiled.is_match(&subject) {
        return Ok(());
    }
    let what = format!("{} does not match `{}`", excerpt(&subject), cut(&pattern, SHOWN));
    Err(failed(msg, &what).fact("actual", text.clone()).fact("expected", regex.clone()).into())
}

pub(super) fn status(resp: &Dynamic, wanted: &Dynamic, msg: Option<&Dynamic>) -> Fallible<()> {
    let Some(response) = resp.read_lock::<Response>() else {
        let error = ScriptError::usage(format!("assert_status: {} is not a response", value::show(resp)))
            .note("a response is what http_get and the like return");
        return Err(error.into());
    };
    let want = kinds::statuses("assert_status", wanted)?;
    let (request, status, body) = response.facts();
    if want.accepts(status) {
        return Ok(());
    }
    let expected = match wanted.read_lock::<Array>() {
        Some(list) => list.iter().map(Dynamic::to_string).collect::<Vec<_>>().join(" or "),
        None => wanted.to_string(),
    };
    let error = failed(msg, &format!("{request}: status {status}, expected {expected}"))
        .fact("status", i64::from(status))
        .fact("body", body.clone())
        .fact("actual", i64::from(status))
        .fact("expected", wanted.clone());
    let body = if body.trim().is_empty() { "the body is empty".to_owned() } else { format!("body: {body}") };
    Err(error.note(body).into())
}

pub(super) fn json(
    ctx: &NativeCallContext,
    document: &Dynamic,
    at: &str,
    expected: &Dynamic,
    msg: Option<&Dynamic>,
) -> Fallible<()> {
    let (root, of) = if let Some(response) = document.read_lock::<Response>() {
        let (request, status, _) = response.facts();
        (response.read_json()?, Some(format!("in the answer to {request} (status {status})")))
    } else if let Some(text) = text_of(document) {
        match serde_json::from_str(&text) {
            Ok(value) => (crate::host::value::json::from_json(&value), None),
            Err(e) => {
                let error = failed(msg, &format!("{} is not JSON", excerpt(&text)));
                return Err(error.note(format!("not JSON because: {e}")).into());
            }
        }
    } else if document.is_map() || document.is_array() {
        (document.flatten_clone(), None)
    } else {
        let shown = value::show(document);
        let error =
            ScriptError::usage(format!("assert_json: {shown} is not a response, JSON text, map or array"));
        return Err(error.into());
    };
    let steps = path::parse(at).map_err(|why| {
        ScriptError::usage(format!("assert_json: {at:?} is not a path: {why}")).note(path::FORM)
    })?;
    let actual = match path::follow(&root, &steps) {
        Ok(actual) => actual,
        Err(lost) => {
            let there = match lost.at.read_lock::<Map>() {
                Some(map) if map.is_empty() => "is an empty map".to_owned(),
                Some(map) => {
                    let keys: Vec<&str> = map.keys().map(|key| key.as_str()).collect();
                    format!("has the keys {}", cut(&keys.join(", "), SHOWN))
                }
                None => match lost.at.read_lock::<Array>() {
                    Some(items) if items.is_empty() => "is an empty array".to_owned(),
                    Some(items) if items.len() == 1 => "is an array of 1 item".to_owned(),
                    Some(items) => format!("is an array of {} items", items.len()),
                    None => format!("is {}", shown(&lost.at)),
                },
            };
            let end = if lost.so_far.is_empty() { "it".to_owned() } else { format!("`{}`", lost.so_far) };
            let error = failed(msg, &format!("there is no `{}`: {end} {there}", lost.wanted));
            let error = of.into_iter().fold(error, ScriptError::note);
            return Err(error.fact("path", at).fact("actual", ()).fact("expected", expected.clone()).into());
        }
    };
    if equal(ctx, &actual, expected) {
        return Ok(());
    }
    let name = if at.trim().is_empty() { "actual" } else { at };
    let error = of.into_iter().fold(differences(ctx, name, &actual, expected, msg), ScriptError::note);
    Err(error.fact("path", at).fact("actual", actual).fact("expected", expected.clone()).into())
}
