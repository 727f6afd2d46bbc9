//! A block device as reports show it.

/// A block device and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenDevice {
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

impl SeenDevice {
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
}
