//! Rows of cells → lines with aligned columns.

use crate::words::{columns, filled, padded, width_of};

/// Each row on a line of its own, two spaces between columns, no space at the end of a line. Where the reader has fewer
/// columns, the widest cells go on in further lines.
pub fn table(rows: &[Vec<String>]) -> String {
    table_within(rows, columns())
}

fn table_within(rows: &[Vec<String>], room: Option<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| width_of(cell)).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns).map(width).collect();
    let gaps = 2 * columns.saturating_sub(1);
    while room.is_some_and(|room| widths.iter().sum::<usize>() + gaps > room)
        && let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > NARROWEST)
    {
        *widest -= 1;
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<Vec<String>> =
            row.iter().zip(&widths).map(|(cell, width)| pieces(cell, *width)).collect();
        for number in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let piece = |cell: &Vec<String>| cell.get(number).cloned().unwrap_or_default();
            let line = cells.iter().zip(&widths).map(|(cell, width)| padded(&piece(cell), *width));
            text.push_str(line.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
    }
    text
}

/// No column becomes narrower.
const NARROWEST: usize = 6;

/// A cell in lines of at most this many columns: between words where that is possible. Its indentation stays.
fn pieces(cell: &str, width: usize) -> Vec<String> {
    if width_of(cell) <= width {
        return vec![cell.to_owned()];
    }
    let indent = " ".repeat(cell.chars().take_while(|c| *c == ' ').count());
    let room = width.saturating_sub(indent.len()).max(1);
    let mut lines = Vec::new();
    for line in filled(cell.split_whitespace(), room) {
        let letters: Vec<char> = line.chars().collect();
        let whole = |part: &[char]| format!("{indent}{}", part.iter().collect::<String>());
        lines.extend(letters.chunks(room).map(whole));
    }
    lines
}

/// A row of words that are known here.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [row(["a", "bb", "c"]), row(["äöü", "", "d"]), row(["e"])];
        assert_eq!(table_within(&rows, None), "a    bb  c\näöü      d\ne\n");
        // Each of these takes two columns.
        let rows = [row(["日本", "a"]), row(["b", "c"])];
        assert_eq!(table_within(&rows, None), "日本  a\nb     c\n");
    }

    #[test]
    fn a_table_fits_its_reader() {
        let rows = [row(["NAME", "WHAT"]), row(["first", "more words than there is room for"])];
        let text = table_within(&rows, Some(20));
        assert_eq!(text, "NAME   WHAT\nfirst  more words\n       than there is\n       room for\n");
        assert_eq!(table_within(&rows, Some(80)), table_within(&rows, None));
    }
}
