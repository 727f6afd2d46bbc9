//! The bytes of one device under probing: the head read once, the rest on demand and within an allowance.

use std::borrow::Cow;
use std::cell::Cell;

/// Where the bytes come from: a device, a file, a slice.
pub trait Source {
    /// Length in bytes.
    fn size(&self) -> u64;

    /// Reads at most `buf.len()` bytes at `offset` and tells how many; `None` where they cannot be read.
    fn read(&self, offset: u64, buf: &mut [u8]) -> Option<usize>;
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        let rest = self.get(usize::try_from(offset).ok()?..)?;
        let count = rest.len().min(buf.len());
        buf.get_mut(..count)?.copy_from_slice(rest.get(..count)?);
        Some(count)
    }
}

/// Up to the end of the btrfs superblock.
const HEAD: usize = 68 * 1024;
/// A piece of a head that could not be read in one go.
const PIECE: usize = 4096;
/// What may be read besides the head; a sound device needs less than 40 KiB of it.
const ALLOWANCE: u64 = 1 << 20;
/// What a read costs at least, so that the number of reads is bounded too.
const SECTOR: u64 = 512;

/// A [`Source`] with its head in memory.
pub(super) struct Device<'a> {
    source: &'a dyn Source,
    size: u64,
    head: Vec<u8>,
    allowance: Cell<u64>,
}

impl<'a> Device<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        let size = source.size();
        Self { source, size, head: head(source, size), allowance: Cell::new(ALLOWANCE) }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The first bytes of the device; fewer where it is shorter or unreadable.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// `length` bytes at `offset`, all or none.
    pub(super) fn bytes(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        let end = offset.checked_add(u64::try_from(length).ok()?)?;
        if end > self.size {
            return None;
        }
        if end <= self.head.len() as u64 {
            let from = usize::try_from(offset).ok()?;
            return self.head.get(from..from + length).map(Cow::Borrowed);
        }
        self.spend(length as u64)?;
        let mut buf = vec![0; length];
        (fill(self.source, offset, &mut buf) == length).then_some(Cow::Owned(buf))
    }

    fn spend(&self, length: u64) -> Option<()> {
        self.allowance.set(self.allowance.get().checked_sub(length.max(SECTOR))?);
        Some(())
    }
}

/// The head in one read; where that fails, the sound pieces before the first bad one.
fn head(source: &dyn Source, size: u64) -> Vec<u8> {
    let mut head = vec![0; usize::try_from(size).map_or(HEAD, |size| size.min(HEAD))];
    let mut done = fill(source, 0, &mut head);
    while let Some(piece) = head.get_mut(done..(done + PIECE).min(HEAD)).filter(|p| !p.is_empty()) {
        let got = fill(source, done as u64, piece);
        done += got;
        if got < PIECE {
            break;
        }
    }
    head.truncate(done);
    head
}

/// Reads until `buf` is full, the source ends or fails; how many bytes are good.
pub(super) fn fill(source: &dyn Source, offset: u64, buf: &mut [u8]) -> usize {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match source.read(offset.saturating_add(done as u64), rest) {
            Some(count) if count > 0 => done += count,
            _ => break,
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zeros, of which one byte cannot be read; counts what is asked for.
    struct Bad {
        size: u64,
        hole: u64,
        asked: Cell<u64>,
    }

    impl Source for Bad {
        fn size(&self) -> u64 {
            self.size
        }

        fn read(&self, offset: u64, buf: &mut [u8]) -> Option<usize> {
            self.asked.set(self.asked.get() + buf.len() as u64);
            let range = offset..offset + buf.len() as u64;
            (!range.contains(&self.hole)).then_some(buf.len())
        }
    }

    #[test]
    fn a_bad_sector_costs_only_what_follows_it_in_the_head() {
        let source = Bad { size: 1 << 30, hole: 10_000, asked: Cell::new(0) };
        let device = Device::new(&source);
        assert_eq!(device.head().len(), 8192);
        assert!(device.bytes(0, 512).is_some());
        assert!(device.bytes(9000, 2000).is_none());
        assert!(device.bytes(65536, 512).is_some());
        assert!(device.bytes((1 << 30) - 1, 2).is_none());
    }

    #[test]
    fn all_reads_together_are_bounded() {
        let source = Bad { size: u64::MAX, hole: u64::MAX, asked: Cell::new(0) };
        let device = Device::new(&source);
        while device.bytes(1 << 40, 1).is_some() {}
        assert!(device.bytes(1 << 41, usize::MAX).is_none());
        assert!(source.asked.get() <= (HEAD as u64) + ALLOWANCE / SECTOR);
    }

    #[test]
    fn a_short_source_has_a_short_head() {
        let slice: &[u8] = &[7; 100];
        let device = Device::new(&slice);
        assert_eq!(device.head(), slice);
        assert_eq!(device.bytes(98, 2).as_deref(), Some(&[7, 7][..]));
        assert!(device.bytes(98, 3).is_none());
    }
}
