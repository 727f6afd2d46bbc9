//! The root in the record: its name, its device, or the devices that were found instead.

use std::time::Duration;

use serde_json::{Value, json};

use super::json::millis;
use crate::disk::seen::SeenDevice;
use crate::kmod::name::ModuleName;

/// The root that was mounted or waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootRecord {
    /// `root=` or `coldplug.root=` as written.
    pub spec: String,
    /// Its device, once found.
    pub device: Option<String>,
    /// Filesystem type that it was mounted with.
    pub fstype: Option<String>,
    /// Layers below and above that filesystem, in words: verity, an image, an overlay.
    pub layers: Vec<String>,
    /// Roots that were tried before and failed, each with its error.
    pub failed: Vec<String>,
    /// The device or event that was waited for at the end, and for how long, if the root was not
    /// found.
    pub awaited: Option<(String, Duration)>,
    /// Block devices, if the root was not found.
    pub seen: Vec<SeenDevice>,
    /// Names that may be meant instead, if the root was not found.
    pub near_misses: Vec<String>,
    /// Modules of its filesystem, and those whose drivers are bound to its devices.
    pub modules: Vec<ModuleName>,
}

impl RootRecord {
    pub(super) fn to_json(&self) -> Value {
        let awaited = self.awaited.as_ref();
        json!({"spec": self.spec, "device": self.device, "fstype": self.fstype,
            "layers": self.layers, "passed_over": self.failed,
            "awaited": awaited.map(|(name, time)| json!({"name": name, "ms": millis(*time)})),
            "seen": self.seen.iter().map(seen).collect::<Vec<_>>(),
            "near": self.near_misses,
            "way": self.modules.iter().map(ModuleName::as_str).collect::<Vec<_>>()})
    }
}

fn seen(device: &SeenDevice) -> Value {
    json!({"name": device.name, "size": device.size, "disk": device.disk,
            "partition": device.partition, "table": device.table, "types": device.kinds,
            "uuid": device.uuid, "label": device.label, "partuuid": device.part_uuid,
            "partlabel": device.part_label, "links": device.links})
}
