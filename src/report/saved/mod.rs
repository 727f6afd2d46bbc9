//! A saved record, parsed once. Views read this value and no JSON.
//!
//! A record may come from a damaged disk or from somebody else, so nothing in it is trusted: what
//! has another type than docs/record.md says is as good as absent, times are in order, and no time
//! is later than a year after the start of the kernel.

mod edges;
mod fields;
mod module;
mod root;

pub(crate) use edges::Edges;
pub(crate) use module::{Load, SavedModule};
pub(crate) use root::SavedRoot;

use serde_json::Value;

/// Number of modules that are read, four times as many as a kernel has.
const MAX_MODULES: usize = 20_000;
/// Number of phases, waits, texts of a list and the like that are read; a boot has some dozens.
const MAX_ENTRIES: usize = 1000;

/// A part of the boot, in µs since the kernel started. It never ends before it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
}

impl Span {
    /// Returns the span between two times; empty if they are in the wrong order.
    pub(crate) fn new(from_us: u64, to_us: u64) -> Self {
        Self { from_us, to_us: to_us.max(from_us) }
    }

    /// Returns its length in µs.
    pub(crate) fn len_us(self) -> u64 {
        self.to_us - self.from_us
    }
}

/// A part of the boot with its name: a phase, or something that PID 1 waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) span: Span,
}

/// A device whose probe was deferred at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SavedDeferred {
    pub(crate) device: String,
    pub(crate) supplier: Option<String>,
    pub(crate) reason: Option<String>,
}

/// The record of one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SavedRecord {
    /// Version of coldplug that wrote it.
    pub(crate) version: String,
    /// Kernel release.
    pub(crate) kernel: String,
    /// The word of the verdict; `None` if the boot had not ended.
    pub(crate) verdict: Option<String>,
    /// Exit status of `coldplug.exec=`.
    pub(crate) exit: Option<u64>,
    /// From the entry of /init to the verdict.
    pub(crate) boot: Span,
    /// The root.
    pub(crate) root: SavedRoot,
    /// The modules, in the order of the record.
    pub(crate) modules: Vec<SavedModule>,
    /// Phases in their order. Each begins where the one before ends.
    pub(crate) phases: Vec<Named>,
    /// What PID 1 waited for, in the order of time.
    pub(crate) waits: Vec<Named>,
    /// Time stamps of the kernel, in the order of time, in µs.
    pub(crate) kernel_stamps: Vec<(String, u64)>,
    /// Number of threads of the worker process.
    pub(crate) jobs: Option<u64>,
    /// How the new root became the root.
    pub(crate) switch: Option<String>,
    /// Values of `memory` by name, in bytes.
    pub(crate) memory: Vec<(String, u64)>,
    /// Devices whose probe was deferred at the end.
    pub(crate) deferred: Vec<SavedDeferred>,
    /// Warnings.
    pub(crate) warnings: Vec<String>,
}

impl SavedRecord {
    /// Parses a record in JSON; `None` if the text is no record.
    #[cfg(test)]
    pub(crate) fn parse(json: &str) -> Option<Self> {
        Self::from_value(&serde_json::from_str(json).ok()?)
    }

    /// Reads a record from its JSON value; `None` if it is no record: that has a list of modules
    /// and a root.
    pub(crate) fn from_value(record: &Value) -> Option<Self> {
        let modules = record.get("modules")?.as_array()?;
        let root = record.get("root").filter(|root| root.is_object())?;
        let is_cut = modules.len() > MAX_MODULES;
        let modules: Vec<_> =
            modules.iter().take(MAX_MODULES).map(SavedModule::from_value).collect();
        let init_us = fields::number(record, "init_boottime_ns").unwrap_or(0) / 1000;
        let init_us = fields::believed(init_us).unwrap_or(0);
        let boot = boot_span(record, init_us, &modules);
        let mut saved = Self {
            version: fields::text(record, "version").unwrap_or_default(),
            kernel: fields::text(record, "kernel").unwrap_or_default(),
            verdict: fields::text(record, "verdict"),
            exit: fields::number(record, "exit"),
            boot,
            root: SavedRoot::from_value(root),
            modules,
            phases: phases(record, boot),
            waits: waits(record, boot),
            kernel_stamps: kernel_stamps(record),
            jobs: fields::number(record, "jobs"),
            switch: fields::text(record, "switch"),
            memory: memory(record),
            deferred: fields::list(record, "deferred")
                .filter_map(deferred)
                .take(MAX_ENTRIES)
                .collect(),
            warnings: fields::texts(record, "warnings"),
        };
        saved.complete_needs();
        if is_cut {
            saved.warnings.push(format!("only the first {MAX_MODULES} modules are shown"));
        }
        Some(saved)
    }

    /// Returns a time in µs since the kernel started as one since the entry of /init.
    pub(crate) fn since_init_us(&self, time_us: u64) -> u64 {
        time_us.saturating_sub(self.boot.from_us)
    }

    /// Returns the time at which the device of the root was there, in µs since the kernel started.
    pub(crate) fn root_found_us(&self) -> Option<u64> {
        let phase = self.phases.iter().find(|phase| phase.name == "root device");
        let found_us = self.root.found_us.or_else(|| phase.map(|phase| phase.span.to_us))?;
        Some(found_us.clamp(self.boot.from_us, self.boot.to_us))
    }

    /// Fills in what records of older versions do not say: that a module needs those whose reason
    /// names it.
    fn complete_needs(&mut self) {
        if self.modules.iter().any(|module| !module.needs.is_empty()) {
            return;
        }
        let edges: Vec<(usize, String)> = {
            let by_name = edges::by_name(&self.modules);
            let user = |module: &SavedModule| by_name.get(module.requester.as_deref()?).copied();
            let named = self.modules.iter();
            named.filter_map(|module| Some((user(module)?, module.name.clone()))).collect()
        };
        for (user, name) in edges {
            if let Some(module) = self.modules.get_mut(user) {
                module.needs.push(name);
            }
        }
    }
}

/// Returns the time from the entry of /init to the verdict. `time_ms` is in whole milliseconds, so
/// the end of the last phase may be more exact; a boot that has not ended has lasted until the last
/// event that the record knows.
fn boot_span(record: &Value, init_us: u64, modules: &[SavedModule]) -> Span {
    let millis = fields::number(record, "time_ms").and_then(|ms| ms.checked_mul(1000));
    let time_us = millis.and_then(fields::believed).unwrap_or(0);
    let phases = fields::pairs(record, "phases_us");
    let last_us = phases.iter().map(|(_, end_us)| *end_us).max().unwrap_or(0);
    let len_us = match time_us {
        0 => {
            let ends = modules.iter().filter_map(|module| module.load?.end_us);
            last_us.max(ends.max().unwrap_or(0).saturating_sub(init_us))
        }
        time_us if (time_us..time_us + 1000).contains(&last_us) => last_us,
        time_us => time_us,
    };
    Span::new(init_us, init_us + len_us)
}

/// Returns the phases. An end that is before the one of the phase before, or after the end of the
/// boot, is moved there.
fn phases(record: &Value, boot: Span) -> Vec<Named> {
    let mut from_us = boot.from_us;
    let phase = |(name, end_us): (String, u64)| {
        let span = Span::new(from_us, (boot.from_us + end_us).clamp(from_us, boot.to_us));
        from_us = span.to_us;
        Named { name, span }
    };
    fields::pairs(record, "phases_us").into_iter().map(phase).collect()
}

fn waits(record: &Value, boot: Span) -> Vec<Named> {
    let wait = |wait: &Value| {
        let time = |key| Some(fields::time(wait, key)?.clamp(boot.from_us, boot.to_us));
        let span = Span::new(time("from_us")?, time("to_us")?);
        Some(Named { name: fields::text(wait, "for")?, span })
    };
    let mut waits: Vec<_> =
        fields::list(record, "waits").filter_map(wait).take(MAX_ENTRIES).collect();
    waits.sort_by_key(|wait| (wait.span.from_us, wait.span.to_us));
    waits
}

fn kernel_stamps(record: &Value) -> Vec<(String, u64)> {
    let mut stamps = fields::pairs(record, "kernel_us");
    stamps.sort_by_key(|(_, time_us)| *time_us);
    stamps
}

fn memory(record: &Value) -> Vec<(String, u64)> {
    let members = record.get("memory").and_then(Value::as_object).into_iter().flatten();
    let sizes = members.filter_map(|(name, bytes)| Some((name.clone(), bytes.as_u64()?)));
    sizes.take(MAX_ENTRIES).collect()
}

fn deferred(value: &Value) -> Option<SavedDeferred> {
    Some(SavedDeferred {
        device: fields::text(value, "device")?,
        supplier: fields::text(value, "supplier"),
        reason: fields::text(value, "reason"),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the record with these members.
    pub(crate) fn record(members: &str) -> SavedRecord {
        let json = format!(r#"{{"root": {{}}, {members}}}"#);
        SavedRecord::parse(&json).unwrap_or_else(|| panic!("no record: {json}"))
    }

    #[test]
    fn a_record_has_modules_and_a_root() {
        for (json, is_record) in [
            ("{}", false),
            ("no", false),
            (r#"{"modules": []}"#, false),
            (r#"{"modules": {}, "root": {}}"#, false),
            (r#"{"modules": [], "root": null}"#, false),
            (r#"{"modules": [], "root": {}}"#, true),
            (r#"{"modules": [null, 7, {}], "root": {}}"#, true),
        ] {
            assert_eq!(SavedRecord::parse(json).is_some(), is_record, "{json}");
        }
    }

    #[test]
    fn phases_are_contiguous_and_end_with_the_boot() {
        let phases = |text: &str| {
            let members = format!(
                r#""modules": [], "init_boottime_ns": 1000000, "time_ms": 10, "phases_us": {text}"#
            );
            let record = record(&members);
            let word = |p: &Named| format!("{} {}-{}", p.name, p.span.from_us, p.span.to_us);
            let words: Vec<_> = record.phases.iter().map(word).collect();
            format!("{} | {}", record.boot.to_us, words.join(", "))
        };
        for (text, want) in [
            (r#"[["a", 3], ["b", 8]]"#, "11000 | a 1000-1003, b 1003-1008"),
            (r#"[["a", 3000], ["b", 10700]]"#, "11700 | a 1000-4000, b 4000-11700"),
            (r#"[["b", 8], ["a", 3]]"#, "11000 | b 1000-1008, a 1008-1008"),
            (r#"[["a", 99999], ["b", 1e300]]"#, "11000 | a 1000-11000"),
            (r#"[["a", 18446744073709551615], ["b"], 5, ["c", 1]]"#, "11000 | c 1000-1001"),
            (r#"[["a", -1], ["b", "NaN"], [7, 7]]"#, "11000 | "),
            ("7", "11000 | "),
        ] {
            assert_eq!(phases(text), want, "{text}");
        }
    }

    #[test]
    fn an_unfinished_boot_lasts_until_its_last_event() {
        let modules = r#""modules": [{"name": "a", "start_us": 2000, "end_us": 9000}]"#;
        let record = record(&format!(r#"{modules}, "init_boottime_ns": 1000000"#));
        assert_eq!(record.boot, Span::new(1000, 9000));
    }

    #[test]
    fn needs_of_older_records_come_from_the_reasons() {
        let modules = r#""modules": [{"name": "a", "why": "dependency of c"},
            {"name": "b", "why": "softdep of c"}, {"name": "c", "why": "device"},
            {"name": "d", "why": "dependency of nobody"}]"#;
        assert_eq!(record(modules).modules[2].needs, ["a", "b"]);
        let newer = modules.replace(r#""why": "device""#, r#""why": "device", "needs": ["a"]"#);
        assert_eq!(record(&newer).modules[2].needs, ["a"]);
    }

    #[test]
    fn long_texts_and_lists_are_cut() {
        let (long, list) = ("/".repeat(1 << 20), vec![r#""a""#; 100_000].join(", "));
        let record = record(&format!(
            r#""kernel": "{long}", "warnings": [{list}], "phases_us": [["{long}", 1]],
            "modules": [{{"name": "{long}", "device": "{long}", "needs": [{list}]}}]"#
        ));
        let module = &record.modules[0];
        for text in [&record.kernel, &module.name, &record.phases[0].name] {
            assert_eq!(text.chars().count(), fields::MAX_TEXT + 1);
        }
        assert_eq!(module.device, None);
        assert_eq!([record.warnings.len(), module.needs.len()], [MAX_ENTRIES; 2]);
    }

    #[test]
    fn waits_are_sorted_and_lie_within_the_boot() {
        let record = record(
            r#""modules": [], "init_boottime_ns": 1000000, "time_ms": 10, "waits": [
            {"for": "b", "from_us": 5000, "to_us": 4000}, {"for": "a", "from_us": 0, "to_us": 1e9},
            {"for": "c", "from_us": 2}, {"from_us": 1, "to_us": 2}, null]"#,
        );
        let words: Vec<_> = record.waits.iter().map(|w| (w.name.as_str(), w.span)).collect();
        assert_eq!(words, [("b", Span::new(5000, 5000))]);
    }
}
