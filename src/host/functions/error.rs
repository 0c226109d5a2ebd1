//! The properties of errors: `e.kind`, `e.message`, and what else each knows.

use crate::host::value::describe::properties;
use crate::host::value::described::Property;
use crate::host::value::error::{Fallible, NOUNS, ScriptError};
use crate::words;
use rhai::Dynamic;

/// A name that no error has: a typing mistake, or a habit.
fn no_noun(error: &ScriptError, name: &str) -> ScriptError {
    let synonym = match name {
        "exit_code" | "exitCode" | "exitcode" | "errno" => Some("code"),
        "msg" | "error" | "text" | "reason" | "description" => Some("message"),
        "type" | "error_kind" => Some("kind"),
        "log" | "tail" => Some("output"),
        "cmd" => Some("command"),
        _ => None,
    };
    let all = || NOUNS.iter().copied().chain(["kind", "message"]);
    let has = ["kind", "message"].into_iter().chain(error.facts.keys().map(rhai::Identifier::as_str));
    let has = has.collect::<Vec<_>>().join(", ");
    let wrong = ScriptError::usage(format!("an error has no `{name}`"))
        .note(format!("this one, of kind `{}`, has: {has}", error.kind.name()));
    match synonym.or_else(|| words::nearest(name, all())) {
        Some(near) => wrong.hint(format!("`.{near}`")),
        None => wrong,
    }
}

/// `e.kind`, `e.message`, and the nouns of its kind; also in strings.
pub fn register(engine: &mut rhai::Engine) {
    engine
        .register_type_with_name::<ScriptError>("Error")
        .register_fn("to_string", |e: &mut ScriptError| e.message.clone())
        .register_fn("to_debug", |e: &mut ScriptError| format!("{}: {}", e.kind.name(), e.message))
        .register_fn("+", |text: &str, e: ScriptError| format!("{text}{e}"))
        .register_fn("+", |e: ScriptError, text: &str| format!("{e}{text}"));
}

pub const PROPERTIES: &[&[Property]] = &[OF_SCRIPTERROR];

properties! {
    OF_SCRIPTERROR of ScriptError {
        /// What kind of error it is: `"timeout"`, `"job_died"`, `"command_failed"`, `"assertion"`, `"port_taken"`, `"http"`,
        /// `"io"`, `"usage"`, or `"script"` for a mistake of the script itself, such as a division by zero.
        ///
        /// ```rhai
        /// try { read_file("/no/such/file") } catch (e) { assert_eq(e.kind, "io"); }
        /// ```
        kind: String => |error| Ok(error.kind.name().to_owned());
        /// What went wrong, in one line; also what the error is in a string.
        ///
        /// ```rhai
        /// try { fail("no luck") } catch (e) { assert_eq(e.message, `${e}`); }
        /// ```
        message: String => |error| Ok(error.message.clone());
    }
    /// What else is known, also as `e.code`: `job`, `code`, `signal`, `output`, `stdout`, `stderr`, `command`, `port`,
    /// `pid`, `url`, `method`, `status`, `body`, `path`, `line`, `column`, `name`, `missing`, `expected`, `actual`,
    /// `waited_ms`, `value` … `()` when this error has none of it; a name that no error has throws `usage`.
    ///
    /// ```rhai
    /// try { run("exit 3", #{echo: false}) } catch (e) { assert_eq([e.code, e["url"]], [3, ()]); }
    /// ```
    [name] -> Dynamic => |error| item_of_error(error, name);
}

fn item_of_error(error: &mut ScriptError, name: &str) -> Fallible<Dynamic> {
    match error.facts.get(name) {
        Some(fact) => Ok(fact.clone()),
        None if NOUNS.contains(&name) => Ok(Dynamic::UNIT),
        None => Err(no_noun(error, name).into()),
    }
}
