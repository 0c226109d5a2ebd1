//! Errors that point into a file that a script reads, as errors of scripts point into scripts: the place of a
//! line, or of a key of YAML or JSON.
//!
//! Values come from `read_yaml` and the like, which keep no places: `value::spot` finds them.

use crate::host::run::files;
use crate::host::run::runtime::rt;
use crate::host::value;
use crate::host::value::describe::{function, options};
use crate::host::value::described::Entry;
use crate::host::value::error::{Fallible, Origin, ScriptError};
use crate::host::value::spot::{of_key, of_word};
use crate::words;
use rhai::{Array, Dynamic, NativeCallContext};

pub const FUNCTIONS: &[Entry] = &[FAIL_AT];

options! {
    /// What is said about a mistake in a file.
    struct Pointing {
        /// The words that would be right: the one nearest to `word` is proposed.
        known: Option<Array>;
        /// The wrong word, which is also what is underlined in a line.
        word: Option<String>, default "the last key of `place`";
        /// Points to the value of the last key, not to the key.
        value: bool = false;
        /// What is said besides.
        note: Option<String>;
        /// What to write instead.
        hint: Option<String>, also help;
    }
}

function! {
    /// Fails with a `usage` error that points into a file, as the errors of a script point into the script: for
    /// what is wrong in a file that a script or module reads.
    ///
    /// `place` is the number of a line, from 1, or an array of the keys and indexes that lead to a value of a YAML,
    /// JSON or TOML file. When the last of them are not there, it points to the last one that is; `()` points to no line.
    ///
    /// ```rhai
    /// let file = temp_dir() + "/limits.json";
    /// write_file(file, "{\"limits\":\n  {\"memory\": \"lots\"}}");
    /// let wrong = attempt(|| fail_at(file, ["limits", "memory"], "`lots` is not a size"));
    /// assert_eq(wrong.error.line, 2);
    /// ```
    ///
    /// ```rhai
    /// let file = temp_dir() + "/limits.conf";
    /// write_file(file, "# limits\nmemroy 64\n");
    /// let wrong = attempt(|| fail_at(file, 2, "unknown limit `memroy`", #{word: "memroy", known: ["memory"]}));
    /// assert_eq(wrong.error.message, "unknown limit `memroy`; did you mean `memory`?");
    /// ```
    FAIL_AT = "fail_at" -> (), throws usage {
        (path: String, place: Dynamic, msg: String; Pointing) => fail_at;
    }
}

fn fail_at(_: &NativeCallContext, path: String, place: Dynamic, msg: String, opts: Pointing) -> Fallible<()> {
    rt().checkpoint()?;
    let text = files::read("fail_at", &path)?;
    let keys = place.read_lock::<Array>().map(|keys| keys.clone());
    let word = opts.word.or_else(|| Some(keys.as_ref()?.last()?.to_string()));
    let spot = match (&keys, place.as_int()) {
        (Some(keys), _) => {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            Some(of_key(&text, &keys, opts.value))
        }
        (None, Ok(line)) => Some(of_word(&text, usize::try_from(line).unwrap_or(0), word.as_deref())),
        (None, Err(_)) if place.is_unit() => None,
        (None, Err(_)) => {
            let wrong = format!("fail_at: {} is not a place", value::show(&place));
            return Err(ScriptError::usage(wrong)
                .note("a place is the number of a line, or an array of keys and indexes")
                .into());
        }
    };
    let mut error = ScriptError::usage(msg);
    if let Some(known) = opts.known {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let names = || known.iter().map(String::as_str);
        match word.and_then(|word| words::nearest(&word, names())) {
            Some(near) => error.message.push_str(&format!("; did you mean `{near}`?")),
            None => error = error.note(format!("known: {}", known.join(", "))),
        }
    }
    if let Some(note) = opts.note {
        error = error.note(note);
    }
    if let Some(hint) = opts.hint {
        error = error.hint(hint);
    }
    error = error.fact("path", path.clone());
    if let Some(spot) = spot {
        error = error.fact("line", i64::try_from(spot.line).unwrap_or(i64::MAX));
        error.origin = Some(Box::new(Origin { place: Some(spot.of(path, &text)), trail: Vec::new() }));
    }
    Err(error.into())
}
