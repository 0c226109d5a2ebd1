//! The functions `assert`, `assert_eq` and the others, as scripts see them.

use super::snapshot::{SnapshotOptions, snapshot};
use super::{checks, closures, failure};
use crate::event::Event;
use crate::host::functions::assert::closures::eventually;
use crate::host::run::options::Waiting;
use crate::host::run::runtime::running;
use crate::host::source::text;
use crate::host::value::describe::function;
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, Kind, ScriptError};
use rhai::{Dynamic, FnPtr, NativeCallContext};

pub const FUNCTIONS: &[Entry] = &[
    EVENTUALLY,
    ASSERT,
    ASSERT_EQ,
    ASSERT_NE,
    ASSERT_CONTAINS,
    ASSERT_MATCHES,
    ASSERT_STATUS,
    ASSERT_JSON,
    ASSERT_THROWS,
    ASSERT_SNAPSHOT,
    FAIL,
];

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

function! {
    /// Fails when `cond` is false. Anything but true or false is an error.
    ///
    /// ```rhai
    /// assert(1 + 1 == 2);
    /// ```
    ASSERT = "assert" -> () {
        (cond: Dynamic) => |ctx| recorded(ctx, checks::is_true(&cond, None));
        /// Fails with `msg` when `cond` is false.
        ///
        /// ```rhai
        /// assert([1, 2].len() == 2, "there are two items");
        /// ```
        (cond: Dynamic, msg: Dynamic) => |ctx| recorded(ctx, checks::is_true(&cond, Some(&msg)));
    }
}

function! {
    /// Fails when the two values differ, and says where. Maps and arrays are compared deeply, numbers by value
    /// (`1` equals `1.0`). `e.actual` and `e.expected` hold the values.
    ///
    /// ```rhai
    /// assert_eq(#{name: "a", tags: [1, 2]}, #{name: "a", tags: [1, 2]});
    /// ```
    ASSERT_EQ = "assert_eq" -> () {
        (actual: Dynamic, expected: Dynamic) => |ctx| recorded(ctx, checks::equals(ctx, &actual, &expected, None));
        /// Fails with `msg` and what differs when the two values differ.
        ///
        /// ```rhai
        /// assert_eq("ok".len(), 2, "the length");
        /// ```
        (actual: Dynamic, expected: Dynamic, msg: Dynamic)
            => |ctx| recorded(ctx, checks::equals(ctx, &actual, &expected, Some(&msg)));
    }
}

function! {
    /// Fails when the two values are equal, in the sense of `assert_eq`.
    ///
    /// ```rhai
    /// assert_ne("a", "b");
    /// ```
    ASSERT_NE = "assert_ne" -> () {
        (actual: Dynamic, other: Dynamic) => |ctx| recorded(ctx, checks::differs(ctx, &actual, &other, None));
        /// Fails with `msg` when the two values are equal.
        ///
        /// ```rhai
        /// assert_ne(1, 2, "ids are unique");
        /// ```
        (actual: Dynamic, other: Dynamic, msg: Dynamic)
            => |ctx| recorded(ctx, checks::differs(ctx, &actual, &other, Some(&msg)));
    }
}

function! {
    /// Fails when a string does not contain the text `needle`, an array not the item, or a map not the key.
    ///
    /// ```rhai
    /// assert_contains("hello world", "wor");
    /// assert_contains([1, 2, 3], 2);
    /// assert_contains(#{id: 7}, "id");
    /// ```
    ASSERT_CONTAINS = "assert_contains" -> () {
        (haystack: Dynamic, needle: Dynamic)
            => |ctx| recorded(ctx, checks::contains(ctx, &haystack, &needle, None));
        /// Fails with `msg` when a string, array or map does not contain `needle`.
        ///
        /// ```rhai
        /// assert_contains("hello world", "hello", "it greets");
        /// ```
        (haystack: Dynamic, needle: Dynamic, msg: Dynamic)
            => |ctx| recorded(ctx, checks::contains(ctx, &haystack, &needle, Some(&msg)));
    }
}

function! {
    /// Fails when the regular expression matches nowhere in the text. `^` and `$` are the ends of the text;
    /// `(?m)` makes them the ends of each line.
    ///
    /// ```rhai
    /// assert_matches("listening on 8080", `on \d+$`);
    /// ```
    ASSERT_MATCHES = "assert_matches" -> () {
        (text: Dynamic, regex: Dynamic) => |ctx| recorded(ctx, checks::matches(&text, &regex, None));
        /// Fails with `msg` when the regular expression matches nowhere in the text.
        ///
        /// ```rhai
        /// assert_matches("v1.20.3", `^v\d+\.\d+`, "a version");
        /// ```
        (text: Dynamic, regex: Dynamic, msg: Dynamic)
            => |ctx| recorded(ctx, checks::matches(&text, &regex, Some(&msg)));
    }
}

function! {
    /// Fails when a response has another status than this: 200, any of `[200, 204]`, or `"2xx"`. The message shows
    /// the request, the status and the start of the body.
    ///
    /// ```rhai
    /// let web = mock(#{"/": "hello"});
    /// assert_status(http_get(web.url), 200);
    /// assert_status(http_get(`${web.url}/missing`), [403, 404]);
    /// assert_status(http_get(web.url), "2xx");
    /// ```
    ASSERT_STATUS = "assert_status" -> () {
        (resp: Dynamic, status: Dynamic) => |ctx| recorded(ctx, checks::status(&resp, &status, None));
        /// Fails with `msg` when a response has another status.
        ///
        /// ```rhai
        /// let web = mock(#{"/": "hello"});
        /// assert_status(http_get(web.url), 200, "the home page");
        /// ```
        (resp: Dynamic, status: Dynamic, msg: Dynamic)
            => |ctx| recorded(ctx, checks::status(&resp, &status, Some(&msg)));
    }
}

function! {
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
    ASSERT_JSON = "assert_json" -> () {
        (resp: Dynamic, path: String, value: Dynamic)
            => |ctx| recorded(ctx, checks::json(ctx, &resp, &path, &value, None));
        /// Fails with `msg` when the value at a path differs.
        ///
        /// ```rhai
        /// assert_json(#{total: 30}, "total", 30, "the sum of the cart");
        /// ```
        (resp: Dynamic, path: String, value: Dynamic, msg: Dynamic)
            => |ctx| recorded(ctx, checks::json(ctx, &resp, &path, &value, Some(&msg)));
    }
}

function! {
    /// Calls a closure and fails when it does not throw. Returns the error, with `.kind` and `.message`. `exit`
    /// and an interrupt pass through.
    ///
    /// ```rhai
    /// let e = assert_throws(|| read_file("/no/such/file"));
    /// assert_eq(e.kind, "io");
    /// ```
    ASSERT_THROWS = "assert_throws" -> Dynamic {
        (closure: FnPtr) => |ctx| recorded(ctx, closures::throws(ctx, &closure, None));
        /// Also fails when the error is another one: `expected` is a kind such as `"http"`, or a text that its message
        /// contains.
        ///
        /// ```rhai
        /// assert_throws(|| read_file("/no/such/file"), "io");
        /// assert_throws(|| fail("the cart is empty"), "is empty");
        /// ```
        (closure: FnPtr, expected: String)
            => |ctx| recorded(ctx, closures::throws(ctx, &closure, Some(&expected)));
    }
}

function! {
    /// Fails when a value is another than its snapshot, which is kept beside the script, in
    /// `__snapshots__/SCRIPT.snap`, by the name of the test and this name, and shows what differs. One that is not there
    /// is written; in CI (the variable `CI` is set) that is a failure. `--update` (of `bgjobs script` and `bgjobs test`)
    /// writes them anew, and removes those that nothing asks for. A string is kept as it is, another value as JSON;
    /// secrets are masked, trailing newlines do not count.
    ///
    /// ```rhai
    /// fn looks_as_ever(page) {
    ///     assert_snapshot("page", page, #{mask: #{"\\d+ ms": "[time]"}});
    /// }
    /// ```
    ASSERT_SNAPSHOT = "assert_snapshot" -> () {
        (name: String, value: Dynamic; SnapshotOptions) => kept;
    }
}

function! {
    /// Fails with this message.
    ///
    /// ```rhai
    /// let r = attempt(|| fail("no luck"));
    /// assert_eq(r.error.message, "no luck");
    /// ```
    FAIL = "fail" -> () {
        (msg: Dynamic) => fail;
    }
}

/// That an assertion was made, for whoever records it.
fn recorded<T>(ctx: &NativeCallContext, result: Fallible<T>) -> Fallible<T> {
    let made = || Event::Asserted {
        function: ctx.fn_name().to_owned(),
        ok: result.is_ok(),
        place: text::place(ctx.call_source().unwrap_or_default(), ctx.call_position()),
    };
    if let Some(rt) = running() {
        rt.bus.record(made);
    }
    result
}

fn kept(ctx: &NativeCallContext, name: String, value: Dynamic, opts: SnapshotOptions) -> Fallible<()> {
    recorded(ctx, snapshot(&name, &value, opts))
}

fn fail(_: &NativeCallContext, msg: Dynamic) -> Fallible<()> {
    let message = failure::message_text(&msg);
    let message = if message.trim().is_empty() { "failed (no message)".to_owned() } else { message };
    Err(ScriptError::new(Kind::Assertion, message).into())
}
