//! The root in a saved record.

use serde_json::Value;

use super::fields;

/// The root that was mounted or waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SavedRoot {
    /// The root on the command line.
    pub(crate) spec: Option<String>,
    /// Its device, once found.
    pub(crate) device: Option<String>,
    /// Its filesystem type, once mounted.
    pub(crate) fstype: Option<String>,
    /// Layers below and above the filesystem.
    pub(crate) layers: Vec<String>,
    /// Modules that it needs.
    pub(crate) modules: Vec<String>,
    /// The root that did not appear, and how many milliseconds the boot waited for it.
    pub(crate) awaited: Option<(String, u64)>,
    /// Time at which its device was there, in µs since the kernel started.
    pub(crate) found_us: Option<u64>,
}

impl SavedRoot {
    /// Reads `root` of a record. Version 0.1.0 called `modules` `way`, and `waited_ms` `ms`.
    pub(super) fn from_value(root: &Value) -> Self {
        let is_old = root.get("modules").is_none();
        let filled = |key| fields::text(root, key).filter(|text| !text.is_empty());
        let awaited = root.get("awaited").filter(|awaited| awaited.is_object());
        let awaited = awaited.map(|awaited| {
            let name = fields::text(awaited, "name").unwrap_or_else(|| "-".to_owned());
            let waited_ms = fields::number(awaited, "waited_ms");
            (name, waited_ms.or_else(|| fields::number(awaited, "ms")).unwrap_or(0))
        });
        Self {
            spec: filled("spec"),
            device: filled("device"),
            fstype: filled("fstype"),
            layers: fields::texts(root, "layers"),
            modules: fields::texts(root, if is_old { "way" } else { "modules" }),
            awaited,
            found_us: fields::time(root, "found_us"),
        }
    }

    /// Returns the root in words: its device and type, or what was missing.
    pub(crate) fn in_words(&self) -> String {
        let spec = self.spec.as_deref();
        let named = |verb: &str| spec.map(|spec| format!("{spec}{verb}")).unwrap_or_default();
        let mut words = match (&self.device, &self.fstype) {
            (Some(device), Some(fstype)) => format!("{}{device} ({fstype})", named(" is ")),
            (Some(device), None) => format!("{}{device}, not mounted", named(" is ")),
            (None, _) => format!("{}not found", named(" ")),
        };
        if let Some((name, ms)) = &self.awaited {
            words += &format!("; waited {ms} ms for {name}");
        }
        words
    }
}
