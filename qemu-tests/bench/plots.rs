//! `make bench`: the table and the charts of the results in out/bench.
//!
//! Each out/bench/PART.json becomes charts beside it: PART-WHAT.svg with bars, PART-GROUP.svg with
//! lines for a series. With `BENCH_QUICK` the table is not printed, because few runs do not make
//! one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::compared::is_quick;
use harness::plot;
use harness::results::{Part, Row};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn main() {
    let dir = harness::results::dir();
    if !dir.exists() {
        return;
    }
    let mut files = harness::tool::files(&dir);
    files.retain(|file| file.extension().is_some_and(|suffix| suffix == "json"));
    for file in files {
        let part = Part::read(&file);
        draw(&part, &dir);
        if !is_quick() {
            table(&part);
        }
    }
}

/// Writes the charts of a part.
fn draw(part: &Part, dir: &Path) {
    let mut charts: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in &part.rows {
        let of = if row.at.is_some() { &row.group } else { &row.what };
        charts.entry(of.clone()).or_default().push(row.clone());
    }
    for (name, rows) in charts {
        let svg = match name.split_once(", by ") {
            Some((_, work)) if rows[0].at.is_some() => {
                // One chart shows one measurement.
                let what = rows[0].what.clone();
                let rows: Vec<Row> = rows.into_iter().filter(|row| row.what == what).collect();
                plot::lines(&format!("{name}: {what}"), work, &rows)
            }
            _ => plot::bars(&format!("{}: {name}", part.name), &rows),
        };
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let path = dir.join(format!("{}-{name}.svg", part.name));
        fs::write(&path, svg).unwrap();
        println!("{}", path.display());
    }
}

/// Prints a part as a table of Markdown: medians with spread and number of runs, and what part of
/// each program's median that of the first program of the group is.
fn table(part: &Part) {
    println!("\n## {}\n", part.name);
    for (program, version) in &part.versions {
        println!("{program}: {version}");
    }
    println!("\n| work | program | measurement | least, median, most | runs | ours |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in &part.rows {
        let same =
            |other: &&Row| (&other.group, &other.what, other.at) == (&row.group, &row.what, row.at);
        let first = part.rows.iter().find(same).unwrap();
        let (least, median, most) = row.spread();
        let at = row.at.map_or(String::new(), |at| format!(", {at}"));
        let digits = if most < 100.0 { 2 } else { 0 };
        println!(
            "| {}{at} | {} | {} {} | {least:.digits$}, {median:.digits$}, {most:.digits$} | {} | {:.3} |",
            row.group,
            row.name,
            row.what,
            row.unit,
            row.values.len(),
            first.spread().1 / median,
        );
    }
}
