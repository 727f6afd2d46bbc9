//! The root in the record: its name, its device, or the devices that were found instead.

use std::time::Duration;

use serde_json::Value;

use super::json::{millis, object, strings};
use crate::disk::seen::SeenDevice;
use crate::kmod::name::ModuleName;

/// The root that was mounted or waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RootRecord {
    /// `root=` or `coldplug.root=` as written.
    pub(crate) spec: String,
    /// The slot of `coldplug.slots=` that was tried last, if its attempts are counted.
    pub(crate) slot: Option<String>,
    /// Its device, once found.
    pub(crate) device: Option<String>,
    /// Filesystem type that it was mounted with.
    pub(crate) fstype: Option<String>,
    /// Layers below and above that filesystem, in words: verity, an image, an overlay.
    pub(crate) layers: Vec<String>,
    /// Roots that were tried before and failed, each with its error.
    pub(crate) failed: Vec<String>,
    /// The device or event that was waited for at the end, and for how long, if the root was not
    /// found.
    pub(crate) awaited: Option<(String, Duration)>,
    /// Block devices, if the root was not found.
    pub(crate) seen: Vec<SeenDevice>,
    /// Names that may be meant instead, if the root was not found.
    pub(crate) near_misses: Vec<String>,
    /// Modules of its filesystem, and those whose drivers are bound to its devices.
    pub(crate) modules: Vec<ModuleName>,
}

impl RootRecord {
    pub(super) fn to_json(&self) -> Value {
        object(vec![
            ("spec", self.spec.as_str().into()),
            ("slot", self.slot.as_deref().into()),
            ("device", self.device.as_deref().into()),
            ("fstype", self.fstype.as_deref().into()),
            ("layers", strings(&self.layers)),
            ("passed_over", strings(&self.failed)),
            ("awaited", self.awaited.as_ref().map(awaited).into()),
            ("seen", self.seen.iter().map(seen).collect()),
            ("near", strings(&self.near_misses)),
            ("way", self.modules.iter().map(ModuleName::text).collect()),
        ])
    }
}

fn awaited((name, time): &(String, Duration)) -> Value {
    object(vec![("name", name.as_str().into()), ("ms", millis(*time).into())])
}

fn seen(device: &SeenDevice) -> Value {
    object(vec![
        ("name", device.name.as_str().into()),
        ("size", device.size.into()),
        ("disk", device.disk.as_deref().into()),
        ("partition", device.partition.into()),
        ("table", device.table.into()),
        ("types", device.kinds.iter().copied().collect()),
        ("uuid", device.uuid.as_deref().into()),
        ("label", device.label.as_deref().into()),
        ("partuuid", device.part_uuid.as_deref().into()),
        ("partlabel", device.part_label.as_deref().into()),
        ("error", device.error.as_deref().into()),
        ("links", strings(&device.links)),
    ])
}
