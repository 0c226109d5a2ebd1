//! The report of a failure: cause, place, path to it, why, the logs that matter, the next edit.

use super::style::Style;
use super::words::{clip, cut};
use crate::event::{Failure, Place};
use crate::secret;
use crate::words::width_of;
use std::fmt::Write;

/// How many lines of all logs together a failure shows.
const TAIL_LINES: usize = 20;

/// How many lines of a message a failure shows; of a note twice as many, which may show a difference.
const FEW: usize = 8;

/// The report of a failure: cause, place, path to it, why, the logs that matter, the next edit.
pub fn failure(failure: &Failure, style: Style) -> String {
    failure_headed(&style.bad("error:"), failure, style)
}

/// The same with another word at its beginning.
pub(super) fn failure_headed(word: &str, failure: &Failure, style: Style) -> String {
    let mut text = String::new();
    let message = few_lines(&failure.message, FEW, "\n  ");
    let _ = writeln!(text, "{word} {message}");
    if let Some(place) = &failure.place {
        excerpt(&mut text, place, style);
    }
    for line in &failure.trail {
        let _ = writeln!(text, "  {line}");
    }
    for note in &failure.notes {
        let _ = writeln!(text, "  {} {}", style.dim("="), few_lines(note, 2 * FEW, "\n    "));
    }
    let lengths: Vec<usize> = failure.tails.iter().map(|tail| tail.lines.len()).collect();
    for (tail, share) in failure.tails.iter().zip(shares(&lengths)) {
        let path = tail.path.as_ref().map_or_else(String::new, |path| format!(" ({path})"));
        if tail.lines.is_empty() {
            let _ = writeln!(text, "{}: empty{path}", tail.title);
            continue;
        }
        let shown = &tail.lines[tail.lines.len() - share..];
        let _ = writeln!(text, "{}{path}:", tail.title);
        for line in shown {
            let _ = writeln!(text, "  {} {}", style.dim("|"), clip(line));
        }
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "{} {}", style.good("try:"), few_lines(hint, FEW, "\n     "));
    }
    text
}

/// How many lines each tail shows. What a short one does not need goes to the others; three lines each has.
fn shares(lengths: &[usize]) -> Vec<usize> {
    const LEAST: usize = 3;
    let mut shares = vec![0; lengths.len()];
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|index| lengths[*index]);
    let mut left = TAIL_LINES;
    for (done, index) in order.into_iter().enumerate() {
        shares[index] = lengths[index].min((left / (lengths.len() - done)).max(LEAST));
        left = left.saturating_sub(shares[index]);
    }
    shares
}

/// What was thrown may be a whole log: the first lines of it, each on a line of its own after `indent`.
fn few_lines(text: &str, most: usize, indent: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // Nobody is told that one line is missing.
    let shown = if lines.len() > most + 1 { most } else { lines.len() };
    let rest = (lines.len() > shown).then(|| format!("… {} more lines", lines.len() - shown));
    let shown: Vec<String> = lines[..shown].iter().map(|line| cut(line, 500)).chain(rest).collect();
    shown.join(indent)
}

fn excerpt(text: &mut String, place: &Place, style: Style) {
    let _ = writeln!(text, "  --> {place}");
    if place.text.is_empty() {
        return;
    }
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    // The same tabs before the caret as before the text, so that both align however wide a tab is.
    let before: String = place.text.chars().take(place.column.saturating_sub(1)).collect();
    // What is masked is shorter.
    let before = secret::mask(&before);
    let space = |part: &str| " ".repeat(width_of(part));
    let before = before.split('\t').map(space).collect::<Vec<_>>().join("\t");
    let _ = writeln!(text, "{} {} {}", style.dim(&number), style.dim("|"), &place.text);
    let marked: String = place.text.chars().skip(place.column.saturating_sub(1)).take(place.width).collect();
    let caret = style.bad(&"^".repeat(width_of(&marked).max(place.width).max(1)));
    let _ = writeln!(text, "{margin} {} {before}{caret}", style.dim("|"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_share_the_room_that_there_is() {
        assert_eq!(shares(&[]), [0; 0]);
        assert_eq!(shares(&[30]), [20]);
        assert_eq!(shares(&[5, 5, 30]), [5, 5, 10]);
        assert_eq!(shares(&[30, 2, 30]), [9, 2, 9]);
        assert_eq!(shares(&[30; 10]), [3; 10]);
    }

    #[test]
    fn a_long_text_shows_its_first_lines() {
        let text = |lines: usize| (1..=lines).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(few_lines("", 8, "|"), "");
        assert_eq!(few_lines(&text(9), 8, "|"), text(9).replace('\n', "|"));
        assert_eq!(few_lines(&text(100), 2, "|"), "1|2|… 98 more lines");
        assert_eq!(few_lines(&"x".repeat(1000), 8, "|").chars().count(), 501);
    }
}
