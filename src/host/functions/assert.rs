//! Assertions: `assert`, `assert_eq` and their kin. A failed one is an error of kind `assertion` that shows both
//! values, short: what differs, and where.
//!
//! Equality is that of people: deep, numbers by value (`1` equals `1.0`), jobs and other handles by identity.

use crate::host::run::options::{Telling, Waiting};
use crate::host::run::runtime::rt;
use crate::host::run::{caught, waiting};
use crate::host::value::describe::function;
use crate::host::value::described::Entry;
use crate::host::value::error::{self, Fallible, Kind, ScriptError};
use crate::host::value::handle::Job;
use crate::host::value::response::Response;
use crate::host::value::{self, kinds, path};
use crate::probe::{Attempt, Failed, Wait};
use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Map};
use std::sync::Arc;
use std::time::Duration;

pub fn register(engine: &mut Engine) {
    engine.register_global_module(rhai::exported_module!(functions).into());
}

pub const FUNCTIONS: &[Entry] = &[EVENTUALLY];

function! {
    /// Calls a closure of assertions again and again until it does not throw, and does not return `false`; returns
    /// its value. Errors of the kinds `assertion`, `http`, `command_failed` and `io`, what the script itself throws, and the value
    /// false mean *not yet*; others end it. After 30 s the last of these errors is thrown, with the number of
    /// attempts.
    ///
    /// ```rhai
    /// let n = 0;
    /// eventually(|| { n += 1; assert_eq(n, 3); });
    /// ```
    ///
    /// ```rhai
    /// let web = mock(#{"/": "hello"});
    /// eventually(|| assert_status(http_get(web.url), 200), "5s");
    /// ```
    EVENTUALLY = "eventually" -> Dynamic, throws assertion job_died {
        (closure: FnPtr; Waiting) => eventually;
    }
}

#[export_module]
mod functions {
    /// Fails when `cond` is false. Anything but true or false is an error.
    ///
    /// ```rhai
    /// assert(1 + 1 == 2);
    /// ```
    #[rhai_fn(name = "assert", return_raw)]
    pub fn assert(cond: Dynamic) -> Fallible<()> {
        super::truth(&cond, None)
    }

    /// Fails with `msg` when `cond` is false.
    ///
    /// ```rhai
    /// assert([1, 2].len() == 2, "there are two items");
    /// ```
    #[rhai_fn(name = "assert", return_raw)]
    pub fn assert_because(cond: Dynamic, msg: Dynamic) -> Fallible<()> {
        super::truth(&cond, Some(&msg))
    }

    /// Fails when the two values differ, and says where. Maps and arrays are compared deeply, numbers by value
    /// (`1` equals `1.0`). `e.actual` and `e.expected` hold the values.
    ///
    /// ```rhai
    /// assert_eq(#{name: "a", tags: [1, 2]}, #{name: "a", tags: [1, 2]});
    /// ```
    #[rhai_fn(name = "assert_eq", return_raw)]
    pub fn assert_eq(ctx: NativeCallContext, actual: Dynamic, expected: Dynamic) -> Fallible<()> {
        super::same(&ctx, &actual, &expected, None)
    }

    /// Fails with `msg` and what differs when the two values differ.
    ///
    /// ```rhai
    /// assert_eq("ok".len(), 2, "the length");
    /// ```
    #[rhai_fn(name = "assert_eq", return_raw)]
    pub fn assert_eq_because(
        ctx: NativeCallContext,
        actual: Dynamic,
        expected: Dynamic,
        msg: Dynamic,
    ) -> Fallible<()> {
        super::same(&ctx, &actual, &expected, Some(&msg))
    }

    /// Fails when the two values are equal, in the sense of `assert_eq`.
    ///
    /// ```rhai
    /// assert_ne("a", "b");
    /// ```
    #[rhai_fn(name = "assert_ne", return_raw)]
    pub fn assert_ne(ctx: NativeCallContext, actual: Dynamic, other: Dynamic) -> Fallible<()> {
        super::different(&ctx, &actual, &other, None)
    }

    /// Fails with `msg` when the two values are equal.
    ///
    /// ```rhai
    /// assert_ne(1, 2, "ids are unique");
    /// ```
    #[rhai_fn(name = "assert_ne", return_raw)]
    pub fn assert_ne_because(
        ctx: NativeCallContext,
        actual: Dynamic,
        other: Dynamic,
        msg: Dynamic,
    ) -> Fallible<()> {
        super::different(&ctx, &actual, &other, Some(&msg))
    }

    /// Fails when a string does not contain the text `needle`, an array not the item, or a map not the key.
    ///
    /// ```rhai
    /// assert_contains("hello world", "wor");
    /// assert_contains([1, 2, 3], 2);
    /// assert_contains(#{id: 7}, "id");
    /// ```
    #[rhai_fn(name = "assert_contains", return_raw)]
    pub fn assert_contains(ctx: NativeCallContext, haystack: Dynamic, needle: Dynamic) -> Fallible<()> {
        super::contains(&ctx, &haystack, &needle, None)
    }

    /// Fails with `msg` when a string, array or map does not contain `needle`.
    ///
    /// ```rhai
    /// assert_contains("hello world", "hello", "it greets");
    /// ```
    #[rhai_fn(name = "assert_contains", return_raw)]
    pub fn assert_contains_because(
        ctx: NativeCallContext,
        haystack: Dynamic,
        needle: Dynamic,
        msg: Dynamic,
    ) -> Fallible<()> {
        super::contains(&ctx, &haystack, &needle, Some(&msg))
    }

    /// Fails when the regular expression matches nowhere in the text. `^` and `$` are the ends of the text;
    /// `(?m)` makes them the ends of each line.
    ///
    /// ```rhai
    /// assert_matches("listening on 8080", `on \d+$`);
    /// ```
    #[rhai_fn(name = "assert_matches", return_raw)]
    pub fn assert_matches(text: Dynamic, regex: Dynamic) -> Fallible<()> {
        super::matches(&text, &regex, None)
    }

    /// Fails with `msg` when the regular expression matches nowhere in the text.
    ///
    /// ```rhai
    /// assert_matches("v1.20.3", `^v\d+\.\d+`, "a version");
    /// ```
    #[rhai_fn(name = "assert_matches", return_raw)]
    pub fn assert_matches_because(text: Dynamic, regex: Dynamic, msg: Dynamic) -> Fallible<()> {
        super::matches(&text, &regex, Some(&msg))
    }

    /// Fails when a response has another status than this: 200, any of `[200, 204]`, or `"2xx"`. The message shows
    /// the request, the status and the start of the body.
    ///
    /// ```rhai
    /// let web = mock(#{"/": "hello"});
    /// assert_status(http_get(web.url), 200);
    /// assert_status(http_get(`${web.url}/missing`), [403, 404]);
    /// assert_status(http_get(web.url), "2xx");
    /// ```
    #[rhai_fn(name = "assert_status", return_raw)]
    pub fn assert_status(resp: Dynamic, status: Dynamic) -> Fallible<()> {
        super::status(&resp, &status, None)
    }

    /// Fails with `msg` when a response has another status.
    ///
    /// ```rhai
    /// let web = mock(#{"/": "hello"});
    /// assert_status(http_get(web.url), 200, "the home page");
    /// ```
    #[rhai_fn(name = "assert_status", return_raw)]
    pub fn assert_status_because(resp: Dynamic, status: Dynamic, msg: Dynamic) -> Fallible<()> {
        super::status(&resp, &status, Some(&msg))
    }

    /// Fails when the value at a path differs, in the sense of `assert_eq`. `resp` is a response whose body is
    /// JSON, a JSON text, or a map or array. A path is keys and indexes, `"users[0].name"`; `["a.b"]` is a key
    /// that is not a word, a negative index counts from the end. When the path leads nowhere the message says how
    /// far it got and what is there.
    ///
    /// ```rhai
    /// let web = mock(#{"/": #{json: #{users: [#{name: "Ada", id: 7}]}}});
    /// assert_json(http_get(web.url), "users[0].name", "Ada");
    /// assert_json(`{"a": [1, {"b": 2}]}`, "a[1]", #{b: 2});
    /// assert_json([3, 4], "[-1]", 4);
    /// ```
    #[rhai_fn(name = "assert_json", return_raw)]
    pub fn assert_json(ctx: NativeCallContext, resp: Dynamic, path: &str, value: Dynamic) -> Fallible<()> {
        super::json(&ctx, &resp, path, &value, None)
    }

    /// Fails with `msg` when the value at a path differs.
    ///
    /// ```rhai
    /// assert_json(#{total: 30}, "total", 30, "the sum of the cart");
    /// ```
    #[rhai_fn(name = "assert_json", return_raw)]
    pub fn assert_json_because(
        ctx: NativeCallContext,
        resp: Dynamic,
        path: &str,
        value: Dynamic,
        msg: Dynamic,
    ) -> Fallible<()> {
        super::json(&ctx, &resp, path, &value, Some(&msg))
    }

    /// Calls a closure and fails when it does not throw. Returns the error, with `.kind` and `.message`. `exit`
    /// and an interrupt pass through.
    ///
    /// ```rhai
    /// let e = assert_throws(|| read_file("/no/such/file"));
    /// assert_eq(e.kind, "io");
    /// ```
    #[rhai_fn(name = "assert_throws", return_raw)]
    pub fn assert_throws(ctx: NativeCallContext, closure: FnPtr) -> Fallible<Dynamic> {
        super::throws(&ctx, &closure, None)
    }

    /// Also fails when the error is another one: `expected` is a kind such as `"http"`, or a text that its message
    /// contains.
    ///
    /// ```rhai
    /// assert_throws(|| read_file("/no/such/file"), "io");
    /// assert_throws(|| fail("the cart is empty"), "is empty");
    /// ```
    #[rhai_fn(name = "assert_throws", return_raw)]
    pub fn assert_throws_kind(ctx: NativeCallContext, closure: FnPtr, expected: &str) -> Fallible<Dynamic> {
        super::throws(&ctx, &closure, Some(expected))
    }

    /// Fails with this message.
    ///
    /// ```rhai
    /// let r = attempt(|| fail("no luck"));
    /// assert_eq(r.error.message, "no luck");
    /// ```
    #[rhai_fn(name = "fail", return_raw)]
    pub fn fail(msg: Dynamic) -> Fallible<()> {
        let message = super::words(&msg);
        let message = if message.trim().is_empty() { "failed (no message)".to_owned() } else { message };
        Err(ScriptError::new(Kind::Assertion, message).into())
    }
}

/// The caller's message as text.
fn words(msg: &Dynamic) -> String {
    if msg.is_string() { msg.to_string() } else { shown(msg) }
}

/// The caller's message comes first, then what was seen.
fn failed(msg: Option<&Dynamic>, what: &str) -> ScriptError {
    let message = match (msg.map(words).filter(|msg| !msg.is_empty()), what) {
        (Some(msg), "") => format!("assertion failed: {msg}"),
        (Some(msg), what) => format!("assertion failed: {msg}: {what}"),
        (None, "") => "assertion failed".to_owned(),
        (None, what) => format!("assertion failed: {what}"),
    };
    ScriptError::new(Kind::Assertion, message)
}

fn truth(cond: &Dynamic, msg: Option<&Dynamic>) -> Fallible<()> {
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

fn same(
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

/// Where two values differ. `name`: what the message calls the first.
fn differences(
    ctx: &NativeCallContext,
    name: &str,
    actual: &Dynamic,
    expected: &Dynamic,
    msg: Option<&Dynamic>,
) -> ScriptError {
    let mut found = Differences::default();
    found.compare(ctx, name, actual, expected);
    match found.lines.as_slice() {
        [only] if found.count == 1 => failed(msg, only),
        lines => {
            let what = format!("`{name}` differs from what was expected in {} places", found.count);
            let mut error = lines.iter().fold(failed(msg, &what), |error, line| error.note(line));
            if found.count > lines.len() {
                error = error.note(format!("… and {} more", found.count - lines.len()));
            }
            error
        }
    }
}

fn different(
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

fn contains(
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

fn matches(text: &Dynamic, regex: &Dynamic, msg: Option<&Dynamic>) -> Fallible<()> {
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

fn status(resp: &Dynamic, wanted: &Dynamic, msg: Option<&Dynamic>) -> Fallible<()> {
    let Some(response) = resp.read_lock::<Response>() else {
        let error = ScriptError::usage(format!("assert_status: {} is not a response", value::show(resp)))
            .note("a response is what http_get and its kin return");
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

fn json(
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

fn throws(ctx: &NativeCallContext, closure: &FnPtr, expected: Option<&str>) -> Fallible<Dynamic> {
    rt().checkpoint()?;
    let error = match closure.call_within_context::<Dynamic>(ctx, ()) {
        Ok(value) => {
            let returned =
                if value.is_unit() { String::new() } else { format!(" and returned {}", shown(&value)) };
            let wanted = expected.map_or_else(String::new, |expected| format!(" (expected: {expected})"));
            return Err(failed(None, &format!("the closure did not throw{wanted}{returned}")).into());
        }
        Err(error) if caught::passes_through(&error) => return Err(error),
        Err(error) => error,
    };
    let caught = caught::caught(&error, ctx.call_source().unwrap_or_default());
    let Some(expected) = expected else { return Ok(caught) };
    let (kind, message) = error::kind_and_message(&caught);
    let is_kind = Kind::of(expected).is_some() || expected == Kind::Script.name();
    let fits = if is_kind { kind == expected } else { message.contains(expected) };
    if fits {
        return Ok(caught);
    }
    let what = if is_kind {
        format!("the closure threw an error of kind `{kind}`, expected `{expected}`")
    } else {
        format!("the closure threw an error without {} in its message", excerpt(expected))
    };
    Err(failed(None, &what)
        .fact("expected", expected)
        .fact("actual", caught)
        .note(format!("it threw: {message}"))
        .into())
}

fn eventually(ctx: &NativeCallContext, closure: FnPtr, opts: Waiting) -> Fallible<Dynamic> {
    let rt = rt();
    rt.checkpoint()?;
    let mut wait = Wait::new(&rt.jobs);
    let Telling { interval, message } = opts.telling;
    let message = message.as_deref();
    wait.timeout = Some(opts.timeout);
    wait.interval = interval;
    let (mut attempts, mut last) = (0, None);
    let attempt = || {
        attempts += 1;
        match rt.as_condition(|| closure.call_within_context::<Dynamic>(ctx, ())) {
            Ok(value) if value.as_bool() == Ok(false) => {
                last = None;
                Attempt::NotYet("false".to_owned())
            }
            Ok(value) => Attempt::Ready(value),
            Err(error) => match caught::not_yet(&error) {
                Some(message) => {
                    last = Some(error);
                    Attempt::NotYet(message)
                }
                None => Attempt::Never(error),
            },
        }
    };
    match wait.run(attempt) {
        Ok(value) => Ok(value),
        Err(Failed::Timeout { waited, .. }) => Err(in_the_end(last, attempts, waited, message)),
        Err(other) => {
            Err(waiting::failed("eventually", "its assertions to hold", other, message, &[], |error| error))
        }
    }
}

/// What `eventually` throws when its time is up: the last error, with what was tried.
fn in_the_end(
    last: Option<Box<EvalAltResult>>,
    attempts: usize,
    waited: Duration,
    message: Option<&str>,
) -> Box<EvalAltResult> {
    let waited = value::show_duration(waited);
    let tries = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
    let said = message.map_or_else(String::new, |message| format!("{message}: "));
    let Some(mut last) = last else {
        let what = format!("{said}eventually: the closure still returned false after {waited} ({tries})");
        return ScriptError::new(Kind::Assertion, what).into();
    };
    caught::change(&mut last, |error| {
        error.message = format!("{said}{}", error.message);
        error.notes.push(format!("eventually: {tries} in {waited}; this is the last one"));
    });
    last
}

/// A string, or a character, which scripts seldom mean to tell from a string.
fn text_of(value: &Dynamic) -> Option<ImmutableString> {
    match value.read_lock::<ImmutableString>() {
        Some(text) => Some(text.clone()),
        None => value.as_char().ok().map(|c| c.to_string().into()),
    }
}

fn number(value: &Dynamic) -> Option<f64> {
    value.as_float().ok().or_else(|| value.as_int().ok().map(|whole| whole as f64))
}

/// Deep equality as described at the top of this file.
fn equal(ctx: &NativeCallContext, a: &Dynamic, b: &Dynamic) -> bool {
    if let (Ok(a), Ok(b)) = (a.as_int(), b.as_int()) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (text_of(a), text_of(b)) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (a.read_lock::<Array>(), b.read_lock::<Array>()) {
        return a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(ctx, a, b));
    }
    if let (Some(a), Some(b)) = (a.read_lock::<Map>(), b.read_lock::<Map>()) {
        return a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(ctx, a, b)));
    }
    if let (Some(a), Some(b)) = (a.read_lock::<Job>(), b.read_lock::<Job>()) {
        return Arc::ptr_eq(&a.0, &b.0);
    }
    if let (Some(a), Some(b)) = (a.read_lock::<FnPtr>(), b.read_lock::<FnPtr>()) {
        let (ours, theirs) = (a.curry(), b.curry());
        return a.fn_name() == b.fn_name()
            && ours.len() == theirs.len()
            && ours.iter().zip(theirs).all(|(a, b)| equal(ctx, a, b));
    }
    if a.is_unit() || b.is_unit() || a.type_id() != b.type_id() {
        return a.is_unit() && b.is_unit();
    }
    // What is left has whatever `==` its namespace registered.
    ctx.call_native_fn::<bool>("==", (a.flatten_clone(), b.flatten_clone())).unwrap_or(false)
}

/// Where two values differ, one line a place, the first few of them.
#[derive(Default)]
struct Differences {
    lines: Vec<String>,
    count: usize,
}

impl Differences {
    const MOST: usize = 8;

    fn add(&mut self, line: impl FnOnce() -> String) {
        self.count += 1;
        if self.lines.len() < Self::MOST {
            self.lines.push(line());
        }
    }

    fn compare(&mut self, ctx: &NativeCallContext, path: &str, actual: &Dynamic, expected: &Dynamic) {
        if equal(ctx, actual, expected) {
            return;
        }
        if let (Some(a), Some(e)) = (actual.read_lock::<Array>(), expected.read_lock::<Array>()) {
            if a.len() != e.len() && a.len().max(e.len()) <= 10 {
                return self.add(|| format!("`{path}` is {}, expected {}", shown(actual), shown(expected)));
            }
            if a.len() != e.len() {
                self.add(|| format!("`{path}` has {} items, expected {}", a.len(), e.len()));
            }
            for (index, (a, e)) in a.iter().zip(e.iter()).enumerate() {
                self.compare(ctx, &format!("{path}[{index}]"), a, e);
            }
            return;
        }
        if let (Some(a), Some(e)) = (actual.read_lock::<Map>(), expected.read_lock::<Map>()) {
            for (key, value) in a.iter() {
                let path = member(path, key);
                match e.get(key) {
                    Some(expected) => self.compare(ctx, &path, value, expected),
                    None => self.add(|| format!("`{path}` is {}, expected no such key", shown(value))),
                }
            }
            for (key, value) in e.iter().filter(|(key, _)| !a.contains_key(*key)) {
                self.add(|| format!("`{}` is missing, expected {}", member(path, key), shown(value)));
            }
            return;
        }
        self.add(|| leaf(path, actual, expected));
    }
}

fn member(root: &str, key: &str) -> String {
    if path::is_word(key) { format!("{root}.{key}") } else { format!("{root}[{key:?}]") }
}

/// Two values that cannot be taken apart any further.
fn leaf(path: &str, actual: &Dynamic, expected: &Dynamic) -> String {
    if let (Some(a), Some(e)) = (text_of(actual), text_of(expected))
        && a.chars().count().max(e.chars().count()) > SHOWN
    {
        let same = a.chars().zip(e.chars()).take_while(|(a, e)| a == e).count();
        return format!(
            "`{path}` ({} characters) differs from what was expected ({}) at character {}: {}, expected {}",
            a.chars().count(),
            e.chars().count(),
            same + 1,
            window(&a, same),
            window(&e, same)
        );
    }
    let (a, e) = (shown(actual), shown(expected));
    // `"3"` and `3` look alike, and so do two handles.
    if actual.type_id() != expected.type_id() && !actual.is_unit() && !expected.is_unit() {
        let (a_type, e_type) = (value::type_name(actual), value::type_name(expected));
        return format!("`{path}` is {a} ({a_type}), expected {e} ({e_type})");
    }
    if a == e {
        return format!("`{path}` is {a}, expected another {e}");
    }
    format!("`{path}` is {a}, expected {e}")
}

/// The neighbourhood of one character of a long text.
fn window(text: &str, at: usize) -> String {
    let start = at.saturating_sub(20);
    let part: String = text.chars().skip(start).take(60).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if text.chars().count() > start + 60 { "…" } else { "" };
    format!("{before}{part:?}{after}")
}

/// The lines that differ, as `-` expected and `+` actual, and the number of the first. Equal lines at both ends
/// are left out.
fn line_diff(actual: &str, expected: &str) -> (usize, Vec<String>) {
    const MOST: usize = 8;
    let lines = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let (a, e) = (lines(actual), lines(expected));
    let start = a.iter().zip(&e).take_while(|(a, e)| a == e).count();
    let end = a[start..].iter().rev().zip(e[start..].iter().rev()).take_while(|(a, e)| a == e).count();
    let (a, e) = (&a[start..a.len() - end], &e[start..e.len() - end]);
    let mut diff = Vec::new();
    for (sign, lines) in [('-', e), ('+', a)] {
        diff.extend(lines.iter().take(MOST).map(|line| format!("{sign} {}", cut(line, 2 * SHOWN))));
        if lines.len() > MOST {
            diff.push(format!("{sign} … {} more lines", lines.len() - MOST));
        }
    }
    (start + 1, diff)
}

/// How many characters of a value a message shows.
const SHOWN: usize = 120;

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most).chain(['…']).collect()
}

/// A text in quotes, cut short.
fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(SHOWN).collect();
    if start.len() == text.len() {
        return format!("{text:?}");
    }
    format!("{start:?}… ({} characters)", text.chars().count())
}

/// A value as a script would write it, cut short.
fn shown(value: &Dynamic) -> String {
    let mut text = String::new();
    write(&mut text, value);
    cut(&text, SHOWN)
}

/// Stops writing when there is more than will be shown.
fn write(text: &mut String, value: &Dynamic) {
    if text.len() > 4 * SHOWN {
        return;
    }
    if let Some(string) = text_of(value) {
        text.push_str(&excerpt(&string));
    } else if let Some(items) = value.read_lock::<Array>() {
        text.push('[');
        for (index, item) in items.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            write(text, item);
            if text.len() > 4 * SHOWN {
                return;
            }
        }
        text.push(']');
    } else if let Some(map) = value.read_lock::<Map>() {
        text.push_str("#{");
        for (index, (key, item)) in map.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            text.push_str(member("", key).trim_start_matches('.'));
            text.push_str(": ");
            write(text, item);
            if text.len() > 4 * SHOWN {
                return;
            }
        }
        text.push('}');
    } else if let Some(job) = value.read_lock::<Job>() {
        text.push_str(&format!("job `{}`", job.0.spec.name));
    } else if value.is::<FnPtr>() {
        text.push_str("a closure");
    } else if value.is_unit() {
        text.push_str("()");
    } else {
        let debug = format!("{value:?}");
        // Handles of other namespaces have no text of their own here: Rust's would be noise.
        text.push_str(if debug.contains("::") { value::type_name(value) } else { &debug });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_differ_are_shown_without_their_equal_neighbours() {
        let (line, diff) = line_diff("a\nb\nX\nd", "a\nb\nc\nd");
        assert_eq!((line, diff), (3, vec!["- c".to_owned(), "+ X".to_owned()]));
        let (line, diff) = line_diff("a\nb", "a\nb\nc");
        assert_eq!((line, diff), (3, vec!["- c".to_owned()]));
    }

    #[test]
    fn values_are_shown_as_a_script_writes_them() {
        let map = Map::from([("a b".into(), Dynamic::UNIT), ("c".into(), "x\"y".into())]);
        assert_eq!(shown(&map.into()), r#"#{["a b"]: (), c: "x\"y"}"#);
        assert_eq!(shown(&Dynamic::from(1.0)), "1.0");
        let long = shown(&Dynamic::from_array(vec![Dynamic::from("x".repeat(1000)); 1000]));
        assert!(long.chars().count() <= SHOWN + 1, "{long}");
    }
}
