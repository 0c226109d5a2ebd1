//! Which requests are meant, as scripts say it: of an answer, and of what is asked of the record.

use crate::api::Type;
use crate::host::value::Opts;
use crate::host::value::describe::options;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::json::to_json;
use crate::host::value::kinds::{FromValue, MapOf, Typed, Word};
use crate::mock;
use regex::Regex;
use rhai::Dynamic;

options! {
    /// What a request must be like.
    pub struct Matching {
        /// What its query must have; in a value, `*` stands for anything.
        query: Option<MapOf<Word>>, also params;
        /// What its headers must be; `*` as in `query`.
        headers: Option<MapOf<Word>>, also header;
        /// What the form in its body must have; `*` as in `query`.
        form: Option<MapOf<Word>>;
        /// A subset of its body, which is JSON.
        json: Option<Dynamic>, also data;
        /// Must be in its body.
        contains: Option<String>, also body;
        /// Must match in its body.
        matches: Option<Regex>;
    }
}

/// The option `when` of an answer.
#[derive(Clone, Debug, Default)]
pub struct When(pub mock::When);

impl Typed for When {
    const TYPE: Type = Type::Options(Matching::OPTIONS);
}

impl FromValue for When {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        Matching::read(&Opts::described(what, value, Matching::OPTIONS)?)?.condition(what).map(Self)
    }
}

impl Matching {
    pub fn condition(self, what: &str) -> Fallible<mock::When> {
        let pairs = |map: Option<MapOf<Word>>| {
            let pairs = map.map_or_else(Vec::new, |map| map.0);
            pairs.into_iter().map(|(name, Word(text))| (name, text)).collect()
        };
        let json = self
            .json
            .as_ref()
            .map(to_json)
            .transpose()
            .map_err(|e| ScriptError::usage(format!("{what}: option `json`: cannot become JSON: {e}")))?;
        Ok(mock::When {
            query: pairs(self.query),
            headers: pairs(self.headers),
            form: pairs(self.form),
            json,
            contains: self.contains,
            matches: self.matches.map(|regex| regex.as_str().to_owned()),
        })
    }
}
