//! A text of ours as it is written: without secrets, and without anything that would order a terminal about.

use crate::secret;
use crate::words;

/// A colour of ours in a text that is to be written: its code stands between these two, which are no characters.
pub(super) const COLOR: char = '\u{fdd0}';
pub(super) const COLOR_END: char = '\u{fdd1}';

/// A text of ours as it is written: without secrets, and without anything that would order the reader's terminal about.
/// All that bgjobs says passes here, so that nobody has to think of it who words a message. Colours of others are left
/// out; other control characters, and what turns the direction of writing round, are U+FFFD.
pub(super) fn said(text: &str) -> String {
    sanitize(&secret::mask(text))
}

pub(super) fn sanitize(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c == COLOR
            && let Some((code, after)) = color(after, COLOR_END)
        {
            shown.extend(["\x1b[", code, "m"]);
            rest = after;
        } else if c == '\x1b'
            && let Some((_, after)) = after.strip_prefix('[').and_then(|code| color(code, 'm'))
        {
            rest = after;
        } else {
            shown.push(if is_order(c) { '\u{fffd}' } else { c });
            rest = after;
        }
    }
    shown
}

/// The code of a colour, which ends with `end`, and what follows it.
fn color(text: &str, end: char) -> Option<(&str, &str)> {
    let length = text.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'))?;
    Some((&text[..length], text[length..].strip_prefix(end)?))
}

/// Whether a terminal would do something else than show it, or we take it for the beginning or end of a colour.
pub(super) fn is_order(c: char) -> bool {
    words::is_order(c) || matches!(c, COLOR | COLOR_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_orders_a_terminal_about_but_our_own_colours() {
        let ours = format!("{COLOR}1;31{COLOR_END}error:{COLOR}0{COLOR_END}");
        let cases = [
            ("a\x1b[2Jb\tc\n", "a\u{fffd}[2Jb\tc\n"),
            ("\x1b[1;31mred\x1b[0m\x1b[m", "red"),
            ("\x1b[31", "\u{fffd}[31"),
            ("\u{202e}txt\u{2066}\u{9b}31m\u{7f}\r", "\u{fffd}txt\u{fffd}\u{fffd}31m\u{fffd}\u{fffd}"),
            ("für 😀 👨\u{200d}👩 שלום", "für 😀 👨\u{200d}👩 שלום"),
            (&ours, "\x1b[1;31merror:\x1b[0m"),
            ("\u{fdd0}2J\u{fdd1}", "\u{fffd}2J\u{fffd}"),
        ];
        for (text, shown) in cases {
            assert_eq!(sanitize(text), shown, "{text:?}");
        }
    }
}
