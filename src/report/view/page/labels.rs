//! Places for the labels of a chart, so that none covers another one.
//!
//! Places are computed for a plot of [`PLOT_WIDTH`]. A wider plot only moves labels further apart.

/// Narrowest plot in px.
pub(super) const PLOT_WIDTH: f64 = 900.0;

/// Distance of a label from its place, and least distance between two labels, in px.
const GAP: f64 = 5.0;

/// Place of a label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of its line, from 0.
    pub(super) row: usize,
    /// Whether the label ends at its place instead of beginning there.
    pub(super) ends: bool,
}

/// Returns the width in px that a text of 12 px has at most in usual fonts.
pub(super) fn width(text: &str) -> f64 {
    let wide = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ' ' | '/' => 5.0,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 12.5,
        'A'..='Z' => 9.5,
        c if c.is_ascii() => 7.9,
        _ => 13.0,
    };
    text.chars().map(wide).sum()
}

/// Returns whether a text fits into a bar of this part of the plot.
pub(super) fn fits(text: &str, part: f64) -> bool {
    width(text) + 2.0 * GAP <= part * PLOT_WIDTH
}

/// Returns a place for each label, which is given by its place in the plot (0 to 1) and its text.
pub(super) fn stack(labels: &[(f64, &str)]) -> Vec<Place> {
    let mut places = vec![Place::default(); labels.len()];
    let span = |(at, text): &(f64, &str), ends: bool| {
        let (x, width) = (at * PLOT_WIDTH, width(text));
        if ends { (x - GAP - width, x - GAP) } else { (x + GAP, x + GAP + width) }
    };
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|a, b| labels[*a].0.total_cmp(&labels[*b].0));
    let is_end = |at: &usize| span(&labels[*at], false).1 > PLOT_WIDTH;
    // In these orders the line that leads down to a label passes no other label.
    let ends = order.iter().copied().filter(is_end);
    let begins = order.iter().rev().copied().filter(|at| !is_end(at));
    let mut rows: Vec<Vec<(f64, f64)>> = Vec::new();
    for at in ends.chain(begins) {
        let ends = is_end(&at);
        let (from, to) = span(&labels[at], ends);
        let is_free =
            |row: &Vec<(f64, f64)>| row.iter().all(|(a, b)| to + GAP < *a || *b + GAP < from);
        let row = rows.iter().position(is_free).unwrap_or_else(|| {
            rows.push(Vec::new());
            rows.len() - 1
        });
        rows[row].push((from, to));
        places[at] = Place { row, ends };
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_cover_each_other() {
        let rows = |labels: &[(f64, &str)]| {
            let word =
                |place: &Place| format!("{}{}", place.row, if place.ends { "<" } else { ">" });
            stack(labels).iter().map(word).collect::<Vec<_>>().join(" ")
        };
        for (labels, want) in [
            (&[][..], ""),
            (&[(0.0, "a"), (0.5, "b")], "0> 0>"),
            (&[(0.0, "mounts"), (0.001, "scan"), (0.5, "c")], "1> 0> 0>"),
            (&[(0.998, "close"), (1.0, "switch")], "0< 1<"),
            (&[(0.99, "a long label at the end")], "0<"),
        ] {
            assert_eq!(rows(labels), want, "{labels:?}");
        }
    }
}
