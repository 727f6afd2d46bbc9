//! ZFS pool members. The list is big-endian XDR; uberblocks have the byte order of the host that
//! wrote them.
//!
//! ```text
//! label 0 of 4, 256 KiB at the start of the device:
//!  16 KiB  01 │ 00 or 01 │ 0 0 │ version 0, u32 │ flags 1, u32 │ pairs …
//!          pair: size, u32 │ decoded size, u32 │ name length, u32 │ name, padded to 4
//!                │ type, u32 │ count, u32 │ value
//!          name: string (type 9): length, u32 │ bytes       pool_guid: u64 (type 8)
//! 128 KiB  uberblocks every KiB: 00bab10c, u64 │ …
//! ```
//!
//! Unlike blkid, this parser ignores labels 1 to 3 when label 0 is missing: they cost a megabyte
//! of reads on each large device, and a label at the end of a disk is usually left over from a
//! destroyed pool.

use super::bytes::{array, be32, be64, has, index};
use super::device::Device;
use super::{Superblock, Usage, text};

/// Offset of the name-value list.
const LIST: usize = 16 * 1024;
const UBERBLOCKS: u64 = 128 * 1024;
const UBERBLOCKS_END: u64 = 256 * 1024;
/// Size of one read, in bytes.
const CHUNK: usize = 16 * 1024;
const MAGIC: u64 = 0x00ba_b10c;
/// Minimum number of uberblocks; fewer do not prove that there is a pool.
const MIN_UBERBLOCKS: usize = 4;
const UINT64: u32 = 8;
const STRING: u32 = 9;

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let list = device.head().get(LIST..LIST + 4096)?;
    let is_list = (has(list, 0, &[1, 0]) || has(list, 0, &[1, 1]))
        && be32(list, 4)? == 0
        && be32(list, 8)? == 1;
    if !is_list || !has_uberblocks(device) {
        return None;
    }
    let (uuid, label) = names(list.get(12..)?);
    Some(Superblock::new("zfs_member", Usage::Raid).with_names(uuid, label))
}

fn has_uberblocks(device: &Device<'_>) -> bool {
    let mut found = 0;
    for at in (UBERBLOCKS..UBERBLOCKS_END).step_by(CHUNK) {
        let Some(chunk) = device.bytes(at, CHUNK) else { return false };
        found += chunk.chunks_exact(1024).filter(|block| is_uberblock(block)).count();
        if found >= MIN_UBERBLOCKS {
            return true;
        }
    }
    false
}

fn is_uberblock(block: &[u8]) -> bool {
    array(block, 0).is_some_and(|magic| {
        u64::from_le_bytes(magic) == MAGIC || u64::from_be_bytes(magic) == MAGIC
    })
}

/// Returns the GUID of the pool, in decimal as in blkid, and its name.
fn names(mut pairs: &[u8]) -> (Option<String>, Option<String>) {
    let (mut uuid, mut label) = (None, None);
    while let Some((name, kind, value)) = pair(pairs) {
        match (name, kind) {
            (b"name", STRING) => label = label.or_else(|| string(value)),
            (b"pool_guid", UINT64) => uuid = uuid.or_else(|| be64(value, 0)),
            _ => {}
        }
        let size = be32(pairs, 0).and_then(index).unwrap_or(usize::MAX);
        pairs = pairs.get(size..).unwrap_or_default();
    }
    (uuid.filter(|guid| *guid != 0).map(|guid| guid.to_string()), label)
}

/// Returns name, type and value of the first pair, or `None` at the end of the list.
fn pair(pairs: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let body = pairs.get(..index(be32(pairs, 0)?)?)?;
    let length = index(be32(body, 8)?)?;
    let name = body.get(12..12usize.checked_add(length)?)?;
    let rest = body.get(12usize.checked_add(length.checked_next_multiple_of(4)?)?..)?;
    Some((name, be32(rest, 0)?, rest.get(8..)?))
}

fn string(value: &[u8]) -> Option<String> {
    let length = index(be32(value, 0)?)?;
    text::label(value.get(4..4usize.checked_add(length)?))
}
