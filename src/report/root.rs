//! The root in the record: how it was named, what it was found to be, what was there instead.

use std::time::Duration;

use serde_json::{Value, json};

use super::json::millis;
use crate::disk::seen::SeenDevice;
use crate::kmod::name::ModuleName;

/// The root that was mounted, or waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootRecord {
    /// `root=` or `coldplug.root=` as written.
    pub spec: String,
    /// The device it was found to be.
    pub device: Option<String>,
    /// The type it was mounted as.
    pub fstype: Option<String>,
    /// What lies below and above that filesystem, in words: verity, an image, an overlay.
    pub layers: Vec<String>,
    /// Roots that were tried first, each with the reason why it was not taken.
    pub passed_over: Vec<String>,
    /// The device or event that was waited for at the end, and for how long, if the root was not
    /// found.
    pub awaited: Option<(String, Duration)>,
    /// Block devices seen, where the root did not come.
    pub seen: Vec<SeenDevice>,
    /// What may be meant instead, where the root did not come.
    pub near: Vec<String>,
    /// The modules of its filesystem, and those whose drivers hold the devices that it is on.
    pub way: Vec<ModuleName>,
}

impl RootRecord {
    pub(super) fn to_json(&self) -> Value {
        let awaited = self.awaited.as_ref();
        json!({"spec": self.spec, "device": self.device, "fstype": self.fstype, "layers": self.layers,
            "passed_over": self.passed_over,
            "awaited": awaited.map(|(name, time)| json!({"name": name, "ms": millis(*time)})),
            "seen": self.seen.iter().map(seen).collect::<Vec<_>>(),
            "near": self.near,
            "way": self.way.iter().map(ModuleName::as_str).collect::<Vec<_>>()})
    }
}

fn seen(device: &SeenDevice) -> Value {
    json!({"name": device.name, "size": device.size, "disk": device.disk, "partition": device.partition,
            "table": device.table, "types": device.kinds, "uuid": device.uuid, "label": device.label,
            "partuuid": device.part_uuid, "partlabel": device.part_label, "links": device.links})
}
