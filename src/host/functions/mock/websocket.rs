//! The option `ws` of an answer: what is said on a WebSocket, as scripts write it.

use crate::api::Type;
use crate::host::value::Opts;
use crate::host::value::describe::{options, words};
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::json::to_json;
use crate::host::value::kinds::{self, Count, FromValue, OneOrMore, Typed, Within};
use crate::mock::{self, Reply, Said, Talk, What};
use base64::{Engine, prelude::BASE64_STANDARD};
use regex::Regex;
use rhai::{Dynamic, ImmutableString, Map};
use std::time::Duration;

options! {
    /// What a WebSocket can be told.
    struct Told {
        /// The messages that it sends when it opens.
        send: Option<OneOrMore<Step>>, also messages on_connect on_open greeting;
        /// What it answers to the messages of the client: of these the first that is meant.
        replies: Option<OneOrMore<Answer>>, also reply on_message responses;
        /// Whether a message without a reply comes back.
        echo: bool = false;
        /// How it closes behind the messages: a code, or without one: `"cut"` or `"reset"`.
        close: Option<Close>, default "it stays open", also code;
        /// The subprotocols that it knows.
        protocol: Option<OneOrMore<String>>, also protocols subprotocol subprotocols;
    }
}

options! {
    /// What a reply can be told.
    struct Replied {
        /// Which messages it is for: the whole text, in which `*` stands for anything, or a map.
        when: Option<When>, also message with on matching;
        /// What it sends.
        send: Option<OneOrMore<Step>>, also message text reply;
        /// How it closes then.
        close: Option<Close>, default "it stays open", also code;
        /// How often on a connection, before the next one is given.
        times: Option<Count>, default "for ever", also repeat;
    }
}

options! {
    /// What a message must be like.
    struct Heard {
        /// A subset of it, which is JSON.
        json: Option<Dynamic>, also data;
        /// Must be in it.
        contains: Option<String>, also body;
        /// Must match in it.
        matches: Option<Regex>;
    }
}

options! {
    /// What a message can be told.
    struct Sent {
        /// A text.
        text: Option<String>, also body data message;
        /// Any value, as JSON.
        json: Option<Dynamic>;
        /// A binary message, in Base64.
        base64: Option<String>, also binary bytes;
        /// How long after the message before.
        after: Duration = "0s", also delay wait sleep;
    }
}

options! {
    /// What a close can be told.
    struct Closed {
        /// Its code.
        code: Within<1000, 4999> = 1000;
        /// Its reason.
        reason: Option<String>, also message text;
        /// How long after the last message.
        after: Duration = "0s", also delay wait sleep;
    }
}

words! {
    /// How a connection ends without a close.
    enum Ending { Cut = "cut", Reset = "reset" }
}

/// The option `ws`: a message or an array of them, or a map.
#[derive(Clone, Debug)]
pub struct Ws(pub Talk);

impl Typed for Ws {
    const TYPE: Type = Type::Either(&[Type::Text, Type::List(&Step::TYPE), Type::Options(Told::OPTIONS)]);
}

impl FromValue for Ws {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        if value.is_string() || value.is_array() {
            let opening = steps(Some(OneOrMore::from_value(value, what)?), None);
            return Ok(Self(Talk { opening, ..Talk::default() }));
        }
        kinds::literal(Self::TYPE, value, what)?;
        let told = Told::read(&Opts::described(what, value, Told::OPTIONS)?)?;
        Ok(Self(Talk {
            opening: steps(told.send, told.close),
            replies: told.replies.map_or_else(Vec::new, |all| all.0.into_iter().map(|one| one.0).collect()),
            echo: told.echo,
            protocols: told.protocol.map_or_else(Vec::new, |all| all.0),
        }))
    }
}

fn steps(send: Option<OneOrMore<Step>>, close: Option<Close>) -> Vec<Said> {
    let send = send.map_or_else(Vec::new, |all| all.0);
    send.into_iter().map(|step| step.0).chain(close.map(|close| close.0)).collect()
}

/// A message that is sent.
#[derive(Clone, Debug)]
struct Step(Said);

impl Typed for Step {
    const TYPE: Type = Type::Either(&[Type::Text, Type::Options(Sent::OPTIONS)]);
}

impl FromValue for Step {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        let usage = |message: String| ScriptError::usage(format!("{what}: {message}"));
        if let Some(text) = value.read_lock::<ImmutableString>() {
            return Ok(Self(Said { after: Duration::ZERO, what: What::Text(text.to_string()) }));
        }
        kinds::literal(Self::TYPE, value, what)?;
        let mut told = Sent::read(&Opts::described(what, value, Sent::OPTIONS)?)?;
        // `json: ()` is the JSON value null.
        told.json = value.read_lock::<Map>().and_then(|map| map.get("json").cloned());
        let sent = match (told.text, told.json, told.base64) {
            (Some(text), None, None) => What::Text(text),
            (None, Some(json), None) => What::Json(
                to_json(&json).map_err(|e| usage(format!("option `json`: cannot become JSON: {e}")))?,
            ),
            (None, None, Some(text)) => What::Binary(
                BASE64_STANDARD
                    .decode(text.trim())
                    .map_err(|e| usage(format!("option `base64`: {text:?} is not Base64: {e}")))?,
            ),
            _ => return Err(usage("a message has one of `text`, `json` and `base64`".to_owned()).into()),
        };
        Ok(Self(Said { after: told.after, what: sent }))
    }
}

#[derive(Clone, Debug)]
struct Close(Said);

impl Typed for Close {
    const TYPE: Type = Type::Either(&[Type::Int(1000, 4999), Ending::TYPE, Type::Options(Closed::OPTIONS)]);
}

impl FromValue for Close {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kinds::literal(Self::TYPE, value, what)?;
        let code = |code: i64| u16::try_from(code).unwrap_or_default();
        let (after, what) = if let Ok(number) = value.as_int() {
            (Duration::ZERO, What::Close { code: code(number), reason: String::new() })
        } else if value.is_string() {
            let ending = match Ending::from_value(value, what)? {
                Ending::Cut => What::Cut,
                Ending::Reset => What::Reset,
            };
            (Duration::ZERO, ending)
        } else {
            let told = Closed::read(&Opts::described(what, value, Closed::OPTIONS)?)?;
            let reason = told.reason.unwrap_or_default();
            (told.after, What::Close { code: code(told.code.0), reason })
        };
        Ok(Self(Said { after, what }))
    }
}

/// Which messages a reply is for.
#[derive(Clone, Debug)]
struct When(mock::When);

impl Typed for When {
    const TYPE: Type = Type::Either(&[Type::Text, Type::Options(Heard::OPTIONS)]);
}

impl FromValue for When {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        let usage = |message: String| ScriptError::usage(format!("{what}: {message}"));
        if let Some(text) = value.read_lock::<ImmutableString>() {
            let parts: Vec<String> = text.split('*').map(regex::escape).collect();
            let matches = Some(format!("(?s)^{}$", parts.join(".*")));
            return Ok(Self(mock::When { matches, ..mock::When::default() }));
        }
        kinds::literal(Self::TYPE, value, what)?;
        let heard = Heard::read(&Opts::described(what, value, Heard::OPTIONS)?)?;
        let json = heard.json.as_ref().map(to_json).transpose();
        let json = json.map_err(|e| usage(format!("option `json`: cannot become JSON: {e}")))?;
        let matches = heard.matches.map(|regex| regex.as_str().to_owned());
        Ok(Self(mock::When { json, contains: heard.contains, matches, ..mock::When::default() }))
    }
}

#[derive(Clone, Debug)]
struct Answer(Reply);

impl Typed for Answer {
    const TYPE: Type = Type::Options(Replied::OPTIONS);
}

impl FromValue for Answer {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        kinds::literal(Self::TYPE, value, what)?;
        let told = Replied::read(&Opts::described(what, value, Replied::OPTIONS)?)?;
        Ok(Self(Reply {
            when: told.when.map(|when| when.0).unwrap_or_default(),
            times: told.times.map(Count::count),
            said: steps(told.send, told.close),
        }))
    }
}
