//! What a test can be told.

use crate::api::Type;
use crate::host::value::describe::options;
use crate::host::value::described::FromOpts;
use crate::host::value::error::{Fallible, ScriptError};
use crate::host::value::kinds::{FromValue, OneOrMore, Typed, Within};
use crate::host::value::read::Opts;
use rhai::Dynamic;
use std::time::Duration;

options! {
    /// What a test can be told.
    pub(super) struct TestOptions or timeout {
        /// It fails when it takes longer, with what `before_each` does for it; what it does then is ended.
        timeout: Option<Duration>;
        /// How often one that has failed is run again, with `before_each` and `after_each`; when it passes then, it
        /// has passed, and is called flaky.
        retries: Within<0, 100> = 0, also retry max_retries;
        /// What kind of test it is: `bgjobs script --tag NAME` and `bgjobs test --tag NAME` run only those with one.
        tags: Option<OneOrMore<String>>, also tag labels label marks;
        /// While one test of a script has this, the others are skipped, and the verdict says so. Written out: it is
        /// looked for before the first test runs.
        only: bool = false, also focus focused;
        /// It does not run, and counts as skipped; a string is the reason.
        skip: Option<Skip>, also disabled ignore ignored pending todo;
    }
}

/// The same, as the second argument.
#[derive(Clone, Debug)]
pub(super) struct Told(pub TestOptions);

impl Typed for Told {
    const TYPE: Type = Type::Options(TestOptions::OPTIONS);
}

impl FromValue for Told {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        TestOptions::read(&Opts::described(what, value, TestOptions::OPTIONS)?).map(Self)
    }
}

/// Why a test is not to run, if it is not.
#[derive(Clone, Debug)]
pub(super) struct Skip(pub Option<String>);

impl Typed for Skip {
    const TYPE: Type = Type::Either(&[Type::Bool, Type::Text]);
}

impl FromValue for Skip {
    fn from_value(value: &Dynamic, what: &str) -> Fallible<Self> {
        if let Ok(skip) = value.as_bool() {
            return Ok(Self(skip.then(|| "skip: true".to_owned())));
        }
        let reason = String::from_value(value, what)
            .map_err(|_| ScriptError::usage(format!("{what}: true, false or the reason was expected")))?;
        Ok(Self(Some(reason)))
    }
}

impl TestOptions {
    pub(super) fn tags(&self) -> Vec<String> {
        self.tags.clone().map_or_else(Vec::new, |tags| tags.0)
    }

    /// The reason for which it does not run.
    pub(super) fn skipped(&self) -> Option<&str> {
        self.skip.as_ref()?.0.as_deref()
    }
}
