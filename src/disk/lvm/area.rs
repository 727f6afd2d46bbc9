//! Metadata areas, little-endian. Reference: lvm2's lib/format_text/layout.h.
//!
//! ```text
//! header, 512 bytes                                       location, 24 bytes
//!   0 crc of the rest, u32   24 offset of the area, u64     0 offset in the area, u64
//!   4 magic, 16              32 size of the area, u64       8 size in bytes, u64
//!  20 version, u32: 1        40 location of the text       16 crc of the text, u32
//!                                                          20 flags, u32: 1 ignored
//! the rest is a ring: a text that passes the end of the area goes on after the header
//! ```
//!
//! The second location, of a text that is not committed yet, is not used.

use super::label::Area;
use super::probe::CRC_SEED;
use crate::disk::bytes::{has, le32, le64};
use crate::disk::device::fill;
use crate::disk::{Source, crc};

const HEADER: usize = 512;
const MAGIC: &[u8] = b" LVM2 x[5A%r0N*>";
/// Maximum size of a text in bytes; lvm2's areas have 1 MiB unless asked otherwise.
const MAX_TEXT: u64 = 16 << 20;

/// The committed text of an area, as its header describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    offset: u64,
    size: u64,
    crc: u32,
}

/// What an area holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// No metadata: the physical volume is in no group.
    Empty,
    /// The area is not used, so that a group of many volumes has few copies.
    Ignored,
    /// The text, not yet checked.
    Text(Location, Vec<u8>),
}

/// Reads an area.
///
/// # Errors
/// The header is damaged, or the text cannot be read.
pub(super) fn read(source: &dyn Source, area: Area) -> Result<Content, &'static str> {
    let mut header = [0; HEADER];
    if fill(source, area.offset, &mut header).0 < HEADER {
        return Err("the metadata area cannot be read");
    }
    let size = check(&header, area).ok_or("the header of the metadata area is damaged")?;
    let field = |at| le64(&header, at).unwrap_or(0);
    let location = Location { offset: field(40), size: field(48), crc: word(&header, 56) };
    if word(&header, 60) & 1 != 0 {
        return Ok(Content::Ignored);
    }
    if location.offset == 0 {
        return Ok(Content::Empty);
    }
    let text = read_text(source, area.offset, size, &location)?;
    Ok(Content::Text(location, text))
}

/// Returns whether a text is what its location describes.
pub(super) fn is_intact(location: &Location, text: &[u8]) -> bool {
    crc::update(CRC_SEED, text) == location.crc
}

/// Returns the size of the area, or `None` if its header is damaged.
fn check(header: &[u8; HEADER], area: Area) -> Option<u64> {
    let is_valid = word(header, 0) == crc::update(CRC_SEED, &header[4..])
        && has(header, 4, MAGIC)
        && word(header, 20) == 1
        && le64(header, 24)? == area.offset;
    le64(header, 32).filter(|_| is_valid)
}

fn word(header: &[u8], at: usize) -> u32 {
    le32(header, at).unwrap_or(0)
}

fn read_text(
    source: &dyn Source,
    start: u64,
    area_size: u64,
    location: &Location,
) -> Result<Vec<u8>, &'static str> {
    const DAMAGED: &str = "the location of the metadata is damaged";
    let Location { offset, size, .. } = *location;
    let first = (HEADER as u64..area_size).contains(&offset).then(|| size.min(area_size - offset));
    let first = first.filter(|_| size <= MAX_TEXT).ok_or(DAMAGED)?;
    // The rest must not reach the first part.
    if size - first > offset - HEADER as u64 {
        return Err(DAMAGED);
    }
    let mut text = vec![0; usize::try_from(size).map_err(|_| DAMAGED)?];
    let (head, tail) = text.split_at_mut(usize::try_from(first).map_err(|_| DAMAGED)?);
    let parts = [(start.saturating_add(offset), head), (start + HEADER as u64, tail)];
    for (at, part) in parts {
        if fill(source, at, part).0 < part.len() {
            return Err("the metadata cannot be read");
        }
    }
    Ok(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a device whose metadata area at 4 KiB holds `text` from `offset` on.
    pub(in super::super) fn device(text: &[u8], offset: u64, size: u64) -> Vec<u8> {
        let [start, end] = [offset, size].map(|number| usize::try_from(number).unwrap());
        let area = Area { offset: 4096, size };
        let mut device = vec![0; 4096 + end];
        let mut header = [0; HEADER];
        header[4..20].copy_from_slice(MAGIC);
        header[20] = 1;
        header[24..32].copy_from_slice(&area.offset.to_le_bytes());
        header[32..40].copy_from_slice(&size.to_le_bytes());
        header[40..48].copy_from_slice(&offset.to_le_bytes());
        header[48..56].copy_from_slice(&(text.len() as u64).to_le_bytes());
        header[56..60].copy_from_slice(&crc::update(CRC_SEED, text).to_le_bytes());
        sign(&mut header);
        device[4096..4096 + HEADER].copy_from_slice(&header);
        let ring = end - HEADER;
        for (at, byte) in text.iter().enumerate() {
            device[4096 + HEADER + (start - HEADER + at) % ring] = *byte;
        }
        device
    }

    fn sign(header: &mut [u8]) {
        let crc = crc::update(CRC_SEED, &header[4..HEADER]);
        header[..4].copy_from_slice(&crc.to_le_bytes());
    }

    const AREA: Area = Area { offset: 4096, size: 2048 };

    fn text_of(device: &[u8]) -> Result<Vec<u8>, &'static str> {
        match read(&device, AREA)? {
            Content::Text(location, text) if is_intact(&location, &text) => Ok(text),
            _ => Err("no intact text"),
        }
    }

    #[test]
    fn a_text_may_pass_the_end_of_the_ring() {
        for (length, offset) in [(100, 512), (100, 1948), (100, 2000), (1536, 512), (1536, 1024)] {
            let text: Vec<u8> = (0..=250).cycle().take(length).collect();
            assert_eq!(text_of(&device(&text, offset, 2048)), Ok(text), "{length} {offset}");
        }
    }

    #[test]
    fn damage_is_named() {
        let good = device(b"vg {}", 1024, 2048);
        let with = |at: usize, byte: u8, signed: bool| {
            let mut bad = good.clone();
            bad[4096 + at] = byte;
            if signed {
                sign(&mut bad[4096..]);
            }
            text_of(&bad)
        };
        let (header, place) = (
            "the header of the metadata area is damaged",
            "the location of the metadata is damaged",
        );
        for (at, byte, signed, want) in [
            (0, 1, false, header),
            (4, b'x', true, header),
            (20, 2, true, header),
            (24, 1, true, header),
            (41, 255, true, place),
            (41, 1, true, place),
            (55, 255, true, place),
            (49, 8, true, place),
            (56, 0, true, "no intact text"),
            (1024, b'x', false, "no intact text"),
        ] {
            assert_eq!(with(at, byte, signed), Err(want), "{at} {byte}");
        }
        assert_eq!(read(&&good[..4500], AREA), Err("the metadata area cannot be read"));
        assert_eq!(read(&&good[..5121], AREA), Err("the metadata cannot be read"));
    }

    #[test]
    fn an_area_may_be_empty_or_ignored() {
        let mut ignored = device(b"vg {}", 1024, 2048);
        ignored[4096 + 60] = 1;
        sign(&mut ignored[4096..]);
        assert_eq!(read(&&*ignored, AREA), Ok(Content::Ignored));
        assert_eq!(read(&&*device(b"", 512, 2048), AREA).map(|_| ()), Ok(()));
        let mut empty = device(b"", 512, 2048);
        empty[4096 + 41] = 0;
        sign(&mut empty[4096..]);
        assert_eq!(read(&&*empty, AREA), Ok(Content::Empty));
    }
}
