//! The option `stream` of an answer: its pieces as scripts write them.

use crate::api::Type;
use crate::host::value::Opts;
use crate::host::value::describe::{options, words};
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::json::to_json;
use crate::host::value::kinds::{self, FromValue, Typed, Word};
use crate::mock::{self, Event, Sent};
use rhai::{Dynamic, ImmutableString};
use std::time::Duration;

options! {
    /// What a piece can be told.
    struct Told {
        /// The data of an event: a text as it is, anything else as JSON.
        data: Option<Dynamic>, also json message text;
        /// The name of the event.
        event: Option<String>, also name type;
        /// Its id, which a client sends as `last-event-id` when it comes again.
        id: Option<Word>;
        /// After what time a client shall come again.
        retry: Option<Duration>, also reconnect;
        /// A comment, which clients read over.
        comment: Option<String>, also ping keepalive;
        /// A part of the body as it is, in place of an event.
        chunk: Option<String>, also raw body;
        /// How long after the piece before.
        after: Duration = "0s", also delay wait sleep;
    }
}

words! {
    /// What follows the last piece.
    pub enum Then { End = "end", Stay = "stay", Cut = "cut", Reset = "reset" }
}

impl From<Then> for mock::Then {
    fn from(then: Then) -> Self {
        match then {
            Then::End => Self::End,
            Then::Stay => Self::Stay,
            Then::Cut => Self::Cut,
            Then::Reset => Self::Reset,
        }
    }
}

/// A piece of a stream: a text, or a map.
#[derive(Clone, Debug)]
pub struct Piece(pub mock::Piece);

impl Typed for Piece {
    const TYPE: Type = Type::Either(&[Type::Text, Type::Options(Told::OPTIONS)]);
}

impl FromValue for Piece {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        let event = |event: Event, after| Ok(Self(mock::Piece { after, sent: Sent::Event(event) }));
        if let Some(text) = value.read_lock::<ImmutableString>() {
            return event(Event { data: Some(text.as_str().into()), ..Event::default() }, Duration::ZERO);
        }
        kinds::literal(Self::TYPE, value, what)?;
        let told = Told::read(&Opts::described(what, value, Told::OPTIONS)?)?;
        let usage = |message: String| ScriptError::usage(format!("{what}: {message}"));
        let data = told.data.as_ref().map(to_json).transpose();
        let data = data.map_err(|e| usage(format!("option `data`: cannot become JSON: {e}")))?;
        let Told { event: name, id, retry, comment, chunk, after, .. } = told;
        let said = Event { event: name, data, id: id.map(|Word(id)| id), retry, comment };
        match chunk {
            None => event(said, after),
            Some(_) if said != Event::default() => {
                Err(usage("a `chunk` is sent as it is: it is not part of an event".to_owned()).into())
            }
            Some(chunk) => Ok(Self(mock::Piece { after, sent: Sent::Chunk(chunk) })),
        }
    }
}
