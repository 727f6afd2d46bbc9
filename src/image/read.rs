//! Reading images: archives in a row, each plain or compressed, with zeros between them
//! (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! A bootconfig may be appended to the whole (Documentation/admin-guide/bootconfig.rst):
//!
//! ```text
//! text, zeros | size u32 of both | checksum u32: the sum of their bytes | "#BOOTCONFIG\n"
//! ```
//!
//! Both numbers are little-endian. Entries and their data are handed on as they are decompressed, so
//! that memory use depends neither on the size of the image nor on what it decompresses to.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use super::codec::{Codec, HEAD};
use super::newc::{self, Counted, ReadError};
use super::visitor::{Part, Visitor};
use crate::sys::Cause;

/// Number of bytes that suffice for a bootconfig: the kernel permits 32 KiB of text.
const BOOTCONFIG_LIMIT: u64 = 40 << 10;
/// Size in bytes of the buffer for decompressed data.
const BUFFER: usize = 1 << 16;
/// Zeros after which the kernel looks for another archive behind data of lz4: the size of no block.
const LZ4_END: u64 = 4;

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
    /// It is in the default format of lz4. The kernel reads the legacy format alone.
    Lz4Frame,
    /// It follows data of lz4, which the kernel then takes for a block.
    AfterLz4,
    /// Its first bytes are neither those of an archive nor those of a known codec.
    Unknown,
    /// One of its entries is damaged.
    Entry(ReadError),
    /// The bootconfig at the end has another size or checksum than it says. The kernel ignores it.
    Bootconfig,
    /// The compressed data goes on with something other than an archive, which the kernel refuses.
    Junk,
    /// The image unpacks to more than this many bytes.
    TooLarge(u64),
    /// The image cannot be read, or the start or end of the compressed data is damaged.
    Input(io::Error),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "archive at offset {}: ", self.offset)?;
        match &self.cause {
            ArchiveCause::Lz4Frame => f.write_str(
                "lz4 frame format, which the kernel does not read (lz4 -l writes its own)",
            ),
            ArchiveCause::AfterLz4 => {
                f.write_str("the kernel needs four zeros between lz4 data and another archive")
            }
            ArchiveCause::TooLarge(limit) => {
                write!(f, "the image unpacks to more than the limit of {limit} bytes")
            }
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

/// What an image holds besides the entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Number of archives.
    pub(crate) archives: usize,
    /// Offset in the image and size of the bootconfig, in bytes.
    pub(crate) bootconfig: Option<(u64, usize)>,
}

/// Hands everything in an image to `visitor`, in its order, until the first error. `limit` is how
/// many bytes all archives may have, decompressed.
///
/// # Errors
///
/// Damaged data, what the kernel does not read, or more data than `limit`.
pub(crate) fn visit(
    image: &mut dyn BufRead,
    limit: u64,
    visitor: &mut dyn Visitor,
) -> Result<Contents, ArchiveError> {
    let mut image = Counted::new(image);
    let mut reader = Reader { left: limit, limit, contents: Contents::default(), visitor };
    let mut is_after_lz4 = false;
    loop {
        let end = image.offset;
        let next = image.skip_zeros();
        let offset = image.offset;
        let is_after_lz4_block = is_after_lz4 && offset - end < LZ4_END;
        let failed = |cause| ArchiveError { offset, cause };
        let Some(first) = next.map_err(|error| failed(error.into()))? else {
            return Ok(reader.contents);
        };
        let head = image.peek(HEAD).map_err(|error| failed(error.into()))?;
        let codec = Codec::detect(head);
        if is_after_lz4_block && (codec.is_some() || first == b'0') {
            return Err(failed(ArchiveCause::AfterLz4));
        }
        let progress = match codec {
            None if first == b'0' => reader.plain(&mut image),
            None => reader.bootconfig(&mut image),
            Some(codec) => reader.compressed(&mut image, codec),
        };
        if progress.map_err(failed)?.is_break() {
            return Ok(reader.contents);
        }
        is_after_lz4 = codec == Some(Codec::Lz4);
    }
}

/// Whether the reading goes on, or why it cannot.
type Progress = Result<ControlFlow<()>, ArchiveCause>;

/// The state of reading an image.
struct Reader<'v> {
    visitor: &'v mut dyn Visitor,
    contents: Contents,
    /// How many bytes may still be unpacked.
    left: u64,
    /// How many bytes might be unpacked at first.
    limit: u64,
}

impl Reader<'_> {
    /// Reads one plain archive.
    fn plain(&mut self, image: &mut Counted<&mut dyn BufRead>) -> Progress {
        let offset = image.offset;
        // One byte more, to find out whether there is more.
        let mut archive = newc::read(image.take(self.left.saturating_add(1)));
        let progress = self.archive(&mut archive);
        let size = archive.offset();
        self.count(size)?;
        match progress? {
            Some(ControlFlow::Break(())) => Ok(ControlFlow::Break(())),
            _ => Ok(self.visitor.part(&Part { offset, codec: None, packed: size, unpacked: size })),
        }
    }

    /// Reads the archives in compressed data, up to its end.
    fn compressed(&mut self, image: &mut Counted<&mut dyn BufRead>, codec: Codec) -> Progress {
        let offset = image.offset;
        let decoder = codec.decoder(image)?.take(self.left.saturating_add(1));
        let mut decoded = newc::read(BufReader::with_capacity(BUFFER, decoder));
        let end = loop {
            match self.archive(&mut decoded) {
                Ok(Some(ControlFlow::Continue(()))) => {}
                end => break end,
            }
        };
        let unpacked = decoded.offset();
        self.count(unpacked)?;
        if end?.is_some() {
            return Ok(ControlFlow::Break(()));
        }
        if self.contents.archives == 0 || !decoded.is_at_end()? {
            return Err(ArchiveCause::Junk);
        }
        drop(decoded);
        let packed = image.offset - offset;
        Ok(self.visitor.part(&Part { offset, codec: Some(codec), packed, unpacked }))
    }

    /// Counts the bytes of a part, its padding included.
    fn count(&mut self, unpacked: u64) -> Result<(), ArchiveCause> {
        self.left = self.left.checked_sub(unpacked).ok_or(ArchiveCause::TooLarge(self.limit))?;
        Ok(())
    }

    /// Reads the next archive of a stream. Returns `None` if there is none.
    fn archive<R: BufRead>(
        &mut self,
        stream: &mut newc::Reader<R>,
    ) -> Result<Option<ControlFlow<()>>, ArchiveCause> {
        let progress = stream.visit_archive(self.visitor).map_err(ArchiveCause::Entry)?;
        if progress.is_some() {
            self.contents.archives += 1;
            self.visitor.archive();
        }
        Ok(progress)
    }

    /// Reads the bootconfig, which ends an image.
    fn bootconfig(&mut self, image: &mut Counted<&mut dyn BufRead>) -> Progress {
        let offset = image.offset;
        let mut end = Vec::new();
        image.take(BOOTCONFIG_LIMIT).read_to_end(&mut end)?;
        let size = bootconfig(&end)?.ok_or_else(|| unreadable(&end))?;
        self.contents.bootconfig = Some((offset, size));
        Ok(ControlFlow::Continue(()))
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

/// Returns why an archive that starts with `bytes` cannot be read.
fn unreadable(bytes: &[u8]) -> ArchiveCause {
    match bytes {
        [4, 0x22, 0x4d, 0x18, ..] => ArchiveCause::Lz4Frame,
        _ => ArchiveCause::Unknown,
    }
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

    /// Collects the names of entries; the reading ends when it has this many.
    struct Names(Vec<String>, usize);

    impl Visitor for Names {
        fn end(&mut self, member: &newc::Member) -> ControlFlow<()> {
            self.0.push(String::from_utf8_lossy(&member.name).into_owned());
            if self.0.len() < self.1 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
    }

    fn read(mut image: &[u8], names: &mut Names) -> Result<Contents, ArchiveError> {
        visit(&mut image, u64::MAX, names)
    }

    /// Returns the names of the readable entries, and the error.
    fn listed(image: &[u8]) -> (Vec<String>, Option<String>) {
        let mut names = Names(Vec::new(), usize::MAX);
        let done = read(image, &mut names);
        (names.0, done.err().map(|error| error.to_string()))
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
        let cases: [(&[u8], &str); 9] = [
            (
                b"\x04\x22\x4d\x18",
                "archive at offset 0: lz4 frame format, which the kernel does not",
            ),
            (b"\0\0\x02\x21rest", "archive at offset 2: cpio entry at offset 0: not the magic"),
            (b"BZh9", "archive at offset 0: cpio entry at offset 0: "),
            (b"\x5d\0\0\0\x10", "archive at offset 0: cpio entry at offset 0: "),
            (b"\x89LZO\0\r\n\x1a", "archive at offset 0: cpio entry at offset 0: the lzo data is"),
            (b"070707", "archive at offset 0: cpio entry at offset 0: the header is truncated"),
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
            ("lz4", [two(), b"\x04\x22\x4d\x18".to_vec()].concat(), 2, "lz4 frame format"),
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
        let done = read(&image, &mut Names(Vec::new(), 1));
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
            let read = read(&image, &mut Names(Vec::new(), usize::MAX));
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

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(noise: Vec<u8>, cut in 0usize..64) {
            let heads: [&[u8]; 8] = [
                b"070701",
                b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
                b"BZh91AY&SY",
                b"\x5d\0\0\x10\0\xff\xff\xff\xff\xff\xff\xff\xff",
                b"\xfd7zXZ\0",
                LZO,
                b"\x02\x21\x4c\x18",
                b"\x28\xb5\x2f\xfd",
            ];
            for head in heads {
                let image = [&head[..head.len().min(cut)], &noise].concat();
                let _ = listed(&image);
            }
        }
    }

    /// The header of lzop for data with an Adler-32 in each block.
    const LZO: &[u8] = b"\x89LZO\0\r\n\x1a\n\x10\x40\x20\xa0\x09\x40\x01\x05\0\0\0\x01\
        \0\0\x81\xa4\0\0\0\0\0\0\0\0\0\0\0\0\0";

    #[test]
    fn blocks_that_lie_are_errors() {
        let lz4 = |rest: &[u8]| [b"\x02\x21\x4c\x18", rest].concat();
        let lzo = |rest: &[u8]| [LZO, rest].concat();
        let two_checksums = {
            let mut header = LZO.to_vec();
            header[20] = 3;
            header
        };
        for (image, why) in [
            (lz4(&[9, 0, 0, 0, 0x10]), "the lz4 block is truncated"),
            (lz4(&[3, 0, 0, 0, 0x01, 0xff, 0xff]), "corrupt lz4 block: "),
            (lz4(b"text"), "is not cpio"),
            (lzo(&[0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0]), "corrupt lzo block: impossible size"),
            (lzo(&[0, 5, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]), "corrupt lzo block: impossible size"),
            (lzo(&[0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 1]), "the lzo data is truncated"),
            (lzo(&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 7]), "the checksum does not match"),
            (lzo(&[0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0, 0, 17, 0, 0]), "corrupt lzo block: "),
            (two_checksums, "the kernel reads lzo data with one checksum in each block"),
        ] {
            let error = listed(&image).1.unwrap();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
