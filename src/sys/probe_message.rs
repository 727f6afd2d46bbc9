//! Messages between PID 1 and its children that read disks (`coldplug disk-prober`).
//!
//! A message is a row of fields with a NUL after each; no field holds a NUL. Fields without a value
//! are empty. A DEVICE is five fields: name, major, minor, size, partition number.
//!
//! ```text
//! request  WANTED DISK DEVICE...
//! answer   NAME OFFSET ERRNO TABLE ENTRY USAGE UUID LABEL MEMBER COUNT LINK... TYPE...
//! ENTRY    type, attributes, PARTUUID, PARTLABEL
//! MEMBER   filesystem, index, generation, total, seed: one field, with spaces
//! ```
//!
//! A prober sends one answer for each DEVICE, in their order; DISK is the disk that holds them.
//! USAGE is `filesystem` or empty. OFFSET and ERRNO tell what could not be read; an OFFSET of `open`
//! means that the device could not be opened. COUNT is the number of LINKs, empty unless WANTED is
//! `links`: to find the links of a disk, the prober may have to wait for the disk.
//!
//! The bytes of a disk are hostile, and so is a prober that they may have taken over: PID 1 drops
//! the prober that sends anything else.

use rustix::io::Errno;

use super::block::BlockDevice;
use super::device_error::DeviceError;
use crate::disk::{self, Member};

/// Maximum number of superblocks on one device; there are fewer formats.
const MAX_KINDS: usize = 32;
/// Maximum number of links to one device; udev makes about ten to a USB disk.
pub(crate) const MAX_LINKS: usize = 32;
/// First part of every link.
const LINKS: &str = "disk/";
/// The fields WANTED and USAGE, if they are not empty.
const WANTED: &str = "links";
const FILESYSTEM: &str = "filesystem";

/// A request of PID 1: to examine devices of one disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Whether the links in /dev/disk are wanted.
    pub(crate) links: bool,
    /// The disk, which holds the partition table.
    pub(crate) disk: BlockDevice,
    /// The disk itself, some of its partitions, or both.
    pub(crate) devices: Vec<BlockDevice>,
}

/// An answer of a prober, for one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Name of the device in the kernel.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) probe: Probe,
}

/// What a device holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Type of the partition table of its disk.
    pub(crate) table: Option<&'static str>,
    /// Entry of the partition in that table.
    pub(crate) entry: Option<Entry>,
    /// blkid's TYPE of the content; several if the content is ambiguous.
    pub(crate) kinds: Vec<&'static str>,
    /// Whether the content is a file system that can be mounted.
    pub(crate) is_filesystem: bool,
    /// UUID of the content.
    pub(crate) uuid: Option<String>,
    /// LABEL of the content.
    pub(crate) label: Option<String>,
    /// Membership of the device in a filesystem that may span several.
    pub(crate) member: Option<Member>,
    /// Links that udev would make, as paths below /dev, if they were wanted.
    pub(crate) links: Option<Vec<String>>,
    /// The first part of the device that could not be read.
    pub(crate) error: Option<DeviceError>,
}

/// An entry of a partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Type GUID or code.
    pub(crate) kind: String,
    /// Attribute bits.
    pub(crate) attributes: u64,
    /// PARTUUID.
    pub(crate) uuid: Option<String>,
    /// PARTLABEL.
    pub(crate) label: Option<String>,
}

impl Request {
    /// Returns the bytes of the request.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(256);
        put(&mut message, if self.links { WANTED } else { "" });
        put_device(&mut message, &self.disk);
        self.devices.iter().for_each(|device| put_device(&mut message, device));
        message
    }

    /// Parses the bytes of a request.
    pub(crate) fn decode(message: &[u8]) -> Option<Self> {
        let mut fields = Fields(message);
        let links = fields.flag(WANTED)?;
        let disk = fields.device(None)?;
        let mut devices = Vec::new();
        while !fields.0.is_empty() {
            devices.push(fields.device(Some(&disk.name))?);
        }
        Some(Self { links, disk, devices })
    }
}

impl Answer {
    /// Returns the bytes of the answer.
    pub fn encode(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(256);
        put(&mut message, &self.name);
        put_probe(&mut message, &self.probe);
        message
    }

    /// Parses the bytes of an answer. Returns `None` for what no prober sends.
    pub fn decode(message: &[u8]) -> Option<Self> {
        let mut fields = Fields(message);
        let name = fields.text()?.to_owned();
        let error = fields.error(&name)?;
        Some(Self { name, probe: Probe { error, ..fields.probe()? } })
    }
}

fn put(message: &mut Vec<u8>, field: &str) {
    message.extend(field.bytes().filter(|byte| *byte != 0));
    message.push(0);
}

/// Adds a field, empty if there is no value.
fn put_option(message: &mut Vec<u8>, value: Option<impl ToString>) {
    put(message, &value.map(|value| value.to_string()).unwrap_or_default());
}

fn put_device(message: &mut Vec<u8>, device: &BlockDevice) {
    put(message, &device.name);
    put(message, &device.number.0.to_string());
    put(message, &device.number.1.to_string());
    put(message, &device.size.to_string());
    put_option(message, device.partition);
}

fn put_error(message: &mut Vec<u8>, error: Option<&DeviceError>) {
    let offset = error.map(|e| e.offset.map_or_else(|| "open".to_owned(), |at| at.to_string()));
    put_option(message, offset);
    put_option(message, error.map(|e| e.errno.raw_os_error()));
}

fn put_probe(message: &mut Vec<u8>, probe: &Probe) {
    put_error(message, probe.error.as_ref());
    let entry = probe.entry.as_ref();
    put_option(message, probe.table);
    put_option(message, entry.map(|entry| &entry.kind));
    put_option(message, entry.map(|entry| entry.attributes));
    put_option(message, entry.and_then(|entry| entry.uuid.as_ref()));
    put_option(message, entry.and_then(|entry| entry.label.as_ref()));
    put(message, if probe.is_filesystem { FILESYSTEM } else { "" });
    put_option(message, probe.uuid.as_ref());
    put_option(message, probe.label.as_ref());
    put_option(message, probe.member);
    put_option(message, probe.links.as_ref().map(Vec::len));
    probe.links.iter().flatten().for_each(|link| put(message, link));
    probe.kinds.iter().for_each(|kind| put(message, kind));
}

/// The fields that are left of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (field, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        std::str::from_utf8(field).ok()
    }

    fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }

    /// Parses a field that may be empty; the outer `None` is a malformed message.
    fn optional<T: std::str::FromStr>(&mut self) -> Option<Option<T>> {
        match self.text()? {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        }
    }

    /// Parses a field that is `word` or empty.
    fn flag(&mut self, word: &str) -> Option<bool> {
        let text = self.text()?;
        (text.is_empty() || text == word).then_some(!text.is_empty())
    }

    /// Parses the number of links, and the links.
    fn links(&mut self) -> Option<Option<Vec<String>>> {
        let Some(count) = self.optional()? else { return Some(None) };
        let mut link = || self.text().filter(|link| link.starts_with(LINKS)).map(str::to_owned);
        (count <= MAX_LINKS).then(|| (0..count).map(|_| link()).collect::<Option<_>>())?.map(Some)
    }

    fn device(&mut self, disk: Option<&str>) -> Option<BlockDevice> {
        let name = self.text()?.to_owned();
        let number = (self.number()?, self.number()?);
        let size = self.number()?;
        let partition: Option<u32> = self.optional()?;
        let disk = partition.and(disk).map(str::to_owned);
        Some(BlockDevice { name, number, partition, disk, size })
    }

    fn error(&mut self, name: &str) -> Option<Option<DeviceError>> {
        let offset = match self.text()? {
            "" => return self.text().filter(|errno| errno.is_empty()).map(|_| None),
            "open" => None,
            offset => Some(offset.parse().ok()?),
        };
        let errno = self.number().filter(|errno| (1..4096).contains(errno))?;
        Some(Some(DeviceError::new(name, offset, Errno::from_raw_os_error(errno))))
    }

    fn probe(&mut self) -> Option<Probe> {
        let table: Option<String> = self.optional()?;
        let table = table.map(|kind| disk::table_kind(&kind).ok_or(())).transpose().ok()?;
        let (kind, attributes) = (self.optional()?, self.optional()?);
        let (uuid, label) = (self.optional()?, self.optional()?);
        let entry =
            kind.map(|kind| Entry { kind, attributes: attributes.unwrap_or(0), uuid, label });
        let is_filesystem = self.flag(FILESYSTEM)?;
        let (uuid, label, member) = (self.optional()?, self.optional()?, self.optional()?);
        let links = self.links()?;
        let mut kinds = Vec::new();
        while !self.0.is_empty() {
            kinds.push(disk::superblock_kind(self.text()?)?);
        }
        let error = None;
        let probe = Probe { table, entry, kinds, is_filesystem, uuid, label, member, links, error };
        (probe.kinds.len() <= MAX_KINDS).then_some(probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn device(name: &str, partition: Option<u32>) -> BlockDevice {
        let disk = partition.map(|_| "vda".to_owned());
        BlockDevice { name: name.into(), number: (254, 3), partition, disk, size: 1 << 40 }
    }

    fn probe() -> Probe {
        Probe {
            table: Some("gpt"),
            entry: Some(Entry {
                kind: "0x83".into(),
                attributes: 1 << 63,
                uuid: Some("u-1".into()),
                label: Some("a\nb\u{1b}".into()),
            }),
            kinds: vec!["ext4", "btrfs"],
            is_filesystem: true,
            uuid: Some("2".into()),
            label: Some("x\nverdict=ok \u{e4}".into()),
            member: "340282366920938463463374607431768211455 1 2 3 true".parse().ok(),
            links: Some(vec!["disk/by-id/a".into(), "disk/by-path/\u{1b}".into()]),
            error: Some(DeviceError::new("vda1", Some(4096), Errno::IO)),
        }
    }

    #[test]
    fn requests_survive_the_way_there() {
        let devices = vec![device("vda", None), device("vda1", Some(1))];
        for request in [
            Request { links: true, disk: device("vda", None), devices },
            Request { links: false, disk: device("a!b", None), devices: Vec::new() },
        ] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
    }

    #[test]
    fn answers_survive_the_way_back() {
        let no_medium = DeviceError::new("vda1", None, Errno::NOMEDIUM);
        for probe in [
            probe(),
            Probe::default(),
            Probe { error: Some(no_medium), ..Probe::default() },
            Probe { links: Some(Vec::new()), ..Probe::default() },
            Probe { links: Some(vec!["disk/x".into(); MAX_LINKS]), ..Probe::default() },
        ] {
            let answer = Answer { name: "vda1".into(), probe };
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
    }

    #[test]
    fn what_no_prober_sends_is_refused() {
        for bad in [
            "",
            "vda|",
            "vda|||gpt|||||",
            "vda|||gpt|||||filesystem||||",
            "vda|||sun|||||filesystem|||||",
            "vda|||gpt|||||swap|||||ext4|",
            "vda|||gpt|||||filesystem|||||nonsense|",
            "vda|||gpt|||||filesystem|||||ext4",
            "vda|1||gpt|||||filesystem|||||ext4|",
            "vda|1|0|gpt|||||filesystem|||||ext4|",
            "vda|1|-5|gpt|||||filesystem|||||ext4|",
            "vda|x|5|gpt|||||filesystem|||||ext4|",
            "vda||5|gpt|||||filesystem|||||ext4|",
            "vda|||gpt|0x83|x|||filesystem|||||ext4|",
            "vda|||gpt|||||filesystem||||x|ext4|",
            "vda|||gpt|||||filesystem||||-1|ext4|",
            "vda|||gpt|||||filesystem||||1|ext4|",
            "vda|||gpt|||||filesystem||||2|disk/a|",
            "vda|||gpt|||||filesystem||||0|disk/a|ext4|",
            "vda|||gpt|||||filesystem|||1 2 3 4||ext4|",
            "vda|||gpt|||||filesystem|||1 2 3 4 5||ext4|",
            "vda|||gpt|||||filesystem||||18446744073709551615|disk/a|ext4|",
        ] {
            assert_eq!(Answer::decode(bad.replace('|', "\0").as_bytes()), None, "{bad}");
        }
        let good = "vda|||gpt|||||filesystem||||1|disk/a|ext4|".replace('|', "\0");
        assert!(Answer::decode(good.as_bytes()).is_some());
        let many = good + &"ext4\0".repeat(MAX_KINDS);
        assert_eq!(Answer::decode(many.as_bytes()), None);
        let links = Some(vec!["disk/a".to_owned(); MAX_LINKS + 1]);
        let many = Answer { name: "vda".into(), probe: Probe { links, ..Probe::default() } };
        assert_eq!(Answer::decode(&many.encode()), None);
        let bad = b"sometimes\0vda\x000\x000\x001\0\0";
        assert_eq!(Request::decode(bad), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Request::decode(&bytes), Answer::decode(&bytes));
        }

        #[test]
        fn a_damaged_answer_is_parsed_without_panic(at in 0..150_usize, byte in any::<u8>()) {
            let mut bytes = Answer { name: "vda1".into(), probe: probe() }.encode();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = Answer::decode(&bytes);
        }
    }
}
