//! The table of modules.

use super::units::{duration, in_one_line, millis, put};
use crate::report::saved::{SavedDeferred, SavedModule, SavedRecord};

/// Maximum width of a column, more than any module's name.
const MAX_WIDTH: usize = 64;

/// Order of the lines of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// As in the record: in the order in which modules became live or failed.
    #[default]
    Load,
    /// The slowest load first.
    Time,
    /// By name.
    Name,
}

/// Returns the table of a record; with `only`, that of the modules of this name. Times are in ms
/// since the entry of /init.
pub(crate) fn table(record: &SavedRecord, order: Order, only: Option<&str>) -> String {
    let is_shown = |module: &&SavedModule| only.is_none_or(|name| module.name == name);
    let mut modules: Vec<_> = record.modules.iter().filter(is_shown).collect();
    match order {
        Order::Load => {}
        Order::Time => modules.sort_by_key(|module| std::cmp::Reverse(module.took_us())),
        Order::Name => modules.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    let width = |text: fn(&SavedModule) -> &str, head: &str| {
        let longest = modules.iter().map(|module| text(module).chars().count()).max();
        longest.unwrap_or(0).clamp(head.len(), MAX_WIDTH)
    };
    let name = width(|module| &module.name, "module");
    let outcome = width(|module| &module.outcome, "outcome");
    let mut table = String::new();
    let mut row = |[module, result, start, time, reason]: [&str; 5]| {
        let line = format!("{module:name$}  {result:outcome$}  {start:>10}  {time:>10}  {reason}");
        put(&mut table, &line);
    };
    row(["module", "outcome", "start", "time", "reason"]);
    for module in modules {
        let start = module.load.map(|load| millis(record.since_init_us(load.start_us)));
        let start = start.map_or_else(|| "-".to_owned(), |start| format!("{start} ms"));
        let took = module.took_us().map(|took_us| format!("{} ms", millis(took_us)));
        let took = took.unwrap_or_else(|| "-".to_owned());
        let reason = in_one_line(&module.reason());
        row([&module.name, &module.outcome, &start, &took, &reason]);
    }
    if only.is_none() {
        end(record, &mut table);
    }
    table
}

/// Appends what follows the modules: warnings, deferred devices, the root and the verdict.
fn end(record: &SavedRecord, table: &mut String) {
    for warning in &record.warnings {
        put(table, &format!("warning: {}", in_one_line(warning)));
    }
    for device in &record.deferred {
        put(table, &deferred(device));
    }
    put(table, &format!("root: {}", in_one_line(&record.root.in_words())));
    put(table, &verdict(record));
}

/// Returns the line about a deferred device.
pub(super) fn deferred(waiting: &SavedDeferred) -> String {
    let mut line = format!("deferred: {} waits", waiting.device);
    if let Some(supplier) = &waiting.supplier {
        line += &format!(" for {supplier}");
    }
    if let Some(reason) = &waiting.reason {
        line += &format!(": {}", in_one_line(reason));
    }
    line
}

/// Returns the line about the verdict.
pub(super) fn verdict(record: &SavedRecord) -> String {
    let Some(verdict) = &record.verdict else { return "verdict: none".to_owned() };
    let exit = record.exit.map(|status| format!(", exit status {status}")).unwrap_or_default();
    format!("verdict: {verdict} in {}{exit}", duration(record.boot.len_us()))
}

#[cfg(test)]
mod tests {
    use super::super::super::saved::tests::record;
    use super::*;

    const MODULES: &str = r#""init_boottime_ns": 1000000, "time_ms": 12, "verdict": "ok",
        "warnings": ["one\nhint: two\n"], "deferred": [{"device": "eth", "supplier": "clk"}],
        "modules": [
        {"name": "b", "outcome": "loaded", "start_us": 1500, "end_us": 2600, "why": "asked"},
        {"name": "c", "outcome": "failed", "start_us": 2000, "end_us": 9900, "device": "pci0/x",
         "modalias": "pci:v1", "supplier_of": "pci0/y", "error": "no\nway"},
        {"name": "a", "outcome": "missing", "why": "dependency of b"}]"#;

    #[test]
    fn a_record_becomes_a_table() {
        let want = "\
module  outcome       start        time  reason
b       loaded       0.5 ms      1.1 ms  asked
c       failed       1.0 ms      7.9 ms  pci0/x has pci:v1, supplier of pci0/y: no; way
a       missing           -           -  dependency of b
warning: one; hint: two
deferred: eth waits for clk
root: not found
verdict: ok in 12.0 ms
";
        assert_eq!(table(&record(MODULES), Order::Load, None), want);
    }

    #[test]
    fn the_order_can_be_chosen() {
        let names = |order, only| {
            let table = table(&record(MODULES), order, only);
            let lines = table.lines().skip(1).filter_map(|line| line.split(' ').next());
            lines.filter(|word| word.len() == 1).collect::<String>()
        };
        for (order, only, want) in [
            (Order::Load, None, "bca"),
            (Order::Time, None, "cba"),
            (Order::Name, None, "abc"),
            (Order::Name, Some("b"), "b"),
        ] {
            assert_eq!(names(order, only), want, "{order:?}");
        }
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let record = record(
            r#""modules": [{"name": "a\u001b[31m\nb", "outcome": "\u202e"}], "verdict": "\u0007",
            "warnings": ["\u009b"]"#,
        );
        let table = table(&record, Order::Load, None);
        assert!(table.contains("\na\\x1b[31m\\x0ab"), "{table}");
        assert!(table.chars().all(|c| c == '\n' || !c.is_control()), "{table:?}");
    }
}
