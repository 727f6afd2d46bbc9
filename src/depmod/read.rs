//! Module files to facts, over all processors. Of a plain file only the sections that count are read; a compressed
//! one is decoded into a buffer that its thread uses again, so that there are never more images than threads.

use std::cmp::Reverse;
use std::fs;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::{Errno, pread};

use super::{Listener, pool};
use crate::kmod::compress::{Compression, Decoder, IMAGE_LIMIT};
use crate::kmod::depmod::facts::{Collector, Facts, SECTIONS};
use crate::kmod::elf::{ElfError, SectionTable, Sections, slice_of};
use crate::sys::errno;

/// Plain files up to this size are read as a whole: most modules, in one call.
const SMALL: usize = 64 << 10;
/// So much of a larger file's start is read at first,
const HEAD: usize = 4 << 10;
/// and so much of its end: the section headers with their names, in most.
const TAIL: usize = 8 << 10;
/// Sections with less than this between them are read in one call.
const GAP: usize = 4 << 10;
/// A buffer that has grown beyond this is not kept for the next file.
const KEEP: usize = 16 << 20;

/// The facts of each file, or why there are none. Versions of exports are among them only where files are read `whole`.
pub(super) fn all(
    files: &[&Path],
    whole: bool,
    listener: &mut dyn Listener,
) -> Vec<Result<Facts, String>> {
    let order = by_weight(files);
    let results = pool::map(
        &order,
        || Reader { whole, ..Reader::default() },
        |reader, place| reader.facts(files[*place]),
        &mut |begun| listener.progress(begun, files.len()),
    );
    let mut placed: Vec<_> = order.into_iter().zip(results).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, facts)| facts).collect()
}

/// The order of the work. What is compressed takes long in the measure of its size: the largest goes first, so that
/// no thread is left with it at the end.
fn by_weight(files: &[&Path]) -> Vec<usize> {
    let is_plain = |path: &Path| path.extension().is_some_and(|ending| ending == "ko");
    let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
    let mut order: Vec<usize> = (0..files.len()).collect();
    if !files.iter().all(|file| is_plain(file)) {
        order.sort_by_cached_key(|place| Reverse(size(files[*place])));
    }
    order
}

/// What one thread reads files with.
#[derive(Default)]
struct Reader {
    /// No part of a file is left out.
    whole: bool,
    file: Vec<u8>,
    tail: Vec<u8>,
    image: Vec<u8>,
    decoder: Decoder,
    collector: Collector,
}

impl Reader {
    fn facts(&mut self, path: &Path) -> Result<Facts, String> {
        let facts = self.read(path);
        for buffer in [&mut self.file, &mut self.image] {
            if buffer.capacity() > KEEP {
                *buffer = Vec::new();
            }
        }
        facts
    }

    fn read(&mut self, path: &Path) -> Result<Facts, String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty()).map_err(errno::text)?;
        let len = usize::try_from(fstat(&file).map_err(errno::text)?.st_size).unwrap_or(usize::MAX);
        if len > IMAGE_LIMIT {
            return Err(errno::text(Errno::FBIG));
        }
        // As in kmod: less can't even tell its compression.
        if len < 6 {
            return Err(format!("{} (too short to be a module)", errno::text(Errno::INVAL)));
        }
        let all = self.whole || len <= SMALL;
        let head = if all { len } else { HEAD };
        read_at(&file, room(&mut self.file, head)?, 0)?;
        if Compression::detect(&self.file[..head]) != Compression::Plain {
            read_at(&file, &mut room(&mut self.file, len)?[head..], head)?;
            self.decoder
                .decode_into(&self.file[..len], IMAGE_LIMIT, &mut self.image)
                .map_err(|e| format!("{} ({e})", errno::text(Errno::INVAL)))?;
            of_image(&mut self.collector, &self.image)
        } else if all {
            of_image(&mut self.collector, &self.file[..len])
        } else {
            self.from_parts(&file, len)
        }
    }

    /// The facts of a large plain file, whose head has been read: its section headers, which stand at the end, then
    /// the sections that count.
    fn from_parts(&mut self, file: &OwnedFd, len: usize) -> Result<Facts, String> {
        let start = len - TAIL;
        read_at(file, room(&mut self.tail, TAIL)?, start)?;
        let known = [(0, &self.file[..HEAD]), (start, &self.tail[..TAIL])];
        let table = SectionTable::read(len, |range| match slice_of(&known, &range) {
            Some(bytes) => Some(bytes.into()),
            None => {
                let mut bytes = vec![0; range.len()];
                read_at(file, &mut bytes, range.start).ok()?;
                Some(bytes.into())
            }
        });
        let table = table.map_err(in_words)?;
        let wanted = SECTIONS.iter().filter_map(|name| table.range(name));
        let ranges = together(wanted.collect());
        let mut rest = room(&mut self.image, ranges.iter().map(Range::len).sum())?;
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

fn of_image(collector: &mut Collector, image: &[u8]) -> Result<Facts, String> {
    Ok(collector.facts(&Sections::parse(image).map_err(in_words)?))
}

/// So many bytes of a buffer, which grows as it must.
fn room(buffer: &mut Vec<u8>, len: usize) -> Result<&mut [u8], String> {
    if buffer.len() < len {
        let more = len - buffer.len();
        buffer.try_reserve_exact(more).map_err(|_| errno::text(Errno::NOMEM))?;
        buffer.resize(len, 0);
    }
    Ok(&mut buffer[..len])
}

/// Fills a buffer with what stands in a file from `start`.
fn read_at(file: &OwnedFd, mut buffer: &mut [u8], start: usize) -> Result<(), String> {
    let mut offset = start as u64;
    while !buffer.is_empty() {
        match pread(file, &mut *buffer, offset) {
            Ok(0) => return Err("it became shorter while it was read".to_owned()),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(errno::text(error)),
        }
    }
    Ok(())
}

/// Ranges that are near each other made one.
fn together(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + GAP => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// kmod's errno for what is no module, with what is wrong with it.
fn in_words(error: ElfError) -> String {
    format!("{} ({error})", errno::text(errno::of_elf(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ranges_are_read_together() {
        let joined = together(vec![9000..9100, 0..10, 20..30, 25..28]);
        assert_eq!(joined, [0..30, 9000..9100]);
        assert_eq!(together(Vec::new()), []);
    }
}
