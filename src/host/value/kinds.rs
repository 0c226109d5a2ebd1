//! The kinds of values that options and parameters have: for each its [`Type`], how it is read from what a script has
//! written, and what is said of a value that is wrong. The check judges what is written out by the same readers.
//!
//! A kind of one namespace alone (the answer of a mock) implements [`Typed`] and [`FromValue`] beside its namespace, out
//! of the types of the description; what the check says of it is then said by [`literal`].

use super::error::{Fallible, ScriptError, about};
use super::handle::Job;
use super::read::{self, Opts};
use crate::api::Type;
use crate::jobs;
use crate::jobs::spec::Command;
use crate::probe::http::Url;
use crate::probe::target::Want;
use crate::words;
use regex::Regex;
use rhai::{Array, Blob, Dynamic, FnPtr, ImmutableString, Map};
use std::any::TypeId;
use std::time::Duration;

/// A Rust type that an option, a parameter or a result can have.
pub trait Typed {
    const TYPE: Type;
}

/// A type that can be read from a value. `what` begins the error: `wait_http: option `timeout``.
pub trait FromValue: Typed + Sized {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self>;

    /// What it is when it is not given.
    fn missing(what: &str) -> Fallible<Self> {
        Err(ScriptError::usage(format!("{what} is missing: {}", Self::TYPE.noun())).into())
    }
}

/// What a default can be written as; a whole number is an i64, as in scripts.
pub trait Default {
    fn value(self) -> Dynamic;
}

impl Default for i64 {
    fn value(self) -> Dynamic {
        self.into()
    }
}

impl Default for bool {
    fn value(self) -> Dynamic {
        self.into()
    }
}

impl Default for &'static str {
    fn value(self) -> Dynamic {
        self.into()
    }
}

fn wrong<T: Typed>(value: &Dynamic, what: &str) -> Box<rhai::EvalAltResult> {
    is_not(T::TYPE, value, what)
}

/// The words that a kind knows.
fn words_of(kind: Type) -> Option<&'static [&'static str]> {
    match kind {
        Type::OneOf(words) => Some(words),
        Type::Either(types) => types.iter().find_map(|one| words_of(*one)),
        _ => None,
    }
}

fn is_not(kind: Type, value: &Dynamic, what: &str) -> Box<rhai::EvalAltResult> {
    let shown = match kind {
        Type::Secret(_) => match read::type_name(value) {
            name if name.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {name}"),
            name => format!("a {name}"),
        },
        _ => read::show(value),
    };
    let error = ScriptError::usage(format!("{what}: {shown} is not {}", kind.noun()));
    let near = text(value).zip(words_of(kind)).and_then(|(text, words)| {
        let free = || words.iter().copied().find(|word| *word == "free" && read::is_any_port(&text));
        words::nearest(&text, words.iter().copied()).or_else(free)
    });
    match near {
        Some(near) => error.hint(format!("{near:?}")),
        // What files of services say of a worker.
        None if what.ends_with("option `ready`") && matches!(value.as_bool(), Ok(false)) => {
            error.hint("leave out `ready`   (then nothing is waited for)")
        }
        None => error,
    }
    .into()
}

/// Judges a value that is written out, as what reads it would.
pub fn literal(kind: Type, value: &Dynamic, what: &str) -> Fallible<()> {
    let holds = |fits: bool| if fits { Ok(()) } else { Err(is_not(kind, value, what)) };
    match kind {
        Type::Any => Ok(()),
        Type::Unit => holds(value.is_unit()),
        Type::Bool => bool::from_value(value, what).map(drop),
        Type::Int(least, most) => holds(value.as_int().is_ok_and(|n| (least..=most).contains(&n))),
        Type::Number => f64::from_value(value, what).map(drop),
        Type::Text => String::from_value(value, what).map(drop),
        Type::Word => read::word(value, what).map(drop),
        Type::Host => Host::from_value(value, what).map(drop),
        // What the text must be is told when it is read: one that is wrong on purpose is common in tests.
        Type::Url => holds(value.is_string()),
        Type::Duration => read::duration(value, what).map(drop),
        Type::Size => read::size(value, what).map(drop),
        Type::Port => read::port(value, what).map(drop),
        Type::Signal => signal_number(what, value).map(drop),
        Type::Regex => Regex::from_value(value, what).map(drop),
        Type::Status => statuses(what, value).map(drop),
        Type::Command => read::command(value, what).map(drop),
        Type::Closure => holds(value.is_fnptr()),
        Type::Map => holds(value.is_map()),
        Type::Array => holds(value.is_array()),
        Type::Object(name) => holds(read::type_name(value) == name),
        Type::Jobs => holds(value.is_map() || value.is_array() || read::type_name(value) == "Job"),
        Type::OneOf(words) => holds(text(value).is_some_and(|text| words.contains(&text.as_str()))),
        Type::List(of) => match value.read_lock::<Array>() {
            Some(list) => list.iter().try_for_each(|one| literal(*of, one, what)),
            None => holds(false),
        },
        Type::OneOrMore(of) => match value.read_lock::<Array>() {
            Some(list) => list.iter().try_for_each(|one| literal(*of, one, what)),
            None => literal(*of, value, what),
        },
        Type::MapOf(of) => match value.read_lock::<Map>() {
            Some(map) => map
                .iter()
                .filter(|(_, value)| !value.is_unit())
                .try_for_each(|(key, value)| literal(*of, value, &format!("{what}: `{key}`"))),
            None => holds(false),
        },
        Type::Options(options) => {
            let opts = Opts::described(what, value, options)?;
            options.all().try_for_each(|opt| match opts.get(opt.name) {
                Some(value) => {
                    literal(opt.kind, value, &opts.what(opt.name)).map_err(|error| about(error, opt.name))
                }
                None => Ok(()),
            })
        }
        // What is wrong with a map, an array or a number that is one of several is told by its own part.
        Type::Either(types) => {
            let part = |one: &&Type| match one {
                Type::Options(_) | Type::MapOf(_) | Type::Map => value.is_map(),
                Type::List(_) | Type::Array | Type::OneOrMore(_) => value.is_array(),
                // Another word than those that may stand in its place is told with them.
                Type::Port => {
                    let explained = |word: &str| read::is_any_port(word) && what.ends_with("option `port`");
                    let word =
                        text(value).is_some_and(|it| it.trim().parse::<i64>().is_err() && !explained(&it));
                    value.is_int() || value.is_string() && !(word && words_of(kind).is_some())
                }
                _ => false,
            };
            let is_map = value.is_map() && types.iter().any(|one| part(&one) && one.options().is_some());
            if !is_map && types.iter().any(|one| literal(*one, value, what).is_ok()) {
                return Ok(());
            }
            match types.iter().find(part) {
                Some(part) => literal(*part, value, what),
                None => holds(false),
            }
        }
        Type::Secret(of) => literal(*of, value, what).map_err(|_| is_not(kind, value, what)),
    }
}

/// Whether a value has a type that the engine tells apart, as far as a kind needs one of these.
pub fn is_of_type(kind: Type, value: &Dynamic) -> bool {
    match kind {
        Type::Text | Type::Host | Type::Url | Type::Regex => value.is_string(),
        Type::Closure => value.is_fnptr(),
        Type::Map | Type::MapOf(_) | Type::Options(_) => value.is_map(),
        Type::Array | Type::List(_) => value.is_array(),
        Type::Object(name) => read::type_name(value) == name,
        _ => true,
    }
}

/// Whether an argument has the type that its parameter needs; what is wrong with it otherwise is told by who reads it.
pub fn may_be(kind: Type, value: &Dynamic) -> bool {
    match kind {
        Type::Either(types) => types.iter().any(|one| may_be(*one, value)),
        Type::Duration => literal(kind, value, "").is_ok(),
        _ => is_of_type(kind, value),
    }
}

/// The type that a value of a kind has for the engine, where there is one.
pub fn type_id(kind: Type) -> TypeId {
    match kind {
        Type::Text | Type::Host | Type::Url | Type::Regex => TypeId::of::<ImmutableString>(),
        Type::Closure => TypeId::of::<FnPtr>(),
        Type::Map | Type::MapOf(_) | Type::Options(_) => TypeId::of::<Map>(),
        Type::Array | Type::List(_) => TypeId::of::<Array>(),
        Type::Int(..) => TypeId::of::<i64>(),
        Type::Number => TypeId::of::<f64>(),
        _ => TypeId::of::<Dynamic>(),
    }
}

fn text(value: &Dynamic) -> Option<ImmutableString> {
    value.read_lock::<ImmutableString>().map(|text| text.clone())
}

/// A type that is read by one expression, or is none.
macro_rules! kind {
    ($name:ty: $kind:expr, $read:expr) => {
        impl Typed for $name {
            const TYPE: Type = $kind;
        }
        impl FromValue for $name {
            fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
                let read: fn(&Dynamic) -> Option<Self> = $read;
                read(value).ok_or_else(|| wrong::<Self>(value, what))
            }
        }
    };
}

/// A type with a reader that says more about what is wrong.
macro_rules! explained {
    ($name:ty: $kind:expr, $read:expr) => {
        impl Typed for $name {
            const TYPE: Type = $kind;
        }
        impl FromValue for $name {
            fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
                let read: fn(&Dynamic, &str) -> Fallible<Self> = $read;
                read(value, what)
            }
        }
    };
}

kind!(bool: Type::Bool, |value| value.as_bool().ok());
kind!(i64: Type::Int(i64::MIN, i64::MAX), |value| value.as_int().ok());
kind!(f64: Type::Number, |value| value.as_float().or_else(|_| value.as_int().map(|n| n as f64)).ok());
kind!(String: Type::Text, |value| text(value).map(Into::into));
kind!(FnPtr: Type::Closure, |value| value.clone().try_cast());
kind!(Map: Type::Map, |value| value.read_lock::<Map>().map(|map| map.clone()));
kind!(Array: Type::Array, |value| value.read_lock::<Array>().map(|array| array.clone()));
kind!(Job: Type::Object("Job"), |value| value.clone().try_cast());
kind!(Blob: Type::Object("blob"), |value| value.clone().try_cast());
kind!(Dynamic: Type::Any, |value| Some(value.clone()));
explained!(Duration: Type::Duration, read::duration);
explained!(Command: Type::Command, read::command);
explained!(Want: Type::Status, |value, what| statuses(what, value));
explained!(Url: Type::Url, |value, what| match text(value) {
    Some(text) => url(what, &text),
    None => Err(wrong::<Self>(value, what)),
});
explained!(Regex: Type::Regex, |value, what| match text(value) {
    Some(text) => regex(what, &text),
    None => Err(wrong::<Self>(value, what)),
});

impl Typed for () {
    const TYPE: Type = Type::Unit;
}

impl Typed for ScriptError {
    const TYPE: Type = Type::Object("Error");
}

impl<T: Typed> Typed for Option<T> {
    const TYPE: Type = T::TYPE;
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        if value.is_unit() { Ok(None) } else { T::from_value(value, what).map(Some) }
    }

    fn missing(_: &str) -> Fallible<Self> {
        Ok(None)
    }
}

/// The name or the address of a host; a number is a port.
#[derive(Clone, Debug)]
pub struct Host(pub String);
kind!(Host: Type::Host, |value| {
    text(value).filter(|text| text.trim().parse::<i64>().is_err()).map(|text| Self(text.into()))
});

#[derive(Clone, Copy, Debug)]
pub struct Port(pub u16);
explained!(Port: Type::Port, |value, what| read::port(value, what).map(Self));

/// In bytes.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub u64);
explained!(Size: Type::Size, |value, what| read::size(value, what).map(Self));

/// The number of a signal.
#[derive(Clone, Copy, Debug)]
pub struct Signal(pub i32);
explained!(Signal: Type::Signal, |value, what| signal_number(what, value).map(Self));

/// A whole number in these bounds.
#[derive(Clone, Copy, Debug)]
pub struct Within<const LEAST: i64, const MOST: i64>(pub i64);

impl<const LEAST: i64, const MOST: i64> Typed for Within<LEAST, MOST> {
    const TYPE: Type = Type::Int(LEAST, MOST);
}

impl<const LEAST: i64, const MOST: i64> FromValue for Within<LEAST, MOST> {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        let number = value.as_int().ok().filter(|n| (LEAST..=MOST).contains(n));
        number.map(Self).ok_or_else(|| wrong::<Self>(value, what))
    }
}

impl<const LEAST: i64, const MOST: i64> Within<LEAST, MOST> {
    /// For counts: `LEAST` is not negative.
    pub fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// How often, or how many: at least 1.
pub type Count = Within<1, { i64::MAX }>;

/// A job, an array of jobs, or a map of them, as the script has given it.
#[derive(Clone, Debug)]
pub struct Jobs(pub Dynamic);
explained!(Jobs: Type::Jobs, |value, _| Ok(Self(value.clone())));

/// A text, a number or a boolean, as text.
#[derive(Clone, Debug)]
pub struct Word(pub String);
explained!(Word: Type::Word, |value, what| read::word(value, what).map(Self));

/// A map with any keys, in their order.
#[derive(Clone, Debug)]
pub struct MapOf<T>(pub Vec<(String, T)>);

impl<T: Typed> Typed for MapOf<T> {
    const TYPE: Type = Type::MapOf(&T::TYPE);
}

impl<T: FromValue> FromValue for MapOf<T> {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        let Some(map) = value.read_lock::<Map>() else { return Err(wrong::<Self>(value, what)) };
        let one = |(key, value): (&rhai::Identifier, &Dynamic)| {
            Ok((key.to_string(), T::from_value(value, &format!("{what}: `{key}`"))?))
        };
        map.iter().map(one).collect::<Fallible<_>>().map(Self)
    }
}

/// One, or an array of them.
#[derive(Clone, Debug)]
pub struct OneOrMore<T>(pub Vec<T>);

impl<T: Typed> Typed for OneOrMore<T> {
    const TYPE: Type = Type::OneOrMore(&T::TYPE);
}

impl<T: FromValue> FromValue for OneOrMore<T> {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        match value.read_lock::<Array>() {
            Some(list) => list.iter().map(|one| T::from_value(one, what)).collect::<Fallible<_>>().map(Self),
            None => Ok(Self(vec![T::from_value(value, what)?])),
        }
    }
}

/// A compiled pattern; an error that shows what is wrong with it.
pub fn regex(what: &str, pattern: &str) -> Fallible<Regex> {
    self::pattern(pattern).map_err(|wrong| ScriptError::usage(format!("{what}: {wrong}")).into())
}

/// A compiled pattern, or what is wrong with it in words.
pub fn pattern(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|e| {
        let reason = e.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("{pattern:?} is not a regular expression: {reason}")
    })
}

/// `200`, `[200, 204]`, `"2xx"` or `"any"`.
pub fn statuses(what: &str, value: &Dynamic) -> Fallible<Want> {
    let one = |value: &Dynamic| -> Fallible<Want> {
        let text = read::word(value, what)?;
        Want::parse(&text).ok_or_else(|| {
            ScriptError::usage(format!(
                "{what}: {} is not a status; write 200, [200, 204], \"2xx\" or \"any\"",
                read::show(value)
            ))
            .into()
        })
    };
    match value.read_lock::<Array>() {
        Some(list) => Ok(Want::any(list.iter().map(one).collect::<Fallible<Vec<_>>>()?)),
        None => one(value),
    }
}

/// A URL as a script wrote it.
pub fn url(function: &str, text: &str) -> Fallible<Url> {
    if text.contains("()") {
        return Err(read::unit_inside(function, text).into());
    }
    Url::parse(text).map_err(|bad| {
        let error = ScriptError::usage(format!("{function}: {}", bad.message));
        match bad.hint {
            Some(hint) => error.hint(hint),
            None => error.note("a URL looks like \"http://localhost:8080/health\""),
        }
        .into()
    })
}

pub fn signal_number(function: &str, signal: &Dynamic) -> Fallible<i32> {
    let text = read::word(signal, function)?;
    if let Some(number) = jobs::signal_number(&text) {
        return Ok(number);
    }
    let error = ScriptError::usage(format!("{function}: `{text}` is not a signal"));
    let names = jobs::signal_names();
    let bare = text.to_ascii_uppercase();
    let bare = bare.strip_prefix("SIG").unwrap_or(&bare).to_owned();
    Err(match words::nearest(&bare, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("\"{near}\"")),
        None => error.note("signals are names such as \"HUP\" or \"SIGHUP\", or numbers from 1 to 64"),
    }
    .into())
}
