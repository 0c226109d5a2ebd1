//! A text as a value of the type that a default has: of variables and of parameters.

use super::error::{Fallible, ScriptError};
use crate::host::value;
use rhai::Dynamic;
use rhai::plugin::*;

/// A text as a value of the default's type.
pub fn typed(what: &str, text: String, default: &Dynamic) -> Fallible<Dynamic> {
    let wrong = |wanted: &str| -> Box<EvalAltResult> {
        ScriptError::usage(format!("{what} is {text:?}, not {wanted}"))
            .note(format!("its default is {}, and its value has the same type", value::show(default)))
            .into()
    };
    let trimmed = text.trim();
    if default.is_int() {
        return trimmed.parse::<i64>().map(Into::into).map_err(|_| wrong("a whole number"));
    }
    if default.is_float() {
        let number = trimmed.parse::<f64>().ok().filter(|number| number.is_finite());
        return number.map(Into::into).ok_or_else(|| wrong("a number"));
    }
    if default.is_bool() {
        return match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true.into()),
            "false" | "0" | "no" | "off" => Ok(false.into()),
            _ => Err(wrong("true or false")),
        };
    }
    Ok(text.into())
}
