//! Colour or none.

use super::said::{COLOR, COLOR_END};
use crate::cli::Color;
use std::io::IsTerminal;

/// Colour or none: decided once.
#[derive(Clone, Copy)]
pub struct Style {
    color: bool,
    is_terminal: bool,
}

impl Style {
    /// The option first, then NO_COLOR and FORCE_COLOR (not empty), then whether stderr is a terminal.
    pub fn choose(option: Color) -> Self {
        Self::for_stream(option, std::io::stderr().is_terminal())
    }

    /// The same for what goes to stdout.
    pub fn choose_for_stdout(option: Color) -> Self {
        Self::for_stream(option, std::io::stdout().is_terminal())
    }

    fn for_stream(option: Color, is_terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let color = match option {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if set("NO_COLOR") => false,
            Color::Auto if set("FORCE_COLOR") => true,
            Color::Auto => is_terminal,
        };
        Self { color, is_terminal }
    }

    /// Whether what it is for goes to a terminal.
    pub fn is_terminal(self) -> bool {
        self.is_terminal
    }

    /// For what another program reads.
    pub(super) fn never() -> Self {
        Self { color: false, is_terminal: false }
    }

    pub fn has_color(self) -> bool {
        self.color
    }

    /// For what is written without passing through `said`.
    pub(super) fn escaped(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    #[cfg(test)]
    pub(super) fn colored() -> Self {
        Self { color: true, is_terminal: false }
    }

    /// Only what says it becomes an escape sequence, when it is written.
    pub fn paint(self, code: &str, text: &str) -> String {
        if self.color {
            format!("{COLOR}{code}{COLOR_END}{text}{COLOR}0{COLOR_END}")
        } else {
            text.to_owned()
        }
    }

    pub fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub fn good(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    pub fn note(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub fn warning(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
}
