//! A device of any size in a few bytes, for the fuzz targets and the maker of their seeds.

use std::cell::Cell;
use std::io;

use coldplug::disk::Source;

/// Length of a sector in bytes.
pub const SECTOR: usize = 512;

/// A device that is zero except for some sectors, so that mutations hit what a parser reads.
///
/// ```text
/// size    u64: length of the device in bytes
/// pieces  u32 number of a sector | its 512 bytes
/// ```
///
/// The last piece may be truncated. If a sector occurs twice, the later piece is used. Numbers are
/// little-endian.
#[derive(Debug)]
pub struct Sparse<'a> {
    size: u64,
    pieces: Vec<(u64, &'a [u8])>,
    /// Number of bytes that were requested.
    pub read: Cell<u64>,
}

impl<'a> Sparse<'a> {
    /// Parses the device that `data` describes; `None` if the size is truncated.
    #[must_use]
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let (size, pieces) = data.split_first_chunk()?;
        let pieces = pieces.chunks(4 + SECTOR).filter_map(|piece| {
            let (number, bytes) = piece.split_first_chunk()?;
            Some((u64::from(u32::from_le_bytes(*number)) * SECTOR as u64, bytes))
        });
        Some(Self { size: u64::from_le_bytes(*size), pieces: pieces.collect(), read: Cell::new(0) })
    }

    /// Returns the bytes that [`Self::parse`] reads as a device of `size` bytes with these sectors.
    #[must_use]
    pub fn write(size: u64, sectors: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut out = size.to_le_bytes().to_vec();
        for (number, bytes) in sectors {
            out.extend(number.to_le_bytes());
            out.extend(bytes);
        }
        out
    }
}

impl Source for Sparse<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read.set(self.read.get() + buf.len() as u64);
        let rest = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = rest.min(buf.len());
        let buf = &mut buf[..count];
        buf.fill(0);
        for (start, bytes) in &self.pieces {
            let (from, skip) = match start.checked_sub(offset) {
                Some(ahead) => (usize::try_from(ahead).unwrap_or(usize::MAX), 0),
                None => (0, usize::try_from(offset - start).unwrap_or(usize::MAX)),
            };
            let (Some(to), Some(bytes)) = (buf.get_mut(from..), bytes.get(skip..)) else {
                continue;
            };
            let len = to.len().min(bytes.len());
            to[..len].copy_from_slice(&bytes[..len]);
        }
        Ok(count)
    }
}
