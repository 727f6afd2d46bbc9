//! The bytes of a device during a probe: the head is read once, the rest on demand within a budget.

use std::borrow::Cow;
use std::cell::Cell;
use std::io;

/// Source of bytes: a device, a file, a slice.
pub trait Source {
    /// Returns the size in bytes.
    fn size(&self) -> u64;

    /// Reads at most `buf.len()` bytes at `offset` and returns their number, which is 0 at the end.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|from| self.get(from..));
        let mut rest = rest.unwrap_or_default();
        io::Read::read(&mut rest, buf)
    }
}

/// A part of a device that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadError {
    /// Offset of the read, in bytes.
    pub offset: u64,
    /// Error number of the read; 0 if it has none.
    pub errno: i32,
}

/// Size of the head, up to the end of the btrfs superblock, in bytes.
const HEAD_SIZE: usize = 68 * 1024;
/// Size of the reads of a head that could not be read at once, in bytes.
const CHUNK: usize = 4096;
/// Maximum number of bytes to read besides the head; a valid device needs less than 40 KiB.
const READ_BUDGET: u64 = 1 << 20;
/// Minimum cost of a read, in bytes, so that the number of reads is bounded too.
const MIN_READ_COST: u64 = 512;

/// A [`Source`] with its head in memory.
pub(super) struct Device<'a> {
    source: &'a dyn Source,
    size: u64,
    head: Vec<u8>,
    budget: Cell<u64>,
    /// The first read that failed.
    error: Cell<Option<ReadError>>,
}

impl<'a> Device<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        let size = source.size();
        let (head, error) = head(source, size);
        Self { source, size, head, budget: Cell::new(READ_BUDGET), error: Cell::new(error) }
    }

    /// Returns the first part that could not be read.
    pub(super) fn error(&self) -> Option<ReadError> {
        self.error.get()
    }

    /// Allows as many further reads as at first.
    pub(super) fn renew_budget(&self) {
        self.budget.set(READ_BUDGET);
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the head; it is shorter if the device is shorter or partly unreadable.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Returns `length` bytes at `offset`, or `None` if any of them cannot be read.
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
        let (done, error) = fill(self.source, offset, &mut buf);
        self.error.set(self.error.get().or(error));
        (done == length).then_some(Cow::Owned(buf))
    }

    /// Deducts a read from the budget. Returns `None` if the budget is exhausted.
    fn spend(&self, length: u64) -> Option<()> {
        self.budget.set(self.budget.get().checked_sub(length.max(MIN_READ_COST))?);
        Some(())
    }
}

/// Reads the head at once or, if that fails, in chunks up to the first unreadable one. Returns the
/// error of that one too.
fn head(source: &dyn Source, size: u64) -> (Vec<u8>, Option<ReadError>) {
    let mut head = vec![0; usize::try_from(size).map_or(HEAD_SIZE, |size| size.min(HEAD_SIZE))];
    let (mut done, mut error) = fill(source, 0, &mut head);
    while let Some(chunk) =
        head.get_mut(done..(done + CHUNK).min(HEAD_SIZE)).filter(|c| !c.is_empty())
    {
        let count;
        (count, error) = fill(source, done as u64, chunk);
        done += count;
        if count < CHUNK {
            break;
        }
    }
    head.truncate(done);
    (head, error)
}

/// Reads until `buf` is full or the source ends or fails. Returns the number of bytes read, and the
/// failure.
pub(super) fn fill(source: &dyn Source, offset: u64, buf: &mut [u8]) -> (usize, Option<ReadError>) {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(done as u64);
        match source.read(at, rest) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(0);
                return (done, Some(ReadError { offset: at, errno }));
            }
        }
    }
    (done, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source of zeros with one unreadable byte, which counts the requested bytes.
    struct Bad {
        size: u64,
        hole: u64,
        requested: Cell<u64>,
    }

    impl Source for Bad {
        fn size(&self) -> u64 {
            self.size
        }

        fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            self.requested.set(self.requested.get() + buf.len() as u64);
            let range = offset..offset + buf.len() as u64;
            match range.contains(&self.hole) {
                true => Err(io::Error::from_raw_os_error(5)),
                false => Ok(buf.len()),
            }
        }
    }

    #[test]
    fn a_bad_sector_only_truncates_the_head() {
        let source = Bad { size: 1 << 30, hole: 10_000, requested: Cell::new(0) };
        let device = Device::new(&source);
        assert_eq!(device.head().len(), 8192);
        assert_eq!(device.error(), Some(ReadError { offset: 8192, errno: 5 }));
        assert!(device.bytes(0, 512).is_some());
        assert!(device.bytes(9000, 2000).is_none());
        assert!(device.bytes(65536, 512).is_some());
        assert!(device.bytes((1 << 30) - 1, 2).is_none());
    }

    #[test]
    fn the_first_failed_read_is_remembered() {
        let source = Bad { size: 1 << 30, hole: 1 << 20, requested: Cell::new(0) };
        let device = Device::new(&source);
        assert!(device.bytes(1 << 29, 512).is_some() && device.error().is_none());
        assert!(device.bytes((1 << 20) - 8, 512).is_none());
        assert_eq!(device.error(), Some(ReadError { offset: (1 << 20) - 8, errno: 5 }));
        let past_the_end = device.bytes(1 << 30, 512);
        assert!(past_the_end.is_none());
    }

    #[test]
    fn the_total_of_reads_is_bounded() {
        let source = Bad { size: u64::MAX, hole: u64::MAX, requested: Cell::new(0) };
        let device = Device::new(&source);
        while device.bytes(1 << 40, 1).is_some() {}
        assert!(device.bytes(1 << 41, usize::MAX).is_none());
        assert!(source.requested.get() <= (HEAD_SIZE as u64) + READ_BUDGET / MIN_READ_COST);
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
