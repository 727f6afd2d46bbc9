//! The root in the record: its name, its device, or the devices that were found instead.

use std::time::Duration;

use super::json::millis;
use super::writer::JsonWriter;
use crate::disk::seen::SeenDevice;
use crate::kmod::name::ModuleName;
use crate::sys::BootTime;

/// The root that was mounted or waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RootRecord {
    /// `root=` or `coldplug.root=` as written.
    pub(crate) spec: String,
    /// The slot of `coldplug.slots=` that was tried last, if its attempts are counted.
    pub(crate) slot: Option<String>,
    /// Its device, once found.
    pub(crate) device: Option<String>,
    /// Time at which that device was found.
    pub(crate) found: Option<BootTime>,
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
    /// Writes the member `root`.
    pub(super) fn write(&self, json: &mut JsonWriter) {
        json.begin("root", '{');
        json.text("spec", &self.spec);
        json.text_or_null("slot", self.slot.as_deref());
        json.text_or_null("device", self.device.as_deref());
        json.number_or_null("found_us", self.found.map(BootTime::as_micros));
        json.text_or_null("fstype", self.fstype.as_deref());
        json.texts("layers", &self.layers);
        json.texts("failed", &self.failed);
        match &self.awaited {
            Some((name, time)) => {
                json.begin("awaited", '{');
                json.text("name", name);
                json.number("waited_ms", millis(*time));
                json.end('}');
            }
            None => json.literal("awaited", "null"),
        }
        json.begin("seen", '[');
        self.seen.iter().for_each(|device| seen(device, json));
        json.end(']');
        json.texts("near_misses", &self.near_misses);
        json.modules("modules", &self.modules);
        json.end('}');
    }
}

fn seen(device: &SeenDevice, json: &mut JsonWriter) {
    json.begin("", '{');
    json.text("name", &device.name);
    json.number("size", device.size);
    json.text_or_null("disk", device.disk.as_deref());
    json.number_or_null("partition", device.partition.map(u64::from));
    json.text_or_null("table", device.table);
    json.begin("types", '[');
    device.kinds.iter().for_each(|kind| json.text("", kind));
    json.end(']');
    json.text_or_null("uuid", device.uuid.as_deref());
    json.text_or_null("label", device.label.as_deref());
    json.text_or_null("partuuid", device.part_uuid.as_deref());
    json.text_or_null("partlabel", device.part_label.as_deref());
    json.text_or_null("error", device.error.as_deref());
    json.texts("links", &device.links);
    json.end('}');
}
