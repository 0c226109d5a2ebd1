//! Text and lists: what rhai lacks, and what it does in place without giving a result.

use crate::host::source::named::Named;
use crate::host::value;
use crate::host::value::describe::function;
use crate::host::value::described::{self, Entry, InPlace};
use crate::host::value::error::{Fallible, ScriptError};
use rhai::{Array, Dynamic, Engine, FnPtr, ImmutableString, Map, Module, NativeCallContext};
use std::cmp::Ordering;

/// Of what changes its first argument that of these names.
pub fn register_in_place(engine: &mut Engine, named: &Named) {
    let mut module = Module::new();
    for (entry, form, call) in IN_PLACE.iter().filter(|(entry, ..)| named.has(entry.about.name)) {
        described::in_place(&mut module, entry, &described::types(&entry.about.forms[*form]), *call);
    }
    engine.register_global_module(module.into());
}

pub fn register(engine: &mut Engine) {
    // Operators cannot be documented functions, and these only exist to fail.
    engine
        .register_fn("+", |text: &str, (): ()| -> Fallible<String> { Err(no_value(text, true).into()) })
        .register_fn("+", |(): (), text: &str| -> Fallible<String> { Err(no_value(text, false).into()) })
        .register_fn("to_string", |(): ()| "()")
        // As Rhai has it. To find its own it goes through all that it brings when a script first prints: up to 0.1 ms,
        // often just when a wait is over.
        .register_fn("print", |text: ImmutableString| text)
        .register_fn("+=", |text: &mut ImmutableString, (): ()| -> Fallible<()> {
            Err(no_value(text, true).into())
        });
}

function! {
    /// Removes white space at both ends, in place, and returns the result.
    ///
    /// ```rhai
    /// assert_eq("  a b ".trim(), "a b");
    /// ```
    TRIM = "trim" -> String {
        (text: String);
    }
}

function! {
    /// Makes all letters upper case, in place, and returns the result.
    ///
    /// ```rhai
    /// assert_eq("abc".make_upper(), "ABC");
    /// ```
    MAKE_UPPER = "make_upper" -> String {
        (text: String);
    }
}

function! {
    /// Makes all letters lower case, in place, and returns the result.
    ///
    /// ```rhai
    /// assert_eq("ABC".make_lower(), "abc");
    /// ```
    MAKE_LOWER = "make_lower" -> String {
        (text: String);
    }
}

function! {
    /// Replaces every occurrence of a text, in place, and returns the result. `replace_re` takes a regex.
    ///
    /// ```rhai
    /// assert_eq("a-b-c".replace("-", "+"), "a+b+c");
    /// ```
    REPLACE = "replace" -> String {
        (text: String, find: String, with: String);
    }
}

function! {
    /// Sorts an array in place and returns it. Numbers sort by value, texts by their characters; a mix sorts numbers first,
    /// then by type.
    ///
    /// ```rhai
    /// assert_eq([3, 1, 2].sort(), [1, 2, 3]);
    /// ```
    SORT = "sort" -> Array {
        (array: Array);
        /// Sorts an array in place by a closure that returns a negative number, 0 or a positive one, or whether its first value
        /// comes before the second; returns the array. What the closure throws is thrown; answers that contradict each other are
        /// a `usage` error.
        ///
        /// ```rhai
        /// assert_eq([1, 3, 2].sort(|a, b| b - a), [3, 2, 1]);
        /// ```
        (array: Array, compare: FnPtr);
    }
}

function! {
    /// As `sort()`, the greatest first.
    ///
    /// ```rhai
    /// assert_eq([3, 1, 2].sort_desc(), [3, 2, 1]);
    /// ```
    SORT_DESC = "sort_desc" -> Array {
        (array: Array);
    }
}

function! {
    /// Sorts an array in place by a closure that returns a negative number, 0 or a positive one, or whether its first value
    /// comes before the second; returns the array. What the closure throws is thrown; answers that contradict each other are
    /// a `usage` error.
    ///
    /// ```rhai
    /// assert_eq([1, 3, 2].sort(|a, b| b - a), [3, 2, 1]);
    /// ```
    SORT_BY = "sort_by" -> Array {
        (array: Array, compare: FnPtr);
    }
}

function! {
    /// As `sort()`, of a copy: the array itself stays as it is.
    ///
    /// ```rhai
    /// let list = [3, 1, 2]; assert_eq(list.order(), [1, 2, 3]); assert_eq(list[0], 3);
    /// ```
    ORDER = "order" -> Array {
        (array: Array);
        /// As `sort(compare)`, of a copy: the array itself stays as it is.
        ///
        /// ```rhai
        /// assert_eq([1, 3, 2].order(|a, b| b - a), [3, 2, 1]);
        /// ```
        (array: Array, compare: FnPtr);
    }
}

function! {
    /// As `order()`, the greatest first.
    ///
    /// ```rhai
    /// assert_eq([3, 1, 2].order_desc(), [3, 2, 1]);
    /// ```
    ORDER_DESC = "order_desc" -> Array {
        (array: Array);
    }
}

function! {
    /// As `sort(compare)`, of a copy: the array itself stays as it is.
    ///
    /// ```rhai
    /// assert_eq([1, 3, 2].order(|a, b| b - a), [3, 2, 1]);
    /// ```
    ORDER_BY = "order_by" -> Array {
        (array: Array, compare: FnPtr);
    }
}

function! {
    /// Turns an array round, in place, and returns it.
    ///
    /// ```rhai
    /// assert_eq([1, 2, 3].reverse(), [3, 2, 1]);
    /// ```
    REVERSE = "reverse" -> Array {
        (array: Array);
    }
}

function! {
    /// Calls a closure with every item of an array; with two parameters it also gets the index.
    ///
    /// ```rhai
    /// let sum = 0;
    /// [1, 2, 3].for_each(|item| sum += item);
    /// assert_eq(sum, 6);
    /// ```
    FOR_EACH = "for_each" -> () {
        (array: Array, closure: FnPtr);
    }
}

/// What rhai's own functions of these names change in place and return nothing for: here they also return it. And what
/// rhai has itself for just these types. Which form it is, and what it does.
const IN_PLACE: &[(&Entry, usize, InPlace)] = &[
    (&TRIM, 0, |_, value, _| of_text(value, |text| text.trim().into())),
    (&MAKE_UPPER, 0, |_, value, _| of_text(value, str::to_uppercase)),
    (&MAKE_LOWER, 0, |_, value, _| of_text(value, str::to_lowercase)),
    (&REPLACE, 0, |_, value, args| {
        of_text(value, |text| text.replace(&args[0].to_string(), &args[1].to_string()))
    }),
    (&SORT, 0, |_, value, _| of_array(value, by(order))),
    (&SORT, 1, sort_in_place),
    (&SORT_DESC, 0, |_, value, _| of_array(value, by(|a, b| order(b, a)))),
    (&SORT_BY, 0, sort_in_place),
    (&ORDER, 0, |_, value, _| copy_of_array(value, by(order))),
    (&ORDER, 1, sort_copy),
    (&ORDER_DESC, 0, |_, value, _| copy_of_array(value, by(|a, b| order(b, a)))),
    (&ORDER_BY, 0, sort_copy),
    (&REVERSE, 0, |_, value, _| {
        of_array(value, |array| {
            array.reverse();
            Ok(())
        })
    }),
    (&FOR_EACH, 0, for_each),
    (&TO_JSON, 1, |_, value, _| json(value).map(Into::into)),
];

fn sort_in_place(context: &NativeCallContext, value: &mut Dynamic, args: &[Dynamic]) -> Fallible<Dynamic> {
    let closure: FnPtr = args[0].clone().cast();
    of_array(value, |array| sort_by(context, array, &closure))
}

fn sort_copy(context: &NativeCallContext, value: &mut Dynamic, args: &[Dynamic]) -> Fallible<Dynamic> {
    let closure: FnPtr = args[0].clone().cast();
    copy_of_array(value, |array| sort_by(context, array, &closure))
}

fn for_each(context: &NativeCallContext, value: &mut Dynamic, args: &[Dynamic]) -> Fallible<Dynamic> {
    let closure: FnPtr = args[0].clone().cast();
    let Some(mut array) = value.write_lock::<Array>() else { return Ok(Dynamic::UNIT) };
    // Rhai's own passes the index alone, which nobody expects of a closure with one parameter.
    for (index, item) in array.iter_mut().enumerate() {
        let index = [Dynamic::from(i64::try_from(index).unwrap_or(i64::MAX))];
        let _ = closure.call_raw_with_extra_args("for_each", context, Some(item), [], index, Some(0))?;
    }
    Ok(Dynamic::UNIT)
}

fn of_text(value: &mut Dynamic, change: impl Fn(&str) -> String) -> Fallible<Dynamic> {
    let Some(mut text) = value.write_lock::<ImmutableString>() else { return Ok(Dynamic::UNIT) };
    *text = change(&text).into();
    Ok(text.clone().into())
}

fn of_array(value: &mut Dynamic, change: impl FnOnce(&mut Array) -> Fallible<()>) -> Fallible<Dynamic> {
    // The lock is not held while a closure runs: it may look at the same array.
    let Some(mut array) = value.read_lock::<Array>().map(|array| array.clone()) else {
        return Ok(Dynamic::UNIT);
    };
    change(&mut array)?;
    if let Some(mut place) = value.write_lock::<Array>() {
        place.clone_from(&array);
    }
    Ok(array.into())
}

fn copy_of_array(value: &Dynamic, change: impl FnOnce(&mut Array) -> Fallible<()>) -> Fallible<Dynamic> {
    of_array(&mut value.flatten_clone(), change)
}

/// What sorts in this order.
fn by(order: fn(&Dynamic, &Dynamic) -> Ordering) -> impl FnOnce(&mut Array) -> Fallible<()> {
    move |array| {
        array.sort_by(order);
        Ok(())
    }
}

/// The first error of the closure ends it; the array then stays as it was.
///
/// By merging, as the sort of the standard library does, which may panic when the closure contradicts itself. Here
/// that gives some order, and then an error: no item may come before the one that it has been sorted behind.
fn sort_by(context: &NativeCallContext, array: &mut Array, closure: &FnPtr) -> Fallible<()> {
    let greater =
        |a: &Dynamic, b: &Dynamic| compare(context, closure, a, b).map(|order| order == Ordering::Greater);
    let mut items = array.clone();
    let mut width = 1;
    while width < items.len() {
        let mut merged = Array::with_capacity(items.len());
        let mut rest = items.into_iter();
        while rest.len() > 0 {
            let mut half = || rest.by_ref().take(width).collect::<Array>().into_iter().peekable();
            let (mut left, mut right) = (half(), half());
            while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
                let next = if greater(a, b)? { right.next() } else { left.next() };
                merged.extend(next);
            }
            merged.extend(left.chain(right));
        }
        items = merged;
        width *= 2;
    }
    for pair in items.windows(2) {
        // One that takes equal values for greater says so of both orders, and means no harm.
        if greater(&pair[0], &pair[1])? && !greater(&pair[1], &pair[0])? {
            let (a, b) = (value::show(&pair[0]), value::show(&pair[1]));
            let wrong =
                format!("sort: the closure's answers contradict each other, for {a} and {b} among others");
            return Err(ScriptError::usage(wrong)
                .note(
                    "when a comes before b and b before c, then a must come before c, every time it is asked",
                )
                .into());
        }
    }
    *array = items;
    Ok(())
}

/// `()` joined to a string.
fn no_value(text: &str, before: bool) -> ScriptError {
    let joined = if before { format!("{text:?} + ()") } else { format!("() + {text:?}") };
    ScriptError::usage(format!("{joined}: what is joined to the string has no value"))
        .hint("`x ?? \"default\"` in its place; `` `…${x}` `` in backticks shows `()`")
}

pub const FUNCTIONS: &[Entry] = &[
    TRIM, MAKE_UPPER, MAKE_LOWER, REPLACE, SORT, SORT_DESC, SORT_BY, ORDER, ORDER_DESC, ORDER_BY, REVERSE,
    FOR_EACH, LINES, MATCHES, CAPTURES, FIND_ALL, REPLACE_RE, JOIN, TO_JSON, PRINT,
];

function! {
    /// The lines of a text, without line ends.
    ///
    /// ```rhai
    /// assert_eq("a\nb\n".lines(), ["a", "b"]);
    /// ```
    LINES = "lines" -> Array {
        (text: String) => |_| Ok(text.lines().map(|line| Dynamic::from(ImmutableString::from(line))).collect());
    }
}

function! {
    /// Whether a regex matches somewhere in a text. Throws `usage` when the regex is none.
    ///
    /// ```rhai
    /// assert("listening on 8080".matches(`\d+$`));
    /// ```
    MATCHES = "matches" -> bool {
        (text: String, regex: String) => |_| Ok(self::regex(&regex)?.is_match(&text));
    }
}

function! {
    /// The first match of a regex: an array of the whole match and its groups (`()` for a group that took no
    /// part), or `()` when nothing matches. Throws `usage` when the regex is none.
    ///
    /// ```rhai
    /// let found = "listening on port 8080".captures(`port (\d+)`);
    /// assert_eq(found[1], "8080");
    /// assert_eq("none".captures(`\d`), ());
    /// ```
    CAPTURES = "captures" -> Dynamic {
        (text: String, regex: String) => captures;
    }
}

function! {
    /// All matches of a regex, as an array of strings. Throws `usage` when the regex is none.
    ///
    /// ```rhai
    /// assert_eq("a1 b22".find_all(`\d+`), ["1", "22"]);
    /// ```
    FIND_ALL = "find_all" -> Array {
        (text: String, regex: String) => find_all;
    }
}

function! {
    /// A copy of a text with all matches of a regex replaced; `$1` or `${name}` in the replacement is a group.
    /// Throws `usage` when the regex is none.
    ///
    /// ```rhai
    /// assert_eq("a1 b22".replace_re(`\d+`, "<$0>"), "a<1> b<22>");
    /// ```
    REPLACE_RE = "replace_re" -> String {
        (text: String, regex: String, with: String)
            => |_| Ok(self::regex(&regex)?.replace_all(&text, &with).into_owned());
    }
}

function! {
    /// The items of an array as one text, with a separator between them.
    ///
    /// ```rhai
    /// assert_eq([1, "b", true].join(", "), "1, b, true");
    /// ```
    JOIN = "join" -> String {
        (array: Array, separator: String) => |ctx| Ok(joined(ctx, &array, &separator));
        /// The items of an array as one text.
        ///
        /// ```rhai
        /// assert_eq(["a", "b"].join(), "ab");
        /// ```
        (array: Array) => |ctx| Ok(joined(ctx, &array, ""));
    }
}

function! {
    /// Any value as JSON: maps, arrays, texts, numbers, booleans; `()` is `null`. Throws `usage` for what has
    /// no place in JSON, such as a job or a closure.
    ///
    /// ```rhai
    /// assert_eq(to_json([1, "a", ()]), `[1,"a",null]`);
    /// ```
    TO_JSON = "to_json" -> String {
        (value: Dynamic) => |_| json(&value);
        /// A map as JSON.
        (map: Map);
    }
}

function! {
    /// Prints several values, with a space between them.
    ///
    /// ```rhai
    /// print("port", 8080);
    /// ```
    PRINT = "print" -> String {
        (a: Dynamic, b: Dynamic) => |ctx| Ok(joined(ctx, &[a, b], " "));
        /// Prints several values, with a space between them.
        (a: Dynamic, b: Dynamic, c: Dynamic) => |ctx| Ok(joined(ctx, &[a, b, c], " "));
        /// Prints several values, with a space between them.
        (a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic) => |ctx| Ok(joined(ctx, &[a, b, c, d], " "));
        /// Prints several values, with a space between them.
        (a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic, e: Dynamic)
            => |ctx| Ok(joined(ctx, &[a, b, c, d, e], " "));
    }
}

fn captures(_: &NativeCallContext, text: String, regex: String) -> Fallible<Dynamic> {
    let regex = self::regex(&regex)?;
    let Some(found) = regex.captures(&text) else { return Ok(Dynamic::UNIT) };
    let groups: Array = found
        .iter()
        .map(|group| {
            group.map_or(Dynamic::UNIT, |group| Dynamic::from(ImmutableString::from(group.as_str())))
        })
        .collect();
    Ok(groups.into())
}

fn find_all(_: &NativeCallContext, text: String, regex: String) -> Fallible<Array> {
    let regex = self::regex(&regex)?;
    Ok(regex.find_iter(&text).map(|found| Dynamic::from(ImmutableString::from(found.as_str()))).collect())
}

/// A pattern that a script wrote.
pub fn regex(pattern: &str) -> Fallible<regex::Regex> {
    regex::Regex::new(pattern).map_err(|error| {
        // The message repeats the pattern over several lines; its last line says what is wrong.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        ScriptError::usage(format!("`{pattern}` is not a regex: {reason}")).into()
    })
}

/// An order for any two values: numbers, then texts, then the rest by how they print.
fn order(a: &Dynamic, b: &Dynamic) -> Ordering {
    // Large integers are no different numbers as floats, but still are as what they are.
    let number = |value: &Dynamic| match value.as_int() {
        Ok(whole) => Ok((whole as f64, whole)),
        Err(_) => value.as_float().map(|number| (number, number as i64)),
    };
    match (number(a), number(b)) {
        (Ok(a), Ok(b)) => a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        _ => (a.type_name(), a.to_string()).cmp(&(b.type_name(), b.to_string())),
    }
}

/// What a comparing closure says.
fn compare(context: &NativeCallContext, closure: &FnPtr, a: &Dynamic, b: &Dynamic) -> Fallible<Ordering> {
    let said: Dynamic = closure.call_within_context(context, (a.clone(), b.clone()))?;
    if let Ok(number) = said.as_int() {
        return Ok(number.cmp(&0));
    }
    if let Ok(number) = said.as_float() {
        return Ok(number.partial_cmp(&0.0).unwrap_or(Ordering::Equal));
    }
    match said.as_bool() {
        Ok(true) => Ok(Ordering::Less),
        // `a < b` says nothing about `b < a`: equal values must not be swapped for ever.
        Ok(false) => {
            let other: Dynamic = closure.call_within_context(context, (b.clone(), a.clone()))?;
            let before = other.as_bool().unwrap_or(false);
            Ok(if before { Ordering::Greater } else { Ordering::Equal })
        }
        Err(_) => Err(ScriptError::usage(format!(
            "sort: the closure returned {}, not a number or a boolean",
            value::show(&said)
        ))
        .into()),
    }
}

/// Also for the body of a request.
pub fn json(value: &Dynamic) -> Fallible<String> {
    if let Some(kind) = no_place_in_json(value) {
        return Err(ScriptError::usage(format!("to_json: {kind} has no place in JSON")).into());
    }
    serde_json::to_string(value).map_err(|error| ScriptError::usage(format!("to_json: {error}")).into())
}

/// The type of a part that JSON cannot hold.
fn no_place_in_json(value: &Dynamic) -> Option<String> {
    if let Some(map) = value.read_lock::<Map>() {
        return map.values().find_map(no_place_in_json);
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().find_map(no_place_in_json);
    }
    let plain = value.is_unit()
        || value.is_string()
        || value.is_int()
        || value.is_float()
        || value.is_bool()
        || value.is_char();
    (!plain).then(|| format!("a {}", value::type_name(value)))
}

/// Values as `print` shows them. Rhai itself prints what a function called `print` returns.
fn joined(context: &NativeCallContext, values: &[Dynamic], separator: &str) -> String {
    let shown = |value: &Dynamic| {
        context
            .call_native_fn::<ImmutableString>("to_string", (value.clone(),))
            .map_or_else(|_| value.to_string(), |text| text.to_string())
    };
    values.iter().map(shown).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_by_value_whatever_their_type() {
        let mut list: Array = vec![Dynamic::from(2.5), 10.into(), 1.into(), "b".into(), "a".into()];
        list.sort_by(order);
        let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["1", "2.5", "10", "a", "b"]);
    }

    #[test]
    fn json_holds_plain_values_only() {
        let array: Array = vec![1.into(), "a".into(), Dynamic::UNIT];
        assert_eq!(json(&array.into()).ok().as_deref(), Some("[1,\"a\",null]"));
        assert!(json(&Dynamic::from(FnPtr::new("f").expect("a name"))).is_err());
    }
}
