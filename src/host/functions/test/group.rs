//! Groups of tests, and what is done before and after each test. What a group does is done at once, as all that stands
//! in a script: it is no list of tests that somebody runs later.

use crate::host::run::runtime::{Group, Hook, rt};
use crate::host::value::describe::function;
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, ScriptError};
use crate::lock::lock;
use rhai::{Dynamic, FnPtr, NativeCallContext};
use std::sync::{Arc, Mutex};

pub const FUNCTIONS: &[Entry] = &[GROUP, BEFORE_EACH, AFTER_EACH];

function! {
    /// Calls a closure whose tests belong together: `group › test` is what they are called. Groups can be nested. An
    /// error outside of a test ends the script as anywhere.
    ///
    /// ```rhai
    /// group("cart", || {
    ///     let items = [];
    ///     before_each(|| items = ["pen"]);
    ///     test("has an item", || assert_eq(items.len(), 1));
    /// });
    /// ```
    GROUP = "group" -> () {
        (name: String, closure: FnPtr) => |ctx| group(ctx, &name, &closure);
    }
}

function! {
    /// Calls a closure before each test that follows, of the group around it (and of groups in that), or of the script:
    /// the outer ones first. When it throws, the test fails; when it calls `skip`, the test is skipped.
    ///
    /// ```rhai
    /// before_each(|| write_file("state.json", "{}"));
    /// test("starts empty", || assert_eq(read_json("state.json"), #{}));
    /// remove("state.json");
    /// ```
    BEFORE_EACH = "before_each" -> () {
        (closure: FnPtr) => |ctx| add("before_each", ctx, closure, |group| &group.before);
    }
}

function! {
    /// Calls a closure after each test that follows, also after one that has failed or was skipped while it ran: the
    /// last one first, the inner groups before the outer. When it throws, the test fails.
    ///
    /// ```rhai
    /// after_each(|| remove("made.txt"));
    /// test("writes", || write_file("made.txt", "1"));
    /// assert(!exists("made.txt"));
    /// ```
    AFTER_EACH = "after_each" -> () {
        (closure: FnPtr) => |ctx| add("after_each", ctx, closure, |group| &group.after);
    }
}

fn group(ctx: &NativeCallContext, name: &str, closure: &FnPtr) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    if name.trim().is_empty() {
        return Err(ScriptError::usage("group: a group needs a name").into());
    }
    if let Some(test) = rt.place().test {
        let message = format!("group: `{name}` is inside the test `{}`: only groups hold groups", test.name);
        return Err(ScriptError::usage(message).into());
    }
    let mut place = rt.place();
    place.group = Some(Arc::new(Group {
        name: name.to_owned(),
        outer: Some(rt.group()),
        before: Mutex::default(),
        after: Mutex::default(),
    }));
    let _there = rt.at(place);
    closure.call_within_context::<Dynamic>(ctx, ()).map(drop)
}

fn add(
    function: &str,
    ctx: &NativeCallContext,
    closure: FnPtr,
    list: impl Fn(&Group) -> &Mutex<Vec<Hook>>,
) -> Fallible<()> {
    let rt = rt();
    rt.checkpoint()?;
    if let Some(test) = rt.place().test {
        let message = format!("{function}: it is inside the test `{}`", test.name);
        let error = ScriptError::usage(message).hint("before the test, or in the group around it");
        return Err(error.into());
    }
    let hook = Hook::new(function, ctx, closure)?;
    lock(list(&rt.group())).push(hook);
    Ok(())
}
