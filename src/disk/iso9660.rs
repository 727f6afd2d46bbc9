//! iso9660 and its ancestor High Sierra. References: ECMA-119; kernel fs/isofs.
//!
//! ```text
//! from 32 KiB, one volume descriptor per 2 KiB, up to type ff
//!   0 type, u8 (1 primary, 2 supplementary) │ 1 CD001 │ 40 volume id, 32 │ 88 escape sequences, 32
//!   813 created, 17 │ 830 modified, 17: digits YYYYMMDDhhmmsscc │ zone, i8
//! High Sierra: 9 CDROM │ 48 volume id, 32
//! ```
//!
//! The UUID is the date of modification, or else of creation. The label comes from the Joliet
//! descriptor (supplementary, UTF-16BE) if there is one. A Joliet label holds only 16 characters,
//! so if it is a prefix of the primary label, the primary one is used.

use super::bytes::{array, has};
use super::device::Device;
use super::{Superblock, text};

const START: u64 = 0x8000;
const SECTOR: u64 = 0x800;
/// Maximum number of descriptors to read.
const DESCRIPTORS: u64 = 16;
const SUPPLEMENTARY: u8 = 2;
const END: u8 = 0xff;

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let probe = Superblock::filesystem("iso9660");
    let primary = device.head().get(0x8000..0x8000 + 847)?;
    if has(primary, 9, b"CDROM") && !has(primary, 1, b"CD001") {
        return Some(probe.with_names(None, text::label(primary.get(48..80))));
    }
    if !has(primary, 1, b"CD001") {
        return None;
    }
    let id = primary.get(40..72)?;
    let label = match joliet(device).filter(|joliet| !is_prefix(joliet, id)) {
        Some(joliet) => text::utf16be(Some(&joliet)),
        None => text::label(Some(id)),
    };
    Some(probe.with_names(date(primary, 830).or_else(|| date(primary, 813)).flatten(), label))
}

/// Formats a date as a UUID. Returns `None` if the date is unset, and `Some(None)` for a date of
/// zero bytes, which blkid treats as set but empty.
fn date(primary: &[u8], at: usize) -> Option<Option<String>> {
    let (digits, zone): ([u8; 16], u8) = (array(primary, at)?, *primary.get(at + 16)?);
    if digits == [b'0'; 16] && zone == 0 {
        return None;
    }
    if digits == [0; 16] {
        return Some(None);
    }
    let (year, rest) = digits.split_at(4);
    let mut text = String::from_utf8_lossy(year).into_owned();
    for pair in rest.chunks_exact(2) {
        text.push('-');
        text.push_str(&String::from_utf8_lossy(pair));
    }
    Some(Some(text))
}

/// Returns the volume id of the first Joliet descriptor.
fn joliet(device: &Device<'_>) -> Option<[u8; 32]> {
    for number in 1..=DESCRIPTORS {
        let descriptor = device.bytes(START + number * SECTOR, 847)?;
        if descriptor[0] == END {
            return None;
        }
        if descriptor[0] == SUPPLEMENTARY
            && [b"%/@", b"%/C", b"%/E"].iter().any(|escape| has(&descriptor, 88, *escape))
        {
            return array(&descriptor, 40);
        }
    }
    None
}

/// Returns whether the Joliet label is a prefix of the primary one.
fn is_prefix(joliet: &[u8; 32], id: &[u8]) -> bool {
    joliet.chunks_exact(2).zip(id).all(|(unit, byte)| unit == [0, *byte])
}
