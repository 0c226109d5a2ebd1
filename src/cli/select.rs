//! The options that say which tests of a script run, and what with their snapshots.

use crate::select::Select;
use clap::Args;
use regex::Regex;

#[derive(Args)]
pub(super) struct SelectArgs {
    /// Only tests whose name this matches, as `path › group › test`; the others are skipped
    #[arg(short = 'E', long = "select", value_parser = regex, value_name = "REGEX")]
    select: Option<Regex>,
    /// Only tests that have this tag, or another one that is given
    #[arg(long = "tag", value_name = "NAME")]
    tags: Vec<String>,
    /// Write the snapshots of assert_snapshot anew, and remove those that nothing asks for
    #[arg(long)]
    pub update: bool,
}

impl From<SelectArgs> for Select {
    fn from(given: SelectArgs) -> Self {
        Self { test: given.select, tags: given.tags }
    }
}

/// A pattern, or what is wrong with it.
pub(super) fn regex(text: &str) -> Result<Regex, String> {
    // The library draws the pattern with a mark below it; its last line says what is wrong.
    let why = |error: &regex::Error| {
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    };
    Regex::new(text).map_err(|error| why(&error))
}
