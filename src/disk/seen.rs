//! A block device as messages and the boot record show it.

/// A block device and its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SeenDevice {
    /// Name below /dev.
    pub(crate) name: String,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Disk of a partition.
    pub(crate) disk: Option<String>,
    /// Number of a partition.
    pub(crate) partition: Option<u32>,
    /// Type of the partition table of a disk, or of the disk of a partition: `gpt`, `dos`.
    pub(crate) table: Option<&'static str>,
    /// blkid's TYPE of the content; several if the content is ambiguous.
    pub(crate) kinds: Vec<&'static str>,
    /// Whether the content is a file system that can be mounted.
    pub(crate) is_filesystem: bool,
    /// UUID of the content.
    pub(crate) uuid: Option<String>,
    /// LABEL of the content.
    pub(crate) label: Option<String>,
    /// PARTUUID of a partition.
    pub(crate) part_uuid: Option<String>,
    /// PARTLABEL of a partition.
    pub(crate) part_label: Option<String>,
    /// Links below /dev that udev would create, by identity and by path.
    pub(crate) links: Vec<String>,
}

impl SeenDevice {
    /// Formats the device as `vda1 ext4 UUID=… LABEL=… PARTUUID=…`.
    pub(crate) fn line(&self) -> String {
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
