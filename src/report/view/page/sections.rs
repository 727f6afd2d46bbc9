//! The parts of the page around the chart.

use std::collections::HashSet;

use super::total;
use crate::report::critical_path::{CriticalPath, Work};
use crate::report::saved::{SavedModule, SavedRecord};
use crate::report::view::critical::step_words;
use crate::report::view::markup::Markup;
use crate::report::view::table::deferred;
use crate::report::view::units::{duration, in_one_line, millis, size};

/// Adds the headline and the facts of the boot.
pub(super) fn summary(record: &SavedRecord, page: &mut Markup) {
    let verdict = record.verdict.as_deref().unwrap_or("no verdict");
    page.raw("<header>\n");
    page.element("h1", &[], &format!("Boot: {} in {}", in_one_line(verdict), total(record)));
    page.raw("\n<dl class=\"facts\">");
    for (what, value) in facts(record) {
        page.raw("<div>");
        page.element("dt", &[], &what);
        page.element("dd", &[], &in_one_line(&value));
        page.raw("</div>");
    }
    page.raw("</dl>\n</header>\n");
}

fn facts(record: &SavedRecord) -> Vec<(String, String)> {
    let modules = record.modules.iter();
    let live = modules.clone().filter(|module| module.is_live()).count();
    let failed = modules.filter(|module| module.outcome == "failed").count();
    let mut facts = vec![
        ("kernel".to_owned(), record.kernel.clone()),
        ("root".to_owned(), record.root.in_words()),
        (
            "modules".to_owned(),
            format!("{live} loaded of {}, {failed} failed", record.modules.len()),
        ),
        ("kernel before /init".to_owned(), duration(record.boot.from_us)),
    ];
    let mut add = |what: &str, value: Option<String>| {
        facts.extend(value.map(|value| (what.to_owned(), value)));
    };
    add("layers of the root", Some(record.root.layers.join(", ")).filter(|text| !text.is_empty()));
    // Loads that only wait for the kernel do not count, so the chart may show more threads.
    add("parallel loads", record.jobs.map(|jobs| format!("up to {jobs}")));
    add("switch to the root", record.switch.clone());
    add("exit status", record.exit.map(|status| status.to_string()));
    add("coldplug", Some(record.version.clone()));
    for (name, bytes) in &record.memory {
        let what = match name.as_str() {
            "init" => "peak memory of init",
            // The second name is that of version 0.1.0.
            "worker" | "loader" => "peak memory of the worker",
            "available_start" => "memory available at /init",
            "available_switch" => "memory available at the switch",
            other => other,
        };
        facts.push((what.to_owned(), size(*bytes)));
    }
    facts
}

/// Adds the critical path, and before it the path to the root if that is another one.
pub(super) fn critical(record: &SavedRecord, path: &CriticalPath, page: &mut Markup) {
    page.raw("<section aria-labelledby=\"h-path\">\n<h2 id=\"h-path\">Critical path</h2>\n");
    page.raw(
        "<p class=\"note\">What decided when the root was there and when the boot ended. \
         The steps are contiguous; times are in ms since the entry of /init.</p>\n",
    );
    if let Some(to_root) = path.to_root(record) {
        page.raw("<h3>Path to the root device</h3>\n");
        steps(record, &to_root, "entry of /init to the root device", page);
        page.raw("<h3>Path to the verdict</h3>\n");
    }
    steps(record, path, "entry of /init to the verdict", page);
    page.raw("</section>\n");
}

/// Adds the table of a path.
fn steps(record: &SavedRecord, path: &CriticalPath, sum: &str, page: &mut Markup) {
    page.raw(
        "<table>\n<thead><tr><th scope=\"col\" class=\"time\">start</th>\
         <th scope=\"col\" class=\"time\">time</th><th scope=\"col\">step</th>\
         <th scope=\"col\">waited for</th></tr></thead>\n<tbody>\n",
    );
    let mut found_us = record.root_found_us();
    for step in &path.steps {
        if let Some(us) = found_us.filter(|us| step.span.from_us >= *us) {
            root_row(record, us, page);
            found_us = None;
        }
        page.raw("<tr>");
        cell(page, "start", &millis(record.since_init_us(step.span.from_us)));
        cell(page, "time", &millis(step.span.len_us()));
        page.raw("<td class=\"wide\">");
        let words = step_words(record, step);
        match step.work {
            Work::Load(at) => page.element("a", &[("href", &format!("#m{at}"))], &words),
            Work::Own(_) => page.text(&words),
        }
        page.raw("</td>");
        page.element("td", &[("class", "wide after")], &in_one_line(&step.after));
        page.raw("</tr>\n");
    }
    page.raw("<tr>");
    cell(page, "", "sum");
    cell(page, "time", &millis(path.sum_us()));
    page.element("td", &[("class", "wide")], sum);
    page.raw("<td></td></tr>\n</tbody>\n</table>\n");
}

fn root_row(record: &SavedRecord, found_us: u64, page: &mut Markup) {
    page.raw("<tr class=\"event-row\">");
    cell(page, "at", &millis(record.since_init_us(found_us)));
    page.raw("<td></td>");
    let device = record.root.device.as_deref().unwrap_or("the root device");
    page.element("td", &[("class", "wide")], &in_one_line(&format!("{device} is there")));
    page.raw("<td></td></tr>\n");
}

/// Adds a cell with a time. Its label is shown where the table has no head.
fn cell(page: &mut Markup, label: &str, text: &str) {
    page.element("td", &[("class", "time"), ("data-label", label)], text);
}

/// Adds the table of modules, the targets of the links in the chart. `drawn` are the places of the
/// modules that have a bar in the chart.
pub(super) fn modules(
    record: &SavedRecord,
    path: &CriticalPath,
    drawn: &HashSet<usize>,
    page: &mut Markup,
) {
    page.raw("<section aria-labelledby=\"h-modules\">\n<h2 id=\"h-modules\">Modules</h2>\n");
    page.raw(
        "<table id=\"modules\">\n<thead><tr><th scope=\"col\">module</th>\
         <th scope=\"col\">outcome</th><th scope=\"col\" class=\"time\">start ms</th>\
         <th scope=\"col\" class=\"time\">time ms</th><th scope=\"col\">reason</th></tr></thead>\n\
         <tbody>\n",
    );
    for (at, module) in record.modules.iter().enumerate() {
        page.open("tr", &[("id", &format!("m{at}"))]);
        let mark = if path.has(at) { "\u{a0}\u{25c6}" } else { "" };
        // A module without a bar in the chart can be reached by keyboard here.
        let focus = if drawn.contains(&at) { "-1" } else { "0" };
        let name = format!("{}{mark}", in_one_line(&module.name));
        page.element("th", &[("scope", "row"), ("tabindex", focus)], &name);
        page.element("td", &[("class", "word")], &in_one_line(&module.outcome));
        let start = module.load.map(|load| millis(record.since_init_us(load.start_us)));
        cell(page, "start", &start.unwrap_or_else(|| "-".to_owned()));
        cell(page, "time", &module.took_us().map_or_else(|| "-".to_owned(), millis));
        page.element("td", &[("class", "wide")], &in_one_line(&reason(module)));
        page.raw("</tr>\n");
    }
    page.raw("</tbody>\n</table>\n</section>\n");
}

/// Returns why a module was wanted, with the alias and what it needs.
fn reason(module: &SavedModule) -> String {
    let mut reason = module.reason();
    if let Some(alias) = &module.alias {
        reason += &format!(", matches {alias}");
    }
    if !module.needs.is_empty() {
        reason += &format!(", needs {}", module.needs.join(", "));
    }
    reason
}

/// Adds warnings and deferred devices.
pub(super) fn notes(record: &SavedRecord, page: &mut Markup) {
    let deferred = record.deferred.iter().map(deferred);
    let lines: Vec<String> =
        record.warnings.iter().map(|warning| in_one_line(warning)).chain(deferred).collect();
    if lines.is_empty() {
        return;
    }
    page.raw(
        "<section aria-labelledby=\"h-notes\">\n<h2 id=\"h-notes\">Warnings</h2>\n\
         <ul class=\"list\">\n",
    );
    for line in lines {
        page.element("li", &[], &line);
    }
    page.raw("</ul>\n</section>\n");
}
