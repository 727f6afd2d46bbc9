//! lvm2's devices file: the only devices on which physical volumes are used. Reference:
//! lvmdevices(8) and lvm2's lib/device/device_id.c.
//!
//! ```text
//! IDTYPE=sys_wwid IDNAME=naa.5000c500a DEVNAME=/dev/sda2 PVID=gMZv…Z12 PART=2
//! ```

use super::id::Id;

/// A device in the devices file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Type of the name: `sys_wwid`, `sys_serial`, `devname`, …
    pub(crate) kind: String,
    /// Name of that type; empty if unknown.
    pub(crate) name: String,
    /// UUID of the physical volume.
    pub(crate) id: Option<Id>,
    /// Number of the partition; 0 for a whole disk.
    pub(crate) partition: u32,
}

/// What the system knows of a device.
pub(crate) struct Known<'a> {
    /// UUID of the physical volume on it.
    pub(crate) id: Id,
    /// Number of the partition; 0 for a whole disk.
    pub(crate) partition: u32,
    /// Returns the name of a type.
    pub(crate) name: &'a dyn Fn(&str) -> Option<String>,
}

/// Parses the devices file. Lines without type and name have no effect.
pub(crate) fn parse(text: &str) -> Vec<Entry> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Entry> {
    let field = |name: &str| {
        let words = line.split_ascii_whitespace();
        let value = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')).next()?;
        Some(if value == "." { "" } else { value })
    };
    Some(Entry {
        kind: field("IDTYPE")?.to_owned(),
        name: field("IDNAME")?.to_owned(),
        id: field("PVID").and_then(Id::parse),
        partition: field("PART").and_then(|part| part.parse().ok()).unwrap_or(0),
    })
}

/// Types of names that [`Known::name`] can return.
const KINDS: [&str; 8] = [
    "sys_wwid",
    "sys_serial",
    "devname",
    "mpath_uuid",
    "crypt_uuid",
    "lvmlv_uuid",
    "md_uuid",
    "loop_file",
];

impl Entry {
    /// Returns whether the type of the name is known.
    pub(crate) fn is_known(&self) -> bool {
        KINDS.contains(&&*self.kind)
    }

    /// Returns whether the entry is for a device. A node's name may change from boot to boot, so
    /// the UUID counts instead if it is there.
    pub(crate) fn is_for(&self, device: &Known<'_>) -> bool {
        if self.kind == "devname" && self.id.is_some() {
            return self.id == Some(device.id);
        }
        self.is_known()
            && self.partition == device.partition
            && !self.name.is_empty()
            && (device.name)(&self.kind).is_some_and(|name| name == self.name)
    }
}

/// Returns a name as the devices file has it: without white space and control characters.
pub(crate) fn clean(name: &str) -> String {
    let name = name.trim_end_matches('\n');
    name.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "gMZvEVaVUabJgn5HyigMwl8k7LUoxZ12";

    #[test]
    fn entries_match_by_name_or_uuid() {
        let device = |kind: &str| match kind {
            "sys_wwid" => Some("naa.5".to_owned()),
            "devname" => Some("/dev/sdb2".to_owned()),
            _ => None,
        };
        let known = Known { id: Id::parse(ID).unwrap(), partition: 2, name: &device };
        for (line, want) in [
            ("IDTYPE=sys_wwid IDNAME=naa.5 DEVNAME=/dev/sda2 PVID=x PART=2", true),
            ("IDTYPE=sys_wwid IDNAME=naa.5 PART=1", false),
            ("IDTYPE=sys_wwid IDNAME=naa.6 PART=2", false),
            ("IDTYPE=sys_serial IDNAME=naa.5 PART=2", false),
            ("IDTYPE=devname IDNAME=/dev/sdb2 PART=2", true),
            ("IDTYPE=devname IDNAME=/dev/sdb2 DEVNAME=/dev/sdb2 PVID=. PART=2", true),
            (&format!("IDTYPE=devname IDNAME=/dev/sda PVID={ID}"), true),
            ("IDTYPE=devname IDNAME=. PART=2", false),
            ("IDTYPE=new IDNAME=naa.5 PART=2", false),
        ] {
            let entry = parse(line).pop().unwrap();
            assert_eq!(entry.is_for(&known), want, "{line}");
        }
        let text = "# IDTYPE=a IDNAME=b\nVERSION=1.1.2\nSYSTEMID=\n";
        assert_eq!(parse(text), []);
        assert_eq!(clean("t10.ATA  X\n"), "t10.ATA__X");
    }
}
