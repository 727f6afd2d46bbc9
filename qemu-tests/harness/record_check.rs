//! What holds for the boot record of every boot: it fits docs/record.schema.json, and its times are
//! in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../../docs/record.schema.json");

/// Times of a module, in the order in which they pass.
const TIMES: [&str; 7] =
    ["queued_us", "start_us", "read_us", "decoded_us", "kernel_us", "live_us", "end_us"];

/// Returns the schema of the boot record.
///
/// # Panics
///
/// If the file is not JSON.
pub fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("docs/record.schema.json is JSON")
}

/// Returns what is wrong with a boot record, a line each.
///
/// # Panics
///
/// If the file of the schema is no schema.
pub fn problems(record: &Value) -> Vec<String> {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    let validator = VALIDATOR.get_or_init(|| {
        let mut schema = schema();
        close(&mut schema);
        jsonschema::draft202012::new(&schema).expect("docs/record.schema.json is a schema")
    });
    let errors = validator.iter_errors(record);
    let mut problems: Vec<String> =
        errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
    // Without the schema the fields may have any type.
    if problems.is_empty() {
        check_modules(record, &mut problems);
        check_boot(record, &mut problems);
    }
    problems
}

/// Forbids members that the schema does not name. The file allows them, because a later coldplug
/// may add some.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("type") == Some(&json!("object")) {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Returns a time of a module, if it is known.
fn time(module: &Value, key: &str) -> Option<u64> {
    module[key].as_u64().filter(|time| *time > 0)
}

/// Returns the time since which a module was live, or at which its load ended without that.
fn settled(module: &Value) -> Option<u64> {
    time(module, "live_us").or_else(|| time(module, "end_us"))
}

/// Returns the names in a list of a module.
fn names<'a>(module: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    module[key].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Returns whether a module was neither live nor had failed when the record was written.
fn is_open(module: &Value) -> bool {
    matches!(module["outcome"].as_str(), Some("loading" | "waiting")) && settled(module).is_none()
}

/// Checks that what a module waited for was live or had failed before its load began. `coldplug
/// finish` keeps `after` of the boot, but loads in an order of its own.
fn check_order(
    module: &Value,
    by_name: &HashMap<&str, &Value>,
    boot_end_us: u64,
    problems: &mut Vec<String>,
) {
    let Some(start) = time(module, "start_us") else { return };
    let after = names(module, "after").filter(|_| start <= boot_end_us);
    for name in names(module, "needs").chain(after) {
        if let Some(settled) = by_name.get(name).and_then(|prior| settled(prior))
            && settled > start
        {
            problems.push(format!("{name} was live at {settled}, after the start of {module}"));
        }
    }
    for name in names(module, "needs") {
        if let Some(prior) = by_name.get(name).filter(|prior| is_open(prior)) {
            let outcome = &prior["outcome"];
            problems.push(format!("{name} was still {outcome} after the start of {module}"));
        }
    }
    if let Some(name) =
        names(module, "after").find(|name| names(module, "needs").any(|n| n == *name))
    {
        problems.push(format!("{name} is in `needs` and in `after` of {module}"));
    }
}

fn check_modules(record: &Value, problems: &mut Vec<String>) {
    let modules = crate::record::modules(record);
    let by_name: HashMap<&str, &Value> =
        modules.iter().filter_map(|module| Some((module["name"].as_str()?, module))).collect();
    // `time_ms` is in whole milliseconds.
    let time_us = record["time_ms"].as_u64().map_or(u64::MAX, |ms| ms.saturating_add(1) * 1000);
    let boot_end_us = entry_us(record).saturating_add(time_us);
    let mut lanes: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for module in modules {
        let times: Vec<u64> = TIMES.iter().filter_map(|key| time(module, key)).collect();
        if !times.is_sorted() {
            problems.push(format!("times out of order: {module}"));
        }
        let has_image = module["method"] == "init_module";
        if !has_image && (module["read_us"].is_u64() || module["decoded_us"].is_u64()) {
            problems.push(format!("read, and not decoded: {module}"));
        }
        check_order(module, &by_name, boot_end_us, problems);
        // A load that the worker has not replied to has no load method.
        if module["outcome"] == "loaded" && module["method"].is_string() {
            for key in ["queued_us", "kernel_us", "lane"] {
                if !module[key].is_u64() {
                    problems.push(format!("loaded without {key}: {module}"));
                }
            }
        }
        let why = module["why"].as_str().unwrap_or_default();
        if why.split_once(" of ").map(|(_, name)| name) != module["requester"].as_str() {
            problems.push(format!("another requester than the reason says: {module}"));
        }
        if let (Some(lane), Some(start), Some(end)) =
            (module["lane"].as_u64(), time(module, "start_us"), time(module, "end_us"))
        {
            lanes.entry(lane).or_default().push((start, end));
        }
    }
    for (lane, mut loads) in lanes {
        loads.sort_unstable();
        if loads.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            problems.push(format!("loads of lane {lane} overlap: {loads:?}"));
        }
    }
}

/// Returns the time of the entry of /init.
fn entry_us(record: &Value) -> u64 {
    record["init_boottime_ns"].as_u64().unwrap_or(0) / 1000
}

fn check_boot(record: &Value, problems: &mut Vec<String>) {
    let entry_us = entry_us(record);
    let points = |key: &str| -> Vec<u64> {
        record[key].as_array().into_iter().flatten().filter_map(|pair| pair[1].as_u64()).collect()
    };
    let (phases, kernel) = (points("phases_us"), points("kernel_us"));
    if !phases.is_sorted() {
        problems.push(format!("phases out of order: {}", record["phases_us"]));
    }
    if !kernel.is_sorted() || kernel.last().is_some_and(|last| *last != entry_us) {
        problems.push(format!("times of the kernel do not lead to /init: {}", record["kernel_us"]));
    }
    let mut waits = vec![entry_us];
    for wait in record["waits"].as_array().into_iter().flatten() {
        waits.extend(["from_us", "to_us"].iter().filter_map(|key| wait[key].as_u64()));
    }
    if !waits.is_sorted() {
        problems.push(format!("waits overlap: {}", record["waits"]));
    }
    if record["root"]["found_us"].as_u64().is_some_and(|found| found < entry_us) {
        problems.push(format!("the root was found before /init: {}", record["root"]));
    }
    if record["root"]["device"].is_null() != record["root"]["found_us"].is_null() {
        problems.push(format!("a root without its time: {}", record["root"]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a record with these modules and waits.
    fn record(modules: &Value, waits: &Value) -> Value {
        json!({
            "schema": 1, "version": "1", "kernel": "6", "verdict": "ok",
            "init_boottime_ns": 5000, "time_ms": 1, "exit": null,
            "root": {
                "spec": "", "slot": null, "device": null, "found_us": null, "fstype": null,
                "layers": [], "failed": [], "awaited": null, "seen": [], "near_misses": [],
                "modules": [],
            },
            "network": null, "jobs": 2, "modaliases": 0, "modules": modules,
            "uevents": {
                "received": 0, "added": 0, "lost": 0, "truncated": 0, "gaps": 0, "foreign": 0,
                "scans": 1, "rescans": 0,
            },
            "lookup_us": 0,
            "memory": { "init": 1, "worker": 1, "available_start": null, "available_switch": 1 },
            "deferred": [], "kernel_us": null, "phases_us": [["mounts", 1], ["scan", 1]],
            "waits": waits, "switch": null, "previous": null, "warnings": [],
        })
    }

    fn module(name: &str, start: u64, end: u64, more: &Value) -> Value {
        let mut module = json!({
            "name": name, "outcome": "loaded", "why": "device", "start_us": start, "end_us": end,
        });
        let more = more.as_object().cloned().unwrap_or_default();
        module.as_object_mut().unwrap().extend(more);
        module
    }

    #[test]
    fn times_and_dependencies_are_checked() {
        let needs = json!({ "needs": ["a", "gone"], "kernel_us": 25 });
        let after = json!({ "after": ["a", "gone"] });
        for (modules, want) in [
            (json!([]), ""),
            (json!([module("a", 10, 20, &json!({ "lane": 0 })), module("b", 20, 30, &needs)]), ""),
            (
                json!([module("a", 10, 21, &json!({})), module("b", 20, 30, &needs)]),
                "a was live at 21, after the start of",
            ),
            (
                json!([module("a", 10, 21, &json!({})), module("b", 20, 30, &after)]),
                "a was live at 21, after the start of",
            ),
            // Loaded by `coldplug finish`.
            (json!([module("a", 10, 2021, &json!({})), module("b", 2020, 2030, &after)]), ""),
            (
                json!([
                    module("a", 10, 21, &json!({ "outcome": "failed" })),
                    module("b", 20, 30, &needs)
                ]),
                "a was live at 21, after the start of",
            ),
            (
                json!([
                    module("a", 10, 0, &json!({ "outcome": "loading" })),
                    module("b", 20, 30, &needs)
                ]),
                "a was still \"loading\" after the start of",
            ),
            (
                json!([
                    module("a", 0, 0, &json!({ "outcome": "waiting" })),
                    module("b", 20, 0, &json!({ "outcome": "loading", "needs": ["a"] }))
                ]),
                "a was still \"waiting\" after the start of",
            ),
            // The user has not started; the order alone.
            (
                json!([
                    module("a", 10, 0, &json!({ "outcome": "loading" })),
                    module("b", 0, 0, &json!({ "outcome": "waiting", "needs": ["a"] })),
                    module("c", 20, 30, &after)
                ]),
                "",
            ),
            (
                json!([module("b", 20, 30, &json!({ "needs": ["a"], "after": ["a"] }))]),
                "a is in `needs` and in `after` of",
            ),
            (
                json!([
                    module("a", 10, 26, &json!({ "live_us": 20 })),
                    module("b", 20, 30, &needs)
                ]),
                "",
            ),
            (
                json!([module("a", 5, 9, &json!({ "method": "finit_module" }))]),
                "loaded without queued_us",
            ),
            (json!([module("a", 10, 9, &json!({}))]), "times out of order"),
            (json!([module("a", 0, 0, &json!({ "queued_us": 7 }))]), ""),
            (json!([module("a", 5, 9, &json!({ "queued_us": 7 }))]), "times out of order"),
            (json!([module("a", 5, 9, &json!({ "read_us": 7 }))]), "read, and not decoded"),
            (json!([module("a", 5, 9, &json!({ "requester": "b" }))]), "another requester"),
            (
                json!([
                    module("a", 5, 9, &json!({ "lane": 1 })),
                    module("b", 9, 12, &json!({ "lane": 1 })),
                    module("c", 8, 12, &json!({ "lane": 0 })),
                ]),
                "",
            ),
            (
                json!([
                    module("a", 5, 9, &json!({ "lane": 1 })),
                    module("b", 8, 12, &json!({ "lane": 1 })),
                ]),
                "loads of lane 1 overlap",
            ),
            (json!([module("a", 5, 9, &json!({ "other": 1 }))]), "'other'"),
            (json!([{ "name": "a" }]), "outcome"),
        ] {
            let found = problems(&record(&modules, &json!([]))).join("\n");
            assert!(found.contains(want) && found.is_empty() == want.is_empty(), "{want}: {found}");
        }
    }

    #[test]
    fn waits_are_one_after_the_other() {
        let wait = |from: u64, to: u64| json!({ "for": "x", "from_us": from, "to_us": to });
        for (waits, is_right) in [
            (json!([wait(5, 6), wait(6, 9)]), true),
            (json!([wait(4, 6)]), false),
            (json!([wait(7, 6)]), false),
            (json!([wait(5, 7), wait(6, 9)]), false),
            (json!([{ "from_us": 5, "to_us": 6 }]), false),
        ] {
            let found = problems(&record(&json!([]), &waits));
            assert_eq!(found.is_empty(), is_right, "{waits}: {found:?}");
        }
    }
}
