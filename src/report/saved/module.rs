//! A module in a saved record.

use serde_json::Value;

use super::{Span, fields};

/// The times of a load, in µs since the kernel started. Those that are known are in the order of
/// the fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// A thread took it up.
    pub(crate) start_us: u64,
    /// The file had been read.
    pub(crate) read_us: Option<u64>,
    /// The file had been decompressed.
    pub(crate) decoded_us: Option<u64>,
    /// The kernel was called.
    pub(crate) kernel_us: Option<u64>,
    /// The kernel had the module live.
    pub(crate) live_us: Option<u64>,
    /// The call returned; `None` if it had not when the record was written.
    pub(crate) end_us: Option<u64>,
}

/// A part of a load: what was done, and when.
pub(crate) type Part = (&'static str, Span);

impl Load {
    /// Reads the times of a module; `None` if its load was never begun.
    fn from_value(module: &Value) -> Option<Self> {
        let time = |key| fields::time(module, key).filter(|time_us| *time_us > 0);
        let end_us = time("end_us");
        let start_us = time("start_us").or(end_us)?;
        let end_us = end_us.map(|end_us| end_us.max(start_us));
        let mut last_us = start_us;
        // A time that is out of order is dropped, the later ones are compared with the last good one.
        let mut in_order = |key| {
            let time_us = time(key)?;
            let is_good = time_us >= last_us && end_us.is_none_or(|end_us| time_us <= end_us);
            is_good.then(|| {
                last_us = time_us;
                time_us
            })
        };
        Some(Self {
            start_us,
            read_us: in_order("read_us"),
            decoded_us: in_order("decoded_us"),
            kernel_us: in_order("kernel_us"),
            live_us: in_order("live_us"),
            end_us,
        })
    }

    /// Returns the time at which modules that need this one could start.
    pub(crate) fn usable_us(&self) -> Option<u64> {
        self.live_us.or(self.end_us)
    }

    /// Returns the load as a part of the boot; one that has not ended lasts until `now_us`.
    pub(crate) fn span(&self, now_us: u64) -> Span {
        Span::new(self.start_us, self.end_us.unwrap_or(now_us))
    }

    /// Returns the parts of the load, contiguous from its start to its end. One that has not ended
    /// lasts until `now_us`.
    pub(crate) fn parts(&self, now_us: u64) -> Vec<Part> {
        let end_us = self.span(now_us).to_us;
        let ends = [
            ("read", self.read_us),
            ("decompress", self.decoded_us),
            ("prepare", self.kernel_us),
            ("init", Some(self.live_us.unwrap_or(end_us))),
            ("after init", Some(end_us)),
        ];
        let mut from_us = self.start_us;
        let mut parts = Vec::new();
        for (what, to_us) in ends {
            let Some(to_us) = to_us.filter(|to_us| *to_us > from_us) else { continue };
            parts.push((what, Span::new(from_us, to_us)));
            from_us = to_us;
        }
        parts
    }
}

/// A requested module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SavedModule {
    pub(crate) name: String,
    pub(crate) outcome: String,
    /// `device`, `asked`, `dependency of X`, `softdep of X`.
    pub(crate) why: String,
    /// The module that wanted it, if another module did.
    pub(crate) requester: Option<String>,
    /// The device below /sys/devices.
    pub(crate) device: Option<String>,
    /// The modalias of the device, or the name that was asked for.
    pub(crate) modalias: Option<String>,
    /// The alias pattern that matched.
    pub(crate) alias: Option<String>,
    /// A device that waits for this one.
    pub(crate) supplier_of: Option<String>,
    /// Its file below the module directory.
    pub(crate) path: Option<String>,
    /// Module parameters.
    pub(crate) options: Option<String>,
    /// Load method.
    pub(crate) method: Option<String>,
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// Modules that had to be live before.
    pub(crate) needs: Vec<String>,
    /// Modules that it waited for without needing them.
    pub(crate) after: Vec<String>,
    /// Thread of the worker process, from 0.
    pub(crate) lane: Option<u64>,
    /// When it was requested, in µs since the kernel started.
    pub(crate) queued_us: Option<u64>,
    /// Its load, if that was begun.
    pub(crate) load: Option<Load>,
    /// Bytes of memory that it uses in the kernel.
    pub(crate) size: Option<u64>,
}

impl SavedModule {
    /// Reads an element of `modules`.
    pub(super) fn from_value(module: &Value) -> Self {
        let text = |key| fields::text(module, key);
        let why = text("why").unwrap_or_default();
        let load = Load::from_value(module);
        let start_us = load.map_or(u64::MAX, |load| load.start_us);
        Self {
            name: text("name").unwrap_or_else(|| "-".to_owned()),
            outcome: text("outcome").unwrap_or_else(|| "-".to_owned()),
            requester: text("requester").or_else(|| requester(&why)),
            device: fields::device(module, "device"),
            modalias: text("modalias"),
            alias: text("alias"),
            supplier_of: text("supplier_of"),
            path: text("path"),
            options: text("options"),
            // Version 0.1.0 called it `road`.
            method: text("method").or_else(|| text("road")),
            error: text("error"),
            needs: fields::texts(module, "needs"),
            after: fields::texts(module, "after"),
            lane: fields::number(module, "lane"),
            queued_us: fields::time(module, "queued_us").filter(|time_us| *time_us <= start_us),
            load,
            size: fields::number(module, "size"),
            why,
        }
    }

    /// Returns how long it took in µs until the module was live or had failed, if its load has ended.
    /// The load may return later: it also waits for asynchronous work of other drivers.
    pub(crate) fn took_us(&self) -> Option<u64> {
        let load = self.load?;
        load.end_us?;
        Some(load.usable_us()? - load.start_us)
    }

    /// Returns whether the module is in the kernel.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.outcome.as_str(), "loaded" | "already" | "commanded")
    }

    /// Returns why it was wanted, and its error, in one line.
    pub(crate) fn reason(&self) -> String {
        let mut reason = match (&self.modalias, &self.device) {
            // Modaliases can be a kilobyte long; the start shows the bus and the IDs.
            (Some(modalias), Some(device)) => {
                format!("{device} has {}", modalias.chars().take(60).collect::<String>())
            }
            (Some(modalias), None) => format!("requested as {modalias}"),
            _ => self.why.clone(),
        };
        if let Some(consumer) = &self.supplier_of {
            reason += &format!(", supplier of {consumer}");
        }
        if let Some(error) = &self.error {
            reason += &format!(": {error}");
        }
        reason
    }
}

/// Returns X of `dependency of X` and `softdep of X`.
fn requester(why: &str) -> Option<String> {
    let name = why.strip_prefix("dependency of ").or_else(|| why.strip_prefix("softdep of "));
    name.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(members: &str) -> SavedModule {
        SavedModule::from_value(&serde_json::from_str(&format!("{{{members}}}")).unwrap())
    }

    /// Returns the times of a load as text, `-` for those that are unknown.
    fn times(members: &str) -> String {
        let Some(load) = module(members).load else { return "none".to_owned() };
        let rest = [load.read_us, load.decoded_us, load.kernel_us, load.live_us, load.end_us];
        let word = |time_us: Option<u64>| time_us.map_or_else(|| "-".to_owned(), |t| t.to_string());
        let words: Vec<_> = [Some(load.start_us)].into_iter().chain(rest).map(word).collect();
        words.join(" ")
    }

    #[test]
    fn times_of_a_load_are_in_order() {
        for (members, want) in [
            (r#""start_us": 0, "end_us": 0"#, "none"),
            (r#""start_us": 5, "end_us": 0"#, "5 - - - - -"),
            (r#""start_us": 5, "end_us": 9, "live_us": 8"#, "5 - - - 8 9"),
            (r#""start_us": 9, "end_us": 5, "live_us": 8"#, "9 - - - - 9"),
            (r#""end_us": 5"#, "5 - - - - 5"),
            (
                r#""start_us": 1, "read_us": 2, "decoded_us": 3, "kernel_us": 4, "live_us": 5,
                   "end_us": 6"#,
                "1 2 3 4 5 6",
            ),
            (
                r#""start_us": 1, "read_us": 4, "decoded_us": 3, "kernel_us": 99, "live_us": 5,
                   "end_us": 6"#,
                "1 4 - - 5 6",
            ),
            (r#""start_us": 1, "end_us": 18446744073709551615"#, "1 - - - - -"),
            (r#""start_us": -1, "end_us": "NaN""#, "none"),
            (r#""start_us": 1.5, "end_us": 7"#, "7 - - - - 7"),
        ] {
            assert_eq!(times(members), want, "{members}");
        }
    }

    #[test]
    fn parts_of_a_load_are_contiguous() {
        let parts = |members: &str| {
            let parts = module(members).load.unwrap().parts(20);
            let word = |(what, span): Part| format!("{what} {}-{}", span.from_us, span.to_us);
            parts.into_iter().map(word).collect::<Vec<_>>().join(", ")
        };
        for (members, want) in [
            (r#""start_us": 5, "end_us": 9"#, "init 5-9"),
            (r#""start_us": 5, "live_us": 8, "end_us": 9"#, "init 5-8, after init 8-9"),
            (r#""start_us": 5, "kernel_us": 6, "end_us": 9"#, "prepare 5-6, init 6-9"),
            (
                r#""start_us": 1, "read_us": 2, "decoded_us": 3, "kernel_us": 4, "live_us": 5,
                   "end_us": 6"#,
                "read 1-2, decompress 2-3, prepare 3-4, init 4-5, after init 5-6",
            ),
            (r#""start_us": 5"#, "init 5-20"),
            (r#""start_us": 50"#, ""),
            (r#""start_us": 5, "end_us": 5"#, ""),
        ] {
            assert_eq!(parts(members), want, "{members}");
        }
    }

    #[test]
    fn the_load_method_is_known_from_either_field() {
        for (members, want) in [
            (r#""method": "init_module""#, Some("init_module")),
            (r#""road": "image""#, Some("image")),
            (r#""method": "finit_module", "road": "image""#, Some("finit_module")),
            ("", None),
        ] {
            assert_eq!(module(members).method.as_deref(), want, "{members}");
        }
    }

    #[test]
    fn the_requester_is_known_from_either_field() {
        for (members, want) in [
            (r#""why": "dependency of a""#, Some("a")),
            (r#""why": "softdep of a""#, Some("a")),
            (r#""why": "device""#, None),
            (r#""why": "dependency of a", "requester": "b""#, Some("b")),
        ] {
            assert_eq!(module(members).requester.as_deref(), want);
        }
    }
}
