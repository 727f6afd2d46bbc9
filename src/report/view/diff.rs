//! Two boots compared: modules that came or went, that are slower or faster, phases, the total.

use std::collections::{BTreeMap, BTreeSet};

use super::units::{change, in_one_line, millis, put};
use crate::report::saved::{SavedModule, SavedRecord};

/// Smallest change of a time that is shown, in µs.
const MIN_CHANGE_US: u64 = 1000;
/// Smallest part of the time before that a change must be, as a divisor.
const MIN_PART: u64 = 10;

/// Returns the differences between the boots of two records, the largest change of a time first.
pub(crate) fn diff(before: &SavedRecord, after: &SavedRecord) -> String {
    let mut text = String::new();
    head(before, after, &mut text);
    phases(before, after, &mut text);
    let (old, new) = (by_name(before), by_name(after));
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let mut times = Vec::new();
    let mut is_same = true;
    for name in names {
        match (old.get(name), new.get(name)) {
            (None, Some(new)) => put(&mut text, &format!("+ {name}  {}", state(new))),
            (Some(old), None) => put(&mut text, &format!("- {name}  {}", state(old))),
            (Some(old), Some(new)) => {
                let outcomes = (old.outcome != new.outcome)
                    .then(|| format!("{} -> {}", old.outcome, new.outcome));
                if let Some(outcomes) = outcomes {
                    let error = new.error.as_ref().map(|error| format!(": {error}"));
                    let error = error.unwrap_or_default();
                    put(&mut text, &in_one_line(&format!("! {name}  {outcomes}{error}")));
                } else {
                    times.extend(slower(name, old, new));
                    continue;
                }
            }
            (None, None) => continue,
        }
        is_same = false;
    }
    times.sort_by_key(|(changed_us, name, _)| (std::cmp::Reverse(*changed_us), *name));
    for (_, name, line) in &times {
        put(&mut text, &format!("~ {name}  {line}"));
    }
    if is_same && times.is_empty() {
        put(&mut text, "the same modules, none of them much slower or faster");
    }
    text
}

/// Returns the modules by name; the first, if there are several.
fn by_name(record: &SavedRecord) -> BTreeMap<&str, &SavedModule> {
    record.modules.iter().rev().map(|module| (module.name.as_str(), module)).collect()
}

fn state(module: &SavedModule) -> String {
    let took = module.took_us().map(|took_us| format!("  {} ms", millis(took_us)));
    let reason = in_one_line(&module.reason());
    format!("{}{}  {reason}", module.outcome, took.unwrap_or_default())
}

/// Returns the line of a module whose load takes another time, and the change in µs.
fn slower<'a>(
    name: &'a str,
    old: &SavedModule,
    new: &SavedModule,
) -> Option<(u64, &'a str, String)> {
    let (old_us, new_us) = (old.took_us()?, new.took_us()?);
    let changed_us = old_us.abs_diff(new_us);
    let is_much = changed_us >= MIN_CHANGE_US && changed_us >= old_us.min(new_us) / MIN_PART;
    is_much.then(|| (changed_us, name, times(old_us, new_us)))
}

fn times(old_us: u64, new_us: u64) -> String {
    let word = if new_us < old_us { "faster" } else { "slower" };
    format!("{} -> {} ms, {} {word}", millis(old_us), millis(new_us), change(old_us, new_us))
}

/// Appends what is different of the boot as a whole, and its time.
fn head(before: &SavedRecord, after: &SavedRecord, text: &mut String) {
    let verdict =
        |record: &SavedRecord| record.verdict.clone().unwrap_or_else(|| "none".to_owned());
    let root = |record: &SavedRecord| in_one_line(&record.root.in_words());
    for (what, old, new) in [
        ("version", before.version.clone(), after.version.clone()),
        ("kernel", before.kernel.clone(), after.kernel.clone()),
        ("verdict", verdict(before), verdict(after)),
        ("root", root(before), root(after)),
    ] {
        if old != new {
            put(text, &format!("{what}: {old} -> {new}"));
        }
    }
    for (what, old_us, new_us) in [
        ("kernel before /init", before.boot.from_us, after.boot.from_us),
        ("total", before.boot.len_us(), after.boot.len_us()),
    ] {
        let (old, new, change) = (millis(old_us), millis(new_us), change(old_us, new_us));
        put(text, &format!("{what}: {old} -> {new} ms ({change})"));
    }
}

/// Appends the phases that differ.
fn phases(before: &SavedRecord, after: &SavedRecord, text: &mut String) {
    let lengths = |record: &SavedRecord| {
        let mut lengths: Vec<(String, u64)> = Vec::new();
        for phase in &record.phases {
            match lengths.iter_mut().find(|(name, _)| *name == phase.name) {
                Some((_, us)) => *us += phase.span.len_us(),
                None => lengths.push((phase.name.clone(), phase.span.len_us())),
            }
        }
        lengths
    };
    let (old, new) = (lengths(before), lengths(after));
    let in_new = |name: &str| new.iter().find(|(other, _)| other == name).map(|(_, us)| *us);
    for (name, old_us) in &old {
        match in_new(name) {
            Some(new_us) if old_us.abs_diff(new_us) < MIN_CHANGE_US => {}
            Some(new_us) => {
                let (from, to) = (millis(*old_us), millis(new_us));
                put(
                    text,
                    &format!("phase {name}: {from} -> {to} ms ({})", change(*old_us, new_us)),
                );
            }
            None => put(text, &format!("phase {name}: {} ms -> none", millis(*old_us))),
        }
    }
    for (name, us) in new.iter().filter(|(name, _)| !old.iter().any(|(other, _)| other == name)) {
        put(text, &format!("phase {name}: none -> {} ms", millis(*us)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::saved::tests::record;
    use super::*;

    #[test]
    fn changes_are_listed() {
        let before = record(
            r#""kernel": "6.1", "verdict": "ok", "time_ms": 800, "init_boottime_ns": 1000000000,
            "phases_us": [["scan", 5000], ["load", 50000], ["gone", 60000]], "modules": [
            {"name": "a", "outcome": "loaded", "start_us": 1000, "end_us": 3000},
            {"name": "b", "outcome": "loaded", "start_us": 1000, "end_us": 3000, "why": "asked"},
            {"name": "c", "outcome": "loaded", "start_us": 1000, "end_us": 9000},
            {"name": "d", "outcome": "loaded", "start_us": 1000, "end_us": 1500},
            {"name": "f", "outcome": "loaded", "start_us": 1000, "end_us": 91000}]"#,
        );
        let after = record(
            r#""kernel": "6.12", "verdict": "ok", "time_ms": 750, "init_boottime_ns": 1000000000,
            "phases_us": [["scan", 5900], ["load", 40000], ["new", 41000]], "modules": [
            {"name": "a", "outcome": "failed", "error": "no", "start_us": 1000, "end_us": 3000},
            {"name": "c", "outcome": "loaded", "start_us": 1000, "end_us": 4000},
            {"name": "d", "outcome": "loaded", "start_us": 1000, "end_us": 7500},
            {"name": "e", "outcome": "missing", "why": "device"},
            {"name": "f", "outcome": "loaded", "start_us": 1000, "end_us": 96000}]"#,
        );
        let want = "\
kernel: 6.1 -> 6.12
kernel before /init: 1000.0 -> 1000.0 ms (+0.0)
total: 800.0 -> 750.0 ms (-50.0)
phase load: 45.0 -> 34.1 ms (-10.9)
phase gone: 10.0 ms -> none
phase new: none -> 1.0 ms
! a  loaded -> failed: no
- b  loaded  2.0 ms  asked
+ e  missing  device
~ d  0.5 -> 6.5 ms, +6.0 slower
~ c  8.0 -> 3.0 ms, -5.0 faster
";
        assert_eq!(diff(&before, &after), want);
        let same = diff(&before, &before);
        assert!(same.ends_with("none of them much slower or faster\n"), "{same}");
    }
}
