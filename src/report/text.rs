//! A saved record as a table.

use std::fmt::Write;

use serde_json::Value;

use super::Record;
use crate::escape;

/// Maximum width of a column, more than any module's name. A damaged record may hold longer texts
/// than a format width can be.
const MAX_WIDTH: usize = 64;

impl Record {
    /// Returns the table of a record in JSON; `None` if the text is no record.
    pub fn table(json: &str) -> Option<String> {
        let record: Value = serde_json::from_str(json).ok()?;
        let modules = record.get("modules")?.as_array()?;
        let width =
            |key| modules.iter().map(|m| text(m, key).len()).max().unwrap_or(0).min(MAX_WIDTH);
        let (name, outcome) = (width("name"), width("outcome"));
        let mut table = String::new();
        for module in modules {
            let took = number(module, "end_us").saturating_sub(number(module, "start_us"));
            let line = format!(
                "{:name$}  {:outcome$}  {:>6}.{} ms  {}",
                text(module, "name"),
                text(module, "outcome"),
                took / 1000,
                took % 1000 / 100,
                reason(module),
            );
            let _ = writeln!(table, "{}", escape::line(line.trim_end()));
        }
        for warning in record.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            let _ =
                writeln!(table, "warning: {}", escape::line(warning.as_str().unwrap_or_default()));
        }
        for waiting in record.get("deferred").and_then(Value::as_array).into_iter().flatten() {
            let (device, supplier) = (text(waiting, "device"), text(waiting, "supplier"));
            let line =
                format!("deferred: {device} waits for {supplier} ({})", text(waiting, "reason"));
            let _ = writeln!(table, "{}", escape::line(&line));
        }
        let root = record.get("root")?;
        let [spec, device, fstype] = ["spec", "device", "fstype"].map(|key| text(root, key));
        let _ =
            writeln!(table, "{}", escape::line(&format!("root: {spec} is {device} ({fstype})")));
        let (verdict, time_ms) = (text(&record, "verdict"), number(&record, "time_ms"));
        let _ = writeln!(table, "verdict: {} in {time_ms} ms", escape::line(verdict));
        Some(table)
    }
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or("-")
}

fn number(object: &Value, key: &str) -> u64 {
    object.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// Returns why a module was wanted, and its error.
fn reason(module: &Value) -> String {
    let request = module.get("modalias").and_then(Value::as_str);
    let device = module.get("device").and_then(Value::as_str);
    let mut reason = match (request, device) {
        // Modaliases can be a kilobyte long; the start shows the bus and the IDs.
        (Some(request), Some(device)) => {
            format!("{} has {}", device, request.chars().take(60).collect::<String>())
        }
        (Some(request), None) => format!("requested as {request}"),
        _ => text(module, "why").to_owned(),
    };
    if let Some(error) = module.get("error").and_then(Value::as_str) {
        let _ = write!(reason, ": {error}");
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::load::{LoadError, LoadMethod, ModuleRecord, Origin, Outcome};
    use crate::sys::{BootTime, DeferredDevice};
    use std::time::Duration;

    fn record() -> Record {
        let module = |name: &str, outcome, origin: Option<Origin>| ModuleRecord {
            name: name.into(),
            outcome,
            why: "dependency of b".into(),
            origin,
            path: None,
            options: Vec::new(),
            method: Some(LoadMethod::File),
            start: BootTime::from_nanos(1_000_000),
            live: None,
            end: BootTime::from_nanos(3_500_000),
        };
        let origin = Origin {
            device: Some("pci0/x".into()),
            request: "pci:v1".into(),
            pattern: Some("pci:*".into()),
        };
        Record {
            verdict: Some(Verdict::Ok),
            time: Duration::from_millis(12),
            deferred: vec![DeferredDevice {
                device: "eth".into(),
                supplier: Some("clk".into()),
                reason: None,
            }],
            modules: vec![
                module("a", Outcome::Loaded, None),
                module("bb", Outcome::Failed(LoadError::Reported("no".into())), Some(origin)),
                module("c", Outcome::Blacklisted, None),
                module("d", Outcome::Missing, None),
                module("e", Outcome::Masked("/etc/m.conf line 3".into()), None),
            ],
            ..Record::default()
        }
    }

    #[test]
    fn the_verdict_line_counts() {
        assert_eq!(record().verdict_text(), "verdict=ok modules=1/3 failed=1 time=12");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let json = r#"{"modules": [{"name": "a\u001b[31m\nb"}], "verdict": "\u0007",
            "root": {"spec": "\r"}}"#;
        let table = Record::table(json).unwrap();
        assert!(table.starts_with("a\\x1b[31m\\x0ab"), "{table}");
        assert_eq!(table.chars().filter(|c| c.is_control()).count(), 3, "{table:?}");
    }

    #[test]
    fn names_may_have_any_length() {
        let long = "n".repeat(70_000);
        let json =
            format!(r#"{{"modules": [{{"name": "{long}"}}, {{"name": "b"}}], "root": {{}}}}"#);
        let table = Record::table(&json).unwrap();
        assert!(table.starts_with(&long) && table.contains("\nb  "));
    }

    #[test]
    fn a_record_becomes_a_table() {
        let table = Record::table(&record().to_json()).unwrap();
        assert!(table.contains("a   loaded            2.5 ms  dependency of b\n"), "{table}");
        assert!(table.contains("bb  failed            2.5 ms  pci0/x has pci:v1: no\n"), "{table}");
        assert!(table.contains("dependency of b: masked by /etc/m.conf line 3\n"), "{table}");
        assert!(table.contains("deferred: eth waits for clk (-)\n"), "{table}");
        assert!(table.ends_with("verdict: ok in 12 ms\n"));
        assert_eq!(Record::table("{}"), None);
        assert_eq!(Record::table("no"), None);
    }
}
