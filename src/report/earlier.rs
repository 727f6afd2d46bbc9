//! Parsers of a saved record.

use serde_json::Value;

use super::Record;
use crate::kmod::name::ModuleName;
use crate::load::ModuleRecord;

impl Record {
    /// Returns `root=` of a record in JSON and the modules that this root needed; `None` if the
    /// text is no record.
    pub fn root_modules(json: &str) -> Option<(String, Vec<ModuleName>)> {
        let record: Value = serde_json::from_str(json).ok()?;
        let root = record.get("root")?;
        let names = root.get("way")?.as_array()?.iter().filter_map(Value::as_str);
        Some((root.get("spec")?.as_str()?.to_owned(), names.map(ModuleName::new).collect()))
    }

    /// Returns the modules of a record in JSON that were tried, in its order; `None` if the text is
    /// no record.
    pub fn load_order(json: &str) -> Option<Vec<ModuleName>> {
        let record: Value = serde_json::from_str(json).ok()?;
        let modules = record.get("modules")?.as_array()?.iter();
        let tried = modules.filter(|m| m.get("end_us").and_then(Value::as_u64) > Some(0));
        Some(tried.filter_map(|m| Some(ModuleName::new(m.get("name")?.as_str()?))).collect())
    }

    /// Returns a record in JSON with later outcomes of `modules`: entries of the same names are
    /// replaced unless they had ended, and the others are added. `None` if the text is no record.
    pub fn updated(json: &str, modules: &[ModuleRecord]) -> Option<String> {
        let mut record: Value = serde_json::from_str(json).ok()?;
        let list = record.get_mut("modules")?.as_array_mut()?;
        for module in modules {
            let new = super::json::module(module);
            let same = list.iter_mut().find(|m| m.get("name") == new.get("name"));
            let outcome = |m: &Value| m.get("outcome").and_then(Value::as_str).map(str::to_owned);
            match same {
                Some(old) if matches!(outcome(old).as_deref(), Some("loading" | "waiting")) => {
                    *old = new;
                }
                Some(_) => {}
                None => list.push(new),
            }
        }
        Some(record.to_string())
    }
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

    #[test]
    fn later_loads_complete_the_record() {
        let module = |name: &str| ModuleRecord {
            name: name.into(),
            outcome: Outcome::Loaded,
            why: "asked".into(),
            origin: None,
            path: None,
            options: Vec::new(),
            method: None,
            start: BootTime::from_nanos(8000),
            live: None,
            end: BootTime::from_nanos(9000),
        };
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
}
