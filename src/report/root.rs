//! The root in the record: how it was named, what it was found to be, what was there instead.

use serde_json::{Value, json};

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
    /// What was waited for at the end, and how long, in milliseconds; where the root did not come.
    pub awaited: Option<(String, u64)>,
    /// Block devices seen, where the root did not come.
    pub seen: Vec<Seen>,
    /// What may be meant instead, where the root did not come.
    pub near: Vec<String>,
    /// The modules of its filesystem, and those whose drivers hold the devices that it is on.
    pub way: Vec<ModuleName>,
}

/// A block device and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The kernel's name, as below /dev.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The disk that a partition is on.
    pub disk: Option<String>,
    /// The number of a partition.
    pub partition: Option<u32>,
    /// The kind of partition table that a disk has, or that the disk of a partition has: `gpt`, `dos`.
    pub table: Option<&'static str>,
    /// blkid's TYPE of what it holds; several where that is ambiguous.
    pub kinds: Vec<&'static str>,
    /// Whether what it holds can be mounted.
    pub is_filesystem: bool,
    /// UUID of what it holds.
    pub uuid: Option<String>,
    /// LABEL of what it holds.
    pub label: Option<String>,
    /// PARTUUID of a partition.
    pub part_uuid: Option<String>,
    /// PARTLABEL of a partition.
    pub part_label: Option<String>,
    /// Links below /dev that udev would make to it, by what it says of itself and where it hangs.
    pub links: Vec<String>,
}

impl Seen {
    /// `vda1 ext4 UUID=… LABEL=… PARTUUID=…`
    pub fn line(&self) -> String {
        let content = match (self.kinds.is_empty(), self.partition, self.table) {
            (false, ..) => self.kinds.join(" and "),
            (true, None, Some(table)) => format!("({table} partition table)"),
            (true, ..) => "(unknown content)".to_owned(),
        };
        let fields = [
            ("UUID", &self.uuid),
            ("LABEL", &self.label),
            ("PARTUUID", &self.part_uuid),
            ("PARTLABEL", &self.part_label),
        ];
        let mut line = format!("{} {content}", self.name);
        for (name, value) in fields {
            if let Some(value) = value {
                line.push_str(&format!(" {name}={value}"));
            }
        }
        line
    }

    fn to_json(&self) -> Value {
        json!({"name": self.name, "size": self.size, "disk": self.disk, "partition": self.partition,
            "table": self.table, "types": self.kinds, "uuid": self.uuid, "label": self.label,
            "partuuid": self.part_uuid, "partlabel": self.part_label, "links": self.links})
    }
}

impl RootRecord {
    pub(super) fn to_json(&self) -> Value {
        let awaited = self.awaited.as_ref();
        json!({"spec": self.spec, "device": self.device, "fstype": self.fstype, "layers": self.layers,
            "passed_over": self.passed_over,
            "awaited": awaited.map(|(what, ms)| json!({"name": what, "ms": ms})),
            "seen": self.seen.iter().map(Seen::to_json).collect::<Vec<_>>(),
            "near": self.near,
            "way": self.way.iter().map(ModuleName::as_str).collect::<Vec<_>>()})
    }
}
