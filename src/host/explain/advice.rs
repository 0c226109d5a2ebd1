//! What is wrong with a text and the next edit; and the place that this is about.

use super::scan::{declarations, is_word};
use rhai::Position;

/// What is wrong, and the next edit where one is clear.
#[derive(Debug, Default)]
pub struct Advice {
    pub message: String,
    pub hint: Option<String>,
    pub note: Option<String>,
    /// Where it is, when that is not where rhai noticed it.
    pub at: Option<Position>,
}

impl Advice {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub(super) fn at(mut self, position: Position) -> Self {
        self.at = Some(position);
        self
    }
}

/// The source around the place of an error.
pub(super) struct Here<'a> {
    pub(super) source: &'a str,
    pub(super) position: Position,
    /// The line up to the place.
    pub(super) before: &'a str,
    /// The line from the place on.
    pub(super) rest: &'a str,
}

impl<'a> Here<'a> {
    pub(super) fn new(source: &'a str, position: Position) -> Self {
        let line = position.line().and_then(|n| source.lines().nth(n - 1)).unwrap_or_default();
        let column = position.position().unwrap_or(1).saturating_sub(1);
        let split = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        let (before, rest) = line.split_at(split);
        Self { source, position, before, rest }
    }

    pub(super) fn line(&self) -> String {
        format!("{}{}", self.before, self.rest)
    }

    /// What follows a word that stands at the place.
    pub(super) fn after(&self, word: &str) -> &'a str {
        self.rest.strip_prefix(word).unwrap_or(self.rest)
    }

    /// The first word of the rest.
    pub(super) fn word(&self) -> &'a str {
        let end = self.rest.find(|c: char| !is_word(c)).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    /// Whether a statement begins at the place.
    pub(super) fn starts_statement(&self) -> bool {
        let before = self.before.trim_end();
        before.is_empty() || before.ends_with([';', '{', '}'])
    }

    /// The line in which a name is declared, wherever that is.
    pub(super) fn declared(&self, name: &str) -> Option<usize> {
        declarations(self.source).into_iter().find(|one| one.name == name).map(|one| one.line)
    }
}
