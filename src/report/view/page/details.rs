//! Everything about one load, in words.

use crate::report::critical_path::{CriticalPath, Step, Work};
use crate::report::saved::{SavedModule, SavedRecord};
use crate::report::view::units::{duration, in_one_line, millis, size};

/// Returns what a person may want to know of the module at `at`, a fact in a line.
pub(super) fn of_module(record: &SavedRecord, path: &CriticalPath, at: usize) -> String {
    let Some(module) = record.modules.get(at) else { return String::new() };
    let mut lines = vec![headline(module)];
    lines.extend(times(record, module));
    if let Some(error) = &module.error {
        lines.push(format!("error: {error}"));
    }
    let thread = module.lane.map(|lane| format!("thread {lane}"));
    let method = module.method.as_ref().map(|method| format!("load method {method}"));
    let memory = module.size.map(|bytes| format!("{} in the kernel", size(bytes)));
    let facts: Vec<_> = [thread, method, memory].into_iter().flatten().collect();
    lines.push(facts.join(", "));
    for (what, text) in [
        ("why", Some(&module.why).filter(|why| !why.is_empty())),
        ("device", module.device.as_ref()),
        ("modalias", module.modalias.as_ref()),
        ("alias", module.alias.as_ref()),
        ("supplier of", module.supplier_of.as_ref()),
        ("options", module.options.as_ref()),
        ("file", module.path.as_ref()),
    ] {
        lines.extend(text.map(|text| format!("{what}: {text}")));
    }
    if !module.needs.is_empty() {
        lines.push(format!("needs: {}", module.needs.join(", ")));
    }
    if let Some(step) = path.steps.iter().find(|step| step.work == Work::Load(at)) {
        lines.push(format!("on the critical path, after: {}", step.after));
    }
    let lines = lines.iter().filter(|line| !line.is_empty()).map(|line| in_one_line(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the first words about a module: its name, outcome and time.
pub(super) fn headline(module: &SavedModule) -> String {
    let took = module.took_us().map(|took_us| format!(", {}", duration(took_us)));
    format!("{}: {}{}", module.name, module.outcome, took.unwrap_or_default())
}

/// Returns the lines with the times of a load.
fn times(record: &SavedRecord, module: &SavedModule) -> Vec<String> {
    let Some(load) = module.load else { return Vec::new() };
    let since = |us| millis(record.since_init_us(us));
    let end = match load.end_us {
        Some(end_us) => format!("to {} ms", since(end_us)),
        None => "not ended".to_owned(),
    };
    let queued = module.queued_us.map(|us| format!(", requested at {} ms", since(us)));
    let mut lines =
        vec![format!("from {} {end}{}", since(load.start_us), queued.unwrap_or_default())];
    let parts = load.parts(record.boot.to_us);
    if parts.len() > 1 {
        let words = parts.iter().map(|(what, span)| format!("{what} {}", millis(span.len_us())));
        lines.push(format!("{} ms", words.collect::<Vec<_>>().join(", ")));
    }
    lines
}

/// Returns what a person may want to know of a step of the critical path.
pub(super) fn of_step(record: &SavedRecord, step: &Step, words: &str) -> String {
    let from = millis(record.since_init_us(step.span.from_us));
    let to = millis(record.since_init_us(step.span.to_us));
    let took = duration(step.span.len_us());
    let after = in_one_line(&step.after);
    format!("{words}: {took}\nfrom {from} to {to} ms\nafter: {after}")
}
