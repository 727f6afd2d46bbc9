//! Parsers of a saved record.

use serde_json::Value;

use super::Record;
use crate::kmod::name::ModuleName;
use crate::load::{ModuleRecord, Origin};

/// Fields of a module that a later record of it does not know, or knows less well.
const KEPT: [&str; 4] = ["path", "needs", "after", QUEUED];
/// The field of the time of the request. The boot requested the module first.
const QUEUED: &str = "queued_us";

impl Record {
    /// Returns `root=` of a record in JSON and the modules that this root needed; `None` if the
    /// text is no record.
    pub fn root_modules(json: &str) -> Option<(String, Vec<ModuleName>)> {
        let record: Value = serde_json::from_str(json).ok()?;
        let root = record.get("root")?;
        // Version 0.1.0 called them `way`.
        let names = root.get("modules").or_else(|| root.get("way"))?.as_array()?;
        let names = names.iter().filter_map(Value::as_str);
        Some((root.get("spec")?.as_str()?.to_owned(), names.map(ModuleName::new).collect()))
    }

    /// Returns the slot that a record in JSON says was booted.
    #[cfg(feature = "host")]
    pub(crate) fn slot(json: &str) -> Option<String> {
        let record: Value = serde_json::from_str(json).ok()?;
        Some(record.get("root")?.get("slot")?.as_str()?.to_owned())
    }

    /// Returns the modules of a record in JSON that were tried, in its order; `None` if the text is
    /// no record.
    pub fn load_order(json: &str) -> Option<Vec<ModuleName>> {
        let record: Value = serde_json::from_str(json).ok()?;
        let modules = record.get("modules")?.as_array()?.iter();
        let tried = modules.filter(|m| m.get("end_us").and_then(Value::as_u64) > Some(0));
        Some(tried.filter_map(|m| Some(ModuleName::new(m.get("name")?.as_str()?))).collect())
    }

    /// Copies reason, device and alias from a record in JSON to each of `modules` that was requested
    /// by its name alone, if the record says that its load had not ended.
    pub(crate) fn add_requests(json: &str, modules: &mut [ModuleRecord]) {
        let record: Option<Value> = serde_json::from_str(json).ok();
        let list = record.as_ref().and_then(|record| record.get("modules")?.as_array());
        for old in list.into_iter().flatten().filter(|module| is_open(module)) {
            let text = |key| old.get(key).and_then(Value::as_str).map(str::to_owned);
            let is_same =
                |m: &&mut ModuleRecord| text("name").is_some_and(|name| name == m.name.text());
            let Some(module) = modules.iter_mut().find(is_same) else { continue };
            if module.origin.as_ref().is_none_or(|origin| origin.device.is_none()) {
                module.why = text("why").unwrap_or_default();
                module.origin = text("modalias").map(|request| Origin {
                    device: text("device"),
                    request,
                    pattern: text("alias"),
                    supplier_of: text("supplier_of"),
                });
            }
        }
    }

    /// Returns a record in JSON with later outcomes of `modules`: entries of the same names are
    /// replaced unless they had ended, and the others are added. `None` if the text is no record.
    pub fn updated(json: &str, modules: &[ModuleRecord]) -> Option<String> {
        let mut record: Value = serde_json::from_str(json).ok()?;
        let list = record.get_mut("modules")?.as_array_mut()?;
        for module in modules {
            let mut new = module.to_json();
            match list.iter_mut().find(|m| m.get("name") == new.get("name")) {
                // What a module needs that was loaded meanwhile is known from the boot alone.
                Some(old) if is_open(old) => {
                    for key in KEPT {
                        let is_better = key == QUEUED || new.get(key).is_none();
                        let known = old.get(key).cloned().filter(|_| is_better);
                        known.into_iter().for_each(|value| new[key] = value);
                    }
                    *old = new;
                }
                Some(_) => {}
                None => list.push(new),
            }
        }
        Some(record.to_string())
    }
}

/// Returns whether the load of a module in a record had not ended.
fn is_open(module: &Value) -> bool {
    matches!(module.get("outcome").and_then(Value::as_str), Some("loading" | "waiting"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Outcome;
    use crate::sys::BootTime;

    const RECORD: &str = r#"{"modules": [
        {"name": "a", "outcome": "loaded", "end_us": 5},
        {"name": "b", "outcome": "waiting", "end_us": 0},
        {"name": "c", "outcome": "failed", "end_us": 7}]}"#;

    #[test]
    fn the_load_order_is_that_of_modules_that_were_tried() {
        let names = Record::load_order(RECORD).unwrap();
        assert_eq!(names, ["a".into(), "c".into()]);
        assert_eq!((Record::load_order("{}"), Record::load_order("no")), (None, None));
    }

    /// Returns the record of a module that was loaded because somebody asked for it.
    fn loaded(name: &str, origin: Option<Origin>) -> ModuleRecord {
        ModuleRecord {
            origin,
            queued: BootTime::from_nanos(7000),
            start: BootTime::from_nanos(8000),
            end: BootTime::from_nanos(9000),
            ..ModuleRecord::new(name.into(), Outcome::Loaded, "asked".into())
        }
    }

    #[test]
    fn later_loads_complete_the_record() {
        let module = |name| loaded(name, None);
        let text = Record::updated(RECORD, &[module("b"), module("c"), module("d")]).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let words: Vec<String> = record["modules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| format!("{}:{}", m["name"].as_str().unwrap(), m["outcome"].as_str().unwrap()))
            .collect();
        assert_eq!(words.join(" "), "a:loaded b:loaded c:failed d:loaded");
        assert_eq!(Record::updated("{}", &[]), None);
    }

    #[test]
    fn a_request_of_the_boot_is_kept() {
        let record = r#"{"modules": [
            {"name": "a", "outcome": "waiting", "why": "device", "device": "pci0/a",
             "modalias": "pci:v1", "alias": "pci:v*", "supplier_of": "pci0/b",
             "path": "kernel/a.ko", "needs": ["b"], "queued_us": 3},
            {"name": "b", "outcome": "loading", "why": "dependency of a", "requester": "a",
             "lane": 4, "needs": ["old"]},
            {"name": "c", "outcome": "waiting", "why": "device", "device": "old", "modalias": "x"},
            {"name": "d", "outcome": "failed", "why": "device", "device": "e", "modalias": "x"}]}"#;
        let by_name =
            |name: &str| loaded(name, Some(Origin { request: name.into(), ..Origin::default() }));
        let mut modules = ["a", "b", "c", "d", "new"].map(by_name);
        modules[1].needs = vec!["new".into()];
        modules[1].size = Some(4096);
        modules[2].origin = Some(Origin { device: Some("new".into()), ..Origin::default() });
        Record::add_requests(record, &mut modules);
        let updated = Record::updated(record, &modules).unwrap();
        let updated: Value = serde_json::from_str(&updated).unwrap();
        let keys = ["name", "outcome", "why", "device", "modalias", "alias", "supplier_of", "path"];
        let lines = updated["modules"].as_array().unwrap().iter().map(|module| {
            keys.map(|key| module.get(key).and_then(Value::as_str).unwrap_or("-")).join(" ")
        });
        let want = [
            "a loaded device pci0/a pci:v1 pci:v* pci0/b kernel/a.ko",
            "b loaded dependency of a - - - - -",
            "c loaded asked new  - - -",
            "d failed device e x - - -",
            "new loaded asked - new - - -",
        ];
        assert_eq!(lines.collect::<Vec<_>>(), want);
        let keys = ["requester", "needs", "lane", "queued_us", "start_us", "size"];
        let lines = updated["modules"].as_array().unwrap().iter().take(3).map(|module| {
            keys.map(|key| module.get(key).map_or_else(|| "-".to_owned(), Value::to_string))
                .join(" ")
        });
        let want = [r#"- ["b"] - 3 8 -"#, r#""a" ["new"] - 7 8 4096"#, "- - - 7 8 -"];
        assert_eq!(lines.collect::<Vec<_>>(), want);
        assert_eq!(modules[0].line(), "module a loaded (for pci0/a)");
        assert_eq!(modules[1].line(), "module b loaded (dependency of a)");
        Record::add_requests("no record", &mut modules);
    }
}
