//! Reads the facts of module files on all processors. Of a plain file only the needed sections are
//! read, whatever its size. A compressed file is decompressed into a buffer that its thread reuses,
//! so that there are never more images in memory than threads. Images that are larger than a
//! thread's share of the memory are decoded one at a time.

use std::cmp::Reverse;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::{Errno, pread};

use super::{Listener, pool};
use crate::kmod::compress::{Compression, DecodeError, Decoder, IMAGE_LIMIT};
use crate::kmod::depmod::facts::{Collector, Facts, SECTIONS};
use crate::kmod::elf::{ElfError, SectionTable, Sections, slice_of};
use crate::sys::regular_file::FileBytes;
use crate::sys::{self, errno};

/// Plain files up to this size in bytes are read with one call: most modules.
const SMALL: usize = 64 << 10;
/// Number of bytes at the start of a larger file that are read first.
const HEAD: usize = 4 << 10;
/// Number of bytes at the end of a larger file that are read first: in most files the section
/// headers and their names.
const TAIL: usize = 8 << 10;
/// Sections with a gap of up to this many bytes between them are read with one call.
const MAX_GAP: usize = 4 << 10;
/// Maximum size in bytes of the needed sections of one plain file, ten times those of the largest
/// known modules. The headers of a damaged file may say anything.
const MAX_SECTIONS: usize = 256 << 20;
/// A buffer larger than this many bytes is freed after its file.
const MAX_BUFFER: usize = 16 << 20;

/// Why a file has no facts. The messages are those of kmod, with the cause in parentheses.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// A system call failed, or what is needed of the file is larger than in any module.
    System(Errno),
    /// The file is shorter than the magic bytes of a compression.
    TooShort,
    /// The file became shorter while it was read.
    Shrunk,
    /// The file cannot be decompressed.
    Decode(DecodeError),
    /// The file is not a module.
    Elf(ElfError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let invalid = errno::text(Errno::INVAL);
        match self {
            Self::System(errno) => f.write_str(&errno::text(*errno)),
            Self::TooShort => write!(f, "{invalid} (too short to be a module)"),
            Self::Shrunk => f.write_str("the file became shorter while it was read"),
            Self::Decode(error) => write!(f, "{invalid} ({error})"),
            Self::Elf(error) => write!(f, "{} ({error})", errno::text(errno::from_elf(*error))),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl From<ElfError> for ReadError {
    fn from(error: ElfError) -> Self {
        Self::Elf(error)
    }
}

/// Reads the facts of each file. They include the versions of exports only if files are read
/// `whole`.
pub(super) fn all(
    files: &[&Path],
    whole: bool,
    listener: &mut dyn Listener,
) -> Vec<Result<Facts, ReadError>> {
    let order = by_weight(files);
    let share = sys::buffer_share(sys::processors());
    let large = Mutex::new(());
    let results = pool::map(
        &order,
        || Reader::new(whole, share, &large),
        |reader, position| reader.facts(files[*position]),
        &mut |started| listener.progress(started, files.len()),
    );
    let mut placed: Vec<_> = order.into_iter().zip(results).collect();
    placed.sort_by_key(|(position, _)| *position);
    placed.into_iter().map(|(_, facts)| facts).collect()
}

/// Returns the order in which the files are read. The time for a compressed file grows with its
/// size, so the largest file is first, and no thread is still busy with it at the end.
fn by_weight(files: &[&Path]) -> Vec<usize> {
    let is_plain = |path: &Path| path.extension().is_some_and(|suffix| suffix == "ko");
    let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
    let mut order: Vec<usize> = (0..files.len()).collect();
    if !files.iter().all(|file| is_plain(file)) {
        order.sort_by_cached_key(|position| Reverse(size(files[*position])));
    }
    order
}

/// The buffers with which one thread reads files.
struct Reader<'a> {
    /// Whether to read the whole of every file.
    whole: bool,
    /// Size in bytes up to which this thread decodes while others do.
    share: usize,
    /// Held while a larger image is in memory.
    large: &'a Mutex<()>,
    file: Vec<u8>,
    tail: Vec<u8>,
    image: Vec<u8>,
    decoder: Decoder,
    collector: Collector,
}

impl<'a> Reader<'a> {
    fn new(whole: bool, share: usize, large: &'a Mutex<()>) -> Self {
        Self {
            whole,
            share,
            large,
            file: Vec::new(),
            tail: Vec::new(),
            image: Vec::new(),
            decoder: Decoder::default(),
            collector: Collector::default(),
        }
    }

    fn facts(&mut self, path: &Path) -> Result<Facts, ReadError> {
        let facts = self.read(path);
        for buffer in [&mut self.file, &mut self.image] {
            if buffer.capacity() > MAX_BUFFER {
                *buffer = Vec::new();
            }
        }
        facts
    }

    fn read(&mut self, path: &Path) -> Result<Facts, ReadError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty())?;
        let len = usize::try_from(fstat(&file)?.st_size).unwrap_or(usize::MAX);
        // As in kmod: the compression of a shorter file cannot be determined.
        if len < 6 {
            return Err(ReadError::TooShort);
        }
        let is_small = len <= SMALL;
        let head = if is_small { len } else { HEAD };
        read_at(&file, room(&mut self.file, head)?, 0)?;
        if Compression::detect(&self.file[..head]) != Compression::Plain {
            if len > IMAGE_LIMIT {
                return Err(Errno::FBIG.into());
            }
            self.read_compressed(&file, len)
        } else if is_small {
            facts_of_image(&mut self.collector, &self.file[..len])
        } else if self.whole {
            facts_of_image(&mut self.collector, &FileBytes::map(&file)?)
        } else {
            self.read_sections(&file, len)
        }
    }

    /// Reads the facts of a compressed file of `len` bytes.
    fn read_compressed(&mut self, file: &OwnedFd, len: usize) -> Result<Facts, ReadError> {
        if len <= self.share {
            read_at(file, room(&mut self.file, len)?, 0)?;
            let bytes = &self.file[..len];
            match self.decoder.decode_into(bytes, self.share, &mut self.image) {
                Ok(()) => return facts_of_image(&mut self.collector, &self.image),
                Err(DecodeError::TooLarge(_)) => {}
                Err(error) => return Err(ReadError::Decode(error)),
            }
        }
        (self.file, self.image) = (Vec::new(), Vec::new());
        let _alone = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = FileBytes::map(file)?;
        // Freed before the lock is released.
        let mut image = Vec::new();
        let decoded = self.decoder.decode_into(&bytes, IMAGE_LIMIT, &mut image);
        decoded.map_err(ReadError::Decode)?;
        facts_of_image(&mut self.collector, &image)
    }

    /// Reads the facts of a large plain file, whose head has been read: first the section headers,
    /// which are at the end, then the needed sections.
    fn read_sections(&mut self, file: &OwnedFd, len: usize) -> Result<Facts, ReadError> {
        let start = len - TAIL;
        read_at(file, room(&mut self.tail, TAIL)?, start)?;
        let known = [(0, &self.file[..HEAD]), (start, &self.tail[..TAIL])];
        let table = SectionTable::read(len, |range| match slice_of(&known, &range) {
            Some(bytes) => Some(bytes.into()),
            None if range.len() > MAX_SECTIONS => None,
            None => {
                let mut bytes = vec![0; range.len()];
                read_at(file, &mut bytes, range.start).ok()?;
                Some(bytes.into())
            }
        });
        let table = table?;
        let sections = SECTIONS.iter().filter_map(|name| table.range(name));
        let ranges = merge(sections.collect());
        let size = ranges.iter().map(Range::len).fold(0, usize::saturating_add);
        if size > MAX_SECTIONS {
            return Err(Errno::FBIG.into());
        }
        let mut rest = room(&mut self.image, size)?;
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            let (part, after) = rest.split_at_mut(range.len());
            read_at(file, part, range.start)?;
            parts.push((range.start, &*part));
            rest = after;
        }
        Ok(self.collector.facts(&Sections::from_parts(table, &parts)))
    }
}

fn facts_of_image(collector: &mut Collector, image: &[u8]) -> Result<Facts, ReadError> {
    Ok(collector.facts(&Sections::parse(image)?))
}

/// Returns the first `len` bytes of a buffer, which grows if necessary.
fn room(buffer: &mut Vec<u8>, len: usize) -> Result<&mut [u8], ReadError> {
    if buffer.len() < len {
        let more = len - buffer.len();
        buffer.try_reserve_exact(more).map_err(|_| Errno::NOMEM)?;
        buffer.resize(len, 0);
    }
    Ok(&mut buffer[..len])
}

/// Fills a buffer with the bytes of a file from offset `start`.
fn read_at(file: &OwnedFd, mut buffer: &mut [u8], start: usize) -> Result<(), ReadError> {
    let mut offset = start as u64;
    while !buffer.is_empty() {
        match pread(file, &mut *buffer, offset) {
            Ok(0) => return Err(ReadError::Shrunk),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Merges ranges that are near each other.
fn merge(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + MAX_GAP => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ranges_are_merged() {
        let joined = merge(vec![9000..9100, 0..10, 20..30, 25..28]);
        assert_eq!(joined, [0..30, 9000..9100]);
        assert!(merge(Vec::new()).is_empty());
    }
}
