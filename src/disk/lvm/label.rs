//! The label of a physical volume and the header in it, little-endian. Reference: lvm2's
//! lib/format_text/layout.h.
//!
//! ```text
//! one of sectors 0 to 3: the label (probe.rs), with the offset of the header
//!
//! header  0 UUID, 32 characters    32 size of the device in bytes, u64
//!        40 data areas: 8-byte offset, 8-byte size, …, until an offset of 0
//!           metadata areas: likewise
//!           extension: version, u32 (0: none) │ flags, u32: 1 in use │ bootloader areas: likewise
//! ```

use super::id::Id;
use super::probe::CRC_SEED;
use crate::disk::bytes::{has, index, le32, le64};
use crate::disk::device::fill;
use crate::disk::{Source, crc};

/// Size of a sector of the label, in bytes.
const SECTOR: usize = 512;
/// Number of sectors that may hold the label.
const SECTORS: usize = 4;

/// A part of a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// The label of a physical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// UUID of the physical volume.
    pub(crate) id: Id,
    /// Size of the device in bytes when the label was written.
    pub(crate) device_size: u64,
    /// Metadata areas.
    pub(crate) metadata: Vec<Area>,
}

impl Label {
    /// Reads the label of a device; `None` if there is none.
    pub(crate) fn read(source: &dyn Source) -> Option<Self> {
        let mut head = [0; SECTOR * SECTORS];
        let length = fill(source, 0, &mut head).0;
        let sectors = head[..length].chunks_exact(SECTOR).zip(0..);
        sectors.into_iter().find_map(|(sector, number)| Self::parse(sector, number))
    }

    fn parse(sector: &[u8], number: u64) -> Option<Self> {
        let is_valid = has(sector, 0, b"LABELONE")
            && has(sector, 24, b"LVM2 001")
            && le64(sector, 8)? == number
            && le32(sector, 16)? == crc::update(CRC_SEED, sector.get(20..)?);
        if !is_valid {
            return None;
        }
        let header = sector.get(index(le32(sector, 20)?)?..)?;
        let (_, metadata_at) = areas(header, 40)?;
        let (metadata, _) = areas(header, metadata_at)?;
        let id = Id::from_bytes(header.get(..32)?)?;
        Some(Self { id, device_size: le64(header, 32)?, metadata })
    }
}

/// Parses a list of areas at an offset. Returns it and the offset after it.
fn areas(header: &[u8], mut at: usize) -> Option<(Vec<Area>, usize)> {
    let mut areas = Vec::new();
    loop {
        let area = Area { offset: le64(header, at)?, size: le64(header, at + 8)? };
        at += 16;
        if area.offset == 0 {
            return Some((areas, at));
        }
        areas.push(area);
    }
}
