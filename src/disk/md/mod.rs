//! Arrays of md: superblocks, members, and names.
//!
//! `version_0` and `version_1` parse the superblocks, [`members`] decides which devices form the
//! array and whether it may start, [`config`] parses mdadm.conf, [`device_name`] chooses the name
//! of the device. The rules are those of mdadm 4.2 and of the kernel (drivers/md/md.c).

pub mod config;
pub(crate) mod device_name;
mod enough;
pub mod members;
#[cfg(test)]
pub(crate) mod samples;
mod version_0;
mod version_1;

use std::fmt;

use super::Source;
use super::device::fill;

/// Magic number of every superblock of md.
const MAGIC: u32 = 0xa92b_4efc;
/// Size of the largest superblock, in bytes.
const SUPERBLOCK_SIZE: usize = 4096;
/// Maximum number of devices of an array: what a superblock of version 1 has room for.
const MAX_DEVICES: u32 = 1920;

/// Version of a superblock: format and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 0.90, near the end of the device.
    V0_90,
    /// 1.0, near the end.
    V1_0,
    /// 1.1, at the start.
    V1_1,
    /// 1.2, at 4 KiB.
    V1_2,
}

impl Version {
    /// Returns the kernel's name, which is also that of mdadm.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_90 => "0.90",
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }
}

/// Level of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// One device after the other.
    Linear,
    /// Stripes.
    Raid0,
    /// Copies.
    Raid1,
    /// Stripes, and parity on the last device.
    Raid4,
    /// Stripes and parity.
    Raid5,
    /// Stripes and two sorts of parity.
    Raid6,
    /// Stripes of copies.
    Raid10,
}

impl Level {
    fn from_number(number: u32) -> Result<Self, MdError> {
        Ok(match number {
            u32::MAX => Self::Linear,
            0 => Self::Raid0,
            1 => Self::Raid1,
            4 => Self::Raid4,
            5 => Self::Raid5,
            6 => Self::Raid6,
            10 => Self::Raid10,
            _ => return Err(MdError::Level(number.cast_signed())),
        })
    }

    /// Returns the kernel's name of the level.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Raid0 => "raid0",
            Self::Raid1 => "raid1",
            Self::Raid4 => "raid4",
            Self::Raid5 => "raid5",
            Self::Raid6 => "raid6",
            Self::Raid10 => "raid10",
        }
    }

    /// Returns the name of the module that implements the level.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::Raid4 | Self::Raid5 | Self::Raid6 => "raid456",
            _ => self.as_str(),
        }
    }
}

/// Role of a device in an array, as a superblock has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It holds the data of this slot.
    Slot(u32),
    /// It holds no data.
    Spare,
    /// It has failed.
    Faulty,
    /// It holds the journal.
    Journal,
}

/// Features that change how an array is assembled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// A bitmap says which parts of a device that comes back are out of date.
    pub has_bitmap: bool,
    /// The device has a list of bad blocks.
    pub has_bad_blocks: bool,
    /// Writes of stripes go to a journal first.
    pub has_journal: bool,
    /// Parity of stripes that are being written is logged (PPL).
    pub has_ppl: bool,
    /// This device is to replace the one in its slot.
    pub is_replacement: bool,
    /// The array changes its level or its number of devices.
    pub is_reshaping: bool,
    /// A reshape moves data to another offset, so that nothing has to be saved elsewhere.
    pub has_new_offset: bool,
}

/// What the superblock of a member says about the array and about the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Version of the superblock.
    pub version: Version,
    /// UUID of the array, in the byte order of its text form.
    pub uuid: [u8; 16],
    /// Name of the array, `HOST:NAME`; that of version 0.90 is the number of its device.
    pub name: String,
    /// Number of the device that the array had last; only version 0.90 has it.
    pub minor: Option<u32>,
    /// Time of creation, in seconds since 1970.
    pub created: u64,
    /// Time of the last update, in seconds since 1970.
    pub updated: u64,
    /// Level of the array.
    pub level: Level,
    /// Layout of copies or parity; its meaning depends on the level.
    pub layout: u32,
    /// Size of a chunk in sectors of 512 bytes.
    pub chunk: u32,
    /// Number of slots.
    pub raid_disks: u32,
    /// Sectors used of each member; 0 if members differ in size.
    pub size: u64,
    /// First sector of the data.
    pub data_offset: u64,
    /// Sectors that the member must have, up to the end of its data.
    pub end: u64,
    /// Number of updates of the superblocks.
    pub events: u64,
    /// Whether no write was under way: no resync is needed.
    pub is_clean: bool,
    /// Sectors of the member that are rebuilt; `None` if all are.
    pub rebuilt: Option<u64>,
    /// Features of the array and of the member.
    pub features: Features,
    /// Number of the member, an index of `roles`.
    pub number: u32,
    /// UUID of the member; version 0.90 has none.
    pub device_uuid: Option<[u8; 16]>,
    /// Roles of all devices, by their number.
    pub roles: Vec<Role>,
}

impl Metadata {
    /// Returns the role of this member.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role_of(self.number)
    }

    /// Returns the role of the device with this number.
    #[must_use]
    pub fn role_of(&self, number: u32) -> Role {
        let role = usize::try_from(number).ok().and_then(|number| self.roles.get(number));
        role.copied().unwrap_or(Role::Spare)
    }

    /// Returns whether a device is active in `slot`.
    #[must_use]
    pub fn has_slot(&self, slot: u32) -> bool {
        self.roles.contains(&Role::Slot(slot))
    }

    /// Returns the UUID of the array as mdadm prints it.
    #[must_use]
    pub fn uuid_text(&self) -> String {
        uuid_text(&self.uuid)
    }
}

/// Formats a UUID as mdadm does: four groups of eight digits.
pub(crate) fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(35);
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 8 | 12) {
            text.push(':');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Parses a UUID in the form of mdadm or of blkid: 32 hexadecimal digits with any of `:`, `.`,
/// `-` and spaces between them.
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut digits = text.chars().filter(|c| !matches!(c, ':' | '.' | '-' | ' '));
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        let pair = [digits.next()?.to_digit(16)?, digits.next()?.to_digit(16)?];
        *byte = u8::try_from(pair[0] << 4 | pair[1]).ok()?;
    }
    digits.next().is_none().then_some(uuid)
}

/// The reason why a superblock cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MdError {
    /// The device has no superblock of md.
    Missing,
    /// The superblock was written on a machine of the other byte order.
    ByteOrder,
    /// The checksum is wrong.
    Checksum,
    /// The superblock has features with these bits, which are not known.
    Features(u32),
    /// The level is not supported.
    Level(i32),
    /// The field with this name has an impossible value.
    Invalid(&'static str),
}

impl fmt::Display for MdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no md superblock"),
            Self::ByteOrder => f.write_str("md superblock 0.90 of the other byte order"),
            Self::Checksum => f.write_str("wrong checksum of the md superblock"),
            Self::Features(bits) => write!(f, "md superblock with unknown features {bits:#x}"),
            Self::Level(-4) => f.write_str("md level multipath is not supported"),
            Self::Level(-5) => f.write_str("md level faulty is not supported"),
            Self::Level(level) => write!(f, "md level {level} is not supported"),
            Self::Invalid(field) => write!(f, "md superblock with an invalid {field}"),
        }
    }
}

/// Reads the superblock of a member. If a device has several, the array that was created last is
/// used, as in mdadm.
///
/// # Errors
/// There is no superblock, or it cannot be used.
pub fn read(source: &dyn Source) -> Result<Metadata, MdError> {
    let sectors = source.size() >> 9;
    let mut best: Result<Metadata, MdError> = Err(MdError::Missing);
    for version in [Version::V0_90, Version::V1_0, Version::V1_1, Version::V1_2] {
        let found = match place(version, sectors) {
            Some(sector) => parse(source, version, sector),
            None => continue,
        };
        let is_better = match (&best, &found) {
            (Ok(best), Ok(found)) => found.created > best.created,
            (Err(_), Ok(_)) => true,
            (Err(best), Err(_)) => *best == MdError::Missing,
            (Ok(_), Err(_)) => false,
        };
        if is_better {
            best = found;
        }
    }
    best
}

/// Returns the sector of the superblock of a device with so many sectors.
fn place(version: Version, sectors: u64) -> Option<u64> {
    match version {
        Version::V0_90 => (sectors & !127).checked_sub(128).filter(|sector| *sector > 0),
        Version::V1_0 => sectors.checked_sub(16).map(|sector| sector & !7),
        Version::V1_1 => Some(0),
        Version::V1_2 => Some(8),
    }
}

fn parse(source: &dyn Source, version: Version, sector: u64) -> Result<Metadata, MdError> {
    let mut block = vec![0; SUPERBLOCK_SIZE];
    let (read, _) = fill(source, sector << 9, &mut block);
    block.truncate(read);
    match version {
        Version::V0_90 => version_0::parse(&block, sector),
        _ => version_1::parse(&block, version, sector),
    }
}

/// Computes the sum of all words, with that of the checksum at `place` as zero, and folds it to 32
/// bits. The last word may be truncated.
fn checksum(block: &[u8], place: usize, word: fn([u8; 4]) -> u32) -> u32 {
    let mut sum = 0_u64;
    for (_, bytes) in block.chunks(4).enumerate().filter(|(at, _)| at * 4 != place) {
        let mut whole = [0; 4];
        whole.iter_mut().zip(bytes).for_each(|(byte, from)| *byte = *from);
        sum += u64::from(word(whole));
    }
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    u32::try_from(sum & 0xffff_ffff).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_formatted_and_parsed() {
        let uuid: [u8; 16] = std::array::from_fn(|i| u8::try_from(i * 17).unwrap());
        let text = "00112233:44556677:8899aabb:ccddeeff";
        assert_eq!(uuid_text(&uuid), text);
        for text in
            [text, "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233445566778899aabbccddeeff"]
        {
            assert_eq!(parse_uuid(text), Some(uuid), "{text}");
        }
        for text in ["", "0011", "00112233:44556677:8899aabb:ccddeeff0", "zz"] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }

    /// Returns the error of the device after `bytes` were put into its superblock.
    fn changed(parts: &[(usize, &[u8])]) -> MdError {
        let mut image = samples::version_1("pc:root", 0, 10);
        for (at, bytes) in parts {
            image[4096 + at..4096 + at + bytes.len()].copy_from_slice(bytes);
        }
        samples::seal(&mut image[4096..4096 + 260], version_1::CHECKSUM);
        read(&&*image).unwrap_err()
    }

    #[test]
    fn superblocks_of_version_1_are_checked() {
        let mut image = samples::version_1("pc:root", 1, 10);
        let found = read(&&*image).unwrap();
        assert_eq!(
            (found.version, found.level, found.raid_disks),
            (Version::V1_2, Level::Raid1, 2)
        );
        assert_eq!((found.events, found.is_clean, &*found.name), (10, true, "pc:root"));
        assert_eq!((found.role(), found.role_of(0)), (Role::Slot(1), Role::Slot(0)));
        assert_eq!((found.data_offset, found.end), (1024, 2048));
        image[4096 + 200] = 11;
        assert_eq!(read(&&*image), Err(MdError::Checksum));
        for (parts, want) in [
            (&[(0, &[0][..])][..], MdError::Missing),
            (&[(4, &[2])], MdError::Missing),
            (&[(144, &[0])], MdError::Missing),
            (&[(9, &[0x20])], MdError::Features(0x2000)),
            (&[(72, &[0xfc, 0xff, 0xff, 0xff])], MdError::Level(-4)),
            (&[(72, &[7])], MdError::Level(7)),
            (&[(92, &[0])], MdError::Invalid("number of devices")),
            (&[(93, &[0xff])], MdError::Invalid("number of devices")),
            (&[(137, &[0])], MdError::Invalid("size")),
            (&[(128, &[0xff; 8])], MdError::Invalid("size")),
            (&[(220, &[0xff; 4])], MdError::Invalid("number of roles")),
        ] {
            assert_eq!(changed(parts), want, "{parts:?}");
        }
        assert_eq!(read(&&[0_u8; 512][..]), Err(MdError::Missing));
    }

    #[test]
    fn superblocks_of_version_0_are_checked() {
        let image = samples::version_0(1);
        let found = read(&&*image).unwrap();
        assert_eq!(
            (found.version, found.level, found.raid_disks),
            (Version::V0_90, Level::Raid1, 2)
        );
        assert_eq!((found.events, found.is_clean, found.minor), (7, true, Some(3)));
        assert_eq!(
            (found.role(), found.role_of(0), found.role_of(2)),
            (Role::Slot(1), Role::Slot(0), Role::Spare)
        );
        assert_eq!(
            (&*found.name, found.uuid_text().as_str()),
            ("3", "01020304:05060708:090a0b0c:0d0e0f10")
        );
        let swapped: Vec<u8> =
            image.chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
        assert_eq!(read(&&*swapped), Err(MdError::ByteOrder));
        let mut damaged = image.clone();
        damaged[samples::PLACE_0 + 128] ^= 1;
        assert_eq!(read(&&*damaged), Err(MdError::Checksum));
        let mut large = image;
        large[samples::PLACE_0 + 34] = 0xff;
        samples::seal(&mut large[samples::PLACE_0..][..4096], version_0::CHECKSUM);
        assert_eq!(read(&&*large), Err(MdError::Invalid("size")));
    }

    /// Of two superblocks on one device, the later creation counts.
    #[test]
    fn the_array_that_was_created_last_is_used() {
        let mut image = samples::version_1("pc:root", 1, 10);
        let old = samples::version_0(0);
        image[samples::PLACE_0..].copy_from_slice(&old[samples::PLACE_0..]);
        assert_eq!(read(&&*image).unwrap().version, Version::V1_2);
        image[4096 + 64..4096 + 72].fill(0);
        samples::seal(&mut image[4096..4096 + 260], version_1::CHECKSUM);
        assert_eq!(read(&&*image).unwrap().version, Version::V0_90);
    }
}
