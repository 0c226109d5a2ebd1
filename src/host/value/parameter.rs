//! What a value of a parameter stands for, where that can be looked at beforehand.

use super::error::{Fallible, ScriptError};
use super::kinds::{FromValue, Typed};
use super::worded;
use crate::api::Type;
use crate::host::value;
use crate::jobs;
use crate::words;
use rhai::Dynamic;
use std::path::PathBuf;

/// The kinds, one a line: the word for it in a script, what stands for a value in `--help`, and what a value has to be.
macro_rules! kinds {
    ($($kind:ident = $name:literal, $form:literal, $words:literal;)+) => {
        /// What a value of a parameter stands for, where that can be looked at beforehand.
        #[derive(Clone, Copy, Debug)]
        pub enum Kind { $($kind),+ }

        const NAMES: &[&str] = &[$($name),+];

        impl Kind {
            /// The kind that a script names so.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$kind),)+
                    _ => None,
                }
            }

            /// What stands for a value in `--help`.
            pub fn form(self) -> &'static str {
                match self { $(Self::$kind => $form),+ }
            }

            pub fn words(self) -> &'static str {
                match self { $(Self::$kind => $words),+ }
            }
        }
    };
}

kinds! {
    Command = "command", "COMMAND", "a command";
    Count = "count", "NUMBER", "a whole number of at least 1";
    Duration = "duration", "TIME", "a time such as 500ms, 30s or 1m30s";
    Port = "port", "PORT", "a port (1 to 65535)";
    Signal = "signal", "SIGNAL", "a signal such as TERM or KILL";
    Regex = "regex", "REGEX", "a regular expression";
    File = "file", "FILE", "a file that is there";
    Dir = "dir", "DIR", "a directory that is there";
    Path = "path", "FILE|DIR", "a file or directory that is there";
    Ready = "ready", "CONDITION", "what can be waited for";
}

impl Kind {
    /// Whether a text fits. `path`: the text as a path of the script.
    pub fn fits(self, text: &str, path: impl Fn() -> PathBuf) -> bool {
        match self {
            Self::Command => !text.trim().is_empty(),
            Self::Count => text.parse::<u32>().is_ok_and(|count| count > 0),
            Self::Duration => value::duration(&text.into(), "param").is_ok(),
            Self::Port => value::port(&text.into(), "param").is_ok(),
            Self::Signal => jobs::signal_number(text).is_some(),
            Self::Regex => crate::host::value::kinds::regex("param", text).is_ok(),
            // Not only a plain file: `<(command)` of a shell is a pipe.
            Self::File => path().exists() && !path().is_dir(),
            Self::Dir => path().is_dir(),
            Self::Path => path().exists(),
            Self::Ready => worded::read(text).is_ok(),
        }
    }
}

impl Typed for Kind {
    const TYPE: Type = Type::OneOf(NAMES);
}

impl FromValue for Kind {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kind(&String::from_value(value, what)?)
    }
}

/// The kind of a name; also for the check.
pub fn kind(name: &str) -> Fallible<Kind> {
    Kind::named(name).ok_or_else(|| {
        let wrong = ScriptError::usage(format!("param: option `kind`: {name:?} is not a kind of parameter"))
            .note(format!("there are: {}", NAMES.join(", ")));
        // What is a type elsewhere is that of the default here.
        let hint = match name.to_lowercase().as_str() {
            "number" | "int" | "integer" => {
                "kind: \"count\" for 1 and up, or `default: 0` without a kind for any integer".to_owned()
            }
            "float" => "`default: 0.0` without a kind: a value takes the type of the default".to_owned(),
            "string" | "str" | "text" => {
                "leave out `kind`: a value is a string unless its default is none".to_owned()
            }
            "bool" | "boolean" | "flag" => "`default: false` without a kind".to_owned(),
            "array" | "list" => "`default: []` without a kind".to_owned(),
            "url" => "form: \"URL\", matches: \"^https?://.\"".to_owned(),
            "time" | "seconds" | "timeout" => "kind: \"duration\"".to_owned(),
            "directory" | "folder" => "kind: \"dir\"".to_owned(),
            other => match words::nearest(other, NAMES.iter().copied()) {
                Some(near) => format!("kind: {near:?}"),
                None => return wrong.into(),
            },
        };
        wrong.hint(hint).into()
    })
}
