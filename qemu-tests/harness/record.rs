//! Entries of a boot record.

use crate::measured::millis;
use serde_json::Value;

/// Returns the entries of `modules` in the record.
///
/// # Panics
///
/// If the record has none.
pub fn modules(record: &Value) -> &[Value] {
    record["modules"].as_array().expect("`modules` in the boot record")
}

/// Returns the modules in the record with this outcome.
pub fn modules_with<'a>(record: &'a Value, outcome: &str) -> Vec<&'a Value> {
    modules(record).iter().filter(|module| module["outcome"] == outcome).collect()
}

/// Returns the module `name` in the record.
///
/// # Panics
///
/// If the record does not have the module.
pub fn module<'a>(record: &'a Value, name: &str) -> &'a Value {
    let module = modules(record).iter().find(|module| module["name"] == name);
    module.unwrap_or_else(|| panic!("no {name} in the boot record: {record:#}"))
}

/// Returns each phase with its length in ms; the record has the times at which phases end.
pub fn phases(record: &Value) -> Vec<(String, f64)> {
    let mut before = 0;
    let mut all = Vec::new();
    for phase in record["phases_us"].as_array().into_iter().flatten() {
        let (Some(name), Some(end)) = (phase[0].as_str(), phase[1].as_i64()) else { continue };
        all.push((name.to_owned(), millis((end - before) * 1000)));
        before = end;
    }
    all
}

/// Returns whether one of the warnings in the record has all of `words`.
///
/// # Panics
///
/// If the record has no list of warnings.
pub fn has_warning(record: &Value, words: &[&str]) -> bool {
    let warnings = record["warnings"].as_array().expect("`warnings` in the boot record");
    warnings.iter().filter_map(Value::as_str).any(|w| words.iter().all(|word| w.contains(word)))
}
