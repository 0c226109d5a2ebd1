//! Equality is that of people: deep, numbers by value (`1` equals `1.0`), jobs and other handles by identity.

use crate::host::value::handle::Job;
use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map, NativeCallContext};

/// A string, or a character, which scripts seldom mean to tell from a string.
pub(super) fn text_of(value: &Dynamic) -> Option<ImmutableString> {
    match value.read_lock::<ImmutableString>() {
        Some(text) => Some(text.clone()),
        None => value.as_char().ok().map(|c| c.to_string().into()),
    }
}

fn number(value: &Dynamic) -> Option<f64> {
    value.as_float().ok().or_else(|| value.as_int().ok().map(|whole| whole as f64))
}

/// Deep equality as described at the top of this file.
pub(super) fn equal(ctx: &NativeCallContext, a: &Dynamic, b: &Dynamic) -> bool {
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
        return a.0.id == b.0.id;
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
