//! Names of devices on the kernel command line.
//!
//! ```text
//! /dev/NAME                     the kernel's name
//! UUID=  LABEL=                 UUID or label of the filesystem
//! PARTUUID=  PARTLABEL=         UUID or label of the partition; on an MBR SSSSSSSS-NN
//! PARTUUID=…/PARTNROFF=N        the partition whose number is higher by N
//! /dev/disk/by-uuid/ by-label/ by-partuuid/ by-partlabel/
//!                               the same as links of udev, with escapes such as \x20
//! ID=  /dev/disk/by-id/  /dev/disk/by-path/
//!                               how a disk identifies itself, and where it is connected, as udev
//!                               names it
//! MAJOR:MINOR  b302  0xb302     device number; hexadecimal in the kernel's encoding
//! gpt-auto                      the partition whose type marks it as a root of this architecture
//!
//! UUID="…"  'UUID=…'            the same without the quotes, as in systemd and fstab(5)
//! ```
//!
//! The kernel's forms are those of block/early-lookup.c, the tags those of mount(8).

use std::fmt;

use super::link_name;

/// Name of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootName {
    /// `/dev/NAME`.
    Device(String),
    /// `UUID=` of the filesystem.
    Uuid(String),
    /// `LABEL=` of the filesystem.
    Label(String),
    /// `PARTUUID=` of the partition, and `/PARTNROFF=` from it.
    PartUuid(String, i32),
    /// `PARTLABEL=` of the partition.
    PartLabel(String),
    /// `MAJOR:MINOR`, or the kernel's hexadecimal form.
    Number(u32, u32),
    /// A link of udev below /dev/disk, such as `by-id/…` or `by-path/…`.
    Link(String),
    /// The partition whose GPT type marks it as a root.
    GptAuto,
    /// Anything else, such as the tag of a filesystem without a device.
    Other(String),
}

impl RootName {
    /// Parses the value of `root=`; `None` if it is empty.
    pub fn parse(text: &str) -> Option<Self> {
        type Make = fn(String) -> RootName;
        const BY: [(&str, Make); 4] = [
            ("UUID", RootName::Uuid),
            ("LABEL", RootName::Label),
            ("PARTUUID", part_uuid),
            ("PARTLABEL", RootName::PartLabel),
        ];
        let text = unquote(text);
        if text.is_empty() {
            return None;
        }
        for (tag, make) in BY {
            if let Some(value) = text.strip_prefix(tag).and_then(|rest| rest.strip_prefix('=')) {
                return Some(make(unquote(value).to_owned()));
            }
            let link = format!("/dev/disk/by-{}/", tag.to_ascii_lowercase());
            if let Some(value) = text.strip_prefix(&link) {
                return Some(make(link_name::decode(unquote(value))));
            }
        }
        if let Some(id) = text.strip_prefix("ID=") {
            return Some(Self::Link(format!("by-id/{}", unquote(id))));
        }
        if let Some(link) = text.strip_prefix("/dev/disk/") {
            return Some(Self::Link(link.to_owned()));
        }
        if text.starts_with("/dev/") {
            return Some(Self::Device(text.to_owned()));
        }
        if text == "gpt-auto" {
            return Some(Self::GptAuto);
        }
        Some(number(text).unwrap_or_else(|| Self::Other(text.to_owned())))
    }

    /// Returns whether a block device may have this name. Names that were mistyped often fail this,
    /// and no wait helps them.
    pub(crate) fn may_be_block_device(&self) -> bool {
        let is_uuid =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match self {
            Self::Uuid(uuid) | Self::PartUuid(uuid, _) => !uuid.is_empty() && is_uuid(uuid),
            Self::Label(label) | Self::PartLabel(label) => !label.is_empty(),
            Self::Link(link) => link.split_once('/').is_some_and(|(_, name)| !name.is_empty()),
            // Major 0 is that of filesystems without a device; the other limits are the kernel's.
            Self::Number(major, minor) => (1..1 << 12).contains(major) && *minor < 1 << 20,
            Self::Device(path) => !path.ends_with('/'),
            Self::GptAuto => true,
            Self::Other(_) => false,
        }
    }
}

impl fmt::Display for RootName {
    /// Writes the name in the form of mount(8).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(text) | Self::Other(text) => f.write_str(text),
            Self::Uuid(uuid) => write!(f, "UUID={uuid}"),
            Self::Label(label) => write!(f, "LABEL={label}"),
            Self::PartUuid(uuid, 0) => write!(f, "PARTUUID={uuid}"),
            Self::PartUuid(uuid, offset) => write!(f, "PARTUUID={uuid}/PARTNROFF={offset}"),
            Self::PartLabel(label) => write!(f, "PARTLABEL={label}"),
            Self::Number(major, minor) => write!(f, "{major}:{minor}"),
            Self::Link(link) => write!(f, "/dev/disk/{link}"),
            Self::GptAuto => f.write_str("gpt-auto"),
        }
    }
}

fn part_uuid(text: String) -> RootName {
    let Some((uuid, offset)) = text.split_once("/PARTNROFF=") else {
        return RootName::PartUuid(text, 0);
    };
    match offset.parse() {
        // The quote before it has been removed.
        Ok(offset) => RootName::PartUuid(uuid.trim_end_matches(['"', '\'']).to_owned(), offset),
        // As in the kernel, no partition has this name.
        Err(_) => RootName::Other(format!("PARTUUID={text}")),
    }
}

/// Parses `8:1`, or `801` in the kernel's old and new hexadecimal encoding of device numbers.
fn number(text: &str) -> Option<RootName> {
    if let Some((major, minor)) = text.split_once(':') {
        return Some(RootName::Number(major.parse().ok()?, minor.parse().ok()?));
    }
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let code = u32::from_str_radix(digits, 16).ok()?;
    // linux/kdev_t.h: new_decode_dev
    Some(RootName::Number((code & 0xfff00) >> 8, (code & 0xff) | ((code >> 12) & 0xfff00)))
}

/// Removes quotes around a value. Like systemd, it accepts one that is never closed.
fn unquote(text: &str) -> &str {
    let inner = |q: char| text.strip_prefix(q).map(|t| t.strip_suffix(q).unwrap_or(t));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_name_is_parsed() {
        for (text, want, shown) in [
            ("/dev/vda1", RootName::Device("/dev/vda1".into()), "/dev/vda1"),
            ("UUID=ab-CD", RootName::Uuid("ab-CD".into()), "UUID=ab-CD"),
            ("LABEL=\"my root\"", RootName::Label("my root".into()), "LABEL=my root"),
            ("PARTUUID=1234-02", RootName::PartUuid("1234-02".into(), 0), "PARTUUID=1234-02"),
            (
                "PARTUUID=x/PARTNROFF=-1",
                RootName::PartUuid("x".into(), -1),
                "PARTUUID=x/PARTNROFF=-1",
            ),
            ("PARTLABEL='r'", RootName::PartLabel("r".into()), "PARTLABEL=r"),
            ("/dev/disk/by-label/a\\x20b", RootName::Label("a b".into()), "LABEL=a b"),
            ("/dev/disk/by-label/a\\x+5", RootName::Label("a\\x+5".into()), "LABEL=a\\x+5"),
            ("/dev/disk/by-uuid/1", RootName::Uuid("1".into()), "UUID=1"),
            ("/dev/disk/by-id/a", RootName::Link("by-id/a".into()), "/dev/disk/by-id/a"),
            ("ID=wwn-0x5", RootName::Link("by-id/wwn-0x5".into()), "/dev/disk/by-id/wwn-0x5"),
            ("8:1", RootName::Number(8, 1), "8:1"),
            ("b302", RootName::Number(0xb3, 2), "179:2"),
            ("0x803", RootName::Number(8, 3), "8:3"),
            ("gpt-auto", RootName::GptAuto, "gpt-auto"),
            ("UUID=\"ab-CD\"", RootName::Uuid("ab-CD".into()), "UUID=ab-CD"),
            ("\"UUID=ab-CD\"", RootName::Uuid("ab-CD".into()), "UUID=ab-CD"),
            ("'UUID=\"ab-CD\"'", RootName::Uuid("ab-CD".into()), "UUID=ab-CD"),
            ("UUID=\"ab-CD", RootName::Uuid("ab-CD".into()), "UUID=ab-CD"),
            ("LABEL='with space'", RootName::Label("with space".into()), "LABEL=with space"),
            ("LABEL=it's", RootName::Label("it's".into()), "LABEL=it's"),
            ("'/dev/vda1'", RootName::Device("/dev/vda1".into()), "/dev/vda1"),
            ("/dev/disk/by-uuid/\"1\"", RootName::Uuid("1".into()), "UUID=1"),
            ("ID='x'", RootName::Link("by-id/x".into()), "/dev/disk/by-id/x"),
            (
                "PARTUUID=\"x\"/PARTNROFF=2",
                RootName::PartUuid("x".into(), 2),
                "PARTUUID=x/PARTNROFF=2",
            ),
            (
                "PARTUUID=x/PARTNROFF=2a",
                RootName::Other("PARTUUID=x/PARTNROFF=2a".into()),
                "PARTUUID=x/PARTNROFF=2a",
            ),
            ("rootfs_tag", RootName::Other("rootfs_tag".into()), "rootfs_tag"),
        ] {
            let name = RootName::parse(text).unwrap();
            assert_eq!(name, want, "{text}");
            assert_eq!(name.to_string(), shown);
        }
        for empty in ["", "\"\"", "\""] {
            assert_eq!(RootName::parse(empty), None);
        }
    }

    #[test]
    fn names_that_no_block_device_has_are_known() {
        for (text, want) in [
            ("/dev/vda1", true),
            ("/dev/mapper/swap", true),
            ("UUID=c01d9106-0000-4000-8000-000000000001", true),
            ("UUID=ABCD-0123", true),
            ("LABEL=none", true),
            ("PARTUUID=1234-02", true),
            ("PARTUUID=1234-02/PARTNROFF=1", true),
            ("/dev/disk/by-id/x", true),
            ("8:1", true),
            ("0x801", true),
            ("gpt-auto", true),
            ("foo", false),
            ("sda2", false),
            ("none", false),
            ("swap:/dev/sda2", false),
            ("uuid=1234", false),
            ("UUID:1234", false),
            ("UUID=", false),
            ("UUID=\"\"", false),
            ("UUID=@UUID@", false),
            ("UUID=$(blkid)", false),
            ("UUID=1234 5678", false),
            ("LABEL=", false),
            ("PARTUUID=", false),
            ("PARTUUID=/PARTNROFF=1", false),
            ("PARTUUID=1234-02/PARTNROFF=", false),
            ("PARTLABEL=", false),
            ("ID=", false),
            ("/dev/", false),
            ("/dev/disk/", false),
            ("/dev/disk/by-uuid/", false),
            ("/dev/disk/by-path/", false),
            ("0:0", false),
            ("0", false),
            ("8:1048576", false),
            ("4096:1", false),
        ] {
            assert_eq!(RootName::parse(text).unwrap().may_be_block_device(), want, "{text}");
        }
    }
}
