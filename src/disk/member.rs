//! Membership of a device in a filesystem that may span several: btrfs and bcachefs.
//!
//! ```text
//!             btrfs, at 0x10000                   bcachefs, at 0x1000
//! filesystem  +0x20 fsid, 16                      +40 internal UUID, 16
//! index       +0xc9 devid, u64                    +122 dev_idx, u8
//! generation  +0x48 generation, u64               +112 seq, u64
//! total       +0x88 num_devices, u64              +123 nr_devices, u8: slots of the member list
//! seed        +0x38 flags, u64: bit 32 SEEDING
//!
//! bcachefs, from +752 on, fields: 0 length in 8 bytes, u32 │ 4 type, u32
//!   type 1, members_v1            8 slots of 56 bytes
//!   type 11, members_v2           8 length of a slot, u16 │ 16 slots
//! slot        0 UUID, 16: zeros if the slot is free, DELETED if its device was removed
//! ```
//!
//! Kernel: fs/btrfs/accessors.h, include/uapi/linux/btrfs_tree.h, fs/bcachefs/bcachefs_format.h,
//! fs/bcachefs/sb-members_format.h.

use std::fmt;
use std::str::FromStr;

use super::bytes::{array, index, le16, le32, le64};

/// The membership of a device in a filesystem that may span several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Identity of the filesystem. Its UUID may be shared by another bcachefs, its label by any.
    pub(crate) filesystem: u128,
    /// Number of the device in the filesystem. Copies of a device share it.
    pub(crate) index: u64,
    /// Number of the last commit that the device has seen.
    pub(crate) generation: u64,
    /// Number of devices of the filesystem, those of the seed included.
    pub(crate) total: u64,
    /// Whether the filesystem is a btrfs seed: read-only, and possibly the base of others.
    pub(crate) is_seed: bool,
}

/// Flag of a btrfs that is a seed.
const SEEDING: u64 = 1 << 32;
/// Offset of the first field of a bcachefs superblock, in bytes.
const FIELDS: usize = 752;
/// Maximum number of fields; the kernel knows fewer types, and each occurs once.
const MAX_FIELDS: usize = 64;
const MEMBERS_V1: u32 = 1;
const MEMBERS_V2: u32 = 11;
const V1_SLOT: usize = 56;
/// UUID of a slot whose device was removed.
const DELETED: [u8; 16] = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xd9\x6a\x60\xcf\x80\x3d\xf7\xef";

impl Member {
    /// Parses the superblock of a btrfs.
    pub(super) fn of_btrfs(sb: &[u8]) -> Option<Self> {
        Some(Self {
            filesystem: u128::from_be_bytes(array(sb, 0x20)?),
            index: le64(sb, 0xc9)?,
            generation: le64(sb, 0x48)?,
            total: le64(sb, 0x88)?,
            is_seed: le64(sb, 0x38)? & SEEDING != 0,
        })
    }

    /// Parses the superblock of a bcachefs.
    pub(super) fn of_bcachefs(sb: &[u8]) -> Option<Self> {
        let slots = *sb.get(123)?;
        Some(Self {
            filesystem: u128::from_be_bytes(array(sb, 40)?),
            index: u64::from(*sb.get(122)?),
            generation: le64(sb, 112)?,
            total: used_slots(sb, slots).unwrap_or_else(|| u64::from(slots)),
            is_seed: false,
        })
    }
}

/// Returns the number of slots of a bcachefs that hold a device, or `None` if the list of members
/// is damaged or lies beyond `sb`.
fn used_slots(sb: &[u8], slots: u8) -> Option<u64> {
    let mut v1 = None;
    let mut fields = sb.get(FIELDS..)?;
    for _ in 0..MAX_FIELDS {
        let Some((length, kind)) = le32(fields, 0).zip(le32(fields, 4)) else { break };
        match kind {
            MEMBERS_V2 => return count(fields, slots, 16, le16(fields, 8)?.into()),
            MEMBERS_V1 => v1 = count(fields, slots, 8, V1_SLOT),
            _ => {}
        }
        let length = index(length).and_then(|length| length.checked_mul(8));
        let Some(rest) = length.filter(|length| *length > 0).and_then(|at| fields.get(at..)) else {
            break;
        };
        fields = rest;
    }
    v1
}

/// Returns how many of the slots, which start at `at` of the field, hold a device.
fn count(field: &[u8], slots: u8, at: usize, length: usize) -> Option<u64> {
    (0..usize::from(slots)).try_fold(0, |count, slot| {
        let uuid: [u8; 16] = array(field, at + slot * length)?;
        Some(count + u64::from(uuid != [0; 16] && uuid != DELETED))
    })
}

impl fmt::Display for Member {
    /// Writes the fields for a message between processes, separated by spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { filesystem, index, generation, total, is_seed } = self;
        write!(f, "{filesystem} {index} {generation} {total} {is_seed}")
    }
}

impl FromStr for Member {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        fn next<T: FromStr>(words: &mut std::str::Split<'_, char>) -> Result<T, ()> {
            words.next().and_then(|word| word.parse().ok()).ok_or(())
        }
        let mut words = text.split(' ');
        let member = Self {
            filesystem: next(&mut words)?,
            index: next(&mut words)?,
            generation: next(&mut words)?,
            total: next(&mut words)?,
            is_seed: next(&mut words)?,
        };
        if words.next().is_none() { Ok(member) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut image = vec![0; 4096];
        for (at, bytes) in parts {
            image[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        image
    }

    #[test]
    fn a_btrfs_names_its_device() {
        let parts: [(usize, &[u8]); 5] =
            [(0x2f, &[7]), (0x38, &[1]), (0x48, &[9]), (0x88, &[3]), (0xc9, &[2])];
        let member = Member { filesystem: 7, index: 2, generation: 9, total: 3, is_seed: false };
        assert_eq!(Member::of_btrfs(&image(&parts)), Some(member));
        let seed = image(&[&parts[..], &[(0x3c, &[1])]].concat());
        assert_eq!(Member::of_btrfs(&seed), Some(Member { is_seed: true, ..member }));
        assert_eq!(Member::of_btrfs(&seed[..0xc9]), None);
    }

    /// No tool of Debian 12 makes a bcachefs, so the test relies on the layout.
    #[test]
    fn slots_without_a_device_are_not_counted() {
        let head: [(usize, &[u8]); 3] = [(55, &[7]), (112, &[9]), (122, &[1, 4])];
        let (used, free, deleted) = ([5; 16], [0; 16], DELETED);
        // A field of another type lies before the members.
        let other: (usize, &[u8]) = (752, &[2, 0, 0, 0, 5]);
        let slots_at = |at: usize, length: usize| {
            [used, free, used, deleted]
                .map(move |uuid| uuid)
                .into_iter()
                .enumerate()
                .map(move |(slot, uuid)| (at + slot * length, uuid))
        };
        let v1: Vec<_> = slots_at(776, 56).collect();
        let v2: Vec<_> = slots_at(784, 80).collect();
        let put = |field: &[u8], slots: &[(usize, [u8; 16])]| {
            let slots = slots.iter().map(|(at, uuid)| (*at, &uuid[..]));
            let parts = [&head[..], &[other, (768, field)]].concat();
            image(&parts.into_iter().chain(slots).collect::<Vec<_>>())
        };
        let v1 = put(&[29, 0, 0, 0, 1], &v1);
        let v2 = put(&[42, 0, 0, 0, 11, 0, 0, 0, 80], &v2);
        let damaged = put(&[42, 0, 0, 0, 11, 0, 0, 0, 255, 255], &[]);
        let want =
            |total| Some(Member { filesystem: 7, index: 1, generation: 9, total, is_seed: false });
        for (name, sb, total) in [
            ("v1", &v1[..], 2),
            ("v2", &v2, 2),
            ("no list", &image(&head), 4),
            ("cut", &v2[..1000], 4),
            ("damaged", &damaged, 4),
        ] {
            assert_eq!(Member::of_bcachefs(sb), want(total), "{name}");
        }
    }

    #[test]
    fn a_member_survives_a_message() {
        let member = Member {
            filesystem: u128::MAX,
            index: 1,
            generation: u64::MAX,
            total: 0,
            is_seed: true,
        };
        assert_eq!(member.to_string().parse(), Ok(member));
        for bad in ["", "1 2 3 4", "1 2 3 4 true x", "1 2 3 -4 true", "1 2 3 4 5"] {
            assert_eq!(bad.parse::<Member>(), Err(()), "{bad}");
        }
    }
}
