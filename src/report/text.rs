//! A saved record as a table.

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
        let width = |key, head: &str| {
            let longest = modules.iter().map(|m| text(m, key).len()).max().unwrap_or(0);
            longest.clamp(head.len(), MAX_WIDTH)
        };
        let (name, outcome) = (width("name", "module"), width("outcome", "outcome"));
        let mut table = String::new();
        let mut row = |[module, result, time, reason]: [&str; 4]| {
            let line = format!("{module:name$}  {result:outcome$}  {time:>11}  {reason}");
            put(&mut table, line.trim_end());
        };
        row(["module", "outcome", "time", "reason"]);
        for module in modules {
            row([text(module, "name"), text(module, "outcome"), &time(module), &reason(module)]);
        }
        let list = |key| record.get(key).and_then(Value::as_array).into_iter().flatten();
        for warning in list("warnings").filter_map(Value::as_str) {
            put(&mut table, &format!("warning: {}", in_one_line(warning)));
        }
        for waiting in list("deferred") {
            put(&mut table, &deferred(waiting));
        }
        put(&mut table, &root(record.get("root")?));
        match text(&record, "verdict") {
            "-" => put(&mut table, "verdict: none"),
            verdict => {
                let took = number(&record, "time_ms");
                put(&mut table, &format!("verdict: {verdict} in {took} ms"));
            }
        }
        Some(table)
    }
}

/// Appends a line.
fn put(table: &mut String, line: &str) {
    table.push_str(&escape::line(line));
    table.push('\n');
}

/// Returns the lines of a message as one. A line that ends with a colon introduces the next one.
fn in_one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join("; ").replace(":; ", ": ")
}

/// Returns how long it took until a module was live or had failed; `-` if its load has not ended or
/// not begun. The load may return later, once other drivers have done asynchronous work.
fn time(module: &Value) -> String {
    let live = number(module, "live_us");
    match (number(module, "start_us"), number(module, "end_us")) {
        (_, 0) => "-".to_owned(),
        (start, end) => {
            let took = (if live > 0 { live } else { end }).saturating_sub(start);
            format!("{}.{} ms", took / 1000, took % 1000 / 100)
        }
    }
}

fn deferred(waiting: &Value) -> String {
    let mut line = format!("deferred: {} waits", text(waiting, "device"));
    if let Some(supplier) = member(waiting, "supplier") {
        line += &format!(" for {supplier}");
    }
    if let Some(reason) = member(waiting, "reason") {
        line += &format!(": {}", in_one_line(reason));
    }
    line
}

/// Returns the line about the root: its device and type, or what was missing.
fn root(root: &Value) -> String {
    let spec = member(root, "spec").filter(|spec| !spec.is_empty());
    let named = |verb: &str| spec.map(|spec| format!("{spec}{verb}")).unwrap_or_default();
    let mut line = match (member(root, "device"), member(root, "fstype")) {
        (Some(device), Some(fstype)) => format!("root: {}{device} ({fstype})", named(" is ")),
        (Some(device), None) => format!("root: {}{device}, not mounted", named(" is ")),
        (None, _) => format!("root: {}not found", named(" ")),
    };
    if let Some(awaited) = root.get("awaited").filter(|awaited| awaited.is_object()) {
        // Version 0.1.0 called it `ms`.
        let waited = number(awaited, "waited_ms").max(number(awaited, "ms"));
        let name = text(awaited, "name");
        line += &format!("; waited {waited} ms for {}", in_one_line(name));
    }
    line
}

fn member<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    member(object, key).unwrap_or("-")
}

fn number(object: &Value, key: &str) -> u64 {
    object.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// Returns why a module was wanted, and its error.
fn reason(module: &Value) -> String {
    let (request, device) = (member(module, "modalias"), member(module, "device"));
    let mut reason = match (request, device) {
        // Modaliases can be a kilobyte long; the start shows the bus and the IDs.
        (Some(request), Some(device)) => {
            format!("{} has {}", device, request.chars().take(60).collect::<String>())
        }
        (Some(request), None) => format!("requested as {request}"),
        _ => text(module, "why").to_owned(),
    };
    if let Some(consumer) = member(module, "supplier_of") {
        reason += &format!(", supplier of {consumer}");
    }
    if let Some(error) = member(module, "error") {
        reason += &format!(": {error}");
    }
    in_one_line(&reason)
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
            origin,
            method: Some(LoadMethod::Finit),
            start: BootTime::from_nanos(1_000_000),
            live: (name == "a").then(|| BootTime::from_nanos(2_250_000)),
            end: BootTime::from_nanos(3_500_000),
            ..ModuleRecord::new(name.into(), outcome, "dependency of b".into())
        };
        let origin = Origin {
            device: Some("pci0/x".into()),
            request: "pci:v1".into(),
            pattern: Some("pci:*".into()),
            supplier_of: Some("pci0/y".into()),
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
        assert!(table.contains("\na\\x1b[31m\\x0ab"), "{table}");
        assert_eq!(table.chars().filter(|c| c.is_control()).count(), 4, "{table:?}");
    }

    #[test]
    fn names_may_have_any_length() {
        let long = "n".repeat(70_000);
        let json =
            format!(r#"{{"modules": [{{"name": "{long}"}}, {{"name": "b"}}], "root": {{}}}}"#);
        let table = Record::table(&json).unwrap();
        assert!(table.contains(&format!("\n{long}")) && table.contains("\nb  "));
    }

    #[test]
    fn a_record_becomes_a_table() {
        let mut record = record();
        record.warnings = vec!["one\nhint: two\n".to_owned()];
        record.modules[3].end = BootTime::ZERO;
        record.root.spec = "UUID=1".to_owned();
        let want = "\
module  outcome             time  reason
a       loaded            1.2 ms  dependency of b
bb      failed            2.5 ms  pci0/x has pci:v1, supplier of pci0/y: no
c       blacklisted       2.5 ms  dependency of b
d       missing                -  dependency of b
e       masked            2.5 ms  dependency of b: masked by /etc/m.conf line 3
warning: one; hint: two
deferred: eth waits for clk
root: UUID=1 not found
verdict: ok in 12 ms
";
        assert_eq!(Record::table(&record.to_json()).unwrap(), want);
        assert_eq!(Record::table("{}"), None);
        assert_eq!(Record::table("no"), None);
    }

    #[test]
    fn lines_have_no_empty_places() {
        let last = |members: &str| {
            let json = format!(r#"{{"modules": [], {members}}}"#);
            let table = Record::table(&json).unwrap();
            assert!(!table.contains("(-)") && !table.contains("is -"), "{table}");
            let lines: Vec<_> = table.lines().skip(1).map(str::to_owned).collect();
            lines.join(" | ")
        };
        for (members, want) in [
            (r#""root": {}"#, "root: not found | verdict: none"),
            (
                r#""root": {"spec": "", "device": "/dev/a"}"#,
                "root: /dev/a, not mounted | verdict: none",
            ),
            (
                r#""root": {"spec": "LABEL=x", "device": "/dev/a", "fstype": "ext4"}, "verdict": "ok""#,
                "root: LABEL=x is /dev/a (ext4) | verdict: ok in 0 ms",
            ),
            (
                r#""root": {"spec": "LABEL=x", "device": "/dev/a", "fstype": null,
                    "awaited": {"name": "LABEL=x (1 of 2\n devices)", "waited_ms": 7}}"#,
                "root: LABEL=x is /dev/a, not mounted; waited 7 ms for LABEL=x (1 of 2; devices) \
                 | verdict: none",
            ),
            (
                r#""root": {"spec": "LABEL=x", "awaited": {"name": "LABEL=x", "waited_ms": 30000}}"#,
                "root: LABEL=x not found; waited 30000 ms for LABEL=x | verdict: none",
            ),
            (
                r#""deferred": [{"device": "a", "supplier": null, "reason": "no clock\n"},
                    {"device": "b"}], "root": {}"#,
                "deferred: a waits: no clock | deferred: b waits | root: not found | verdict: none",
            ),
        ] {
            assert_eq!(last(members), want);
        }
    }
}
