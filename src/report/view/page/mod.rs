//! The page about one boot: one file without any other, and its chart alone.
//!
//! The page is complete without its script: each load has a tooltip and leads to its line in the
//! table of modules. The script adds details, zoom and search. It reads the page and contains no
//! text of a record. The page's own policy forbids any other script, and all connections.

mod chart;
mod details;
mod labels;
mod sections;

use std::collections::HashSet;

use super::markup::Markup;
use super::table::verdict;
use super::units::duration;
use crate::report::critical_path::CriticalPath;
use crate::report::saved::SavedRecord;

/// The script of the page.
const SCRIPT: &str = include_str!("page.js");
/// SHA-256 of [`SCRIPT`] in base64, which lets the browser run it; a test checks it.
const SCRIPT_HASH: &str = "pSKdnGjF0tVh1prWQg1kWf76IP8s1IEUtVeeqZeHWiM=";

/// Returns the chart of a boot as an SVG document.
pub(crate) fn chart(record: &SavedRecord) -> String {
    chart::document(record, &CriticalPath::of(record)) + "\n"
}

/// Returns the page about a boot.
pub(crate) fn page(record: &SavedRecord) -> String {
    let path = CriticalPath::of(record);
    let mut page = Markup::default();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n");
    head(record, &mut page);
    page.raw("<body>\n");
    sections::summary(record, &mut page);
    let drawn = chart_section(record, &path, &mut page);
    sections::critical(record, &path, &mut page);
    sections::modules(record, &path, &drawn, &mut page);
    sections::notes(record, &mut page);
    page.raw("<script>");
    page.raw(SCRIPT);
    page.raw("</script>\n</body>\n</html>\n");
    page.finish()
}

fn head(record: &SavedRecord, page: &mut Markup) {
    let policy =
        format!("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_HASH}'");
    page.raw("<head>\n<meta charset=\"utf-8\">\n");
    page.open("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy)]);
    page.raw("\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    let title = format!("Boot of {}: {}", record.kernel, verdict(record));
    page.element("title", &[], &title);
    page.raw("\n<style>\n");
    page.raw(include_str!("page.css"));
    page.raw(include_str!("chart.css"));
    page.raw("</style>\n</head>\n");
}

/// Adds the chart with its controls, its legend and the place for details. Returns the places
/// of the modules that have a bar in a lane.
fn chart_section(record: &SavedRecord, path: &CriticalPath, page: &mut Markup) -> HashSet<usize> {
    let chart = chart::draw(record, path, true);
    let (width, height) = (chart::NAMES_WIDTH.to_string(), chart.height.to_string());
    page.raw("<section aria-labelledby=\"h-chart\">\n<h2 id=\"h-chart\">Chart</h2>\n");
    page.raw(include_str!("controls.html"));
    page.raw("<div class=\"chart\">\n");
    page.open("svg", &[("class", "names"), ("width", &width), ("height", &height)]);
    page.part(&chart.names);
    page.raw(
        "</svg>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"boot chart\">",
    );
    page.open("svg", &[("class", "plot"), ("width", "100%"), ("height", &height)]);
    page.part(&chart.plot);
    page.raw("</svg></div>\n</div>\n");
    legend(page);
    let (notes, left_out) = (&mut Markup::default(), chart.left_out);
    if chart.is_by_time {
        notes.raw(
            "Lanes are by time, not by thread: the record does not name the threads, or there are \
             many. In a lane the next load follows once the module before is live. ",
        );
    }
    if left_out > 0 {
        notes.text(&format!(
            "{left_out} loads are only in the table: they began after the verdict, or there are \
             too many lanes."
        ));
    }
    page.raw("<p class=\"note\">");
    page.part(notes);
    page.raw("</p>\n");
    page.raw("<div id=\"details\" hidden aria-live=\"polite\"></div>\n</section>\n");
    chart.drawn
}

fn legend(page: &mut Markup) {
    page.raw("<ul class=\"legend chart\">");
    for (class, words) in chart::LEGEND {
        page.raw("<li><svg width=\"26\" height=\"18\" aria-hidden=\"true\">");
        chart::swatch(page, class, 2.0, 2);
        page.raw("</svg> ");
        page.text(words);
        page.raw("</li>");
    }
    page.raw("</ul>\n");
}

/// Returns the time of a boot, for the headline.
fn total(record: &SavedRecord) -> String {
    duration(record.boot.len_us())
}

#[cfg(test)]
mod tests;
