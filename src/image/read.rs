//! Reading images: archives in a row, each plain or compressed, with zeros between them
//! (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! A bootconfig may be appended to the whole (Documentation/admin-guide/bootconfig.rst):
//!
//! ```text
//! text, zeros | size u32 of both | checksum u32: the sum of their bytes | "#BOOTCONFIG\n"
//! ```
//!
//! Both numbers are little-endian. Entries are handed on as they are decompressed, so that memory use depends neither on the size
//! of the image nor on what it decompresses to.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use super::newc::{self, Counted, Member, ReadError};
use crate::kmod::compress::Compression;
use crate::sys::Cause;

/// Largest memory of an xz decoder, in bytes: twice what the strongest preset needs. zstd has the
/// same limit for its window, and so has the kernel.
const MEMORY_LIMIT: u64 = 128 << 20;
/// Number of bytes that suffice for a bootconfig: the kernel permits 32 KiB of text.
const BOOTCONFIG_LIMIT: u64 = 40 << 10;
/// Size in bytes of the buffer for decompressed data.
const BUFFER: usize = 1 << 16;

/// An archive of an image that cannot be read.
#[derive(Debug)]
pub(crate) struct ArchiveError {
    /// Offset of the archive in the image, in bytes.
    pub(crate) offset: u64,
    /// The reason.
    pub(crate) cause: ArchiveCause,
}

/// Why an archive cannot be read.
#[derive(Debug)]
pub(crate) enum ArchiveCause {
    /// It is compressed with this codec, which the kernel knows and this program does not.
    Unsupported(&'static str),
    /// Its first bytes are neither those of an archive nor those of a known codec.
    Unknown,
    /// One of its entries is damaged.
    Entry(ReadError),
    /// The bootconfig at the end has another size or checksum than it says. The kernel ignores it.
    Bootconfig,
    /// The compressed data goes on with something other than an archive, which the kernel refuses.
    Junk,
    /// The image cannot be read, or the start or end of the compressed data is damaged.
    Input(io::Error),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "archive at offset {}: ", self.offset)?;
        match &self.cause {
            ArchiveCause::Unsupported(codec) => write!(f, "{codec} is not supported"),
            ArchiveCause::Unknown => f.write_str("neither cpio nor a known compression"),
            ArchiveCause::Entry(error) => error.fmt(f),
            ArchiveCause::Bootconfig => f.write_str("the bootconfig is damaged"),
            ArchiveCause::Junk => f.write_str("the decompressed data is not cpio"),
            ArchiveCause::Input(error) => match error.raw_os_error() {
                Some(_) => Cause::from(error).fmt(f),
                None => error.fmt(f),
            },
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            ArchiveCause::Entry(error) => Some(error),
            ArchiveCause::Input(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ArchiveCause {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

/// Called with each entry; a break ends the reading.
type Each<'a> = dyn FnMut(&Member) -> ControlFlow<()> + 'a;
/// Whether the reading goes on, or why it cannot.
type Progress = Result<ControlFlow<()>, ArchiveCause>;

/// What an image holds besides the entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Number of archives.
    pub(crate) archives: usize,
    /// Offset in the image and size of the bootconfig, in bytes.
    pub(crate) bootconfig: Option<(u64, usize)>,
}

/// Calls `each` with every entry of an image, in its order, until the first error.
///
/// # Errors
///
/// Damaged data, or an unsupported codec (bzip2, lzma, lzo, lz4).
pub(crate) fn entries(
    image: &mut dyn BufRead,
    each: &mut Each<'_>,
) -> Result<Contents, ArchiveError> {
    let mut image = Counted::new(image);
    let mut contents = Contents::default();
    loop {
        let next = image.skip_zeros();
        let offset = image.offset;
        let progress = match next {
            Ok(None) => return Ok(contents),
            Ok(Some(b'0')) => feed(&mut newc::read(&mut image), each),
            Ok(Some(_)) => match compressed(&mut image, each) {
                Ok(Part::Bootconfig(size)) => {
                    contents.bootconfig = Some((offset, size));
                    continue;
                }
                Ok(Part::Archive(progress)) => Ok(progress),
                Err(cause) => Err(cause),
            },
            Err(error) => Err(error.into()),
        };
        contents.archives += 1;
        match progress.map_err(|cause| ArchiveError { offset, cause })? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => return Ok(contents),
        }
    }
}

/// What is at an offset of an image and is not a plain archive.
enum Part {
    /// A compressed archive, and whether the reading goes on.
    Archive(ControlFlow<()>),
    /// A bootconfig of this size.
    Bootconfig(usize),
}

/// Calls `each` with the entries of one compressed archive, and reads to its end; or reads the
/// bootconfig.
fn compressed(image: &mut dyn BufRead, each: &mut Each<'_>) -> Result<Part, ArchiveCause> {
    let mut head = Vec::new();
    Read::take(&mut *image, 6).read_to_end(&mut head)?;
    let rest = head.chain(image);
    let decoder: Box<dyn Read + '_> = match Compression::detect(&head) {
        Compression::Gzip => Box::new(flate2::bufread::GzDecoder::new(rest)),
        Compression::Zstd => {
            Box::new(zstd::stream::read::Decoder::with_buffer(rest)?.single_frame())
        }
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY_LIMIT, 0);
            let stream = stream.map_err(io::Error::from)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(rest, stream))
        }
        Compression::Plain => {
            let mut end = Vec::new();
            rest.take(BOOTCONFIG_LIMIT).read_to_end(&mut end)?;
            return match bootconfig(&end)? {
                Some(size) => Ok(Part::Bootconfig(size)),
                None => Err(unreadable(&head)),
            };
        }
    };
    let mut reader = newc::read(BufReader::with_capacity(BUFFER, decoder));
    let progress = feed(&mut reader, each)?;
    match progress.is_break() || reader.is_at_end()? {
        true => Ok(Part::Archive(progress)),
        false => Err(ArchiveCause::Junk),
    }
}

/// Returns the size of the bootconfig that `end`, the end of an image, consists of; `None` if it is
/// none.
fn bootconfig(end: &[u8]) -> Result<Option<usize>, ArchiveCause> {
    let Some(bytes) = end.strip_suffix(b"#BOOTCONFIG\n") else { return Ok(None) };
    let number = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    let parts = bytes.split_last_chunk().and_then(|(bytes, checksum)| {
        let (text, size) = bytes.split_last_chunk()?;
        Some((text, number(size), number(checksum)))
    });
    let sum = |text: &[u8]| text.iter().fold(0, |sum: u32, byte| sum.wrapping_add((*byte).into()));
    match parts {
        Some((text, size, checksum)) if text.len() == size as usize && sum(text) == checksum => {
            Ok(Some(text.len()))
        }
        _ => Err(ArchiveCause::Bootconfig),
    }
}

/// Calls `each` with the entries of plain archives.
fn feed<R: BufRead>(reader: &mut newc::Reader<R>, each: &mut Each<'_>) -> Progress {
    for member in reader {
        if each(&member.map_err(ArchiveCause::Entry)?).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Returns why an archive that starts with `bytes` cannot be read.
fn unreadable(bytes: &[u8]) -> ArchiveCause {
    ArchiveCause::Unsupported(match bytes {
        [b'B', b'Z', b'h', ..] => "bzip2",
        [0x5d, 0, ..] => "lzma",
        [0x89, b'L', b'Z', b'O', ..] => "lzo",
        // The legacy format that the kernel uses, and the default format of lz4.
        [2, 0x21, ..] | [4, 0x22, 0x4d, 0x18, ..] => "lz4",
        _ => return ArchiveCause::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn archive_of(name: &[u8]) -> Vec<u8> {
        let mut writer = newc::Writer::new(Vec::new(), 0);
        let kind = newc::Kind::File(b"data");
        writer.append(&newc::Entry { name, mode: 0o644, uid: 0, gid: 0, kind }).unwrap();
        writer.finish().unwrap().0
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// Returns the names of the readable entries, and the error.
    fn listed(mut image: &[u8]) -> (Vec<String>, Option<String>) {
        let mut names = Vec::new();
        let done = entries(&mut image, &mut |member| {
            names.push(String::from_utf8_lossy(&member.name).into_owned());
            ControlFlow::Continue(())
        });
        (names, done.err().map(|error| error.to_string()))
    }

    #[test]
    fn every_archive_of_an_image_is_read() {
        let mut image = archive_of(b"plain");
        image.extend(archive_of(b"second"));
        image.extend(gzip(&archive_of(b"gzip")));
        image.extend([0; 5]);
        image.extend(zstd::stream::encode_all(&archive_of(b"zstd")[..], 3).unwrap());
        image.extend(zstd::stream::encode_all(&archive_of(b"frame")[..], 3).unwrap());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&archive_of(b"xz")).unwrap();
        image.extend(xz.finish().unwrap());
        image.extend([0; 5]);
        image.extend(gzip(&archive_of(b"last")));
        image.extend([0; 512]);
        let (names, error) = listed(&image);
        assert_eq!(error, None);
        assert_eq!(names, ["plain", "second", "gzip", "zstd", "frame", "xz", "last"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cut = gzip(&archive_of(b"gzip"));
        let cases: [(&[u8], &str); 6] = [
            (b"\x04\x22\x4d\x18", "archive at offset 0: lz4 is not supported"),
            (b"\0\0\x02\x21rest", "archive at offset 2: lz4 is not supported"),
            (b"BZh9", "archive at offset 0: bzip2 is not supported"),
            (b"hello", "archive at offset 0: neither cpio nor a known compression"),
            (&cut[..20], "archive at offset 0: "),
            (&gzip(b"text"), "archive at offset 0: the decompressed data is not cpio"),
        ];
        for (image, message) in cases {
            let error = listed(image).1.unwrap();
            assert!(error.starts_with(message), "{error}");
        }
    }

    /// Whatever is wrong with the end of an image, the entries before it are read.
    #[test]
    fn entries_before_damage_are_read() {
        let two = || {
            let mut writer = newc::Writer::new(Vec::new(), 0);
            // Noise, so that a cut in the middle of the image cuts the second entry.
            let noise: Vec<u8> =
                (0..9000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
            for (name, kind) in
                [(&b"first"[..], newc::Kind::Dir), (b"second", newc::Kind::File(&noise))]
            {
                let entry = newc::Entry { name, mode: 0o755, uid: 0, gid: 0, kind };
                writer.append(&entry).unwrap();
            }
            writer.finish().unwrap().0
        };
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() / 2);
            bytes
        };
        let xz = |data: &[u8]| {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        };
        let whole = gzip(&two());
        let bad_sum = [&whole[..whole.len() - 8], &[0; 8]].concat();
        let cases: [(&str, Vec<u8>, usize, &str); 8] = [
            ("plain", cut(two()), 1, "cpio entry at offset 116: the data is truncated"),
            ("gzip", cut(gzip(&two())), 1, "cpio entry at offset 116: "),
            ("zstd", cut(zstd::stream::encode_all(&two()[..], 3).unwrap()), 0, "cpio entry at"),
            ("xz", cut(xz(&two())), 1, "cpio entry at offset 116: "),
            ("gzip, bad sum", bad_sum, 2, "corrupt gzip stream does not have a matching checksum"),
            ("junk", [two(), b"junk".to_vec()].concat(), 2, "neither cpio nor a known"),
            ("lz4", [two(), b"\x02\x21\x4c\x18".to_vec()].concat(), 2, "lz4 is not supported"),
            ("junk in gzip", gzip(&[two(), b"x".to_vec()].concat()), 2, "is not cpio"),
        ];
        for (what, image, readable, why) in cases {
            let (names, error) = listed(&image);
            let error = error.unwrap();
            assert!(error.contains(why) && names.len() == readable, "{what}: {names:?}, {error}");
        }
    }

    #[test]
    fn a_break_ends_the_reading() {
        let image = [archive_of(b"a"), b"junk".to_vec()].concat();
        let done = entries(&mut &image[..], &mut |_| ControlFlow::Break(()));
        assert_eq!(done.unwrap().archives, 1);
    }

    #[test]
    fn a_bootconfig_may_follow() {
        let archive = archive_of(b"x");
        let text = b"kernel.quiet\n\0\0\0";
        let sum: u32 = text.iter().map(|byte| u32::from(*byte)).sum();
        let end = |size: u32, sum: u32| {
            let numbers = [size.to_le_bytes(), sum.to_le_bytes()].concat();
            [&text[..], &numbers, b"#BOOTCONFIG\n"].concat()
        };
        for (before, at) in [
            (archive.clone(), archive.len()),
            (gzip(&archive), gzip(&archive).len()),
            ([&archive[..], &[0; 7]].concat(), archive.len() + 7),
        ] {
            let image = [&before[..], &end(16, sum)].concat();
            let read = entries(&mut &image[..], &mut |_| ControlFlow::Continue(()));
            let want = Contents { archives: 1, bootconfig: Some((at as u64, 16)) };
            assert_eq!(read.unwrap(), want);
        }
        for (image, why) in [
            (end(16, sum + 1), "archive at offset 0: the bootconfig is damaged"),
            (end(15, sum), "archive at offset 0: the bootconfig is damaged"),
            (b"#BOOTCONFIG\n".to_vec(), "archive at offset 0: the bootconfig is damaged"),
            ([&end(16, sum)[..], b"x"].concat(), UNKNOWN),
            (vec![b'x'; 1 << 20], UNKNOWN),
        ] {
            assert_eq!(listed(&image).1.as_deref(), Some(why));
        }
    }

    const UNKNOWN: &str = "archive at offset 0: neither cpio nor a known compression";

    /// A dictionary of 4 GiB in the header of an xz stream is refused, not allocated.
    #[test]
    fn the_memory_of_decoders_is_limited() {
        let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
        options.dict_size(1 << 30);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let check = liblzma::stream::Check::Crc32;
        let stream = liblzma::stream::Stream::new_stream_encoder(&filters, check).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(&archive_of(b"x")).unwrap();
        let (names, error) = listed(&encoder.finish().unwrap());
        assert!(names.is_empty() && error.unwrap().contains("memory"));
    }
}
