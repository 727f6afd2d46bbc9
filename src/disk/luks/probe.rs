//! LUKS1 and LUKS2: blkid's crypto_LUKS, big-endian. Reference: the on-disk format documents of
//! cryptsetup.
//!
//! ```text
//!  0 LUKS ba be │ 6 version, u16 │ LUKS1: 168 uuid, 40, text
//!                                │ LUKS2: 24 label, 48 │ 168 uuid, 40, text │ 256 own offset, u64
//! ```
//!
//! If the first header of LUKS2 is damaged, the second one (SKUL ba be) is used. It is at 16 KiB
//! or, for larger metadata, at a higher power of two; only offsets within the head are checked.

use super::super::bytes::{be16, be64, has};
use super::super::device::Device;
use super::super::{Superblock, Usage, text};

/// Offsets of the second header.
const SECOND: [usize; 3] = [0x4000, 0x8000, 0x10000];

pub(in crate::disk) fn probe(device: &Device<'_>) -> Option<Superblock> {
    header(device, 0, b"LUKS\xba\xbe")
        .or_else(|| SECOND.iter().find_map(|start| header(device, *start, b"SKUL\xba\xbe")))
}

fn header(device: &Device<'_>, start: usize, magic: &[u8]) -> Option<Superblock> {
    let header = device.head().get(start..start + 512)?;
    if !has(header, 0, magic) {
        return None;
    }
    let probe = Superblock::new("crypto_LUKS", Usage::Crypto);
    let uuid = text::label(header.get(168..208));
    match be16(header, 6)? {
        1 => Some(probe.with_names(uuid, None)),
        2 if be64(header, 256)? != start as u64 => None,
        2 => Some(probe.with_names(uuid, text::label(header.get(24..72)))),
        _ => Some(probe),
    }
}
