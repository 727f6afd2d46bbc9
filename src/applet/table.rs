//! Tables of text.

use std::fmt::Write;

use crate::escape;

/// Cells of one line.
pub(super) type Row = Vec<String>;

/// Widest column, in characters: that of a path. A capture may hold a longer word than a format
/// takes.
const MAX_WIDTH: usize = 4096;

/// Returns the lines of a table. Each column is as wide as its widest cell; lines have no trailing
/// spaces.
pub(super) fn table(indent: &str, rows: &[Row]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count()).min(MAX_WIDTH);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        // Modaliases and names come from devices.
        text.push_str(&escape::line(line.trim_end()));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_of_any_length() {
        let row = |cell: &str| vec![cell.to_owned(), "end".to_owned()];
        let text = table("", &[row(&"x".repeat(70_000)), row("y")]);
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [70_000 + 5, MAX_WIDTH + 5]);
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [vec!["a", "bbb", "c d"], vec!["äöü", "b", ""], vec!["x"]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect::<Row>());
        assert_eq!(table("", &rows), "a    bbb  c d\näöü  b\nx\n");
    }
}
