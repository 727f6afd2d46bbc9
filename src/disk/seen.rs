//! A block device as messages and the boot record show it.

use crate::escape;

/// A block device and its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SeenDevice {
    /// Name of the node below /dev.
    pub(crate) name: String,
    /// Name below /dev by which people know the device, if that is another one: `vg0/root`.
    pub(crate) usual_name: Option<String>,
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
    /// Why the device, or a part of it, could not be read.
    pub(crate) error: Option<String>,
    /// Links below /dev that udev would create, by identity and by path.
    pub(crate) links: Vec<String>,
}

impl SeenDevice {
    /// Returns the name below /dev by which people know the device.
    pub(crate) fn usual_name(&self) -> &str {
        self.usual_name.as_deref().unwrap_or(&self.name)
    }

    /// Formats the device as `vda1 ext4 UUID=… LABEL=… PARTUUID=…`, printable whatever the device
    /// holds.
    pub(crate) fn line(&self) -> String {
        let content = match (self.kinds.is_empty(), self.partition, self.table) {
            (false, ..) => self.kinds.join(" and "),
            (true, None, Some(table)) => format!("({table} partition table)"),
            (true, ..) if self.error.is_some() => String::new(),
            (true, ..) => "(unknown content)".to_owned(),
        };
        let fields = [
            ("UUID", &self.uuid),
            ("LABEL", &self.label),
            ("PARTUUID", &self.part_uuid),
            ("PARTLABEL", &self.part_label),
        ];
        let error = self.error.as_ref().map(|error| format!("({error})"));
        let values = fields.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let values = values.map(|(name, value)| format!("{name}={}", escape::value(value)));
        let words = std::iter::once(content).chain(values).chain(error);
        words
            .filter(|word| !word.is_empty())
            .fold(escape::value(self.usual_name()).into_owned(), |line, word| line + " " + &word)
    }
}
