//! Charts of benchmarks as SVG: bars of programs that did the same work, and lines of series that
//! grow.
//!
//! Written here because the colours follow the reader's scheme, by a style sheet in the file, which
//! libraries for charts do not do. The colours are those of Okabe and Ito, which colour-blind
//! readers can tell apart; lines differ in their dashes as well.

use crate::results::Row;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
/// Height of a line of text, which is 12 px high.
const LINE: f64 = 18.0;
/// Where bars begin; names are to the left.
const LEFT: f64 = 150.0;
/// Room for the figures to the right of the bars.
const RIGHT: f64 = 210.0;
const HEIGHT: f64 = 380.0;

const STYLE: &str = "<style>\
text{font:12px sans-serif;fill:#1a1a1a}.t{font-size:15px;font-weight:bold}.g{font-weight:bold}\
.bg{fill:#fff}.axis{stroke:#888;fill:none}.w{stroke:#1a1a1a}\
.f0{fill:#0072b2}.f1{fill:#d55e00}.f2{fill:#009e73}.f3{fill:#cc79a7}.f4{fill:#e69f00}.f5{fill:#56b4e9}\
.l0{stroke:#0072b2}.l1{stroke:#d55e00;stroke-dasharray:8 4}.l2{stroke:#009e73;stroke-dasharray:2 3}\
.l3{stroke:#cc79a7;stroke-dasharray:8 3 2 3}.l4{stroke:#e69f00}.l5{stroke:#56b4e9}\
polyline{fill:none;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#e6e6e6}.bg{fill:#16181c}.w{stroke:#e6e6e6}\
.f0{fill:#56b4e9}.l0{stroke:#56b4e9}.f5{fill:#0072b2}.l5{stroke:#0072b2}}\
</style>";

/// Returns a chart with a group of bars for each group of `rows`: one bar per program, its length
/// the median, with a line from the least to the most. Bars of one group are to scale.
pub fn bars(title: &str, rows: &[Row]) -> String {
    let mut body = String::new();
    let mut y = 54.0;
    let names = distinct(rows, |row| &row.name);
    for group in distinct(rows, |row| &row.group) {
        let of_group: Vec<&Row> = rows.iter().filter(|row| row.group == group).collect();
        let most = of_group.iter().map(|row| row.spread().2).fold(f64::MIN_POSITIVE, f64::max);
        text(&mut body, 10.0, y, "g", &group);
        y += LINE;
        for row in of_group {
            let colour = names.iter().position(|name| *name == row.name).unwrap_or_default() % 6;
            bar(&mut body, y, row, colour, (WIDTH - LEFT - RIGHT) / most);
            y += LINE;
        }
        y += LINE / 2.0;
    }
    document(title, y, &body)
}

/// Adds one bar, whose length is `scale` px for each unit.
fn bar(body: &mut String, y: f64, row: &Row, colour: usize, scale: f64) {
    let (least, median, most) = row.spread();
    let [left, length, right] = [least, median, most].map(|value| value * scale);
    text(body, 20.0, y, "", &row.name);
    let top = y - 11.0;
    let _ = write!(
        body,
        "<rect class=\"f{colour}\" x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"13\"/>\
         <line class=\"w\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{}\" y2=\"{}\"/>",
        LEFT + left,
        LEFT + right,
        y - 4.5,
        y - 4.5,
    );
    let spread = if row.values.len() > 1 {
        format!(" ({} to {})", short(least), short(most))
    } else {
        String::new()
    };
    let figures = format!("{} {}{spread}", short(median), row.unit);
    text(body, LEFT + right.max(length) + 8.0, y, "", &figures);
}

/// Returns a chart with a line for each program of `rows`, which have the size of the work in `at`.
/// Both axes begin at 0.
pub fn lines(title: &str, x_name: &str, rows: &[Row]) -> String {
    let at = |row: &Row| row.at.unwrap_or_default();
    let most_x = rows.iter().map(at).fold(1.0, f64::max);
    let most_y = rows.iter().map(|row| row.spread().1).fold(f64::MIN_POSITIVE, f64::max);
    let (step_x, step_y) = (step(most_x), step(most_y));
    let (end_x, end_y) = ((most_x / step_x).ceil() * step_x, (most_y / step_y).ceil() * step_y);
    let x = |value: f64| 70.0 + value / end_x * (WIDTH - 250.0);
    let y = |value: f64| HEIGHT - 50.0 - value / end_y * (HEIGHT - 110.0);
    let mut body = String::new();
    let _ = write!(
        body,
        "<path class=\"axis\" d=\"M{:.1} {:.1}V{:.1}H{:.1}\"/>",
        x(0.0),
        y(end_y),
        y(0.0),
        x(end_x)
    );
    let unit = rows.first().map_or("", |row| row.unit);
    let mut tick = 0.0;
    while tick <= end_y * 1.001 {
        text(&mut body, 10.0, y(tick) + 4.0, "", &short(tick));
        let _ = write!(body, "<path class=\"axis\" d=\"M{:.1} {:.1}h-5\"/>", x(0.0), y(tick));
        tick += step_y;
    }
    tick = 0.0;
    while tick <= end_x * 1.001 {
        text(&mut body, x(tick) - 12.0, y(0.0) + 18.0, "", &short(tick));
        let _ = write!(body, "<path class=\"axis\" d=\"M{:.1} {:.1}v5\"/>", x(tick), y(0.0));
        tick += step_x;
    }
    text(&mut body, 10.0, 50.0, "", unit);
    text(&mut body, x(end_x / 2.0), HEIGHT - 10.0, "", x_name);
    let mut labels: Vec<(f64, String)> = Vec::new();
    for (number, name) in distinct(rows, |row| &row.name).iter().enumerate() {
        let mut of_name: Vec<&Row> = rows.iter().filter(|row| row.name == *name).collect();
        of_name.sort_by(|a, b| at(a).total_cmp(&at(b)));
        let colour = number % 6;
        let points: Vec<(f64, f64)> =
            of_name.iter().map(|row| (x(at(row)), y(row.spread().1))).collect();
        let list: String = points.iter().map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
        let _ = write!(body, "<polyline class=\"l{colour}\" points=\"{list}\"/>");
        for (x, y) in &points {
            let _ =
                write!(body, "<circle class=\"f{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>");
        }
        let value = of_name.last().map_or(0.0, |row| row.spread().1);
        let end = points.last().map_or(60.0, |(_, y)| *y);
        labels.push((end, format!("{name}: {}", short(value))));
    }
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut last = 0.0;
    for (end, label) in labels {
        last = end.max(last + LINE);
        text(&mut body, x(end_x) + 10.0, last + 4.0, "", &label);
    }
    document(title, HEIGHT, &body)
}

/// Returns the names in the order in which they first appear.
fn distinct(rows: &[Row], name: impl Fn(&Row) -> &String) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for row in rows {
        if !all.contains(name(row)) {
            all.push(name(row).clone());
        }
    }
    all
}

/// Returns a round distance of ticks, of which 3 to 6 make `most`.
fn step(most: f64) -> f64 {
    let ten = 10_f64.powf((most / 3.0).log10().floor());
    let fits = [5.0, 2.0, 1.0].into_iter().find(|factor| most / (factor * ten) >= 3.0);
    fits.unwrap_or(1.0) * ten
}

/// Returns a number with three digits or more, large ones with a suffix.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{:.2} G", v / 1e9),
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e3 || (v.fract() == 0.0 && v >= 10.0) || v == 0.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn text(body: &mut String, x: f64, y: f64, class: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{content}</text>");
}

fn document(title: &str, height: f64, body: &str) -> String {
    let mut head = String::new();
    text(&mut head, 10.0, 26.0, "t", title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
         <title>{}</title>{STYLE}\n<rect class=\"bg\" width=\"100%\" height=\"100%\"/>{head}{body}</svg>\n",
        title.replace('&', "&amp;").replace('<', "&lt;"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(group: &str, name: &str, at: Option<f64>, values: &[f64]) -> Row {
        let (group, name) = (group.to_owned(), name.to_owned());
        Row { group, name, unit: "ms", at, values: values.to_vec(), ..Row::default() }
    }

    #[test]
    fn a_bar_is_as_long_as_its_median() {
        let rows = [row("a & b", "x", None, &[1.0, 2.0, 4.0]), row("a & b", "y", None, &[4.0])];
        let svg = bars("title", &rows);
        let whole = WIDTH - LEFT - RIGHT;
        assert!(svg.contains(&format!("width=\"{:.1}\"", whole / 2.0)), "{svg}");
        assert!(svg.contains(&format!("width=\"{whole:.1}\"")), "{svg}");
        assert!(svg.contains("a &amp; b") && svg.contains("2.00 ms (1.00 to 4.00)"), "{svg}");
    }

    #[test]
    fn a_line_has_a_point_for_each_size() {
        let rows: Vec<Row> =
            [(100.0, 1.0), (200.0, 3.0)].map(|(at, v)| row("g", "x", Some(at), &[v])).to_vec();
        let svg = lines("title", "modules", &rows);
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        assert!(svg.contains("x: 3.00") && svg.contains(">modules<"), "{svg}");
    }

    #[test]
    fn ticks_are_round() {
        for (most, want) in [(8000.0, 2000.0), (300.0, 100.0), (0.9, 0.2), (5.0, 1.0)] {
            assert!((step(most) - want).abs() < want / 1e6, "{most}: {}", step(most));
        }
    }
}
